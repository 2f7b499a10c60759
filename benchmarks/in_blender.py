"""A Blender that nobody has used yet, with the extension installed from its zip: for scripts in a Python with `bpy`."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

MODULE = "bl_ext.user_default.video_motion_graphs"


def start(extension: Path, backend: Path, library: Path, folder: Path) -> Callable[[str], Any]:
    """Install and save a file into `folder`; gives what imports the add-on's modules: `module("timeline.takes")`."""
    user = folder / "user"
    os.environ["BLENDER_USER_RESOURCES"] = str(user)
    os.environ["BLENDER_USER_EXTENSIONS"] = str(user / "extensions")
    import bpy  # looks at the variables when it is imported

    bpy.ops.extensions.package_install_files(repo="user_default", filepath=str(extension), enable_on_install=True)
    preferences = bpy.context.preferences.addons[MODULE].preferences
    preferences.existing_python, preferences.library_folder = str(backend), str(library)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "edit.blend"))
    return lambda name: importlib.import_module(f"{MODULE}.addon.{name}")


def add_footage(module: Callable[[str], Any], files: list[Path], rate: int | None) -> None:
    """Add videos as strips and analyse them; with `rate`, which a wrong header does not say, as "Use Scene Rate"."""
    import bpy

    scene = bpy.context.scene
    if rate is None:
        names = [{"name": file.name} for file in files]
        bpy.ops.vmg.footage_add(directory=str(files[0].parent), files=names, match_scene=True)
        return
    scene.render.fps, scene.render.fps_base = rate, 1.0
    (file,) = files
    strip = module("timeline.material").add_footage(scene, file, scene.frame_current)
    scene.render.resolution_x, scene.render.resolution_y = (
        strip.elements[0].orig_width,
        strip.elements[0].orig_height,
    )
    module("timeline.reading").sync_footages(scene)
    scene.vmg.footages[0].use_scene_rate = True
    bpy.ops.vmg.analyze()


def leave() -> NoReturn:
    """End without Blender's own clean-up, in which 4.5 can hang for ever."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
