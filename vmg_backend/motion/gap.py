"""What every in-betweener of poses gets and gives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

CONTEXTS = (1, 3)
"""Frames that may be known on either side of a gap."""
CONTEXT = CONTEXTS[-1]
"""As many as are looked at where there are enough."""

Joints = NDArray[np.float32]
"""Joints of several frames [frames, J, D], D = 2 in px of the footage as shown; NaN where a joint is not known."""


@dataclass(frozen=True)
class Side:
    """The n real frames that one side of a cut shows through the gap.

    Attributes
    ----------
    joints : float32 [n, J, D]
    confidence : float32 [n, J]
    """

    joints: Joints
    confidence: NDArray[np.float32]


@dataclass(frozen=True)
class PoseGap:
    """Frames without poses, between frames with poses.

    Attributes
    ----------
    before : float32 [s, J, D]
        The last s frames before the gap, in order; s is 1 or 3.
    after : float32 [s, J, D]
        The first s frames after it.
    confidence_before, confidence_after : float32 [s, J]
        0 to 1; a joint that is NaN has 0.
    length : int
        n, the number of frames to fill, 1 to 64.
    outgoing : Side or None
        What really follows `before`, where it is known (at a cut of the graph).
    incoming : Side or None
        What really leads to `after`.
    """

    before: Joints
    after: Joints
    confidence_before: NDArray[np.float32]
    confidence_after: NDArray[np.float32]
    length: int
    outgoing: Side | None = None
    incoming: Side | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """What gaps that are worked on together share: s, n, J, D."""
        context, joints, dimensions = self.before.shape
        return context, self.length, joints, dimensions

    @property
    def continued(self) -> bool:
        """Whether both real continuations are known."""
        return self.outgoing is not None and self.incoming is not None


@dataclass(frozen=True)
class TrueGap:
    """A gap whose truth is known: to measure with, or to train on.

    Attributes
    ----------
    gap : PoseGap
        With three frames on either side; `with_context` gives the same gap with fewer.
    truth : float32 [n, J, D]
    confidence : float32 [n, J]
        Of the truth; 1 throughout where it was not estimated.
    torso : float
        The torso's length, in the joints' unit.
    fps : float
    take : str
        What was taken in one go: a mocap file, a footage. Gaps of one take are not independent of each other.
    """

    gap: PoseGap
    truth: Joints
    confidence: NDArray[np.float32]
    torso: float
    fps: float
    take: str


class InBetweener(Protocol):
    """Fills gaps.

    Attributes
    ----------
    name : str
        The name in results: ``linear``, ``hermite``, ``slerp``, ``blend``, ``mdm``.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    def fill(self, gaps: Sequence[PoseGap], seed: int = 0) -> list[Joints]:
        """The joints [n, J, D] in each gap.

        Finite wherever a joint is known on one side of the gap at least; a joint that is not stays NaN. Equal gaps
        and seeds give equal joints, whatever other gaps they come with.
        """
        ...


def with_context(gap: PoseGap, context: int) -> PoseGap:
    """The same gap, of which only so many frames on either side are known."""
    return replace(
        gap,
        before=gap.before[-context:],
        after=gap.after[:context],
        confidence_before=gap.confidence_before[-context:],
        confidence_after=gap.confidence_after[:context],
    )


def transformed(
    gap: PoseGap, joints: Callable[[Joints], Joints], confidence: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> PoseGap:
    """The gap with functions of all its joints [frames, J, D] and confidences [frames, J]."""

    def side(side: Side | None) -> Side | None:
        return side and Side(joints(side.joints), confidence(side.confidence))

    return PoseGap(
        joints(gap.before),
        joints(gap.after),
        confidence(gap.confidence_before),
        confidence(gap.confidence_after),
        gap.length,
        side(gap.outgoing),
        side(gap.incoming),
    )


def played_backwards(gap: PoseGap) -> PoseGap:
    """The gap as a film that runs backwards shows it."""
    turned = transformed(gap, lambda joints: joints[::-1], lambda confidence: confidence[::-1])
    return PoseGap(
        turned.after,
        turned.before,
        turned.confidence_after,
        turned.confidence_before,
        turned.length,
        turned.incoming,
        turned.outgoing,
    )


def fill_together(
    gaps: Sequence[PoseGap],
    fill: Callable[[list[PoseGap]], NDArray[np.floating[Any]]],
    kind: Callable[[PoseGap], int] = lambda _: 0,
) -> list[Joints]:
    """Fill gaps by a function that takes gaps of one shape and kind and gives joints [B, n, J, D]."""
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, gap in enumerate(gaps):
        groups[*gap.shape, kind(gap)].append(index)
    filled = {
        index: joints.astype(np.float32)
        for group in groups.values()
        for index, joints in zip(group, fill([gaps[index] for index in group]), strict=True)
    }
    return [filled[index] for index in range(len(gaps))]


def side_joints(sides: Sequence[Side | None]) -> NDArray[np.float64]:
    """The joints [B, n, J, D] of one side of gaps of one shape.

    Raises
    ------
    ValueError
        When a gap has no such side.
    """
    if any(side is None for side in sides):
        raise ValueError("Only gaps with both real continuations can be blended.")
    return np.stack([side.joints for side in sides if side is not None]).astype(np.float64)


def ends(gaps: Sequence[PoseGap]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The poses between which gaps of one shape lie.

    Parameters
    ----------
    gaps : sequence of PoseGap [B]

    Returns
    -------
    start, end : float64 [B, J, D]
        Each joint's nearest known place before the gap, and after it; of a joint that one side does not know, the
        other side's. NaN where neither does.
    """
    start = _first_known(np.stack([gap.before[::-1] for gap in gaps], axis=1))
    end = _first_known(np.stack([gap.after for gap in gaps], axis=1))
    return np.where(np.isnan(start), end, start), np.where(np.isnan(end), start, end)


def _first_known(frames: Joints) -> NDArray[np.float64]:
    """Of frames [s, B, J, D] the first one that knows each joint [B, J, D]."""
    known: NDArray[np.float64] = frames[0].astype(np.float64)
    for later in frames[1:]:
        known = np.where(np.isnan(known), later, known)
    return known
