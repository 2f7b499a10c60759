"""The joints of footages and transitions as they lie in files, ready to be drawn."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..vmg_backend import protocol
from .timeline.sight import FootagePoses, Source

LEFT, RIGHT, MIDDLE = range(3)


@dataclass(frozen=True)
class Track:
    """A person's joints through a footage or a transition.

    Attributes
    ----------
    joints : float32 [T, J, 2]
        px of the picture, x right, y down; NaN where there is no person.
    confidence : float32 [T, J]
        0 (not seen) to 1.
    bones : int [B, 2]
        Pairs of joints.
    sides : int [J]
        LEFT, RIGHT (the person's own) or MIDDLE.
    """

    joints: NDArray[np.float32]
    confidence: NDArray[np.float32]
    bones: NDArray[np.int64]
    sides: NDArray[np.int64]


def read_track(source: Source, library: Path) -> Track | None:
    """The joints of `source`; None where there are none: not analysed, cleared away, made by an engine without poses.

    Parameters
    ----------
    source : FootagePoses or TransitionPoses
    library : Path
        The library's folder.
    """
    try:
        if isinstance(source, FootagePoses):
            poses = _record(source.poses)
            with np.load(library / poses.file, allow_pickle=False) as data:
                return _track(data["image"], data["confidence"], poses.bones, poses.left, poses.right)
        with np.load(Path(source.folder, protocol.SKELETON_FILE), allow_pickle=False) as data:
            return _track(data["joints"], data["confidence"], data["bones"], data["left"], data["right"])
    except (OSError, EOFError, LookupError, TypeError, ValueError, zipfile.BadZipFile, zlib.error):
        return None


def is_there(poses: str, library: Path) -> bool:
    """Whether the file of these poses (the protocol's record, as JSON) is in the library."""
    try:
        return (library / _record(poses).file).is_file()
    except ValueError:  # written by another version
        return False


def _record(poses: str) -> protocol.Poses:
    return protocol.from_json(protocol.Poses, json.loads(poses))


def _track(joints: Any, confidence: Any, bones: Any, left: Any, right: Any) -> Track:  # noqa: ANN401 - array-likes
    frames, count, _ = joints.shape
    pairs = np.asarray(bones, np.int64).reshape(-1, 2)
    if joints.shape != (frames, count, 2) or confidence.shape != (frames, count) or not np.all(pairs < count):
        raise ValueError("joints, confidence and bones do not belong together")
    sides = np.full(count, MIDDLE, np.int64)
    sides[np.asarray(left, np.int64)], sides[np.asarray(right, np.int64)] = LEFT, RIGHT
    return Track(joints, confidence, pairs, sides)
