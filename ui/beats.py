"""Panel Beats: the markers that the search follows."""

from __future__ import annotations

import bpy

from ..addon.timeline import markers, reading
from .common import Tab, hint


class VMG_PT_beats(Tab):
    """Beats as timeline markers."""

    bl_label = "Beats"

    def show(self, layout: bpy.types.UILayout, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        """Detect, count, change all."""
        del context
        layout.prop(scene.vmg, "density")
        layout.operator("vmg.beats_detect", icon="MARKER")
        count = len(markers.beats(scene))
        if not count:
            has_music = bool(reading.music(scene))
            hint(layout, "Detect them, or add markers with M" if has_music else "Choose music in Setup first")
            return
        layout.label(text=f"{count} beats: move, delete, add them like any marker")
        row = layout.row(align=True)
        row.operator("vmg.beats_half")
        row.operator("vmg.beats_double")
        row.operator("vmg.beats_flip")
        row = layout.row(align=True)
        row.operator("vmg.beats_offset", text="Earlier", icon="TRIA_LEFT").frames = -1
        row.operator("vmg.beats_offset", text="Later", icon="TRIA_RIGHT").frames = 1
        layout.operator("vmg.beats_clear")


register, unregister = bpy.utils.register_classes_factory((VMG_PT_beats,))
