"""Render Final Cut: checks, sets the output, and lets Blender render; in background mode it waits for the end."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import bpy

from ..addon import compat, final_cut
from ..vmg_backend.errors import UserError
from .common import NeedsTake, Returned


class VMG_OT_final_cut(NeedsTake):
    """Check the take, set range, format and colours, and render the film with its sound"""

    bl_idname = "vmg.final_cut"
    bl_label = "Render Final Cut"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    filepath: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Film", description="The file to write (.mp4)", subtype="FILE_PATH", options={"SKIP_SAVE"}
    )
    whole_take: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Whole Take", description="Render the take from end to end, else the scene's frame range", default=True
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Returned:
        """Show what was found and where the film goes, then ask."""
        del event
        scene = compat.sequencer_scene(context)
        if not self.filepath and bpy.data.filepath:
            self.filepath = str(final_cut.default_output(scene))
        # once: it looks at files, which drawing must not
        self.found = {whole: final_cut.findings(scene, whole_take=whole) for whole in (True, False)}
        asked: Returned = context.window_manager.invoke_props_dialog(self, width=520)
        return asked

    def draw(self, context: bpy.types.Context) -> None:
        """The findings, the file, the range."""
        del context
        layout = self.layout
        for finding in self.found[self.whole_take]:
            column = layout.column(align=True)
            column.label(text=finding.message, icon="CANCEL" if finding.blocks else "ERROR")
            column.label(text=finding.remedy, icon="BLANK1")
        layout.prop(self, "filepath")
        layout.prop(self, "whole_take")

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Prepare and render."""
        given = bpy.path.abspath(self.filepath)
        output = Path(given) if given else final_cut.default_output(scene)
        output = output if output.suffix else output.with_suffix(".mp4")
        for finding in final_cut.prepare(scene, output, whole_take=self.whole_take):
            self.report({"WARNING"}, f"{finding.message} {finding.remedy}")
        compat.render_film(scene)
        if not bpy.app.background:
            return ""
        if not output.is_file():
            raise UserError(f"{output} was not written.", "Look at the lines that Blender printed above.")
        return f"Rendered {output}"


register, unregister = bpy.utils.register_classes_factory((VMG_OT_final_cut,))
