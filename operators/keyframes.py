"""Keyframes: added at the playhead or on beats, made of selected strips, removed, jumped to."""

from __future__ import annotations

import bpy

from ..addon import compat, overview
from ..addon.timeline import keys, markers, reading
from ..vmg_backend.errors import UserError
from .common import InSequencer, choose


class VMG_OT_key_add(InSequencer):
    """Add a keyframe at the playhead: half a second of what is seen there of the footage"""

    bl_idname = "vmg.key_add"
    bl_label = "Add Keyframe"

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """There must be footage."""
        del context
        return "" if scene.vmg.footages else "Choose footage first"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Add it, and select it alone."""
        del context
        added = keys.add_key(scene, scene.frame_current)
        choose(scene, added)
        return ""


class VMG_OT_keys_from_beats(InSequencer):
    """Add a keyframe on each selected beat, or on every so many-th one; slip them with S to choose what they show"""

    bl_idname = "vmg.keys_from_beats"
    bl_label = "Keyframes from Beats"

    every: bpy.props.IntProperty(  # type: ignore[valid-type]
        name="Every",
        description="Where no beats are selected: on each, each second, ... counted from a bar",
        default=4,
        min=1,
    )

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """There must be footage and beats."""
        del context
        if not scene.vmg.footages:
            return "Choose footage first"
        return "" if markers.beats(scene) else "Detect beats first"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Add them."""
        del context
        return f"{len(keys.from_beats(scene, self.every))} keyframes added"


class VMG_OT_key_toggle(InSequencer):
    """Keep the selected pieces as they are, now: a copy of each becomes a keyframe. Selected keyframes are removed"""

    bl_idname = "vmg.key_toggle"
    bl_label = "Keyframe On or Off"

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Keyframes, or movie strips to make some of, must be selected."""
        del scene
        return "" if any(strip.type == "MOVIE" for strip in compat.selected(context)) else "Select movie strips"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Remove keyframes, where some are selected; else make some."""
        chosen = [strip for strip in compat.selected(context) if strip.type == "MOVIE"]
        if old := [strip.vmg.uid for strip in chosen if strip.vmg.role == "KEY"]:
            return f"{keys.remove(scene, old)} keyframes removed"
        frames = [compat.start(strip) for strip in chosen]
        return f"{len([keys.add_key(scene, frame) for frame in frames])} keyframes added"


class VMG_OT_key_remove(InSequencer):
    """Delete the keyframe that is chosen in the list; the footage stays"""

    bl_idname = "vmg.key_remove"
    bl_label = "Remove Keyframe"

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """There must be one."""
        del context
        return "" if _active(scene) else "Choose a keyframe in the list"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Remove it."""
        del context
        key = _active(scene)
        keys.remove(scene, [key.vmg.uid] if key else [])
        return ""


class VMG_OT_key_jump(InSequencer):
    """Move the playhead to a keyframe"""

    bl_idname = "vmg.key_jump"
    bl_label = "Jump to Keyframe"

    uid: bpy.props.StringProperty(options={"HIDDEN", "SKIP_SAVE"})  # type: ignore[valid-type]
    step: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="To", items=(("NEXT", "Next", "The next one"), ("PREVIOUS", "Previous", "The one before"))
    )

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """There must be one."""
        del context
        return "" if reading.key_strips(scene) else "There are no keyframes"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Jump."""
        del context
        if self.uid:
            found = (strip for strip in reading.key_strips(scene) if strip.vmg.uid == self.uid)
            frame = next((compat.start(strip) for strip in found), None)
        else:
            frame = keys.neighbour(scene, scene.frame_current, 1 if self.step == "NEXT" else -1)
        if frame is None:
            raise UserError("There is no keyframe on that side.", "Jump the other way.")
        scene.frame_set(frame)
        return ""


def _active(scene: bpy.types.Scene) -> bpy.types.Struct | None:
    """The keyframe of the list's active row."""
    return overview.listed(scene, scene.vmg.key_index, "KEY")


register, unregister = bpy.utils.register_classes_factory(
    (VMG_OT_key_add, VMG_OT_keys_from_beats, VMG_OT_key_toggle, VMG_OT_key_remove, VMG_OT_key_jump)
)
