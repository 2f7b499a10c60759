"""Models that lie elsewhere than in the folder of models: added, and taken off the list."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..addon import hardware
from ..addon.session import session
from .common import InSequencer, Returned


class VMG_OT_model_add(InSequencer):
    """Use a model that lies in a folder of your own"""

    bl_idname = "vmg.model_add"
    bl_label = "Choose Model Folder"

    directory: bpy.props.StringProperty(subtype="DIR_PATH", options={"SKIP_SAVE"})  # type: ignore[valid-type]
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})  # type: ignore[valid-type]

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Returned:
        """Let the person choose."""
        del event
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Have it looked at; what is wrong with it appears in the panel."""
        del context
        looked = hardware.add_model(session(), scene, Path(bpy.path.abspath(self.directory)))
        if bpy.app.background:
            session().wait(looked)
        return ""


class VMG_OT_model_forget(InSequencer):
    """Take the chosen model off the list; its files stay where they are"""

    bl_idname = "vmg.model_forget"
    bl_label = "Forget Model"

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """It must be one that was added."""
        del context
        return "" if hardware.is_elsewhere(scene.vmg.model) else "The model is not one that was added"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Forget it."""
        del context
        hardware.forget_model(scene)
        return ""


register, unregister = bpy.utils.register_classes_factory((VMG_OT_model_add, VMG_OT_model_forget))
