"""Poses of one skeleton as poses of another."""

import numpy as np
import pytest

from vmg_backend.errors import UserError
from vmg_backend.pose.mapping import convert
from vmg_backend.pose.skeletons import CMU31, CMU38, COCO18, COCO_WHOLEBODY, MEDIAPIPE, MOTION

PAIRS = [
    *((source, MOTION) for source in (MEDIAPIPE, COCO18, COCO_WHOLEBODY, CMU31, CMU38)),
    *((MEDIAPIPE, COCO18), (MEDIAPIPE, COCO_WHOLEBODY), (COCO18, MEDIAPIPE), (COCO_WHOLEBODY, MEDIAPIPE)),
    *((COCO18, COCO_WHOLEBODY), (COCO_WHOLEBODY, COCO18)),
]
HEIGHTS = {
    "head": 1.7, "Head": 1.7, "nose": 1.65, "eye": 1.7, "ear": 1.7, "mouth": 1.6, "face": 1.65, "neck": 1.4,
    "shoulder": 1.4, "Arm": 1.4, "humerus": 1.4, "elbow": 1.1, "ForeArm": 1.1, "radius": 1.1,
    "wrist": 0.9, "Hand": 0.9, "hand": 0.8, "HandIndex1": 0.8, "fingers": 0.8, "pinky": 0.8, "index": 0.8,
    "thumb": 0.8, "hip": 0.95, "UpLeg": 0.95, "femur": 0.95, "knee": 0.5, "Leg": 0.5, "tibia": 0.5, "ankle": 0.1,
    "Foot": 0.1, "foot": 0.1, "heel": 0.02, "toe": 0.0, "foot_index": 0.0, "big_toe": 0.0, "small_toe": 0.0,
    "ToeBase_end": 0.0, "toes_end": 0.0,
}  # fmt: skip
FACE_SIDES = {"face_36": -1, "face_39": -1, "face_48": -1, "face_42": 1, "face_45": 1, "face_54": 1, "face_30": 0}


def upright(skeleton):
    """A person of that skeleton by the joints' names alone: the person's left at x = 1, heights in metres."""
    places = np.full((len(skeleton.joints), 2), np.nan, np.float32)
    for number, joint in enumerate(skeleton.joints):
        side, rest = 0, joint
        for prefix, x in (("left_", 1), ("right_", -1), ("Left", 1), ("Right", -1), ("l_", 1), ("r_", -1)):
            if joint.startswith(prefix):
                side, rest = x, joint.removeprefix(prefix)
        side = FACE_SIDES.get(joint, side)
        height = HEIGHTS.get(rest)
        if height is None:
            height = HEIGHTS.get(rest.removesuffix("_end"), HEIGHTS.get(rest.split("_")[0]))
        if height is not None:
            places[number] = side, height
    return places


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=lambda skeleton: skeleton.name)
def test_sides_and_heights_stay(source, target):
    found, sure = convert(upright(source), np.ones(len(source.joints), np.float32), source, target)
    known = np.isfinite(found[:, 0])
    assert known.sum() >= 15
    assert (sure > 0).tolist() == known.tolist()
    wanted = upright(target)
    assert np.abs(found[known, 0] - wanted[known, 0]).max() == 0
    assert np.abs(found[known, 1] - wanted[known, 1]).max() < 0.11  # a face is not all in one height


@pytest.mark.parametrize("source", [MEDIAPIPE, COCO_WHOLEBODY, CMU31, CMU38], ids=lambda skeleton: skeleton.name)
def test_all_17_joints_are_found(source):
    joints = np.zeros((2, len(source.joints), 3), np.float32)
    found, sure = convert(joints, np.ones((2, len(source.joints)), np.float32), source, MOTION)
    assert found.shape == (2, 17, 3)
    assert np.isfinite(found).all()
    assert (sure == 1).all()


def test_coco18_has_no_toes():
    _, sure = convert(np.zeros((60, 2), np.float32), np.ones(60, np.float32), COCO18, MOTION)
    assert [MOTION.joints[joint] for joint in np.flatnonzero(sure == 0)] == ["left_toe", "right_toe"]


def test_the_middle_of_joints_has_the_lowest_of_their_confidences():
    joints = np.zeros((75, 2), np.float32)
    sure = np.ones(75, np.float32)
    left, right = MEDIAPIPE.index("left_ear", "right_ear")
    joints[left], joints[right], sure[right] = (10, 4), (20, 8), 0.25
    shoulders = MEDIAPIPE.index("left_shoulder", "right_shoulder")
    joints[list(shoulders)] = [(100, 0), (50, 30)]
    motion, motion_sure = convert(joints, sure, MEDIAPIPE, MOTION)
    assert motion[0].tolist() == [15, 6]
    assert motion_sure[0] == 0.25
    coco, _ = convert(joints, sure, MEDIAPIPE, COCO18)
    assert coco[1].tolist() == [75, 15]


def test_a_joint_whose_counterpart_is_unknown_is_unknown():
    joints, sure = np.zeros((75, 2), np.float32), np.ones(75, np.float32)
    joints[MEDIAPIPE.index("left_pinky")[0]] = np.nan
    motion, motion_sure = convert(joints, sure, MEDIAPIPE, MOTION)
    hand = MOTION.index("left_hand")[0]
    assert np.isnan(motion[hand]).all()
    assert motion_sure[hand] == 0
    assert np.isfinite(np.delete(motion, hand, axis=0)).all()


def test_hands_survive_the_way_there_and_back():
    rng = np.random.default_rng(0)
    joints, sure = rng.random((5, 75, 2)).astype(np.float32), rng.random((5, 75)).astype(np.float32)
    for through in (COCO18, COCO_WHOLEBODY):
        back, back_sure = convert(*convert(joints, sure, MEDIAPIPE, through), through, MEDIAPIPE)
        hands = [*MEDIAPIPE.left_hand, *MEDIAPIPE.right_hand, *MEDIAPIPE.core]
        assert np.array_equal(back[:, hands], joints[:, hands])
        assert np.array_equal(back_sure[:, hands], sure[:, hands])


def test_a_skeleton_is_itself_unchanged():
    joints, sure = np.ones((3, 17, 2), np.float32), np.ones((3, 17), np.float32)
    assert convert(joints, sure, MOTION, MOTION)[0] is joints


def test_no_map_is_said_with_what_there_is():
    with pytest.raises(UserError, match="motion cannot be made into coco18") as error:
        convert(np.zeros((17, 2), np.float32), np.ones(17, np.float32), MOTION, COCO18)
    assert "mediapipe" in error.value.remedy
