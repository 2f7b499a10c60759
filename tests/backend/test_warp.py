"""Whether warps are the best there are, by trying all, and whether a path tells the truth about its film."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import pytest

from vmg_backend.cli import main
from vmg_backend.errors import UserError
from vmg_backend.evaluation.path_page import path_page
from vmg_backend.footage import FrameReader, VideoWriter, open_footage
from vmg_backend.graph.motion_graph import MotionGraph
from vmg_backend.render import render
from vmg_backend.search.exact import Table, barred_by, route_cost
from vmg_backend.search.explain import explain
from vmg_backend.search.film import Film, lay_out
from vmg_backend.search.objective import Objective
from vmg_backend.search.path import FootageEntry, Path, Segment
from vmg_backend.search.problem import Allowed, Problem, Route
from vmg_backend.search.warp import PRICE, best_warp, warped
from vmg_backend.verbs import _told

FRAMES, HOLD, MOST = 44, 8, 0.2
"""Twice the greatest warp that a person can ask for: so short a film has something to choose then."""
NODES, FPS = 80, Fraction(8)


@dataclass(frozen=True)
class Drawn:
    """A condition with any costs."""

    name: str
    nodes: np.ndarray
    edges: np.ndarray
    about: dict[str, Any] = field(default_factory=dict)

    def node_cost(self, frame):
        return self.nodes[frame]

    def cut_cost(self, frame):
        return self.edges[frame]


GRAPH = MotionGraph(
    ("one",), np.array([0, NODES]), np.array([[0, NODES - 1]], np.int32), np.array([30, 62, 14], np.int32),
    np.array([3, 20, 50], np.int32), np.ones(3, np.float32), np.array([1, 2, 1], np.int8), np.zeros(3, bool),
    1.0, 1.0, FPS,
)  # fmt: skip
"""Its edges lead from 30 to 3, from 62 to 20 and from 14 to 50."""

NODES_SHOWN = np.array([*range(20, 31), *range(3, 15), *range(50, 63), *range(20, 28)])
CUTS = ((11, 0), (23, 2), (36, 1))


def objective_of(seed, size=1.0):
    random = np.random.default_rng(seed)
    conditions = tuple(
        Drawn(name, size * random.normal(size=(FRAMES, NODES)), size * random.normal(size=(FRAMES, 3))) for name in "ab"
    )
    return Objective(GRAPH, None, conditions, random.random(3), ())


def route_of(problem):
    return Route(NODES_SHOWN, CUTS, route_cost(problem, NODES_SHOWN, CUTS))


def path_of(problem, objective, route):
    segments, transitions = lay_out(route, GRAPH)
    entry = FootageEntry("one.mp4", "/one.mp4", "8/1", (64, 48), ((0, NODES - 1),))
    return Path(
        fps=FPS, frames=FRAMES, footages={"one": entry}, segments=segments, transitions=transitions, audio=None,
        beats=(), cost=route.cost, bound=route.cost, gap=0.0, costs=objective.costs(route), beat_alignment=None,
        reuse_window=4.0, seed=0, explanation=explain(objective, Table(problem), route, 0),
    )  # fmt: skip


def cost_by_hand(problem: Problem, route: Route, parts: list[tuple[int, int]], shifts: tuple[int, ...]) -> float:
    """What a film costs by the shifts before, between and after its parts; infinite where a rule is broken."""
    times: dict[int, Fraction] = {}  # of each frame of the film as it was found
    shown: dict[int, Fraction] = {}  # by each output frame
    cost = 0.0
    barred = barred_by(problem)
    bounds = [0, *(t + shifts[k + 1] for k, (t, _) in enumerate(route.cuts)), FRAMES]
    found = [0, *(t for t, _ in route.cuts), FRAMES]
    for k, (start, end) in enumerate(itertools.pairwise(bounds)):
        if end - start < min(HOLD, found[k + 1] - found[k]) or (problem.longest and end - start > problem.longest):
            return math.inf
    for k, (first, last) in enumerate(parts):
        at, to = first + shifts[k], last + shifts[k + 1]
        if to <= at or not 1 / (1 + MOST) <= (last - first) / (to - at) <= 1 + MOST:
            return math.inf
        for u in range(first, last + 1):
            times[u] = at + Fraction(u - first) * (to - at) / (last - first)
        for o in range(at, to + 1):
            shown[o] = first + Fraction(o - at) * (last - first) / (to - at)
        for u in range(last + 1, parts[k + 1][0] if k + 1 < len(parts) else FRAMES):  # under a transition
            times[u], shown[u + shifts[k + 1]] = Fraction(u + shifts[k + 1]), Fraction(u)
        cost += PRICE * abs(shifts[k + 1] - shifts[k]) / float(FPS)
    assert sorted(shown) == list(range(FRAMES))
    for o, u in shown.items():
        if barred[o, route.nodes[math.floor(u + Fraction(1, 2))]]:
            return math.inf
    for u, t in times.items():
        before, share = math.floor(t), float(t - math.floor(t))
        cost += (1 - share) * problem.node_cost(before)[route.nodes[u]]
        cost += share * problem.node_cost(min(before + 1, FRAMES - 1))[route.nodes[u]]
    return cost + sum(problem.cut_cost(t + shifts[k + 1])[edge] for k, (t, edge) in enumerate(route.cuts))


def best_by_hand(problem: Problem, route: Route, parts: list[tuple[int, int]], most: int) -> float:
    """The least cost of those whose parts are longer or shorter by at most so many frames."""
    changes = (one for one in itertools.product(range(-most, most + 1), repeat=len(parts)) if sum(one) == 0)
    return min(cost_by_hand(problem, route, parts, (0, *itertools.accumulate(one))) for one in changes)


def problems():
    for seed in range(4):
        objective = objective_of(seed)
        problem = objective.problem(FRAMES, HOLD)
        yield objective, problem
        yield objective, replace(problem, longest=14)
        yield objective, replace(problem, pins={t: int(NODES_SHOWN[t]) for t in (14, 15, 16)})
        yield objective, replace(problem, pins={0: 20, FRAMES - 1: 27})
        late = np.arange(NODES) >= 52
        yield objective, replace(problem, allowed=(Allowed(25, 33, late),))


def test_no_other_warp_costs_less():
    moved = set()
    bounds = [(0, 0), *((t, int(GRAPH.half[edge])) for t, edge in CUTS), (FRAMES, 0)]
    parts = [(start + h0, end - h1 - 1) for (start, h0), (end, h1) in itertools.pairwise(bounds)]
    for _, problem in problems():
        route = route_of(problem)
        warp = best_warp(problem, route, GRAPH, MOST)
        assert warp.cost == pytest.approx(best_by_hand(problem, route, parts, 2))
        assert cost_by_hand(problem, route, parts, warp.shifts) == pytest.approx(warp.cost)
        moved.add(warp.shifts)
    assert len(moved) > 5


def test_a_long_segment_changes_its_speed_each_second():
    """Eight frames are a second."""
    moved = set()
    parts = [(0, 6), (7, 14), (15, 21), (22, 28), (29, 36), (37, 43)]
    for seed in range(2):
        objective = objective_of(seed)
        problem = objective.problem(FRAMES, HOLD)
        route = Route(np.arange(20, 20 + FRAMES), (), route_cost(problem, np.arange(20, 20 + FRAMES), ()))
        warp = best_warp(problem, route, GRAPH, MOST)
        assert warp.cost == pytest.approx(best_by_hand(problem, route, parts, 1))
        moved.add(warp.shifts)
        path = warped(path_of(problem, objective, route), objective, problem, route, MOST)
        path.check()
        shown = np.concatenate([segment.sources for segment in path.segments])
        assert abs(shown - 20 - warp.shown).max() <= 0.5 + 1e-6
        assert path.speeds.sum() == pytest.approx(FRAMES)
    assert len(moved) > 1


def test_what_is_pinned_is_shown_at_its_time():
    objective = objective_of(3)
    problem = replace(objective.problem(FRAMES, HOLD), pins={t: int(NODES_SHOWN[t]) for t in (14, 15, 16)})
    route = route_of(problem)
    path = warped(path_of(problem, objective, route), objective, problem, route, MOST)
    shown = {segment.at + k: node for segment in path.segments for k, node in enumerate(segment.sources.tolist())}
    assert {t: shown[t] for t in problem.pins} == problem.pins
    assert any(segment.speed != 1.0 for segment in path.segments)


def test_a_path_tells_of_the_film_with_warps():
    for objective, problem in problems():
        route = route_of(problem)
        plain = path_of(problem, objective, route)
        path = warped(plain, objective, problem, route, MOST)
        path.check()
        assert path.frames == FRAMES
        assert [(one.first, one.last) for one in path.segments] == [(one.first, one.last) for one in plain.segments]
        assert sum(path.costs.values()) == pytest.approx(path.cost)
        assert path.bound == plain.bound
        assert path.gap == pytest.approx((path.cost - path.bound) / max(abs(path.cost), abs(path.bound)))
        told = path.explanation
        for name, cost in path.costs.items():
            parts = [one["costs"].get(name, 0.0) for one in (*told["seconds"], *told["cuts"])]
            assert sum(parts) == pytest.approx(cost)
        assert [one["at"] for one in told["cuts"]] == [one.at + one.half for one in path.transitions]
        assert "before segments were warped" in path_page(path.as_dict(), "film")
        assert ("played faster or slower" in _told(path)) == any(one.speed != 1.0 for one in path.segments)
        again = json.loads(json.dumps(path.as_dict()))
        assert Path.from_dict(again, "film.json", "").segments == path.segments


def test_nothing_is_warped_for_nothing():
    objective = objective_of(0, size=0.0)
    problem = objective.problem(FRAMES, HOLD)
    plain = path_of(problem, objective, route_of(problem))
    path = warped(plain, objective, problem, route_of(problem), MOST)
    assert replace(path, costs=plain.costs) == plain
    assert path.costs["warp"] == 0.0


def test_the_window_of_no_re_use_is_that_of_the_film_with_warps():
    """20 to 27 begin the film and end it, 36 frames apart."""
    objective = objective_of(0)
    problem = objective.problem(FRAMES, HOLD)
    route = route_of(problem)
    plain = replace(path_of(problem, objective, route), reuse_window=35 / 8)
    path = warped(plain, objective, problem, route, MOST)
    times = np.concatenate([s.at + (np.arange(s.first, s.last + 1) - s.first) / s.speed for s in path.segments])
    nodes = np.concatenate([np.arange(s.first, s.last + 1) for s in path.segments])
    nearest = min(times[nodes == node].max() - times[nodes == node].min() for node in range(22, 28))
    assert path.reuse_window * 8 < nearest
    assert path.reuse_window <= plain.reuse_window


def test_a_motion_beat_is_moved_towards_the_beat():
    """It is shown at 28 where the music has a beat at 29; all else counts nothing."""
    nodes = np.zeros((FRAMES, NODES))
    nodes[:, 55] = 0.55
    nodes[29, 55] = -0.45
    objective = Objective(GRAPH, None, (Drawn("beats", nodes, np.zeros((FRAMES, 3))),), np.zeros(3), ())
    problem = objective.problem(FRAMES, HOLD)
    warp = best_warp(problem, route_of(problem), GRAPH, MOST)
    assert warp.times[28] == pytest.approx(28 + 5 / 9)  # the last segment is too short to be shortened
    assert warp.shown[29] == pytest.approx(28.5)
    assert warp.shifts[2:] == (1, 0, 0)


def test_the_film_shows_the_nearest_frame_of_each_moment(tmp_path: FilePath):
    """Frame k of the footage is as bright as 30 + 3 k."""
    file = tmp_path / "ramp.mp4"
    with VideoWriter(file, (64, 48), FPS, crf=1) as writer:
        for k in range(60):
            writer.write(np.full((48, 64, 3), 30 + 3 * k, np.uint8))
    footage = open_footage(file)
    entry = FootageEntry(footage.name, str(file), "8/1", footage.size, ((0, 59),))
    segments = (Segment(footage.id, 0, 20, 0, 20 / 22), Segment(footage.id, 40, 51, 23, 1.1))
    path = Path(
        fps=FPS, frames=34, footages={footage.id: entry}, segments=segments, transitions=(), audio=None, beats=(),
        cost=0.0, bound=0.0, gap=0.0, costs={}, beat_alignment=None, reuse_window=0.0, seed=0,
    )  # fmt: skip
    path.check()
    render(path, {footage.id: footage}, tmp_path / "film.mp4")
    film = open_footage(tmp_path / "film.mp4")
    assert film.frames == 34
    with FrameReader(film) as reader:
        seen = [float(frame.mean()) for frame in reader.frames(0, 33)]
    slow, fast = [*range(6), *range(5, 16), *range(15, 21)], [40, 41, 42, 43, 44, 46, 47, 48, 49, 50, 51]
    np.testing.assert_allclose(seen, 30 + 3 * np.array([*slow, *fast]), atol=1.2)


@pytest.mark.parametrize("speed", [0.0, -1.0, 1.05, float("nan"), "fast"])
def test_a_speed_that_gives_no_whole_number_of_frames_is_refused(speed):
    objective = objective_of(0)
    problem = objective.problem(FRAMES, HOLD)
    data = path_of(problem, objective, route_of(problem)).as_dict()
    data["segments"][0]["speed"] = speed
    with pytest.raises(UserError, match="damaged"):
        Path.from_dict(json.loads(json.dumps(data)), "film.json", "")


def test_a_path_with_warps_is_not_updated():
    objective, problem = next(problems())
    route = route_of(problem)
    path = warped(path_of(problem, objective, route), objective, problem, route, MOST)
    with pytest.raises(UserError, match="--warp"):
        Film.of(path, GRAPH)


@pytest.mark.parametrize("word", ["0.2", "-0.1", "much"])
def test_more_than_a_small_warp_is_refused(word, tmp_path, capsys):
    words = ["search", "dance.mp4", "--seconds", "3", "--out", str(tmp_path / "p.json"), "--warp", word]
    assert main(words) == 2
    assert "--warp" in capsys.readouterr().err
