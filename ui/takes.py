"""Panel Takes: what was made, and which of it is shown."""

from __future__ import annotations

import bpy

from ..addon import compat, overview
from ..addon.timeline import takes
from .common import StripList, Tab, hint, strip_list


class VMG_UL_takes(StripList):
    """The takes among the strips."""

    role = "TAKE"

    def draw_item(
        self,
        context: bpy.types.Context,
        layout: bpy.types.UILayout,
        data: object,
        item: bpy.types.Struct,
        icon: int,
        active_data: object,
        active_property: str,
        index: int,
    ) -> None:
        """Active or not, name, transitions filled, visible or not."""
        del context, data, icon, active_data, active_property, index
        active = item.id_data.vmg.active_take == item.vmg.uid
        row = layout.row(align=True)
        button = row.operator(
            "vmg.take_activate", text="", icon="RADIOBUT_ON" if active else "RADIOBUT_OFF", emboss=False
        )
        button.uid = item.vmg.uid
        row.prop(item, "name", text="", emboss=False)
        counted = overview.counts(item)
        said = f"{counted.filled}/{counted.all}" + (f", {counted.stale} stale" if counted.stale else "")
        row.label(text=said, icon=compat.color_icon(3) if counted.stale else "NONE")
        # Blender itself shows the icon before this one where it is muted
        row.prop(item, "mute", text="", icon="HIDE_OFF", emboss=False)


class VMG_PT_takes(Tab):
    """All takes of the scene."""

    bl_label = "Takes"

    def show(self, layout: bpy.types.UILayout, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        """The list, and what is done with the active one."""
        del context
        if not takes.takes(scene):
            hint(layout, "Suggest makes the first one")
            return
        strip_list(layout, "VMG_UL_takes", scene, "take_index")
        row = layout.row(align=True)
        row.operator("vmg.take_reveal", icon="ZOOM_SELECTED")
        row.operator("vmg.cut_play", icon="PLAY")
        row.operator("vmg.take_remove", text="", icon="X")
        layout.operator("vmg.takes_clean")


register, unregister = bpy.utils.register_classes_factory((VMG_UL_takes, VMG_PT_takes))
