"""The protocol of `vmg evaluate motion` on motions whose errors are known, and the page that shows them."""

from __future__ import annotations

import json
import math
import re
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from vmg_backend.cli import LONGEST_GAP, main
from vmg_backend.errors import UserError
from vmg_backend.evaluation.motion import (
    CONTEXTS,
    SPEEDS,
    Takes,
    evaluate_motion,
    fill_gaps,
    metrics,
    true_speed,
)
from vmg_backend.evaluation.motion_metrics import Sums
from vmg_backend.evaluation.motion_page import motion_page
from vmg_backend.evaluation.motion_sources import estimated_gaps, footage_gaps, mocap_gaps
from vmg_backend.footage import Footage
from vmg_backend.motion.baselines import LINEAR, baselines
from vmg_backend.motion.features import LONGEST
from vmg_backend.motion.gap import PoseGap, TrueGap
from vmg_backend.pose.mapping import convert
from vmg_backend.pose.skeletons import CMU38, MEDIAPIPE, MOTION
from vmg_backend.pose.track import PoseTrack
from vmg_backend.training.mocap import NPZ_BODY, Motion

BASELINES = baselines(MOTION)
FPS, TORSO = 30.0, 50.0


class Away:
    """Knows the truth, and fills it so many px beside."""

    def __init__(self, gaps, name, px):
        self.name = name
        self._truth = {gap.gap.before[-1].tobytes(): gap.truth for gap in gaps}
        self._px = px

    def fill(self, gaps, seed=0):
        return [self._truth[gap.before[-1].tobytes()] + np.float32(self._px) for gap in gaps]


def stand():
    """A person of 17 joints with a torso of 50 px."""
    rng = np.random.default_rng(0)
    pose = rng.uniform(-60, 60, (17, 2))
    pose[list(MOTION.index("left_shoulder", "right_shoulder"))] = [[-15, -50], [15, -50]]
    pose[list(MOTION.index("left_hip", "right_hip"))] = [[-10, 0], [10, 0]]
    return pose + np.array([400, 300])


def gap_of(motion, length, take):
    """The gap in the middle of a motion [n + 6, 17, 2]."""
    motion = motion.astype(np.float32)
    sure = np.ones((3, 17), np.float32)
    return TrueGap(
        PoseGap(motion[:3], motion[3 + length :], sure, sure, length),
        motion[3 : 3 + length],
        np.ones((length, 17), np.float32),
        TORSO,
        FPS,
        take,
    )


def swings(length, count=12, takes=4, seed=0):
    """Gaps in which every joint swings in a circle; gap k is k + 1 times as fast as the first."""
    rng = np.random.default_rng(seed)
    times = np.arange(length + 6)[:, None, None] / FPS
    found = []
    for k in range(count):
        turn = 2 * np.pi * rng.random((1, 17, 1)) + 0.6 * (k + 1) * times
        motion = stand() + 12 * np.concatenate([np.cos(turn), np.sin(turn)], axis=2)
        found.append(gap_of(motion, length, f"take {k * takes // count}"))
    return found


@pytest.fixture(scope="module")
def gaps():
    return swings(8) + swings(24, seed=1)


@pytest.fixture(scope="module")
def methods(gaps):
    return {**BASELINES, "oracle": Away(gaps, "oracle", 0), "beside": Away(gaps, "beside", (3, 4))}


@pytest.fixture(scope="module")
def result(gaps, methods):
    return evaluate_motion(gaps, methods, BASELINES.keys())


def test_every_cell_is_there(result, methods):
    for metric in ("mpjpe", "l2p", "npss", "bone_drift", "seam_jump", "foot_slide"):
        for table in (result[metric], result["interval_95"][metric]):
            assert list(table) == ["8", "24"]
            for length in table.values():
                assert list(length) == ["1", "3"]
                for context in length.values():
                    assert list(context) == list(SPEEDS)
                    for values in context.values():
                        assert values.keys() - {"truth"} == methods.keys()
    assert result["n"]["gaps"]["8"] == {"all": 12, "slow": 4, "middle": 4, "fast": 4}
    assert result["n"]["takes"]["24"] == {"all": 4, "slow": 2, "middle": 2, "fast": 2}
    json.dumps(result, allow_nan=False)


def test_methods_get_the_errors_that_they_make(result):
    for length in ("8", "24"):
        for context in ("1", "3"):
            values = result["mpjpe"][length][context]["all"]
            assert values["oracle"] == 0
            assert values["beside"] == pytest.approx(5 / TORSO, rel=1e-4)
            assert result["interval_95"]["mpjpe"][length][context]["all"]["beside"] == pytest.approx(
                [5 / TORSO] * 2, rel=1e-4
            )
            seams = result["seam_jump"][length][context]["all"]
            assert seams["truth"] == pytest.approx(seams["oracle"])
            assert seams["beside"] > seams["truth"]
    same = result["mpjpe"]["8"]["1"]["fast"]
    assert same["hermite"] == pytest.approx(same["linear"])  # no velocity is known
    assert result["mpjpe"]["8"]["3"]["fast"]["hermite"] < 0.5 * result["mpjpe"]["8"]["3"]["fast"]["linear"]


def test_an_error_worked_out_for_one_gap():
    """The line between two points of a circle is a chord: its distance from the arc is known at every moment."""
    times = np.arange(14)[:, None, None] * 0.1
    motion = stand() + np.concatenate([np.cos(times), np.sin(times)], axis=2) * 20
    measured = evaluate_motion([gap_of(motion, 8, "one")], {"linear": LINEAR}, ["linear"])
    errors = []
    for k in range(1, 9):
        arc = cmath_point(0.2 + 0.1 * k)
        chord = (1 - k / 9) * cmath_point(0.2) + k / 9 * cmath_point(0.2 + 0.9)
        errors.append(20 * abs(arc - chord) / TORSO)
    assert measured["mpjpe"]["8"]["3"]["all"]["linear"] == pytest.approx(np.mean(errors), rel=1e-3)
    assert measured["speeds"]["8"] == pytest.approx([20 * 2 * math.sin(0.05) * FPS / TORSO] * 2, rel=1e-3)
    assert measured["interval_95"]["mpjpe"]["8"]["3"]["all"]["linear"] == []  # one take says nothing about others


def cmath_point(angle):
    return complex(math.cos(angle), math.sin(angle))


def test_thirds_are_by_the_true_speed(result):
    filled = fill_gaps(swings(8), {}, 3)
    speed = true_speed(filled)
    assert np.all(np.diff(speed) > 0)  # as they were made
    slow, fast = result["speeds"]["8"]
    assert speed[3] < slow <= speed[4]
    assert speed[7] < fast <= speed[8]
    table = result["mpjpe"]["8"]["1"]
    assert table["slow"]["linear"] < table["middle"]["linear"] < table["fast"]["linear"]
    assert table["all"]["linear"] == pytest.approx(np.mean([table[name]["linear"] for name in SPEEDS[1:]]))


def test_ratios_are_to_the_line_and_to_the_best_rival(result):
    cell, errors = result["ratios"]["8"]["3"]["fast"], result["mpjpe"]["8"]["3"]["fast"]
    best = min(BASELINES, key=lambda name: errors[name])
    assert cell["beside"]["linear"]["ratio"] == pytest.approx(errors["beside"] / errors["linear"])
    assert cell["beside"]["best"]["rival"] == best == "hermite"
    assert cell["beside"]["best"]["ratio"] == pytest.approx(errors["beside"] / errors["hermite"])
    assert cell["oracle"]["best"]["ratio"] == 0
    assert "best" not in cell["hermite"]
    low, high = cell["beside"]["linear"]["interval_95"]
    assert low < cell["beside"]["linear"]["ratio"] < high
    # Without velocities Hermite's curve is the line: a tie is not a new rival.
    assert result["ratios"]["8"]["1"]["fast"]["beside"]["best"]["rival"] == "linear"


def test_takes_are_resampled_and_not_windows():
    """Two takes, one good and one bad: however many windows they have, either may be drawn twice."""
    takes = ["good"] * 50 + ["bad"] * 50
    sums = Sums(np.repeat([0.1, 0.3], 50), np.ones(100))
    assert Takes(takes).interval(sums) == pytest.approx([0.1, 0.3])
    assert Takes([str(k) for k in range(100)]).interval(sums) == pytest.approx([0.18, 0.22], abs=0.01)
    twice = Sums(2 * sums.total, sums.weight)
    assert Takes(takes).interval(twice, sums) == pytest.approx([2, 2])  # paired: the takes' difference cancels out


def test_the_interval_covers_the_truth():
    """Of 200 samples of 30 takes, some 19 in 20 intervals hold the mean that all were drawn from."""
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        values = rng.exponential(1.0, 30)
        low, high = Takes([str(k) for k in range(30)]).interval(Sums(values, np.ones(30)))
        covered += low <= 1.0 <= high
    assert 174 <= covered <= 198


def test_context_is_what_methods_are_told(gaps):
    class Asks:
        name = "asks"

        def fill(self, gaps, seed=0):
            self.contexts = {len(gap.before) for gap in gaps} | {len(gap.after) for gap in gaps}
            return LINEAR.fill(gaps)

    asks = Asks()
    for context in CONTEXTS:
        fill_gaps(gaps[:3], {"asks": asks}, context)
        assert asks.contexts == {context}


def test_truth_that_is_not_known_does_not_count(gaps):
    gap = gaps[0]
    truth, sure = gap.truth.copy(), gap.confidence.copy()
    truth[2, 5], sure[2, 5] = np.nan, 0
    before, after = gap.gap.before.copy(), gap.gap.after.copy()
    before[:, 9] = after[:, 9] = np.nan
    holes = TrueGap(
        PoseGap(before, after, gap.gap.confidence_before, gap.gap.confidence_after, gap.gap.length),
        truth,
        sure,
        TORSO,
        FPS,
        "x",
    )
    filled = fill_gaps([holes], BASELINES, 3)
    assert filled.trust[0, 2, 5] == 0
    assert (filled.trust[0, :, 9] == 0).all()
    assert filled.trust.sum() == 8 * 17 - 8 - 1
    measured = metrics(filled)
    for sums in measured.values():
        assert all(np.isfinite(one.total).all() for one in sums.values())
    assert measured["npss"]["linear"].weight.sum() == 0  # a hip is missing: no pose is known about the hips


def test_nothing_to_measure_is_said():
    with pytest.raises(UserError, match="long enough"):
        evaluate_motion([], BASELINES, BASELINES.keys())


@pytest.fixture(scope="module")
def page(gaps, methods, result):
    return motion_page(gaps, methods, result, "Circles & <swings>")


def test_the_page_needs_nothing_else(page):
    assert not re.search(r"(src|href)=|url\(|@import|<script", page)
    assert "Circles &amp; &lt;swings&gt;" in page


def test_the_page_shows_ten_numbered_gaps_of_each_method(page, methods):
    figures = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]  # noqa: S314
    assert len(figures) == 10
    assert re.findall(r"<h2>(\d+)\.", page) == [str(number) for number in range(1, 11)]
    for figure in figures:
        texts = [text.text for text in figure.iter("text")]
        assert [text for text in texts if not re.match(r"\d", text)] == ["truth", *methods]
        assert texts.count("0.000") == 1  # the oracle
        assert "0.100" in texts  # 5 px of 50
        assert len(list(figure.iter("rect"))) == (len(methods) + 1) * 7
        width, height = (float(size) for size in figure.get("viewBox").split()[2:])
        for curve in figure.iter("path"):
            for point in re.findall(r"[-\d.]+ [-\d.]+", curve.get("d")):
                x, y = map(float, point.split())
                assert 0 <= x <= width
                assert 0 <= y <= height


def test_the_page_takes_the_fastest_of_each_take_first(page):
    headings = re.findall(r"<h2>\d+\. (take \d), ([\d.]+)", page)
    assert [take for take, _ in headings] == ["take 3", "take 2", "take 1", "take 0"] * 2 + ["take 3", "take 2"]
    speeds = [float(speed) for _, speed in headings]
    for ranked in (speeds[:4], speeds[4:8], speeds[8:]):
        assert ranked == sorted(ranked, reverse=True)
    assert max(speeds) == speeds[0] > speeds[4] > speeds[1]


def test_the_page_tells_all_results(page, result):
    for length in ("8", "24"):
        for speed in SPEEDS:
            assert f"{result['mpjpe'][length]['3'][speed]['linear']:.3f}" in page
    assert page.count("<table>") == 6
    assert f"{12} of 8 frames (4 takes)" in page


def test_no_long_gaps_is_no_page_of_pictures(methods):
    short = swings(8)
    told = evaluate_motion(short, BASELINES, BASELINES.keys())
    assert "<svg" not in motion_page(short, BASELINES, told, "Short")


def standing_archive(folder, subject):
    """Two takes of a person who stands and circles the arms, in the form of CMU's action archive."""
    rng = np.random.default_rng(1)
    at = {"root": (0, 0.9, 0), "head": (0, 1.55, 0), "head_end": (0, 1.7, 0)}
    for side, x in (("l", 0.2), ("r", -0.2)):
        limbs = {
            "femur": (x / 2, 0.9, 0), "tibia": (x / 2, 0.5, 0), "foot": (x / 2, 0.1, 0), "toes_end": (x / 2, 0, 0.2),
            "humerus": (x, 1.4, 0), "radius": (2 * x, 1.2, 0), "wrist": (3 * x, 1.2, 0), "fingers": (3.5 * x, 1.2, 0),
        }  # fmt: skip
        at |= {f"{side}_{name}": place for name, place in limbs.items()}
    pose = np.array([at.get(name, (0, 0, 0)) for name in CMU38.joints])
    takes = {}
    for number in range(2):
        turn = np.cumsum(rng.uniform(0.1, 0.3, 90))
        motion = np.repeat(pose[None], 90, axis=0)
        for side in ("l", "r"):
            for name in ("radius", "wrist", "fingers"):
                joint = CMU38.joints.index(f"{side}_{name}")
                motion[:, joint, 1:] += 0.15 * np.stack([np.sin(turn), np.cos(turn)], axis=1)
        takes[f"take_{number}"] = (motion - pose[0]) / NPZ_BODY  # the root lies at the origin
    file = folder / f"{subject}.npz"
    np.savez(file, joint_names=np.array(CMU38.joints), parents=np.array(CMU38.parents), **takes)
    return file


def new_weights(folder):
    """A network that has learned nothing, and so corrects nothing: what is linear stays linear."""
    torch = pytest.importorskip("torch")
    from vmg_backend.motion.network import MotionTransformer, Size
    from vmg_backend.motion.regression import Tables
    from vmg_backend.motion.weights import Weights

    torch.manual_seed(0)
    tensors = {name: t.numpy() for name, t in MotionTransformer(Size(17, 16, 1, 4)).state_dict().items()}
    shape = (2, 3, 65, 64)
    tables = Tables(
        np.zeros((*shape, 6), np.float32), np.zeros((*shape[:3], 8), np.float32), np.ones(shape, np.float32)
    )
    rules = [
        {"context": context, "kind": "exact", "longest": None, "farthest": None, "method": method}
        for context, method in ((1, "linear"), (3, "mdm"))
    ]
    file = folder / "new.safetensors"
    Weights(tensors, 4, tables, {"choice": rules}).save(file)
    return file


def test_the_verb_measures_motion_capture(tmp_path, capsys):
    page = tmp_path / "page.html"
    words = ["evaluate", "motion", "--motion", str(standing_archive(tmp_path, "02")), "--lengths", "8,24", "--json"]
    assert main([*words, "--weights", str(new_weights(tmp_path)), "--page", str(page)]) == 0
    result = json.loads(capsys.readouterr().out)
    cell = result["mpjpe"]["24"]["3"]["all"]
    assert list(cell) == ["linear", "hermite", "slerp", "mdm", "choice"]
    assert cell["mdm"] == pytest.approx(cell["linear"], rel=1e-3)
    assert cell["hermite"] != pytest.approx(cell["linear"], rel=1e-2)
    assert cell["choice"] == pytest.approx(cell["mdm"], rel=1e-6)
    cell = result["mpjpe"]["24"]["1"]["all"]
    assert cell["mdm"] == pytest.approx(cell["linear"], rel=1e-3)
    assert result["n"]["takes"]["8"]["all"] == 2
    assert result["n"]["gaps"]["8"]["all"] == 2 * 10  # 90 frames, a gap in every 8 but the margins of 3
    assert page.read_text(encoding="utf-8").count("<svg") == 6


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Name footage"),
        (["x.mp4", "--motion", "y"], "Name footage"),
        (["--motion", "y", "--page", "page.pdf"], "page.pdf"),
        (["--motion", "y", "--lengths", "8,65"], "8,65"),
        (["--motion", "y", "--lengths", "x"], "whole numbers"),
    ],
)
def test_the_verb_says_what_is_wrong(words, said, capsys):
    assert main(["evaluate", "motion", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_part_without_takes_is_said(tmp_path, capsys):
    words = ["evaluate", "motion", "--motion", str(standing_archive(tmp_path, "02")), "--part", "validation"]
    assert main([*words, "--weights", str(new_weights(tmp_path))]) == 2
    assert "No take is as long" in capsys.readouterr().err


def test_the_longest_gap_is_the_networks():
    assert LONGEST_GAP == LONGEST


def footage_of(seconds, fps, shots):
    frames = round(seconds * fps)
    footage = Footage(
        path=Path("swing.mp4"), id="s", fps=Fraction(fps), size=(800, 600), rotation=0, pts=np.arange(frames),
        time_base=Fraction(1, fps), variable_rate=False, shots=np.array(shots, np.int32),
        ranges=np.array([[0, frames - 1]], np.int32),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    turn = np.arange(frames)[:, None, None] * 0.1 + rng.uniform(0, 6, (1, 75, 1))
    image = 300 + 40 * np.concatenate([np.cos(turn), np.sin(turn)], axis=2) + rng.normal(0, 60, (1, 75, 2))
    track = PoseTrack(
        image.astype(np.float32), np.zeros((frames, 75, 3), np.float32), np.ones((frames, 75), np.float32),
        np.ones(frames, np.bool_), "mediapipe",
    )  # fmt: skip
    return footage, track


def test_footage_is_cut_into_gaps_and_takes():
    footage, track = footage_of(21, 25, [[0, 299], [300, 524]])
    gaps = footage_gaps([(footage, track)], (8, 12))
    eights = [gap for gap in gaps if gap.gap.length == 8]
    # 300 frames hold 36 gaps of 8 end to end between margins of 3 (6 + 36 x 8 = 294), 225 hold 27 (222).
    assert len(eights) == 36 + 27
    joints, _ = convert(track.image, track.confidence, MEDIAPIPE, MOTION)
    assert eights[0].truth.tolist() == joints[3:11].tolist()
    assert eights[36].gap.before.tolist() == joints[300:303].tolist()
    assert {gap.fps for gap in gaps} == {25.0}
    assert sorted({gap.take for gap in eights}) == [f"swing.mp4, part {part}" for part in range(1, 5)]
    assert sum(gap.take == "swing.mp4, part 1" for gap in eights) == math.ceil(5 * 25 / 8)


def test_estimated_gaps_are_noisy_and_some_are_cuts():
    rng = np.random.default_rng(0)
    pose = np.concatenate(
        [rng.uniform(-0.4, 0.4, (17, 1)), rng.uniform(0, 1.7, (17, 1)), rng.uniform(-0.2, 0.2, (17, 1))], 1
    )
    motions = [
        Motion(name, "02", (pose + 0.1 * np.sin(np.arange(200)[:, None, None] / 9 + k)).astype(np.float32))
        for k, name in enumerate(("one", "two"))
    ]
    gaps = estimated_gaps(motions, (8, 12), batches=6)
    assert 64 < len(gaps) < 2 * 6 * 64 and len(gaps) % 64 == 0  # batches of exact gaps are left out
    assert all((gap.gap.confidence_before < 1.0).any() for gap in gaps)
    assert {gap.take for gap in gaps} == {"one", "two"}
    cuts = [gap for gap in gaps if gap.gap.outgoing is not None]
    assert 0 < len(cuts) < len(gaps)
    assert any(np.isnan(gap.gap.before).any() for gap in gaps)
    clean = mocap_gaps(motions, (8,))
    assert all(np.isfinite(gap.gap.before).all() and gap.gap.outgoing is None for gap in clean)
