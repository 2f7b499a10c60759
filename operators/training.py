"""Train on This Footage: asked about, started, paused, gone on with, deleted."""

from __future__ import annotations

from typing import ClassVar

import bpy

from ..addon import compat, jobs, training
from ..addon.session import SceneRef, session
from ..vmg_backend.errors import UserError
from .common import InSequencer, Returned, StartsJob, finish_in_background

_WIDTH = 440


class VMG_OT_train_plan(StartsJob):
    """Train a model of the person in this scene's footage; says first where, how long and how much it takes"""

    bl_idname = "vmg.train_plan"
    bl_label = "Train on This Footage"

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """There must be footage that is known, and all that a training needs."""
        del context
        return training.refusal(scene) or training.waiting()

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Look what it takes, then open the dialog that says so."""
        del context
        name, target = training.usual_name(scene), SceneRef.of(scene)
        asked = training.ask(session(), training.wish(scene, name), lambda: _open(target, name))
        if bpy.app.background:
            session().wait(asked)
        return ""


def _open(target: SceneRef, name: str) -> None:
    """Open the dialog, where the scene is still seen.

    Raises
    ------
    UserError
        When it is not, or something else runs now.
    """
    plan = training.training().plan
    if plan is None or bpy.app.background:
        return
    for window in bpy.context.window_manager.windows:
        with bpy.context.temp_override(window=window):
            if compat.sequencer_scene(bpy.context) == target.find() and bpy.ops.vmg.train.poll():
                bpy.ops.vmg.train("INVOKE_DEFAULT", name=name, minutes=plan.minutes, thrifty=plan.memory > plan.free)
                return
    why = jobs.workflow().said_running or "Its scene is not shown any more"
    raise UserError(f"The training could not be offered. {why}.", "Press Train on This Footage again.")


class VMG_OT_train(StartsJob):
    """Train a model of the person in this scene's footage, or go on where a training of that name was stopped"""

    bl_idname = "vmg.train"
    bl_label = "Train on This Footage"

    name: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Name", description="What the model is called in the menu", options={"SKIP_SAVE"}
    )
    minutes: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Minutes",
        description="About so long it trains; more is better. 0 for all of the recipe's steps",
        min=0.0,
        soft_max=1440.0,
        precision=0,
        step=100,
        default=30.0,
        options={"SKIP_SAVE"},
    )
    thrifty: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Thrifty", description="Less memory, more time (gradient checkpointing)", options={"SKIP_SAVE"}
    )
    recipe: bpy.props.StringProperty(default="personal", options={"HIDDEN", "SKIP_SAVE"})  # type: ignore[valid-type]

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """There must be footage that is known, and all that a training needs."""
        del context
        return training.refusal(scene)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Returned:
        """Say what it takes before it starts."""
        del event
        returned: Returned = context.window_manager.invoke_props_dialog(self, width=_WIDTH, confirm_text="Train")
        return returned

    def draw(self, context: bpy.types.Context) -> None:
        """Name, time, and what it takes."""
        del context
        layout, plan = self.layout, training.training().plan
        layout.use_property_split = True
        for name in ("name", "minutes", "thrifty"):
            layout.prop(self, name)
        column = layout.column(align=True)
        for text, well in training.facts(plan, self.name, thrifty=self.thrifty) if plan else ():
            column.label(text=text, icon="BLANK1" if well else "ERROR")
        column.label(text="Setup > Device and Memory chooses where. You can pause at any time.", icon="INFO")

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Start it."""
        del context
        name = self.name or training.usual_name(scene)
        asked = training.wish(scene, name, self.minutes or None, thrifty=self.thrifty, recipe=self.recipe)
        training.start(scene, asked)
        finish_in_background()
        return training.training().said


class VMG_OT_train_pause(bpy.types.Operator):
    """Stop the training within a second; it keeps what it has learned, and can go on later"""

    bl_idname = "vmg.train_pause"
    bl_label = "Pause"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """There must be one."""
        del context
        cls.poll_message_set("No training runs")
        return training.training().running is not None

    def execute(self, context: bpy.types.Context) -> Returned:
        """Stop it."""
        del context
        training.pause()
        return {"FINISHED"}


class VMG_OT_train_resume(StartsJob):
    """Go on with this training where it was stopped, with the footage that it was begun with"""

    bl_idname = "vmg.train_resume"
    bl_label = "Resume"

    name: bpy.props.StringProperty(options={"HIDDEN", "SKIP_SAVE"})  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Go on."""
        del context
        training.resume(scene, self.name)
        finish_in_background()
        return training.training().said


class VMG_OT_train_drop(InSequencer):
    """Stop this training for good, and delete what it has learned; asks first"""

    bl_idname = "vmg.train_drop"
    bl_label = "Delete Training"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    name: bpy.props.StringProperty(options={"HIDDEN", "SKIP_SAVE"})  # type: ignore[valid-type]

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Returned:
        """Ask first."""
        del event
        returned: Returned = context.window_manager.invoke_props_dialog(self, width=_WIDTH, confirm_text="Delete")
        return returned

    def draw(self, context: bpy.types.Context) -> None:
        """What would be lost."""
        del context
        self.layout.label(text=f"Delete the training “{self.name}”, and all that it has learned?", icon="ERROR")

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Delete it."""
        del context
        training.drop(scene, self.name)
        finish_in_background()
        return ""


class VMG_OT_train_dismiss(bpy.types.Operator):
    """Close this message; the model stays"""

    bl_idname = "vmg.train_dismiss"
    bl_label = "Dismiss"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> Returned:
        """Forget how it ended."""
        del context
        training.training().clear()
        return {"FINISHED"}


register, unregister = bpy.utils.register_classes_factory(
    (
        VMG_OT_train_plan,
        VMG_OT_train,
        VMG_OT_train_pause,
        VMG_OT_train_resume,
        VMG_OT_train_drop,
        VMG_OT_train_dismiss,
    )
)
