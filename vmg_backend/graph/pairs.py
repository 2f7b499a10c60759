"""Matches between two footages, and nearest matches of single frames: what is costly in a graph, and can be kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..files import writing
from ..progress import SILENT, Progress
from .bounds import STRIP, TILE
from .comparing import Comparison
from .matching import Costs, Nodes

ROUNDING = 1e-6
"""m, more than matrix products and direct subtraction ever differ by."""

NEIGHBOURS = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]
"""In the order of frames, so that of equal matches the first counts; the first half comes before."""

_HEIGHT, _WIDTH = 128, 512
"""Places of a strip and of a stretch of it, where all pairs are computed."""

_MOST = 1024
"""Places that a strip is computed for at a time."""


@dataclass(frozen=True)
class Matches:
    """What the frames of two footages have in common, or those of one footage with itself.

    Attributes
    ----------
    limit : float
        m; nothing dearer was sought.
    i, j : int32 [n]
        Frames of the first and the second footage whose match costs no more than `limit`, and no more than those of
        its eight neighbours; of two frames of one footage the earlier is i. Sorted.
    cost : float64 [n]
        m, within `ROUNDING`.
    unsure : uint8 [n]
        A bit for each of `NEIGHBOURS` whose cost is the same within rounding.
    nearest_i, nearest_j : float64 [frames]
        m, the least cost of each frame, where it is within `limit`.
    partner_i, partner_j : int32 [frames]
        The frame of the other footage that it belongs to.
    """

    limit: float
    i: NDArray[np.int32]
    j: NDArray[np.int32]
    cost: NDArray[np.float64]
    unsure: NDArray[np.uint8]
    nearest_i: NDArray[np.float64]
    nearest_j: NDArray[np.float64]
    partner_i: NDArray[np.int32]
    partner_j: NDArray[np.int32]

    def save(self, path: Path) -> None:
        """Write them as ``.npz``, whole or not at all."""
        with writing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **{field.name: np.asarray(getattr(self, field.name)) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Matches:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            arrays = {field.name: data[field.name] for field in fields(cls)}
        return cls(**{**arrays, "limit": float(arrays["limit"])})


class _Nearest:
    """The least cost of each frame so far."""

    def __init__(self, frames: int) -> None:
        self.cost = np.full(frames, np.inf)
        self.partner = np.full(frames, -1)

    def update(self, own: Nodes, others: Nodes, costs: Costs) -> None:
        """Take in the costs [own, others]."""
        least = costs.min(axis=1)
        better = np.flatnonzero(least < self.cost[own])
        self.cost[own[better]] = least[better]
        self.partner[own[better]] = others[costs[better].argmin(axis=1)]


def matches_between(
    compared: Comparison, footages: tuple[int, int], limit: float, progress: Progress = SILENT
) -> Matches:
    """Find the matches of two footages, the first not after the second, that cost no more than `limit` (m)."""
    a, b = footages
    costs, offsets, band = compared.costs, compared.features.offsets, compared.band
    rows, columns = costs.places(a), costs.places(b)
    first_i, first_j = int(offsets[a]), int(offsets[b])
    of_i = _Nearest(int(offsets[a + 1]) - first_i)
    of_j = of_i if a == b else _Nearest(int(offsets[b + 1]) - first_j)
    found: list[tuple[Nodes, Nodes, Costs, NDArray[np.uint8]]] = []
    for row, height, pieces in _strips(compared, rows, columns, limit):
        strip = costs.strip(row, height)
        for places, own in _stretches(pieces, costs.window):
            progress.update((row - rows[0]) / (rows[1] - rows[0]))
            cost = strip(places)
            places, own = (values[-costs.window[0] : len(values) - costs.window[1]] for values in (places, own))
            cost[:, own == _MEANINGLESS] = np.inf
            i, j = costs.node[row : row + height], costs.node[places[1:-1]]
            allowed = (np.arange(row, row + height) < rows[1])[:, None] & (own[1:-1] == _OWN)
            if a == b and j.min() <= i.max() + band:
                allowed &= j - i[:, None] > band
            free = np.where(allowed, cost[1:-1, 1:-1], np.inf)
            i = np.clip(i - first_i, 0, len(of_i.cost) - 1)  # what lies beyond the footages costs inf
            j = np.clip(j - first_j, 0, len(of_j.cost) - 1)
            of_i.update(i, j, free)
            of_j.update(j, i, free.T)
            at_i, at_j, *what = minima(cost, free, limit)
            found.append((i[at_i], j[at_j], *what))
    i, j, cost, unsure = _joined(found)
    return Matches(
        limit,
        i.astype(np.int32),
        j.astype(np.int32),
        cost,
        unsure,
        of_i.cost,
        of_j.cost,
        of_i.partner.astype(np.int32),
        of_j.partner.astype(np.int32),
    )


def minima(cost: Costs, free: Costs, limit: float) -> tuple[Nodes, Nodes, Costs, NDArray[np.uint8]]:
    """Row, column, cost and unsure neighbours of those of `free` that are least among their neighbours in `cost`.

    Parameters
    ----------
    cost : float64 [R + 2, C + 2]
        With one ring around.
    free : float64 [R, C]
        inf where no match is wanted.
    limit : float
        m
    """
    lower = free - ROUNDING
    least = lower <= cost[:-2, :-2]
    least &= lower <= cost[2:, 2:]
    least &= lower <= limit
    i, j = np.nonzero(least)
    own = free[i, j]
    finite = np.isfinite(own)
    i, j, own = i[finite], j[finite], own[finite]
    unsure = np.zeros(len(i), dtype=np.uint8)
    sure = np.ones(len(i), dtype=bool)
    for bit, (a, b) in enumerate(NEIGHBOURS):
        other = cost[i + 1 + a, j + 1 + b]
        sure &= own - ROUNDING <= other
        unsure |= (np.abs(own - other) <= ROUNDING).astype(np.uint8) << np.uint8(bit)
    return i[sure], j[sure], own[sure], unsure[sure]


def nearest(
    compared: Comparison,
    nodes: Nodes,
    others: NDArray[np.bool_],
    band: int | None = None,
    progress: Progress = SILENT,
) -> tuple[Costs, Nodes]:
    """The cheapest match of each of the nodes.

    Parameters
    ----------
    compared : Comparison
    nodes : int64 [n]
        Rising.
    others : bool [N]
        What they may be matched with.
    band : int, optional
        Frames of one footage that are so near are not matched; by default those of `compared`.
    progress : Progress

    Returns
    -------
    cost : float64 [n]
        m, within `ROUNDING`; inf where none is possible.
    partner : int64 [n]
    """
    costs, band = compared.costs, compared.band if band is None else band
    found = _Nearest(costs.nodes)
    places = costs.place[nodes[costs.matchable[nodes]]]
    closed = np.flatnonzero((costs.node < 0) | ~others[costs.node])
    for number, row in enumerate(rows := np.unique(places // TILE) * TILE):
        progress.update(number / len(rows))
        own = places[(places >= row) & (places < row + TILE)]
        i = costs.node[own]
        bound = compared.bounds.of(own)
        bound[:, closed] = np.inf
        around = costs.place[max(i[0] - band, 0) : i[-1] + band + 1]
        around = around[around >= 0]
        bound[:, around] = np.where(compared.near(i[:, None], costs.node[around], band), np.inf, bound[:, around])
        tiles = bound[:, : bound.shape[1] // TILE * TILE].reshape(len(own), -1, TILE).min(axis=2)
        # What is cheapest by its bound tells which others can be cheaper.
        first = np.bincount(tiles.argmin(axis=1), minlength=tiles.shape[1]) > 0
        _look(compared, own, first, others, band, found)
        within = np.minimum(found.cost[i], np.finfo(float).max)[:, None] + ROUNDING
        _look(compared, own, (tiles <= within).any(axis=0) & ~first, others, band, found)
    return found.cost[nodes], found.partner[nodes]


def _look(
    compared: Comparison,
    own: Nodes,
    tiles: NDArray[np.bool_],
    others: NDArray[np.bool_],
    band: int,
    found: _Nearest,
) -> None:
    """Compute tiles of places for the places `own`, and note what is cheapest for them."""
    costs = compared.costs
    i = costs.node[own]
    strip = costs.strip(int(own[0]), int(own[-1] - own[0]) + 1)
    for places, kind in _stretches(_pieces(tiles, 0, len(tiles) * TILE), costs.window):
        cost = strip(places)[own - own[0] + 1]
        places, kind = (values[-costs.window[0] : len(values) - costs.window[1]] for values in (places, kind))
        j = np.maximum(costs.node[places], 0)
        cost[:, (kind == _MEANINGLESS) | ~others[j]] = np.inf
        cost[compared.near(i[:, None], j, band)] = np.inf
        found.update(i, j, cost)


_MEANINGLESS, _RING, _OWN = 0, 1, 2


def _strips(
    compared: Comparison, rows: tuple[int, int], columns: tuple[int, int], limit: float
) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """First place and height of each strip, and the pieces (begin, end) of `columns` that may hold what is sought."""
    if np.isfinite(limit):
        for row, occupied in compared.bounds.tiles(rows, columns, limit):
            yield row, STRIP, _pieces(occupied, *columns)
    else:
        for row in range(*rows, _HEIGHT):
            yield row, _HEIGHT, [(row if rows == columns else columns[0], columns[1])]


def _pieces(occupied: NDArray[np.bool_], begin: int, end: int) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], occupied, [False]]).astype(np.int8)))
    return [(begin + a * TILE, min(begin + b * TILE, end)) for a, b in edges.reshape(-1, 2).tolist()]


def _stretches(pieces: Sequence[tuple[int, int]], window: tuple[int, int]) -> Iterator[tuple[Nodes, Nodes]]:
    """The places of pieces with what `MatchCost.strip` needs around them, some hundreds at a time, and what each is."""
    before, after = 1 - window[0], 1 + window[1]
    split = [(a, min(a + _WIDTH, end)) for begin, end in pieces for a in range(begin, end, _WIDTH)]
    begin, end = np.array(split, dtype=np.int64).reshape(-1, 2).T
    length = end - begin + before + after
    total = np.cumsum(length)
    start = 0
    while start < len(length):
        stop = max(int(np.searchsorted(total, total[start] - length[start] + _MOST, side="right")), start + 1)
        inside = slice(start, stop)
        offset = np.arange(length[inside].sum()) - np.repeat(
            total[inside] - total[start] + length[start] - length[inside], length[inside]
        )
        width = np.repeat((end - begin)[inside], length[inside])
        kind = np.where((offset >= before) & (offset < before + width), _OWN, _MEANINGLESS)
        kind[(offset == before - 1) | (offset == before + width)] = _RING
        yield np.maximum(np.repeat(begin[inside], length[inside]) + offset - before, 0), kind
        start = stop


def _joined(
    found: Sequence[tuple[Nodes, Nodes, Costs, NDArray[np.uint8]]],
) -> tuple[Nodes, Nodes, Costs, NDArray[np.uint8]]:
    if not found:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, np.zeros(0), np.zeros(0, dtype=np.uint8)
    i, j, cost, unsure = (np.concatenate([part[k] for part in found]) for k in range(4))
    order = np.lexsort((j, i))
    return i[order], j[order], cost[order], unsure[order]
