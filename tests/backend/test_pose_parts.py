"""Skeleton tables, chunk plan, smoothing, bone lengths and the place in the room."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import savgol_filter

import vmg_backend
from vmg_backend.pose import MEDIAPIPE, SKELETONS, PoseTrack, metres_per_pixel, normalize_bones, root_translation
from vmg_backend.pose.chunks import plan
from vmg_backend.pose.mediapipe_estimator import find_person, hand_confidence
from vmg_backend.pose.normalize import FOCAL_LENGTH
from vmg_backend.pose.skeletons import ROOT
from vmg_backend.pose.smoothing import half_window, runs, smooth

PERFORMER = Path(vmg_backend.__file__).parent / "sample" / "performer.json"


# ---------------------------------------------------------------- skeleton
def test_the_mirror_swaps_sides_and_keeps_the_tree():
    s = MEDIAPIPE
    assert len(s.joints) == len(set(s.joints)) == len(s.parents) == len(s.mirror) == 75
    for joint, other in enumerate(s.mirror):
        assert s.mirror[other] == joint
        swapped = s.joints[joint].replace("left", "L").replace("right", "left").replace("L", "right")
        assert s.joints[other] == swapped
        parent = s.parents[joint]
        assert s.parents[other] == (ROOT if parent == ROOT else s.mirror[parent])
    mirrored = {frozenset((s.mirror[a], s.mirror[b])) for a, b in s.bones}
    assert mirrored == {frozenset(bone) for bone in s.bones}
    assert len(mirrored) == len(s.bones)


def test_every_joint_hangs_on_the_root_and_is_ordered_after_its_parent():
    assert sorted(MEDIAPIPE.order) == list(range(75))
    for joint, parent in enumerate(MEDIAPIPE.parents):
        if parent != ROOT:
            assert MEDIAPIPE.order.index(parent) < MEDIAPIPE.order.index(joint)


def test_names_stand_where_mediapipe_puts_them():
    body = pytest.importorskip("mediapipe.python.solutions.pose").PoseLandmark
    hand = pytest.importorskip("mediapipe.python.solutions.hands").HandLandmark
    for landmark in body:
        name = landmark.name.lower()
        if name.startswith("mouth_"):
            name = f"{name.removeprefix('mouth_')}_mouth"
        assert MEDIAPIPE.joints[landmark] == name
    for joints, side in ((MEDIAPIPE.left_hand, "left"), (MEDIAPIPE.right_hand, "right")):
        for landmark in hand:
            name = landmark.name.lower().replace("wrist", "root").replace("pinky", "pinky_finger")
            assert MEDIAPIPE.joints[joints[landmark]] == f"{side}_hand_{name}"
    assert SKELETONS["mediapipe"] is MEDIAPIPE


# ---------------------------------------------------------------- chunks
@pytest.mark.parametrize(("length", "warm_up"), [(150, 10), (7, 3), (1, 0)])
def test_chunks_keep_each_frame_once_and_stay_in_their_shot(length, warm_up):
    shots = np.array([[0, 0], [1, 151], [152, 451], [452, 460]], np.int32)
    chunks = plan(shots, length, warm_up)
    assert [frame for c in chunks for frame in range(c.first, c.last + 1)] == list(range(461))
    for chunk in chunks:
        shot_first, shot_last = next((a, b) for a, b in shots.tolist() if a <= chunk.first <= b)
        assert chunk.last <= shot_last
        assert chunk.last - chunk.first + 1 <= length
        assert chunk.start == max(shot_first, chunk.first - warm_up)


# ---------------------------------------------------------------- smoothing
def random_joints(frames, joints=4, dimensions=2, seed=0):
    return np.random.default_rng(seed).normal(size=(frames, joints, dimensions)).astype(np.float32)


def test_runs_end_at_shots_and_gaps():
    person = np.array([1, 1, 0, 1, 1, 1, 1, 0], bool)
    assert runs(person, np.array([[0, 4], [5, 7]])) == [(0, 1), (3, 4), (5, 6)]
    assert runs(np.zeros(8, bool), np.array([[0, 7]])) == []


@pytest.mark.parametrize("half", [2, 3, 6])
def test_with_equal_confidence_it_is_the_filter_of_savitzky_and_golay(half):
    x = random_joints(60)
    ours = smooth(x, np.full((60, 4), 0.7, np.float32), [(0, 59)], half)
    theirs = savgol_filter(x.astype(np.float64), 2 * half + 1, 2, axis=0)
    np.testing.assert_allclose(ours[half:-half], theirs[half:-half], atol=1e-5)


def test_it_has_no_lag():
    x, c = random_joints(50), np.random.default_rng(1).uniform(0.1, 1, (50, 4)).astype(np.float32)
    backwards = smooth(x[::-1], c[::-1], [(0, 49)], 3)[::-1]
    np.testing.assert_allclose(smooth(x, c, [(0, 49)], 3), backwards, atol=1e-5)
    impulse = np.zeros((31, 1, 1), np.float32)
    impulse[15] = 1
    answer = smooth(impulse, np.ones((31, 1), np.float32), [(0, 30)], 3)[:, 0, 0]
    np.testing.assert_allclose(answer, answer[::-1], atol=1e-6)
    assert answer.argmax() == 15


def test_parabolas_stay_whatever_the_confidence():
    t = np.arange(20, dtype=np.float32)[:, None, None]
    x = np.concatenate([np.full_like(t, 5), 3 * t - 7, 0.5 * t**2 - t], axis=2)
    c = np.random.default_rng(2).uniform(0, 1, (20, 1)).astype(np.float32)
    np.testing.assert_allclose(smooth(x, c, [(0, 19)], 3), x, atol=2e-3)


def test_fast_beats_keep_their_speed_and_place():
    fps = 30
    t = np.arange(120) / fps
    x = (100 * np.sin(2 * np.pi * 2.5 * t)).astype(np.float32)[:, None, None]
    smoothed = smooth(x, np.ones((120, 1), np.float32), [(0, 119)], half_window(fps))
    before, after = (np.abs(np.gradient(y[:, 0, 0])) for y in (x, smoothed))
    assert after[5:-5].max() > 0.97 * before[5:-5].max()
    minima = [np.flatnonzero((v[1:-1] < v[:-2]) & (v[1:-1] < v[2:])) for v in (before, after)]
    np.testing.assert_array_equal(*minima)


def test_noise_shrinks_and_unseen_joints_weigh_little():
    noise = random_joints(400)
    assert smooth(noise, np.ones((400, 4), np.float32), [(0, 399)], 3).std() < 0.65 * noise.std()
    x, c = np.zeros((21, 1, 1), np.float32), np.ones((21, 1), np.float32)
    x[10], c[10] = 100, 0
    assert np.abs(smooth(x, c, [(0, 20)], 3)).max() < 0.2


def test_nothing_crosses_gaps_and_short_stretches_stay():
    x, c = random_joints(30), np.ones((30, 4), np.float32)
    x[12:15] = np.nan
    stretches = [(0, 11), (15, 27), (28, 29)]
    together = smooth(x, c, stretches, 3)
    np.testing.assert_array_equal(together[:12], smooth(x[:12], c[:12], [(0, 11)], 3))
    np.testing.assert_array_equal(together[15:28], smooth(x[15:28], c[15:28], [(0, 12)], 3))
    np.testing.assert_array_equal(together[28:], x[28:])
    assert np.isnan(together[12:15]).all()


# ---------------------------------------------------------------- bones
def test_bones_get_their_median_length_and_keep_their_direction():
    world = random_joints(41, 75, 3, seed=5)
    world[7] = np.nan
    hips = list(MEDIAPIPE.index("left_hip", "right_hip"))
    done = normalize_bones(world, MEDIAPIPE)
    assert np.isnan(done[7]).all()
    seen = np.delete(np.arange(41), 7)
    for joint, parent in enumerate(MEDIAPIPE.parents):
        old, new = ((x[seen, joint] - (0 if parent == ROOT else x[seen, parent])) for x in (world, done))
        length = np.linalg.norm(new, axis=1)
        np.testing.assert_allclose(length, np.median(np.linalg.norm(old, axis=1)), rtol=1e-4)
        cosine = (old * new).sum(1) / np.linalg.norm(old, axis=1) / length
        np.testing.assert_allclose(cosine, 1, atol=1e-4)
    assert hips[0] in MEDIAPIPE.order[:3]


def test_hands_that_were_never_found_keep_to_the_wrist():
    world = random_joints(9, 75, 3)
    world[:, list(MEDIAPIPE.left_hand)] = world[:, [15]]
    done = normalize_bones(world, MEDIAPIPE)
    np.testing.assert_allclose(done[:, list(MEDIAPIPE.left_hand)], np.repeat(done[:, [15]], 21, 1), atol=1e-6)


# ---------------------------------------------------------------- place in the room
def as_track(camera_joints, image, person=None):
    """A track with the truth in it; joints by name, in metres from the camera (x right, y down, z away)."""
    frames = len(next(iter(camera_joints.values())))
    hips = (camera_joints["left_hip"] + camera_joints["right_hip"]) / 2
    full_world, full_image = np.zeros((frames, 75, 3), np.float32), np.zeros((frames, 75, 2), np.float32)
    confidence = np.zeros((frames, 75), np.float32)
    for name, points in camera_joints.items():
        if name in MEDIAPIPE.joints:
            at = MEDIAPIPE.joints.index(name)
            full_world[:, at], full_image[:, at], confidence[:, at] = points - hips, image[name], 1
    person = np.ones(frames, bool) if person is None else person
    for values, nothing in ((full_world, np.nan), (full_image, np.nan), (confidence, 0)):
        values[~person] = nothing
    return PoseTrack(full_image, full_world, confidence, person, "mediapipe"), hips


def synthetic(frames=90, focal=900.0, size=(640, 900), bend=True):
    """A person who walks away and aside, waving, and bends towards the camera until the torso is foreshortened."""
    t = np.linspace(0, 1, frames)[:, None]
    zero, one = np.zeros((frames, 1)), np.ones((frames, 1))
    hips = np.hstack([-0.6 + 1.2 * t, 0.1 * np.sin(9 * t), 3 + 2.5 * t])
    angle = 1.3 * np.sin(np.pi * t) if bend else zero
    up = np.hstack([zero, -0.5 * np.cos(angle), -0.5 * np.sin(angle)])
    joints = {}
    for side, x in (("left", 0.5), ("right", -0.5)):
        joints[f"{side}_hip"] = hips + np.array([0.24 * x, 0, 0])
        joints[f"{side}_knee"] = hips + np.array([0.3 * x, 0.42, -0.05])
        joints[f"{side}_ankle"] = hips + np.array([0.35 * x, 0.83, 0.05])
        joints[f"{side}_shoulder"] = hips + up + np.array([0.36 * x, 0, 0])
        wave = np.hstack([x * one, 0.5 * np.sin(12 * t + x), zero])
        joints[f"{side}_elbow"] = joints[f"{side}_shoulder"] + 0.28 * wave
        joints[f"{side}_wrist"] = joints[f"{side}_shoulder"] + 0.5 * wave
    image = {name: p[:, :2] / p[:, 2:] * focal + np.array(size) / 2 for name, p in joints.items()}
    return *as_track(joints, image), size


def test_the_root_comes_back_through_a_pinhole():
    track, hips, size = synthetic(focal=FOCAL_LENGTH * 900)
    root = root_translation(track, size)
    assert root.dtype == np.float32
    error = np.abs(root - hips)
    assert np.percentile(error[:, :2], 95) < 0.04
    assert np.percentile(error[:, 2] / hips[:, 2], 95) < 0.07
    inner = slice(8, -8)
    np.testing.assert_allclose(
        np.gradient(root[inner], axis=0)[:, 0], np.gradient(hips[inner], axis=0)[:, 0], atol=0.004
    )


def test_a_wrong_focal_length_only_stretches_the_depth():
    (near, hips, size), (far, _, _) = synthetic(focal=900.0, bend=False), synthetic(focal=1800.0, bend=False)
    a, b = root_translation(near, size), root_translation(far, size)
    np.testing.assert_allclose(a[:, :2], b[:, :2], atol=0.03)
    np.testing.assert_allclose(a[:, 2] / b[:, 2], 2, rtol=0.02)
    assert np.corrcoef(a[:, 2], hips[:, 2])[0, 1] > 0.999


def test_the_scale_is_not_averaged_across_shots_and_absent_frames():
    track, _, _ = synthetic(60, bend=False)
    jump = track.image.copy()
    jump[30:] *= 2
    doubled = PoseTrack(jump, track.world, track.confidence, track.person, "mediapipe")
    scale = metres_per_pixel(doubled, np.array([[0, 29], [30, 59]]))
    alone = metres_per_pixel(track, np.array([[0, 29], [30, 59]]))
    np.testing.assert_allclose(scale[:30], alone[:30], rtol=1e-5)
    np.testing.assert_allclose(scale[30:], alone[30:] / 2, rtol=1e-5)
    person = np.ones(60, bool)
    person[30] = False
    for values, nothing in ((doubled.image, np.nan), (doubled.world, np.nan), (doubled.confidence, 0)):
        values[30] = nothing
    holed = metres_per_pixel(PoseTrack(doubled.image, doubled.world, doubled.confidence, person, "mediapipe"))
    assert np.flatnonzero(np.isnan(holed)).tolist() == [30]
    np.testing.assert_allclose(holed[:30], alone[:30], rtol=1e-5)


def test_the_root_of_the_sample_performer_from_its_truth():
    if not PERFORMER.exists():
        pytest.skip("the sample is not built")
    truth = json.loads(PERFORMER.read_text(encoding="utf-8"))
    image, room = np.array(truth["image"]), np.array(truth["world"])
    camera = room - np.array(truth["camera"]["position"])
    camera = np.stack([camera[..., 0], -camera[..., 2], camera[..., 1]], axis=-1)  # the room's z is up, y is away
    joints = {name: camera[:, k] for k, name in enumerate(truth["joints"])}
    track, hips = as_track(joints, {name: image[:, k] for k, name in enumerate(truth["joints"])})
    root = root_translation(track, tuple(truth["size"]))
    root[:, 2] *= truth["camera"]["focal_px"] / (FOCAL_LENGTH * max(truth["size"]))
    assert np.percentile(np.abs(root - hips)[:, :2], 95) < 0.04
    assert np.percentile(np.abs(root - hips)[:, 2], 95) < 0.3


# ---------------------------------------------------------------- who is a person, whose is a hand
def a_body(visibility, frames=6, height=300.0):
    body = np.zeros((frames, 33, 3), np.float32)
    body[:, :, 0] = 200
    body[:, :, 1] = np.linspace(50, 50 + height, 33)
    body[:, :, 2] = visibility
    return body


ONE_SHOT = np.array([[0, 5]])


def test_a_person_is_seen_well_large_enough_and_inside():
    size = (400, 400)
    assert find_person(a_body(0.95), size, ONE_SHOT).all()
    assert not find_person(a_body(0.6), size, ONE_SHOT).any()
    assert not find_person(a_body(0.95, height=20), size, ONE_SHOT).any()
    assert not find_person(a_body(0.95) + np.array([500, 0, 0], np.float32), size, ONE_SHOT).any()
    assert not find_person(np.full((6, 33, 3), np.nan, np.float32), size, ONE_SHOT).any()


def test_motion_blur_is_forgiven_beside_sure_frames_but_not_in_another_shot():
    body = a_body(0.95)
    body[3:, :, 2] = 0.5
    assert find_person(body, (400, 400), ONE_SHOT).all()
    assert find_person(body, (400, 400), np.array([[0, 2], [3, 5]])).tolist() == [True] * 3 + [False] * 3
    body[3:, :, 2] = 0.1
    assert find_person(body, (400, 400), ONE_SHOT).tolist() == [True] * 3 + [False] * 3


def test_a_hand_is_trusted_when_it_is_at_the_wrist_and_has_a_hands_size():
    scale = np.full(5, 0.002, np.float32)  # 2 mm a pixel
    hand = np.zeros((5, 21, 3), np.float32)
    hand[:, 9, 0] = 47  # a palm of 94 mm
    wrist = np.zeros((5, 2), np.float32)
    wrist[1, 0], wrist[2, 0] = 30, 200  # 6 cm and 40 cm away
    hand[3, 9, 0] = 150  # a palm of 30 cm
    hand[4] = np.nan
    trust = hand_confidence(hand, wrist, np.full(5, 0.9, np.float32), scale)
    assert trust[0] == pytest.approx(0.9)
    assert 0.3 < trust[1] < 0.8
    assert trust[2:].tolist() == [0, 0, 0]
