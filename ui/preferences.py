"""The add-on's preferences: how the backend stands, and where it and its library lie."""

from __future__ import annotations

import bpy

from ..addon import installation, paths
from ..addon.environment import State, Status
from ..addon.session import session
from .status import draw_status, wrapped

_ICONS = {State.READY: "CHECKMARK", State.ABSENT: "INFO", State.INCOMPLETE: "INFO", State.OUTDATED: "FILE_REFRESH"}
_LINE = 90


def _offline(status: Status) -> str:
    """Why the set-up that is due cannot download what it needs."""
    due = status.state in (State.ABSENT, State.INCOMPLETE, State.BROKEN) and not paths.existing_python()
    return installation.why_offline() if due else ""


def _other_backend(self: bpy.types.AddonPreferences, context: bpy.types.Context) -> None:
    """The next job starts the backend that is chosen now."""
    del self, context
    session().stop_backend()


class VideoMotionGraphsPreferences(bpy.types.AddonPreferences):
    """Where things are, and the buttons that make them."""

    bl_idname = paths.PACKAGE

    environment_folder: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Folder",
        description="Where the backend's environment is made; empty for a folder in the user's cache",
        subtype="DIR_PATH",
        update=_other_backend,
    )
    existing_python: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Existing Environment",
        description="The Python of an environment in which you installed the backend yourself; empty for our own",
        subtype="FILE_PATH",
        update=_other_backend,
    )
    library_folder: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Library",
        description="Where poses, graphs and generated transitions are kept; empty for a folder in the user's cache",
        subtype="DIR_PATH",
    )
    library_megabytes: bpy.props.FloatProperty(default=-1.0, options={"HIDDEN", "SKIP_SAVE"})  # type: ignore[valid-type]

    def draw(self, context: bpy.types.Context) -> None:
        """Draw the state, the buttons that fit it, and the folders."""
        layout = self.layout
        layout.use_property_split = True
        box = layout.box()
        self._draw_state(box, installation.status(), context)
        column = layout.column()
        column.prop(self, "environment_folder", placeholder=str(paths.environment_folder()))
        column.prop(self, "existing_python")
        column.prop(self, "library_folder", placeholder=str(paths.library_place()))
        split = column.split(factor=0.4)
        split.label()
        row = split.row(align=True)
        known = f"Size: {self.library_megabytes:.0f} MB" if self.library_megabytes >= 0 else "Measure"
        row.operator("vmg.library_measure", text=known, icon="FILE_REFRESH")
        row.operator("vmg.library_clear", text="Clear", icon="TRASH")

    def _draw_state(self, box: bpy.types.UILayout, status: Status, context: bpy.types.Context) -> None:
        column = box.column(align=True)
        column.label(text=f"Backend: {status.state.value}", icon=_ICONS.get(status.state, "ERROR"))
        said = [status.reason]
        if hello := session().hello:
            said.append(
                f"Version {hello.version} runs on {hello.device}, {hello.cores} cores, Python {hello.python}. "
                "Nothing in it uses a graphics card yet."
            )
        if offline := _offline(status):
            said.append(f"{offline}.")
        for line in (line for sentence in said for line in wrapped(sentence, _LINE)):
            column.label(text=line)
        row = box.row()
        if status.state is State.OUTDATED:
            row.operator("vmg.environment_set_up", text="Update Backend")
        elif status.state in (State.ABSENT, State.INCOMPLETE, State.FOREIGN):
            row.operator("vmg.environment_set_up", text="Set Up" if status.state is not State.INCOMPLETE else "Go On")
        else:
            row.operator("vmg.environment_test", text="Test")
            row.operator("vmg.environment_repair", text="Repair")
        row.operator("vmg.environment_remove", text="Remove")
        draw_status(box, context)


register, unregister = bpy.utils.register_classes_factory((VideoMotionGraphsPreferences,))
