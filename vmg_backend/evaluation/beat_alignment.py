"""How well motion meets music: Beat Alignment Score and hit rate.

Motion beats and the score follow AIST++ (Li et al., "AI Choreographer", ICCV 2021, section 5.1, and its published
evaluation code): a motion beat is a local minimum of the joints' speed. The score is a mean over *motion* beats, so few
motion beats can score high; the hit rate, over *music* beats, is its counterpart. Give both.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

SIGMA = 3 / 60
"""Seconds: the score's tolerance, 3 frames at 60 fps."""
TOLERANCE = 0.070
"""Seconds from a music beat within which a motion beat hits it."""
ORDER_AT_60_FPS = 10
"""Frames on either side that a motion beat's speed must undercut, at 60 fps."""


def joint_speed(
    joints: NDArray[np.floating[Any]], valid: NDArray[np.bool_], *, looped: bool = False
) -> NDArray[np.float64]:
    """Sum over the joints how far they moved since the frame before: e_t = sum_j |x_tj - x_(t-1)j|.

    Parameters
    ----------
    joints : float [T, J, D]
        Any unit, 2D or 3D.
    valid : bool [T]
        Whether a person was found in the frame.
    looped : bool
        Whether the last frame comes before the first one, as in footage that is played in a loop.

    Returns
    -------
    float64 [T]
        In the joints' unit per frame. NaN where this frame or the one before has no valid joints, and for the first
        frame unless looped.
    """
    known = np.where(valid[:, None, None], joints, np.nan).astype(np.float64)
    speed = np.asarray(np.linalg.norm(known - np.roll(known, 1, axis=0), axis=2).sum(axis=1))
    if not looped:
        speed[:1] = np.nan
    return speed


def motion_beat_order(fps: float | Fraction) -> int:
    """Give the frames on either side that a motion beat's speed must undercut (10 at 60 fps, 5 at 30, 4 at 24)."""
    return max(1, round(float(ORDER_AT_60_FPS * fps / 60)))


def motion_beats(speed: NDArray[np.float64], fps: float | Fraction) -> NDArray[np.int64]:
    """Find the motion beats: strict local minima of the speed.

    Where a speed within the order is unknown (NaN: no person, or the first frame) there is no motion beat, since no
    minimum can be told. The end of the motion bounds the comparison as in `scipy.signal.argrelextrema`.

    Parameters
    ----------
    speed : float64 [T]
        From `joint_speed`.
    fps : float or Fraction

    Returns
    -------
    int64 [B]
        Frame numbers, rising; frame / fps is the motion beat's time.
    """
    return np.flatnonzero(rests(speed, fps))


def rests(speed: NDArray[np.float64], fps: float | Fraction) -> NDArray[np.bool_]:
    """Which speeds [..., T] are motion beats; see `motion_beats`."""
    from scipy.signal import argrelextrema

    found = np.zeros(np.shape(speed), dtype=bool)
    found[argrelextrema(speed, np.less, axis=-1, order=motion_beat_order(fps))] = True
    return found


def beat_alignment_score(motion: ArrayLike, music: ArrayLike) -> float:
    """Score the motion: (1 / |motion|) sum over motion beats b of exp(-min_m (b - m)^2 / (2 sigma^2)).

    Parameters
    ----------
    motion, music : float [B], float [M]
        Beats in seconds, in any order.

    Returns
    -------
    float
        0 to 1; 0 without motion beats or without music beats.
    """
    motion = np.asarray(motion, np.float64)
    return float(_closeness(motion, np.asarray(music, np.float64)).mean()) if len(motion) else 0.0


def hit_rate(motion: ArrayLike, music: ArrayLike, tolerance: float = TOLERANCE) -> float:
    """Give the share of music beats with a motion beat within `tolerance` seconds.

    Parameters
    ----------
    motion, music : float [B], float [M]
        Beats in seconds, in any order; only the music beats under the motion.
    tolerance : float

    Returns
    -------
    float
        0 to 1; 0 without music beats.
    """
    music = np.asarray(music, np.float64)
    return float(np.mean(_distance(music, np.asarray(motion, np.float64)) <= tolerance)) if len(music) else 0.0


@dataclass(frozen=True)
class StraightPlay:
    """What the straight footage reaches at best.

    Attributes
    ----------
    score, score_offset : float, int
        The best Beat Alignment Score and the start frame that reaches it.
    hit_rate, hit_rate_offset : float, int
        The best hit rate and the start frame that reaches it (often another one).
    """

    score: float
    score_offset: int
    hit_rate: float
    hit_rate_offset: int


def best_straight(
    looped_speed: NDArray[np.float64],
    fps: float | Fraction,
    music: ArrayLike,
    frames: int,
    tolerance: float = TOLERANCE,
) -> StraightPlay:
    """Play the straight footage in a loop from each of its frames on, and keep the best of each metric.

    This is the baseline of an edit: chance alone, with the best start, reaches it. Each start is measured as if it
    were a finished video of `frames` frames. So the seam of the loop counts like any other frame: its speed is the
    jump from the last frame to the first one (``joint_speed(..., looped=True)``), large for most footage and then no
    motion beat itself. To leave out the seam's surroundings instead, set ``looped_speed[0]`` to NaN.

    Parameters
    ----------
    looped_speed : float64 [T]
        From ``joint_speed(..., looped=True)`` of the footage.
    fps : float or Fraction
    music : float [M]
        Music beats in seconds, those under the motion.
    frames : int
        Length of the motion; longer than the footage when it is repeated.
    tolerance : float
        Of the hit rate, in seconds.

    Returns
    -------
    StraightPlay
    """
    music = np.asarray(music, np.float64)
    length = len(looped_speed)
    order = motion_beat_order(fps)
    below_left = np.ones(length, np.bool_)
    below_right = np.ones((order + 1, length), np.bool_)  # by how many frames follow; without any, no minimum
    below_right[0] = False
    for shift in range(1, order + 1):
        below_left &= looped_speed < np.roll(looped_speed, shift)
        below_right[shift] = (looped_speed < np.roll(looped_speed, -shift)) & (
            below_right[shift - 1] if shift > 1 else True
        )
    shown = np.arange(order + 1, frames)  # the first frame's speed is unknown, so no earlier one can be a minimum
    following = np.minimum(order, frames - 1 - shown)
    times = np.arange(frames) / float(fps)
    closeness = _closeness(times, music)
    near = np.abs(times[:, None] - music[None, :]) <= tolerance  # [frames, M]
    scores, hits = np.zeros(length), np.zeros(length)
    for start in range(length):
        source = (start + shown) % length
        beats = shown[below_left[source] & below_right[following, source]]
        if len(beats) and len(music):
            scores[start] = closeness[beats].mean()
            hits[start] = near[beats].any(axis=0).mean()
    best, best_hit = int(scores.argmax()), int(hits.argmax())
    return StraightPlay(float(scores[best]), best, float(hits[best_hit]), best_hit)


def _distance(times: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds from each time to the nearest of the others; infinite without others."""
    if not len(others):
        return np.full(len(times), np.inf)
    others = np.sort(others)
    after = np.searchsorted(others, times)
    left = np.abs(times - others[np.maximum(after - 1, 0)])
    right = np.abs(others[np.minimum(after, len(others) - 1)] - times)
    return np.asarray(np.minimum(left, right))


def _closeness(motion: NDArray[np.float64], music: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.exp(-(_distance(motion, music) ** 2) / (2 * SIGMA**2)))
