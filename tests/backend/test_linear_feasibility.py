"""Where straight lines would do: against loops over the definition, motions made for it, and real footage."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from itertools import pairwise
from pathlib import Path as FilePath

import numpy as np
import pytest

from vmg_backend.evaluation.linear_feasibility import (
    NEAR,
    SURE,
    gap_errors,
    linear_feasibility,
    torso_lengths,
    with_linear,
)
from vmg_backend.footage import open_footage, parse_fps
from vmg_backend.graph.features import JOINTS, RHYTHM_JOINTS, MotionFeatures, motion_features
from vmg_backend.graph.motion_graph import MotionGraph
from vmg_backend.pose.mediapipe_estimator import MediapipeEstimator
from vmg_backend.search.path import FootageEntry, FrameOf, Path, Segment, Transition

TORSO = 100.0
KNOWN = [JOINTS.index(name) for name in RHYTHM_JOINTS]
WRIST = RHYTHM_JOINTS.index("left_wrist")


def still(frames):
    """A person who stands: a torso of 100 px, everything else on a grid."""
    pose = np.stack([np.arange(13) * 20.0, np.arange(13) % 3 * 30.0], axis=1)
    for side, x in (("left", 20.0), ("right", -20.0)):
        pose[RHYTHM_JOINTS.index(f"{side}_shoulder")] = [x, -TORSO]
        pose[RHYTHM_JOINTS.index(f"{side}_hip")] = [x, 0]
    return np.repeat(pose[None], frames, axis=0) + 300


def features_of(*motions, fps=24, runs=None, confidence=None):
    rhythm = np.concatenate(motions)
    nodes = len(rhythm)
    offsets = np.concatenate([[0], np.cumsum([len(motion) for motion in motions])])
    sure = np.ones((nodes, len(JOINTS))) if confidence is None else confidence
    spans = [(a, b - 1) for a, b in pairwise(offsets)] if runs is None else runs
    given = {
        field.name: np.zeros((nodes, 1)) for field in dataclasses.fields(MotionFeatures)
    }  # what is not looked at here
    given |= {
        "rhythm": rhythm,
        "confidence": sure,
        "runs": np.array(spans, np.int32),
        "offsets": offsets.astype(np.int64),
        "fps": Fraction(fps),
    }
    return MotionFeatures(**given)


def swinging(frames, amplitude, period):
    """One wrist swings to and fro, so many torso lengths to either side."""
    motion = still(frames)
    motion[:, WRIST, 0] += amplitude * TORSO * np.sin(2 * np.pi * np.arange(frames) / period)
    return motion


def test_by_loops_over_the_definition():
    rng = np.random.default_rng(2)
    motion = still(40) + rng.normal(0, 8, (40, 13, 2))
    confidence = rng.uniform(0.45, 1, (40, len(JOINTS)))
    features = features_of(motion, fps=10, runs=[(0, 17), (20, 39)], confidence=confidence)
    errors, torso = gap_errors(features), torso_lengths(features)
    for start in range(40):
        end = start + 6  # 5 frames at 10 a second
        if not (end <= 17 or (start >= 20 and end <= 39)):
            assert math.isnan(errors[start])
            continue
        sure = [j for j in range(13) if all(confidence[t, KNOWN[j]] >= SURE for t in range(start, end + 1))]
        if not sure:
            assert math.isnan(errors[start])
            continue
        worst = []
        for k in range(1, 6):
            line = (1 - k / 6) * motion[start] + k / 6 * motion[end]
            worst.append(max(math.dist(line[j], motion[start + k][j]) for j in sure))
        assert errors[start] == pytest.approx(sum(worst) / 5 / torso[start])
    assert np.isfinite(errors).sum() >= 15


def test_the_torso_is_its_90th_percentile_within_a_second():
    motion = still(60)
    bent = [RHYTHM_JOINTS.index(f"{side}_shoulder") for side in ("left", "right")]
    motion[:, bent, 1] += np.linspace(0, 60, 60)[:, None]  # ever more stooped
    features = features_of(motion, fps=10)
    for node in (0, 25, 59):
        near = np.sort([TORSO - 60 * t / 59 if 0 <= t < 60 else np.nan for t in range(node - 10, node + 11)])
        near = near[np.isfinite(near)]
        assert near[0] <= torso_lengths(features)[node] <= near[-1]
    assert torso_lengths(features)[25] == pytest.approx(np.percentile(100 - 60 * np.arange(15, 36) / 59, 90), abs=0.2)


def test_steady_motion_is_feasible_and_a_swing_is_not():
    gliding = still(80) + np.arange(80)[:, None, None] * 7.0
    assert linear_feasibility(features_of(gliding)).library == 1.0
    assert linear_feasibility(features_of(swinging(80, 0.5, 13))).library == 0.0
    both = linear_feasibility(features_of(gliding, swinging(80, 0.5, 13)))
    assert both.footages == (1.0, 0.0)
    assert both.library == pytest.approx(0.5)


def test_the_threshold_is_where_it_is_said_to_be():
    """A whole swing in 13 frames leaves the wrist's error against a still line: the mean of |sin| over 12 frames."""
    mean = np.mean([abs(math.sin(2 * math.pi * k / 13)) for k in range(1, 13)])
    for scale, share in ((0.97, 1.0), (1.03, 0.0)):
        motion = swinging(14, scale * NEAR / mean, 13)
        assert linear_feasibility(features_of(motion)).library == share


@pytest.mark.parametrize(("fps", "length"), [(24, 12), (25, 12), (30, 15), (60, 30)])
def test_half_a_second_at_any_rate(fps, length):
    """A sine wave and its chord: their distance, on the mean over where the gap starts and over the gap."""
    start, u = np.meshgrid(np.linspace(0, 2 * np.pi, 721), np.arange(1, length + 1) / (length + 1), indexing="ij")
    span = 2 * np.pi * (length + 1) / fps
    chord = (1 - u) * np.sin(start) + u * np.sin(start + span)
    expected = 0.3 * np.abs(chord - np.sin(start + span * u)).mean()
    times = np.arange(0, 8, 1 / fps)
    motion = still(len(times))
    motion[:, WRIST, 0] += 0.3 * TORSO * np.sin(2 * np.pi * times)
    errors = gap_errors(features_of(motion, fps=fps))
    assert np.isfinite(errors).sum() == len(times) - length - 1
    assert np.nanmean(errors) == pytest.approx(expected, rel=0.02)


def test_a_joint_that_the_estimator_guesses_does_not_decide():
    confidence = np.ones((80, len(JOINTS)))
    confidence[:, KNOWN[WRIST]] = SURE - 0.1
    features = features_of(swinging(80, 0.5, 13), confidence=confidence)
    assert linear_feasibility(features).library == 1.0
    confidence[:] = 0.2
    nothing = linear_feasibility(features)
    assert nothing.library is None
    assert nothing.footages == (None,)


def test_short_runs_hold_no_gap():
    assert linear_feasibility(features_of(still(13))).library is None
    assert linear_feasibility(features_of(still(14))).library == 1.0
    assert linear_feasibility(features_of(still(40), still(13))).footages == (1.0, None)


def path_with(*transitions):
    entry = FootageEntry("a.mp4", "a.mp4", "24", (1, 1), ())
    return Path(
        fps=Fraction(24), frames=100, footages={"a": entry, "b": entry}, segments=(Segment("a", 0, 99, 0),),
        transitions=transitions, audio=None, beats=(), cost=0.0, bound=0.0, gap=0.0, costs={}, beat_alignment=None,
        reuse_window=0.0, seed=0,
    )  # fmt: skip


def transition(one, other, half, source="a", target="b"):
    """A cut from frame `one` to frame `other` + 1 of another footage."""
    return Transition(
        id=0, from_=FrameOf(source, one - half), to=FrameOf(target, other + 1 + half), match=(one, other + 1), at=0,
        frames=2 * half, engine=None, cost=0.0, connector=False,
    )  # fmt: skip


def graph_of(features):
    none = np.zeros(0)
    return MotionGraph(
        ("a", "b"), features.offsets, features.runs, none, none, none, none, none, 0.0, 0.0, features.fps
    )


def test_a_transition_is_held_against_the_blend_of_both_continuations():
    rng = np.random.default_rng(6)
    one, other = (still(60) + np.cumsum(rng.normal(0, 3, (60, 13, 2)), axis=0) for _ in range(2))
    features = features_of(one, other)
    half, i, j = 6, 20, 30
    errors = []
    for k in range(1, 13):
        u = k / 13
        blend = (1 - (3 * u**2 - 2 * u**3)) * one[i - half + k] + (3 * u**2 - 2 * u**3) * other[j - half + k]
        line = (1 - u) * one[i - half] + u * other[j + half + 1]
        errors.append(max(math.dist(a, b) for a, b in zip(line, blend, strict=True)))
    error = sum(errors) / 12 / torso_lengths(features)[i - half]
    # Shrunk until it is just near enough, and grown until it is not: nothing but the motion's size changes.
    middle = still(60)
    for scale, near in ((0.97, True), (1.03, False)):
        size = scale * NEAR / error
        smaller = features_of(*(middle + size * (motion - middle) for motion in (one, other)))
        size *= torso_lengths(smaller)[i - half] / torso_lengths(features)[i - half]
        smaller = features_of(*(middle + size * (motion - middle) for motion in (one, other)))
        path = with_linear(path_with(transition(i, j, half)), graph_of(smaller), smaller)
        assert path.transitions[0].linear is near


def test_what_cannot_be_told_is_not_told():
    features = features_of(still(60), still(60))
    graph = graph_of(features)
    cases = {
        transition(20, 20, 6): True,
        transition(53, 20, 6): True,  # goes on to the last frame, 59
        transition(54, 20, 6): None,  # the outgoing side ends too early
        transition(20, 5, 6): True,  # begins with the first frame
        transition(20, 4, 6): None,  # the incoming side begins too late
        transition(20, 20, 6, target="gone"): None,
    }
    told = with_linear(path_with(*cases), graph, features)
    assert [one.linear for one in told.transitions] == list(cases.values())
    assert told.transitions == path_with(*cases).transitions  # it is no part of what a transition is
    unsure = dataclasses.replace(features, confidence=np.zeros_like(features.confidence))
    assert with_linear(path_with(transition(20, 20, 6)), graph, unsure).transitions[0].linear is None


def test_what_a_path_says_survives_its_file(tmp_path):
    path = path_with(dataclasses.replace(transition(20, 20, 6), at=40, linear=True))
    whole = dataclasses.replace(path, segments=(Segment("a", 0, 39, 0), Segment("b", 40, 87, 52)), frames=100)
    whole.save(tmp_path / "path.json")
    assert Path.load(tmp_path / "path.json").transitions[0].linear is True
    data = whole.as_dict()
    del data["transitions"][0]["linear"]  # as versions before this one wrote it
    assert Path.from_dict(data, "path", "").transitions[0].linear is None


@pytest.mark.long
def test_speech_is_feasible_and_dance_is_not(media: FilePath):
    """The paper's order of magnitude: 78 % of speech gestures, 17 % of dance; here of five seconds of each."""

    def share(name, fps=None, frames=150):
        part = np.array([[0, frames - 1]], np.int32)
        clip = open_footage(media / "footage" / name, fps=parse_fps(fps) if fps else None)
        clip = dataclasses.replace(clip, pts=clip.pts[:frames], shots=part, ranges=part)
        return linear_feasibility(motion_features([clip], [MediapipeEstimator().track(clip, workers=2)])).library

    assert 0.7 < share("talk_gestures.mp4") < 0.95
    assert 0.02 < share("dance_routine.mp4", "30") < 0.25
