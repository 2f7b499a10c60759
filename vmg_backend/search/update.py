"""A take whose conditions changed: what they touch is placed or searched anew, the rest stays as it is.

A moved keyframe takes its phrase along, and only the two cuts beside it are placed anew, where the match is best. All
else (a new keyframe, one that jumps over others, beats, the end) is an exact search of a few segments between others
that are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..audio.beats import Beat
from ..errors import UserError
from ..footage import Footage
from ..graph.build import GraphSettings
from ..graph.features import MotionFeatures
from ..graph.matching import MatchCost
from ..graph.motion_graph import MotionGraph
from ..pose.track import PoseTrack
from ..progress import SILENT, Progress
from .conditions import Asked, SearchContext
from .exact import Table, route_cost
from .film import UNKNOWN, Cut, Film, Junction, Span
from .find import entry_of
from .keyframes import Keyframe, pin_keyframes
from .objective import Objective, SearchSettings, longest_half, pulse
from .path import Path, frames_of
from .placing import LEAST_REAL, Places, cheapest, places_between
from .problem import Route
from .reuse import ROUNDING, Conflict, conflicts, gap_between, solve_without_reuse

_NEAR = ((0, 0), (1, 0), (0, 1), (1, 1), (2, 2))
_FAR = ((4, 4), (8, 8), (16, 16), (32, 32), (1 << 20, 1 << 20))
"""Segments before and after a change that are searched with it, fewest first; the last are all there are."""

_DETOURS = 12
"""Conflicts that are resolved inside what is searched anew."""


def update_path(
    path: Path,
    footages: Sequence[Footage],
    graph: MotionGraph,
    features: MotionFeatures,
    *,
    frames: int,
    beats: Sequence[Beat] = (),
    keyframes: Mapping[str, Keyframe] | None = None,
    old_beats: Sequence[Beat] = (),
    old_keyframes: Mapping[str, Keyframe] | None = None,
    tracks: Sequence[PoseTrack] = (),
    asked: Sequence[Asked] = (),
    settings: SearchSettings | None = None,
    matching: GraphSettings | None = None,
    progress: Progress = SILENT,
) -> tuple[Path, tuple[int, ...]]:
    """Bring a path up to date where its conditions changed.

    - A keyframe that was moved, slipped or resized: the segment around it moves with it, and the two cuts beside it are
      placed anew, where the matches cost least. Where that leaves no room: as one that was added.
    - A keyframe that was added: the fewest segments around it between which it can be shown are searched anew.
    - A keyframe that was removed: nothing changes.
    - Beats: the segments under those that changed are searched anew, and taken where they are better.
    - Another length: the end is cut off or searched.

    What a person edited is kept outside of that: cuts that are no edges of the graph, and a keyframe that they moved
    frames away from, unless this keyframe changed.

    `cost`, `costs` and `beat_alignment` of the result are those of the new path under the new conditions. `bound`: no
    path through the graph and the path's own cuts that shows the keyframes is cheaper; it does not know the window of
    no re-use, and nobody tried to come near it, so a gap here is mostly larger than after a search. Where the path is
    cheaper than the bound, because an edited one need not keep the hold, `bound` is its cost. `reuse_window` is the
    old one, or what is left of it. The seed stays: it names the generated frames that are kept.

    Parameters
    ----------
    path : Path
        As it is now, with the person's edits.
    footages : sequence of Footage
        In the graph's order.
    graph : MotionGraph
    features : MotionFeatures
    frames : int
        Length of the output.
    beats, old_beats : sequence of Beat
        As they are now, and as they were when the path was made; seconds of the output.
    keyframes, old_keyframes : mapping of str to Keyframe
        The same, by a name that a keyframe keeps when it is moved.
    tracks : sequence of PoseTrack
        Of the footages, where `asked` needs them.
    asked : sequence of Asked
        What else the film follows, as it did before.
    settings : SearchSettings, optional
    matching : GraphSettings, optional
        What the graph was built with.
    progress : Progress

    Returns
    -------
    Path
    tuple of int
        Ids of its transitions that the old path does not have.

    Raises
    ------
    UserError
        When the path shows footage that is not given, or a changed keyframe cannot be met.
    """
    keyframes, old_keyframes = dict(keyframes or {}), dict(old_keyframes or {})
    if frames == path.frames and list(beats) == list(old_beats) and keyframes == old_keyframes:
        return path, ()
    context = SearchContext(footages, tracks, graph, features, frames)
    updating = _Update(path, context, beats, asked, settings or SearchSettings(), matching or GraphSettings())
    film = updating.run(keyframes, old_keyframes, old_beats, progress)
    result = updating.path_of(film, progress.part(0.9, 1.0))
    known = {replace(transition, id=0) for transition in path.transitions}
    return result, tuple(one.id for one in result.transitions if replace(one, id=0) not in known)


@dataclass(frozen=True)
class _Window:
    """Output frames [start, end) that are searched anew, but for the first and the last ones."""

    start: int
    end: int
    kept: tuple[int, int]

    @property
    def fixed(self) -> list[int]:
        """Output frames at its ends that stay."""
        return [*range(self.start, self.start + self.kept[0]), *range(self.end - self.kept[1], self.end)]


class _Update:
    """One update: what is given, and the steps of it."""

    def __init__(
        self,
        path: Path,
        context: SearchContext,
        beats: Sequence[Beat],
        asked: Sequence[Asked],
        settings: SearchSettings,
        matching: GraphSettings,
    ) -> None:
        self.context, footages, graph, features = context, context.footages, context.graph, context.features
        self.path, self.footages, self.graph, self.features = path, footages, graph, features
        self.frames, self.beats, self.asked = context.frames, beats, asked
        self.settings, self.matching = settings, matching
        self.names = {footage.id: footage.name for footage in footages}
        self.offsets = {footage: int(graph.offsets[index]) for index, footage in enumerate(graph.footages)}
        self.lengths = dict(zip(graph.footages, np.diff(graph.offsets).tolist(), strict=True))
        self.costs = MatchCost(features)
        self.longest = longest_half(graph)
        self.hold = settings.hold(graph)
        self.reuse = round(path.reuse_window * float(graph.fps))
        self.film = Film.of(path, graph)
        self.known = {(cut.time, cut.junction): cut for cut in self.film.cuts if cut.transition}
        self.music = pulse(beats)

    def run(
        self,
        keyframes: Mapping[str, Keyframe],
        old_keyframes: Mapping[str, Keyframe],
        old_beats: Sequence[Beat],
        progress: Progress,
    ) -> Film:
        """The new film."""
        film = self.film
        spans = {uid: self._span(key) for uid, key in keyframes.items()}
        old = {uid: self._span(key) for uid, key in old_keyframes.items()}
        # A keyframe that did not change but is not shown was edited away: the person's hand counts more.
        self.keys = {uid: key for uid, key in keyframes.items() if spans[uid] != old.get(uid) or spans[uid].met(film)}
        self.spans = {uid: spans[uid] for uid in self.keys}
        was = {uid: old[uid] for uid in self.keys if uid in old and old[uid].met(film)}
        film, stretches = self._resized(film)
        film, jumped = self._slid(film, was)
        self._prepare(film, progress)
        progress.update(0.2)
        unmet = [uid for uid, span in self.spans.items() if not span.met(film)]
        for uid in unmet:
            self._check([self.keys[uid]], progress.part(0.2, 0.3))
        for stretch in stretches:
            film = self._searched(film, stretch, progress.part(0.3, 0.4))
        for uid in unmet:
            if not self.spans[uid].met(film):
                film = self._searched(film, self._stretch(film, uid, jumped), progress.part(0.4, 0.6))
        anew = self._left_twice(film, jumped.values()) + self._under_beats(film, old_beats)
        for window in self._merged(film, anew):
            film = self._bettered(film, window, progress.part(0.6, 0.9))
        return film

    def _stretch(self, film: Film, uid: str, jumped: Mapping[str, Span]) -> tuple[int, int]:
        """What is to be searched for a keyframe: its place, and where it was if that is next to it."""
        span, was = self.spans[uid], jumped.get(uid)
        if was is None or was.end > len(film.nodes) or abs(film.piece(span.at) - film.piece(was.at)) > 1:
            return span.at, span.end
        return min(span.at, was.at), max(span.end, was.end)

    def _left_twice(self, film: Film, places: Iterable[Span]) -> list[tuple[int, int]]:
        """The places that keyframes left where what is still shown is now shown again too soon."""
        twice = conflicts(film.nodes, self.reuse, self._pins())
        times = [
            t
            for one in twice
            for t in (*range(one.early, one.early + one.length), *range(one.late, one.late + one.length))
        ]
        return [(was.at, was.end) for was in places if any(was.at <= t < was.end for t in times)]

    def _under_beats(self, film: Film, old_beats: Sequence[Beat]) -> list[tuple[int, int]]:
        """The output frames of the beats that are new or gone."""
        frames = [round(time * float(self.graph.fps)) for time in sorted({*self.music} ^ {*pulse(old_beats)})]
        return [(t, t + 1) for t in frames if 0 <= t < len(film.nodes)]

    # From a path and back.

    def _span(self, key: Keyframe) -> Span:
        found = [id_ for id_ in self.graph.footages if key.footage in (id_, self.names[id_])]
        there = len(found) == 1 and 0 <= key.frame <= self.lengths[found[0]] - key.frames
        node = self.offsets[found[0]] + key.frame if there else UNKNOWN
        return Span(frames_of(key.at, self.graph.fps), node, key.frames)

    def path_of(self, film: Film, progress: Progress = SILENT) -> Path:
        """The film as a path, with its costs."""
        segments, transitions = film.laid_out(self.graph)
        route = self._route(film)
        bound = self._bound(route.cost, progress)
        sound = self.path.audio
        if sound and self.frames != self.path.frames:
            sound = replace(sound, seconds=float(self.frames / self.graph.fps))
        path = Path(
            fps=self.graph.fps,
            frames=self.frames,
            footages={footage.id: entry_of(footage) for footage in self.footages},
            segments=segments,
            transitions=transitions,
            audio=sound,
            beats=tuple({"time": beat.time, "kind": beat.kind, "strength": beat.strength} for beat in self.beats),
            cost=route.cost,
            bound=bound,
            gap=gap_between(route.cost, bound),
            costs=self.objective.costs(route),
            beat_alignment=self.objective.alignment(route),
            reuse_window=self._window_left(film),
            seed=self.path.seed,
            versions={**self.path.versions, "vmg": __version__},
        )
        path.check()
        return path

    def _bound(self, cost: float, progress: Progress) -> float:
        """What no path that shows the keyframes falls below; transitions may come as near to them as they like."""
        pins = {t: node for span in self.spans.values() for t, node in span.pins(0, self.frames).items()}
        root = self.table.solve(self._barred(None, _Window(0, self.frames, (0, 0)), 0, pins), 0, progress)
        return cost if root is None else min(cost, root.cost)

    def _window_left(self, film: Film) -> float:
        twice = conflicts(film.nodes, self.reuse, self._pins())
        if not twice:
            return self.path.reuse_window
        return (min(one.late - one.early for one in twice) - 1) / float(self.graph.fps)

    # The search's numbers: the graph, and the film's own cuts that are no edges of it.

    def _prepare(self, film: Film, progress: Progress) -> None:
        self.edges, self.edge = self._extended(film)
        self.objective = Objective.of(
            replace(self.context, graph=self.edges),
            beats=self.beats,
            settings=self.settings,
            seed=self.path.seed,
            longest=self.longest,
            asked=self.asked,
            progress=progress,
        )
        self.problem = self.objective.problem(self.frames, self.hold)
        # A hard cut is the person's: none is made elsewhere.
        self.soft = np.flatnonzero(self.edges.half > 0)
        self.searched = replace(
            self.problem,
            source=self.edges.source[self.soft],
            target=self.edges.target[self.soft],
            cut_cost=lambda t: self.objective.cut_cost(t)[self.soft],
        )
        self.table = Table(self.searched)

    def _extended(self, film: Film) -> tuple[MotionGraph, dict[Junction, int]]:
        """The graph with the film's own cuts, and the index of each edge."""
        graph = self.graph
        edges = list(zip(graph.source.tolist(), graph.target.tolist(), graph.half.tolist(), strict=True))
        own = sorted({cut.junction for cut in film.cuts}.difference(edges))
        source, target, half = (np.array([one[k] for one in own], dtype=np.int64) for k in range(3))
        cost = self.costs.exact(source, target - 1)
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

    def _route(self, film: Film) -> Route:
        cuts = tuple((cut.time, self.edge[cut.junction]) for cut in film.cuts if cut.target != cut.source + 1)
        return Route(film.nodes, cuts, route_cost(self.problem, film.nodes, cuts))

    # Keyframes that moved: their segments move along.

    def _slid(self, film: Film, old: Mapping[str, Span]) -> tuple[Film, dict[str, Span]]:
        """The film with the segments of moved keyframes at their new places, and the old places of those left over."""
        moved = {uid: span for uid, span in old.items() if not self.spans[uid].met(film)}
        pieces = {uid: film.piece(span.at) for uid, span in moved.items()}
        left: dict[str, Span] = {}
        for first, last in _chains(sorted(set(pieces.values()))):
            here = {uid: piece for uid, piece in pieces.items() if first <= piece <= last}
            slid = self._chain_slid(film, here, first, last)
            if slid is None:
                left.update({uid: moved[uid] for uid in here})
            else:
                film = slid
        return film, left

    def _chain_slid(self, film: Film, moved: Mapping[str, int], first: int, last: int) -> Film | None:
        """The film with the segments `first` to `last` moved as the keyframes in them ask; None where there is no room.

        The segments before and after lend frames, or take more of theirs.
        """
        bounds = film.bounds
        pieces = range(max(first - 1, 0), min(last + 2, len(bounds) - 1))
        shift = {piece: int(film.nodes[bounds[piece]]) - bounds[piece] for piece in pieces}  # node less output frame
        for uid, piece in moved.items():
            shift[piece] = self.spans[uid].node - self.spans[uid].at
        spans: dict[int, list[Span]] = {piece: [] for piece in pieces}
        for uid, span in self.spans.items():
            piece = moved[uid] if uid in moved else film.piece(min(span.at, len(film.nodes) - 1))
            if piece in spans and (uid in moved or span.met(film)):
                if span.node == UNKNOWN or span.node - span.at != shift[piece]:
                    return None
                spans[piece].append(span)
        begin, end = pieces[0], pieces[-1]
        anchors = {piece: spans[piece][0].node if spans[piece] else int(film.nodes[bounds[piece]]) for piece in pieces}
        runs = {piece: self._run(anchors[piece]) for piece in pieces}
        if bounds[begin] + shift[begin] < runs[begin][0] or bounds[end + 1] - 1 + shift[end] > runs[end][1]:
            return None
        times = np.arange(bounds[begin] + 1, bounds[end + 1])
        places = [Places.one(bounds[begin], film.half(begin))]
        for before, after in pairwise(pieces):
            shifts, sides = (shift[before], shift[after]), (runs[before], runs[after])
            places.append(places_between(self.costs, self.graph, self.matching, times, shifts, sides))
        places.append(Places.one(bounds[end + 1], film.half(end + 1)))
        holds = [min(self.hold, bounds[piece + 1] - bounds[piece]) for piece in pieces]
        found = cheapest(places, holds, [spans[piece] for piece in pieces])
        if found is None:
            return None
        nodes = film.nodes.copy()
        cuts = [cut for cut in film.cuts if not bounds[begin] < cut.time < bounds[end + 1]]
        placed = [
            (int(one.time[k]), int(one.half[k]), float(one.cost[k])) for one, k in zip(places, found, strict=True)
        ]
        for piece, (start, stop) in zip(pieces, pairwise(time for time, _, _ in placed), strict=True):
            nodes[start:stop] = np.arange(start, stop) + shift[piece]
        for time, half, cost in placed[1:-1]:
            cuts.append(self._made(time, (int(nodes[time - 1]), int(nodes[time]), half), cost))
        return Film(nodes, tuple(sorted(cuts, key=lambda cut: cut.time)))

    def _run(self, node: int) -> tuple[int, int]:
        """First and last node of the run of a node; one that is in none has nothing around it."""
        return int(self.costs.first[node]), int(self.costs.last[node])

    def _made(self, time: int, junction: Junction, cost: float, connector: bool = False) -> Cut:
        """A cut; the old path's own where it has the same."""
        known = self.known.get((time, junction))
        if known:
            return known
        return Cut.new(self.graph, time, junction, cost, connector)

    # Searching a few segments anew.

    def _resized(self, film: Film) -> tuple[Film, list[tuple[int, int]]]:
        """The film at its new length, and what of it is to be searched."""
        more = self.frames - len(film.nodes)
        if more >= 0:
            nodes = np.concatenate([film.nodes, np.full(more, UNKNOWN)])
            return Film(nodes, film.cuts), [(self.frames - more, self.frames)] if more else []
        film = Film(film.nodes[: self.frames], tuple(cut for cut in film.cuts if cut.time < self.frames))
        cut_short = bool(film.cuts) and film.cuts[-1].time + self.hold > self.frames
        return film, [(self.frames - 1, self.frames)] if cut_short else []

    def _pins(self) -> dict[int, int]:
        """What the keyframes want, with room on either side for half the longest transition where they agree."""
        first = self.costs.first
        wanted: dict[int, set[int]] = {}
        for span in self.spans.values():
            for t, node in span.pins(self.longest, self.frames).items():
                if 0 <= node < self.graph.nodes and first[node] == first[span.node]:
                    wanted.setdefault(t, set()).add(node)
        pins = {t: nodes.pop() for t, nodes in wanted.items() if len(nodes) == 1}
        for span in self.spans.values():
            pins |= span.pins(0, self.frames)
        return pins

    def _window(self, film: Film, stretch: tuple[int, int], before: int, after: int) -> _Window:
        """The segments of a stretch of output frames with so many on either side, which lend frames."""
        bounds = film.bounds
        first = max(film.piece(stretch[0]) - before, 0)
        last = min(film.piece(stretch[1] - 1) + after, len(bounds) - 2)
        start, end = bounds[first], bounds[last + 1]
        room = self.longest + LEAST_REAL
        left = max(self.hold, film.half(first) + room) if start > 0 else 0
        right = max(self.hold, film.half(last + 1) + room) if end < len(film.nodes) else 0
        return _Window(start, end, (left, right))

    def _searched(self, film: Film, stretch: tuple[int, int], progress: Progress) -> Film:
        """The film with as few segments around a stretch as possible searched anew, so that all keyframes are met.

        The window of no re-use is given up before more than a few segments change.
        """
        tried: set[tuple[_Window, int]] = set()
        pins = self._pins()
        for sizes, reuse in product((_NEAR, _FAR), (self.reuse, 0)):
            for before, after in sizes:
                progress.check()
                window = self._window(film, stretch, before, after)
                if (window, reuse) not in tried:
                    tried.add((window, reuse))
                    found = self._solved(film, window, reuse, pins, progress)
                    if found is not None:
                        return found
        self._check(list(self.keys.values()), progress)
        raise UserError(
            f"Nothing leads through the take from {stretch[0] / float(self.graph.fps):.2f} s to "
            f"{stretch[1] / float(self.graph.fps):.2f} s.",
            "Move or remove a keyframe there, or make a new take.",
        )

    def _check(self, keys: list[Keyframe], progress: Progress) -> None:
        """Say what is wrong with keyframes that cannot be met whatever else is shown."""
        free = np.zeros(len(self.soft))
        problem = replace(self.searched, cut_cost=lambda _: free)
        keys = sorted(keys, key=lambda key: key.at)
        pin_keyframes(problem, keys, self.context, self.longest, progress=progress)

    def _bettered(self, film: Film, window: _Window, progress: Progress) -> Film:
        """The film with a window searched anew, if it is better then: fewer frames shown again, or cheaper.

        Transitions that are pinned stay: somebody may have painted on them.
        """
        pinned = [cut for cut in film.cuts if cut.transition and cut.transition.pinned]
        pins = {t: int(film.nodes[t]) for cut in pinned for t in range(cut.first, cut.end)} | self._pins()
        if (window.start, window.end) == (0, len(film.nodes)):
            problem = replace(self.searched, pins=pins)
            certified = solve_without_reuse(problem, self.reuse, branchings=0, progress=progress)
            found = None if certified is None else self._joined(film, window, certified.route)
        else:
            found = self._solved(film, window, self.reuse, pins, progress)
        if found is None or not {*pinned} <= {*found.cuts}:
            return film
        (again, cost), (found_again, found_cost) = (self._quality(one) for one in (film, found))
        better = found_again < again or (found_again == again and found_cost < cost - ROUNDING)
        return found if better else film

    def _quality(self, film: Film) -> tuple[int, float]:
        again = sum(one.length for one in conflicts(film.nodes, self.reuse, self._pins()))
        return again, self._route(film).cost

    def _merged(self, film: Film, stretches: Iterable[tuple[int, int]]) -> list[_Window]:
        """The windows around stretches, with a segment more on either side; those that overlap are one."""
        merged: list[_Window] = []
        for one in sorted((self._window(film, s, 1, 1) for s in stretches), key=lambda one: (one.start, one.end)):
            if merged and one.start < merged[-1].end:
                last = merged[-1]
                farther = one if one.end > last.end else last
                merged[-1] = _Window(last.start, farther.end, (last.kept[0], farther.kept[1]))
            else:
                merged.append(one)
        return merged

    def _solved(
        self, film: Film, window: _Window, reuse: int, pins: Mapping[int, int], progress: Progress
    ) -> Film | None:
        """The film with the cheapest way through a window; None where none is found that shows all keyframes."""
        if window.start + window.kept[0] > window.end or window.end - window.kept[1] < window.start:
            return None
        pins = {t: node for t, node in pins.items() if window.start <= t < window.end}
        fixed = {t: int(film.nodes[t]) for t in window.fixed}
        if any(node == UNKNOWN or pins.get(t, node) != node for t, node in fixed.items()):
            return None
        pins |= fixed
        barred = self._barred(film, window, reuse, pins)
        route = self.table.solve(barred, window.start, progress)
        meant = {t - window.start: node for t, node in pins.items()}
        for _ in range(_DETOURS):
            twice = [] if route is None else conflicts(route.nodes, reuse, meant)
            if not twice:
                break
            route, barred = self._detour(twice[0], window, reuse, pins, barred, progress)
        if route is None or conflicts(route.nodes, reuse, meant):
            return None
        found = self._joined(film, window, route)
        inside = (span for span in self.spans.values() if span.at < window.end and span.end > window.start)
        return found if all(span.met(found) for span in inside) else None

    def _detour(
        self,
        twice: Conflict,
        window: _Window,
        reuse: int,
        pins: Mapping[int, int],
        barred: NDArray[np.bool_],
        progress: Progress,
    ) -> tuple[Route | None, NDArray[np.bool_]]:
        """The cheaper way of showing a stretch only once, and what is barred then."""
        options: list[tuple[Route | None, NDArray[np.bool_]]] = []
        for number, kept in enumerate((twice.early, twice.late)):
            if not twice.pinned[1 - number]:
                shown = ((kept + k, twice.node + k) for k in range(twice.length))
                child = _with_pins(_protected(barred.copy(), shown, reuse), window.start, pins)
                options.append((self.table.solve(child, window.start, progress), child))
        return min(options, key=lambda option: np.inf if option[0] is None else option[0].cost)

    def _barred(self, film: Film | None, window: _Window, reuse: int, pins: Mapping[int, int]) -> NDArray[np.bool_]:
        """What may not be shown in a window: what the rest of the film shows near, and all but the pins at theirs."""
        barred = np.zeros((window.end - window.start, self.graph.nodes), dtype=bool)
        if film is not None:
            outside = [*range(window.start), *window.fixed, *range(window.end, len(film.nodes))]
            shown = ((t - window.start, int(film.nodes[t])) for t in outside if film.nodes[t] != UNKNOWN)
            _protected(barred, shown, reuse)
        return _with_pins(barred, window.start, pins)

    def _joined(self, film: Film, window: _Window, route: Route) -> Film:
        cuts = []
        for time, soft in route.cuts:
            edge = self.soft[soft]
            junction = int(self.edges.source[edge]), int(self.edges.target[edge]), int(self.edges.half[edge])
            cost, connector = float(self.edges.cost[edge]), bool(self.edges.connector[edge])
            cuts.append(self._made(window.start + time, junction, cost, connector))
        return film.replaced(route.nodes, cuts, window.start)


def _chains(pieces: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of the pieces that have a neighbour in common with the one before."""
    chains: list[tuple[int, int]] = []
    for piece in pieces:
        if chains and piece - chains[-1][1] <= 2:
            chains[-1] = (chains[-1][0], piece)
        else:
            chains.append((piece, piece))
    return chains


def _protected(barred: NDArray[np.bool_], shown: Iterable[tuple[int, int]], reuse: int) -> NDArray[np.bool_]:
    """Bar nodes at all times near the one (row of `barred`, perhaps outside of it; node) at which they are shown."""
    for t, node in shown:
        barred[max(t - reuse, 0) : max(t, 0), node] = True
        barred[max(t + 1, 0) : max(t + reuse + 1, 0), node] = True
    return barred


def _with_pins(barred: NDArray[np.bool_], start: int, pins: Mapping[int, int]) -> NDArray[np.bool_]:
    """Bar all but the pinned node at each pinned output frame; row 0 is output frame `start`."""
    for t, node in pins.items():
        barred[t - start] = True
        barred[t - start, node] = False
    return barred
