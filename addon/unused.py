"""Folders of generated frames that nothing in this file shows any more."""

from __future__ import annotations

import shutil
from pathlib import Path

import bpy

from . import compat, paths


def folders() -> list[tuple[Path, int]]:
    """Each transition's folder below the takes' folders of this file that no strip of any scene shows, and its bytes.

    Takes of scenes that were renamed or deleted lie in other folders, which are left alone.
    """
    shown = {folder for scene in bpy.data.scenes for folder in _shown(scene)}
    found = []
    for scene in bpy.data.scenes:
        for folder in sorted(paths.take_folder(scene, 0).parent.glob("take_*/*/")):
            if folder.resolve() not in shown and any(folder.glob("*.png")):
                found.append((folder, sum(file.stat().st_size for file in folder.iterdir())))
    return found


def delete(found: list[tuple[Path, int]]) -> None:
    """Delete these folders, and takes' folders that are empty then."""
    for folder, _ in found:
        shutil.rmtree(folder)
        if not any(folder.parent.iterdir()):
            folder.parent.rmdir()


def _shown(scene: bpy.types.Scene) -> set[Path]:
    editor = scene.sequence_editor
    strips = compat.all_strips(editor) if editor else []
    images = [strip for strip in strips if strip.type == "IMAGE"]
    return {Path(bpy.path.abspath(strip.directory)).resolve() for strip in images}
