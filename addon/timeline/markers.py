"""Beats as timeline markers: written, thinned out, doubled, moved. Markers that the person made are never touched."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise

import bpy

from ...vmg_backend.errors import UserError
from ...vmg_backend.protocol import BeatAt
from .. import compat
from .reading import TakeRange

_PULSES = ("BEAT", "BAR")


def beats(scene: bpy.types.Scene) -> list[bpy.types.TimelineMarker]:
    """All markers that are beats, in the order of time: detected ones, and the person's own but for cameras'."""
    return _by_time(marker for marker in scene.timeline_markers if marker.camera is None)


def detected(scene: bpy.types.Scene) -> list[bpy.types.TimelineMarker]:
    """The markers that were detected, in the order of time."""
    return _by_time(marker for marker in scene.timeline_markers if marker.vmg.detected)


def write(scene: bpy.types.Scene, found: Sequence[BeatAt], taken: TakeRange) -> int:
    """Write those beats that the scene's density asks for, in place of those detected before; gives how many.

    Parameters
    ----------
    scene : Scene
    found : sequence of BeatAt
        In seconds from the start of `taken`.
    taken : TakeRange

    Raises
    ------
    UserError
        When there is none of that density; the old ones stay then.
    """
    kept = _thinned(found, scene.vmg.density)
    if not kept:
        raise UserError("No beats of this density were found.", "Choose another density, or place markers by hand.")
    clear(scene)
    rate = compat.scene_rate(scene)
    for beat in kept:
        _new(scene, taken.start + _frames(beat.time, rate), beat.kind.upper(), beat.strength)
    _name(scene)
    return len(kept)


def clear(scene: bpy.types.Scene) -> None:
    """Remove the detected beats."""
    for marker in detected(scene):
        scene.timeline_markers.remove(marker)


def half(scene: bpy.types.Scene) -> None:
    """Keep every second beat; of the two ways the one that keeps more bars."""
    pulses = _pulses(scene)
    kept = max((pulses[::2], pulses[1::2]), key=lambda some: sum(one.vmg.kind == "BAR" for one in some))
    if kept:
        for marker in [one for one in pulses if one not in kept]:
            scene.timeline_markers.remove(marker)
    _name(scene)


def double(scene: bpy.types.Scene) -> None:
    """Add a beat half way between each two; an onset that lies there becomes the beat."""
    between = [
        (_middle(one.frame, other.frame), (one.vmg.strength + other.vmg.strength) / 2)
        for one, other in pairwise(_pulses(scene))
        if other.frame - one.frame > 1
    ]
    _remove_onsets(scene, {frame for frame, _ in between})
    for frame, strength in between:
        _new(scene, frame, "BEAT", strength)
    _name(scene)


def flip(scene: bpy.types.Scene) -> None:
    """Move the beats by half a beat, for when the off-beats were found: each goes half way to the next."""
    pulses = _pulses(scene)
    if len(pulses) < 2:
        return
    steps = [(other.frame - one.frame) / 2 for one, other in pairwise(pulses)]
    frames = [one.frame + math.floor(step + 0.5) for one, step in zip(pulses, [*steps, steps[-1]], strict=True)]
    _remove_onsets(scene, set(frames))
    for marker, frame in zip(_pulses(scene), frames, strict=True):
        marker.frame = frame


def offset(scene: bpy.types.Scene, frames: int) -> None:
    """Move all detected beats by so many frames; later is positive."""
    for marker in detected(scene):
        marker.frame += frames


def _thinned(found: Sequence[BeatAt], density: str) -> list[BeatAt]:
    in_order = sorted(found, key=lambda beat: beat.time)
    if density == "ONSETS":
        return in_order
    pulses = [beat for beat in in_order if beat.kind.upper() in _PULSES]
    if density == "BARS":
        return [beat for beat in pulses if beat.kind == "bar"]
    if density == "SECOND":
        return max((pulses[::2], pulses[1::2]), key=lambda some: sum(one.kind == "bar" for one in some))
    return pulses


def _new(scene: bpy.types.Scene, frame: int, kind: str, strength: float) -> None:
    marker = scene.timeline_markers.new(kind.lower(), frame=frame)
    marker.select = False  # else the next G over them would move all at once
    marker.vmg.detected, marker.vmg.kind, marker.vmg.strength = True, kind, strength


def _name(scene: bpy.types.Scene) -> None:
    """Number the detected beats of each kind; what the person renamed keeps its name."""
    counts: dict[str, int] = {}
    for marker in detected(scene):
        word = marker.vmg.kind.lower()
        counts[word] = counts.get(word, 0) + 1
        if marker.name.split(" ")[0] in ("beat", "bar", "onset"):
            marker.name = f"{word} {counts[word]}"


def _pulses(scene: bpy.types.Scene) -> list[bpy.types.TimelineMarker]:
    return [marker for marker in detected(scene) if marker.vmg.kind in _PULSES]


def _remove_onsets(scene: bpy.types.Scene, frames: set[int]) -> None:
    for marker in [one for one in detected(scene) if one.vmg.kind == "ONSET" and one.frame in frames]:
        scene.timeline_markers.remove(marker)


def _by_time(markers: Iterable[bpy.types.TimelineMarker]) -> list[bpy.types.TimelineMarker]:
    return sorted(markers, key=lambda marker: marker.frame)


def _frames(seconds: float, rate: Fraction) -> int:
    return math.floor(seconds * float(rate) + 0.5)


def _middle(one: int, other: int) -> int:
    return one + math.floor((other - one) / 2 + 0.5)
