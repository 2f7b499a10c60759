"""Beats: found in music, edited by a person, kept in files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..files import write_json
from ..progress import SILENT, Progress

Kind = Literal["beat", "bar", "onset", "mark"]
SAME = 0.05
"""Seconds within which an onset and a beat are one event."""


@dataclass(frozen=True)
class Beat:
    """A moment of the music that motion can meet.

    Attributes
    ----------
    time : float
        Seconds from the start of the music that is used.
    kind : {"beat", "bar", "onset", "mark"}
        A beat; a beat that begins a bar; an attack away from the beats; a moment that a person marked.
    strength : float
        0 to 1.
    """

    time: float
    kind: Kind
    strength: float

    @property
    def pulse(self) -> bool:
        """Whether it belongs to the regular grid: a beat or the beginning of a bar."""
        return self.kind in ("beat", "bar")


def detect_beats(
    path: Path, *, start: float = 0.0, seconds: float | None = None, progress: Progress = SILENT
) -> list[Beat]:
    """Find the beats, bars and onsets of a piece of music, or of a video's sound.

    Parameters
    ----------
    path : Path
    start, seconds : float
        The part of the music that is used; times count from `start`.
    progress : Progress

    Returns
    -------
    list of Beat
        By time. Bars only where the music says clearly where they begin; onsets only away from the beats (a beat's own
        attack is its strength). Empty for silence.

    Raises
    ------
    UserError
        When the file cannot be read (`vmg_backend.audio.decode.load_audio`).
    """
    from .decode import load_audio
    from .rhythm import RATE

    progress.update(0.0)
    samples, _ = load_audio(path, start=start, seconds=seconds, rate=RATE, progress=progress)
    progress.update(0.2)
    return beats_in(samples, progress.part(0.2, 1.0))


def beats_in(samples: NDArray[np.float32], progress: Progress = SILENT) -> list[Beat]:
    """The same for samples [N], `rhythm.RATE` a second."""
    from .rhythm import find_rhythm

    rhythm = find_rhythm(samples, progress)
    grid: list[Beat] = [
        Beat(float(time), "bar" if bar else "beat", float(strength))
        for time, bar, strength in zip(rhythm.beats, rhythm.downbeats, rhythm.beat_strengths, strict=True)
    ]
    onsets: list[Beat] = [
        Beat(float(time), "onset", float(strength))
        for time, strength in zip(rhythm.onsets, rhythm.onset_strengths, strict=True)
        if np.abs(rhythm.beats - time).min(initial=np.inf) > SAME
    ]
    return _sorted(grid + onsets)


def tempo_of(beats: Sequence[Beat]) -> float:
    """Mean beats per minute; 0 without beats."""
    pulse = [beat.time for beat in beats if beat.pulse]
    return 60 * (len(pulse) - 1) / (pulse[-1] - pulse[0]) if len(pulse) > 1 else 0.0


def halve(beats: Sequence[Beat]) -> list[Beat]:
    """Keep every second beat, so that as many bars as can be stay; the others become onsets."""
    pulses = [beat for beat in beats if beat.pulse]
    bars = [sum(beat.kind == "bar" for beat in pulses[parity::2]) for parity in (0, 1)]
    return _with_grid(beats, pulses[int(bars[1] > bars[0]) :: 2])


def double(beats: Sequence[Beat]) -> list[Beat]:
    """Put a beat half way between each two; an onset there becomes the beat."""
    pulses = [beat for beat in beats if beat.pulse]
    return _with_grid(beats, [*pulses, *_between(pulses)])


def flip(beats: Sequence[Beat]) -> list[Beat]:
    """Move the beats by half a beat, for a grid that was locked to the off-beats.

    Each beat goes half way to the next, bars with it, so the last one ends the grid; before the first one a beat is
    added where there is room. The old beats become onsets, and onsets at the new ones become beats.
    """
    pulses = [beat for beat in beats if beat.pulse]
    if len(pulses) < 2:
        return list(beats)
    moved = [replace(new, kind=old.kind) for old, new in zip(pulses, _between(pulses), strict=False)]
    first = pulses[0].time - (pulses[1].time - pulses[0].time) / 2
    lead: list[Beat] = [Beat(first, "beat", pulses[0].strength)] if first >= 0 else []
    return _with_grid(beats, lead + moved)


def offset(beats: Sequence[Beat], seconds: float) -> list[Beat]:
    """Move everything later by `seconds` (earlier when negative); what would lie before 0 is left out."""
    return [replace(beat, time=beat.time + seconds) for beat in beats if beat.time + seconds >= 0]


def _between(pulses: Sequence[Beat]) -> list[Beat]:
    return [
        Beat((one.time + other.time) / 2, "beat", (one.strength + other.strength) / 2)
        for one, other in pairwise(pulses)
    ]


def _with_grid(beats: Sequence[Beat], grid: Iterable[Beat]) -> list[Beat]:
    """Let `grid` be the pulses: sounds at its beats give them their strength, sounds elsewhere are onsets."""
    sounds = [beat for beat in beats if beat.kind != "mark"]
    marks = [beat for beat in beats if beat.kind == "mark"]
    pulses: list[Beat] = []
    taken: set[int] = set()
    times = np.array([beat.time for beat in sounds])
    for pulse in grid:
        away = np.abs(times - pulse.time)
        taken.update(np.flatnonzero(away <= SAME).tolist())
        nearest = int(away.argmin())
        pulses.append(replace(pulse, strength=sounds[nearest].strength) if away[nearest] <= SAME else pulse)
    onsets = [replace(beat, kind="onset") for index, beat in enumerate(sounds) if index not in taken]
    return _sorted(pulses + onsets + marks)


def _sorted(beats: Iterable[Beat]) -> list[Beat]:
    return sorted(beats, key=lambda beat: beat.time)


def save_beats(path: Path, beats: Sequence[Beat]) -> None:
    """Write ``[{"time", "kind", "strength"}]`` as JSON, whole or not at all.

    Raises
    ------
    UserError
        When the file cannot be written.
    """
    write_json(path, [asdict(beat) for beat in beats])


def load_beats(path: Path) -> list[Beat]:
    """Read a beats file: the JSON of `save_beats`, or text.

    A text file has a line ``seconds [position in bar]`` for each beat, position 1 being the beginning of a bar, as
    human annotations are published; strengths are then 1.

    Raises
    ------
    UserError
        When the file is missing or holds something else; names the line or the entry.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UserError(f"There is no beats file {path}.", "Check the path.", title="File not found") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path.name} is no text file.", _FORMATS) from error
    except PermissionError as error:
        raise UserError(f"{path} may not be read.", "Change its permissions, or copy it.") from error
    return _from_json(path, text) if text.lstrip().startswith(("[", "{")) else _from_text(path, text)


_FORMATS = (
    'Give a JSON list of {"time": seconds, "kind": "beat", "strength": 0 to 1}, or lines "seconds [position in bar]".'
)


def _from_json(path: Path, text: str) -> list[Beat]:
    try:
        entries = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"Line {error.lineno} of {path.name} is no valid JSON: {error.msg}.", _FORMATS) from error
    if not isinstance(entries, list):
        raise UserError(f"{path.name} holds no list of beats.", _FORMATS)
    beats: list[Beat] = []
    for number, entry in enumerate(entries, 1):
        where = f"Entry {number} of {path.name}"
        if not isinstance(entry, dict) or not {"time", "kind", "strength"} <= entry.keys():
            raise UserError(f"{where} lacks a time, a kind or a strength.", _FORMATS)
        time = _time(where, entry["time"], beats)
        kind, strength = entry["kind"], entry["strength"]
        if kind not in get_args(Kind):
            raise UserError(f"{where} has the unknown kind {kind!r}.", f"Use one of {', '.join(get_args(Kind))}.")
        if not _number(strength) or not 0 <= strength <= 1:
            raise UserError(f"{where} has the strength {strength!r}.", "Give a strength from 0 to 1.")
        beats.append(Beat(time, kind, float(strength)))
    return beats


def _from_text(path: Path, text: str) -> list[Beat]:
    beats: list[Beat] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        where = f"Line {number} of {path.name}"
        try:
            seconds = float(words[0])
            position = int(words[1]) if len(words) > 1 else 0
        except ValueError as error:
            raise UserError(f'{where} reads "{line.strip()[:60]}".', _FORMATS) from error
        if len(words) > 2 or (len(words) == 2 and position < 1):
            raise UserError(f'{where} reads "{line.strip()[:60]}".', _FORMATS)
        beats.append(Beat(_time(where, seconds, beats), "bar" if position == 1 else "beat", 1.0))
    if not beats:
        raise UserError(f"{path.name} holds no beats.", _FORMATS)
    return beats


def _number(value: Any) -> bool:  # noqa: ANN401 - whatever JSON holds
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _time(where: str, value: Any, before: Sequence[Beat]) -> float:  # noqa: ANN401 - whatever a file holds
    if not _number(value) or value < 0:
        raise UserError(f"{where} has the time {value!r}.", "Give times in seconds, 0 or more.")
    if before and value < before[-1].time:
        raise UserError(f"{where} ({value:g} s) lies before the one above it.", "Sort the beats by time.")
    return float(value)
