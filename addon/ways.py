"""Ways out, which people see as other cuts: where the take could go from a frame, with small pictures; never saved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import bpy
import numpy as np

from ..vmg_backend.errors import UserError
from ..vmg_backend.protocol import WayOut
from . import compat, overview
from .picture import Icons
from .session import SceneRef
from .timeline import keys


class Ways:
    """What was found last.

    Attributes
    ----------
    scene : SceneRef or None
        Whose ways they are; None before anything was asked.
    frame : int
        The timeline frame from which they lead.
    found : tuple of WayOut
        Soonest first.
    """

    def __init__(self) -> None:
        self.scene: SceneRef | None = None
        self.frame = 0
        self.found: tuple[WayOut, ...] = ()
        self._icons = Icons()

    @property
    def icons(self) -> list[int]:
        """The number of an icon for each way."""
        return self._icons.numbers

    def show(self, scene: SceneRef, frame: int, found: Sequence[WayOut]) -> None:
        """Remember ways, and read their pictures, whose files may be gone afterwards."""
        self._icons.paint_all([np.load(Path(way.picture), allow_pickle=False) for way in found])
        self.scene, self.frame, self.found = scene, frame, tuple(found)

    def of(self, scene: bpy.types.Scene) -> tuple[WayOut, ...] | None:
        """The ways that were found in a scene; None where nobody has asked there."""
        return self.found if self.scene == SceneRef.of(scene) else None

    def close(self) -> None:
        """Give the icons back."""
        self._icons.close()


def take(scene: bpy.types.Scene, number: int) -> bpy.types.MovieStrip:
    """Write a keyframe that leads the take the way of that number; gives its strip.

    It begins where the way's transition has ended: a keyframe's frames are shown untouched.

    Raises
    ------
    UserError
        When there is no such way, or no place for the keyframe.
    """
    found, frame = ways().of(scene) or (), ways().frame
    if not 0 <= number < len(found):
        raise UserError("This cut is not known any more.", "Press Show Other Cuts.")
    way = found[number]
    active = overview.active_take(scene)
    at = frame + way.after + way.room
    if active is None or at >= compat.end(active):
        raise UserError("The take ends before this cut could be shown.", "Choose one that comes sooner.")
    return keys.add_key_of(scene, at, way.path, way.frame + way.room)


_ways: list[Ways] = []


def ways() -> Ways:
    """Those of this registration."""
    return _ways[0]


def register() -> None:
    """Make room for them."""
    _ways.append(Ways())


def unregister() -> None:
    """Take them away."""
    _ways.pop().close()
