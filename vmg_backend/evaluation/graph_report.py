"""What a motion graph is like: what it reaches, where it gets stuck, how long one waits for a way out of a frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from ..footage import Footage
from ..graph.connectivity import heart_of, reaching
from ..graph.features import MotionFeatures, inside
from ..graph.matching import MatchCost
from ..graph.motion_graph import MotionGraph
from ..progress import SILENT, Progress

CELLS = 400
"""A distance matrix has at most so many rows and columns."""
SAMPLE = 12
"""Frames of a cell's side that are compared; where a side is longer, those in its middle."""

HUBS, WAITS, SAMPLES = 8, 5, 3
"""How many hubs, stretches without a way out, and transitions of each kind are named."""
SHOWN = 3
"""Frames of a sample transition on either side of the cut."""
APART = 0.5
"""s between hubs, ways out and sample transitions, which else would all show the same moment."""
SOON = 2.0
"""s in which a way out can be taken."""

HEART, START, END, ALONE = "heart", "start", "end", "alone"
"""Where a usable frame lies: in the heart of the graph; before it, where a film can only start; behind it, where a film
can only end; or neither reached from the heart nor leading to it."""
KINDS = (HEART, START, END, ALONE)

_STRIP = 64
"""Rows of the distance matrix that are computed at a time."""

Nodes = NDArray[np.int64]


@dataclass(frozen=True)
class WayOut:
    """An edge as a person chooses it.

    Attributes
    ----------
    after : int
        Frames that are shown from the one that was asked about on, before the cut; at least 1.
    footage : str
        Content hash.
    frame : int
        The frame that is shown next.
    frames : int
        Of its transition.
    share : float
        The match's cost as a share of the threshold.
    connector : bool
        Whether the edge was added so that no part of the footage is out of reach.
    """

    after: int
    footage: str
    frame: int
    frames: int
    share: float
    connector: bool


def ways_out(graph: MotionGraph, node: int, most: int) -> list[WayOut]:
    """The best edges that leave a node or what is played after it within `SOON`, which lead to different moments.

    Of all that can be taken the cheapest ones are chosen, each no nearer than `APART` to what one before it leads to;
    they are told soonest first. None where the footage only plays on.

    Parameters
    ----------
    graph : MotionGraph
    node : int
        ``graph.offsets[footage] + frame``.
    most : int
    """
    run = graph.runs[(graph.runs[:, 0] <= node) & (node <= graph.runs[:, 1])]
    last = min(node + SOON * float(graph.fps), *run[:, 1]) if len(run) else node - 1
    leaving = np.flatnonzero((graph.source >= node) & (graph.source <= last))
    chosen: list[int] = []
    for edge in leaving[np.lexsort((graph.target[leaving], graph.source[leaving], graph.cost[leaving]))].tolist():
        if len(chosen) == most:
            break
        if all(_far(graph, int(graph.target[edge]), int(graph.target[other])) for other in chosen):
            chosen.append(edge)
    shares, result = _shares(graph), []
    for edge in sorted(chosen, key=lambda edge: int(graph.source[edge])):
        footage, frame = graph.footage_of(int(graph.target[edge]))
        result.append(
            WayOut(
                after=int(graph.source[edge]) - node + 1,
                footage=graph.footages[footage],
                frame=frame,
                frames=2 * int(graph.half[edge]),
                share=float(shares[edge]),
                connector=bool(graph.connector[edge]),
            )
        )
    return result


def frames_to_exit(graph: MotionGraph) -> Nodes:
    """How many frames are played after each node before an edge can be taken [N]; -1 where none comes in its run."""
    exits = np.append(np.unique(graph.source), graph.nodes)
    number = np.arange(graph.nodes)
    following = exits[np.searchsorted(exits, number)]
    result = np.full(graph.nodes, -1, dtype=np.int64)
    for first, last in graph.runs.tolist():
        there = slice(first, int(np.searchsorted(following[: last + 1], last, side="right")))
        result[there] = following[there] - number[there]
    return result


@dataclass(frozen=True)
class DistanceMatrix:
    """Match costs of all frames with all frames, the least of each cell.

    Attributes
    ----------
    cells : float64 [M, M]
        m; inf where no match is possible.
    block : int
        Nodes to a cell's side.
    compared : int
        Those of them that were compared, in the middle of the side.
    """

    cells: NDArray[np.float64]
    block: int
    compared: int


def distance_matrix(
    features: MotionFeatures, progress: Progress = SILENT, *, most: int = CELLS, sample: int = SAMPLE
) -> DistanceMatrix:
    """The match costs of a library, small enough to be looked at: at most `most` cells each way.

    Time and memory are bounded: of longer cells only `sample` frames each way are compared.
    """
    costs = MatchCost(features)
    block = max(1, -(-costs.nodes // most))
    compared = min(block, sample)
    cells = np.full((-(-costs.nodes // block),) * 2, np.inf)
    within = np.arange(costs.nodes) % block - (block - compared) // 2
    nodes = np.flatnonzero(costs.matchable & (within >= 0) & (within < compared))
    places = costs.place[nodes]
    firsts = np.flatnonzero(np.diff(places, prepend=-1) != 1)
    lengths = np.diff(firsts, append=len(places))
    # A stretch of columns needs one place and the window more on either side; its own begin behind the first of those.
    low, high = costs.window
    columns = [np.arange(places[k] - 1 + low, places[k] + n + 1 + high) for k, n in zip(firsts, lengths, strict=True)]
    starts = np.cumsum([0, *(len(part) for part in columns)])
    everything = np.concatenate(columns) if columns else np.zeros(0, dtype=np.int64)
    own = np.concatenate([start + 1 + np.arange(n) for start, n in zip(starts, lengths, strict=False)] or [[]])
    for number, (first, length) in enumerate(zip(firsts.tolist(), lengths.tolist(), strict=True)):
        # The costs are symmetric, so only the columns from the row's stretch on are computed.
        wanted = own[first:].astype(np.int64) - starts[number]
        across, column = _pieces(nodes[first:] // block)
        for row in range(first, first + length, _STRIP):
            progress.update(1.0 - (1.0 - row / len(places)) ** 2)
            height = min(_STRIP, first + length - row)
            strip = costs.strip(int(places[row]), height)(everything[starts[number] :])[1:-1, wanted]
            down, line = _pieces(nodes[row : row + height] // block)
            least = np.minimum.reduceat(np.minimum.reduceat(strip, across, axis=1), down, axis=0)
            there = np.ix_(line, column)
            cells[there] = np.minimum(cells[there], least)
    return DistanceMatrix(np.minimum(cells, cells.T), block, compared)


def _pieces(cell: Nodes) -> tuple[Nodes, Nodes]:
    """Where each cell begins in a rising row of cells' numbers, and its number."""
    begins = np.flatnonzero(np.diff(cell, prepend=-1))
    return begins, cell[begins]


def graph_report(graph: MotionGraph, footages: Sequence[Footage]) -> dict[str, Any]:
    """What a graph is like, as JSON.

    Parameters
    ----------
    graph : MotionGraph
    footages : sequence of Footage
        In the order of the graph.

    Returns
    -------
    dict
        ``footages``: for each its name, rate of use, shots and edges. ``reach``: shares of the usable frames by place
        (`KINDS`), and the stretches outside of the heart. ``exits``: s until an edge can be taken. ``hubs``, ``waits``
        and ``samples``: frames, stretches and edges to look at. Frames are `{"footage": index, "frame": number}`,
        stretches have ``first`` and ``last``; a sample leads from the last frame of ``from`` to the first of ``to``.
    """
    fps, footage = float(graph.fps), np.repeat(np.arange(len(graph.footages)), np.diff(graph.offsets))
    usable, place, parts = inside(graph.runs, graph.nodes), _places(graph, footage), _parts(graph)
    seconds = int(usable.sum()) / fps
    return {
        "footages": [
            {
                "footage": identity,
                "name": one.name,
                "frames": one.frames,
                "shots": one.shots.tolist(),
                "usable": int(usable[footage == k].sum()),
                "heart": int((place[footage == k] == 0).sum()),
                "ways_out": int((footage[graph.source] == k).sum()),
                "ways_in": int((footage[graph.target] == k).sum()),
                "to_others": int(((footage[graph.source] == k) & (footage[graph.target] != k)).sum()),
            }
            for k, (identity, one) in enumerate(zip(graph.footages, footages, strict=True))
        ],
        "fps": str(graph.fps),
        "frames": graph.nodes,
        "usable": int(usable.sum()),
        "edges": graph.edges,
        "edges_per_second": graph.edges / seconds if seconds else 0.0,
        "connectors": int(graph.connector.sum()),
        "threshold": graph.threshold,
        "parts": len(np.unique(parts)),
        "reach": {
            "shares": {kind: float((place[usable] == k).mean()) for k, kind in enumerate(KINDS)},
            "stretches": [
                {**_stretch(graph, first, last), "where": KINDS[place[first]]}
                for first, last in _stretches(graph, place)
                if place[first] > 0
            ],
        },
        "exits": _exits(graph),
        "hubs": {
            "out": _hubs(graph, np.bincount(graph.source, minlength=graph.nodes)),
            "in": _hubs(graph, np.bincount(graph.target, minlength=graph.nodes)),
        },
        "waits": _waits(graph),
        "samples": _samples(graph),
    }


def _shares(graph: MotionGraph) -> NDArray[np.float64]:
    """The edges' costs as shares of the threshold [E]."""
    cost = graph.cost.astype(np.float64)
    return cost / graph.threshold if graph.threshold > 0 else np.zeros(len(cost))


def _frame(graph: MotionGraph, node: int) -> dict[str, int]:
    footage, frame = graph.footage_of(node)
    return {"footage": footage, "frame": frame}


def _stretch(graph: MotionGraph, first: int, last: int) -> dict[str, int]:
    footage, frame = graph.footage_of(first)
    return {"footage": footage, "first": frame, "last": frame + last - first}


def _parts(graph: MotionGraph) -> Nodes:
    """The part that each footage belongs to [F]: no edge leads from one part to another."""
    footages = len(graph.footages)
    of = [np.searchsorted(graph.offsets, nodes, side="right") - 1 for nodes in (graph.source, graph.target)]
    joined = csr_array((np.ones(graph.edges), tuple(of)), shape=(footages, footages))
    return np.asarray(connected_components(joined, directed=False)[1], dtype=np.int64)


def _places(graph: MotionGraph, footage: Nodes) -> Nodes:
    """Where each node lies [N], by number in `KINDS`; -1 where it is not usable.

    The heart is the largest strongly connected component of each part, if it has more than one frame.
    """
    heart, reached, leads = (np.zeros(graph.nodes, dtype=bool) for _ in range(3))
    part = _parts(graph)[footage]
    for number in np.unique(part):
        runs, edges = graph.runs[part[graph.runs[:, 0]] == number], part[graph.source] == number
        ways = (graph.nodes, runs, graph.source[edges], graph.target[edges])
        here = heart_of(*ways)
        heart |= here
        leads |= reaching(*ways, here)
        reached |= reaching(*ways, here, back=False)
    place = np.select([heart, leads, reached], [0, 1, 2], 3)
    return np.where(inside(graph.runs, graph.nodes), place, -1)


def _stretches(graph: MotionGraph, value: NDArray[Any]) -> Iterable[tuple[int, int]]:
    """First and last node of each stretch inside of a run with the same value."""
    for first, last in graph.runs.tolist():
        ends = first + np.flatnonzero(np.diff(value[first : last + 1]))
        yield from zip([first, *(ends + 1).tolist()], [*ends.tolist(), last], strict=True)


def _exits(graph: MotionGraph) -> dict[str, Any]:
    """How long it takes until an edge can be taken, s, from the frames where one comes."""
    wait, fps = frames_to_exit(graph), float(graph.fps)
    never = int(inside(graph.runs, graph.nodes).sum() - (wait >= 0).sum())
    if not (wait >= 0).any():
        return {"median": None, "p95": None, "longest": None, "never": never}
    node = int(np.argmax(wait))
    return {
        "median": float(np.median(wait[wait >= 0])) / fps,
        "p95": float(np.percentile(wait[wait >= 0], 95)) / fps,
        "longest": {"seconds": int(wait[node]) / fps, **_frame(graph, node)},
        "never": never,
    }


def _hubs(graph: MotionGraph, ways: Nodes) -> list[dict[str, int]]:
    """The frames with the most ways [N], half a second from each other."""
    hubs: list[int] = []
    for node in np.argsort(-ways, kind="stable").tolist():
        if not ways[node] or len(hubs) == HUBS:
            break
        if all(_far(graph, node, other) for other in hubs):
            hubs.append(node)
    return [{**_frame(graph, node), "ways": int(ways[node])} for node in hubs]


def _far(graph: MotionGraph, a: int, b: int) -> bool:
    return abs(a - b) >= APART * float(graph.fps) or graph.footage_of(a)[0] != graph.footage_of(b)[0]


def _waits(graph: MotionGraph) -> list[dict[str, Any]]:
    """The longest stretches without a way out; at the end of some of them the film cannot go on."""
    exits = np.zeros(graph.nodes, dtype=bool)
    exits[graph.source] = True
    without = [(first, last) for first, last in _stretches(graph, exits) if not exits[first]]
    without.sort(key=lambda stretch: (stretch[0] - stretch[1], stretch[0]))
    ends = set(graph.runs[:, 1].tolist())
    return [{**_stretch(graph, first, last), "goes_on": last not in ends} for first, last in without[:WAITS]]


def _samples(graph: MotionGraph) -> list[dict[str, Any]]:
    """The cheapest, middling and dearest edges, and the dearest connectors, of different moments."""
    order = np.lexsort((graph.target, graph.source, graph.cost))
    plain, connectors = order[~graph.connector[order]], order[graph.connector[order]]
    middle = plain[np.argsort(np.abs(np.arange(len(plain)) - (len(plain) - 1) / 2), kind="stable")]
    kinds = {"cheapest": plain, "median": middle, "dearest": plain[::-1], "connector": connectors[::-1]}
    shares = _shares(graph)
    result = []
    for kind, edges in kinds.items():
        for edge in _different(graph, edges):
            i, j_next = int(graph.source[edge]), int(graph.target[edge])
            start = int(graph.runs[np.searchsorted(graph.runs[:, 1], i), 0])
            end = int(graph.runs[np.searchsorted(graph.runs[:, 1], j_next), 1])
            result.append(
                {
                    "kind": kind,
                    "from": _stretch(graph, max(i - SHOWN + 1, start), i),
                    "to": _stretch(graph, j_next, min(j_next + SHOWN - 1, end)),
                    "cost": float(graph.cost[edge]),
                    "share": float(shares[edge]),
                    "frames": 2 * int(graph.half[edge]),
                }
            )
    return result


def _different(graph: MotionGraph, edges: Nodes) -> list[int]:
    """The first edges that share no moment with one before; an edge and its way back are one moment."""
    chosen: list[int] = []
    seen: list[int] = []
    for edge in edges.tolist():
        both = int(graph.source[edge]), int(graph.target[edge])
        if all(_far(graph, a, b) for a in both for b in seen):
            chosen.append(edge)
            seen += both
        if len(chosen) == SAMPLES:
            break
    return chosen
