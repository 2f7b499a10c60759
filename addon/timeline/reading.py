"""The timeline as protocol records: footage, sound, beats, keyframes, and which stretch of time a take is for.

What is wanted of a take beside these is read by `actions`; all of it together is a wish (`conditions`).

Only what must be noted on strips to read them again is written: roles, ids, lengths of files, the rows of footages.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import bpy

from ...vmg_backend.errors import UserError
from ...vmg_backend.protocol import BeatAt, FootageUse, KeyAt, Sound, SoundPiece
from .. import compat
from . import channels
from .channels import by_time

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
    _use_sounds(strips, "MUSIC")


def use_as_speech(strips: Iterable[bpy.types.Struct]) -> None:
    """Let these sound strips be speech, by which hands move; raises as `use_as_music`."""
    _use_sounds(strips, "SPEECH")


def _use_sounds(strips: Iterable[bpy.types.Struct], role: str) -> None:
    chosen = list(strips)
    for strip in chosen:
        if strip.type != "SOUND":
            raise UserError(f"“{strip.name}” is no sound strip.", "Select sound strips.")
    for strip in chosen:
        strip.vmg.role = role


def footage(scene: bpy.types.Scene) -> list[bpy.types.Struct]:
    """The movie strips that are footage, muted ones too, in the order of their time."""
    on_keys = key_strips(scene)
    return by_time(
        strip
        for strip in _strips(scene)
        if strip.vmg.role == "FOOTAGE" and strip.type == "MOVIE" and strip not in on_keys
    )


def music(scene: bpy.types.Scene) -> list[bpy.types.Struct]:
    """The music strips that are heard, in the order of their time."""
    return _heard(scene, "MUSIC")


def speech(scene: bpy.types.Scene) -> list[bpy.types.Struct]:
    """The strips of speech that are heard, in the order of their time."""
    return _heard(scene, "SPEECH")


def _heard(scene: bpy.types.Scene, role: str) -> list[bpy.types.Struct]:
    if scene.sequence_editor is None:
        return []
    lanes = scene.sequence_editor.channels
    return by_time(
        strip
        for strip in _strips(scene)
        if strip.type == "SOUND" and strip.vmg.role == role and not strip.mute and not lanes[strip.channel].mute
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
        ranges.setdefault(file, []).append(shown_between(strip, compat.start(strip), compat.end(strip)))
    if not ranges:
        raise UserError(
            "There is no footage yet.", "Select a movie strip and press Use as Footage.", title="No footage"
        )
    uses = []
    for file, seen in ranges.items():
        row, shown = rows.get(file), merged(seen)
        rate = str(compat.scene_rate(scene)) if row and row.use_scene_rate else None
        whole = shown == ((0, lengths[file] - 1),)
        uses.append(FootageUse(str(file), rate, None if whole else shown))
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
        When it is to follow the music and there is neither that nor speech.
    """
    settings = scene.vmg
    if settings.length_mode == "MUSIC":
        heard = music(scene) or speech(scene)
        if not heard:
            remedy = "Choose music or speech, or another length for the take."
            raise UserError("There is no music, nor speech.", remedy, title="No music")
        first = min(compat.start(strip) for strip in heard)
        return TakeRange(first, max(compat.end(strip) for strip in heard) - first)
    ends = (scene.frame_start, scene.frame_end)
    if scene.use_preview_range:
        ends = (scene.frame_preview_start, scene.frame_preview_end)
    if settings.length_mode == "RANGE":
        return TakeRange(ends[0], ends[1] - ends[0] + 1)
    return TakeRange(ends[0], max(1, int(settings.seconds * float(compat.scene_rate(scene)) + 0.5)))


def sound(scene: bpy.types.Scene, taken: TakeRange, role: str = "MUSIC") -> Sound:
    """What is heard of the music, or the strips of another role, while the take is shown.

    Raises
    ------
    UserError
        When a file is not there, or its speed is not known.
    """
    rate = compat.scene_rate(scene)
    pieces = []
    for strip in _heard(scene, role):
        if compat.start(strip) >= taken.end or compat.end(strip) <= taken.start:
            continue
        file = file_of(strip)
        if not file.is_file():
            raise UserError(
                f"The {role.lower()} {file.name} is not where it was: {file}.",
                "Choose the file again in the strip's settings, or remove the strip.",
                title=f"{role.title()} not found",
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


def key_strips(scene: bpy.types.Scene) -> list[bpy.types.Struct]:
    """All strips on the keyframes' channel, in the order of their time."""
    return channels.strips_on(scene, channels.KEYS)


def adopt_keys(scene: bpy.types.Scene) -> None:
    """Let each movie strip on the keyframes' channel be a keyframe with an id of its own; all others are none."""
    channels.adopt(scene, channels.KEYS, "MOVIE", "KEY")


def keys(scene: bpy.types.Scene, taken: TakeRange) -> tuple[KeyAt, ...]:
    """The keyframes during the take; of one that reaches beyond it, the part inside.

    What is to be avoided has no time in the take: it is told whole, at frame 0.

    Raises
    ------
    UserError
        When one cannot be what it says.
    """
    adopt_keys(scene)
    found: list[KeyAt] = []
    hard_until = 0
    for strip in key_strips(scene):
        first, last = max(compat.start(strip), taken.start), min(compat.end(strip), taken.end) - 1
        if strip.mute or first > last:
            continue
        if strip.type != "MOVIE":
            raise UserError(
                f"“{strip.name}” on the channel {channels.KEYS} is no movie strip.", "Move it to another channel."
            )
        compat.measure(strip)
        key = _key(scene, strip, taken, first, last)
        if key.mode == "hard":
            if key.at < hard_until:
                raise UserError(f"The keyframe “{strip.name}” overlaps the one before it.", "Move or trim one of them.")
            hard_until = key.at + key.frames
        found.append(key)
    return tuple(found)


def _key(scene: bpy.types.Scene, strip: bpy.types.Struct, taken: TakeRange, first: int, last: int) -> KeyAt:
    """The keyframe of a strip, of which the timeline frames `first` to `last` lie in the take."""
    mode, uid, at = strip.vmg.mode, strip.vmg.uid, first - taken.start
    if mode == "footage":
        return KeyAt(uid, at, str(footage_file(scene, strip)), 0, last - first + 1, mode)
    if mode == "avoid":
        begins, ends = shown_between(strip, compat.start(strip), compat.end(strip))
        return KeyAt(uid, 0, str(footage_file(scene, strip)), begins, ends - begins + 1, mode)
    begins, ends = compat.source_frame(strip, first), compat.source_frame(strip, last)
    if ends - begins != last - first:
        raise UserError(
            f"The keyframe “{strip.name}” does not show successive frames of its file.",
            "It is stretched, retimed, reversed, or longer than its file: replace it by a new keyframe.",
            title="Keyframe cannot be kept",
        )
    if mode != "pose" and not is_footage(scene, strip):
        raise UserError(
            f"The keyframe “{strip.name}” shows {file_of(strip).name}, which is not used as footage.",
            "Choose its mode Pose, which takes any video, use the file as footage, or remove the keyframe.",
            title="Not used as footage",
        )
    file = footage_file(scene, strip) if is_footage(scene, strip) else _own_file(strip)
    edited = mode == "hard" and first == compat.start(strip) and strip.vmg.image  # a picture of the first frame
    image, stamp = _picture(strip) if edited else ("", "")
    return KeyAt(
        uid,
        at,
        str(file),
        begins,
        last - first + 1,
        mode,
        tolerance=(round(strip.vmg.tolerance, 6) or None) if mode in ("soft", "pose") else None,
        image=image,
        image_stamp=stamp,
    )


def _own_file(strip: bpy.types.Struct) -> Path:
    file = file_of(strip)
    if not file.is_file():
        raise UserError(
            f"The video of the keyframe “{strip.name}” is not where it was: {file}.",
            "Choose the file again in the strip's settings, or remove the keyframe.",
            title="Video not found",
        )
    return file


def _picture(strip: bpy.types.Struct) -> tuple[str, str]:
    """The file of the edited picture, and what tells whether it was saved again."""
    file = absolute(strip.vmg.image)
    if not file.is_file():
        raise UserError(
            f"The edited picture of the keyframe “{strip.name}” is not where it was: {file}.",
            "Choose it again under Keyframes, or empty the field.",
            title="Picture not found",
        )
    about = file.stat()
    return str(file), f"{about.st_mtime_ns} {about.st_size}"


def is_footage(scene: bpy.types.Scene, strip: bpy.types.Struct) -> bool:
    """Whether a strip shows one of the scene's footages, by its file or by a copy."""
    return _row(scene, strip) is not None


def footage_file(scene: bpy.types.Scene, strip: bpy.types.Struct) -> Path:
    """The footage that a keyframe or a piece of a take shows, which may be by a copy.

    Raises
    ------
    UserError
        When it is none of the scene's footages.
    """
    row = _row(scene, strip)
    if row is not None:
        return absolute(row.path)
    raise UserError(
        f"“{strip.name}” shows {file_of(strip).name}, which is not used as footage.",
        "Use a strip of that file as footage, or remove this one.",
        title="Not used as footage",
    )


def _row(scene: bpy.types.Scene, strip: bpy.types.Struct) -> bpy.types.PropertyGroup | None:
    """The row of the footage that a strip shows, by its file or by a copy."""
    file, content = file_of(strip), strip.vmg.footage
    rows = scene.vmg.footages
    return next((row for row in rows if absolute(row.path) == file or (content and content == row.footage)), None)


def _strips(scene: bpy.types.Scene) -> list[bpy.types.Struct]:
    return compat.all_strips(scene.sequence_editor) if scene.sequence_editor else []


def absolute(path: str) -> Path:
    """A path as Blender keeps it ("//" for the .blend's folder), made absolute."""
    return Path(os.path.normpath(bpy.path.abspath(path)))


def shown_between(strip: bpy.types.Struct, start: int, end: int) -> tuple[int, int]:
    """First and last source frame (inclusive) that a movie strip shows in the timeline frames [start, end)."""
    shown = sorted(compat.source_frame(strip, frame) for frame in (start, end - 1))
    return shown[0], shown[1]


def merged(ranges: Iterable[tuple[int, int]], *, touching: bool = True) -> tuple[tuple[int, int], ...]:
    """Inclusive ranges in order, those that overlap, or also those that touch, as one."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + touching:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)


def same_rate(one: Fraction, other: Fraction) -> bool:
    """Whether two frame rates are the same, but for what Blender's single precision takes away."""
    return abs(one - other) <= SAME_RATE * other


def _spoken(rate: Fraction) -> str:
    return f"{float(rate):.5g}"
