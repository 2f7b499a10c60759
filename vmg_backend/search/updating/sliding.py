"""Keyframes that moved: the segments around them move along, and the cuts beside these are placed anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from ..film import UNKNOWN, Film, Span
from .given import Given
from .placing import Places, cheapest, places_between
from .wanted import Wanted


def slid(film: Film, wanted: Wanted, given: Given) -> tuple[Film, dict[str, Span]]:
    """The film with the segments of moved keyframes at their new places, and the old places of those left over."""
    moved = {uid: span for uid, span in wanted.was.items() if not wanted.spans[uid].met(film)}
    pieces = {uid: film.piece(span.at) for uid, span in moved.items()}
    left: dict[str, Span] = {}
    for first, last in _chains(sorted(set(pieces.values()))):
        here = {uid: piece for uid, piece in pieces.items() if first <= piece <= last}
        found = _chain_slid(film, here, (first, last), wanted, given)
        if found is None:
            left.update({uid: moved[uid] for uid in here})
        else:
            film = found
    return film, left


def _chains(pieces: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of the pieces that have a neighbour in common with the one before."""
    chains: list[tuple[int, int]] = []
    for piece in pieces:
        if chains and piece - chains[-1][1] <= 2:
            chains[-1] = (chains[-1][0], piece)
        else:
            chains.append((piece, piece))
    return chains


def _chain_slid(
    film: Film, moved: Mapping[str, int], chain: tuple[int, int], wanted: Wanted, given: Given
) -> Film | None:
    """The film with the segments of a chain moved as the keyframes in them ask; None where there is no room.

    The segments before and after lend frames, or take more of theirs.
    """
    bounds = film.bounds
    pieces = range(max(chain[0] - 1, 0), min(chain[1] + 2, len(bounds) - 1))
    shift = {piece: int(film.nodes[bounds[piece]]) - bounds[piece] for piece in pieces}  # node less output frame
    for uid, piece in moved.items():
        shift[piece] = wanted.spans[uid].node - wanted.spans[uid].at
    spans: dict[int, list[Span]] = {piece: [] for piece in pieces}
    for uid, span in wanted.spans.items():
        piece = moved[uid] if uid in moved else film.piece(min(span.at, len(film.nodes) - 1))
        if piece in spans and (uid in moved or span.met(film)):
            if span.node == UNKNOWN or span.node - span.at != shift[piece] or wanted.hard[uid].image:
                return None
            spans[piece].append(span)
    begin, end = pieces[0], pieces[-1]
    anchors = {piece: spans[piece][0].node if spans[piece] else int(film.nodes[bounds[piece]]) for piece in pieces}
    runs = {piece: given.run(anchors[piece]) for piece in pieces}
    if bounds[begin] + shift[begin] < runs[begin][0] or bounds[end + 1] - 1 + shift[end] > runs[end][1]:
        return None
    times = np.arange(bounds[begin] + 1, bounds[end + 1])
    places = [Places.one(bounds[begin], film.half(begin))]
    for before, after in pairwise(pieces):
        shifts, sides = (shift[before], shift[after]), (runs[before], runs[after])
        places.append(places_between(given.costs, given.graph, given.matching, times, shifts, sides))
    places.append(Places.one(bounds[end + 1], film.half(end + 1)))
    holds = [min(given.hold, bounds[piece + 1] - bounds[piece]) for piece in pieces]
    found = cheapest(places, holds, [spans[piece] for piece in pieces])
    if found is None:
        return None
    placed = [(int(one.time[k]), int(one.half[k]), float(one.cost[k])) for one, k in zip(places, found, strict=True)]
    nodes = np.concatenate(
        [
            np.arange(start, stop) + shift[piece]
            for piece, (start, stop) in zip(pieces, pairwise(time for time, _, _ in placed), strict=True)
        ]
    )
    cuts = []
    for time, half, cost in placed[1:-1]:
        source, target = nodes[time - bounds[begin] - 1 : time - bounds[begin] + 1].tolist()
        cuts.append(given.cut(time, (source, target, half), cost))
    return film.replaced(nodes, cuts, bounds[begin])
