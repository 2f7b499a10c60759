"""Labels of footage: files, names of files, and kinds of motion that a person names."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vmg_backend.errors import UserError
from vmg_backend.footage import Footage
from vmg_backend.graph.features import MotionFeatures
from vmg_backend.search.clusters import find_clusters
from vmg_backend.search.labels import Label, find_actions, frames_inside, load_labels, save_labels, tag_key


def footage(name: str, frames: int, fps: Fraction = Fraction(30)) -> Footage:
    whole = np.array([[0, frames - 1]], dtype=np.int32)
    stamps = np.arange(frames, dtype=np.int64)
    return Footage(f"hash of {name}", Path(name), fps, (64, 48), 0, stamps, 1 / fps, False, whole, whole)


ANNA, WAVE = footage("anna.mp4", 90), footage("Wave_02.mkv", 60)
OFFSETS = np.array([0, 90, 150])


def test_labels_become_nodes_of_their_footage_by_name_or_hash() -> None:
    labels = [
        Label("turn", 1.0, 2.0, "anna.mp4"),
        Label("Turn ", 2.5, 9.0, "hash of anna.mp4"),  # beyond its end
        Label("smile", 0.0, 3.0, "anna.mp4"),  # a frame may show several
        Label("jump", 0.0, 1.0, "elsewhere.mp4"),
    ]
    actions = find_actions(labels, [ANNA, WAVE], OFFSETS)
    assert actions.stretches == {
        "smile": ((0, 89),),
        "turn": ((30, 59), (75, 89)),
        "wave": ((90, 149),),  # no label speaks of it, so its name does
    }
    assert actions.by_name == {"wave"}
    assert actions.elsewhere == ("elsewhere.mp4",)
    shown = actions.shown("turn", "wave")
    assert shown.sum() == 30 + 15 + 60
    assert shown[30] and not shown[60]


def test_a_name_counts_only_where_no_label_does() -> None:
    actions = find_actions([Label("hello", 0.0, 1.0, "Wave_02.mkv")], [ANNA, WAVE], OFFSETS)
    assert set(actions.stretches) == {"hello", "anna"}


def test_frames_belong_to_a_span_by_their_middle() -> None:
    assert frames_inside(0.0, 1.0, 30.0, 90) == (0, 29)
    assert frames_inside(1.0, 2.0, 30.0, 90) == (30, 59)
    assert frames_inside(0.016, 0.018, 30.0, 90) == (0, 0)  # 1/60 s is the middle of frame 0
    assert frames_inside(0.018, 0.019, 30.0, 90) == (1, 0)  # none
    parts = [frames_inside(a, b, 30000 / 1001, 300) for a, b in ((0, 1.234), (1.234, 3.3), (3.3, 99))]
    assert [frame for a, b in parts for frame in range(a, b + 1)] == list(range(300))


def test_spellings_of_a_tag() -> None:
    assert tag_key(" Turn_around ") == tag_key("turn around") == tag_key("TURN-AROUND")
    assert tag_key("Müde") == "müde"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is not JSON"),
        ("{}", "is not a list"),
        ("[3]", "Entry 1 in labels.json lacks"),
        ('[{"tag": "a", "start": 0, "end": 1}]', 'lacks one of "tag", "start", "end", "footage"'),
        ('[{"tag": "a", "start": 0, "end": 1, "footage": 7}]', "names no footage"),
        ('[{"tag": "?", "start": 0, "end": 1, "footage": "b"}]', "no tag with words"),
        ('[{"tag": "a", "start": 2, "end": 1, "footage": "b"}]', "does not last"),
        ('[{"tag": "a", "start": -1, "end": 1, "footage": "b"}]', "does not last"),
        ('[{"tag": "a", "start": true, "end": 2, "footage": "b"}]', "does not last"),
        ('[{"tag": "a", "start": NaN, "end": 2, "footage": "b"}]', "does not last"),
        ('[{"tag": "a", "start": 0, "end": Infinity, "footage": "b"}]', "does not last"),
    ],
)
def test_files_are_checked_without_footage(tmp_path: Path, content: str, says: str) -> None:
    file = tmp_path / "labels.json"
    file.write_text(content)
    with pytest.raises(UserError, match=says):
        load_labels(file)


@pytest.mark.parametrize("end", ["1" + 400 * "0", "1" + 5000 * "0"])
def test_numbers_without_end_are_no_times(tmp_path: Path, end: str) -> None:
    file = tmp_path / "labels.json"
    file.write_text(f'[{{"tag": "wave", "start": 0, "end": {end}, "footage": "a.mp4"}}]')
    with pytest.raises(UserError):
        load_labels(file)


def test_brackets_without_end_are_no_labels(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(100_000 * "[")
    with pytest.raises(UserError, match="is not JSON"):
        load_labels(tmp_path / "labels.json")


def test_the_mark_that_some_editors_begin_with_is_read_over(tmp_path: Path) -> None:
    text = '[{"tag": "wave", "start": 0, "end": 1, "footage": "a.mp4"}]'
    (tmp_path / "labels.json").write_text(text, encoding="utf-8-sig")
    assert load_labels(tmp_path / "labels.json") == (Label("wave", 0.0, 1.0, "a.mp4"),)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file"):
        load_labels(tmp_path / "nothing.json")


def test_labels_are_read_as_they_were_written(tmp_path: Path) -> None:
    labels = (Label("dreh dich", 0.5, 2.0, "ä.mp4"), Label("wave", 0.0, 1.0, "b.mp4"))
    save_labels(tmp_path / "labels.json", labels)
    assert load_labels(tmp_path / "labels.json") == labels
    assert json.loads((tmp_path / "labels.json").read_text())[1] == {
        "tag": "wave",
        "start": 0.0,
        "end": 1.0,
        "footage": "b.mp4",
    }


def test_labels_that_cannot_be() -> None:
    with pytest.raises(UserError, match=r"holds no frame of anna\.mp4, which ends at 3\.00 s"):
        find_actions([Label("turn", 4.0, 5.0, "anna.mp4")], [ANNA], OFFSETS[:2])
    twin = replace(ANNA, id="another")
    with pytest.raises(UserError, match="several footages"):
        find_actions([Label("turn", 0.0, 1.0, "anna.mp4")], [ANNA, twin], np.array([0, 90, 180]))


def moving(kinds: list[int], frames: int, rng: np.random.Generator) -> MotionFeatures:
    """Stretches of `frames` frames of four joints: at rest, in the one pose or the other; swinging slowly or fast."""
    fps, poses = 30, rng.normal(size=(2, 4, 3))
    t = np.arange(frames)[:, None, None] / fps
    parts = [
        poses[0] + 0 * t,
        poses[1] + 0 * t,
        poses[0] + np.sin(2 * np.pi * t) * poses[1],
        poses[0] + np.sin(8 * np.pi * t) * poses[1],
    ]
    performed = [parts[kind] + rng.normal(0, 0.01, (frames, 4, 3)) for kind in kinds]
    local = np.concatenate(performed)
    nodes = len(local)
    return MotionFeatures(
        local=local,
        world=local,
        velocity=np.concatenate([np.gradient(part, 1 / fps, axis=0) for part in performed]),
        confidence=np.ones((nodes, 4)),
        rhythm=np.zeros((nodes, 2, 2)),
        blur=np.zeros((nodes, 2)),
        runs=np.array([[0, nodes // 2 - 1], [nodes // 2, nodes - 1]], dtype=np.int32),
        offsets=np.array([0, nodes // 2, nodes]),
        fps=Fraction(fps),
    )


def test_kinds_of_motion_are_found_and_can_be_named() -> None:
    """Against the truth that the motion was made from."""
    kinds, frames = [0, 2, 1, 3, 1, 0, 3, 2, 1, 2], 90
    features = moving(kinds, frames, np.random.default_rng(3))
    found = find_clusters(features, None)  # which finds out how many there are
    assert np.array_equal(found.kind, find_clusters(features, None).kind)
    truth = np.repeat(kinds, frames)
    inner = np.ones(len(truth), dtype=bool)  # a second that is half of one kind may go to either
    for border in range(0, len(truth) + 1, frames):
        inner[max(border - 16, 0) : border + 16] = False
    named = {}
    for number, middle in enumerate(found.middle):
        named[number] = truth[middle]
        assert inner[middle]
    assert sorted(named.values()) == [0, 1, 2, 3]
    right = np.array([named.get(int(kind), -1) for kind in found.kind]) == truth
    assert right[inner].mean() > 0.97
    assert np.bincount(found.kind[found.kind >= 0]).tolist() == sorted(
        np.bincount(found.kind[found.kind >= 0]).tolist(), reverse=True
    )

    footages = [footage("a.mp4", 450), footage("b.mp4", 450)]
    rest = next(number for number, kind in named.items() if kind == 1)
    labels = found.labels({rest: "rest"}, footages, features.offsets)
    shown = find_actions(labels, footages, features.offsets).shown("rest")
    assert np.array_equal(shown, found.kind == rest)


def test_too_little_footage_for_kinds() -> None:
    features = moving([0], 4, np.random.default_rng(0))
    with pytest.raises(UserError, match="4 frames with a person"):
        find_clusters(features, 5)
