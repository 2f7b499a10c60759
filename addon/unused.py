"""Folders of generated frames that nothing shows any more."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import bpy

from ..vmg_backend.errors import UserError
from . import compat, paths

_BLOCK = 1 << 22


def folders() -> list[tuple[Path, int]]:
    """Each transition's folder below the takes' folders of this file that nothing shows, and its bytes.

    Neither a strip of any scene shows it, nor does another .blend of the same folder name it: versions of a film
    often lie side by side, and share their frames. Takes of scenes that were renamed or deleted lie in other folders,
    which are left alone.

    Raises
    ------
    UserError
        When another .blend cannot be read.
    """
    shown = {folder for scene in bpy.data.scenes for folder in _shown(scene)}
    unshown = [
        folder
        for scene in bpy.data.scenes
        for folder in sorted(paths.take_folder(scene, 0).parent.glob("take_*/*/"))
        if folder.resolve() not in shown and any(folder.glob("*.png"))
    ]
    kept = _named_by_others({folder.name for folder in unshown})
    found = [folder for folder in unshown if folder.name not in kept]
    return [(folder, sum(file.stat().st_size for file in folder.iterdir())) for folder in found]


def delete(found: Iterable[tuple[Path, int]]) -> None:
    """Delete these folders, and takes' folders that are empty then.

    Raises
    ------
    UserError
        When one cannot be deleted; those before it are gone.
    """
    for folder, _ in found:
        try:
            shutil.rmtree(folder)
            if not any(folder.parent.iterdir()):
                folder.parent.rmdir()
        except OSError as error:
            raise UserError(
                f"{folder} cannot be deleted: {error.strerror}.", "Close what uses it, and clean again."
            ) from error


def _shown(scene: bpy.types.Scene) -> set[Path]:
    editor = scene.sequence_editor
    strips = compat.all_strips(editor) if editor else []
    images = [strip for strip in strips if strip.type == "IMAGE"]
    return {Path(bpy.path.abspath(strip.directory)).resolve() for strip in images}


def _named_by_others(names: set[str]) -> set[str]:
    """Those of these names, which are hashes, that other .blend files beside this one hold."""
    here = Path(bpy.data.filepath)
    others = [file for file in here.parent.glob("*.blend") if file != here] if bpy.data.filepath and names else []
    return {name for file in others for name in _held(file, names)}


def _held(blend: Path, names: set[str]) -> set[str]:
    found, tail = set[str](), b""
    try:
        with blend.open("rb") as file:
            for block in _blocks(file):
                text = tail + block
                found |= {name for name in names - found if name.encode() in text}
                tail = text[-max(map(len, names)) :]
    except (OSError, EOFError, ImportError) as error:
        raise UserError(
            f"{blend} cannot be read, and may show frames that would be deleted.", "Move it to another folder."
        ) from error
    return found


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """The bytes of a .blend, compressed or not."""
    kind = file.read(4)
    file.seek(0)
    if kind == b"\x28\xb5\x2f\xfd":
        import zstandard  # type: ignore[import-not-found]  # Blender's own; a build may have none

        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        try:
            yield from iter(partial(reader.read, _BLOCK), b"")
        except zstandard.ZstdError as error:
            raise EOFError(str(error)) from error
    else:
        yield from iter(partial(file.read, _BLOCK), b"")
