"""What is heard of several pieces of sound together."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..progress import SILENT, Progress
from ..protocol import SoundPiece
from .decode import load_audio

FINEST_SPEED = 10_000
"""Largest denominator of a speed: others are rounded, by 0.01 ms in a second at most."""


def mix(pieces: Sequence[SoundPiece], seconds: float, rate: int, progress: Progress = SILENT) -> NDArray[np.float32]:
    """The sum of sound pieces, as it is heard from 0 to `seconds`.

    Parameters
    ----------
    pieces : sequence of SoundPiece
    seconds : float
    rate : int
        Samples per second wanted.
    progress : Progress

    Returns
    -------
    float32 [N]
        Mono; full scale of one piece is 1, the sum may go beyond.

    Raises
    ------
    UserError
        When a piece cannot be read (`load_audio`) or its speed is not above 0.
    """
    heard = np.zeros(max(0, round(seconds * rate)), np.float32)
    for number, piece in enumerate(pieces):
        progress.update(number / len(pieces))
        if piece.speed <= 0:
            raise UserError(f"{Path(piece.path).name} is played at the speed {piece.speed:g}.", "Give one above 0.")
        # Only what is heard is read: nothing before 0, nor before the file's start.
        skipped = max(0.0, -piece.at, -piece.start / piece.speed)
        at = piece.at + skipped
        length = min(piece.seconds - skipped, seconds - at)
        if length <= 0:
            continue
        first = round(at * rate)
        samples = _played(piece, piece.start + skipped * piece.speed, length, rate, progress)
        samples = samples[: min(round(length * rate), len(heard) - first)]
        heard[first : first + len(samples)] += np.float32(piece.volume) * samples
    return heard


def _played(piece: SoundPiece, start: float, seconds: float, rate: int, progress: Progress) -> NDArray[np.float32]:
    """Samples [N] of `seconds` of playing a file from `start` on, at the piece's speed; fewer where it ends."""
    from scipy.signal import resample_poly

    read = seconds * piece.speed
    samples, _ = load_audio(Path(piece.path), start=max(0.0, start), seconds=read, rate=rate, progress=progress)
    speed = Fraction(piece.speed).limit_denominator(FINEST_SPEED)
    if speed != 1:
        samples = resample_poly(samples, speed.denominator, speed.numerator)
    return np.asarray(samples, np.float32)
