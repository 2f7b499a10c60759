"""Frame rates as fractions: what a person types, and what a file's time stamps say."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError

COMMON_RATES = tuple(
    Fraction(rate)
    for rate in ("24000/1001", "24", "25", "30000/1001", "30", "48", "50", "60000/1001", "60", "120000/1001", "120")
)
SAME_RATE = 1e-4
"""Relative distance below which a rate is one of the common ones: 29.97 is, 30 is not, 30000/1001."""
REGULAR_SHARE = 0.9
"""Share of steps of one frame from which a file is of constant rate, with a few frames dropped."""


def parse_fps(text: str) -> Fraction:
    """Read a frame rate such as ``30``, ``29.97`` or ``30000/1001``.

    Decimals within 0.01 % of a common rate stand for it: 29.97 is 30000/1001.

    Raises
    ------
    UserError
        When `text` is no rate between 1 and 1000 frames per second.
    """
    try:
        rate = Fraction(text.strip())
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 1 <= rate <= 1000:
        raise UserError(
            f"“{text}” is not a frame rate.",
            "Write frames per second between 1 and 1000, such as 30, 29.97 or 30000/1001.",
            title="Not a frame rate",
        )
    return snap(rate)


def snap(rate: Fraction) -> Fraction:
    """The common rate that `rate` stands for, else `rate` itself."""
    nearest = min(COMMON_RATES, key=lambda common: abs(common - rate))
    return nearest if abs(nearest - rate) <= SAME_RATE * nearest else rate


def rate_of_stamps(
    pts: NDArray[np.int64], time_base: Fraction, declared: Fraction | None = None
) -> tuple[Fraction, bool]:
    """Find the frame rate behind time stamps, which may be rounded to the container's clock.

    A constant rate explains stamps when each lies within one clock tick of an even grid. Frames may be
    missing from the grid (dropped by the recorder) as long as nine steps in ten are one frame.

    Parameters
    ----------
    pts : int64 [T]
        Rising presentation time stamps, T >= 2.
    time_base : Fraction
        Their unit in seconds.
    declared : Fraction, optional
        The rate that the container states: taken where it explains the stamps, for short files with
        rounded stamps fit several rates.

    Returns
    -------
    fps : Fraction
        The constant rate, or the mean rate of a variable one.
    variable : bool
        Whether no constant rate explains the stamps.
    """
    steps = np.diff(pts)
    average = Fraction(len(steps)) / (int(pts[-1] - pts[0]) * time_base)
    usual = steps[np.abs(steps - np.median(steps)) <= max(1.0, 0.1 * float(np.median(steps)))]
    typical = 1 / (Fraction(int(usual.sum()), len(usual)) * time_base)

    candidates = [snap(declared)] if declared else []
    candidates += sorted(COMMON_RATES, key=lambda rate: abs(rate - typical))
    candidates += [average, typical]
    for rate in candidates:
        if _explains(rate, pts, time_base):
            return rate.limit_denominator(1001) if rate.denominator > 1001 else rate, False
    near = min(COMMON_RATES, key=lambda rate: abs(rate - average))
    return (near if abs(near - average) <= near / 50 else average.limit_denominator(100)), True


def _explains(rate: Fraction, pts: NDArray[np.int64], time_base: Fraction) -> bool:
    """Whether the stamps lie on the grid of a constant rate, with at most a tenth of the steps not one frame."""
    ticks = float(1 / (rate * time_base))
    frames = np.concatenate([[0], np.cumsum(np.rint(np.diff(pts) / ticks))])
    tolerance = min(1.0, 0.5 * ticks) + 1e-6
    return bool(np.ptp(pts - frames * ticks) <= tolerance and np.mean(np.diff(frames) == 1) >= REGULAR_SHARE)
