"""How far each frame is from a wanted one: in place and motion, or in the pose alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..graph.features import JOINTS, MotionFeatures
from ..graph.matching import VELOCITY_SECONDS

_SHOULDERS, _HIPS = ([JOINTS.index(f"{side}_{joint}") for side in ("left", "right")] for joint in ("shoulder", "hip"))


def distance_to_frame(features: MotionFeatures, node: int) -> NDArray[np.float64]:
    """Distance [N] of each node to one of them, m: what a match is priced by, without its window of time.

    Body, place and motion are compared; see `graph.matching`. 0 for nodes that cannot be shown.
    """
    fields = (features.local, features.world, features.velocity * VELOCITY_SECONDS)
    weights = features.confidence * features.confidence[node]
    return sum((_length(field - field[node], weights) for field in fields), start=np.zeros(features.nodes))


def distance_to_pose(features: MotionFeatures, wanted: MotionFeatures, frame: int) -> NDArray[np.float64]:
    """Distance [N] of each node to a pose, wherever it is and however it moves, m.

    Parameters
    ----------
    features : MotionFeatures
        Of the nodes.
    wanted : MotionFeatures
        The same, or other footage: there the person is scaled to the same length of torso.
    frame : int
        The wanted node.
    """
    scale = 1.0 if wanted is features else torso(features) / max(torso(wanted), 1e-9)
    weights = features.confidence * wanted.confidence[frame]
    return _length(features.local - scale * wanted.local[frame], weights)


def torso(features: MotionFeatures) -> float:
    """From the middle of the shoulders to that of the hips: the median of all frames with a person, m."""
    local = features.local[features.shown]
    lengths = np.linalg.norm(local[:, _SHOULDERS].mean(axis=1) - local[:, _HIPS].mean(axis=1), axis=1)
    return float(np.median(lengths)) if len(lengths) else 0.0


def _length(difference: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean length [N] of differences [N, J, 3] over the joints, each weighted, as a root of squares."""
    total = np.maximum(weights.sum(axis=1), np.finfo(float).tiny)
    return np.asarray(np.sqrt((weights * (difference**2).sum(axis=2)).sum(axis=1) / total))
