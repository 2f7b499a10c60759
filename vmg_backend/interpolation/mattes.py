"""The person in every frame that a gap is filled from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from ..background.matte import Matte, PersonMatte
from ..pose.skeletons import Skeleton
from ..progress import Progress
from .interpolator import Gap
from .morph import Lines
from .parallel import WORKERS, in_parallel

_SURE = 0.5
"""Confidence from which a joint carries its limb."""

Picture = tuple[NDArray[np.uint8], NDArray[np.uint8] | None, Lines]
"""A frame, the empty background where it is known, and the limbs in it."""


def limbs_of(skeleton: Skeleton) -> NDArray[np.int64]:
    """The bones [L, 2] of a skeleton without its fingers."""
    fingers = {*skeleton.left_hand, *skeleton.right_hand}
    return np.array([bone for bone in skeleton.bones if not fingers & set(bone)])


def sure_limbs(
    joints: NDArray[np.float32], confidence: NDArray[np.float32], bones: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which bones [n, L] are known well in poses [n, J, 2]."""
    known = (confidence > _SURE) & np.isfinite(joints).all(axis=-1)
    return np.asarray(known[:, bones].all(axis=-1), np.bool_)


def mattes_of_sides(
    gap: Gap, bones: NDArray[np.int64], matting: Callable[[], PersonMatte], progress: Progress
) -> tuple[list[Matte], list[Matte]]:
    """The person in each frame of the outgoing and of the incoming side."""
    pictures: list[Picture] = []
    for side, plate in ((gap.outgoing, gap.plate_before), (gap.incoming, gap.plate_after)):
        sure = sure_limbs(side.joints, side.confidence, bones)
        pictures += [
            (frame, plate, joints[bones[known]].astype(np.float64))
            for frame, joints, known in zip(side.frames, side.joints, sure, strict=True)
        ]
    found = mattes(pictures, matting, progress)
    return found[: gap.length], found[gap.length :]


def mattes(pictures: Iterable[Picture], matting: Callable[[], PersonMatte], progress: Progress) -> list[Matte]:
    """The person in each picture."""
    with ExitStack() as stack:
        cutters = SimpleQueue[PersonMatte]()  # each for one thread at a time
        for _ in range(WORKERS):
            cutters.put(stack.enter_context(matting()))

        def cut(picture: Picture) -> Matte:
            cutter = cutters.get()
            try:
                return cutter.matte(*picture)
            finally:
                cutters.put(cutter)

        return in_parallel(cut, list(pictures), progress)
