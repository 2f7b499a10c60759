"""Whether what a path tells of its costs is all of them, and whether its runner-ups are the best others."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from fractions import Fraction
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from vmg_backend.evaluation.path_page import path_page
from vmg_backend.graph.motion_graph import MotionGraph
from vmg_backend.search.exact import Table, solve
from vmg_backend.search.explain import explain, runner_up
from vmg_backend.search.objective import Objective

HOLD, FRAMES = 2, 13


@dataclass(frozen=True)
class Drawn:
    """A condition with any costs."""

    name: str
    nodes: np.ndarray
    edges: np.ndarray
    about: dict[str, Any] = field(default_factory=dict)

    def node_cost(self, frame):
        return self.nodes[frame] if frame % 3 else None

    def cut_cost(self, frame):
        return self.edges[frame] if frame % 2 else None


def objective_of(seed):
    random = np.random.default_rng(seed)
    nodes, edges = 16, sorted({(int(x), int(u)) for u, x in random.integers(0, 16, (22, 2)) if x != u + 1})
    target, source = np.array(edges).T
    ones = np.ones(len(edges))
    graph = MotionGraph(
        ("one", "two"), np.array([0, 9, nodes]), np.array([[0, 8], [9, 15]], np.int32),
        source.astype(np.int32), target.astype(np.int32), ones.astype(np.float32), ones.astype(np.int8),
        ones < 0, 1.0, 1.0, Fraction(4),
    )  # fmt: skip
    conditions = tuple(
        Drawn(name, random.normal(size=(FRAMES, nodes)), random.normal(size=(FRAMES, len(edges)))) for name in "ab"
    )
    return Objective(graph, None, conditions, 0.3 * random.random(len(edges)), ())


def cases():
    for seed in range(40):
        objective = objective_of(seed)
        table = Table(objective.problem(FRAMES, HOLD))
        route = table.solve()
        if route is not None and len(route.cuts) > 1:
            yield objective, table, route


def test_the_parts_sum_to_the_cost():
    for objective, table, route in cases():
        told = json.loads(json.dumps(explain(objective, table, route, 0)))
        shown = sum(sum(second["costs"].values()) for second in told["seconds"])
        cut = sum(sum(one["costs"].values()) for one in told["cuts"])
        assert shown + cut == pytest.approx(route.cost)
        assert [one["at"] for one in told["cuts"]] == [t for t, _ in route.cuts]
        assert [second["at"] for second in told["seconds"]] == [0, 4, 8, 12]
        for name in ("a", "b"):
            parts = [second["costs"][name] for second in told["seconds"]] + [one["costs"][name] for one in told["cuts"]]
            assert sum(parts) == pytest.approx(objective.costs(route)[name])


def test_a_runner_up_is_the_cheapest_path_without_the_cut_between_what_is_kept():
    found = 0
    for objective, table, route in cases():
        problem = objective.problem(FRAMES, HOLD)
        bounds = [0, *(t for t, _ in route.cuts), FRAMES]
        for number, (t, edge) in enumerate(route.cuts):
            start, end = bounds[max(number - 1, 0)], bounds[min(number + 3, len(bounds) - 1)]
            kept = [k for k in range(FRAMES) if k < start + HOLD * (start > 0) or k >= end - HOLD * (end < FRAMES)]
            pins = {k: int(route.nodes[k]) for k in kept}
            node = int(problem.target[edge])
            other = solve(replace(problem, pins=pins, bans=((t, node, node),)))
            mine = runner_up(table, route, number, 0)
            if other is None:
                assert mine is None
                continue
            found += 1
            assert mine.cost == pytest.approx(other.cost)
            assert mine.cost >= route.cost - 1e-9
            assert (t, edge) not in mine.cuts
    assert found > 20


def test_a_runner_up_keeps_the_window():
    for _, table, route in cases():
        for number in range(len(route.cuts)):
            mine = runner_up(table, route, number, FRAMES)
            if mine is not None and len(set(route.nodes.tolist())) == FRAMES:
                assert len(set(mine.nodes.tolist())) == FRAMES


def test_a_runner_ups_costs_say_why_it_is_dearer():
    for objective, table, route in cases():
        for one in explain(objective, table, route, 0)["cuts"]:
            if one["runner_up"]:
                assert sum(one["runner_up"]["costs"].values()) == pytest.approx(one["runner_up"]["dearer"])


class Well(HTMLParser):
    """Notes tags that are not closed, and addresses."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "i", "path", "rect"):
            self.open.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        if tag not in ("i", "path", "rect"):
            assert self.open.pop() == tag


def test_the_page_is_whole_and_shows_each_cut():
    objective, table, route = next(cases())
    told = explain(objective, table, route, 0)
    sides = {"footage": "one", "frame": 1}
    path = {
        "fps": "4/1", "frames": FRAMES, "cost": route.cost, "bound": route.cost, "costs": objective.costs(route),
        "footages": {"one": {"name": "a & b.mp4"}, "two": {"name": "two.mp4"}}, "explanation": told,
        "transitions": [{"at": t - 1, "frames": 2, "match": [1, 2], "from": sides, "to": sides} for t, _ in route.cuts],
    }  # fmt: skip
    page = path_page(path, "<a film>")
    well = Well()
    well.feed(page)
    assert not well.open
    assert not well.addresses
    assert page.count("stroke-dasharray") == len(route.cuts)
    assert "&lt;a film&gt;" in page
    assert "a &amp; b.mp4 1" in page
