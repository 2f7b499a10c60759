"""Generated frames in the colours of the real ones around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from .interpolator import Frames, crossing_weights

_LOOKED_AT = 64
"""Longer side in px at which colours are compared: averaging takes noise, and detail that a network lost, out."""
_LOWEST, _HIGHEST = 2.0, 253.0
"""Levels beyond which a pixel may have been clipped, so that it tells nothing of gain and offset."""
_FEWEST = 0.05
"""Share of pixels that must be left then; else all are taken."""
_ROUNDS = 30
_TOLERANCE = 1.0
"""Least deviation in levels that may be noise."""
_TUKEY = 4.685
"""Deviations, in standard deviations, from which a pixel counts nothing (Beaton and Tukey 1974)."""
_TOWARDS_EQUAL = 4.0
"""How strongly the gain is held at 1 where the picture has no contrast: as by this spread of levels."""
MOST_GAIN, MOST_OFFSET = 1.5, 64.0
"""Bounds of what is corrected: a gain between 1 / 1.5 and 1.5, and levels added to a middle grey."""
_MIDDLE = 127.5


@dataclass(frozen=True)
class Match:
    """What brings one picture's colours to another's, in display values: levels * gain + offset.

    Attributes
    ----------
    gain, offset : float64 [3]
        By channel; offset in levels.
    """

    gain: NDArray[np.float64]
    offset: NDArray[np.float64]

    @classmethod
    def fit(cls, made: NDArray[np.uint8], real: NDArray[np.uint8]) -> Self:
        """The match of a picture, or several, with what it should be.

        Iteratively reweighted least squares with Tukey's weights, from the middles and spreads of both pictures on, so
        that what moved counts nothing: neither its colours nor those of the background that it uncovered.

        Parameters
        ----------
        made, real : uint8 [..., H, W, 3]
        """
        made, real = (pictures.reshape(-1, *pictures.shape[-3:]) for pictures in (made, real))
        return cls(*np.array([_fit(made[..., c], real[..., c]) for c in range(3)]).T)

    def mixed(self, other: Match, weight: float) -> Match:
        """Between this match and another, at `weight`."""
        return Match(self.gain + weight * (other.gain - self.gain), self.offset + weight * (other.offset - self.offset))

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture [H, W, 3] in the other one's colours."""
        levels = np.arange(256)[:, None] * self.gain + self.offset
        table = np.rint(np.clip(levels, 0.0, 255.0)).astype(np.uint8)
        return np.asarray(cv2.LUT(picture, table.reshape(1, 256, 3)), np.uint8)


def match_colour(
    frames: Frames,
    start: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    end: tuple[NDArray[np.uint8], NDArray[np.uint8]],
) -> Frames:
    """The frames [n, h, w, 3] of a gap in the colours of both its ends, those of the start first.

    Parameters
    ----------
    frames : uint8 [n, h, w, 3]
    start, end : (made, real)
        uint8 [..., h, w, 3] each: what the engine makes of given frames at that end, and these frames.
    """
    first, last = Match.fit(*start), Match.fit(*end)
    weights = crossing_weights(len(frames))
    return np.stack([first.mixed(last, float(w)).apply(frame) for frame, w in zip(frames, weights, strict=True)])


def _fit(made: NDArray[np.uint8], real: NDArray[np.uint8]) -> tuple[float, float]:
    """Gain and offset that bring most of one channel [N, H, W] to what it should be."""
    clear = (np.minimum(made, real) >= _LOWEST) & (np.maximum(made, real) <= _HIGHEST)
    clear = clear if clear.mean() > _FEWEST else np.ones_like(clear)
    share = _small(clear)
    seen = share > 0.5
    x, y = (_small(levels * clear)[seen] / share[seen] for levels in (made, real))
    spread_x, spread_y = (float(np.subtract(*np.percentile(values, [90, 10]))) for values in (x, y))
    gain = _held((spread_y + _TOWARDS_EQUAL) / (spread_x + _TOWARDS_EQUAL))
    offset = float(np.median(y) - gain * np.median(x))
    for _ in range(_ROUNDS):
        error = y - gain * x - offset
        deviation = max(1.4826 * float(np.median(np.abs(error))), _TOLERANCE)
        weights = np.clip(1.0 - (error / (_TUKEY * deviation)) ** 2, 0.0, None) ** 2
        middle_x, middle_y = np.average(x, weights=weights), np.average(y, weights=weights)
        # as least squares of y - x over x, so that equal pictures give exactly 1 and 0
        across = np.average((x - middle_x) * ((y - middle_y) - (x - middle_x)), weights=weights)
        gain = _held(1.0 + float(across / (np.average((x - middle_x) ** 2, weights=weights) + _TOWARDS_EQUAL**2)))
        offset = float(middle_y - gain * middle_x)
    change = np.clip(gain * _MIDDLE + offset - _MIDDLE, -MOST_OFFSET, MOST_OFFSET)
    return gain, float(_MIDDLE + change - gain * _MIDDLE)


def _small(pictures: NDArray[Any]) -> NDArray[np.float64]:
    """One channel [N, H, W] of pictures, shrunk [N, h, w]."""
    height, width = pictures.shape[1:]
    scale = min(1.0, _LOOKED_AT / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.stack([cv2.resize(one.astype(np.float64), size, interpolation=cv2.INTER_AREA) for one in pictures])


def _held(gain: float) -> float:
    return float(np.clip(gain, 1.0 / MOST_GAIN, MOST_GAIN))
