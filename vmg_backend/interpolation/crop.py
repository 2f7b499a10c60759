"""The part of the picture that a network sees, and the way there and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..background.matte import Matte
from ..motion.gap import Side
from .interpolator import Continuation, Gap
from .morph import spread

Points = NDArray[np.floating[Any]]
Picture = NDArray[Any]
"""A picture or a mask [H, W, ...]."""

_SURE = 0.3
"""Confidence from which a joint must be in the crop."""
_MARGIN = 0.15
"""Room around the joints, as a share of the person's longer side: hair and fingers reach beyond them."""
_OUTLINE = 0.03
"""Room around mattes, which end where the person ends."""
_NARROWEST = 0.5
"""Shorter over longer side of the narrowest crop that is chosen when no aspect is asked for."""


@dataclass(frozen=True)
class Crop:
    """A rectangle of the picture, and the size at which it is seen.

    Places are px of either picture, the middle of the first pixel at (0.5, 0.5) as in pose maps, so that both pictures'
    corners are the same places and resizing moves nothing.

    Attributes
    ----------
    left, top : int
        First column and row in the picture; negative where the crop begins outside.
    width, height : int
        Of the rectangle, px of the picture; what lies outside repeats the border.
    size : (int, int)
        Width and height of what is seen; of the rectangle's aspect to a px, so that nobody is stretched.
    """

    left: int
    top: int
    width: int
    height: int
    size: tuple[int, int]

    def cut(self, frame: Picture) -> Picture:
        """What is seen [h, w, ...] of a picture [H, W, ...]; the pixels themselves where nothing is resized."""
        rows = np.clip(np.arange(self.top, self.top + self.height), 0, frame.shape[0] - 1)
        columns = np.clip(np.arange(self.left, self.left + self.width), 0, frame.shape[1] - 1)
        return _resized(frame[np.ix_(rows, columns)], self.size)

    def fitted(self, patch: Picture) -> Picture:
        """What is seen [h, w, ...] at the rectangle's own size [height, width, ...]."""
        return _resized(patch, (self.width, self.height))

    def joints(self, joints: Points) -> Points:
        """Places [..., 2] in the picture as places in what is seen."""
        return (joints - (self.left, self.top)) * self._scale

    def placed(self, joints: Points) -> Points:
        """Places [..., 2] in what is seen as places in the picture."""
        return joints / self._scale + (self.left, self.top)

    @property
    def _scale(self) -> Points:
        return np.divide(self.size, (self.width, self.height))

    def paste(
        self, frame: NDArray[np.uint8], patch: NDArray[np.uint8], alpha: NDArray[np.float32]
    ) -> NDArray[np.uint8]:
        """The picture with the patch laid over it.

        Parameters
        ----------
        frame : uint8 [H, W, 3]
        patch : uint8 [h, w, 3]
            Of `size`, or of the rectangle's.
        alpha : float32 [height, width]
            Share of the patch in each pixel of the rectangle. At 0 the frame's pixels stay bit for bit, at 1 they are
            the patch's.
        """
        pasted = frame.copy()
        window, inner = self._inside(frame.shape[:2])
        below, share = frame[window].astype(np.float32), spread(np.ascontiguousarray(alpha[inner]), 3)
        pasted[window] = np.rint(below + share * (self.fitted(patch)[inner] - below))
        return pasted

    def feather(self, picture: tuple[int, int], share: float) -> NDArray[np.float32]:
        """A mask [height, width] that rises from 0 at the crop's edges to 1; edges of the picture need none.

        Parameters
        ----------
        picture : (int, int)
            Width and height of the picture.
        share : float
            Over which it rises, of the shorter side.
        """
        over = max(1.0, share * min(self.width, self.height))

        def ramp(first: int, length: int, whole: int) -> NDArray[np.float64]:
            at = np.arange(length) + 0.5
            begin = at / over if first > 0 else np.ones(length)
            end = at[::-1] / over if first + length < whole else np.ones(length)
            u = np.clip(np.minimum(begin, end), 0.0, 1.0)
            return np.asarray(u * u * (3.0 - 2.0 * u), np.float64)

        across, down = ramp(self.left, self.width, picture[0]), ramp(self.top, self.height, picture[1])
        return np.asarray(np.minimum(down[:, None], across), np.float32)

    def _inside(self, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """What lies in the picture: its place there, and in the rectangle."""
        spans = ((self.top, self.height, shape[0]), (self.left, self.width, shape[1]))
        outer = [slice(max(0, first), min(whole, first + length)) for first, length, whole in spans]
        rows, columns = (
            slice(span.start - first, span.stop - first) for span, (first, _, _) in zip(outer, spans, strict=True)
        )
        return (outer[0], outer[1]), (rows, columns)


def plan_crop(
    joints: Points,
    confidence: Points,
    picture: tuple[int, int],
    short: int,
    multiple: int = 1,
    aspect: float | None = None,
    mattes: Sequence[Matte] = (),
) -> Crop:
    """The crop around a person, with some room; the whole picture where nobody is sure.

    It lies inside the picture where it fits, else it reaches beyond its borders.

    Parameters
    ----------
    joints : float [..., J, 2]
        All that must be in the crop, px; those that are NaN or unsure do not count.
    confidence : float [..., J]
    picture : (int, int)
        Width and height in px.
    short : int
        Shorter side of what is seen, px; a multiple of `multiple`.
    multiple : int
        What both sides of what is seen are multiples of.
    aspect : float, optional
        Width over height that is wanted; the next one that the multiples allow is taken. Without it, the person's own,
        between 1 to 2 and 2 to 1.
    mattes : sequence of float32 [H, W]
        More that must be in the crop.
    """
    (left, top), (right, bottom) = box = _box(joints, confidence, picture, mattes)
    own = min(max((right - left) / (bottom - top), _NARROWEST), 1 / _NARROWEST)
    size = _size(aspect or own, short, multiple)
    scale = max((right - left) / size[0], (bottom - top) / size[1])
    sides = np.ceil(np.multiply(scale, size) - 1e-9)
    centred = np.rint(box.mean(axis=0) - sides / 2)
    free = picture - sides  # px by which the crop is smaller than the picture; below 0 it has to reach beyond
    corner = np.clip(centred, np.minimum(free, 0), np.maximum(free, 0)).astype(int)
    return Crop(int(corner[0]), int(corner[1]), int(sides[0]), int(sides[1]), size)


def crop_of(gap: Gap, short: int, multiple: int = 1, aspect: float | None = None, mattes: Sequence[Matte] = ()) -> Crop:
    """One crop for a whole gap: around both ends, both continuations and the guide; see `plan_crop`."""
    sides: list[Side | Continuation] = [gap.before, gap.after, gap.outgoing, gap.incoming]
    sides += [gap.guide] if gap.guide else []
    joints = np.concatenate([side.joints for side in sides])
    confidence = np.concatenate([side.confidence for side in sides])
    height, width = gap.start.shape[:2]
    return plan_crop(joints, confidence, (width, height), short, multiple, aspect, mattes)


def _box(joints: Points, confidence: Points, picture: tuple[int, int], mattes: Sequence[Matte]) -> Points:
    """First and last place [2, 2] of what must be in the crop."""
    sure = joints[np.isfinite(joints).all(axis=-1) & (confidence >= _SURE)].astype(np.float64)
    boxes = [_widened(np.stack([sure.min(axis=0), sure.max(axis=0)]), _MARGIN)] if len(sure) else []
    for matte in mattes:
        rows, columns = np.nonzero(matte > 0.02)
        if len(rows):
            outline = np.array([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]], np.float64)
            boxes.append(_widened(outline, _OUTLINE))
    if not boxes:
        return np.array([(0, 0), picture], np.float64)
    whole = np.array([np.min([box[0] for box in boxes], axis=0), np.max([box[1] for box in boxes], axis=0)])
    whole = np.clip(whole, 0, picture)
    return np.asarray(np.stack([np.floor(whole[0]), np.maximum(np.ceil(whole[1]), np.floor(whole[0]) + 1)]), np.float64)


def _widened(box: Points, share: float) -> Points:
    room = share * max(float((box[1] - box[0]).max()), 1.0)
    return np.asarray(box + np.array([[-room], [room]]))


def _size(aspect: float, short: int, multiple: int) -> tuple[int, int]:
    """Width and height of what is seen, nearest to an aspect."""
    long = max(short, multiple * round(short * max(aspect, 1 / aspect) / multiple))
    return (long, short) if aspect > 1 else (short, long)


def _resized(picture: Picture, size: tuple[int, int]) -> Picture:
    """At `size` (width, height): averaged when it shrinks, cubic when it grows, itself at its own size."""
    if picture.shape[1::-1] == size:
        return picture
    shrinks = size[0] < picture.shape[1]
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC))
