"""The timeline as protocol records: footage, sound, beats, keyframes, and which stretch of time a take is for.

Only what must be noted on strips to read them again is written: roles, ids, lengths of files, the rows of footages.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import bpy

from ...vmg_backend.errors import UserError
from ...vmg_backend.protocol import BeatAt, FootageUse, KeyAt, Sound, SoundPiece, Wish
from .. import compat

KEYS_CHANNEL = "VMG Keys"
SAME_RATE = 1e-4
"""Relative distance below which two frame rates are the same."""


@dataclass(frozen=True)
class TakeRange:
    """The timeline frames [start, start + frames) that a take is for."""

    start: int
    frames: int

    @property
    def end(self) -> int:
        """The frame after its last one."""
        return self.start + self.frames


# Roles


def use_as_footage(strips: Iterable[bpy.types.Struct]) -> None:
    """Let what is visible of these movie strips be used as footage.

    Raises
    ------
    UserError
        When one of them cannot be footage.
    """
    chosen = list(strips)
    for strip in chosen:
        if strip.type != "MOVIE" or strip.vmg.role in ("KEY", "PIECE"):
            raise UserError(f"“{strip.name}” is no strip of a video.", "Select movie strips outside of takes.")
        if not file_of(strip).is_file():
            raise UserError(
                f"The file of “{strip.name}” is not where it was: {file_of(strip)}.",
                "Locate it, or remove the strip.",
                title="File not found",
            )
    for strip in chosen:
        strip.vmg.role = "FOOTAGE"
        compat.measure(strip)


def use_as_music(strips: Iterable[bpy.types.Struct]) -> None:
    """Let these sound strips be the music.

    Raises
    ------
    UserError
        When one of them is no sound.
    """
    chosen = list(strips)
    for strip in chosen:
        if strip.type != "SOUND":
            raise UserError(f"“{strip.name}” is no sound strip.", "Select sound strips.")
    for strip in chosen:
        strip.vmg.role = "MUSIC"


def footage(scene: bpy.types.Scene) -> list[bpy.types.Struct]:
    """The movie strips that are footage, muted ones too, in the order of their time."""
    on_keys = key_strips(scene)
    return _by_time(
        strip
        for strip in _strips(scene)
        if strip.vmg.role == "FOOTAGE" and strip.type == "MOVIE" and strip not in on_keys
    )


def music(scene: bpy.types.Scene) -> list[bpy.types.Struct]:
    """The music strips that are heard, in the order of their time."""
    if scene.sequence_editor is None:
        return []
    channels = scene.sequence_editor.channels
    return _by_time(
        strip
        for strip in _strips(scene)
        if strip.vmg.role == "MUSIC" and strip.type == "SOUND" and not strip.mute and not channels[strip.channel].mute
    )


def file_of(strip: bpy.types.Struct) -> Path:
    """The absolute path of a strip's file."""
    return absolute(strip.sound.filepath if strip.type == "SOUND" else strip.filepath)


# Footage


def sync_footages(scene: bpy.types.Scene) -> None:
    """Bring the rows of the scene's footages in line with its strips; what is known of a file is kept."""
    rows = scene.vmg.footages
    used: dict[Path, str] = {}
    for strip in footage(scene):
        used.setdefault(file_of(strip), strip.filepath)
    for index in reversed(range(len(rows))):
        if absolute(rows[index].path) not in used:
            rows.remove(index)
    known = {absolute(row.path): index for index, row in enumerate(rows)}
    for file, path in used.items():
        row = rows[known[file]] if file in known else rows.add()
        row.path, row.name, row.missing = path, file.name, not file.is_file()
    scene.vmg.footage_index = min(scene.vmg.footage_index, max(0, len(rows) - 1))


def footage_uses(scene: bpy.types.Scene) -> tuple[FootageUse, ...]:
    """The footages as the backend wants them: each file once, with all its visible ranges.

    Raises
    ------
    UserError
        When there is none, or a file is not there.
    """
    rows = {absolute(row.path): row for row in scene.vmg.footages}
    ranges: dict[Path, list[tuple[int, int]]] = {}
    lengths: dict[Path, int] = {}
    for strip in footage(scene):
        if strip.mute:
            continue
        file = file_of(strip)
        if not file.is_file():
            raise UserError(
                f"The footage {file.name} is not where it was: {file}.",
                "Locate it in Setup, or remove its strips.",
                title="Footage not found",
            )
        compat.measure(strip)
        lengths[file] = strip.vmg.source_frames
        shown = [compat.source_frame(strip, frame) for frame in (compat.start(strip), compat.end(strip) - 1)]
        ranges.setdefault(file, []).append((min(shown), max(shown)))
    if not ranges:
        raise UserError(
            "There is no footage yet.", "Select a movie strip and press Use as Footage.", title="No footage"
        )
    uses = []
    for file, seen in ranges.items():
        row, merged = rows.get(file), _merged(seen)
        rate = str(compat.scene_rate(scene)) if row and row.use_scene_rate else None
        whole = merged == ((0, lengths[file] - 1),)
        uses.append(FootageUse(str(file), rate, None if whole else merged))
    return tuple(uses)


def check_rates(scene: bpy.types.Scene) -> None:
    """Make sure that a take's frames, which are the footages', can be the scene's.

    Raises
    ------
    UserError
        When a footage has another rate than the scene.
    """
    wanted = compat.scene_rate(scene)
    for row in scene.vmg.footages:
        if row.fps and not row.use_scene_rate and not same_rate(Fraction(row.fps), wanted):
            raise UserError(
                f"{row.name} has {_spoken(Fraction(row.fps))} frames per second, the scene {_spoken(wanted)}.",
                "Press Match Scene; or, if the file is wrong about its motion, set “Motion Has the Scene's Rate”.",
                title="Frame rates differ",
            )


# Time and sound


def take_range(scene: bpy.types.Scene) -> TakeRange:
    """The stretch of time that a new take is for.

    Raises
    ------
    UserError
        When it is to follow the music and there is none.
    """
    settings = scene.vmg
    if settings.length_mode == "MUSIC":
        heard = music(scene)
        if not heard:
            raise UserError("There is no music.", "Choose music, or another length for the take.", title="No music")
        first = min(compat.start(strip) for strip in heard)
        return TakeRange(first, max(compat.end(strip) for strip in heard) - first)
    ends = (scene.frame_start, scene.frame_end)
    if scene.use_preview_range:
        ends = (scene.frame_preview_start, scene.frame_preview_end)
    if settings.length_mode == "RANGE":
        return TakeRange(ends[0], ends[1] - ends[0] + 1)
    return TakeRange(ends[0], max(1, int(settings.seconds * float(compat.scene_rate(scene)) + 0.5)))


def sound(scene: bpy.types.Scene, taken: TakeRange) -> Sound:
    """What is heard while the take is shown.

    Raises
    ------
    UserError
        When a file is not there, or its speed is not known.
    """
    rate = compat.scene_rate(scene)
    pieces = []
    for strip in music(scene):
        if compat.start(strip) >= taken.end or compat.end(strip) <= taken.start:
            continue
        file = file_of(strip)
        if not file.is_file():
            raise UserError(
                f"The music {file.name} is not where it was: {file}.",
                "Choose the file again in the strip's settings, or remove the strip.",
                title="Music not found",
            )
        begins, speed = compat.heard_from(strip)
        at = float((compat.start(strip) - taken.start) / rate)
        seconds = float(compat.duration(strip) / rate)
        if begins < 0:  # silence before the file's first sample
            silent = -begins / speed
            begins, at, seconds = 0.0, at + silent, seconds - silent
        if seconds > 0:
            pieces.append(SoundPiece(str(file), begins, at, seconds, float(strip.volume), speed))
    return Sound(tuple(pieces), float(taken.frames / rate))


# Beats and keyframes


def beats(scene: bpy.types.Scene, taken: TakeRange) -> tuple[BeatAt, ...]:
    """The markers during the take as beats; what the person marked is a "mark", a camera's marker is none."""
    rate = compat.scene_rate(scene)
    found = [
        BeatAt(float((marker.frame - taken.start) / rate), kind_of(marker), float(marker.vmg.strength))
        for marker in scene.timeline_markers
        if marker.camera is None and taken.start <= marker.frame < taken.end
    ]
    return tuple(sorted(found, key=lambda beat: (beat.time, beat.kind)))


def kind_of(marker: bpy.types.TimelineMarker) -> str:
    """The kind of beat, in the protocol's words."""
    return str(marker.vmg.kind).lower() if marker.vmg.detected else "mark"


def keys_channel(scene: bpy.types.Scene) -> int | None:
    """The channel of the keyframes, where there is one."""
    if scene.sequence_editor is None:
        return None
    channels = scene.sequence_editor.channels
    return next((number for number in range(1, len(channels)) if channels[number].name == KEYS_CHANNEL), None)


def key_strips(scene: bpy.types.Scene) -> list[bpy.types.Struct]:
    """All strips on the keyframes' channel, in the order of their time."""
    channel = keys_channel(scene)
    if channel is None:
        return []
    return _by_time(strip for strip in compat.strips(scene.sequence_editor) if strip.channel == channel)


def adopt_keys(scene: bpy.types.Scene) -> None:
    """Let each movie strip on the keyframes' channel be a keyframe with an id of its own; all others are none."""
    there = [strip for strip in key_strips(scene) if strip.type == "MOVIE"]
    for strip in _strips(scene):
        if strip.vmg.role == "KEY" and strip not in there:
            strip.vmg.role = "NONE"
    seen = set()
    for strip in sorted(there, key=lambda strip: strip.vmg.role != "KEY"):
        if strip.vmg.role != "KEY" or not strip.vmg.uid or strip.vmg.uid in seen:
            strip.vmg.uid = uuid.uuid4().hex[:8]
        strip.vmg.role = "KEY"
        seen.add(strip.vmg.uid)


def keys(scene: bpy.types.Scene, taken: TakeRange) -> tuple[KeyAt, ...]:
    """The keyframes during the take; of one that reaches beyond it, the part inside.

    Raises
    ------
    UserError
        When one cannot be shown as it is.
    """
    adopt_keys(scene)
    found: list[KeyAt] = []
    for strip in key_strips(scene):
        first, last = max(compat.start(strip), taken.start), min(compat.end(strip), taken.end) - 1
        if strip.mute or first > last:
            continue
        if strip.type != "MOVIE":
            raise UserError(
                f"“{strip.name}” on the channel {KEYS_CHANNEL} is no movie strip.", "Move it to another channel."
            )
        compat.measure(strip)
        begins, ends = compat.source_frame(strip, first), compat.source_frame(strip, last)
        if ends - begins != last - first:
            raise UserError(
                f"The keyframe “{strip.name}” does not show successive frames of its file.",
                "It is stretched, retimed, reversed, or longer than its file: replace it by a new keyframe.",
                title="Keyframe cannot be kept",
            )
        at = first - taken.start
        if found and found[-1].at + found[-1].frames > at:
            raise UserError(f"The keyframe “{strip.name}” overlaps the one before it.", "Move or trim one of them.")
        found.append(KeyAt(strip.vmg.uid, at, str(footage_file(scene, strip)), begins, last - first + 1))
    return tuple(found)


def wish(scene: bpy.types.Scene, library: str) -> Wish:
    """All that a take is asked for.

    Raises
    ------
    UserError
        When something is missing or does not fit.
    """
    uses, taken, settings = footage_uses(scene), take_range(scene), scene.vmg
    check_rates(scene)
    return Wish(
        footages=uses,
        frames=taken.frames,
        beats=beats(scene, taken),
        keys=keys(scene, taken),
        seed=settings.seed,
        hold_seconds=round(settings.hold_seconds, 6),
        cut_price=round(settings.cut_price, 6),
        reuse_seconds=round(settings.reuse_seconds, 6) or None,
        library=library,
    )


def footage_file(scene: bpy.types.Scene, strip: bpy.types.Struct) -> Path:
    """The footage that a keyframe or a piece of a take shows, which may be by a copy.

    Raises
    ------
    UserError
        When it is none of the scene's footages.
    """
    file = file_of(strip)
    for row in scene.vmg.footages:
        if absolute(row.path) == file or (strip.vmg.footage and strip.vmg.footage == row.footage):
            return absolute(row.path)
    raise UserError(
        f"“{strip.name}” shows {file.name}, which is not used as footage.",
        "Use a strip of that file as footage, or remove this one.",
        title="Not used as footage",
    )


def _strips(scene: bpy.types.Scene) -> list[bpy.types.Struct]:
    return compat.all_strips(scene.sequence_editor) if scene.sequence_editor else []


def _by_time(strips: Iterable[bpy.types.Struct]) -> list[bpy.types.Struct]:
    return sorted(strips, key=lambda strip: (compat.start(strip), strip.channel))


def absolute(path: str) -> Path:
    """A path as Blender keeps it ("//" for the .blend's folder), made absolute."""
    return Path(os.path.normpath(bpy.path.abspath(path)))


def _merged(ranges: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def same_rate(one: Fraction, other: Fraction) -> bool:
    """Whether two frame rates are the same, but for what Blender's single precision takes away."""
    return abs(one - other) <= SAME_RATE * other


def _spoken(rate: Fraction) -> str:
    return f"{float(rate):.5g}"
