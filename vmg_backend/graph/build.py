"""Building the motion graph: local minima of the match cost below a threshold (paper, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..progress import SILENT, Progress
from .connectivity import connect
from .features import MotionFeatures
from .matching import Block, MatchCost, Nodes
from .motion_graph import MotionGraph

ROUNDING = 1e-6
"""m, more than matrix products and direct subtraction ever differ by."""

_NEIGHBOURS = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]


@dataclass(frozen=True)
class GraphSettings:
    """What decides the edges.

    Attributes
    ----------
    band_seconds : float
        Frames of one footage closer than this are not matched: the cut would be a stutter.
    threshold_scale : float
        Multiplies the average nearest-neighbour cost.
    edges_per_second : float
        Edge budget: the threshold is lowered until there are at most so many edges for each second of usable footage.
    edges_per_frame : int
        At most so many edges leave a frame (the cheapest).
    longest_transition : int
        Frames; even.
    keep : float
        Share of the usable frames that must be reachable and leavable; connectors are added until it is met.
    """

    band_seconds: float = 0.5
    threshold_scale: float = 2.5
    edges_per_second: float = 48.0
    edges_per_frame: int = 8
    longest_transition: int = 12
    keep: float = 0.95


def build_graph(
    features: MotionFeatures,
    footages: tuple[str, ...],
    settings: GraphSettings | None = None,
    progress: Progress = SILENT,
) -> MotionGraph:
    """Build the motion graph of a library.

    The edge set is that of an exhaustive float64 computation: matrix products only propose matches, and whatever lies
    within their rounding is decided by direct subtraction.

    Parameters
    ----------
    features : MotionFeatures
    footages : tuple of str
        Content hashes in the order of `features.offsets`.
    settings : GraphSettings, optional
    progress : Progress

    Raises
    ------
    UserError
        When no frame of the footage can be shown.
    """
    settings = settings or GraphSettings()
    costs = MatchCost(features)
    band = max(1, round(settings.band_seconds * float(features.fps)))
    i, j, nearest = _minima(costs, band, settings, progress.part(0.0, 0.8, "Matching frames"))
    reached = np.isfinite(nearest)
    threshold = _threshold(nearest[reached], settings)
    cost = costs.exact(i, j)
    below = cost <= threshold
    i, j, cost = i[below], j[below], cost[below]

    # A match is an edge both ways: i is followed by j + 1, and j by i + 1.
    source = np.concatenate([i, j])
    target = np.concatenate([j, i]) + 1
    cost = np.concatenate([cost, cost])
    keep = _cheapest_of_each(source, target, cost, settings.edges_per_frame)
    source, target, cost = source[keep], target[keep], cost[keep]
    usable = int((features.runs[:, 1] - features.runs[:, 0] + 1).sum())
    budget = int(settings.edges_per_second * usable / float(features.fps))
    if len(cost) > budget:
        keep = np.lexsort((target, source, cost))[:budget]
        source, target, cost = source[keep], target[keep], cost[keep]
        threshold = float(cost.max(initial=0.0))

    source, target, cost, connector, kept = connect(
        costs, features.runs, (source, target, cost), band, settings.keep, progress.part(0.8, 1.0, "Connecting")
    )
    order = np.lexsort((source, target))
    source, target = source[order], target[order]
    return MotionGraph(
        footages=footages,
        offsets=features.offsets,
        runs=features.runs,
        source=source.astype(np.int32),
        target=target.astype(np.int32),
        cost=cost[order].astype(np.float32),
        half=transition_half(costs, source, target, cost[order], threshold, settings.longest_transition),
        connector=connector[order],
        threshold=threshold,
        kept=kept,
        fps=features.fps,
    )


def transition_half(
    costs: MatchCost, source: Nodes, target: Nodes, cost: NDArray[np.float64], threshold: float, longest: int
) -> NDArray[np.int8]:
    """Half the length [E] of each edge's transition: the dearer the match, the longer, as far as real frames reach."""
    share = cost / threshold if threshold > 0 else np.zeros(len(cost))
    wanted = np.ceil(np.clip(share, 0.0, 1.0) * (longest // 2))
    # Both continuations must be real frames all through the gap.
    room = np.minimum(costs.last[source] - source, target - costs.first[target])
    return np.clip(np.minimum(wanted, room), 1, longest // 2).astype(np.int8)


def _threshold(nearest: NDArray[np.float64], settings: GraphSettings) -> float:
    """The paper's threshold: the average nearest-neighbour cost, scaled; 0 where nothing can be matched."""
    return settings.threshold_scale * float(nearest.mean()) if len(nearest) else 0.0


def _minima(
    costs: MatchCost, band: int, settings: GraphSettings, progress: Progress
) -> tuple[Nodes, Nodes, NDArray[np.float64]]:
    """Matches i < j [n] that are the least among their eight neighbours, and each node's nearest cost [N]."""
    nodes = costs.nodes
    nearest = np.full(nodes, np.inf)
    found_i: list[Nodes] = []
    found_j: list[Nodes] = []
    found_cost: list[NDArray[np.float64]] = []
    total, done = nodes * (nodes + 1) / 2, 0
    for block in costs.blocks():
        own = block.costs[block.rows, block.columns]
        row, column = block.row + block.rows.start, block.column + block.columns.start
        done += own.size
        progress.update(min(1.0, done / max(total, 1)))
        allowed = _allowed(costs, own.shape, row, column, band)
        outside = np.where(allowed, own, np.inf)
        i1, j1 = row + own.shape[0], column + own.shape[1]
        np.minimum(nearest[row:i1], outside.min(axis=1, initial=np.inf), out=nearest[row:i1])
        np.minimum(nearest[column:j1], outside.min(axis=0, initial=np.inf), out=nearest[column:j1])

        # The mean over nodes whose nearest match is not yet known can only fall: an upper bound of the threshold.
        bound = _threshold(nearest[costs.matchable], settings) + ROUNDING
        candidates = outside <= bound
        for a, b in _NEIGHBOURS:
            candidates &= own <= _shifted(block, a, b) + ROUNDING
        a_index, b_index = np.nonzero(candidates)
        found_i.append(a_index + row)
        found_j.append(b_index + column)
        found_cost.append(own[a_index, b_index])
    reached = np.isfinite(nearest)
    if not reached.any():
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, nearest
    i, j, cost = np.concatenate(found_i), np.concatenate(found_j), np.concatenate(found_cost)
    near = cost <= _threshold(nearest[reached], settings) + ROUNDING
    i, j = i[near], j[near]
    least = _is_least(costs, i, j)
    return i[least], j[least], nearest


def _allowed(costs: MatchCost, shape: tuple[int, ...], row: int, column: int, band: int) -> NDArray[np.bool_]:
    i = np.arange(row, row + shape[0])[:, None]
    j = np.arange(column, column + shape[1])[None, :]
    return (j > i) & ((j - i > band) | ~costs.same_footage(i, j))


def _shifted(block: Block, a: int, b: int) -> NDArray[np.float64]:
    """The neighbours at (a, b) of the block's own pairs; inf beyond the edge of all pairs."""
    rows, columns = block.rows, block.columns
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    result = np.full(shape, np.inf)
    r0, c0 = rows.start + a, columns.start + b
    source = block.costs[max(r0, 0) : r0 + shape[0], max(c0, 0) : c0 + shape[1]]
    top, left = max(-r0, 0), max(-c0, 0)
    result[top : top + source.shape[0], left : left + source.shape[1]] = source
    return result


def _is_least(costs: MatchCost, i: Nodes, j: Nodes) -> NDArray[np.bool_]:
    """Whether each match is least among its neighbours, by direct subtraction; of equal ones the first counts."""
    own = costs.exact(i, j)
    least = np.ones(len(i), dtype=bool)
    for a, b in _NEIGHBOURS:
        todo = np.flatnonzero(least)
        other = costs.exact(i[todo] + a, j[todo] + b)
        least[todo] = own[todo] < other if (a, b) < (0, 0) else own[todo] <= other
    return least


def _cheapest_of_each(source: Nodes, target: Nodes, cost: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Indices of the `most` cheapest edges that leave each node (ties: the lower target)."""
    order = np.lexsort((target, cost, source))
    ordered = source[order]
    first = np.searchsorted(ordered, ordered)
    return np.asarray(order[np.arange(len(order)) - first < most])
