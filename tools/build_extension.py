"""Builds the extension's zip, with the backend's wheel inside: ``python tools/build_extension.py [FOLDER]``.

The zip is what Blender installs. It holds Blender's side, the few modules that both processes share, and
`backend/vmg_backend-VERSION-py3-none-any.whl`, from which the backend's environment is made; the wheel is a plain file
there, not one of the manifest's wheels, because Blender's own Python must not get it. Equal sources give equal bytes.
Needs a Python with setuptools 77 or newer (the environment of `python3 bootstrap.py test` has it).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

BLENDER_SIDE = (
    "__init__.py",
    "blender_manifest.toml",
    "LICENSE",
    "README.md",
    "addon/**/*",
    "operators/**/*",
    "ui/**/*",
    "vmg_backend/*.py",
)
"""What goes into the zip, beside the wheel."""

BACKEND_SIDE = ("pyproject.toml", "LICENSE", "README.md", "vmg_backend/**/*")
"""What the wheel is built from."""

_EPOCH = 1_577_836_800
"""2020-01-01: the time stamp of every file, so that equal sources give equal bytes."""


def copy_backend_sources(target: Path) -> None:
    """Copy what the wheel is built from to `target`: building in the repo would leave things there."""
    for file in _files(BACKEND_SIDE):
        copy = target / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
        copy.chmod(0o644)


def build_wheel(target: Path) -> Path:
    """Build the backend's wheel into `target`."""
    with tempfile.TemporaryDirectory(prefix="vmg-build-") as folder:
        copy_backend_sources(Path(folder))
        code = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(_EPOCH)}
        built = subprocess.run(
            [sys.executable, "-c", code, str(target.resolve())],
            cwd=folder,
            env=environment,
            check=False,
            capture_output=True,
            encoding="utf-8",
        )
    if built.returncode != 0:
        raise SystemExit(f"The wheel cannot be built; this needs setuptools 77 or newer.\n{built.stderr}")
    return target / built.stdout.splitlines()[-1]


def build_extension(target: Path) -> Path:
    """Build the zip into `target`."""
    with tempfile.TemporaryDirectory(prefix="vmg-wheel-") as folder:
        wheel = build_wheel(Path(folder))
        version = wheel.name.split("-")[1]
        archive = target / f"video_motion_graphs-{version}.zip"
        content = {file.relative_to(ROOT).as_posix(): file for file in _files(BLENDER_SIDE)}
        content[f"backend/{wheel.name}"] = wheel
        with zipfile.ZipFile(archive, "w") as out:
            for name in sorted(content):
                entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                entry.create_system = 3  # the same bytes on Windows
                out.writestr(entry, content[name].read_bytes())
    return archive


def _files(patterns: tuple[str, ...]) -> list[Path]:
    found = {file for pattern in patterns for file in ROOT.glob(pattern) if file.is_file()}
    return sorted(file for file in found if "__pycache__" not in file.parts)


if __name__ == "__main__":
    words = argparse.ArgumentParser(description="Build the extension's zip.")
    words.add_argument("folder", nargs="?", type=Path, default=ROOT / "dist", help="where it goes (default: dist)")
    folder = words.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    print(build_extension(folder))
