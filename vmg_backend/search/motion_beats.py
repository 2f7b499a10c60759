"""Where the person's motion comes to rest: in the footage, and around each cut as its transition will show it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import argrelextrema

from ..evaluation.beat_alignment import joint_speed, motion_beat_order, motion_beats
from ..graph.features import MotionFeatures
from ..graph.motion_graph import MotionGraph
from ..interpolation.interpolator import crossing_weights

_EDGES = 2000


def node_motion_beats(features: MotionFeatures) -> NDArray[np.float64]:
    """1 for each node [N] that is a motion beat of its run, else 0."""
    result = np.zeros(features.nodes)
    for first, last in features.runs:
        joints = features.rhythm[first : last + 1]
        result[first + motion_beats(joint_speed(joints, np.ones(len(joints), dtype=bool)), features.fps)] = 1.0
    return result


def cut_motion_beats(graph: MotionGraph, features: MotionFeatures) -> NDArray[np.float32]:
    """How each cut changes the motion beats around it: [E, 2 R], 1 where one appears, -1 where one is lost.

    Column k speaks of the output frame k - R after the one that shows the edge's target. Through a transition the
    joints are the blend of both continuations.
    """
    order = motion_beat_order(features.fps)
    reach = int(graph.half.max(initial=1)) + order
    wide = reach + order + 1  # the minima within reach need the speeds around them
    nodes = node_motion_beats(features)
    offsets = np.arange(-wide, wide)
    result = np.zeros((graph.edges, 2 * reach), dtype=np.float32)
    for chunk in np.array_split(np.arange(graph.edges), max(1, graph.edges // _EDGES)):
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
        there = np.zeros(weight.shape, dtype=np.float32)
        there[row, column] = 1.0
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
