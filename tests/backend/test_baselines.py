"""In-betweens without learning against closed forms and their own definitions, frame by frame."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from vmg_backend.motion.baselines import BLEND, HERMITE, LINEAR, baselines, slerp, turned, velocity
from vmg_backend.motion.gap import PoseGap, Side, ends, with_context
from vmg_backend.pose.skeletons import MOTION, Skeleton

ARM = Skeleton(
    name="arm",
    joints=("left_hip", "right_hip", "elbow", "wrist"),
    parents=(-1, -1, -1, 2),
    bones=((2, 3),),
    mirror=(1, 0, 2, 3),
    torso=(),
    core=(),
)


def gap_of(before, after, length, **sides):
    before, after = np.asarray(before, np.float32), np.asarray(after, np.float32)

    def sure(joints):
        return np.isfinite(joints).all(axis=2).astype(np.float32)

    return PoseGap(before, after, sure(before), sure(after), length, **sides)


def random_gap(seed=0, context=3, length=8, joints=17, dimensions=2):
    rng = np.random.default_rng(seed)
    return gap_of(*rng.normal(300, 100, (2, context, joints, dimensions)), length)


def along(curve, context, length):
    """Frames of a motion given by a function of time, as a gap and what is in it."""
    frames = np.array([curve(t) for t in range(2 * context + length)])[:, None]
    return gap_of(frames[:context], frames[context + length :], length), frames[context : context + length]


def test_linear_is_a_straight_line():
    gap = random_gap(length=11)
    (filled,) = LINEAR.fill([gap])
    for k in range(11):
        u = (k + 1) / 12
        assert filled[k] == pytest.approx((1 - u) * gap.before[-1] + u * gap.after[0], rel=1e-5)
    assert filled.dtype == np.float32


def test_hermite_meets_places_and_velocities():
    """Against the four cubic basis polynomials, with slopes from a library's fit of a line."""
    gap = random_gap(seed=2, length=9)
    (filled,) = HERMITE.fill([gap])
    flat = [frames.reshape(3, -1).astype(float) for frames in (gap.before, gap.after)]
    m0, m1 = (np.polyfit([0, 1, 2], frames, 1)[0].reshape(17, 2) * 10 for frames in flat)
    for k in range(9):
        u = (k + 1) / 10
        point = (2 * u**3 - 3 * u**2 + 1) * gap.before[-1] + (u**3 - 2 * u**2 + u) * m0
        point = point + (3 * u**2 - 2 * u**3) * gap.after[0] + (u**3 - u**2) * m1
        assert filled[k] == pytest.approx(point, rel=1e-4)


def test_hermite_follows_a_steady_motion_and_one_frame_gives_the_line():
    gap, truth = along(lambda t: (3.0 * t, 100 - 2.0 * t), 3, 12)
    assert HERMITE.fill([gap])[0] == pytest.approx(truth, abs=1e-4)
    bend, _ = along(lambda t: (t**2, 5.0 * t), 3, 12)
    assert HERMITE.fill([with_context(bend, 1)])[0] == pytest.approx(LINEAR.fill([bend])[0], abs=1e-4)
    assert np.abs(HERMITE.fill([bend])[0] - LINEAR.fill([bend])[0]).max() > 1


def test_hermite_is_nearer_to_a_swing_than_the_line():
    gap, truth = along(lambda t: (50 * math.cos(t / 5), 50 * math.sin(t / 5)), 3, 12)
    error, worse = (np.abs(baseline.fill([gap])[0] - truth).mean() for baseline in (HERMITE, LINEAR))
    assert error < 0.35 * worse


def test_velocity_of_what_is_partly_known():
    frames = np.full((1, 3, 4, 2), np.nan)
    frames[0, :, 0] = [[0, 0], [1, 2], [2, 4]]
    frames[0, [0, 2], 1] = [[0, 0], [4, 2]]
    frames[0, 1, 2] = [7, 7]
    assert velocity(frames)[0, :2].tolist() == [[1, 2], [2, 1]]
    assert np.isnan(velocity(frames)[0, 2:]).all()


def test_slerp_turns_a_limb_like_a_clock():
    """The hips walk, the upper arm turns by 90 degrees and the lower by 60 the other way, and grows."""

    def pose(k):
        u = k / 9
        hips = np.array([10.0, 20.0]) * u
        one, other = math.radians(90 * u), math.radians(-60 * u)
        elbow = hips + 30 * np.array([math.cos(one), math.sin(one)])
        wrist = elbow + (20 + 5 * u) * np.array([math.cos(other), math.sin(other)])
        return np.array([[hips[0] + 5, hips[1]], [hips[0] - 5, hips[1]], elbow, wrist])

    gap = gap_of([pose(0)], [pose(9)], 8)
    (filled,) = slerp(ARM).fill([gap])
    for k in range(8):
        assert filled[k] == pytest.approx(pose(k + 1), abs=1e-4)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_directions_turn_at_constant_speed(dimensions):
    rng = np.random.default_rng(dimensions)
    start, end = rng.normal(size=(2, 50, dimensions)) * 7
    whole = [angle(a, b) for a, b in zip(start, end, strict=True)]
    for u in (0.25, 0.5, 0.9):
        on_the_way = turned(start, end, np.array([u]))
        for a, v, b, turn in zip(start, on_the_way, end, whole, strict=True):
            assert angle(a, v) == pytest.approx(u * turn, abs=1e-6)
            assert angle(v, b) == pytest.approx((1 - u) * turn, abs=1e-6)
            assert np.linalg.norm(v) == pytest.approx((1 - u) * np.linalg.norm(a) + u * np.linalg.norm(b))


def angle(a, b):
    return math.acos(max(-1.0, min(1.0, float(a @ b) / float(np.linalg.norm(a) * np.linalg.norm(b)))))


def test_opposite_and_missing_directions_stay_finite():
    halfway = turned(np.array([[3.0, 0.0]]), np.array([[-3.0, 0.0]]), np.array([0.5]))[0]
    assert np.linalg.norm(halfway) == pytest.approx(3)
    assert halfway[0] == pytest.approx(0, abs=1e-9)
    nothing = turned(np.zeros((1, 2)), np.array([[0.0, 4.0]]), np.array([0.5]))[0]
    assert np.isfinite(nothing).all()
    assert np.linalg.norm(nothing) == pytest.approx(2)


def test_the_blend_crosses_from_one_side_to_the_other():
    rng = np.random.default_rng(4)
    out, into = rng.normal(0, 50, (2, 6, 17, 2)).astype(np.float32)
    out[2, 5], into[4, 6] = np.nan, np.nan
    out[3, 7] = into[3, 7] = np.nan
    sure = np.ones((6, 17), np.float32)
    gap = dataclasses.replace(random_gap(length=6), outgoing=Side(out, sure), incoming=Side(into, sure))
    (filled,) = BLEND.fill([gap])
    for k in range(6):
        u = (k + 1) / 7
        weight = 3 * u**2 - 2 * u**3
        expected = (1 - weight) * out[k] + weight * into[k]
        known = np.isfinite(expected)
        assert filled[k][known] == pytest.approx(expected[known], rel=1e-4)
    assert filled[2, 5].tolist() == into[2, 5].tolist()
    assert filled[4, 6].tolist() == out[4, 6].tolist()
    assert filled[3, 7] == pytest.approx(LINEAR.fill([gap])[0][3, 7])
    with pytest.raises(ValueError, match="continuations"):
        BLEND.fill([random_gap()])


@pytest.mark.parametrize("name", ["linear", "hermite", "slerp"])
def test_a_joint_is_where_either_side_knows_it(name):
    gap = random_gap(seed=9)
    gap.before[:, 1] = np.nan  # one side only
    gap.after[0, 4] = np.nan  # later in the same side
    gap.after[:, 6] = np.nan  # the other side only
    unknown = MOTION.joints.index("left_elbow")  # a hand hangs on it that is known
    gap.before[:, unknown] = gap.after[:, unknown] = np.nan
    (filled,) = baselines(MOTION)[name].fill([gap])
    assert np.isnan(filled[:, unknown]).all()
    assert np.isfinite(np.delete(filled, unknown, axis=1)).all()
    start, end = ends([gap])
    assert end[0, 6].tolist() == gap.before[-1, 6].tolist()
    assert start[0, 1].tolist() == gap.after[0, 1].tolist()
    assert end[0, 4].tolist() == gap.after[1, 4].tolist()
    if name != "slerp":  # whose shoulder moves with the hip
        assert filled[:, 1] == pytest.approx(np.broadcast_to(gap.after[0, 1], (8, 2)))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_gaps_of_any_kind_are_filled_together_as_alone(dimensions):
    gaps = [
        random_gap(seed, context, length, dimensions=dimensions)
        for seed, (context, length) in enumerate([(3, 8), (1, 8), (3, 12), (3, 8), (1, 1)])
    ]
    for method in baselines(MOTION).values():
        together = method.fill(gaps)
        assert [joints.shape for joints in together] == [(gap.length, 17, dimensions) for gap in gaps]
        for gap, joints in zip(gaps, together, strict=True):
            assert joints.tolist() == method.fill([gap])[0].tolist()
    assert LINEAR.fill([]) == []


def test_fewer_frames_of_context():
    gap = random_gap()
    less = with_context(gap, 1)
    assert less.before.tolist() == gap.before[-1:].tolist()
    assert less.after.tolist() == gap.after[:1].tolist()
    assert less.confidence_after.shape == (1, 17)
    assert less.shape == (1, 8, 17, 2)
