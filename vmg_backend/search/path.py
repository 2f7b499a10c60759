"""The result of a search: segments of untouched footage and the transitions between them."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path as FilePath
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..files import write_json
from ..graph.motion_graph import MotionGraph
from ..interpolation.interpolator import crossing_weights
from .problem import Route

FORMAT, VERSION = "vmg-path", 1

_ROUNDING = 1e-6
"""Source frames."""


@dataclass(frozen=True)
class FootageEntry:
    """A footage as a path names it."""

    name: str
    path: str
    fps: str
    size: tuple[int, int]
    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class FrameOf:
    """A frame of a footage (by content hash)."""

    footage: str
    frame: int


@dataclass(frozen=True)
class Segment:
    """Source frames `first` to `last` (inclusive), shown as they are from output frame `at` on.

    At another `speed` than 1, in source frames for each output frame, some of them are left out or shown twice, evenly;
    the first and the last are not.
    """

    footage: str
    first: int
    last: int
    at: int
    speed: float = 1.0

    @property
    def frames(self) -> int:
        """Number of output frames."""
        return round((self.last - self.first) / self.speed) + 1

    @property
    def sources(self) -> NDArray[np.int64]:
        """The source frame that each output frame shows."""
        return self.first + evenly(self.last - self.first + 1, self.frames)


@dataclass(frozen=True)
class Transition:
    """`frames` generated frames from output frame `at` on, in place of real ones around a match.

    Attributes
    ----------
    id : int
        Position in the path.
    from_, to : FrameOf
        The real frames right before and right after.
    match : tuple of int
        (i, j + 1): after frame i of the one footage the person goes on as in frame j + 1 of the other.
    at, frames : int
        Output frames.
    engine : str or None
        What filled it; None while nothing has.
    cost : float
        Cost of the match, m.
    connector : bool
        Whether the edge is one of the graph's connectors.
    frames_dir : str or None
        Folder of the generated frames, 0000.png and on.
    hash : str or None
        Of everything that decides the generated pixels.
    pinned : bool
        Kept as it is when the take is rendered again.
    linear : bool or None
        Whether straight lines between its ends would stay near the blend of both real continuations; None while
        nobody looked, or where it cannot be told. A property of the match, so no part of what is compared.
    to_image : str or None
        An edited picture that engines are given in place of the real frame right after.
    """

    id: int
    from_: FrameOf
    to: FrameOf
    match: tuple[int, int]
    at: int
    frames: int
    engine: str | None
    cost: float
    connector: bool
    frames_dir: str | None = None
    hash: str | None = None
    pinned: bool = False
    linear: bool | None = field(default=None, compare=False)
    to_image: str | None = None

    @property
    def half(self) -> int:
        """Generated frames on either side of the cut."""
        return self.frames // 2


@dataclass(frozen=True)
class Sound:
    """The part of a sound file that lies under the film."""

    path: str
    start: float
    seconds: float


@dataclass(frozen=True)
class Path:
    """What PATH.json holds; see the fields of the same names in docs/design/contracts.md."""

    fps: Fraction
    frames: int
    footages: dict[str, FootageEntry]
    segments: tuple[Segment, ...]
    transitions: tuple[Transition, ...]
    audio: Sound | None
    beats: tuple[dict[str, Any], ...]
    cost: float
    bound: float
    gap: float
    costs: dict[str, float]
    beat_alignment: dict[str, Any] | None
    reuse_window: float
    seed: int
    versions: dict[str, str] = field(default_factory=dict)
    conditions: dict[str, dict[str, Any]] = field(default_factory=dict)
    explanation: dict[str, Any] | None = None

    @property
    def seconds(self) -> float:
        """Duration."""
        return float(self.frames / self.fps)

    @property
    def speeds(self) -> NDArray[np.float64]:
        """Source frames from the output frame before to each one [T]: 1 but inside of segments that are warped."""
        speeds = np.ones(self.frames)
        for segment in self.segments:
            speeds[segment.at + 1 : segment.at + segment.frames] = segment.speed
        return speeds

    def as_dict(self) -> dict[str, Any]:
        """The path as JSON."""
        result = {"format": FORMAT, "version": VERSION, **asdict(self)}
        result["fps"] = f"{self.fps.numerator}/{self.fps.denominator}"
        result["seconds"] = self.seconds
        for transition in result["transitions"]:
            transition["from"] = transition.pop("from_")
        return result

    def save(self, file: FilePath) -> None:
        """Write PATH.json, whole or not at all."""
        write_json(file, self.as_dict())

    @classmethod
    def load(cls, file: FilePath) -> Self:
        """Read PATH.json.

        Raises
        ------
        UserError
            When it is not there, or no path of this version.
        """
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(
                f"There is no file {file} that can be read.", "Make one with `vmg search ... --out PATH.json`."
            ) from error
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise UserError(f"{file.name} is not JSON ({error}).", "Give the file that `vmg search` wrote.") from error
        path = cls.from_dict(data, file.name, "Make it again with `vmg search ... --out PATH.json`.")
        folder = file.resolve().parent  # which folders of generated frames may be relative to
        return path.with_transitions(
            [
                replace(one, frames_dir=str(folder / one.frames_dir)) if one.frames_dir else one
                for one in path.transitions
            ]
        )

    @classmethod
    def from_dict(cls, data: Any, name: str, remedy: str) -> Self:  # noqa: ANN401 - whatever the JSON holds
        """The path of which `as_dict` made `data`; `name` and `remedy` are for the person where it is none.

        Raises
        ------
        UserError
        """
        if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("version") != VERSION:
            raise UserError(f"{name} is not a path of version {VERSION}.", remedy)
        try:
            path = cls(
                fps=Fraction(data["fps"]),
                frames=data["frames"],
                footages={
                    key: FootageEntry(**{**entry, "size": tuple(entry["size"]), "ranges": _pairs(entry["ranges"])})
                    for key, entry in data["footages"].items()
                },
                segments=tuple(Segment(**segment) for segment in data["segments"]),
                transitions=tuple(_transition(entry) for entry in data["transitions"]),
                audio=Sound(**data["audio"]) if data["audio"] else None,
                beats=tuple(data["beats"]),
                **{name: data[name] for name in ("cost", "bound", "gap", "costs", "beat_alignment")},
                **{name: data[name] for name in ("reuse_window", "seed", "versions")},
                conditions=data.get("conditions", {}),
                explanation=data.get("explanation"),
            )
            path.check()
            return path
        except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
            raise UserError(f"{name} is damaged: {error}.", remedy) from error

    def check(self) -> None:
        """Make sure that segments and transitions lie end to end and name known footages.

        Raises
        ------
        ValueError
            Says what is wrong.
        """
        if self.fps <= 0 or any(Fraction(entry.fps) <= 0 for entry in self.footages.values()):
            raise ValueError("a rate that is not above 0")
        pieces = [(s.at, s.frames, s.footage) for s in self.segments]
        pieces += [(t.at, t.frames, t.from_.footage) for t in self.transitions]
        at = 0
        for start, frames, footage in sorted(pieces):
            if start != at or frames < 1:
                raise ValueError(f"segments and transitions do not meet at frame {at}")
            if footage not in self.footages:
                raise ValueError(f"a footage {footage} that is not listed")
            at += frames
        if at != self.frames or not self.segments:
            raise ValueError(f"{self.frames} frames, but segments and transitions for {at}")
        for transition in self.transitions:
            if transition.frames % 2 or len(transition.match) != 2 or transition.to.footage not in self.footages:
                raise ValueError(f"transition {transition.id}")
        for segment in self.segments:
            if (
                segment.first < 0
                or abs((segment.frames - 1) * segment.speed - segment.last + segment.first) > _ROUNDING
            ):
                raise ValueError("a segment with a negative frame, or of no whole number of output frames")

    def with_transitions(self, transitions: list[Transition]) -> Self:
        """The same path with these transitions."""
        return replace(self, transitions=tuple(transitions))


def _pairs(ranges: list[list[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((int(first), int(last)) for first, last in ranges)


def _transition(entry: dict[str, Any]) -> Transition:
    entry = dict(entry)
    return Transition(
        from_=FrameOf(**entry.pop("from")),
        to=FrameOf(**entry.pop("to")),
        match=tuple(entry.pop("match")),
        **entry,
    )


def evenly(frames: int, shown: int) -> NDArray[np.int64]:
    """The nearest of so many frames, counted from 0, at each of `shown` moments from the first to the last."""
    return np.asarray(np.floor(np.linspace(0, frames - 1, shown) + 0.5 + _ROUNDING), dtype=np.int64)


def frames_of(seconds: float, fps: Fraction) -> int:
    """round(seconds * fps), half up."""
    return math.floor(Fraction(seconds).limit_denominator(1_000_000) * fps + Fraction(1, 2))


def output_joints(route: Route, graph: MotionGraph, joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """Joints [T, J, D] that the performance will show: through a transition, the blend of both continuations."""
    shown = joints[route.nodes].copy()
    for cut, edge in route.cuts:
        half, source, target = int(graph.half[edge]), int(graph.source[edge]), int(graph.target[edge])
        offsets = np.arange(1 - half, half + 1)
        weight = crossing_weights(2 * half)[:, None, None]
        shown[cut - half : cut + half] = (1 - weight) * joints[source + offsets] + weight * joints[target - 1 + offsets]
    return shown


def between(values: NDArray[np.float64], moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values [T, ...] at moments [n] between them, in proportion."""
    before = moments.astype(int)
    share = (moments - before).reshape(-1, *(1,) * (values.ndim - 1))
    return np.asarray((1.0 - share) * values[before] + share * values[np.minimum(before + 1, len(values) - 1)])
