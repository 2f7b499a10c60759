"""Skeletons: trees, sides, and the orders that others have fixed."""

import numpy as np
import pytest

from vmg_backend.pose.skeletons import CMU31, CMU38, COCO18, COCO_WHOLEBODY, MEDIAPIPE, MOTION, ROOT, SKELETONS

EVERY = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda skeleton: skeleton.name)
SIZES = {"mediapipe": 75, "motion": 17, "coco18": 60, "coco_wholebody": 133, "cmu31": 38, "cmu38": 38}


def test_skeletons_are_found_by_name():
    assert {name: len(skeleton.joints) for name, skeleton in SKELETONS.items()} == SIZES
    assert all(skeleton.name == name for name, skeleton in SKELETONS.items())


@EVERY
def test_the_mirror_swaps_sides_and_keeps_tree_and_bones(skeleton):
    mirror = skeleton.mirror
    assert len(set(skeleton.joints)) == len(skeleton.parents) == len(mirror) == len(skeleton.joints)
    assert [mirror[mirror[joint]] for joint in range(len(mirror))] == list(range(len(mirror)))
    for joint, parent in enumerate(skeleton.parents):
        assert skeleton.parents[mirror[joint]] == (ROOT if parent == ROOT else mirror[parent])
    bones = {frozenset(bone) for bone in skeleton.bones}
    assert len(bones) == len(skeleton.bones)
    assert {frozenset((mirror[a], mirror[b])) for a, b in skeleton.bones} == bones
    for group in (skeleton.torso, skeleton.core):
        assert {mirror[joint] for joint in group} == set(group)
    assert [mirror[joint] for joint in skeleton.left_hand] == list(skeleton.right_hand)


@EVERY
def test_a_joint_with_a_side_in_its_name_has_a_mirror(skeleton):
    for joint, other in enumerate(skeleton.mirror):
        name = skeleton.joints[joint]
        sided = name.startswith(("left_", "right_", "Left", "Right", "l_", "r_", "LHip", "RHip", "LThumb", "RThumb"))
        if not name.startswith("face_"):
            assert (other != joint) == sided, name


@EVERY
def test_every_parent_comes_before_its_children(skeleton):
    assert sorted(skeleton.order) == list(range(len(skeleton.joints)))
    for joint, parent in enumerate(skeleton.parents):
        if parent != ROOT:
            assert skeleton.order.index(parent) < skeleton.order.index(joint)


@EVERY
def test_torso_and_core_are_shoulders_hips_and_limbs(skeleton):
    assert len(skeleton.torso) == 4
    assert len(skeleton.core) == 12
    assert set(skeleton.torso) <= set(skeleton.core)


def test_the_17_joints_are_in_the_order_of_the_contract():
    limbs = ["shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle", "toe"]
    assert MOTION.joints == ("head", *(f"{side}_{limb}" for limb in limbs for side in ("left", "right")))
    assert MOTION.joints[MOTION.parents[MOTION.joints.index("left_toe")]] == "left_ankle"


def test_coco18_has_the_numbers_and_limbs_that_openpose_draws():
    order = "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist right_hip right_knee"
    order += " right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear"
    assert COCO18.joints[:18] == tuple(order.split())
    limbs = [
        *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)),
        *((1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
    ]
    body = {frozenset(bone) for bone in COCO18.bones if max(bone) < 18}
    assert body == {frozenset(limb) for limb in limbs}
    assert COCO18.left_hand == tuple(range(18, 39))
    assert COCO18.right_hand == tuple(range(39, 60))


def test_wholebody_has_its_133_joints_in_order():
    order = "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist"
    order += " right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
    order += " left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel"
    assert COCO_WHOLEBODY.joints[:23] == tuple(order.split())
    assert COCO_WHOLEBODY.joints[23] == "face_0"
    assert COCO_WHOLEBODY.joints[90] == "face_67"
    assert COCO_WHOLEBODY.left_hand == tuple(range(91, 112))
    assert COCO_WHOLEBODY.right_hand == tuple(range(112, 133))
    assert not any(23 <= joint < 91 for bone in COCO_WHOLEBODY.bones for joint in bone)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *((0, 16), (8, 8), (17, 26), (27, 27), (31, 35), (36, 45), (39, 42), (40, 47), (41, 46), (48, 54), (50, 52)),
        *((55, 59), (57, 57), (60, 64), (61, 63), (65, 67), (62, 62)),
    ],
)
def test_the_68_face_joints_mirror_as_in_the_picture_of_them(one, other):
    at = COCO_WHOLEBODY.joints.index("face_0")
    assert COCO_WHOLEBODY.mirror[at + one] == at + other


def test_hands_are_mediapipes_in_every_skeleton_that_has_them():
    for skeleton in (COCO18, COCO_WHOLEBODY):
        for hand in ("left_hand", "right_hand"):
            names = [skeleton.joints[joint] for joint in getattr(skeleton, hand)]
            assert names == [MEDIAPIPE.joints[joint] for joint in getattr(MEDIAPIPE, hand)]


def test_cmu38_is_the_tree_that_the_archive_says(media):
    with np.load(media / "mocap" / "cmu_actions_30fps.npz", allow_pickle=False) as data:
        assert tuple(data["joint_names"]) == CMU38.joints
        assert tuple(data["parents"]) == CMU38.parents


def test_cmu31_is_31_joints_and_7_end_sites():
    assert CMU31.parents.count(ROOT) == 1
    ends = [CMU31.joints[joint] for joint in range(38) if joint not in CMU31.parents]
    assert len(ends) == 7
    assert ends == [joint for joint in CMU31.joints if joint.endswith("_end")]
