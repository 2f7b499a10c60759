"""The report of a motion graph against plain loops, and its page."""

from __future__ import annotations

import base64
import re
import threading
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from vmg_backend.errors import Cancelled
from vmg_backend.evaluation.graph_page import THUMBNAIL, graph_page, inspect_graph, page_pictures
from vmg_backend.evaluation.graph_report import (
    ALONE,
    APART,
    END,
    HEART,
    SOON,
    START,
    DistanceMatrix,
    distance_matrix,
    frames_to_exit,
    graph_report,
    ways_out,
)
from vmg_backend.footage import Footage, VideoWriter, open_footage
from vmg_backend.graph.features import RHYTHM_JOINTS, MotionFeatures
from vmg_backend.graph.matching import MatchCost
from vmg_backend.graph.motion_graph import MotionGraph
from vmg_backend.progress import Progress

FPS = Fraction(20)
VOID = {"meta", "input", "img", "br"}
NAMES = ('first <b>&".mp4', "second $1 é.mp4")


def features_of(runs: list[tuple[int, int]], offsets: list[int]) -> MotionFeatures:
    rng = np.random.default_rng(3)
    nodes = offsets[-1]
    local, world, velocity = np.cumsum(rng.normal(size=(3, nodes, 17, 3)) * 0.1, axis=1)
    return MotionFeatures(
        local=local,
        world=world,
        velocity=velocity,
        confidence=rng.uniform(0.2, 1.0, (nodes, 17)),
        rhythm=rng.normal(size=(nodes, len(RHYTHM_JOINTS), 2)),
        blur=np.ones((nodes, len(RHYTHM_JOINTS))),
        runs=np.array(runs, dtype=np.int32),
        offsets=np.array(offsets, dtype=np.int64),
        fps=FPS,
    )


def graph_of(
    edges: list[tuple[int, int]], runs: list[tuple[int, int]], offsets: list[int], connectors: int = 0
) -> MotionGraph:
    """A graph with costs of its own; the last edges given are connectors."""
    order = sorted(range(len(edges)), key=lambda k: edges[k][::-1])
    cost = np.random.default_rng(len(edges)).uniform(0.1, 0.5, len(edges))
    return MotionGraph(
        footages=tuple(f"hash{k}" for k in range(len(offsets) - 1)),
        offsets=np.array(offsets, dtype=np.int64),
        runs=np.array(runs, dtype=np.int32),
        source=np.array([edges[k][0] for k in order], dtype=np.int32),
        target=np.array([edges[k][1] for k in order], dtype=np.int32),
        cost=cost[order].astype(np.float32),
        half=np.ones(len(edges), dtype=np.int8),
        connector=np.array([k >= len(edges) - connectors for k in order], dtype=bool),
        threshold=0.4,
        kept=0.0,
        fps=FPS,
    )


def random_graph(seed: int) -> MotionGraph:
    """Few edges between three runs of one footage and one of another, so that much is out of reach."""
    rng = np.random.default_rng(seed)
    runs = [(2, 20), (21, 40), (45, 59), (60, 99)]
    sources = [v for a, b in runs for v in range(a, b)]
    edges = {(int(rng.choice(sources)), int(rng.choice(sources)) + 1) for _ in range(9)}
    return graph_of(sorted((u, v) for u, v in edges if v != u + 1), runs, [0, 60, 100], connectors=2)


def footages_of(graph: MotionGraph) -> list[Footage]:
    return [
        Footage(
            id=identity,
            path=Path(name),
            fps=graph.fps,
            size=(96, 64),
            rotation=0,
            pts=np.arange(frames),
            time_base=1 / FPS,
            variable_rate=False,
            shots=np.array([[0, 9], [10, frames - 1]], dtype=np.int32),
            ranges=np.array([[0, frames - 1]], dtype=np.int32),
        )
        for identity, name, frames in zip(graph.footages, NAMES, np.diff(graph.offsets).tolist(), strict=False)
    ]


def following(graph: MotionGraph) -> dict[int, set[int]]:
    """What may be shown after each usable frame."""
    after = {v: {v + 1} if v < b else set() for a, b in graph.runs.tolist() for v in range(a, b + 1)}
    for u, v in zip(graph.source.tolist(), graph.target.tolist(), strict=True):
        after[u].add(v)
    return after


def reached(start: int, after: dict[int, set[int]]) -> set[int]:
    seen, edge = {start}, {start}
    while edge:
        edge = {v for u in edge for v in after[u]} - seen
        seen |= edge
    return seen


@pytest.mark.parametrize("seed", range(8))
def test_places_are_those_of_plain_reachability(seed: int) -> None:
    graph = random_graph(seed)
    after = following(graph)
    ways = {v: reached(v, after) for v in after}
    crossing = any((u < 60) != (v < 60) for u, v in zip(graph.source, graph.target, strict=True))
    expected = dict.fromkeys(after, ALONE)
    for part in [set(after)] if crossing else [{v for v in after if v < 60}, {v for v in after if v >= 60}]:
        around = {v: {u for u in part & ways[v] if v in ways[u]} for v in sorted(part)}
        heart = max(around.values(), key=len)
        if len(heart) > 1:
            for v in part:
                from_it, to_it = any(v in ways[h] for h in heart), bool(ways[v] & heart)
                expected[v] = {(True, True): HEART, (False, True): START, (True, False): END, (False, False): ALONE}[
                    from_it, to_it
                ]
    report = graph_report(graph, footages_of(graph))
    assert report["parts"] == (1 if crossing else 2)
    found = dict.fromkeys(after, HEART)
    for one in report["reach"]["stretches"]:
        for frame in range(one["first"], one["last"] + 1):
            found[frame + int(graph.offsets[one["footage"]])] = one["where"]
    assert found == expected
    for kind, share in report["reach"]["shares"].items():
        assert share == pytest.approx(list(expected.values()).count(kind) / len(expected))
    assert sum(one["heart"] for one in report["footages"]) == list(expected.values()).count(HEART)


def test_a_graph_in_two_parts_has_a_heart_in_each() -> None:
    graph = graph_of([(9, 3), (29, 24)], [(0, 14), (15, 39)], [0, 15, 40])
    report = graph_report(graph, footages_of(graph))
    assert report["parts"] == 2
    assert [one["heart"] for one in report["footages"]] == [7, 6]
    assert report["reach"]["shares"][ALONE] == 0.0


@pytest.mark.parametrize("seed", range(4))
def test_frames_to_exit_are_those_of_playing_on(seed: int) -> None:
    graph = random_graph(seed)
    last = {v: b for a, b in graph.runs.tolist() for v in range(a, b + 1)}
    exits = set(graph.source.tolist())
    expected = np.full(graph.nodes, -1)
    for v, end in last.items():
        w = v
        while w <= end and w not in exits:
            w += 1
        if w <= end:
            expected[v] = w - v
    assert np.array_equal(frames_to_exit(graph), expected)
    waits = expected[expected >= 0] / float(FPS)
    report = graph_report(graph, footages_of(graph))["exits"]
    assert report["median"] == pytest.approx(np.median(waits))
    assert report["p95"] == pytest.approx(np.percentile(waits, 95))
    assert report["longest"]["seconds"] == pytest.approx(waits.max())
    node = report["longest"]["frame"] + int(graph.offsets[report["longest"]["footage"]])
    assert expected[node] == expected.max()
    assert report["never"] == sum(expected[v] < 0 for v in last)


def test_longest_waits_and_hubs() -> None:
    #                 11 and 30 leave; after 30 nothing does
    graph = graph_of([(11, 3), (11, 25), (30, 4), (30, 25), (12, 25)], [(0, 49)], [0, 50])
    report = graph_report(graph, footages_of(graph))
    assert report["waits"] == [
        {"footage": 0, "first": 31, "last": 49, "goes_on": False},
        {"footage": 0, "first": 13, "last": 29, "goes_on": True},
        {"footage": 0, "first": 0, "last": 10, "goes_on": True},
    ]
    # 12 is too near to 11 to be a hub of its own.
    assert report["hubs"]["out"] == [{"footage": 0, "frame": k, "ways": 2} for k in (11, 30)]
    assert report["hubs"]["in"][0] == {"footage": 0, "frame": 25, "ways": 3}


def test_ways_out_are_the_cheapest_edges_soon_after_a_frame_to_different_moments() -> None:
    graph = random_graph(1)
    soon, apart = SOON * float(graph.fps), APART * float(graph.fps)
    edges = list(zip(graph.cost.tolist(), graph.source.tolist(), graph.target.tolist(), graph.half, strict=True))
    some = 0
    for node in range(graph.nodes):
        ends = [last for first, last in graph.runs.tolist() if first <= node <= last]
        chosen: list[tuple[int, int, int, float]] = []
        for cost, source, target, half in sorted(edges):
            near = [abs(target - other) < apart and (target < 60) == (other < 60) for _, other, _, _ in chosen]
            if ends and node <= source <= min(ends[0], node + soon) and not any(near) and len(chosen) < 3:
                chosen.append((source, target, 2 * int(half), cost))
        found = ways_out(graph, node, 3)
        places = [(node + way.after - 1, way.frame + (60 if way.footage == "hash1" else 0)) for way in found]
        assert sorted(places) == sorted(one[:2] for one in chosen)
        assert [source for source, _ in places] == sorted(source for source, _ in places)
        costs = {one[:2]: (one[2], one[3] / 0.4) for one in chosen}
        assert [(way.frames, way.share) for way in found] == [
            (costs[place][0], pytest.approx(costs[place][1])) for place in places
        ]
        some += len(found) > 1
    assert some
    assert ways_out(graph, graph.nodes - 1, 10) == []


def test_sample_transitions_are_what_they_are_called() -> None:
    rng = np.random.default_rng(0)
    runs = [(0, 99), (100, 299)]
    edges = {(int(u), int(v)) for u, v in zip(rng.integers(0, 99, 60), rng.integers(120, 299, 60), strict=True)}
    graph = graph_of(sorted(edges), runs, [0, 100, 300], connectors=5)
    samples = graph_report(graph, footages_of(graph))["samples"]
    plain = np.sort(graph.cost[~graph.connector])
    of = {kind: [one["cost"] for one in samples if one["kind"] == kind] for kind in ("cheapest", "median", "dearest")}
    assert of["cheapest"][0] == plain[0]
    assert of["cheapest"] == sorted(of["cheapest"])
    assert of["median"][0] in plain[len(plain) // 2 - 1 : len(plain) // 2 + 1]
    assert of["dearest"][0] == plain[-1]
    known = {
        (int(u), int(v)): (c, k)
        for u, v, c, k in zip(graph.source, graph.target, graph.cost, graph.connector, strict=True)
    }
    for one in samples:
        nodes = [
            one[side][end] + (100 if one[side]["footage"] else 0) for side, end in (("from", "last"), ("to", "first"))
        ]
        assert known[tuple(nodes)] == (np.float32(one["cost"]), one["kind"] == "connector")
        assert one["from"]["first"] == max(one["from"]["last"] - 2, 0)
        assert one["to"]["last"] == min(one["to"]["first"] + 2, 199)
        assert one["share"] == pytest.approx(one["cost"] / 0.4)


@pytest.mark.parametrize(("most", "sample"), [(400, 12), (30, 12), (9, 4)])
def test_distance_matrix_holds_the_least_exact_costs(most: int, sample: int) -> None:
    features = features_of([(3, 40), (41, 69), (90, 91), (95, 118)], [0, 70, 120])
    costs, nodes = MatchCost(features), np.arange(120)
    exact = costs.exact(np.repeat(nodes, 120), np.tile(nodes, 120)).reshape(120, 120)
    matrix = distance_matrix(features, most=most, sample=sample)
    block = -(-120 // most)
    assert (matrix.block, matrix.compared) == (block, min(block, sample))
    assert matrix.cells.shape == (-(-120 // block),) * 2
    skipped = (block - matrix.compared) // 2
    for a in range(len(matrix.cells)):
        for b in range(len(matrix.cells)):
            rows, columns = (slice(k * block + skipped, k * block + skipped + matrix.compared) for k in (a, b))
            assert matrix.cells[a, b] == pytest.approx(exact[rows, columns].min(initial=np.inf), abs=2e-6)
    assert np.isfinite(matrix.cells).any()
    assert np.isinf(matrix.cells).any() or most != 400


class Reader(HTMLParser):
    """Checks that tags close in order, and gathers what the page refers to, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.references += [value for name, value in attrs if name in ("src", "href", "xlink:href", "data", "action")]
        assert tag not in ("script", "link", "iframe", "object")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    assert all(reference.startswith("data:image/") for reference in reader.references)
    assert "http" not in page
    assert "url(" not in page
    return reader


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Footage]:
    """Two videos that show their frames' numbers as grey."""
    folder, found = tmp_path_factory.mktemp("videos"), []
    for number, frames in enumerate((60, 40)):
        file = folder / ("one & two.mp4", "three.mp4")[number]
        with VideoWriter(file, (96, 64), FPS) as writer:
            for frame in range(frames):
                writer.write(np.full((64, 96, 3), 20 + 100 * number + 2 * frame, np.uint8))
        found.append(open_footage(file))
    return found


def test_page_needs_no_other_file_and_shows_the_frames_it_names(videos: list[Footage]) -> None:
    graph = random_graph(5)
    seen: list[float] = []
    report, page = inspect_graph(
        graph,
        features_of(graph.runs.tolist(), [0, 60, 100]),
        videos,
        "A <graph>",
        Progress(lambda f, _: seen.append(f)),
    )
    reader = read(page)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert "A <graph>" in reader.text
    assert "one & two.mp4" in reader.text
    assert f"{graph.edges} edges" in reader.text
    shown = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)" alt="([^"]+), frame (\d+)"', page)
    for data, name, frame in shown:
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == (THUMBNAIL, 135, 3)
        grey = 20 + 100 * (name == "three.mp4") + 2 * int(frame)
        assert abs(float(picture.mean()) - grey) < 3.0, (name, frame)
    strips = sum(one[side]["last"] - one[side]["first"] + 1 for one in report["samples"] for side in ("from", "to"))
    assert len(shown) >= strips + len(report["hubs"]["out"]) + len(report["hubs"]["in"])


def test_page_of_a_graph_without_edges() -> None:
    graph = graph_of([], [(0, 9)], [0, 20])
    footages = footages_of(graph)
    report = graph_report(graph, footages)
    assert report["exits"] == {"median": None, "p95": None, "longest": None, "never": 10}
    assert report["reach"]["shares"][ALONE] == 1.0
    frames = {(0, frame): "data:image/jpeg;base64," for frame in range(20)}
    matrix = distance_matrix(features_of([(0, 9)], [0, 20]))
    page = graph_page(report, replace(graph, threshold=0.0), matrix, frames, "Nothing")
    assert NAMES[0] in read(page).text
    assert NAMES[0] not in page  # but escaped


@pytest.mark.parametrize("compared", [7, 3])
def test_page_says_what_a_pixel_is(compared: int) -> None:
    graph = random_graph(2)
    page = graph_page(
        graph_report(graph, footages_of(graph)),
        graph,
        DistanceMatrix(np.ones((15, 15)), 7, compared),
        dict.fromkeys([(k, frame) for k in (0, 1) for frame in range(60)], "data:image/jpeg;base64,"),
        "t",
    )
    assert "7 × 7 frames" in page
    assert ("3 × 3 in their middle" in page) == (compared == 3)


def test_edges_are_dots_on_the_matrix_at_the_frames_that_match() -> None:
    graph = random_graph(7)
    frames = dict.fromkeys([(k, frame) for k in (0, 1) for frame in range(60)], "data:image/jpeg;base64,")
    page = graph_page(
        graph_report(graph, footages_of(graph)), graph, DistanceMatrix(np.ones((50, 50)), 2, 2), frames, "t"
    )
    matrix, dots = (
        cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED)
        for data in re.findall(r'<image [^>]*href="data:image/png;base64,([^"]+)"', page)
    )
    assert matrix.shape == (50, 50, 3)
    scale = len(dots) / 100
    at = {
        connector: [
            (round((u + 0.5) * scale), round((v - 0.5) * scale))
            for u, v, c in zip(graph.source.tolist(), graph.target.tolist(), graph.connector, strict=True)
            if c == connector
        ]
        for connector in (False, True)
    }
    colours = [{tuple(dots[place]) for place in at[connector]} for connector in (False, True)]
    assert [len(colour) for colour in colours] == [1, 1]
    assert colours[0] != colours[1]
    assert all(alpha == 255 for colour in colours for *_, alpha in colour)
    far = np.ones(dots.shape[:2], bool)
    for row, column in at[False] + at[True]:
        far[max(row - 12, 0) : row + 12, max(column - 12, 0) : column + 12] = False
    assert not dots[far].any()


def test_cancelled_work_stops(videos: list[Footage]) -> None:
    stopped = threading.Event()
    stopped.set()
    graph = random_graph(5)
    with pytest.raises(Cancelled):
        distance_matrix(features_of(graph.runs.tolist(), [0, 60, 100]), Progress(cancelled=stopped))
    with pytest.raises(Cancelled):
        page_pictures(graph_report(graph, videos), videos, Progress(cancelled=stopped))
