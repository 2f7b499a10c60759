"""Where things lie: the extension's parts, the backend's environment, the log, and the frames of takes."""

from __future__ import annotations

import re
import secrets
import zlib
from pathlib import Path
from typing import Any

import bpy

from ..vmg_backend.errors import UserError
from ..vmg_backend.files import cache_root

PACKAGE = (__package__ or "").rpartition(".")[0]
"""The extension's module ("bl_ext.user_default.video_motion_graphs"): the key of its preferences."""

_ROOT = Path(__file__).resolve().parent.parent

_RUN = secrets.token_hex(4)
"""Tells the unsaved files of this run of Blender from those of others."""

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)$")
_LONGEST = 40


def preferences() -> Any | None:  # noqa: ANN401 - Blender has no types
    """The add-on's preferences, or None where it runs without (a script that calls `register`)."""
    addon = bpy.context.preferences.addons.get(PACKAGE)
    return addon.preferences if addon else None


def wheel() -> Path:
    """The backend as the extension brings it.

    Raises
    ------
    UserError
        When this is a copy without it: the sources, not the zip.
    """
    found = next((_ROOT / "backend").glob("vmg_backend-*.whl"), None)
    if found is None:
        raise UserError(
            f"{_ROOT} holds no backend: it is the source code.",
            "Install the extension's zip, or name an existing environment in the preferences.",
            title="No backend here",
        )
    return found


def environment_folder() -> Path:
    """Where the backend's environment is made: outside of Blender's folders, so that all versions share it."""
    return Path(_chosen("environment_folder") or cache_root() / "environments" / "backend-blender")


def existing_python() -> Path | None:
    """The interpreter of an environment that the person made, where they named one."""
    chosen = _chosen("existing_python")
    return Path(chosen) if chosen else None


def library_folder() -> str:
    """The library's folder as requests name it: "" for the user's own."""
    return _chosen("library_folder")


def library_place() -> Path:
    """Where that is."""
    return Path(library_folder() or cache_root() / "library")


def library_size() -> int:
    """What the library takes on the disk, in bytes; looks at every file."""
    return sum(file.lstat().st_size for file in library_place().rglob("*") if file.is_file())


def log_file() -> Path:
    """What the backend said, and our own faults."""
    return cache_root() / "logs" / "blender.log"


def take_folder(scene: bpy.types.Scene, number: int) -> Path:
    """Where the frames of a take go: beside the .blend, or in the cache while it was never saved."""
    return _results(scene) / safe_name(scene.name) / f"take_{number:03d}"


def footage_folder(scene: bpy.types.Scene) -> Path:
    """Where conformed copies of footage go; likewise."""
    return _results(scene) / "footage"


def unsaved_root() -> Path:
    """Where all those folders lie."""
    return cache_root() / "unsaved"


def unsaved_folder(scene: bpy.types.Scene) -> Path:
    """What stands for the folder of the .blend while it was never saved."""
    return unsaved_root() / f"{_RUN}-{scene.session_uid}"


def safe_name(name: str) -> str:
    """`name` as a folder's name: lower case, without spaces, fit for every system.

    Names that differ in more than case stay different.
    """
    plain = re.sub(r"[^a-z0-9_-]+", "_", name.lower())[:_LONGEST].strip("_")
    if plain == name.lower() and not _RESERVED.match(plain):
        return plain
    return f"{plain or 'scene'}_{zlib.crc32(name.lower().encode()):08x}"


def stored(path: str, folder: str = "") -> str:
    """`path` as the .blend in `folder` (else the open one) keeps it: relative, but not to another drive."""
    try:
        return str(bpy.path.relpath(path, start=folder or None))
    except ValueError:
        return path


def _results(scene: bpy.types.Scene) -> Path:
    if bpy.data.filepath:
        return Path(bpy.data.filepath).parent / "vmg"
    return unsaved_folder(scene)


def _chosen(field: str) -> str:
    chosen = preferences()
    value = getattr(chosen, field, "") if chosen else ""
    return bpy.path.abspath(value) if value else ""
