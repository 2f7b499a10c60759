"""Metrics of in-betweens against loops over their definitions, and cases with a known answer."""

from __future__ import annotations

import cmath
import math

import numpy as np
import pytest

from vmg_backend.evaluation import motion_metrics
from vmg_backend.evaluation.motion_metrics import (
    STILL,
    Sums,
    bone_drift,
    foot_slide,
    l2p,
    mpjpe,
    npss,
    seam_jump,
)

B, N, J, D = 3, 7, 5, 2
BONES = ((0, 1), (1, 2), (3, 4))
FEET = (2, 4)


@pytest.fixture
def motions():
    """Filled, true, trust, torso; some of the truth is unknown, some trusted in part."""
    rng = np.random.default_rng(3)
    truth = np.cumsum(rng.normal(0, 5, (B, N, J, D)), axis=1) + 100
    trust = rng.uniform(0.2, 1, (B, N, J))
    trust[0, 2, 1] = trust[1, :, 3] = 0
    truth[trust == 0] = np.nan
    filled = truth + rng.normal(0, 3, truth.shape)
    return filled, truth, trust, np.array([40.0, 50.0, 60.0])


def length(vector):
    return math.sqrt(sum(float(x) ** 2 for x in vector))


def everywhere(trust):
    return [(b, k, j) for b in range(B) for k in range(N) for j in range(J) if trust[b, k, j] > 0]


def test_mpjpe_is_the_weighted_mean_distance(motions):
    filled, truth, trust, torso = motions
    top = sum(trust[i] * length(filled[i] - truth[i]) / torso[i[0]] for i in everywhere(trust))
    measured = mpjpe(filled, truth, trust, torso)
    assert measured.mean == pytest.approx(top / trust.sum())
    one = Sums(measured.total[[1]], measured.weight[[1]])
    assert one.mean == pytest.approx(
        sum(trust[i] * length(filled[i] - truth[i]) / torso[1] for i in everywhere(trust) if i[0] == 1) / trust[1].sum()
    )
    assert measured.at(np.array([False, True, False])).mean == one.mean


def test_a_known_shift_gives_a_known_error(motions):
    _, truth, trust, torso = motions
    shift = np.array([3.0, 4.0]) * (torso / 10)[:, None, None, None]  # half a torso
    assert mpjpe(truth + shift, truth, trust, torso).mean == pytest.approx(0.5)
    deviation = np.array([[0.3, 0.4]] * J)  # 0.3 torso lengths are one deviation in x, 0.4 are one in y
    assert l2p(truth + shift, truth, trust, torso, deviation).mean == pytest.approx(math.sqrt(2 * J))
    assert bone_drift(truth + shift, truth, trust, torso, BONES).mean == pytest.approx(0, abs=1e-12)
    late = np.nan_to_num(truth)
    assert npss(late - late[:, :1], late - late[:, :1], trust).mean == 0


def test_the_same_motion_has_no_error(motions):
    _, truth, trust, torso = motions
    assert mpjpe(truth, truth, trust, torso).mean == 0
    assert l2p(truth, truth, trust, torso, np.ones((J, D))).mean == 0
    assert npss(truth, truth, trust).mean == 0
    assert bone_drift(truth, truth, trust, torso, BONES).mean == 0


def test_l2p_is_the_distance_of_whole_poses(motions):
    filled, truth, _, torso = motions
    filled, truth = np.nan_to_num(filled), np.nan_to_num(truth)
    deviation = np.random.default_rng(1).uniform(0.2, 2, (J, D))
    distances = []
    for b in range(B):
        for k in range(N):
            pose = [
                (filled[b, k, j, d] - truth[b, k, j, d]) / torso[b] / deviation[j, d] for j in range(J) for d in (0, 1)
            ]
            distances.append(length(pose))
    assert l2p(filled, truth, np.ones((B, N, J)), torso, deviation).mean == pytest.approx(np.mean(distances))


def test_l2p_of_joints_that_are_not_trusted(motions):
    """The others stand for them: with one error for all joints it does not matter how many are trusted."""
    _, truth, trust, torso = motions
    whole = np.nan_to_num(truth)
    moved = whole + torso[:, None, None, None]
    deviation = np.ones((J, D))
    some = l2p(moved, whole, trust, torso, deviation)
    assert some.mean == pytest.approx(l2p(moved, whole, np.ones_like(trust), torso, deviation).mean)
    trust[:] = 0
    assert math.isnan(l2p(moved, whole, trust, torso, deviation).mean)


def plain_npss(filled, truth, trust):
    """Discrete Fourier sums, their powers' shares, and earth carried from one frequency to the next."""
    top = bottom = 0.0
    for b in range(B):
        for j in range(J):
            if not all(trust[b, k, j] > 0 for k in range(N)):
                continue
            for d in range(D):
                powers = []
                for motion in (truth, filled):
                    signal = [motion[b, k, j, d] for k in range(N)]
                    powers.append(
                        [
                            abs(sum(x * cmath.exp(-2j * math.pi * f * k / N) for k, x in enumerate(signal))) ** 2
                            for f in range(N)
                        ]
                    )
                carried = earth = 0.0
                for real, made in zip(*powers, strict=True):
                    carried += made / sum(powers[1]) - real / sum(powers[0])
                    earth += abs(carried)
                top += earth * sum(powers[0])
                bottom += sum(powers[0])
    return top / bottom


def test_npss_by_explicit_sums(motions):
    filled, truth, trust, _ = motions
    assert npss(filled - 100, truth - 100, trust).mean == pytest.approx(plain_npss(filled - 100, truth - 100, trust))


def test_npss_hears_the_pitch_and_not_the_phase():
    k = np.arange(24)

    def wave(turns, phase=0.0):
        return np.cos(2 * np.pi * turns * k / 24 + phase).reshape(1, 24, 1, 1)

    trust = np.ones((1, 24, 1))
    assert npss(wave(3, 1.2), wave(3), trust).mean == pytest.approx(0, abs=1e-12)
    # Power lies half at f and half at 24 - f: half of it is carried by 4 frequencies, twice.
    assert npss(wave(7), wave(3), trust).mean == pytest.approx(4)
    assert npss(0 * wave(3), wave(3), trust).mean > 1  # standing still is no rhythm either


def test_npss_of_what_stands_still():
    zero = np.zeros((1, 8, 1, 2))
    assert math.isnan(npss(zero, zero, np.ones((1, 8, 1))).mean)


def test_seam_jump_is_the_change_of_velocity(motions):
    _, _, _, torso = motions
    rng = np.random.default_rng(5)
    before, after, filled = (rng.normal(0, 30, (B, n, J, D)) for n in (3, 3, N))
    before[1, -2, 4] = np.nan
    jumps = []
    for b in range(B):
        for j in range(J):
            into = (filled[b, 0, j] - before[b, 2, j]) - (before[b, 2, j] - before[b, 1, j])
            out = (after[b, 1, j] - after[b, 0, j]) - (after[b, 0, j] - filled[b, -1, j])
            jumps += [length(jump) / torso[b] for jump in (into, out) if np.isfinite(jump).all()]
    measured = seam_jump(filled, before, after, torso)
    assert measured.weight.sum() == len(jumps) == 2 * B * J - 1
    assert measured.mean == pytest.approx(np.mean(jumps))


def test_steady_motion_does_not_jump():
    times = np.arange(9.0)[None, :, None, None]
    steady = times * np.array([2.0, -1.0])
    jumped = steady.copy()
    jumped[:, 3:6] += 10.0
    ends, torso = (steady[:, :3], steady[:, 6:]), np.array([5.0])
    assert seam_jump(steady[:, 3:6], *ends, torso).mean == pytest.approx(0, abs=1e-12)
    assert seam_jump(jumped[:, 3:6], *ends, torso).mean == pytest.approx(math.sqrt(200) / 5)


def test_bone_drift_is_the_change_of_length(motions):
    filled, truth, trust, torso = motions
    top = bottom = 0.0
    for b in range(B):
        for k in range(N):
            for one, other in BONES:
                weight = min(trust[b, k, one], trust[b, k, other])
                if weight > 0:
                    made, real = (length(x[b, k, one] - x[b, k, other]) for x in (filled, truth))
                    top += weight * abs(made - real) / torso[b]
                    bottom += weight
    assert bone_drift(filled, truth, trust, torso, BONES).mean == pytest.approx(top / bottom)


def test_longer_bones_drift_by_what_they_are_longer():
    truth = np.array([[0.0, 0.0], [0.0, 10.0], [0.0, 30.0]]).reshape(1, 1, 3, 2)
    bones, one = ((0, 1), (1, 2)), np.ones((1, 1, 3))
    assert bone_drift(1.2 * truth, truth, one, np.array([10.0]), bones).mean == pytest.approx(0.2 * (10 + 20) / 2 / 10)
    turned = truth[..., ::-1]
    assert bone_drift(turned, truth, one, np.array([10.0]), bones).mean == 0


def test_foot_slide_is_the_speed_of_feet_that_stand(motions):
    filled, truth, trust, torso = motions
    fps = np.array([24.0, 30.0, 25.0])
    truth = 100 + 0.05 * (np.nan_to_num(truth) - 100)  # some steps stand, some do not
    top = bottom = 0.0
    for b in range(B):
        for k in range(1, N):
            for j in FEET:
                weight = min(trust[b, k, j], trust[b, k - 1, j])
                if length(truth[b, k, j] - truth[b, k - 1, j]) * fps[b] / torso[b] < STILL:
                    top += (
                        weight
                        * length(np.nan_to_num(filled)[b, k, j] - np.nan_to_num(filled)[b, k - 1, j])
                        * fps[b]
                        / torso[b]
                    )
                    bottom += weight
    assert 0 < bottom < sum(np.minimum(trust[:, 1:, j], trust[:, :-1, j]).sum() for j in FEET)
    measured = foot_slide(np.nan_to_num(filled), truth, trust, torso, fps, FEET)
    assert measured.mean == pytest.approx(top / bottom)


def test_a_known_slide():
    still = np.zeros((1, 13, 2, 2))
    slid = still.copy()
    slid[0, :, 1, 0] = np.arange(13) * 0.5  # px per frame
    args = np.ones((1, 13, 2)), np.array([20.0]), np.array([24.0])
    assert foot_slide(slid, still, *args, (1,)).mean == pytest.approx(0.5 * 24 / 20)
    assert foot_slide(slid, still, *args, (0, 1)).mean == pytest.approx(0.5 * 24 / 20 / 2)
    assert math.isnan(foot_slide(slid, slid, *args, (1,)).mean)  # a foot that walks does not slide


def test_what_a_method_leaves_open_is_no_success(motions):
    filled, truth, trust, torso = motions
    filled[2, 3, 0] = np.nan
    assert trust[2, 3, 0] > 0
    for measured in (
        mpjpe(filled, truth, trust, torso),
        l2p(filled, truth, trust, torso, np.ones((J, D))),
        npss(filled, truth, trust),
        bone_drift(filled, truth, trust, torso, BONES),
    ):
        assert math.isnan(measured.mean)
        assert math.isfinite(measured.at(np.array([0, 1])).mean)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("abs", lambda x: np.real(x)),  # the power of the real part only, as code that goes round has it
        ("cumsum", lambda x, axis: x),  # no earth is carried
    ],
)
def test_a_wrong_npss_is_noticed(motions, monkeypatch, name, wrong):
    filled, truth, trust, _ = motions
    right = plain_npss(filled - 100, truth - 100, trust)

    class Wrong:
        def __getattr__(self, what):
            return wrong if what == name else getattr(np, what)

    monkeypatch.setattr(motion_metrics, "np", Wrong())
    assert abs(npss(filled - 100, truth - 100, trust).mean - right) > 1e-3 * right
