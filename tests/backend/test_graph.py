"""The motion graph against a brute force in plain loops, which shares no code with it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vmg_backend.graph import build
from vmg_backend.graph.bounds import LowerBounds
from vmg_backend.graph.build import GraphSettings, build_graph
from vmg_backend.graph.features import RHYTHM_JOINTS, MotionFeatures, usable_runs
from vmg_backend.graph.matching import VELOCITY_SECONDS, WINDOW, MatchCost
from vmg_backend.graph.motion_graph import MotionGraph
from vmg_backend.graph.pairs import Matches

FPS = Fraction(30)
ALL = GraphSettings(band_seconds=0.2, threshold_scale=1.5, edges_per_second=1e9, edges_per_frame=10_000, keep=0.0)


def wandering(
    nodes: int,
    runs: list[tuple[int, int]],
    seed: int = 0,
    still: bool = False,
    offsets: tuple[int, ...] | None = None,
) -> MotionFeatures:
    """Joints that swing with a few periods, drift and tremble; optionally with frames that are exactly equal."""
    rng = np.random.default_rng(seed)
    t = np.arange(nodes) / float(FPS)
    swings = np.stack([np.sin(2 * np.pi * rng.uniform(0.3, 1.5) * t + rng.uniform(0, 6)) for _ in range(5)], axis=1)
    local = (swings @ rng.normal(size=(5, 51)) * 0.1).reshape(nodes, 17, 3) + rng.normal(size=(17, 3)) * 0.4
    local += rng.normal(size=local.shape) * 0.003
    root = np.cumsum(rng.normal(size=(nodes, 3)) * 0.003, axis=0)
    confidence = rng.uniform(0.2, 1.0, size=(nodes, 17))
    if still:
        local[20:30], root[20:30], confidence[20:30] = local[20], root[20], confidence[20]
        local[60:75], root[60:75], confidence[60:75] = local[20], root[20], confidence[20]
    world = local + root[:, None]
    return MotionFeatures(
        local=local,
        world=world,
        velocity=np.gradient(world, float(1 / FPS), axis=0),
        confidence=confidence,
        rhythm=rng.normal(size=(nodes, len(RHYTHM_JOINTS), 2)),
        blur=np.ones((nodes, len(RHYTHM_JOINTS))),
        runs=np.array(runs, dtype=np.int32),
        offsets=np.array(offsets or (0, nodes // 2, nodes)),
        fps=FPS,
    )


def brute_force(
    features: MotionFeatures, band: int, scale: float, groups: tuple[int, ...] | None = None
) -> tuple[set[tuple[int, int]], float]:
    """All edges and the threshold, by the definition: every pair, in float64, by subtraction."""
    footage_of = [sum(v >= start for start in features.offsets[1:]) for v in range(features.nodes)]
    nodes = features.nodes
    run_of = {v: (int(a), int(b)) for a, b in features.runs for v in range(a, b + 1)}

    weight = features.confidence[:, None] * features.confidence[None]
    distance = np.zeros((nodes, nodes))
    for field in (features.local, features.world, features.velocity * VELOCITY_SECONDS):
        squared = ((field[:, None] - field[None]) ** 2).sum(axis=3)
        distance += np.sqrt((weight * squared).sum(axis=2) / weight.sum(axis=2))

    cost = np.full((nodes + 2, nodes + 2), np.inf)  # one ring around it
    for i, (first_i, last_i) in run_of.items():
        for j, (first_j, last_j) in run_of.items():
            if i < last_i and j < last_j:
                taps = [
                    distance[i + k, j + k]
                    for k in range(WINDOW[0], WINDOW[1] + 1)
                    if first_i <= i + k <= last_i and first_j <= j + k <= last_j
                ]
                cost[i + 1, j + 1] = sum(taps) / len(taps)

    def allowed(i: int, j: int) -> bool:
        a, b = footage_of[i], footage_of[j]
        return abs(i - j) > band if a == b else groups is None or groups[a] == groups[b]

    nearest = [min((cost[i + 1, j + 1] for j in range(nodes) if allowed(i, j)), default=np.inf) for i in range(nodes)]
    threshold = scale * float(np.mean([value for value in nearest if np.isfinite(value)]))
    edges = set()
    for i in range(nodes):
        for j in range(i + 1, nodes):
            own = cost[i + 1, j + 1]
            if own <= threshold and allowed(i, j):
                around = cost[i : i + 3, j : j + 3]
                before = [around[0, 0], around[0, 1], around[0, 2], around[1, 0]]
                after = [around[1, 2], around[2, 0], around[2, 1], around[2, 2]]
                if all(own < value for value in before) and all(own <= value for value in after):
                    edges |= {(i, j + 1), (j, i + 1)}
    return edges, threshold


@pytest.mark.parametrize("small", [0, 8000], ids=["bounded", "all pairs"])
@pytest.mark.parametrize(
    ("nodes", "runs", "still", "offsets", "groups"),
    [
        (110, [(0, 54), (55, 109)], False, None, None),
        (110, [(2, 30), (31, 54), (60, 105)], False, None, None),
        (110, [(0, 54), (55, 109)], True, None, None),
        (110, [(0, 1), (2, 39), (40, 49), (53, 71), (72, 109)], False, (0, 40, 50, 72, 110), None),
        (110, [(0, 39), (40, 69), (70, 109)], False, (0, 40, 70, 110), (0, 1, 0)),
    ],
)
def test_edges_equal_a_brute_force(
    nodes: int,
    runs: list[tuple[int, int]],
    still: bool,
    offsets: tuple[int, ...] | None,
    groups: tuple[int, ...] | None,
    small: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(build, "SMALL", small)
    features = wandering(nodes, runs, seed=nodes, still=still, offsets=offsets)
    expected, threshold = brute_force(features, band=6, scale=1.5, groups=groups)
    graph = build_graph(features, ("a", "b"), ALL, groups=groups)
    assert graph.threshold == pytest.approx(threshold, abs=1e-7)  # m
    found = set(zip(graph.source.tolist(), graph.target.tolist(), strict=True))
    footage_of = np.searchsorted(features.offsets, np.arange(nodes), side="right") - 1
    live: set[int] = set()  # frames from which the heart of their group can be reached
    for group in set(groups or (0,)):
        own = [[a, b] for a, b in runs if groups is None or groups[footage_of[a]] == group]
        inside = {v for a, b in own for v in range(a, b + 1)}
        heart, leads_on = heart_and_way_to_it(np.array(own), {(u, x) for u, x in expected if u in inside})
        live |= leads_on if len(heart) > 1 else set()
    assert found == {(u, x) for u, x in expected if x in live}  # dead ends are pruned
    assert len(found) > 10


@pytest.mark.parametrize("settings", [GraphSettings(), GraphSettings(edges_per_second=6.0, edges_per_frame=2)])
def test_bounds_change_nothing(settings: GraphSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    features = wandering(900, [(0, 299), (300, 310), (312, 640), (641, 899)], offsets=(0, 300, 641, 900))
    everything = build_graph(features, ("a", "b", "c"), settings)
    monkeypatch.setattr(build, "SMALL", 0)
    assert same(build_graph(features, ("a", "b", "c"), settings), everything)


def test_strips_equal_subtraction() -> None:
    features = wandering(700, [(0, 340), (350, 500), (501, 699)])
    costs = MatchCost(features)
    columns = np.arange(costs.place[330] - 4, costs.place[699] + 6)
    for row, height in ((int(costs.place[0]), 64), (int(costs.place[480]), 128)):
        found = costs.strip(row, height)(columns)
        i, j = (costs.node[places] for places in (np.arange(row - 1, row + height + 1), columns[3:-4]))
        exact = costs.exact(np.repeat(i, len(j)), np.tile(j, len(i))).reshape(found.shape)
        exact[i < 0], exact[:, j < 0] = np.inf, np.inf
        finite = np.isfinite(exact)
        assert np.array_equal(finite, np.isfinite(found))
        assert np.abs(found[finite] - exact[finite]).max() < 1e-6
        assert finite.mean() > 0.5


def test_bounds_lie_below_the_cost() -> None:
    features = wandering(700, [(0, 340), (350, 355), (360, 500), (501, 699)])
    rng = np.random.default_rng(3)
    hidden = np.zeros((700, 17), dtype=bool)
    hidden[200:260, 5:9] = hidden[rng.integers(700, size=5), rng.integers(17, size=5)] = True
    costs = MatchCost(replace(features, confidence=np.where(hidden, 0.05, features.confidence)))
    places = np.flatnonzero(costs.node >= 0)
    rows = rng.choice(places, 50, replace=False)
    bound = LowerBounds(costs).of(rows)[:, places]
    exact = costs.exact(np.repeat(costs.node[rows], len(places)), np.tile(costs.node[places], len(rows)))
    exact = exact.reshape(bound.shape)
    assert (bound <= exact + 1e-7).all()
    assert np.median(bound[np.isfinite(exact)] / exact[np.isfinite(exact)].clip(1e-9)) > 0.05  # and not nothing


class Kept(dict[tuple[str, str], Matches]):
    """Matches in memory, by the names of footages."""

    def of(self, names: str) -> Kept.View:
        return Kept.View(self, names)

    class View:
        def __init__(self, kept: Kept, names: str) -> None:
            self.kept, self.names, self.made = kept, names, 0

        def load(self, first: int, second: int) -> Matches | None:
            return self.kept.get((self.names[first], self.names[second]))

        def save(self, first: int, second: int, matches: Matches) -> None:
            self.made += 1
            self.kept[self.names[first], self.names[second]] = matches


@pytest.mark.parametrize("small", [0, 8000], ids=["bounded", "all pairs"])
def test_footages_are_added_and_removed_without_rebuilding(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "SMALL", small)
    lengths = {"a": 150, "b": 90, "c": 120, "d": 70}
    whole = wandering(430, [(0, 149), (150, 239), (240, 299), (300, 359), (360, 429)], offsets=(0, 150, 240, 360, 430))

    def only(names: str) -> MotionFeatures:
        chosen, runs, offsets = [], [], [0]
        for number, name in enumerate("abcd"):
            if name in names:
                a, b = whole.offsets[number : number + 2]
                own = whole.runs[(whole.runs[:, 0] >= a) & (whole.runs[:, 0] < b)]
                runs.append(own - a + offsets[-1])
                chosen.append(np.arange(a, b))
                offsets.append(offsets[-1] + lengths[name])
        at = np.concatenate(chosen)
        arrays = {
            key: getattr(whole, key)[at] for key in ("local", "world", "velocity", "confidence", "rhythm", "blur")
        }
        return replace(whole, **arrays, runs=np.concatenate(runs), offsets=np.array(offsets))

    kept = Kept()
    for names in ("c", "ac", "acd", "abcd", "abd"):
        view = kept.of(names)
        graph = build_graph(only(names), tuple(names), store=view)
        assert same(graph, build_graph(only(names), tuple(names)))
        if small:
            assert view.made == {"abd": 0}.get(names, len(names))  # n + 1 pairs for one more


def test_saved_matches_are_the_same(tmp_path: Path) -> None:
    kept = Kept()
    build_graph(wandering(200, [(0, 99), (100, 199)]), ("a", "b"), store=kept.of("ab"))
    matches = kept["a", "b"]
    matches.save(tmp_path / "Größe.npz")
    again = Matches.load(tmp_path / "Größe.npz")
    assert again.limit == matches.limit
    for name in ("i", "j", "cost", "unsure", "nearest_i", "nearest_j", "partner_i", "partner_j"):
        assert np.array_equal(getattr(again, name), getattr(matches, name))


def same(one: MotionGraph, other: MotionGraph) -> bool:
    """Whether two graphs are the same, byte for byte."""
    arrays = ("offsets", "runs", "source", "target", "cost", "half", "connector")
    return (one.threshold, one.kept, one.footages) == (other.threshold, other.kept, other.footages) and all(
        getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in arrays
    )


def test_no_edge_leaves_a_run_or_stutters() -> None:
    features = wandering(400, [(0, 120), (121, 199), (210, 399)])
    graph = build_graph(features, ("a", "b"))
    last = {int(b) for _, b in features.runs}
    first = {int(a) for a, _ in features.runs}
    usable = {v for a, b in features.runs for v in range(a, b + 1)}
    for source, target in zip(graph.source.tolist(), graph.target.tolist(), strict=True):
        assert source in usable
        assert target in usable
        assert source not in last
        assert target not in first
        if (source < 200) == (target < 200):
            assert abs(source - (target - 1)) > 15
    assert graph.edges > 0


def test_edge_budget_and_edges_of_each_frame() -> None:
    features = wandering(300, [(0, 299)])
    few = build_graph(features, ("a", "b"), GraphSettings(threshold_scale=5.0, edges_per_second=4.0))
    assert few.edges - few.connector.sum() <= 4 * 10
    narrow = build_graph(features, ("a", "b"), GraphSettings(threshold_scale=5.0, edges_per_frame=1, keep=0.0))
    assert np.unique(narrow.source, return_counts=True)[1].max() == 1


def test_connectors_reach_the_wanted_share_and_none_is_needless() -> None:
    features = wandering(400, [(0, 90), (91, 199), (200, 280), (281, 399)])
    graph = build_graph(features, ("a", "b"), GraphSettings(threshold_scale=0.75))
    assert graph.kept >= 0.95
    assert graph.connector.any()
    assert graph.cost[graph.connector].max() > graph.threshold
    for edge in np.flatnonzero(graph.connector):
        rest = np.arange(graph.edges) != edge
        assert heart_share(graph, rest) < 0.95


def heart_and_way_to_it(runs: np.ndarray, edges: set[tuple[int, int]]) -> tuple[set[int], set[int]]:
    """The largest set of frames that all reach each other, and the frames from which it is reached, by plain search."""
    usable = {v for a, b in runs.tolist() for v in range(a, b + 1)}
    following: dict[int, set[int]] = {v: set() for v in usable}
    leading: dict[int, set[int]] = {v: set() for v in usable}
    for u, x in edges | {(v, v + 1) for a, b in runs.tolist() for v in range(a, b)}:
        following[u].add(x)
        leading[x].add(u)

    def reach(start: int, links: dict[int, set[int]]) -> set[int]:
        seen, todo = {start}, [start]
        while todo:
            for other in links[todo.pop()] - seen:
                seen.add(other)
                todo.append(other)
        return seen

    heart: set[int] = set()
    left = set(usable)
    while left:
        start = next(iter(left))
        component = reach(start, following) & reach(start, leading)
        heart = max(heart, component, key=len)
        left -= component
    return heart, reach(next(iter(heart)), leading)


def heart_share(graph: MotionGraph, chosen: np.ndarray) -> float:
    """Share of the usable frames in the heart of the chosen edges."""
    edges = set(zip(graph.source[chosen].tolist(), graph.target[chosen].tolist(), strict=True))
    heart, _ = heart_and_way_to_it(graph.runs, edges)
    return len(heart) / int((graph.runs[:, 1] - graph.runs[:, 0] + 1).sum())


def test_kept_share_is_true() -> None:
    graph = build_graph(wandering(300, [(0, 149), (150, 299)]), ("a", "b"))
    assert graph.kept == pytest.approx(heart_share(graph, np.ones(graph.edges, dtype=bool)))


def test_transitions_have_real_frames_on_both_sides() -> None:
    graph = build_graph(wandering(300, [(0, 149), (150, 299)]), ("a", "b"))
    run = {v: (a, b) for a, b in graph.runs.tolist() for v in range(a, b + 1)}
    for source, target, half in zip(graph.source.tolist(), graph.target.tolist(), graph.half.tolist(), strict=True):
        assert 1 <= half <= 6
        assert source + half <= run[source][1]
        assert target - half >= run[target][0]


def test_a_single_shot_without_any_likeness_still_gets_a_way_back() -> None:
    features = wandering(120, [(0, 119)], offsets=(0, 120))
    graph = build_graph(features, ("a",), GraphSettings(threshold_scale=0.01))
    assert graph.connector.any()
    assert graph.kept > 0.5


def test_usable_runs_end_at_shots_ranges_and_absence() -> None:
    person = np.ones(20, dtype=bool)
    person[[5, 12]] = False
    shots = np.array([[0, 8], [9, 19]], dtype=np.int32)
    ranges = np.array([[1, 15], [17, 19]], dtype=np.int32)
    assert usable_runs(person, shots, ranges).tolist() == [[1, 4], [6, 8], [9, 11], [13, 15], [17, 19]]


def test_adjacent_ranges_are_one_footage_but_two_runs() -> None:
    runs = usable_runs(
        np.ones(10, dtype=bool), np.array([[0, 9]], dtype=np.int32), np.array([[0, 4], [5, 9]], dtype=np.int32)
    )
    assert runs.tolist() == [[0, 4], [5, 9]]


def test_saved_and_loaded(tmp_path: Path) -> None:
    graph = build_graph(wandering(200, [(0, 99), (100, 199)]), ("a", "b"))
    graph.save(tmp_path / "Größe 1.npz")
    again = MotionGraph.load(tmp_path / "Größe 1.npz")
    for name in ("offsets", "runs", "source", "target", "cost", "half", "connector"):
        assert np.array_equal(getattr(graph, name), getattr(again, name))
    assert (again.footages, again.threshold, again.kept, again.fps) == (("a", "b"), graph.threshold, graph.kept, FPS)
