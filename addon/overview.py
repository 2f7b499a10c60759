"""What panels and polls need to know of the takes; cheap enough to be asked at each redraw. Reads no file."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass

import bpy

from ..vmg_backend.errors import UserError
from . import compat
from .timeline import channels, takes


@dataclass(frozen=True)
class Counts:
    """Transitions of a take: all, those with generated frames, those that are stale."""

    all: int
    filled: int
    stale: int


def active_take(scene: bpy.types.Scene) -> bpy.types.MetaStrip | None:
    """The take that the panels work on."""
    return takes.find(scene, scene.vmg.active_take)


def listed(scene: bpy.types.Scene, index: int, role: str) -> bpy.types.Strip | None:
    """The strip of a list's active row, where it has the list's role."""
    strips = compat.strips(scene.sequence_editor) if scene.sequence_editor else []
    chosen = strips[index] if 0 <= index < len(strips) else None
    return chosen if chosen is not None and chosen.vmg.role == role else None


def counts(take: bpy.types.MetaStrip) -> Counts:
    """How far a take is."""
    inside = [strip.vmg for strip in compat.strips(take) if _is_transition(strip)]
    roles = [one.role for one in inside]
    stale = {one.transition for one in inside if one.stale}
    return Counts(roles.count("CROSS"), roles.count("TRANSITION"), len(stale))


def is_loop(take: bpy.types.MetaStrip) -> bool:
    """Whether a take was made as a loop, and is as long as then."""
    return _loop_frames(take.vmg.wish) == compat.duration(take)


@functools.lru_cache(maxsize=64)
def _loop_frames(wish: str) -> int | None:
    """The length of the loop that was asked for; None where none was."""
    asked = json.loads(wish) if wish else {}
    return asked["frames"] if asked.get("loop") else None


def stretch(scene: bpy.types.Scene) -> tuple[int, int]:
    """First and last timeline frame (inclusive) that are looked at: the preview range, where set, or the playhead."""
    if scene.use_preview_range:
        return scene.frame_preview_start, scene.frame_preview_end
    return scene.frame_current, scene.frame_current


def on_take(take: bpy.types.MetaStrip, first: int, last: int) -> bool:
    """Whether a take is shown at one of these timeline frames (inclusive)."""
    return first <= last and first < compat.end(take) and last >= compat.start(take)


def selected_transitions(context: bpy.types.Context, take: bpy.types.MetaStrip) -> list[int]:
    """The ids of the take's transitions whose cross fades or frames are selected; not while drawing.

    Raises
    ------
    UserError
        When none is, or the take cannot be read.
    """
    chosen = [s for s in compat.selected(context) if _is_transition(s) and s.vmg.take == take.vmg.uid]
    first = compat.start(take)
    middles = {one["id"]: first + one["at"] + one["frames"] // 2 for one in takes.read_take(take)["transitions"]}
    found = [
        number
        for number, middle in middles.items()  # their numbers on the strips may be those before an edit
        if any(compat.start(strip) <= middle < compat.end(strip) for strip in chosen)
    ]
    if not found:
        raise UserError("No transition of the active take is selected.", "Open the take with Tab and select some.")
    return found


def nearest_cut(context: bpy.types.Context, scene: bpy.types.Scene, take: bpy.types.MetaStrip) -> int:
    """The frame of the selected transition's cut, else of the one nearest to the playhead.

    Raises
    ------
    UserError
        When the take has no cuts.
    """
    found = [strip for strip in compat.selected(context) if _is_transition(strip)]
    found = found or [strip for strip in compat.strips(take) if _is_transition(strip)]
    if not found:
        raise UserError(f"{take.name} has no cuts.", "Suggest another one, with a cheaper cut price.")
    cuts = [(compat.start(strip) + compat.end(strip)) // 2 for strip in found]
    return min(cuts, key=lambda cut: abs(cut - scene.frame_current))


def _is_transition(strip: bpy.types.Strip) -> bool:
    return strip.vmg.role in ("CROSS", "TRANSITION")


def fingerprint(scene: bpy.types.Scene) -> int:
    """A number that changes with all that can make a transition of the active take stale; cheap."""
    take = active_take(scene)
    if take is None:
        return 0
    pieces = compat.strips(take)
    spoken = channels.numbers(scene, (channels.KEYS, channels.ACTIONS)).values()
    asked = [
        strip
        for strip in compat.strips(scene.sequence_editor)
        if strip.channel in spoken or strip.vmg.role in ("KEY", "ACTION", "FOOTAGE")
    ]
    markers = tuple((marker.frame, marker.vmg.detected, marker.vmg.kind) for marker in scene.timeline_markers)
    return hash((take.vmg.uid, take.vmg.path, markers, *(_where(strip) for strip in (take, *pieces, *asked))))


def _where(strip: bpy.types.Strip) -> tuple[object, ...]:
    content = compat.content_start(strip) if strip.type == "MOVIE" else strip.text if strip.type == "TEXT" else 0
    said = (strip.vmg.mode, strip.vmg.tolerance, strip.vmg.image)
    return strip.vmg.uid, strip.channel, strip.mute, compat.start(strip), compat.end(strip), content, said
