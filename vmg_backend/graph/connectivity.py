"""Which frames can be reached and left, and the cheapest edges that bring in the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from ..progress import SILENT, Progress
from .features import inside
from .matching import MatchCost, Nodes

Edges = tuple[Nodes, Nodes, NDArray[np.float64]]


def connect(
    costs: MatchCost,
    runs: NDArray[np.int32],
    edges: Edges,
    band: int,
    keep: float,
    progress: Progress = SILENT,
) -> tuple[Nodes, Nodes, NDArray[np.float64], NDArray[np.bool_], float]:
    """Prune dead ends, and add connectors until the share `keep` of the usable frames is in one strong component.

    A frame can be reached and left for ever exactly when it lies in a strongly connected component of more than one
    frame; the largest is the heart of the graph. Connectors are chosen so that the dearest of them is as cheap as
    possible, and none is kept that is not needed.

    Returns
    -------
    source, target : int64 [E]
    cost : float64 [E]
    connector : bool [E]
    kept : float
        Share of the usable frames in the heart.
    """
    source, target, cost = edges
    usable = inside(runs, costs.nodes)
    count = max(int(usable.sum()), 1)

    connectors: Edges = _none()
    heart = _heart(costs.nodes, runs, source, target)
    if heart.sum() < keep * count:
        if heart.sum() <= 1:
            connectors = _first_cycle(costs, runs, band, progress.part(0.0, 0.4))
            heart = _heart(costs.nodes, runs, *_joined((source, target), connectors))
        if heart.sum() > 1:
            candidates = _candidates(costs, runs, _joined((source, target), connectors), heart, band, progress)
            connectors = _fewest(costs.nodes, runs, (source, target), connectors, candidates, keep * count)
    source, target = _joined((source, target), connectors)
    cost = np.concatenate([cost, connectors[2]])
    connector = np.arange(len(source)) >= len(edges[0])

    heart = _heart(costs.nodes, runs, source, target)
    leads_on = _reaching(costs.nodes, runs, source, target, heart)
    alive = leads_on[target]  # an edge into a dead end would end the performance within a few frames
    return source[alive], target[alive], cost[alive], connector[alive], float(heart.sum()) / count


def _none() -> Edges:
    empty = np.zeros(0, dtype=np.int64)
    return empty, empty, np.zeros(0)


def _joined(edges: tuple[Nodes, Nodes], more: Edges) -> tuple[Nodes, Nodes]:
    return np.concatenate([edges[0], more[0]]), np.concatenate([edges[1], more[1]])


def _matrix(nodes: int, runs: NDArray[np.int32], source: Nodes, target: Nodes) -> csr_array:
    within = np.zeros(nodes, dtype=bool)
    for first, last in runs:
        within[first:last] = True
    steps = np.flatnonzero(within)
    rows, columns = np.concatenate([steps, source]), np.concatenate([steps + 1, target])
    return csr_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(nodes, nodes))


def _heart(nodes: int, runs: NDArray[np.int32], source: Nodes, target: Nodes) -> NDArray[np.bool_]:
    """The largest strongly connected component [N]; a single frame that cannot come again is none."""
    _, label = connected_components(_matrix(nodes, runs, source, target), directed=True, connection="strong")
    sizes = np.bincount(label)
    largest = int(sizes.argmax())
    return label == largest if sizes[largest] > 1 else np.zeros(nodes, dtype=bool)


def _reaching(
    nodes: int, runs: NDArray[np.int32], source: Nodes, target: Nodes, heart: NDArray[np.bool_], *, back: bool = True
) -> NDArray[np.bool_]:
    """Frames from which the heart can be reached (`back`), or that can be reached from it [N]."""
    result = np.zeros(nodes, dtype=bool)
    if heart.any():
        matrix = _matrix(nodes, runs, source, target)
        start = int(np.flatnonzero(heart)[0])
        result[breadth_first_order(matrix.T.tocsr() if back else matrix, start, return_predecessors=False)] = True
    return result


def _first_cycle(costs: MatchCost, runs: NDArray[np.int32], band: int, progress: Progress) -> Edges:
    """The cheapest way back over at least half of the longest run, for a graph without any cycle."""
    first, last = (int(value) for value in runs[np.argmax(runs[:, 1] - runs[:, 0])])
    span = max((last - first) // 2, band + 1)
    best: tuple[float, int, int] = (np.inf, 0, 0)
    for block in costs.blocks(np.array([first + span, last])):
        progress.update(0.0)
        own = block.costs[block.rows, block.columns]
        row, column = block.row + block.rows.start, block.column + block.columns.start
        i, j = np.arange(row, row + own.shape[0])[:, None], np.arange(column, column + own.shape[1])[None, :]
        own = np.where((i - j >= span) & (j >= first), own, np.inf)
        at = int(own.argmin()) if own.size else 0
        if own.size and own.flat[at] < best[0]:
            best = (float(own.flat[at]), row + at // own.shape[1], column + at % own.shape[1])
    if not np.isfinite(best[0]):
        return _none()
    i, j = np.array([best[1]]), np.array([best[2]])
    return i, j + 1, costs.exact(i, j)


def _candidates(
    costs: MatchCost,
    runs: NDArray[np.int32],
    edges: tuple[Nodes, Nodes],
    heart: NDArray[np.bool_],
    band: int,
    progress: Progress,
) -> Edges:
    """The cheapest edge out of each frame that cannot reach the heart, and into each that cannot be reached from it."""
    leads_on = _reaching(costs.nodes, runs, *edges, heart)
    reached = _reaching(costs.nodes, runs, *edges, heart, back=False)
    usable = inside(runs, costs.nodes)
    found: list[tuple[int, int]] = []
    stuck = np.flatnonzero(usable & ~leads_on)
    # Entering at frame d needs a match of the frame before it.
    barred = np.flatnonzero((usable & ~reached)[1:] & usable[:-1])
    leads_on_next = np.concatenate([leads_on[1:], [False]])
    for rows, others, leaving in ((stuck, leads_on_next & heart, True), (barred, heart, False)):
        for a, b in _stretches(rows):
            for block in costs.blocks(np.array([a, b])):
                progress.update(0.0)
                own = block.costs[block.rows, block.columns]
                row, column = block.row + block.rows.start, block.column + block.columns.start
                i, j = np.arange(row, row + own.shape[0]), np.arange(column, column + own.shape[1])
                near = (np.abs(i[:, None] - j) <= band) & costs.same_footage(i[:, None], j[None, :])
                own = np.where(near | ~others[j], np.inf, own)
                if own.size:
                    at = own.argmin(axis=1)
                    good = np.isfinite(own[np.arange(len(i)), at])
                    pairs = zip(i[good].tolist(), j[at[good]].tolist(), strict=True)
                    found += pairs if leaving else [(partner, frame) for frame, partner in pairs]
    if not found:
        return _none()
    i, j = np.array(found, dtype=np.int64).T
    cost = costs.exact(i, j)
    order = np.lexsort((j, i, cost))
    source, target, cost = i[order], j[order] + 1, cost[order]
    _, unique = np.unique(np.stack([source, target]), axis=1, return_index=True)
    unique.sort()
    return source[unique], target[unique], cost[unique]


def _stretches(rows: Nodes) -> list[tuple[int, int]]:
    """First and last (inclusive) of each stretch of consecutive numbers."""
    if not len(rows):
        return []
    breaks = np.flatnonzero(np.diff(rows) > 1)
    starts = np.concatenate([[0], breaks + 1])
    ends = np.concatenate([breaks, [len(rows) - 1]])
    return [(int(rows[a]), int(rows[b])) for a, b in zip(starts, ends, strict=True)]


def _fewest(
    nodes: int,
    runs: NDArray[np.int32],
    edges: tuple[Nodes, Nodes],
    given: Edges,
    candidates: Edges,
    wanted: float,
) -> Edges:
    """`given` and those of the candidates (cheapest first) that it takes to bring `wanted` frames into the heart."""

    def reached(chosen: NDArray[np.int64]) -> int:
        more = tuple(np.concatenate([g, c[chosen]]) for g, c in zip(given, candidates, strict=True))
        return int(_heart(nodes, runs, *_joined(edges, more)).sum())

    everything = np.arange(len(candidates[0]))
    wanted = min(wanted, reached(everything))
    low, high = 0, len(everything)
    while low < high:
        middle = (low + high) // 2
        if reached(everything[:middle]) >= wanted:
            high = middle
        else:
            low = middle + 1
    chosen = everything[:low]
    # Dearest first, halves before single ones: most candidates of a stretch are made needless by one of them.
    size = max(len(chosen) // 2, 1)
    while len(chosen):
        position = len(chosen)
        while position > 0:
            start = max(position - size, 0)
            fewer = np.concatenate([chosen[:start], chosen[position:]])
            if reached(fewer) >= wanted:
                chosen = fewer
            position = start
        if size == 1:
            break
        size //= 2
    return tuple(np.concatenate([g, c[chosen]]) for g, c in zip(given, candidates, strict=True))
