"""Where the picture of a strip lies in the scene's picture, as Blender computes it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
"""Affine, [3, 3], for columns (x, y, 1)."""

Size = tuple[float, float]
"""Width and height, px."""


@dataclass(frozen=True)
class Placement:
    """From a strip's own picture into the scene's.

    Attributes
    ----------
    matrix : float64 [3, 3]
        From px of the strip's picture, x right and y down, to px of the scene's, x right and y up.
    size : (float, float)
        Of the strip's picture, px.
    seen : (float, float, float, float)
        What cropping leaves of it: left, top, right, bottom.
    """

    matrix: Matrix
    size: Size
    seen: tuple[float, float, float, float]

    @property
    def scale(self) -> float:
        """By how much the picture is enlarged."""
        return math.sqrt(abs(float(np.linalg.det(self.matrix[:2, :2]))))

    def points(self, joints: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Points [J, 2] of the strip's picture in the scene's."""
        placed: NDArray[np.float64] = joints @ self.matrix[:2, :2].T + self.matrix[:2, 2]
        return placed

    def uncut(self, joints: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """Which of the points [J, 2] cropping leaves; those that lie outside the picture all along are left too."""
        left, top, right, bottom = self.seen
        width, height = self.size
        x, y = joints[:, 0], joints[:, 1]
        cut = ((x < left) & (left > 0)) | ((x > right) & (right < width))
        return ~(cut | ((y < top) & (top > 0)) | ((y > bottom) & (bottom < height)))


def placement(strip: Any, size: Size, canvas: Size, outer: Matrix) -> Placement:  # noqa: ANN401 - bpy has no types
    """Where a strip's picture lies.

    Parameters
    ----------
    strip : Strip
    size : (float, float)
        Of its picture.
    canvas : (float, float)
        Of the scene's picture.
    outer : float64 [3, 3]
        What the metas and effects around the strip do to the scene's picture (`transform`).
    """
    width, height = size
    crop = strip.crop
    upside_down = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, height], [0.0, 0.0, 1.0]])
    seen = (crop.min_x, crop.max_y, width - crop.max_x, height - crop.min_y)
    return Placement(outer @ transform(strip, size, canvas) @ upside_down, size, seen)


def transform(strip: Any, size: Size, canvas: Size) -> Matrix:  # noqa: ANN401
    """What a strip's transform and flips do to its picture; y up on both sides."""
    shape = strip.transform
    pivot = np.multiply(size, shape.origin)
    moved = np.subtract(canvas, size) / 2 + (shape.offset_x, shape.offset_y)
    cosine, sine = math.cos(shape.rotation), math.sin(shape.rotation)
    linear = np.array([[cosine, -sine], [sine, cosine]]) * (shape.scale_x, shape.scale_y)
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = moved + pivot - linear @ pivot
    for axis, flipped in enumerate((strip.use_flip_x, strip.use_flip_y)):
        if flipped:
            mirror = np.eye(3)
            mirror[axis, axis], mirror[axis, 2] = -1.0, canvas[axis]
            matrix = mirror @ matrix
    return matrix
