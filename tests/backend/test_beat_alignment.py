"""Beat metrics against plain transcriptions of their definitions and cases worked out by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from vmg_backend.evaluation.beat_alignment import (
    beat_alignment_score,
    best_straight,
    hit_rate,
    joint_speed,
    motion_beat_order,
    motion_beats,
)


def plain_speed(joints, valid, looped=False):
    speed = []
    for t in range(len(joints)):
        if (t == 0 and not looped) or not valid[t] or not valid[t - 1]:
            speed.append(math.nan)
            continue
        total = 0.0
        for now, before in zip(joints[t], joints[t - 1], strict=True):
            total += math.sqrt(sum((a - b) ** 2 for a, b in zip(now, before, strict=True)))
        speed.append(total)
    return speed


def plain_beats(speed, order):
    """argrelextrema(less): smaller than each of the `order` neighbours, an end counting as its own neighbour."""
    found = []
    for t in range(len(speed)):
        neighbours = [min(t + k, len(speed) - 1) for k in range(1, order + 1)]
        neighbours += [max(t - k, 0) for k in range(1, order + 1)]
        if all(speed[t] < speed[n] for n in neighbours):
            found.append(t)
    return found


def plain_score(motion, music, sigma=0.05):
    total = 0.0
    for beat in motion:
        nearest = min(abs(beat - m) for m in music)
        total += math.exp(-(nearest**2) / (2 * sigma**2))
    return total / len(motion)


def plain_hits(motion, music, tolerance=0.07):
    return sum(any(abs(m - beat) <= tolerance for beat in motion) for m in music) / len(music)


def walk(frames, seed=0):
    """Smooth joints [T, 5, 2] with pauses, as a dancer's."""
    rng = np.random.default_rng(seed)
    pace = 1.2 + np.sin(np.cumsum(rng.uniform(0.2, 0.5, frames)))[:, None, None]
    return np.cumsum(pace * rng.normal(1.0, 0.1, (frames, 5, 2)), axis=0)


def test_speed_by_hand():
    joints = np.array([[[0.0, 0.0], [1.0, 1.0]], [[3.0, 4.0], [1.0, 1.0]], [[3.0, 4.0], [1.0, 3.0]]])
    valid = np.ones(3, bool)
    np.testing.assert_array_equal(joint_speed(joints, valid), [np.nan, 5.0, 2.0])
    np.testing.assert_array_equal(joint_speed(joints, valid, looped=True), [7.0, 5.0, 2.0])
    np.testing.assert_array_equal(joint_speed(joints, np.array([True, False, True])), [np.nan] * 3)


@pytest.mark.parametrize("looped", [False, True])
def test_speed_equals_the_plain_one(looped):
    joints = walk(60)
    valid = np.random.default_rng(1).random(60) > 0.1
    np.testing.assert_allclose(joint_speed(joints, valid, looped=looped), plain_speed(joints, valid, looped))


@pytest.mark.parametrize(
    ("fps", "order"), [(60, 10), (30, 5), (Fraction(30000, 1001), 5), (24, 4), (25, 4), (20, 3), (8, 1), (2, 1)]
)
def test_order(fps, order):
    assert motion_beat_order(fps) == order


def test_motion_beats_by_hand():
    speed = np.full(31, 5.0)
    speed[0] = np.nan
    speed[10] = 1.0
    speed[20], speed[21] = 2.0, 2.0  # not strict
    speed[3] = 1.0  # its minimality cannot be told: frame 0 is within the order
    assert motion_beats(speed, 24).tolist() == [10]
    speed[14] = np.nan  # within 4 frames of the minimum
    assert motion_beats(speed, 24).tolist() == []


@pytest.mark.parametrize("fps", [60, 30, 24])
def test_motion_beats_equal_the_plain_ones(fps):
    for seed in range(5):
        joints = walk(300, seed)
        valid = np.ones(300, bool)
        valid[100:110] = False
        speed = joint_speed(joints, valid)
        found = motion_beats(speed, fps).tolist()
        assert found == plain_beats(speed.tolist(), motion_beat_order(fps))
        assert len(found) > 2


def test_the_unknown_first_speed_acts_as_the_published_zero():
    """AIST++'s code sets e_0 = 0, which no frame within the order can undercut: the same motion beats."""
    for seed in range(20):
        speed = joint_speed(walk(120, seed), np.ones(120, bool))
        published = np.where(np.isnan(speed), 0.0, speed)
        assert motion_beats(speed, 30).tolist() == plain_beats(published.tolist(), 5)


def test_score_by_hand():
    assert beat_alignment_score([1.0, 2.0], [2.0, 1.0, 5.0]) == 1.0
    assert beat_alignment_score([1.05], [1.0]) == pytest.approx(math.exp(-0.5))
    assert beat_alignment_score([1.0, 1.1], [1.0]) == pytest.approx((1 + math.exp(-2)) / 2)
    assert beat_alignment_score([], [1.0]) == 0.0
    assert beat_alignment_score([1.0], []) == 0.0


def test_hit_rate_by_hand():
    music = [1.0, 2.0, 3.0, 4.0]
    assert hit_rate([1.069, 1.95, 3.071], music) == 0.5
    assert hit_rate([2.5], music, tolerance=0.5) == 0.5
    assert hit_rate([], music) == 0.0
    assert hit_rate([1.0], []) == 0.0


def test_metrics_equal_the_plain_ones():
    rng = np.random.default_rng(3)
    for _ in range(50):
        motion, music = rng.uniform(0, 10, rng.integers(1, 30)), rng.uniform(0, 10, rng.integers(1, 30))
        assert beat_alignment_score(motion, music) == pytest.approx(plain_score(motion, music))
        assert hit_rate(motion, music) == pytest.approx(plain_hits(motion, music))


@pytest.mark.parametrize(("length", "frames"), [(150, 60), (97, 250), (40, 41), (9, 60), (200, 200)])
@pytest.mark.parametrize("gap", [False, True])
def test_best_straight_equals_measuring_each_looped_video(length, frames, gap):
    joints, fps = walk(length, seed=length), 24
    valid = np.ones(length, bool)
    if gap:
        valid[length // 2 : length // 2 + 5] = False
    music = np.arange(0.3, frames / fps, 0.47)
    scores, hits = [], []
    for start in range(length):
        shown = [(start + k) % length for k in range(frames)]
        speed = plain_speed(joints[shown].tolist(), valid[shown])
        beats = [frame / fps for frame in plain_beats(speed, 4)]
        scores.append(plain_score(beats, music) if beats else 0.0)
        hits.append(plain_hits(beats, music))
    best = best_straight(joint_speed(joints, valid, looped=True), fps, music, frames)
    assert best.score == pytest.approx(max(scores))
    assert best.hit_rate == pytest.approx(max(hits))
    assert scores[best.score_offset] == pytest.approx(max(scores))
    assert hits[best.hit_rate_offset] == pytest.approx(max(hits))


def test_best_straight_finds_the_start_that_fits():
    """Pauses every 12 frames from frame 7 on, beats every half second: starting 7 frames in, all are met."""
    speed = np.full(240, 5.0)
    speed[7::12] = 1.0
    best = best_straight(speed, 24, np.arange(0.5, 5.0, 0.5), 120)
    assert best.score == 1.0
    assert best.score_offset % 12 == 7
    assert best.hit_rate == 1.0


def test_best_straight_bounds_the_comparison_at_the_end():
    """Frame 100 undercuts only what is shown after it when the video ends one frame later."""
    speed = np.full(300, 5.0)
    speed[100] = 1.0
    speed[102:107] = np.nan
    best = best_straight(speed, 24, [118 / 24], 120)
    assert (best.score, best.hit_rate) == (1.0, 1.0)
    assert best.score_offset == (100 - 118) % 300


def test_best_straight_without_anything_to_find():
    best = best_straight(np.full(50, 2.0), 24, [0.5, 1.0], 48)
    assert (best.score, best.hit_rate) == (0.0, 0.0)
    speed = np.full(50, 5.0)
    speed[20] = 1.0
    assert best_straight(speed, 24, [], 48).score == 0.0
    assert best_straight(speed, 24, [0.5], 3).score == 0.0
