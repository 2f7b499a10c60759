"""Suggest, Generate, Re-render Stale, a part once more, and what is done about running and finished jobs."""

from __future__ import annotations

from typing import ClassVar

import bpy

from ..addon import hardware, jobs, overview
from ..addon.session import session
from .common import InSequencer, NeedsTake, Returned, StartsJob, finish_in_background


class VMG_OT_suggest(StartsJob):
    """Make new takes: the best ways through the footage for what is wanted, with cross fades"""

    bl_idname = "vmg.suggest"
    bl_label = "Suggest"

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """There must be footage."""
        del context
        return "" if len(scene.vmg.footages) else "Choose footage first"

    def begin(self, scene: bpy.types.Scene) -> None:
        """Start the job."""
        jobs.suggest(scene)


class VMG_OT_suggest_part(NeedsTake, StartsJob):
    """Make another version of the preview range, or of what lies between two cuts under the playhead; the rest stays"""

    bl_idname = "vmg.suggest_part"
    bl_label = "Suggest Part Again"

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """There must be a take, and the preview range or the playhead must be on it."""
        if (take := overview.active_take(scene)) is None:
            return super().refusal(context, scene)
        if overview.on_take(take, *overview.stretch(scene)):
            return ""
        if scene.use_preview_range:
            return "The preview range is not on the take"
        return "Set a preview range (P), or move the playhead onto the take"

    def begin(self, scene: bpy.types.Scene) -> None:
        """Start the job."""
        jobs.suggest_part(scene)


class VMG_OT_generate(NeedsTake, StartsJob):
    """Fill the transitions of the active take with generated frames, one by one; the take plays all the while"""

    bl_idname = "vmg.generate"
    bl_label = "Generate"

    selected: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Selected Only", description="Only the selected transitions", options={"SKIP_SAVE"}
    )

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """There must be a take, and what the engine needs."""
        return super().refusal(context, scene) or hardware.refusal(scene)

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Start the job for all transitions, or for the selected ones."""
        take = overview.active_take(scene)
        jobs.generate(scene, overview.selected_transitions(context, take) if self.selected else None)
        finish_in_background()
        return ""


class VMG_OT_rerender_stale(NeedsTake, StartsJob):
    """Bring the active take up to date where keyframes, beats or cuts changed, and generate only that"""

    bl_idname = "vmg.rerender_stale"
    bl_label = "Re-render Stale"

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """There must be a take, and what the engine needs."""
        return super().refusal(context, scene) or hardware.refusal(scene)

    def begin(self, scene: bpy.types.Scene) -> None:
        """Start the job."""
        jobs.rerender_stale(scene)


class VMG_OT_job_cancel(bpy.types.Operator):
    """Stop the running job within a second; what is finished is kept"""

    bl_idname = "vmg.job_cancel"
    bl_label = "Cancel"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """There must be a job."""
        cls.poll_message_set("Nothing runs")
        return bool(jobs.workflow().busy)

    def execute(self, context: bpy.types.Context) -> Returned:
        """Cancel, with all that waits."""
        jobs.workflow().cancel()
        return {"FINISHED"}


class VMG_OT_insert_waiting(InSequencer):
    """Put the finished result into this scene; the scene that it was made for is gone"""

    bl_idname = "vmg.insert_waiting"
    bl_label = "Insert"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """There must be a result."""
        del context, scene
        return "" if jobs.workflow().waiting else "No result waits"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Insert it."""
        del context
        return jobs.insert_waiting(scene)


class VMG_OT_waiting_dismiss(bpy.types.Operator):
    """Do not insert this result; generated frames stay on the disk"""

    bl_idname = "vmg.waiting_dismiss"
    bl_label = "Dismiss Result"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """There must be a result."""
        del context
        cls.poll_message_set("No result waits")
        return bool(jobs.workflow().waiting)

    def execute(self, context: bpy.types.Context) -> Returned:
        """Forget it."""
        del context
        jobs.workflow().waiting.pop(0)
        return {"FINISHED"}


class VMG_OT_apply_result(bpy.types.Operator):
    """Show what a job has brought, as one step that can be undone"""

    bl_idname = "vmg.apply_result"
    bl_label = "Apply Result"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    title: bpy.props.StringProperty()  # type: ignore[valid-type]

    def execute(self, context: bpy.types.Context) -> Returned:
        """Make the step: by this call and not by the option UNDO, so that it has the name of the result."""
        bpy.ops.ed.undo_push(message=self.title)
        return {"FINISHED"}


class VMG_OT_show_log(bpy.types.Operator):
    """Open the log in a text editor"""

    bl_idname = "vmg.show_log"
    bl_label = "Show Log"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> Returned:
        """Open the file with the system's program for it."""
        path = session().log.path
        if not path.is_file():
            self.report({"INFO"}, "Nothing was logged yet.")
            return {"CANCELLED"}
        bpy.ops.wm.path_open(filepath=str(path))
        return {"FINISHED"}


class VMG_OT_failure_dismiss(bpy.types.Operator):
    """Close this message"""

    bl_idname = "vmg.failure_dismiss"
    bl_label = "Dismiss"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> Returned:
        """Forget the failure."""
        jobs.dismiss_failure()
        return {"FINISHED"}


register, unregister = bpy.utils.register_classes_factory(
    (
        VMG_OT_suggest,
        VMG_OT_suggest_part,
        VMG_OT_generate,
        VMG_OT_rerender_stale,
        VMG_OT_job_cancel,
        VMG_OT_insert_waiting,
        VMG_OT_waiting_dismiss,
        VMG_OT_apply_result,
        VMG_OT_show_log,
        VMG_OT_failure_dismiss,
    )
)
