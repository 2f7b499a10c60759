"""Panel Final Cut: the film of the active take."""

from __future__ import annotations

import bpy

from ..addon import overview
from .common import Tab, hint


class VMG_PT_final_cut(Tab):
    """Renders the active take."""

    bl_label = "Final Cut"

    def show(self, layout: bpy.types.UILayout, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        """One button; its dialog says what was found."""
        del context
        if overview.active_take(scene) is None:
            hint(layout, "Renders the active take, once there is one")
            return
        layout.operator("vmg.final_cut", icon="RENDER_ANIMATION")


register, unregister = bpy.utils.register_classes_factory((VMG_PT_final_cut,))
