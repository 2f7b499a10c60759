"""How the camera moves between two frames, from what is around the person."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_LONGER_SIDE = 512
"""Px at which corners are followed."""
_FEWEST = 12
"""Corners that a motion needs."""


def follow_corners(
    a: NDArray[np.uint8], b: NDArray[np.uint8], free: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Corners of the background in `a` and where they are in `b`, as far as they can be followed there and back.

    Shi-Tomasi corners, pyramidal Lucas-Kanade.

    Parameters
    ----------
    a, b : uint8 [H, W, 3]
    free : bool [H, W]
        Where the person is in neither.

    Returns
    -------
    tuple of float32 [C, 2]
        Px of pictures of `_LONGER_SIDE` px at most; see `scale_of`. C is 0 where too few corners can be followed.
    """
    none = np.zeros((0, 2), np.float32)
    scale = scale_of(a)
    size = (max(16, round(a.shape[1] * scale)), max(16, round(a.shape[0] * scale)))
    greys = [cv2.cvtColor(cv2.resize(f, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY) for f in (a, b)]
    mask = cv2.resize(free.astype(np.uint8) * 255, size, interpolation=cv2.INTER_NEAREST)
    corners = cv2.goodFeaturesToTrack(greys[0], 300, 0.01, 6, mask=mask)
    if corners is None:
        return none, none
    there, found, _ = cv2.calcOpticalFlowPyrLK(greys[0], greys[1], corners, np.empty(0))
    again, found_again, _ = cv2.calcOpticalFlowPyrLK(greys[1], greys[0], there, np.empty(0))
    kept = (np.hypot(*(again - corners)[:, 0].T) < 0.5) & (found[:, 0] == 1) & (found_again[:, 0] == 1)
    if kept.sum() < _FEWEST:
        return none, none
    return np.asarray(corners[kept, 0], np.float32), np.asarray(there[kept, 0], np.float32)


def scale_of(frame: NDArray[np.uint8]) -> float:
    """Size of the pictures in which corners are followed, relative to the frame."""
    return min(1.0, _LONGER_SIDE / max(frame.shape[:2]))


def camera_motion(a: NDArray[np.uint8], b: NDArray[np.uint8], free: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The similarity [3, 3] that takes the background's pixels of `a` to those of `b`; identity where none is found."""
    here, there = follow_corners(a, b, free)
    if len(here) == 0:
        return np.eye(3)
    matrix, inliers = cv2.estimateAffinePartial2D(here, there, method=cv2.RANSAC, ransacReprojThreshold=1.0)
    if matrix is None or inliers.sum() < _FEWEST:
        return np.eye(3)
    return np.vstack([matrix * ([1.0, 1.0, 1.0 / scale_of(a)],), [[0.0, 0.0, 1.0]]])
