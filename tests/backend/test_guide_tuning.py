"""Tuning the Motion Diffusion Model to one person."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vmg_backend import sample
from vmg_backend.interpolation.fill import Material
from vmg_backend.library import FootageLibrary
from vmg_backend.motion.weights import Weights
from vmg_backend.pose.mapping import convert
from vmg_backend.pose.mediapipe_estimator import MediapipeEstimator
from vmg_backend.pose.skeletons import MEDIAPIPE, MOTION
from vmg_backend.training.hminterp import guide_tuning
from vmg_backend.training.hminterp.clips import Window
from vmg_backend.training.hminterp.guide_tuning import ClipBatches, tune_guide
from vmg_backend.training.hminterp.held_out import HeldOut
from vmg_backend.training.hminterp.validation import true_gap

PERIOD = 16.0
"""Frames in which the person below waves once."""


@dataclass
class Waving:
    """A track where a training expects clips: somebody stands there and waves, always at the same rate."""

    pose: np.ndarray
    skeleton: Any = MEDIAPIPE
    told: dict[str, Any] = field(default_factory=lambda: {"sources": []})
    length: int = 200

    def at(self, frames: np.ndarray) -> np.ndarray:
        joints = np.repeat(self.pose[None], len(frames), axis=0).astype(np.float32)
        arms = MEDIAPIPE.index("left_wrist", "right_wrist", "left_elbow", "right_elbow")
        reach = 0.4 * (self.pose[:, 1].max() - self.pose[:, 1].min())
        for share, arm in zip((0.6, 0.6, 0.3, 0.3), arms, strict=True):
            joints[:, arm, 1] -= share * reach * np.sin(2.0 * np.pi * frames / PERIOD)
        return joints

    @property
    def clips(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(frames=self.length)]

    def windows(self, frames: int) -> list[Window]:
        assert frames <= self.length
        return [Window(0, first, frames) for first in range(self.length - frames + 1)]

    def poses(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        assert window.first + window.frames <= self.length
        joints = self.at(np.arange(window.first, window.first + window.frames))
        return joints, np.ones(joints.shape[:2], np.float32)


@pytest.fixture
def waving(true_library: FootageLibrary) -> Waving:
    footage = true_library.footage(sample.PERFORMER)
    return Waving(true_library.poses(footage, MediapipeEstimator()).image[0])


def gap_of(waving: Waving, first: int) -> Any:  # what `tune_guide` looks at of a true gap
    def side(begin: int, end: int) -> SimpleNamespace:
        joints = waving.at(np.arange(begin, end))
        return SimpleNamespace(joints=joints, confidence=np.ones(joints.shape[:2], np.float32))

    gap = SimpleNamespace(
        before=side(first - 3, first), guide=side(first, first + 12), after=side(first + 12, first + 15)
    )
    gap.seed = 0
    return SimpleNamespace(gap=gap)


def test_gaps_are_drawn_from_the_clips_as_they_are(waving: Waving) -> None:
    batch = ClipBatches(waving).draw(np.random.default_rng(1), 5, 1, 6)
    assert batch.outgoing is None
    whole = np.concatenate([batch.before, batch.truth, batch.after], axis=1)
    every, _ = convert(*waving.poses(Window(0, 0, waving.length)), MEDIAPIPE, MOTION)
    for window in whole:
        starts = [
            first for first in range(waving.length - 8) if np.allclose(every[first : first + 8], window, atol=1e-3)
        ]
        assert starts


def test_some_gaps_have_continuations_such_as_at_a_cut(waving: Waving) -> None:
    batches = [ClipBatches(waving).draw(np.random.default_rng(seed), 5, 3, 6) for seed in range(12)]
    cuts = [batch for batch in batches if batch.outgoing is not None]
    assert 0 < len(cuts) < len(batches)
    assert all(np.abs(batch.outgoing - batch.truth).max() > 1.0 for batch in cuts)
    assert all(gap.continued for gap in cuts[0].gaps())


@pytest.mark.long
def test_a_person_whose_motion_is_unusual_is_learned(
    waving: Waving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = replace(guide_tuning.RECIPES["tuning"], batch=8, rate=2e-3)
    monkeypatch.setattr(guide_tuning, "RECIPES", {"tuning": quick})
    gaps = [gap_of(waving, first) for first in range(230, 236, 2)]  # another time than the clips'
    tuning = tune_guide(waving, gaps, 8, tmp_path / "state")
    assert tuning.better
    assert tuning.after < 0.95 * tuning.before
    shipped = Weights.load()
    assert set(tuning.weights.tensors) == set(shipped.tensors)
    assert tuning.weights.about["choice"] == shipped.about["choice"]
    again = tune_guide(waving, gaps[:1], 8, tmp_path / "state")  # was at its end
    assert all(np.array_equal(again.weights.tensors[name], tensor) for name, tensor in tuning.weights.tensors.items())


def test_short_clips_are_asked_for_short_gaps(waving: Waving, tmp_path: Path) -> None:
    waving.length = 15
    tune_guide(waving, [gap_of(waving, 230)], 1, tmp_path / "state")


def test_a_true_gap_is_what_the_footage_shows(true_library: FootageLibrary) -> None:
    footage = true_library.footage(sample.PERFORMER)
    track = true_library.poses(footage, MediapipeEstimator())
    held_out = HeldOut(footage.id, tuple(range(40, 58)), 3, fast=True)
    one = true_gap(Material(footage, track, None), held_out)
    assert one.frames.shape[0] == one.gap.length == 12
    np.testing.assert_array_equal(one.joints, track.image[43:55])
    np.testing.assert_array_equal(one.gap.before.joints, track.image[40:43])
    assert (one.gap.outgoing.frames == one.gap.start).all()
    assert (one.gap.incoming.frames == one.gap.end).all()
    assert not (one.frames[0] == one.gap.start).all()
