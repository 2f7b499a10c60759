"""Whole skeletons that are hung on the in-betweens of the 17 joints."""

import numpy as np
import pytest

from vmg_backend.motion.carry import carry, motion_gap
from vmg_backend.motion.gap import PoseGap, Side
from vmg_backend.pose.mapping import convert
from vmg_backend.pose.skeletons import COCO18, COCO_WHOLEBODY, MEDIAPIPE, MOTION

LENGTH = 9
SHARE = np.arange(1, LENGTH + 1) / (LENGTH + 1)


def person(skeleton, seed=0):
    """A pose of that skeleton [J, 2] in px: a body of its own, and everything else near what it hangs on."""
    rng = np.random.default_rng(seed)
    tall = {"shoulder": 100, "elbow": 160, "wrist": 210, "hip": 200, "knee": 280, "ankle": 360, "ear": 60, "eye": 58}
    pose = rng.uniform(-3, 3, (len(skeleton.joints), 2))
    for number, name in enumerate(skeleton.joints):
        side, _, rest = name.partition("_")
        limb = rest.split("_")[0] if side in ("left", "right") else side
        x = {"left": 40, "right": -40}.get(side, 0)
        height = tall.get(limb, 230 if "hand" in name or limb in ("pinky", "index", "thumb") else 370)
        if side not in ("left", "right"):
            height = 65 if limb != "neck" else 100
        pose[number] += (x + (30 if limb in ("foot", "big", "small") else 0), height)
    return pose.astype(np.float32)


def gap_of(start, end, confidence=1.0, length=LENGTH):
    sure = np.full((1, len(start)), confidence, np.float32)
    return PoseGap(start[None], end[None], sure, sure.copy(), length)


def turned(pose, angle, scale, shift):
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (pose @ turn.T + shift).astype(np.float32)


def motion_of(poses, skeleton):
    return convert(poses, np.ones(poses.shape[:-1], np.float32), skeleton, MOTION)[0]


@pytest.mark.parametrize("skeleton", [MEDIAPIPE, COCO18, COCO_WHOLEBODY], ids=lambda skeleton: skeleton.name)
def test_a_person_who_stands_still_stays_as_they_are(skeleton):
    pose = person(skeleton)
    between = np.repeat(motion_of(pose, skeleton)[None], LENGTH, axis=0)
    joints, confidence = carry(gap_of(pose, pose), skeleton, between)
    np.testing.assert_allclose(joints, np.broadcast_to(pose, joints.shape), atol=1e-3)
    assert (confidence > 0).all()


@pytest.mark.parametrize("skeleton", [MEDIAPIPE, COCO18, COCO_WHOLEBODY], ids=lambda skeleton: skeleton.name)
def test_a_pose_that_turns_takes_everything_with_it(skeleton):
    """The truth is one pose, turned, shifted and drawn nearer: what hangs on the 17 must move alike."""
    pose = person(skeleton)
    path = [turned(pose, 0.8 * u, 1 + 0.2 * u, (50 * u, -20 * u)) for u in (0, *SHARE, 1)]
    between = np.stack([motion_of(frame, skeleton) for frame in path[1:-1]])
    joints, _ = carry(gap_of(path[0], path[-1]), skeleton, between)
    error = np.linalg.norm(joints - np.stack(path[1:-1]), axis=-1)
    assert error.max() < 3  # of 300 px
    assert error.mean() < 0.4


def test_fingers_follow_a_hand_that_waves_while_the_body_stands():
    start = person(MEDIAPIPE)
    end = start.copy()
    wrist = MEDIAPIPE.index("left_wrist")[0]
    fingers = [
        joint for joint in range(75) if MEDIAPIPE.joints[joint].startswith(("left_hand_", "left_pinky", "left_index"))
    ]
    fingers.append(MEDIAPIPE.index("left_thumb")[0])
    end[fingers] = turned(start[fingers] - start[wrist], np.pi / 2, 1, start[wrist])
    between = np.repeat(motion_of(start, MEDIAPIPE)[None], LENGTH, axis=0)
    hand, at = MOTION.index("left_hand")[0], MOTION.index("left_wrist")[0]
    for k, u in enumerate(SHARE):
        between[k, hand] = turned(between[k, hand] - between[k, at], u * np.pi / 2, 1, between[k, at])
    joints, _ = carry(gap_of(start, end), MEDIAPIPE, between)
    reach = np.linalg.norm(start[fingers] - start[wrist], axis=-1)
    for k, u in enumerate(SHARE):
        wanted = turned(start[fingers] - start[wrist], u * np.pi / 2, 1, start[wrist])
        assert (np.linalg.norm(joints[k, fingers] - wanted, axis=-1) / reach).max() < 0.15
    others = [joint for joint in range(75) if joint not in fingers]
    np.testing.assert_allclose(joints[:, others], np.broadcast_to(start[others], (LENGTH, len(others), 2)), atol=1e-3)


def test_the_17_are_taken_as_they_are():
    rng = np.random.default_rng(0)
    between = rng.uniform(0, 300, (LENGTH, 17, 2)).astype(np.float32)
    joints, _ = carry(gap_of(person(MEDIAPIPE), person(MEDIAPIPE, 1)), MEDIAPIPE, between)
    for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        for side in ("left", "right"):
            ours, theirs = MEDIAPIPE.index(f"{side}_{name}")[0], MOTION.index(f"{side}_{name}")[0]
            np.testing.assert_array_equal(joints[:, ours], between[:, theirs])
    toe = MEDIAPIPE.index("left_foot_index")[0]
    np.testing.assert_array_equal(joints[:, toe], between[:, MOTION.index("left_toe")[0]])


def test_the_in_between_starts_and_ends_where_the_poses_are():
    """With the poses beside the gap as first and last in-between of a long gap, all joints nearly are theirs."""
    start, end = person(MEDIAPIPE), turned(person(MEDIAPIPE, 1), 0.5, 1.1, (30, 5))
    length = 1000
    share = (np.arange(1, length + 1) / (length + 1))[:, None, None]
    one, two = motion_of(start, MEDIAPIPE), motion_of(end, MEDIAPIPE)
    joints, _ = carry(gap_of(start, end, length=length), MEDIAPIPE, (one + share * (two - one)).astype(np.float32))
    np.testing.assert_allclose(joints[0], start, atol=0.5)
    np.testing.assert_allclose(joints[-1], end, atol=0.5)


def test_a_hand_that_points_at_the_camera_throws_no_fingers_about():
    start = person(MEDIAPIPE)
    between = np.repeat(motion_of(start, MEDIAPIPE)[None], LENGTH, axis=0)
    hand, wrist = MOTION.index("left_hand", "left_wrist")
    rng = np.random.default_rng(0)
    before = start.copy()
    knuckles = list(MEDIAPIPE.index("left_pinky", "left_index"))
    before[knuckles] = before[MEDIAPIPE.index("left_wrist")[0]] + rng.uniform(
        -0.01, 0.01, (2, 2)
    )  # no direction at all
    joints, _ = carry(gap_of(before, start), MEDIAPIPE, between)
    reach = np.linalg.norm(start[list(MEDIAPIPE.left_hand)] - between[0, wrist], axis=-1).max()
    far = np.linalg.norm(joints[:, list(MEDIAPIPE.left_hand)] - between[:, wrist, None], axis=-1)
    assert far.max() < 1.6 * reach
    assert np.isfinite(between[:, hand]).all()


def test_a_joint_that_one_side_does_not_know_comes_from_the_other():
    start, end = person(MEDIAPIPE), person(MEDIAPIPE)
    gap = gap_of(start, end)
    hand = list(MEDIAPIPE.right_hand)
    gap.before[0, hand], gap.confidence_before[0, hand] = np.nan, 0
    nose = MEDIAPIPE.index("nose")[0]
    for side, sure in ((gap.before, gap.confidence_before), (gap.after, gap.confidence_after)):
        side[0, nose], sure[0, nose] = np.nan, 0
    between = np.repeat(motion_of(start, MEDIAPIPE)[None], LENGTH, axis=0)
    joints, confidence = carry(gap, MEDIAPIPE, between)
    np.testing.assert_allclose(joints[:, hand], np.broadcast_to(person(MEDIAPIPE)[hand], (LENGTH, 21, 2)), atol=1e-3)
    assert (np.diff(confidence[:, hand], axis=0) > 0).all()  # surer towards the side that knows
    assert np.isnan(joints[:, nose]).all()
    assert (confidence[:, nose] == 0).all()
    others = [joint for joint in range(75) if joint != nose]
    assert np.isfinite(joints[:, others]).all()


def test_confidence_goes_from_side_to_side_and_is_lower_where_joints_are_guessed():
    pose = person(MEDIAPIPE)
    gap = gap_of(pose, pose)
    gap.confidence_before[:], gap.confidence_after[:] = 0.8, 0.4
    between = np.repeat(motion_of(pose, MEDIAPIPE)[None], LENGTH, axis=0)
    between[3, MOTION.index("left_knee")[0]] = np.nan
    _, confidence = carry(gap, MEDIAPIPE, between)
    middle = LENGTH // 2
    knee, heel, wrist = MEDIAPIPE.index("right_knee", "right_heel", "right_wrist")
    assert confidence[middle, knee] == confidence[middle, wrist] == pytest.approx(0.6 * 0.9)
    assert confidence[middle, heel] == pytest.approx(0.6 * 0.5)
    assert confidence[0, knee] > confidence[-1, knee]
    assert confidence[3, MEDIAPIPE.index("left_knee")[0]] == 0
    assert confidence[2, MEDIAPIPE.index("left_knee")[0]] > 0


def test_the_gap_between_the_17_is_the_gap_converted():
    rng = np.random.default_rng(0)
    before, after = rng.uniform(0, 300, (2, 3, 75, 2)).astype(np.float32)
    sure = rng.uniform(0, 1, (2, 3, 75)).astype(np.float32)
    side = Side(rng.uniform(0, 300, (5, 75, 2)).astype(np.float32), rng.uniform(0, 1, (5, 75)).astype(np.float32))
    gap = motion_gap(PoseGap(before, after, sure[0], sure[1], 5, outgoing=side), MEDIAPIPE)
    assert gap.shape == (3, 5, 17, 2)
    ears = MEDIAPIPE.index("left_ear", "right_ear")
    np.testing.assert_allclose(gap.before[:, 0], before[:, list(ears)].mean(1), rtol=1e-6)
    np.testing.assert_array_equal(gap.confidence_after[:, 0], sure[1][:, list(ears)].min(1))
    knee, ours = MEDIAPIPE.index("left_knee")[0], MOTION.index("left_knee")[0]
    np.testing.assert_array_equal(gap.outgoing.joints[:, ours], side.joints[:, knee])
    assert gap.incoming is None
