"""No source frame twice within a window: branch and bound around the exact search.

With a memory of what was shown the problem is NP-hard, so each result carries a proof instead of a promise: the search
without the window bounds the cost from below, and branching on one conflict at a time raises that bound. A frame f that
a path shows both at t1 and at t2 splits all valid paths into those that do not show f at t1 and those that do, which
then cannot show it at any other time near t1 (conflict-based search, Sharon et al. 2015, does the same for agents).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from ..progress import SILENT, Progress
from .exact import route_cost, solve
from .problem import Ban, Problem, Route

_FREE = (4, 8, 6)
"""Segments that are searched anew at a time, sweep by sweep."""

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
        return max(0.0, self.route.cost - self.bound) / max(abs(self.route.cost), abs(self.bound), 1e-9)


def conflicts(nodes: NDArray[np.int64], window: int, pins: dict[int, int]) -> list[Conflict]:
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
    root = solve(problem, progress.part(0.0, 0.1))
    if root is None:
        return None
    small = problem.nodes * problem.frames <= _SMALL
    if branchings is None:
        branchings = 24 if small else 4
    starts = [_first_valid(problem, root, window, progress.part(0.1, 0.3))]
    if small or starts[0] is None:
        starts.append(_dive(problem, root, window, progress.part(0.3, 0.5)))
    improved = [
        improve(problem, start, window, progress=progress.part(0.5 + 0.15 * number, 0.65 + 0.15 * number))
        for number, start in enumerate(starts)
        if start is not None
    ]
    best = min(improved, key=lambda route: route.cost, default=None)
    order = count()
    open_nodes: list[tuple[float, int, Problem, Route]] = [(root.cost, next(order), problem, root)]
    for step in range(branchings):
        progress.update(0.8 + 0.2 * step / branchings)
        if not open_nodes or (best is not None and open_nodes[0][0] >= best.cost - ROUNDING):
            break
        _, _, current, route = heapq.heappop(open_nodes)
        found = conflicts(route.nodes, window, problem.pins)
        if not found:  # the cheapest of all that is left: optimal
            return Certified(route, route.cost, window)
        for child in _branches(current, found[0], window):
            child_route = solve(child)
            if child_route is not None:
                heapq.heappush(open_nodes, (child_route.cost, next(order), child, child_route))
    if best is None:
        return None
    bound = min([best.cost, *(entry[0] for entry in open_nodes)])
    return Certified(best, bound, window)


def improve(problem: Problem, route: Route, window: int, progress: Progress = SILENT) -> Route:
    """Search a few neighbouring segments anew with the rest of a valid path kept, all along the path.

    Parameters
    ----------
    problem : Problem
    route : Route
        Keeps the window.
    window : int
    progress : Progress
    """
    for sweep, free in enumerate(_FREE):
        position = 0
        while position <= len(route.cuts):
            progress.update((sweep + position / (len(route.cuts) + 1)) / len(_FREE))
            route = _improved(problem, route, window, position, free)
            position += free // 2
    return route


def _improved(problem: Problem, route: Route, window: int, position: int, free: int) -> Route:
    """The route with the segments from `position` on searched anew, if that is cheaper and keeps the window.

    One segment on either side lends its frames, but for as many as a hold takes at its far end, which stay.
    """
    bounds = [0, *(t for t, _ in route.cuts), problem.frames]
    first, last = max(position - 1, 0), min(position + free, len(bounds) - 2)
    start, end = bounds[first], bounds[last + 1]
    kept = dict.fromkeys(range(start, start + problem.hold)) if start > 0 else {}
    if end < problem.frames:
        kept |= dict.fromkeys(range(end - problem.hold, end))
    pins = {t: int(route.nodes[t]) for t in kept} | {t: node for t, node in problem.pins.items() if start <= t < end}
    outside = [t for t in range(problem.frames) if not start <= t < end or t in kept]
    local = Problem(
        nodes=problem.nodes,
        runs=problem.runs,
        source=problem.source,
        target=problem.target,
        cut_cost=lambda t: problem.cut_cost(t + start),
        frames=end - start,
        hold=problem.hold,
        node_cost=lambda t: problem.node_cost(t + start),
        pins={t - start: node for t, node in pins.items()},
        bans=tuple((t - start, a, b) for t, a, b in problem.bans if start <= t < end),
    )
    bans = [
        (t - start, a, b)
        for stretch in _stretches(outside, route)
        for t, a, b in _protect(problem, stretch, stretch.early, window)
        if start <= t < end
    ]
    local = replace(local, bans=(*local.bans, *_unpinned(local, tuple(bans))))
    found = solve(local)
    if found is not None and conflicts(found.nodes, window, problem.pins):
        found = _dive(local, found, window, SILENT, most=4)
    inner = [(t - start, edge) for t, edge in route.cuts if start < t < end]
    if found is None or found.cost > route_cost(local, route.nodes[start:end], inner) - ROUNDING:
        return route
    nodes = np.concatenate([route.nodes[:start], found.nodes, route.nodes[end:]])
    cuts = [
        *((t, edge) for t, edge in route.cuts if t <= start),
        *((t + start, edge) for t, edge in found.cuts),
        *((t, edge) for t, edge in route.cuts if t >= end),
    ]
    return Route(nodes, tuple(cuts), route_cost(problem, nodes, cuts))


def _stretches(times: Sequence[int], route: Route) -> list[Conflict]:
    """What is shown at the given times, as stretches of consecutive nodes."""
    found: list[Conflict] = []
    for t in times:
        node = int(route.nodes[t])
        if found and t == found[-1].early + found[-1].length and node == found[-1].node + found[-1].length:
            found[-1] = replace(found[-1], length=found[-1].length + 1)
        else:
            found.append(Conflict(node, t, t, 1, (False, False)))
    return found


def _first_valid(problem: Problem, route: Route, window: int, progress: Progress) -> Route | None:
    """A valid path, segment by segment: what is shown first stays, and is barred for what comes after it."""
    for step in range(problem.frames):
        progress.update(step * problem.hold / problem.frames)
        found = conflicts(route.nodes, window, problem.pins)
        if not found:
            return route
        late = min(conflict.late for conflict in found)
        kept = max(t for t, _ in route.cuts if t <= late)
        shown = {t: int(route.nodes[t]) for t in range(kept)}
        bans = [
            ban
            for stretch in _stretches(range(kept), route)
            for ban in _protect(problem, stretch, stretch.early, window)
            if ban[0] >= kept
        ]
        bans_left = _unpinned(problem, tuple(bans))
        following = solve(replace(problem, pins={**problem.pins, **shown}, bans=(*problem.bans, *bans_left)))
        if following is None:
            return None
        route = following
    return None


def _branches(problem: Problem, conflict: Conflict, window: int) -> list[Problem]:
    """The two halves of the valid paths: with and without the middle frame of the conflict at its early time."""
    middle = conflict.length // 2
    node, early = conflict.node + middle, conflict.early + middle
    without = replace(problem, bans=(*problem.bans, (early, node, node)))
    only_here = tuple(
        (t, node, node) for t in range(max(early - window, 0), min(early + window + 1, problem.frames)) if t != early
    )
    there = replace(problem, bans=(*problem.bans, *_unpinned(problem, only_here)), pins={**problem.pins, early: node})
    if conflict.pinned[0]:
        return [there]
    return [without] if conflict.pinned[1] else [without, there]


def _dive(problem: Problem, route: Route, window: int, progress: Progress, most: int = 32) -> Route | None:
    """A valid path, greedily: of each conflict keep the showing whose protection costs less."""
    for step in range(most):
        progress.update(step / most)
        found = conflicts(route.nodes, window, problem.pins)
        if not found:
            return route
        options: list[tuple[float, int, Problem, Route]] = []
        for number, kept in enumerate((found[0].early, found[0].late)):
            if found[0].pinned[1 - number]:
                continue
            child = replace(problem, bans=(*problem.bans, *_protect(problem, found[0], kept, window)))
            child_route = solve(child)
            if child_route is not None:
                options.append((child_route.cost, number, child, child_route))
        if not options:
            return None
        _, _, problem, route = min(options, key=lambda option: option[:2])
    return None


def _protect(problem: Problem, conflict: Conflict, kept: int, window: int) -> tuple[Ban, ...]:
    """Bans of the conflict's nodes at all times near their kept showing."""
    bans: list[Ban] = []
    last = conflict.length - 1
    for t in range(max(kept - window, 0), min(kept + last + window + 1, problem.frames)):
        first, end, shown = max(t - kept - window, 0), min(t - kept + window, last), t - kept
        for a, b in ((first, min(end, shown - 1)), (max(first, shown + 1), end)):
            if a <= b:
                bans.append((t, conflict.node + a, conflict.node + b))
    return _unpinned(problem, tuple(bans))


def _unpinned(problem: Problem, bans: tuple[Ban, ...]) -> tuple[Ban, ...]:
    """Pinned frames are the person's wish: no ban touches them."""
    return tuple(ban for ban in bans if not (ban[0] in problem.pins and ban[1] <= problem.pins[ban[0]] <= ban[2]))
