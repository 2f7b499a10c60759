"""Other takes: the cheapest paths that differ visibly from one another, with a bound on how much cheaper any could be.

A further path x may show, at no more than K output frames, what an earlier path p shows then. With a price on each
such frame the exact search finds, for any prices that are not negative,

    L(price) = min over x of cost(x) + sum over p of price_p (same_p(x) - K),

and no path that differs enough is cheaper than that. The best prices lie where L is largest: it is the minimum of one
line for each path, so each search adds a line, and the next prices are where the lines found so far are highest
(Kelley 1960, The cutting-plane method for solving convex programs).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from ..progress import SILENT, Progress
from .exact import solve
from .problem import Problem, Route
from .reuse import Certified, gap_between

_ENOUGH = 1e-6
"""By how much better prices could raise the bound when the search for them ends."""

_HIGHEST, _FARTHER, _TIMES = 1.0, 8.0, 4
"""The highest price of a frame at first, and how often it is raised, by what, where it changes too little."""

_DEARER, _STEPS = 1.2, 16
"""By what factor the prices of paths that are still shown too often are raised, and how often, for a valid path."""

_REMEMBERED_VALUES = 20_000_000


@dataclass(frozen=True)
class Difference:
    """When paths differ visibly.

    Attributes
    ----------
    share : float
        Share of the output frames at which another frame must be shown.
    near : int
        Frames of a run so near to one another count as the same.
    """

    share: float = 0.5
    near: int = 0

    def most_same(self, frames: int) -> int:
        """At how many of `frames` output frames two paths may show the same."""
        return int(np.floor((1.0 - self.share) * frames + 1e-9))

    def same(self, nodes: NDArray[np.int64], others: NDArray[np.int64], runs: NDArray[np.int64]) -> int:
        """At how many output frames two paths show the same; `runs` is the first node of each node's run."""
        near = np.abs(nodes - others) <= self.near
        return int((near & (runs[nodes] == runs[others])).sum())


@dataclass(frozen=True)
class Take:
    """A path, and what no path that differs enough from all takes before it, and keeps its window, is cheaper than."""

    route: Route
    bound: float
    window: int = 0

    @property
    def gap(self) -> float:
        """How much cheaper the best one could be at most, as a share of the cost's size."""
        return gap_between(self.route.cost, self.bound)


def other_takes(
    problem: Problem,
    known: Sequence[Route],
    count: int,
    *,
    difference: Difference | None = None,
    search: Callable[[Problem], Certified] | None = None,
    searches: int = 24,
    progress: Progress = SILENT,
) -> list[Take]:
    """Find up to `count` cheap paths, each of which differs visibly from the known ones and from those before it.

    Parameters
    ----------
    problem : Problem
    known : sequence of Route
        At least one: the best path.
    count : int
    difference : Difference, optional
    search : callable, optional
        The search for a path that keeps more rules, such as a window of no re-use; the bound then speaks of paths that
        keep them. By default all paths of the problem are meant.
    searches : int
        Exact searches for each path at most; they are counted, not timed.
    progress : Progress

    Returns
    -------
    list of Take
        Fewer than `count` where no more are found.
    """
    problem = _remembering(problem)
    earlier, takes = list(known), list[Take]()
    for number in range(count):
        part = progress.part(number / count, (number + 1) / count)
        take = _Others(problem, earlier, difference or Difference(), part).next(searches, search)
        if take is None:
            break
        takes.append(take)
        earlier.append(take.route)
    return takes


class _Others:
    """The search for one path that differs from earlier ones."""

    def __init__(self, problem: Problem, earlier: Sequence[Route], difference: Difference, progress: Progress) -> None:
        self.problem, self.earlier, self.difference, self.progress = problem, earlier, difference, progress
        self.most = difference.most_same(problem.frames)
        self.first = np.arange(problem.nodes)  # of each node's run
        self.last = np.arange(problem.nodes)
        for a, b in problem.runs:
            self.first[a : b + 1], self.last[a : b + 1] = a, b

    def next(self, searches: int, search: Callable[[Problem], Certified] | None) -> Take | None:
        """The cheapest one that is found; None where there is none."""
        prices, highest = np.zeros(len(self.earlier)), _HIGHEST
        lines: list[tuple[float, NDArray[np.float64]]] = []
        best: Route | None = None
        bound, best_prices = -np.inf, prices
        for step in range(searches):
            self.progress.update(step / searches)
            found = solve(self._priced(prices), self.progress)
            if found is None:
                return None
            route, excess = self._judged(found, prices)
            if (excess <= 0).all() and (best is None or route.cost < best.cost):
                best = route
            lines.append((route.cost, excess))
            value = route.cost + float(prices @ excess)
            if value > bound:
                bound, best_prices = value, prices
            prices, hoped = _highest_of(lines, highest)
            if hoped <= bound + _ENOUGH:
                if best is not None or highest >= _HIGHEST * _FARTHER**_TIMES:
                    break
                highest *= _FARTHER
                prices, _ = _highest_of(lines, highest)
        valid = self._valid(search or self._exact, best_prices)
        if search is None:
            if valid is not None and (best is None or valid.route.cost < best.cost):
                best = valid.route
            return None if best is None else Take(best, min(bound, best.cost))
        if valid is None:
            return None
        return Take(valid.route, min(max(bound, valid.bound), valid.route.cost), valid.window)

    def _exact(self, problem: Problem) -> Certified | None:
        found = solve(problem, self.progress)
        return None if found is None else Certified(found, found.cost, 0)

    def _valid(self, search: Callable[[Problem], Certified | None], prices: NDArray[np.float64]) -> Certified | None:
        """The first path by `search` that differs enough, as prices rise from the best ones on."""
        least = _HIGHEST / self.problem.frames
        for _ in range(_STEPS):
            certified = search(self._priced(prices))
            if certified is None:
                return None
            route, excess = self._judged(certified.route, prices)
            if (excess <= 0).all():
                return replace(certified, route=route, bound=certified.bound - float(prices.sum()) * self.most)
            prices = np.where(excess > 0, np.maximum(prices * _DEARER, least), prices)
        return None

    def _judged(self, priced: Route, prices: NDArray[np.float64]) -> tuple[Route, NDArray[np.float64]]:
        """A path of the problem with prices at its own cost, and by how much it is like each earlier one too often."""
        same = np.array(
            [self.difference.same(priced.nodes, one.nodes, self.first) for one in self.earlier], dtype=float
        )
        return replace(priced, cost=priced.cost - float(prices @ same)), same - float(self.most)

    def _priced(self, prices: NDArray[np.float64]) -> Problem:
        """The problem with prices on what earlier paths show."""

        def node_cost(t: int) -> NDArray[np.float64]:
            costs = self.problem.node_cost(t).copy()
            for price, one in zip(prices, self.earlier, strict=True):
                node = int(one.nodes[t])
                lowest, highest = node - self.difference.near, node + self.difference.near
                costs[max(lowest, self.first[node]) : min(highest, self.last[node]) + 1] += price
            return costs

        return replace(self.problem, node_cost=node_cost)


def _highest_of(lines: Sequence[tuple[float, NDArray[np.float64]]], most: float) -> tuple[NDArray[np.float64], float]:
    """Where, between no price and `most`, the lowest of the lines is highest; and how high it is there."""
    size = len(lines[0][1])
    slopes = np.array([[1.0, *-excess] for _, excess in lines])
    result = linprog(
        [-1.0, *np.zeros(size)],
        A_ub=slopes,
        b_ub=[cost for cost, _ in lines],
        bounds=[(None, None), *[(0.0, most)] * size],
        method="highs",
    )
    return np.maximum(result.x[1:], 0.0), float(result.x[0])


def _remembering(problem: Problem) -> Problem:
    """The same problem with its costs computed once, where that fits into memory: it is searched dozens of times."""
    if problem.frames * (problem.nodes + len(problem.source)) > _REMEMBERED_VALUES:
        return problem
    node = [problem.node_cost(t) for t in range(problem.frames)]
    cut = [problem.cut_cost(t) for t in range(problem.frames)]
    return replace(problem, node_cost=node.__getitem__, cut_cost=cut.__getitem__)
