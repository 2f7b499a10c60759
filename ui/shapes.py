"""A skeleton as coloured triangles with soft edges: px in, px out, numpy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..addon.poses import LEFT, MIDDLE, RIGHT

COLORS = {LEFT: (1.0, 0.62, 0.1), RIGHT: (0.2, 0.75, 1.0), MIDDLE: (1.0, 1.0, 1.0)}
"""Orange, blue, white: told apart by people of all kinds of colour vision, and from most clothes."""
FAINTEST = 0.12
"""Opacity of what was hardly seen."""
THINNEST = 1.0
"""Width of a bone on the screen, px, however small the picture is shown."""
_SLENDER = 0.12
"""Widest a bone may be for its length: fingers are thin."""
_OUTLINE, _OUTLINE_OPACITY = 0.3, 0.55
"""Width of the dark edge, in widths of what it surrounds."""
_SOFT = 1.0
_DOT = 2.0
"""A joint's width, in widths of its thinnest bone; it is as wide as its widest at least."""
_CORNERS = 12


@dataclass(frozen=True)
class Mesh:
    """Triangles to be drawn in their order.

    Attributes
    ----------
    points : float32 [V, 2]
    colors : float32 [V, 4]
        Red, green, blue, opacity.
    triangles : int32 [F, 3]
    """

    points: NDArray[np.float32]
    colors: NDArray[np.float32]
    triangles: NDArray[np.int32]


def skeleton(
    points: NDArray[np.float64],
    confidence: NDArray[np.float32],
    bones: NDArray[np.int64],
    sides: NDArray[np.int64],
    width: float,
) -> Mesh:
    """Bones as lines and joints as dots, each with a dark outline.

    Parameters
    ----------
    points : float64 [J, 2]
        Joints on the screen, px; those that are not finite are not drawn.
    confidence : float [J]
        What is low is faint; what is 0 is not drawn.
    bones : int [B, 2]
    sides : int [J]
        As in `Track`.
    width : float
        Of the widest bones, px.
    """
    there = np.isfinite(points).all(axis=1) & (confidence > 0)
    opacity = np.where(there, FAINTEST + (1 - FAINTEST) * np.clip(confidence, 0, 1), 0)
    lengths = np.linalg.norm(points[bones[:, 1]] - points[bones[:, 0]], axis=1)
    kept = there[bones].all(axis=1) & (lengths > 0)
    bones, lengths = bones[kept], lengths[kept]
    a, b = bones.T
    widths = np.maximum(np.minimum(width, _SLENDER * lengths), THINNEST)
    thinnest, widest = np.full(len(points), np.inf), np.zeros(len(points))
    for ends in (a, b):
        np.minimum.at(thinnest, ends, widths)
        np.maximum.at(widest, ends, widths)
    shown = np.flatnonzero(widest)
    dots = np.maximum(_DOT * thinnest[shown], widest[shown])
    palette = np.array([COLORS[side] for side in range(len(COLORS))])
    bone_sides = np.where(sides[a] == sides[b], sides[a], MIDDLE)
    bone_colors = np.column_stack([palette[bone_sides], opacity[bones].min(axis=1)])
    dot_colors = np.column_stack([palette[sides[shown]], opacity[shown]])
    parts = []
    for edge, shade in ((_OUTLINE, (0, 0, 0, _OUTLINE_OPACITY)), (0.0, (1, 1, 1, 1))):
        parts.append(_lines(points[a], points[b], widths * (0.5 + edge), bone_colors * shade))
        parts.append(_dots(points[shown], dots * (0.5 + edge / 2), dot_colors * shade))
    return _joined(parts)


def _lines(
    a: NDArray[np.float64], b: NDArray[np.float64], half: NDArray[np.float64], colors: NDArray[np.float64]
) -> Mesh:
    """Four lines side by side for each: two edges, and beyond these where it has faded away."""
    along = (b - a) / np.linalg.norm(b - a, axis=1, keepdims=True)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    reach = np.stack([-half - _SOFT, -half, half, half + _SOFT], axis=1)  # [B, 4]
    ends = np.stack([a, b], axis=1)  # [B, 2, 2]
    points = ends[:, :, None] + reach[:, None, :, None] * across[:, None, None]  # [B, 2, 4, 2]
    first = np.array([[k, k + 1, k + 4, k + 1, k + 5, k + 4] for k in range(3)]).reshape(-1, 3)
    return _mesh(points.reshape(len(a), 8, 2), colors, np.array([0, 1, 1, 0] * 2), first)


def _dots(centres: NDArray[np.float64], radii: NDArray[np.float64], colors: NDArray[np.float64]) -> Mesh:
    """A middle, a rim, and a rim beyond where it has faded away."""
    turns = np.arange(_CORNERS) * (2 * np.pi / _CORNERS)
    circle = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    rims = [centres[:, None] + (radii[:, None, None] + soft) * circle for soft in (0.0, _SOFT)]
    points = np.concatenate([centres[:, None], *rims], axis=1)
    k = np.arange(_CORNERS)
    here, following = 1 + k, 1 + (k + 1) % _CORNERS
    first = np.concatenate(
        [
            np.stack([np.zeros_like(k), here, following], axis=1),
            np.stack([here, here + _CORNERS, following], axis=1),
            np.stack([following, here + _CORNERS, following + _CORNERS], axis=1),
        ]
    )
    return _mesh(points, colors, np.array([1] * (1 + _CORNERS) + [0] * _CORNERS), first)


def _mesh(
    points: NDArray[np.float64], colors: NDArray[np.float64], opaque: NDArray[np.int64], first: NDArray[np.int64]
) -> Mesh:
    """The same figure several times: points [N, K, 2], colours [N, 4], which of K are opaque, triangles [F, 3] of K."""
    count, each, _ = points.shape
    shaded = np.repeat(colors[:, None], each, axis=1)
    shaded[..., 3] *= opaque
    triangles = first[None] + each * np.arange(count)[:, None, None]
    return Mesh(
        points.reshape(-1, 2).astype(np.float32),
        shaded.reshape(-1, 4).astype(np.float32),
        triangles.reshape(-1, 3).astype(np.int32),
    )


def _joined(parts: list[Mesh]) -> Mesh:
    starts = np.cumsum([0, *(len(part.points) for part in parts[:-1])])
    return Mesh(
        np.concatenate([part.points for part in parts]),
        np.concatenate([part.colors for part in parts]),
        np.concatenate([part.triangles + int(start) for part, start in zip(parts, starts, strict=True)]),
    )
