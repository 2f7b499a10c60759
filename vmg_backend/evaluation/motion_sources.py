"""Where gaps whose truth is known come from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from ..footage import Footage
from ..graph.features import motion_features
from ..motion.gap import CONTEXT, TrueGap
from ..motion.regression import KINDS, kind
from ..pose.track import PoseTrack
from ..training.gaps import GapBatch, MotionBatches, fixed_gaps
from ..training.mocap import RATE, Motion
from ..training.tracks import track_gaps

BATCH = 64
"""Gaps that are drawn together, and are all cuts or none."""
TAKE_SECONDS = 5.0
"""A footage counts as several takes of this length, so that there is something to resample: within one gesture errors
depend on each other."""


def mocap_gaps(motions: Sequence[Motion], lengths: Iterable[int]) -> list[TrueGap]:
    """Gaps in motion capture, end to end, seen by a camera of its own each, without noise.

    Raises
    ------
    UserError
        When no take is long enough.
    """
    names = [motion.name for motion in motions]
    return [gap for length in lengths for gap in true_gaps(fixed_gaps(motions, length, CONTEXT), names, float(RATE))]


def estimated_gaps(motions: Sequence[Motion], lengths: Iterable[int], batches: int, seed: int = 0) -> list[TrueGap]:
    """Gaps in motion capture as an estimator sees them, half of them cuts: such as engines are asked to fill.

    Parameters
    ----------
    motions : sequence of Motion
    lengths : iterable of int
    batches : int
        For each length, of which about a third are exact and left out.
    seed : int
    """
    names = [motion.name for motion in motions]
    drawn, random = MotionBatches(motions), np.random.default_rng(seed)
    return [
        gap
        for length in lengths
        for _ in range(batches)
        for gap in true_gaps(drawn.draw(random, BATCH, CONTEXT, length), names, float(RATE))
        if KINDS[kind(gap.gap)] != "exact"
    ]


def footage_gaps(sources: Sequence[tuple[Footage, PoseTrack]], lengths: Iterable[int]) -> list[TrueGap]:
    """Gaps in what may be shown of footage, end to end; the truth is the estimator's own track."""
    found: list[TrueGap] = []
    for footage, track in sources:
        runs, fps = motion_features([footage], [track]).runs, float(footage.fps)
        for length in lengths:
            batch = track_gaps(track, runs, fps, length, CONTEXT)
            parts = [int(index * length / fps / TAKE_SECONDS) for index in range(len(batch.take))]
            names = [f"{footage.name}, part {part + 1}" for part in parts]
            batch = replace(batch, take=np.arange(len(parts)))
            found += true_gaps(batch, names, fps)
    return found


def true_gaps(batch: GapBatch, takes: Sequence[str], fps: float) -> list[TrueGap]:
    """The gaps of a batch one by one.

    Parameters
    ----------
    batch : GapBatch
    takes : sequence of str
        Name of each motion that it was made from.
    fps : float
    """
    rows = zip(batch.gaps(), batch.truth, batch.confidence, batch.torso, batch.take, strict=True)
    return [
        TrueGap(gap, truth, confidence, float(torso), fps, takes[take]) for gap, truth, confidence, torso, take in rows
    ]
