"""A person at the screen: looks for what stands there, moves the mouse, presses keys, waits.

Everything goes through simulated events of the window; no operator is called and no property is set. What takes time
is a generator: ``spot = yield from user.sees("Generate")``. Reading Blender's data to know where to point, or whether
something has arrived, is allowed; writing is not.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar

import bpy

from . import sight
from .report import Report
from .sight import Box, Spot

Result = TypeVar("Result")
Waiting = Generator[float, None, Result]
"""Yields seconds to let pass; returns a result."""

_DIGITS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
_NAMES = {" ": "SPACE", ".": "PERIOD", ",": "COMMA", "/": "SLASH", "-": "MINUS", "_": "MINUS", ":": "SEMI_COLON"}
_NAMES |= {str(digit): name for digit, name in enumerate(_DIGITS)}


class NotSeenError(Exception):
    """What a step waited for did not come."""


class User:
    """The person.

    Parameters
    ----------
    report : Report
        Where each step's outcome goes.
    pictures : Path
        The folder for a picture of each step.
    """

    def __init__(self, report: Report, pictures: Path) -> None:
        self._report = report
        self._pictures = pictures
        self._at = Spot(800, 500)
        self._count = 0

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Everything inside is one step of the report; its end, good or bad, is pictured."""
        self._count += 1
        file = f"{self._count:02d}_{name.lower().replace(' ', '_')}.png"
        with self._report.step(name, file):
            try:
                yield
            finally:
                sight.take_picture(self._pictures / file)

    def note(self, name: str, value: Any) -> None:
        """File a measured figure."""
        self._report.note(name, value)

    # What the eye does.

    def waits(self, condition: Callable[[], Result | None], what: str, seconds: float = 30) -> Waiting[Result]:
        """Wait until `condition` gives something true; give that."""
        end = time.monotonic() + seconds
        while not (result := condition()):
            if time.monotonic() > end:
                raise NotSeenError(f"{what}: not within {seconds:g} s")
            yield 0.3
        return result

    def sees(self, text: str, within: Box | None = None, seconds: float = 30) -> Waiting[Spot]:
        """Wait until `text` stands still on the screen; give the topmost place."""
        last = None
        while True:
            now = (yield from self.waits(lambda: sight.find(text, within), f"the text {text!r}", seconds))[0]
            if now == last:
                return now
            last = now
            yield 0.15

    def reads(self, text: str, within: Box | None = None) -> bool:
        """Whether `text` stands on the screen now."""
        return bool(sight.find(text, within))

    # What the hand does.

    def points(self, at: Spot) -> Waiting[None]:
        """Move the mouse."""
        self._at = at
        self._event("MOUSEMOVE", "NOTHING")
        yield 0.08

    def clicks(
        self, at: Spot | str, button: str = "LEFTMOUSE", within: Box | None = None, **held: bool
    ) -> Waiting[None]:
        """Click at a place, or on a text as soon as it is there."""
        spot = (yield from self.sees(at, within)) if isinstance(at, str) else at
        yield from self.points(spot)
        self._event(button, "PRESS", **held)
        yield 0.05
        self._event(button, "RELEASE", **held)
        yield 0.3

    def drags(self, start: Spot, end: Spot, **held: bool) -> Waiting[None]:
        """Press at `start`, move, let go at `end`."""
        yield from self.points(start)
        self._event("LEFTMOUSE", "PRESS", **held)
        for part in range(1, 9):
            yield from self.points(
                Spot(start.x + (end.x - start.x) * part // 8, start.y + (end.y - start.y) * part // 8)
            )
        self._event("LEFTMOUSE", "RELEASE", **held)
        yield 0.3

    def chooses(self, menu: str, *entries: str, within: Box | None = None) -> Waiting[None]:
        """Click through a menu: its name, then its entries, each where it is nearest to the mouse."""
        yield from self.clicks(menu, within=within)
        for entry in entries:
            yield from self.sees(entry)
            yield from self.clicks(min(sight.find(entry), key=lambda spot: math.dist(spot, self._at)))

    def presses(self, key: str, **held: bool) -> Waiting[None]:
        """Press a key, named as Blender names it, with ctrl, shift, alt held."""
        self._event(key, "PRESS", **held)
        yield 0.03
        self._event(key, "RELEASE", **held)
        yield 0.2

    def types(self, text: str) -> Waiting[None]:
        """Type `text`."""
        for sign in text:
            key = _NAMES.get(sign) or (sign.upper() if sign.isascii() and sign.isalpha() else "A")
            self._event(key, "PRESS", unicode=sign)
            self._event(key, "RELEASE")
            yield 0.01
        yield 0.1

    def fills(self, field: Spot, text: str) -> Waiting[None]:
        """Replace what stands in a text or number field."""
        around = Box(max(field.x - 420, 0), field.y - 8, field.x + 60, field.y + 8)  # an empty field's cursor is left
        yield from self.points(field)
        yield 0.5
        resting = sight.screen(around)
        for _ in range(20):  # a click is lost while the window is being laid out anew
            yield from self.clicks(field)
            if (sight.screen(around) != resting).any():
                break
        else:
            raise NotSeenError("the field does not open")
        yield from self.presses("A", ctrl=True)
        yield from self.types(text)
        yield from self.presses("RET")

    def scrolls(self, at: Spot, steps: int) -> Waiting[None]:
        """Turn the wheel: downward for positive `steps`."""
        yield from self.points(at)
        for _ in range(abs(steps)):
            self._event("WHEELDOWNMOUSE" if steps > 0 else "WHEELUPMOUSE", "PRESS")
            yield 0.05
        yield 0.2

    def opens_tab(self, name: str) -> Waiting[Box]:
        """Show the Sequencer's sidebar with that tab; give where it is."""
        body = self.region("SEQUENCE_EDITOR", view_type="SEQUENCER")
        yield from self.points(Spot((body.left + body.right) // 2, (body.top + body.bottom) // 2))
        yield from self.presses("N")
        sidebar = self.region("SEQUENCE_EDITOR", "UI", view_type="SEQUENCER")
        tabs = yield from self.waits(lambda: sight.find(name, sidebar, upright=True), f"the tab {name!r}")
        yield from self.clicks(tabs[0])
        return sidebar

    def scrolls_to(self, text: str, within: Box) -> Waiting[Spot]:
        """Turn the wheel until `text` stands there; from where it is to the end, then from the top."""
        edge = Spot(within.left + 4, (within.top + within.bottom) // 2)  # beside lists, which would turn themselves
        for steps in (0, *[4] * 8, -60, *[4] * 8):
            if steps:
                yield from self.scrolls(edge, steps)
            if sight.find(text, within, alone=True):
                return (yield from self.sees(text, within))
        raise NotSeenError(f"the text {text!r} is nowhere in the panel")

    def moves_strip(self, frame: int, channel: int) -> Waiting[None]:
        """Move the active strip by G and typed distances: of frames, then along Y of channels."""
        for axis, distance in (
            ("X", frame - self.active_strip().left_handle),
            ("Y", channel - self.active_strip().channel),
        ):
            if distance:
                yield from self.presses("G")
                yield from self.presses(axis)
                yield from self.types(str(distance))
                yield from self.presses("RET")

    def chooses_file(self, path: Path, accept: str) -> Waiting[None]:
        """In the file browser that is open: enter the folder, the name, and press the button `accept`."""
        yield from self.waits(lambda: _browser() and _browser().params, "the file browser")
        params = _browser().params
        if Path(params.directory.decode()) != path.parent:
            shown = f"{params.directory.decode().rstrip('/')}/"  # it is told without the slash at first
            yield from self.fills((yield from self.sees(shown)), f"{path.parent}/")
            yield from self.waits(lambda: Path(params.directory.decode()) == path.parent, f"the folder {path.parent}")
        cancel = yield from self.sees("Cancel")
        yield from self.clicks(Spot(cancel.x - 300, cancel.y - 50))  # ends the editing of the folder's field
        yield from self.fills(Spot(cancel.x - 300, cancel.y), path.name)
        yield from self.clicks(accept, within=Box(cancel.x - 300, cancel.y - 20, cancel.x + 400, cancel.y + 20))
        yield from self.waits(lambda: _browser() is None, "the file browser's end")

    @staticmethod
    def closes_window() -> Waiting[None]:
        """The close button of the newest window; it belongs to the desktop, so it is the one thing not simulated."""
        window = bpy.context.window_manager.windows[-1]
        with bpy.context.temp_override(window=window):
            bpy.ops.wm.window_close()
        yield 0.5

    # Where things are.

    @staticmethod
    def scene() -> Any:
        """The scene that the Sequencer shows."""
        return bpy.context.window_manager.windows[0].workspace.sequencer_scene

    @classmethod
    def active_strip(cls) -> Any:
        """The strip that was clicked or added last."""
        return cls.scene().sequence_editor.active_strip

    @staticmethod
    def region(editor: str, kind: str = "WINDOW", **having: str) -> Box:
        """The part of the screen that a region of an editor covers, as ``region("SEQUENCE_EDITOR", view_type=...)``."""
        window, _, region = _region(editor, kind, having)
        left, bottom = window.x + region.x, window.y + region.y
        height = _height()
        return Box(left, height - bottom - region.height, left + region.width, height - bottom)

    @staticmethod
    def timeline(frame: float, channel: float) -> Spot:
        """Where a frame of a channel lies in the timeline; whole channels end at .0 and .99."""
        window, _, region = _region("SEQUENCE_EDITOR", "WINDOW", {"view_type": "SEQUENCER"})
        x, y = region.view2d.view_to_region(frame, channel, clip=False)
        return Spot(int(window.x + region.x + x), int(_height() - 1 - (window.y + region.y + y)))

    def _event(self, kind: str, value: str, **more: Any) -> None:
        height = _height()
        x, y = self._at.x, height - 1 - self._at.y
        inside = (w for w in bpy.context.window_manager.windows if 0 <= x - w.x < w.width and 0 <= y - w.y < w.height)
        *_, window = inside  # the newest lies on top
        window.event_simulate(kind, value, x=x - window.x, y=y - window.y, **more)


def _height() -> int:
    """Height of the screen: Blender's first window fills it."""
    window = bpy.context.window_manager.windows[0]
    return window.y + window.height


def _browser() -> Any:
    """The newest window's file browser that asks for a file, if there is one."""
    for area in bpy.context.window_manager.windows[-1].screen.areas:
        space = area.spaces.active
        if space.type == "FILE_BROWSER" and space.active_operator:
            return space
    return None


def _region(editor: str, kind: str, having: dict[str, str]) -> tuple[Any, Any, Any]:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == editor and all(getattr(area.spaces.active, key) == it for key, it in having.items()):
                return window, area, next(r for r in area.regions if r.type == kind)
    raise NotSeenError(f"no {editor} with {having} is open")
