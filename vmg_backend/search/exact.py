"""Exact search by dynamic programming over (output frame, node).

With hold L and the longest segment M, c_t(v) the cost of showing v at t and D_t(v) the sum of these costs along the
diagonal (t - k, v - k), a path may cut after it has shown v at t for

    F_t(v) = D_t(v) + min over s from t - M + 1 to t - L + 1 of A_s,
    A_s    = min over edges (u -> x) of F_{s-1}(u) + cut - D_{s-1}(x - 1),    x = v - (t - s)

and for the first segment A_0 = 0. Kept by diagonal, A stays the same number while the path goes on: each output frame
costs O(N + E), whatever L and M. The minimum over a window that slides is van Herk's (1992): of blocks as long as the
window, it consists of the end of one and the start of the next. And since a cut reaches back L frames, the cuts of L
output frames are evaluated together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..progress import SILENT, Progress
from .problem import Problem, Route

_REMEMBERED_VALUES = 32_000_000  # 256 MB

_Row = Callable[[int], NDArray[np.float64]]


def solve(problem: Problem, progress: Progress = SILENT) -> Route | None:
    """The cheapest path, or None where no path meets the constraints; see `Table.solve`."""
    return Table(problem).solve(progress=progress)


def route_cost(problem: Problem, nodes: NDArray[np.int64], cuts: Sequence[tuple[int, int]]) -> float:
    """The cost of a path, summed along it: independent of how the path was found."""
    shown = sum(float(problem.node_cost(t)[node]) for t, node in enumerate(nodes))
    return shown + float(sum(problem.cut_cost(t)[edge] for t, edge in cuts))


class Table:
    """A problem made ready to be searched many times, each time with other nodes barred, whole or in part.

    Parameters
    ----------
    problem : Problem

    Attributes
    ----------
    problem : Problem
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        nodes, hold = problem.nodes, problem.hold
        self.run = np.full(nodes, -1)  # first node of each usable node's run
        for a, b in problem.runs:
            self.run[a : b + 1] = a
        self.after_runs = np.array([b + 1 for _, b in problem.runs if b + 1 < nodes], dtype=np.int64)
        # Edges whose segment can be left again because it fits into the run, in layers: the first edge into each
        # target, the second, ...; targets with the most edges come first, so that each layer is a slice.
        last = np.asarray(problem.target, dtype=np.int64) + hold - 1
        inside = last < nodes
        inside[inside] &= (self.run[last[inside]] >= 0) & (self.run[last[inside]] <= problem.target[inside])
        edges = np.flatnonzero(inside)
        entries, start, count = np.unique(problem.target[edges], return_index=True, return_counts=True)
        order = np.argsort(-count, kind="stable")
        layers = [edges[start[order[: np.sum(count > rank)]] + rank] for rank in range(count.max(initial=0))]
        self.edges = np.concatenate(layers) if layers else edges
        self.layers = np.cumsum([0, *(len(layer) for layer in layers)])
        self.source = np.asarray(problem.source, dtype=np.int64)[self.edges]
        self.entries = entries[order].astype(np.int64)
        self.column = np.full(nodes, -1)  # of each node in `entries`
        self.column[self.entries] = np.arange(len(self.entries))
        self.columns = self.column[np.asarray(problem.target)[self.edges]]  # of the edges' targets
        self._place = np.zeros(len(problem.source), dtype=np.int64)  # of each edge in `edges`
        self._place[self.edges] = np.arange(len(self.edges))
        self._barred = barred_by(problem)
        self._any_barred = self._barred.any(axis=1)
        self.node_cost = _remembered(problem.node_cost, problem.frames, nodes)
        self._cut_costs: NDArray[np.float64] | None = None  # [E, T]
        self._cut_costs_known = np.zeros(problem.frames, dtype=bool)
        if problem.frames * len(self.edges) <= _REMEMBERED_VALUES:
            self._cut_costs = np.empty((len(self.edges), problem.frames))

    def solve(
        self,
        barred: NDArray[np.bool_] | None = None,
        first: int = 0,
        progress: Progress = SILENT,
    ) -> Route | None:
        """The cheapest path through some output frames, or None where no path meets the constraints.

        A part is searched as if it were the whole: where `longest` matters it has to begin and end with segments.
        Where a path that goes on is as cheap as one that cuts, it goes on; of equal edges the first is taken.

        Parameters
        ----------
        barred : bool [T, N], optional
            Nodes that may not be shown at each output frame from `first` on, beside what the problem says; its length
            is that of the path. Default: nothing, and the whole path.
        first : int
            Output frame that the path begins with.
        progress : Progress

        Returns
        -------
        Route or None
            Times of its cuts count from `first`.
        """
        frames = self.problem.frames - first if barred is None else len(barred)
        if not self.problem.nodes or frames < 1:
            return None
        here = slice(first, first + frames)
        rows: list[NDArray[np.bool_] | None] = [
            row if some else None for row, some in zip(self._barred[here], self._any_barred[here], strict=True)
        ]
        if barred is not None:
            for t in np.flatnonzero(barred.any(axis=1)):
                row = rows[t]
                rows[t] = barred[t] if row is None else barred[t] | row
        sweep = _Sweep(self, rows, first)
        for t in range(0, frames, self.problem.hold):
            progress.check()
            sweep.show(t)
        found = sweep.path()
        return found and Route(*found, self.cost(*found, first))

    def cost(self, nodes: NDArray[np.int64], cuts: Sequence[tuple[int, int]], first: int = 0) -> float:
        """The cost of a path that begins at output frame `first`; times of its cuts count from there."""
        shown = np.array([self.node_cost(first + t)[node] for t, node in enumerate(nodes.tolist())])
        return float(shown.sum()) + sum(
            float(self.cut_costs(first + t, first + t + 1)[self._place[edge], 0]) for t, edge in cuts
        )

    def cut_costs(self, first: int, end: int) -> NDArray[np.float64]:
        """Cost [E, T] of each of `edges` when its target is shown at the output frames from `first` to `end` - 1."""
        if self._cut_costs is not None and self._cut_costs_known[first:end].all():
            return self._cut_costs[:, first:end]
        rows = [self.problem.cut_cost(t)[self.edges] for t in range(first, end)]
        costs: NDArray[np.float64] = np.stack(rows, axis=1)
        if self._cut_costs is not None:
            self._cut_costs[:, first:end] = costs
            self._cut_costs_known[first:end] = True
        return costs

    def edges_into(self, node: int) -> NDArray[np.int64]:
        """Places in `edges` of those into a node of `entries`, in the problem's order."""
        column = self.column[node]
        return np.asarray(self.layers[:-1][column < np.diff(self.layers)] + column)


class _Sweep:
    """One pass over the output frames.

    What is kept by diagonal has the nodes of output frame t from T - 1 - t on.

    Parameters
    ----------
    table : Table
    barred : list of (bool [N] or None)
        What may not be shown, for each output frame; T of them.
    first : int
        The first output frame.
    """

    def __init__(self, table: Table, barred: list[NDArray[np.bool_] | None], first: int) -> None:
        problem = table.problem
        self.table, self.barred, self.first = table, barred, first
        self.nodes, self.hold, self.longest, self.frames = problem.nodes, problem.hold, problem.longest, len(barred)
        width, columns = self.nodes + self.frames, len(table.entries)
        # By output frame less 1, in blocks as long as a hold:
        blocks = -(-self.frames // self.hold)
        self.entered = np.full((blocks, columns + 1, self.hold), np.inf)  # A; the last one stands for all other nodes
        self.cheapest = np.zeros((blocks, len(table.edges), self.hold), dtype=bool)  # whether A is by this edge
        self.least = np.full(width, np.inf)  # the least A that may be left, by diagonal; of this block where M is set
        self.alive = np.zeros(width, dtype=np.int32)  # by diagonal: what was entered before this frame met a bar
        self.last_barred = -1
        # Of as many output frames as a hold has:
        self.spent = np.zeros((self.hold, self.nodes + 1))  # D, from node -1 on
        self.total = np.empty((self.hold, self.nodes))  # F
        self.arriving = np.full((self.hold, self.nodes), np.inf)  # A where it may be left from now on
        self.arriving[0, table.run >= 0] = 0.0
        if self.longest is not None:
            self.older = np.empty((self.longest - self.hold + 1, width))  # the least A of ends of the block before

    def show(self, begin: int) -> None:
        """Go on to the output frames from `begin` on: as many as a hold has, or what is left."""
        end = min(begin + self.hold, self.frames)
        if begin > 0:
            self.arriving[:, self.table.entries + self.hold - 1] = self.entered[begin // self.hold - 1, :-1].T
        for t in range(begin, end):
            self._show(t)
        self.arriving[0] = np.inf
        self._cut(begin)

    def _show(self, t: int) -> None:
        table, row, entry = self.table, t % self.hold, max(t - self.hold + 1, 0)
        here = slice(self.frames - 1 - t, self.frames - 1 - t + self.nodes)
        least, barred = self.least[here], self.barred[t]
        np.add(self.spent[row - 1, :-1], table.node_cost(self.first + t), out=self.spent[row, 1:])
        least[table.after_runs] = np.inf
        if self.longest is not None:
            self.alive[here][table.after_runs] = t
        if barred is not None:
            least[barred] = np.inf
            self.alive[here][barred] = t + 1
            self.last_barred = t
        if self.longest is not None and entry > 0 and entry % len(self.older) == 0:
            self._turn(entry)
        if self.last_barred >= entry:
            np.copyto(self.arriving[row], np.inf, where=self.alive[here] > entry)
        np.minimum(least, self.arriving[row], out=least)
        if self.longest is not None:
            least = self._in_reach(least, entry, here)
        np.add(self.spent[row, 1:], least, out=self.total[row])

    def _turn(self, entry: int) -> None:
        """Begin a block of entries: the least A from each frame of the block before, but its first, to its end."""
        size = len(self.older)
        least = np.full(self.older.shape[1], np.inf)
        for k in range(size - 1, 0, -1):
            t = entry - size + k
            places = self.table.entries + (self.frames - 1 - t)
            entered = self.entered[(t - 1) // self.hold, :-1, (t - 1) % self.hold]
            least[places] = np.minimum(least[places], np.where(self.alive[places] > t, np.inf, entered))
            self.older[k] = least
        self.least.fill(np.inf)

    def _in_reach(self, least: NDArray[np.float64], entry: int, here: slice) -> NDArray[np.float64]:
        """The least A [N] of what was entered up to `entry` and may go on: in this block and the one before."""
        k = entry % len(self.older)
        if k + 1 == len(self.older):
            return least
        return np.minimum(least, np.where(self.alive[here] < entry - k, self.older[k + 1, here], np.inf))

    def _cut(self, begin: int) -> None:
        """Enter segments after the output frames from `begin` on, a hold of them."""
        table = self.table
        rows = slice(0 if begin else self.hold - 1, min(self.hold, self.frames - self.hold - begin))
        if rows.start >= rows.stop:
            return
        through = np.ascontiguousarray(self.total[rows].T).take(table.source, axis=0)
        through += table.cut_costs(self.first + begin + 1 + rows.start, self.first + begin + 1 + rows.stop)
        best = through[: len(table.entries)].copy()
        for a, b in pairwise(table.layers[1:].tolist()):
            np.minimum(best[: b - a], through[a:b], out=best[: b - a])
        block = begin // self.hold
        np.equal(through, best.take(table.columns, axis=0), out=self.cheapest[block, :, rows])
        np.subtract(best, self.spent[rows].take(table.entries, axis=1).T, out=self.entered[block, :-1, rows])

    def path(self) -> tuple[NDArray[np.int64], tuple[tuple[int, int], ...]] | None:
        """Nodes [T] and cuts of the cheapest path, once all output frames are shown; None where there is none."""
        table, t = self.table, self.frames - 1
        node = int(self.total[t % self.hold].argmin())
        if not np.isfinite(self.total[t % self.hold, node]):
            return None
        nodes = np.empty(self.frames, dtype=np.int64)
        cuts: list[tuple[int, int]] = []
        while True:
            entry = self._entry(t, node)
            nodes[entry : t + 1] = np.arange(node - t + entry, node + 1)
            if entry == 0:
                return nodes, tuple(reversed(cuts))
            edges = table.edges_into(int(nodes[entry]))
            edge = edges[self.cheapest[(entry - 1) // self.hold, edges, (entry - 1) % self.hold].argmax()]
            cuts.append((entry, int(table.edges[edge])))
            t, node = entry - 1, int(table.source[edge])

    def _entry(self, t: int, node: int) -> int:
        """When the segment was entered that shows `node` at `t` at the least cost; the longest of several."""
        since = max(t - node + int(self.table.run[node]), 0, t + 1 - (self.longest or t + 1))
        if self.last_barred >= since:
            shown = zip(self.barred[since : t + 1], range(node - t + since, node + 1), strict=True)
            since += max((k for k, (row, v) in enumerate(shown, 1) if row is not None and row[v]), default=0)
        times = np.arange(since, max(t - self.hold + 1, 0) + 1)
        columns = self.table.column[node - t + times]
        values = self.entered[(times - 1) // self.hold, columns, (times - 1) % self.hold]
        if since == 0:
            values[0] = 0.0
        return int(times[values.argmin()])


def _remembered(row: _Row, frames: int, count: int) -> _Row:
    """The same, computed once where that fits into memory: a search asks hundreds of times."""
    if frames * count > _REMEMBERED_VALUES:
        return row
    known: list[NDArray[np.float64] | None] = [None] * frames

    def remembered(t: int) -> NDArray[np.float64]:
        values = known[t]
        if values is None:
            values = known[t] = row(t)
        return values

    return remembered


def barred_by(problem: Problem) -> NDArray[np.bool_]:
    """Where [T, N] the problem's constraints let nothing be shown."""
    barred = np.zeros((problem.frames, problem.nodes), dtype=bool)
    for t, node in problem.pins.items():
        barred[t] = True
        barred[t, node] = False
    for t, a, b in problem.bans:
        barred[t, a : b + 1] = True
    for one in problem.allowed:
        barred[max(one.first, 0) : max(one.last + 1, 0)] |= ~one.nodes
    return barred
