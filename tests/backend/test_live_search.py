"""Search that decides as it goes, against trying every way."""

from __future__ import annotations

import itertools
from collections import deque

import numpy as np
import pytest

from vmg_backend.errors import UserError
from vmg_backend.search.live import LiveSearch, Shown, frames_to_reach, leaving
from vmg_backend.search.problem import Problem


def problem_of(runs, edges, hold):
    edges = sorted(edges, key=lambda edge: (edge[1], edge[0]))
    source, target = (np.array([edge[side] for edge in edges], int).reshape(-1) for side in (0, 1))
    nodes = runs[-1][1] + 1
    nothing, free = np.zeros(nodes), np.zeros(len(edges))
    return Problem(nodes, np.array(runs), source, target, lambda _: free, 1, hold, lambda _: nothing)


def random_problem(rng):
    nodes, hold = int(rng.integers(6, 16)), int(rng.integers(1, 5))
    inner = sorted({int(v) for v in rng.integers(2, nodes - 1, size=rng.integers(0, 3))})
    runs = [(a, b - 1) for a, b in itertools.pairwise([0, *inner, nodes])]
    edges = {tuple(int(v) for v in rng.integers(0, nodes, 2)) for _ in range(rng.integers(3, 24))}
    return problem_of(runs, {(u, x) for u, x in edges if x != u + 1}, hold)


def following(problem, node, since):
    """Where one may be a frame later, and by which edge."""
    last = next(b for a, b in problem.runs if a <= node <= b)
    found = [((node + 1, min(since + 1, problem.hold)), -1)] if node < last else []
    if since >= problem.hold:
        found += [((int(problem.target[e]), 1), int(e)) for e in np.flatnonzero(problem.source == node)]
    return found


def endless(problem):
    """States from which a film can go on for ever: those that stay when all without a way on are struck out."""
    usable = [v for a, b in problem.runs for v in range(a, b + 1)]
    states = {(v, s) for v in usable for s in range(1, problem.hold + 1)}
    while len(kept := {one for one in states if any(to in states for to, _ in following(problem, *one))}) < len(states):
        states = kept
    return states


def tried(problem, states, costs, allowed):
    """The least cost, and the frames, of all ways from some states through the frames whose costs are given."""
    best = (np.inf, ())
    todo = [(0, state, edge, 0.0, ()) for state, edge in states]
    while todo:
        t, state, edge, cost, shown = todo.pop()
        node_cost, cut_cost = costs[t]
        cost += node_cost[state[0]] + (cut_cost[edge] if edge >= 0 else 0.0)
        shown = (*shown, (state, edge))
        if t == len(costs) - 1:
            best = min(best, (cost, shown), key=lambda one: one[0])
            continue
        todo += [(t + 1, later, by, cost, shown) for later, by in following(problem, *state) if later in allowed]
    return best


def random_costs(problem, rng, frames):
    return [(rng.normal(size=problem.nodes), 2.0 * rng.random(len(problem.source))) for _ in range(frames)]


@pytest.mark.parametrize("lag", [0, 1, 3, 6])
def test_each_decision_is_the_best_of_all_ways_that_begin_with_what_was_decided(lag):
    rng, tested = np.random.default_rng(lag), 0
    while tested < 25:
        problem = random_problem(rng)
        allowed = endless(problem)
        if not allowed:
            with pytest.raises(UserError, match="for ever"):
                LiveSearch(problem, lag)
            continue
        tested += 1
        search, costs = LiveSearch(problem, lag), random_costs(problem, rng, 7 + lag)
        starts = [((v, 1), -1) for v in range(problem.nodes) if (v, 1) in allowed]
        for t, told in enumerate(costs):
            decided = search.step(*told)
            if t < lag:
                assert decided is None
                continue
            _, shown = tried(problem, starts, costs[t - lag : t + 1], allowed)
            (state, edge), *_ = shown
            assert decided == Shown(state[0], edge)
            starts = [one for one in following(problem, *state) if one[0] in allowed]


def test_a_lag_as_long_as_the_film_is_the_exact_search():
    rng, tested = np.random.default_rng(9), 0
    while tested < 25:
        problem = random_problem(rng)
        allowed = endless(problem)
        if not allowed:
            continue
        tested += 1
        search, costs = LiveSearch(problem, 99), random_costs(problem, rng, 8)
        assert all(search.step(*told) is None for told in costs)
        cost = 0.0
        for shown, (node_cost, cut_cost) in zip(search.finish(), costs, strict=True):
            cost += node_cost[shown.node] + (cut_cost[shown.edge] if shown.edge >= 0 else 0.0)
        least, _ = tried(problem, [((v, 1), -1) for v in range(problem.nodes) if (v, 1) in allowed], costs, allowed)
        assert cost == pytest.approx(least)


@pytest.mark.parametrize("beam", [1, 3, 1000])
def test_a_beam_never_ends_and_keeps_the_hold(beam):
    rng, tested, dropped = np.random.default_rng(3), 0, 0
    while tested < 20:
        problem = random_problem(rng)
        if not endless(problem):
            continue
        tested += 1
        narrow, whole = LiveSearch(problem, 2, beam), LiveSearch(problem, 2)
        states = None
        for told in random_costs(problem, rng, 60):
            shown, best = narrow.step(*told), whole.step(*told)
            assert beam < 1000 or shown == best
            if shown is None:
                continue
            reached = [((shown.node, 1), -1)] if states is None else following(problem, *states)
            (states,) = [state for state, edge in reached if (state[0], edge) == (shown.node, shown.edge)]
        assert narrow.ways <= beam
        dropped += not narrow.exact
    assert (dropped > 0) == (beam < 1000)


def test_leaving_is_what_can_be_left_for_ever():
    rng = np.random.default_rng(5)
    for _ in range(60):
        problem = random_problem(rng)
        allowed = endless(problem)
        _, good = leaving(problem)
        for edge, target in enumerate(problem.target):
            assert good[edge] == ((int(target), 1) in allowed)


def test_frames_to_reach_counts_the_frames_of_the_shortest_way():
    rng = np.random.default_rng(7)
    for _ in range(80):
        problem = random_problem(rng)
        goal = rng.random(problem.nodes) < 0.15
        reach = frames_to_reach(problem, goal)
        for node in range(problem.nodes):
            assert reach[node] == searched(problem, node, goal)


def searched(problem, node, goal):
    """Breadth first, over nodes and frames since the last cut."""
    queue, seen = deque([((node, problem.hold), 0)]), {(node, problem.hold)}
    while queue:
        state, frames = queue.popleft()
        if goal[state[0]]:
            return frames
        for later, _ in following(problem, *state):
            if later not in seen:
                seen.add(later)
                queue.append((later, frames + 1))
    return np.inf


def test_what_is_expected_ahead_leads_there():
    """Two runs, joined far from the goal: only who looks ahead leaves in time."""
    runs, goal = [(0, 29), (30, 59)], np.zeros(60, bool)
    goal[50:] = True
    problem = problem_of(runs, {(20, 30), (29, 0), (59, 0)}, 2)
    reach, free = frames_to_reach(problem, goal), np.zeros(3)
    start = np.where(np.arange(60) == 15, 0.0, 100.0)

    def reached(ahead):
        search = LiveSearch(problem, 1)
        search.step(start, free, ahead)
        for frame in range(1, 80):
            shown = search.step(1.0 - goal, free, ahead)
            if goal[shown.node]:
                return frame
        return None

    assert reached(reach) == 27  # 5 to the cut, 21 to the goal, and the lag
