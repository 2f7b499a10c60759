"""Smoothing of joints over time that shifts nothing: no lag, speed minima stay where they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HALF_WINDOW_SECONDS = 0.1
"""Half the window: 2 frames on either side at 24 fps, 3 at 30 fps. People move below its cut-off of about 9 Hz."""

_LEAST_WEIGHT = 1e-3
"""Keeps the fit determined where nothing in the window is seen."""


def runs(person: NDArray[np.bool_], shots: NDArray[np.int32]) -> list[tuple[int, int]]:
    """First and last frame (inclusive) of each stretch of frames with a person within one shot.

    Parameters
    ----------
    person : bool [T]
    shots : int32 [S, 2]
        First and last frame of each shot, inclusive.
    """
    found = []
    for first, last in np.asarray(shots).tolist():
        inside = np.concatenate([[False], person[first : last + 1], [False]])
        edges = np.flatnonzero(inside[1:] != inside[:-1])
        found += [(first + int(a), first + int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return found


def half_window(fps: float) -> int:
    """Frames on either side that the smoothing looks at, at least 2."""
    return max(2, round(HALF_WINDOW_SECONDS * fps))


def smooth(
    joints: NDArray[np.float32], confidence: NDArray[np.float32], stretches: list[tuple[int, int]], half: int
) -> NDArray[np.float32]:
    """Smooth joints by a local parabola, fitted around each frame and weighted by confidence.

    With equal confidence this is the filter of Savitzky and Golay (Analytical Chemistry 36(8), 1964): symmetric, so
    without delay, and exact for constant speed and constant acceleration, so that peaks keep their height.

    Parameters
    ----------
    joints : float32 [T, J, D]
    confidence : float32 [T, J]
    stretches : list of (int, int)
        First and last frame of stretches within which frames belong together (`runs`); nothing is carried across
        their ends, and frames outside stay as they are.
    half : int
        Frames on either side, at least 2.

    Returns
    -------
    float32 [T, J, D]
    """
    smoothed = joints.copy()
    for first, last in stretches:
        if last - first >= 2:
            part = slice(first, last + 1)
            smoothed[part] = _local_parabola(joints[part], confidence[part], half)
    return smoothed


def _local_parabola(joints: NDArray[np.float32], confidence: NDArray[np.float32], half: int) -> NDArray[np.float64]:
    frames, count, dimensions = joints.shape
    # Moments about the middle frame: sum w k^(m+n) a_n = sum w k^m x, solved for a_0, the parabola at k = 0.
    left = np.zeros((frames, count, 3, 3))
    right = np.zeros((frames, count, 3, dimensions))
    weights = np.maximum(confidence.astype(np.float64), _LEAST_WEIGHT)
    powers = np.arange(3)
    for k in range(-half, half + 1):
        here = slice(max(0, -k), frames - max(0, k))
        there = slice(max(0, k), frames - max(0, -k))
        k_powers = float(k) ** powers
        weight = weights[there, :, None, None]
        left[here] += weight * np.outer(k_powers, k_powers)
        right[here] += weight * k_powers[:, None] * joints[there, :, None, :].astype(np.float64)
    solution: NDArray[np.float64] = np.linalg.solve(left, right)
    return solution[:, :, 0]
