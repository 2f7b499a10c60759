"""Segments played a little faster or slower, so that the person comes to rest nearer to the beats of the music.

A search moves motion beats by whole frames and only from cut to cut: within a segment their distances are those of the
footage. Here a path that was found keeps all that it shows, but each second or so of a segment gets a speed of its own.
What a transition blends goes on at the footage's speed, so it is only shown earlier or later, by whole frames. The
first and the last frame of each part stay; of those between some are left out or shown twice, evenly. So a film with
warps is known by one number between each part and the next: by how many output frames it is shown later than without.

Which numbers cost least is found exactly, by dynamic programming over (part, shift).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..graph.motion_graph import MotionGraph
from ..progress import SILENT, Progress
from .exact import barred_by
from .explain import by_second
from .objective import Objective
from .path import Path, Segment, evenly
from .problem import Problem, Route

PRICE = 1.0
"""What each second costs by which a part is shorter or longer than it was: to bring a motion beat onto a beat from
0.1 s beside it costs a tenth of what that is worth."""

PART = 1.0
"""Seconds that share a speed, about: longer segments consist of parts."""

_ROUNDING = 1e-9

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stretch:
    """A part of a segment: frames [first, end) of the film as it was found, and how it may change.

    Attributes
    ----------
    first, end : int
    shortest, longest : int
        By how many output frames it may be longer than its own, from a number below 0 on.
    """

    first: int
    end: int
    shortest: int
    longest: int

    def at(self, before: int, after: int) -> Floats:
        """When its frames are shown that is shifted by `before` at its start and by `after` at its end."""
        return self.first + before + np.arange(self.frames) * self._steps(after - before)

    @property
    def frames(self) -> int:
        """As they were found."""
        return self.end - self.first

    def speed(self, change: int) -> float:
        """Frames of the footage for each output frame where it is longer by `change`."""
        return 1.0 / self._steps(change)

    def _steps(self, change: int) -> float:
        """Output frames from one of its frames to the next."""
        return 1.0 if change == 0 else (self.frames - 1 + change) / (self.frames - 1)


@dataclass(frozen=True)
class Warp:
    """What is shown when.

    Attributes
    ----------
    stretches : tuple of Stretch
        K of them; where one does not begin with the other's end, a transition lies between.
    shifts : tuple of int
        By how many output frames the film is shown later before, between and after them, K + 1.
    cost : float
        Of the film, with what the warps themselves cost.
    """

    stretches: tuple[Stretch, ...]
    shifts: tuple[int, ...]
    cost: float

    @property
    def changes(self) -> list[int]:
        """By how many output frames each part is longer."""
        return [after - before for before, after in pairwise(self.shifts)]

    @property
    def times(self) -> Floats:
        """The output frame, or the moment between two, at which each frame of the film as it was found is shown [T]."""
        times = np.arange(self.stretches[-1].end, dtype=np.float64)
        for number, one in enumerate(self.stretches):
            times[one.first : one.end] = one.at(*self.shifts[number : number + 2])
            times[one.end : self._next(number)] += self.shifts[number + 1]
        return times

    @property
    def shown(self) -> Floats:
        """The frame of the film as it was found, or the moment between two, that each output frame shows [T]."""
        frames = np.arange(self.stretches[-1].end, dtype=np.float64)
        return np.interp(frames, self.times, frames)

    def _next(self, number: int) -> int:
        return self.stretches[number + 1].first if number + 1 < len(self.stretches) else self.stretches[number].end


def best_warp(problem: Problem, route: Route, graph: MotionGraph, most: float, progress: Progress = SILENT) -> Warp:
    """The warp of a route that costs least.

    A frame is charged once, for the moment at which it is shown or would be: between two output frames, in proportion.
    What a constraint bars is not shown; so what a keyframe pins is shown when it shall be, frame by frame. The hold
    and the longest segment are kept in output frames.

    Parameters
    ----------
    problem : Problem
        That the route solves.
    route : Route
    graph : MotionGraph
    most : float
        By how much a part may be faster or slower.
    progress : Progress
    """
    stretches = stretches_of(problem, route, graph, most)
    reach = _reach(stretches)
    band = _Band.of(problem, route, max(high for _, high in reach), -min(low for low, _ in reach), progress)
    best: dict[int, float] = {0: 0.0}  # cost up to here by shift
    came: list[dict[int, int]] = []
    cuts = iter(range(len(route.cuts)))
    for number, one in enumerate(stretches):
        progress.check()
        (low, high), (least, greatest) = reach[number : number + 2]
        found: dict[int, tuple[float, int]] = {}
        for change in sorted(range(one.shortest, one.longest + 1), key=abs):
            begin, stop = max(low, least - change), min(high, greatest - change)
            costs = band.part(one, change, begin, stop) + PRICE * abs(change) / float(graph.fps)
            for before, cost in enumerate(costs.tolist(), start=begin):
                total = best.get(before, np.inf) + cost
                if total < found.get(before + change, (np.inf, 0))[0]:
                    found[before + change] = total, before
        cutting = np.zeros(greatest - least + 1)
        if number + 1 < len(stretches) and one.end < (first := stretches[number + 1].first):
            cutting = band.transition(one.end, first, next(cuts), least, greatest)
        came.append({after: before for after, (_, before) in found.items()})
        best = {after: cost + cutting[after - least] for after, (cost, _) in found.items()}
    shifts = [0]
    for step in reversed(came):
        shifts.append(step[shifts[-1]])
    return Warp(tuple(stretches), tuple(shifts[::-1]), float(best[0]))


def stretches_of(problem: Problem, route: Route, graph: MotionGraph, most: float) -> list[Stretch]:
    """The parts of a route's segments, each with its share of what the segment has beyond hold or longest segment."""
    bounds = [(0, 0), *((t, int(graph.half[edge])) for t, edge in route.cuts), (len(route.nodes), 0)]
    stretches = []
    for (start, before), (end, after) in pairwise(bounds):
        first, last = start + before, end - after
        parts = max(1, round((last - first) / (PART * float(graph.fps))))
        spare = [max(end - start - problem.hold, 0), max((problem.longest or np.inf) - (end - start), 0)]
        for a, b in pairwise(np.linspace(first, last, parts + 1).round().astype(int).tolist()):
            share, steps = (b - a) / (last - first), b - a - 1
            less = min(steps * (1.0 - 1.0 / (1.0 + most)), spare[0] * share)
            more = min(steps * most, spare[1] * share)
            stretches.append(Stretch(a, b, -int(less + _ROUNDING), int(more + _ROUNDING)))
    return stretches


def _reach(stretches: Sequence[Stretch]) -> list[tuple[int, int]]:
    """Least and greatest shift before each part, and after the last, from which the film's end can be met."""
    shorter = np.cumsum([0, *(one.shortest for one in stretches)])
    longer = np.cumsum([0, *(one.longest for one in stretches)])
    low = np.maximum(shorter, longer - longer[-1])
    high = np.minimum(longer, shorter - shorter[-1])
    return list(zip(low.tolist(), high.tolist(), strict=True))


@dataclass(frozen=True)
class _Band:
    """What the frames of a film cost by their shifts.

    Attributes
    ----------
    costs : float64 [T, S]
        Of each frame; column k is for the shift k - `zero`.
    barred : bool [T, S]
        Where it may not be shown.
    cuts : float64 [T, K]
        Of each cut by the output frame of its target.
    """

    costs: Floats
    barred: NDArray[np.bool_]
    cuts: Floats
    zero: int
    route: Route

    @classmethod
    def of(cls, problem: Problem, route: Route, later: int, earlier: int, progress: Progress) -> _Band:
        """Of a route's film, for shifts from -`earlier` to `later`."""
        frames, edges = len(route.nodes), [edge for _, edge in route.cuts]
        zero = earlier + 1  # one more on either side, for neighbours that count nothing
        costs, barred = np.zeros((frames, zero + later + 2)), np.ones((frames, zero + later + 2), dtype=bool)
        cuts, constraints = np.zeros((frames, len(edges))), barred_by(problem)
        for t in range(frames):
            progress.check()
            frame = np.arange(max(t - later - 1, 0), min(t + earlier + 2, frames))
            nodes = route.nodes[frame]
            costs[frame, t - frame + zero] = problem.node_cost(t)[nodes]
            barred[frame, t - frame + zero] = constraints[t, nodes]
            cuts[t] = problem.cut_cost(t)[edges]
        return cls(costs, barred, cuts, zero, route)

    def part(self, one: Stretch, change: int, low: int, high: int) -> Floats:
        """What a part costs that is longer by `change`, for each shift of its start from `low` to `high`."""
        starts = np.arange(low, high + 1)
        later = one.at(0, change) - np.arange(one.first, one.end)
        whole = np.floor(later + _ROUNDING).astype(int)
        share = np.maximum(later - whole, 0.0)
        frame = np.arange(one.first, one.end)
        costs = np.zeros(len(starts))
        for weight, shift in ((1.0 - share, whole), (share, whole + (share > 0))):
            columns = shift[:, None] + starts + self.zero
            costs += weight @ self.costs[frame[:, None], columns]
        shown = evenly(one.frames, one.frames + change)
        columns = (np.arange(len(shown)) - shown)[:, None] + starts + self.zero
        costs[self.barred[one.first + shown[:, None], columns].any(axis=0)] = np.inf
        return costs

    def transition(self, first: int, end: int, number: int, low: int, high: int) -> Floats:
        """What the frames [first, end) under a transition cost, and its cut, for each shift from `low` to `high`."""
        here, t = slice(low + self.zero, high + self.zero + 1), self.route.cuts[number][0]
        costs = self.costs[first:end, here].sum(axis=0) + self.cuts[t + low : t + high + 1, number]
        costs[self.barred[first:end, here].any(axis=0)] = np.inf
        return np.asarray(costs)


def warped(
    path: Path, objective: Objective, problem: Problem, route: Route, most: float, progress: Progress = SILENT
) -> Path:
    """A path that was found, with each part of its segments at the speed that suits it best.

    What is shown, its costs, its beats and its window of no re-use are then those of the film with warps; `bound` stays
    that of films without, and `gap` is below 0 where no film without warps can be as cheap.
    """
    warp = best_warp(problem, route, objective.graph, most, progress)
    if not any(warp.changes):
        return replace(path, costs={**path.costs, "warp": 0.0})
    times, prices = warp.times, PRICE * np.abs(warp.changes) / float(objective.graph.fps)
    shown = _charges(objective, route, times)
    shown["warp"] = np.zeros(len(times))
    for one, price in zip(warp.stretches, prices.tolist(), strict=True):
        shown["warp"][one.first : one.end] = price / one.frames
    cuts = [(int(times[t]), edge) for t, edge in route.cuts]
    cutting = objective.cuts_costs(cuts)
    costs = {
        name: float(shown[name].sum() if name in shown else 0.0) + sum(one.get(name, 0.0) for one in cutting)
        for name in ("cuts", *shown)
    }
    return replace(
        path,
        segments=tuple(part for segment in path.segments for part in _parts(segment, warp)),
        transitions=tuple(replace(one, at=int(times[one.at])) for one in path.transitions),
        cost=warp.cost,
        gap=(warp.cost - path.bound) / max(abs(warp.cost), abs(path.bound), 1e-9),
        costs=costs,
        beat_alignment=objective.alignment(route, warp.shown),
        reuse_window=min(path.reuse_window, _apart(route, times, problem) / float(objective.graph.fps)),
        explanation=path.explanation and _explained(path.explanation, objective, shown, times, cuts, cutting),
    )


def _parts(segment: Segment, warp: Warp) -> list[Segment]:
    """A segment as it was found as the parts that have the same speed."""
    parts: list[Segment] = []
    for one, shift, change in zip(warp.stretches, warp.shifts[:-1], warp.changes, strict=True):
        if segment.at <= one.first < segment.at + segment.frames:
            first = segment.first + one.first - segment.at
            part = replace(
                segment, first=first, last=first + one.frames - 1, at=one.first + shift, speed=one.speed(change)
            )
            if parts and parts[-1].speed == part.speed == 1.0:
                parts[-1] = replace(parts[-1], last=part.last)
            else:
                parts.append(part)
    return parts


def _charges(objective: Objective, route: Route, times: Floats) -> dict[str, Floats]:
    """What each condition charges for each frame of a film [T], for the moment at which it is shown."""
    before = np.floor(times + _ROUNDING)
    share = np.maximum(times - before, 0.0)
    last = len(times) - 1
    first, second = (
        objective.shown_costs(np.minimum(before + step, last).astype(int).tolist(), route.nodes) for step in (0, 1)
    )
    return {name: (1.0 - share) * first[name] + share * second[name] for name in first}


def _apart(route: Route, times: Floats, problem: Problem) -> int:
    """Output frames within which no frame is shown again, but where keyframes want it at both times."""
    order = np.lexsort((times, route.nodes))
    pinned = np.isin(np.arange(len(times)), list(problem.pins))[order]
    again = (np.diff(route.nodes[order]) == 0) & ~(pinned[1:] & pinned[:-1])
    return int(np.ceil(np.diff(times[order])[again].min(initial=len(times)) - _ROUNDING)) - 1


def _explained(
    told: Mapping[str, Any],
    objective: Objective,
    shown: Mapping[str, Floats],
    times: Floats,
    cuts: Sequence[tuple[int, int]],
    costs: Sequence[Mapping[str, float]],
) -> dict[str, Any]:
    """The explanation of a path, told of its film with warps; runner-ups stay those of the film without."""
    cutting = [
        {**one, "at": at, "costs": dict(cost)} for one, (at, _), cost in zip(told["cuts"], cuts, costs, strict=True)
    ]
    return {**told, "seconds": by_second(shown, times, objective.graph.fps), "cuts": cutting}
