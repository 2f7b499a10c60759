"""What every in-between engine gets and gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..motion.gap import Side
from ..progress import SILENT, Progress

if TYPE_CHECKING:
    from .guide import Guide

Frames = NDArray[np.uint8]
"""RGB frames [n, H, W, 3]."""
Preview = Callable[[NDArray[np.uint8]], None]
"""Gets pictures [h, w, 3] of what the middle frame of a gap is becoming."""


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
    lead, trail : uint8 [g, H, W, 3]
        The real frames before (up to i-h) and after the gap (from j+h+1 on), as many as the engine asks for; where a
        shot has fewer, its first or last one stands for those that are missing.
    outgoing, incoming : Continuation
        What really comes after `start`, and what really leads to `end`.
    plate_before, plate_after : uint8 [H, W, 3] or None
        The empty background of each side's footage, where its camera stands still.
    before, after : Side
        Poses [s, J, 2] of the frames before and after the gap, at least three and as many as `lead`; NaN where the
        footage has none.
    seed : int
    guide : Side or None
        Where the joints [n, J, 2] shall go, for engines that are guided.
    wanted : bool
        Whether a person wants these joints, and they are no guess.
    """

    lead: Frames
    trail: Frames
    outgoing: Continuation
    incoming: Continuation
    plate_before: NDArray[np.uint8] | None
    plate_after: NDArray[np.uint8] | None
    before: Side
    after: Side
    seed: int = 0
    guide: Side | None = None
    wanted: bool = False

    @property
    def length(self) -> int:
        """n, the number of frames to make."""
        return len(self.outgoing.frames)

    @property
    def start(self) -> NDArray[np.uint8]:
        """The real frame right before the gap."""
        return np.asarray(self.lead[-1], np.uint8)

    @property
    def end(self) -> NDArray[np.uint8]:
        """The real frame right after it."""
        return np.asarray(self.trail[0], np.uint8)


class Interpolator(Protocol):
    """An engine that fills a gap.

    Attributes
    ----------
    name : str
        The name in the command line and in every result: ``fade``, ``flow``, ``hminterp``.
    version : str
        Changes whenever the pixels that the engine makes change; part of a transition's hash.
    guide : Guide or None
        What draws the joints that the engine wants to be given.
    """

    name: str
    version: str

    @property
    def guide(self) -> Guide | None: ...  # noqa: D102

    def given(self, length: int) -> int:
        """g, how many real frames on either side of a gap of `length` frames it looks at; at least one."""
        ...

    def fill(self, gap: Gap, progress: Progress = SILENT, preview: Preview | None = None) -> Frames:
        """The n frames [n, H, W, 3] between `gap.start` and `gap.end`.

        Engines that have nothing to show before they are done ignore `preview`.
        """
        ...


@runtime_checkable
class HoldsModel(Protocol):
    """An engine that keeps a model in the memory from one gap to the next.

    Attributes
    ----------
    held : bool
        Whether there is one now.
    """

    @property
    def held(self) -> bool: ...  # noqa: D102

    def release(self) -> None:
        """Forget it, and give its memory back; the next gap loads it again."""
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
