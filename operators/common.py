"""What all operators share: the scene they work in, why they cannot, and how a job is started."""

from __future__ import annotations

from typing import ClassVar

import bpy

from ..addon import compat, jobs, overview
from ..addon.failures import JobCancelled, JobFailed
from ..vmg_backend.errors import UserError

Returned = set[str]

_ROWS = {"KEY": "key_index", "ACTION": "action_index", "LABEL": "label_index"}
"""By the role of a strip: what says which row of its list is chosen."""


class InSequencer(bpy.types.Operator):
    """Works in the scene that the Sequencer shows; `refusal` says why it cannot work now."""

    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Why the operator cannot work, one clause; empty where it can."""
        del context, scene
        return ""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether there is a scene and nothing stands against it."""
        scene = compat.sequencer_scene(context)
        reason = "The Sequencer shows no scene" if scene is None else cls.refusal(context, scene)
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Do it; gives what to report, or nothing.

        Raises
        ------
        UserError
            Reported with its remedy.
        """
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> Returned:
        """Run `act` and report."""
        try:
            said = self.act(context, compat.sequencer_scene(context))
        except JobCancelled:
            self.report({"INFO"}, "Cancelled.")
            return {"CANCELLED"}
        except UserError as error:
            log = error.failure.explanation.log if isinstance(error, JobFailed) else ""
            self.report({"ERROR"}, f"{error} ({log})" if log else str(error))
            return {"CANCELLED"}
        if said:
            self.report({"INFO"}, said)
        return {"FINISHED"}


class NeedsTake(InSequencer):
    """Works on the active take."""

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """There must be a take."""
        del context
        return "" if overview.active_take(scene) else "There is no take yet: press Suggest"


class StartsJob(InSequencer):
    """Starts a job, which changes nothing yet: no undo step. In background mode its end is waited for."""

    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """As others, and no job runs."""
        if running := jobs.workflow().said_running:
            cls.poll_message_set(running)
            return False
        return super().poll(context)

    def begin(self, scene: bpy.types.Scene) -> None:
        """Start the job."""
        raise NotImplementedError

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Start it, and wait where no timer would go on with it."""
        del context
        self.begin(scene)
        finish_in_background()
        return ""


def finish_in_background() -> None:
    """Wait for all jobs in background mode, where no timer runs."""
    if bpy.app.background:
        jobs.workflow().finish()


def choose(scene: bpy.types.Scene, strip: bpy.types.Struct) -> None:
    """Select a strip alone, and choose its row where it has one."""
    compat.select_alone(scene.sequence_editor, strip)
    if row := _ROWS.get(strip.vmg.role):
        setattr(scene.vmg, row, list(compat.strips(scene.sequence_editor)).index(strip))
