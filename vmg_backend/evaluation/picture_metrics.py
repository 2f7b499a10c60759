"""How near pictures are to the real ones."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]

BEST = 100.0
"""dB that identical pictures count as."""
_WINDOW, _SIGMA = (11, 11), 1.5


@dataclass(frozen=True)
class Likeness:
    """Means over the frames of a gap.

    Attributes
    ----------
    psnr : float
        dB, in float64 on 0 to 255.
    ssim : float
    person_psnr : float
        dB, in a box around the person.
    """

    psnr: float
    ssim: float
    person_psnr: float


def likeness(made: Frames, real: Frames, joints: NDArray[np.float32]) -> Likeness:
    """Compare frames with the real ones.

    Parameters
    ----------
    made, real : uint8 [n, H, W, 3]
    joints : float32 [n, J, 2]
        Where the person really is, px; NaN where a joint is not known.
    """
    box = person_box(joints, (real.shape[2], real.shape[1]))
    return Likeness(psnr(made, real), ssim(made, real), psnr(made[box], real[box]))


def psnr(made: Frames, real: Frames) -> float:
    """Mean over frames, dB; identical ones count as `BEST`."""
    errors = np.mean((made.astype(np.float64) - real) ** 2, axis=(1, 2, 3))
    floor = 255.0**2 / 10.0 ** (BEST / 10.0)
    return float(np.mean(10.0 * np.log10(255.0**2 / np.maximum(errors, floor))))


def ssim(made: Frames, real: Frames) -> float:
    """Mean over frames of the structural similarity of their luma (Wang et al. 2004, section III-B)."""
    return float(np.mean([_ssim(*pair) for pair in zip(made, real, strict=True)]))


def person_box(joints: NDArray[np.float32], size: tuple[int, int]) -> tuple[slice, slice, slice]:
    """All frames, and the rows and columns in which a person's joints [n, J, 2] are in any of them."""
    low, high = np.nanmin(joints, axis=(0, 1)), np.nanmax(joints, axis=(0, 1))
    left, top = (int(np.clip(np.floor(value), 0, side - 1)) for value, side in zip(low, size, strict=True))
    right, bottom = (int(np.clip(np.ceil(value), 0, side - 1)) for value, side in zip(high, size, strict=True))
    return slice(None), slice(top, bottom + 1), slice(left, right + 1)


def _ssim(made: NDArray[np.uint8], real: NDArray[np.uint8]) -> float:
    x, y = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY).astype(np.float64) for each in (made, real))

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        blurred = cv2.GaussianBlur(values, _WINDOW, _SIGMA)
        inner = (slice(_WINDOW[1] // 2, -(_WINDOW[1] // 2)), slice(_WINDOW[0] // 2, -(_WINDOW[0] // 2)))
        return np.asarray(blurred[inner], np.float64)

    first, second = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2
    mean_x, mean_y = mean(x), mean(y)
    spread_x, spread_y, both = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2, mean(x * y) - mean_x * mean_y
    top = (2.0 * mean_x * mean_y + first) * (2.0 * both + second)
    return float((top / ((mean_x**2 + mean_y**2 + first) * (spread_x + spread_y + second))).mean())
