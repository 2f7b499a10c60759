"""What every in-between engine gets and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from ..motion.gap import Side
from ..progress import SILENT, Progress

if TYPE_CHECKING:
    from .guide import PoseGuide

Frames = NDArray[np.uint8]
"""RGB frames [n, H, W, 3]."""


@dataclass(frozen=True)
class Continuation:
    """The n real frames that one side of a cut shows through the gap.

    Attributes
    ----------
    frames : uint8 [n, H, W, 3]
        RGB. For the outgoing side the frames i-h+1 .. i+h around the matched frame i, for the incoming
        side j-h+1 .. j+h around j, with h = n/2: frame k of the one is matched with frame k of the other.
    joints : float32 [n, J, 2]
        Image joints in px.
    confidence : float32 [n, J]
    """

    frames: Frames
    joints: NDArray[np.float32]
    confidence: NDArray[np.float32]


@dataclass(frozen=True)
class Gap:
    """A transition to fill: n frames between two real ones.

    Attributes
    ----------
    start, end : uint8 [H, W, 3]
        The real frames right before and right after the gap (i-h, and j+h+1).
    outgoing, incoming : Continuation
        What really comes after `start`, and what really leads to `end`.
    plate_before, plate_after : uint8 [H, W, 3] or None
        The empty background of each side's footage, where its camera stands still.
    before, after : Side
        Poses [s, J, 2] of the frames before and after the gap; NaN where the footage has none.
    seed : int
    guide : Side or None
        Where the joints [n, J, 2] shall go, for engines that are guided.
    """

    start: NDArray[np.uint8]
    end: NDArray[np.uint8]
    outgoing: Continuation
    incoming: Continuation
    plate_before: NDArray[np.uint8] | None
    plate_after: NDArray[np.uint8] | None
    before: Side
    after: Side
    seed: int = 0
    guide: Side | None = None

    @property
    def length(self) -> int:
        """n, the number of frames to make."""
        return len(self.outgoing.frames)


class Interpolator(Protocol):
    """An engine that fills a gap.

    Attributes
    ----------
    name : str
        The name in the command line and in every result: ``fade``, ``flow``, ``hminterp``.
    version : str
        Changes whenever the pixels that the engine makes change; part of a transition's hash.
    guide : PoseGuide or None
        What draws the joints that the engine wants to be given.
    """

    name: str
    version: str

    @property
    def guide(self) -> PoseGuide | None: ...  # noqa: D102

    def fill(self, gap: Gap, progress: Progress = SILENT) -> Frames:
        """The n frames [n, H, W, 3] between `gap.start` and `gap.end`."""
        ...


def crossing_weights(length: int) -> NDArray[np.float64]:
    """Weight [n] of the incoming side through a gap: smooth, rising, symmetric about the cut.

    Kovar et al. 2002 (Motion Graphs, section 4) blend with the same cubic.
    """
    u = (np.arange(length) + 1.0) / (length + 1.0)
    return smooth_step(u)


def smooth_step(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cubic that rises from 0 at 0 to 1 at 1 and is level at both."""
    return np.asarray(u * u * (3.0 - 2.0 * u), np.float64)
