"""The panels of the Sequencer's sidebar, tab "Motion Graph"."""

from __future__ import annotations

import bpy


class VMG_PT_motion_graph(bpy.types.Panel):
    """The tab's first panel; until the workflow is here it says where to find it."""

    bl_label = "Video Motion Graphs"
    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Motion Graph"

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the panel."""
        del context
        column = self.layout.column(align=True)
        column.label(text="The workflow in Blender comes with the next version.", icon="INFO")
        column.label(text="On the command line it works today: vmg cut", icon="CONSOLE")


register, unregister = bpy.utils.register_classes_factory((VMG_PT_motion_graph,))
