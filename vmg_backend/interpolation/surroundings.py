"""The background of a generated frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..background.camera import camera_motion
from ..background.matte import Matte
from .morph import difference, spread

_GROWN_TO_PLATE, _GROWN_TO_FILL = 0.006, 0.018
"""How much larger than the matte the hidden part is taken, as a share of the picture's longer side: little where the
plate shows what is there (and has no shadow), more where a trace of the person would be smeared."""
_CLOSE_BY = 0.05
"""Trust in what is seen between these two."""
_KNOWN = 0.001
"""Trust from which a pixel need not be filled in."""
_MASKED_AT = 640
"""Longer side in px of the soft masks."""
_AGREEING = 6.0 / 255.0
"""Difference up to which the backgrounds of two frames are the same."""


def surroundings(
    a: NDArray[np.uint8],
    b: NDArray[np.uint8],
    matte_a: Matte,
    matte_b: Matte,
    plate_a: NDArray[np.uint8] | None,
    plate_b: NDArray[np.uint8] | None,
    weight: float,
) -> NDArray[np.float32]:
    """The scene without the person at `weight` between the frames `a` and `b`.

    Where a person hides it, each side shows its plate; without plates the other side, brought there by the motion
    of the camera, and where both are hidden a smooth fill. Where the two frames agree, they are shown as they are.

    Returns
    -------
    float32 [H, W, 3] in 0..1
    """
    picture_a, picture_b = a.astype(np.float32) / 255.0, b.astype(np.float32) / 255.0
    if plate_a is not None and plate_b is not None:
        hidden_a, hidden_b = _hidden(matte_a, _GROWN_TO_PLATE), _hidden(matte_b, _GROWN_TO_PLATE)
        empty_a = picture_a + spread(hidden_a, 3) * (plate_a.astype(np.float32) / 255.0 - picture_a)
        empty_b = picture_b + spread(hidden_b, 3) * (plate_b.astype(np.float32) / 255.0 - picture_b)
        scene = (1.0 - weight) * empty_a + weight * empty_b
    else:
        free_a, free_b = _free(matte_a), _free(matte_b)
        motion = camera_motion(a, b, np.minimum(free_a, free_b) > 0.8)
        moved_a, seen_a = _moved(picture_a, free_a, _fraction(motion, weight))
        moved_b, seen_b = _moved(picture_b, free_b, _fraction(np.linalg.inv(motion), 1.0 - weight))
        scene = _mixed(moved_a, moved_b, (1.0 - weight) * seen_a, weight * seen_b)
    resting = (1.0 - weight) * picture_a + weight * picture_b
    return np.asarray(scene + spread(_rests(picture_a, picture_b), 3) * (resting - scene), np.float32)


def _mixed(
    a: NDArray[np.float32], b: NDArray[np.float32], share_a: NDArray[np.float32], share_b: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The two pictures by their shares [H, W]; where both shares are 0, filled from around."""
    total = share_a + share_b
    mixed = (spread(share_a, 3) * a + spread(share_b, 3) * b) / spread(np.maximum(total, np.float32(1e-6)), 3)
    known = np.clip(total / np.float32(_KNOWN), 0.0, 1.0)
    share = spread(known, 3)
    return np.asarray(mixed * share + _fill(mixed, known) * (1.0 - share), np.float32)


def _rests(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where the pictures agree as they are [H, W], so that nothing need be made up: shadows, bars, captions."""
    unlike = cv2.GaussianBlur(difference(a, b), (0, 0), 2.0)
    return np.asarray(np.clip(2.0 - unlike / _AGREEING, 0.0, 1.0), np.float32)


def _hidden(matte: Matte, share: float) -> Matte:
    """What the person hides of the scene: the matte, grown."""
    scale = min(1.0, _MASKED_AT / max(matte.shape))
    size = (max(1, round(matte.shape[1] * scale)), max(1, round(matte.shape[0] * scale)))
    grown = max(1, round(share * max(size)))
    square = np.ones((2 * grown + 1, 2 * grown + 1), np.uint8)
    small = cv2.dilate(cv2.resize(matte, size, interpolation=cv2.INTER_AREA), square)
    soft = cv2.GaussianBlur(small, (0, 0), 0.5 * grown)
    return np.asarray(cv2.resize(soft, matte.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def _free(matte: Matte) -> NDArray[np.float32]:
    """Trust [H, W] in the scene shown: full away from the person, a little close by, where hair and shadows may be."""
    near, far = (np.clip(1.0 - 4.0 * _hidden(matte, share), 0.0, 1.0) for share in (_GROWN_TO_PLATE, _GROWN_TO_FILL))
    return np.asarray(np.maximum(far, _CLOSE_BY * near), np.float32)


def _fraction(motion: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """A part of a small motion; linear, as the person's joints move."""
    return np.eye(3) + share * (motion - np.eye(3))


def _moved(
    picture: NDArray[np.float32], free: NDArray[np.float32], motion: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Colour [H, W, 3] and its trust [H, W] after the motion; what comes in from outside has none."""
    if np.allclose(motion, np.eye(3), atol=1e-9):
        return picture, free
    size = picture.shape[1::-1]
    colour = cv2.warpAffine(picture, motion[:2], size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    seen = cv2.warpAffine(free, motion[:2], size, flags=cv2.INTER_LINEAR, borderValue=(0.0,))
    return np.asarray(colour, np.float32), np.asarray(seen, np.float32)


def _fill(picture: NDArray[np.float32], known: NDArray[np.float32]) -> NDArray[np.float32]:
    """The unknown pixels filled smoothly from the known ones around, coarse to fine (push-pull, Gortler 1996)."""
    if min(known.shape) <= 2 or known.min() >= 1.0:
        return picture
    share = spread(known, 3)
    weighted = cv2.resize(picture * share, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    weight = cv2.resize(known, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    coarse = _fill(weighted / spread(np.maximum(weight, 1e-6), 3), np.clip(2.0 * weight, 0.0, 1.0))
    pulled = cv2.resize(coarse, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(picture * share + pulled * (1.0 - share), np.float32)
