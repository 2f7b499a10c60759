"""The film's shape: where it begins and ends, which footage it stays in, and loops that play on without a jump."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..progress import SILENT, Progress
from .exact import Table
from .keyframes import Keyframe
from .path import frames_of
from .problem import Ban, Problem, Route
from .reuse import ROUNDING, Certified, conflicts

_FEW = 8
"""Beginnings of a loop that are tried one by one, and not divided further first."""

_SEAM_ROUNDS = 8
"""How often what is shown again across a loop's seam is barred and the film searched anew."""


@dataclass(frozen=True)
class Stay:
    """Only this footage is shown from `start` to `end` (s); without an end until the film's."""

    footage: str
    start: float = 0.0
    end: float | None = None

    @classmethod
    def named(cls, text: str) -> Stay:
        """From ``FOOTAGE`` or ``FOOTAGE:START-END``, seconds of the film.

        Raises
        ------
        UserError
        """
        found = re.fullmatch(r"(?P<footage>.+?)(:(?P<start>\d+(\.\d+)?)-(?P<end>\d+(\.\d+)?))?", text)
        if not found or (found["start"] and float(found["start"]) >= float(found["end"])):
            raise UserError(f"{text} names no footage to stay in.", "Write NAME, or NAME:START-END in seconds.")
        if not found["start"]:
            return cls(found["footage"])
        return cls(found["footage"], float(found["start"]), float(found["end"]))


@dataclass(frozen=True)
class Shape:
    """What a person asks for of the film as a whole.

    Attributes
    ----------
    start, end : (str, int) or None
        Footage and frame that the film begins or ends with.
    stay : tuple of Stay
    loop : bool
        Its first frame follows its last one as in the footage.
    """

    start: tuple[str, int] | None = None
    end: tuple[str, int] | None = None
    stay: tuple[Stay, ...] = ()
    loop: bool = False

    def keyframes(self, frames: int, fps: Fraction, room: int = 0) -> list[Keyframe]:
        """All of it but the loop as keyframes of a film of `frames` frames, by time.

        Where it goes from one footage to the next without a pause, `room` frames are left for the transition.

        Raises
        ------
        UserError
            When the film shall stay in a footage where there is no film.
        """
        keys = []
        for one in self.stay:
            first, end = frames_of(one.start, fps), frames if one.end is None else frames_of(one.end, fps)
            if not first < min(end, frames):
                raise UserError(
                    f"The film ends before it shall stay in {one.footage} ({one.start:g} s).", "Name an earlier time."
                )
            end = min(end, frames)
            others = [other for other in self.stay if other.footage != one.footage]
            if any(other.end is not None and 0 <= first - frames_of(other.end, fps) < room for other in others):
                first += room // 2
            if any(0 <= frames_of(other.start, fps) - end < room for other in others if other.start > one.start):
                end -= room - room // 2
            said = f"--stay {one.footage}" + (f" from {one.start:g} s on" if one.start else "")
            keys.append(Keyframe(float(first / fps), one.footage, 0, max(end - first, 1), mode="footage", said=said))
        if self.start:
            keys.append(Keyframe(0.0, *self.start, frames=1, said=f"--start {self.start[0]}:{self.start[1]}"))
        if self.end:
            said = f"--end {self.end[0]}:{self.end[1]}"
            keys.append(Keyframe(float((frames - 1) / fps), *self.end, frames=1, said=said))
        return sorted(keys, key=lambda key: key.at)


def frame_named(text: str) -> tuple[str, int]:
    """Footage and frame, from ``FOOTAGE:FRAME``.

    Raises
    ------
    UserError
    """
    footage, _, frame = text.rpartition(":")
    if not footage or not frame.isdecimal():
        raise UserError(f"{text} names no frame of a footage.", "Write NAME:FRAME, like dance.mp4:120.")
    return footage, int(frame)


@dataclass(frozen=True)
class Loop:
    """The cheapest loop that was found, and what none is cheaper than."""

    route: Route
    bound: float


def cheapest_loop(problem: Problem, searches: int | None = None, progress: Progress = SILENT) -> Loop | None:
    """The cheapest path whose last node is followed by its first one, in its run.

    A transition across the film's end would have to be rendered in two halves, so there is none: the film begins and
    ends in the middle of a stretch, and a hold lies on either side of its seam.

    Branch and bound over the nodes S that it begins with. One search in which it begins in S and ends right before one
    of S, no matter which, bounds all loops that begin in S. Where the beginning and the end do not meet, S is divided
    between them.

    Parameters
    ----------
    problem : Problem
    searches : int, optional
        At most so many, however slow the machine; by default fewer in a large library.
    progress : Progress

    Returns
    -------
    Loop or None
        None where none is found.
    """
    if problem.frames < 2:
        return None
    most = searches or int(np.clip(300_000_000 // (problem.frames * max(problem.nodes, 1)), 60, 1000))
    table = Table(problem)
    barred = np.zeros((problem.frames, problem.nodes), dtype=bool)
    done = 0

    def searched(starts: NDArray[np.int64]) -> Route | None:
        nonlocal done
        done += 1
        progress.update(min(done / most, 1.0))
        barred[0] = barred[-1] = True
        barred[0, starts] = barred[-1, starts - 1] = False
        return table.solve(barred, progress=progress)

    starts = np.concatenate([np.arange(a + 1, b + 1) for a, b in problem.runs] or [np.zeros(0, dtype=np.int64)])
    order = count()
    best: Route | None = None
    open_sets: list[tuple[float, int, NDArray[np.int64], Route]] = []

    def opened(some: NDArray[np.int64]) -> None:
        route = searched(some) if len(some) else None
        if route is not None:
            heapq.heappush(open_sets, (route.cost, next(order), some, route))

    opened(starts)
    while open_sets and done < most and (best is None or open_sets[0][0] < best.cost - ROUNDING):
        _, _, some, route = heapq.heappop(open_sets)
        first, wanted = int(route.nodes[0]), int(route.nodes[-1]) + 1
        if first == wanted:
            return Loop(route, route.cost)
        if len(some) <= _FEW or best is None:
            for start in (first, wanted):
                closed = searched(np.array([start]))
                if closed is not None and (best is None or closed.cost < best.cost):
                    best = closed
            some = some[(some != first) & (some != wanted)]
        middle = (first + wanted) // 2
        opened(some[some <= middle])
        opened(some[some > middle])
    if best is None:
        return None
    return Loop(best, min([best.cost, *(entry[0] for entry in open_sets)]))


@dataclass(frozen=True)
class LoopFound:
    """A loop with its certificate; `seam_window` is the window of no re-use that holds across its seam, too."""

    certified: Certified
    seam_window: int


def find_loop(problem: Problem, search: Callable[[Problem], Certified], progress: Progress = SILENT) -> LoopFound:
    """The cheapest loop that keeps the window of no re-use, across its seam as well where that can be had.

    The loop is searched without the window first: that bounds all loops, and says where this one begins. With its
    beginning and end pinned, it is searched as any film. What is shown again across the seam is then barred on one
    side of it, and the rest searched anew.

    Parameters
    ----------
    problem : Problem
    search : callable
        The search for a film that keeps a window; raises UserError where there is none.
    progress : Progress

    Raises
    ------
    UserError
        When there is no loop of this length.
    """
    loop = cheapest_loop(problem, progress=progress)
    if loop is None and problem.pins.get(0, -1) in problem.runs[:, 0]:
        raise UserError(
            "A loop cannot begin with the first frame of a shot: nothing comes before it.", "Begin it further on."
        )
    if loop is None:
        raise UserError(
            f"No loop of {problem.frames} frames leads through the footage: it needs a cut, with {problem.hold} frames "
            "on either side, that leads back to its beginning.",
            "Make it longer, or use more footage.",
        )
    ends = {0: int(loop.route.nodes[0]), problem.frames - 1: int(loop.route.nodes[-1])}
    problem = replace(problem, pins={**problem.pins, **ends})
    found = search(problem)
    best = LoopFound(found, _kept_across(found, problem))
    for _ in range(_SEAM_ROUNDS):
        if best.seam_window >= found.window:
            break
        problem = replace(problem, bans=(*problem.bans, *_barred_across(found, problem)))
        try:
            found = search(problem)
        except UserError:  # the seam asks for too much: the film before it is as good as it gets
            break
        better = LoopFound(found, _kept_across(found, problem))
        if better.seam_window > best.seam_window:
            best = better
    certified = best.certified
    return replace(best, certified=replace(certified, bound=min(loop.bound, certified.route.cost)))


def _again(found: Certified, problem: Problem) -> list[tuple[int, int, int]]:
    """Node, when it is shown near the end, and when it is shown again near the beginning, too soon across the seam."""
    frames, window = problem.frames, min(found.window, problem.frames - 1)
    twice = conflicts(np.concatenate([found.route.nodes, found.route.nodes[:window]]), window, {})
    shown = ((one.node + k, one.early + k, one.late + k - frames) for one in twice for k in range(one.length))
    return [one for one in shown if one[1] < frames <= one[2] + frames]


def _kept_across(found: Certified, problem: Problem) -> int:
    distances = [early + problem.frames - late for _, late, early in _again(found, problem)]
    return min(distances, default=found.window + 1) - 1


def _barred_across(found: Certified, problem: Problem) -> list[Ban]:
    """Bans that keep each frame that is shown again across the seam from one side: from the end, where that is free."""
    frames, window = problem.frames, found.window
    bans: list[Ban] = []
    for node, late, early in _again(found, problem):
        if late >= frames - problem.hold:  # pinned
            bans += [(t, node, node) for t in range(late + window - frames + 1)]
        else:
            bans += [(t, node, node) for t in range(max(frames + early - window, 0), frames)]
    return bans
