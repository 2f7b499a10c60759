"""Keyframes: shown when and as they should be, and a remedy where they cannot be."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vmg_backend.errors import UserError
from vmg_backend.graph.motion_graph import MotionGraph
from vmg_backend.search.exact import solve
from vmg_backend.search.keyframes import Keyframe, load_keyframes, pin_keyframes
from vmg_backend.search.problem import Problem

FPS = Fraction(10)
NAMES = {"aaa": "one.mp4", "bbb": "two.mp4"}
MARGIN = 2


def two_footages() -> MotionGraph:
    """Two footages of 60 and 40 frames, joined at random."""
    rng = np.random.default_rng(0)
    source, target = rng.choice(98, size=40), rng.choice(np.arange(1, 99), size=40)
    inside = (source != 59) & (target != 60) & (np.abs(source - target) > 5)
    source, target = source[inside], target[inside]
    order = np.argsort(target)
    return MotionGraph(
        footages=("aaa", "bbb"),
        offsets=np.array([0, 60, 100]),
        runs=np.array([[0, 59], [60, 99]], dtype=np.int32),
        source=source[order].astype(np.int32),
        target=target[order].astype(np.int32),
        cost=np.full(len(order), 0.1, dtype=np.float32),
        half=np.full(len(order), MARGIN, dtype=np.int8),
        connector=np.zeros(len(order), dtype=bool),
        threshold=0.2,
        kept=1.0,
        fps=FPS,
    )


def problem_of(graph: MotionGraph, frames: int = 60) -> Problem:
    rng = np.random.default_rng(0)
    costs = rng.normal(size=(frames, graph.nodes))
    return Problem(
        nodes=graph.nodes,
        runs=graph.runs,
        source=graph.source,
        target=graph.target,
        cut_cost=lambda _: np.full(graph.edges, 0.5),
        frames=frames,
        hold=6,
        node_cost=lambda t: costs[t],
    )


def pinned(keys: list[Keyframe], frames: int = 60) -> Problem:
    graph = two_footages()
    return pin_keyframes(problem_of(graph, frames), keys, graph, NAMES, MARGIN)


def test_keyframes_are_shown_untouched() -> None:
    keys = [Keyframe(0.5, "one.mp4", 12, 4), Keyframe(3.9, "bbb", 13, 5)]
    route = solve(pinned(keys))
    assert route is not None
    assert route.nodes[5:9].tolist() == [12, 13, 14, 15]
    assert route.nodes[39:44].tolist() == [73, 74, 75, 76, 77]
    generated = {t for cut, _ in route.cuts for t in range(cut - MARGIN, cut + MARGIN)}
    assert not generated & ({*range(5, 9)} | {*range(39, 44)})
    assert route.cuts


def test_a_keyframe_at_the_very_ends_needs_no_room() -> None:
    route = solve(pinned([Keyframe(0.0, "one.mp4", 0, 3), Keyframe(5.8, "two.mp4", 38, 2)]))
    assert route is not None
    assert route.nodes[0] == 0
    assert route.nodes[-1] == 98 + 1


def smallest_shift(keys: list[Keyframe]) -> int | None:
    """The least shift of one keyframe that makes all of them possible, by trying every one up to 2 s."""
    for distance in range(1, 21):
        for index, key in enumerate(keys):
            for by in (distance, -distance):
                moved = replace(key, at=key.at + by / float(FPS))
                try:
                    pinned([*keys[:index], moved, *keys[index + 1 :]])
                except UserError:
                    continue
                return distance
    return None


def test_impossible_keyframes_are_answered_with_the_smallest_shift() -> None:
    rng = np.random.default_rng(1)
    helped = 0
    for _ in range(60):
        keys = [
            Keyframe(float(at) / 10, name, int(rng.integers(8, most)), 4)
            for at, name, most in ((rng.integers(3, 20), "one.mp4", 50), (rng.integers(22, 40), "two.mp4", 30))
        ]
        try:
            pinned(keys)
        except UserError as error:
            expected = smallest_shift(keys)
            if expected is None:
                assert "no small shift" in error.remedy
            else:
                assert f" by {expected} frame" in error.remedy
                helped += 1
        if helped == 6:
            return
    pytest.fail("the graph is too well connected for this test")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (Keyframe(1.0, "three.mp4", 3), "one.mp4, two.mp4"),
        (Keyframe(1.0, "one.mp4", 70, 3), "person"),
        (Keyframe(1.0, "one.mp4", 55, 12), "at most 5 frames"),
        (Keyframe(5.9, "one.mp4", 30, 12), "longer"),
        (Keyframe(1.0, "one.mp4", 1, 4), "start of the shot"),
        (Keyframe(1.0, "one.mp4", 55, 4), "end of the shot"),
    ],
)
def test_each_mistake_has_its_remedy(key: Keyframe, said: str) -> None:
    with pytest.raises(UserError) as caught:
        pinned([key])
    assert said in caught.value.remedy


def test_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "Schlüssel bilder.json"
    file.write_text(
        json.dumps([{"at": 2, "footage": "b", "frame": 4}, {"at": 1.25, "footage": "a", "frame": 311, "frames": 3}])
    )
    assert load_keyframes(file) == [Keyframe(1.25, "a", 311, 3), Keyframe(2.0, "b", 4, 12)]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        "[3]",
        '[{"at": 1, "frame": 2}]',
        '[{"at": -1, "footage": "a", "frame": 2}]',
        '[{"at": 1, "footage": "a", "frame": 2.5}]',
        '[{"at": 1, "footage": "a", "frame": 2, "frames": 0}]',
        '[{"at": 1, "footage": "a", "frame": 2, "mode": "soft"}]',
        '[{"at": NaN, "footage": "a", "frame": 2}]',
        '[{"at": true, "footage": "a", "frame": 2}]',
    ],
)
def test_a_bad_file_gets_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys.json").write_text(text)
    with pytest.raises(UserError):
        load_keyframes(tmp_path / "keys.json")


def test_a_missing_file_too(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file"):
        load_keyframes(tmp_path / "keys.json")
