"""Tuning the Motion Diffusion Model to how one person moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...evaluation.bootstrap import interval
from ...motion.gap import CONTEXT, PoseGap
from ...motion.mdm import MotionDiffusion
from ...motion.weights import Weights
from ...pose.mapping import convert
from ...pose.skeletons import MOTION
from ...progress import SILENT, Progress
from ..gaps import CUT_SHARE, TORSO_PERCENTILE, GapBatch, simulated_cut
from ..mdm import RECIPES, Training
from ..windows import torso_length
from .clips import Clips
from .validation import TrueGap


@dataclass(frozen=True)
class Tuning:
    """What came of it.

    Attributes
    ----------
    weights : Weights
    before, after : float
        Mean distance of joints from where the estimator saw them, in gaps that were not trained on, torso lengths.
    better : bool
        Whether the 95 % interval of the difference, gaps resampled, lies below 0.
    """

    weights: Weights
    before: float
    after: float
    better: bool

    def as_dict(self) -> dict[str, Any]:
        """For the result of a training."""
        return {"before": round(self.before, 4), "after": round(self.after, 4), "better": self.better}


class ClipBatches:
    """Draws gaps from clips: as they are, or with continuations such as at a cut.

    Parameters
    ----------
    clips : Clips
    """

    def __init__(self, clips: Clips) -> None:
        self._clips = clips

    def draw(self, rng: np.random.Generator, count: int, context: int, length: int) -> GapBatch:
        """Draw `count` gaps of `length` frames with `context` known frames on either side.

        The truth is the estimator's track, and so is what is known, with the noise that it has.

        Raises
        ------
        UserError
            When no clip is long enough.
        """
        windows = self._clips.windows(length + 2 * context)
        chosen = [windows[each] for each in rng.integers(len(windows), size=count)]
        poses = [self._clips.poses(window) for window in chosen]
        joints, confidence = convert(
            np.stack([one for one, _ in poses]), np.stack([sure for _, sure in poses]), self._clips.skeleton, MOTION
        )
        before, truth, after = np.split(joints, [context, context + length], axis=1)
        sure_before, sure, sure_after = np.split(confidence, [context, context + length], axis=1)
        batch = GapBatch(
            before=before,
            after=after,
            confidence_before=sure_before,
            confidence_after=sure_after,
            truth=np.nan_to_num(truth),
            confidence=np.where(np.isfinite(truth).all(-1), sure, 0.0).astype(np.float32),
            torso=np.nanpercentile(torso_length(joints), TORSO_PERCENTILE, axis=1).astype(np.float32),
            take=np.array([window.clip for window in chosen], np.int32),
        )
        if context < CONTEXT or rng.random() >= CUT_SHARE:
            return batch
        return replace(simulated_cut(batch, rng), confidence_outgoing=sure, confidence_incoming=sure)


def tune_guide(clips: Clips, gaps: Sequence[TrueGap], steps: int, state: Path, progress: Progress = SILENT) -> Tuning:
    """Tune the weights that come with the package, and measure both on gaps that were not trained on.

    Parameters
    ----------
    clips : Clips
    gaps : sequence of TrueGap
    steps : int
    state : Path
        From which the tuning goes on where it was stopped.
    progress : Progress

    Raises
    ------
    UserError
        When the state cannot be read.
    """
    shipped = Weights.load()
    longest = min(RECIPES["tuning"].longest, max(clip.frames for clip in clips.clips) - 2 * CONTEXT)
    recipe = replace(RECIPES["tuning"], steps=steps, longest=longest)
    training = Training(ClipBatches(clips).draw, len(MOTION.joints), recipe, shipped)
    if state.exists():
        training.resume(state)
    training.run(state, progress)
    tuned = training.weights({**shipped.about, "tuned": clips.told["sources"]})
    errors = [_errors(MotionDiffusion(weights), gaps, clips) for weights in (shipped, tuned)]
    difference = errors[1] - errors[0]
    _, high = interval(difference)
    return Tuning(tuned, float(errors[0].mean()), float(errors[1].mean()), high < 0.0)


def _errors(method: MotionDiffusion, gaps: Sequence[TrueGap], clips: Clips) -> NDArray[np.float64]:
    """Mean distance of the joints in each gap, torso lengths."""
    found = []
    for one in gaps:
        gap = one.gap
        if gap.guide is None:
            raise ValueError("A true gap knows its joints.")
        sides = [gap.before.joints[-CONTEXT:], gap.guide.joints, gap.after.joints[:CONTEXT]]
        sures = [gap.before.confidence[-CONTEXT:], gap.guide.confidence, gap.after.confidence[:CONTEXT]]
        (before, truth, after), (sure_before, sure, sure_after) = zip(
            *(convert(joints, trust, clips.skeleton, MOTION) for joints, trust in zip(sides, sures, strict=True)),
            strict=True,
        )
        filled = method.fill([PoseGap(before, after, sure_before, sure_after, len(truth))], gap.seed)[0]
        torso = np.nanpercentile(torso_length(np.concatenate([before, truth, after])), TORSO_PERCENTILE)
        distance = np.linalg.norm(filled - truth, axis=-1) / torso
        trusted = np.where(np.isfinite(distance), sure, 0.0)
        found.append(float((trusted * np.nan_to_num(distance)).sum() / trusted.sum()))
    return np.array(found)
