"""What a pose estimator makes of joints: noise, doubt, and joints that it does not find.

Measured with mediapipe's track of the sample film (672 frames, smoothed as every track is) against the exact joints of
its ground truth, in torso lengths, for one coordinate:

- Faster than a second: 0.006 standard deviation for head, shoulders, hips, knees, ankles and toes, 0.023 for elbows and
  wrists. Neighbouring frames are alike (correlation 0.77, 0.3 and -0.1 at one, two and three frames).
- With confidence: elbows and wrists 0.020 above 0.99, 0.025 at 0.97, 0.031 at 0.88, 0.068 at 0.65.
- Slower than that: 0.01 (elbows 0.05, wrists 0.025), about constant offsets of 0.02 to 0.06, which say how the
  estimator places its joints. They are left out: an in-between must meet its neighbours where the estimator sees them.

Confidence in real footage (dance_routine, dance_room): 40 % above 0.99, 60 % above 0.95, 70 % above 0.9, 80 % above
0.8, 94 % above 0.5; that is doubt (1 - confidence) spread evenly in the logarithm.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..pose.skeletons import MOTION

NOISE = 0.006
"""Standard deviation of one coordinate, torso lengths."""
ARM_NOISE = 0.022
"""The same for elbows, wrists and hands."""
UNSURE = 7.0
"""How many times that at confidence 0; linear in between."""
QUALITY = (0.05, 3.0)
"""Times that in one window and the next: the sample is a clean picture."""
SMOOTHED = (1, 2, 2, 1)
"""Frames over which noise is alike."""
DOUBT = (1e-3, (0.03, 0.9))
"""Least doubt, and the range of a window's largest."""
WAVERING = 0.4
"""How much doubt changes from frame to frame (standard deviation of its logarithm)."""
LOST_SIDE, LOST_FRAME = 0.02, 0.005
"""Share of joints that are not found on one side of a gap, or in one frame."""

_ARMS = [any(name in joint for name in ("elbow", "wrist", "hand")) for joint in MOTION.joints]
_NOISE = np.where(_ARMS, ARM_NOISE, NOISE)


def corrupt(
    joints: NDArray[np.float32], torso: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """See joints as an estimator would.

    Parameters
    ----------
    joints : float32 [B, T, 17, 2]
        px; frames in the order of time.
    torso : float32 [B]
        Torso length, px.

    Returns
    -------
    joints : float32 [B, T, 17, 2]
        NaN where lost.
    confidence : float32 [B, T, 17]
        0 where lost.
    """
    count, frames, number, _ = joints.shape
    least, most = DOUBT
    top = rng.uniform(np.log(most[0]), np.log(most[1]), (count, 1, 1))
    doubt = np.log(least) + (top - np.log(least)) * rng.random((count, 1, number))
    doubt = np.minimum(np.exp(doubt + rng.normal(0, WAVERING, (count, frames, number))), 0.99)
    quality = np.exp(rng.uniform(np.log(QUALITY[0]), np.log(QUALITY[1]), (count, 1, 1)))
    size = _NOISE * (1 + (UNSURE - 1) * doubt) * quality * torso[:, None, None]
    white = rng.standard_normal((count, frames + len(SMOOTHED) - 1, number, 2), np.float32)
    noise = sum(weight * white[:, k : k + frames] for k, weight in enumerate(SMOOTHED)) / np.linalg.norm(SMOOTHED)
    lost = (rng.random((count, 1, number)) < LOST_SIDE) | (rng.random((count, frames, number)) < LOST_FRAME)
    noisy = np.where(lost[..., None], np.nan, joints + size[..., None] * noise)
    return noisy.astype(np.float32), np.where(lost, 0, 1 - doubt).astype(np.float32)
