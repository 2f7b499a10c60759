"""Beats: detected, changed all at once, cleared. Single ones are moved like any marker."""

from __future__ import annotations

import bpy

from ..addon import jobs
from ..addon.timeline import markers, reading
from .common import InSequencer, StartsJob


class VMG_OT_beats_detect(StartsJob):
    """Write the beats of what is heard as timeline markers; those that were detected before are replaced"""

    bl_idname = "vmg.beats_detect"
    bl_label = "Detect Beats"

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """There must be music."""
        del context
        return "" if reading.music(scene) else "Choose music first"

    def begin(self, scene: bpy.types.Scene) -> None:
        """Start the job."""
        jobs.detect_beats(scene)


class _OnBeats(InSequencer):
    """Changes beats that are there."""

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """There must be detected beats."""
        del context
        return "" if markers.detected(scene) else "Detect beats first"


class VMG_OT_beats_half(_OnBeats):
    """Keep every second detected beat"""

    bl_idname = "vmg.beats_half"
    bl_label = "Half"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Halve."""
        del context
        markers.half(scene)
        return ""


class VMG_OT_beats_double(_OnBeats):
    """Add a beat between any two detected ones"""

    bl_idname = "vmg.beats_double"
    bl_label = "Double"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Double."""
        del context
        markers.double(scene)
        return ""


class VMG_OT_beats_flip(_OnBeats):
    """Move the detected beats by half the distance between two: for when the off-beats were found"""

    bl_idname = "vmg.beats_flip"
    bl_label = "Flip"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Flip."""
        del context
        markers.flip(scene)
        return ""


class VMG_OT_beats_offset(_OnBeats):
    """Move all detected beats, by one frame where nothing else is chosen"""

    bl_idname = "vmg.beats_offset"
    bl_label = "Offset Beats"

    frames: bpy.props.IntProperty(name="Frames", description="How far, later is positive")  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Move."""
        del context
        markers.offset(scene, self.frames)
        return ""


class VMG_OT_beats_clear(_OnBeats):
    """Delete the detected beats; markers made by hand stay"""

    bl_idname = "vmg.beats_clear"
    bl_label = "Clear Detected"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Clear."""
        del context
        markers.clear(scene)
        return ""


register, unregister = bpy.utils.register_classes_factory(
    (
        VMG_OT_beats_detect,
        VMG_OT_beats_half,
        VMG_OT_beats_double,
        VMG_OT_beats_flip,
        VMG_OT_beats_offset,
        VMG_OT_beats_clear,
    )
)
