"""A take whose conditions changed: what they touch is placed or searched anew, the rest stays as it is.

A moved keyframe takes its phrase along, and only the two cuts beside it are placed anew, where the match is best. All
else (a new keyframe, one that jumps over others, beats, the end) is an exact search of a few segments between others
that are kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import Any

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
from .explain import explain
from .film import UNKNOWN, Cut, Film, Junction, Span
from .find import ALIKE, REPEATING, REUSE_PRICE, STUTTER, entry_of
from .keyframes import Keyframe, SoftKeyframes, constrained, pin_keyframes, with_images
from .objective import Objective, SearchSettings, longest_half, pulse
from .path import Path, Segment, Transition, frames_of
from .placing import LEAST_REAL, Places, cheapest, places_between
from .problem import Allowed, Ban, Problem, Route
from .reuse import ROUNDING, Conflict, conflicts, gap_between, solve_without_reuse

_NEAR = ((0, 0), (1, 0), (0, 1), (1, 1), (2, 2))
_FAR = ((4, 4), (8, 8), (16, 16), (32, 32), (1 << 20, 1 << 20))
"""Segments before and after a change that are searched with it, fewest first; the last are all there are."""

_DETOURS = 12
"""Conflicts that are resolved inside what is searched anew."""

_BESIDE = (1, 2), (4, 8, 32, 128)
"""Holds on either side of a stretch that becomes another one which may change with it, and beside a keyframe in it
which need not change; fewest first. A group is tried without a window of no re-use before the next one."""

_WIDER, _WORTH = (2, 4), 1.0
"""Segments on either side of what is asked for otherwise that change with it where that is worth a motion beat."""

_LOOP = "loop begins", "loop ends"
"""What the keyframes are called that keep a loop closed."""


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
    references: Mapping[str, MotionFeatures] | None = None,
    tracks: Sequence[PoseTrack] = (),
    asked: Sequence[Asked] = (),
    changed: Sequence[tuple[int, int]] = (),
    again: Sequence[tuple[int, int]] = (),
    seen: Sequence[Segment] = (),
    loop: bool = False,
    settings: SearchSettings | None = None,
    matching: GraphSettings | None = None,
    progress: Progress = SILENT,
) -> tuple[Path, tuple[int, ...]]:
    """Bring a path up to date where its conditions changed.

    - A hard keyframe that was moved, slipped or resized: the segment around it moves with it, and the two cuts beside
      it are placed anew, where the matches cost least. Where that leaves no room: as one that was added.
    - A keyframe that was added: the fewest segments around it between which it can be shown are searched anew. One that
      is a constraint (a tolerance, a footage to stay in, frames to avoid) counts as added when anything in it changed,
      and only where it is not kept already.
    - A keyframe that was removed: nothing changes.
    - Beats, soft keyframes, other conditions: the segments under those that changed are searched anew, and taken where
      they are better.
    - Another length: the end is cut off or searched; a loop is closed again.
    - Stretches that are to be others: at each of their frames nothing is shown that is in the footage within `ALIKE` of
      what was. As little around them changes as the cuts need. Keyframes and pinned transitions stay, and as little
      beside them as the cuts need.

    What a person edited is kept outside of that: cuts that are no edges of the graph, and a keyframe that they moved
    frames away from, or show what it does not allow, unless this keyframe changed.

    `cost`, `costs` and `beat_alignment` of the result are those of the new path under the new conditions. `bound`: no
    path through the graph and the path's own cuts that shows the keyframes is cheaper; it does not know the window of
    no re-use, and nobody tried to come near it, so a gap here is mostly larger than after a search. Where the path is
    cheaper than the bound, because an edited one need not keep the hold, `bound` is its cost. `reuse_window` is the
    old one, or what is left of it; where actions are asked for it may be given up, as by a search. The seed stays: it
    names the generated frames that are kept.

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
    references : mapping of str to MotionFeatures, optional
        Of footage that keyframes take poses from; see `keyframes.pin_keyframes`.
    asked : sequence of Asked
        What else the film follows.
    changed : sequence of (int, int)
        Output frames [start, end) for which `asked` is not what it was.
    again : sequence of (int, int)
        Output frames [start, end) that are to show something else.
    seen : sequence of Segment
        What is not to be shown there either, as long as there is something else.
    loop : bool
        The film stays a loop, if it is one.
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
        When the path shows footage that is not given, a changed keyframe cannot be met, or there is no other way for a
        stretch that is to be another one.
    """
    keyframes, old_keyframes = dict(keyframes or {}), dict(old_keyframes or {})
    same = frames == path.frames and list(beats) == list(old_beats) and keyframes == old_keyframes
    if same and not changed and not again:
        return path, ()
    context = SearchContext(footages, tracks, graph, features, frames)
    updating = _Update(
        path, context, beats, asked, settings or SearchSettings(), matching or GraphSettings(), references or {}
    )
    if loop:
        updating.close(keyframes, old_keyframes)
    film = updating.run(keyframes, old_keyframes, old_beats, changed, progress)
    film = updating.others(film, again, seen, progress.part(0.85, 0.9))
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


@dataclass(frozen=True)
class _Before:
    """The film before anything changed, at its new length, and the keyframes that are as they were for it."""

    film: Film
    uids: Collection[str]


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
        references: Mapping[str, MotionFeatures],
    ) -> None:
        self.context, footages, graph, features = context, context.footages, context.graph, context.features
        self.path, self.footages, self.graph, self.features = path, footages, graph, features
        self.frames, self.beats, self.asked = context.frames, beats, asked
        self.settings, self.matching, self.references = settings, matching, references
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

    def close(self, keyframes: dict[str, Keyframe], old_keyframes: dict[str, Keyframe]) -> None:
        """Add what keeps the path a loop, where it is one, to the keyframes."""
        begins, ends = (int(node) for node in self.film.nodes[[0, -1]])
        if begins != ends + 1:
            return
        for keys, frames in ((keyframes, self.frames), (old_keyframes, len(self.film.nodes))):
            for name, t, node in zip(_LOOP, (0, frames - 1), (begins, ends), strict=True):
                footage, frame = self.graph.footage_of(node)
                said = f"where the {name}"
                keys[name] = Keyframe(float(t / self.graph.fps), self.graph.footages[footage], frame, 1, said=said)
        if self.frames != len(self.film.nodes):  # its end is another place, not one that moved
            del old_keyframes[_LOOP[1]]

    def run(
        self,
        keyframes: Mapping[str, Keyframe],
        old_keyframes: Mapping[str, Keyframe],
        old_beats: Sequence[Beat],
        changed: Iterable[tuple[int, int]],
        progress: Progress,
    ) -> Film:
        """The new film, but for what is to be another one."""
        film = self.film
        hard, old_hard = (
            {uid: key for uid, key in keys.items() if key.mode == "hard"} for keys in (keyframes, old_keyframes)
        )
        spans = {uid: self._span(key) for uid, key in hard.items()}
        old = {uid: self._span(key) for uid, key in old_hard.items()}
        same = {
            uid
            for uid, key in hard.items()
            if spans[uid] == old.get(uid)
            and (not key.image or _picture(key) == _picture(old_hard[uid]) or _shown(key, spans[uid], film))
        }
        self.repainted = {
            spans[uid].at for uid, key in hard.items() if uid in old and _picture(key) != _picture(old_hard[uid])
        }
        # A keyframe that did not change but is not shown was edited away: the person's hand counts more.
        self.keys = {uid: key for uid, key in hard.items() if uid not in same or _shown(key, spans[uid], film)}
        self.spans = {uid: spans[uid] for uid in self.keys}
        self.loose = {uid: key for uid, key in keyframes.items() if key.mode != "hard"}
        was = {uid: old[uid] for uid, key in self.keys.items() if uid in old and old[uid].met(film) and not key.image}
        film, stretches = self._resized(film)
        unchanged = {uid for uid, key in self.loose.items() if key == old_keyframes.get(uid)}
        before = _Before(film, unchanged | (same & self.keys.keys()))
        film, jumped = self._slid(film, was)
        self._prepare(film, before, progress)
        progress.update(0.2)
        unmet = [uid for uid in self.spans if not self._met(uid, film)]
        for uid in unmet:
            self._check([self.keys[uid]], progress.part(0.2, 0.3))
        for stretch in stretches:
            film = self._searched(film, stretch, progress.part(0.3, 0.4))
        for uid in unmet:
            if not self._met(uid, film):
                film = self._searched(film, self._stretch(film, uid, jumped), progress.part(0.4, 0.5))
        while broken := self._broken(film):
            film = self._searched(film, broken, progress.part(0.5, 0.6))
        anew = [*self._left_twice(film, jumped.values()), *self._under_beats(film, old_beats)]
        anew += self._near_costs(old_keyframes)
        changed = [(start, min(end, self.frames)) for start, end in changed if start < self.frames]
        tried = self._merged(film, [*anew, *changed], 1)
        for window in tried:
            film = self._bettered(film, window, progress.part(0.6, 0.8))
        for beside in _WIDER:
            for window in self._merged(film, changed, beside):
                if window not in tried:
                    film = self._bettered(film, window, progress.part(0.8, 0.85), _WORTH)
                    tried.append(window)
        return film

    def others(
        self, film: Film, stretches: Sequence[tuple[int, int]], seen: Sequence[Segment], progress: Progress
    ) -> Film:
        """The film with something else in some stretches of output frames, and as little else changed as possible.

        Raises
        ------
        UserError
            When there is nothing else.
        """
        stretches = [(max(start, 0), min(end, len(film.nodes))) for start, end in stretches]
        stretches = [stretch for stretch in stretches if stretch[0] < stretch[1]]
        pins = self._kept_pins(film)
        free = {t for stretch in stretches for t in range(*stretch) if t not in pins}
        bans = [self._ban(t, int(film.nodes[t])) for t in sorted(free)]
        offsets = [(one, self.offsets[one.footage] + one.first - one.at) for one in seen if one.footage in self.offsets]
        before = [self._ban(t, t + by) for one, by in offsets for t in range(one.at, one.at + one.frames) if t in free]
        for number, stretch in enumerate(stretches):
            part = progress.part(number / len(stretches), (number + 1) / len(stretches))
            found = self._another(film, stretch, pins, [*bans, *before], part)
            if found is None and before:
                found = self._another(film, stretch, pins, bans, part)
            if found is None:
                start, end = (t / float(self.graph.fps) for t in stretch)
                raise UserError(
                    f"Nothing else can be shown from {start:.2f} s to {end:.2f} s of the take.",
                    "Keyframes, pinned transitions and the ends of a loop stay: choose a longer part, or add footage.",
                )
            film = found
        return film

    def _ban(self, t: int, node: int) -> Ban:
        """Bar at an output frame what looks like a node."""
        near, (first, last) = round(ALIKE * float(self.graph.fps)), self._run(node)
        return t, max(node - near, first), min(node + near, last)

    def _another(
        self, film: Film, stretch: tuple[int, int], pins: Mapping[int, int], bans: Sequence[Ban], progress: Progress
    ) -> Film | None:
        painted = {cut for cut in film.cuts if cut.transition and cut.transition.pinned}
        for holds, reuse in product(_BESIDE, dict.fromkeys((self.reuse, 0))):
            for beside in (hold * self.hold for hold in holds):
                barred = [ban for ban in bans if not any(t in pins for t in range(ban[0] - beside, ban[0] + beside))]
                if not any(stretch[0] <= t < stretch[1] for t, _, _ in barred):
                    return None
                window = self._beside(film, stretch, beside)
                found = self._solved(film, window, reuse, pins, progress, barred)
                if found is not None and painted <= {*found.cuts}:
                    return found
        return None

    def _beside(self, film: Film, stretch: tuple[int, int], beside: int) -> _Window:
        """Whole segments of which only a stretch of output frames, and so many on either side, may change."""
        bounds, frames = film.bounds, len(film.nodes)
        free = max(stretch[0] - beside, 0), min(stretch[1] + beside, frames)
        first, last = film.piece(free[0]), film.piece(free[1] - 1)
        while first > 0 and free[0] - bounds[first] < self._lent(film, first):
            first -= 1
        while last < len(bounds) - 2 and bounds[last + 1] - free[1] < self._lent(film, last + 1):
            last += 1
        start, end = bounds[first], bounds[last + 1]
        return _Window(start, end, (free[0] - start, end - free[1]))

    def _lent(self, film: Film, bound: int) -> int:
        """Frames next to a bound that stay where what is beyond them is searched anew."""
        return max(self.hold, film.half(bound) + self.longest + LEAST_REAL)

    def _kept_pins(self, film: Film) -> dict[int, int]:
        """What stays whatever is searched anew: pinned transitions, as somebody may have painted on them; keyframes."""
        pinned = [cut for cut in film.cuts if cut.transition and cut.transition.pinned]
        return {t: int(film.nodes[t]) for cut in pinned for t in range(cut.first, cut.end)} | self._pins()

    def _met(self, uid: str, film: Film) -> bool:
        return _shown(self.keys[uid], self.spans[uid], film)

    def _broken(self, film: Film) -> tuple[int, int] | None:
        """The first stretch of output frames that shows what keyframes do not allow."""
        times = sorted({t for one in self.problem.allowed for t in _against(one, film)})
        if not times:
            return None
        following = (t for t, after in zip(times, [*times[1:], times[-1] + 2], strict=True) if after > t + 1)
        return times[0], next(following) + 1

    def _near_costs(self, old_keyframes: Mapping[str, Keyframe]) -> Iterator[tuple[int, int]]:
        """The output frames of soft keyframes that are not what they were, and where these were."""
        for uid, key in self.loose.items():
            was = old_keyframes.get(uid)
            for one in (key, was) if key.costs and key != was else ():
                if one is not None and one.costs and (at := frames_of(one.at, self.graph.fps)) < self.frames:
                    yield at, min(at + one.frames, self.frames)

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
        route, window = self._route(film), self._window_left(film)
        bound = self._bound(route.cost, progress.part(0.0, 0.3))
        sound = self.path.audio
        if sound and self.frames != self.path.frames:
            sound = replace(sound, seconds=float(self.frames / self.graph.fps))
        path = Path(
            fps=self.graph.fps,
            frames=self.frames,
            footages={footage.id: entry_of(footage) for footage in self.footages},
            segments=segments,
            transitions=tuple(self._with_pictures(transitions)),
            audio=sound,
            beats=tuple({"time": beat.time, "kind": beat.kind, "strength": beat.strength} for beat in self.beats),
            cost=route.cost,
            bound=bound,
            gap=gap_between(route.cost, bound),
            costs=self.objective.costs(route),
            beat_alignment=self.objective.alignment(route),
            reuse_window=window / float(self.graph.fps),
            seed=self.path.seed,
            versions={**self.path.versions, "vmg": __version__},
            conditions={condition.name: condition.about for condition in self.objective.conditions},
            explanation=self._explained(film, route, window, progress.part(0.3, 1.0)),
        )
        path.check()
        return path

    def _with_pictures(self, transitions: Sequence[Transition]) -> Iterator[Transition]:
        """Transitions with what keyframes' edited pictures are now; one that had another is not filled any more."""
        for was, one in zip(transitions, with_images(transitions, self.keys.values(), self.context), strict=True):
            same = (one.to_image == was.to_image and one.at + one.frames not in self.repainted) or one.pinned
            yield one if same else replace(one, engine=None, frames_dir=None, hash=None)

    def _explained(self, film: Film, route: Route, window: int, progress: Progress) -> dict[str, Any]:
        pins = {t: node for t, node in self._pins().items() if film.nodes[t] == node}
        return explain(self.objective, Table(replace(self.problem, pins=pins)), route, window, progress)

    def _bound(self, cost: float, progress: Progress) -> float:
        """What no path that shows the keyframes falls below; transitions may come as near to them as they like."""
        pins = {t: node for span in self.spans.values() for t, node in span.pins(0, 0, self.frames).items()}
        root = self.table.solve(self._barred(None, _Window(0, self.frames, (0, 0)), 0, pins), 0, progress)
        return cost if root is None else min(cost, root.cost)

    def _window_left(self, film: Film) -> int:
        twice = conflicts(film.nodes, self.reuse, self._pins())
        return min((one.late - one.early - 1 for one in twice), default=self.reuse)

    # The search's numbers: the graph, and the film's own cuts that are no edges of it.

    def _prepare(self, film: Film, before: _Before, progress: Progress) -> None:
        self.edges, self.edge = self._extended(film)
        soft = (
            [SoftKeyframes([*self.loose.values()], self.references)]
            if any(k.costs for k in self.loose.values())
            else []
        )
        self.objective = Objective.of(
            replace(self.context, graph=self.edges),
            beats=self.beats,
            settings=self.settings,
            seed=self.path.seed,
            longest=self.longest,
            asked=[*self.asked, *soft],
            progress=progress,
        )
        self.repeats = self.settings.reuse_seconds is None and any(
            condition.name in REPEATING for condition in self.objective.conditions
        )
        problem = self.objective.problem(self.frames, self.hold, self._longest_segment(film))
        self.problem = replace(problem, allowed=tuple(self._allowed(problem, before)))
        # A hard cut is the person's: none is made elsewhere.
        self.soft = np.flatnonzero(self.edges.half > 0)
        self.searched = replace(
            self.problem,
            source=self.edges.source[self.soft],
            target=self.edges.target[self.soft],
            cut_cost=lambda t: self.objective.cut_cost(t)[self.soft],
        )
        self.table = Table(self.searched)

    def _longest_segment(self, film: Film) -> int | None:
        """Most frames between two cuts; a person may have made more of them."""
        longest = self.settings.longest(self.graph)
        return longest and max(longest, *(end - start for start, end in pairwise(film.bounds)))

    def _allowed(self, problem: Problem, before: _Before) -> Iterator[Allowed]:
        """What keyframes that are constraints allow; those that did not change allow what the film shows already.

        The room before a keyframe with an edited picture is that of the transition that leads right to it.
        """
        self.entries: dict[str, int] = {}
        for uid, key in [*self.loose.items(), *((uid, key) for uid, key in self.keys.items() if key.image)]:
            if key.mode == "hard" and uid in before.uids:
                for cut in (cut for cut in before.film.cuts if cut.end == self.spans[uid].at):
                    self.entries[uid] = cut.half
                    source = np.zeros(self.graph.nodes, dtype=bool)
                    source[cut.source] = True
                    yield Allowed(cut.time - 1, cut.time - 1, source)
            elif not key.costs and (met := constrained(problem, key, self.context, self.longest, self.references)):
                if key.mode == "hard":
                    self.entries[uid] = self.spans[uid].at - min(met.pins)
                yield from _eased(met.allowed, before.film) if uid in before.uids else met.allowed

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
                if span.node == UNKNOWN or span.node - span.at != shift[piece] or self.keys[uid].image:
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
        for uid, span in self.spans.items():
            for t, node in span.pins(self.entries.get(uid, self.longest), self.longest, self.frames).items():
                if 0 <= node < self.graph.nodes and first[node] == first[span.node]:
                    wanted.setdefault(t, set()).add(node)
        pins = {t: nodes.pop() for t, nodes in wanted.items() if len(nodes) == 1}
        for span in self.spans.values():
            pins |= span.pins(0, 0, self.frames)
        return pins

    def _window(self, film: Film, stretch: tuple[int, int], before: int, after: int) -> _Window:
        """The segments of a stretch of output frames with so many on either side, which lend frames."""
        bounds = film.bounds
        first = max(film.piece(stretch[0]) - before, 0)
        last = min(film.piece(stretch[1] - 1) + after, len(bounds) - 2)
        start, end = bounds[first], bounds[last + 1]
        left = self._lent(film, first) if start > 0 else 0
        right = self._lent(film, last + 1) if end < len(film.nodes) else 0
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
        self._check([*self.keys.values(), *self.loose.values()], progress)
        raise UserError(
            f"Nothing leads through the take from {stretch[0] / float(self.graph.fps):.2f} s to "
            f"{stretch[1] / float(self.graph.fps):.2f} s.",
            "Move or remove a keyframe there, or make a new take.",
        )

    def _check(self, keys: list[Keyframe], progress: Progress) -> None:
        """Say what is wrong with keyframes that cannot be met whatever else is shown."""
        free = np.zeros(len(self.soft))
        problem = replace(self.searched, cut_cost=lambda _: free, allowed=())
        keys = sorted(keys, key=lambda key: key.at)
        pin_keyframes(problem, keys, self.context, self.longest, self.references, progress)

    def _bettered(self, film: Film, window: _Window, progress: Progress, by: float = ROUNDING) -> Film:
        """The film with a window searched anew, if it is better then: fewer frames shown again, or cheaper."""
        pins = self._kept_pins(film)
        painted = {cut for cut in film.cuts if cut.transition and cut.transition.pinned}
        best = film
        narrow = min(self.reuse, round(STUTTER * float(self.graph.fps)))
        for reuse in dict.fromkeys((self.reuse, narrow) if self.repeats else (self.reuse,)):
            if (window.start, window.end) == (0, len(film.nodes)):
                problem = replace(self.searched, pins=pins)
                certified = solve_without_reuse(problem, reuse, branchings=0, progress=progress)
                found = None if certified is None else self._joined(film, window, certified.route)
            else:
                found = self._solved(film, window, reuse, pins, progress)
            if found is not None and painted <= {*found.cuts}:
                (again, cost), (found_again, found_cost) = (self._quality(one) for one in (best, found))
                if found_again < again or (found_again == again and found_cost < cost - by):
                    best = found
        return best

    def _quality(self, film: Film) -> tuple[int, float]:
        """Frames that are shown again too soon, and the cost; where actions may ask for them, they only cost."""
        again = sum(one.length for one in conflicts(film.nodes, self.reuse, self._pins()))
        cost = self._route(film).cost
        return (0, cost + REUSE_PRICE * again / float(self.graph.fps)) if self.repeats else (again, cost)

    def _merged(self, film: Film, stretches: Iterable[tuple[int, int]], beside: int) -> list[_Window]:
        """The windows around stretches, with so many segments more on either side; those that overlap are one."""
        merged: list[_Window] = []
        windows = (self._window(film, stretch, beside, beside) for stretch in stretches)
        for one in sorted(windows, key=lambda one: (one.start, one.end)):
            if merged and one.start < merged[-1].end:
                last = merged[-1]
                farther = one if one.end > last.end else last
                merged[-1] = _Window(last.start, farther.end, (last.kept[0], farther.kept[1]))
            else:
                merged.append(one)
        return merged

    def _solved(
        self,
        film: Film,
        window: _Window,
        reuse: int,
        pins: Mapping[int, int],
        progress: Progress,
        bans: Sequence[Ban] = (),
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
        for t, first, last in bans:
            if window.start <= t < window.end:
                barred[t - window.start, first : last + 1] = True
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
        inside = (uid for uid, span in self.spans.items() if span.at < window.end and span.end > window.start)
        return found if all(self._met(uid, found) for uid in inside) else None

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


def _picture(key: Keyframe) -> tuple[object, str]:
    """What tells whether an edited picture is another one."""
    return key.image, key.image_stamp


def _shown(key: Keyframe, span: Span, film: Film) -> bool:
    """Whether a film shows a hard keyframe; one with an edited picture needs a transition that leads right to it."""
    led = key.image is None or any(cut.transition and cut.end == span.at for cut in film.cuts)
    return led and span.met(film)


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
