"""Exact search by dynamic programming over (output frame, node).

With F_t(v) the least cost of a path that shows v at time t and may cut there, D_t(v) the node costs summed along the
diagonal (t - k, v - k), and hold L:

    F_t(v) = min( F_{t-1}(v - 1) + c_t(v),
                  min over edges (u -> v - L + 1) of F_{t-L}(u) + cut + D_t(v) - D_{t-L}(v - L) )

The diagonal sums make the hold free of further states: the cost for each frame stays O(N + E).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..progress import SILENT, Progress
from .problem import Problem, Route

_GO_ON = -1


def solve(problem: Problem, progress: Progress = SILENT) -> Route | None:
    """The cheapest path, or None where no path meets the constraints.

    Among equally cheap paths the one with the later cut is taken; the result is the same for the same problem.

    Parameters
    ----------
    problem : Problem
    progress : Progress
    """
    return _Table(problem).solve(progress)


def route_cost(problem: Problem, nodes: NDArray[np.int64], cuts: Sequence[tuple[int, int]]) -> float:
    """The cost of a path, summed along it: independent of how the path was found."""
    shown = sum(float(problem.node_cost(t)[node]) for t, node in enumerate(nodes))
    return shown + float(sum(problem.cut_cost(t)[edge] for t, edge in cuts))


class _Table:
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        nodes = problem.nodes
        self.first = np.zeros(nodes, dtype=np.int64)
        self.usable = np.zeros(nodes, dtype=bool)
        for a, b in problem.runs:
            self.first[a : b + 1] = a
            self.usable[a : b + 1] = True
        self.depth = np.where(self.usable, np.arange(nodes) - self.first, -1)  # frames of the run before this one
        self.entries, starts = np.unique(problem.target, return_index=True)
        self.groups = starts.astype(np.int64)
        self.group_of = np.searchsorted(self.entries, problem.target)
        hold = problem.hold
        # Where an entered segment may be left again, if it fits into the run.
        arrival = self.entries + hold - 1
        fits = (arrival < nodes) & self.usable[np.minimum(arrival, nodes - 1)]
        fits &= self.first[np.minimum(arrival, nodes - 1)] <= self.entries
        self.fitting = np.flatnonzero(fits)
        self.arrival = arrival[self.fitting]
        self.bans: dict[int, list[tuple[int, int]]] = {}
        for t, a, b in problem.bans:
            self.bans.setdefault(t, []).append((a, b))

    def solve(self, progress: Progress) -> Route | None:
        problem = self.problem
        nodes, frames, hold = problem.nodes, problem.frames, problem.hold
        if not nodes or frames < 1:
            return None
        single = hold if frames >= hold else frames  # a path without a cut may be shorter than a hold
        free = [np.full(nodes, np.inf) for _ in range(hold)]  # F of the last `hold` output frames, by t modulo hold
        diagonal = [np.zeros(nodes) for _ in range(hold)]
        barred = [np.zeros(nodes, dtype=np.int32) for _ in range(hold)]
        back = np.full((frames, len(self.fitting)), _GO_ON, dtype=np.int32)
        now = np.full(nodes, np.inf)
        for t in range(frames):
            if t % 16 == 0:
                progress.update(t / frames)
            slot, before = t % hold, (t - 1) % hold
            cost = problem.node_cost(t)
            ban = self._banned(t)
            # What lies a hold back is in the slot that is about to be overwritten.
            free_back, diagonal_back, barred_back = free[slot], diagonal[slot], barred[slot]
            new_diagonal = self._along(diagonal[before], 0.0) + cost
            new_barred = np.add(self._along(barred[before], 0), ban, dtype=np.int32)
            now = self._along(free[before], np.inf) + cost
            now[ban | ~self.usable] = np.inf
            if t == single - 1:
                whole = (self.depth >= single - 1) & (new_barred == 0)
                now = np.where(whole, new_diagonal, np.inf)
            elif t >= hold and len(self.fitting):
                self._cut(t, now, back[t], free_back, diagonal_back, barred_back, new_diagonal, new_barred)
            free[slot], diagonal[slot], barred[slot] = now, new_diagonal, new_barred
        end = int(now.argmin())
        if not np.isfinite(now[end]):
            return None
        return self._trace(back, end, single)

    def _along(self, values: NDArray, edge: float) -> NDArray:  # type: ignore[type-arg]
        """Values of the frame before, one node on; `edge` where a run begins."""
        moved = np.empty_like(values)
        moved[0] = edge
        moved[1:] = values[:-1]
        moved[self.depth <= 0] = edge
        return moved

    def _banned(self, t: int) -> NDArray[np.bool_]:
        ban = np.zeros(self.problem.nodes, dtype=bool)
        if t in self.problem.pins:
            ban[:] = True
            ban[self.problem.pins[t]] = False
        for a, b in self.bans.get(t, ()):
            ban[a : b + 1] = True
        return ban

    def _cut(
        self,
        t: int,
        now: NDArray[np.float64],
        back: NDArray[np.int32],
        free_back: NDArray[np.float64],
        diagonal_back: NDArray[np.float64],
        barred_back: NDArray[np.int32],
        diagonal: NDArray[np.float64],
        barred: NDArray[np.int32],
    ) -> None:
        """Segments entered `hold - 1` frames ago may be left from now on."""
        problem, arrival = self.problem, self.arrival
        through = free_back[problem.source] + problem.cut_cost(t - problem.hold + 1)
        best = np.minimum.reduceat(through, self.groups)
        # The run may begin with the segment: then there is no node on the diagonal before it.
        inside = self.depth[arrival] >= problem.hold
        previous = np.where(inside, arrival - problem.hold, 0)
        spent = diagonal[arrival] - np.where(inside, diagonal_back[previous], 0.0)
        bans = barred[arrival] - np.where(inside, barred_back[previous], 0)
        total = np.where(bans == 0, best[self.fitting] + spent, np.inf)
        better = np.flatnonzero(total < now[arrival])
        if len(better):
            now[arrival[better]] = total[better]
            least = np.flatnonzero(through == best[self.group_of])[::-1]
            edge = np.empty(len(self.groups), dtype=np.int32)
            edge[self.group_of[least]] = least  # written backwards: the first of equal edges stays
            back[better] = edge[self.fitting[better]]

    def _trace(self, back: NDArray[np.int32], end: int, single: int) -> Route:
        problem = self.problem
        column = np.full(problem.nodes, -1)
        column[self.arrival] = np.arange(len(self.arrival))
        nodes = np.empty(problem.frames, dtype=np.int64)
        cuts: list[tuple[int, int]] = []
        t, node = problem.frames - 1, end
        while True:
            edge = back[t, column[node]] if column[node] >= 0 else _GO_ON
            if edge != _GO_ON:
                entered = t - problem.hold + 1
                nodes[entered : t + 1] = np.arange(node - problem.hold + 1, node + 1)
                cuts.append((entered, int(edge)))
                t, node = entered - 1, int(problem.source[edge])
            elif t == single - 1:
                nodes[: t + 1] = np.arange(node - t, node + 1)
                break
            else:
                nodes[t] = node
                t, node = t - 1, node - 1
        cuts.reverse()
        return Route(nodes, tuple(cuts), route_cost(problem, nodes, cuts))
