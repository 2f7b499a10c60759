"""What the new performance should follow, as costs for each node and each cut at each output frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..footage import Footage
from ..graph.features import MotionFeatures
from ..graph.motion_graph import MotionGraph
from ..pose.track import PoseTrack
from ..progress import Progress


class Condition(Protocol):
    """Something that a path should follow.

    The unit of cost is a motion beat exactly on a beat of the music, at weight 1.
    """

    @property
    def name(self) -> str:
        """Key in the costs that a result reports."""
        ...

    @property
    def about(self) -> dict[str, Any]:
        """What was done with the wish, for PATH.json."""
        ...

    def node_cost(self, frame: int) -> NDArray[np.float64] | None:
        """Give the cost [N] of showing each node at an output frame; None where it says nothing."""
        ...

    def cut_cost(self, frame: int) -> NDArray[np.float64] | None:
        """Give the cost [E] of each edge when its target is shown at an output frame; None where it says nothing."""
        ...


@dataclass(frozen=True)
class SearchContext:
    """What a wish is turned into a condition with.

    Attributes
    ----------
    footages : sequence of Footage
        In the graph's order.
    tracks : sequence of PoseTrack
        Of the footages.
    graph : MotionGraph
    features : MotionFeatures
    frames : int
        Length of the output.
    """

    footages: Sequence[Footage]
    tracks: Sequence[PoseTrack]
    graph: MotionGraph
    features: MotionFeatures
    frames: int

    @property
    def fps(self) -> float:
        """Output frames, and frames of the footages, in a second."""
        return float(self.graph.fps)


class Asked(Protocol):
    """Something that a person asked for, as far as it is known without footage."""

    def condition(self, context: SearchContext, progress: Progress) -> Condition:
        """What it means for these footages."""
        ...


@dataclass(frozen=True)
class BeatCondition:
    """Motion beats of the person on beats of the music.

    A motion beat costs between `off_beat` (far from any beat) and `off_beat` - 1 (on one). Its least sum raises the
    share of motion beats that fall on beats and the share of beats that are danced at once; maximising the Beat
    Alignment Score itself, a mean over motion beats, would reward having few. With `off_beat` equal to the score that
    is reached, no other path has a higher score with as many motion beats (Dinkelbach 1967).

    Attributes
    ----------
    motion : float64 [N]
        How much of a motion beat each node is, 0 to 1.
    cuts : float64 [E, 2 R]
        What each cut adds and takes away; see `motion_beats.cut_motion_beats`.
    closeness : float64 [T]
        How near a beat each output frame is, 0 to 1.
    weight : float
    off_beat : float
    """

    motion: NDArray[np.float64]
    cuts: NDArray[np.float64]
    closeness: NDArray[np.float64]
    weight: float = 1.0
    off_beat: float = 0.55
    name: str = "beats"

    @property
    def about(self) -> dict[str, Any]:
        """See `Condition.about`."""
        return {"weight": self.weight}

    def node_cost(self, frame: int) -> NDArray[np.float64] | None:
        """See `Condition.node_cost`."""
        return self.motion * (self.weight * (self.off_beat - float(self.closeness[frame])))

    def cut_cost(self, frame: int) -> NDArray[np.float64] | None:
        """See `Condition.cut_cost`."""
        reach = self.cuts.shape[1] // 2
        first, last = max(frame - reach, 0), min(frame + reach, len(self.closeness))
        costs = self.weight * (self.off_beat - self.closeness[first:last])
        return np.asarray(self.cuts[:, first - frame + reach : last - frame + reach] @ costs)


@dataclass(frozen=True)
class VarietyCondition:
    """A slight preference for some parts of the footage over others, so that another seed gives another take.

    Attributes
    ----------
    preference : float64 [N]
        Cost of each node.
    """

    preference: NDArray[np.float64]
    name: str = "variety"

    @classmethod
    def of_seed(cls, nodes: int, seed: int, smooth: int, size: float = 0.01) -> Self:
        """Draw noise that changes slowly along the footage: a new value every `smooth` frames."""
        noise = np.random.default_rng(seed).normal(0.0, size, nodes // max(smooth, 1) + 2)
        return cls(np.interp(np.arange(nodes) / max(smooth, 1), np.arange(len(noise)), noise))

    @property
    def about(self) -> dict[str, Any]:
        """See `Condition.about`."""
        return {}

    def node_cost(self, frame: int) -> NDArray[np.float64] | None:
        """See `Condition.node_cost`."""
        del frame  # the same at all times
        return self.preference

    def cut_cost(self, frame: int) -> NDArray[np.float64] | None:
        """See `Condition.cut_cost`."""
        del frame
        return None


def beat_closeness(
    beat_times: NDArray[np.float64], frames: int, fps: float, sigma: float = 0.05
) -> NDArray[np.float64]:
    """How near a beat each output frame is: max over beats of exp(-distance^2 / (2 sigma^2)) [T].

    With sigma = 3 frames at 60 fps this is the kernel of the Beat Alignment Score (Li et al. 2021, AI Choreographer).
    """
    if not len(beat_times):
        return np.zeros(frames)
    distance = np.arange(frames)[:, None] / fps - beat_times
    return np.asarray(np.exp(-(distance**2) / (2 * sigma**2)).max(axis=1))
