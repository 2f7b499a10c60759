"""Other takes: valid, and never better than what a full enumeration says, nor their bounds above it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest

from vmg_backend.search.alternatives import Difference, other_takes
from vmg_backend.search.exact import route_cost, solve
from vmg_backend.search.problem import Problem, Route
from vmg_backend.search.reuse import Certified, conflicts, solve_without_reuse

RUNS = np.array([[0, 9], [10, 16], [18, 27]])  # node 17 may not be shown
FRAMES = 14


@cache
def small_problem(seed: int, spread: float = 0.3) -> Problem:
    rng = np.random.default_rng(seed)
    usable = [v for a, b in RUNS for v in range(a, b + 1)]
    pairs = np.array([(u, v) for v in usable for u in usable if v != u + 1 and rng.random() < 0.1])
    node, cut = rng.normal(scale=spread, size=(FRAMES, 28)), rng.normal(0.5, 0.2, size=(FRAMES, len(pairs)))
    return Problem(
        nodes=28,
        runs=RUNS,
        source=pairs[:, 0],
        target=pairs[:, 1],
        cut_cost=lambda t: cut[t],
        frames=FRAMES,
        hold=3,
        node_cost=lambda t: node[t],
    )


@cache
def all_paths(seed: int) -> list[Route]:
    """Every path, hold kept."""
    problem = small_problem(seed)
    run = {v: k for k, (a, b) in enumerate(RUNS) for v in range(a, b + 1)}
    edges = {v: np.flatnonzero(problem.source == v).tolist() for v in run}

    def onward(nodes: list[int], cuts: list[tuple[int, int]], held: int) -> Iterator[Route]:
        if len(nodes) == FRAMES:
            if held >= problem.hold or not cuts:
                yield Route(np.array(nodes), tuple(cuts), route_cost(problem, np.array(nodes), cuts))
            return
        if run.get(nodes[-1] + 1) == run[nodes[-1]]:
            yield from onward([*nodes, nodes[-1] + 1], cuts, held + 1)
        if held >= problem.hold:
            for edge in edges[nodes[-1]]:
                yield from onward([*nodes, int(problem.target[edge])], [*cuts, (len(nodes), edge)], 1)

    return [route for start in run for route in onward([start], [], 1)]


def same(one: Route, other: Route, near: int) -> int:
    """Output frames at which two paths show frames of one run that are at most `near` apart."""
    return sum(
        abs(u - v) <= near and any(a <= min(u, v) and max(u, v) <= b for a, b in RUNS)
        for u, v in zip(one.nodes.tolist(), other.nodes.tolist(), strict=True)
    )


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("share", "near"), [(0.5, 0), (0.75, 0), (0.5, 2)])
def test_each_take_differs_and_its_bound_is_true(seed: int, share: float, near: int) -> None:
    problem = small_problem(seed)
    best = solve(problem)
    assert best is not None
    takes = other_takes(problem, [best], 3, difference=Difference(share, near))
    assert takes
    earlier = [best]
    most = int((1 - share) * FRAMES)
    for take in takes:
        assert all(same(take.route, one, near) <= most for one in earlier)
        assert take.route.cost == pytest.approx(route_cost(problem, take.route.nodes, take.route.cuts))
        optimum = min(route.cost for route in all_paths(seed) if all(same(route, one, near) <= most for one in earlier))
        assert take.bound <= optimum + 1e-9 <= take.route.cost + 2e-9
        earlier.append(take.route)


def test_most_second_takes_are_the_best_ones() -> None:
    """The bound is worth something: in most cases it proves what was found, or nearly so."""
    gaps = []
    for seed in range(6):
        problem = small_problem(seed)
        best = solve(problem)
        assert best is not None
        (take,) = other_takes(problem, [best], 1)
        gaps.append(take.route.cost - take.bound)
    assert np.median(gaps) < 0.3
    assert min(gaps) < 0.05


def test_a_take_that_is_searched_with_more_rules_keeps_them_and_its_bound_is_true() -> None:
    window = 6

    def search(problem: Problem) -> Certified:
        found = solve_without_reuse(problem, window)
        assert found is not None
        return found

    for seed in range(3):
        problem = small_problem(seed)
        best = search(problem).route
        (take,) = other_takes(problem, [best], 1, search=search)
        valid = [route for route in all_paths(seed) if not conflicts(route.nodes, window, {})]
        optimum = min(route.cost for route in valid if same(route, best, 0) <= FRAMES // 2)
        assert same(take.route, best, 0) <= FRAMES // 2
        assert not conflicts(take.route.nodes, window, {})
        assert take.window == window
        assert take.bound <= optimum + 1e-9 <= take.route.cost + 2e-9


def test_the_result_is_the_same_each_time() -> None:
    problem = small_problem(2)
    best = solve(problem)
    assert best is not None
    first, second = (other_takes(problem, [best], 3) for _ in range(2))
    assert [take.route.nodes.tolist() for take in first] == [take.route.nodes.tolist() for take in second]


def test_where_nothing_else_can_be_shown_there_is_no_other_take() -> None:
    problem = small_problem(0)
    best = solve(problem)
    assert best is not None
    pinned = Problem(**{**vars(problem), "pins": dict(enumerate(best.nodes.tolist()))})
    assert other_takes(pinned, [best], 2) == []


def test_few_searches_give_a_true_bound_too() -> None:
    for seed in range(4):
        problem = small_problem(seed)
        best = solve(problem)
        assert best is not None
        optimum = min(route.cost for route in all_paths(seed) if same(route, best, 0) <= FRAMES // 2)
        for searches in (2, 3, 5):
            for take in other_takes(problem, [best], 1, searches=searches):
                assert take.bound <= optimum + 1e-9 <= take.route.cost + 2e-9
