"""What the network is told about gaps: place and size taken out, one row for each frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .gap import CONTEXT, PoseGap, ends
from .regression import Prior, features, measures, straight

LONGEST = 64
"""Frames of the longest gap."""
_FLAGS = 6
_DYNAMICS = 4
"""Velocity and acceleration on both sides, as `regression.features` has them."""

Floats = NDArray[np.float32]


def widths(joints: int) -> tuple[int, int]:
    """Length of a frame's row without the noisy offset, and of the row of both ends."""
    return joints * 9 + _FLAGS, joints * (2 * CONTEXT * 3 + 2 + 2 * _DYNAMICS)


@dataclass(frozen=True)
class Told:
    """What is known about B gaps of one shape.

    Attributes
    ----------
    frames : float32 [B, s + n + s, F]
        A row for each frame before, in and after the gap: place (in the gap the base's), confidence, both
        continuations less the base (in units of `scale`), flags.
    ends : float32 [B, E]
        The poses on both sides; the way from one to the other and how they move, in units of `scale`.
    base : float32 [B, n, J, 2]
        Normalised; to this the predicted offset is added.
    centre : float64 [B, 1, 1, 2]
        px.
    size : float64 [B, 1, 1, 1]
        px for one normalised unit.
    scale : float32 [B, 1, 1, 1]
        How far truth is likely to be off the base, normalised: a slow motion's offset is to be seen as well as a fast
        one's.
    """

    frames: Floats
    ends: Floats
    base: Floats
    centre: NDArray[np.float64]
    size: NDArray[np.float64]
    scale: Floats

    def normalized(self, joints: NDArray[np.floating]) -> Floats:  # type: ignore[type-arg]
        """Joints [B, n, J, 2] in px without place and size; unknown ones in the middle."""
        return _normalized(joints, self.centre, self.size)

    def in_pixels(self, joints: Floats) -> Floats:
        """The inverse of `normalized`."""
        return (joints * self.size + self.centre).astype(np.float32)


def tell(gaps: Sequence[PoseGap], prior: Prior) -> Told:
    """Bring gaps of one shape and kind into the form that the network reads."""
    context, length, joints, _ = gaps[0].shape
    start, end = ends(gaps)
    centre, size = place_and_size(start, end)
    line = straight(gaps)
    known = features(gaps, line)
    base = prior.predict(line, known)
    scale = prior.scale(measures(gaps, known, size))
    before = _normalized(np.stack([gap.before for gap in gaps]), centre, size)
    after = _normalized(np.stack([gap.after for gap in gaps]), centre, size)
    sure_before = _sureness(np.stack([gap.confidence_before for gap in gaps]))
    sure_after = _sureness(np.stack([gap.confidence_after for gap in gaps]))
    between = _normalized(base, centre, size)
    sure_between = np.repeat(np.minimum(sure_before[:, -1:], sure_after[:, :1]), length, axis=1)

    rows = np.arange(-context, length + context)
    inside = slice(context, context + length)
    frames = np.zeros((len(gaps), len(rows), widths(joints)[0]), np.float32)
    parts = np.split(frames, np.cumsum([2, 1, 2, 1, 2, 1]) * joints, axis=2)  # views
    parts[0][:] = np.concatenate([before, between, after], axis=1).reshape(len(gaps), len(rows), -1)
    parts[1][:] = np.concatenate([sure_before, sure_between, sure_after], axis=1)
    for number, sides in ((2, [gap.outgoing for gap in gaps]), (4, [gap.incoming for gap in gaps])):
        for index, side in enumerate(sides):
            if side is not None:
                sure = np.where(np.isnan(side.joints[..., 0]), 0.0, side.confidence)
                place = ((side.joints - centre[index]) / size[index] - between[index]) / scale[index]
                parts[number][index, inside] = np.where(sure[..., None] > 0.0, place, 0.0).reshape(length, -1)
                parts[number + 1][index, inside] = _sureness(sure)
    flags = parts[6]
    flags[:, :, 0] = (rows < 0) | (rows >= length)
    flags[:, :, 1] = np.clip((rows + 1.0) / (length + 1.0), 0.0, 1.0)
    flags[:, :, 2] = length / LONGEST
    flags[:, :, 3] = context / CONTEXT
    flags[:, :, 4] = np.array([gap.continued for gap in gaps])[:, None]
    flags[:, :, 5] = np.log10(scale[:, 0, 0])
    unit = (size * scale)[:, 0]
    motion = np.concatenate([np.nan_to_num(end - start)[..., None], known[:, 0, ..., :_DYNAMICS]], axis=-1)
    motion = motion / unit[..., None]
    motion = np.sign(motion) * np.log1p(np.abs(motion))  # noise may make accelerations huge in long gaps
    both = np.concatenate(
        [_slotted(before, sure_before, -1), _slotted(after, sure_after, 0), motion.reshape(len(gaps), -1)], axis=1
    ).astype(np.float32)
    return Told(frames, both, between, centre, size, scale.astype(np.float32))


def _normalized(
    joints: NDArray[np.floating],  # type: ignore[type-arg]
    centre: NDArray[np.float64],
    size: NDArray[np.float64],
) -> Floats:
    return np.nan_to_num((joints - centre) / size).astype(np.float32)


def place_and_size(
    start: NDArray[np.float64], end: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Middle of both poses [B, 1, 1, 2], and the root mean square distance of joints from the middle of their pose."""
    poses = np.stack([start, end], axis=1)
    count = np.maximum((~np.isnan(poses[..., :1])).sum(axis=2, keepdims=True), 1)
    middle = np.nansum(poses, axis=2, keepdims=True) / count
    spread = np.nansum((poses - middle) ** 2, axis=(2, 3), keepdims=True) / count
    size = np.sqrt(spread.mean(axis=1, keepdims=True))
    return middle.mean(axis=1, keepdims=True), np.maximum(size, 1.0)


def _sureness(confidence: Floats) -> Floats:
    """Confidence by the logarithm of what it lacks: 0 where nothing is known, 1 where it is known exactly."""
    return np.asarray(-np.log10(1.0 - np.clip(confidence, 0.0, 1.0) + 1e-4) / 4.0, np.float32)


def _slotted(poses: Floats, sure: Floats, nearest: int) -> Floats:
    """Poses [B, s, J, 2] and confidences in one row [B, E / 2]; the one `nearest` the gap always in the same place."""
    count, context = poses.shape[:2]
    row = np.zeros((count, CONTEXT, poses.shape[2], 3), np.float32)
    held = slice(CONTEXT - context, CONTEXT) if nearest else slice(0, context)
    row[:, held, :, :2] = poses
    row[:, held, :, 2] = sure
    return row.reshape(count, -1)
