"""In-betweens without learning: the rivals of the Motion Diffusion Model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..interpolation.interpolator import crossing_weights, smooth_step
from ..pose.skeletons import ROOT, Skeleton
from .gap import InBetweener, Joints, PoseGap, ends, fill_together, side_joints

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Baseline:
    """An in-betweener that is one formula.

    Attributes
    ----------
    name : str
    between : callable
        From gaps of one shape to their joints [B, n, J, D].
    """

    name: str
    between: Callable[[list[PoseGap]], Array]

    def fill(self, gaps: Sequence[PoseGap], seed: int = 0) -> list[Joints]:
        """The joints [n, J, D] in each gap."""
        return fill_together(gaps, self.between)


def baselines(skeleton: Skeleton) -> dict[str, InBetweener]:
    """Those that any gap between poses of a skeleton can be filled with, by name: all but the blend."""
    return {baseline.name: baseline for baseline in (LINEAR, HERMITE, slerp(skeleton))}


def moments(length: int) -> Array:
    """Where the frames [n, 1, 1] of a gap lie between its ends: u = (k + 1) / (n + 1)."""
    return np.asarray((np.arange(length)[:, None, None] + 1.0) / (length + 1.0), np.float64)


def _linear(gaps: list[PoseGap]) -> Array:
    start, end = ends(gaps)
    u = moments(gaps[0].length)
    return np.asarray((1.0 - u) * start[:, None] + u * end[:, None])


def _hermite(gaps: list[PoseGap]) -> Array:
    start, end = ends(gaps)
    out, into = (
        velocity(np.stack(frames))[:, None] * (gaps[0].length + 1.0)
        for frames in ([gap.before for gap in gaps], [gap.after for gap in gaps])
    )
    u = moments(gaps[0].length)
    rising = smooth_step(u)
    places = (1.0 - rising) * start[:, None] + rising * end[:, None]
    curve = places + u * (1.0 - u) * ((1.0 - u) * out - u * into)
    return np.where(np.isnan(curve), _linear(gaps), curve)


def velocity(frames: Joints) -> Array:
    """Slope of the straight line through each joint's known places, by least squares.

    Parameters
    ----------
    frames : float [B, s, J, D]

    Returns
    -------
    float64 [B, J, D]
        Per frame; NaN for a joint that is known in fewer than two frames.
    """
    known = ~np.isnan(frames)
    count = known.sum(axis=1)
    times = np.where(known, np.arange(frames.shape[1], dtype=np.float64)[:, None, None], 0.0)
    times -= known * (times.sum(axis=1) / np.maximum(count, 1))[:, None]
    spread = (times**2).sum(axis=1)
    fit = (times * np.where(known, frames, 0.0)).sum(axis=1)
    return np.where(count > 1, fit / np.where(count > 1, spread, 1.0), np.nan)


def _blend(gaps: list[PoseGap]) -> Array:
    outgoing, incoming = side_joints([gap.outgoing for gap in gaps]), side_joints([gap.incoming for gap in gaps])
    weight = crossing_weights(gaps[0].length)[:, None, None]
    one = np.where(np.isnan(outgoing), incoming, outgoing)
    other = np.where(np.isnan(incoming), outgoing, incoming)
    blend = (1.0 - weight) * one + weight * other
    return np.where(np.isnan(blend), _linear(gaps), blend)


LINEAR = Baseline("linear", _linear)
"""Straight from the last pose before the gap to the first one after it."""

HERMITE = Baseline("hermite", _hermite)
"""Cubic Hermite curves that leave and arrive with the measured velocities; straight where one cannot be measured."""

BLEND = Baseline("blend", _blend)
"""Both real continuations, crossing by `crossing_weights`. Needs both; a joint that one lacks is the other's."""


def slerp(skeleton: Skeleton) -> Baseline:
    """Limbs that turn: along the tree of the skeleton, each bone from its start's direction to its end's.

    The middle of the hips moves straight, directions turn the shorter way at constant speed (Shoemake 1985), and
    lengths go straight from the start's to the end's.
    """
    hips = list(skeleton.index("left_hip", "right_hip"))

    def between(gaps: list[PoseGap]) -> Array:
        start, end = (pose[:, None] for pose in ends(gaps))
        u = moments(gaps[0].length)[..., 0]
        root = (1.0 - u) * start[:, :, hips].mean(axis=2) + u * end[:, :, hips].mean(axis=2)
        joints = np.empty((len(gaps), gaps[0].length, *start.shape[2:]))
        for joint in skeleton.order:
            parent = skeleton.parents[joint]
            origins = [pose[:, :, hips].mean(axis=2) if parent == ROOT else pose[:, :, parent] for pose in (start, end)]
            bone = turned(start[:, :, joint] - origins[0], end[:, :, joint] - origins[1], u)
            joints[:, :, joint] = (root if parent == ROOT else joints[:, :, parent]) + bone
        return np.where(np.isnan(joints), _linear(gaps), joints)  # where a bone's parent is not known

    return Baseline("slerp", between)


def turned(start: Array, end: Array, u: Array) -> Array:
    """Vectors on the way from `start` to `end`: direction and length each at constant speed.

    Parameters
    ----------
    start, end : float [..., D]
    u : float [..., 1]
        0 to 1.
    """
    lengths = [np.linalg.norm(vector, axis=-1, keepdims=True) for vector in (start, end)]
    # What has no length has no direction, and takes the other's.
    pointing = np.where(lengths[0] > 1e-9, start, end), np.where(lengths[1] > 1e-9, end, start)
    one, other = (vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9) for vector in pointing)
    cosine = (one * other).sum(axis=-1, keepdims=True)
    aside = other - cosine * one
    sine = np.linalg.norm(aside, axis=-1, keepdims=True)
    # Between opposite directions every way is the shorter one: by way of the axis that lies most across.
    across = np.eye(start.shape[-1])[np.abs(one).argmin(axis=-1)]
    across = across - (across * one).sum(axis=-1, keepdims=True) * one
    aside = np.where(sine > 1e-6, aside, across)
    aside = aside / np.maximum(np.linalg.norm(aside, axis=-1, keepdims=True), 1e-9)
    angle = u * np.arctan2(sine, cosine)
    length = (1.0 - u) * lengths[0] + u * lengths[1]
    return np.asarray(length * (np.cos(angle) * one + np.sin(angle) * aside))
