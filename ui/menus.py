"""Entries in the Sequencer's own menus: Add, Strip, the strip's context menu, Marker."""

from __future__ import annotations

import bpy

from ..addon import compat


class VMG_MT_strip(bpy.types.Menu):
    """All that is done with strips."""

    bl_label = "Motion Graph"

    def draw(self, context: bpy.types.Context) -> None:
        """The verbs for strips."""
        del context
        layout = self.layout
        layout.operator("vmg.footage_use")
        layout.operator("vmg.music_use")
        layout.operator("vmg.speech_use")
        layout.operator("vmg.footage_label")
        layout.operator("vmg.key_toggle")
        layout.separator()
        layout.operator("vmg.suggest_part")
        layout.operator("vmg.cut_play")
        layout.operator("vmg.generate", text="Generate Selected Transitions").selected = True
        layout.operator("vmg.transition_pin")


def _add(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    del context
    self.layout.separator()
    self.layout.operator("vmg.footage_add", icon="FILE_MOVIE")
    self.layout.operator("vmg.key_add", icon="KEY_HLT")
    self.layout.operator("vmg.action_add", icon="ADD")


def _strip(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    del context
    self.layout.separator()
    self.layout.menu(VMG_MT_strip.__name__)


def _context(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    """Only what fits the selected strips."""
    roles = {strip.vmg.role for strip in compat.selected(context)}
    kinds = {strip.type for strip in compat.selected(context)}
    layout = self.layout
    layout.separator()
    if roles & {"CROSS", "TRANSITION"}:
        layout.operator("vmg.generate", text="Generate Selected Transitions").selected = True
        layout.operator("vmg.cut_play")
    if "TRANSITION" in roles:
        layout.operator("vmg.transition_pin")
    if "TAKE" in roles:
        layout.operator("vmg.take_activate", text="Make Take Active")
        layout.operator("vmg.suggest_part")
    if "MOVIE" in kinds and roles & {"NONE"}:
        layout.operator("vmg.footage_use")
    if "MOVIE" in kinds and roles & {"NONE", "KEY", "PIECE"}:
        layout.operator("vmg.key_toggle")
    if "FOOTAGE" in roles:
        layout.operator("vmg.footage_label")
    if "SOUND" in kinds and roles & {"NONE"}:
        layout.operator("vmg.music_use")
        layout.operator("vmg.speech_use")


def _marker(self: bpy.types.Menu, context: bpy.types.Context) -> None:
    if context.area.type == "SEQUENCE_EDITOR":
        self.layout.separator()
        self.layout.operator("vmg.beats_detect")


_ENTRIES = (
    ("SEQUENCER_MT_add", _add),
    ("SEQUENCER_MT_strip", _strip),
    ("SEQUENCER_MT_context_menu", _context),
    ("SEQUENCER_MT_marker", _marker),
)


def register() -> None:
    """Add the entries."""
    bpy.utils.register_class(VMG_MT_strip)
    for menu, draw in _ENTRIES:
        getattr(bpy.types, menu).append(draw)


def unregister() -> None:
    """Take them away."""
    for menu, draw in _ENTRIES:
        getattr(bpy.types, menu).remove(draw)
    bpy.utils.unregister_class(VMG_MT_strip)
