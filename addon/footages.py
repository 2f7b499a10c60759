"""What is known of the scene's footages, and the file that takes show of each."""

from __future__ import annotations

import json
import os
from pathlib import Path

import bpy

from ..vmg_backend.protocol import Conform, Descriptions, Footages, as_json
from . import paths, poses
from .timeline import reading


def asked_about(scene: bpy.types.Scene) -> Footages:
    """The scene's footages as a request.

    Raises
    ------
    UserError
        When there is none, or a file is not there.
    """
    return Footages(reading.footage_uses(scene), paths.library_folder())


def note(scene: bpy.types.Scene, asked: Footages, found: Descriptions) -> None:
    """Write down what the backend found out about the footages that it was asked about."""
    rows = {reading.absolute(row.path): row for row in scene.vmg.footages}
    for use, one in zip(asked.footages, found.footages, strict=True):
        row = rows.get(Path(use.path))
        if row is None:  # removed meanwhile
            continue
        row.footage, row.fps, row.frames, row.missing = one.footage, one.fps, one.frames, False
        row.tag = one.tag
        row.width, row.height = one.size
        row.exact, row.analyzed, row.damaged = one.exact, one.analyzed, one.damaged or ""
        row.poses = json.dumps(as_json(one.poses)) if one.poses else ""
        row.frames_without_person = -1 if one.frames_without_person is None else one.frames_without_person


def movies(scene: bpy.types.Scene) -> dict[str, str]:
    """The file to show for each footage, by its hash: itself, or a copy of which Blender shows frame k as frame k."""
    rows = [row for row in scene.vmg.footages if row.footage]
    return {row.footage: str(reading.absolute(row.path) if row.exact else _copy(scene, row)) for row in rows}


def to_conform(scene: bpy.types.Scene) -> list[Conform]:
    """The copies that are still to be made; raises as `asked_about`."""
    copies = {reading.absolute(row.path): _copy(scene, row) for row in scene.vmg.footages if not row.exact}
    uses = [use for use in reading.footage_uses(scene) if Path(use.path) in copies]
    wanted = [(use, copies[Path(use.path)]) for use in uses]
    return [Conform(use, str(copy), paths.library_folder()) for use, copy in wanted if not copy.is_file()]


def look_for_files() -> None:
    """Note which footages of all scenes are not where they were, or lost their poses, so that no panel has to look."""
    library = paths.library_place()
    for scene in bpy.data.scenes:
        for row in scene.vmg.footages:
            missing = not reading.absolute(row.path).is_file()
            if row.missing != missing:
                row.missing = missing
            if row.analyzed and row.poses and not poses.is_there(row.poses, library):
                row.analyzed = False


def leading(scene: bpy.types.Scene) -> bpy.types.PropertyGroup | None:
    """The footage that the scene is matched to: the first that is known and has the right rate."""
    return next((row for row in scene.vmg.footages if row.frames and not row.use_scene_rate), None)


def move_with_file(old: str, new: str) -> None:
    """Let our relative paths, which Blender does not know as such, mean the same from another folder.

    Parameters
    ----------
    old, new : str
        The folders of the .blend before and after; nothing is done where one is "" (a file never saved).
    """
    if not old or not new or Path(old) == Path(new):
        return
    for scene in bpy.data.scenes:
        for row in scene.vmg.footages:
            if row.path.startswith("//"):
                row.path = _moved(row.path, old, new)
        for strip in reading.key_strips(scene):
            if strip.vmg.image.startswith("//"):
                strip.vmg.image = _moved(strip.vmg.image, old, new)


def _moved(path: str, old: str, new: str) -> str:
    return paths.stored(os.path.normpath(bpy.path.abspath(path, start=old)), new)


def _copy(scene: bpy.types.Scene, row: bpy.types.PropertyGroup) -> Path:
    """Where the copy goes; its name tells the content, so that another file of the same name gets another one."""
    return paths.footage_folder(scene) / f"{paths.safe_name(Path(row.name).stem)}-{row.footage[:8]}.mp4"
