"""The demo inside Blender: ``BLENDER_PYTHON tools/demo_in_blender.py ZIP BACKEND_PYTHON FILM``.

Installs the extension's zip into a Blender that nobody has used yet and goes the way of the panel, on the project's own
sample: footage, music, beats, Suggest, Generate, Render Final Cut. Leaves the film and, beside it, the .blend.
`python3 bootstrap.py demo` calls it with a Python that has the module `bpy`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MODULE = "bl_ext.user_default.video_motion_graphs"


def main(archive: Path, backend: Path, film: Path) -> int:
    """Make the film; gives the exit code."""
    with tempfile.TemporaryDirectory(prefix="vmg-user-") as user:
        os.environ["BLENDER_USER_RESOURCES"] = user
        os.environ["BLENDER_USER_EXTENSIONS"] = str(Path(user) / "extensions")
        import bpy  # looks at the variables when it is imported

        print(f"Blender {bpy.app.version_string}: installing {archive.name}", file=sys.stderr, flush=True)
        bpy.ops.extensions.package_install_files(repo="user_default", filepath=str(archive), enable_on_install=True)
        bpy.context.preferences.addons[MODULE].preferences.existing_python = str(backend)
        film.parent.mkdir(parents=True, exist_ok=True)
        bpy.ops.wm.save_as_mainfile(filepath=str(film.with_suffix(".blend")))
        try:
            _perform(bpy.ops.vmg, film)
        except RuntimeError as error:  # what an operator reports as an error reaches a script as this
            print(str(error).strip(), file=sys.stderr)
            return 2
        bpy.ops.wm.save_mainfile()
        scene = bpy.context.scene
        take = scene.sequence_editor.active_strip
        print(f"{take.name}: {scene.frame_end - scene.frame_start + 1} frames")
        print(f"The finished film: {film}\nThe sequencer that it was rendered from: {film.with_suffix('.blend')}")
    return 0


def _perform(vmg: Any, film: Path) -> None:  # noqa: ANN401 - bpy has no types
    """Press the panel's buttons from top to bottom."""
    vmg.sample_load()
    vmg.beats_detect()
    vmg.suggest()
    vmg.generate()
    with _counting(film.with_suffix(".log")):
        vmg.final_cut(filepath=str(film))


@contextlib.contextmanager
def _counting(log: Path) -> Iterator[None]:
    """Send what Blender says of each frame to `log`, and say how far it is instead."""
    import bpy

    terminal = os.fdopen(os.dup(2), "w")
    said = [0]

    def count(scene: Any, *_: object) -> None:  # noqa: ANN401
        done = (scene.frame_current - scene.frame_start + 1) / (scene.frame_end - scene.frame_start + 1)
        if int(done * 10) > said[0]:
            said[0] = int(done * 10)
            print(f"Render Final Cut: {done:4.0%}", file=terminal, flush=True)

    kept = [os.dup(1), os.dup(2)]
    bpy.app.handlers.render_post.append(count)
    try:
        with log.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        yield
    finally:
        for number, descriptor in enumerate(kept, 1):
            os.dup2(descriptor, number)
            os.close(descriptor)
        terminal.close()
        bpy.app.handlers.render_post.remove(count)


if __name__ == "__main__":
    code = main(*(Path(word) for word in sys.argv[1:4]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # Blender 4.5's own clean-up can hang for ever
