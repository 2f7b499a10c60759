"""What the panels share: where they are, and the scene that they show."""

from __future__ import annotations

from typing import ClassVar

import bpy

from ..addon import compat, overview


class Tab(bpy.types.Panel):
    """A panel of the Sequencer's sidebar, tab "Motion Graph"."""

    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Motion Graph"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """The Sequencer must show a scene."""
        return compat.sequencer_scene(context) is not None

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the panel for the scene that the Sequencer shows."""
        self.layout.use_property_split = True
        self.layout.use_property_decorate = False
        self.show(self.layout, context, compat.sequencer_scene(context))

    def show(self, layout: bpy.types.UILayout, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        """Draw into `layout`; changes nothing and reads no file."""
        raise NotImplementedError


class SubTab(Tab):
    """A closed panel inside another one, for what is rarely changed."""

    bl_options: ClassVar[set[str]] = {"DEFAULT_CLOSED"}


class TakeTab(SubTab):
    """Says something about the active take."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """There must be a take."""
        scene = compat.sequencer_scene(context)
        return scene is not None and overview.active_take(scene) is not None


class StripList(bpy.types.UIList):
    """The strips of one role, by time."""

    role: ClassVar[str]

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
        """The row of one."""
        del data, icon, active_data, active_property, index
        self.draw_row(layout.row(align=True), compat.sequencer_scene(context), item)

    def draw_row(self, row: bpy.types.UILayout, scene: bpy.types.Scene, item: bpy.types.Struct) -> None:
        """Draw what a row says of a strip."""
        raise NotImplementedError

    def filter_items(
        self, context: bpy.types.Context, data: bpy.types.SequenceEditor, name: str
    ) -> tuple[list[int], list[int]]:
        """A flag for each strip of that role, and the place of each by time."""
        del context
        strips = getattr(data, name)
        flags = [self.bitflag_filter_item if strip.vmg.role == self.role else 0 for strip in strips]
        by_time = sorted(range(len(strips)), key=lambda number: compat.start(strips[number]))
        places = [0] * len(by_time)
        for place, number in enumerate(by_time):
            places[number] = place
        return flags, places


def hint(layout: bpy.types.UILayout, text: str) -> None:
    """One line that says what to do next."""
    row = layout.row()
    row.active = False
    row.label(text=text, icon="INFO")


def clock(scene: bpy.types.Scene, frame: float) -> str:
    """A frame of the timeline as minutes and seconds from the scene's first frame."""
    seconds = float((frame - scene.frame_start) / compat.scene_rate(scene))
    sign = "-" if seconds < 0 else ""
    minutes, rest = divmod(abs(seconds), 60.0)
    return f"{sign}{int(minutes)}:{rest:05.2f}"


def strip_list(layout: bpy.types.UILayout, kind: str, scene: bpy.types.Scene, index: str) -> None:
    """A list of the editor's strips, of which `kind` shows some."""
    editor = scene.sequence_editor
    name = "strips" if "strips" in editor.bl_rna.properties else "sequences"
    layout.template_list(kind, "", editor, name, scene.vmg, index, rows=3)
