"""Search while the film already plays: conditions arrive frame by frame, and each frame is decided soon after.

All ways to go on from what was shown are followed side by side. A frame is decided `lag` output frames after its costs
were told: it is the one that the cheapest way shows there, and ways that show another one there are dropped. Before the
first decision, of ways that meet only the cheapest is kept, as in any dynamic programming. After it none is: the other
one may be the only one left when the next frame is decided. A hold lets so few ways begin within a lag of a second or
two that all can be followed: then each decision is exact. Where they are limited it is a beam search (Steinbiss et al.
1994), for slow machines.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .problem import Problem

_NO_EDGE = -1

Costs = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Of showing each node [N], and of each edge [E] when its target is shown."""


@dataclass(frozen=True)
class Shown:
    """A decided frame: the node, and the edge that led to it, or -1 where it goes on from the one before."""

    node: int
    edge: int


@dataclass(frozen=True)
class _Ways:
    """Ways to go on, one a column.

    Attributes
    ----------
    node : int64 [W]
        What each shows last.
    since : int64 [W]
        Frames shown since its last cut, at most the hold.
    cost : float64 [W]
        Since the last decision.
    nodes, edges : int64 [K, W]
        What each shows at the output frames that are not decided, and the edges that led there.
    """

    node: NDArray[np.int64]
    since: NDArray[np.int64]
    cost: NDArray[np.float64]
    nodes: NDArray[np.int64]
    edges: NDArray[np.int64]

    def only(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> _Ways:
        """Some of them."""
        return _Ways(
            self.node[chosen], self.since[chosen], self.cost[chosen], self.nodes[:, chosen], self.edges[:, chosen]
        )


class LiveSearch:
    """A search that is told the costs of one output frame after the other.

    Parameters
    ----------
    problem : Problem
        Its runs, edges and hold count; its costs, length and constraints do not.
    lag : int
        Output frames that are known beyond the one that is decided; 0 decides at once.
    beam : int
        Most ways that are followed.

    Attributes
    ----------
    exact : bool
        Whether all ways were followed so far. Then no decision could be better: none is part of a cheaper way through
        the frames that were known, of all that begin with what was decided before and can go on for ever.

    Raises
    ------
    UserError
        When no way leads on for ever.
    """

    def __init__(self, problem: Problem, lag: int, beam: int = 4096) -> None:
        self._lag, self._beam, self._hold = lag, beam, problem.hold
        self._target = np.asarray(problem.target, np.int64)
        source = np.asarray(problem.source, np.int64)
        self._last = np.full(problem.nodes, -1)  # node of each node's run from which it can still be left
        exits, good = leaving(problem)
        for (first, last), leave in zip(problem.runs, exits, strict=True):
            self._last[first : last + 1] = leave
        kept = np.flatnonzero(good)
        order = kept[np.argsort(source[kept], kind="stable")]
        self._edge, self._start = order, np.searchsorted(source[order], np.arange(problem.nodes + 1))
        node = np.arange(problem.nodes)
        begin = node[node + problem.hold - 1 <= self._last]
        if not len(begin):
            raise UserError("No way leads through this footage for ever.", "Add footage, or allow more cuts.")
        self._ways = _nothing_shown(begin - 1, np.zeros(len(begin), np.int64))
        self._told: deque[Costs] = deque(maxlen=lag)
        self._begun, self.exact = False, True

    @property
    def ways(self) -> int:
        """How many ways are followed now."""
        return len(self._ways.node)

    def step(
        self,
        node_cost: NDArray[np.float64],
        cut_cost: NDArray[np.float64],
        ahead: NDArray[np.float64] | None = None,
    ) -> Shown | None:
        """Tell the costs of the next output frame, and get the frame that is decided by it.

        Parameters
        ----------
        node_cost : float64 [N]
        cut_cost : float64 [E]
            Of each edge when its target is shown now.
        ahead : float64 [N], optional
            What each node is expected to cost after it, such as frames until a tag can be reached.

        Returns
        -------
        Shown or None
            None for the first `lag` steps.
        """
        self._ways = self._limited(self._followed(self._ways, (node_cost, cut_cost), merged=not self._begun), ahead)
        self._told.append((node_cost, cut_cost))
        if len(self._ways.nodes) <= self._lag:
            return None
        shown = self._decided(ahead)
        if not self._begun:
            self._begun = True
            self._ways = _nothing_shown(np.array([shown.node]), np.array([1]))
            for costs in self._told:
                self._ways = self._limited(self._followed(self._ways, costs), ahead)
        return shown

    def finish(self) -> list[Shown]:
        """All frames whose costs were told and that are not decided; nothing can be told after it."""
        ways = self._ways
        best = int(ways.cost.argmin())
        return [
            Shown(int(node), int(edge)) for node, edge in zip(ways.nodes[:, best], ways.edges[:, best], strict=True)
        ]

    def _followed(self, ways: _Ways, costs: Costs, *, merged: bool = False) -> _Ways:
        """All ways that are a frame longer; of those that meet equally free to cut the cheapest, where `merged`."""
        node_cost, cut_cost = costs
        on = np.flatnonzero(ways.node < self._last_of(ways))
        cutting, edges = self._cutting(ways)
        node = np.concatenate([ways.node[on] + 1, self._target[edges]])
        since = np.concatenate([np.minimum(ways.since[on] + 1, self._hold), np.ones(len(edges), np.int64)])
        cost = np.concatenate([ways.cost[on], ways.cost[cutting] + cut_cost[edges]]) + node_cost[node]
        origin = np.concatenate([on, cutting])
        led = np.concatenate([np.full(len(on), _NO_EDGE), edges])
        kept = _cheapest(node * (self._hold + 1) + since, cost) if merged else slice(None)
        nodes = np.concatenate([ways.nodes[:, origin[kept]], node[None, kept]])
        return _Ways(
            node[kept], since[kept], cost[kept], nodes, np.concatenate([ways.edges[:, origin[kept]], led[None, kept]])
        )

    def _limited(self, ways: _Ways, ahead: NDArray[np.float64] | None) -> _Ways:
        if len(ways.node) <= self._beam or not self._begun:
            return ways
        self.exact = False
        return ways.only(np.argsort(_expected(ways, ahead), kind="stable")[: self._beam])

    def _last_of(self, ways: _Ways) -> NDArray[np.int64]:
        """The last node that each way may go on to: one that can still be left."""
        return np.asarray(self._last[ways.node + (ways.since == 0)])  # nothing is shown yet: the one before its first

    def _cutting(self, ways: _Ways) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ways that may cut now, and the edges that each may take."""
        free = np.flatnonzero(ways.since >= self._hold)
        begin, end = self._start[ways.node[free]], self._start[ways.node[free] + 1]
        count = end - begin
        place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        return np.repeat(free, count), self._edge[np.repeat(begin, count) + place]

    def _decided(self, ahead: NDArray[np.float64] | None) -> Shown:
        ways = self._ways
        best = int(_expected(ways, ahead).argmin())
        shown = Shown(int(ways.nodes[0, best]), int(ways.edges[0, best]))
        same = ways.only((ways.nodes[0] == shown.node) & (ways.edges[0] == shown.edge))
        low = same.cost.min()  # sums stay small for hours
        self._ways = replace(same, cost=same.cost - low, nodes=same.nodes[1:], edges=same.edges[1:])
        return shown


def _nothing_shown(node: NDArray[np.int64], since: NDArray[np.int64]) -> _Ways:
    none = np.zeros((0, len(node)), np.int64)
    return _Ways(node, since, np.zeros(len(node)), none, none)


def _expected(ways: _Ways, ahead: NDArray[np.float64] | None) -> NDArray[np.float64]:
    return ways.cost if ahead is None else ways.cost + ahead[ways.node]


def _cheapest(state: NDArray[np.int64], cost: NDArray[np.float64]) -> NDArray[np.int64]:
    """The cheapest of each state; of equal ones the first."""
    order = np.lexsort((cost, state))
    first = np.ones(len(order), bool)
    first[1:] = np.diff(state[order]) != 0
    return np.asarray(order[first])


def leaving(problem: Problem) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where a film that never ends must have left each run.

    Returns
    -------
    exits : int64 [R]
        The last node of each run that has a good edge; before the run where there is none.
    good : bool [E]
        Edges after which, a hold later, another good edge can be reached.
    """
    runs = np.asarray(problem.runs, np.int64).reshape(-1, 2)
    source, target = np.asarray(problem.source, np.int64), np.asarray(problem.target, np.int64)
    run_of_source = np.searchsorted(runs[:, 0], source, side="right") - 1
    run_of_target = np.searchsorted(runs[:, 0], target, side="right") - 1
    good = np.ones(len(source), bool)
    while True:
        exits = runs[:, 0] - 1
        np.maximum.at(exits, run_of_source[good], source[good])
        still = good & (target + problem.hold - 1 <= exits[run_of_target])
        if (still == good).all():
            return exits, good
        good = still


def frames_to_reach(problem: Problem, goal: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How many frames it takes from each node [N], where a cut is allowed, until one of the goal is shown; inf: never.

    0 at the goal itself. Cuts keep the hold.

    Parameters
    ----------
    problem : Problem
        Its runs, edges and hold count.
    goal : bool [N]
    """
    nodes, hold = problem.nodes, problem.hold
    source, target = np.asarray(problem.source, np.int64), np.asarray(problem.target, np.int64)
    arrival = target + hold - 1
    within = np.full(nodes, np.inf)  # frames to the next goal node of the same run
    run_last = np.full(nodes, -1)
    for first, last in problem.runs:
        run_last[first : last + 1] = last
        within[first : last + 1] = _next(np.where(goal[first : last + 1], 0.0, np.inf))
    inside = arrival <= run_last[target]
    reach = within.copy()
    while True:
        later = np.full(len(source), np.inf)
        later[inside] = hold + reach[arrival[inside]]
        early = 1.0 + within[target]
        through = np.where(early <= hold, early, later)
        new = reach.copy()
        np.minimum.at(new, source, through)
        for first, last in problem.runs:
            new[first : last + 1] = _next(new[first : last + 1])
        if np.array_equal(new, reach):
            return reach
        reach = new


def _next(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The least, over later places, of the value there and the frames until there."""
    place = np.arange(len(values))
    return np.asarray(np.minimum.accumulate((values + place)[::-1])[::-1] - place)
