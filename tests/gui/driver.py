"""Starts a story inside a windowed Blender: ``blender --enable-event-simulate --python driver.py -- ORDER.json``.

The order names the story (a module here with a function ``story(user, order)``), the folder for report and pictures
(`out`), and whatever the story itself wants.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import traceback
from collections.abc import Generator
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
report = importlib.import_module("gui.report")
user = importlib.import_module("gui.user")

_BEAT = 0.02  # s between two looks at whether the window reacts


class Driver:
    """Advances the story by a timer, and measures for how long the window does not react."""

    def __init__(self, steps: Generator[float, None, None], into: report.Report) -> None:
        self._steps = steps
        self._report = into
        self._last = time.monotonic()
        self._due = self._last + 1.0

    def tick(self) -> float | None:
        """What the timer calls."""
        now = time.monotonic()
        self._report.pause(now - self._last - _BEAT)
        if now >= self._due:
            try:
                self._due = now + next(self._steps)
            except StopIteration:
                self._report.finish()
                bpy.ops.wm.quit_blender()
                return None
            except Exception:  # noqa: BLE001 - the outer edge: the report has it, the console too
                traceback.print_exc()
                bpy.ops.wm.quit_blender()
                return None
        self._last = time.monotonic()  # our own looking does not count
        return _BEAT


def main() -> None:
    """Read the order and begin."""
    order = json.loads(Path(sys.argv[sys.argv.index("--") + 1]).read_text(encoding="utf-8"))
    out = Path(order["out"])
    result = report.Report(out / "report.json")
    steps = importlib.import_module(f"gui.{order['story']}").story(user.User(result, out), order)
    bpy.app.timers.register(Driver(steps, result).tick, first_interval=1.0, persistent=True)


main()
