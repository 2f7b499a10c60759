"""The cost of showing frame j + 1 after frame i, exactly for chosen pairs and by matrix products for tiles of them.

The cost of a pair follows the paper (section 3.1: root-relative and global 3D joint distance), with velocity added and
each joint weighted by the confidence of both sides:

    d(i, j) = |L_i - L_j|_w + |G_i - G_j|_w + s |V_i - V_j|_w,
    |x - y|_w^2 = sum_k w_ik w_jk |x_k - y_k|^2 / sum_k w_ik w_jk          (m)

and the cost of a match is the mean of d(i + k, j + k) over the frames around the cut that both sides have (Schödl et
al. 2000, Video Textures, section 3.1, compare sub-sequences likewise).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .features import MotionFeatures

WINDOW = (-3, 4)
"""First and last offset of the window: symmetric about the cut, which lies between offsets 0 and 1."""

VELOCITY_SECONDS = 0.08
"""s, the time that turns a difference of velocity into a length."""

_MARGIN = 256
"""Empty places at both ends, so that strips need no regard for them."""

_CHUNK = 8192
"""Pairs that are subtracted at a time."""

Costs = NDArray[np.float64]
Nodes = NDArray[np.int64]


class MatchCost:
    """Match costs between the nodes of a library.

    Tiles are cut from a row of **places**: the usable frames of one run after the other, with empty places between them
    as wide as the window. A frame differs from an empty place by nothing, so a sum over the window needs no regard for
    the ends of runs.

    Parameters
    ----------
    features : MotionFeatures

    Attributes
    ----------
    nodes : int
    first, last : int64 [N]
        First and last node of each node's run.
    matchable : bool [N]
        A match needs a next frame on both sides: the last frame of a run cannot be cut from, nor matched.
    lowest, highest : int64 [N]
        The offsets of the window that each node's run has.
    place : int64 [N]
        Of each node; -1 where unusable.
    node : int64 [P]
        At each place; -1 where it is empty.
    """

    def __init__(self, features: MotionFeatures) -> None:
        self.nodes = features.nodes
        self.window = WINDOW
        self.fields = (features.local, features.world, features.velocity * VELOCITY_SECONDS)
        self.weights = features.confidence
        self._footage_starts = features.offsets
        number = np.arange(self.nodes)
        self.first, self.last = number.copy(), number.copy()
        self.place = np.full(self.nodes, -1)
        gap = max(-self.window[0], self.window[1])
        end = _MARGIN
        for a, b in features.runs:
            self.first[a : b + 1], self.last[a : b + 1] = a, b
            self.place[a : b + 1] = np.arange(end, end + b - a + 1)
            end += b - a + 1 + gap
        usable = self.place >= 0
        self.matchable = usable & (self.last > number)
        self.lowest = np.maximum(self.window[0], self.first - number)
        self.highest = np.minimum(self.window[1], self.last - number)
        self.node = np.full(end + _MARGIN, -1)
        self.node[self.place[usable]] = np.flatnonzero(usable)
        self._open = (self.node >= 0) & self.matchable[self.node]
        self._low = np.where(self.node >= 0, self.lowest[self.node], 0)
        self._high = np.where(self.node >= 0, self.highest[self.node], 0)
        self._partial = (self._low > self.window[0]) | (self._high < self.window[1])
        weights = self._placed(self.weights)
        self._weight = weights
        self._factors = [self._factor(field) for field in self.fields]

    def _factor(self, field: Costs) -> Costs:
        """What is multiplied to get the sum of w_i w_j |x_i - x_j|^2: w, w |x|^2 and w x [P, 5 J]."""
        flat = (self.weights[:, :, None] * field).reshape(self.nodes, -1)
        return self._placed(np.concatenate([self.weights, self.weights * (field**2).sum(axis=2), flat], axis=1))

    def _placed(self, values: Costs) -> Costs:
        placed = np.zeros((len(self.node), *values.shape[1:]))
        placed[self.node >= 0] = values[self.node[self.node >= 0]]
        return placed

    def places(self, footage: int) -> tuple[int, int]:
        """First place of a footage, and the one after its last."""
        there = self.place[self._footage_starts[footage] : self._footage_starts[footage + 1]]
        there = there[there >= 0]
        return (int(there[0]), int(there[-1]) + 1) if len(there) else (0, 0)

    def pairs(self, i: Nodes, j: Nodes) -> Costs:
        """d(i, j) [n] of the given pairs by direct subtraction, m."""
        products = self.weights[i] * self.weights[j]
        total = np.zeros(len(i))
        weight = products.sum(axis=1)
        for field in self.fields:
            squared = (field[i] - field[j]) ** 2
            total += np.sqrt((products * (squared[..., 0] + squared[..., 1] + squared[..., 2])).sum(axis=1) / weight)
        return total

    def exact(self, i: Nodes, j: Nodes) -> Costs:
        """The match costs [n] of the given pairs by direct subtraction, m; inf where no match is possible."""
        costs = np.full(len(i), np.inf)
        inside = (i >= 0) & (j >= 0) & (i < self.nodes) & (j < self.nodes)
        inside[inside] = self.matchable[i[inside]] & self.matchable[j[inside]]
        whole = np.flatnonzero(inside)
        for start in range(0, len(whole), _CHUNK):
            chunk = whole[start : start + _CHUNK]
            a, b = i[chunk], j[chunk]
            low, high = np.maximum(self.lowest[a], self.lowest[b]), np.minimum(self.highest[a], self.highest[b])
            total = np.zeros(len(a))
            for k in range(self.window[0], self.window[1] + 1):
                there = (k >= low) & (k <= high)
                total[there] += self.pairs(a[there] + k, b[there] + k)
            costs[chunk] = total / (high - low + 1)
        return costs

    def strip(self, row: int, height: int) -> Callable[[Nodes], Costs]:
        """Match costs of a strip with one ring around it, by matrix products; accurate to about 1e-7 m.

        Parameters
        ----------
        row, height : int
            The first place of the strip, and how many there are.

        Returns
        -------
        callable
            Takes places int64 [C], in stretches that begin 1 place and the window before what is asked for, and end
            likewise after it. Gives float64 [height + 2, C - window], m, from the place before `row` on, and for those
            places but the window's length at both ends; inf where no match is possible. What lies within the window of
            a stretch's end means nothing.
        """
        low, high = self.window
        around = slice(row - 1 + low, row + height + 1 + high)
        joints = self._weight.shape[1]
        weight = self._weight[around]
        left = [
            np.concatenate([one[:, joints : 2 * joints], one[:, :joints], -2.0 * one[:, 2 * joints :]], axis=1)
            for one in (factor[around] for factor in self._factors)
        ]
        rows = np.arange(row - 1, row + height + 1)
        whole, few = np.flatnonzero(~self._partial[rows]), np.flatnonzero(self._partial[rows])
        closed = np.flatnonzero(~self._open[rows])

        def costs(columns: Nodes) -> Costs:
            share = weight @ self._weight[columns].T
            np.maximum(share, np.finfo(float).tiny, out=share)
            np.divide(1.0, share, out=share)
            d = np.zeros_like(share)
            for own, factor in zip(left, self._factors, strict=True):
                squared = own @ factor[columns].T
                squared *= share
                d += np.sqrt(np.abs(squared, out=squared), out=squared)
            total = _along(d, high - low + 1)
            total *= 1.0 / (high - low + 1)
            # Where a run ends, the window is shorter.
            columns = columns[-low : len(columns) - high]
            fewer = np.flatnonzero(self._partial[columns])
            total[few] *= self._scale(rows[few], columns)
            total[np.ix_(whole, fewer)] *= self._scale(rows[whole], columns[fewer])
            total[closed] = np.inf
            total[:, np.flatnonzero(~self._open[columns])] = np.inf
            return total

        return costs

    def _scale(self, rows: Nodes, columns: Nodes) -> Costs:
        taps = np.minimum(self._high[rows][:, None], self._high[columns])
        taps -= np.maximum(self._low[rows][:, None], self._low[columns])
        return np.asarray((self.window[1] - self.window[0] + 1) / (taps + 1.0))

    def same_footage(self, i: Nodes, j: Nodes) -> NDArray[np.bool_]:
        """Whether the two nodes of each pair lie in the same footage."""
        starts = self._footage_starts
        return np.asarray(np.searchsorted(starts, i, side="right") == np.searchsorted(starts, j, side="right"))


def _along(d: Costs, length: int) -> Costs:
    """Sums of `length` neighbours along the diagonals."""
    total, width = d, 1
    while 2 * width <= length:
        total = total[:-width, :-width] + total[width:, width:]
        width *= 2
    shape = len(d) - length + 1, d.shape[1] - length + 1
    for k in range(width, length):
        total = total[: shape[0], : shape[1]] + d[k : k + shape[0], k : k + shape[1]]
    return total
