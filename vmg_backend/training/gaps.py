"""Gaps in motion capture, seen by random cameras: what the network is trained and measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..motion.gap import CONTEXT, PoseGap, Side
from .cameras import Cameras, random_cameras
from .corruption import corrupt
from .mocap import Motion
from .windows import Takes, hips, mirror, reshape, torso_length

EXACT_SHARE = 0.3
"""Of batches whose known poses are exact, with confidence 1: such as an animator draws."""
CUT_SHARE = 0.35
"""Of batches whose gaps are cuts: with continuations that differ."""
CUT_HIPS, CUT_POSE = (0.05, 0.6), (0.1, 0.5)
"""Torso lengths between the two sides of a cut: of the hips, and of the joints about the hips, on their mean. Over 2800
edges of the graph of a dance (dance_room) these are 0.08 to 0.75 and 0.17 to 0.57, from the 5th to the 95th percentile,
and change little through a transition."""
STRAY = (0.0, 0.2)
"""Torso lengths by which a continuation strays from the truth besides, in the middle of the gap."""
LARGEST = 3.0
"""Times that a difference between motions is enlarged for that, at most: nothing comes of two who stand still."""
TORSO_PERCENTILE = 90
"""A bent torso is no shorter: its length is that of the frames in which it is nearly longest."""


@dataclass(frozen=True)
class GapBatch:
    """B gaps of one length n with s known frames on either side; joints are those of `MOTION`, in px.

    Attributes
    ----------
    before, after : float32 [B, s, 17, 2]
        As an estimator saw them; NaN where it found no joint.
    confidence_before, confidence_after : float32 [B, s, 17]
        0 where NaN.
    truth : float32 [B, n, 17, 2]
        The motion through the gap, without noise.
    confidence : float32 [B, n, 17]
        How much the truth is to be trusted: 1 in motion capture, the estimator's in footage; 0 where it is NaN.
    outgoing, incoming : float32 [B, n, 17, 2], optional
        What followed `before` and what led to `after` where these are of different moments; noisy as they are.
    confidence_outgoing, confidence_incoming : float32 [B, n, 17], optional
    torso : float32 [B]
        Torso length in px: the length in space (its 90th percentile over the window) at the distance of the hips in
        the last frame before the gap; in footage the 90th percentile in the picture, within a second on either side.
    take : int32 [B]
        Number of the motion, in the list that they were drawn from.
    """

    before: NDArray[np.float32]
    after: NDArray[np.float32]
    confidence_before: NDArray[np.float32]
    confidence_after: NDArray[np.float32]
    truth: NDArray[np.float32]
    confidence: NDArray[np.float32]
    torso: NDArray[np.float32]
    take: NDArray[np.int32]
    outgoing: NDArray[np.float32] | None = None
    incoming: NDArray[np.float32] | None = None
    confidence_outgoing: NDArray[np.float32] | None = None
    confidence_incoming: NDArray[np.float32] | None = None

    def gaps(self) -> list[PoseGap]:
        """The gaps one by one, as an in-betweener gets them."""
        return [
            PoseGap(
                before=self.before[index],
                after=self.after[index],
                confidence_before=self.confidence_before[index],
                confidence_after=self.confidence_after[index],
                length=self.truth.shape[1],
                outgoing=_side(self.outgoing, self.confidence_outgoing, index),
                incoming=_side(self.incoming, self.confidence_incoming, index),
            )
            for index in range(len(self.take))
        ]


class MotionBatches:
    """Draws batches of gaps from takes.

    Windows are spread over time, with some preference for fast motion. They are played faster or slower, backwards,
    mirrored, by bodies of other shape, and seen by random cameras; what is known is noisy, the truth is not. Where one
    frame on either side is all that is known, they run forwards at about their own speed, and are no cuts.

    Parameters
    ----------
    motions : sequence of Motion

    Raises
    ------
    UserError
        When there are no takes.
    """

    def __init__(self, motions: Sequence[Motion]) -> None:
        self._takes = Takes(motions)

    def draw(self, rng: np.random.Generator, count: int, context: int, length: int) -> GapBatch:
        """Draw `count` gaps of `length` frames with `context` known frames on either side; equal for equal `rng`.

        Raises
        ------
        UserError
            When no take is long enough.
        """
        natural = context < CONTEXT
        joints, take = self._takes.draw(length + 2 * context, count, rng, natural=natural)
        joints = reshape(mirror(joints, rng.random(count) < 0.5), rng)
        batch = _seen(joints, random_cameras(joints, rng), length, context, take)
        which = rng.random()
        if which < EXACT_SHARE:
            return batch
        cut = which < EXACT_SHARE + CUT_SHARE and not natural
        return _noisy(simulated_cut(batch, rng) if cut else batch, rng)


def fixed_gaps(motions: Sequence[Motion], length: int, context: int, seed: int = 0) -> GapBatch:
    """Cut every take into gaps of one length, end to end, for measuring: no noise, nothing changed.

    The first window of a take starts with its first frame, and the next one where its gap ended, so that no frame is
    filled twice. Each window has a camera of its own, always the same for the same seed. Takes too short for one window
    give none; `GapBatch.take` says which take each window is of (gaps of one take depend on each other: resample takes,
    not windows).

    Raises
    ------
    UserError
        When no take is long enough.
    """
    frames = length + 2 * context
    windows = [
        (take, first)
        for take, motion in enumerate(motions)
        for first in range(0, len(motion.joints) - frames + 1, length)
    ]
    if not windows:
        raise UserError(f"No take is as long as {frames} frames.", "Choose a shorter gap or longer takes.")
    joints = np.stack([motions[take].joints[first : first + frames] for take, first in windows])
    cameras = random_cameras(joints, np.random.default_rng(seed))
    return _seen(joints, cameras, length, context, np.array([take for take, _ in windows], np.int32))


def _side(joints: NDArray[np.float32] | None, confidence: NDArray[np.float32] | None, index: int) -> Side | None:
    return None if joints is None or confidence is None else Side(joints[index], confidence[index])


def _seen(
    joints: NDArray[np.float32], cameras: Cameras, length: int, context: int, take: NDArray[np.int32]
) -> GapBatch:
    """The gap in the middle of windows [B, n + 2 s, 17, 3] as cameras see it, without noise."""
    picture, _ = cameras.project(joints)
    _, scale = cameras.project(hips(joints[:, context - 1]))
    before, truth, after = np.split(picture, [context, context + length], axis=1)
    return GapBatch(
        before=before,
        after=after,
        confidence_before=np.ones(before.shape[:-1], np.float32),
        confidence_after=np.ones(after.shape[:-1], np.float32),
        truth=truth,
        confidence=np.ones(truth.shape[:-1], np.float32),
        torso=(np.percentile(torso_length(joints), TORSO_PERCENTILE, axis=1) * scale).astype(np.float32),
        take=take,
    )


def simulated_cut(batch: GapBatch, rng: np.random.Generator) -> GapBatch:
    """Add continuations such as the two sides of a cut have, made from the truth.

    The two sides differ all the time, as one person's pose from another's, and the truth crosses from one to the other,
    at its own pace. Besides, each continuation strays as one motion does from another: from nothing, and slowly at
    first. The others are those of other windows of the batch, all in torso lengths.
    """
    count, length = batch.truth.shape[:2]
    torso = batch.torso[:, None, None, None]
    whole = np.concatenate([batch.before[:, -1:], batch.truth, batch.after[:, :1]], axis=1) / torso
    pose = (whole - hips(whole)[:, :, None])[:, 1:-1]
    apart = _sized(_other(pose, rng) - pose, rng.uniform(*CUT_POSE, count))
    apart += _sized(rng.standard_normal((count, 1, 1, 2)), rng.uniform(*CUT_HIPS, count))
    time = np.arange(1, length + 1)[:, None, None] / (length + 1)
    pace = np.exp(rng.uniform(-0.5, 0.5, (count, 1, 1, 1)))
    crossing = time**pace * time**pace * (3 - 2 * time**pace)
    strays = []
    for path, rising in ((whole - whole[:, :1], time), (whole - whole[:, -1:], 1 - time)):
        stray = (_other(path, rng) - path)[:, 1:-1] * rising
        strays.append(_sized(stray, rng.uniform(*STRAY, count)))
    return replace(
        batch,
        outgoing=(batch.truth + torso * (crossing * apart + strays[0])).astype(np.float32),
        incoming=(batch.truth - torso * ((1 - crossing) * apart - strays[1])).astype(np.float32),
    )


def _other(windows: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """For each window another one of the batch."""
    return np.roll(windows, int(rng.integers(1, max(len(windows), 2))), axis=0)


def _sized(offset: NDArray[np.float32] | NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale offsets [B, n, J, 2] to the wanted mean length [B] in the middle frame."""
    size = np.linalg.norm(offset[:, offset.shape[1] // 2], axis=-1).mean(-1)
    scaled: NDArray[np.float64] = offset * np.minimum(wanted / np.maximum(size, 1e-6), LARGEST)[:, None, None, None]
    return scaled


def _noisy(batch: GapBatch, rng: np.random.Generator) -> GapBatch:
    """Let an estimator see all that is known; the truth stays."""
    context = batch.before.shape[1]
    first = batch.before if batch.outgoing is None else np.concatenate([batch.before, batch.outgoing], axis=1)
    second = batch.after if batch.incoming is None else np.concatenate([batch.incoming, batch.after], axis=1)
    first, first_sure = corrupt(first, batch.torso, rng)
    second, second_sure = corrupt(second, batch.torso, rng)
    batch = replace(
        batch,
        before=first[:, :context],
        confidence_before=first_sure[:, :context],
        after=second[:, -context:],
        confidence_after=second_sure[:, -context:],
    )
    if batch.outgoing is None:
        return batch
    return replace(
        batch,
        outgoing=first[:, context:],
        confidence_outgoing=first_sure[:, context:],
        incoming=second[:, :-context],
        confidence_incoming=second_sure[:, :-context],
    )
