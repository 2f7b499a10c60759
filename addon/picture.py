"""Small pictures in the panels; that of what a transition is becoming, while it is made."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import bpy.utils.previews
import numpy as np
from numpy.typing import NDArray

PAUSE = 0.05
"""Seconds between two pictures at least: more than a tick, so that no tick reads two."""


class Icons:
    """Pictures among Blender's icons; their pixels are set, because files are read later, and kept as thumbnails."""

    def __init__(self) -> None:
        self._icons = bpy.utils.previews.new()
        self._painted = 0

    @property
    def numbers(self) -> list[int]:
        """The icons' numbers, in the order of the pictures."""
        return [int(icon.icon_id) for icon in self._icons.values()]

    def paint_all(self, pictures: Iterable[NDArray[np.uint8]]) -> None:
        """Show the pixels [H, W, 3] of each picture, and nothing of before."""
        self._icons.clear()
        for picture in pictures:
            self._painted += 1  # Blender would show the old pixels under the old name
            icon = self._icons.new(str(self._painted))
            icon.image_size = picture.shape[1::-1]
            icon.image_pixels.foreach_set(_packed(picture))

    def clear(self) -> None:
        """Show nothing."""
        self._icons.clear()

    def close(self) -> None:
        """Give the icons back."""
        bpy.utils.previews.remove(self._icons)


class Icon(Icons):
    """One picture."""

    @property
    def icon(self) -> int:
        """The icon's number; 0 without a picture."""
        return next(iter(self.numbers), 0)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px; 0 without a picture."""
        return next(((icon.image_size[0], icon.image_size[1]) for icon in self._icons.values()), (0, 0))

    def paint(self, picture: NDArray[np.uint8]) -> None:
        """Show pixels [H, W, 3]."""
        self.paint_all([picture])


class Picture(Icon):
    """What a transition is becoming."""

    def __init__(self) -> None:
        super().__init__()
        self._next = 0.0
        self.transition: int | None = None

    def show(self, transition: int, file: Path) -> None:
        """Show a picture of a transition; not one that is gone already, nor one that comes right after another."""
        now = time.monotonic()
        if now < self._next or not file.is_file():
            return
        self._next = now + PAUSE
        try:
            picture = np.load(file, allow_pickle=False)
        except (OSError, ValueError):  # a later one has just replaced it
            return
        self.paint(picture)
        self.transition = transition

    def clear(self) -> None:
        """Show nothing."""
        super().clear()
        self.transition = None


def _packed(picture: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Pixels as Blender's icons hold them: one integer for each, rows from below."""
    opaque = np.full((*picture.shape[:2], 4), 255, np.uint8)
    opaque[..., :3] = picture[::-1]
    return opaque.view(np.int32).ravel()


_pictures: list[Picture] = []


def picture() -> Picture:
    """The one of this registration."""
    return _pictures[0]


def register() -> None:
    """Make room for it."""
    _pictures.append(Picture())


def unregister() -> None:
    """Take it away."""
    _pictures.pop().close()
