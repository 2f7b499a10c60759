"""Gaps in real footage: the truth is the estimator's own track."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..pose.mapping import convert
from ..pose.skeletons import MOTION, SKELETONS
from ..pose.smoothing import runs
from ..pose.track import PoseTrack
from .gaps import TORSO_PERCENTILE, GapBatch
from .windows import torso_length

LEAST_CONFIDENCE = 0.5
"""Windows whose joints are less sure on their mean are left out: their track is no truth."""


def track_gaps(track: PoseTrack, shots: NDArray[np.int32], fps: float, length: int, context: int) -> GapBatch:
    """Cut a footage into gaps of one length, as `fixed_gaps` cuts takes.

    Only windows within one shot and with a person in every frame; the known frames are the track's too, with the noise
    that they have. Take is 0 throughout. There may be no gap at all (B = 0).

    Parameters
    ----------
    track : PoseTrack
    shots : int32 [S, 2]
        First and last frame of each shot, inclusive.
    fps : float
        The footage's rate, at which the gaps are too.
    length, context : int
        Frames in the gap, and known on either side.
    """
    joints, confidence = convert(track.image, track.confidence, SKELETONS[track.skeleton], MOTION)
    around = torso_length(joints)
    frames = length + 2 * context
    firsts: list[int] = []
    torsos: list[float] = []
    for start, last in runs(track.person, shots):
        for first in range(start, last - frames + 2, length):
            gap = first + context
            second = slice(max(start, gap - round(fps)), min(last + 1, gap + length + round(fps)))
            torso = np.nanpercentile(around[second], TORSO_PERCENTILE) if np.isfinite(around[second]).any() else np.nan
            if confidence[first : first + frames].mean() >= LEAST_CONFIDENCE and torso > 0:
                firsts.append(first)
                torsos.append(float(torso))
    windows = np.array(firsts, np.int64)[:, None] + np.arange(frames)
    before, truth, after = np.split(joints[windows], [context, context + length], axis=1)
    sure_before, sure, sure_after = np.split(confidence[windows], [context, context + length], axis=1)
    return GapBatch(
        before=before,
        after=after,
        confidence_before=sure_before,
        confidence_after=sure_after,
        truth=truth,
        confidence=sure,
        torso=np.array(torsos, np.float32),
        take=np.zeros(len(firsts), np.int32),
    )
