"""Where the person's motion comes to rest: in the footage, and around each cut as its transition will show it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d
from scipy.signal import argrelextrema

from ..evaluation.beat_alignment import joint_speed, motion_beat_order, motion_beats
from ..graph.features import MotionFeatures
from ..graph.motion_graph import MotionGraph
from ..interpolation.interpolator import crossing_weights
from ..progress import SILENT, Progress

DIPS = (0.1, 0.5)
"""Share of the speed around it that a motion beat falls by to count half, and in full. Estimated again on finished
films, of dips below 0.3 about half are found, of those above 0.5 nearly all."""

BLENDED = 0.6
"""What a motion beat inside a transition counts: about so many are found again, of those in real frames 0.85."""

SURE = 0.95
"""Mean confidence of joints whose motion beats count in full."""

_EDGES = 2000


def node_motion_beats(features: MotionFeatures) -> NDArray[np.float64]:
    """How clear a motion beat of its run each node [N] is.

    0 for none, 0.5 for a shallow and 1 for a deep dip (`DIPS`) in the speed of joints that the estimator is sure of
    (`SURE`).
    """
    result = np.zeros(features.nodes)
    for first, last in features.runs:
        speed = joint_speed(features.rhythm[first : last + 1], np.ones(last + 1 - first, dtype=bool))
        beats = motion_beats(speed, features.fps)
        result[first + beats] = _clearness(speed[None], motion_beat_order(features.fps))[0, beats]
    return result * np.clip(features.trust / SURE, 0.0, 1.0) ** 2


def _clearness(speed: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    """How far each speed [n, T] lies below the lower of the peaks within 2 `order` on either side, 0.5 to 1."""
    size = 2 * order + 1
    known = np.where(np.isfinite(speed), speed, 0.0)
    before = maximum_filter1d(known, size, axis=1, origin=order, mode="nearest")
    after = maximum_filter1d(known, size, axis=1, origin=-order, mode="nearest")
    peak = np.minimum(before, after)
    dip = 1.0 - known / np.where(peak > 0, peak, 1.0)
    return np.asarray(np.clip((dip - DIPS[0]) / (DIPS[1] - DIPS[0]), 0.0, 1.0) / 2 + 0.5)


def cut_motion_beats(graph: MotionGraph, features: MotionFeatures, progress: Progress = SILENT) -> NDArray[np.float64]:
    """How each cut changes the motion beats around it [E, 2 R]: positive where one appears, negative where one is lost.

    Column k speaks of the output frame k - R after the one that shows the edge's target. Through a transition the
    joints are the blend of both continuations.
    """
    order = motion_beat_order(features.fps)
    reach = int(graph.half.max(initial=1)) + order
    wide = reach + 2 * order + 1  # the minima within reach need the speeds around them
    nodes = node_motion_beats(features)
    offsets = np.arange(-wide, wide)
    result = np.zeros((graph.edges, 2 * reach), dtype=np.float64)
    for chunk in np.array_split(np.arange(graph.edges), max(1, graph.edges // _EDGES)):
        progress.check()
        source, target, half = (values[chunk].astype(np.int64) for values in (graph.source, graph.target, graph.half))
        before, inside_before = _clipped(source[:, None] + 1 + offsets, source, graph)
        after, inside_after = _clipped(target[:, None] + offsets, target, graph)
        weight = _weights(offsets, half)
        joints = (1.0 - weight)[..., None, None] * features.rhythm[before]
        joints += weight[..., None, None] * features.rhythm[after]
        speed = np.full(weight.shape, np.inf)
        speed[:, 1:] = np.linalg.norm(np.diff(joints, axis=1), axis=3).sum(axis=2)
        known = np.where(weight < 1.0, inside_before, True) & np.where(weight > 0.0, inside_after, True)
        speed[~known] = np.inf
        row, column = argrelextrema(speed, np.less, axis=1, order=order)
        there = np.zeros(weight.shape, dtype=np.float64)
        there[row, column] = _clearness(speed, order)[row, column]
        trust = (1.0 - weight) * features.trust[before] + weight * features.trust[after]
        there *= np.clip(trust / SURE, 0.0, 1.0) ** 2
        there[(weight > 0.0) & (weight < 1.0)] *= BLENDED
        there[~known] = 0.0
        stitched = np.where(offsets < 0, nodes[before] * inside_before, nodes[after] * inside_after)
        middle = slice(wide - reach, wide + reach)
        result[chunk] = there[:, middle] - stitched[:, middle]
    return result


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
