"""Takes as Blender shows them: ``BLENDER_PYTHON take_in_blender.py SPEC.json``; `frame_truth.py` calls it.

Goes the way of the panel (add, analyze, detect beats, suggest, generate, final cut), and inserts a path that was made
by hand as a second take. Leaves for each take its path as it is read back and its pictures as PNG, and a film.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import in_blender

Module = Callable[[str], Any]


def main(spec: dict[str, Any]) -> None:
    folder = Path(spec["folder"])
    module = in_blender.start(*(Path(spec[name]) for name in ("extension", "backend", "library")), folder)
    import bpy

    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = spec["start"], spec["start"] + spec["frames"] - 1
    scene.vmg.length_mode, scene.vmg.engine, scene.vmg.play_after_suggest = "RANGE", spec["engine"], False
    in_blender.add_footage(module, [Path(file) for file in spec["footage"]], spec["rate"])
    compat, has_sound = module("compat"), bpy.app.build_options.audaspace  # the module of 4.2 has none
    told: dict[str, Any] = {"blender": bpy.app.version_string, "takes": {}, "has_sound": has_sound}
    told["rate"] = str(compat.scene_rate(scene))
    told["copied"] = [row.name for row in scene.vmg.footages if not row.exact]
    try:
        if has_sound:
            music = module("timeline.material").add_music(scene, Path(spec["music"]), spec["music_at"])
            compat.set_visible(music, spec["music_at"] + spec["music_trim"], compat.end(music))
            bpy.ops.vmg.beats_detect()
        else:
            for frame in range(scene.frame_start + 10, scene.frame_end, 16):
                scene.timeline_markers.new("", frame=frame)
        bpy.ops.vmg.suggest()
        if any(not one["frames_dir"] for one in shown(module, scene)["transitions"]):
            bpy.ops.vmg.generate()
    except RuntimeError as error:  # footage in which nobody can be followed
        told["refused"] = str(error).strip()
    else:
        told["takes"]["suggested"] = show(module, scene, folder, "suggested")
    try:
        insert(module, scene, spec["by_hand"])
        bpy.ops.vmg.generate()
    except RuntimeError as error:
        told["not_filled"] = str(error).strip()
    told["takes"]["by_hand"] = show(module, scene, folder, "by_hand", film="refused" in told)
    (folder / "told.json").write_text(json.dumps(told))


def insert(module: Module, scene: Any, path: dict[str, Any]) -> None:  # noqa: ANN401 - bpy has no types
    """Make a take of a path, as a job does with what the backend found."""
    takes, reading, paths = (module(name) for name in ("timeline.takes", "timeline.reading", "paths"))
    movies = module("footages").movies(scene)
    wish = replace(reading.wish(scene, paths.library_folder()), frames=path["frames"], keys=())
    steps = takes.insert_take(scene, path, movies, scene.frame_start, wish)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            takes.show_take(scene, end.value)
            return


def show(module: Module, scene: Any, folder: Path, name: str, *, film: bool = True) -> dict[str, Any]:  # noqa: ANN401
    """Render the active take as a film, if wanted, and as pictures; gives its path as it is read back."""
    import bpy

    if film:
        bpy.ops.vmg.final_cut(filepath=str(folder / f"{name}.mp4"))
    else:
        module("final_cut").prepare(scene, folder / f"{name}.mp4")
    image = scene.render.image_settings
    if hasattr(image, "media_type"):
        image.media_type = "IMAGE"
    image.file_format, image.color_mode, image.compression = "PNG", "RGB", 5
    scene.render.filepath = str(folder / name / "#####.png")
    bpy.ops.render.render(animation=True, scene=scene.name)
    return shown(module, scene)


def shown(module: Module, scene: Any) -> dict[str, Any]:  # noqa: ANN401 - bpy has no types
    """The path that the active take shows."""
    return dict(module("timeline.takes").read_take(module("overview").active_take(scene)))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
    in_blender.leave()
