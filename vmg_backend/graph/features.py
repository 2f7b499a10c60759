"""What the motion graph compares: where each joint is, and how it moves."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from ..footage import Footage
from ..pose.normalize import normalize_bones, root_translation
from ..pose.skeletons import SKELETONS
from ..pose.track import PoseTrack

JOINTS = (
    *("nose", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_index", "right_index", "left_hip", "right_hip", "left_knee", "right_knee"),
    *("left_ankle", "right_ankle", "left_foot_index", "right_foot_index"),
)
"""The joints that are compared: head, limbs and their ends."""

CONFIDENCE_FLOOR = 0.05
"""A joint that the estimator guesses still counts a little, so that a pose with hidden limbs has a place."""

RHYTHM_JOINTS = (
    *("nose", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
)
"""The joints whose motion has beats."""

RHYTHM_SIGMA = 0.05
"""s, how far the joints are smoothed before their motion's beats are sought: as wide as the Beat Alignment Score's
kernel. Estimated again on a finished film, 9 of 10 motion beats are then found within a frame; in the picture, that is:
with the estimator's depth it is 6 of 10."""

_SHOULDERS, _HIPS = (
    [RHYTHM_JOINTS.index(f"{side}_{joint}") for side in ("left", "right")] for joint in ("shoulder", "hip")
)

NOISE, DOUBTFUL = 0.011, 0.05
"""Torso lengths by which a joint of `rhythm` lies elsewhere when the estimator sees the same frame in a finished film:
one that it is sure of, and what doubt adds (times the square root of 1 - confidence). Measured on films of small
footage (320x240), where it is largest."""

DEPTH = 0.5
"""Weight of the depth of joints: estimators measure it several times worse than what lies in the picture's plane."""

ROOT_DEPTH = 0.4
"""Weight of the depth of the person: at 4 m a step towards the camera moves the picture's joints by a quarter of it."""


@dataclass(frozen=True)
class MotionFeatures:
    """Joint positions and velocities of one or more footages, one node for each frame.

    Attributes
    ----------
    local : float64 [N, J, 3]
        Joints relative to the middle of the hips, camera axes, bones of constant length, depth weighted, m. 0 where
        unusable.
    world : float64 [N, J, 3]
        Joints relative to the camera's axis (root translation recovered from the image), m. 0 where unusable.
    velocity : float64 [N, J, 3]
        Central difference of `world`, m/s. 0 where unusable.
    confidence : float64 [N, J]
        Weight of each joint, 0 where unusable.
    rhythm : float64 [N, K, 2]
        `RHYTHM_JOINTS` in the picture, smoothed by `RHYTHM_SIGMA` within each run, px. 0 where unusable.
    blur : float64 [N, K]
        Standard deviation of `rhythm` when the same frames are estimated again on a finished film, px.
    runs : int32 [R, 2]
        First and last node (inclusive) of each stretch that may be shown: one shot, in a usable range, a person in
        every frame.
    offsets : int64 [F + 1]
        First node of each footage, and the number of nodes.
    fps : Fraction
    """

    local: NDArray[np.float64]
    world: NDArray[np.float64]
    velocity: NDArray[np.float64]
    confidence: NDArray[np.float64]
    rhythm: NDArray[np.float64]
    blur: NDArray[np.float64]
    runs: NDArray[np.int32]
    offsets: NDArray[np.int64]
    fps: Fraction

    @property
    def shown(self) -> NDArray[np.bool_]:
        """Which nodes may be shown [N]: those of the runs."""
        return inside(self.runs, self.nodes)

    @property
    def nodes(self) -> int:
        """N, the number of frames of all footages."""
        return len(self.local)


def motion_features(footages: list[Footage], tracks: list[PoseTrack]) -> MotionFeatures:
    """Compute the features of footages that share size and rate (paper, section 3.1).

    Parameters
    ----------
    footages : list of Footage
    tracks : list of PoseTrack
        One for each footage, one pose for each frame.
    """
    parts = [_of_one(footage, track) for footage, track in zip(footages, tracks, strict=True)]
    offsets = np.concatenate([[0], np.cumsum([len(part[0]) for part in parts])])
    runs = [part[6] + offset for part, offset in zip(parts, offsets, strict=False)]
    local, world, velocity, confidence, rhythm, blur = (np.concatenate([part[k] for part in parts]) for k in range(6))
    return MotionFeatures(
        local=local,
        world=world,
        velocity=velocity,
        confidence=confidence,
        rhythm=rhythm,
        blur=blur,
        runs=np.concatenate(runs).astype(np.int32),
        offsets=offsets.astype(np.int64),
        fps=footages[0].fps,
    )


def inside(stretches: NDArray[np.int32], length: int) -> NDArray[np.bool_]:
    """Which of `length` frames lie in one of the stretches [R, 2] of first and last frame (inclusive)."""
    result = np.zeros(length, dtype=bool)
    for first, last in stretches:
        result[first : last + 1] = True
    return result


def usable_runs(person: NDArray[np.bool_], shots: NDArray[np.int32], ranges: NDArray[np.int32]) -> NDArray[np.int32]:
    """First and last frame (inclusive) [R, 2] of each stretch with a person, inside one shot and one range."""
    usable = inside(ranges, len(person)) & person
    starts_new = np.zeros(len(person) + 1, dtype=bool)
    for piece in (shots, ranges):
        starts_new[piece[:, 0]] = True
    before = np.concatenate([[False], usable])[:-1]
    after = np.concatenate([usable, [False]])[1:]
    first = np.flatnonzero(usable & (~before | starts_new[:-1]))
    last = np.flatnonzero(usable & (~after | starts_new[1:]))
    return np.stack([first, last], axis=1).astype(np.int32)


def _of_one(footage: Footage, track: PoseTrack) -> tuple[NDArray[Any], ...]:
    skeleton = SKELETONS[track.skeleton]
    joints = [skeleton.joints.index(name) for name in JOINTS]
    runs = usable_runs(track.person, footage.shots, footage.ranges)
    shown = inside(runs, len(track.person))

    local = normalize_bones(track.world, skeleton).astype(np.float64)[:, joints]
    local[..., 2] *= DEPTH
    root = root_translation(track, footage.size, footage.shots).astype(np.float64)
    root[:, 2] *= ROOT_DEPTH
    world = local + root[:, None]
    velocity = np.zeros_like(world)
    moving = [skeleton.joints.index(name) for name in RHYTHM_JOINTS]
    rhythm = track.image[:, moving].astype(np.float64)
    blur = np.zeros(rhythm.shape[:2])
    for first, last in runs:
        run = slice(first, last + 1)
        rhythm[run] = gaussian_filter1d(rhythm[run], RHYTHM_SIGMA * float(footage.fps), axis=0, mode="nearest")
        torso = np.median(np.linalg.norm(rhythm[run][:, _SHOULDERS].mean(1) - rhythm[run][:, _HIPS].mean(1), axis=1))
        doubt = np.sqrt(1.0 - np.clip(track.confidence[run][:, moving], 0.0, 1.0))
        blur[run] = torso * (NOISE + DOUBTFUL * doubt)
        if last > first:
            velocity[first : last + 1] = np.gradient(world[first : last + 1], float(1 / footage.fps), axis=0)
    confidence = CONFIDENCE_FLOOR + (1.0 - CONFIDENCE_FLOOR) * track.confidence.astype(np.float64)[:, joints]
    for values in (local, world, velocity, confidence, rhythm):
        values[~shown] = 0.0
    return local, world, velocity, confidence, rhythm, blur, runs
