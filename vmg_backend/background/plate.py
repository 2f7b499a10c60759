"""The empty background of a footage whose camera stands still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ..footage import Footage, FrameReader
from ..progress import SILENT, Progress
from .camera import follow_corners
from .matte import Matte, PersonMatte

_SAMPLES = 48
"""Frames that the background is made from."""
_GROWN = 0.012
"""How much larger than the matte the hidden part is taken, as a share of the picture's longer side: hair, shadows."""
_SEEN_OFTEN = 4
"""Samples in which a pixel must be free to count as seen."""
_DISTANCES = (1, 8)
"""Samples between which motion is looked for: quick motion, and slow drift."""
_STILL = 0.6
"""Px (of 512) by which the corners of a standing background may move between samples: a codec's noise."""


@dataclass(frozen=True)
class Plate:
    """The scene without the person.

    Attributes
    ----------
    image : uint8 [H, W, 3]
        Median of what was seen; where nothing was, filled in from around.
    still : bool
        Whether the camera stands still: only then the image means anything.
    seen : bool [H, W]
        Where the scene was ever seen without the person.
    """

    image: NDArray[np.uint8]
    still: bool
    seen: NDArray[np.bool_]

    @property
    def coverage(self) -> float:
        """Share of the picture that was seen without the person."""
        return float(self.seen.mean())


def plate_of(footage: Footage, reader: FrameReader, progress: Progress = SILENT) -> Plate:
    """The plate of a footage's usable ranges, from frames spread evenly over them."""
    usable = np.concatenate([np.arange(first, last + 1) for first, last in footage.ranges])
    chosen = usable[np.unique(np.linspace(0, len(usable) - 1, min(_SAMPLES, len(usable))).round().astype(int))]
    frames: list[NDArray[np.uint8]] = []
    mattes: list[Matte] = []
    reading = progress.part(0.0, 0.8, "Looking for the background")
    with PersonMatte() as cutter:
        for count, k in enumerate(chosen):
            reading.update(count / len(chosen))
            frames.append(reader.frame(int(k)))
            mattes.append(cutter.matte(frames[-1]))
    return estimate_plate(frames, mattes, progress.part(0.8, 1.0, "Clearing the background"))


def estimate_plate(frames: Sequence[NDArray[np.uint8]], mattes: Sequence[Matte], progress: Progress = SILENT) -> Plate:
    """The plate behind a person.

    Parameters
    ----------
    frames : sequence of uint8 [H, W, 3]
        In the order of time.
    mattes : sequence of float32 [H, W]
        The person in each of them.
    progress : Progress
    """
    hidden = [_grown(matte) for matte in mattes]
    progress.update(0.1)
    still = is_still(frames, hidden)
    progress.update(0.3)
    image, seen = _median(frames, hidden, progress.part(0.3, 0.9))
    return Plate(_filled(image, seen), still, seen)


def is_still(frames: Sequence[NDArray[np.uint8]], hidden: Sequence[NDArray[np.bool_]]) -> bool:
    """Whether the background stands still.

    Corners outside the person are followed from frame to frame and over several frames; the background stands still
    when the median corner does, in nearly all of the pairs. What moves in it on its own (a caption, a shadow) is
    outvoted.
    """
    for distance in _DISTANCES:
        moves = []
        for t in range(0, len(frames) - distance):
            here, there = follow_corners(frames[t], frames[t + distance], ~(hidden[t] | hidden[t + distance]))
            if len(here):
                moves.append(float(np.median(np.hypot(*(there - here).T))))
        if moves and np.percentile(moves, 90) > _STILL:
            return False
    return True


def _grown(matte: Matte) -> NDArray[np.bool_]:
    grown = max(1, round(_GROWN * max(matte.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grown + 1, 2 * grown + 1))
    return np.asarray(cv2.dilate(matte, disc) > 0.05, np.bool_)


def _median(
    frames: Sequence[NDArray[np.uint8]], hidden: Sequence[NDArray[np.bool_]], progress: Progress
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Median over the frames in which a pixel is free, and where there are enough of them."""
    height, width = frames[0].shape[:2]
    image = np.zeros((height, width, 3), np.uint8)
    seen = np.zeros((height, width), np.bool_)
    for row in range(0, height, 64):
        progress.update(row / height)
        rows = slice(row, row + 64)
        free = ~np.stack([mask[rows] for mask in hidden])
        count = free.sum(axis=0)
        stack = np.stack([frame[rows] for frame in frames])
        stack[~free] = 255  # sorts to the end, behind the free ones
        stack.sort(axis=0)
        middle = np.maximum(count - 1, 0) // 2
        image[rows] = np.take_along_axis(stack, middle[None, ..., None], axis=0)[0]
        seen[rows] = count >= min(_SEEN_OFTEN, len(frames))
    return image, seen


def _filled(image: NDArray[np.uint8], seen: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The image with what was never seen painted in from around (Telea 2004), at a size that keeps it quick."""
    if seen.all() or not seen.any():
        return image
    scale = min(1.0, 256.0 / max(seen.shape))
    size = (max(1, round(seen.shape[1] * scale)), max(1, round(seen.shape[0] * scale)))
    hole = cv2.resize((~seen).astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.0
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    painted = cv2.inpaint(small, hole.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    enlarged = cv2.resize(painted, seen.shape[::-1], interpolation=cv2.INTER_LINEAR)
    soft = cv2.GaussianBlur((~seen).astype(np.float32), (0, 0), 1.0)[..., None]
    soft = np.maximum(soft, (~seen)[..., None])
    return np.asarray(np.rint(image + soft * (enlarged.astype(np.float32) - image)), np.uint8)
