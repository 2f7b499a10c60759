"""What may be compared with what: the frames of footages that may be mixed, but those next to each other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .bounds import LowerBounds
from .features import MotionFeatures
from .matching import MatchCost, Nodes


@dataclass(frozen=True)
class Comparison:
    """The frames of a library, and which of them may be matched.

    Attributes
    ----------
    features : MotionFeatures
    costs : MatchCost
    group : int64 [F]
        Of each footage; only footages of one group are mixed.
    band : int
        Frames of one footage that are so near are not matched.
    """

    features: MotionFeatures
    costs: MatchCost
    group: NDArray[np.int64]
    band: int

    @cached_property
    def bounds(self) -> LowerBounds:
        """Lower bounds of the costs."""
        return LowerBounds(self.costs)

    @cached_property
    def footage(self) -> Nodes:
        """The footage of each node [N]."""
        return np.repeat(np.arange(len(self.group)), np.diff(self.features.offsets))

    def pairs(self) -> list[tuple[int, int]]:
        """The pairs of footages that may be mixed, each with itself too."""
        count = len(self.group)
        return [(a, b) for a in range(count) for b in range(a, count) if self.group[a] == self.group[b]]

    def near(self, i: Nodes, j: Nodes, band: int) -> NDArray[np.bool_]:
        """Which nodes i and j are of one footage and no more than `band` frames from each other."""
        return np.asarray((np.abs(i - j) <= band) & (self.footage[i] == self.footage[j]))

    def partnered(self) -> NDArray[np.bool_]:
        """Which nodes can be matched with any [N]."""
        matchable = self.costs.matchable
        before = np.concatenate([[0], np.cumsum(matchable)])
        number, starts = np.arange(len(matchable)), self.features.offsets
        low = np.maximum(number - self.band, starts[self.footage])
        high = np.minimum(number + self.band + 1, starts[self.footage + 1])
        in_group = np.bincount(self.group[self.footage], matchable, minlength=self.group.max() + 1)
        others = in_group[self.group[self.footage]] - (before[high] - before[low])
        return np.asarray(matchable & (others > 0))
