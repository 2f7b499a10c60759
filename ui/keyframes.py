"""Panel Keyframes: the strips on the channel "VMG Keys"."""

from __future__ import annotations

import bpy

from ..addon import compat, overview
from ..addon.timeline import reading
from ..vmg_backend.errors import UserError
from .common import StripList, Tab, clock, hint, strip_list

_DETAILS = {"hard": ("image",), "soft": ("tolerance",), "pose": ("tolerance",)}
"""What else there is to set of a keyframe, by mode."""


class VMG_UL_keys(StripList):
    """The keyframes among the strips, by time."""

    role = "KEY"

    def draw_row(self, row: bpy.types.UILayout, scene: bpy.types.Scene, item: bpy.types.Struct) -> None:
        """Time, length and source frame."""
        at = compat.start(item)
        row.operator("vmg.key_jump", text=clock(scene, at), icon="KEYFRAME", emboss=False).uid = item.vmg.uid
        shown = ", ".join(filter(None, (_shown(item, at), f"{compat.duration(item)} frames")))
        row.label(text=f"{_mode(item)}{shown}", icon="NONE" if _fits(scene, item) else "INFO")
        row.prop(item, "mute", text="", icon="CHECKBOX_HLT", emboss=False)


def _mode(strip: bpy.types.Struct) -> str:
    """What the keyframe asks for, where that is not what most do."""
    mode = strip.vmg.mode
    return "" if mode == "hard" else f"{strip.vmg.bl_rna.properties['mode'].enum_items[mode].name}: "


def _shown(strip: bpy.types.Struct, frame: int) -> str:
    """What the keyframe shows at a frame; empty where that is not known without opening its file."""
    if not strip.vmg.source_frames:
        return ""
    try:
        return f"frame {compat.source_frame(strip, frame)}"
    except UserError as error:
        return error.title


def _fits(scene: bpy.types.Scene, strip: bpy.types.Struct) -> bool:
    """Whether the keyframe can mean what its mode says: all but a pose are of footage."""
    return strip.vmg.mode == "pose" or reading.is_footage(scene, strip)


class VMG_PT_keyframes(Tab):
    """Moments of the footage that are wanted, or not, at their times."""

    bl_label = "Keyframes"

    def show(self, layout: bpy.types.UILayout, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        """The list, and how keyframes are made."""
        del context
        editor = scene.sequence_editor
        keys = [strip for strip in compat.strips(editor) if strip.vmg.role == "KEY"] if editor else []
        if keys:
            strip_list(layout, "VMG_UL_keys", scene, "key_index")
        else:
            hint(layout, "Optional: moments that are wanted")
        row = layout.row(align=True)
        row.operator("vmg.key_add", icon="KEY_HLT")
        row.operator("vmg.keys_from_beats", text="From Beats")
        row.operator("vmg.key_remove", text="", icon="TRASH")
        if keys:
            row = layout.row(align=True)
            row.operator("vmg.key_jump", text="Previous", icon="PREV_KEYFRAME").step = "PREVIOUS"
            row.operator("vmg.key_jump", text="Next", icon="NEXT_KEYFRAME").step = "NEXT"
        if (active := overview.listed(scene, scene.vmg.key_index, "KEY")) is not None:
            layout.prop(active.vmg, "mode")
            if not _fits(scene, active):
                hint(layout, "Of a video that is no footage only Pose can be asked")
            for name in _DETAILS.get(active.vmg.mode, ()):
                layout.prop(active.vmg, name)


register, unregister = bpy.utils.register_classes_factory((VMG_UL_keys, VMG_PT_keyframes))
