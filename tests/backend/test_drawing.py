"""What Blender's side gets to draw skeletons that it does not know."""

import numpy as np
import pytest

from vmg_backend.pose.drawing import SKELETON_FILE, save_skeleton, sides
from vmg_backend.pose.skeletons import MEDIAPIPE, MOTION, SKELETONS


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda skeleton: skeleton.name)
def test_sides_are_mirrored(skeleton):
    left, right = sides(skeleton)
    assert sorted(skeleton.mirror[joint] for joint in left) == sorted(right)
    assert set(left).isdisjoint(right)
    assert set(skeleton.core) <= set(left) | set(right)


def test_sides_are_the_persons_own():
    left, right = sides(MOTION)
    assert {MOTION.joints[joint].partition("_")[0] for joint in left} == {"left"}
    assert {MOTION.joints[joint].partition("_")[0] for joint in right} == {"right"}
    assert (len(left), len(right), len(MOTION.joints)) == (8, 8, 17)
    assert [len(joints) for joints in sides(MEDIAPIPE)] == [37, 37]  # all but the nose


def test_a_transitions_skeleton_is_read_without_knowing_it(tmp_path):
    joints = np.random.default_rng(0).random((12, 17, 2)).astype(np.float32)
    joints[3, 4] = np.nan
    confidence = np.linspace(0, 1, 12 * 17).reshape(12, 17).astype(np.float32)
    save_skeleton(tmp_path, joints, confidence, MOTION)
    assert [file.name for file in tmp_path.iterdir()] == [SKELETON_FILE]
    with np.load(tmp_path / "skeleton.npz", allow_pickle=False) as data:
        np.testing.assert_array_equal(data["joints"], joints)
        np.testing.assert_array_equal(data["confidence"], confidence)
        assert [tuple(bone) for bone in data["bones"]] == list(MOTION.bones)
        assert (tuple(data["left"]), tuple(data["right"])) == sides(MOTION)
