"""From footage, music and keyframes to a path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from ..audio.beats import Beat
from ..errors import UserError
from ..footage import Footage
from ..graph.features import MotionFeatures
from ..graph.motion_graph import MotionGraph
from ..pose.track import PoseTrack
from ..progress import SILENT, Progress
from .alternatives import Difference, other_takes
from .conditions import Asked, SearchContext
from .exact import Table
from .film import lay_out
from .keyframes import Keyframe, SoftKeyframes, pin_keyframes
from .objective import Objective, SearchSettings, longest_half
from .path import Path, Sound
from .problem import Problem
from .result import path_of
from .reuse import Certified, find_without_reuse, proved
from .shape import Shape, find_loop
from .warp import warped

REUSE_PRICE = 0.1
"""What a wide window may cost for each second of the film: one missed beat in ten seconds."""

REPEATING = frozenset({"tags", "text"})
"""Conditions that may ask for the same action again and again: for them the window is narrowed as far as it costs."""

STUTTER = 1.0
"""s; a frame that is shown again sooner looks like a stutter, whatever asks for it."""

ALIKE = 0.5
"""s; frames of a run so near to one another count as the same where takes shall differ."""


def find_paths(
    footages: Sequence[Footage],
    graph: MotionGraph,
    features: MotionFeatures,
    *,
    frames: int,
    beats: Sequence[Beat] = (),
    sound: Sound | None = None,
    keyframes: Sequence[Keyframe] = (),
    references: Mapping[str, MotionFeatures] | None = None,
    tracks: Sequence[PoseTrack] = (),
    asked: Sequence[Asked] = (),
    shape: Shape | None = None,
    settings: SearchSettings | None = None,
    seed: int = 0,
    takes: int = 1,
    progress: Progress = SILENT,
) -> list[Path]:
    """Search the best performances of `frames` frames.

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
    references : mapping of str to MotionFeatures, optional
        Of footage that keyframes take poses from; see `keyframes.pin_keyframes`.
    tracks : sequence of PoseTrack
        Of the footages, where `asked` needs them.
    asked : sequence of Asked
        What else the film should follow.
    shape : Shape, optional
    settings : SearchSettings, optional
    seed : int
        0 for the plain optimum; another number prefers other parts of the footage.
    takes : int
        How many that differ visibly: each shows another frame than each one before it at half of its output frames.
    progress : Progress

    Returns
    -------
    list of Path
        The best one, then others, cheapest first; fewer than `takes` where there are no more.

    Raises
    ------
    UserError
        When the footage has no stretch long enough, or the keyframes cannot be met.
    """
    settings, shape = settings or SearchSettings(), shape or Shape()
    longest, fps = longest_half(graph), float(graph.fps)
    context = SearchContext(footages, tracks, graph, features, frames)
    keys = sorted([*keyframes, *shape.keyframes(frames, graph.fps, 2 * longest)], key=lambda key: key.at)
    if any(key.costs for key in keys):
        asked = [*asked, SoftKeyframes(keys, references or {})]
    objective = Objective.of(
        context, beats=beats, settings=settings, seed=seed, longest=longest, asked=asked, progress=progress
    )
    problem = objective.problem(frames, settings.hold(graph), settings.longest(graph))
    problem = pin_keyframes(problem, keys, context, longest, references, progress.part(0.0, 0.2, "Keyframes"))

    again = any(condition.name in REPEATING for condition in objective.conditions)

    def widest(problem: Problem, since: float, till: float) -> Certified:
        return _widest(Table(problem), settings, graph, again, progress.part(since, till, "Searching"))

    if shape.loop:
        part = progress.part(0.2, 0.6, "Closing the loop")
        loop = find_loop(problem, partial(widest, since=0.6, till=0.7), part)
        best = replace(loop.certified, window=min(loop.certified.window, loop.seam_window))
        ends = {t: int(best.route.nodes[t]) for t in (0, frames - 1)}
        problem = replace(problem, pins={**problem.pins, **ends})
    else:
        best = widest(problem, 0.2, 0.7)
    found = [best]
    if takes > 1:
        difference, part = Difference(near=round(ALIKE * fps)), progress.part(0.7, 0.88, "Other takes")
        search = partial(widest, since=0.88, till=0.9)
        others = other_takes(problem, [best.route], takes - 1, difference=difference, search=search, progress=part)
        found += sorted((Certified(one.route, one.bound, one.window) for one in others), key=lambda one: one.route.cost)
    table, paths = Table(problem), []
    for number, certified in enumerate(found):
        part = progress.part(0.9 + 0.1 * number / len(found), 0.9 + 0.1 * (number + 1) / len(found), "Explaining")
        path = path_of(
            certified,
            lay_out(certified.route, graph),
            objective,
            table,
            context,
            keyframes=keyframes,
            beats=beats,
            sound=sound,
            seed=seed,
            progress=part,
        )
        paths.append(warped(path, objective, problem, certified.route, settings.warp, part) if settings.warp else path)
    return paths


def _widest(table: Table, settings: SearchSettings, graph: MotionGraph, again: bool, progress: Progress) -> Certified:
    """The path with the widest window of no re-use that is worth its price, from the wished one down.

    A wished window is only narrowed where no path keeps it. Without a wish it starts at a quarter of the usable
    footage, and is narrowed, down to an eighth or 4 s, while it costs more than `REUSE_PRICE` over the bound; down to
    `STUTTER` where the film may ask for the same `again`, and to nothing where there is no film else.
    """
    fps, problem = float(graph.fps), table.problem
    lengths = graph.runs[:, 1] - graph.runs[:, 0] + 1
    usable = int(lengths.sum())
    if settings.reuse_seconds is None:
        wanted, least = usable // 4, round((STUTTER if again else 4) * fps)
        wide_enough = min(least, wanted) if again else max(usable // 8, min(wanted, least))
    else:
        wanted = wide_enough = min(round(settings.reuse_seconds * fps), problem.frames)
    shares = [wanted * share for share in (1.0, 0.7, 0.5, 0.35, 0.25, 0.12, 0.0)]
    shares += [wide_enough] if again else []
    windows = sorted({min(round(one), problem.frames) for one in shares}, reverse=True)
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
    if problem.longest is not None:
        raise UserError(
            f"No path of {problem.frames / fps:.2f} s leads through the footage with at most {problem.longest} frames "
            "between two cuts.",
            "Allow more time between two cuts, or add footage for more places to cut.",
        )
    raise UserError(
        f"No path of {problem.frames / fps:.2f} s leads through the footage: its longest stretch has "
        f"{int(lengths.max())} frames, and a cut needs {problem.hold} frames on either side.",
        "Use longer footage or a shorter output.",
    )
