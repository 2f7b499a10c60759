"""Why a path is as it is: what each condition charges second by second, and what would be at each cut otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..graph.motion_graph import MotionGraph
from ..progress import SILENT, Progress
from .exact import Table
from .objective import Objective
from .problem import Route
from .reuse import WindowSearch

_AROUND = 1
"""Segments on either side of a cut's own two that may change for its runner-up."""


def explain(
    objective: Objective, table: Table, route: Route, window: int, progress: Progress = SILENT
) -> dict[str, Any]:
    """Everything that a route's cost is made of, for PATH.json.

    Parameters
    ----------
    objective : Objective
    table : Table
        Of the problem that the route solves.
    route : Route
    window : int
        Output frames within which it shows no frame again.
    progress : Progress

    Returns
    -------
    dict
        ``seconds``: for each second of the film, what each condition charges for what is shown; ``cuts``: for each cut
        its output frame ``at``, its ``costs`` (``cuts``: its price; and each condition's) and its ``runner_up``, the
        best film without this cut in which only the segments near it differ: how much ``dearer`` it is, the frames of
        its own ``cuts`` there, and how much more it ``costs`` by each condition. None where there is no other.
        All costs of ``seconds`` and ``cuts`` sum to the path's cost.
    """
    graph, cuts = objective.graph, objective.cuts_costs(route.cuts)
    shown = objective.shown_costs(range(len(route.nodes)), route.nodes)
    seconds = by_second(shown, np.arange(len(route.nodes)), graph.fps)
    told = []
    for number, ((t, _), costs) in enumerate(zip(route.cuts, cuts, strict=True)):
        progress.update(number / len(cuts))
        other = runner_up(table, route, number, window)
        entry: dict[str, Any] | None = None
        if other is not None:
            entry = {
                "dearer": other.cost - route.cost,
                "costs": _more(objective, route, other),
                "cuts": [_cut(graph, *one) for one in other.cuts if one not in route.cuts],
            }
        told.append({"at": t, "costs": costs, "runner_up": entry})
    return {"seconds": seconds, "cuts": told}


def by_second(
    shown: Mapping[str, NDArray[np.float64]], times: NDArray[np.floating[Any] | np.integer[Any]], fps: Fraction
) -> list[dict[str, Any]]:
    """What each condition charges for the frames of a film [T], which are shown at rising `times` [T], by seconds."""
    second = float(fps)
    starts = np.unique((np.arange(np.ceil(len(times) / second)) * second).astype(int))
    parts = np.split(np.arange(len(times)), np.searchsorted(times, starts[1:]))
    return [
        {"at": int(start), "costs": {name: float(values[part].sum()) for name, values in shown.items()}}
        for start, part in zip(starts, parts, strict=True)
    ]


def runner_up(table: Table, route: Route, number: int, window: int) -> Route | None:
    """The cheapest path without cut `number` of a route that differs only near it and keeps the window.

    What is beyond the next cuts but one stays. None where no other way leads from there to there.
    """
    hold, frames = table.problem.hold, len(route.nodes)
    bounds = [0, *(t for t, _ in route.cuts), frames]
    start, end = bounds[max(number - _AROUND, 0)], bounds[min(number + 2 + _AROUND, len(bounds) - 1)]
    kept = (hold if start > 0 else 0, hold if end < frames else 0)
    if end - start < sum(kept):  # a person may cut oftener
        return None
    search = WindowSearch(table, window)
    barred = search.rest_kept(route.nodes, start, end, kept)
    at, edge = route.cuts[number]
    barred[at - start, table.problem.target[edge]] = True
    found = table.solve(barred, start)
    found = found and search.dive(found, barred, start, most=6)
    return found and search.joined(route, found, start, end)


def _more(objective: Objective, route: Route, other: Route) -> dict[str, float]:
    """By how much another route is dearer, by what charges it; only what differs is looked at."""
    times = np.flatnonzero(route.nodes != other.nodes)
    sums = [
        objective.summed(times.tolist(), one.nodes[times], [cut for cut in one.cuts if cut not in against.cuts])
        for one, against in ((other, route), (route, other))
    ]
    return {name: sums[0][name] - sums[1][name] for name in sums[0]}


def _cut(graph: MotionGraph, t: int, edge: int) -> dict[str, Any]:
    sides = {}
    for side, node in (("from", graph.source[edge]), ("to", graph.target[edge])):
        footage, frame = graph.footage_of(int(node))
        sides[side] = {"footage": graph.footages[footage], "frame": frame}
    return {"at": t, **sides}
