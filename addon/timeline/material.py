"""Footage and music as strips: added without the traps of Add Movie, found again, and the scene made to fit.

Add Movie stretches a strip to the scene's rate and may change that rate; these strips play frame by frame.
"""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import bpy

from ...vmg_backend.errors import UserError
from .. import compat, paths
from . import reading

CHANNELS = 128

_SAME_SCALE = 1e-3


def add_footage(scene: bpy.types.Scene, file: Path, at: int) -> bpy.types.Struct:
    """A movie strip for `file` from the frame `at` on, on the lowest free channel, without its sound.

    Raises
    ------
    UserError
        When Blender cannot read the file as a movie.
    """
    _check(file)
    editor = _editor(scene)
    with compat.quiet(editor):
        strip = compat.new_movie(editor, file.stem, _named(file), CHANNELS, at)
        _place(editor, strip)
    if compat.duration(strip) <= 1:
        compat.strips(editor).remove(strip)
        raise UserError(f"{file.name} cannot be read as a movie.", "Choose a video file.")
    reading.use_as_footage([strip])
    return strip


def add_music(scene: bpy.types.Scene, file: Path, at: int) -> bpy.types.Struct:
    """A sound strip for `file` from the frame `at` on, on the lowest free channel.

    Raises
    ------
    UserError
        When Blender cannot read the file as sound.
    """
    _check(file)
    editor = _editor(scene)
    try:
        with compat.quiet(editor):
            strip = compat.strips(editor).new_sound(file.stem, _named(file), CHANNELS, at)
            _place(editor, strip)
    except RuntimeError as error:
        raise UserError(f"{file.name} cannot be read as sound.", "Choose a sound file.") from error
    reading.use_as_music([strip])
    return strip


def match_scene(scene: bpy.types.Scene, row: bpy.types.PropertyGroup) -> None:
    """Give the scene the rate and the size of a footage, and let it show colours as the footage has them.

    Add Movie scales a strip into the picture as that is at the time: what was scaled so is shown as it is from now on.
    The scene becomes as long as its music, if that is longer.
    """
    fps, render = Fraction(row.fps), scene.render
    ratios = (render.resolution_x / row.width, render.resolution_y / row.height)
    render.fps = math.ceil(fps)
    render.fps_base = float(render.fps / fps)
    render.resolution_x, render.resolution_y = row.width, row.height
    render.resolution_percentage = 100
    scene.view_settings.view_transform = "Standard"
    scene.view_settings.look = "None"
    for strip in (*reading.footage(scene), *reading.key_strips(scene)):
        if strip.type == "MOVIE" and reading.file_of(strip) == reading.absolute(row.path):
            sizes = (strip.transform.scale_x, strip.transform.scale_y)
            if any(math.dist(sizes, fit) < _SAME_SCALE for fit in ((min(ratios),) * 2, (max(ratios),) * 2, ratios)):
                strip.transform.scale_x = strip.transform.scale_y = 1.0
    scene.frame_end = max(scene.frame_end, *(compat.end(strip) - 1 for strip in reading.music(scene)), 1)


def locate(scene: bpy.types.Scene, old: str, file: Path) -> int:
    """Let all strips that show the file `old` show `file`; gives how many."""
    _check(file)
    found = [
        strip for strip in compat.all_strips(scene.sequence_editor) if strip.type == "MOVIE" and strip.filepath == old
    ]
    with compat.quiet(scene.sequence_editor):
        for strip in found:
            strip.filepath = _named(file)
    return len(found)


def stop_using(scene: bpy.types.Scene, path: str) -> None:
    """Let the strips of a file be no footage any more; they stay."""
    for strip in reading.footage(scene):
        if strip.filepath == path:
            strip.vmg.role = "NONE"
    reading.sync_footages(scene)


def _check(file: Path) -> None:
    if not file.is_file():  # Blender would make a strip of one pink frame
        raise UserError(f"There is no file {file}.", "Choose another one.", title="File not found")


def _named(file: Path) -> str:
    """The path as the file on disk keeps it: relative where Blender is told to, and where that can be."""
    relative = bpy.data.filepath and bpy.context.preferences.filepaths.use_relative_paths
    return paths.stored(str(file)) if relative else str(file)


def _editor(scene: bpy.types.Scene) -> bpy.types.SequenceEditor:
    return scene.sequence_editor or scene.sequence_editor_create()


def _place(editor: bpy.types.SequenceEditor, strip: bpy.types.Struct) -> None:
    """Move a new strip to the lowest channel that is free where it lies."""
    first, last = compat.start(strip), compat.end(strip)
    taken = {
        other.channel
        for other in compat.strips(editor)
        if other != strip and compat.start(other) < last and compat.end(other) > first
    }
    strip.channel = next((channel for channel in range(1, CHANNELS) if channel not in taken), CHANNELS)
