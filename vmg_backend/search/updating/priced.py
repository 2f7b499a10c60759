"""The search's numbers in an update: the graph, and the film's own cuts that are no edges of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ...audio.beats import Beat
from ...graph.motion_graph import MotionGraph
from ...progress import Progress
from ..conditions import Asked
from ..exact import Table, route_cost
from ..film import UNKNOWN, Film, Junction
from ..find import REPEATING
from ..keyframes import Keyframe, SoftKeyframes, constrained, pin_keyframes
from ..objective import Objective
from ..problem import Allowed, Problem, Route
from .given import Given
from .placing import places_between
from .wanted import Wanted
from .windows import Stretch

ANEW = 0.1
"""What a transition costs on top that the film does not have: somebody has to make it."""

_REACH = 2
"""Segments on either side of a new keyframe from which, and to which, any good match leads and not edges alone."""


@dataclass(frozen=True)
class Priced:
    """What films cost, and what they may show.

    Attributes
    ----------
    objective : Objective
        Of the graph with the film's own cuts.
    edge : dict
        The index of each of its edges.
    problem : Problem
        With what keyframes that are constraints allow.
    pins : dict of int to int
        What hard keyframes want, with room on either side for half the longest transition where they agree.
    soft : int [E]
        The edges that are searched: a hard cut is the person's, and none is made elsewhere.
    searched : Problem
        Of these.
    kept : frozenset of (int, int)
        The cuts that the film has: output frames and edges.
    table : Table
        Of what is searched, where every other cut costs `ANEW` on top.
    repeats : bool
        Whether the film may be asked for the same again.
    """

    objective: Objective
    edge: dict[Junction, int]
    problem: Problem
    pins: dict[int, int]
    soft: NDArray[np.intp]
    searched: Problem
    kept: frozenset[tuple[int, int]]
    table: Table
    repeats: bool

    @classmethod
    def of(
        cls,
        film: Film,
        before: Film,
        wanted: Wanted,
        given: Given,
        beats: Sequence[Beat],
        asked: Sequence[Asked],
        progress: Progress,
    ) -> Self:
        """The numbers for a film; `before` is what it was, at its new length, before any keyframe moved."""
        edges, edge = _extended({cut.junction for cut in film.cuts}.union(_ways(film, wanted, given)), given)
        costly = any(key.costs for key in wanted.loose.values())
        objective = Objective.of(
            replace(given.context, graph=edges),
            beats=beats,
            settings=given.settings,
            seed=given.path.seed,
            longest=given.longest,
            asked=[*asked, *([SoftKeyframes([*wanted.loose.values()], given.references)] if costly else [])],
            progress=progress,
        )
        problem = objective.problem(given.context.frames, given.hold, _longest_segment(film, given))
        allowed, entries = _allowed(problem, before, wanted, given)
        problem = replace(problem, allowed=tuple(allowed))
        soft = np.flatnonzero(edges.half > 0)
        searched = replace(
            problem,
            source=edges.source[soft],
            target=edges.target[soft],
            cut_cost=lambda t: objective.cut_cost(t)[soft],
        )
        cuts = {*given.film.cuts, *film.cuts}
        kept = frozenset((cut.time, edge[cut.junction]) for cut in cuts if cut.junction in edge)
        repeats = any(condition.name in REPEATING for condition in objective.conditions)
        return cls(
            objective=objective,
            edge=edge,
            problem=problem,
            pins=_pins(wanted, entries, given),
            soft=soft,
            searched=searched,
            kept=kept,
            table=Table(_favouring(searched, soft, kept)),
            repeats=repeats and given.settings.reuse_seconds is None,
        )

    def route(self, film: Film) -> Route:
        """The film as a path through the graph, with its cost."""
        cuts = tuple((cut.time, self.edge[cut.junction]) for cut in film.cuts if cut.target != cut.source + 1)
        return Route(film.nodes, cuts, route_cost(self.problem, film.nodes, cuts))

    def made(self, route: Route) -> float:
        """What the transitions of a route cost on top that the film does not have."""
        return ANEW * sum(cut not in self.kept for cut in route.cuts)

    def broken(self, film: Film) -> Stretch | None:
        """The first stretch that shows what keyframes do not allow."""
        times = sorted({t for one in self.problem.allowed for t in _against(one, film)})
        if not times:
            return None
        following = (t for t, after in zip(times, [*times[1:], times[-1] + 2], strict=True) if after > t + 1)
        return times[0], next(following) + 1

    def check(self, keys: Iterable[Keyframe], given: Given, progress: Progress) -> None:
        """Say what is wrong with keyframes that cannot be met whatever else is shown."""
        problem, ordered = replace(self.searched, allowed=()), sorted(keys, key=lambda key: key.at)
        pin_keyframes(problem, ordered, given.context, given.longest, given.references, progress)


def _favouring(searched: Problem, soft: NDArray[np.intp], kept: Iterable[tuple[int, int]]) -> Problem:
    """The same search with `ANEW` on all cuts but those that are kept."""
    here: dict[int, list[int]] = {}
    for t, edge in kept:
        here.setdefault(t, []).extend(np.flatnonzero(soft == edge).tolist())

    def cut_cost(t: int) -> NDArray[np.float64]:
        more = np.full(len(soft), ANEW)
        more[here.get(t, [])] = 0.0
        return np.asarray(searched.cut_cost(t) + more)

    return replace(searched, cut_cost=cut_cost)


def _ways(film: Film, wanted: Wanted, given: Given) -> Iterator[Junction]:
    """Where segments near a keyframe that is not shown could be left for it, and it for them, by a good match."""
    bounds, graph = film.bounds, given.graph
    for uid, span in wanted.spans.items():
        if span.node == UNKNOWN or wanted.met(uid, film):
            continue
        first = max(film.piece(span.at) - _REACH, 0)
        last = min(film.piece(span.end - 1) + _REACH, len(bounds) - 2)
        to_it, from_it = np.arange(bounds[first] + 1, span.at + 1), np.arange(span.end, bounds[last + 1])
        for start in bounds[first : last + 1]:
            shown = int(film.nodes[start])
            for times, (t, node), (t_next, node_next) in (
                (to_it, (start, shown), (span.at, span.node)),
                (from_it, (span.at, span.node), (start, shown)),
            ):
                if shown == UNKNOWN:
                    continue
                shifts, runs = (node - t, node_next - t_next), (given.run(node), given.run(node_next))
                places = places_between(given.costs, graph, given.matching, times, shifts, runs)
                good = (places.cost <= graph.threshold) & (places.half <= given.longest)
                cuts = places.time[good]
                yield from zip(
                    (cuts - 1 + shifts[0]).tolist(),
                    (cuts + shifts[1]).tolist(),
                    places.half[good].tolist(),
                    strict=True,
                )


def _extended(junctions: set[Junction], given: Given) -> tuple[MotionGraph, dict[Junction, int]]:
    """The graph with more edges, and the index of each edge."""
    graph = given.graph
    edges = list(zip(graph.source.tolist(), graph.target.tolist(), graph.half.tolist(), strict=True))
    own = sorted(junctions.difference(edges))
    source, target, half = (np.array([one[k] for one in own], dtype=np.int64) for k in range(3))
    cost = given.costs.exact(source, target - 1)
    cost[~np.isfinite(cost)] = graph.threshold  # no telling without a person in the frames
    sources, targets = np.concatenate([graph.source, source]), np.concatenate([graph.target, target])
    order = np.lexsort((sources, targets))
    edges += own
    extended = replace(
        graph,
        source=sources[order].astype(np.int32),
        target=targets[order].astype(np.int32),
        cost=np.concatenate([graph.cost, cost])[order].astype(np.float32),
        half=np.concatenate([graph.half, np.minimum(half, np.iinfo(np.int8).max)])[order].astype(np.int8),
        connector=np.concatenate([graph.connector, np.zeros(len(own), dtype=bool)])[order],
    )
    return extended, {edges[k]: index for index, k in enumerate(order.tolist())}


def _longest_segment(film: Film, given: Given) -> int | None:
    """Most frames between two cuts; a person may have made more of them."""
    longest = given.settings.longest(given.graph)
    return longest and max(longest, *(end - start for start, end in pairwise(film.bounds)))


def _allowed(problem: Problem, before: Film, wanted: Wanted, given: Given) -> tuple[list[Allowed], dict[str, int]]:
    """What keyframes that are constraints allow; those that did not change allow what the film shows already.

    And the room before each keyframe with an edited picture: that of the transition that leads right to it.
    """
    allowed: list[Allowed] = []
    entries: dict[str, int] = {}
    for uid, key in [*wanted.loose.items(), *((uid, key) for uid, key in wanted.hard.items() if key.image)]:
        if key.mode == "hard" and uid in wanted.same:
            for cut in (cut for cut in before.cuts if cut.end == wanted.spans[uid].at):
                entries[uid] = cut.half
                source = np.zeros(problem.nodes, dtype=bool)
                source[cut.source] = True
                allowed.append(Allowed(cut.time - 1, cut.time - 1, source))
        elif not key.costs and (met := constrained(problem, key, given.context, given.longest, given.references)):
            if key.mode == "hard":
                entries[uid] = wanted.spans[uid].at - min(met.pins)
            allowed += _eased(met.allowed, before) if uid in wanted.same else met.allowed
    return allowed, entries


def _pins(wanted: Wanted, entries: dict[str, int], given: Given) -> dict[int, int]:
    first, frames = given.costs.first, given.context.frames
    nodes: dict[int, set[int]] = {}
    for uid, span in wanted.spans.items():
        for t, node in span.pins(entries.get(uid, given.longest), given.longest, frames).items():
            if 0 <= node < len(first) and first[node] == first[span.node]:
                nodes.setdefault(t, set()).add(node)
    pins = {t: some.pop() for t, some in nodes.items() if len(some) == 1}
    for span in wanted.spans.values():
        pins |= span.pins(0, 0, frames)
    return pins


def _against(one: Allowed, film: Film) -> list[int]:
    """The output frames at which a film shows what a constraint does not allow."""
    first = max(one.first, 0)
    shown = film.nodes[first : max(one.last + 1, 0)]
    return [first + int(t) for t in np.flatnonzero((shown != UNKNOWN) & ~one.nodes[shown])]


def _eased(allowed: Iterable[Allowed], film: Film) -> Iterator[Allowed]:
    """The same constraints, but what a film shows is allowed where it does."""
    for one in allowed:
        start = one.first
        for t in _against(one, film):
            if start < t:
                yield replace(one, first=start, last=t - 1)
            nodes = one.nodes.copy()
            nodes[film.nodes[t]] = True
            yield Allowed(t, t, nodes)
            start = t + 1
        if start <= one.last:
            yield replace(one, first=start)
