"""Takes: shown, found in the timeline, removed, cleaned up; a cut is played around."""

from __future__ import annotations

from typing import ClassVar

import bpy

from ..addon import compat, jobs, overview, unused
from ..addon.timeline import takes
from ..vmg_backend.errors import UserError
from .common import InSequencer, Returned

AROUND = 2.0
"""Seconds on either side of a cut that is played."""


class _OnTake(InSequencer):
    """Works on the take `uid`; without one, on the active take."""

    uid: bpy.props.StringProperty(options={"HIDDEN", "SKIP_SAVE"})  # type: ignore[valid-type]

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """There must be a take."""
        del context
        return "" if takes.takes(scene) else "There is no take yet: press Suggest"

    def take(self, scene: bpy.types.Scene) -> bpy.types.MetaStrip:
        """The take."""
        found = takes.find(scene, self.uid or scene.vmg.active_take)
        if found is None:
            raise UserError("The take is not there any more.", "Choose another one in the list.")
        return found


class VMG_OT_take_activate(_OnTake):
    """Show this take, hide the others that lie at the same time, and let the panels work on it"""

    bl_idname = "vmg.take_activate"
    bl_label = "Make Active"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """The chosen one; from the context menu, the selected one."""
        chosen = next((strip for strip in compat.selected(context) if strip.vmg.role == "TAKE"), None)
        take = self.take(scene) if self.uid or chosen is None else chosen
        takes.show_take(scene, take.vmg.uid)
        return ""


class VMG_OT_take_reveal(_OnTake):
    """Select the take and bring it into view"""

    bl_idname = "vmg.take_reveal"
    bl_label = "Reveal"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Select it alone, and frame it where there is a view: the button may lie in the sidebar."""
        take = self.take(scene)
        compat.select_alone(scene.sequence_editor, take)
        regions = context.area.regions if context.area else ()
        if view := next((region for region in regions if region.type == "WINDOW"), None):
            with context.temp_override(region=view):
                bpy.ops.sequencer.view_selected()
        return ""


class VMG_OT_take_remove(_OnTake):
    """Delete the active take's strip; its files stay until Clean Unused Files"""

    bl_idname = "vmg.take_remove"
    bl_label = "Remove Take"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Delete it."""
        del context
        take = self.take(scene)
        name = take.name
        takes.remove(scene, take.vmg.uid)
        return f"{name} removed"


class VMG_OT_takes_clean(InSequencer):
    """Delete generated frames that no file in this folder shows; says first which and how much"""

    bl_idname = "vmg.takes_clean"
    bl_label = "Clean Unused Files"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """New frames are not shown before they are complete."""
        del context, scene
        return jobs.workflow().said_running

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Returned:
        """Show what would be deleted."""
        del event
        try:
            self._unused = unused.folders()
        except UserError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        if not self._unused:
            self.report({"INFO"}, "There is nothing to delete.")
            return {"CANCELLED"}
        returned: Returned = context.window_manager.invoke_props_dialog(self, width=420, confirm_text="Delete")
        return returned

    def draw(self, context: bpy.types.Context) -> None:
        """The folders and their sizes."""
        del context
        column = self.layout.column(align=True)
        for folder, size in self._unused[:12]:
            column.label(text=f"{folder.parent.name}/{folder.name}: {size / 1e6:.1f} MB")
        total = sum(size for _, size in self._unused)
        column.label(text=f"{len(self._unused)} folders, {total / 1e6:.1f} MB. Undo does not bring them back.")

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Delete what is unused now."""
        del context, scene
        found = unused.folders()
        unused.delete(found)
        return f"{len(found)} folders deleted, {sum(size for _, size in found) / 1e6:.1f} MB"


class VMG_OT_cut_play(_OnTake):
    """Play around the selected cut, or the one nearest to the playhead, again and again; once more stops"""

    bl_idname = "vmg.cut_play"
    bl_label = "Play Cut"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Loop over the frames around it, with the sound; or stop."""
        if context.screen and context.screen.is_animation_playing:
            bpy.ops.screen.animation_cancel(restore_frame=False)
            if scene.vmg.looping:
                scene.vmg.looping = False
                scene.use_preview_range = scene.vmg.preview_range[0] > 0
                scene.frame_preview_start, scene.frame_preview_end = scene.vmg.preview_range[1:]
            return ""
        cut = overview.nearest_cut(context, scene, self.take(scene))
        around = round(AROUND * compat.scene_rate(scene))
        if not scene.vmg.looping:  # else it was stopped by other means, and what the person had is still noted
            own = (int(scene.use_preview_range), scene.frame_preview_start, scene.frame_preview_end)
            scene.vmg.looping, scene.vmg.preview_range = True, own
        scene.use_preview_range = True
        scene.frame_preview_start, scene.frame_preview_end = max(0, cut - around), cut + around
        scene.frame_set(scene.frame_preview_start)
        if not bpy.app.background:
            bpy.ops.screen.animation_play()
        return ""


class VMG_OT_transition_pin(InSequencer):
    """Keep the frames of the selected transitions, even where the take changes around them; once more lets go"""

    bl_idname = "vmg.transition_pin"
    bl_label = "Pin Frames"

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Transitions must be selected."""
        del scene
        return "" if _selected_transitions(context) else "Select filled transitions inside a take"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Pin all, or unpin where all are pinned."""
        del scene
        strips = _selected_transitions(context)
        pin = not all(strip.vmg.pinned for strip in strips)
        for strip in strips:
            strip.vmg.pinned = pin
        return "Pinned" if pin else "Not pinned any more"


def _selected_transitions(context: bpy.types.Context) -> list[bpy.types.Struct]:
    return [strip for strip in compat.selected(context) if strip.vmg.role == "TRANSITION"]


register, unregister = bpy.utils.register_classes_factory(
    (
        VMG_OT_take_activate,
        VMG_OT_take_reveal,
        VMG_OT_take_remove,
        VMG_OT_takes_clean,
        VMG_OT_cut_play,
        VMG_OT_transition_pin,
    )
)
