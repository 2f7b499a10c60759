"""The manifest and the zip as Blender's own extension tool sees them."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# https://docs.blender.org/manual/en/latest/advanced/extensions/tags.html
TAGS = (
    "3D View,Add Curve,Add Mesh,Animation,Bake,Camera,Compositing,Development,Game Engine,Geometry Nodes,"
    "Grease Pencil,Import-Export,Lighting,Material,Modeling,Mesh,Node,Object,Paint,Pipeline,Physics,Render,Rigging,"
    "Scene,Sculpt,Sequencer,System,Text Editor,Tracking,User Interface,UV"
)


@pytest.fixture(scope="module")
def tool(bpy):
    program = Path(bpy.utils.system_resource("SCRIPTS"), "addons_core", "bl_pkg", "cli", "blender_ext.py")

    def run(*words):
        command = [sys.executable, str(program), *map(str, words)]
        return subprocess.run(command, capture_output=True, encoding="utf-8", check=False)

    return run


@pytest.fixture(scope="module")
def tags(tmp_path_factory):
    file = tmp_path_factory.mktemp("tags") / "tags.json"
    file.write_text(json.dumps({"add-on": TAGS.split(","), "theme": []}), encoding="utf-8")
    return file


def test_blender_accepts_the_zip(tool, tags, extension_zip):
    answer = tool("validate", extension_zip, "--valid-tags", tags)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "warning" not in answer.stdout.lower()


def test_the_check_of_the_tags_can_fail(tool, tags, tmp_path):
    text = (ROOT / "blender_manifest.toml").read_text(encoding="utf-8")
    (tmp_path / "blender_manifest.toml").write_text(text.replace('"Sequencer"', '"Video"'), encoding="utf-8")
    (tmp_path / "__init__.py").write_text("", encoding="utf-8")
    assert tool("validate", tmp_path).returncode == 0  # without the list any tag goes
    assert tool("validate", tmp_path, "--valid-tags", tags).returncode != 0


def test_blender_would_pack_the_same_files(tool, extension_zip, tmp_path):
    """Our list of what ships and the manifest's list of what does not are two sides of one thing."""
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", "__pycache__", ".*_cache", "node_modules"))
    for stray in (
        ".git/config",
        ".venv/x.py",
        ".ci/run",
        "addon/__pycache__/x.pyc",
        "tests/backend/x.py",
        "dist/x.zip",
    ):
        (tree / stray).parent.mkdir(parents=True, exist_ok=True)
        (tree / stray).write_text("x", encoding="utf-8")
    (tree / "backend").mkdir()
    with zipfile.ZipFile(extension_zip) as ours:
        wheel = next(name for name in ours.namelist() if name.endswith(".whl"))
        (tree / wheel).write_bytes(ours.read(wheel))
        names = set(ours.namelist())
    packed = tmp_path / "packed.zip"
    answer = tool("build", "--source-dir", tree, "--output-filepath", packed)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    with zipfile.ZipFile(packed) as theirs:
        assert {name for name in theirs.namelist() if not name.endswith("/")} == names
