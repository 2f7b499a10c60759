"""Keyframes: movie strips on the muted channel "VMG Keys", each with a mode that says what is wanted of its frames."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import bpy

from ...vmg_backend.errors import UserError
from .. import compat, footages
from . import channels, markers, reading

SECONDS = 0.5
"""Length of a new keyframe."""
_COLOR = "COLOR_04"


def add_key(scene: bpy.types.Scene, frame: int) -> bpy.types.MovieStrip:
    """Add a keyframe at the timeline frame `frame`, of what is seen of the footage there.

    Raises
    ------
    UserError
        When no footage is there, or a keyframe already.
    """
    reading.adopt_keys(scene)
    shown, file, source = _seen(scene, frame, "There is no footage here to make a keyframe of.")
    usable = _usable(scene, file, source, shown.vmg.source_frames)
    return _add(scene, frame, shown.filepath, source, usable, shown.vmg.footage)


def add_key_of(scene: bpy.types.Scene, frame: int, path: str, source: int) -> bpy.types.MovieStrip:
    """Add a keyframe at the timeline frame `frame` of the footage `path`, from its source frame `source` on.

    Raises
    ------
    UserError
        When there is no such footage, or a keyframe already.
    """
    reading.adopt_keys(scene)
    row = next((row for row in scene.vmg.footages if reading.absolute(row.path) == Path(path)), None)
    if row is None:
        raise UserError(f"{Path(path).name} is not used as footage.", "Use a strip of that file as footage.")
    usable = _usable(scene, Path(path), source, row.frames)
    return _add(scene, frame, footages.movies(scene)[row.footage], source, usable, row.footage)


def _add(scene: bpy.types.Scene, frame: int, file: str, source: int, usable: int, footage: str) -> bpy.types.MovieStrip:
    """A keyframe of `SECONDS`, or of as many frames as may be used or find room."""
    there = [strip for strip in reading.key_strips(scene) if compat.end(strip) > frame]
    if any(compat.start(strip) <= frame for strip in there):
        raise UserError("There is a keyframe here already.", "Move the playhead, or slip the keyframe with S.")
    frames = max(1, math.floor(SECONDS * float(compat.scene_rate(scene)) + 0.5))
    frames = min([frames, *(compat.start(strip) - frame for strip in there), usable])
    number = channels.made(scene, channels.KEYS)
    with compat.quiet(scene.sequence_editor):
        # trimmed on an empty channel: where it lies over others meanwhile, Blender would move it to another one
        spare = channels.empty(scene.sequence_editor, number)
        name = f"Key {Path(file).stem}"[:60]
        key = compat.new_movie(scene.sequence_editor, name, file, spare, frame - source)
        compat.set_visible(key, frame, frame + frames)
        key.channel = number
    key.color_tag = _COLOR
    key.vmg.footage = footage
    reading.adopt_keys(scene)
    compat.measure(key)
    return key


def from_beats(scene: bpy.types.Scene, every: int = 1) -> list[bpy.types.MovieStrip]:
    """Add a keyframe on each selected beat, or else on every so many-th one counted from the first bar.

    Each shows what is seen of the footage there; beats without footage, or with a keyframe, are left out.

    Raises
    ------
    UserError
        When that leaves none.
    """
    taken = reading.take_range(scene)
    inside = [marker for marker in markers.beats(scene) if taken.start <= marker.frame < taken.end]
    chosen = [marker for marker in inside if marker.select]
    if not chosen:
        pulses = [marker for marker in inside if reading.kind_of(marker) != "onset"]
        bar = next((number for number, marker in enumerate(pulses) if reading.kind_of(marker) == "bar"), 0)
        chosen = pulses[bar % every :: every]
    made = [
        add_key(scene, frame)
        for frame in sorted({marker.frame for marker in chosen})
        if _shown(scene, frame) is not None and not _occupied(scene, frame)
    ]
    if not made:
        raise UserError(
            "There is no beat with footage under it and without a keyframe.",
            "Place footage under the beats, or add keyframes at the playhead.",
            title="No keyframes added",
        )
    return made


def remove(scene: bpy.types.Scene, uids: Iterable[str]) -> int:
    """Remove the keyframes of these uids; gives how many there were."""
    gone = set(uids)
    found = [strip for strip in reading.key_strips(scene) if strip.vmg.uid in gone]
    with compat.quiet(scene.sequence_editor):
        for strip in found:
            compat.strips(scene.sequence_editor).remove(strip)
    return len(found)


def neighbour(scene: bpy.types.Scene, frame: int, step: int) -> int | None:
    """The start of the next keyframe after `frame` (`step` 1) or before it (-1), or None."""
    starts = [compat.start(strip) for strip in reading.key_strips(scene)]
    later = step > 0
    found = [start for start in starts if (start > frame if later else start < frame)]
    return (min if later else max)(found, default=None)


def seen(scene: bpy.types.Scene, frame: int) -> tuple[str, int]:
    """The footage's file, and its source frame, that is seen at the timeline frame `frame`.

    Raises
    ------
    UserError
        When no footage is there.
    """
    _, file, source = _seen(scene, frame, "There is no footage here.")
    return str(file), source


def _seen(scene: bpy.types.Scene, frame: int, otherwise: str) -> tuple[bpy.types.MovieStrip, Path, int]:
    """The strip that is seen at `frame`, its footage's file and source frame; what is said where there is none."""
    shown = _shown(scene, frame)
    if shown is None:
        raise UserError(otherwise, "Move the playhead onto a footage strip or a take.", title="No footage here")
    compat.measure(shown)
    return shown, reading.footage_file(scene, shown), compat.source_frame(shown, frame)


def _occupied(scene: bpy.types.Scene, frame: int) -> bool:
    return any(compat.start(strip) <= frame < compat.end(strip) for strip in reading.key_strips(scene))


def _shown(scene: bpy.types.Scene, frame: int) -> bpy.types.MovieStrip | None:
    """The movie strip that is seen at `frame`: a piece of a take, or footage; in a transition the nearer piece."""
    if scene.sequence_editor is None:
        return None
    here = [
        strip
        for strip in compat.strips(scene.sequence_editor)
        if strip.vmg.role in ("TAKE", "FOOTAGE") and not strip.mute and compat.start(strip) <= frame < compat.end(strip)
    ]
    for strip in sorted(here, key=lambda strip: -strip.channel):
        if strip.type == "MOVIE":
            return strip
        pieces = [
            piece
            for piece in compat.strips(strip)
            if piece.type == "MOVIE" and compat.start(piece) <= frame < compat.end(piece)
        ]
        if pieces:
            return max(pieces, key=lambda piece: min(frame - compat.start(piece), compat.end(piece) - 1 - frame))
    return None


def _usable(scene: bpy.types.Scene, file: Path, source: int, frames: int) -> int:
    """How many of the file's `frames` may be used from `source` on."""
    for use in reading.footage_uses(scene):
        for first, last in use.ranges or ((0, frames - 1),):
            if use.path == str(file) and first <= source <= last:
                return int(last) - source + 1
    return 1
