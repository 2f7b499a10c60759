"""What HMInterp runs with: its model and quality in Generate, its device and memory in Setup."""

from __future__ import annotations

import bpy

from ..addon import hardware, installation, paths, training
from ..addon.session import session
from .common import SubTab, hint
from .status import wrapped


def draw_model(layout: bpy.types.UILayout, scene: bpy.types.Scene) -> None:
    """Quality and model of the chosen engine, or what it lacks."""
    if scene.vmg.engine not in hardware.WITH_MODEL:
        return
    layout.prop(scene.vmg, "quality")
    ask_soon()
    found = hardware.known()
    if hardware.ready() is False:
        draw_missing(layout)
    elif found is None:
        _draw_unknown(layout)
    elif scene.vmg.engine in hardware.STAND_INS:
        _draw_lacking(layout, hardware.lacking(scene.vmg.engine))
    elif not found.models and not scene.vmg.model:
        row = layout.row(align=True)
        row.label(text="HMInterp has no model yet", icon="ERROR")
        row.operator("vmg.model_add", text="", icon="FILE_FOLDER")
        row.operator("vmg.hardware_look", text="", icon="FILE_REFRESH")
        draw_train(layout)
        _lines(layout, f"Or import the authors', as the guide says. Folder: {found.folder}")
    else:
        row = layout.row(align=True)
        row.prop(scene.vmg, "model_choice")
        if hardware.is_elsewhere(scene.vmg.model):
            row.operator("vmg.model_forget", text="", icon="REMOVE")
        row.operator("vmg.model_add", text="", icon="FILE_FOLDER")
        row.operator("vmg.hardware_look", text="", icon="FILE_REFRESH")
        chosen = [model for model in found.models if scene.vmg.model == model.name or len(found.models) == 1]
        for model in chosen[:1]:
            _lines(layout, model.description)


def draw_train(layout: bpy.types.UILayout) -> None:
    """The button that begins a training, and what it waits for; the panel is drawn anew when that has come."""
    layout.operator("vmg.train_plan", icon="MOD_ARMATURE")
    if waiting := training.waiting():
        hint(layout, f"{waiting}...")


def _draw_lacking(layout: bpy.types.UILayout, models: tuple[str, ...]) -> None:
    """The models that must be downloaded first."""
    if not models:
        return
    row = layout.row()
    row.label(text="The engine's models are not downloaded", icon="ERROR")
    row.operator("vmg.hardware_look", text="", icon="FILE_REFRESH")
    _lines(layout, f"In a terminal: vmg models get NAME, for each of {', '.join(models)}. The guide says how.")


def draw_missing(layout: bpy.types.UILayout) -> None:
    """That HMInterp is not set up, and the button that does it."""
    row = layout.split(factor=0.6)
    row.label(text="HMInterp is not set up", icon="INFO")
    if paths.existing_python():
        found = hardware.known()
        lacking = ", ".join(found.missing) if found else "torch"
        _lines(layout, f"Its environment lacks {lacking}: install vmg_backend[generate] there, then Refresh.")
        row.operator("vmg.hardware_look", icon="FILE_REFRESH")
    else:
        row.operator("vmg.hminterp_set_up", text="Set Up")
        (plain, _), (nvidia, _) = installation.HMINTERP_COST
        _lines(layout, f"Downloads torch: {plain}, with an NVIDIA graphics card {nvidia}. Other engines do without.")


class VMG_PT_hardware(SubTab):
    """Where models run."""

    bl_label = "Device and Memory"
    bl_parent_id = "VMG_PT_setup"

    def show(self, layout: bpy.types.UILayout, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        """Device, precision, memory; for engines that have a model."""
        del context, scene
        ask_soon()
        if hardware.ready() is False:
            draw_missing(layout)
            return
        machine = paths.preferences()
        if machine is not None:
            layout.prop(machine, "device_choice")
            layout.prop(machine, "precision")
        if hardware.known() is None:
            _draw_unknown(layout)
            return
        row = layout.row(align=True)
        device = hardware.device(machine.device if machine else "auto")
        if device is None:
            row.label(text="This device is not there", icon="ERROR")
        else:
            row.label(text=f"{device.label}: {device.free / 1e9:.1f} of {hardware.gigabytes(device.total)} free")
        row.operator("vmg.hardware_look", text="", icon="FILE_REFRESH")
        layout.operator("vmg.memory_release")


def _draw_unknown(layout: bpy.types.UILayout) -> None:
    """That nobody has looked yet, it is being done, or it failed."""
    row = layout.row()
    row.active = False
    asking = bpy.context.window_manager.vmg.asking
    row.label(text="Looking for devices and models" if asking else "Devices and models are not known yet")
    row.operator("vmg.hardware_look", text="", icon="FILE_REFRESH")


def _lines(layout: bpy.types.UILayout, text: str) -> None:
    column = layout.column(align=True)
    column.active = False
    for line in wrapped(text):
        column.label(text=line)


def ask_soon() -> None:
    """See to it that the backend is asked, by a timer: drawing must not start a job."""
    if not bpy.app.background and hardware.due() and not bpy.app.timers.is_registered(_ask):
        bpy.app.timers.register(_ask, first_interval=0.1, persistent=True)


def _ask() -> None:
    if hardware.due():
        hardware.look(session())


_register, _unregister = bpy.utils.register_classes_factory((VMG_PT_hardware,))


def register() -> None:
    """Add the panel."""
    _register()


def unregister() -> None:
    """Take it away, and ask nobody any more."""
    _unregister()
    if bpy.app.timers.is_registered(_ask):
        bpy.app.timers.unregister(_ask)
