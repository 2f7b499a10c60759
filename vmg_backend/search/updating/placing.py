"""Where cuts are placed between segments that are given: a search in one dimension, by the cost of the match alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...graph.build import GraphSettings, transition_half
from ...graph.matching import MatchCost
from ...graph.motion_graph import MotionGraph
from ..film import Span

LEAST_REAL = 2
"""Real frames at least between two transitions."""


@dataclass(frozen=True)
class Places:
    """Where a cut may lie: output frames [n], what the match costs there, and half the transition."""

    time: NDArray[np.int64]
    cost: NDArray[np.float64]
    half: NDArray[np.int64]

    @classmethod
    def one(cls, time: int, half: int) -> Places:
        """The one place of a cut that stays."""
        return cls(np.array([time]), np.zeros(1), np.array([half]))


def places_between(
    costs: MatchCost,
    graph: MotionGraph,
    matching: GraphSettings,
    times: NDArray[np.int64],
    shifts: tuple[int, int],
    runs: tuple[tuple[int, int], tuple[int, int]],
) -> Places:
    """Where a segment can be left for the other one: the graph's rules but for local minima and the threshold.

    Parameters
    ----------
    costs : MatchCost
    graph : MotionGraph
    matching : GraphSettings
        What it was built with.
    times : int64 [n]
        Output frames that may show the other segment first.
    shifts : tuple of int
        Node less output frame, of both segments.
    runs : tuple of (int, int)
        First and last node that each of them may show.
    """
    i, j = times - 1 + shifts[0], times - 1 + shifts[1]
    good = (runs[0][0] <= i) & (i < runs[0][1]) & (runs[1][0] <= j) & (j < runs[1][1])
    times, i, j = times[good], i[good], j[good]
    cost = costs.exact(i, j)
    band = max(1, round(matching.band_seconds * float(graph.fps)))
    cost[costs.same_footage(i, j) & (np.abs(i - j) <= band)] = np.inf
    good = np.isfinite(cost)
    times, i, j, cost = times[good], i[good], j[good], cost[good]
    longest = matching.longest_transition
    half = transition_half(costs, i, j + 1, cost, graph.threshold, longest)
    return Places(times, cost, half.astype(np.int64))


def cheapest(places: Sequence[Places], holds: Sequence[int], spans: Sequence[Sequence[Span]]) -> list[int] | None:
    """Which place [len(places)] to take for each cut so that all matches together cost least; of equal ones the first.

    Between two cuts there are at least `holds` output frames, `LEAST_REAL` real ones, and `spans` untouched.
    """
    total = places[0].cost
    back: list[NDArray[np.int64]] = []
    for (before, after), hold, inside in zip(pairwise(places), holds, spans, strict=True):
        if not len(before.time) or not len(after.time):
            return None
        begin, end = before.time + before.half, after.time - after.half  # of what is shown as it is
        good = after.time[None] - before.time[:, None] >= hold
        good &= end[None] - begin[:, None] >= LEAST_REAL
        for span in inside:
            good &= (begin <= span.at)[:, None] & (end >= span.end)[None]
        way = np.where(good, total[:, None], np.inf)
        back.append(way.argmin(axis=0))
        total = way.min(axis=0) + after.cost
    if not np.isfinite(total[0]):
        return None
    found = [0]
    for column in reversed(back):
        found.append(int(column[found[-1]]))
    return found[::-1]
