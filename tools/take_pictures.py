"""Takes the guide's pictures from the real interface: ``python tools/take_pictures.py BLENDER ZIP``.

BLENDER is the command that starts a Blender with its window ("xvfb-run blender"), ZIP the built extension; run it with
the Python of the backend's environment, which holds the extras of HMInterp too, for the picture of a training. The
pictures go to docs/images; all of them show the project's own sample.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LARGEST = 400_000  # bytes
STORIES = ("pictures", "panels")


def main(blender: str, extension: str) -> int:
    """Act the stories, then copy their pictures."""
    spec = importlib.util.spec_from_file_location("gui_start", ROOT / "tests" / "gui" / "start.py")
    if spec is None or spec.loader is None:
        raise ImportError("tests/gui/start.py is not there")
    start = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(start)
    whole = True
    for story in STORIES:
        with tempfile.TemporaryDirectory(prefix="vmg-pictures-") as folder:
            out = Path(folder, "out")
            out.mkdir()
            report, printed = start.act(story, blender, Path(extension), out, Path(folder))
            for picture in sorted((out / "images").glob("*.png")):
                if picture.stat().st_size > LARGEST:
                    print(f"{picture.name} has {picture.stat().st_size} bytes, more than {LARGEST}", file=sys.stderr)
                shutil.copyfile(picture, ROOT / "docs" / "images" / picture.name)
                print(f"docs/images/{picture.name}")
        if not report["finished"]:
            print(f"{printed[-3000:]}\nThe story {story} broke off: later pictures are missing.", file=sys.stderr)
        whole &= report["finished"]
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
