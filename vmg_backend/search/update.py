"""A take whose conditions changed: what they touch is placed or searched anew, the rest stays as it is.

A moved keyframe takes its phrase along, and only the two cuts beside it are placed anew, where the match is best. All
else (a new keyframe, one that jumps over others, beats, the end) is an exact search of a few segments between others
that are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from ..audio.beats import Beat
from ..footage import Footage
from ..graph.build import GraphSettings
from ..graph.features import MotionFeatures
from ..graph.motion_graph import MotionGraph
from ..pose.track import PoseTrack
from ..progress import SILENT, Progress
from .conditions import Asked, SearchContext
from .exact import Table
from .film import Film, Span
from .keyframes import Keyframe
from .objective import SearchSettings, pulse
from .path import Path, Segment, Transition, frames_of
from .result import path_of
from .reuse import Certified, WindowSearch, conflicts
from .updating.anew import Anew
from .updating.given import Given
from .updating.priced import Priced
from .updating.sliding import slid
from .updating.wanted import Wanted
from .updating.windows import Stretch, merged

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
    given = Given(path, context, settings or SearchSettings(), matching or GraphSettings(), references or {})
    if loop:
        _close(keyframes, old_keyframes, given)
    wanted = Wanted.of(keyframes, old_keyframes, given)
    before = given.film.resized(frames)
    film, jumped = slid(before, wanted, given)
    priced = Priced.of(film, before, wanted, given, beats, asked, progress.part(0.0, 0.2))
    anew = Anew(given, wanted, priced)
    film = _met(film, jumped, anew, progress)
    elsewhere = [
        *_left_twice(film, jumped.values(), priced.pins, given.reuse),
        *_under_beats(beats, old_beats, context),
        *_near_costs(wanted.loose, old_keyframes, context),
    ]
    film = _bettered(film, elsewhere, changed, anew, progress)
    film = anew.others(film, again, seen, progress.part(0.85, 0.9))
    result = _result(film, anew, beats, progress.part(0.9, 1.0))
    known = {replace(transition, id=0) for transition in path.transitions}
    return result, tuple(one.id for one in result.transitions if replace(one, id=0) not in known)


def _close(keyframes: dict[str, Keyframe], old_keyframes: dict[str, Keyframe], given: Given) -> None:
    """Add what keeps the path a loop, where it is one, to the keyframes."""
    graph, frames, nodes = given.graph, given.context.frames, given.film.nodes
    begins, ends = int(nodes[0]), int(nodes[-1])
    if begins != ends + 1:
        return
    for keys, length in ((keyframes, frames), (old_keyframes, len(nodes))):
        for name, t, node in zip(_LOOP, (0, length - 1), (begins, ends), strict=True):
            footage, frame = graph.footage_of(node)
            keys[name] = Keyframe(float(t / graph.fps), graph.footages[footage], frame, 1, said=f"where the {name}")
    if frames != len(nodes):  # its end is another place, not one that moved
        del old_keyframes[_LOOP[1]]


def _met(film: Film, jumped: Mapping[str, Span], anew: Anew, progress: Progress) -> Film:
    """The film at its new length with all keyframes that are to be met; `jumped` says where those left over were."""
    given, wanted, priced = anew.given, anew.wanted, anew.priced
    unmet = [uid for uid in wanted.spans if not wanted.met(uid, film)]
    for uid in unmet:
        priced.check([wanted.hard[uid]], given, progress.part(0.2, 0.3))
    for stretch in _ends(film, given):
        film = anew.met(film, stretch, progress.part(0.3, 0.4))
    for uid in unmet:
        if not wanted.met(uid, film):
            stretch = _around(film, wanted.spans[uid], jumped.get(uid))
            film = anew.met(film, stretch, progress.part(0.4, 0.5))
    while broken := priced.broken(film):
        film = anew.met(film, broken, progress.part(0.5, 0.6))
    return film


def _ends(film: Film, given: Given) -> Iterator[Stretch]:
    """What is to be searched because the length is another one."""
    frames, before = given.context.frames, given.film
    if frames > len(before.nodes):
        yield len(before.nodes), frames
    cuts = [cut for cut in before.cuts if cut.time < frames]
    if frames < len(before.nodes) and cuts and cuts[-1].time + given.hold > frames:
        yield frames - 1, frames


def _around(film: Film, span: Span, was: Span | None) -> Stretch:
    """What is to be searched for a keyframe: its place, and where it was if that is next to it."""
    if was is None or was.end > len(film.nodes) or abs(film.piece(span.at) - film.piece(was.at)) > 1:
        return span.at, span.end
    return min(span.at, was.at), max(span.end, was.end)


def _left_twice(film: Film, places: Iterable[Span], pins: Mapping[int, int], reuse: int) -> list[Stretch]:
    """The places that keyframes left where what is still shown is now shown again too soon."""
    shown = [(t, t + one.length) for one in conflicts(film.nodes, reuse, pins) for t in (one.early, one.late)]
    return [(was.at, was.end) for was in places if any(start < was.end and was.at < end for start, end in shown)]


def _under_beats(beats: Sequence[Beat], old_beats: Sequence[Beat], context: SearchContext) -> list[Stretch]:
    """The output frames of the beats that are new or gone."""
    frames = [round(time * context.fps) for time in sorted({*pulse(beats)} ^ {*pulse(old_beats)})]
    return [(t, t + 1) for t in frames if 0 <= t < context.frames]


def _near_costs(
    keyframes: Mapping[str, Keyframe], old_keyframes: Mapping[str, Keyframe], context: SearchContext
) -> Iterator[Stretch]:
    """The output frames of soft keyframes that are not what they were, and where these were."""
    for uid, key in keyframes.items():
        was = old_keyframes.get(uid)
        for one in (key, was) if key.costs and key != was else ():
            if one is not None and one.costs and (at := frames_of(one.at, context.graph.fps)) < context.frames:
                yield at, min(at + one.frames, context.frames)


def _bettered(
    film: Film, elsewhere: Sequence[Stretch], changed: Sequence[Stretch], anew: Anew, progress: Progress
) -> Film:
    """The film searched anew where that is better now: `changed` is where something else is asked for."""
    frames = len(film.nodes)
    changed = [(start, min(end, frames)) for start, end in changed if start < frames]
    tried = merged(film, [*elsewhere, *changed], 1, anew.given)
    for window in tried:
        film = anew.bettered(film, window, progress.part(0.6, 0.8))
    for more in _WIDER:
        for window in merged(film, changed, more, anew.given):
            if window not in tried:
                film = anew.bettered(film, window, progress.part(0.8, 0.85), _WORTH)
                tried.append(window)
    return film


def _result(film: Film, anew: Anew, beats: Sequence[Beat], progress: Progress) -> Path:
    """The film as a path, with its costs."""
    given, priced, old = anew.given, anew.priced, anew.given.path
    route, pieces = priced.route(film), film.laid_out(given.graph)
    twice = conflicts(film.nodes, given.reuse, priced.pins)
    window = min((one.late - one.early - 1 for one in twice), default=given.reuse)
    sound = old.audio
    if sound and old.frames != len(film.nodes):
        sound = replace(sound, seconds=float(len(film.nodes) / given.graph.fps))
    pins = {t: node for t, node in priced.pins.items() if film.nodes[t] == node}
    path = path_of(
        Certified(route, _bound(film, route.cost, anew, progress.part(0.0, 0.3)), window),
        pieces,
        priced.objective,
        Table(replace(priced.problem, pins=pins)),
        given.context,
        keyframes=anew.wanted.hard.values(),
        beats=beats,
        sound=sound,
        seed=old.seed,
        progress=progress.part(0.3, 1.0),
    )
    pictured = zip(pieces[1], path.transitions, strict=True)
    path = replace(
        path,
        transitions=tuple(_stale(was, one, anew.wanted) for was, one in pictured),
        versions={**old.versions, **path.versions},
    )
    path.check()
    return path


def _bound(film: Film, cost: float, anew: Anew, progress: Progress) -> float:
    """What no path that shows the keyframes falls below; transitions may come as near to them as they like."""
    frames, table = len(film.nodes), Table(replace(anew.priced.searched, node_cost=anew.priced.table.node_cost))
    pins = {t: node for span in anew.wanted.spans.values() for t, node in span.pins(0, 0, frames).items()}
    barred = WindowSearch(table, 0, pins).rest_kept(film.nodes, 0, frames, (0, 0))
    root = table.solve(barred, 0, progress)
    return cost if root is None else min(cost, root.cost)


def _stale(was: Transition, one: Transition, wanted: Wanted) -> Transition:
    """A transition that had another edited picture is not filled any more."""
    same = (one.to_image == was.to_image and one.at + one.frames not in wanted.repainted) or one.pinned
    return one if same else replace(one, engine=None, frames_dir=None, hash=None)
