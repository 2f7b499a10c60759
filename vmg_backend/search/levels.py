"""How lively footage is along its frames, as conditions compare it with what is heard."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.stats import rankdata

from ..evaluation.beat_alignment import joint_speed
from ..graph.features import MotionFeatures


def node_speed(features: MotionFeatures) -> NDArray[np.float64]:
    """The summed speed of the joints of `rhythm` at each node [N], in its unit per second; 0 outside runs.

    A run's first frame has no speed of its own, and gets that of the next.
    """
    result = np.zeros(features.nodes)
    for first, last in features.runs:
        speed = joint_speed(features.rhythm[first : last + 1], np.ones(last + 1 - first, dtype=bool))
        speed[0] = speed[min(1, len(speed) - 1)]
        result[first : last + 1] = np.nan_to_num(speed) * float(features.fps)
    return result


def smooth(values: NDArray[np.float64], features: MotionFeatures, sigma: float) -> NDArray[np.float64]:
    """Values [N] smoothed within each run, by a Gaussian of `sigma` frames."""
    result = values.copy()
    for first, last in features.runs:
        result[first : last + 1] = gaussian_filter1d(values[first : last + 1], sigma, mode="nearest")
    return result


def rank(values: NDArray[np.float64], among: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of the values among those marked that are smaller, 0 to 1; 0 elsewhere."""
    result = np.zeros(len(values))
    if among.any():
        result[among] = (rankdata(values[among]) - 0.5) / int(among.sum())
    return result
