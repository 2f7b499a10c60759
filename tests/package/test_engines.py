"""Blender offers the engines that the backend has; it cannot ask before the backend is set up."""

import ast
from pathlib import Path

from vmg_backend.interpolation.catalogue import CATALOGUE
from vmg_backend.interpolation.engines import ENGINES

PROPERTIES = Path(__file__).resolve().parents[2] / "addon" / "properties.py"


def test_the_menu_names_the_backends_engines():
    tree = ast.parse(PROPERTIES.read_text("utf-8"))
    menu = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ENGINES"
    )
    assert {name: label for name, label, _ in menu} == {engine.name: engine.label for engine in CATALOGUE}
    assert {name for name, _, _ in menu} == set(ENGINES)
