"""Which frames can be reached and left, and the cheapest edges that bring in the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from ..progress import SILENT, Progress
from .comparing import Comparison
from .features import inside
from .matching import Nodes
from .pairs import nearest

Edges = tuple[Nodes, Nodes, NDArray[np.float64]]


def connect(
    compared: Comparison, edges: Edges, keep: float, progress: Progress = SILENT
) -> tuple[Nodes, Nodes, NDArray[np.float64], NDArray[np.bool_], float]:
    """Prune dead ends, and add connectors until the share `keep` of the usable frames is in one strong component.

    A frame can be reached and left for ever exactly when it lies in a strongly connected component of more than one
    frame; the largest is the heart of the graph. Connectors are chosen so that the dearest of them is as cheap as
    possible, and none is kept that is not needed. Footages that are not to be mixed have a heart in each group.

    Returns
    -------
    source, target : int64 [E]
    cost : float64 [E]
    connector : bool [E]
    kept : float
        Share of the usable frames in a heart.
    """
    runs = compared.features.runs
    group = compared.group[compared.footage]
    numbers = np.unique(group)
    parts = []
    for number, one in enumerate(numbers):
        own = group[edges[0]] == one
        part = progress.part(number / len(numbers), (number + 1) / len(numbers))
        parts.append(
            _connect(compared, runs[group[runs[:, 0]] == one], tuple(value[own] for value in edges), keep, part)
        )
    source, target, cost, connector = (np.concatenate([part[k] for part in parts]) for k in range(4))
    usable = int((runs[:, 1] - runs[:, 0] + 1).sum())
    return source, target, cost, connector, sum(part[4] for part in parts) / max(usable, 1)


def _connect(
    compared: Comparison, runs: NDArray[np.int32], edges: Edges, keep: float, progress: Progress
) -> tuple[Nodes, Nodes, NDArray[np.float64], NDArray[np.bool_], int]:
    """The same within a group, and the frames in its heart."""
    source, target, cost = edges
    nodes = compared.costs.nodes
    usable = inside(runs, nodes)
    count = int(usable.sum())

    connectors: Edges = none()
    heart = heart_of(nodes, runs, source, target)
    if count and heart.sum() < keep * count:
        if heart.sum() <= 1:
            connectors = _first_cycle(compared, runs, progress.part(0.0, 0.4))
            heart = heart_of(nodes, runs, *_joined((source, target), connectors))
        if heart.sum() > 1:
            candidates = _candidates(compared, usable, runs, _joined((source, target), connectors), heart, progress)
            connectors = _fewest(nodes, runs, (source, target), connectors, candidates, keep * count)
    source, target = _joined((source, target), connectors)
    cost = np.concatenate([cost, connectors[2]])
    connector = np.arange(len(source)) >= len(edges[0])

    heart = heart_of(nodes, runs, source, target)
    leads_on = reaching(nodes, runs, source, target, heart)
    alive = leads_on[target]  # an edge into a dead end would end the performance within a few frames
    return source[alive], target[alive], cost[alive], connector[alive], int(heart.sum())


def none() -> Edges:
    """No edges."""
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


def heart_of(nodes: int, runs: NDArray[np.int32], source: Nodes, target: Nodes) -> NDArray[np.bool_]:
    """The heart [N]: the largest strongly connected component; a single frame that cannot come again is none."""
    _, label = connected_components(_matrix(nodes, runs, source, target), directed=True, connection="strong")
    sizes = np.bincount(label)
    largest = int(sizes.argmax())
    return label == largest if sizes[largest] > 1 else np.zeros(nodes, dtype=bool)


def reaching(
    nodes: int, runs: NDArray[np.int32], source: Nodes, target: Nodes, heart: NDArray[np.bool_], *, back: bool = True
) -> NDArray[np.bool_]:
    """Frames from which the heart can be reached (`back`), or that can be reached from it [N]."""
    result = np.zeros(nodes, dtype=bool)
    if heart.any():
        matrix = _matrix(nodes, runs, source, target)
        start = int(np.flatnonzero(heart)[0])
        result[breadth_first_order(matrix.T.tocsr() if back else matrix, start, return_predecessors=False)] = True
    return result


def _first_cycle(compared: Comparison, runs: NDArray[np.int32], progress: Progress) -> Edges:
    """The cheapest way back over at least half of the longest run, for a graph without any cycle."""
    first, last = (int(value) for value in runs[np.argmax(runs[:, 1] - runs[:, 0])])
    span = max((last - first + 1) // 2, compared.band + 1)
    there = np.zeros(compared.costs.nodes, dtype=bool)
    there[first : last - span + 1] = True
    late = np.arange(first + span, last + 1)
    cost, partner = nearest(compared, late, there, span - 1, progress)
    back = np.flatnonzero(np.isfinite(cost))
    if not len(back):
        return none()
    i, j = late[back], partner[back]
    cost = compared.costs.exact(i, j)
    best = np.lexsort((j, i, cost))[:1]
    return i[best], j[best] + 1, cost[best]


def _candidates(
    compared: Comparison,
    usable: NDArray[np.bool_],
    runs: NDArray[np.int32],
    edges: tuple[Nodes, Nodes],
    heart: NDArray[np.bool_],
    progress: Progress,
) -> Edges:
    """The cheapest edge out of each frame that cannot reach the heart, and into each that cannot be reached from it."""
    nodes = compared.costs.nodes
    leads_on = reaching(nodes, runs, *edges, heart)
    reached = reaching(nodes, runs, *edges, heart, back=False)
    stuck = np.flatnonzero(usable & ~leads_on)
    # Entering at frame d needs a match of the frame before it.
    barred = np.flatnonzero((usable & ~reached)[1:] & usable[:-1])
    into_heart = np.concatenate([(leads_on & heart)[1:], [False]])
    cost, partner = nearest(compared, stuck, into_heart, progress=progress.part(0.0, 0.5))
    out = np.isfinite(cost)
    source, into = stuck[out], partner[out]
    cost, partner = nearest(compared, barred, heart, progress=progress.part(0.5, 1.0))
    in_ = np.isfinite(cost)
    i, j = np.concatenate([source, partner[in_]]), np.concatenate([into, barred[in_]])
    if not len(i):
        return none()
    cost = compared.costs.exact(i, j)
    order = np.lexsort((j, i, cost))
    source, target, cost = i[order], j[order] + 1, cost[order]
    _, unique = np.unique(np.stack([source, target]), axis=1, return_index=True)
    unique.sort()
    return source[unique], target[unique], cost[unique]


def _fewest(
    nodes: int,
    runs: NDArray[np.int32],
    edges: tuple[Nodes, Nodes],
    given: Edges,
    candidates: Edges,
    wanted: float,
) -> Edges:
    """`given` and those of the candidates (cheapest first) that it takes to bring `wanted` frames into the heart."""
    # What is strongly connected already stays so, and counts as one node.
    _, label = connected_components(_matrix(nodes, runs, *_joined(edges, given)), directed=True, connection="strong")
    sizes = np.bincount(label)
    matrix = _matrix(nodes, runs, *_joined(edges, given)).tocoo()
    rows, columns = label[matrix.coords[0]], label[matrix.coords[1]]
    across = rows != columns
    rows, columns = rows[across], columns[across]
    more_rows, more_columns = label[candidates[0]], label[candidates[1]]

    def reached(chosen: NDArray[np.int64]) -> int:
        """Frames in the heart."""
        both = np.concatenate([rows, more_rows[chosen]]), np.concatenate([columns, more_columns[chosen]])
        joined = csr_array((np.ones(len(both[0]), dtype=np.int8), both), shape=(len(sizes), len(sizes)))
        _, of = connected_components(joined, directed=True, connection="strong")
        largest = int(np.bincount(of, sizes).max())
        return largest if largest > 1 else 0

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
