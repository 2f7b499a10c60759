"""Building the motion graph: local minima of the match cost below a threshold (paper, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..progress import SILENT, Progress, shares
from .comparing import Comparison
from .connectivity import Edges, connect, none
from .features import MotionFeatures
from .matching import Costs, MatchCost, Nodes
from .motion_graph import MotionGraph
from .pairs import NEIGHBOURS, ROUNDING, Matches, matches_between, minima, nearest

SMALL = 8000
"""Nodes up to which all pairs of frames are computed; where there are more, those that lower bounds leave."""

_STEP = 1.25
"""By how much the limit rises where it was too low."""

_SAMPLED, _SAMPLE_HEIGHT = 16, 12
"""Strips that the limit is guessed from, and their frames."""


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
    mix : bool
        Whether frames of footages that look different (`looks.groups`) may follow each other.
    """

    band_seconds: float = 0.5
    threshold_scale: float = 2.5
    edges_per_second: float = 48.0
    edges_per_frame: int = 8
    longest_transition: int = 12
    keep: float = 0.95
    mix: bool = False


class MatchStore(Protocol):
    """Where the matches of footages are kept, so that only those of new ones are computed."""

    def load(self, first: int, second: int) -> Matches | None:
        """The matches of two footages, by index, where they are known."""

    def save(self, first: int, second: int, matches: Matches) -> None:
        """Keep them."""


class NoStore:
    """Keeps nothing."""

    def load(self, first: int, second: int) -> Matches | None:
        """Nothing is known."""
        return None

    def save(self, first: int, second: int, matches: Matches) -> None:
        """Nothing is kept."""


def build_graph(
    features: MotionFeatures,
    footages: tuple[str, ...],
    settings: GraphSettings | None = None,
    progress: Progress = SILENT,
    *,
    groups: Sequence[int] | None = None,
    store: MatchStore | None = None,
) -> MotionGraph:
    """Build the motion graph of a library.

    The edge set is that of an exhaustive float64 computation: lower bounds only leave out what cannot be an edge,
    matrix products only propose matches, and whatever lies within their rounding is decided by direct subtraction. So
    the graph is the same whatever was known before.

    Parameters
    ----------
    features : MotionFeatures
    footages : tuple of str
        Content hashes in the order of `features.offsets`.
    settings : GraphSettings, optional
    progress : Progress
    groups : sequence of int, optional
        The group of each footage; edges lead only within one. By default all are one.
    store : MatchStore, optional

    Raises
    ------
    UserError
        When no frame of the footage can be shown.
    """
    settings = settings or GraphSettings()
    costs = MatchCost(features)
    count = len(features.offsets) - 1
    group = np.asarray(groups if groups is not None else [0] * count)
    band = max(1, round(settings.band_seconds * float(features.fps)))
    compared = Comparison(features, costs, group, band)
    (source, target, cost), threshold = _admitted(
        compared, settings, store or NoStore(), progress.part(0.0, 0.8, "Matching frames")
    )
    source, target, cost, connector, kept = connect(
        compared, (source, target, cost), settings.keep, progress.part(0.8, 1.0, "Connecting")
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


def _admitted(
    compared: Comparison, settings: GraphSettings, store: MatchStore, progress: Progress
) -> tuple[Edges, float]:
    """The edges below the threshold, and the threshold.

    Matches are sought up to a limit. It was high enough where the edge budget is used up below it, and the threshold
    cannot lie lower than that: the nearest match of a frame, where it is not known, costs more than the limit.
    Otherwise it is raised.
    """
    usable = int((compared.features.runs[:, 1] - compared.features.runs[:, 0] + 1).sum())
    budget = int(settings.edges_per_second * usable / float(compared.features.fps))
    partnered = compared.partnered()
    if not partnered.any():
        return none(), 0.0
    limit = np.inf if usable <= SMALL else _guess(compared, settings, budget, progress.part(0.0, 0.1))
    known: dict[tuple[int, int], Matches] = {}
    while True:
        known = _all_matches(compared, store, limit, known, progress.part(0.1, 0.9))
        reach = min((matches.limit for matches in known.values()), default=np.inf)
        least, partner = _least_costs(compared, known)
        sure = bool((least[partnered] <= reach).all())
        threshold = settings.threshold_scale * float(np.minimum(least, reach)[partnered].mean())
        edges = _edges(compared, settings, known, min(threshold, reach), budget)
        if len(edges[2]) <= budget:
            if threshold > reach:
                limit = reach * _STEP
                continue
            # The threshold itself counts.
            if not sure:
                for number in np.unique(compared.group):
                    inside = compared.group[compared.footage] == number
                    rows = np.flatnonzero(partnered & inside & (least > reach))
                    least[rows], partner[rows] = nearest(compared, rows, inside, progress=progress.part(0.9, 1.0))
            nodes = np.flatnonzero(partnered)
            mean = float(compared.costs.exact(nodes, partner[nodes]).mean())
            threshold = settings.threshold_scale * mean
            if threshold > reach:
                limit = threshold
                continue
            edges = _edges(compared, settings, known, threshold, budget)
        source, target, cost = edges
        if len(cost) > budget:
            keep = np.lexsort((target, source, cost))[:budget]
            source, target, cost = source[keep], target[keep], cost[keep]
            threshold = float(cost.max(initial=0.0))
        return (source, target, cost), threshold


def _guess(compared: Comparison, settings: GraphSettings, budget: int, progress: Progress) -> float:
    """A limit that the edge budget is probably used up below, from some strips of the library."""
    costs, height = compared.costs, _SAMPLE_HEIGHT
    used = np.flatnonzero(costs.node >= 0)
    seen: list[Costs] = []  # of each row the cheapest
    least: list[Costs] = []
    for number, row in enumerate(used[np.linspace(0, len(used) - height, _SAMPLED).astype(int)].tolist()):
        progress.update(number / _SAMPLED)
        rows, found = np.full(height, np.inf), []
        strip = costs.strip(row, height)
        for begin in range(int(used[0]), int(used[-1]) + 1, 1024):
            low, high = costs.window
            columns = np.minimum(np.arange(begin - 1 + low, begin + 1025 + high), len(costs.node) - 1)
            cost = strip(columns)
            i, j = (
                np.maximum(costs.node[places], 0)
                for places in (np.arange(row, row + height), columns[1 - low : -1 - high])
            )
            barred = compared.near(i[:, None], j, compared.band)
            barred |= compared.group[compared.footage[i]][:, None] != compared.group[compared.footage[j]]
            free = np.where(barred, np.inf, cost[1:-1, 1:-1])
            rows = np.minimum(rows, free.min(axis=1))
            found.append(minima(cost, free, np.inf))
        least.append(rows[np.isfinite(rows)])
        row_of, cost = (np.concatenate([part[k] for part in found]) for k in (0, 2))
        seen.append(cost[_cheapest_of_each(row_of, row_of, cost, settings.edges_per_frame)])
    wanted = int(1.3 * budget * _SAMPLED * height / len(used))
    rough = np.sort(np.concatenate(seen))
    enough = float(rough[wanted]) if wanted < len(rough) else np.inf
    return min(enough, 1.2 * settings.threshold_scale * float(np.concatenate(least).mean()))


def _all_matches(
    compared: Comparison, store: MatchStore, limit: float, known: dict[tuple[int, int], Matches], progress: Progress
) -> dict[tuple[int, int], Matches]:
    """The matches of all pairs of footages that may be mixed, up to `limit` at least."""
    pairs = compared.pairs()
    result: dict[tuple[int, int], Matches] = {}
    sizes = np.diff(compared.features.offsets)
    for (a, b), part in zip(pairs, shares([int(sizes[a] * sizes[b]) for a, b in pairs]), strict=True):
        matches = known.get((a, b)) or store.load(a, b)
        if matches is None or matches.limit < limit:
            matches = matches_between(compared, (a, b), limit, progress.part(*part))
            store.save(a, b, matches)
        result[a, b] = matches
    return result


def _least_costs(compared: Comparison, known: dict[tuple[int, int], Matches]) -> tuple[Costs, Nodes]:
    """The cost of each node's nearest match [N] within rounding, and the node that it is with."""
    least, partner = np.full(compared.costs.nodes, np.inf), np.full(compared.costs.nodes, -1)
    starts = compared.features.offsets
    for (a, b), matches in known.items():
        sides = ((a, b, matches.nearest_i, matches.partner_i), (b, a, matches.nearest_j, matches.partner_j))
        for own, other, cost, with_ in sides[: 1 if a == b else 2]:
            part = slice(int(starts[own]), int(starts[own + 1]))
            better = cost < least[part]
            least[part][better], partner[part][better] = cost[better], with_[better] + starts[other]
    return least, partner


def _edges(
    compared: Comparison, settings: GraphSettings, known: dict[tuple[int, int], Matches], threshold: float, budget: int
) -> Edges:
    """The edges up to a threshold; of those beyond the budget at least one more than it holds."""
    starts = compared.features.offsets
    parts = [(m.i + starts[a], m.j + starts[b], m.cost, m.unsure) for (a, b), m in known.items()]
    near = [np.flatnonzero(part[2] <= threshold + ROUNDING) for part in parts]
    i, j, cost, unsure = (np.concatenate([part[k][at] for part, at in zip(parts, near, strict=True)]) for k in range(4))

    # What is dearer than the first matches that fill the budget for certain need not be looked at closely.
    certain = unsure == 0
    source, target, rough = _both_ways(i[certain], j[certain], cost[certain])
    rough = np.sort(rough[_cheapest_of_each(source, target, rough, settings.edges_per_frame)])
    if len(rough) > budget:
        close = cost <= rough[budget] + 2 * ROUNDING
        i, j, unsure = i[close], j[close], unsure[close]

    cost = compared.costs.exact(i, j)
    least = cost <= threshold
    for bit, (a, b) in enumerate(NEIGHBOURS):
        doubtful = np.flatnonzero(least & (unsure >> np.uint8(bit) & 1 == 1))
        other = compared.costs.exact(i[doubtful] + a, j[doubtful] + b)
        least[doubtful] = cost[doubtful] < other if (a, b) < (0, 0) else cost[doubtful] <= other
    source, target, cost = _both_ways(i[least], j[least], cost[least])
    keep = _cheapest_of_each(source, target, cost, settings.edges_per_frame)
    return source[keep], target[keep], cost[keep]


def _both_ways(i: Nodes, j: Nodes, cost: Costs) -> Edges:
    """A match is an edge both ways: i is followed by j + 1, and j by i + 1."""
    return np.concatenate([i, j]), np.concatenate([j, i]) + 1, np.concatenate([cost, cost])


def _cheapest_of_each(source: Nodes, target: Nodes, cost: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Indices of the `most` cheapest edges that leave each node (ties: the lower target)."""
    order = np.lexsort((target, cost, source))
    ordered = source[order]
    first = np.searchsorted(ordered, ordered)
    return np.asarray(order[np.arange(len(order)) - first < most])
