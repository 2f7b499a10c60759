"""How near in-betweens are to the motion that really was, and how they break it.

Every metric is a sum over windows (gaps of one length whose truth is known) divided by a sum of weights, and gives both
sums for each window: so any choice of windows can be averaged, and takes resampled, without measuring again. Arrays are
[B, n, J, D]: windows, frames, joints, dimensions. `trust` [B, n, J] weights the truth; where it is 0, what is there
does not matter, and may be NaN. A NaN elsewhere is a fault of the filler and comes out as NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

STILL = 0.15
"""Torso lengths per second (about 8 cm/s) below which a foot stands."""


class Sums(NamedTuple):
    """A metric of some windows.

    Attributes
    ----------
    total, weight : float64 [B]
    """

    total: NDArray[np.float64]
    weight: NDArray[np.float64]

    def at(self, windows: NDArray[Any]) -> Sums:
        """Of some of the windows."""
        return Sums(self.total[windows], self.weight[windows])

    @property
    def mean(self) -> float:
        """Over all windows; NaN where nothing has weight."""
        weight = float(self.weight.sum())
        return float(self.total.sum()) / weight if weight > 0 else float("nan")


def mpjpe(filled: Array, truth: Array, trust: Array, torso: Array) -> Sums:
    """Mean per-joint position error: sum(w |x' - x|) / (torso sum(w)), over frames and joints.

    Ionescu et al. 2014 (Human3.6M); in torso lengths instead of millimetres, in the picture, and without any alignment.

    Parameters
    ----------
    filled, truth : float [B, n, J, D]
    trust : float [B, n, J]
    torso : float [B]
        Length of the torso, in the joints' unit.
    """
    error = np.linalg.norm(filled - truth, axis=-1) / torso[:, None, None]
    return _weighted(error, trust)


def l2p(filled: Array, truth: Array, trust: Array, torso: Array, deviation: Array) -> Sums:
    """Distance of normalised poses: the mean over frames of |(p' - p) / deviation|, p all coordinates of a frame.

    Harvey et al. 2020 (Robust Motion In-betweening), who normalise positions by mean and deviation of the training
    data; the mean cancels out. Ours are in torso lengths before that. It grows with the number of coordinates: 66 for
    their 22 joints in space, 34 for our 17. Where some joints are not trusted, the sum is scaled to all.

    Parameters
    ----------
    filled, truth : float [B, n, J, D]
    trust : float [B, n, J]
    torso : float [B]
    deviation : float [J, D]
        In torso lengths.
    """
    error = (filled - truth) / (torso[:, None, None, None] * deviation)
    squares = _weighted((error**2).sum(axis=-1), trust, axis=2)
    known = squares.weight > 0
    distance = np.sqrt(truth.shape[2] * squares.total / np.where(known, squares.weight, 1.0))
    return Sums(distance.sum(axis=1), known.sum(axis=1).astype(np.float64))


def npss(filled: Array, truth: Array, trust: Array) -> Sums:
    """Normalised power spectrum similarity: how alike the rhythms are, whatever the phase; 0 is best.

    Gopalakrishnan et al. 2019 (A Neural Temporal Model for Human Motion Prediction): for each coordinate of
    each window the power |X_f|^2 of the discrete Fourier transform over time, divided by its sum over f; the earth
    mover's distance of truth's and filling's, which is sum_f |C'_f - C_f| of their cumulative sums; and the mean of
    these with the truth's power as weights. (Code that goes round takes the square of the real part for the power, so
    that it depends on the phase; we keep to the paper.) The windows' scale is part of the weights: give joints in
    torso lengths, relative to the hips, since a place in the picture would drown them in the frequency 0.

    Parameters
    ----------
    filled, truth : float [B, n, J, D]
    trust : float [B, n, J]
        A joint that is not trusted in every frame of its window is left out there.
    """
    whole = (trust > 0).all(axis=1)[:, None, :, None]
    powers = [np.abs(np.fft.fft(np.where(whole, motion, 0.0), axis=1)) ** 2 for motion in (filled, truth)]
    totals = [power.sum(axis=1) for power in powers]  # [B, J, D]
    one, other = (
        np.cumsum(power / np.where(total > 0, total, 1.0)[:, None], axis=1)
        for power, total in zip(powers, totals, strict=True)
    )
    distance = np.abs(one - other).sum(axis=1)
    return Sums((distance * totals[1]).sum(axis=(1, 2)), totals[1].sum(axis=(1, 2)))


def seam_jump(filled: Array, before: Array, after: Array, torso: Array) -> Sums:
    """Change of velocity where known frames meet filled ones, in torso lengths per frame^2.

    At the start |(y_0 - x_-1) - (x_-1 - x_-2)|, with y the filled and x the known frames, at the end in the same way
    backwards; the mean over both seams and all joints that are known there. Real motion's is that of the truth.

    Parameters
    ----------
    filled : float [B, n, J, D]
    before, after : float [B, s, J, D]
        Two frames or more on either side.
    torso : float [B]
    """
    straight_on = np.stack([2.0 * before[:, -1] - before[:, -2], 2.0 * after[:, 0] - after[:, 1]], axis=1)
    jump = np.linalg.norm(filled[:, [0, -1]] - straight_on, axis=-1) / torso[:, None, None]
    return _weighted(jump, np.isfinite(straight_on).all(axis=-1).astype(np.float64))


def bone_drift(filled: Array, truth: Array, trust: Array, torso: Array, bones: Sequence[tuple[int, int]]) -> Sums:
    """How much longer or shorter bones are than in the true frame: the mean of ||b'| - |b||, in torso lengths.

    Compared with the same frame, since a bone's length in the picture changes with its direction.

    Parameters
    ----------
    filled, truth : float [B, n, J, D]
    trust : float [B, n, J]
    torso : float [B]
    bones : sequence of (int, int)
        Pairs of joints; each weighs as the less trusted one.
    """
    one, other = (list(side) for side in zip(*bones, strict=True))
    lengths = [np.linalg.norm(motion[:, :, one] - motion[:, :, other], axis=-1) for motion in (filled, truth)]
    return _weighted(
        np.abs(lengths[0] - lengths[1]) / torso[:, None, None], np.minimum(trust[:, :, one], trust[:, :, other])
    )


def foot_slide(filled: Array, truth: Array, trust: Array, torso: Array, fps: Array, feet: Sequence[int]) -> Sums:
    """Speed of feet that stand in truth, in torso lengths per second.

    The mean over all steps between two frames in which the truth moves slower than `STILL`.

    Parameters
    ----------
    filled, truth : float [B, n, J, D]
    trust : float [B, n, J]
    torso, fps : float [B]
    feet : sequence of int
        Ankles and toes.
    """
    rate = (fps / torso)[:, None, None]
    joints = list(feet)
    slide, real = (np.linalg.norm(np.diff(motion[:, :, joints], axis=1), axis=-1) * rate for motion in (filled, truth))
    steps = np.minimum(trust[:, 1:, joints], trust[:, :-1, joints])
    return _weighted(slide, np.where(real < STILL, steps, 0.0))


def _weighted(values: Array, weights: Array, axis: int | tuple[int, ...] = (1, 2)) -> Sums:
    """Sums over all axes but the first ones; values without weight may be NaN."""
    kept = np.where(weights > 0, values, 0.0)
    return Sums(np.asarray((kept * weights).sum(axis=axis)), np.asarray(weights.sum(axis=axis, dtype=np.float64)))
