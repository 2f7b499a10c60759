"""What is still missing before a take can be made, each with the button that puts it right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import bpy

from ..addon import compat, footages, installation, paths
from ..addon.environment import State
from ..addon.timeline import reading


@dataclass(frozen=True)
class Missing:
    """One line: what is missing, and the operator with its label ("" for the operator's own)."""

    text: str
    operator: str
    label: str = ""
    icon: str = "ERROR"


def missing(context: bpy.types.Context, scene: bpy.types.Scene) -> Iterator[Missing]:
    """What is missing, most urgent first."""
    del context
    yield from _backend()
    rows = scene.vmg.footages
    if any(row.missing for row in rows):
        yield Missing("Footage is missing", "vmg.footage_locate", "Locate")
    if (row := footages.leading(scene)) and not fits_scene(row, scene):
        yield Missing("Scene differs from footage", "vmg.scene_match", "Match Scene")
    if not rows:
        return
    if not bpy.data.filepath:
        yield Missing("File is not saved yet", "wm.save_mainfile", "Save", "INFO")
    if reading.music(scene) and not scene.timeline_markers:
        yield Missing("No beats yet", "vmg.beats_detect", "Detect", "INFO")


def _backend() -> Iterator[Missing]:
    status = installation.status()
    if status.state is State.READY:
        return
    if paths.existing_python() or status.state is State.FOREIGN:
        icon = "INFO" if status.state is State.CHECKING else "ERROR"
        yield Missing(f"Backend: {status.state.value}", "vmg.preferences_show", "Preferences", icon)
        return
    if not bpy.app.online_access:
        yield Missing("Online access is off", "vmg.online_show", "System Settings")
    repairs = status.state is State.BROKEN
    yield Missing(
        f"Backend: {status.state.value}",
        "vmg.environment_repair" if repairs else "vmg.environment_set_up",
        "Repair" if repairs else "Set Up",
    )


def fits_scene(row: bpy.types.PropertyGroup, scene: bpy.types.Scene) -> bool:
    """Whether the scene has the footage's rate, and its size, and shows its colours as they are."""
    render = scene.render
    return (
        reading.same_rate(Fraction(row.fps), compat.scene_rate(scene))
        and (row.width, row.height) == (render.resolution_x, render.resolution_y)
        and scene.view_settings.view_transform == "Standard"
    )


def rate(fps: str) -> str:
    """A rate as people write it: 23.976."""
    return f"{float(Fraction(fps)):.5g}"
