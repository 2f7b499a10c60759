"""Kinds of motion found in the footage, for a person to look at and name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from scipy.ndimage import uniform_filter1d

from ..errors import UserError
from ..footage import Footage
from ..graph.features import MotionFeatures
from ..progress import SILENT, Progress, shares
from .labels import Label

WINDOW = 1.0
"""s of motion that are one thing to compare."""

SHORTEST = 0.5
"""s, least length of a stretch that belongs to a kind of motion."""

MOST = 10
"""Kinds of motion where nobody says how many."""

_SAMPLED = 10_000
_TRIALS = 5
"""k-means ends in the nearest local optimum: the best of several is taken."""


@dataclass(frozen=True)
class Clusters:
    """Kinds of motion, the most frequent first.

    Attributes
    ----------
    kind : int64 [N]
        Of each node; -1 where nothing can be shown, or a stretch is too short.
    middle : int64 [K]
        A node in the middle of each kind's most typical stretch: for a thumbnail.
    """

    kind: NDArray[np.int64]
    middle: NDArray[np.int64]

    def stretches(self, offsets: NDArray[np.int64]) -> list[tuple[int, int, int, int]]:
        """Kind, number of the footage, first and last frame (inclusive) of each stretch of one kind."""
        return [
            (int(self.kind[offset + first]), footage, first, last)
            for footage, (offset, end) in enumerate(pairwise(offsets.tolist()))
            for first, last in _stretches(self.kind[offset:end])
        ]

    def labels(
        self, names: Mapping[int, str], footages: Sequence[Footage], offsets: NDArray[np.int64]
    ) -> tuple[Label, ...]:
        """Labels of all stretches of the kinds that a person has named.

        Labels are spans of the footage and not numbers of kinds, so they stay true when footage is added and the kinds
        are found anew.
        """
        return tuple(
            Label(names[kind], first / float(one.fps), (last + 1) / float(one.fps), one.id)
            for kind, number, first, last in self.stretches(offsets)
            if kind in names
            for one in [footages[number]]
        )


def find_clusters(features: MotionFeatures, count: int | None = 8, progress: Progress = SILENT) -> Clusters:
    """Find kinds of motion by k-means over what a second of motion looks like.

    A second is described by the mean pose, how far each joint moves about it, and each joint's mean speed, joints
    weighted by how well they are seen. The same footage gives the same kinds.

    Without a `count`, it is that of the elbow: of up to `MOST` kinds, where what they leave unexplained (the squared
    distance to their means) lies farthest below the straight line from one kind to the most (Satopää et al. 2011,
    "Finding a kneedle in a haystack").

    Raises
    ------
    UserError
        When there is less footage than kinds.
    """
    described = _described(features, progress.part(0.0, 0.5))
    shown = np.flatnonzero(features.shown)
    if len(shown) < (count or 1) or (count or 1) < 1:
        raise UserError(
            f"{len(shown)} frames with a person cannot be parted into {count or 1} kinds of motion.",
            "Ask for fewer kinds, or add footage.",
        )
    rng = np.random.default_rng(0)
    sample = described[np.sort(rng.choice(shown, min(len(shown), _SAMPLED), replace=False))]
    if count is None:
        counts = range(1, min(MOST, len(shown)) + 1)
        parts = shares([1] * len(counts))
        part = progress.part(0.5, 1.0)
        tried = [_centres(sample, n, rng, part.part(*share)) for n, share in zip(counts, parts, strict=True)]
        centres = tried[_elbow([error for error, _ in tried])][1]
    else:
        _, centres = _centres(sample, count, rng, progress.part(0.5, 1.0))
    count = len(centres)
    distance = np.stack([np.linalg.norm(described - centre, axis=1) for centre in centres], axis=1)
    kind = np.where(features.shown, distance.argmin(axis=1), -1)
    for first, last in features.runs:
        for a, b in _stretches(kind[first : last + 1]):
            if b - a + 1 < SHORTEST * float(features.fps):
                kind[first + a : first + b + 1] = -1
    frames = np.bincount(kind[kind >= 0], minlength=count)
    order = [int(number) for number in np.argsort(-frames, kind="stable") if frames[number]]
    number_of = np.full(count + 1, -1)
    number_of[order] = np.arange(len(order))
    typical: dict[int, tuple[float, int]] = {}  # of each kind, the middle of the stretch that is most like it
    for first, last in features.runs:
        for a, b in _stretches(kind[first : last + 1]):
            number = int(kind[first + a])
            unlike = float(distance[first + a : first + b + 1, number].mean())
            typical[number] = min(typical.get(number, (np.inf, 0)), (unlike, int(first) + (a + b) // 2))
    return Clusters(number_of[kind], np.array([typical[number][1] for number in order], dtype=np.int64))


def _centres(
    sample: NDArray[np.float32], count: int, rng: np.random.Generator, progress: Progress
) -> tuple[float, NDArray[np.float32]]:
    """What k-means leaves unexplained of a sample [S, D], and the means [K, D] of the kinds that it finds."""
    best, found = np.inf, sample[:count]
    for trial in range(_TRIALS):
        progress.update(trial / _TRIALS)
        centres, nearest = kmeans2(sample, count, iter=30, minit="++", seed=rng)
        error = float(((sample - centres[nearest]) ** 2).sum())
        if error < best:
            best, found = error, centres
    return best, found


def _elbow(errors: Sequence[float]) -> int:
    """Where a falling curve lies farthest below the straight line between its ends."""
    line = np.linspace(errors[0], errors[-1], len(errors))
    return int(np.argmax(line - errors))


def _described(features: MotionFeatures, progress: Progress) -> NDArray[np.float32]:
    """What a second around each node looks like [N, D], in units of its spread over the footage."""
    window = max(round(WINDOW * float(features.fps)), 1)
    weight = np.sqrt(features.confidence / np.maximum(features.confidence.sum(axis=1, keepdims=True), 1e-9))
    result = np.zeros((features.nodes, features.local.shape[1] * 7), dtype=np.float32)
    for number, (first, last) in enumerate(features.runs):
        progress.update(number / len(features.runs))
        run = slice(first, last + 1)
        pose = features.local[run] * weight[run, :, None]
        speed = np.linalg.norm(features.velocity[run], axis=2) * weight[run]
        mean = uniform_filter1d(pose, window, axis=0, mode="nearest")
        spread = np.sqrt(np.maximum(uniform_filter1d(pose**2, window, axis=0, mode="nearest") - mean**2, 0.0))
        pace = uniform_filter1d(speed, window, axis=0, mode="nearest")
        parts = (mean, spread, pace[..., None])
        result[run] = np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
    joints = features.local.shape[1]
    shown = result[features.shown]
    for a, b in ((0, 3 * joints), (3 * joints, 6 * joints), (6 * joints, 7 * joints)):  # each part counts the same
        result[:, a:b] /= max(float(np.sqrt(shown[:, a:b].var(axis=0).sum())), 1e-9)
    return result


def _stretches(kind: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First and last index (inclusive) of each stretch of one kind that is none of -1."""
    bounds = np.flatnonzero(np.diff(kind)) + 1
    starts, ends = [0, *bounds.tolist()], [*bounds.tolist(), len(kind)]
    return [(a, b - 1) for a, b in zip(starts, ends, strict=True) if b > a and kind[a] >= 0]
