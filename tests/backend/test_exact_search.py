"""The exact search against an exhaustive one, on graphs small enough to try every path."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from vmg_backend.progress import Progress
from vmg_backend.search import exact
from vmg_backend.search.exact import Table, route_cost, solve
from vmg_backend.search.problem import Allowed, Problem, Route
from vmg_backend.search.reuse import conflicts, find_without_reuse, solve_without_reuse


def exhaustive(problem: Problem, window: int = 0) -> float:
    """The least cost of any path, by trying them all; inf where there is none."""
    run = {v: (int(a), int(b)) for a, b in problem.runs for v in range(a, b + 1)}
    leaving: dict[int, list[tuple[int, int]]] = {}
    for edge, (u, x) in enumerate(zip(problem.source, problem.target, strict=True)):
        leaving.setdefault(int(u), []).append((edge, int(x)))
    node_costs = [problem.node_cost(t) for t in range(problem.frames)]
    cut_costs = [problem.cut_cost(t) for t in range(problem.frames)]
    best = np.inf

    def may_be_shown(t: int, v: int) -> bool:
        return (
            problem.pins.get(t, v) == v
            and not any(time == t and a <= v <= b for time, a, b in problem.bans)
            and all(one.nodes[v] for one in problem.allowed if one.first <= t <= one.last)
        )

    free = [{v for v in run if may_be_shown(t, v)} for t in range(problem.frames)]

    def again(t: int, v: int, shown: list[int]) -> bool:
        return any(
            shown[s] == v and not (s in problem.pins and t in problem.pins) for s in range(max(0, t - window), t)
        )

    def walk(t: int, v: int, age: int, cost: float, cut: bool, shown: list[int]) -> None:
        nonlocal best
        if v not in free[t] or (problem.longest is not None and age > problem.longest) or again(t, v, shown):
            return
        cost += node_costs[t][v]
        if t == problem.frames - 1:
            if not cut or age >= problem.hold:
                best = min(best, cost)
            return
        shown = [*shown, v]
        if v < run[v][1]:
            walk(t + 1, v + 1, age + 1, cost, cut, shown)
        if age >= problem.hold:
            for edge, x in leaving.get(v, ()):
                walk(t + 1, x, 1, cost + cut_costs[t + 1][edge], True, shown)

    for v in run:
        walk(0, v, 1, 0.0, False, [])
    return best


def random_problem(rng: np.random.Generator) -> Problem:
    """Shot cuts, unusable frames, dead ends, ties, holds longer than a run, pins, bans, outputs shorter than a hold."""
    nodes, frames, hold = int(rng.integers(4, 13)), int(rng.integers(1, 11)), int(rng.integers(1, 5))
    inner = sorted({int(v) for v in rng.integers(1, nodes, size=rng.integers(0, 3))})
    bounds = [0, *inner, nodes]
    runs = [(a, b - 1) for a, b in itertools.pairwise(bounds)]
    if rng.random() < 0.3:  # a frame without a person at the start of each shot
        runs = [(min(a + 1, b), b) for a, b in runs]
    if rng.random() < 0.3:  # or at the end
        runs = [(a, max(a, b - 1)) for a, b in runs]
    usable = [v for a, b in runs for v in range(a, b + 1)]
    edges = {(int(rng.choice(usable)), int(rng.choice(usable))) for _ in range(rng.integers(0, 14))}
    ordered = sorted((x, u) for u, x in edges if x != u + 1)
    node_costs, cut_costs = rng.normal(size=(frames, nodes)), 2 * rng.random((frames, len(ordered)))
    if rng.random() < 0.5:  # ties
        node_costs, cut_costs = np.round(node_costs), np.round(cut_costs)
    pins = {int(t): int(rng.choice(usable)) for t in rng.integers(frames, size=rng.integers(0, 2))}
    bans = tuple(
        (int(rng.integers(frames)), first, min(first + int(rng.integers(3)), nodes - 1))
        for first in (int(v) for v in rng.integers(nodes, size=rng.integers(0, 4)))
    )
    return Problem(
        nodes=nodes,
        runs=np.array(runs),
        source=np.array([u for _, u in ordered], dtype=np.int64),
        target=np.array([x for x, _ in ordered], dtype=np.int64),
        cut_cost=lambda t: cut_costs[t],
        frames=frames,
        hold=hold,
        node_cost=lambda t: node_costs[t],
        pins=pins,
        bans=bans,
    )


def limited_problem(rng: np.random.Generator) -> Problem:
    """The same with a longest segment, and constraints on some output frames; dense enough to cut often."""
    problem = random_problem(rng)
    hold = min(problem.hold, 3)
    usable = [v for a, b in problem.runs for v in range(a, b + 1)]
    more = [(int(rng.choice(usable)), int(rng.choice(usable))) for _ in range(rng.integers(0, 14))]
    edges = {*zip(problem.source.tolist(), problem.target.tolist(), strict=True), *more}
    ordered = sorted((x, u) for u, x in edges if x != u + 1)
    costs = rng.normal(1, 1, (problem.frames, len(ordered)))
    if rng.random() < 0.5:
        costs = np.round(costs)
    allowed = tuple(
        Allowed(int(first), int(first + rng.integers(0, 3)), rng.random(problem.nodes) < 0.7)
        for first in rng.integers(-1, problem.frames, size=rng.integers(0, 2))
    )
    return replace(
        problem,
        source=np.array([u for _, u in ordered], dtype=np.int64),
        target=np.array([x for x, _ in ordered], dtype=np.int64),
        cut_cost=lambda t: costs[t],
        hold=hold,
        allowed=allowed,
        longest=hold + int(rng.integers(0, 5)),
    )


def check_valid(problem: Problem, route: Route) -> None:
    """The path obeys every rule, whatever found it."""
    starts = {int(a) for a, _ in problem.runs}
    last = {int(b) for _, b in problem.runs}
    usable = {v for a, b in problem.runs for v in range(a, b + 1)}
    cuts = dict(route.cuts)
    assert len(route.nodes) == problem.frames
    assert set(route.nodes.tolist()) <= usable
    for t in range(1, problem.frames):
        before, now = int(route.nodes[t - 1]), int(route.nodes[t])
        if t in cuts:
            assert (problem.source[cuts[t]], problem.target[cuts[t]]) == (before, now)
        else:
            assert now == before + 1
            assert now not in starts
            assert before not in last
    bounds = [0, *(t for t, _ in route.cuts), problem.frames]
    if route.cuts:
        assert np.diff(bounds).min() >= problem.hold
    assert problem.longest is None or np.diff(bounds).max() <= problem.longest
    assert all(route.nodes[t] == node for t, node in problem.pins.items())
    assert not any(a <= route.nodes[t] <= b for t, a, b in problem.bans)
    for one in problem.allowed:
        assert one.nodes[route.nodes[max(one.first, 0) : max(one.last + 1, 0)]].all()
    assert route.cost == pytest.approx(route_cost(problem, route.nodes, route.cuts))


def test_equals_exhaustive_search() -> None:
    rng = np.random.default_rng(0)
    solved = cuts = impossible = 0
    for _ in range(400):
        problem = random_problem(rng)
        expected, route = exhaustive(problem), solve(problem)
        if route is None:
            assert expected == np.inf
            impossible += 1
        else:
            check_valid(problem, route)
            assert route.cost == pytest.approx(expected)
            solved += 1
            cuts += len(route.cuts)
    assert solved >= 200
    assert cuts >= 100
    assert impossible >= 20


def test_with_a_longest_segment_equals_exhaustive_search() -> None:
    rng = np.random.default_rng(9)
    solved = cuts = impossible = shorter = 0
    for _ in range(300):
        problem = limited_problem(rng)
        expected, route = exhaustive(problem), solve(problem)
        if route is None:
            assert expected == np.inf
            impossible += 1
        else:
            check_valid(problem, route)
            assert route.cost == pytest.approx(expected)
            free = solve(replace(problem, longest=None))
            assert free is not None
            shorter += free.cost < route.cost - 1e-9
            solved += 1
            cuts += len(route.cuts)
    assert solved >= 150
    assert cuts >= 150
    assert impossible >= 15
    assert shorter >= 15


def test_a_limit_below_the_hold_is_refused() -> None:
    problem = random_problem(np.random.default_rng(0))
    with pytest.raises(ValueError, match="at most"):
        replace(problem, longest=problem.hold - 1)


def least_by_age(problem: Problem) -> float:
    """The least cost of any path, with the age of its segment as part of the state; inf where there is none."""
    starts = {int(a) for a, _ in problem.runs}
    usable = {v for a, b in problem.runs for v in range(a, b + 1)}
    longest = problem.longest or problem.frames
    edges = list(enumerate(zip(problem.source.tolist(), problem.target.tolist(), strict=True)))
    state = {(v, 1, False): 0.0 for v in usable}  # node, age, whether it was cut
    for t in range(problem.frames):
        barred, node_cost, cut_cost = exact.barred_by(problem)[t], problem.node_cost(t), problem.cut_cost(t)
        if t > 0:
            leaving: dict[int, float] = {}
            following: dict[tuple[int, int, bool], float] = {}
            for (v, age, cut), cost in state.items():
                if v + 1 in usable and v + 1 not in starts and age < longest:
                    following[v + 1, age + 1, cut] = min(following.get((v + 1, age + 1, cut), np.inf), cost)
                if age >= problem.hold:
                    leaving[v] = min(leaving.get(v, np.inf), cost)
            for edge, (u, x) in edges:
                if u in leaving:
                    following[x, 1, True] = min(following.get((x, 1, True), np.inf), leaving[u] + cut_cost[edge])
            state = following
        state = {key: cost + node_cost[key[0]] for key, cost in state.items() if not barred[key[0]]}
    return min((cost for (_, age, cut), cost in state.items() if not cut or age >= problem.hold), default=np.inf)


@pytest.mark.parametrize("longest", [None, 5, 6, 9])
def test_equals_a_search_by_age_on_longer_films(longest: int | None) -> None:
    rng = np.random.default_rng(10)
    solved = 0
    for _ in range(8):
        nodes, frames, count = 50, 60, 60
        pairs = rng.integers(0, nodes, (count, 2))
        ordered = sorted({(int(x), int(u)) for u, x in pairs if x != u + 1})
        node_costs, cut_costs = rng.normal(size=(frames, nodes)), rng.random((frames, len(ordered)))
        problem = Problem(
            nodes=nodes,
            runs=np.array([(0, 19), (20, 33), (35, 49)]),
            source=np.array([u for _, u in ordered]),
            target=np.array([x for x, _ in ordered]),
            cut_cost=lambda t, costs=cut_costs: costs[t],
            frames=frames,
            hold=5,
            node_cost=lambda t, costs=node_costs: costs[t],
            bans=tuple((int(t), int(v), int(v) + 2) for t, v in rng.integers(0, 48, (20, 2))),
            longest=longest,
        )
        route, expected = solve(problem), least_by_age(problem)
        assert (np.inf if route is None else route.cost) == pytest.approx(expected)
        if route is not None:
            check_valid(problem, route)
            solved += 1
    assert solved >= 3


def part_of(problem: Problem, first: int, barred: np.ndarray) -> Problem:
    """The problem of some output frames, with more barred."""
    end = first + len(barred)
    bans = [(t, int(v), int(v)) for t, v in zip(*np.nonzero(barred), strict=True)]
    bans += [(t - first, a, b) for t, a, b in problem.bans if first <= t < end]
    return replace(
        problem,
        frames=len(barred),
        node_cost=lambda t: problem.node_cost(t + first),
        cut_cost=lambda t: problem.cut_cost(t + first),
        pins={t - first: node for t, node in problem.pins.items() if first <= t < end},
        bans=tuple(bans),
        allowed=tuple(Allowed(one.first - first, one.last - first, one.nodes) for one in problem.allowed),
    )


@pytest.mark.parametrize("remembered", [0, 32_000_000])
def test_a_part_with_more_barred_equals_exhaustive_search(remembered: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "_REMEMBERED_VALUES", remembered)
    rng = np.random.default_rng(5)
    solved = 0
    for number in range(200):
        problem = limited_problem(rng) if number % 2 else random_problem(rng)
        table = Table(problem)
        for _ in range(2):
            first = int(rng.integers(problem.frames))
            barred = rng.random((int(rng.integers(1, problem.frames - first + 1)), problem.nodes)) < 0.1
            part = part_of(problem, first, barred)
            route, expected = table.solve(barred, first), exhaustive(part)
            assert (np.inf if route is None else route.cost) == pytest.approx(expected)
            if route is not None:
                check_valid(part, route)
                assert table.cost(route.nodes, route.cuts, first) == pytest.approx(expected)
                solved += 1
    assert solved >= 100


@pytest.mark.parametrize("mutation", ["hold", "longest", "price", "edge", "pin"])
def test_notices_a_wrong_search(mutation: str) -> None:
    """The comparisons above fail for a search with another hold, limit, price, edge or pin: they are able to fail."""
    rng = np.random.default_rng(1)
    noticed = 0
    for _ in range(200):
        problem = limited_problem(rng) if mutation == "longest" else random_problem(rng)
        if mutation == "hold":
            wrong = replace(problem, hold=problem.hold + 1)
        elif mutation == "longest":
            wrong = replace(problem, longest=(problem.longest or 0) + 1)
        elif mutation == "price":
            wrong = replace(problem, cut_cost=lambda t, p=problem: p.cut_cost(t) + 0.5)
        elif mutation == "edge":
            wrong = replace(
                problem,
                source=problem.source[1:],
                target=problem.target[1:],
                cut_cost=lambda t, p=problem: p.cut_cost(t)[1:],
            )
        else:
            wrong = replace(problem, pins={})
        route, expected = solve(wrong), exhaustive(problem)
        cost = np.inf if route is None else route.cost
        noticed += cost != pytest.approx(expected)
    assert noticed >= 10


def test_no_reuse_equals_exhaustive_search() -> None:
    """With enough branching the bound closes: the path found is the best that keeps the window."""
    rng = np.random.default_rng(2)
    solved = 0
    for number in range(240):
        problem = limited_problem(rng) if number % 2 else random_problem(rng)
        window = int(rng.integers(1, 9))
        expected = exhaustive(problem, window)
        found = solve_without_reuse(problem, window, branchings=500)
        if found is None:
            assert expected == np.inf
            continue
        check_valid(problem, found.route)
        assert not conflicts(found.route.nodes, window, problem.pins)
        assert found.bound <= expected + 1e-9
        assert found.route.cost == pytest.approx(expected)
        assert found.gap == pytest.approx(0.0, abs=1e-6)
        solved += 1
    assert solved >= 80


def test_bounds_are_true_however_little_is_branched() -> None:
    rng = np.random.default_rng(3)
    open_gaps = 0
    for number in range(200):
        problem = limited_problem(rng) if number % 2 else random_problem(rng)
        window = int(rng.integers(1, 9))
        found = solve_without_reuse(problem, window, branchings=1)
        if found is not None:
            check_valid(problem, found.route)
            assert found.bound <= exhaustive(problem, window) + 1e-9
            assert found.route.cost >= found.bound - 1e-9
            assert not conflicts(found.route.nodes, window, problem.pins)
            open_gaps += found.gap > 1e-6
    assert open_gaps > 0


def test_a_known_path_is_never_made_worse() -> None:
    rng = np.random.default_rng(6)
    found = 0
    for _ in range(100):
        table = Table(replace(random_problem(rng), bans=()))
        wide, narrow = sorted((int(window) for window in rng.integers(1, 9, size=2)), reverse=True)
        known = find_without_reuse(table, wide)
        if known is not None:
            better = find_without_reuse(table, narrow, known=known.route)
            assert better is not None
            assert better.route.cost <= known.route.cost + 1e-9
            found += 1
    assert found >= 50


def test_progress_is_told_in_every_phase() -> None:
    """And so it can be cancelled in every phase."""
    rng = np.random.default_rng(7)
    problem = next(
        problem
        for problem in (replace(random_problem(rng), bans=()) for _ in range(1000))
        if (found := solve_without_reuse(problem, 6, branchings=8)) is not None and found.gap > 0
    )
    stages: list[float] = []
    solve_without_reuse(problem, 6, branchings=8, progress=Progress(lambda fraction, _: stages.append(fraction)))
    assert stages == sorted(stages)
    assert any(0 < fraction < 0.7 for fraction in stages)
    assert sum(fraction >= 0.7 for fraction in stages) >= 2  # in branch and bound, too


def test_conflicts_are_those_of_a_plain_comparison() -> None:
    rng = np.random.default_rng(4)
    for _ in range(100):
        nodes = rng.integers(0, 12, size=20).astype(np.int64)
        window = int(rng.integers(1, 12))
        covered = {
            (conflict.early + k, conflict.late + k)
            for conflict in conflicts(nodes, window, {})
            for k in range(conflict.length)
        }
        nearest = {
            (a, b)
            for b in range(20)
            for a in range(b)
            if nodes[a] == nodes[b] and b - a <= window and not (nodes[a + 1 : b] == nodes[a]).any()
        }
        assert covered == nearest


def test_the_same_problem_gives_the_same_path() -> None:
    problem = random_problem(np.random.default_rng(8))
    first, second = solve(problem), solve(problem)
    assert first is not None
    assert second is not None
    assert np.array_equal(first.nodes, second.nodes)
    assert first.cuts == second.cuts
