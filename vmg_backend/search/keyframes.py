"""Keyframes: what must be shown at a given time, or come near it, or not be shown; and all that follows from it."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..files import read_json
from ..graph.features import MotionFeatures
from ..progress import SILENT, Progress
from .conditions import SearchContext
from .exact import Table, barred_by
from .labels import LATEST
from .likeness import distance_to_frame, distance_to_pose
from .path import Transition, frames_of
from .problem import Allowed, Problem

FARTHEST_SHIFT = 2.0
"""s, how far a keyframe is moved when a remedy is looked for."""

PRICE = 4.0
"""Cost of a second whose frames are as far from the wanted ones as the graph's threshold, at weight 1."""

Mode = Literal["hard", "soft", "pose", "footage", "avoid"]

_Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Keyframe:
    """Something wanted, or not wanted, at a time of the film.

    - hard: `frames` source frames from `frame` of a footage on, shown untouched from `at` seconds on;
    - soft: frames like these, in place, pose and motion;
    - pose: frames in which the person is posed as in these, wherever it is; they may come from any other footage;
    - footage: any `frames` frames of a footage;
    - avoid: `frames` source frames from `frame` on are not shown from `at` on, for `seconds`.

    Attributes
    ----------
    at : float
        s, in the output.
    footage : str
        Content hash, or a name that is unique in the library.
    frame : int
        First source frame.
    frames : int
        How many.
    name : str
        What a person calls the footage; the same as `footage` by default.
    mode : Mode
    tolerance : float or None
        How far the shown frames of a soft keyframe or a pose may be from the wanted ones, as a share of the graph's
        threshold; None where the distance costs instead.
    weight : float
        Of that cost.
    seconds : float
        How long frames are avoided; without a bound until the end.
    file : Path or None
        Where a pose is taken from instead of `footage`.
    image : Path or None
        An edited picture of the first frame: a transition leads right to it, and its engine is given this picture.
    image_stamp : str
        Another one whenever that file was saved again; may be left out where nothing is updated.
    said : str
        How else a person asked for it; then no other time is advised.
    """

    at: float
    footage: str
    frame: int
    frames: int = 12
    name: str = ""
    mode: Mode = "hard"
    tolerance: float | None = None
    weight: float = 1.0
    seconds: float = math.inf
    file: Path | None = None
    image: Path | None = None
    image_stamp: str = ""
    said: str = field(default="", compare=False)

    def __str__(self) -> str:
        if self.said:
            return self.said
        footage = self.name or self.footage or (self.file.name if self.file else "")
        what = footage if self.mode == "footage" else f"frame {self.frame} of {footage}"
        if self.mode == "avoid":
            return f"the keyframe that avoids {footage} from frame {self.frame} on"
        return f"the keyframe at {round(self.at, 2):g} s ({what})"

    @property
    def source(self) -> str:
        """Where its frames are: the file's path, or `footage`."""
        return str(self.file) if self.file else self.footage

    @property
    def costs(self) -> bool:
        """Whether it is a cost and no constraint."""
        return self.mode in ("soft", "pose") and self.tolerance is None


# Reading the file.

_REMEDY = 'Write a list like [{"at": 1.25, "footage": "dance.mp4", "frame": 311, "frames": 12}].'
_NEEDED: dict[Mode, frozenset[str]] = {
    "hard": frozenset({"at", "footage", "frame"}),
    "soft": frozenset({"at", "footage", "frame"}),
    "pose": frozenset({"at", "frame"}),
    "footage": frozenset({"at", "footage"}),
    "avoid": frozenset({"footage"}),
}
_SPECIAL: dict[str, tuple[Mode, ...]] = {
    "tolerance": ("soft", "pose"),
    "weight": ("soft", "pose"),
    "file": ("pose",),
    "image": ("hard",),
    "seconds": ("avoid",),
}
"""Keys that only some modes know."""


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < LATEST


_VALUES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "at": (_number, "seconds from 0 on"),
    "footage": (lambda value: isinstance(value, str), "a name or a content hash"),
    "frame": (lambda value: type(value) is int and value >= 0, "a frame number from 0 on"),
    "frames": (lambda value: type(value) is int and value >= 1, "a number of frames, at least 1"),
    "tolerance": (_number, "a share of the graph's threshold, like 0.5; or 0 for a cost instead"),
    "weight": (lambda value: _number(value) and value > 0, "a number above 0"),
    "seconds": (lambda value: _number(value) and value > 0, "seconds, above 0"),
    "file": (lambda value: isinstance(value, str), "the path of a video"),
    "image": (lambda value: isinstance(value, str), "the path of a picture"),
}
"""For each key what it may hold, and that in words."""


def load_keyframes(file: Path) -> list[Keyframe]:
    """Read keyframes: ``[{"at": 1.25, "footage": ..., "frame": 311, "frames": 12, "mode": "hard"}]``, by time.

    Paths of videos and pictures in it may be relative to its folder.

    Raises
    ------
    UserError
        For a file that is not that, or that names files that cannot be read.
    """
    entries = read_json(file, "--keyframes", _REMEDY)
    if not isinstance(entries, list):
        raise UserError(f"{file.name} is not a list of keyframes.", _REMEDY)
    return sorted((_keyframe(file, index, entry) for index, entry in enumerate(entries)), key=lambda key: key.at)


def _keyframe(file: Path, index: int, entry: Any) -> Keyframe:  # noqa: ANN401 - whatever the JSON holds
    where = f"Keyframe {index + 1} in {file.name}"
    if not isinstance(entry, dict):
        raise UserError(f"{where} is not an object with keys.", _REMEDY)
    mode = entry.get("mode", "hard")
    if mode not in get_args(Mode):
        raise UserError(f"{where} has a mode {mode!r} that there is not.", f"Use one of: {', '.join(get_args(Mode))}.")
    given = {key: value for key, value in entry.items() if key != "mode" and value is not None}
    if missing := sorted(_NEEDED[mode] - given.keys()):
        raise UserError(f"{where} lacks {_quoted(missing)}.", f"A keyframe of mode {mode} needs it.")
    if mode == "pose" and len({"footage", "file"} & given.keys()) != 1:
        raise UserError(f"{where} does not say whose pose it is.", 'Give either "footage" or "file".')
    if unknown := sorted(given.keys() - _VALUES.keys()):
        raise UserError(f"{where} has keys that there are not: {_quoted(unknown)}.", f"Use {_quoted(_VALUES)}.")
    for key, value in given.items():
        good, what = _VALUES[key]
        if not good(value):
            raise UserError(f'{where} has a value that cannot be: "{key}" is {value!r}.', f'"{key}" is {what}.')
        if mode not in _SPECIAL.get(key, (mode,)) and value:
            raise UserError(
                f'{where} has "{key}", which mode {mode} does not know.',
                f"Leave it out, or use mode {' or '.join(_SPECIAL[key])}.",
            )
    if mode == "avoid" and "frame" not in given:
        if "frames" in given:
            raise UserError(f"{where} says how many frames to avoid, but not from which on.", 'Give "frame", too.')
        given |= {"frame": 0, "frames": sys.maxsize}
    return Keyframe(
        at=float(given.get("at", 0.0)),
        footage=given.get("footage", ""),
        frame=given.get("frame", 0),
        frames=given.get("frames", 12),
        mode=mode,
        tolerance=float(given.get("tolerance", 0.0)) or None,
        weight=float(given.get("weight", 1.0)),
        seconds=float(given.get("seconds", math.inf)),
        file=_existing(where, file.parent / given["file"]) if "file" in given else None,
        image=_picture(where, file.parent / given["image"]) if given.get("image") else None,
    )


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


def _existing(where: str, path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{where} names a file {path} that is not there.", "Check its path.")
    return path.resolve()


def _picture(where: str, path: Path) -> Path:
    data = np.fromfile(_existing(where, path), dtype=np.uint8)
    if not len(data) or cv2.imdecode(data, cv2.IMREAD_COLOR) is None:
        raise UserError(f"{where} names a file {path.name} that is no picture.", "Give a PNG or JPEG file.")
    return path.resolve()


# What keyframes mean for a search.


@dataclass(frozen=True)
class _Entry:
    """Nodes [N] that a transition of `half` frames on either side leads from, to end right before a keyframe."""

    half: int
    sources: _Mask


@dataclass(frozen=True)
class _Pinned:
    """A hard keyframe in frames and nodes: its first node, the run that this lies in, and the output frame."""

    key: Keyframe
    node: int
    run: tuple[int, int]
    at: int
    entry: _Entry | None = None

    def spare(self, frames: int, margin: int) -> tuple[int, int]:
        """Frames of the run that are left on either side after room is made for half a transition.

        At the ends of the output there is no transition, and no room is needed.
        """
        before = self.entry.half if self.entry else min(margin, self.at)
        after = min(margin, frames - self.at - self.key.frames)
        return self.node - self.run[0] - before, self.run[1] - self.node - self.key.frames + 1 - after

    def added(self, problem: Problem, margin: int) -> Problem | None:
        """The problem with it, room for transitions included; None where it does not fit."""
        frames = problem.frames
        if self.at < 0 or self.at + self.key.frames > frames or min(self.spare(frames, margin)) < 0:
            return None
        first = self.at - (self.entry.half if self.entry else min(margin, self.at))
        last = min(self.at + self.key.frames + margin, frames) - 1
        pins = {t: self.node + t - self.at for t in range(first, last + 1)}
        if self.entry:
            if first < 1:
                return None
            problem = replace(problem, allowed=(*problem.allowed, Allowed(first - 1, first - 1, self.entry.sources)))
        if any(problem.pins.get(t, node) != node for t, node in pins.items()):
            return None
        return replace(problem, pins={**problem.pins, **pins})


@dataclass(frozen=True)
class _Among:
    """A keyframe that allows some nodes at each of its `frames` output frames; `pieces` count from `at`."""

    key: Keyframe
    pieces: tuple[Allowed, ...]
    frames: int
    at: int

    def added(self, problem: Problem, margin: int) -> Problem | None:
        """The problem with it; None where it does not fit."""
        del margin  # the pieces know it
        if self.at < 0 or self.at + self.frames > problem.frames:
            return None
        moved = (Allowed(p.first + self.at, p.last + self.at, p.nodes) for p in self.pieces)
        inside = (one for one in moved if one.last >= 0 and one.first < problem.frames)
        return replace(problem, allowed=(*problem.allowed, *inside))


_Placed = _Pinned | _Among


@dataclass(frozen=True)
class _Scene:
    """What keyframes are placed in."""

    context: SearchContext
    margin: int
    references: Mapping[str, MotionFeatures]

    def placed(self, key: Keyframe) -> _Placed:
        """A keyframe in frames and nodes.

        Raises
        ------
        UserError
            When it names what cannot be shown, whatever else is.
        """
        place: dict[Mode, Callable[[Keyframe, int], _Placed]] = {
            "hard": self._pinned,
            "soft": self._alike,
            "pose": self._alike,
            "footage": self._in_footage,
            "avoid": self._avoided,
        }
        return place[key.mode](key, self.start(key))

    def start(self, key: Keyframe) -> int:
        """Its first output frame."""
        at = frames_of(key.at, self.context.graph.fps)
        if at + (1 if key.mode == "avoid" else key.frames) > self.context.frames:
            raise UserError(
                f"The output ends before {key} does: it has {self.context.frames} frames.",
                "Place it earlier, or make the output longer.",
            )
        return at

    def distances(self, key: Keyframe) -> list[NDArray[np.float64]]:
        """How far each node is [N] from each of the frames that are wanted, in shares of the graph's threshold."""
        features, threshold = self.context.features, max(self.context.graph.threshold, 1e-9)
        reference = self.references.get(key.source) if key.mode == "pose" else None
        if reference is not None:
            first = self._run(key, key.frame, reference.runs, reference.nodes)[0]
            return [distance_to_pose(features, reference, first + k) / threshold for k in range(key.frames)]
        first = self._node(key)[0]
        if key.mode == "pose":
            return [distance_to_pose(features, features, first + k) / threshold for k in range(key.frames)]
        return [distance_to_frame(features, first + k) / threshold for k in range(key.frames)]

    def _footage(self, key: Keyframe) -> int:
        matching = meant_by(key, self.context)
        if len(matching) == 1 and key.file is None:
            return matching[0]
        wrong = "the name of several footages" if matching else "not in the library"
        raise UserError(
            f"{key.name or key.source} in {key} is {wrong}.",
            f"Name one of: {', '.join(sorted(one.name for one in self.context.footages))}; or give the content hash.",
        )

    def _node(self, key: Keyframe) -> tuple[int, tuple[int, int]]:
        """The first node of a keyframe, and its run."""
        offsets, index = self.context.graph.offsets, self._footage(key)
        return self._run(key, int(offsets[index]) + key.frame, self.context.graph.runs, int(offsets[index + 1]))

    def _run(self, key: Keyframe, node: int, runs: NDArray[np.integer[Any]], end: int) -> tuple[int, tuple[int, int]]:
        run = next(((int(a), int(b)) for a, b in runs if a <= node <= b), None)
        if run is None or node >= end:
            raise UserError(
                f"Nothing can be shown for {key}: there is no such frame, or no person in it.",
                "Choose a frame in which the person is seen.",
            )
        if node + key.frames - 1 > run[1]:
            raise UserError(
                f"The shot or the person's presence ends before {key} does.",
                f"Show at most {run[1] - node + 1} frames from there.",
            )
        return node, run

    def _pinned(self, key: Keyframe, at: int) -> _Pinned:
        node, run = self._node(key)
        if key.image and at == 0:
            raise UserError(
                f"The film begins with {key}, so no transition can lead to its edited picture.",
                "Move it later, or leave its edited picture out.",
            )
        placed = _Pinned(key, node, run, at, self._entry(key, node) if key.image else None)
        before, after = placed.spare(self.context.frames, self.margin)
        if before < 0 or after < 0:
            side = "start" if before < 0 else "end"
            raise UserError(
                f"The shot has no frames to spare at the {side} of {key}, so nothing can be joined to it there.",
                f"Choose frames {-min(before, after)} further from the {side} of the shot, "
                f"or place it at the {side} of the output.",
            )
        return placed

    def _entry(self, key: Keyframe, node: int) -> _Entry:
        """The cheapest match with a transition that ends right before a node, and all that are as long."""
        graph = self.context.graph
        ends = graph.target + graph.half.astype(np.int64)
        here = np.flatnonzero(ends == node)
        if not len(here):
            offsets, index = graph.offsets, self._footage(key)
            others = ends[(offsets[index] <= ends) & (ends < offsets[index + 1])] - offsets[index]
            nearest = others[np.abs(others - key.frame).argmin()] if len(others) else None
            raise UserError(
                f"No transition leads right to {key}, so its edited picture has no place."
                + ("" if nearest is None else f" The nearest frame with one is {nearest}."),
                "Let the keyframe begin at another frame, or leave its edited picture out.",
            )
        half = int(graph.half[here[np.argmin(graph.cost[here])]])
        sources = np.zeros(graph.nodes, dtype=bool)
        sources[graph.source[here[graph.half[here] == half]]] = True
        return _Entry(half, sources)

    def _alike(self, key: Keyframe, at: int) -> _Among:
        distances, tolerance = self.distances(key), key.tolerance or 0.0
        shown = self.context.features.shown
        nearest = max(float(one[shown].min()) for one in distances)
        if nearest > tolerance:
            raise UserError(
                f"No frame is as near to {key} as its tolerance of {tolerance:g} asks for.",
                f"Raise the tolerance to {math.ceil(nearest * 100) / 100:g}, or leave it out.",
            )
        near = [one <= tolerance for one in distances]
        return _Among(key, self._with_room(near), key.frames, at)

    def _in_footage(self, key: Keyframe, at: int) -> _Among:
        offsets, index = self.context.graph.offsets, self._footage(key)
        inside = np.zeros(self.context.graph.nodes, dtype=bool)
        inside[offsets[index] : offsets[index + 1]] = True
        return self._throughout(key, at, key.frames, inside)

    def _avoided(self, key: Keyframe, at: int) -> _Among:
        offsets, index = self.context.graph.offsets, self._footage(key)
        first, end = int(offsets[index]) + key.frame, int(offsets[index + 1])
        if first >= end:
            raise UserError(f"There is nothing for {key}: the footage ends before.", "Choose an earlier frame.")
        rest = self.context.frames - at
        frames = rest if math.isinf(key.seconds) else min(frames_of(key.seconds, self.context.graph.fps), rest)
        others = np.ones(self.context.graph.nodes, dtype=bool)
        others[first : min(first + key.frames, end)] = False
        return self._throughout(key, at, max(frames, 1), others)

    def _throughout(self, key: Keyframe, at: int, frames: int, wanted: _Mask) -> _Among:
        """The same is wanted at all times: only at the beginning and the end the room for transitions differs."""
        few = min(frames, 2 * self.margin + 1)
        middle, more = few // 2, frames - few
        pieces = tuple(
            Allowed(one.first + more * (one.first > middle), one.last + more * (one.last >= middle), one.nodes)
            for one in self._with_room([wanted] * few)
        )
        return _Among(key, pieces, frames, at)

    def _with_room(self, wanted: Sequence[_Mask]) -> tuple[Allowed, ...]:
        """Nodes that may be shown so that transitions, too, blend only what is wanted.

        A node at one time means that its neighbours in the run may be seen at the times beside, as far as a transition
        reaches: each of these must be wanted then.
        """
        nodes, first = self.context.graph.nodes, np.full(self.context.graph.nodes, -1)
        for a, b in self.context.graph.runs:
            first[a : b + 1] = a
        pieces = []
        for t in range(-self.margin, len(wanted) + self.margin):
            good = np.ones(nodes, dtype=bool)
            for k in range(max(-self.margin, -t), min(self.margin, len(wanted) - 1 - t) + 1):
                here, there = slice(max(-k, 0), nodes - max(k, 0)), slice(max(k, 0), nodes - max(-k, 0))
                good[here] &= wanted[t + k][there] | (first[here] != first[there])
            pieces.append(Allowed(t, t, good))
        return tuple(pieces)


def pin_keyframes(
    problem: Problem,
    keys: Sequence[Keyframe],
    context: SearchContext,
    margin: int,
    references: Mapping[str, MotionFeatures] | None = None,
    progress: Progress = SILENT,
) -> Problem:
    """The problem with all keyframes that are constraints; those that cost are `SoftKeyframes`.

    Parameters
    ----------
    problem : Problem
    keys : sequence of Keyframe
        By time.
    context : SearchContext
    margin : int
        Frames on either side that a transition may not change: half the longest transition.
    references : mapping of str to MotionFeatures
        Of each other footage that a pose is taken from, by `Keyframe.source`; see `strangers`.
    progress : Progress

    Raises
    ------
    UserError
        When a keyframe names a frame that cannot be shown, or the keyframes cannot all be met: then the message has
        the smallest shift of one keyframe that helps, where there is one.
    """
    scene = _Scene(context, margin, references or {})
    placed = [scene.placed(key) for key in keys if not key.costs]
    if not placed:
        return problem
    no_node, no_cut = np.zeros(problem.nodes), np.zeros(len(problem.source))
    table = Table(replace(problem, node_cost=lambda _: no_node, cut_cost=lambda _: no_cut))
    met = _all(problem, placed, margin)
    if not _feasible(table, problem, progress):
        return problem  # nor is there a film without them, which the search says
    if met is None or not _feasible(table, met, progress):
        raise _least_shift(table, placed, margin, round(FARTHEST_SHIFT * context.fps), progress)
    return met


def constrained(
    problem: Problem,
    key: Keyframe,
    context: SearchContext,
    margin: int,
    references: Mapping[str, MotionFeatures] | None = None,
) -> Problem | None:
    """The problem with one keyframe that is a constraint, met or not; None where there is no room for it.

    Raises
    ------
    UserError
        When the keyframe names what cannot be shown, whatever else is; see `pin_keyframes`.
    """
    return _Scene(context, margin, references or {}).placed(key).added(problem, margin)


def meant_by(key: Keyframe, context: SearchContext) -> list[int]:
    """The footages, by number in the graph, that a keyframe may mean: one where it names one of them."""
    names = {footage.id: footage.name for footage in context.footages}
    return [index for index, id_ in enumerate(context.graph.footages) if key.footage in (id_, names[id_])]


def with_images(
    transitions: Sequence[Transition], keys: Iterable[Keyframe], context: SearchContext
) -> tuple[Transition, ...]:
    """The transitions of a path, those that lead right to a keyframe with an edited picture with that picture."""
    pictures = {
        (frames_of(key.at, context.graph.fps), context.graph.footages[index], key.frame): str(key.image)
        for key in keys
        if key.image
        for index in meant_by(key, context)
    }
    return tuple(
        replace(one, to_image=pictures.get((one.at + one.frames, one.to.footage, one.to.frame))) for one in transitions
    )


def strangers(keys: Iterable[Keyframe], names: Mapping[str, str]) -> list[Keyframe]:
    """The keyframes whose pose comes from other footage than that with these names, by content hash."""
    known = {*names, *names.values()}
    return [key for key in keys if key.mode == "pose" and key.source not in known]


@dataclass(frozen=True)
class SoftKeyframes:
    """The keyframes that cost instead of being constraints, as a wish; others among `keys` are left out.

    Attributes
    ----------
    keys : sequence of Keyframe
    references : mapping of str to MotionFeatures
        See `pin_keyframes`.
    """

    keys: Sequence[Keyframe]
    references: Mapping[str, MotionFeatures] = field(default_factory=dict)

    def condition(self, context: SearchContext, progress: Progress) -> KeyframeCondition:
        """See `Asked.condition`."""
        return KeyframeCondition.of(self.keys, context, self.references, progress)


@dataclass(frozen=True)
class KeyframeCondition:
    """Frames like the wanted ones at their times: their distance is a cost.

    Attributes
    ----------
    costs : mapping of int to float64 [N]
        By output frame.
    about : dict
        The keyframes.
    """

    costs: Mapping[int, NDArray[np.float64]]
    about: dict[str, Any]
    name: str = "keyframes"

    @classmethod
    def of(
        cls,
        keys: Sequence[Keyframe],
        context: SearchContext,
        references: Mapping[str, MotionFeatures],
        progress: Progress,
    ) -> Self:
        """Price the distance to each of the wanted frames: `PRICE` for a second at the graph's threshold.

        Raises
        ------
        UserError
            When a keyframe names a frame that is not there, or lies beyond the film's end.
        """
        keys = [key for key in keys if key.costs]
        costs: dict[int, NDArray[np.float64]] = {}
        scene = _Scene(context, 0, references)
        for number, key in enumerate(keys):
            progress.update(number / len(keys))
            for t, distance in enumerate(scene.distances(key), scene.start(key)):
                costs[t] = costs.get(t, 0.0) + distance * (key.weight * PRICE / context.fps)
        return cls(costs, {"keyframes": [_about(key) for key in keys]})

    def node_cost(self, frame: int) -> NDArray[np.float64] | None:
        """See `Condition.node_cost`."""
        return self.costs.get(frame)

    def cut_cost(self, frame: int) -> NDArray[np.float64] | None:
        """See `Condition.cut_cost`."""
        del frame  # a cut costs nothing
        return None


def _about(key: Keyframe) -> dict[str, Any]:
    return {
        "at": key.at,
        "mode": key.mode,
        "of": key.source,
        "frame": key.frame,
        "frames": key.frames,
        "weight": key.weight,
    }


def _all(problem: Problem, placed: Iterable[_Placed], margin: int) -> Problem | None:
    """The problem with all of them; None where one does not fit or two want different nodes at one time."""
    for one in placed:
        more = one.added(problem, margin)
        if more is None:
            return None
        problem = more
    return problem


def _feasible(table: Table, problem: Problem, progress: Progress) -> bool:
    return table.solve(barred_by(problem), progress=progress) is not None


def _least_shift(table: Table, placed: list[_Placed], margin: int, farthest: int, progress: Progress) -> UserError:
    """The error that names the first keyframe that cannot be met, and the least shift of one that helps."""

    def met(some: Sequence[_Placed]) -> bool:
        problem = _all(table.problem, some, margin)
        return problem is not None and _feasible(table, problem, progress)

    culprit = next(k for k in range(len(placed)) if k == len(placed) - 1 or not met(placed[: k + 1]))
    key = placed[culprit].key
    if key.mode == "avoid":
        return UserError(
            f"The keyframes cannot all be met: no path is left without what {key} names.",
            "Avoid fewer frames, or avoid them for a shorter time.",
        )
    for distance in range(1, farthest + 1):
        progress.update(distance / farthest)
        for index in range(culprit, max(culprit - 2, -1), -1):
            still = placed[index].key.said or placed[index].key.mode == "avoid"
            for by in () if still else (distance, -distance):
                moved = replace(placed[index], at=placed[index].at + by)
                if met([*placed[:index], moved, *placed[index + 1 :]]):
                    return UserError(
                        f"The keyframes cannot all be met: nothing leads to {key} in time.",
                        f"Move {placed[index].key} by {distance} frame{'s' if distance > 1 else ''} "
                        f"{'later' if by > 0 else 'earlier'}.",
                    )
    if key.said:
        return UserError(
            f"The film cannot be as asked for: nothing leads to {key} in time.",
            "Choose another frame, another length, or more footage to cut between.",
        )
    here = placed[culprit]
    if isinstance(here, _Pinned) and here.entry and met([*placed[:culprit], replace(here, entry=None)]):
        return UserError(
            f"The keyframes cannot all be met: no transition leads right to the edited picture of {key} in time.",
            "Leave the picture out, or choose another frame: no small shift of one keyframe helps.",
        )
    other = "give it a larger tolerance" if key.tolerance else "choose another frame"
    return UserError(
        f"The keyframes cannot all be met: nothing leads to {key} in time.",
        f"Take it out, or {other}: no small shift of one keyframe helps.",
    )
