"""Whose joints belong to what the preview shows: which pose of which footage or transition, and where it lies.

Follows the strips as Blender puts the picture together: from the top down, into metas, along cross fades to the nearer
side. Changes nothing and reads no file, so it may be asked while something is drawn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import bpy
import numpy as np

from ...vmg_backend.errors import UserError
from .. import compat
from . import building, reading
from .placing import Matrix, Placement, Size, placement, transform

FAINT = 0.5
"""Below this opacity a strip does not count as seen."""

_CROSSES = ("CROSS", "GAMMA_CROSS", "WIPE")
_MAY_HAVE_HOLES = ("TEXT", "COLOR", "IMAGE", "SCENE", "MASK")
_HIDES = ("REPLACE", "CROSS", "ALPHA_OVER")
"""Ways to blend that show nothing of what lies below, where the picture above has no holes."""


@dataclass(frozen=True)
class FootagePoses:
    """The poses of an analysed footage; `poses` is the protocol's record, as JSON."""

    poses: str


@dataclass(frozen=True)
class TransitionPoses:
    """The poses that a transition's frames were made by; they lie in the same folder."""

    folder: str


Source = FootagePoses | TransitionPoses


@dataclass(frozen=True)
class Sight:
    """What is seen: the pose number `frame` of `source`, and where the picture that it belongs to lies."""

    source: Source
    frame: int
    place: Placement


@dataclass(frozen=True)
class _Layer:
    """A strip that is seen, the timeline's frame at which it is, and what lies around it."""

    strip: Any  # bpy has no types
    frame: int
    outer: Matrix


def seen(scene: bpy.types.Scene, display_channel: int = 0) -> Sight | None:
    """What the preview shows of a person at the scene's frame.

    Parameters
    ----------
    scene : Scene
    display_channel : int
        The preview's setting: 0 for all of what is open, n for channels up to n, -n for what lies n metas further out.
    """
    editor = scene.sequence_editor
    if editor is None:
        return None
    canvas = (float(scene.render.resolution_x), float(scene.render.resolution_y))
    owner = _opened(editor, display_channel)
    for layer in _layers(owner, scene.frame_current, canvas, np.eye(3), max(display_channel, 0)):
        sight = _person(layer, canvas)
        if sight or _covers(layer.strip):
            return sight
    return None


def sources(scene: bpy.types.Scene) -> set[Source]:
    """All that `seen` can name at any frame of the scene."""
    found: set[Source] = {FootagePoses(row.poses) for row in scene.vmg.footages if row.poses}
    editor = scene.sequence_editor
    strips = [strip for strip in compat.all_strips(editor) if _is_transition(strip)] if editor else []
    return found | {TransitionPoses(building.frames_folder(strip)) for strip in strips}


def _opened(editor: bpy.types.SequenceEditor, display_channel: int) -> Any:  # noqa: ANN401
    """What the preview shows: the meta that is open, one around it, or the editor."""
    metas = list(editor.meta_stack)
    if display_channel < 0:
        metas = metas[:display_channel]
    return metas[-1] if metas else editor


def _layers(owner: Any, frame: int, canvas: Size, outer: Matrix, highest: int = 0) -> Iterator[_Layer]:  # noqa: ANN401
    """What is seen at a frame, from the top down, with what is inside metas and under cross fades in place of these."""
    channels = owner.channels
    there = [
        strip
        for strip in compat.strips(owner)
        if compat.start(strip) <= frame < compat.end(strip)
        and strip.type != "SOUND"
        and not (strip.mute or channels[strip.channel].mute or 0 < highest < strip.channel)
    ]
    there.sort(key=lambda strip: strip.channel, reverse=True)
    for index, strip in enumerate(there):
        if not any(strip in _inputs(above) for above in there[:index]):
            yield from _of(strip, frame, canvas, outer)


def _of(strip: Any, frame: int, canvas: Size, outer: Matrix) -> Iterator[_Layer]:  # noqa: ANN401
    if strip.blend_alpha < FAINT:
        return
    around = outer @ transform(strip, canvas, canvas) if strip.type in ("META", *_CROSSES) else outer
    if strip.type == "META" and (inner := compat.inner_frame(strip, frame)) is not None:
        yield from _layers(strip, inner, canvas, around)
    elif strip.type in _CROSSES and (nearer := _nearer(strip, frame)):
        yield from _of(nearer, frame, canvas, around)
    else:
        yield _Layer(strip, frame, outer)


def _inputs(strip: Any) -> list[Any]:  # noqa: ANN401
    return [getattr(strip, name, None) for name in ("input_1", "input_2")]


def _nearer(cross: Any, frame: int) -> Any | None:  # noqa: ANN401
    """Of the two strips that a cross fade mixes, the one that is seen more of."""
    done = (frame - compat.start(cross)) / compat.duration(cross) if cross.use_default_fade else cross.effect_fader
    return _inputs(cross)[done >= 0.5]


def _covers(strip: Any) -> bool:  # noqa: ANN401
    """Whether nothing of what lies below is seen; titles, colours and pictures may have holes."""
    if strip.type == "ADJUSTMENT":
        return False
    solid = strip.type not in _MAY_HAVE_HOLES or _is_transition(strip)
    return strip.blend_type == "REPLACE" or (solid and strip.blend_type in _HIDES)


def _person(layer: _Layer, canvas: Size) -> Sight | None:
    """Whose pose a strip shows, where that is known."""
    strip, rows = layer.strip, layer.strip.id_data.vmg.footages
    source: Source
    if strip.type == "MOVIE":
        row = next((row for row in rows if _shows(strip, row)), None)
        frame = _source_frame(strip, layer.frame) if row else None
        source = FootagePoses(row.poses if row else "")
    elif _is_transition(strip):
        footage = _made_into(strip)
        row = next((row for row in rows if row.footage == footage), None)
        frame = _picture(strip, layer.frame)
        source = TransitionPoses(building.frames_folder(strip))
    else:
        return None
    if row is None or frame is None:
        return None
    return Sight(source, frame, placement(strip, (float(row.width), float(row.height)), canvas, layer.outer))


def _shows(strip: Any, row: bpy.types.PropertyGroup) -> bool:  # noqa: ANN401
    """Whether a movie strip shows that footage, whose poses are known, frame by frame: by its file, or by a copy."""
    if not row.poses or not strip.vmg.source_frames:  # never measured: its frame cannot be told while drawing
        return False
    own = reading.absolute(strip.filepath) == reading.absolute(row.path)
    return bool(row.exact if own else strip.vmg.footage == row.footage)


def _source_frame(strip: Any, frame: int) -> int | None:  # noqa: ANN401
    try:
        return compat.source_frame(strip, frame)
    except UserError:
        return None


def _made_into(strip: Any) -> str | None:  # noqa: ANN401
    """The footage that a transition leads to, whose size its frames have; None where the strip does not say."""
    try:
        return str(json.loads(strip.vmg.made_for)["to"]["footage"])
    except (ValueError, LookupError, TypeError):
        return None


def _picture(strip: Any, frame: int) -> int | None:  # noqa: ANN401
    """The number of the generated picture that is seen: it is the file's name."""
    element = strip.strip_elem_from_frame(frame)
    name = PurePath(element.filename).stem if element else ""
    return int(name) if name.isdecimal() else None


def _is_transition(strip: Any) -> bool:  # noqa: ANN401
    return bool(strip.type == "IMAGE" and strip.vmg.role == "TRANSITION")
