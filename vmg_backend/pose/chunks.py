"""How a footage is divided among processes: by its shots and a fixed length, never by their number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Chunk:
    """Frames that one process tracks in one go.

    Attributes
    ----------
    start : int
        First frame to look at; the tracking settles on the frames before `first`, whose poses are thrown away.
    first, last : int
        Frames to keep, inclusive.
    """

    start: int
    first: int
    last: int


def plan(shots: NDArray[np.int32], length: int, warm_up: int) -> list[Chunk]:
    """Divide each shot into equal chunks of at most `length` frames.

    Parameters
    ----------
    shots : int32 [S, 2]
        First and last frame of each shot, inclusive.
    length, warm_up : int
        Frames; a chunk's warm-up never reaches before its shot.
    """
    chunks = []
    for shot_first, shot_last in np.asarray(shots).tolist():
        frames = shot_last - shot_first + 1
        count = -(-frames // length)
        for k in range(count):
            first = shot_first + frames * k // count
            last = shot_first + frames * (k + 1) // count - 1
            chunks.append(Chunk(max(shot_first, first - warm_up), first, last))
    return chunks
