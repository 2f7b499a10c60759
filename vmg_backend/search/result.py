"""What was found, as a path: its costs, its proof and its reasons."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .. import __version__
from ..audio.beats import Beat
from ..footage import Footage
from ..progress import SILENT, Progress
from .conditions import SearchContext
from .exact import Table
from .explain import explain
from .keyframes import Keyframe, with_images
from .objective import Objective
from .path import FootageEntry, Path, Segment, Sound, Transition
from .reuse import Certified


def path_of(
    found: Certified,
    pieces: tuple[Sequence[Segment], Sequence[Transition]],
    objective: Objective,
    table: Table,
    context: SearchContext,
    *,
    keyframes: Iterable[Keyframe],
    beats: Sequence[Beat],
    sound: Sound | None,
    seed: int,
    progress: Progress = SILENT,
) -> Path:
    """A route as a path.

    Parameters
    ----------
    found : Certified
    pieces : (sequence of Segment, sequence of Transition)
        What the route shows.
    objective : Objective
    table : Table
        Of the problem that the route solves.
    context : SearchContext
    keyframes : iterable of Keyframe
        Those with edited pictures give them to the transitions.
    beats : sequence of Beat
        Seconds of the output.
    sound : Sound or None
        What lies under the film.
    seed : int
    progress : Progress
    """
    return Path(
        fps=context.graph.fps,
        frames=context.frames,
        footages={footage.id: _entry(footage) for footage in context.footages},
        segments=tuple(pieces[0]),
        transitions=with_images(pieces[1], keyframes, context),
        audio=sound,
        beats=tuple({"time": beat.time, "kind": beat.kind, "strength": beat.strength} for beat in beats),
        cost=found.route.cost,
        bound=found.bound,
        gap=found.gap,
        costs=objective.costs(found.route),
        beat_alignment=objective.alignment(found.route),
        reuse_window=found.window / context.fps,
        seed=seed,
        versions={"vmg": __version__},
        conditions={condition.name: condition.about for condition in objective.conditions},
        explanation=explain(objective, table, found.route, found.window, progress),
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
