"""Seconds, memory and quality of the path search, beside simpler searches for the same cost and the predecessor's.

    python benchmarks/search.py --out benchmarks/results/search.json
    python benchmarks/search.py --frames 20000 --out search.json

Graphs are drawn at random with the density of real ones: runs of 25 s, motion beats every 8 to 15 frames, half the
edges into few targets. A beat of music every 0.6 s. Each measurement has a process of its own; CPU seconds count.

The predecessor is the pairwise search of TANGO (Liu et al. 2024), written from its description: one hypothesis for each
frame, with its number of jumps and a dictionary of visits that is copied for each candidate, charged at every step.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vmg_backend.search.conditions import BeatCondition, beat_closeness
from vmg_backend.search.exact import Table, route_cost
from vmg_backend.search.live import LiveSearch
from vmg_backend.search.problem import Problem, Route
from vmg_backend.search.reuse import find_without_reuse, proved

FPS = 24.0
HOLD = 14
LONGEST = 120
BEAMS = (1, 20, 100, 1000)
LAG = 24
"""Frames, a second, after which a live search decides."""
LIVE_STEPS = 2000
PREDECESSOR = (1000, 3000)
"""Frames of footage that the predecessor is given: it would take hours for more."""
WINDOW = 20000
"""Most frames of footage that are searched without re-use, too."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[1000, 3000, 20000, 100000], help="of footage")
    parser.add_argument("--edges", type=float, default=0.5, help="for each frame of footage")
    parser.add_argument("--output", type=int, default=720, help="frames")
    parser.add_argument("--predecessor-output", type=int, default=256, help="frames; its time grows with their square")
    parser.add_argument("--out", type=Path, required=True)
    words = parser.parse_args()
    sizes = []
    for nodes in words.frames:
        sizes.append(size := measured(nodes, round(words.edges * nodes), words.output, words.predecessor_output))
        print(json.dumps(size, indent=1), flush=True)
    report = {"output_frames": words.output, "hold": HOLD, "sizes": sizes, "growth": growth(sizes)}
    words.out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report["growth"], indent=1))


def measured(nodes: int, edges: int, frames: int, predecessor_frames: int) -> dict[str, Any]:
    """All figures of one size."""
    drawn = (nodes, edges, frames)
    size = {"frames": nodes, "edges": edges, "exact": alone(exact, *drawn), "longest": alone(longest, *drawn)}
    size["live"] = alone(live, *drawn)
    if nodes <= WINDOW:
        size["no_reuse"] = alone(no_reuse, *drawn)
    for width in BEAMS:
        size["greedy" if width == 1 else f"beam_{width}"] = one = alone(beam, *drawn, width)
        if one["cost"] is not None:
            one["gap"] = round((one["cost"] - size["exact"]["cost"]) / abs(size["exact"]["cost"]), 4)
    if nodes in PREDECESSOR:
        short = (nodes, edges, predecessor_frames)
        size["predecessor"] = alone(predecessor, *short)
        size["exact_as_short"] = alone(exact, *short)
        size["faster"] = round(size["predecessor"]["cpu_seconds"] / size["exact_as_short"]["cpu_seconds"])
    return size


def alone(what: Callable[..., dict[str, Any]], *words: int) -> dict[str, Any]:
    """Figures of a measurement in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(what, *words).result()


def growth(sizes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By which power of the footage's length time and memory grow from one size to the next."""

    def power(one: dict[str, Any], other: dict[str, Any], key: str) -> float:
        length = math.log(other["frames"] / one["frames"])
        return round(math.log(max(other["exact"][key], 1e-3) / max(one["exact"][key], 1e-3)) / length, 2)

    return [
        {"from": one["frames"], "to": other["frames"], **{key: power(one, other, key) for key in ("cpu_seconds", "mb")}}
        for one, other in pairwise(sizes)
    ]


def figures(begun: float, ready_mb: float, **more: object) -> dict[str, Any]:
    """CPU seconds since `begun`; peak memory, MB, of the whole process and beyond what it had before."""
    spent, peak = time.process_time() - begun, peak_mb()
    return {"cpu_seconds": round(spent, 3), "peak_mb": round(peak), "mb": round(peak - ready_mb, 1), **more}


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def exact(nodes: int, edges: int, frames: int) -> dict[str, Any]:
    """One search from the start, costs included."""
    return _exact(problem(nodes, edges, frames))


def longest(nodes: int, edges: int, frames: int) -> dict[str, Any]:
    """The same with a longest segment."""
    return _exact(replace(problem(nodes, edges, frames), longest=LONGEST))


def _exact(asked: Problem) -> dict[str, Any]:
    begun, ready = time.process_time(), peak_mb()
    table = Table(asked)
    route = table.solve()
    first = figures(begun, ready)
    if route is None:
        return {**first, "cost": None}
    begun = time.process_time()
    table.solve()
    again = round(time.process_time() - begun, 3)
    return {**first, "again_cpu_seconds": again, "cost": route.cost, "cuts": len(route.cuts)}


def live(nodes: int, edges: int, frames: int) -> dict[str, Any]:
    """Steps of a search that decides a second after it is told: milliseconds of CPU, the conditions' costs included."""
    asked = problem(nodes, edges, frames)
    begun, ready = time.process_time(), peak_mb()
    search, spent, ways = LiveSearch(asked, LAG), [], []
    setup = round(time.process_time() - begun, 3)
    for step in range(LIVE_STEPS):
        start = time.process_time()
        search.step(asked.node_cost(step % frames), asked.cut_cost(step % frames))
        spent.append(1e3 * (time.process_time() - start))
        ways.append(search.ways)
    before, after = np.array(spent[: LAG + 1]), np.array(spent[LAG + 1 :])
    return figures(
        begun,
        ready,
        setup_cpu_seconds=setup,
        first_ms=round(float(before.max()), 2),
        median_ms=round(float(np.median(after)), 3),
        p99_ms=round(float(np.percentile(after, 99)), 3),
        most_ways=max(ways[LAG + 1 :]),
        exact=search.exact,
    )


def no_reuse(nodes: int, edges: int, frames: int) -> dict[str, Any]:
    """A certified search without re-use within a quarter of the footage."""
    asked = problem(nodes, edges, frames)
    begun, ready = time.process_time(), peak_mb()
    table = Table(asked)
    found = find_without_reuse(table, min(nodes // 4, frames))
    if found is None:
        return figures(begun, ready, cost=None)
    found = proved(table, found)
    return figures(begun, ready, cost=found.route.cost, bound=found.bound, gap=found.gap, window=found.window)


def beam(nodes: int, edges: int, frames: int, width: int) -> dict[str, Any]:
    """A beam search; 1 is greedy."""
    asked = problem(nodes, edges, frames)
    begun, ready = time.process_time(), peak_mb()
    found = beam_search(asked, width)
    if found is None:
        return figures(begun, ready, cost=None)
    return figures(begun, ready, cost=found.cost, cuts=len(found.cuts))


def beam_search(asked: Problem, width: int) -> Route | None:
    """The `width` cheapest beginnings are kept, of those that are at one frame only the cheapest; 1 is greedy."""
    nodes, frames = asked.nodes, asked.frames
    by_source = np.argsort(asked.source, kind="stable")
    leaving = np.searchsorted(asked.source[by_source], np.arange(nodes + 1))
    goes_on = np.zeros(nodes + 1, dtype=bool)
    for a, b in asked.runs:
        goes_on[a:b] = True
    node, age = np.arange(nodes), np.ones(nodes, dtype=np.int64)
    cost = asked.node_cost(0)[node]
    steps: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = []  # node, parent, edge or -1
    parent, edge = np.full(nodes, -1), np.full(nodes, -1)
    for t in range(frames):
        if t > 0:
            on = np.flatnonzero(goes_on[node])
            free = np.flatnonzero(age >= asked.hold)
            count = leaving[node[free] + 1] - leaving[node[free]]
            origin = np.repeat(free, count)
            inner = np.arange(len(origin)) - np.repeat(np.cumsum(count) - count, count)
            edges_out = by_source[leaving[node[origin]] + inner]
            costs = np.concatenate([cost[on], cost[origin] + asked.cut_cost(t)[edges_out]])
            parent = np.concatenate([on, origin])
            edge = np.concatenate([np.full(len(on), -1), edges_out])
            age = np.concatenate([np.minimum(age[on] + 1, asked.hold), np.ones(len(origin), dtype=np.int64)])
            node = np.concatenate([node[on] + 1, asked.target[edges_out]])
            cost = costs + asked.node_cost(t)[node]
        order = np.lexsort((cost, age, node))
        first = np.ones(len(order), dtype=bool)
        first[1:] = (np.diff(node[order]) != 0) | (np.diff(age[order]) != 0)
        kept = order[first]
        kept = kept[np.argsort(cost[kept], kind="stable")[:width]]
        node, age, cost, parent, edge = (values[kept] for values in (node, age, cost, parent, edge))
        if not len(node):
            return None
        steps.append((node, parent, edge))
    nodes_shown, cuts = np.empty(frames, dtype=np.int64), []
    ended = np.flatnonzero(age >= asked.hold)
    if not len(ended):
        return None
    place = int(ended[cost[ended].argmin()])
    for t in range(frames - 1, -1, -1):
        nodes_shown[t] = steps[t][0][place]
        if steps[t][2][place] >= 0:
            cuts.append((t, int(steps[t][2][place])))
        place = int(steps[t][1][place])
    cuts.reverse()
    return Route(nodes_shown, tuple(cuts), route_cost(asked, nodes_shown, cuts))


def predecessor(nodes: int, edges: int, frames: int, loop: float = 0.1, jump: float = 0.1) -> dict[str, Any]:
    """The predecessor's search, over the same graph and its consecutive frames in both directions."""
    asked = problem(nodes, edges, frames)
    begun, ready = time.process_time(), peak_mb()
    before: list[list[tuple[int, bool]]] = [[] for _ in range(nodes)]
    for a, b in asked.runs.tolist():
        for v in range(a, b):
            before[v + 1].append((v, True))
            before[v].append((v + 1, True))
    for u, x in zip(asked.source.tolist(), asked.target.tolist(), strict=True):
        before[x].append((u, False))
    shown = asked.node_cost(0)
    best = {int(a): (float(shown[a]), 0, {int(a): 1}, [int(a)]) for a, _ in asked.runs}
    for t in range(1, frames):
        shown = asked.node_cost(t)
        now = {}
        for v in range(nodes):
            cheapest = None
            for u, continues in before[v]:
                if u not in best:
                    continue
                cost, jumps, visits, path = best[u]
                jumps += not continues
                visited = visits.copy()
                cost += float(shown[v]) + jump * jumps
                if v in visited:
                    cost += loop * math.exp(visited[v])
                visited[v] = visited.get(v, 0) + 1
                if cheapest is None or cost < cheapest[0]:
                    cheapest = (cost, jumps, visited, path)
            if cheapest is not None:
                now[v] = (*cheapest[:3], [*cheapest[3], v])
        best = now
    path = min(best.values(), key=lambda one: one[0])[3]
    backwards = sum(v == u - 1 for u, v in pairwise(path))
    pairs = frames * sum(map(len, before))
    spent = figures(begun, ready)
    microseconds = round(1e6 * float(spent["cpu_seconds"]) / pairs, 2)
    return {**spent, "candidates": pairs, "microseconds_a_candidate": microseconds, "steps_backwards": backwards}


def problem(nodes: int, edges: int, frames: int) -> Problem:
    """A random graph and music, the same for the same numbers."""
    random = np.random.default_rng(0)
    run = round(25 * FPS)
    starts = np.arange(0, nodes, run)
    source, target = random.integers(0, nodes, (2, 3 * edges))
    target = np.where(random.random(len(target)) < 0.5, target, target // 20 * 20)
    pairs = np.unique(np.stack([target, source], axis=1)[np.abs(source - target) > HOLD], axis=0)
    pairs = pairs[np.sort(random.permutation(len(pairs))[:edges])]
    motion = np.zeros(nodes)
    beats = np.cumsum(random.integers(8, 16, nodes // 8))
    motion[beats[beats < nodes]] = random.random(np.sum(beats < nodes))
    changes = random.normal(0.0, 0.4, (edges, 22)) * (random.random((edges, 22)) < 0.2)
    music = BeatCondition(motion, changes, beat_closeness(np.arange(0.5, frames / FPS, 0.6), frames, FPS))
    price = 0.1 + 0.25 * random.random(edges)

    def node_cost(t: int) -> NDArray[np.float64]:
        return np.asarray(music.node_cost(t))

    def cut_cost(t: int) -> NDArray[np.float64]:
        return np.asarray(price + music.cut_cost(t))

    return Problem(
        nodes=nodes,
        runs=np.stack([starts, np.minimum(starts + run, nodes) - 1], axis=1),
        source=pairs[:, 1],
        target=pairs[:, 0],
        cut_cost=cut_cost,
        frames=frames,
        hold=HOLD,
        node_cost=node_cost,
    )


if __name__ == "__main__":
    main()
