"""The film's shape: pinned ends, staying in a footage, and loops, against all paths that there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from vmg_backend.errors import UserError
from vmg_backend.search.exact import route_cost
from vmg_backend.search.keyframes import Keyframe
from vmg_backend.search.problem import Allowed, Problem, Route
from vmg_backend.search.reuse import Certified, conflicts, solve_without_reuse
from vmg_backend.search.shape import Shape, Stay, cheapest_loop, find_loop, frame_named

RUNS = np.array([[0, 7], [8, 13], [15, 24]])  # node 14 may not be shown


def small_problem(seed: int, frames: int = 15, hold: int = 3, density: float = 0.1, spread: float = 1.0) -> Problem:
    rng = np.random.default_rng(seed)
    usable = [v for a, b in RUNS for v in range(a, b + 1)]
    pairs = np.array([(u, v) for v in usable for u in usable if v != u + 1 and rng.random() < density])
    node = rng.normal(scale=spread, size=(frames, 25))
    cut = rng.normal(0.5, 0.2, size=(frames, len(pairs)))
    return Problem(
        nodes=25,
        runs=RUNS,
        source=pairs[:, 0],
        target=pairs[:, 1],
        cut_cost=lambda t: cut[t],
        frames=frames,
        hold=hold,
        node_cost=lambda t: node[t],
    )


def all_paths(problem: Problem) -> Iterator[Route]:
    """Every path, hold kept."""
    run = {v: k for k, (a, b) in enumerate(problem.runs) for v in range(a, b + 1)}
    edges = {v: np.flatnonzero(problem.source == v).tolist() for v in run}

    def onward(nodes: list[int], cuts: list[tuple[int, int]], held: int) -> Iterator[Route]:
        if len(nodes) == problem.frames:
            if held >= problem.hold or not cuts:
                path = np.array(nodes)
                yield Route(path, tuple(cuts), route_cost(problem, path, cuts))
            return
        if run.get(nodes[-1] + 1) == run[nodes[-1]]:
            yield from onward([*nodes, nodes[-1] + 1], cuts, held + 1)
        if held >= problem.hold:
            for edge in edges[nodes[-1]]:
                yield from onward([*nodes, int(problem.target[edge])], [*cuts, (len(nodes), edge)], 1)

    for start in run:
        yield from onward([start], [], 1)


def is_loop(route: Route) -> bool:
    first, last = int(route.nodes[0]), int(route.nodes[-1])
    return first == last + 1 and any(a <= last and first <= b for a, b in RUNS)


@pytest.mark.parametrize("seed", range(4))
def test_the_cheapest_loop_is_the_cheapest_of_all_loops(seed: int) -> None:
    problem = small_problem(seed)
    best = min((route.cost for route in all_paths(problem) if is_loop(route)), default=np.inf)
    loop = cheapest_loop(problem)
    if loop is None:
        assert np.isinf(best)
        return
    assert is_loop(loop.route)
    assert loop.route.cost == pytest.approx(best)
    assert loop.bound == pytest.approx(best)


def test_a_bound_after_few_searches_is_true() -> None:
    """Where starts cost nearly alike, few searches leave a gap: it must hold the best."""
    gaps = 0
    for seed in range(4):
        problem = small_problem(seed, spread=0.05)
        best = min(route.cost for route in all_paths(problem) if is_loop(route))
        for searches in (3, 6, 12, 25):
            loop = cheapest_loop(problem, searches)
            if loop is None:
                assert searches < 6
                continue
            assert loop.bound <= best + 1e-9 <= loop.route.cost + 2e-9
            assert loop.route.cost == pytest.approx(route_cost(problem, loop.route.nodes, loop.route.cuts))
            gaps += loop.bound < loop.route.cost - 1e-9
    assert gaps > 2


def test_a_loop_keeps_what_else_is_asked_for() -> None:
    problem = small_problem(1)
    loops = [route for route in all_paths(problem) if is_loop(route)]
    free = cheapest_loop(problem)
    assert free is not None
    allowed = np.ones(25, dtype=bool)
    allowed[free.route.nodes[3]] = False  # so that another one must be found
    problem = replace(problem, allowed=(Allowed(2, 5, allowed),), pins={12: int(loops[len(loops) // 2].nodes[12])})
    meeting = [route.cost for route in loops if route.nodes[12] == problem.pins[12] and allowed[route.nodes[2:6]].all()]
    loop = cheapest_loop(problem)
    assert loop is not None
    assert loop.route.cost == pytest.approx(min(meeting))


def test_without_a_way_back_there_is_no_loop() -> None:
    problem = replace(small_problem(0), source=np.array([3]), target=np.array([17]), cut_cost=lambda _: np.zeros(1))
    assert cheapest_loop(problem) is None
    assert cheapest_loop(replace(problem, frames=1)) is None
    with pytest.raises(UserError, match="No loop of 15 frames"):
        find_loop(problem, lambda _: pytest.fail("there is nothing to search"))


def shown_again_within(nodes: np.ndarray, frames: int) -> int:
    """The least distance around the circle at which a frame is shown again."""
    distances = [min(t - s, frames - (t - s)) for t in range(frames) for s in range(t) if nodes[s] == nodes[t]]
    return min(distances, default=frames)


WINDOWS = (7, 4, 2, 0)


def searched(problem: Problem) -> Certified:
    """The widest window that can be had."""
    for window in WINDOWS:
        found = solve_without_reuse(problem, window)
        if found is not None:
            return found
    raise UserError("None.", "None.")


def test_the_window_holds_across_the_seam() -> None:
    held = 0
    for seed in range(4):
        problem = small_problem(seed)
        loops = [route for route in all_paths(problem) if is_loop(route)]
        found = find_loop(problem, searched)
        route, window = found.certified.route, found.certified.window
        assert is_loop(route)
        assert not conflicts(route.nodes, window, {})
        assert shown_again_within(route.nodes, 15) > found.seam_window
        keeping = [one.cost for one in loops if not conflicts(one.nodes, window, {})]
        assert found.certified.bound <= min(keeping) + 1e-9
        around = [one.cost for one in loops if shown_again_within(one.nodes, 15) > found.seam_window]
        assert min(around) <= route.cost + 1e-9
        held += found.seam_window == window
    assert held > 2


def test_what_is_cheap_near_both_ends_is_searched_anew() -> None:
    problem = small_problem(8, frames=24, density=0.2, spread=0.2)
    cheap = np.where((np.arange(25) >= 8) & (np.arange(25) < 14), -2.0, 0.0)
    plain, times, seen = problem.node_cost, {3, 4, 5, 18, 19, 20}, []
    problem = replace(problem, node_cost=lambda t: plain(t) + (cheap if t in times else 0.0))

    def search(asked: Problem) -> Certified:
        found = searched(asked)
        seen.append(shown_again_within(found.route.nodes, 24))
        return found

    found = find_loop(problem, search)
    assert found.seam_window == found.certified.window == 7
    assert seen[0] <= 7 < seen[-1] == shown_again_within(found.certified.route.nodes, 24)
    loop = cheapest_loop(problem)
    assert loop is not None
    assert found.certified.bound == loop.bound <= loop.route.cost < found.certified.route.cost


def test_pinned_ends_and_staying_are_keyframes() -> None:
    shape = Shape(start=("a", 5), end=("b", 9), stay=(Stay("a"), Stay("b", 1.0, 2.5)))
    assert shape.keyframes(100, Fraction(10)) == [
        Keyframe(0.0, "a", 0, 100, mode="footage"),
        Keyframe(0.0, "a", 5, 1),
        Keyframe(1.0, "b", 0, 15, mode="footage"),
        Keyframe(9.9, "b", 9, 1),
    ]
    switching = Shape(stay=(Stay("a", 0.0, 2.0), Stay("b", 2.0, 4.0), Stay("b", 4.0, 5.0)))
    assert switching.keyframes(50, Fraction(10), room=6) == [  # a transition may lie across the switch
        Keyframe(0.0, "a", 0, 17, mode="footage"),
        Keyframe(2.3, "b", 0, 17, mode="footage"),
        Keyframe(4.0, "b", 0, 10, mode="footage"),
    ]
    with pytest.raises(UserError, match="ends before"):
        Shape(stay=(Stay("a", 10.0, 12.0),)).keyframes(100, Fraction(10))


def test_a_loop_cannot_begin_where_nothing_comes_before() -> None:
    problem = small_problem(0)
    problem = replace(problem, pins={0: int(problem.runs[0, 0])})
    with pytest.raises(UserError, match="first frame of a shot"):
        find_loop(problem, searched)


def test_words_of_the_command_line() -> None:
    assert frame_named("my dance: 2.mp4:120") == ("my dance: 2.mp4", 120)
    assert Stay.named("dance.mp4") == Stay("dance.mp4")
    assert Stay.named("my: dance.mp4:1.5-20") == Stay("my: dance.mp4", 1.5, 20.0)
    for text in ("dance.mp4", "dance.mp4:", "dance.mp4:-3", ":3"):
        with pytest.raises(UserError):
            frame_named(text)
    with pytest.raises(UserError):
        Stay.named("dance.mp4:5-2")
