"""What is built from the repo: the backend's wheel and the extension's zip."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from vmg_backend import __version__

ROOT = Path(__file__).resolve().parents[2]


def build(root, target):
    target.mkdir()
    subprocess.run([sys.executable, str(root / "tools/build_extension.py"), str(target)], check=True)
    return target / f"video_motion_graphs-{__version__}.zip"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("zip") / "out")


@pytest.fixture(scope="module")
def wheel(archive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(archive) as file:
        return Path(file.extract(f"backend/vmg_backend-{__version__}-py3-none-any.whl", folder))


def names_in(archive):
    with zipfile.ZipFile(archive) as file:
        return set(file.namelist())


def test_the_zip_holds_blenders_side_and_the_wheel(archive):
    names = names_in(archive)
    assert {"__init__.py", "blender_manifest.toml", "LICENSE", "README.md"} <= names
    assert {name for name in names if "/" not in name} == {
        "__init__.py",
        "blender_manifest.toml",
        "LICENSE",
        "README.md",
    }
    assert {name.split("/")[0] for name in names if "/" in name} == {
        "addon",
        "backend",
        "operators",
        "ui",
        "vmg_backend",
    }
    ours = {file.relative_to(ROOT).as_posix() for ring in ("addon", "operators", "ui") for file in python_files(ring)}
    assert ours | {"addon/backend_constraints.txt"} <= names
    # of the backend only what both processes share; the rest is in the wheel
    assert all(name.count("/") == 1 and name.endswith(".py") for name in names if name.startswith("vmg_backend/"))
    assert [name for name in names if "__pycache__" in name or name.endswith(".pyc")] == []


def test_the_wheel_holds_the_backend_and_nothing_else(wheel):
    names = names_in(wheel)
    tops = {name.split("/")[0] for name in names}
    assert tops == {"vmg_backend", f"vmg_backend-{__version__}.dist-info"}
    assert {file.relative_to(ROOT).as_posix() for file in python_files("vmg_backend")} <= names
    sample = {f"vmg_backend/sample/{file.name}" for file in (ROOT / "vmg_backend/sample").iterdir() if file.is_file()}
    assert any(not name.endswith(".py") for name in sample)
    assert sample <= names


def test_equal_sources_give_equal_bytes(archive, tmp_path):
    copy = tmp_path / "another place"
    for name in ("pyproject.toml", "README.md", "LICENSE", "__init__.py", "blender_manifest.toml", "tools"):
        source = ROOT / name
        copy.mkdir(exist_ok=True)
        shutil.copytree(source, copy / name) if source.is_dir() else shutil.copyfile(source, copy / name)
    for name in ("addon", "operators", "ui", "vmg_backend"):
        shutil.copytree(ROOT / name, copy / name, copy_function=shutil.copyfile)
    for file in (copy / "vmg_backend").rglob("*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    assert build(copy, tmp_path / "out").read_bytes() == archive.read_bytes()


def test_building_leaves_nothing_in_the_repo(archive):
    assert not (ROOT / "build").exists()
    assert list(ROOT.glob("*.egg-info")) == []


def python_files(folder):
    return [file for file in (ROOT / folder).rglob("*.py") if "__pycache__" not in file.parts]
