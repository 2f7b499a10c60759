"""Skeletons for those who draw them without knowing any: Blender's side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..files import writing
from ..protocol import SKELETON_FILE
from .skeletons import Skeleton


def sides(skeleton: Skeleton) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The joints of the person's left, and of the right."""
    paired = [joint for joint, other in enumerate(skeleton.mirror) if other != joint]
    left, right = (tuple(joint for joint in paired if skeleton.joints[joint][0].lower() == side) for side in "lr")
    return left, right


def save_skeleton(
    folder: Path, joints: NDArray[np.float32], confidence: NDArray[np.float32], skeleton: Skeleton
) -> None:
    """Write the joints that a transition's frames were guided by beside these, with all that drawing them takes.

    Parameters
    ----------
    folder : Path
        Of the frames.
    joints : float32 [n, J, 2]
        Of each frame, px of the frame, x right, y down. NaN where there is none.
    confidence : float32 [n, J]
        0 (not seen) to 1.
    skeleton : Skeleton
        Of J joints.
    """
    left, right = sides(skeleton)
    with writing(folder / SKELETON_FILE) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            joints=joints.astype(np.float32),
            confidence=confidence.astype(np.float32),
            bones=np.array(skeleton.bones, np.int32).reshape(-1, 2),
            left=np.array(left, np.int32),
            right=np.array(right, np.int32),
        )
