"""Poses for a transition that a person wants: from a video, or from a file."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..motion.baselines import LINEAR
from ..motion.carry import carry, motion_gap
from ..motion.gap import PoseGap, Side, ends
from ..pose.mapping import convert
from ..pose.skeletons import MEDIAPIPE, MOTION, ROOT, SKELETONS, Skeleton
from ..pose.track import PoseTrack
from .alignment import align
from .guide import Guide, pose_gap
from .interpolator import Gap, Interpolator

SUFFIXES = (".npz", ".json")
"""Of files with poses; all others are videos."""

_VERSION = "1"
"""Changes whenever the same poses lead to other joints."""


@dataclass(frozen=True)
class WantedPoses:
    """Draws the joints of a transition as given poses show them.

    Joints that the given skeleton has not are hung on those that it has: other parts of the body keep the offset from
    their joint that a straight in-between has, and face and fingers follow as they do for other guides.

    Attributes
    ----------
    joints : float32 [T, J, 2]
        Through the gap, in px of its frames; as many as it has, or resampled to that. NaN where there is none.
    confidence : float32 [T, J]
    source : Skeleton
        Of J joints.
    picture : (int, int) or None
        Where they are those of another picture: its width and height. They are then brought to this person's place and
        size; the first and the last are the poses right before and after the gap, and so far as these are others, the
        difference is taken off, from the one's to the other's evenly through the gap.
    skeleton : Skeleton
        Of the gap's joints.
    """

    joints: NDArray[np.float32]
    confidence: NDArray[np.float32]
    source: Skeleton
    picture: tuple[int, int] | None = None
    skeleton: Skeleton = MEDIAPIPE
    wanted = True

    @property
    def version(self) -> str:
        """The hash of what is wanted."""
        digest = hashlib.sha256(self.joints.tobytes() + self.confidence.tobytes())
        digest.update(f"{_VERSION} {self.source.name} {self.picture}".encode())
        return f"wanted-{digest.hexdigest()[:16]}"

    def draw(self, gap: Gap) -> Side:
        """The joints [n, J, 2] in px, and how sure they are; NaN where a joint is known nowhere."""
        poses = pose_gap(gap)
        motion = motion_gap(poses, self.skeleton)
        joints, confidence = self._resampled(gap.length + 2 * (self.picture is not None))
        between, sure = convert(joints, confidence, self.source, MOTION)
        named, named_sure = _by_name(joints, confidence, self.source, self.skeleton)
        if self.picture is not None:
            unit = gap.start.shape[0] / self.picture[1]
            person, person_sure = _around(motion)
            place = align(between * unit, sure, person, person_sure, isotropic=True)
            between, named = (
                _meeting(place.apply(joints * unit), ends).astype(np.float32)
                for joints, ends in ((between, motion), (named, poses))
            )
            named_sure = named_sure[1:-1]
        carried, guessed = carry(poses, self.skeleton, _completed(between, motion))
        known = np.isfinite(named).all(axis=-1)
        return Side(
            np.where(known[..., None], named, carried).astype(np.float32),
            np.where(known, named_sure, guessed).astype(np.float32),
        )

    def _resampled(self, length: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As many poses, evenly in time; a joint that is not known in some frames goes straight through them."""
        times, now = np.arange(len(self.joints)), np.linspace(0, len(self.joints) - 1, length)
        places = np.dstack([self.joints, self.confidence]).astype(np.float64)
        found = np.full((length, *places.shape[1:]), np.nan)
        for joint in range(places.shape[1]):
            known = np.isfinite(places[:, joint]).all(axis=-1)
            if known.any():
                found[:, joint] = np.stack(
                    [np.interp(now, times[known], values) for values in places[known, joint].T], axis=1
                )
        return found[..., :2].astype(np.float32), np.nan_to_num(found[..., 2]).astype(np.float32)


class Posed:
    """An engine with poses that a person wants, in place of its own guide's.

    Parameters
    ----------
    engine : Interpolator
    guide : Guide
    """

    def __init__(self, engine: Interpolator, guide: Guide) -> None:
        self.name = engine.name
        self.version = engine.version
        self.guide = guide
        self.given = engine.given
        self.fill = engine.fill


def check_led(engine: Interpolator) -> None:
    """Make sure that an engine follows poses.

    Raises
    ------
    UserError
        When it does not.
    """
    if engine.guide is None:
        raise UserError(f"The engine {engine.name} follows no poses.", "Choose flow or hminterp.")


def poses_of_track(track: PoseTrack, size: tuple[int, int], first: int, last: int, name: str) -> WantedPoses:
    """What a person does in the frames `first` to `last` (inclusive) of a video of `size`.

    Raises
    ------
    UserError
        When there are no such frames, or nobody in the first or the last of them.
    """
    if not 0 <= first < last < len(track.person):
        raise UserError(
            f"{name} has no frames {first} to {last}.", f"Choose two or more of 0 to {len(track.person) - 1}."
        )
    for frame in (first, last):
        if not track.person[frame]:
            raise UserError(f"Nobody is seen in frame {frame} of {name}.", "Choose frames that show one person.")
    span = slice(first, last + 1)
    return WantedPoses(track.image[span], track.confidence[span], SKELETONS[track.skeleton], size)


def poses_of_file(file: Path) -> WantedPoses:
    """Poses in px of the gap's frames, taken as they are.

    Either an ``.npz`` as `pose.drawing.save_skeleton` writes it (`joints`, `bones`, and `confidence` if not all are
    sure), or JSON with `skeleton` (a name), `joints` [T][J][x, y] (null where there is none) and, likewise,
    `confidence` [T][J].

    Raises
    ------
    UserError
        When it is neither, or of a skeleton that nobody knows.
    """
    remedy = "Write it as docs/design/contracts.md tells."
    try:
        joints, confidence, skeleton = _npz(file) if file.suffix.lower() == ".npz" else _json(file)
    except FileNotFoundError as error:
        raise UserError(f"There is no file {file}.", "Check the name and the folder.") from error
    except (OSError, ValueError, KeyError, TypeError, StopIteration, zipfile.BadZipFile) as error:
        raise UserError(f"{file.name} holds no poses of a known skeleton ({error}).", remedy) from error
    expected = (len(joints), len(skeleton.joints))
    if len(joints) < 1 or joints.shape != (*expected, 2) or confidence.shape != expected:
        raise UserError(f"{file.name} holds no poses of {expected[1]} joints ({skeleton.name}).", remedy)
    known = np.isfinite(joints).all(axis=-1)
    return WantedPoses(joints, np.where(known, np.clip(confidence, 0.0, 1.0), 0.0).astype(np.float32), skeleton)


def _npz(file: Path) -> tuple[NDArray[np.float32], NDArray[np.float32], Skeleton]:
    with np.load(file, allow_pickle=False) as data:
        joints = np.asarray(data["joints"], np.float32)
        confidence = np.asarray(data["confidence"] if "confidence" in data else np.ones(joints.shape[:2]), np.float32)
        bones = [(int(a), int(b)) for a, b in data["bones"]]
    alike = (one for one in SKELETONS.values() if list(one.bones) == bones and joints.shape[1] == len(one.joints))
    return joints, confidence, next(alike)


def _json(file: Path) -> tuple[NDArray[np.float32], NDArray[np.float32], Skeleton]:
    data: dict[str, Any] = json.loads(file.read_text("utf-8"))
    nowhere = [None, None]
    joints = np.array([[place or nowhere for place in pose] for pose in data["joints"]], np.float32)
    confidence = np.array(data.get("confidence", np.ones(joints.shape[:2])), np.float32)
    return joints, confidence, SKELETONS[data["skeleton"]]


def _by_name(
    joints: NDArray[np.float32], confidence: NDArray[np.float32], source: Skeleton, target: Skeleton
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The joints of the target that the source has, too."""
    here = {name: number for number, name in enumerate(source.joints)}
    pairs = [(number, here[name]) for number, name in enumerate(target.joints) if name in here]
    ours, theirs = (list(numbers) for numbers in zip(*pairs, strict=True)) if pairs else ([], [])
    found = np.full((len(joints), len(target.joints), 2), np.nan, np.float32)
    sure = np.zeros(found.shape[:2], np.float32)
    found[:, ours], sure[:, ours] = joints[:, theirs], confidence[:, theirs]
    return found, sure


def _around(motion: PoseGap) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """All that is known of the person around the gap: poses [S, J, 2] and their confidence."""
    sides = [Side(motion.before, motion.confidence_before), Side(motion.after, motion.confidence_after)]
    sides += [side for side in (motion.outgoing, motion.incoming) if side]
    return np.concatenate([side.joints for side in sides]), np.concatenate([side.confidence for side in sides])


def _meeting(joints: NDArray[np.float64], gap: PoseGap) -> NDArray[np.float64]:
    """Joints [n, J, 2] that leave from the pose before the gap and arrive at that after it.

    Of n + 2 poses, the first and the last stand for those two.
    """
    start, end = (pose[0] for pose in ends([gap]))
    first, last = start - joints[0], end - joints[-1]
    first, last = np.where(np.isnan(first), last, first), np.where(np.isnan(last), first, last)
    u = (np.arange(len(joints)) / (len(joints) - 1))[1:-1, None, None]
    return np.asarray(joints[1:-1] + np.nan_to_num((1.0 - u) * first + u * last), np.float64)


def _completed(between: NDArray[np.float32], motion: PoseGap) -> NDArray[np.float32]:
    """The joints [n, 17, 2] of `MOTION` with those that are missing hung on the joint that they hang on."""
    straight = LINEAR.fill([motion])[0]
    whole = between.copy()
    for joint in MOTION.order:
        parent = MOTION.parents[joint]
        held = straight[:, joint] if parent == ROOT else whole[:, parent] + straight[:, joint] - straight[:, parent]
        whole[:, joint] = np.where(np.isnan(whole[:, joint]), held, whole[:, joint])
    return whole
