"""Keyframes: shown when and as they should be, and a remedy where they cannot be."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest

from vmg_backend.errors import UserError
from vmg_backend.footage import Footage, FrameReader, VideoWriter, open_footage
from vmg_backend.graph.features import JOINTS, RHYTHM_JOINTS, MotionFeatures
from vmg_backend.graph.matching import MatchCost
from vmg_backend.graph.motion_graph import MotionGraph
from vmg_backend.interpolation.engines import make_engine
from vmg_backend.interpolation.fill import Material, gap_of, transition_hash
from vmg_backend.pose.skeletons import MEDIAPIPE
from vmg_backend.pose.track import PoseTrack
from vmg_backend.progress import SILENT
from vmg_backend.protocol import EngineChoice
from vmg_backend.search import keyframes
from vmg_backend.search.conditions import SearchContext
from vmg_backend.search.exact import barred_by, solve
from vmg_backend.search.film import lay_out
from vmg_backend.search.keyframes import (
    PRICE,
    Keyframe,
    SoftKeyframes,
    load_keyframes,
    pin_keyframes,
    strangers,
    with_images,
)
from vmg_backend.search.likeness import distance_to_frame, distance_to_pose, torso
from vmg_backend.search.path import FrameOf, Transition
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


def features_of(graph: MotionGraph, seed: int = 0, size: float = 1.0) -> MotionFeatures:
    """A person that moves at random, slowly."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(scale=0.05, size=(graph.nodes, len(JOINTS), 3))
    local = np.cumsum(steps, axis=0) * size
    world = local + np.cumsum(rng.normal(scale=0.05, size=(graph.nodes, 1, 3)), axis=0)
    rhythm = np.zeros((graph.nodes, len(RHYTHM_JOINTS), 2))
    return MotionFeatures(
        local=local,
        world=world,
        velocity=np.gradient(world, axis=0),
        confidence=rng.uniform(0.1, 1.0, size=local.shape[:2]),
        rhythm=rhythm,
        blur=rhythm[..., 0],
        runs=graph.runs,
        offsets=graph.offsets,
        fps=graph.fps,
    )


def context_of(graph: MotionGraph, frames: int) -> SearchContext:
    footages = [cast(Footage, SimpleNamespace(id=id_, name=NAMES[id_])) for id_ in graph.footages]
    return SearchContext(footages, (), graph, features_of(graph), frames)


def pinned(keys: list[Keyframe], frames: int = 60) -> Problem:
    graph = two_footages()
    return pin_keyframes(problem_of(graph, frames), keys, context_of(graph, frames), MARGIN)


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
        if helped == 3:
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
        '[{"at": 1, "footage": "a", "frame": 2, "mode": "sof"}]',
        '[{"at": 1, "footage": "a", "frame": 2, "mode": ["soft"]}]',
        '[{"at": 1, "footage": "a", "frame": 2, "tolerance": 0.5}]',
        '[{"at": 1, "footage": "a", "frame": 2, "mode": "soft", "tolerance": -1}]',
        '[{"at": 1, "footage": "a", "frame": 2, "mode": "soft", "weight": 0}]',
        '[{"at": 1, "footage": "a", "frame": 2, "seconds": 3}]',
        '[{"at": 1, "footage": "a", "frame": 2, "mode": "soft", "image": "a.png"}]',
        '[{"at": 1, "footage": "a", "frame": 2, "image": "there is none.png"}]',
        '[{"at": 1, "footage": "a", "frame": 2, "image": "keys.json"}]',
        '[{"at": 1, "file": "there is none.mp4", "frame": 2, "mode": "pose"}]',
        '[{"at": 1, "frame": 2, "mode": "pose"}]',
        '[{"at": 1, "frame": 2, "mode": "pose", "footage": "a", "file": "keys.json"}]',
        '[{"frame": 2, "mode": "avoid"}]',
        '[{"at": 1, "mode": "footage"}]',
        '[{"at": 1, "footage": "a", "frame": 2, "wieght": 0}]',
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


def test_each_mode_is_read_from_a_file(tmp_path: Path) -> None:
    good, data = cv2.imencode(".png", np.zeros((4, 4, 3), dtype=np.uint8))
    assert good
    (tmp_path / "edited.png").write_bytes(data.tobytes())
    (tmp_path / "other.mp4").write_bytes(b"somebody else")
    entries: list[dict[str, Any]] = [
        {"mode": "avoid", "footage": "a", "frame": 7, "frames": 3},
        {"mode": "avoid", "footage": "b", "at": 1, "seconds": 2},
        {"mode": "soft", "footage": "a", "at": 2, "frame": 5, "tolerance": 0.5},
        {"mode": "soft", "footage": "a", "at": 3, "frame": 5, "weight": 2, "tolerance": 0},
        {"mode": "pose", "file": "other.mp4", "at": 4, "frame": 5, "frames": 1},
        {"mode": "footage", "footage": "b", "at": 5, "frames": 30},
        {"mode": "hard", "footage": "b", "at": 6, "frame": 0, "image": "edited.png", "tolerance": 0},
    ]
    (tmp_path / "keys.json").write_text(json.dumps(entries))
    avoid, shortly, near, like, pose, inside, edited = load_keyframes(tmp_path / "keys.json")
    assert (avoid.at, avoid.frame, avoid.frames, avoid.seconds) == (0.0, 7, 3, np.inf)
    assert (shortly.frame, shortly.seconds) == (0, 2.0)
    assert shortly.frames > 10**6
    assert (near.tolerance, near.costs) == (0.5, False)
    assert (like.tolerance, like.weight, like.costs) == (None, 2.0, True)
    assert (pose.source, pose.footage) == (str((tmp_path / "other.mp4").resolve()), "")
    assert (inside.mode, inside.frames) == ("footage", 30)
    assert edited.image == (tmp_path / "edited.png").resolve()
    assert strangers([near, pose, like], {"hash": "a"}) == [pose]


# Each mode against all paths there are.

SMALL_HOLD, SMALL_HALF = 4, 1


def small_case(seed: int, frames: int) -> tuple[Problem, SearchContext]:
    """Two footages of 17 and 10 frames, of which the first has two runs; all transitions have two frames."""
    rng = np.random.default_rng(seed)
    runs = np.array([[0, 7], [8, 16], [17, 26]], dtype=np.int32)
    first = np.repeat(runs[:, 0], runs[:, 1] - runs[:, 0] + 1)
    last = np.repeat(runs[:, 1], runs[:, 1] - runs[:, 0] + 1)
    pairs = [
        (u, v)
        for v, u in itertools.product(range(27), range(27))
        if u + SMALL_HALF <= last[u] and v - SMALL_HALF >= first[v] and abs(u + 1 - v) > 2 and rng.random() < 0.2
    ]
    source, target = np.array(pairs).T
    graph = MotionGraph(
        footages=("aaa", "bbb"),
        offsets=np.array([0, 17, 27]),
        runs=runs,
        source=source.astype(np.int32),
        target=target.astype(np.int32),
        cost=np.full(len(pairs), 0.1, dtype=np.float32),
        half=np.full(len(pairs), SMALL_HALF, dtype=np.int8),
        connector=np.zeros(len(pairs), dtype=bool),
        threshold=0.5,
        kept=1.0,
        fps=FPS,
    )
    node, cut = rng.normal(size=(frames, 27)), rng.normal(0.5, 0.2, size=(frames, len(pairs)))
    problem = Problem(
        nodes=27,
        runs=runs,
        source=graph.source,
        target=graph.target,
        cut_cost=lambda t: cut[t],
        frames=frames,
        hold=SMALL_HOLD,
        node_cost=lambda t: node[t],
    )
    return problem, context_of(graph, frames)


def all_paths(problem: Problem) -> Iterator[tuple[list[int], list[tuple[int, int]]]]:
    """Nodes and cuts of every path, hold kept."""
    run = {v: k for k, (a, b) in enumerate(problem.runs) for v in range(a, b + 1)}

    def onward(nodes: list[int], cuts: list[tuple[int, int]], held: int) -> Iterator[Any]:
        if len(nodes) == problem.frames:
            if held >= problem.hold or not cuts:
                yield nodes, cuts
            return
        if run.get(nodes[-1] + 1) == run[nodes[-1]]:
            yield from onward([*nodes, nodes[-1] + 1], cuts, held + 1)
        if held >= problem.hold:
            for edge in np.flatnonzero(problem.source == nodes[-1]):
                yield from onward([*nodes, int(problem.target[edge])], [*cuts, (len(nodes), int(edge))], 1)

    for start in run:
        yield from onward([start], [], 1)


def seen(nodes: list[int], cuts: list[tuple[int, int]], problem: Problem) -> list[set[int]]:
    """What can be seen at each output frame: the node, and inside a transition both continuations."""
    shown = [{node} for node in nodes]
    for t, edge in cuts:
        for k in range(-SMALL_HALF, SMALL_HALF):
            shown[t + k] |= {int(problem.source[edge]) + 1 + k, int(problem.target[edge]) + k}
    return shown


def wanted_by(key: Keyframe, context: SearchContext) -> dict[int, set[int]]:
    """The nodes that may be seen at output frames, by the words of the modes."""
    graph, features, at = context.graph, context.features, round(key.at * 10)
    everything, offset = set(range(graph.nodes)), {"aaa": 0, "bbb": 17}[key.footage]
    footage = set(range(0, 17) if key.footage == "aaa" else range(17, 27))
    if key.mode == "footage":
        return dict.fromkeys(range(at, at + key.frames), footage)
    if key.mode == "avoid":
        end = min(context.frames, at + key.seconds * 10)
        avoided = {offset + key.frame + k for k in range(key.frames)} & footage
        return dict.fromkeys(range(at, int(end)), everything - avoided)
    if key.mode == "hard":
        return {at + k: {offset + key.frame + k} for k in range(key.frames)}
    matching, limit = MatchCost(features), (key.tolerance or 0.0) * graph.threshold
    wanted = {}
    for k in range(key.frames):
        there = offset + key.frame + k
        if key.mode == "soft":
            distance = matching.pairs(np.full(graph.nodes, there), np.arange(graph.nodes))
        else:
            distance = np.array([_pose_distance(features, there, v) for v in range(graph.nodes)])
        wanted[at + k] = set(np.flatnonzero(distance <= limit).tolist())
    return wanted


def _pose_distance(features: MotionFeatures, i: int, j: int) -> float:
    total = weight = 0.0
    for joint in range(len(JOINTS)):
        w = features.confidence[i, joint] * features.confidence[j, joint]
        total += w * float(((features.local[i, joint] - features.local[j, joint]) ** 2).sum())
        weight += w
    return float(np.sqrt(total / weight))


SMALL_KEYS = [
    Keyframe(0.7, "one.mp4", 10, 2),
    Keyframe(0.6, "one.mp4", 10, 3, mode="soft", tolerance=1.4),
    Keyframe(0.0, "two.mp4", 2, 4, mode="soft", tolerance=1.2),
    Keyframe(0.6, "two.mp4", 1, 2, mode="pose", tolerance=0.5),
    Keyframe(0.4, "one.mp4", 0, 4, mode="footage"),
    Keyframe(0.7, "two.mp4", 0, 6, mode="footage"),
    Keyframe(0.0, "two.mp4", 2, 2, mode="avoid"),
    Keyframe(0.3, "one.mp4", 0, 1000, mode="avoid", seconds=0.5),
    Keyframe(0.9, "two.mp4", 3, 2, mode="avoid", seconds=0.1),
]


@pytest.mark.parametrize("key", SMALL_KEYS, ids=lambda key: f"{key.mode} {key.at:g}")
@pytest.mark.parametrize("seed", [0, 1])
def test_each_mode_allows_the_paths_that_meet_it_and_the_best_is_found(key: Keyframe, seed: int) -> None:
    problem, context = small_case(seed, 16)
    key = replace(key, footage={"one.mp4": "aaa", "two.mp4": "bbb"}[key.footage])
    wanted = wanted_by(key, context)
    met = pin_keyframes(problem, [key], context, SMALL_HALF)
    barred, best = barred_by(met), np.inf
    for nodes, cuts in all_paths(problem):
        shown = seen(nodes, cuts, problem)
        good = all(shown[t] <= there for t, there in wanted.items())
        assert good != barred[np.arange(len(nodes)), nodes].any()
        if good:
            cost = sum(problem.node_cost(t)[v] for t, v in enumerate(nodes))
            best = min(best, cost + sum(problem.cut_cost(t)[edge] for t, edge in cuts))
    route = solve(met)
    assert route is not None
    assert route.cost == pytest.approx(best)


def test_keyframes_of_all_modes_are_met_together() -> None:
    graph = two_footages()
    keys = [
        Keyframe(0.0, "one.mp4", 30, 5, mode="avoid"),
        Keyframe(0.5, "one.mp4", 12, 4),
        Keyframe(2.5, "two.mp4", 0, 8, mode="footage"),
        Keyframe(4.7, "one.mp4", 44, 3, mode="soft", tolerance=4.0),
    ]
    route = solve(pinned(keys))
    assert route is not None
    assert not set(range(30, 35)) & set(route.nodes.tolist())
    assert route.nodes[5:9].tolist() == [12, 13, 14, 15]
    assert (route.nodes[25:33] >= 60).all()
    distances = MatchCost(features_of(graph)).pairs(np.arange(44, 47), route.nodes[47:50])
    assert (distances <= 4.0 * graph.threshold).all()


def test_what_is_too_far_from_any_frame_is_answered_with_the_tolerance_that_is_needed() -> None:
    graph, other = two_footages(), features_of(two_footages(), seed=5)
    context = context_of(graph, 60)
    key = Keyframe(1.0, "", 5, 2, mode="pose", tolerance=0.01, file=Path("other.mp4"))
    references = {key.source: other}
    with pytest.raises(UserError) as caught:
        pin_keyframes(problem_of(graph), [key], context, MARGIN, references)
    nearest = max(distance_to_pose(context.features, other, 5 + k).min() for k in range(2)) / graph.threshold
    assert f"to {np.ceil(nearest * 100) / 100:g}," in caught.value.remedy


def test_an_avoided_footage_that_leaves_nothing_is_named() -> None:
    keys = [Keyframe(0.0, name, 0, 1000, mode="avoid") for name in ("one.mp4", "two.mp4")]
    with pytest.raises(UserError, match=r"avoids two\.mp4"):
        pinned(keys)


def test_a_pose_from_elsewhere_without_its_footage_is_an_error() -> None:
    with pytest.raises(UserError, match="not in the library"):
        pinned([Keyframe(1.0, "", 5, 2, mode="pose", tolerance=1.0, file=Path("other.mp4"))])


def test_without_a_tolerance_the_distance_costs() -> None:
    graph = two_footages()
    context = context_of(graph, 60)
    keys = [
        Keyframe(1.0, "one.mp4", 20, 3, mode="soft", weight=2.0),
        Keyframe(1.2, "two.mp4", 4, 2, mode="pose"),
        Keyframe(1.0, "two.mp4", 4, 2, mode="soft", tolerance=1.0),
        Keyframe(1.0, "two.mp4", 4, 2),
    ]
    condition = SoftKeyframes(keys).condition(context, SILENT)
    matching, scale = MatchCost(context.features), PRICE / 10 / graph.threshold
    like = [2.0 * scale * matching.pairs(np.full(100, 20 + k), np.arange(100)) for k in range(3)]
    pose = [scale * distance_to_pose(context.features, context.features, 64 + k) for k in range(2)]
    expected = {10: like[0], 11: like[1], 12: like[2] + pose[0], 13: pose[1]}
    for t in range(60):
        cost = condition.node_cost(t)
        assert (cost is None) == (t not in expected)
        if cost is not None:
            np.testing.assert_allclose(cost, expected[t], atol=1e-12)
        assert condition.cut_cost(t) is None
    with pytest.raises(UserError, match="ends before"):
        SoftKeyframes([replace(keys[0], at=5.9)]).condition(context, SILENT)


def test_distances() -> None:
    graph = two_footages()
    features = features_of(graph)
    np.testing.assert_allclose(
        distance_to_frame(features, 30), MatchCost(features).pairs(np.full(100, 30), np.arange(100))
    )
    expected = [_pose_distance(features, 30, j) for j in range(100)]
    np.testing.assert_allclose(distance_to_pose(features, features, 30), expected, atol=1e-12)
    larger = features_of(graph, size=1.3)  # the same person seen as a larger one
    assert torso(larger) == pytest.approx(1.3 * torso(features))
    np.testing.assert_allclose(distance_to_pose(features, larger, 30), expected, atol=1e-12)


# An edited picture at a transition's end.


def edited(frame: int, at: float = 3.0) -> Keyframe:
    return Keyframe(at, "one.mp4", frame, 3, image=Path("edited.png"))


def test_a_transition_leads_right_to_an_edited_picture() -> None:
    graph, met = two_footages(), 0
    for frame in sorted({int(target) + MARGIN for target in graph.target if 5 < target < 50}):
        try:
            route = solve(pinned([edited(frame)]))
        except UserError:
            continue  # nothing leads there at that time
        assert route is not None
        assert route.nodes[30:33].tolist() == [frame, frame + 1, frame + 2]
        assert 30 - MARGIN in [t for t, _ in route.cuts]
        transitions = with_images(lay_out(route, graph)[1], [edited(frame)], context_of(graph, 60))
        assert [(one.at + one.frames, one.to_image) for one in transitions if one.to_image] == [(30, "edited.png")]
        met += 1
    assert met > 3


def test_of_an_edited_picture_that_no_transition_leads_to_the_nearest_frame_is_told_but_not_advised() -> None:
    graph = two_footages()
    ends = {int(target) + MARGIN for target in graph.target if target + MARGIN < 60}
    frame = next(frame for frame in range(20, 50) if frame not in ends)
    with pytest.raises(UserError) as caught:
        pinned([edited(frame)])
    nearest = int(caught.value.message.removesuffix(".").split()[-1])
    assert not any(letter.isdigit() for letter in caught.value.remedy)  # nobody looked whether it can be shown then
    assert nearest in ends
    assert abs(nearest - frame) == min(abs(end - frame) for end in ends)


def test_an_edited_picture_cannot_be_at_the_films_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = next(int(target) + MARGIN for target in two_footages().target if 10 < target < 40)
    with pytest.raises(UserError, match="in time") as caught:
        pinned([edited(frame, at=0.1)])
    later = int(re.findall(r"by (\d+) frames? later", caught.value.remedy)[0])
    assert solve(pinned([edited(frame, at=0.1 + later / 10)])) is not None
    with pytest.raises(UserError, match="film begins with") as caught:
        pinned([edited(frame, at=0.0)])
    assert caught.value.remedy == "Move it later, or leave its edited picture out."
    monkeypatch.setattr(keyframes, "FARTHEST_SHIFT", 0.0)
    with pytest.raises(UserError, match=r"edited picture .* in time") as caught:
        pinned([edited(frame, at=0.1)])
    assert caught.value.remedy.startswith("Leave the picture out")
    assert solve(pinned([replace(edited(frame, at=0.1), image=None)])) is not None


def test_the_engine_is_given_the_edited_picture(tmp_path: Path) -> None:
    """Of a film whose frame t is all of brightness 4 t."""
    file, engine = tmp_path / "footage.mp4", make_engine(EngineChoice("fade"))
    with VideoWriter(file, (64, 48), Fraction(24)) as writer:
        for number in range(60):
            writer.write(np.full((48, 64, 3), 4 * number, dtype=np.uint8))
    footage, joints = open_footage(file), len(MEDIAPIPE.joints)
    nothing = np.zeros((60, joints, 3), dtype=np.float32)
    track = PoseTrack(nothing[..., :2], nothing, nothing[..., 0], np.ones(60, dtype=bool), "mediapipe")
    materials = {footage.id: Material(footage, track, None)}
    transition = Transition(0, FrameOf(footage.id, 17), FrameOf(footage.id, 43), (20, 41), 18, 6, None, 0.0, False)
    picture = tmp_path / "edited.png"
    changed = replace(transition, to_image=str(picture))
    with pytest.raises(UserError, match="cannot be read"):
        transition_hash(changed, materials, engine, 0)
    _write_picture(picture, (64, 48), (250, 100, 0))
    with FrameReader(footage) as reader:
        plain = gap_of(transition, materials, {footage.id: reader}, 0, given=3)
        gap = gap_of(changed, materials, {footage.id: reader}, 0, given=3)
        assert (gap.end == (250, 100, 0)).all()
        np.testing.assert_array_equal(gap.trail[1:], plain.trail[1:])
        np.testing.assert_array_equal(gap.lead, plain.lead)
        before = transition_hash(changed, materials, engine, 0)
        assert before != transition_hash(transition, materials, engine, 0)
        _write_picture(picture, (64, 40), (0, 0, 0))
        assert transition_hash(changed, materials, engine, 0) != before
        with pytest.raises(UserError, match="64 x 48"):
            gap_of(changed, materials, {footage.id: reader}, 0, given=3)


def _write_picture(file: Path, size: tuple[int, int], colour: tuple[int, int, int]) -> None:
    good, data = cv2.imencode(".png", np.full((size[1], size[0], 3), colour[::-1], dtype=np.uint8))
    assert good
    file.write_bytes(data.tobytes())
