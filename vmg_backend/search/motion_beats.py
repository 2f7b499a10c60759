"""Where the person's motion comes to rest: in the footage, and around each cut as its transition will show it.

A motion beat is a strict local minimum of speed, and where the speed is low for a while, a little noise decides where
the minimum lies. So a frame counts by its chance to be one when the poses are estimated again on the finished film: the
share of several noisy versions of the motion in which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from ..evaluation.beat_alignment import joint_speed, motion_beat_order, rests
from ..graph.features import MotionFeatures
from ..graph.motion_graph import MotionGraph
from ..interpolation.interpolator import crossing_weights
from ..progress import SILENT, Progress

VERSIONS = 12
"""Noisy versions of the motion."""

NOISE_SIGMA = 0.06
"""s, how slowly the noise changes: the estimator's own smoothing, and that of the rhythm."""

BLENDED = 0.6
"""What a motion beat inside a transition counts: about so many are found again."""

_EDGES = 2000

Find = Callable[[NDArray[np.float64], float | Fraction], NDArray[np.bool_] | NDArray[np.float64]]
"""Which moments of speeds [..., T] count, or how much, of any rate; a speed is NaN or infinite where it is unknown."""


def node_motion_beats(features: MotionFeatures, find: Find = rests) -> NDArray[np.float64]:
    """Give the chance of each node [N] to be a motion beat (or what else `find` finds) of its run, 0 to 1."""
    return np.asarray(np.mean([_beats(features, rhythm, find) for rhythm in _versions(features)], axis=0))


def _versions(features: MotionFeatures) -> Iterator[NDArray[np.float64]]:
    """The rhythm as it may be estimated again [N, K, 2]; the same versions each time."""
    random = np.random.default_rng(0)
    sigma = NOISE_SIGMA * float(features.fps)
    gain = np.sqrt(2.0 * sigma * np.sqrt(np.pi))  # what the filter takes from white noise
    for _ in range(VERSIONS):
        noise = gaussian_filter1d(random.standard_normal(features.rhythm.shape), sigma, axis=0) * gain
        yield features.rhythm + features.blur[..., None] * noise


def _beats(features: MotionFeatures, rhythm: NDArray[np.float64], find: Find) -> NDArray[np.float64]:
    """Which nodes [N] are motion beats, as 0 and 1."""
    result = np.zeros(features.nodes)
    for first, last in features.runs:
        speed = joint_speed(rhythm[first : last + 1], np.ones(last + 1 - first, dtype=bool))
        result[first : last + 1] = find(speed, features.fps)
    return result


def cut_motion_beats(
    graph: MotionGraph, features: MotionFeatures, progress: Progress = SILENT, find: Find = rests
) -> NDArray[np.float64]:
    """How each cut changes the motion beats around it [E, 2 R]: positive where one appears, negative where one is lost.

    Column k speaks of the output frame k - R after the one that shows the edge's target. Through a transition the
    joints are the blend of both continuations.
    """
    reach = int(graph.half.max(initial=1)) + motion_beat_order(features.fps)
    result = np.zeros((graph.edges, 2 * reach), dtype=np.float64)
    for rhythm in _versions(features):
        nodes = _beats(features, rhythm, find)
        for chunk in np.array_split(np.arange(graph.edges), max(1, graph.edges // _EDGES)):
            progress.check()
            result[chunk] += _changes(graph, features, rhythm, nodes, chunk, reach, find) / VERSIONS
    return result


def _changes(
    graph: MotionGraph,
    features: MotionFeatures,
    rhythm: NDArray[np.float64],
    nodes: NDArray[np.float64],
    edges: NDArray[np.int64],
    reach: int,
    find: Find,
) -> NDArray[np.float64]:
    """Motion beats around some cuts, less those of the nodes shown [edges, 2 R]."""
    order = motion_beat_order(features.fps)
    wide = reach + 2 * order + 1  # the minima within reach need the speeds around them
    offsets = np.arange(-wide, wide)
    source, target, half = (values[edges].astype(np.int64) for values in (graph.source, graph.target, graph.half))
    before, inside_before = _clipped(source[:, None] + 1 + offsets, source, graph)
    after, inside_after = _clipped(target[:, None] + offsets, target, graph)
    weight = _weights(offsets, half)
    joints = (1.0 - weight)[..., None, None] * rhythm[before]
    joints += weight[..., None, None] * rhythm[after]
    speed = np.full(weight.shape, np.inf)
    speed[:, 1:] = np.linalg.norm(np.diff(joints, axis=1), axis=3).sum(axis=2)
    known = np.where(weight < 1.0, inside_before, True) & np.where(weight > 0.0, inside_after, True)
    speed[~known] = np.inf
    there = find(speed, features.fps).astype(np.float64)
    there[(weight > 0.0) & (weight < 1.0)] *= BLENDED
    there[~known] = 0.0
    stitched = np.where(offsets < 0, nodes[before] * inside_before, nodes[after] * inside_after)
    middle = slice(wide - reach, wide + reach)
    changes: NDArray[np.float64] = there[:, middle] - stitched[:, middle]
    return changes


def _clipped(
    nodes: NDArray[np.int64], anchor: NDArray[np.int64], graph: MotionGraph
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Nodes held inside the run of their anchor, and which of them were inside."""
    run = np.searchsorted(graph.runs[:, 0], anchor, side="right") - 1
    first, last = graph.runs[run, 0].astype(np.int64)[:, None], graph.runs[run, 1].astype(np.int64)[:, None]
    held = np.clip(nodes, first, last)
    return held, held == nodes


def _weights(offsets: NDArray[np.int64], half: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of the incoming side [n, offsets]: 0 before the transition, 1 after it."""
    weights = np.tile((offsets >= 0).astype(np.float64), (len(half), 1))
    middle = int(np.searchsorted(offsets, 0))
    for length in np.unique(half):
        rows = np.flatnonzero(half == length)
        weights[rows[:, None], np.arange(middle - length, middle + length)] = crossing_weights(2 * int(length))
    return weights
