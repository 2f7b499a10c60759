"""Dense fields that bring two pictures of a person into one pose between theirs."""

from __future__ import annotations

from functools import reduce

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
"""Displacements in px [H, W, 2]: where the picture at pixel x comes from, less x."""
Lines = NDArray[np.float64]
"""Directed line segments in px [L, 2 ends, 2]."""

_NEAREST = 4.0
"""Px within which a line holds a pixel fully."""
_SHORTEST = 6.0
"""Px below which a line's direction means nothing."""
_GRID = 8
"""Px between the points at which the line field is computed."""
_TOLERANCE = 1.5
"""Px by which the flow forth and back may miss each other."""
_SMOOTH = 3.0
"""Px over which the flow is smoothed."""


def line_field(between: Lines, source: Lines, size: tuple[int, int]) -> Field:
    """Field that brings a picture with lines `source` to the lines `between`.

    Each line carries the pixels near it along (position along the line and distance from it are kept); a pixel
    follows the lines by 1 / distance^2. Beier and Neely 1992, Feature-Based Image Metamorphosis, section 3, with
    a short line (a limb that points at the camera) moving its pixels without turning them.

    Parameters
    ----------
    between, source : float [L, 2, 2]
    size : (int, int)
        Height and width of the field.
    """
    height, width = size
    if len(between) == 0:
        return np.zeros((height, width, 2), np.float32)
    ys, xs = np.mgrid[0 : height + _GRID : _GRID, 0 : width + _GRID : _GRID].astype(np.float64)
    points = np.stack([xs, ys], axis=-1)
    total = np.zeros_like(points)
    weights = np.zeros(points.shape[:2])
    for (p, q), (p_source, q_source) in zip(between, source, strict=True):
        axis, axis_source = q - p, q_source - p_source
        length, length_source = float(np.hypot(*axis)), float(np.hypot(*axis_source))
        offset = points - p
        along = (offset @ axis) / max(length**2, 1e-9)
        nearest = p + np.clip(along, 0.0, 1.0)[..., None] * axis
        distance = np.hypot(*np.moveaxis(points - nearest, -1, 0))
        if min(length, length_source) < _SHORTEST:
            moved = points + (p_source + q_source - p - q) / 2.0
        else:
            away = (offset @ _perpendicular(axis)) / length
            moved = p_source + along[..., None] * axis_source
            moved += away[..., None] * _perpendicular(axis_source) / length_source
        weight = 1.0 / (_NEAREST + distance) ** 2
        total += weight[..., None] * (moved - points)
        weights += weight
    coarse = (total / weights[..., None]).astype(np.float32)
    xs, ys = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.asarray(cv2.remap(coarse, xs / _GRID, ys / _GRID, cv2.INTER_LINEAR), np.float32)


def _perpendicular(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([-vector[1], vector[0]])


def sample(image: NDArray[np.float32], field: Field, interpolation: int = cv2.INTER_LINEAR) -> NDArray[np.float32]:
    """`image` as the field brings it; beyond its edges the edge goes on."""
    height, width = field.shape[:2]
    xs, ys = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.asarray(
        cv2.remap(image, field[..., 0] + xs, field[..., 1] + ys, interpolation, borderMode=cv2.BORDER_REPLICATE),
        np.float32,
    )


def after(first: Field, second: Field) -> Field:
    """The field that brings a picture by `first` and the result by `second`."""
    return second + sample(first, second)


def residual_flow(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> tuple[Field, Field]:
    """Optical flow from picture `a` to `b` and from `b` to `a`, where they contradict each other taken from around.

    Dense Inverse Search (Kroeger et al. 2016).

    Parameters
    ----------
    a, b : uint8 [H, W]

    Returns
    -------
    tuple of float32 [H, W, 2]
        ``a(x)`` is seen at ``b(x + forth(x))``, and ``b(x)`` at ``a(x + back(x))``.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    start = np.zeros((*a.shape, 2), np.float32)
    forth = np.asarray(search.calc(a, b, start.copy()), np.float32)
    back = np.asarray(search.calc(b, a, start.copy()), np.float32)
    return _agreed(forth, back), _agreed(back, forth)


def _agreed(flow: Field, reverse: Field) -> Field:
    """`flow`, smoothed with weights that fall where going there and back by `reverse` does not end at the start."""
    error = np.hypot(*np.moveaxis(flow + sample(reverse, flow), -1, 0))
    trust = np.exp(-((error / _TOLERANCE) ** 2)).astype(np.float32) + 1e-3
    weighted = cv2.GaussianBlur(flow * spread(trust, 2), (0, 0), _SMOOTH)
    return np.asarray(weighted / spread(cv2.GaussianBlur(trust, (0, 0), _SMOOTH), 2), np.float32)


def halves(forth: Field, back: Field, weight: float) -> tuple[Field, Field]:
    """Fields that bring `a` and `b` to the picture at `weight` between them.

    Jiang et al. 2018 (Super SloMo), equation 4.
    """
    from_a = -(1.0 - weight) * weight * forth + weight**2 * back
    from_b = (1.0 - weight) ** 2 * forth - weight * (1.0 - weight) * back
    return from_a.astype(np.float32), from_b.astype(np.float32)


def difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest difference of any channel [H, W] of two pictures [H, W, C]."""
    channels = cv2.split(cv2.absdiff(a, b))  # far quicker than a maximum over the last axis
    return np.asarray(reduce(cv2.max, channels), np.float32)


def spread(values: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """`values` [H, W] for each of so many channels [H, W, C]; to multiply by that is far quicker than by [H, W, 1]."""
    return np.asarray(cv2.merge([values] * channels), np.float32)
