"""Gaps for training and measuring: cameras, noise, windows of takes, cuts, and footage's tracks."""

import math
import time

import numpy as np
import pytest

from vmg_backend.errors import UserError
from vmg_backend.pose.skeletons import MEDIAPIPE, MOTION
from vmg_backend.pose.track import PoseTrack
from vmg_backend.training.cameras import Cameras, random_cameras
from vmg_backend.training.corruption import corrupt
from vmg_backend.training.gaps import MotionBatches, fixed_gaps
from vmg_backend.training.mocap import Motion
from vmg_backend.training.tracks import track_gaps
from vmg_backend.training.windows import Takes, mirror, reshape, torso_length

SEEN = ("before", "after", "outgoing", "incoming")


def standing():
    """A person [17, 3] who stands facing z, in metres."""
    places = {
        "head": (0, 1.65), "shoulder": (0.2, 1.4), "elbow": (0.25, 1.1), "wrist": (0.28, 0.87), "hand": (0.28, 0.78),
        "hip": (0.1, 0.92), "knee": (0.11, 0.5), "ankle": (0.11, 0.1), "toe": (0.13, 0.02),
    }  # fmt: skip
    joints = np.zeros((17, 3), np.float32)
    for number, joint in enumerate(MOTION.joints):
        side, _, limb = joint.rpartition("_")
        x, y = places[limb]
        joints[number] = (-x if side == "right" else x, y, 0.1 if limb == "toe" else 0)
    return joints


def dance(frames, seed=0, at=0.0):
    """A smooth random motion [T, 17, 3] about the place x = at."""
    rng = np.random.default_rng(seed)
    phase, pace = rng.uniform(0, 2 * math.pi, (4, 17, 3)), rng.uniform(0.3, 1.2, (4, 17, 3))
    beat = np.arange(frames)[:, None, None, None] / 30 * 2 * math.pi * pace
    sway = np.sin(beat + phase).sum(1) * 0.04
    return (standing() + sway + np.array([at, 0, 0])).astype(np.float32)


def takes():
    return [Motion("a", "x", dance(300, 1)), Motion("b", "x", dance(200, 2, at=100.0))]


def pinhole(cameras, window, point):
    """A point of the room in the picture, by the textbook: one window, one point."""
    right, down, forward = (cameras.rotation[window, row].astype(float) for row in range(3))
    ray = point.astype(float) - cameras.position[window]
    depth = ray @ forward
    f = float(cameras.focal[window])
    cx, cy = cameras.centre[window]
    return np.array([cx + f * (ray @ right) / depth, cy + f * (ray @ down) / depth]), f / depth


# ---------------------------------------------------------------- cameras
def test_cameras_project_as_the_pinhole_formula_says():
    joints = np.stack([dance(5, seed) for seed in range(6)])
    cameras = random_cameras(joints, np.random.default_rng(0))
    picture, scale = cameras.project(joints)
    for window, frame, joint in ((0, 0, 0), (3, 4, 16), (5, 2, 8)):
        place, metre = pinhole(cameras, window, joints[window, frame, joint])
        np.testing.assert_allclose(picture[window, frame, joint], place, atol=0.02)
        np.testing.assert_allclose(scale[window, frame, joint], metre, rtol=1e-4)


@pytest.mark.parametrize(("z", "right", "side"), [(4, 1, 1), (-4, -1, -1)])
def test_the_left_is_on_the_right_from_the_front_and_on_the_left_from_behind(z, right, side):
    cameras = Cameras(
        rotation=np.array([[[right, 0, 0], [0, -1, 0], [0, 0, -right]]], np.float32),  # looks at one who faces z
        position=np.array([[0, 1, z]], np.float32),
        focal=np.array([1000], np.float32),
        centre=np.array([[360, 640]], np.float32),
    )
    assert np.linalg.det(cameras.rotation[0]) == pytest.approx(1)
    picture, scale = cameras.project(standing()[None, None])
    left, right_hip, head = (picture[0, 0, joint] for joint in MOTION.index("left_hip", "right_hip", "head"))
    assert left[0] - right_hip[0] == pytest.approx(side * 0.2 * 250)
    assert head.tolist() == pytest.approx([360, 640 - 0.65 * 250])
    assert scale[0, 0, 0] == pytest.approx(250)


def test_random_cameras_are_rotations_within_their_limits():
    joints = np.stack([dance(8, seed) for seed in range(400)])
    cameras = random_cameras(joints, np.random.default_rng(1))
    products = cameras.rotation @ cameras.rotation.transpose(0, 2, 1)
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(3), products.shape), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(cameras.rotation), 1, atol=1e-5)
    depth = np.einsum("btjc,bc->btj", joints - cameras.position[:, None, None], cameras.rotation[:, 2])
    assert depth.min() > 0.3
    away = cameras.position - joints.mean((1, 2))
    distance = np.linalg.norm(away, axis=-1)
    elevation = np.degrees(np.arcsin(away[:, 1] / distance))
    assert 1.5 < distance.min() < 3 < 6 < distance.max() < 9
    assert -15 < elevation.min() < 0 < 25 < elevation.max() < 45
    roll = np.degrees(np.arcsin(cameras.rotation[:, 0, 1]))
    assert 5 < np.abs(roll).max() < 8.1
    quarter = np.floor((np.arctan2(away[:, 0], away[:, 2]) + math.pi) / (math.pi / 2)).clip(0, 3)
    assert np.bincount(quarter.astype(int)).min() > 60


def test_the_person_is_in_the_picture_mostly():
    joints = np.stack([dance(8, seed) for seed in range(200)])
    cameras = random_cameras(joints, np.random.default_rng(2))
    picture, _ = cameras.project(joints)
    inside = ((picture > 0) & (picture < 2 * cameras.centre[:, None, None])).all(-1)
    assert inside.mean() > 0.7


# ---------------------------------------------------------------- noise
def test_noise_is_as_measured():
    joints, torso = np.zeros((400, 30, 17, 2), np.float32), np.full(400, 100, np.float32)
    noisy, sure = corrupt(joints, torso, np.random.default_rng(0))
    lost = np.isnan(noisy).any(-1)
    assert np.array_equal(lost, sure == 0)
    assert 0.01 < lost.mean() < 0.05
    trusted = sure > 0.99
    arm = MOTION.index("left_elbow", "right_wrist", "left_hand")
    leg = MOTION.index("left_knee", "right_ankle", "head")
    spread = {name: np.nanstd(noisy[:, :, list(group)][trusted[:, :, list(group)]]) / 100 for name, group in
              (("arm", arm), ("leg", leg))}  # fmt: skip
    assert 0.02 < spread["arm"] < 0.06  # 0.020 on the sample's clean picture, up to three times in others
    assert 0.005 < spread["leg"] < 0.016
    doubted = (sure > 0) & (sure < 0.5)
    assert np.nanstd(noisy[doubted]) > 2 * np.nanstd(noisy[trusted])
    clean = noisy[:, :, list(leg)]
    neighbours = np.nanmean(clean[:, 1:] * clean[:, :-1]) / np.nanmean(clean**2)
    assert 0.7 < neighbours < 0.85


def test_confidence_is_spread_as_in_footage():
    joints = np.zeros((500, 10, 17, 2), np.float32)
    _, sure = corrupt(joints, np.ones(500, np.float32), np.random.default_rng(1))
    shares = [(sure > least).mean() for least in (0.99, 0.9, 0.5)]
    assert 0.35 < shares[0] < 0.6
    assert 0.65 < shares[1] < 0.9
    assert 0.88 < shares[2] < 0.97


# ---------------------------------------------------------------- gaps to measure with
def test_fixed_gaps_are_the_takes_end_to_end_seen_by_their_cameras():
    motions = takes()
    batch = fixed_gaps(motions, length=12, context=3, seed=5)
    starts = [(0, first) for first in range(0, 300 - 17, 12)] + [(1, first) for first in range(0, 200 - 17, 12)]
    assert batch.take.tolist() == [take for take, _ in starts]
    windows = np.stack([motions[take].joints[first : first + 18] for take, first in starts])
    cameras = random_cameras(windows, np.random.default_rng(5))
    whole = np.concatenate([batch.before, batch.truth, batch.after], axis=1)
    assert (batch.before.shape[1:], batch.truth.shape[1:]) == ((3, 17, 2), (12, 17, 2))
    hips = list(MOTION.index("left_hip", "right_hip"))
    for window, frame, joint in ((0, 0, 0), (7, 3, 5), (30, 17, 16)):
        place, _ = pinhole(cameras, window, windows[window, frame, joint])
        np.testing.assert_allclose(whole[window, frame, joint], place, atol=0.05)
    for window in (0, 11):
        _, metre = pinhole(cameras, window, windows[window, 2, hips].mean(0))
        shoulders = windows[window][:, list(MOTION.index("left_shoulder", "right_shoulder"))].mean(1)
        length = np.linalg.norm(shoulders - windows[window][:, hips].mean(1), axis=-1)
        assert batch.torso[window] == pytest.approx(np.percentile(length, 90) * metre, rel=1e-3)
    assert batch.outgoing is None
    assert (batch.confidence_before == 1).all()
    assert (batch.confidence == 1).all()


def test_fixed_gaps_are_always_the_same():
    one, two = fixed_gaps(takes(), 8, 1, seed=3), fixed_gaps(takes(), 8, 1, seed=3)
    assert np.array_equal(one.truth, two.truth)
    assert not np.array_equal(one.truth, fixed_gaps(takes(), 8, 1, seed=4).truth)


def test_no_frame_is_filled_twice():
    time_take = np.repeat(np.arange(100, dtype=np.float32)[:, None, None] * 1e-3, 17, axis=1) * np.ones(3, np.float32)
    motions = [Motion("a", "x", standing() + time_take)]
    assert len(fixed_gaps(motions, 24, 3).take) == (100 - 30) // 24 + 1


def test_too_short_takes_are_said():
    with pytest.raises(UserError, match="No take is as long as 70 frames"):
        fixed_gaps([Motion("a", "x", dance(60))], 64, 3)
    with pytest.raises(UserError, match="No take is longer than 73 frames"):
        MotionBatches([Motion("a", "x", dance(60))]).draw(np.random.default_rng(0), 4, 3, 64)
    with pytest.raises(UserError, match="no takes"):
        MotionBatches([])


def test_gaps_one_by_one_are_those_of_the_batch():
    rng = np.random.default_rng(0)
    batches = MotionBatches(takes())
    batch = next(b for b in (batches.draw(rng, 6, 3, 10) for _ in range(50)) if b.outgoing is not None)
    gap = batch.gaps()[4]
    assert gap.length == 10
    np.testing.assert_array_equal(gap.before, batch.before[4])
    np.testing.assert_array_equal(gap.outgoing.joints, batch.outgoing[4])
    np.testing.assert_array_equal(gap.incoming.confidence, batch.confidence_incoming[4])
    assert fixed_gaps(takes(), 8, 1).gaps()[0].outgoing is None


# ---------------------------------------------------------------- gaps to train on
@pytest.mark.parametrize(("length", "context"), [(1, 1), (2, 3), (12, 3), (64, 1)])
def test_batches_have_their_shapes_and_a_whole_truth(length, context):
    batches, rng = MotionBatches(takes()), np.random.default_rng(0)
    for _ in range(4):
        batch = batches.draw(rng, 8, context, length)
        assert batch.before.shape == batch.after.shape == (8, context, 17, 2)
        assert batch.truth.shape == (8, length, 17, 2)
        assert batch.torso.shape == batch.take.shape == (8,)
        assert np.isfinite(batch.truth).all()
        assert (batch.confidence == 1).all()
        assert (batch.torso > 5).all()
        for name in SEEN:
            joints, sure = getattr(batch, name), getattr(batch, f"confidence_{name}")
            assert (joints is None) == (sure is None)
            if joints is not None:
                assert joints.dtype == sure.dtype == np.float32
                assert np.array_equal(np.isnan(joints).any(-1), sure == 0)


def test_equal_random_numbers_give_equal_batches():
    one, two = (MotionBatches(takes()).draw(np.random.default_rng(7), 16, 3, 12) for _ in range(2))
    for name in ("before", "after", "truth", "torso", "take"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_noise_is_on_what_is_known_and_not_on_the_truth():
    still = [Motion("a", "x", np.repeat(standing()[None], 120, axis=0))]
    random, batches = np.random.default_rng(0), MotionBatches(still)
    drawn = [batches.draw(random, 64, 3, 12) for _ in range(30)]
    exact = [batch for batch in drawn if (batch.confidence_before == 1).all()]
    assert 3 <= len(exact) <= 18
    assert all(np.allclose(batch.before, batch.truth[:, :1], atol=0.1) for batch in exact)
    batch = next(batch for batch in drawn if (batch.confidence_before < 1).any())
    torso = batch.torso[:, None, None, None]
    truth = batch.truth[:, :1]
    assert np.abs((batch.truth - truth) / torso).max() < 1e-4
    for known in (batch.before, batch.after):
        error = np.abs(known - truth) / torso
        assert 0.001 < np.nanmedian(error) < 0.05


def test_windows_stay_within_a_take_and_favour_fast_motion():
    still = np.repeat(standing()[None], 600, axis=0)
    motions = [Motion("still", "x", still), Motion("dance", "x", dance(600, 3, at=500.0))]
    drawn = Takes(motions)
    joints, take = drawn.draw(24, 2000, np.random.default_rng(0))
    across = np.ptp(joints[..., 0], axis=(1, 2))
    assert across.max() < 3  # the takes are 500 m apart
    assert ((joints[..., 0].mean((1, 2)) > 250) == (take == 1)).all()
    assert 0.65 < (take == 1).mean() < 0.85


def test_takes_are_played_at_other_speeds_by_a_smooth_curve():
    frames = np.arange(200, dtype=np.float32)
    bent = np.stack([frames / 30, (frames / 30) ** 2, 0 * frames], axis=1)[:, None] + standing()
    joints, _ = Takes([Motion("a", "x", bent)]).draw(20, 500, np.random.default_rng(0))
    step = np.diff(joints[:, :, 0, 0], axis=1) * 30
    speed = np.abs(step.mean(1))
    np.testing.assert_allclose(np.abs(step), np.broadcast_to(speed[:, None], step.shape), atol=2e-3)
    assert (speed.min() > 0.599, speed.max() < 1.801, speed.min() < 0.65, speed.max() > 1.7) == (True,) * 4
    assert 0.4 < (step.mean(1) < 0).mean() < 0.6  # backwards
    # Twice the square of the speed, whatever lies between the frames: a cubic through four points has no error here.
    bend = np.diff(joints[:, :, 0, 1], 2, axis=1) * 900
    np.testing.assert_allclose(bend, np.broadcast_to(2 * speed[:, None] ** 2, bend.shape), atol=0.05)


def test_the_mirror_swaps_sides_and_twice_is_nothing():
    joints = np.stack([dance(5, seed) for seed in range(3)])
    which = np.array([True, False, True])
    mirrored = mirror(joints, which)
    left, right = MOTION.index("left_wrist", "right_wrist")
    np.testing.assert_array_equal(mirrored[0, :, left], joints[0, :, right] * [-1, 1, 1])
    np.testing.assert_array_equal(mirrored[1], joints[1])
    np.testing.assert_array_equal(mirror(mirrored, which), joints)
    stands = standing()[None, None]  # is as left as right
    np.testing.assert_allclose(mirror(stands, np.array([True])), stands)


def test_other_bodies_have_other_lengths_and_the_same_motion():
    joints = np.stack([dance(6, seed) for seed in range(50)])
    shaped = reshape(joints, np.random.default_rng(0))
    bones = np.array([(p, j) for j, p in enumerate(MOTION.parents) if p >= 0])
    ratio = np.linalg.norm(shaped[:, :, bones[:, 1]] - shaped[:, :, bones[:, 0]], axis=-1) / np.linalg.norm(
        joints[:, :, bones[:, 1]] - joints[:, :, bones[:, 0]], axis=-1
    )
    limbs = [k for k, (_, j) in enumerate(bones) if "shoulder" not in MOTION.joints[j]]
    assert np.ptp(ratio[:, :, limbs], axis=1).max() < 1e-3  # one number for the whole window
    assert 0.919 < ratio[:, :, limbs].min() < 0.94
    assert 1.06 < ratio[:, :, limbs].max() < 1.081
    for name in ("elbow", "knee"):
        left, right = (
            int(np.flatnonzero(bones[:, 1] == MOTION.index(f"{side}_{name}")[0])[0]) for side in ("left", "right")
        )
        np.testing.assert_allclose(ratio[:, :, left], ratio[:, :, right], atol=1e-4)


def test_a_foot_that_stands_still_does_so_on_other_bodies():
    """The hips travel over a leg that turns about the ankle, both bones of the leg in line."""
    angle = np.linspace(-0.4, 0.4, 9)
    joints = np.repeat(standing()[None], 9, axis=0)
    hip = np.stack([0.82 * np.sin(angle), 0.1 + 0.82 * np.cos(angle), 0 * angle], axis=1)
    joints += (hip - hip[4])[:, None]
    ankle, knee, hips = (MOTION.index(f"left_{j}")[0] for j in ("ankle", "knee", "hip"))
    middle = joints[:, [hips, MOTION.index("right_hip")[0]]].mean(1)
    joints[:, hips] = middle
    joints[:, MOTION.index("right_hip")[0]] = middle
    joints[:, ankle] = middle[4] - [0, 0.82, 0]
    joints[:, knee] = (joints[:, hips] + joints[:, ankle]) / 2
    shaped = reshape(joints[None].astype(np.float32), np.random.default_rng(3))[0]
    assert np.ptp(shaped[:, ankle], axis=0).max() < 1e-4


def test_the_two_sides_of_a_cut_differ_as_measured_and_meet_their_ends():
    batches, rng = MotionBatches(takes()), np.random.default_rng(0)
    drawn = [batches.draw(rng, 32, 3, 12) for _ in range(120)]
    cuts = [batch for batch in drawn if batch.outgoing is not None]
    assert 0.2 < len(cuts) / len(drawn) < 0.5
    profile = {"apart": [], "outgoing": [], "incoming": []}
    for batch in cuts:
        torso = batch.torso[:, None, None]
        profile["apart"].append(np.linalg.norm(batch.outgoing - batch.incoming, axis=-1) / torso)
        for name in ("outgoing", "incoming"):
            profile[name].append(np.linalg.norm(getattr(batch, name) - batch.truth, axis=-1) / torso)
    apart, out, into = (np.nanmean(np.concatenate(profile[name]), axis=2) for name in profile)
    assert 0.15 < np.percentile(apart[:, 6], 5) < np.percentile(apart[:, 6], 95) < 1.1
    noise = 0.06
    assert np.mean(out[:, 0]) < noise
    assert np.mean(into[:, -1]) < noise
    assert np.mean(out[:, -1]) > 0.3
    assert np.mean(into[:, 0]) > 0.3
    assert (np.diff(out.mean(0)) > 0).all()
    assert (np.diff(into.mean(0)) < 0).all()
    assert out.mean(0)[1] - out.mean(0)[0] < out.mean(0)[6] - out.mean(0)[5]  # slowly at first


def test_batches_come_quickly():
    batches, rng = MotionBatches(takes()), np.random.default_rng(0)
    batches.draw(rng, 128, 3, 12)
    fastest = math.inf
    for _ in range(8):
        begin = time.process_time()
        batches.draw(rng, 128, 3, 12)
        fastest = min(fastest, time.process_time() - begin)
    assert fastest < 0.1


def test_torso_length_by_hand():
    assert torso_length(standing()) == pytest.approx(1.4 - 0.92, abs=1e-6)


# ---------------------------------------------------------------- gaps in footage
def footage_track(frames=100):
    rng = np.random.default_rng(0)
    image = rng.uniform(100, 110, (frames, 75, 2)).astype(np.float32)
    for joint, y in (("shoulder", 100), ("hip", 200)):
        for side in ("left", "right"):
            image[:, MEDIAPIPE.index(f"{side}_{joint}")[0]] = (100, y)
    return PoseTrack(
        image=image,
        world=np.zeros((frames, 75, 3), np.float32),
        confidence=np.full((frames, 75), 0.9, np.float32),
        person=np.ones(frames, bool),
        skeleton="mediapipe",
    )


def test_footage_gives_windows_of_its_own_track():
    track = footage_track()
    batch = track_gaps(track, np.array([[0, 99]], np.int32), 30.0, 12, 3)
    assert len(batch.take) == (100 - 18) // 12 + 1
    wrist = MEDIAPIPE.index("right_wrist")[0]
    np.testing.assert_array_equal(batch.truth[2, :, MOTION.index("right_wrist")[0]], track.image[27:39, wrist])
    np.testing.assert_array_equal(batch.before[2, :, MOTION.index("right_wrist")[0]], track.image[24:27, wrist])
    np.testing.assert_array_equal(batch.after[2, :, MOTION.index("right_wrist")[0]], track.image[39:42, wrist])
    assert (batch.confidence == np.float32(0.9)).all()
    np.testing.assert_allclose(batch.torso, 100)


def test_windows_of_footage_cross_no_cut_and_no_frame_without_a_person():
    track = footage_track()
    track.person[[60, 61]] = False
    track.image[[60, 61]] = np.nan
    track.confidence[[60, 61]] = 0
    batch = track_gaps(track, np.array([[0, 29], [30, 99]], np.int32), 30.0, 10, 1)
    firsts = [0, 10, 30, 40, 62, 72, 82]
    assert len(batch.take) == len(firsts)
    wrist, ours = MEDIAPIPE.index("left_wrist")[0], MOTION.index("left_wrist")[0]
    assert [batch.before[k, 0, ours].tolist() for k in range(len(firsts))] == track.image[firsts, wrist].tolist()
    assert np.isfinite(batch.truth).all()


def test_the_torso_of_footage_is_that_of_the_second_around():
    track = footage_track(200)
    track.image[150:, list(MEDIAPIPE.index("left_hip", "right_hip"))] = (100, 300)
    batch = track_gaps(track, np.array([[0, 199]], np.int32), 30.0, 10, 1)
    near = [gap for gap in range(len(batch.take)) if batch.torso[gap] > 150]
    assert 110 <= min(near) * 10 + 1 <= 125
    assert batch.torso[0] == pytest.approx(100)
    assert batch.torso[-1] == pytest.approx(200)


def test_unsure_footage_and_short_footage_give_no_gaps():
    track = footage_track()
    track.confidence[:] = 0.3
    batch = track_gaps(track, np.array([[0, 99]], np.int32), 30.0, 12, 3)
    assert batch.truth.shape == (0, 12, 17, 2)
    assert batch.gaps() == []
    assert len(track_gaps(footage_track(10), np.array([[0, 9]], np.int32), 30.0, 12, 3).take) == 0
