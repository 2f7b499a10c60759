"""The backend that the preferences choose: our own environment, or one that the person made."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import bpy

from ..vmg_backend.errors import UserError
from ..vmg_backend.protocol import NO_MODEL, NOT_INSTALLED, Explanation
from . import compat, paths
from .backend import serve_command
from .environment import HMINTERP, Environment, Recipe, State, Status, backend_recipe
from .existing import Check
from .failures import Failure, JobFailed

DOWNLOAD_MB = 380
DISK_GB = 1.4
"""About what a set-up takes: 373 MB and 1.4 GB with the pinned packages on Linux (`pip download`, `du`)."""

HMINTERP_COST = (
    ("0.3 GB", "1.1 GB"),
    ("2.8 GB", "6 GB"),
)
"""What HMInterp downloads, and takes on the disk, on top of that: without and with an NVIDIA graphics card. By the
sizes of the pinned wheels for Linux, but what it takes on the disk with an NVIDIA one is a guess."""

_ADVICE = {
    State.ABSENT: ("The backend is not set up", "Set it up once; nothing is installed into Blender.", "set_up"),
    State.INCOMPLETE: ("The backend is not set up", "Go on with the set-up; what is there is used.", "set_up"),
    State.BROKEN: ("The backend is broken", "Repair it.", "repair"),
    State.FOREIGN: ("The backend has no place", "Choose another folder in the preferences of the add-on.", ""),
    State.OUTDATED: ("The backend needs an update", "", ""),  # only said of an environment that the person made
}
_ON_OURS = ("vmg.environment_set_up", "vmg.environment_repair")
"""What is only done to an environment of ours."""
_TICK = 0.2
"""Seconds between two looks whether a check has ended."""

_checks: list[Check] = []
"""That of the environment that the person made; none before it was asked for."""


def environment() -> Environment:
    """Our own environment."""
    return Environment(paths.environment_folder())


def recipe(*extras: str) -> Recipe:
    """What it is to hold.

    Raises
    ------
    UserError
        When this copy of the extension brings no backend.
    """
    return backend_recipe(paths.wheel(), extras)


def has_hminterp() -> bool | None:
    """Whether our own environment holds what HMInterp needs; None of one that the person made. Starts nothing."""
    return None if paths.existing_python() else HMINTERP in environment().extras


def status() -> Status:
    """How the chosen backend stands, seen without starting it; cheap enough for a panel.

    An environment that the person made is checked the first time, which goes on beside and draws the panels anew.
    """
    existing = paths.existing_python()
    if existing is not None:
        if existing.is_file():
            return _check(existing).status
        remedy = "Name the program python (python.exe) of an environment in the preferences, or none to use our own."
        return Status(State.BROKEN, f"There is no Python at {existing}.", remedy)
    try:
        return environment().status(recipe())
    except UserError as error:
        return Status(State.BROKEN, error.message)


def look_again() -> None:
    """What was found out about an environment that the person made may be different now."""
    while _checks:
        _checks.pop().cancel()


def _check(existing: Path) -> Check:
    if not _checks or _checks[-1].python != existing:
        look_again()
        _checks.append(Check(existing, _for_pip()))
        if not bpy.app.background and not bpy.app.timers.is_registered(_tell):
            bpy.app.timers.register(_tell, first_interval=_TICK, persistent=True)
    return _checks[-1]


def _for_pip() -> str:
    """The backend as it is named to pip."""
    try:
        return f'"{paths.wheel()}"'
    except UserError:
        return "vmg_backend"


def _tell() -> float | None:
    """Draw what shows how the environment stands, once that is known."""
    if _checks and not _checks[-1].ended:
        return _TICK
    compat.redraw("SEQUENCE_EDITOR", "PREFERENCES")
    return None


def python() -> Path:
    """The chosen backend's interpreter."""
    return paths.existing_python() or environment().python


def command() -> list[str] | None:
    """What starts the backend; None while that is being found out.

    One of ours that is merely older is started: its hello tells whether it still understands us.

    Raises
    ------
    JobFailed
        When it has to be set up or repaired before.
    """
    now, existing = status(), paths.existing_python()
    if now.state is State.CHECKING:
        return None
    if now.state is State.READY or (now.state is State.OUTDATED and not existing):
        return serve_command(python())
    title, remedy, action = _ADVICE[now.state]
    if existing:
        action = "test"
        look_again()  # for the next job: the person may put it right before
    said = Explanation(title, now.reason or f"{title}.", now.remedy or remedy)
    raise JobFailed(Failure(said, f"vmg.environment_{action}" if action else ""))


def explained(failure: Failure) -> Failure:
    """A failure that the backend or its process told, with the remedy that there is in Blender where it is another."""
    said = failure.explanation
    remedy, action = said.remedy, failure.action
    if action in _ON_OURS and paths.existing_python():
        remedy, action = "Test the backend: that says what your environment lacks.", "vmg.environment_test"
    elif said.title == NOT_INSTALLED and not paths.existing_python():
        remedy, action = "Set HMInterp up, or choose another engine.", "vmg.hminterp_set_up"
        if has_hminterp():
            remedy, action = "Repair the backend, or choose another engine.", "vmg.environment_repair"
    elif said.title == NO_MODEL:
        remedy, action = "Choose the folder of one, or another engine.", "vmg.model_add"
    return Failure(dataclasses.replace(said, remedy=remedy), action)


def needs_download() -> bool:
    """Whether a set-up would fetch packages.

    Raises
    ------
    UserError
        When this copy of the extension brings no backend.
    """
    return environment().needs_packages(recipe())


def why_offline() -> str:
    """Why nothing may be downloaded, and what to switch; empty where it may."""
    if bpy.app.online_access:
        return ""
    if bpy.app.online_access_override:
        return "Blender was started offline (--offline-mode). Start it without that option"
    return "Blender is offline. Switch on Preferences > System > Network > Allow Online Access"


def register() -> None:
    """Begin with nothing known."""


def unregister() -> None:
    """End what is being looked at."""
    while _checks:
        _checks.pop().close()
    if bpy.app.timers.is_registered(_tell):
        bpy.app.timers.unregister(_tell)
