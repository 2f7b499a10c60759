"""One reference video file, described frame-exactly."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Footage:
    """A reference video file, identified by its content.

    Attributes
    ----------
    id : str
        SHA-256 of the file's bytes, hex.
    path : Path
    fps : Fraction
        The rate that the motion is read at: the container's, or what the person said it is.
    size : tuple of int
        (width, height) in px as shown, after rotation.
    rotation : int
        Clockwise degrees (0, 90, 180, 270) that a decoded picture must be turned by to be upright.
    pts : int64 [T]
        Presentation time stamps of the frames that really decode, rising, in units of `time_base`.
    time_base : Fraction
        Seconds.
    variable_rate : bool
        Whether the time stamps are truly irregular (a file of constant rate with rounded stamps is not).
    shots : int32 [S, 2]
        First and last frame (inclusive) of each shot; the shots cover all frames.
    ranges : int32 [R, 2]
        First and last frame (inclusive) of what may be used; all frames unless the person said otherwise.
    damaged : bool
        Whether the file is damaged or cut short after its last frame.
    """

    id: str
    path: Path
    fps: Fraction
    size: tuple[int, int]
    rotation: int
    pts: NDArray[np.int64]
    time_base: Fraction
    variable_rate: bool
    shots: NDArray[np.int32]
    ranges: NDArray[np.int32]
    damaged: bool = False

    @property
    def frames(self) -> int:
        """The number of frames, by decoding."""
        return len(self.pts)

    @property
    def damage(self) -> str | None:
        """A sentence about the damage; None without."""
        if not self.damaged:
            return None
        return f"{self.name} is damaged or cut short: only its first {self.frames} frames are used."

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name
