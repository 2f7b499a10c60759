"""What stands on the screen: the picture of it, and where a text is in it.

A text is drawn with Blender's own font drawing, as the interface draws it, and sought in the picture by normalised
cross-correlation. So a label that is cut off or covered is not found, just as a person would not read it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import blf
import bpy
import imbuf
import numpy as np

ALIKE = 0.96
"""From this correlation on a place counts as the text; the same text has 0.98 to 1, a slightly different one 0.94."""

_SPACE = 7  # px without ink beside a text, so that "Movie" is not found in "Movies" or "Movie Clip"
_BEHIND_ICON = 3  # px without ink where a text follows an icon
_FLAT = 4.0  # variance of the grey levels below which there is nothing to read


class Spot(NamedTuple):
    """A place on the screen: px from the left and from the top."""

    x: int
    y: int


class Box(NamedTuple):
    """A part of the screen: px from the left and from the top; right and bottom are not part of it."""

    left: int
    top: int
    right: int
    bottom: int


def screen(box: Box | None = None) -> np.ndarray:
    """The screen, or a part of it, as it is now [H, W, 3] uint8."""
    command = ["import", "-silent", "-window", "root", *_crop(box), "-depth", "8", "ppm:-"]
    raw = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    width, height = (int(word) for word in raw[:32].split()[1:3])
    return np.frombuffer(raw[-3 * width * height :], np.uint8).reshape(height, width, 3)


def take_picture(path: Path, box: Box | None = None) -> None:
    """Write the screen, or a part of it, as a PNG of 256 colours without time stamps: small enough for a page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["import", "-silent", "-window", "root", *_crop(box), "-strip", "+dither", "-colors", "256", f"png8:{path}"],
        check=True,
    )


def find(text: str, box: Box | None = None, *, upright: bool = False, alone: bool = False) -> list[Spot]:
    """The middles of all places where `text` stands, from top to bottom.

    `upright` as on tabs, read downwards. `alone` not as the end of a longer text; otherwise such places count too where
    there are no better ones, for an icon before a text is as near to it as a word.
    """
    grey = screen(box) @ np.array([0.299, 0.587, 0.114], np.float32)
    left, top = (box.left, box.top) if box else (0, 0)
    spots = _places(text, grey, _SPACE, upright)
    if not spots and not alone:
        spots = _places(text, grey, _BEHIND_ICON, upright)
    return sorted((Spot(left + x, top + y) for x, y in spots), key=lambda spot: (spot.y, spot.x))


def _places(text: str, grey: np.ndarray, before: int, upright: bool) -> list[tuple[int, int]]:
    ink = np.rot90(_drawn(text, before), -1) if upright else _drawn(text, before)
    if any(has < needs for has, needs in zip(grey.shape, ink.shape, strict=True)):
        return []
    height, width = ink.shape
    return [(x + width // 2, y + height // 2) for x, y in _peaks(_correlation(grey, ink), ink)]


def _crop(box: Box | None) -> list[str]:
    size = f"{box.right - box.left}x{box.bottom - box.top}+{box.left}+{box.top}" if box else ""
    return ["-crop", size, "+repage"] if box else []


def _drawn(text: str, before: int) -> np.ndarray:
    """`text` as the interface draws it: ink from 0 to 255 [h, w], cropped to the ink in height."""
    preferences = bpy.context.preferences
    blf.size(0, preferences.ui_styles[0].widget.points * preferences.system.ui_scale)
    blf.color(0, 1, 1, 1, 1)
    wide, tall = (int(length) for length in blf.dimensions(0, text))
    size = (before + wide + _SPACE, 3 * tall)
    buffer = imbuf.new(size)
    with blf.bind_imbuf(0, buffer):
        blf.position(0, before, tall, 0)
        blf.draw_buffer(0, text)
    with buffer.with_buffer() as pixels:
        ink = np.array(pixels)[::-1, :, 3].astype(np.float32)
    rows = np.flatnonzero(ink.any(axis=1))
    return ink[rows[0] - 1 : rows[-1] + 2]


def _correlation(grey: np.ndarray, ink: np.ndarray) -> np.ndarray:
    """Normalised cross-correlation of `ink` with each place of `grey` [H - h + 1, W - w + 1]."""
    height, width = ink.shape
    ink = ink - ink.mean()
    shape = (grey.shape[0] + height - 1, grey.shape[1] + width - 1)
    product = np.fft.irfft2(np.fft.rfft2(grey, shape) * np.conj(np.fft.rfft2(ink, shape)), shape)
    product = product[: grey.shape[0] - height + 1, : grey.shape[1] - width + 1]

    def sums(values: np.ndarray) -> np.ndarray:
        total = np.pad(values.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        return total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]

    spread = sums(grey * grey) - sums(grey) ** 2 / ink.size
    return product / np.sqrt(np.maximum(spread, _FLAT * ink.size) * (ink * ink).sum())


def _peaks(likeness: np.ndarray, ink: np.ndarray) -> Iterator[tuple[int, int]]:
    height, width = ink.shape
    while likeness.max() >= ALIKE:
        y, x = (int(index) for index in np.unravel_index(likeness.argmax(), likeness.shape))
        yield x, y
        likeness[max(y - height, 0) : y + height, max(x - width, 0) : x + width] = 0
