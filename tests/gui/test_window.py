"""A person's whole way through the extension, in a real Blender with its window.

VMG_BLENDER is the command that starts one on a screen ("blender", "xvfb-run blender"), VMG_EXTENSION the zip. What is
seen is left in VMG_PICTURES, where that is set: a picture of each step and report.json.
"""

import importlib.util
import os
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("gui_start", Path(__file__).with_name("start.py"))
start = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(start)

UNRESPONSIVE = 5.0  # s; drawing without a graphics card alone takes up to 2 s on a busy machine

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif("VMG_BLENDER" not in os.environ, reason="VMG_BLENDER names no Blender with a window"),
    pytest.mark.skipif("VMG_EXTENSION" not in os.environ, reason="VMG_EXTENSION names no zip of the extension"),
]


@pytest.fixture
def out(tmp_path):
    folder = Path(os.environ.get("VMG_PICTURES", tmp_path / "out"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_film_from_the_zip_to_the_render(out, tmp_path):
    report, printed = start.act("film", os.environ["VMG_BLENDER"], Path(os.environ["VMG_EXTENSION"]), out, tmp_path)

    assert [step for step in report["steps"] if step["error"]] == []
    assert report["finished"], printed[-2000:]
    assert "Traceback" not in printed
    ours = [step for step in report["steps"] if step["name"] != "render"]  # while Blender renders, it draws nothing
    assert max(step["longest_pause"] for step in ours) < UNRESPONSIVE
