"""What a search makes least: conditions and the price of cuts, as one cost for each node and each cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..audio.beats import Beat
from ..errors import UserError
from ..evaluation.beat_alignment import beat_alignment_score, best_straight, hit_rate, joint_speed, motion_beats
from ..graph.features import MotionFeatures
from ..graph.motion_graph import MotionGraph
from ..progress import SILENT, Progress
from .conditions import Asked, BeatCondition, Condition, SearchContext, VarietyCondition, beat_closeness
from .motion_beats import cut_motion_beats, node_motion_beats
from .music import accent_condition
from .path import between, output_joints
from .problem import Problem, Route


@dataclass(frozen=True)
class SearchSettings:
    """What decides the path beside the footage and its conditions.

    Attributes
    ----------
    hold_seconds : float
        Least time between two cuts; at least the longest transition and two real frames.
    cut_price : float
        What any cut costs, where a motion beat on a beat of the music is worth `beat_weight`.
    match_weight : float
        What a cut at the graph's threshold costs on top.
    beat_weight : float
    accent_weight : float
        How much strong beats ask for sharper stops than weak ones.
    longest_seconds : float or None
        Most time between two cuts; None for any.
    reuse_seconds : float or None
        No source frame is shown again within this time, or what can be met; None for what the footage allows: an
        eighth (or 4 s) to a quarter of its usable length.
    warp : float
        By how much segments may be played faster or slower, so that their motion beats fall nearer to beats.
    """

    hold_seconds: float = 0.5
    longest_seconds: float | None = None
    cut_price: float = 0.1
    match_weight: float = 0.25
    beat_weight: float = 1.0
    accent_weight: float = 0.0
    reuse_seconds: float | None = None
    warp: float = 0.0

    def hold(self, graph: MotionGraph) -> int:
        """Least number of frames between two cuts."""
        return max(round(self.hold_seconds * float(graph.fps)), 2 * longest_half(graph) + 2)

    def longest(self, graph: MotionGraph) -> int | None:
        """Most frames between two cuts.

        Raises
        ------
        UserError
            When that is less than the least.
        """
        if self.longest_seconds is None:
            return None
        longest, hold = round(self.longest_seconds * float(graph.fps)), self.hold(graph)
        if longest < hold:
            raise UserError(
                f"There cannot be at most {longest} frames between two cuts where there are at least {hold}.",
                f"Make the longest time between two cuts at least {hold / float(graph.fps):.2f} s.",
            )
        return longest


def longest_half(graph: MotionGraph) -> int:
    """Half the longest transition of a graph."""
    return int(graph.half.max(initial=1))


def pulse(beats: Iterable[Beat]) -> list[float]:
    """Times of the beats that a search knows."""
    return [beat.time for beat in beats if beat.kind != "onset"]


@dataclass(frozen=True)
class Objective:
    """The cost of paths through a graph.

    Attributes
    ----------
    graph : MotionGraph
    features : MotionFeatures
    conditions : tuple of Condition
    price : float64 [E]
        What each cut costs by itself.
    music : tuple of float
        Beats, s.
    """

    graph: MotionGraph
    features: MotionFeatures
    conditions: tuple[Condition, ...]
    price: NDArray[np.float64]
    music: tuple[float, ...]

    @classmethod
    def of(
        cls,
        context: SearchContext,
        *,
        beats: Sequence[Beat],
        settings: SearchSettings,
        seed: int,
        longest: int,
        asked: Sequence[Asked] = (),
        progress: Progress = SILENT,
    ) -> Objective:
        """The objective of a search; `longest` is half the transition that the worst match has."""
        graph, features = context.graph, context.features
        music = pulse(beats)
        conditions: list[Condition] = []
        if music:
            plain = BeatCondition(
                node_motion_beats(features),
                cut_motion_beats(graph, features, progress),
                beat_closeness(np.array(music), context.frames, context.fps),
                settings.beat_weight,
            )
            conditions.append(plain)
            weighed = replace(plain, weight=settings.accent_weight)
            if settings.accent_weight and (accents := accent_condition(context, beats, weighed, progress)):
                conditions.append(accents)
        conditions += [one.condition(context, progress) for one in asked]
        if seed:
            conditions.append(VarietyCondition.of_seed(graph.nodes, seed, round(context.fps)))
        price = settings.cut_price + settings.match_weight * _haste(graph, longest)
        return cls(graph, features, tuple(conditions), price, tuple(music))

    def problem(self, frames: int, hold: int, longest: int | None = None) -> Problem:
        """The search for the cheapest path with so many frames between two cuts."""
        graph = self.graph
        return Problem(
            nodes=graph.nodes,
            runs=graph.runs,
            source=graph.source,
            target=graph.target,
            cut_cost=self.cut_cost,
            frames=frames,
            hold=hold,
            longest=longest,
            node_cost=self.node_cost,
        )

    def cut_cost(self, t: int) -> NDArray[np.float64]:
        """Cost [E] of each edge when its target is shown at output frame `t`."""
        return _sum((condition.cut_cost(t) for condition in self.conditions), self.price)

    def node_cost(self, t: int) -> NDArray[np.float64]:
        """Cost [N] of showing each node at output frame `t`."""
        return _sum((condition.node_cost(t) for condition in self.conditions), np.zeros(self.graph.nodes))

    def costs(self, route: Route) -> dict[str, float]:
        """What the cost of a route is made of."""
        return self.summed(range(len(route.nodes)), route.nodes, route.cuts)

    def summed(
        self, times: Sequence[int], nodes: NDArray[np.int64], cuts: Sequence[tuple[int, int]]
    ) -> dict[str, float]:
        """What nodes [n] cost at their output frames, and cuts, by what charges it."""
        cutting = self.cuts_costs(cuts)
        shown: dict[str, NDArray[np.float64]] = {"cuts": np.zeros(0), **self.shown_costs(times, nodes)}
        return {name: float(values.sum() + sum(one[name] for one in cutting)) for name, values in shown.items()}

    def shown_costs(self, times: Sequence[int], nodes: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """What each condition charges for showing nodes [n] at their output frames."""

        def charged(condition: Condition) -> Iterator[float]:
            for t, node in zip(times, nodes, strict=True):
                values = condition.node_cost(t)
                yield 0.0 if values is None else float(values[node])

        return {one.name: np.fromiter(charged(one), np.float64, len(nodes)) for one in self.conditions}

    def cuts_costs(self, cuts: Sequence[tuple[int, int]]) -> list[dict[str, float]]:
        """The price of each cut, as ``cuts``, and what each condition charges for it."""
        told = []
        for t, edge in cuts:
            costs = {"cuts": float(self.price[edge])}
            for condition in self.conditions:
                values = condition.cut_cost(t)
                costs[condition.name] = 0.0 if values is None else float(values[edge])
            told.append(costs)
        return told

    def alignment(self, route: Route, shown: NDArray[np.float64] | None = None) -> dict[str, Any] | None:
        """How well a route meets the beats by its poses, beside the straight footage at its best start.

        `shown` says which of its frames, or the moment between two, each output frame shows [T]; without it, its own.
        None without beats.
        """
        if not self.music:
            return None
        fps, frames, features = self.graph.fps, len(route.nodes), self.features
        joints = output_joints(route, self.graph, features.rhythm)
        if shown is not None:
            joints = between(joints, shown)
        motion = motion_beats(joint_speed(joints, np.ones(frames, dtype=bool)), fps) / float(fps)
        inside = [time for time in self.music if time < frames / fps]
        straight = best_straight(joint_speed(features.rhythm, features.shown, looped=True), fps, inside, frames)
        return {
            "score": beat_alignment_score(motion, inside),
            "hit_rate": hit_rate(motion, inside),
            "straight_score": straight.score,
            "straight_hit_rate": straight.hit_rate,
            "music_beats": inside,
            "motion_beats": motion.tolist(),
        }


def _haste(graph: MotionGraph, longest: int) -> NDArray[np.float64]:
    """Each match's cost [E] as a share of the threshold, more where the transition is shorter than it asks for."""
    share = graph.cost.astype(np.float64) / max(graph.threshold, 1e-9)
    half = np.maximum(graph.half, 1)  # a person's hard cut has none
    return np.asarray(share * np.maximum(1.0, np.minimum(share, 1.0) * longest / half))


def _sum(values: Iterable[NDArray[np.float64] | None], start: NDArray[np.float64]) -> NDArray[np.float64]:
    return sum((value for value in values if value is not None), start=start)
