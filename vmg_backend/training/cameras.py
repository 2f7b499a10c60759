"""Pinhole cameras around a person."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ELEVATION = (-10.0, 2.0, 40.0)
"""Degrees above the person's middle: lowest, likeliest, highest."""
DISTANCE = (2.0, 8.0)
"""Metres from the person's middle; evenly in the logarithm."""
NEAREST = 0.7
"""Metres that the camera stays away from where any joint comes."""
FIELD_OF_VIEW = (30.0, 75.0)
"""Degrees along the picture's longer side: a long lens to a phone's."""
ROLL = 8.0
"""Degrees, at most."""
AIM = 0.25
"""Metres by which the camera misses the person's middle (standard deviation)."""
PICTURE = (1280, 720)
"""px; half the pictures stand upright."""


@dataclass(frozen=True)
class Cameras:
    """B cameras, one for each window.

    Attributes
    ----------
    rotation : float32 [B, 3, 3]
        Rows are the camera's right, down and forward in the room (y up).
    position : float32 [B, 3]
        Metres.
    focal : float32 [B]
        px.
    centre : float32 [B, 2]
        The picture's middle, px.
    """

    rotation: NDArray[np.float32]
    position: NDArray[np.float32]
    focal: NDArray[np.float32]
    centre: NDArray[np.float32]

    def project(self, joints: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See points [B, ..., 3] of the room: their places in the picture [B, ..., 2] and px for a metre [B, ...]."""
        count = len(joints)
        seen = (joints.reshape(count, -1, 3) - self.position[:, None]) @ self.rotation.transpose(0, 2, 1)
        scale = self.focal[:, None] / seen[..., 2]
        picture = seen[..., :2] * scale[..., None] + self.centre[:, None]
        return picture.reshape(*joints.shape[:-1], 2), scale.reshape(joints.shape[:-1])


def random_cameras(joints: NDArray[np.float32], rng: np.random.Generator) -> Cameras:
    """Place a camera for each window of joints [B, T, J, 3] in metres, y up: anywhere around, the person in sight."""
    count = len(joints)
    middle = (joints.min((1, 2)) + joints.max((1, 2))) / 2
    reach = np.linalg.norm(joints - middle[:, None, None], axis=-1).max((1, 2))
    distance = np.maximum(np.exp(rng.uniform(np.log(DISTANCE[0]), np.log(DISTANCE[1]), count)), reach + NEAREST)
    azimuth = rng.uniform(0, 2 * np.pi, count)
    elevation = np.radians(rng.triangular(*ELEVATION, count))
    outward = np.stack(
        [np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth)], axis=1
    )
    position = middle + distance[:, None] * outward
    # The aim moves across the line of sight only as far as leaves every joint in front of the camera.
    forward = _unit(middle + rng.normal(0, AIM, (count, 3)) - position)
    level = _unit(np.cross(forward, [0.0, 1.0, 0.0]))
    below = np.cross(forward, level)
    roll = np.radians(rng.uniform(-ROLL, ROLL, count))[:, None]
    right, down = np.cos(roll) * level + np.sin(roll) * below, np.cos(roll) * below - np.sin(roll) * level
    field = np.radians(rng.uniform(*FIELD_OF_VIEW, count))
    upright = rng.random(count) < 0.5
    centre = np.where(upright[:, None], PICTURE[::-1], PICTURE) / 2
    return Cameras(
        rotation=np.stack([right, down, forward], axis=1).astype(np.float32),
        position=position.astype(np.float32),
        focal=(max(PICTURE) / 2 / np.tan(field / 2)).astype(np.float32),
        centre=centre.astype(np.float32),
    )


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit
