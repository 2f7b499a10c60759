"""No source frame twice within a window: branch and bound around the exact search.

With a memory of what was shown the problem is NP-hard, so each result carries a proof instead of a promise: the search
without the window bounds the cost from below, and branching on one conflict at a time raises that bound. A frame f that
a path shows both at t1 and at t2 splits all valid paths into those that do not show f at t1 and those that do, which
then cannot show it at any other time near t1 (conflict-based search, Sharon et al. 2015, does the same for agents).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from ..progress import SILENT, Progress
from .exact import Table
from .problem import Problem, Route

_FREE = (4, 8, 6)
"""Segments that are searched anew at a time, sweep by sweep."""

_DETOURS = 6
"""Conflicts that are resolved inside what is searched anew."""

_SMALL = 5_000_000
"""Nodes times output frames (a minute and a half of footage, a minute of film) up to which all that helps is tried."""

ROUNDING = 1e-9
"""Sums in another order differ by less."""


@dataclass(frozen=True)
class Conflict:
    """A stretch of nodes that is shown twice: from `node` on, `length` nodes, at `early` and again at `late`.

    `pinned` says whether the early and the late showing are pinned (all of it, or nothing; never both).
    """

    node: int
    early: int
    late: int
    length: int
    pinned: tuple[bool, bool]

    def goes_on(self, node: int, pinned: tuple[bool, bool]) -> bool:
        """Whether the next pair of times belongs to this stretch."""
        return node == self.node + self.length and pinned == self.pinned


def gap_between(cost: float, bound: float) -> float:
    """How much cheaper than `cost` a path could be at most, as a share of its size."""
    return max(0.0, cost - bound) / max(abs(cost), abs(bound), 1e-9)


@dataclass(frozen=True)
class Certified:
    """A path and the proof that comes with it.

    Attributes
    ----------
    route : Route
    bound : float
        No path that keeps the window is cheaper.
    window : int
        Output frames within which no source frame is shown again.
    """

    route: Route
    bound: float
    window: int

    @property
    def gap(self) -> float:
        """How much cheaper the best path could be at most, as a share of the cost's size."""
        return gap_between(self.route.cost, self.bound)


def conflicts(nodes: NDArray[np.int64], window: int, pins: Mapping[int, int]) -> list[Conflict]:
    """The stretches of a path that are shown again within `window` frames, longest first.

    What is pinned at both times is meant to be shown twice, and is no conflict.
    """
    order = np.argsort(nodes, kind="stable")
    same = np.flatnonzero(nodes[order[:-1]] == nodes[order[1:]])
    pairs = sorted((int(order[k]), int(order[k + 1])) for k in same)
    found: list[Conflict] = []
    at_next: dict[tuple[int, int], int] = {}  # pair that would continue a stretch, and the stretch
    for early, late in pairs:
        pinned = (early in pins, late in pins)
        if late - early > window or all(pinned):
            continue
        index = at_next.get((early, late))
        if index is not None and found[index].goes_on(int(nodes[early]), pinned):
            found[index] = replace(found[index], length=found[index].length + 1)
        else:
            index = len(found)
            found.append(Conflict(int(nodes[early]), early, late, 1, pinned))
        at_next[early + 1, late + 1] = index
    return sorted(found, key=lambda conflict: (-conflict.length, conflict.early, conflict.late))


def solve_without_reuse(
    problem: Problem, window: int, *, branchings: int | None = None, progress: Progress = SILENT
) -> Certified | None:
    """The cheapest path found on which no frame is shown again within `window` frames, with a lower bound.

    The work is bounded in searches, not in seconds, so that the result is the same on every machine.

    Parameters
    ----------
    problem : Problem
    window : int
        Output frames; 0 allows everything.
    branchings : int, optional
        Most conflicts to branch on for a smaller gap; by default fewer for a large library, where each takes seconds.
    progress : Progress

    Returns
    -------
    Certified or None
        None where no path is found: there is none, or the window is too wide to find one by bans.
    """
    table = Table(problem)
    found = find_without_reuse(table, window, branchings=branchings, progress=progress.part(0.0, 0.7))
    return found and proved(table, found, branchings=branchings, progress=progress.part(0.7, 1.0))


def find_without_reuse(
    table: Table,
    window: int,
    *,
    known: Route | None = None,
    branchings: int | None = None,
    progress: Progress = SILENT,
) -> Certified | None:
    """The same with the first bound that comes for nothing, for a table that is searched with several windows.

    `known` is a path that keeps the window, to be improved too.
    """
    search = WindowSearch(table, window)
    root = table.solve(progress=progress)
    if root is None:
        return None
    best = search.best(root, known, progress)
    return (
        Certified(best, min(root.cost, best.cost), window) if best else search.branch(root, None, branchings, progress)
    )


def proved(table: Table, found: Certified, *, branchings: int | None = None, progress: Progress = SILENT) -> Certified:
    """What was found with a better bound, or the best path itself where that comes to light."""
    root = table.solve(progress=progress)
    if root is None or found.route.cost <= found.bound + ROUNDING:
        return found
    return WindowSearch(table, found.window).branch(root, found.route, branchings, progress) or found


class WindowSearch:
    """One problem and one window; `pins` are the problem's where none are given."""

    def __init__(self, table: Table, window: int, pins: Mapping[int, int] | None = None) -> None:
        self.table, self.window, self.pins = table, window, table.problem.pins if pins is None else pins
        self.frames, self.hold = table.problem.frames, table.problem.hold
        self.small = table.problem.nodes * self.frames <= _SMALL

    def best(self, root: Route, known: Route | None, progress: Progress) -> Route | None:
        """The cheapest path that is found, from several that keep the window."""
        if not self.conflicts(root):
            return root
        starts = [
            self.first_valid(root, progress.part(0.0, 0.1)),
            self.last_valid(root, progress.part(0.1, 0.2)),
            known,
        ]
        valid = sorted((start for start in starts if start is not None), key=lambda route: route.cost)
        if not valid and (found := self.dive(root, self.nothing(), progress=progress.part(0.2, 0.5))):
            valid = [found]
        improved = [
            self.improve(start, progress.part(0.5 + 0.25 * number, 0.75 + 0.25 * number))
            for number, start in enumerate(valid[: 2 if self.small else 1])
        ]
        return min(improved, key=lambda route: route.cost, default=None)

    def nothing(self) -> NDArray[np.bool_]:
        """Bars nothing."""
        return np.zeros((self.frames, self.table.problem.nodes), dtype=bool)

    def protect(self, barred: NDArray[np.bool_], shown: Iterable[tuple[int, int]], first: int = 0) -> NDArray[np.bool_]:
        """Bar nodes at all times near the one (output frame, node) at which they are shown.

        `barred` speaks of the output frames from `first` on. Pinned frames are the person's wish: they stay free.
        """
        for t, node in shown:
            since, till = max(t - self.window - first, 0), max(t + self.window + 1 - first, 0)
            barred[since : max(t - first, 0), node] = True
            barred[max(t + 1 - first, 0) : till, node] = True
        for t, node in self.pins.items():
            if first <= t < first + len(barred):
                barred[t - first, node] = False
        return barred

    def conflicts(self, route: Route, first: int = 0) -> list[Conflict]:
        """The stretches that a path from output frame `first` on shows twice within the window."""
        pins = {t - first: node for t, node in self.pins.items()} if first else self.pins
        return conflicts(route.nodes, self.window, pins)

    def bounds(self, route: Route) -> list[int]:
        """Where the segments of a path begin, and its end: what is searched anew consists of whole segments."""
        return [0, *(t for t, _ in route.cuts), self.frames]

    def first_valid(self, route: Route, progress: Progress) -> Route | None:
        """A valid path from its start on: what is shown first stays, and is barred for what comes after it."""
        for step in range(self.frames):
            progress.update(step * self.hold / self.frames)
            found = self.conflicts(route)
            if not found:
                return route
            late = min(conflict.late for conflict in found)
            *_, start, cut = (t for t in self.bounds(route) if t <= late)
            following = self.table.solve(
                self.rest_kept(route.nodes, start, self.frames, (cut - start, 0)), start, progress
            )
            if following is None:
                return None
            route = self.joined(route, following, start, self.frames)
        return None

    def last_valid(self, route: Route, progress: Progress) -> Route | None:
        """The same from its end on: what is shown last stays."""
        for step in range(self.frames):
            progress.update(step * self.hold / self.frames)
            found = self.conflicts(route)
            if not found:
                return route
            early = max(conflict.early + conflict.length - 1 for conflict in found)
            cut, end, *_ = (t for t in self.bounds(route) if t > early)
            leading = self.table.solve(self.rest_kept(route.nodes, 0, end, (0, end - cut)), 0, progress)
            if leading is None:
                return None
            route = self.joined(route, leading, 0, end)
        return None

    def dive(
        self,
        route: Route,
        barred: NDArray[np.bool_],
        first: int = 0,
        *,
        most: int = 32,
        limit: float = np.inf,
        progress: Progress = SILENT,
    ) -> Route | None:
        """A valid path below `limit`, greedily: of each conflict keep the showing whose protection costs less."""
        for step in range(most + 1):
            progress.update(step / most)
            found = self.conflicts(route, first)
            if not found and route.cost < limit:
                return route
            if not found or step == most or route.cost >= limit:
                return None
            conflict = found[0]
            options: list[tuple[float, int, NDArray[np.bool_], Route]] = []
            for number, kept in enumerate((conflict.early, conflict.late)):
                if conflict.pinned[1 - number]:
                    continue
                shown = [(first + kept + k, conflict.node + k) for k in range(conflict.length)]
                child = self.protect(barred.copy(), shown, first)
                child_route = self.table.solve(child, first, progress)
                if child_route is not None:
                    options.append((child_route.cost, number, child, child_route))
            if not options:
                return None
            _, _, barred, route = min(options, key=lambda option: option[:2])
        return None

    def improve(self, route: Route, progress: Progress) -> Route:
        """Search a few neighbouring segments anew with the rest of a valid path kept, all along the path."""
        for sweep, free in enumerate(_FREE):
            position = 0
            while position <= len(route.cuts):
                progress.update((sweep + position / (len(route.cuts) + 1)) / len(_FREE))
                route = self.improved(route, position, free, progress)
                position += free // 2
        return route

    def improved(self, route: Route, position: int, free: int, progress: Progress) -> Route:
        """The route with the segments from `position` on searched anew, if that is cheaper and keeps the window.

        One segment on either side lends its frames, but for as many as a hold takes at its far end, which stay.
        """
        bounds = self.bounds(route)
        first, last = max(position - 1, 0), min(position + free, len(bounds) - 2)
        start, end = bounds[first], bounds[last + 1]
        kept = (self.hold if start > 0 else 0, self.hold if end < self.frames else 0)
        barred = self.rest_kept(route.nodes, start, end, kept)
        inner = [(t - start, edge) for t, edge in route.cuts if start < t < end]
        limit = self.table.cost(route.nodes[start:end], inner, start) - ROUNDING
        found = self.table.solve(barred, start, progress)
        if found is not None:
            found = self.dive(found, barred, start, most=_DETOURS, limit=limit)
        return route if found is None else self.joined(route, found, start, end)

    def rest_kept(self, nodes: NDArray[np.int64], start: int, end: int, kept: tuple[int, int]) -> NDArray[np.bool_]:
        """What may not be shown from `start` to `end` where everything else stays, and so many frames at both ends.

        `nodes` [T] are those of the whole path, below 0 where nothing is shown yet.
        """
        barred = np.zeros((end - start, self.table.problem.nodes), dtype=bool)
        free = range(start + kept[0], end - kept[1])
        shown = ((t, node) for t, node in enumerate(nodes.tolist()) if t not in free and node >= 0)
        self.protect(barred, shown, start)
        ends = (*range(start, start + kept[0]), *range(end - kept[1], end))
        inside = {t: node for t, node in self.pins.items() if start <= t < end}
        for t, node in {**inside, **{t: int(nodes[t]) for t in ends}}.items():
            barred[t - start] = True
            barred[t - start, node] = False
        return barred

    def joined(self, route: Route, found: Route, start: int, end: int) -> Route:
        """The route with another one in place of its output frames from `start` to `end`."""
        nodes = np.concatenate([route.nodes[:start], found.nodes, route.nodes[end:]])
        cuts = [
            *((t, edge) for t, edge in route.cuts if t <= start),
            *((t + start, edge) for t, edge in found.cuts),
            *((t, edge) for t, edge in route.cuts if t >= end),
        ]
        return Route(nodes, tuple(cuts), self.table.cost(nodes, cuts))

    def branch(self, root: Route, best: Route | None, branchings: int | None, progress: Progress) -> Certified | None:
        """Branch and bound: raise the bound conflict by conflict, or find that a path without any is the best."""
        if branchings is None:
            branchings = 12 if self.small else 4
        order = count()
        open_nodes: list[tuple[float, int, _Decisions, Route]] = [(root.cost, next(order), (), root)]
        for step in range(branchings):
            progress.update(step / branchings)
            if not open_nodes or (best is not None and open_nodes[0][0] >= best.cost - ROUNDING):
                break
            _, _, decisions, route = heapq.heappop(open_nodes)
            found = self.conflicts(route)
            if not found:  # the cheapest of all that is left: optimal
                return Certified(route, route.cost, self.window)
            for child in self.branches(decisions, found[0]):
                child_route = self.table.solve(self.decided(child), progress=progress)
                if child_route is not None:
                    heapq.heappush(open_nodes, (child_route.cost, next(order), child, child_route))
        if best is None:
            return None
        return Certified(best, min([best.cost, *(entry[0] for entry in open_nodes)]), self.window)

    def branches(self, decisions: _Decisions, conflict: Conflict) -> Iterator[_Decisions]:
        """The two halves of the valid paths: with and without the middle frame of the conflict at its early time."""
        middle = conflict.length // 2
        early, node = conflict.early + middle, conflict.node + middle
        if not conflict.pinned[0]:
            yield (*decisions, (early, node, False))
        if not conflict.pinned[1]:
            yield (*decisions, (early, node, True))

    def decided(self, decisions: _Decisions) -> NDArray[np.bool_]:
        """What may not be shown after decisions."""
        barred = self.protect(self.nothing(), ((t, node) for t, node, there in decisions if there))
        for t, node, there in decisions:
            if there:
                others = np.arange(barred.shape[1]) != node
                barred[t] |= others
            else:
                barred[t, node] = True
        return barred


_Decisions = tuple[tuple[int, int, bool], ...]
"""Output frame, node, and whether it is shown then, and at no other time near, or not shown."""
