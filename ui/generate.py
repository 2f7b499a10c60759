"""Panel Generate: how long, with what, and the two buttons."""

from __future__ import annotations

import bpy

from ..addon import compat, overview
from .common import SubTab, Tab, hint
from .status import draw_status


class VMG_PT_generate(Tab):
    """Suggest, then Generate."""

    bl_label = "Generate"

    def show(self, layout: bpy.types.UILayout, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        """Settings, the buttons, what runs."""
        settings = scene.vmg
        layout.prop(settings, "length_mode")
        if settings.length_mode == "SECONDS":
            layout.prop(settings, "seconds")
        layout.prop(settings, "seed")
        layout.prop(settings, "play_after_suggest")
        row = layout.row()
        row.scale_y = 1.3
        row.operator("vmg.suggest", icon="SHADERFX")
        take = overview.active_take(scene)
        if take is None:
            hint(
                layout,
                "Suggest makes a take with cross fades" if settings.footages else "Choose footage in Setup first",
            )
        else:
            self._show_take(layout, settings, take)
        draw_status(layout, context)

    def _show_take(self, layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup, take: bpy.types.Struct) -> None:
        layout.prop(settings, "engine")
        counted = overview.counts(take)
        row = layout.row()
        row.scale_y = 1.3
        left = counted.all - counted.filled
        row.operator("vmg.generate", text=f"Generate ({left})" if left else "Generate", icon="RENDER_ANIMATION")
        if counted.stale:
            text = f"Re-render Stale ({counted.stale})"
            layout.operator("vmg.rerender_stale", text=text, icon=compat.color_icon(3))


class VMG_PT_search(SubTab):
    """What the search weighs."""

    bl_label = "Cuts"
    bl_parent_id = "VMG_PT_generate"

    def show(self, layout: bpy.types.UILayout, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        """Weights."""
        del context
        for name in ("hold_seconds", "cut_price", "reuse_seconds"):
            layout.prop(scene.vmg, name)


register, unregister = bpy.utils.register_classes_factory((VMG_PT_generate, VMG_PT_search))
