"""The rings of the architecture: an inner one never imports an outer one."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ("video_motion_graphs",)

FORBIDDEN = {
    "vmg_backend": {"bpy", "addon", "operators", "ui", "tools", "tests", "bootstrap"},
    "addon": {"operators", "ui", "tools", "tests", "bootstrap"},
}
WITHOUT_BLENDER = ("environment", "child", "platforms")
FOR_AN_OLD_PYTHON = (
    "bootstrap.py",
    "__init__.py",
    *(f"addon/{name}.py" for name in WITHOUT_BLENDER),
    "tools/build_extension.py",
    "vmg_backend/__init__.py",
    "vmg_backend/errors.py",
    "vmg_backend/files.py",
    "vmg_backend/locking.py",
    "vmg_backend/progress.py",
)


def imported(file, source):
    """The first name below the repo's root, or the foreign package, of everything that `source` imports."""
    package = PACKAGE + file.relative_to(ROOT).parent.parts
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            names = [node.module] if node.module else [alias.name for alias in node.names]
            paths = [base + tuple(name.split(".")) for name in names]
            found |= {path[1] if path[:1] == PACKAGE and len(path) > 1 else path[0] for path in paths}
    return found


def modules(ring):
    return [file for file in sorted((ROOT / ring).rglob("*.py")) if "__pycache__" not in file.parts]


@pytest.mark.parametrize("ring", FORBIDDEN)
def test_no_import_leads_outwards(ring):
    wrong = {
        str(file.relative_to(ROOT)): imported(file, file.read_text("utf-8")) & FORBIDDEN[ring] for file in modules(ring)
    }
    assert {file: names for file, names in wrong.items() if names} == {}


def test_the_rule_sees_every_kind_of_import():
    file = ROOT / "addon" / "x.py"
    lines = ["from ..ui import panels", "from .. import ui", "import ui.panels", "from ui import x"]
    assert [imported(file, line) for line in lines] == [{"ui"}] * 4
    assert imported(ROOT / "vmg_backend" / "pose" / "x.py", "from ...addon import environment") == {"addon"}


@pytest.mark.parametrize("name", WITHOUT_BLENDER)
def test_the_environment_code_needs_only_the_standard_library(name):
    file = ROOT / "addon" / f"{name}.py"
    standard = sys.stdlib_module_names | {"addon", "vmg_backend"}
    assert imported(file, file.read_text("utf-8")) <= standard


@pytest.mark.parametrize("name", FOR_AN_OLD_PYTHON)
def test_the_bootstrap_can_be_read_by_an_old_python(name):
    ast.parse((ROOT / name).read_text("utf-8"), feature_version=(3, 8))


def test_the_root_can_be_imported_without_blender():
    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('root', {str(ROOT / '__init__.py')!r})\n"
        "before = set(sys.modules)\n"
        "spec.loader.exec_module(importlib.util.module_from_spec(spec))\n"
        "print(*(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("", "__future__")


def ask_the_backends_python(code):
    """What a Python started as the add-on starts it says, even in the repo's root."""
    command = [sys.executable, "-P", "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("name", ["addon", "operators", "tests", "tools", "ui", "bootstrap", "bpy"])
def test_the_backends_environment_sees_only_the_backend(name):
    assert ask_the_backends_python(f"import importlib.util as u; print(u.find_spec({name!r}))") == "None"


def test_the_backend_is_the_installed_one():
    installed = Path(ask_the_backends_python("import vmg_backend; print(vmg_backend.__file__)"))
    assert ROOT not in installed.parents
