"""Footage, music and speech: added, used, found again; the scene made to fit; the sample."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import bpy

from ..addon import compat, footages, installation, jobs, paths
from ..addon.environment import State
from ..addon.sample import sample
from ..addon.timeline import material, reading
from ..vmg_backend.errors import UserError
from .common import InSequencer, Returned, finish_in_background


class _ChoosesFiles(InSequencer):
    """Opens the file browser."""

    directory: bpy.props.StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})  # type: ignore[valid-type]
    files: bpy.props.CollectionProperty(  # type: ignore[valid-type]
        type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"}
    )
    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})  # type: ignore[valid-type]
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})  # type: ignore[valid-type]

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Returned:
        """Let the person choose."""
        del event
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def chosen(self) -> list[Path]:
        """The files."""
        many = [Path(self.directory, entry.name) for entry in self.files if entry.name]
        files = many or ([Path(self.filepath)] if self.filepath else [])
        if not files:
            raise UserError("No file was chosen.", "Choose one.")
        return [Path(bpy.path.abspath(str(file))) for file in files]


class VMG_OT_footage_add(_ChoosesFiles):
    """Add videos of one person as strips, frame by frame and not stretched, and use them as footage"""

    bl_idname = "vmg.footage_add"
    bl_label = "Add Footage"

    filter_movie: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})  # type: ignore[valid-type]
    match_scene: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Match Scene", description="Give the scene the footage's rate and size, and its colours as they are"
    )

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Add strips one after the other, then look at them."""
        del context
        at = scene.frame_current
        for file in self.chosen():
            at = compat.end(material.add_footage(scene, file, at))
        jobs.use_footage(scene, match_scene=self.match_scene)
        finish_in_background()
        return ""


class VMG_OT_footage_use(InSequencer):
    """Use the visible ranges of the selected movie strips as footage, and start to analyze them"""

    bl_idname = "vmg.footage_use"
    bl_label = "Use as Footage"

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Movie strips must be selected."""
        del scene
        return "" if _selected(context, "MOVIE") else "Select movie strips"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Give them the role."""
        reading.use_as_footage(_selected(context, "MOVIE"))
        jobs.use_footage(scene)
        finish_in_background()
        return ""


class _OnRow(InSequencer):
    """Works on the footage of the active row."""

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """There must be a row."""
        del context
        return "" if 0 <= scene.vmg.footage_index < len(scene.vmg.footages) else "Choose a footage in the list"


class VMG_OT_footage_remove(_OnRow):
    """Do not use the file that is chosen in the list as footage any more; its strips stay"""

    bl_idname = "vmg.footage_remove"
    bl_label = "Remove Footage"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Take the role from its strips, and the row away."""
        del context
        material.stop_using(scene, scene.vmg.footages[scene.vmg.footage_index].path)
        return ""


class VMG_OT_footage_locate(_ChoosesFiles):
    """Say where a file that was moved lies now; all strips that show it follow"""

    bl_idname = "vmg.footage_locate"
    bl_label = "Locate"

    filter_movie: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})  # type: ignore[valid-type]

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """A file must be missing."""
        del context
        return "" if any(row.missing for row in scene.vmg.footages) else "No footage is missing"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Point its strips at the chosen file."""
        del context
        lost = [number for number, row in enumerate(scene.vmg.footages) if row.missing]
        row = scene.vmg.footages[scene.vmg.footage_index if scene.vmg.footage_index in lost else lost[0]]
        count = material.locate(scene, row.path, self.chosen()[0])
        jobs.use_footage(scene)
        finish_in_background()
        return f"{count} strips show {self.chosen()[0].name}"


class _AddsSound(_ChoosesFiles):
    """Adds a sound file as a strip at the playhead."""

    filter_sound: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})  # type: ignore[valid-type]

    def added(self, scene: bpy.types.Scene) -> bpy.types.Strip:
        """The strip."""
        return material.add_music(scene, self.chosen()[0], scene.frame_current)


class _UsesSounds(InSequencer):
    """Gives the selected sound strips a role."""

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Sound strips must be selected."""
        del scene
        return "" if _selected(context, "SOUND") else "Select sound strips"


class VMG_OT_music_add(_AddsSound):
    """Add a sound file as a strip, and use it as the music"""

    bl_idname = "vmg.music_add"
    bl_label = "Add Music"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Add it; it has the role then."""
        del context
        self.added(scene)
        return ""


class VMG_OT_music_use(_UsesSounds):
    """Use the selected sound strips as the music"""

    bl_idname = "vmg.music_use"
    bl_label = "Use as Music"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Give them the role."""
        del scene
        reading.use_as_music(_selected(context, "SOUND"))
        return ""


class VMG_OT_speech_add(_AddsSound):
    """Add a sound file as a strip, and use it as speech, which gestures follow"""

    bl_idname = "vmg.speech_add"
    bl_label = "Add Speech"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Add it, and give it the role."""
        del context
        reading.use_as_speech([self.added(scene)])
        return ""


class VMG_OT_speech_use(_UsesSounds):
    """Use the selected sound strips as speech, which gestures follow"""

    bl_idname = "vmg.speech_use"
    bl_label = "Use as Speech"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Give them the role."""
        del scene
        reading.use_as_speech(_selected(context, "SOUND"))
        return ""


class VMG_OT_scene_match(InSequencer):
    """Give the scene the footage's frame rate and size, and let it show colours unchanged (view transform Standard)"""

    bl_idname = "vmg.scene_match"
    bl_label = "Match Scene to Footage"

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """A footage must be known."""
        del context
        return "" if footages.leading(scene) else "No footage was looked at yet"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Match the first footage."""
        del context
        material.match_scene(scene, footages.leading(scene))
        return ""


class VMG_OT_use_scene_rate(_OnRow):
    """Take each frame of this file as one of the scene's: for files whose own rate is wrong. Once more takes it back"""

    bl_idname = "vmg.use_scene_rate"
    bl_label = "Use Scene Rate"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Change it, and analyze again: speed depends on it."""
        del context
        row = scene.vmg.footages[scene.vmg.footage_index]
        row.use_scene_rate = not row.use_scene_rate
        row.analyzed = False
        jobs.use_footage(scene)
        finish_in_background()
        return ""


class VMG_OT_analyze(InSequencer):
    """Find out how the person moves in the footage; begins by itself when footage is chosen"""

    bl_idname = "vmg.analyze"
    bl_label = "Analyze"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """There must be footage, and no analysis that waits already."""
        del context
        if not scene.vmg.footages:
            return "Choose footage first"
        return "It begins when the running job has ended" if jobs.workflow().queued(scene) else ""

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Start, or queue."""
        del context
        jobs.analyze(scene)
        finish_in_background()
        return ""


class VMG_OT_sample_load(InSequencer):
    """Add the project's own sample: a rendered dancer and music, to try everything"""

    bl_idname = "vmg.sample_load"
    bl_label = "Load Sample"

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """The sample is part of the backend."""
        del context, scene
        there = installation.status().state in (State.READY, State.CHECKING)
        return "" if there else "The sample comes with the backend: set it up first"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Add both from the scene's first frame on, make the scene fit, and look at the footage."""
        del context
        performer, music = sample()
        material.add_footage(scene, performer, scene.frame_start)
        material.add_music(scene, music, scene.frame_start)
        jobs.use_footage(scene, match_scene=True)
        finish_in_background()
        return ""


class VMG_OT_online_show(bpy.types.Operator):
    """Open the preference that allows online access"""

    bl_idname = "vmg.online_show"
    bl_label = "System Settings"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> Returned:
        """Open it."""
        bpy.ops.screen.userpref_show("INVOKE_DEFAULT")
        context.preferences.active_section = "SYSTEM"
        return {"FINISHED"}


class VMG_OT_preferences_show(bpy.types.Operator):
    """Open the preferences of this add-on"""

    bl_idname = "vmg.preferences_show"
    bl_label = "Preferences"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> Returned:
        """Open them."""
        del context
        bpy.ops.preferences.addon_show("INVOKE_DEFAULT", module=paths.PACKAGE)
        return {"FINISHED"}


def _selected(context: bpy.types.Context, kind: str) -> list[bpy.types.Struct]:
    return [strip for strip in compat.selected(context) if strip.type == kind]


register, unregister = bpy.utils.register_classes_factory(
    (
        VMG_OT_footage_add,
        VMG_OT_footage_use,
        VMG_OT_footage_remove,
        VMG_OT_footage_locate,
        VMG_OT_music_add,
        VMG_OT_music_use,
        VMG_OT_speech_add,
        VMG_OT_speech_use,
        VMG_OT_scene_match,
        VMG_OT_use_scene_rate,
        VMG_OT_analyze,
        VMG_OT_sample_load,
        VMG_OT_online_show,
        VMG_OT_preferences_show,
    )
)
