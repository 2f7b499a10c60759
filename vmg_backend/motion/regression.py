"""The best linear in-between: what the network's offset is added to.

Every joint of every frame is a weighted sum of what is known about that joint: both ends, velocities and accelerations
there, and both real continuations where they are there. The weights, alike for all joints, are found by least squares
on training motion (the best linear unbiased prediction of geostatistics and of Wiener filters). A cubic Hermite curve
is one choice of such weights; the fitted ones know how fast velocities are forgotten, and how noisy estimates are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .baselines import LINEAR
from .gap import Joints, PoseGap, ends, side_joints

KINDS = ("exact", "estimated", "continued")
"""What tells gaps apart beside their length and context: whether all that is known is known exactly (confidence 1, as
in motion capture), and whether both real continuations are there."""
FEATURES = 6
"""Velocity and acceleration on both sides, both continuations."""
RIDGE = 1e-3
"""Of the features' mean square: holds the weights small where features hardly occur."""

Array = NDArray[np.float64]


def kind(gap: PoseGap) -> int:
    """The gap's number in `KINDS`."""
    if gap.continued:
        return 2
    return int(not (np.all(gap.confidence_before == 1.0) and np.all(gap.confidence_after == 1.0)))


def straight(gaps: Sequence[PoseGap]) -> Array:
    """The linear in-between [B, n, J, 2], px."""
    return LINEAR.between(list(gaps))


def features(gaps: Sequence[PoseGap], line: Array) -> Array:
    """What is known of each joint in each frame of gaps of one shape, less what the linear in-between says of it.

    Parameters
    ----------
    gaps : sequence of PoseGap [B]
    line : float [B, n, J, 2]
        `straight` of these gaps.

    Returns
    -------
    float64 [B, n, J, 2, 6]
        px: velocities and accelerations for the time of the whole gap (so that their weights hardly depend on its
        length), and the continuations; 0 for what is not known.
    """
    way = gaps[0].length + 1.0
    before, after = (
        np.stack(poses).astype(np.float64) for poses in zip(*((g.before, g.after) for g in gaps), strict=True)
    )
    known = np.zeros((*line.shape, FEATURES))
    if before.shape[1] >= 3:
        start, end = ends(gaps)
        step = (end - start) / way
        known[..., 0] = ((before[:, -1] - before[:, -2] - step) * way)[:, None]
        known[..., 1] = ((after[:, 1] - after[:, 0] - step) * way)[:, None]
        known[..., 2] = ((before[:, -1] - 2.0 * before[:, -2] + before[:, -3]) * way**2)[:, None]
        known[..., 3] = ((after[:, 2] - 2.0 * after[:, 1] + after[:, 0]) * way**2)[:, None]
    if gaps[0].continued:
        known[..., 4] = side_joints([gap.outgoing for gap in gaps]) - line
        known[..., 5] = side_joints([gap.incoming for gap in gaps]) - line
    return np.nan_to_num(known, copy=False)


def predict(gaps: Sequence[PoseGap], weights: NDArray[np.float32]) -> Array:
    """The in-between [B, n, J, 2] of gaps of one shape and kind, px.

    Parameters
    ----------
    gaps : sequence of PoseGap
    weights : float32 [n, 6]
    """
    line = straight(gaps)
    return np.asarray(line + np.einsum("bkjdf,kf->bkjd", features(gaps, line), weights.astype(np.float64)))


class Fit:
    """Finds the weights for gaps of one shape and kind, from as many batches as there are."""

    def __init__(self, length: int) -> None:
        self._squares = np.zeros((length, FEATURES, FEATURES))
        self._products = np.zeros((length, FEATURES))

    def add(self, gaps: Sequence[PoseGap], truth: Joints, confidence: NDArray[np.float32], size: Array) -> None:
        """Learn from gaps with their truth [B, n, J, 2] and its confidence [B, n, J]; `size` [B, 1, 1, 1] in px."""
        line = straight(gaps)
        known = features(gaps, line) / size[..., None]
        missing = np.nan_to_num((truth - line) / size)
        sure = np.where(np.isnan(line[..., 0]), 0.0, confidence)
        self._squares += np.einsum("bkjdf,bkjdg,bkj->kfg", known, known, sure, optimize=True)
        self._products += np.einsum("bkjdf,bkjd,bkj->kf", known, missing, sure, optimize=True)

    def weights(self) -> NDArray[np.float32]:
        """The weights [n, 6] with the least squared error."""
        ridge = RIDGE * np.einsum("kff->kf", self._squares)[..., None] * np.eye(FEATURES) + 1e-9 * np.eye(FEATURES)
        return np.linalg.solve(self._squares + ridge, self._products[..., None])[..., 0].astype(np.float32)
