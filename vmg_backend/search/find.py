"""From footage, music and keyframes to a path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..audio.beats import Beat
from ..errors import UserError
from ..evaluation.beat_alignment import beat_alignment_score, best_straight, hit_rate, joint_speed, motion_beats
from ..footage import Footage
from ..graph.features import MotionFeatures
from ..graph.motion_graph import MotionGraph
from ..progress import SILENT, Progress
from .conditions import BeatCondition, Condition, VarietyCondition, beat_closeness
from .exact import Table
from .keyframes import Keyframe, pin_keyframes
from .motion_beats import cut_motion_beats, node_motion_beats
from .path import FootageEntry, Path, Sound, lay_out, output_joints
from .problem import Problem, Route
from .reuse import Certified, find_without_reuse, proved

REUSE_PRICE = 0.1
"""What a wide window may cost for each second of the film: one missed beat in ten seconds."""


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
    reuse_seconds : float or None
        No source frame is shown again within this time, or what can be met; None for what the footage allows: an
        eighth (or 4 s) to a quarter of its usable length.
    """

    hold_seconds: float = 0.5
    cut_price: float = 0.1
    match_weight: float = 0.25
    beat_weight: float = 1.0
    reuse_seconds: float | None = None


def find_path(
    footages: Sequence[Footage],
    graph: MotionGraph,
    features: MotionFeatures,
    *,
    frames: int,
    beats: Sequence[Beat] = (),
    sound: Sound | None = None,
    keyframes: Sequence[Keyframe] = (),
    settings: SearchSettings | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Path:
    """Search the best performance of `frames` frames.

    Parameters
    ----------
    footages : sequence of Footage
        In the graph's order.
    graph : MotionGraph
    features : MotionFeatures
    frames : int
        Length of the output.
    beats : sequence of Beat
        Seconds of the output.
    sound : Sound, optional
        What lies under the film.
    keyframes : sequence of Keyframe
    settings : SearchSettings, optional
    seed : int
        0 for the plain optimum; another number prefers other parts of the footage, for another take.
    progress : Progress

    Raises
    ------
    UserError
        When the footage has no stretch long enough, or the keyframes cannot be met.
    """
    settings = settings or SearchSettings()
    fps = float(graph.fps)
    longest = 2 * int(graph.half.max(initial=1))
    hold = max(round(settings.hold_seconds * fps), longest + 2)
    conditions: list[Condition] = []
    pulse = [beat for beat in beats if beat.kind != "onset"]
    if pulse:
        times = np.array([beat.time for beat in pulse])
        conditions.append(
            BeatCondition(
                node_motion_beats(features),
                cut_motion_beats(graph, features, progress),
                beat_closeness(times, frames, fps),
                settings.beat_weight,
            )
        )
    if seed:
        conditions.append(VarietyCondition.of_seed(graph.nodes, seed, round(fps)))

    price = settings.cut_price + settings.match_weight * _haste(graph, longest // 2)
    nothing = np.zeros(graph.nodes)
    problem = Problem(
        nodes=graph.nodes,
        runs=graph.runs,
        source=graph.source,
        target=graph.target,
        cut_cost=lambda t: _sum((condition.cut_cost(t) for condition in conditions), price),
        frames=frames,
        hold=hold,
        node_cost=lambda t: _sum((condition.node_cost(t) for condition in conditions), nothing),
    )
    names = {footage.id: footage.name for footage in footages}
    if keyframes:
        problem = pin_keyframes(
            problem, list(keyframes), graph, names, longest // 2, progress.part(0.0, 0.2, "Keyframes")
        )
    certified = _widest(problem, settings, graph, progress.part(0.2, 1.0, "Searching"))
    route = certified.route
    segments, transitions = lay_out(route, graph)
    return Path(
        fps=graph.fps,
        frames=frames,
        footages={footage.id: _entry(footage) for footage in footages},
        segments=tuple(segments),
        transitions=tuple(transitions),
        audio=sound,
        beats=tuple({"time": beat.time, "kind": beat.kind, "strength": beat.strength} for beat in beats),
        cost=route.cost,
        bound=certified.bound,
        gap=certified.gap,
        costs=_costs(route, conditions, price),
        beat_alignment=_alignment(route, graph, features, [beat.time for beat in pulse]) if pulse else None,
        reuse_window=certified.window / fps,
        seed=seed,
        versions={"vmg": __version__},
    )


def _haste(graph: MotionGraph, longest_half: int) -> NDArray[np.float64]:
    """Each match's cost [E] as a share of the threshold, more where the transition is shorter than it asks for."""
    share = graph.cost.astype(np.float64) / max(graph.threshold, 1e-9)
    return np.asarray(share * np.maximum(1.0, np.minimum(share, 1.0) * longest_half / graph.half))


def _sum(values: Iterable[NDArray[np.float64] | None], nothing: NDArray[np.float64]) -> NDArray[np.float64]:
    return sum((value for value in values if value is not None), start=nothing)


def _widest(problem: Problem, settings: SearchSettings, graph: MotionGraph, progress: Progress) -> Certified:
    """The path with the widest window of no re-use that is worth its price, from the wished one down.

    A wished window is only narrowed where no path keeps it. Without a wish it starts at a quarter of the usable
    footage, and is narrowed, down to an eighth or 4 s, while it costs more than `REUSE_PRICE` over the bound.
    """
    fps = float(graph.fps)
    lengths = graph.runs[:, 1] - graph.runs[:, 0] + 1
    usable = int(lengths.sum())
    if settings.reuse_seconds is None:
        wanted, wide_enough = usable // 4, max(usable // 8, min(usable // 4, round(4 * fps)))
    else:
        wanted = wide_enough = min(round(settings.reuse_seconds * fps), problem.frames)
    windows = [min(round(wanted * share), problem.frames) for share in (1.0, 0.7, 0.5, 0.35, 0.25, 0.12, 0.0)]
    table = Table(problem, progress)
    found: Certified | None = None
    for number, window in enumerate(windows):
        if found is not None and window < wide_enough:
            break
        part = progress.part(0.8 * number / len(windows), 0.8 * (number + 1) / len(windows))
        known = found.route if found else None  # keeps a narrower window, too
        certified = find_without_reuse(table, window, known=known, progress=part)
        if certified is not None and (found is None or certified.route.cost < found.route.cost):
            found = certified
        if found is not None and found.route.cost - found.bound <= REUSE_PRICE * problem.frames / fps:
            break
    if found is not None:
        return proved(table, found, progress=progress.part(0.8, 1.0))
    if problem.pins:
        raise UserError(
            "The keyframes leave no path of this length through the footage.",
            "Move or remove a keyframe, or add footage.",
        )
    raise UserError(
        f"No path of {problem.frames / fps:.2f} s leads through the footage: its longest stretch has "
        f"{int(lengths.max())} frames, and a cut needs {problem.hold} frames on either side.",
        "Use longer footage or a shorter output.",
    )


def _entry(footage: Footage) -> FootageEntry:
    ranges = tuple((int(first), int(last)) for first, last in footage.ranges)
    return FootageEntry(
        footage.name,
        str(footage.path.resolve()),
        f"{footage.fps.numerator}/{footage.fps.denominator}",
        footage.size,
        ranges,
    )


def _costs(route: Route, conditions: Sequence[Condition], price: NDArray[np.float64]) -> dict[str, float]:
    costs = {"cuts": float(sum(price[edge] for _, edge in route.cuts))}
    for condition in conditions:
        shown = ((condition.node_cost(t), node) for t, node in enumerate(route.nodes))
        cut = ((condition.cut_cost(t), edge) for t, edge in route.cuts)
        costs[condition.name] = float(sum(values[at] for values, at in (*shown, *cut) if values is not None))
    return costs


def _alignment(route: Route, graph: MotionGraph, features: MotionFeatures, music: list[float]) -> dict[str, Any]:
    """How well the performance meets the beats by its poses, beside the straight footage at its best start."""
    fps, frames = graph.fps, len(route.nodes)
    joints = output_joints(route, graph, features.rhythm)
    motion = motion_beats(joint_speed(joints, np.ones(frames, dtype=bool)), fps) / float(fps)
    inside = [time for time in music if time < frames / fps]
    straight = best_straight(joint_speed(features.rhythm, features.shown, looped=True), fps, inside, frames)
    return {
        "score": beat_alignment_score(motion, inside),
        "hit_rate": hit_rate(motion, inside),
        "straight_score": straight.score,
        "straight_hit_rate": straight.hit_rate,
        "music_beats": inside,
        "motion_beats": motion.tolist(),
    }
