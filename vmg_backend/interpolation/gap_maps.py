"""Pose maps of a gap and of the frames around it, as networks are shown them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..motion.gap import Side
from ..pose.maps import MapStyle, draw_run
from ..pose.skeletons import MEDIAPIPE
from .crop import Crop
from .interpolator import Gap


def draw_gap(gap: Gap, crop: Crop, style: MapStyle, lead: int, trail: int) -> NDArray[np.uint8]:
    """Maps [lead + n + trail, h, w, 3]: of the frames before the gap, of the guide's joints, of the frames after it.

    Parameters
    ----------
    gap : Gap
    crop : Crop
        What is seen of them.
    style : MapStyle
    lead, trail : int
        Frames right before and right after the gap.

    Raises
    ------
    UserError
        When the gap has no guide.
    """
    if gap.guide is None:
        raise UserError("This engine needs skeletons for the gap.", "Give it poses, or a pose guide.")
    runs = (
        Side(gap.before.joints[-lead:], gap.before.confidence[-lead:]),
        gap.guide,
        Side(gap.after.joints[:trail], gap.after.confidence[:trail]),
    )
    joints = crop.joints(np.concatenate([run.joints for run in runs]).astype(np.float32))
    confidence = np.concatenate([run.confidence for run in runs])
    return draw_run(joints, confidence, MEDIAPIPE, crop.size, style)
