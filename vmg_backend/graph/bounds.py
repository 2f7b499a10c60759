"""A lower bound of the match cost, cheap enough for all pairs of an hour of footage.

Each of these steps can only lower the cost:

- The three norms share their weights, so |L| + |G| + |V| is at least the norm of (L + G, V), joint by joint; and the
  mean of a norm over the window is at least the norm of the mean.
- The share of joint k in the weights, w_ik w_jk / sum w_i w_j, is at least q_k² m_i m_j, where q_k is typical of the
  joint, and m the least w / q among the joints of its limb and the frames of the window, over the largest norm of w
  there (Cauchy-Schwarz). A hidden limb makes the bound blind for that limb and for nothing else.
- A projection on the directions in which a limb differs most shortens what it projects.

What is left is a weighted sum of squared distances in few dimensions: one product of matrices, in float32.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .features import JOINTS
from .matching import MatchCost, Nodes

STRIP, TILE = 64, 32
"""Places of a tile, which is computed as a whole or not at all: rows and columns."""

DIMENSIONS = 24
"""Directions of all limbs together."""

_ROWS, _COLUMNS = 4 * STRIP, 128 * TILE

_LIMBS = [
    [joint for joint, name in enumerate(JOINTS) if name.startswith(side) and name[len(side) :] in parts]
    for side in ("left_", "right_")
    for parts in (("elbow", "wrist", "index"), ("knee", "ankle", "foot_index"))
]
_TRUNK = [joint for joint in range(len(JOINTS)) if not any(joint in limb for limb in _LIMBS)]

_FAR = 1e9
"""m², of an empty place."""


class LowerBounds:
    """Lower bounds of the match costs between the places of `costs`.

    Where a run ends, the window of a pair is shorter than that of one of its frames. The mean of what is left of it
    then lies elsewhere than that of the whole, by no more than the frame's slack.

    Parameters
    ----------
    costs : MatchCost
    """

    def __init__(self, costs: MatchCost) -> None:
        places = np.flatnonzero(costs.node >= 0)
        nodes = costs.node[places]
        low, high = costs.lowest[nodes], costs.highest[nodes]
        weights = costs.weights[nodes]
        limbs = [limb for limb in (_TRUNK, *_LIMBS) if limb and max(limb) < weights.shape[1]]
        typical = np.sqrt((weights**2).mean(axis=0))
        norm = -_least(-np.linalg.norm(weights, axis=1), low, high, costs.window)
        least = [
            _least((weights[:, limb] / typical[limb]).min(axis=1), low, high, costs.window) / norm for limb in limbs
        ]
        moved = [_moved(costs, nodes, limb, typical[limb], m) for limb, m in zip(limbs, least, strict=True)]
        smallest = np.sort(np.concatenate([spread for _, spread in moved]))[-DIMENSIONS:].min()

        left: list[NDArray[np.float64]] = []
        right: list[NDArray[np.float64]] = []
        squares, slack = np.zeros(len(nodes)), np.zeros(len(nodes))
        for m, (z, spread) in zip(least, moved, strict=True):
            z = z[:, spread >= smallest]
            sums = np.concatenate([np.zeros((1, z.shape[1])), np.cumsum(z, axis=0)])
            mean = _mean(sums, low, high)
            square = (mean**2).sum(axis=1)
            left += [m * square, m, *(-2.0 * m * mean.T)]
            right += [m, m * square, *(m * mean.T)]
            squares += m.max() * m * square
            slack += m.max() * m * _shift(sums, mean, low, high, costs.window)
        self._left, self._right = (_placed(rows, places, len(costs.node)) for rows in (left, right))
        self._slack = np.zeros(len(costs.node), np.float32)
        self._slack[places] = np.sqrt(slack)
        self._partial = np.zeros(len(costs.node), dtype=bool)
        self._partial[places] = (low > costs.window[0]) | (high < costs.window[1])
        # Each of the n products and sums is rounded, by no more than the magnitudes of all together allow.
        self._rounding = np.float32((len(left) + 3) * np.finfo(np.float32).eps * 4.0 * squares.max(initial=0.0))

    def tiles(
        self, rows: tuple[int, int], columns: tuple[int, int], limit: float
    ) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        """First place of each strip of `rows`, and which tiles [n] of `columns` may hold a cost of at most `limit`.

        Of two equal ranges, only the tiles from the diagonal on are looked at.
        """
        for first in range(*rows, _ROWS):
            strip = np.arange(first, min(first + _ROWS, len(self._slack)))
            begin = first if rows == columns else columns[0]
            found = [self._occupied(strip, slice(c, c + _COLUMNS), limit) for c in range(begin, columns[1], _COLUMNS)]
            occupied = np.concatenate(found, axis=1)
            before = np.zeros((len(occupied), (begin - columns[0]) // TILE), dtype=bool)
            occupied = np.concatenate([before, occupied], axis=1)[:, : -((columns[0] - columns[1]) // TILE)]
            for number, row in enumerate(range(first, min(first + _ROWS, rows[1]), STRIP)):
                if rows == columns:
                    occupied[number, : (row - columns[0]) // TILE] = False
                yield row, occupied[number]

    def _occupied(self, rows: Nodes, columns: slice, limit: float) -> NDArray[np.bool_]:
        squared = self._left[rows] @ self._right[columns].T
        hit = squared <= np.float32(limit**2) + self._rounding
        slack_i, slack_j = self._slack[rows], self._slack[columns]
        few, fewer = np.flatnonzero(self._partial[rows]), np.flatnonzero(self._partial[columns])
        hit[few] = squared[few] <= (limit + slack_i[few, None] + slack_j) ** 2 + self._rounding
        hit[:, fewer] = squared[:, fewer] <= (limit + slack_i[:, None] + slack_j[fewer]) ** 2 + self._rounding
        whole = np.zeros((_ROWS, -(-hit.shape[1] // TILE) * TILE), dtype=bool)
        whole[: hit.shape[0], : hit.shape[1]] = hit
        of_rows = np.bitwise_or.reduce(whole.view(np.uint64).reshape(_ROWS // STRIP, STRIP, -1), axis=1)
        return np.asarray(of_rows.reshape(_ROWS // STRIP, -1, TILE // 8).any(axis=2))

    def of(self, rows: Nodes) -> NDArray[np.float32]:
        """Bounds [n, P] of the costs between the places `rows` and all places, m."""
        bound = self._left[rows] @ self._right.T
        bound -= self._rounding
        np.sqrt(np.maximum(bound, 0.0, out=bound), out=bound)
        slack = np.where(self._partial[rows][:, None] | self._partial, self._slack[rows][:, None] + self._slack, 0.0)
        bound -= slack
        return np.asarray(bound)


def _least(values: NDArray[np.float64], low: Nodes, high: Nodes, window: tuple[int, int]) -> NDArray[np.float64]:
    """The least of each frame's window [n]."""
    least = values.copy()
    number = np.arange(len(values))
    for k in range(window[0], window[1] + 1):
        there = (low <= k) & (k <= high)
        least[there] = np.minimum(least[there], values[number[there] + k])
    return least


def _moved(
    costs: MatchCost, nodes: Nodes, limb: list[int], typical: NDArray[np.float64], m: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(L + G, V) of a limb along its principal directions [n, D], and how much each of them tells [D]."""
    chosen = np.ix_(nodes, np.array(limb))
    local, world, velocity = (field[chosen] for field in costs.fields)
    x = np.concatenate([local + world, velocity], axis=2)
    x = (x * typical[:, None]).reshape(len(nodes), -1)
    x -= x.mean(axis=0)
    values, directions = np.linalg.eigh(x.T @ x / len(x))
    return x @ directions, values * np.median(m) ** 2


def _mean(sums: NDArray[np.float64], low: Nodes, high: Nodes) -> NDArray[np.float64]:
    number = np.arange(len(low))
    return np.asarray((sums[number + high + 1] - sums[number + low]) / (high - low + 1)[:, None])


def _shift(
    sums: NDArray[np.float64], mean: NDArray[np.float64], low: Nodes, high: Nodes, window: tuple[int, int]
) -> NDArray[np.float64]:
    """The squared distance [n] of the mean from that of any part of the window that a pair may be left with."""
    furthest = np.zeros(len(mean))
    for first in range(window[0], 1):
        for last in range(min(1, window[1]), window[1] + 1):
            part = _mean(sums, np.maximum(low, first), np.minimum(high, last))
            furthest = np.maximum(furthest, ((part - mean) ** 2).sum(axis=1))
    return furthest


def _placed(rows: list[NDArray[np.float64]], places: Nodes, count: int) -> NDArray[np.float32]:
    """The factors [count, n]; what multiplies an empty place is far from everything."""
    placed = np.zeros((count, len(rows)), np.float32)
    placed[:, :2] = _FAR, _FAR
    placed[places] = np.array(rows, np.float32).T
    return placed
