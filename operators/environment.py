"""The preferences' buttons: the backend's environment and the library."""

from __future__ import annotations

from typing import ClassVar

import bpy

from ..addon import hardware, installation, paths, upkeep
from ..addon.environment import HMINTERP, State
from ..addon.session import Job, Session, session
from ..vmg_backend.errors import Cancelled, UserError

Returned = set[str]


class _Upkeep(bpy.types.Operator):
    """Starts a job; in background mode its end is waited for."""

    said = ""

    @classmethod
    def refusal(cls) -> str:
        """Why it cannot be done now; empty where it can."""
        return ""

    @classmethod
    def hindrance(cls) -> str:
        """What must end before; empty where nothing must."""
        running = session().job
        return f"“{running.title}” is running" if running else ""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether no job runs and nothing else stands against it."""
        del context
        try:
            reason = cls.hindrance() or cls.refusal()
        except UserError as error:
            reason = str(error).removesuffix(".")
        if reason:
            cls.poll_message_set(reason)
        return not reason

    def begin(self, session: Session) -> Job:
        """Start the job."""
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> Returned:
        """Start the job."""
        del context
        ours = session()
        try:
            job = self.begin(ours)
            if bpy.app.background:
                ours.wait(job)
        except UserError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        except Cancelled:
            return {"CANCELLED"}
        if bpy.app.background and self.said:
            self.report({"INFO"}, self.said)
        return {"FINISHED"}


class _OfOurOwn(_Upkeep):
    """Changes our own environment."""

    @classmethod
    def refusal(cls) -> str:
        """An environment that the person made is theirs to change."""
        return "An existing environment is chosen, which is never changed" if paths.existing_python() else ""


class _Downloads(_OfOurOwn):
    """Makes our own environment, after it has said what that takes."""

    said = "The backend is ready."
    extras: ClassVar[tuple[str, ...]] = ()

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Returned:
        """Say what it takes before it starts."""
        del event
        return _asked(self, context)

    def draw(self, context: bpy.types.Context) -> None:
        """What it takes."""
        del context
        _draw_cost(self.layout, self.extras)


class VMG_OT_environment_set_up(_Downloads):
    """Make the backend's Python environment, go on with an interrupted set-up, or bring it up to date."""

    bl_idname = "vmg.environment_set_up"
    bl_label = "Set Up Backend"

    @classmethod
    def refusal(cls) -> str:
        """Also nothing to do, or no way to the network."""
        if reason := super().refusal():
            return reason
        if installation.status().state is State.READY:
            return "The backend is set up"
        return installation.why_offline() if installation.needs_download() else ""

    def begin(self, session: Session) -> Job:
        """Start the set-up."""
        return upkeep.set_up(session)


class VMG_OT_hminterp_set_up(_Downloads):
    """Add what the engine HMInterp needs to the backend's environment: torch and its companions."""

    bl_idname = "vmg.hminterp_set_up"
    bl_label = "Set Up HMInterp"
    said = "HMInterp is set up."
    extras = (HMINTERP,)

    @classmethod
    def refusal(cls) -> str:
        """Also no backend to add it to, nothing to do, or no way to the network."""
        if reason := super().refusal():
            return reason
        if installation.status().state not in (State.READY, State.OUTDATED):
            return "Set the backend up first"
        return "HMInterp is set up" if installation.has_hminterp() else installation.why_offline()

    def begin(self, session: Session) -> Job:
        """Start the set-up."""
        return upkeep.set_up(session, *self.extras)


class VMG_OT_environment_repair(_Downloads):
    """Make the backend's environment anew."""

    bl_idname = "vmg.environment_repair"
    bl_label = "Repair Backend"

    @classmethod
    def refusal(cls) -> str:
        """Also no environment of ours, or no way to the network."""
        if reason := super().refusal():
            return reason
        if installation.environment().status().state in (State.ABSENT, State.FOREIGN):
            return "There is no environment that could be repaired"
        return installation.why_offline()

    def begin(self, session: Session) -> Job:
        """Start the repair."""
        return upkeep.repair(session)


class VMG_OT_environment_remove(_OfOurOwn):
    """Delete the backend's environment; what was computed from footage is kept."""

    bl_idname = "vmg.environment_remove"
    bl_label = "Remove Backend"
    said = "The backend was removed."

    @classmethod
    def refusal(cls) -> str:
        """Also nothing of ours there."""
        if reason := super().refusal():
            return reason
        there = installation.environment().status()
        return "There is nothing to remove" if there.state in (State.ABSENT, State.FOREIGN) else ""

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Returned:
        """Ask first."""
        returned: Returned = context.window_manager.invoke_confirm(self, event)
        return returned

    def begin(self, session: Session) -> Job:
        """Start the removal."""
        return upkeep.remove(session)


class VMG_OT_environment_cancel(bpy.types.Operator):
    """Stop what runs; a set-up goes on from there the next time."""

    bl_idname = "vmg.environment_cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Whether anything runs."""
        del context
        cls.poll_message_set("Nothing runs")
        return session().busy

    def execute(self, context: bpy.types.Context) -> Returned:
        """Cancel."""
        del context
        session().cancel()
        return {"FINISHED"}


class VMG_OT_environment_test(_Upkeep):
    """Start the backend and ask who it is."""

    bl_idname = "vmg.environment_test"
    bl_label = "Test Backend"
    said = "The backend answers."

    def begin(self, session: Session) -> Job:
        """Start the test."""
        return upkeep.test(session)


class VMG_OT_environment_copy(bpy.types.Operator):
    """Copy the command that installs the backend into your environment, to be pasted into a terminal."""

    bl_idname = "vmg.environment_copy"
    bl_label = "Copy Command"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """There must be one."""
        del context
        cls.poll_message_set("Nothing has to be installed")
        return bool(installation.status().command)

    def execute(self, context: bpy.types.Context) -> Returned:
        """Copy it."""
        context.window_manager.clipboard = installation.status().command
        self.report({"INFO"}, "Copied: paste it into a terminal, then press Test.")
        return {"FINISHED"}


class VMG_OT_hardware_look(_Upkeep):
    """Look which devices and models there are, and how much memory is free."""

    bl_idname = "vmg.hardware_look"
    bl_label = "Refresh"

    @classmethod
    def hindrance(cls) -> str:
        """It may be asked beside a job."""
        return "It is being looked for" if session().asking else ""

    def begin(self, session: Session) -> Job:
        """Ask the backend."""
        return hardware.look(session)


class VMG_OT_memory_release(_Upkeep):
    """Give the memory of HMInterp's model back; the next transition loads it again."""

    bl_idname = "vmg.memory_release"
    bl_label = "Release Memory"
    said = "The model was released."

    @classmethod
    def refusal(cls) -> str:
        """There must be a model."""
        return "" if session().held else "No model is in the memory"

    def begin(self, session: Session) -> Job:
        """Ask the backend."""
        return hardware.release(session)


class VMG_OT_library_measure(bpy.types.Operator):
    """Look how much the library takes on the disk."""

    bl_idname = "vmg.library_measure"
    bl_label = "Measure Library"

    def execute(self, context: bpy.types.Context) -> Returned:
        """Measure."""
        del context
        _note_size(paths.library_size())
        return {"FINISHED"}


class VMG_OT_library_clear(_Upkeep):
    """Delete what was computed from footage (poses, graphs, transitions); it is computed again when it is needed."""

    bl_idname = "vmg.library_clear"
    bl_label = "Clear Library"
    said = "The library was cleared."

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Returned:
        """Ask first, with the size."""
        del event
        self.size = paths.library_size()
        _note_size(self.size)
        return _asked(self, context)

    def draw(self, context: bpy.types.Context) -> None:
        """What would be deleted."""
        del context
        column = self.layout.column(align=True)
        column.label(text=f"{megabytes(self.size)} of poses, graphs and transitions will be deleted.")
        column.label(text="Takes keep their frames. Footage has to be analysed again.")

    def begin(self, session: Session) -> Job:
        """Start the clearing."""
        return upkeep.clear_library(session, lambda left: _note_size(left.bytes))


def megabytes(size: float) -> str:
    """A number of bytes as a person would say it."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _note_size(size: int) -> None:
    if chosen := paths.preferences():
        chosen.library_megabytes = size / 1e6


def _asked(operator: bpy.types.Operator, context: bpy.types.Context) -> Returned:
    title = operator.bl_label
    returned: Returned = context.window_manager.invoke_props_dialog(
        operator, width=480, title=title, confirm_text=title.split(" Backend")[0]
    )
    return returned


def _draw_cost(layout: bpy.types.UILayout, extras: tuple[str, ...]) -> None:
    column = layout.column(align=True)
    fetches = installation.needs_download()
    if fetches:
        column.label(text=f"Downloads about {installation.DOWNLOAD_MB} MB from the Python package index.")
    if fetches or not extras:
        column.label(text=f"Takes about {installation.DISK_GB:.1f} GB on the disk.")
    if extras or (fetches and installation.has_hminterp()):
        (plain, on_disk), (nvidia, nvidia_on_disk) = installation.HMINTERP_COST
        column.label(text=f"HMInterp downloads about {plain}, with an NVIDIA graphics card {nvidia},")
        column.label(text=f"and takes about {on_disk} on the disk, with an NVIDIA graphics card {nvidia_on_disk}.")
    column.label(text=f"Folder: {paths.environment_folder()}")
    column.label(text="You can go on working meanwhile, and cancel at any time.")


_CLASSES = (
    VMG_OT_environment_set_up,
    VMG_OT_hminterp_set_up,
    VMG_OT_environment_repair,
    VMG_OT_environment_remove,
    VMG_OT_environment_cancel,
    VMG_OT_environment_test,
    VMG_OT_environment_copy,
    VMG_OT_hardware_look,
    VMG_OT_memory_release,
    VMG_OT_library_measure,
    VMG_OT_library_clear,
)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
