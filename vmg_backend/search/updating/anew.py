"""Parts of a film that are searched anew, exactly, between others that are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError
from ...progress import Progress
from ..exact import Table
from ..film import UNKNOWN, Film
from ..find import ALIKE, REUSE_PRICE, STUTTER
from ..path import Segment
from ..problem import Ban, Route
from ..reuse import ROUNDING, WindowSearch, conflicts, solve_without_reuse
from .given import Given
from .priced import Priced
from .wanted import Wanted
from .windows import Stretch, Window, around, beside

_NEAR = ((0, 0), (1, 0), (0, 1), (1, 1), (2, 2))
_FAR = ((4, 4), (8, 8), (16, 16), (32, 32), (1 << 20, 1 << 20))
"""Segments before and after a change that are searched with it, fewest first; the last are all there are."""

_DETOURS = 12
"""Conflicts that are resolved inside what is searched anew."""

_BESIDE = (1, 2), (4, 8, 32, 128)
"""Holds on either side of a stretch that becomes another one which may change with it, fewest first. A group is tried
without a window of no re-use before the next one."""

_TIED, _ALIKE_PRICE = 4, 10.0
"""Holds beside what stays in such a stretch, within which there may be no other way; and what a frame costs there that
looks as it did: so much that as few as possible do."""


@dataclass(frozen=True)
class Anew:
    """The search of one update."""

    given: Given
    wanted: Wanted
    priced: Priced

    def met(self, film: Film, stretch: Stretch, progress: Progress) -> Film:
        """The film with as few segments around a stretch as possible searched anew, so that all keyframes are met.

        The window of no re-use is given up before more than a few segments change.

        Raises
        ------
        UserError
            When nothing leads there.
        """
        tried: set[tuple[Window, int]] = set()
        for sizes, reuse in product((_NEAR, _FAR), (self.given.reuse, 0)):
            for size in sizes:
                progress.check()
                window = around(film, stretch, *size, self.given)
                if (window, reuse) not in tried:
                    tried.add((window, reuse))
                    found = self._solved(film, window, reuse, self.priced.pins, progress)
                    if found is not None:
                        return found
        self.priced.check([*self.wanted.hard.values(), *self.wanted.loose.values()], self.given, progress)
        raise UserError(
            f"Nothing leads through the take from {self._said(stretch)}.",
            "Move or remove a keyframe there, or make a new take.",
        )

    def bettered(self, film: Film, window: Window, progress: Progress, by: float = ROUNDING) -> Film:
        """The film with a window searched anew, if it is better then: fewer frames shown again, or cheaper."""
        pins = self._kept(film)
        best = film
        narrow = min(self.given.reuse, round(STUTTER * self.given.context.fps))
        for reuse in dict.fromkeys((self.given.reuse, narrow) if self.priced.repeats else (self.given.reuse,)):
            if (window.start, window.end) == (0, len(film.nodes)):
                problem = replace(self.priced.table.problem, pins=pins)
                certified = solve_without_reuse(problem, reuse, branchings=0, progress=progress)
                found = None if certified is None else self._joined(film, window, certified.route)
            else:
                found = self._solved(film, window, reuse, pins, progress)
            if found is not None and film.painted <= {*found.cuts}:
                (again, cost), (found_again, found_cost) = (self._quality(one) for one in (best, found))
                if found_again < again or (found_again == again and found_cost < cost - by):
                    best = found
        return best

    def others(self, film: Film, stretches: Sequence[Stretch], seen: Sequence[Segment], progress: Progress) -> Film:
        """The film with something else in some stretches, and as little else changed as possible.

        Raises
        ------
        UserError
            When there is nothing else.
        """
        stretches = [(max(start, 0), min(end, len(film.nodes))) for start, end in stretches]
        stretches = [stretch for stretch in stretches if stretch[0] < stretch[1]]
        pins, graph = self._kept(film), self.given.graph
        free = {t for stretch in stretches for t in range(*stretch) if t not in pins}
        bans = [self._ban(t, int(film.nodes[t])) for t in sorted(free)]
        firsts = dict(zip(graph.footages, graph.offsets[:-1].tolist(), strict=True))
        offsets = [(one, firsts[one.footage] + one.first - one.at) for one in seen if one.footage in firsts]
        before = [self._ban(t, t + by) for one, by in offsets for t in range(one.at, one.at + one.frames) if t in free]
        for number, stretch in enumerate(stretches):
            part = progress.part(number / len(stretches), (number + 1) / len(stretches))
            found = self._another(film, stretch, pins, [*bans, *before], part)
            if found is None and before:
                found = self._another(film, stretch, pins, bans, part)
            if found is None:
                raise UserError(
                    f"Nothing else can be shown from {self._said(stretch)} of the take.",
                    "Keyframes, pinned transitions and the ends of a loop stay: choose a longer part, or add footage.",
                )
            film = found
        return film

    def _said(self, stretch: Stretch) -> str:
        start, end = (t / self.given.context.fps for t in stretch)
        return f"{start:.2f} s to {end:.2f} s"

    def _ban(self, t: int, node: int) -> Ban:
        """Bar at an output frame what looks like a node."""
        near, (first, last) = round(ALIKE * self.given.context.fps), self.given.run(node)
        return t, max(node - near, first), min(node + near, last)

    def _another(
        self, film: Film, stretch: Stretch, pins: Mapping[int, int], bans: Sequence[Ban], progress: Progress
    ) -> Film | None:
        """The film with another stretch: half of it at least beside what is pinned, or a part that can be seen."""
        hold = self.given.hold
        tied = {t + k for t in pins for k in range(-_TIED * hold, _TIED * hold + 1)}
        here = [ban for ban in bans if stretch[0] <= ban[0] < stretch[1]]
        bans = [ban for ban in bans if ban[0] not in tied]
        search = self._charged([ban for ban in here if ban[0] in tied])
        frames = len({t for t, _, _ in here})
        best, least = None, max(frames // 2, frames - hold // 2) + 1
        for holds, reuse in product(_BESIDE, dict.fromkeys((self.given.reuse, 0))):
            for more in holds if frames and best is None else ():
                window = beside(film, stretch, more * hold, self.given)
                found = search._solved(film, window, reuse, pins, progress, bans)
                if found is not None and film.painted <= {*found.cuts}:
                    alike = len({t for t, first, last in here if first <= found.nodes[t] <= last})
                    if alike < least:
                        best, least = found, alike
                    if least <= frames // 2:
                        return best
        return best

    def _charged(self, bans: Sequence[Ban]) -> Anew:
        """The same search with a price on what looks as it did."""
        if not bans:
            return self
        table = self.priced.table
        alike: dict[int, NDArray[np.float64]] = {}
        for t, first, last in bans:
            alike.setdefault(t, np.zeros(table.problem.nodes))[first : last + 1] = _ALIKE_PRICE

        def node_cost(t: int) -> NDArray[np.float64]:
            return np.asarray(table.node_cost(t) + alike.get(t, 0.0))

        return replace(self, priced=replace(self.priced, table=Table(replace(table.problem, node_cost=node_cost))))

    def _kept(self, film: Film) -> dict[int, int]:
        """What stays whatever is searched anew: pinned transitions, as somebody may have painted on them; keyframes."""
        painted = {t: int(film.nodes[t]) for cut in film.painted for t in range(cut.first, cut.end)}
        return painted | self.priced.pins

    def _quality(self, film: Film) -> tuple[int, float]:
        """Frames that are shown again too soon, and the cost; where actions may ask for them, they only cost."""
        again = sum(one.length for one in conflicts(film.nodes, self.given.reuse, self.priced.pins))
        route = self.priced.route(film)
        cost = route.cost + self.priced.made(route)
        return (0, cost + REUSE_PRICE * again / self.given.context.fps) if self.priced.repeats else (again, cost)

    def _solved(
        self,
        film: Film,
        window: Window,
        reuse: int,
        pins: Mapping[int, int],
        progress: Progress,
        bans: Sequence[Ban] = (),
    ) -> Film | None:
        """The film with the cheapest way through a window; None where none is found that shows all keyframes."""
        start, end = window.start, window.end
        if start + window.kept[0] > end or end - window.kept[1] < start:
            return None
        pins = {t: node for t, node in pins.items() if start <= t < end}
        fixed = {t: int(film.nodes[t]) for t in window.fixed}
        if any(node == UNKNOWN or pins.get(t, node) != node for t, node in fixed.items()):
            return None
        search = WindowSearch(self.priced.table, reuse, pins | fixed)
        barred = search.rest_kept(film.nodes, start, end, window.kept)
        for t, first, last in bans:
            if start + window.kept[0] <= t < end - window.kept[1]:
                barred[t - start, first : last + 1] = True
        route = self.priced.table.solve(barred, start, progress)
        route = route and search.dive(route, barred, start, most=_DETOURS, progress=progress)
        if route is None:
            return None
        found = self._joined(film, window, route)
        inside = (uid for uid, span in self.wanted.spans.items() if span.at < end and span.end > start)
        return found if all(self.wanted.met(uid, found) for uid in inside) else None

    def _joined(self, film: Film, window: Window, route: Route) -> Film:
        edges, cuts = self.priced.objective.graph, []
        for time, soft in route.cuts:
            edge = self.priced.soft[soft]
            junction = int(edges.source[edge]), int(edges.target[edge]), int(edges.half[edge])
            cost, connector = float(edges.cost[edge]), bool(edges.connector[edge])
            cuts.append(self.given.cut(window.start + time, junction, cost, connector))
        return film.replaced(route.nodes, cuts, window.start)
