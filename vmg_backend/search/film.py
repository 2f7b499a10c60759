"""A path in nodes and cuts, as a person may have edited it: what an update reads, changes and writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..graph.motion_graph import MotionGraph
from .path import FrameOf, Path, Segment, Transition
from .problem import Route

UNKNOWN = -1
"""The node of an output frame of which nothing is known yet, or of a frame that there is not."""

Junction = tuple[int, int, int]
"""The last node before a cut, the first one after it, half the transition."""


@dataclass(frozen=True)
class Cut:
    """From node `source`, shown before output frame `time`, to `target`, shown then; a hard cut has no transition."""

    time: int
    source: int
    target: int
    transition: Transition | None

    @classmethod
    def new(cls, graph: MotionGraph, time: int, junction: Junction, cost: float, connector: bool) -> Self:
        """A cut with a transition that nothing has filled."""
        source, target, half = junction
        (a, i), (b, j_next) = graph.footage_of(source), graph.footage_of(target)
        transition = Transition(
            id=0,
            from_=FrameOf(graph.footages[a], i - half),
            to=FrameOf(graph.footages[b], j_next + half),
            match=(i, j_next),
            at=time - half,
            frames=2 * half,
            engine=None,
            cost=cost,
            connector=connector,
        )
        return cls(time, source, target, transition)

    @property
    def half(self) -> int:
        """Generated frames on either side."""
        return self.transition.half if self.transition else 0

    @property
    def junction(self) -> Junction:
        """What is joined, and how: with the time, all that decides what is seen."""
        return self.source, self.target, self.half

    @property
    def first(self) -> int:
        """Its first generated output frame, or the first one after it."""
        return self.time - self.half

    @property
    def end(self) -> int:
        """The output frame after its last generated one."""
        return self.time + self.half


@dataclass(frozen=True)
class Film:
    """The node that each output frame shows [T], up to the cuts even inside transitions; and the cuts by time."""

    nodes: NDArray[np.int64]
    cuts: tuple[Cut, ...]

    @classmethod
    def of(cls, path: Path, graph: MotionGraph) -> Self:
        """The film that a path describes.

        Raises
        ------
        UserError
            When the path shows what the graph does not know, or its parts do not fit together.
        """
        if path.fps != graph.fps:
            raise UserError("The take has another frame rate than the footage.", "Make a new take.")
        if any(segment.speed != 1.0 for segment in path.segments):
            raise UserError("A take with warped segments cannot be changed.", "Make a new one without --warp.")
        nodes = np.full(path.frames, UNKNOWN, dtype=np.int64)
        cuts: list[Cut] = []
        for one in path.transitions:
            source = _node(path, graph, one.from_.footage, one.match[0])
            target = _node(path, graph, one.to.footage, one.match[1])
            cut = Cut(one.at + one.half, source, target, one)
            nodes[cut.first : cut.time] = np.arange(source + 1 - one.half, source + 1)
            nodes[cut.time : cut.end] = np.arange(target, target + one.half)
            cuts.append(cut)
        for segment in path.segments:
            first = _node(path, graph, segment.footage, segment.first)
            last = _node(path, graph, segment.footage, segment.last)
            nodes[segment.at : segment.at + segment.frames] = np.arange(first, last + 1)
        ends = {segment.at + segment.frames for segment in path.segments}
        hard = [segment.at for segment in path.segments if segment.at in ends]
        cuts += [Cut(t, int(nodes[t - 1]), int(nodes[t]), None) for t in hard]
        jumps = {int(t) for t in np.flatnonzero(np.diff(nodes) != 1) + 1}
        if not jumps <= {cut.time for cut in cuts}:
            raise UserError("The take's transitions do not fit its segments.", "Make a new take.")
        return cls(nodes, tuple(sorted(cuts, key=lambda cut: cut.time)))

    @property
    def bounds(self) -> list[int]:
        """Output frames at which segments begin, and the film's length."""
        return [0, *(cut.time for cut in self.cuts), len(self.nodes)]

    def piece(self, t: int) -> int:
        """Number of the segment that is shown at an output frame."""
        return sum(cut.time <= t for cut in self.cuts)

    @property
    def painted(self) -> set[Cut]:
        """Cuts whose transitions are pinned, as somebody may have painted on them."""
        return {cut for cut in self.cuts if cut.transition and cut.transition.pinned}

    def half(self, bound: int) -> int:
        """Half the transition at a bound."""
        return self.cuts[bound - 1].half if 0 < bound <= len(self.cuts) else 0

    def resized(self, frames: int) -> Film:
        """The film at another length: cut off, or with frames of which nothing is known at its end."""
        more = np.full(max(frames - len(self.nodes), 0), UNKNOWN)
        cuts = tuple(cut for cut in self.cuts if cut.time < frames)
        return Film(np.concatenate([self.nodes[:frames], more]), cuts)

    def laid_out(self, graph: MotionGraph) -> tuple[tuple[Segment, ...], tuple[Transition, ...]]:
        """Segments and transitions as a path has them."""
        segments: list[Segment] = []
        transitions: list[Transition] = []
        at = 0
        for cut in (*self.cuts, Cut(len(self.nodes), 0, 0, None)):
            if cut.first > at:
                footage, first = graph.footage_of(int(self.nodes[at]))
                segments.append(Segment(graph.footages[footage], first, first + cut.first - at - 1, at))
            if cut.transition:
                transitions.append(replace(cut.transition, id=len(transitions)))
            at = cut.end
        return tuple(segments), tuple(transitions)

    def replaced(self, nodes: NDArray[np.int64], cuts: Iterable[Cut], start: int) -> Film:
        """The film with `nodes` from output frame `start` on, and these cuts inside of them."""
        end = start + len(nodes)
        kept = [cut for cut in self.cuts if cut.time <= start or cut.time >= end]
        return Film(
            np.concatenate([self.nodes[:start], nodes, self.nodes[end:]]),
            tuple(sorted((*kept, *cuts), key=lambda cut: cut.time)),
        )


@dataclass(frozen=True)
class Span:
    """Where and what a keyframe wants: `frames` nodes from `node` on, from output frame `at` on."""

    at: int
    node: int
    frames: int

    @property
    def end(self) -> int:
        """The output frame after its last one."""
        return self.at + self.frames

    def met(self, film: Film) -> bool:
        """Whether the film shows it untouched."""
        if self.at < 0 or self.end > len(film.nodes):
            return False
        shown = film.nodes[self.at : self.end] == np.arange(self.node, self.node + self.frames)
        return bool(shown.all()) and not any(cut.first < self.end and cut.end > self.at for cut in film.cuts)

    def pins(self, before: int, after: int, frames: int) -> dict[int, int]:
        """Output frames and nodes, so many of them more on either side."""
        inside = range(max(self.at - before, 0), min(self.end + after, frames))
        return {t: self.node + t - self.at for t in inside}


def lay_out(route: Route, graph: MotionGraph) -> tuple[tuple[Segment, ...], tuple[Transition, ...]]:
    """Segments and transitions of a route: each cut's transition replaces real frames on either side of it."""
    cuts = []
    for time, edge in route.cuts:
        junction = int(graph.source[edge]), int(graph.target[edge]), int(graph.half[edge])
        cuts.append(Cut.new(graph, time, junction, float(graph.cost[edge]), bool(graph.connector[edge])))
    return Film(route.nodes, tuple(cuts)).laid_out(graph)


def _node(path: Path, graph: MotionGraph, footage: str, frame: int) -> int:
    index = graph.footages.index(footage) if footage in graph.footages else None
    if index is None or not 0 <= frame < graph.offsets[index + 1] - graph.offsets[index]:
        name = path.footages[footage].name
        raise UserError(
            f"The take shows frames of {name} that are not among the footage any more.",
            f"Use {name} as footage again, or make a new take.",
        )
    return int(graph.offsets[index]) + frame
