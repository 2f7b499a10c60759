"""Panel Actions: what the person should do and when, and what the footage shows."""

from __future__ import annotations

import bpy

from ..addon import compat, overview
from .common import StripList, SubTab, Tab, clock, hint, strip_list


class _TextList(StripList):
    """Text strips of one role: time, text, length, muted or not."""

    def draw_row(self, row: bpy.types.UILayout, scene: bpy.types.Scene, item: bpy.types.Struct) -> None:
        """The row of one."""
        row.operator("vmg.strip_show", text=clock(scene, compat.start(item)), emboss=False).name = item.name
        row.label(text=item.text)  # as a field it would end with an X, which empties it and looks like Remove
        row.label(text=f"{float(compat.duration(item) / compat.scene_rate(scene)):.1f} s")
        row.prop(item, "mute", text="", icon="CHECKBOX_HLT", emboss=False)


class VMG_UL_actions(_TextList):
    """The actions that are wanted, by time."""

    role = "ACTION"


class VMG_UL_labels(_TextList):
    """What is said of the footage, by time."""

    role = "LABEL"


class VMG_PT_actions(Tab):
    """What the person should do, and when."""

    bl_label = "Actions"

    def show(self, layout: bpy.types.UILayout, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        """The actions, and the text for the whole take."""
        del context
        if has(scene, "ACTION"):
            strip_list(layout, "VMG_UL_actions", scene, "action_index")
            _draw_chosen(layout, overview.listed(scene, scene.vmg.action_index, "ACTION"))
        else:
            hint(layout, "Optional: what the person should do, and when")
        layout.operator("vmg.action_add", icon="ADD")
        layout.prop(scene.vmg, "text")
        if not scene.vmg.text:
            hint(layout, "Or in words: wave for 2 seconds, then turn")


class VMG_PT_labels(SubTab):
    """What the footage shows."""

    bl_label = "Footage Labels"
    bl_parent_id = "VMG_PT_actions"

    def show(self, layout: bpy.types.UILayout, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        """The labels; without any, what the files' names tell."""
        del context
        if has(scene, "LABEL"):
            strip_list(layout, "VMG_UL_labels", scene, "label_index")
            _draw_chosen(layout, overview.listed(scene, scene.vmg.label_index, "LABEL"))
            layout.operator("vmg.labels_rename")
        else:
            tags = sorted({row.tag for row in scene.vmg.footages if row.tag})
            hint(layout, f"By the files' names: {', '.join(tags)}" if tags else "Say which action your footage shows")
        row = layout.row(align=True)
        row.operator("vmg.footage_label", icon="SYNTAX_OFF")
        row.operator("vmg.actions_find", icon="VIEWZOOM")


def _draw_chosen(layout: bpy.types.UILayout, strip: bpy.types.Struct | None) -> None:
    """The words of the list's active row, to be changed, and the button that removes its strip."""
    if strip is not None:
        row = layout.row(align=True)
        row.prop(strip, "text", text="Action")
        row.operator("vmg.strip_remove", text="", icon="TRASH").name = strip.name


def has(scene: bpy.types.Scene, role: str) -> bool:
    """Whether a strip of the scene has this role."""
    editor = scene.sequence_editor
    return bool(editor) and any(strip.vmg.role == role for strip in compat.strips(editor))


register, unregister = bpy.utils.register_classes_factory(
    (VMG_UL_actions, VMG_UL_labels, VMG_PT_actions, VMG_PT_labels)
)
