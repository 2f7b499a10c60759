"""The Motion Diffusion Model as an in-betweener of poses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..pose.skeletons import MOTION
from .features import LONGEST, Floats, tell
from .forward import Forward
from .gap import CONTEXT, Joints, PoseGap, fill_together, played_backwards, transformed
from .regression import kind
from .schedule import ddim
from .weights import Weights

_TOGETHER = 64
"""Motions that are walked from noise at once."""

_FLIP = np.array([-1.0, 1.0], np.float32)

Network = Callable[[Floats, float, Floats, Floats], Floats]


class MotionDiffusion:
    """Joints in between as a diffusion model draws them (Video Motion Graphs, section 3.3).

    What it draws of a gap is the mean of what it draws of it, of its mirror image and, where it knows which way things
    move, of both played backwards: the training shows it all of these, so they differ by its errors alone.

    Parameters
    ----------
    weights : Weights
    network : callable, optional
        Computes what `forward.Forward` does.
    mirror : sequence of int, optional
        The joint in whose place each joint [J] is in a mirror.
    samples : int
        Motions that are drawn for each gap in all, at least one of each view.
    steps : int
        Of the way from noise. The second one changes the error by less than 1 %.
    """

    name = "mdm"

    def __init__(
        self,
        weights: Weights,
        network: Network | None = None,
        *,
        mirror: Sequence[int] = MOTION.mirror,
        samples: int = 4,
        steps: int = 2,
    ) -> None:
        self._weights = weights
        self._network = network or Forward(weights.tensors, weights.heads)
        self._mirror = list(mirror)
        self._samples = samples
        self._steps = steps

    def fill(self, gaps: Sequence[PoseGap], seed: int = 0) -> list[Joints]:
        """The joints [n, J, 2] in each gap."""
        return fill_together(gaps, lambda group: self._seen(group, seed), kind)

    def _seen(self, gaps: list[PoseGap], seed: int) -> NDArray[np.float32]:
        """The mean over all views of gaps of one shape and kind."""
        backwards = (False, True) if len(gaps[0].before) >= CONTEXT else (False,)
        views = [(mirrored, reverse) for mirrored in (False, True) for reverse in backwards]
        drawn = []
        for mirrored, reverse in views:
            view = [self._mirrored(gap) for gap in gaps] if mirrored else gaps
            view = [played_backwards(gap) for gap in view] if reverse else view
            joints = self._between(view, max(1, self._samples // len(views)), seed)
            joints = joints[:, ::-1] if reverse else joints
            drawn.append(joints[:, :, self._mirror] * _FLIP if mirrored else joints)
        return np.asarray(np.mean(drawn, axis=0), np.float32)

    def _mirrored(self, gap: PoseGap) -> PoseGap:
        return transformed(gap, lambda joints: joints[:, self._mirror] * _FLIP, lambda sure: sure[:, self._mirror])

    def _between(self, gaps: list[PoseGap], samples: int, seed: int) -> NDArray[np.float32]:
        length = gaps[0].length
        if length > LONGEST:
            raise ValueError(f"Gaps of {length} frames are longer than the network's {LONGEST}.")
        prior = self._weights.tables[cell(gaps)]
        told = tell(gaps, prior)
        noise = np.random.default_rng([seed, length]).standard_normal((samples, *told.base.shape[1:]), dtype=np.float32)
        each = max(1, _TOGETHER // samples)
        offsets = [
            self._walk(told.frames[first : first + each], told.ends[first : first + each], noise)
            for first in range(0, len(gaps), each)
        ]
        offset = np.concatenate(offsets) * prior.sigma[:, None, None] * told.scale
        filled = told.in_pixels(told.base + offset)
        unknown = np.isnan(np.stack([np.concatenate([gap.before, gap.after]) for gap in gaps])).all(axis=(1, 3))
        filled[np.broadcast_to(unknown[:, None], filled.shape[:3])] = np.nan
        return filled

    def _walk(self, frames: Floats, both: Floats, noise: Floats) -> Floats:
        """The mean of several walks from `noise` [S, n, J, 2], for each gap: normalised offsets [B, n, J, 2]."""
        count, samples = len(frames), len(noise)
        frames, both = (np.repeat(told, samples, axis=0) for told in (frames, both))
        drawn = ddim(
            lambda noisy, moment: self._network(noisy, moment, frames, both),
            np.tile(noise, (count, 1, 1, 1)),
            self._steps,
        )
        mean: Floats = drawn.reshape(count, samples, *noise.shape[1:]).mean(axis=1)
        return mean


def cell(gaps: Sequence[PoseGap]) -> tuple[int, int, int]:
    """Where gaps of one shape and kind stand in the weights' tables: context, kind, length."""
    return int(len(gaps[0].before) >= CONTEXT), kind(gaps[0]), gaps[0].length
