"""Where footage was cut: the step between two frames stands out from the steps around it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

THUMBNAIL = 64
"""Side in px of the square grey pictures that cuts are found in."""

_WINDOW = 7
"""Side in px of the neighbourhood that contrast is measured against."""
_NOISE = 6.0
"""Grey levels of contrast below which a neighbourhood counts as flat."""
_REPEATED = 0.1
"""Mean difference in grey levels below which a frame only repeats the one before."""
_NEIGHBOURS = 4
"""Steps on either side that a step is compared with."""
_RATIO = 1.8
"""A cut is a step this many times as large as the largest of its neighbours: motion builds up and dies
down, a cut does not. Largest ratio without a cut in the twenty test clips: 1.5; smallest at a cut: 2.5."""
_LEAST = 0.05
"""Smallest step of a cut, in standard deviations of local contrast: below it is noise of the coding."""


def find_shots(thumbnails: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Find the cuts between shots, jump cuts of one person before one background included.

    Frames are compared by their local contrast, (picture - local mean) / local deviation, which flicker,
    fades and a screen that lights up change little. A frame that repeats the one before (24 frames
    stretched to 30, a recorder that stuttered) is passed over: next to a step of nothing, any motion would
    stand out. A flash gives two large steps side by side, so neither is a cut; nor are fades.

    Parameters
    ----------
    thumbnails : uint8 [T, h, w]
        Small grey pictures of all frames, T >= 1.

    Returns
    -------
    shots : int32 [S, 2]
        First and last frame (inclusive) of each shot; they cover all frames.
    """
    starts, steps = [], []
    shown, contrast = thumbnails[0].astype(np.float32), _local_contrast(thumbnails[0])
    for number in range(1, len(thumbnails)):
        picture = thumbnails[number].astype(np.float32)
        if np.mean(np.abs(picture - shown)) <= _REPEATED:
            continue
        shown, before, contrast = picture, contrast, _local_contrast(picture)
        starts.append(number)
        steps.append(float(np.mean(np.abs(contrast - before))))

    firsts = [0]
    for i, step in enumerate(steps):
        around = steps[max(0, i - _NEIGHBOURS) : i] + steps[i + 1 : i + 1 + _NEIGHBOURS]
        if around and step >= _LEAST and step >= _RATIO * max(around):
            firsts.append(starts[i])
    lasts = [first - 1 for first in firsts[1:]] + [len(thumbnails) - 1]
    return np.array([firsts, lasts], np.int32).T


def _local_contrast(picture: NDArray[np.generic]) -> NDArray[np.float32]:
    values = picture.astype(np.float32)
    mean = uniform_filter(values, _WINDOW)
    variance = np.maximum(uniform_filter(values * values, _WINDOW) - mean * mean, 0)
    contrast: NDArray[np.float32] = (values - mean) / np.sqrt(variance + _NOISE**2)
    return contrast
