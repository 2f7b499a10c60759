"""Poses of one skeleton as poses of another."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .skeletons import CMU31, CMU38, COCO18, COCO_WHOLEBODY, MEDIAPIPE, MOTION, Skeleton


def _same(target: Skeleton, source: Skeleton, others: dict[str, str]) -> dict[str, str]:
    return {joint: joint for joint in target.joints if joint in source.joints} | others


_NECK = {"neck": "left_shoulder right_shoulder"}
_HEAD_AND_HAND = {"head": "left_ear right_ear", "*_hand": "*_hand_index_finger_mcp *_hand_pinky_finger_mcp"}
_KNUCKLES = {
    "*_pinky": "*_hand_pinky_finger_mcp", "*_index": "*_hand_index_finger_mcp", "*_thumb": "*_hand_thumb_ip",
}  # fmt: skip
_FACE = {
    "face_30": "nose", "face_36": "right_eye_outer", "face_39": "right_eye_inner", "face_42": "left_eye_inner",
    "face_45": "left_eye_outer", "face_48": "right_mouth", "face_54": "left_mouth",
}  # fmt: skip

# By target and source: for each joint of the target, the joints of the source that it is the middle of. A star stands
# for left and right, in the words of either skeleton.
_TABLES = {
    (MOTION, MEDIAPIPE): _same(
        MOTION, MEDIAPIPE, {"head": "left_ear right_ear", "*_hand": "*_pinky *_index", "*_toe": "*_foot_index"}
    ),
    (MOTION, COCO18): _same(MOTION, COCO18, _HEAD_AND_HAND),
    (MOTION, COCO_WHOLEBODY): _same(MOTION, COCO_WHOLEBODY, _HEAD_AND_HAND | {"*_toe": "*_big_toe"}),
    (MOTION, CMU31): {
        "head": "Head Head_end", "*_shoulder": "*Arm", "*_elbow": "*ForeArm", "*_wrist": "*Hand",
        "*_hand": "*HandIndex1", "*_hip": "*UpLeg", "*_knee": "*Leg", "*_ankle": "*Foot", "*_toe": "*ToeBase_end",
    },
    (MOTION, CMU38): {
        "head": "head head_end", "*_shoulder": "*_humerus", "*_elbow": "*_radius", "*_wrist": "*_wrist",
        "*_hand": "*_fingers", "*_hip": "*_femur", "*_knee": "*_tibia", "*_ankle": "*_foot", "*_toe": "*_toes_end",
    },
    (COCO18, MEDIAPIPE): _same(COCO18, MEDIAPIPE, _NECK),
    (COCO18, COCO_WHOLEBODY): _same(COCO18, COCO_WHOLEBODY, _NECK),
    (COCO_WHOLEBODY, MEDIAPIPE): _same(COCO_WHOLEBODY, MEDIAPIPE, _FACE | {"*_big_toe": "*_foot_index"}),
    (COCO_WHOLEBODY, COCO18): _same(COCO_WHOLEBODY, COCO18, {}),
    (MEDIAPIPE, COCO18): _same(MEDIAPIPE, COCO18, _KNUCKLES),
    (MEDIAPIPE, COCO_WHOLEBODY): _same(
        MEDIAPIPE,
        COCO_WHOLEBODY,
        _KNUCKLES | {"*_foot_index": "*_big_toe"} | {b: a for a, b in _FACE.items() if b != "nose"},
    ),
}  # fmt: skip
_WORDS = {CMU31: ("Left", "Right"), CMU38: ("l", "r")}
_OUR_WORDS = ("left", "right")


def convert(
    joints: NDArray[np.float32], confidence: NDArray[np.float32], source: Skeleton, target: Skeleton
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Find the target skeleton's joints among those of the source.

    Parameters
    ----------
    joints : float32 [..., J, D]
        Of the source; NaN where unknown.
    confidence : float32 [..., J]
    source, target : Skeleton

    Returns
    -------
    joints : float32 [..., K, D]
        Each the middle of its counterparts; NaN without one.
    confidence : float32 [..., K]
        The lowest of the counterparts'; 0 without one.

    Raises
    ------
    UserError
        When there is no map between the two.
    """
    if source == target:
        return joints, confidence
    found = np.full((*joints.shape[:-2], len(target.joints), joints.shape[-1]), np.nan, np.float32)
    sure = np.zeros(found.shape[:-1], np.float32)
    for joint, counterparts in links(source, target):
        found[..., joint, :] = joints[..., counterparts, :].mean(-2)
        sure[..., joint] = confidence[..., counterparts].min(-1)
    sure[~np.isfinite(found).all(-1)] = 0
    return found, sure


@cache
def links(source: Skeleton, target: Skeleton) -> list[tuple[int, list[int]]]:
    """Each joint of the target that has counterparts in the source, and these.

    Raises
    ------
    UserError
        When there is no map between the two.
    """
    if (target, source) not in _TABLES:
        raise UserError(
            f"Poses of the skeleton {source.name} cannot be made into {target.name}.",
            f"Use poses of {', '.join(a.name for b, a in _TABLES if b == target) or target.name}.",
        )
    pairs = []
    for joint, counterparts in _TABLES[target, source].items():
        sides = zip(_WORDS.get(target, _OUR_WORDS), _WORDS.get(source, _OUR_WORDS), strict=True)
        for ours, theirs in list(sides)[: 2 if "*" in joint else 1]:
            names = counterparts.replace("*", theirs).split()
            pairs.append((target.joints.index(joint.replace("*", ours)), list(source.index(*names))))
    return pairs
