"""Poses that a person wants: where they come from, and how they get into a gap."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vmg_backend.cli import main
from vmg_backend.errors import UserError
from vmg_backend.interpolation.custom_poses import Posed, WantedPoses, check_led, poses_of_file, poses_of_track
from vmg_backend.interpolation.fade import Fade
from vmg_backend.interpolation.flow import Flow
from vmg_backend.interpolation.guide import PoseGuide
from vmg_backend.interpolation.interpolator import Continuation, Gap, Interpolator
from vmg_backend.motion.baselines import LINEAR
from vmg_backend.motion.gap import Side
from vmg_backend.pose.drawing import save_skeleton
from vmg_backend.pose.mapping import convert
from vmg_backend.pose.skeletons import COCO18, MEDIAPIPE, MOTION, Skeleton
from vmg_backend.pose.track import PoseTrack

LENGTH, SIZE = 8, (200, 400)
ALL = len(MEDIAPIPE.joints)


def dance(frames: int, seed: int = 0) -> np.ndarray:
    """A person of MEDIAPIPE's joints about 240 px high who moves about."""
    rng = np.random.default_rng(seed)
    figure = rng.uniform(-1, 1, (ALL, 2)) * (50, 120)
    times = np.linspace(0, 3, frames)[:, None, None]
    swing = np.sin(times * rng.uniform(1, 3, (ALL, 1)) + rng.uniform(0, 6, (ALL, 1))) * (12, 6)
    return (figure + swing + (100, 200)).astype(np.float32)


def side(joints: np.ndarray) -> Side:
    return Side(joints, np.where(np.isfinite(joints).all(axis=-1), 1, 0).astype(np.float32))


def gap_in(truth: np.ndarray) -> Gap:
    """The gap that leaves out all poses but the first three and the last three."""
    n = len(truth) - 6
    frames = np.zeros((n, SIZE[1], SIZE[0], 3), np.uint8)
    start, end, through = side(truth[:3]), side(truth[-3:]), side(truth[3:-3])
    real = Continuation(frames, through.joints, through.confidence)
    return Gap(frames[:1], frames[:1], real, real, None, None, start, end)


TRUTH = dance(LENGTH + 6)
GAP = gap_in(TRUTH)


def named(joints: np.ndarray, source: Skeleton) -> WantedPoses:
    return WantedPoses(joints.astype(np.float32), np.ones(joints.shape[:2], np.float32), source)


def test_poses_of_the_gaps_own_frames_are_taken_as_they_are() -> None:
    wanted = dance(LENGTH, seed=1)
    drawn = named(wanted, MEDIAPIPE).draw(GAP)
    assert np.array_equal(drawn.joints, wanted)
    assert drawn.confidence.min() == 1.0


def test_more_or_fewer_poses_are_spread_evenly() -> None:
    path = np.linspace(0, 70, 15)[:, None, None] + np.zeros((15, ALL, 2))
    path[5:8, 4] = np.nan
    drawn = named(path, MEDIAPIPE).draw(GAP)
    assert np.abs(drawn.joints - np.linspace(0, 70, LENGTH)[:, None, None]).max() < 1e-4
    still = named(path[:1], MEDIAPIPE).draw(GAP)
    assert np.array_equal(still.joints[:, 5], np.zeros((LENGTH, 2)))


@pytest.mark.parametrize("scale", [0.6, 1.0, 1.7])
def test_another_persons_motion_comes_to_this_ones_place_and_size(scale: float) -> None:
    """The true motion, filmed larger and elsewhere in a larger picture: it comes back."""
    there = TRUTH[2:-2] * 3 / scale + (310.0, -45.0)
    picture = (SIZE[0] * 3, SIZE[1] * 3)
    guide = WantedPoses(there.astype(np.float32), np.ones(there.shape[:2], np.float32), MEDIAPIPE, picture)
    drawn = guide.draw(GAP)
    assert np.abs(drawn.joints - TRUTH[3:-3]).max() < 0.5
    assert drawn.confidence.min() == 1.0


def test_any_motion_leaves_from_the_start_and_arrives_at_the_end() -> None:
    """What is taken off goes evenly through the gap, joint by joint."""
    there = dance(LENGTH + 2, seed=5) + np.float32(20)
    drawn = WantedPoses(there, np.ones(there.shape[:2], np.float32), MEDIAPIPE, SIZE).draw(GAP).joints
    whole = np.concatenate([TRUTH[2:3], drawn, TRUTH[-3:-2]]).astype(float)
    foreign = np.diff(there.astype(float), n=2, axis=0)  # of which even changes and offsets are no part
    scale = np.vdot(np.diff(whole, n=2, axis=0), foreign) / np.vdot(foreign, foreign)
    assert 0.5 <= scale <= 2.0
    assert np.abs(np.diff(whole, n=2, axis=0) - scale * foreign).max() < 2e-3


@pytest.mark.parametrize("source", [MOTION, COCO18])
def test_joints_that_are_not_given_hang_on_those_that_are(source: Skeleton) -> None:
    given, _ = convert(TRUTH[3:-3], np.ones((LENGTH, ALL), np.float32), MEDIAPIPE, source)
    toes = [number for number, joint in enumerate(source.joints) if "toe" in joint]
    given[:, toes] = np.nan
    drawn, lower = (named(given + np.float32(shift), source).draw(GAP).joints for shift in ((0, 0), (0, 30)))
    for ours, joint in enumerate(MEDIAPIPE.joints):
        if joint in source.joints:
            assert np.array_equal(drawn[:, ours], given[:, source.joints.index(joint)])
    assert np.abs(lower - drawn - (0, 30)).max() < 1e-3  # whole feet and hands come along
    ends = TRUTH[[2, -3]]
    foot = MEDIAPIPE.index("left_ankle", "left_foot_index")
    offset = np.diff(drawn[:, foot], axis=1)[:, 0]
    first, last = np.diff(ends[:, foot], axis=1)[:, 0]
    u = ((np.arange(LENGTH) + 1) / (LENGTH + 1))[:, None]
    assert np.abs(offset - (1 - u) * first - u * last).max() < 1e-3


def test_the_version_says_what_is_wanted() -> None:
    one = named(dance(LENGTH), MEDIAPIPE)
    others = [
        named(dance(LENGTH, 3), MEDIAPIPE),
        replace(one, confidence=one.confidence / 2),
        replace(one, picture=SIZE),
    ]
    assert len({guide.version for guide in (one, *others)}) == 4
    assert named(dance(LENGTH), MEDIAPIPE).version == one.version


def test_an_engine_is_led_by_them_if_by_any() -> None:
    guide = named(dance(LENGTH), MEDIAPIPE)
    engine = Flow(guide=PoseGuide(LINEAR, "x"))
    check_led(engine)
    led = Posed(engine, guide)
    assert (led.name, led.version, led.guide, led.given(8)) == (engine.name, engine.version, guide, engine.given(8))
    with pytest.raises(UserError, match="follows no poses"):
        check_led(Fade())


def test_a_file_of_a_transition_is_read(tmp_path: Path) -> None:
    joints, confidence = dance(LENGTH), np.full((LENGTH, ALL), 0.7, np.float32)
    joints[2, 5] = np.nan
    save_skeleton(tmp_path, joints, confidence, MEDIAPIPE)
    read = poses_of_file(tmp_path / "skeleton.npz")
    assert np.array_equal(read.joints, joints, equal_nan=True)
    assert read.confidence[2, 5] == 0.0
    assert read.confidence[3, 5] == np.float32(0.7)
    assert (read.source, read.picture) == (MEDIAPIPE, None)


def test_json_is_read(tmp_path: Path) -> None:
    file = tmp_path / "wave é.json"
    joints = [[[float(joint), 2.0 * frame] for joint in range(17)] for frame in range(3)]
    joints[1][4] = None
    file.write_text(json.dumps({"skeleton": "motion", "joints": joints}))
    read = poses_of_file(file)
    assert read.source == MOTION
    assert read.joints[2, 3].tolist() == [3.0, 4.0]
    assert np.isnan(read.joints[1, 4]).all()
    assert (read.confidence == 0).sum() == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("gone.json", None),
        ("no.json", "{"),
        ("list.json", "[1, 2]"),
        ("unknown.json", json.dumps({"skeleton": "octopus", "joints": [[[0, 0]] * 17]})),
        ("short.json", json.dumps({"skeleton": "motion", "joints": [[[0, 0]] * 16]})),
        ("uneven.json", json.dumps({"skeleton": "motion", "joints": [[[0, 0]] * 17, [[0, 0]]]})),
        ("sure.json", json.dumps({"skeleton": "motion", "joints": [[[0, 0]] * 17], "confidence": [[1]]})),
        ("empty.json", json.dumps({"skeleton": "motion", "joints": []})),
        ("gone.npz", None),
        ("no.npz", "x"),
    ],
)
def test_files_that_hold_no_poses_are_said(name: str, content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=name):
        poses_of_file(tmp_path / name)


def test_an_npz_of_another_skeleton_is_said(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", joints=np.zeros((3, 5, 2)), confidence=np.ones((3, 5)), bones=np.zeros((2, 2), int))
    with pytest.raises(UserError, match=r"x\.npz"):
        poses_of_file(tmp_path / "x.npz")


def track(frames: int = 30) -> PoseTrack:
    joints, person = dance(frames), np.ones(frames, bool)
    person[10:12] = False
    joints[10:12] = np.nan
    world = np.zeros((frames, ALL, 3), np.float32)
    return PoseTrack(joints, world, person[:, None] * np.ones((1, ALL), np.float32), person, "mediapipe")


def test_frames_of_a_video_are_chosen() -> None:
    wanted = poses_of_track(track(), SIZE, 5, 20, "wave.mp4")
    assert np.array_equal(wanted.joints, track().image[5:21], equal_nan=True)
    assert np.isfinite(wanted.draw(GAP).joints).all()
    for first, last in ((10, 20), (5, 30), (7, 7), (9, 5)):
        with pytest.raises(UserError, match=r"wave\.mp4"):
            poses_of_track(track(), SIZE, first, last, "wave.mp4")


def test_the_command_line_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[object, object]] = []

    class Stored:
        transitions = tuple(SimpleNamespace(id=number) for number in range(3))

        @staticmethod
        def load(_: Path) -> Stored:
            return Stored()

        def save(self, _: Path) -> None:
            pass

        def as_dict(self) -> dict[str, object]:
            return {}

    def fill(path: object, _: object, engine: Interpolator, *others: object) -> object:
        asked.append((engine.guide, others[-1]))
        return path

    free = PoseGuide(LINEAR, "x")
    engines = {"flow": Flow(guide=free), "fade": Fade()}
    monkeypatch.setattr("vmg_backend.verbs.FoundPath", Stored)
    monkeypatch.setattr("vmg_backend.jobs.analyses_of", lambda *_: [])
    monkeypatch.setattr("vmg_backend.jobs.make_engine", lambda choice: engines[choice.name])
    monkeypatch.setattr("vmg_backend.jobs.fill_transitions", fill)
    monkeypatch.setattr("vmg_backend.jobs.analyze", lambda *_, **__: [_Analysed])
    (tmp_path / "x.json").write_text(json.dumps({"skeleton": "motion", "joints": [[[0, 0]] * 17]}))
    words = ["generate", "p.json", "--library", str(tmp_path)]
    assert main(words) == 0
    assert main([*words, "--poses", str(tmp_path / "x.json"), "--transition", "1", "--transition", "2"]) == 0
    assert main([*words, "--poses", "C:\\my film.mp4:5-9"]) == 0
    assert asked[0] == (free, None)
    (file, two), (video, everything) = asked[1:]
    assert (two, everything) == ([1, 2], None)
    assert isinstance(file, WantedPoses)
    assert isinstance(video, WantedPoses)
    assert (file.source, file.picture, video.picture) == (MOTION, None, SIZE)
    assert np.array_equal(video.joints, track().image[5:10], equal_nan=True)
    for wrong, said in (
        (["--poses", "film.mp4:9-11"], "Nobody is seen in frame 11 of film.mp4"),
        (["--poses", "film.mp4:9-11", "--engine", "fade"], "follows no poses"),
        (["--transition", "7"], "no transition 7"),
    ):
        assert main([*words, *wrong]) == 2
        assert said in capsys.readouterr().err


class _Analysed:
    class footage:  # noqa: N801
        frames, size = 30, SIZE

    track = track()
