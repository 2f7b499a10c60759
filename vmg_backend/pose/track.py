"""A person's joints in every frame of a footage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..files import writing
from ..footage import Footage
from ..progress import SILENT, Progress


@dataclass(frozen=True)
class PoseTrack:
    """One person's poses through a footage.

    Attributes
    ----------
    image : float32 [T, J, 2]
        Joints in pixels of the footage as shown (x right, y down). NaN without a person.
    world : float32 [T, J, 3]
        Joints in metres about the middle of the hips, camera axes (x right, y down, z away). NaN without a person.
    confidence : float32 [T, J]
        0 (not seen) to 1; 0 without a person.
    person : bool [T]
        Whether a person was found in the frame.
    skeleton : str
        Name of the skeleton in `vmg_backend.pose.skeletons`.
    """

    image: NDArray[np.float32]
    world: NDArray[np.float32]
    confidence: NDArray[np.float32]
    person: NDArray[np.bool_]
    skeleton: str

    def save(self, path: Path) -> None:
        """Write the track as ``.npz``, whole or not at all."""
        with writing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                image=self.image,
                world=self.world,
                confidence=self.confidence,
                person=self.person,
                skeleton=np.array(self.skeleton),
            )

    @classmethod
    def load(cls, path: Path) -> PoseTrack:
        """Read a track that `save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            return cls(data["image"], data["world"], data["confidence"], data["person"], str(data["skeleton"]))


class PoseEstimator(Protocol):
    """Finds a person's joints in footage.

    Attributes
    ----------
    name, version : str
        Part of the key under which a library keeps the track.
    """

    name: str
    version: str

    def track(self, footage: Footage, *, workers: int = 1, progress: Progress = SILENT) -> PoseTrack:
        """Find the poses in every frame of `footage`; equal for any number of workers."""
        ...
