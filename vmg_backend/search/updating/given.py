"""What an update is given, and what follows from that alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ...graph.build import GraphSettings
from ...graph.features import MotionFeatures
from ...graph.matching import MatchCost
from ...graph.motion_graph import MotionGraph
from ..conditions import SearchContext
from ..film import UNKNOWN, Cut, Film, Junction, Span
from ..keyframes import Keyframe, meant_by
from ..objective import SearchSettings, longest_half
from ..path import Path, frames_of


@dataclass(frozen=True)
class Given:
    """The path as it is now, the footage, and how it is matched and searched.

    Attributes
    ----------
    path : Path
    context : SearchContext
        With the new length.
    settings : SearchSettings
    matching : GraphSettings
    references : mapping of str to MotionFeatures
    """

    path: Path
    context: SearchContext
    settings: SearchSettings
    matching: GraphSettings
    references: Mapping[str, MotionFeatures]

    @property
    def graph(self) -> MotionGraph:
        """The footage's."""
        return self.context.graph

    @cached_property
    def film(self) -> Film:
        """The path as a film."""
        return Film.of(self.path, self.graph)

    @cached_property
    def costs(self) -> MatchCost:
        """What any two frames cost as a match."""
        return MatchCost(self.context.features)

    @cached_property
    def longest(self) -> int:
        """Half the longest transition."""
        return longest_half(self.graph)

    @cached_property
    def hold(self) -> int:
        """Frames between two cuts at least."""
        return self.settings.hold(self.graph)

    @cached_property
    def reuse(self) -> int:
        """Frames within which the path shows no frame again."""
        return round(self.path.reuse_window * self.context.fps)

    @cached_property
    def _known(self) -> dict[tuple[int, Junction], Cut]:
        return {(cut.time, cut.junction): cut for cut in self.film.cuts if cut.transition}

    def run(self, node: int) -> tuple[int, int]:
        """First and last node of the run of a node; one that is in none has nothing around it."""
        return int(self.costs.first[node]), int(self.costs.last[node])

    def span(self, key: Keyframe) -> Span:
        """Where and what a hard keyframe wants."""
        graph, found = self.graph, meant_by(key, self.context)
        start, end = (int(graph.offsets[found[0] + k]) if len(found) == 1 else UNKNOWN for k in (0, 1))
        node = start + key.frame if 0 <= key.frame <= end - start - key.frames else UNKNOWN
        return Span(frames_of(key.at, graph.fps), node, key.frames)

    def cut(self, time: int, junction: Junction, cost: float, connector: bool = False) -> Cut:
        """A cut; the path's own where it has the same."""
        return self._known.get((time, junction)) or Cut.new(self.graph, time, junction, cost, connector)
