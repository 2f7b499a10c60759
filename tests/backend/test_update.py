"""Takes brought up to date: what changed follows its conditions, reckoned independently; the rest stays as it is."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import pytest

from vmg_backend import jobs, sample
from vmg_backend.audio.beats import Beat, load_beats
from vmg_backend.errors import UserError
from vmg_backend.footage import Footage
from vmg_backend.graph.build import GraphSettings, build_graph
from vmg_backend.graph.features import RHYTHM_JOINTS, MotionFeatures
from vmg_backend.graph.matching import VELOCITY_SECONDS, WINDOW
from vmg_backend.graph.motion_graph import MotionGraph
from vmg_backend.library import FootageLibrary
from vmg_backend.search import objective, result
from vmg_backend.search.conditions import beat_closeness
from vmg_backend.search.explain import explain
from vmg_backend.search.find import find_paths
from vmg_backend.search.keyframes import Keyframe
from vmg_backend.search.labels import Label
from vmg_backend.search.motion_beats import cut_motion_beats, node_motion_beats
from vmg_backend.search.objective import SearchSettings
from vmg_backend.search.path import Path, Segment
from vmg_backend.search.shape import Shape
from vmg_backend.search.tags import TagSpan, TagSpans
from vmg_backend.search.update import update_path
from vmg_backend.search.updating.priced import ANEW

FPS = Fraction(10)
LENGTHS = (150, 110)
FRAMES = 160
MATCHING = GraphSettings(threshold_scale=3.0, longest_transition=4)
SETTINGS = SearchSettings(reuse_seconds=2.0)
HALF = MATCHING.longest_transition // 2
HOLD = MATCHING.longest_transition + 2
BEATS = [Beat(0.35 + 0.5 * k, "beat", 1.0) for k in range(31)]


_known: dict[object, Any] = {}


def _remembered(graph: MotionGraph, features: MotionFeatures, *more: Any) -> Any:
    key = id(features), *(values.tobytes() for values in (graph.source, graph.target, graph.half))
    if key not in _known:
        _known[key] = cut_motion_beats(graph, features, *more)
    return _known[key]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thirds of an update: what is mostly as in the last one, and what only one test looks at."""
    monkeypatch.setattr(objective, "cut_motion_beats", _remembered)
    monkeypatch.setattr(result, "explain", lambda *_: None)


@dataclass(frozen=True, eq=False)
class World:
    """Footage that there is no file of, and all that is made of it."""

    footages: tuple[Footage, ...]
    features: MotionFeatures
    graph: MotionGraph

    @functools.cached_property
    def path(self) -> Path:
        """The film without keyframes."""
        return self.find()

    def find(self, keys: dict[str, Keyframe] | None = None, **wish: Any) -> Path:
        given: dict[str, Any] = {"frames": FRAMES, "beats": BEATS, "settings": SETTINGS, **wish}
        ordered = sorted((keys or {}).values(), key=lambda key: key.at)
        return find_paths(self.footages, self.graph, self.features, keyframes=ordered, **given)[0]

    def update(
        self,
        path: Path,
        old: dict[str, Keyframe] | None = None,
        new: dict[str, Keyframe] | None = None,
        *,
        beats: Sequence[Beat] = BEATS,
        frames: int = FRAMES,
        **more: Any,
    ) -> tuple[Path, tuple[int, ...]]:
        old = old or {}
        path.check()
        updated, changed = update_path(
            path,
            self.footages,
            self.graph,
            self.features,
            frames=frames,
            beats=beats,
            keyframes=old if new is None else new,
            old_beats=BEATS,
            old_keyframes=old,
            matching=MATCHING,
            **{"settings": SETTINGS, **more},
        )
        updated.check()
        check_consistent(updated)
        assert updated.frames == frames
        return updated, changed

    def node(self, footage: str, frame: int) -> int:
        return frame + (LENGTHS[0] if footage == "b" else 0)

    def shown(self, path: Path) -> dict[int, int]:
        """Output frame and node of all real frames."""
        return {s.at + k: self.node(s.footage, s.first + k) for s in path.segments for k in range(s.frames)}


def check_consistent(path: Path) -> None:
    """Each transition leads from the last real frame before it to the first after it, around its match."""
    pieces: list[Any] = sorted((*path.segments, *path.transitions), key=lambda piece: piece.at)
    for before, transition, after in zip(pieces, pieces[1:], pieces[2:], strict=False):
        if not isinstance(transition, Segment):
            assert (before.footage, before.last) == (transition.from_.footage, transition.from_.frame)
            assert (after.footage, after.first) == (transition.to.footage, transition.to.frame)
            i, j = transition.match
            assert (before.last, after.first) == (i - transition.half, j + transition.half)
    assert [transition.id for transition in path.transitions] == list(range(len(path.transitions)))


@functools.cache
def world(seed: int) -> World:
    rng = np.random.default_rng(seed)
    nodes = sum(LENGTHS)
    t = np.arange(nodes) / float(FPS)
    swings = np.stack([np.sin(2 * np.pi * rng.uniform(0.2, 0.9) * t + rng.uniform(0, 6)) for _ in range(4)], axis=1)
    local = (swings @ rng.normal(size=(4, 51)) * 0.1).reshape(nodes, 17, 3) + rng.normal(size=(17, 3)) * 0.4
    features = MotionFeatures(
        local=local,
        world=local + np.cumsum(rng.normal(size=(nodes, 1, 3)) * 0.003, axis=0),
        velocity=np.gradient(local, float(1 / FPS), axis=0),
        confidence=rng.uniform(0.2, 1.0, size=(nodes, 17)),
        rhythm=(swings @ rng.normal(size=(4, 2 * len(RHYTHM_JOINTS))) * 30).reshape(nodes, -1, 2),
        blur=np.ones((nodes, len(RHYTHM_JOINTS))),
        runs=np.array([[0, 79], [80, LENGTHS[0] - 1], [LENGTHS[0] + 3, nodes - 1]], dtype=np.int32),
        offsets=np.array([0, LENGTHS[0], nodes]),
        fps=FPS,
    )
    footages = tuple(
        Footage(
            id=name,
            path=FilePath(f"{name}.mp4"),
            fps=FPS,
            size=(64, 64),
            rotation=0,
            pts=np.arange(length),
            time_base=1 / FPS,
            variable_rate=False,
            shots=np.array([[0, length - 1]], dtype=np.int32),
            ranges=np.array([[0, length - 1]], dtype=np.int32),
        )
        for name, length in zip("ab", LENGTHS, strict=True)
    )
    return World(footages, features, build_graph(features, ("a", "b"), MATCHING))


def key_in(path: Path, number: int, frames: int = 3) -> Keyframe:
    """A keyframe in the middle of a segment of a path."""
    segment = path.segments[number]
    inset = (segment.frames - frames) // 2
    return Keyframe((segment.at + inset) / float(FPS), segment.footage, segment.first + inset, frames)


def at_of(key: Keyframe) -> int:
    return round(key.at * float(FPS))


def is_shown(world: World, path: Path, key: Keyframe) -> bool:
    shown = world.shown(path)
    return all(shown.get(at_of(key) + k) == world.node(key.footage, key.frame + k) for k in range(key.frames))


@functools.cache
def run_of(world: World, node: int) -> tuple[int, int]:
    return next(((int(a), int(b)) for a, b in world.features.runs if a <= node <= b), (node, node))


@functools.cache
def match_cost(world: World, i: int, j: int) -> float:
    """What showing j + 1 after i costs, in plain loops; inf where the rules of the graph forbid it."""
    features = world.features
    (first_i, last_i), (first_j, last_j) = run_of(world, i), run_of(world, j)
    same = (i < LENGTHS[0]) == (j < LENGTHS[0])
    if i >= last_i or j >= last_j or (same and abs(i - j) <= round(MATCHING.band_seconds * float(FPS))):
        return np.inf
    taps = []
    for k in range(WINDOW[0], WINDOW[1] + 1):
        if first_i <= i + k <= last_i and first_j <= j + k <= last_j:
            weight = features.confidence[i + k] * features.confidence[j + k]
            fields = (features.local, features.world, features.velocity * VELOCITY_SECONDS)
            squares = [((field[i + k] - field[j + k]) ** 2).sum(axis=1) for field in fields]
            taps.append(sum(float(np.sqrt((weight * square).sum() / weight.sum())) for square in squares))
    return sum(taps) / len(taps)


def half_of(world: World, i: int, j: int, cost: float) -> int:
    wanted = int(np.ceil(min(cost / world.graph.threshold, 1.0) * HALF))
    return max(1, min(wanted, HALF, run_of(world, i)[1] - i, j + 1 - run_of(world, j)[0]))


def cheapest_cuts(world: World, path: Path, number: int, key: Keyframe) -> float:
    """The least cost of both matches where segment `number` shows `key`, by trying every pair of cuts; inf for none."""
    before, after = path.segments[number - 1], path.segments[number + 1]
    bounds = [0, *(t.at + t.half for t in path.transitions), path.frames]
    start, end = bounds[number - 1], bounds[number + 2]
    first_real, last_real = before.at, after.at + after.frames  # of what stays
    shift = world.node(key.footage, key.frame) - at_of(key)
    shift_before = world.node(before.footage, before.first) - before.at
    shift_after = world.node(after.footage, after.first) - after.at
    first, last = run_of(world, world.node(key.footage, key.frame))

    def places(out: int, into: int, runs: Sequence[int]) -> dict[int, tuple[float, int]]:
        found = {}
        for t in range(start + 1, end):
            i, j = out + t - 1, into + t - 1
            if (run_of(world, i), run_of(world, j)) != tuple(run_of(world, node) for node in runs):
                continue
            cost = match_cost(world, i, j)
            if np.isfinite(cost):
                found[t] = cost, half_of(world, i, j, cost)
        return found

    node_before, node_after = shift_before + before.at, shift_after + after.at
    into = places(shift_before, shift, (node_before, first))
    out = places(shift, shift_after, (last, node_after))
    best = np.inf
    for (c1, (cost1, half1)), (c2, (cost2, half2)) in itertools.product(into.items(), out.items()):
        holds = c1 - start >= HOLD and c2 - c1 >= HOLD and end - c2 >= HOLD
        real = c1 - half1 - first_real >= 2 and c2 - half2 - c1 - half1 >= 2 and last_real - c2 - half2 >= 2
        untouched = c1 + half1 <= at_of(key) and c2 - half2 >= at_of(key) + key.frames
        if holds and real and untouched:
            best = min(best, cost1 + cost2)
    return best


def plain_cost(world: World, path: Path, beats: Sequence[Beat]) -> float:
    """The cost of a path, every cut of which is a good match, summed in plain loops."""
    graph = world.graph
    sides = [(world.node(t.from_.footage, t.match[0]), world.node(t.to.footage, t.match[1])) for t in path.transitions]
    matches = [match_cost(world, source, target - 1) for source, target in sides]
    assert max(matches, default=0.0) <= graph.threshold + 1e-6
    source, target = np.array(sides, dtype=np.int32).reshape(-1, 2).T
    half = np.array([one.half for one in path.transitions], dtype=np.int8)
    rows = cut_motion_beats(replace(graph, source=source, target=target, half=half), world.features)
    closeness = beat_closeness(np.array([beat.time for beat in beats]), path.frames, float(FPS))
    clear, nodes = node_motion_beats(world.features), nodes_of(world, path)
    total = 0.0
    for one, match, row in zip(path.transitions, matches, rows, strict=True):
        share, cut = match / graph.threshold, one.at + one.half
        haste = max(1.0, min(share, 1.0) * int(graph.half.max()) / one.half)
        total += SETTINGS.cut_price + SETTINGS.match_weight * share * haste
        reach = rows.shape[1] // 2
        for k in range(-reach, reach):
            if 0 <= cut + k < path.frames:
                total += row[k + reach] * (0.55 - closeness[cut + k])
    return total + sum(clear[node] * (0.55 - closeness[t]) for t, node in enumerate(nodes))


def untouched(old: Path, new: Path, start: int, end: int) -> None:
    """All that lies outside of output frames [start, end) is the same, but for the numbers of transitions."""

    def outside(path: Path) -> list[dict[str, Any]]:
        data = path.as_dict()
        lengths = [s["last"] - s["first"] + 1 for s in data["segments"]]
        kept = [s for s, n in zip(data["segments"], lengths, strict=True) if s["at"] + n <= start or s["at"] >= end]
        kept += [{**t, "id": None} for t in data["transitions"] if t["at"] + t["frames"] <= start or t["at"] >= end]
        return kept

    assert outside(old) == outside(new)


def filled(path: Path) -> Path:
    """The path as if it had been rendered."""
    return path.with_transitions(
        [replace(t, engine="flow", hash=f"{t.id:016x}", frames_dir=f"/frames/{t.id}") for t in path.transitions]
    )


def changes(key: Keyframe) -> list[Keyframe]:
    """The same keyframe moved, slipped, resized."""
    fps = float(FPS)
    moved = [replace(key, at=(at_of(key) + by) / fps) for by in (1, -1, 2, -3, 4, -6, 18)]
    slipped = [replace(key, frame=key.frame + by) for by in (1, -2, 5) if key.frame + by >= 0]
    return [*moved, *slipped, replace(key, frames=key.frames + 3)]


@pytest.mark.parametrize("seed", range(3))
def test_a_moved_keyframe_changes_the_two_cuts_beside_it_and_nothing_else(seed: int) -> None:
    here = world(seed)
    path = filled(here.path)
    slid = searched = 0
    for number in range(1, len(path.segments) - 1, 3):
        key = key_in(path, number)
        for moved in changes(key):
            expected = cheapest_cuts(here, path, number, moved)
            try:
                new, changed = here.update(path, {"k": key}, {"k": moved})
            except UserError:
                assert expected == np.inf
                continue
            assert is_shown(here, new, moved)
            if is_shown(here, path, moved):  # a longer one that is shown already
                assert changed == ()
                continue
            if not np.isfinite(expected):
                searched += 1
                continue
            slid += 1
            assert len(new.transitions) == len(path.transitions)
            beside = (number - 1, number)
            assert set(changed) <= set(beside)
            assert sum(new.transitions[k].cost for k in beside) == pytest.approx(expected)
            before, after = path.as_dict(), new.as_dict()
            for k, transition in enumerate(before["transitions"]):
                assert k in beside or after["transitions"][k] == transition
            for k, segment in enumerate(before["segments"]):
                assert abs(k - number) <= 1 or after["segments"][k] == segment
            assert after["segments"][number - 1]["first"] == before["segments"][number - 1]["first"]
            assert after["segments"][number - 1]["at"] == before["segments"][number - 1]["at"]
            assert after["segments"][number + 1]["last"] == before["segments"][number + 1]["last"]
            assert all(new.transitions[k].frames_dir is None for k in changed)
    assert slid >= 10
    assert searched >= 2


def test_the_bound_holds_for_a_new_search() -> None:
    for seed in range(2):
        here = world(seed)
        path = here.path
        key = key_in(path, 3)
        for moved in changes(key)[::4]:
            new, _ = here.update(path, {"k": key}, {"k": moved})
            assert new.bound <= new.cost
            try:
                other = here.find({"k": moved})
            except UserError:
                continue
            assert new.bound <= other.cost + 1e-9


def test_nothing_changed_gives_the_path_back() -> None:
    path = world(0).path
    assert world(0).update(path) == (path, ())


def test_costs_are_those_of_a_new_search() -> None:
    """Other strengths, which have no weight: the same path, measured again."""
    path = world(0).path
    new, changed = world(0).update(path, beats=[replace(beat, strength=0.5) for beat in BEATS])
    assert changed == ()
    assert new.cost == pytest.approx(plain_cost(world(0), path, BEATS))
    assert (new.cost, new.costs) == (pytest.approx(path.cost), pytest.approx(path.costs))
    for name in ("segments", "transitions", "beat_alignment", "reuse_window", "seed", "footages"):
        assert getattr(new, name) == getattr(path, name)


@pytest.mark.parametrize("seed", range(3))
def test_a_nudged_beat_changes_its_surroundings_or_nothing(seed: int) -> None:
    here = world(seed)
    path = filled(here.path)
    bounds = [0, *(t.at + t.half for t in path.transitions), path.frames]
    some = 0
    for number in range(2, len(BEATS), 3):
        beats = [replace(beat, time=beat.time + 0.25) if k == number else beat for k, beat in enumerate(BEATS)]
        new, changed = here.update(path, beats=beats)
        times = [round(float(FPS) * beat.time) for beat in (BEATS[number], beats[number])]
        pieces = [sum(bound <= t for bound in bounds[1:-1]) for t in times]
        untouched(path, new, bounds[max(min(pieces) - 1, 0)], bounds[min(max(pieces) + 2, len(bounds) - 1)])
        assert new.cost == pytest.approx(plain_cost(here, new, beats))
        before = plain_cost(here, path, beats)
        if new.segments == path.segments:
            assert not changed
            assert new.cost == pytest.approx(before)
        else:  # other cuts, or fewer
            assert new.cost < before
            some += 1
    assert some >= 1


def test_other_music_is_searched_as_a_whole() -> None:
    here = world(1)
    path = here.path
    beats = [replace(beat, time=beat.time + 0.25) for beat in BEATS]
    new, changed = here.update(path, beats=beats)
    assert changed
    assert new.cost < plain_cost(here, path, beats)
    assert [beat["time"] for beat in new.beats] == [beat.time for beat in beats]


def test_a_removed_keyframe_changes_nothing() -> None:
    path = world(0).path
    new, changed = world(0).update(path, {"k": key_in(path, 3)}, {})
    assert changed == ()
    assert (new.segments, new.transitions) == (path.segments, path.transitions)
    assert new.cost == pytest.approx(path.cost)


def test_an_added_keyframe_is_shown_and_what_is_far_stays() -> None:
    met = few = 0
    for seed in range(3):
        here = world(seed)
        path = filled(here.path)
        for at, frame in itertools.product((4.0, 8.0), (20, 60, 110, 130)):
            key = Keyframe(at, "a", frame, 4)
            try:
                new, changed = here.update(path, {}, {"k": key})
            except UserError:
                with pytest.raises(UserError):  # nor can a new take show it
                    here.find({"k": key})
                continue
            met += 1
            assert is_shown(here, new, key)
            assert new.cost == pytest.approx(plain_cost(here, new, BEATS))
            few += len(changed) < len(new.transitions) // 2
            kept = [t for t in new.transitions if t.id not in changed]
            assert {replace(t, id=0) for t in kept} <= {replace(t, id=0) for t in path.transitions}
    assert met >= 12
    assert few >= 4


def test_a_way_out_that_is_taken_changes_little_more_than_the_cuts_around_it() -> None:
    """What the graph leads to from the take itself, as a keyframe: mostly two new transitions, and good ones."""
    few, taken = 0, 0
    for seed in range(3):
        here = world(seed)
        path, graph = filled(here.path), here.graph
        nodes = nodes_of(here, path)
        for t in range(30, 120, 15):
            leaving = np.flatnonzero(graph.source == nodes[t])
            if not len(leaving):
                continue
            edge = leaving[np.argmin(graph.cost[leaving])]
            footage, frame = graph.footage_of(int(graph.target[edge]) + HALF)
            key = Keyframe((t + 1 + HALF) / float(FPS), graph.footages[footage], frame, 2)
            try:
                new, changed = here.update(path, {}, {"k": key})
            except UserError:
                continue
            taken += 1
            few += len(changed) <= 2
            assert is_shown(here, new, key)
            assert new.cost == pytest.approx(plain_cost(here, new, BEATS))
    assert taken >= 6
    assert few > taken / 2


def edited(path: Path) -> Path:
    """A cut rolled by a frame and painted on, and another made hard: as `addon/timeline/plan.py` tells of them."""
    segments, transitions = list(path.segments), list(path.transitions)
    one = transitions[1]
    segments[1] = replace(segments[1], last=segments[1].last + 1)
    segments[2] = replace(segments[2], first=segments[2].first + 1, at=segments[2].at + 1)
    transitions[1] = replace(
        one,
        from_=replace(one.from_, frame=one.from_.frame + 1),
        to=replace(one.to, frame=one.to.frame + 1),
        match=(one.match[0] + 1, one.match[1] + 1),
        at=one.at + 1,
        cost=0.0,
        pinned=True,
        frames_dir="/painted",
    )
    hard = transitions.pop(3)
    segments[3] = replace(segments[3], last=segments[3].last + hard.half)
    segments[4] = replace(segments[4], first=segments[4].first - hard.half, at=segments[4].at - hard.half)
    return replace(
        path,
        segments=tuple(segments),
        transitions=tuple(replace(t, id=number) for number, t in enumerate(transitions)),
    )


def test_what_a_person_edited_stays() -> None:
    slid = 0
    for seed in range(3):
        here = world(seed)
        path = edited(filled(here.path))
        far = len(path.segments) - 3
        end = path.segments[far - 2].at
        key = key_in(path, far)
        for moved in changes(key)[:4]:
            new, changed = here.update(path, {"k": key}, {"k": moved})
            if len(changed) <= 2:
                untouched(path, new, path.segments[far - 1].at, path.segments[far + 1].at + 100)
                slid += 1
        new, _ = here.update(path, beats=[*BEATS[:-1], replace(BEATS[-1], time=15.65)])
        untouched(path, new, end, path.frames)
        assert new.segments[:5] == path.segments[:5]
    assert slid >= 3


def test_beats_do_not_cost_what_is_pinned() -> None:
    for seed in range(3):
        here = world(seed)
        path = edited(filled(here.path))
        beats = [replace(beat, time=beat.time + 0.2) for beat in BEATS]
        new, _ = here.update(path, beats=beats)
        assert {replace(t, id=0) for t in path.transitions if t.pinned} <= {replace(t, id=0) for t in new.transitions}


def test_a_keyframe_that_was_edited_away_does_not_come_back_by_itself() -> None:
    here = world(0)
    path = here.path
    away, key = replace(key_in(path, 2), frame=0), key_in(path, 5)
    new, changed = here.update(path, {"away": away, "k": key}, {"away": away, "k": key, "more": key_in(path, 4)})
    assert changed == ()
    assert new.segments == path.segments


def test_several_changes_at_once() -> None:
    here = world(2)
    path = filled(here.path)
    one, two = key_in(path, 2), key_in(path, len(path.segments) - 3)
    old = {"one": one, "two": two}
    new_keys = {"one": replace(one, at=one.at + 0.1), "two": replace(two, frame=two.frame + 1)}
    beats = [*BEATS[:14], replace(BEATS[14], time=BEATS[14].time + 0.25), *BEATS[15:]]
    new, changed = here.update(path, old, new_keys, beats=beats)
    assert all(is_shown(here, new, key) for key in new_keys.values())
    assert changed
    assert len(changed) < len(new.transitions)


def test_keyframes_that_swap_places() -> None:
    here = world(0)
    path = here.path
    one, two = key_in(path, 3), key_in(path, 6)
    swapped = {"one": replace(one, at=two.at), "two": replace(two, at=one.at)}
    new, _ = here.update(path, {"one": one, "two": two}, swapped)
    assert all(is_shown(here, new, key) for key in swapped.values())


@pytest.mark.parametrize("frames", [FRAMES - 1, FRAMES - 25, FRAMES + 1, FRAMES + 30])
def test_another_length_changes_only_the_end(frames: int) -> None:
    here = world(0)
    path = filled(here.path)
    new, changed = here.update(path, frames=frames)
    kept = min(frames, FRAMES) - 3 * HOLD
    before = [t for t in path.transitions if t.at + t.frames < kept - 3 * HOLD]
    assert list(new.transitions[: len(before)]) == before
    assert all(new.transitions[k].at > kept - 3 * HOLD for k in changed)
    assert np.diff([0, *(t.at + t.half for t in new.transitions), frames]).min() >= HOLD


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (Keyframe(15.9, "a", 20, 4), "longer"),
        (Keyframe(5.0, "a", 400, 4), "person"),
        (Keyframe(5.0, "c", 20, 4), "a.mp4, b.mp4"),
        (Keyframe(5.0, "a", 78, 4), "at most 2"),
    ],
)
def test_a_keyframe_that_cannot_be_shown_is_named(key: Keyframe, said: str) -> None:
    path = world(0).path
    old = key_in(path, 4)
    for before in ({}, {"k": old}):
        with pytest.raises(UserError) as caught:
            world(0).update(path, before, {"k": key})
        assert f"at {key.at:g} s" in caught.value.message
        assert said in caught.value.remedy


def test_keyframes_on_top_of_each_other_are_named() -> None:
    path = world(0).path
    key = key_in(path, 4)
    with pytest.raises(UserError) as caught:
        world(0).update(path, {"k": key}, {"k": key, "new": replace(key, frame=(key.frame + 40) % 70)})
    assert f"{key.at:g} s" in caught.value.message
    assert caught.value.remedy


def test_footage_that_is_gone_is_named() -> None:
    here = world(0)
    path = here.path
    foreign = replace(path, segments=tuple(replace(s, footage="x") for s in path.segments))
    foreign = replace(foreign, footages={**path.footages, "x": replace(path.footages["a"], name="gone.mp4")})
    with pytest.raises(UserError, match=r"gone\.mp4"):
        here.update(foreign, beats=())


def nodes_of(here: World, path: Path) -> np.ndarray:
    """The node of each output frame, up to the cuts even inside transitions."""
    nodes = here.shown(path)
    for one in path.transitions:
        source, target = here.node(one.from_.footage, one.match[0]), here.node(one.to.footage, one.match[1])
        nodes.update({one.at + one.half - 1 - k: source - k for k in range(one.half)})
        nodes.update({one.at + one.half + k: target + k for k in range(one.half)})
    return np.array([nodes[t] for t in range(path.frames)])


@pytest.mark.parametrize("number", [0, 3, -1])
def test_a_stretch_becomes_visibly_another_one_and_the_rest_stays(number: int) -> None:
    here = world(0)
    path = filled(here.path)
    segment = path.segments[number]
    start, end = segment.at, segment.at + segment.frames
    new, changed = here.update(path, again=[(start, end)])
    was, now = nodes_of(here, path), nodes_of(here, new)
    assert (np.abs(was - now)[start:end] > 5).all()  # half a second, as everything is in one run or far from it
    untouched(path, new, start - 2 * HOLD - HALF, end + 2 * HOLD + HALF)
    assert changed
    assert np.diff([0, *(t.at + t.half for t in new.transitions), new.frames]).min() >= HOLD
    assert new.cost == pytest.approx(plain_cost(here, new, BEATS))


def test_what_was_seen_in_a_stretch_comes_again_only_when_there_is_nothing_else() -> None:
    here = world(0)
    first = filled(here.path)
    segment = first.segments[3]
    start, end = segment.at, segment.at + segment.frames
    second, _ = here.update(first, again=[(start, end)])
    third, _ = here.update(second, again=[(start, end)], seen=first.segments)
    for one, other in ((first, third), (second, third)):
        assert (np.abs(nodes_of(here, one) - nodes_of(here, other))[start:end] > 5).all()
    length = end - start
    starts = [(one.id, first) for one in here.footages for first in range(one.frames - length + 1)]
    everything = [replace(segment, footage=id_, first=first, last=first + length - 1) for id_, first in starts]
    fourth, _ = here.update(second, again=[(start, end)], seen=everything)
    assert (np.abs(nodes_of(here, second) - nodes_of(here, fourth))[start:end] > 5).all()


def test_keyframes_in_a_stretch_that_becomes_another_one_stay() -> None:
    here = world(1)
    key = key_in(here.path, 4)
    path = here.find({"k": key})
    start, end = at_of(key) - 12, at_of(key) + 12
    new, _ = here.update(path, {"k": key}, again=[(start, end)])
    assert is_shown(here, new, key)
    was, now = nodes_of(here, path), nodes_of(here, new)
    before = np.abs(was - now)[start : at_of(key)] > 5
    after = np.abs(was - now)[at_of(key) + key.frames : end] > 5
    assert before.any()
    assert after.any()
    assert not np.diff(before.astype(int)).max(initial=0) > 0  # what stays lies beside the keyframe
    assert not np.diff(after.astype(int)).min(initial=0) < 0
    with pytest.raises(UserError, match="Nothing else can be shown from"):
        here.update(path, {"k": key}, again=[(at_of(key), at_of(key) + key.frames)])


@pytest.mark.parametrize("seed", range(3))
def test_a_part_with_a_keyframe_becomes_another_one_around_it(seed: int) -> None:
    """A hold of room on one side is enough, wherever the keyframe lies."""
    here = world(seed)
    path = filled(here.path)
    some = 0
    for number in range(2, len(path.segments) - 2, 2):
        key = key_in(path, number)
        for before, after in ((4, 16), (16, 4), (10, 10)):
            start, end = at_of(key) - before, at_of(key) + key.frames + after
            try:
                new, changed = here.update(path, {"k": key}, again=[(start, end)])
            except UserError:
                continue
            assert is_shown(here, new, key)
            other = np.abs(nodes_of(here, path) - nodes_of(here, new))[start:end] > 5
            assert other.sum() >= HOLD // 2
            assert changed
            some += 1
    assert some >= 9


def test_several_parts_become_others_at_once() -> None:
    here = world(0)
    path = filled(here.path)
    parts = [(one.at, one.at + one.frames) for one in (path.segments[3], path.segments[6])]
    new, _ = here.update(path, again=parts)
    other = np.abs(nodes_of(here, path) - nodes_of(here, new)) > 5
    assert all(other[start:end].all() for start, end in parts)


def test_soft_keyframes_stay_soft() -> None:
    """A new one draws the film nearer, if that is worth its cost; elsewhere nothing changes."""
    here = world(0)
    path = filled(here.path)
    drawn = 0
    for at, frame in ((4.0, 20), (8.0, 120), (11.0, 60)):
        key = Keyframe(at, "a", frame, 6, mode="soft")
        new, _ = here.update(path, {}, {"k": key})
        before, _ = here.update(path, {"k": key}, {"k": key}, beats=[replace(b, strength=0.5) for b in BEATS])
        assert before.segments == path.segments
        assert (new.cost, new.bound) <= (before.cost, new.cost)
        assert new.cost >= here.find({"k": key}).bound - 1e-9
        start, end = at_of(key), at_of(key) + key.frames
        untouched(path, new, start - 60, end + 60)
        drawn += new.costs["keyframes"] < before.costs["keyframes"]
        same, changed = here.update(new, {"k": key}, {"k": key}, beats=[replace(b, strength=0.5) for b in BEATS])
        assert (same.segments, changed) == (new.segments, ())
    assert drawn


def test_nothing_is_made_anew_for_less_than_it_is_worth() -> None:
    """Soft keyframes that move, and beats that do: each new transition pays for itself."""
    paid = 0
    for seed in range(3):
        here = world(seed)
        path = filled(here.path)
        nudged = [
            [replace(b, time=b.time + 0.2) if k == n else b for k, b in enumerate(BEATS)] for n in range(4, 28, 6)
        ]
        keys = [Keyframe(at, "a", frame, 3, mode="soft") for at, frame in ((4.0, 20), (8.0, 120), (11.0, 60))]
        moved = [({"k": key}, {"k": replace(key, at=key.at + 0.3)}, BEATS) for key in keys]
        for old, new_keys, beats in [*moved, *(({}, {}, beats) for beats in nudged)]:
            left, _ = here.update(path, new_keys, beats=[replace(b, strength=0.5) for b in BEATS])
            before = left.cost if beats is BEATS else plain_cost(here, path, beats)
            new, changed = here.update(path, old, new_keys, beats=beats)
            assert new.cost <= before - ANEW * len(changed) + 1e-6
            paid += bool(changed)
    assert paid


def test_constraints_are_kept_and_what_a_person_made_against_them_stays() -> None:
    here = world(0)
    path = filled(here.path)
    stay = Keyframe(6.0, "b", 0, 15, mode="footage")
    new, _ = here.update(path, {}, {"k": stay})
    assert (nodes_of(here, new)[60:75] >= LENGTHS[0]).all()
    assert {t.at for t in new.transitions if t.at + t.frames > 60 and t.at < 75} <= {
        t.at for t in new.transitions if t.from_.footage == t.to.footage == "b"
    }
    again, changed = here.update(new, {"k": stay}, beats=[replace(b, strength=0.5) for b in BEATS])
    assert (again.segments, changed) == (new.segments, ())
    # As if a person had put other footage there: the same keyframe does not take it away.
    mine, changed = here.update(path, {"k": stay}, beats=[replace(b, strength=0.5) for b in BEATS])
    assert (mine.segments, changed) == (path.segments, ())

    shown = nodes_of(here, path)
    first = int(shown[shown < 60].min())
    avoid = Keyframe(0.0, "a", first, 8, mode="avoid")
    new, _ = here.update(path, {}, {"k": avoid})
    assert not np.isin(nodes_of(here, new), np.arange(first, first + 8)).any()
    tight = Keyframe(5.0, "a", 30, 4, mode="pose", tolerance=1e-9)
    new, _ = here.update(path, {}, {"k": tight})
    assert nodes_of(here, new)[50:54].tolist() == [30, 31, 32, 33]  # nothing else is as near


def test_other_actions_are_shown_where_they_are_asked_for() -> None:
    here = world(1)
    labels = (Label("turn", 0.0, 7.0, "a"), Label("bow", 8.0, 14.0, "a"), Label("step", 0.0, 11.0, "b"))
    spans = [TagSpan("turn", 0, 5), TagSpan("bow", 5, 10), TagSpan("step", 10, 16)]
    (asked, other) = (TagSpans(tuple(some), labels) for some in (spans, [spans[0], TagSpan("step", 5, 10), spans[2]]))
    settings = SearchSettings()
    path = filled(here.find(asked=[asked], settings=settings))
    wish: dict[str, Any] = {"asked": [other], "settings": settings}
    new, changed = here.update(path, changed=[(50, 100)], **wish)
    shown = nodes_of(here, new)
    assert changed
    assert (shown[54:96] >= LENGTHS[0]).mean() > 0.95  # inside the soft edges
    left = here.update(path, beats=[replace(b, strength=0.5) for b in BEATS], **wish)[0]
    assert left.segments == path.segments
    assert new.costs["tags"] < left.costs["tags"] / 4
    assert new.conditions["tags"]["actions"].keys() == {"turn", "step"}
    assert np.array_equal(shown[:30], nodes_of(here, path)[:30])


def test_a_loop_stays_closed() -> None:
    here = world(0)
    path = here.find(shape=Shape(loop=True))
    for frames in (FRAMES, FRAMES + 20):
        new, _ = here.update(path, frames=frames, loop=True, again=[(60, 80)])
        nodes = nodes_of(here, new)
        assert nodes[0] == nodes[-1] + 1 == nodes_of(here, path)[0]


def test_an_edited_picture_is_led_to_and_forgotten_with_its_keyframe() -> None:
    here = world(0)
    graph = here.graph
    path = filled(here.path)
    met = 0
    for edge in np.flatnonzero(graph.target < 60)[:40:8]:
        frame = int(graph.target[edge]) + int(graph.half[edge])
        key = Keyframe(7.0, "a", frame, 4, image=FilePath("/edited.png"))
        try:
            new, _ = here.update(path, {}, {"k": key})
        except UserError:
            continue
        met += 1
        (led,) = (one for one in new.transitions if one.to_image)
        assert (led.at + led.frames, led.to.frame, led.to_image) == (70, frame, "/edited.png")
        assert is_shown(here, new, key)
        kept, changed = here.update(filled(new), {"k": key}, beats=[replace(b, strength=0.5) for b in BEATS])
        assert (kept.transitions, changed) == (filled(new).transitions, ())
        plain, changed = here.update(filled(new), {"k": key}, {"k": replace(key, image=None)})
        assert (plain.segments, changed) == (new.segments, (led.id,))
        assert plain.transitions[led.id].frames_dir is None
        again, changed = here.update(filled(new), {"k": key}, {"k": replace(key, image_stamp="saved again")})
        assert (again.segments, changed) == (new.segments, (led.id,))
        assert (again.transitions[led.id].to_image, again.transitions[led.id].frames_dir) == ("/edited.png", None)
        gone, changed = here.update(filled(new), {"k": key}, {})
        assert (gone.transitions, changed) == (plain.transitions, (led.id,))  # it led to what is not shown any more
        painted = new.with_transitions([replace(t, pinned=t.id == led.id) for t in filled(new).transitions])
        kept, _ = here.update(painted, {"k": key}, {})
        assert kept.transitions[led.id].frames_dir == f"/frames/{led.id}"
        back, changed = here.update(filled(plain), {"k": replace(key, image=None)}, {"k": key})
        assert (back.segments, changed) == (new.segments, (led.id,))
        assert back.transitions[led.id].to_image == "/edited.png"
    assert met


def test_an_updated_path_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result, "explain", explain)
    here = world(0)
    key = key_in(here.path, 3)
    new, _ = here.update(edited(here.path), {}, {"k": key}, beats=BEATS[:-1])
    told = new.explanation
    assert told is not None
    parts = [one["costs"] for one in (*told["seconds"], *told["cuts"])]
    assert sum(sum(part.values()) for part in parts) == pytest.approx(new.cost)
    assert any(one["runner_up"] for one in told["cuts"])


@pytest.mark.long
def test_the_sample_follows_a_keyframe(tmp_path: FilePath, sample_library: FootageLibrary) -> None:
    analyses = jobs.analyze([jobs.Source(sample.PERFORMER)], sample_library)
    graph, features = jobs.build(analyses, FootageLibrary(tmp_path), GraphSettings())
    footages = [analysis.footage for analysis in analyses]
    beats = [beat for beat in load_beats(sample.BEATS) if beat.time < 30]
    key = Keyframe(8.0, footages[0].id, 200)
    (path,) = find_paths(footages, graph, features, frames=720, beats=beats, keyframes=[key])
    moved = replace(key, at=8.0 + 1 / 24)
    wish: dict[str, Any] = {"frames": 720, "beats": beats, "old_beats": beats}
    new, changed = update_path(
        path, footages, graph, features, keyframes={"k": moved}, old_keyframes={"k": key}, **wish
    )
    assert len(changed) == 2
    segment = next(s for s in new.segments if s.at <= 193 and s.at + s.frames >= 205)
    assert segment.first + 193 - segment.at == 200
    kept = [t for t in new.transitions if t.id not in changed]
    assert kept == [t for t in path.transitions if t.id not in changed]
