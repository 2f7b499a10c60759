"""The add-on's preferences: how the backend stands, and where it and its library lie."""

from __future__ import annotations

import bpy

from ..addon import hardware, installation, paths
from ..addon.environment import State, Status
from ..addon.properties import ModelFolder
from ..addon.session import session
from .hardware import draw_missing
from .status import draw_status, wrapped

_ICONS = {
    **{State.READY: "CHECKMARK", State.OUTDATED: "FILE_REFRESH"},
    **dict.fromkeys((State.ABSENT, State.INCOMPLETE, State.CHECKING), "INFO"),
}
_LINE = 90


def _offline(status: Status) -> str:
    """Why the set-up that is due cannot download what it needs."""
    due = status.state in (State.ABSENT, State.INCOMPLETE, State.BROKEN) and not paths.existing_python()
    return installation.why_offline() if due else ""


def _other_backend(self: bpy.types.AddonPreferences, context: bpy.types.Context) -> None:
    """The next job starts the backend that is chosen now."""
    del self, context
    session().stop_backend()
    hardware.forget()


def _device_items(self: bpy.types.AddonPreferences, _context: bpy.types.Context) -> list[hardware.MenuItem]:
    return hardware.items(hardware.device_choices(self.device))


def _device_place(self: bpy.types.AddonPreferences) -> int:
    return hardware.place(hardware.device_choices(self.device), self.device)


def _choose_device(self: bpy.types.AddonPreferences, number: int) -> None:
    self.device = hardware.device_choices(self.device)[number][0]


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
    device: bpy.props.StringProperty(default="auto", options={"HIDDEN"})  # type: ignore[valid-type]
    device_choice: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Device",
        description="Where HMInterp's model runs on this machine",
        items=_device_items,
        get=_device_place,
        set=_choose_device,
    )
    precision: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Precision",
        description="What it counts in: half of the bits need half of the memory",
        items=(
            ("auto", "Automatic", "What the device does best"),
            ("fp32", "32 Bits", "Exact, the most memory"),
            ("bf16", "16 Bits (bf16)", "Half of the memory, for newer graphics cards"),
            ("fp16", "16 Bits (fp16)", "Half of the memory; large numbers may run over"),
        ),
    )
    model_folders: bpy.props.CollectionProperty(type=ModelFolder, options={"HIDDEN"})  # type: ignore[valid-type]
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
        said = [status.reason, status.remedy]
        if hello := session().hello:
            said.append(
                f"Version {hello.version} runs on {hello.device}, {hello.cores} cores, Python {hello.python}. "
                "Only HMInterp uses a graphics card."
            )
        if offline := _offline(status):
            said.append(f"{offline}.")
        for line in (line for sentence in said for line in wrapped(sentence, _LINE)):
            column.label(text=line)
        row = box.row()
        if paths.existing_python():  # it is theirs to change
            row.operator("vmg.environment_test", text="Test")
            if status.command:
                row.operator("vmg.environment_copy", icon="COPYDOWN")
        else:
            _draw_buttons(row, status.state)
        self._draw_hminterp(box, status)
        draw_status(box, context)

    def _draw_hminterp(self, box: bpy.types.UILayout, status: Status) -> None:
        """Whether HMInterp is installed, once the backend is."""
        if status.state not in (State.READY, State.OUTDATED):
            return
        if hardware.ready() is False:
            draw_missing(box)
        elif hardware.ready():
            box.label(text="HMInterp is installed", icon="CHECKMARK")


def _draw_buttons(row: bpy.types.UILayout, state: State) -> None:
    """What can be done with our own environment."""
    if state is State.OUTDATED:
        row.operator("vmg.environment_set_up", text="Update Backend")
    elif state in (State.ABSENT, State.INCOMPLETE, State.FOREIGN):
        row.operator("vmg.environment_set_up", text="Set Up" if state is not State.INCOMPLETE else "Go On")
    else:
        row.operator("vmg.environment_test", text="Test")
        row.operator("vmg.environment_repair", text="Repair")
    row.operator("vmg.environment_remove", text="Remove")


register, unregister = bpy.utils.register_classes_factory((VideoMotionGraphsPreferences,))
