"""Panel Setup: what is missing, the footage, the music, speech."""

from __future__ import annotations

from collections.abc import Sequence

import bpy

from ..addon import compat, jobs
from ..addon.timeline import reading
from .checklist import missing, rate
from .common import SubTab, Tab, hint
from .status import draw_status


class VMG_UL_footages(bpy.types.UIList):
    """The footages of the scene with how far each is analysed."""

    def draw_item(
        self,
        context: bpy.types.Context,
        layout: bpy.types.UILayout,
        data: object,
        item: bpy.types.PropertyGroup,
        icon: int,
        active_data: object,
        active_property: str,
        index: int,
    ) -> None:
        """Name and state."""
        del data, icon, active_data, active_property, index
        row = layout.row()
        row.label(text=item.name or bpy.path.basename(item.path), icon="FILE_MOVIE")
        text, icon_name = footage_state(item, jobs.analyzing(compat.sequencer_scene(context)))
        state = row.row()
        state.alignment = "RIGHT"
        state.label(text=text, icon=icon_name)


def footage_state(row: bpy.types.PropertyGroup, analyzing: bool) -> tuple[str, str]:
    """How a footage stands: a word or two, and an icon."""
    if row.missing:
        return "Missing", "ERROR"
    if row.analyzed:
        return "Analyzed", "ERROR" if row.damaged else "CHECKMARK"
    if analyzing:
        return "Analyzing", "SORTTIME"
    return "Not analyzed", "ERROR" if row.damaged else "BLANK1"


class VMG_PT_setup(Tab):
    """What goes in."""

    bl_label = "Setup"

    def show(self, layout: bpy.types.UILayout, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        """Checklist, running job, footage, music, speech."""
        for line in missing(context, scene):
            row = layout.split(factor=0.6)
            row.label(text=line.text, icon=line.icon)
            if line.label:
                row.operator(line.operator, text=line.label)
            else:
                row.operator(line.operator)
        draw_status(layout, context)
        self._show_footages(layout, scene)
        if scene.vmg.footages:
            layout.prop(context.window_manager, "vmg_skeleton")
        self._show_sound(layout, "Music", reading.music(scene), "Add music, or use selected sound")
        self._show_sound(layout, "Speech", reading.speech(scene), "Optional: words that gestures follow")

    def _show_footages(self, layout: bpy.types.UILayout, scene: bpy.types.Scene) -> None:
        settings = scene.vmg
        layout.label(text="Footage")
        if settings.footages:
            layout.template_list("VMG_UL_footages", "", settings, "footages", settings, "footage_index", rows=2)
        else:
            hint(layout, "Add footage of one person")
        row = layout.row(align=True)
        row.operator("vmg.footage_add", text="Add", icon="ADD")
        row.operator("vmg.footage_use", text="Use Selected")
        row.operator("vmg.footage_remove", text="", icon="REMOVE")
        if not settings.footages:
            layout.operator("vmg.sample_load")
            return
        if not 0 <= settings.footage_index < len(settings.footages):
            return
        active = settings.footages[settings.footage_index]
        if active.missing:
            layout.operator("vmg.footage_locate")
        elif not active.analyzed and not jobs.analyzing(scene):
            layout.operator("vmg.analyze")

    def _show_sound(
        self, layout: bpy.types.UILayout, kind: str, strips: Sequence[bpy.types.Struct], without: str
    ) -> None:
        layout.label(text=kind)
        for strip in strips:
            layout.label(text=strip.name, icon="SOUND")
        if not strips:
            hint(layout, without)
        row = layout.row(align=True)
        row.operator(f"vmg.{kind.lower()}_add", text="Add", icon="ADD")
        row.operator(f"vmg.{kind.lower()}_use", text="Use Selected")


class VMG_PT_footage(SubTab):
    """What is known about the footage of the active row."""

    bl_label = "Footage Details"
    bl_parent_id = "VMG_PT_setup"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """There must be a row."""
        scene = compat.sequencer_scene(context)
        return scene is not None and 0 <= scene.vmg.footage_index < len(scene.vmg.footages)

    def show(self, layout: bpy.types.UILayout, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        """Rate, size, length, what is wrong."""
        del context
        row = scene.vmg.footages[scene.vmg.footage_index]
        column = layout.column(align=True)
        if row.damaged:
            column.label(text=row.damaged, icon="ERROR")
        if row.frames:
            column.label(text=f"{row.width} x {row.height} px")
            column.label(text=f"{row.frames} frames, {rate(row.fps)} per second")
        if row.frames_without_person > 0:
            column.label(text=f"{row.frames_without_person} frames show nobody")
        if not row.exact:
            column.label(text="Takes use an even copy")
        layout.prop(row, "use_scene_rate")


register, unregister = bpy.utils.register_classes_factory((VMG_UL_footages, VMG_PT_setup, VMG_PT_footage))
