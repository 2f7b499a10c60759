"""The curves of a training as a picture: its loss, and how near it comes to the real person."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..vmg_backend.protocol import Learned

SIZE = (160, 160)
"""Width and height, px: icons have a square for themselves."""
_GROUND, _BORDER, _CHECK = (38, 38, 38), (70, 70, 70), (255, 160, 60)
_LOSSES = ((90, 150, 230), (120, 205, 235))
"""Of the stages, by turns."""
_MARGIN = 6


def drawn(learned: Learned) -> NDArray[np.uint8]:
    """The picture [H, W, 3]: losses in blue, logarithmic; validation in orange, on a scale of its own."""
    width, height = SIZE
    picture = np.full((height, width, 3), _GROUND, np.uint8)
    losses = np.array(learned.losses, np.float64).reshape(-1, 3)
    rows = _rows(np.log(np.maximum(losses[:, 2], 1e-9)))
    for stage in sorted(set(losses[:, 0].astype(int))):
        here = losses[:, 0] == stage
        columns = _columns(losses[here, 1])
        picture[:, columns[0]] = _BORDER
        _line(picture, columns, rows[here], _LOSSES[stage % len(_LOSSES)])
    checks = np.array(learned.checks, np.float64).reshape(-1, 2)
    if len(checks):
        columns, rows = _columns(checks[:, 0]), _rows(checks[:, 1])
        _line(picture, columns, rows, _CHECK)
        for column, row in zip(columns.tolist(), rows.tolist(), strict=True):
            picture[row - 2 : row + 3, max(0, column - 2) : column + 3] = _CHECK
    return picture


def _columns(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.asarray(np.round(shares * (SIZE[0] - 1)), np.int64)


def _rows(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows of values, of which the largest lies on top; in the middle where all are equal."""
    least, most = (values.min(), values.max()) if len(values) else (0.0, 0.0)
    part = (most - values) / (most - least) if most > least else np.full(len(values), 0.5)
    return np.asarray(np.round(_MARGIN + part * (SIZE[1] - 1 - 2 * _MARGIN)), np.int64)


def _line(
    picture: NDArray[np.uint8], columns: NDArray[np.int64], rows: NDArray[np.int64], colour: tuple[int, int, int]
) -> None:
    """Draw a line, two px thick, through points that are in the order of their columns."""
    heights = np.round(np.interp(np.arange(columns[0], columns[-1] + 1), columns, rows))
    before, row = np.r_[heights[:1], heights[:-1]], np.arange(SIZE[1])[:, None]
    drawn = (row >= np.minimum(heights, before)) & (row < np.maximum(heights, before) + 2)
    picture[:, columns[0] : columns[-1] + 1][drawn] = colour
