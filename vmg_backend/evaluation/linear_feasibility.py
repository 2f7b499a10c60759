"""Where straight lines between two poses are near enough to how a person moves.

The paper says that linear blending reasonably approximates 78 % of mild speech gestures and 17 % of dance gestures, and
not how that was measured. Ours: straight lines do for a gap of half a second where its worst joint, averaged over the
gap's frames, stays within `NEAR` of the truth.

- The worst joint, since one arm that takes a short cut spoils the picture, however still the rest of the person is; an
  average over joints would call most arm gestures feasible.
- The mean over the frames, since the largest error of a gap is one frame's, and the most sensitive to the estimator.
- Only joints that the estimator is sure of in every frame of the gap, smoothed as for the search for beats: of a still
  person the error is 0.005 to 0.015 torso lengths, less than a sixth of `NEAR`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import percentile_filter

from ..graph.features import JOINTS, RHYTHM_JOINTS, MotionFeatures
from ..graph.motion_graph import MotionGraph
from ..interpolation.interpolator import crossing_weights
from ..search.path import FrameOf, Path, Transition

SECONDS = 0.5
"""Length of a gap: 12 frames at 24 fps, as the paper's."""
NEAR = 0.10
"""Torso lengths that the worst joint may be away, about 5 cm: half the breadth of a hand, beyond which the outlines of
a hand where it is and where it should be part."""
SURE = 0.5
"""Confidence from which a joint counts."""

_AT_ONCE = 4096
"""Gaps that are measured together."""
_CONFIDENCE = [JOINTS.index(name) for name in RHYTHM_JOINTS]
_SHOULDERS, _HIPS = (
    [RHYTHM_JOINTS.index(f"{side}_{part}") for side in ("left", "right")] for part in ("shoulder", "hip")
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LinearFeasibility:
    """Shares of half-second gaps, 0 to 1; None where no gap fits in.

    Attributes
    ----------
    library : float or None
        Of all gaps.
    footages : tuple of (float or None)
    """

    library: float | None
    footages: tuple[float | None, ...]


def linear_feasibility(features: MotionFeatures) -> LinearFeasibility:
    """The share of gaps that straight lines fill well enough, at every frame where a gap can begin."""
    errors = gap_errors(features)
    starts = features.offsets[1:-1]
    parts = np.split(errors, starts)
    return LinearFeasibility(_share(errors), tuple(_share(part) for part in parts))


def _share(errors: Floats) -> float | None:
    known = errors[np.isfinite(errors)]
    return float((known < NEAR).mean()) if len(known) else None


def gap_errors(features: MotionFeatures, length: int | None = None) -> Floats:
    """Mean over the frames of a gap of the worst joint's distance from the straight line, in torso lengths.

    Parameters
    ----------
    features : MotionFeatures
    length : int, optional
        Frames of a gap; half a second of them by default.

    Returns
    -------
    float64 [N]
        For the gap that follows each node; NaN where none fits into the run, or no joint is sure.
    """
    length = length or max(1, round(SECONDS * float(features.fps)))
    torso = torso_lengths(features)
    errors = np.full(features.nodes, np.nan)
    for first, last in features.runs.tolist():
        for begin in range(first, last - length, _AT_ONCE):
            starts = np.arange(begin, min(begin + _AT_ONCE, last - length))
            nodes = starts[:, None] + np.arange(length + 2)
            errors[starts] = _errors(
                features.rhythm[nodes], _sure(features, nodes), features.rhythm[nodes[:, 1:-1]], torso[starts]
            )
    return errors


def torso_lengths(features: MotionFeatures) -> Floats:
    """The torso's length in the picture [N], px: the 90th percentile within a second on either side in the same run."""
    bare = np.linalg.norm(features.rhythm[:, _SHOULDERS].mean(axis=1) - features.rhythm[:, _HIPS].mean(axis=1), axis=1)
    torso = np.ones(features.nodes)
    for first, last in features.runs.tolist():
        run = slice(first, last + 1)
        torso[run] = percentile_filter(bare[run], 90, size=2 * round(float(features.fps)) + 1, mode="nearest")
    return np.maximum(torso, 1.0)


def _sure(features: MotionFeatures, nodes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which joints [B, K] are sure at all nodes [B, n]."""
    return np.asarray((features.confidence[nodes][:, :, _CONFIDENCE] >= SURE).all(axis=1))


def _errors(ends: Floats, sure: NDArray[np.bool_], truth: Floats, torso: Floats) -> Floats:
    """Of gaps between the first and the last frame of `ends` [B, m, K, 2]: the mean worst joint's error [B]."""
    length = truth.shape[1]
    u = ((np.arange(length) + 1.0) / (length + 1.0))[:, None, None]
    line = (1.0 - u) * ends[:, :1] + u * ends[:, -1:]
    distance = np.where(sure[:, None], np.linalg.norm(line - truth, axis=-1), -np.inf)
    worst = distance.max(axis=2).mean(axis=1) / torso
    return np.where(sure.any(axis=1), worst, np.nan)


def with_linear(path: Path, graph: MotionGraph, features: MotionFeatures) -> Path:
    """The path, in which each transition says whether straight lines would do; None where that cannot be told.

    There is no truth at a cut: the line is compared with the blend of both real continuations.

    Parameters
    ----------
    path : Path
    graph : MotionGraph
    features : MotionFeatures
    """
    torso = torso_lengths(features)

    def error(transition: Transition) -> float:
        if not {transition.from_.footage, transition.to.footage} <= {*graph.footages}:
            return float("nan")
        span = np.arange(transition.frames + 1)
        out = _node(graph, transition.from_) + span  # the start, and what really follows it
        into = _node(graph, transition.to) - span[::-1]  # what really leads to the end, and the end
        if not (_in_one_run(features, out) and _in_one_run(features, into)):
            return float("nan")  # a cut that was edited by hand may lie anywhere
        weight = crossing_weights(transition.frames)[:, None, None]
        blend = (1.0 - weight) * features.rhythm[out[1:]] + weight * features.rhythm[into[:-1]]
        ends = features.rhythm[[[out[0], into[-1]]]]
        return float(_errors(ends, _sure(features, np.concatenate([out, into])[None]), blend[None], torso[out[:1]])[0])

    errors = [error(transition) for transition in path.transitions]
    return path.with_transitions(
        [
            replace(transition, linear=bool(value < NEAR) if np.isfinite(value) else None)
            for transition, value in zip(path.transitions, errors, strict=True)
        ]
    )


def _node(graph: MotionGraph, at: FrameOf) -> int:
    return int(graph.offsets[graph.footages.index(at.footage)]) + at.frame


def _in_one_run(features: MotionFeatures, nodes: NDArray[np.int64]) -> bool:
    return bool(((features.runs[:, 0] <= nodes[0]) & (nodes[-1] <= features.runs[:, 1])).any())
