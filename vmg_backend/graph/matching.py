"""The cost of showing frame j + 1 after frame i, for all pairs, in blocks of bounded memory.

The cost of a pair follows the paper (section 3.1: root-relative and global 3D joint distance), with velocity added and
each joint weighted by the confidence of both sides:

    d(i, j) = |L_i - L_j|_w + |G_i - G_j|_w + s |V_i - V_j|_w,
    |x - y|_w^2 = sum_k w_ik w_jk |x_k - y_k|^2 / sum_k w_ik w_jk          (m)

and the cost of a match is the mean of d(i + k, j + k) over the frames around the cut that both sides have (Schödl et
al. 2000, Video Textures, section 3.1, compare sub-sequences likewise).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .features import MotionFeatures

WINDOW = (-3, 4)
"""First and last offset of the window: symmetric about the cut, which lies between offsets 0 and 1."""

VELOCITY_SECONDS = 0.08
"""s, the time that turns a difference of velocity into a length."""

_ROWS, _COLUMNS = 256, 4096

Costs = NDArray[np.float64]
Nodes = NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Match costs of a rectangle of pairs, with one ring of neighbours around it where there are any.

    Attributes
    ----------
    row, column : int
        The pair that `costs[0, 0]` belongs to.
    rows, columns : slice
        The part of `costs` that is this block's own.
    costs : float64 [r, c]
        m, inf where a match is not possible.
    """

    row: int
    column: int
    rows: slice
    columns: slice
    costs: Costs


class MatchCost:
    """Match costs between the nodes of a library.

    Parameters
    ----------
    features : MotionFeatures
    """

    def __init__(self, features: MotionFeatures) -> None:
        self.nodes = features.nodes
        self._fields = (features.local, features.world, features.velocity * VELOCITY_SECONDS)
        self._weights = features.confidence
        self._footage_starts = features.offsets
        usable = np.zeros(self.nodes, dtype=bool)
        first = np.arange(self.nodes)
        last = np.arange(self.nodes)
        for a, b in features.runs:
            usable[a : b + 1] = True
            first[a : b + 1], last[a : b + 1] = a, b
        self.first, self.last = first, last
        # A match needs a next frame on both sides: the last frame of a run cannot be cut from, nor matched.
        self.matchable = usable & (last > np.arange(self.nodes))
        self._lowest = np.maximum(WINDOW[0], first - np.arange(self.nodes))
        self._highest = np.minimum(WINDOW[1], last - np.arange(self.nodes))
        self._factors = [self._factor(field, usable) for field in self._fields]

    def _factor(self, field: NDArray[np.float64], usable: NDArray[np.bool_]) -> tuple[Costs, Costs]:
        """Two factors whose product is the sum of w_i w_j |x_i - x_j|^2; centred, which keeps cancellation small."""
        weights = self._weights
        centre = field[usable].mean(axis=0) if usable.any() else 0.0
        x = np.where(usable[:, None, None], field - centre, 0.0)
        squared = weights * (x**2).sum(axis=2)
        flat = (weights[:, :, None] * x).reshape(len(x), -1)
        left = np.concatenate([squared, weights, -2.0 * flat], axis=1)
        right = np.concatenate([weights, squared, flat], axis=1)
        return left, right

    def pairs(self, i: Nodes, j: Nodes) -> Costs:
        """d(i, j) [n] of the given pairs by direct subtraction, m."""
        products = self._weights[i] * self._weights[j]
        total = np.zeros(len(i))
        weight = products.sum(axis=1)
        for field in self._fields:
            squared = ((field[i] - field[j]) ** 2).sum(axis=2)
            total += np.sqrt((products * squared).sum(axis=1) / weight)
        return total

    def exact(self, i: Nodes, j: Nodes) -> Costs:
        """The match costs [n] of the given pairs by direct subtraction, m; inf where no match is possible."""
        costs = np.full(len(i), np.inf)
        inside = (i >= 0) & (j >= 0) & (i < self.nodes) & (j < self.nodes)
        inside[inside] = self.matchable[i[inside]] & self.matchable[j[inside]]
        for chunk in np.array_split(np.flatnonzero(inside), max(1, inside.sum() // 50_000)):
            a, b = i[chunk], j[chunk]
            total, taps = np.zeros(len(a)), np.zeros(len(a))
            for k in range(WINDOW[0], WINDOW[1] + 1):
                there = (k >= np.maximum(self._lowest[a], self._lowest[b])) & (
                    k <= np.minimum(self._highest[a], self._highest[b])
                )
                total[there] += self.pairs(a[there] + k, b[there] + k)
                taps[there] += 1
            costs[chunk] = total / taps
        return costs

    def blocks(self, rows: Nodes | None = None) -> Iterator[Block]:
        """All pairs, each once (column >= row), by matrix products; accurate to about 1e-7 m.

        Parameters
        ----------
        rows : int64 [2], optional
            First and last row (inclusive), all columns then; by default all rows, and the columns from the diagonal on.
        """
        first, last = (0, self.nodes - 1) if rows is None else (int(rows[0]), int(rows[1]))
        for row in range(first, last + 1, _ROWS):
            row_end = min(row + _ROWS, last + 1)
            for column in range(row if rows is None else 0, self.nodes, _COLUMNS):
                column_end = min(column + _COLUMNS, self.nodes)
                r0, r1 = max(row - 1, 0), min(row_end + 1, self.nodes)
                c0, c1 = max(column - 1, 0), min(column_end + 1, self.nodes)
                yield Block(
                    row=r0,
                    column=c0,
                    rows=slice(row - r0, row_end - r0),
                    columns=slice(column - c0, column_end - c0),
                    costs=self._windowed(r0, r1, c0, c1),
                )

    def _windowed(self, r0: int, r1: int, c0: int, c1: int) -> Costs:
        lo, hi = WINDOW
        r_pad, c_pad = max(r0 + lo, 0), max(c0 + lo, 0)
        d = self._products(r_pad, min(r1 + hi, self.nodes), c_pad, min(c1 + hi, self.nodes))
        rows, columns = np.arange(r0, r1), np.arange(c0, c1)
        total = np.zeros((r1 - r0, c1 - c0))
        for k in range(lo, hi + 1):
            row_there = np.flatnonzero((self._lowest[rows] <= k) & (k <= self._highest[rows]))
            column_there = np.flatnonzero((self._lowest[columns] <= k) & (k <= self._highest[columns]))
            if len(row_there) == len(rows) and len(column_there) == len(columns):
                total += d[r0 + k - r_pad : r1 + k - r_pad, c0 + k - c_pad : c1 + k - c_pad]
            elif len(row_there) and len(column_there):
                total[np.ix_(row_there, column_there)] += d[
                    np.ix_(row_there + r0 + k - r_pad, column_there + c0 + k - c_pad)
                ]
        taps = (
            np.minimum(self._highest[rows][:, None], self._highest[columns])
            - np.maximum(self._lowest[rows][:, None], self._lowest[columns])
            + 1
        )
        total /= taps
        total[~self.matchable[rows]] = np.inf
        total[:, ~self.matchable[columns]] = np.inf
        return total

    def _products(self, r0: int, r1: int, c0: int, c1: int) -> Costs:
        weight = self._weights[r0:r1] @ self._weights[c0:c1].T
        np.maximum(weight, np.finfo(float).tiny, out=weight)
        total = np.zeros((r1 - r0, c1 - c0))
        for left, right in self._factors:
            squared = left[r0:r1] @ right[c0:c1].T
            squared /= weight
            np.maximum(squared, 0.0, out=squared)
            total += np.sqrt(squared, out=squared)
        return total

    def same_footage(self, i: Nodes, j: Nodes) -> NDArray[np.bool_]:
        """Whether the two nodes of each pair lie in the same footage."""
        starts = self._footage_starts
        return np.asarray(np.searchsorted(starts, i, side="right") == np.searchsorted(starts, j, side="right"))
