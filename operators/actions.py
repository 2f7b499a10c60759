"""Actions: wanted at a time, said of footage, found in it; gone to."""

from __future__ import annotations

import bpy

from ..addon import compat, jobs, overview
from ..addon.timeline import actions
from ..vmg_backend.errors import UserError
from .common import InSequencer, Returned, StartsJob, choose


def _known(self: bpy.types.Operator, context: bpy.types.Context, text: str) -> list[str]:
    """The actions that the footage is known to show, to choose from while one is typed."""
    del self, text
    return list(actions.known_tags(compat.sequencer_scene(context)))


class _NamesAction(InSequencer):
    """Asks for an action's name."""

    tag: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Action", description="What the person does, in a word or two: wave", search=_known
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Returned:
        """Ask for it; what was typed last is there already."""
        del event
        returned: Returned = context.window_manager.invoke_props_dialog(self, width=260)
        return returned

    def draw(self, context: bpy.types.Context) -> None:
        """The field, ready to type in."""
        del context
        row = self.layout.row()
        row.activate_init = True
        row.prop(self, "tag")

    def named(self) -> str:
        """What was typed."""
        tag = str(self.tag).strip()
        if not tag:
            raise UserError("The action has no name.", "Type one, or choose one that the footage is known to show.")
        return tag


class VMG_OT_action_add(_NamesAction):
    """Want an action from the playhead on: a text strip that says it, for 2 seconds; move and trim it as you like"""

    bl_idname = "vmg.action_add"
    bl_label = "Add Action"

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """There must be footage."""
        del context
        return "" if scene.vmg.footages else "Choose footage first"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Add it, select it alone, and choose its row."""
        del context
        added = actions.add_action(scene, scene.frame_current, self.named())
        choose(scene, added)
        return ""


class VMG_OT_footage_label(_NamesAction):
    """Say which action the selected footage strips show, while they are visible: a text strip lies over each of them"""

    bl_idname = "vmg.footage_label"
    bl_label = "Label Footage"

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Footage must be selected."""
        del scene
        return "" if _selected_footage(context) else "Select footage strips"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Label it."""
        actions.label_footage(scene, _selected_footage(context), self.named())
        return ""


class VMG_OT_labels_rename(_NamesAction):
    """Give all labels that say what the list's active one says another name: “motion 1” becomes “wave”"""

    bl_idname = "vmg.labels_rename"
    bl_label = "Rename All"

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """A label must be chosen."""
        del context
        return "" if _chosen(scene) else "Choose a label in the list"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Rename them."""
        del context
        return f"{actions.rename(scene, _chosen(scene), self.named())} labels renamed"


class VMG_OT_actions_find(StartsJob):
    """Part the footage into kinds of motion, and label it by them: “motion 1” and so on, which you then rename"""

    bl_idname = "vmg.actions_find"
    bl_label = "Find Actions"

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """There must be footage."""
        del context
        return "" if scene.vmg.footages else "Choose footage first"

    def begin(self, scene: bpy.types.Scene) -> None:
        """Start the job."""
        jobs.find_actions(scene)


class VMG_OT_strip_show(InSequencer):
    """Move the playhead to this strip, select it alone, and choose its row"""

    bl_idname = "vmg.strip_show"
    bl_label = "Show Strip"

    name: bpy.props.StringProperty(options={"HIDDEN", "SKIP_SAVE"})  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Show it."""
        del context
        strip = _named(scene, self.name)
        scene.frame_set(compat.start(strip))
        choose(scene, strip)
        return ""


class VMG_OT_strip_remove(InSequencer):
    """Delete the text strip that is chosen in the list; the footage stays"""

    bl_idname = "vmg.strip_remove"
    bl_label = "Remove Text Strip"

    name: bpy.props.StringProperty(options={"HIDDEN", "SKIP_SAVE"})  # type: ignore[valid-type]

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Delete it."""
        del context
        actions.remove(scene, _named(scene, self.name))
        return ""


def _named(scene: bpy.types.Scene, name: str) -> bpy.types.Struct:
    """The strip of a row."""
    strips = compat.strips(scene.sequence_editor) if scene.sequence_editor else {}
    strip = strips.get(name)
    if strip is None or strip.vmg.role not in ("ACTION", "LABEL"):
        raise UserError("The strip is not there any more.", "Choose another one in the list.")
    return strip


def _chosen(scene: bpy.types.Scene) -> str:
    """What the label of the list's active row says."""
    label = overview.listed(scene, scene.vmg.label_index, "LABEL")
    return str(label.text) if label else ""


def _selected_footage(context: bpy.types.Context) -> list[bpy.types.Struct]:
    return [strip for strip in compat.selected(context) if strip.vmg.role == "FOOTAGE"]


register, unregister = bpy.utils.register_classes_factory(
    (
        VMG_OT_action_add,
        VMG_OT_footage_label,
        VMG_OT_labels_rename,
        VMG_OT_actions_find,
        VMG_OT_strip_show,
        VMG_OT_strip_remove,
    )
)
