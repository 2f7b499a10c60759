"""Exact search by dynamic programming over (output frame, node).

With F_t(v) the least cost of a path that shows v at time t and may cut there, D_t(v) the node costs summed along the
diagonal (t - k, v - k), and hold L:

    F_t(v) = min( F_{t-1}(v - 1) + c_t(v),
                  min over edges (u -> v - L + 1) of F_{t-L}(u) + cut + D_t(v) - D_{t-L}(v - L) )

The diagonal sums make the hold free of further states: the cost for each frame stays O(N + E). And since a cut reaches
back L frames, L frames are searched at a time: all cuts into them are known before the first of them is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..progress import SILENT, Progress
from .problem import Problem, Route

_REMEMBERED_VALUES = 32_000_000  # 256 MB
_BLOCK = 64


def solve(problem: Problem, progress: Progress = SILENT) -> Route | None:
    """The cheapest path, or None where no path meets the constraints; see `Table.solve`."""
    return Table(problem, progress).solve(progress=progress)


def route_cost(problem: Problem, nodes: NDArray[np.int64], cuts: Sequence[tuple[int, int]]) -> float:
    """The cost of a path, summed along it: independent of how the path was found."""
    shown = sum(float(problem.node_cost(t)[node]) for t, node in enumerate(nodes))
    return shown + float(sum(problem.cut_cost(t)[edge] for t, edge in cuts))


class Table:
    """A problem made ready to be searched many times, each time with other nodes barred, whole or in part.

    Parameters
    ----------
    problem : Problem
    progress : Progress

    Attributes
    ----------
    problem : Problem
    """

    def __init__(self, problem: Problem, progress: Progress = SILENT) -> None:
        self.problem = problem
        nodes, hold = problem.nodes, problem.hold
        first = np.full(nodes, -1)  # of each usable node's run
        for a, b in problem.runs:
            first[a : b + 1] = a
        self._unusable = first < 0
        self._way_in = (first >= 0) & (first < np.arange(nodes))  # by going on
        self._no_way_in = np.flatnonzero(~self._way_in)
        # Edges whose segment can be left again because it fits into the run, in layers: the first edge into each
        # target, the second, ...; targets with the most edges come first, so that each layer is a slice.
        arrival = np.asarray(problem.target, dtype=np.int64) + hold - 1
        inside = arrival < nodes
        inside[inside] &= (first[arrival[inside]] >= 0) & (first[arrival[inside]] <= problem.target[inside])
        edges = np.flatnonzero(inside)
        entries, start, count = np.unique(problem.target[edges], return_index=True, return_counts=True)
        order = np.argsort(-count, kind="stable")
        layers = [edges[start[order[: np.sum(count > rank)]] + rank] for rank in range(count.max(initial=0))]
        self._edges = np.concatenate(layers) if layers else edges
        self._place = np.zeros(len(problem.source), dtype=np.int64)
        self._place[self._edges] = np.arange(len(self._edges))
        self._source = np.asarray(problem.source, dtype=np.int64)[self._edges]
        self._layers = np.cumsum([0, *(len(layer) for layer in layers)])
        self._arrival = entries[order].astype(np.int64) + hold - 1
        self._column = np.full(nodes, -1)
        self._column[self._arrival] = np.arange(len(self._arrival))
        self._barred = barred_by(problem)
        self._node = _remembered(self._node_rows, problem.frames, nodes, 0, progress)
        self._cut = _remembered(self._cut_rows, problem.frames, len(self._edges), 1, progress)
        self._spent = _remembered(self._spent_rows, problem.frames, len(self._arrival), 1, progress)

    def solve(
        self,
        barred: NDArray[np.bool_] | None = None,
        first: int = 0,
        progress: Progress = SILENT,
    ) -> Route | None:
        """The cheapest path through some output frames, or None where no path meets the constraints.

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
        nodes, hold = self.problem.nodes, self.problem.hold
        frames = self.problem.frames - first if barred is None else len(barred)
        if not nodes or frames < 1:
            return None
        forbidden = self._barred[first : first + frames]
        if barred is not None:
            forbidden = forbidden | barred
        least = np.empty((frames, nodes))  # F
        single = min(hold, frames)  # a path without a cut may be shorter than a hold
        least[: single - 1] = np.inf
        self._first_segment(least[:single], forbidden[:single], first)
        for t in range(hold, frames, hold):
            progress.check()
            block = slice(t - hold, t + hold)
            self._go_on(least[block], forbidden[block], first + t)
        end = int(least[-1].argmin())
        return self._trace(least, forbidden, end, first) if np.isfinite(least[-1, end]) else None

    def cost(self, nodes: NDArray[np.int64], cuts: Sequence[tuple[int, int]], first: int = 0) -> float:
        """The cost of a path that begins at output frame `first`; times of its cuts count from there."""
        shown = 0.0
        for t in range(0, len(nodes), _BLOCK):
            part = nodes[t : t + _BLOCK]
            shown += float(self._node(first + t, first + t + len(part))[np.arange(len(part)), part].sum())
        return shown + sum(float(self._cut(first + t, first + t + 1)[self._place[edge], 0]) for t, edge in cuts)

    def _first_segment(self, least: NDArray[np.float64], forbidden: NDArray[np.bool_], first: int) -> None:
        """Fill the last row, the first that may be cut from: all shown so far lies in one run."""
        costs = np.where(forbidden, np.inf, self._node(first, first + len(least)))
        now = np.where(self._unusable, np.inf, costs[0])
        for cost in costs[1:]:
            now = np.concatenate([[np.inf], now[:-1]]) + cost
            now[self._no_way_in] = np.inf
        least[-1] = now

    def _go_on(self, least: NDArray[np.float64], forbidden: NDArray[np.bool_], t: int) -> None:
        """Fill the rows from output frame `t` on, which follow `hold` rows that are filled."""
        hold = self.problem.hold
        before, now = least[:hold], least[hold:]
        costs = np.where(forbidden[hold:], np.inf, self._node(t, t + len(now)))
        costs[:, self._no_way_in] = np.inf
        cuts = np.full(now.shape, np.inf)
        if len(self._arrival):
            best = self._best_cuts(before[: len(now)], t).T
            if forbidden.any():
                best[_on_the_way(forbidden, hold).take(self._arrival, axis=1)] = np.inf
            cuts[:, self._arrival] = best
        now[:, 0] = np.inf
        for last, cost, cut, row in zip(least[hold - 1 : -1], costs, cuts, now, strict=True):
            np.add(last[:-1], cost[1:], out=row[1:])
            np.minimum(row, cut, out=row)

    def _best_cuts(self, before: NDArray[np.float64], t: int) -> NDArray[np.float64]:
        """Cost [A, T] of the best way to each arrival from output frame `t` on, by a cut `hold` - 1 frames ago."""
        since = t - self.problem.hold + 1
        through = np.ascontiguousarray(before.T).take(self._source, axis=0)
        through += self._cut(since, since + len(before))
        best = through[: len(self._arrival)]
        for a, b in zip(self._layers[1:-1], self._layers[2:], strict=True):
            np.minimum(best[: b - a], through[a:b], out=best[: b - a])
        best += self._spent(t, t + len(before))
        return best

    def _node_rows(self, first: int, end: int) -> NDArray[np.float64]:
        """Cost [T, N] of each node at output frames."""
        return np.stack([self.problem.node_cost(t) for t in range(first, end)])

    def _cut_rows(self, first: int, end: int) -> NDArray[np.float64]:
        """Cost [E, T] of each edge of the layers when its target is shown at output frames."""
        return np.stack([self.problem.cut_cost(t)[self._edges] for t in range(first, end)], axis=1)

    def _spent_rows(self, first: int, end: int) -> NDArray[np.float64]:
        """What the last `hold` frames cost where each arrival is shown at output frames [A, T]."""
        hold = self.problem.hold
        since = max(first - hold + 1, 0)
        sums = np.zeros((end - since + 1, self.problem.nodes + 1))  # of the diagonal, up to (frame - 1, node - 1)
        for t, cost in enumerate(self._node(since, end)):
            np.add(sums[t, :-1], cost, out=sums[t + 1, 1:])
        till = np.arange(first, end) - since + 1
        to_here = sums[till[:, None], self._arrival + 1]
        return np.asarray(to_here - sums[np.maximum(till - hold, 0)[:, None], self._arrival + 1 - hold]).T

    def _trace(self, least: NDArray[np.float64], forbidden: NDArray[np.bool_], end: int, first: int) -> Route:
        """The path that ends with node `end`, from what it cost to get anywhere."""
        hold, t, node = self.problem.hold, len(least) - 1, end
        nodes = np.empty(len(least), dtype=np.int64)
        cuts: list[tuple[int, int]] = []
        while t >= hold:
            if self._column[node] >= 0 and least[t, node] < self._going(least, forbidden, t, node, first):
                entered = t - hold + 1
                nodes[entered : t + 1] = np.arange(node - hold + 1, node + 1)
                edges = self._column[node] + self._layers[:-1][self._column[node] < np.diff(self._layers)]
                through = (
                    least[entered - 1, self._source[edges]] + self._cut(first + entered, first + entered + 1)[edges, 0]
                )
                edge = edges[through.argmin()]
                cuts.append((entered, int(self._edges[edge])))
                t, node = entered - 1, int(self._source[edge])
            else:
                nodes[t] = node
                t, node = t - 1, node - 1
        nodes[: t + 1] = np.arange(node - t, node + 1)
        cuts.reverse()
        return Route(nodes, tuple(cuts), self.cost(nodes, cuts, first))

    def _going(self, least: NDArray[np.float64], forbidden: NDArray[np.bool_], t: int, node: int, first: int) -> float:
        """What a node at a time costs where the path goes on to it without a cut."""
        if forbidden[t, node] or not self._way_in[node]:
            return np.inf
        return float(least[t - 1, node - 1] + self._node(first + t, first + t + 1)[0, node])


_Rows = Callable[[int, int], NDArray[np.float64]]
"""Costs of output frames [first, end)."""


def _remembered(rows: _Rows, frames: int, count: int, axis: int, progress: Progress) -> _Rows:
    """The same, computed once where that fits into memory: a search asks hundreds of times. Time is the given axis."""
    if frames * count > _REMEMBERED_VALUES or not frames:
        return rows
    parts = []
    for t in range(0, frames, _BLOCK):
        progress.check()
        parts.append(rows(t, min(t + _BLOCK, frames)))
    values = np.concatenate(parts, axis=axis)
    return (lambda first, end: values[first:end]) if axis == 0 else (lambda first, end: values[:, first:end])


def barred_by(problem: Problem) -> NDArray[np.bool_]:
    """Where [T, N] the problem's pins and bans let nothing be shown."""
    barred = np.zeros((problem.frames, problem.nodes), dtype=bool)
    for t, node in problem.pins.items():
        barred[t] = True
        barred[t, node] = False
    for t, a, b in problem.bans:
        barred[t, a : b + 1] = True
    return barred


def _on_the_way(forbidden: NDArray[np.bool_], hold: int) -> NDArray[np.bool_]:
    """Whether any of the last `hold` frames along the diagonal is forbidden; rows from `hold` on."""
    seen, reach = forbidden.copy(), 1
    while reach < hold:  # doubling: `seen` speaks of the last `reach` frames
        step = min(reach, hold - reach)
        later = seen.copy()
        later[step:, step:] |= seen[:-step, :-step]
        seen, reach = later, reach + step
    return seen[hold:]
