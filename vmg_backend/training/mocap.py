"""Motion capture as takes at one rate, of one skeleton, in metres."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from ..errors import UserError
from ..pose.mapping import convert
from ..pose.skeletons import CMU31, CMU38, MOTION, Skeleton
from ..progress import SILENT, Progress
from .bvh import read_bvh

RATE = 30
"""Frames in a second."""

FASTEST = 14.0
"""Metres in a second: no joint of these people is faster (a sprinter's toes reach 11). Where one is, the recording is
broken, and the take is cut in two: CMU's BVH files begin with a frame of another pose, knees turn inside out for some
frames in the dances, and the archive of actions tumbles where a person has turned round."""

MARGIN = 0.1
"""Seconds left out on both sides of a break."""

SHORTEST = 0.6
"""Seconds; shorter takes are left out."""

LEGS = (0.6, 1.05)
"""Metres from hip to ankle, by which a file's unit is found."""

UNITS = (1.0, 0.1, 0.0254 / 0.45, 0.0254, 0.01, 0.001)
"""Metres in a unit: metres, decimetres, CMU's own (inch / 0.45, the scale of its ASF files), inches, centimetres,
millimetres."""

NPZ_BODY = 0.0254 / 0.45 / 0.07
NPZ_PATH = 1000 * 0.0254 / 0.45
"""What the archive of CMU's actions must be multiplied with to be metres. Its bodies are 70 mm and its paths 1 mm to
CMU's unit, and the path's x and z have changed places: 14 of its takes are there as BVH too, which shows it (after this
the path differs by some mm, and the body by the one skeleton that the archive has given to everyone)."""

PARTS = ("training", "validation", "test")


@dataclass(frozen=True)
class Motion:
    """A take of one person.

    Attributes
    ----------
    name : str
    subject : str
        Who moves; no one is in two parts of the split.
    joints : float32 [T, 17, 3]
        The joints of `MOTION` in metres, y up, 30 frames in a second.
    """

    name: str
    subject: str
    joints: NDArray[np.float32]


def read_motions(paths: Iterable[Path], progress: Progress = SILENT) -> list[Motion]:
    """Read BVH files, archives of CMU's actions (``.npz``), and folders of both.

    Raises
    ------
    UserError
        When there is none, or one cannot be read.
    """
    files = [file for path in paths for file in _files(path)]
    motions: list[Motion] = []
    for number, file in enumerate(files):
        progress.update(number / len(files))
        motions += _from_bvh(file) if file.suffix.lower() == ".bvh" else _from_npz(file)
    if not motions:
        raise UserError("There is no motion capture among what was named.", "Name BVH files or folders of them.")
    return motions


def split(motions: Sequence[Motion]) -> dict[str, list[Motion]]:
    """Divide the takes by their subjects into ``training``, ``validation`` and ``test``.

    ``split.json`` lists the subjects of each part; who is not listed is for training.
    """
    table = _table()
    part = {subject: name for name in PARTS for subject in table[name]}
    return {name: [m for m in motions if part.get(m.subject, PARTS[0]) == name] for name in PARTS}


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.suffix.lower() in (".bvh", ".npz"))
    if path.suffix.lower() not in (".bvh", ".npz") or not path.is_file():
        raise UserError(f"{path} is no motion capture.", "Name BVH files, CMU's actions as .npz, or a folder.")
    return [path]


def _from_bvh(path: Path) -> list[Motion]:
    """A take of the CMU database is called SUBJECT_NUMBER.bvh."""
    bvh = read_bvh(path)
    at = {joint.rpartition(":")[2]: number for number, joint in enumerate(bvh.joints)}  # without a name space
    joints = np.full((len(bvh.positions), len(CMU31.joints), 3), np.nan, np.float32)
    for number, joint in enumerate(CMU31.joints):
        if joint in at:
            joints[:, number] = bvh.positions[:, at[joint]]
    joints = _motion_joints(joints, CMU31, path)
    joints *= _unit(joints, path)
    return list(_takes(path.stem, path.stem.partition("_")[0], joints, 1 / bvh.frame_time))


def _from_npz(path: Path) -> list[Motion]:
    table = _table()
    takes: list[Motion] = []
    try:
        with np.load(path, allow_pickle=False) as data:
            if tuple(data["joint_names"]) != CMU38.joints:
                raise UserError(f"{path.name} holds joints of another skeleton.", "Name an archive of CMU's actions.")
            for name in sorted(set(data.files) - {"joint_names", "parents"} - table["copies"].keys()):
                root = data[name][:, :1]
                joints = (data[name] - root) * NPZ_BODY + root[..., ::-1] * NPZ_PATH
                joints = _motion_joints(joints, CMU38, path)
                takes += _takes(name, table["subjects"].get(name, path.stem), joints, RATE)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"{path.name} cannot be read as motion capture.", "Name BVH files.") from error
    return takes


def _motion_joints(joints: NDArray[np.float32], skeleton: Skeleton, path: Path) -> NDArray[np.float32]:
    motion, _ = convert(joints, np.ones(joints.shape[:2], np.float32), skeleton, MOTION)
    if np.isnan(motion).any():
        lacking = [MOTION.joints[joint] for joint in np.flatnonzero(np.isnan(motion).any((0, 2)))]
        raise UserError(
            f"{path.name} lacks joints for {', '.join(lacking)}.", f"Name its joints {', '.join(skeleton.joints)}."
        )
    head, left, right = (motion[:, joint] for joint in MOTION.index("head", "left_hip", "right_hip"))
    trunk = head - (left + right) / 2
    if np.percentile(trunk[:, 1], 95) < np.percentile(np.linalg.norm(trunk, axis=-1), 95) / 2:
        raise UserError(f"The person in {path.name} never stands along y.", "Export the take with y up.")
    return motion


def _unit(joints: NDArray[np.float32], path: Path) -> float:
    hip, knee, ankle = (joints[:, joint] for joint in MOTION.index("left_hip", "left_knee", "left_ankle"))
    leg = float(np.median(np.linalg.norm(hip - knee, axis=-1) + np.linalg.norm(knee - ankle, axis=-1)))
    for unit in UNITS:
        if LEGS[0] <= leg * unit < LEGS[1]:
            return unit
    raise UserError(
        f"The legs in {path.name} are {leg:.3g} long, which is a person's size in no unit.",
        "Scale it to metres.",
    )


def _takes(name: str, subject: str, joints: NDArray[np.float32], rate: float) -> Iterator[Motion]:
    """Cut where the recording is broken, and bring to the rate."""
    margin = round(MARGIN * rate)
    broken = np.flatnonzero(np.linalg.norm(np.diff(joints, axis=0), axis=-1).max(1) * rate > FASTEST)
    starts, ends = [0, *(broken + 1 + margin)], [*(broken + 1 - margin), len(joints)]
    for first, end in zip(starts, ends, strict=True):
        if end - first >= max(SHORTEST * rate, 4):
            times = np.arange(end - first) / rate
            wanted = np.arange(int(times[-1] * RATE + 1e-3) + 1) / RATE
            resampled = CubicSpline(times, joints[first:end], axis=0)(np.minimum(wanted, times[-1]))
            yield Motion(f"{name}:{first}" if first > 1 + margin else name, subject, resampled.astype(np.float32))


def _table() -> dict[str, dict[str, str]]:
    table: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("split.json").read_text(encoding="utf-8"))
    return table
