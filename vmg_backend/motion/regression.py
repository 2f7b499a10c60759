"""The best linear in-between: what the network's offset is added to.

Every joint of every frame is a weighted sum of what is known about that joint: both ends, velocities and accelerations
there, and both real continuations where they are there. The weights, alike for all joints, are found by least squares
on training motion (the best linear unbiased prediction of geostatistics and of Wiener filters). A cubic Hermite curve
is one choice of such weights; the fitted ones know how fast velocities are forgotten, and how noisy estimates are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from .baselines import LINEAR
from .gap import Joints, PoseGap, ends, side_joints

KINDS = ("exact", "estimated", "continued")
"""What tells gaps apart beside their length and context: whether all that is known is known exactly (confidence 1, as
in motion capture), and whether both real continuations are there."""
FEATURES = 6
"""Velocity and acceleration on both sides, both continuations."""
MEASURES = 2 + FEATURES
LEAST = 1e-3
"""Least normalised deviation: nothing is nearer than that."""
TURNS = 4
"""In which weights that depend on each other are found."""
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


@dataclass(frozen=True)
class Prior:
    """What is expected of gaps of one shape and kind before the network is asked.

    Attributes
    ----------
    base : float32 [n, 6]
        Weights of `features`.
    spread : float32 [8]
        Weights of `measures`: together the mean square by which truth is off the base.
    sigma : float32 [n]
        The share of that in each frame (a root mean square).
    """

    base: NDArray[np.float32]
    spread: NDArray[np.float32]
    sigma: NDArray[np.float32]

    def predict(self, line: Array, known: Array) -> Array:
        """The best linear in-between [B, n, J, 2], from `straight` and `features`."""
        return np.asarray(line + np.einsum("bkjdf,kf->bkjd", known, self.base.astype(np.float64)))

    def scale(self, measured: Array) -> Array:
        """How far from that truth is likely to be [B, 1, 1, 1], in the unit of the `measures` [B, 8]."""
        square = np.maximum(measured @ self.spread.astype(np.float64), LEAST**2)
        return np.asarray(np.sqrt(square)[:, None, None, None])


@dataclass(frozen=True)
class Tables:
    """The priors of all contexts (1 or 3 frames), kinds and lengths, in this order.

    Attributes
    ----------
    base : float32 [2, 3, 65, 64, 6]
    spread : float32 [2, 3, 65, 8]
    sigma : float32 [2, 3, 65, 64]
    """

    base: NDArray[np.float32]
    spread: NDArray[np.float32]
    sigma: NDArray[np.float32]

    def __getitem__(self, at: tuple[int, int, int]) -> Prior:
        length = at[-1]
        return Prior(self.base[at][:length], self.spread[at], self.sigma[at][:length])


def measures(gaps: Sequence[PoseGap], known: Array, size: Array) -> Array:
    """How much moves around gaps of one shape: mean squares over joints [B, 8].

    1, the distance between both ends, and each of the `features` [B, n, J, 2, 6]; in units of `size` [B, 1, 1, 1].
    """
    start, end = ends(gaps)
    distance = np.nan_to_num((end - start) / size[:, 0])
    squares = np.mean((known / size[..., None]) ** 2, axis=(1, 2, 3))
    return np.column_stack([np.ones(len(gaps)), np.mean(distance**2, axis=(1, 2)), squares])


class Fit:
    """Finds the prior for gaps of one shape and kind, from all that are added.

    Base and spread in turns: each gap counts for the base by how near to it truth is likely to be, so that slow gaps
    are met as closely for their size as fast ones.
    """

    def __init__(self) -> None:
        self._known: list[Array] = []
        self._missing: list[Array] = []
        self._sure: list[Array] = []
        self._measured: list[Array] = []

    def add(self, gaps: Sequence[PoseGap], truth: Joints, confidence: NDArray[np.float32], size: Array) -> None:
        """Learn from gaps with their truth [B, n, J, 2] and its confidence [B, n, J]; `size` [B, 1, 1, 1] in px."""
        line = straight(gaps)
        known = features(gaps, line)
        self._measured.append(measures(gaps, known, size))
        self._known.append(known / size[..., None])
        self._missing.append(np.nan_to_num((truth - line) / size))
        self._sure.append(np.where(np.isnan(line[..., 0]), 0.0, confidence))

    def prior(self) -> Prior:
        """Base and spread with the least squared error, relative to the spread."""
        known, missing, sure, measured = (
            np.concatenate(parts) for parts in (self._known, self._missing, self._sure, self._measured)
        )
        scale = np.ones(len(measured))
        for _ in range(TURNS):
            base = _least_squares(known, missing, sure / scale[:, None, None] ** 2)
            rest = (missing - np.einsum("bkjdf,kf->bkjd", known, base)) ** 2
            square = (sure[..., None] * rest).sum(axis=(1, 2, 3)) / np.maximum(2.0 * sure.sum(axis=(1, 2)), 1e-9)
            spread = _spread(measured, square)
            scale = np.sqrt(np.maximum(measured @ spread, LEAST**2))
        relative = sure[..., None] * rest / scale[:, None, None, None] ** 2
        sigma = np.sqrt(relative.sum(axis=(0, 2, 3)) / np.maximum(2.0 * sure.sum(axis=(0, 2)), 1e-9))
        return Prior(base.astype(np.float32), spread.astype(np.float32), np.maximum(sigma, LEAST).astype(np.float32))


def _least_squares(known: Array, missing: Array, weight: Array) -> Array:
    squares = np.einsum("bkjdf,bkjdg,bkj->kfg", known, known, weight, optimize=True)
    products = np.einsum("bkjdf,bkjd,bkj->kf", known, missing, weight, optimize=True)
    ridge = RIDGE * np.einsum("kff->kf", squares)[..., None] * np.eye(FEATURES) + 1e-9 * np.eye(FEATURES)
    return np.asarray(np.linalg.solve(squares + ridge, products[..., None])[..., 0])


def _spread(measured: Array, square: Array) -> Array:
    """Weights >= 0 with which the measures [B, 8] expect the mean squares [B]; errors relative to these."""
    expected = np.full(len(square), max(float(square.mean()), LEAST**2))
    for _ in range(TURNS):
        weights = nnls(measured / expected[:, None], square / expected)[0]
        expected = np.maximum(measured @ weights, LEAST**2)
    return np.asarray(weights)
