"""Somebody else's skeleton at this person's place and in this person's size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError

Floats = NDArray[np.floating[Any]]

SURE = 0.3
"""Confidence from which a joint counts."""
SMALLEST, LARGEST = 0.5, 2.0
"""Bounds of the scales: what is beyond was measured wrongly."""
_FEWEST = 4
"""Joints that both must show."""
_OFTEN = 0.5
"""Share of its frames in which a joint must be sure."""
_TORN = 4.0
"""Distance from the middle joint, in that of half the joints, from which a joint is no part of the body."""


@dataclass(frozen=True)
class Alignment:
    """Places of one picture as places of another: from the one centre to the other, scaled.

    Attributes
    ----------
    source, target : float64 [2]
        The centres, px.
    scale : float64 [2]
        Along x and y.
    """

    source: NDArray[np.float64]
    target: NDArray[np.float64]
    scale: NDArray[np.float64]

    def apply(self, joints: Floats) -> NDArray[np.float64]:
        """Joints [..., 2] of the source at their place in the target."""
        return np.asarray(self.target + (joints - self.source) * self.scale, np.float64)


def align(
    joints: Floats, confidence: Floats, person: Floats, person_confidence: Floats, *, isotropic: bool = False
) -> Alignment:
    """Bring a foreign clip's skeleton to a person's place and size.

    Edit-Your-Motion, algorithm 1: x' = x_s + (x - x_r) w_s / w_r, and y likewise with the heights. The paper leaves
    open what centre and size are; here each is one value for a clip, so that nothing trembles: the median over its
    frames of the middle joint, and of the extent from the 5th to the 95th percentile of the joints. Only joints that
    are mostly sure in both clips count, for legs that only one of them shows would be taken for height.

    Parameters
    ----------
    joints : float [T, J, 2]
        The foreign clip, px; NaN where unknown.
    confidence : float [T, J]
    person : float [S, J, 2]
        Poses of this person, of the same joints.
    person_confidence : float [S, J]
    isotropic : bool
        Whether the heights' scale is taken for x as well. Then arms that one spreads and the other does not change
        nothing.

    Raises
    ------
    UserError
        When the two have too few joints in common.
    """
    clips = [_sure(joints, confidence), _sure(person, person_confidence)]
    common = np.logical_and(*(_often(clip) for clip in clips))
    if common.sum() < _FEWEST:
        raise UserError(
            "The poses cannot be brought to the person's place: too few of their joints are seen in both.",
            "Choose poses that show the same parts of the body.",
            title="Poses do not fit",
        )
    (source, extent), (target, wanted) = (_measured(clip[:, common]) for clip in clips)
    scale = np.where(np.minimum(extent, wanted) > 1.0, wanted / np.maximum(extent, 1.0), 1.0)
    scale = np.clip(scale[[1, 1]] if isotropic else scale, SMALLEST, LARGEST)
    return Alignment(source, target, scale)


def _sure(joints: Floats, confidence: Floats) -> NDArray[np.float64]:
    """The joints, NaN where they do not count."""
    return np.where((confidence > SURE)[..., None], joints, np.nan).astype(np.float64)


def _often(clip: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Joints [J] that are there in most of the frames that show anybody."""
    there = np.isfinite(clip).all(axis=-1)
    frames = max(int(there.any(axis=1).sum()), 1)
    return np.asarray(there.sum(axis=0) >= _OFTEN * frames, np.bool_)


def _measured(clip: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre and extent [2] of joints [T, J, 2]."""
    seen = clip[np.isfinite(clip).all(axis=-1).mean(axis=1) >= _OFTEN]
    middle = np.nanmedian(seen, axis=1)
    distance = np.linalg.norm(seen - middle[:, None], axis=-1)
    torn = distance > _TORN * np.nanmedian(distance, axis=1, keepdims=True)
    low, high = np.nanpercentile(np.where(torn[..., None], np.nan, seen), [5, 95], axis=1)
    return np.median(middle, axis=0), np.median(high - low, axis=0)
