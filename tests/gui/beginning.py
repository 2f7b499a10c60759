"""What every story begins with: a fresh Blender, the extension from its zip, the Video Editing template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .sight import Spot
from .user import User, Waiting


def first_start(user: User) -> Waiting[None]:
    """A user who never started Blender: the quick set-up, then File > New > Video Editing from the splash."""
    with user.step("first start"):
        yield from user.clicks("Continue")
        yield from user.clicks("Video Editing")
        yield from user.sees("Sequencer")


def installation(user: User, order: dict[str, Any]) -> Waiting[None]:
    """Preferences > Get Extensions > Install from Disk, then the interpreter of the environment that is there."""
    with user.step("install the zip"):
        yield from user.chooses("Edit", "Preferences...")
        yield from user.clicks("Get Extensions")
        menu = yield from user.sees("Repositories")
        yield from user.clicks(Spot(menu.x + 102, menu.y))  # the arrow beside it
        yield from user.chooses("Install from Disk...")
        yield from user.chooses_file(Path(order["zip"]), "Install from Disk")
        yield from user.sees("Video Motion Graphs", seconds=120)


def environment(user: User, order: dict[str, Any]) -> Waiting[None]:
    """Preferences > Add-ons: the interpreter of an environment that holds the backend."""
    with user.step("name the environment"):
        yield from user.clicks("Add-ons", within=user.region("PREFERENCES", "UI"))
        name = yield from user.sees("Video Motion Graphs")
        yield from user.clicks(Spot(name.x - 85, name.y))  # the arrow that opens the entry
        body = user.region("PREFERENCES")
        yield from user.scrolls(Spot((body.left + body.right) // 2, (body.top + body.bottom) // 2), 20)
        label = yield from user.sees("Existing Environment", body)
        yield from user.fills(Spot(label.x + 200, label.y), order["python"])
        yield from user.sees("Backend: ready", body, 120)
    yield from user.closes_window()
