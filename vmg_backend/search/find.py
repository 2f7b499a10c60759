"""From footage, music and keyframes to a path."""

from __future__ import annotations

from collections.abc import Sequence

from .. import __version__
from ..audio.beats import Beat
from ..errors import UserError
from ..footage import Footage
from ..graph.features import MotionFeatures
from ..graph.motion_graph import MotionGraph
from ..progress import SILENT, Progress
from .exact import Table
from .film import lay_out
from .keyframes import Keyframe, pin_keyframes
from .objective import Objective, SearchSettings, longest_half
from .path import FootageEntry, Path, Sound
from .problem import Problem
from .reuse import Certified, find_without_reuse, proved

REUSE_PRICE = 0.1
"""What a wide window may cost for each second of the film: one missed beat in ten seconds."""


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
    longest = longest_half(graph)
    objective = Objective.of(
        graph, features, frames=frames, beats=beats, settings=settings, seed=seed, longest=longest, progress=progress
    )
    problem = objective.problem(frames, settings.hold(graph))
    names = {footage.id: footage.name for footage in footages}
    if keyframes:
        problem = pin_keyframes(problem, list(keyframes), graph, names, longest, progress.part(0.0, 0.2, "Keyframes"))
    certified = _widest(problem, settings, graph, progress.part(0.2, 1.0, "Searching"))
    route = certified.route
    segments, transitions = lay_out(route, graph)
    return Path(
        fps=graph.fps,
        frames=frames,
        footages={footage.id: entry_of(footage) for footage in footages},
        segments=segments,
        transitions=transitions,
        audio=sound,
        beats=tuple({"time": beat.time, "kind": beat.kind, "strength": beat.strength} for beat in beats),
        cost=route.cost,
        bound=certified.bound,
        gap=certified.gap,
        costs=objective.costs(route),
        beat_alignment=objective.alignment(route),
        reuse_window=certified.window / float(graph.fps),
        seed=seed,
        versions={"vmg": __version__},
    )


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


def entry_of(footage: Footage) -> FootageEntry:
    """A footage as a path names it."""
    ranges = tuple((int(first), int(last)) for first, last in footage.ranges)
    return FootageEntry(
        footage.name,
        str(footage.path.resolve()),
        f"{footage.fps.numerator}/{footage.fps.denominator}",
        footage.size,
        ranges,
    )
