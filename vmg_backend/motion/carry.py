"""In-betweens of a whole skeleton, from those of the 17 joints of `MOTION`."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..pose.mapping import convert, links
from ..pose.skeletons import MOTION, ROOT, Skeleton
from .gap import Joints, PoseGap, Side

FADED, FADED_CARRIED = 0.9, 0.5
"""Times the neighbours' confidence in the middle of the gap: of the 17, and of joints that hang on them."""
SHORT = 0.1
"""Length of a segment, over that of the person's bones, below which its direction says little: it points at the camera
or away from it."""


def motion_gap(gap: PoseGap, skeleton: Skeleton) -> PoseGap:
    """The gap between poses of a skeleton as one between poses of `MOTION`."""
    before, sure_before = convert(gap.before, gap.confidence_before, skeleton, MOTION)
    after, sure_after = convert(gap.after, gap.confidence_after, skeleton, MOTION)
    sides = [
        None if side is None else Side(*convert(side.joints, side.confidence, skeleton, MOTION))
        for side in (gap.outgoing, gap.incoming)
    ]
    return replace(
        gap,
        before=before,
        after=after,
        confidence_before=sure_before,
        confidence_after=sure_after,
        outgoing=sides[0],
        incoming=sides[1],
    )


def carry(gap: PoseGap, skeleton: Skeleton, between: Joints) -> tuple[Joints, NDArray[np.float32]]:
    """Hang all joints of a skeleton on the in-between of the 17.

    Those of the 17 are taken as they are. Every other joint hangs on a segment: fingers on that from the wrist to the
    hand, the heel on that from the ankle to the toe, the face on that from the middle of the shoulders to the head. Its
    place in the segment's own coordinates (a similarity) goes evenly from that before the gap to that after it. So far
    as a segment is too short to have a direction, the joint is only moved along with it. At both ends all joints come
    out exactly.

    Parameters
    ----------
    gap : PoseGap
        Poses [s, J, 2] of the skeleton.
    skeleton : Skeleton
    between : float32 [n, 17, 2]
        The in-between of `motion_gap`.

    Returns
    -------
    joints : float32 [n, J, 2]
        NaN where a joint is known on neither side.
    confidence : float32 [n, J]
        From the one side's to the other's, lower towards the middle, where joints are guessed; 0 where NaN.
    """
    poses = np.stack([gap.before[-1], gap.after[0]])
    sure = np.stack([gap.confidence_before[-1], gap.confidence_after[0]])
    motion, _ = convert(poses, sure, skeleton, MOTION)
    time = (np.arange(1, len(between) + 1) / (len(between) + 1))[:, None]
    hump = 4 * time * (1 - time)

    taken, hung = _plan(skeleton)
    joints = np.full((len(between), len(skeleton.joints), 2), np.nan)
    joints[:, list(taken.values())] = between[:, list(taken)]
    fade = np.full(len(skeleton.joints), 1 - FADED_CARRIED)
    fade[list(taken.values())] = 1 - FADED

    bones = np.array(MOTION.bones)
    size = SHORT * np.nanmean(np.linalg.norm(motion[:, bones[:, 0]] - motion[:, bones[:, 1]], axis=-1))
    for joint, (origin, start, end) in hung.items():
        at, along = _segment(motion, origin, start, end)
        offset = _complex(poses[:, joint]) - at
        turned = offset * along.conj() / (np.abs(along) ** 2 + size**2)
        place = _between(turned, time)
        moved = _between(offset - turned * along, time)
        at, along = _segment(between, origin, start, end)
        found = at + place * along + moved
        joints[:, joint] = np.stack([found.real, found.imag], axis=1)
    confidence = ((1 - time) * sure[0] + time * sure[1]) * (1 - fade * hump)
    confidence[np.isnan(joints).any(axis=-1)] = 0
    return joints.astype(np.float32), confidence.astype(np.float32)


_SIDED = {"wrist": ("wrist", "hand"), "hand": ("wrist", "hand"), "ankle": ("ankle", "toe"), "toe": ("ankle", "toe")}

_Segment = tuple[int, list[int], int]
"""Among the 17: where a joint's place is measured from, and the segment from the middle of some joints to another."""


@cache
def _plan(skeleton: Skeleton) -> tuple[dict[int, int], dict[int, _Segment]]:
    """The joints that are among the 17 (number there, number here), and the segments that the others hang on."""
    taken = {ours: theirs[0] for ours, theirs in links(skeleton, MOTION) if len(theirs) == 1}
    among = {joint: number for number, joint in taken.items()}
    hung: dict[int, _Segment] = {}
    for joint in range(len(skeleton.joints)):
        holder = joint
        while holder != ROOT and holder not in among:
            holder = skeleton.parents[holder]
        if holder == joint:
            continue
        side, _, limb = MOTION.joints[among[holder]].partition("_") if holder != ROOT else ("", "", "")
        if limb in _SIDED:
            start, end = MOTION.index(*(f"{side}_{name}" for name in _SIDED[limb]))
            hung[joint] = (start, [start], end)
        else:
            head, left, right = MOTION.index("head", "left_shoulder", "right_shoulder")
            hung[joint] = (head, [left, right], head)
    return taken, hung


def _segment(
    motion: Joints, origin: int, start: list[int], end: int
) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
    points = _complex(motion)
    return points[:, origin], points[:, end] - points[:, start].mean(axis=1)


def _complex(points: Joints) -> NDArray[np.complex128]:
    """The plane's points as complex numbers: a similarity is then one factor."""
    numbers: NDArray[np.complex128] = points[..., 0].astype(np.float64) + 1j * points[..., 1].astype(np.float64)
    return numbers


def _between(ends: NDArray[np.complex128], time: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Evenly from the first of two numbers to the second; the other's throughout where one is not known."""
    first, last = np.where(np.isnan(ends), ends[::-1], ends)
    path: NDArray[np.complex128] = first + time[:, 0] * (last - first)
    return path
