"""Windows of takes in space, and what makes many out of few."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..pose.skeletons import MOTION, ROOT
from .mocap import RATE, Motion

SPEED = (0.6, 1.8)
"""Speeds at which takes are played; evenly in the logarithm."""
NATURAL = (0.85, 1.2)
"""The same where nothing but two poses is known: how fast and which way people move is then all there is to learn."""
FAST = 1.0
"""How much a frame at the mean speed is preferred to one that stands still."""
SHAPE = 0.08
"""Limbs are made longer or shorter by at most this share."""


class Takes:
    """All takes end to end, to draw windows from."""

    def __init__(self, motions: Sequence[Motion]) -> None:
        if not motions:
            raise UserError("There are no takes to draw from.", "Name more motion capture.")
        self.joints = np.concatenate([motion.joints for motion in motions])
        lengths = [len(motion.joints) for motion in motions]
        firsts = np.array([0, *accumulate(lengths[:-1])])
        self.take = np.repeat(np.arange(len(motions), dtype=np.int32), lengths)
        self.first = firsts[self.take]
        self.last = self.first + np.array(lengths)[self.take] - 1
        speed = np.concatenate([_speed(motion.joints) for motion in motions])
        self.weight = 1 + FAST * np.minimum(speed / max(float(speed.mean()), 1e-6), 4)

    def draw(
        self, frames: int, count: int, rng: np.random.Generator, *, natural: bool = False
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Windows [count, frames, 17, 3] at random speeds, and the takes that they are of.

        Half of them are played backwards, but for `natural` ones, which are near their own speed, too.
        """
        chance = np.cumsum(self.weight * (self.last - self.first > frames + 2))
        if chance[-1] == 0:
            raise UserError(f"No take is longer than {frames + 3} frames.", "Name longer takes.")
        # A cubic asks for two frames on either side: windows end that much before their take does.
        starts, speeds, middles = np.empty(0), np.empty(0), np.empty(0, np.int64)
        while len(starts) < count:
            middle = np.searchsorted(chance, rng.random(2 * count) * chance[-1], side="right")
            slowest, fastest = np.log(NATURAL if natural else SPEED)
            speed = np.exp(rng.uniform(slowest, fastest, len(middle)))
            start = middle + rng.random(len(middle)) - 0.5 - (frames - 1) * speed / 2
            end = start + (frames - 1) * speed
            fits = (start >= self.first[middle] + 1) & (end < self.last[middle] - 1)
            starts, speeds = np.append(starts, start[fits]), np.append(speeds, speed[fits])
            middles = np.append(middles, middle[fits])
        starts, speeds, middles = starts[:count], speeds[:count], middles[:count]
        forwards = natural | (rng.random((count, 1)) < 0.5)
        order = np.where(forwards, np.arange(frames), np.arange(frames)[::-1])
        times = starts[:, None] + order * speeds[:, None]
        return self._at(times), self.take[middles]

    def _at(self, times: NDArray[np.float64]) -> NDArray[np.float32]:
        """Joints at times between frames, by the cubic through four (Catmull-Rom)."""
        whole = times.astype(np.int64)
        u = (times - whole)[..., None, None].astype(np.float32)
        a, b, c, d = (self.joints[whole + k] for k in (-1, 0, 1, 2))
        between: NDArray[np.float32] = b + u / 2 * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)))
        return between


def mirror(joints: NDArray[np.float32], which: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Swap left and right in those windows [B, T, 17, 3] that are said [B]."""
    mirrored = joints[:, :, MOTION.mirror] * np.array([-1, 1, 1], np.float32)
    return np.where(which[:, None, None, None], mirrored, joints)


_LEFT_HIP, _RIGHT_HIP = MOTION.index("left_hip", "right_hip")
_LEFT_SHOULDER, _RIGHT_SHOULDER = MOTION.index("left_shoulder", "right_shoulder")
_GROUPS = (
    ("head", "left_shoulder", "right_shoulder"), ("left_elbow", "right_elbow"), ("left_wrist", "right_wrist"),
    ("left_hand", "right_hand"), ("left_hip", "right_hip"), ("left_knee", "right_knee", "left_ankle", "right_ankle"),
    ("left_toe", "right_toe"),
)  # fmt: skip
_LEGS = 5


def reshape(joints: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Give the person in each window [B, T, 17, 3] other proportions: bone by bone along the tree.

    The way of the hips is scaled with the legs: a foot that stood still stands still.
    """
    scales = rng.uniform(1 - SHAPE, 1 + SHAPE, (len(joints), len(_GROUPS))).astype(np.float32)
    root = hips(joints)
    place = [root * scales[:, _LEGS, None, None]] * len(MOTION.joints)
    for joint in MOTION.order:
        parent = MOTION.parents[joint]
        group = next(number for number, names in enumerate(_GROUPS) if MOTION.joints[joint] in names)
        start, scaled = (root, place[joint]) if parent == ROOT else (joints[:, :, parent], place[parent])
        place[joint] = scaled + (joints[:, :, joint] - start) * scales[:, group, None, None]
    return np.stack(place, axis=2)


def hips(joints: NDArray[np.float32]) -> NDArray[np.float32]:
    """The middle of the hips: joints [..., 17, D] give [..., D]."""
    middle: NDArray[np.float32] = (joints[..., _LEFT_HIP, :] + joints[..., _RIGHT_HIP, :]) / 2
    return middle


def torso_length(joints: NDArray[np.float32]) -> NDArray[np.float32]:
    """From the middle of the shoulders to that of the hips: joints [..., 17, D] give [...]."""
    shoulders = (joints[..., _LEFT_SHOULDER, :] + joints[..., _RIGHT_SHOULDER, :]) / 2
    length: NDArray[np.float32] = np.linalg.norm(shoulders - hips(joints), axis=-1)
    return length


def _speed(joints: NDArray[np.float32]) -> NDArray[np.float64]:
    """Metres in a second [T], on the mean over the joints."""
    speed: NDArray[np.float64] = np.linalg.norm(np.gradient(joints, axis=0), axis=-1).mean(1) * RATE
    return speed
