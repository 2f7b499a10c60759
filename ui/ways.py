"""Panel Other Cuts: where the take could cut to from a frame, as pictures."""

from __future__ import annotations

import bpy

from ..addon import compat, ways
from ..vmg_backend.protocol import WayOut
from .common import TakeTab, clock, hint

COLUMNS = 2
PICTURE = 5.0
"""Height of a picture, in rows."""


class VMG_PT_ways(TakeTab):
    """Where the take could cut to."""

    bl_label = "Other Cuts"
    bl_parent_id = "VMG_PT_takes"

    def show(self, layout: bpy.types.UILayout, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        """The button, and what was found."""
        del context
        layout.operator("vmg.ways_out", icon="TRACKING_FORWARDS_SINGLE")
        found = ways.ways().of(scene)
        if found is None:
            hint(layout, "Where the take could cut to from the playhead on")
            return
        place = clock(scene, ways.ways().frame)
        layout.label(text=f"From {place}" if found else f"From {place} the footage only plays on")
        grid = layout.grid_flow(row_major=True, columns=COLUMNS, even_columns=True, align=True)
        for number, (way, icon) in enumerate(zip(found, ways.ways().icons, strict=True)):
            column = grid.box().column(align=True)
            column.template_icon(icon_value=icon, scale=PICTURE)
            column.label(text=said(way, scene))
            column.operator("vmg.way_take").number = number


def said(way: WayOut, scene: bpy.types.Scene) -> str:
    """How soon a cut comes, and how well both sides match: 100 % for perfectly, 0 % at the graph's threshold."""
    seconds = float(way.after / compat.scene_rate(scene))
    return f"in {seconds:.1f} s, fits {max(0, round(100 * (1 - way.share)))} %"


register, unregister = bpy.utils.register_classes_factory((VMG_PT_ways,))
