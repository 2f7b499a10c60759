"""Starts Blender with its window and lets it act a story; runs outside of Blender, in the backend's environment."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parent.parent / "vmg_backend" / "sample"
LONGEST = 1500  # s


def act(story: str, blender: str, extension: Path, out: Path, work: Path) -> tuple[dict[str, Any], str]:
    """Let a fresh user of Blender act `story` with the project's sample.

    Parameters
    ----------
    story : str
        A module here.
    blender : str
        The command line that starts Blender on a screen of 1600 x 1000 px or more.
    extension : Path
        The zip.
    out, work : Path
        Folders for report and pictures, and for all else.

    Returns
    -------
    dict, str
        The report, and what Blender printed.
    """
    for file in ("performer.mp4", "music.ogg"):
        shutil.copyfile(SAMPLE / file, work / file)  # Blender makes a folder beside a film
    order = {
        "story": story,
        "out": str(out.resolve()),
        "work": str(work.resolve()),
        "zip": str(extension.resolve()),
        "python": sys.executable,
        "footage": str(work.resolve() / "performer.mp4"),
        "music": str(work.resolve() / "music.ogg"),
    }
    (out / "order.json").write_text(json.dumps(order), encoding="utf-8")
    (out / "report.json").unlink(missing_ok=True)
    user = work / "user"
    user.mkdir()
    command = [*shlex.split(blender), "--gpu-backend", "opengl", "--enable-event-simulate"]
    done = subprocess.run(
        [*command, "--python", str(HERE / "driver.py"), "--", str((out / "order.json").resolve())],
        env={**os.environ, "BLENDER_USER_RESOURCES": str(user), "VMG_MODELS": str(work.resolve() / "models")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LONGEST,
        check=False,
    )
    printed = done.stdout.decode(errors="replace").replace("\0", "")
    (out / "console.log").write_text(printed, encoding="utf-8")
    if not (out / "report.json").is_file():
        raise RuntimeError(f"Blender did not begin:\n{printed[-2000:]}")
    return json.loads((out / "report.json").read_text(encoding="utf-8")), printed
