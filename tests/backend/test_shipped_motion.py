"""The weights that come with the package, on ten fast gaps of people that they were not trained on.

`data/cmu_gaps.npz`: the fastest gap of 12 frames of each of ten takes of subjects 02 and 06 of the CMU Graphics Lab
Motion Capture Database, which may be used for any purpose, as `training.gaps.fixed_gaps` sees them: the 17 joints of
`MOTION` in px.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from vmg_backend.motion.baselines import HERMITE, LINEAR
from vmg_backend.motion.choice import Table
from vmg_backend.motion.gap import InBetweener, PoseGap
from vmg_backend.motion.mdm import MotionDiffusion
from vmg_backend.motion.weights import SHIPPED, Weights

FILE = Path(__file__).parent / "data" / "cmu_gaps.npz"


def gaps() -> tuple[list[PoseGap], np.ndarray, np.ndarray]:
    with np.load(FILE, allow_pickle=False) as data:
        before, after, truth, torso = (data[name] for name in ("before", "after", "truth", "torso"))
    sure = np.ones(before.shape[1:3], np.float32)
    return [PoseGap(*sides, sure, sure, 12) for sides in zip(before, after, strict=True)], truth, torso


def errors(method: InBetweener) -> np.ndarray:
    known, truth, torso = gaps()
    return np.linalg.norm(np.stack(method.fill(known)) - truth, axis=-1).mean(axis=(1, 2)) / torso


def test_they_are_nearer_to_real_motion_than_the_baselines() -> None:
    ours, linear, hermite = (errors(method) for method in (MotionDiffusion(Weights.load()), LINEAR, HERMITE))
    assert ours.mean() < 0.8 * min(linear.mean(), hermite.mean())
    assert (ours < linear).sum() >= 9


def test_they_are_small_and_quick() -> None:
    assert SHIPPED.stat().st_size < 20e6
    model, known = MotionDiffusion(Weights.load()), gaps()[0][:1]
    model.fill(known)
    started = time.process_time()
    model.fill(known)
    assert time.process_time() - started < 3.0  # 0.1 s on one idle core: ten times that, and more, for a busy one


def test_they_say_what_fills_which_gap() -> None:
    table = Table.from_json(Weights.load().about["choice"])
    assert {rule.method for rule in table.rules} > {"mdm"}
    known = gaps()[0][0]
    assert table.method(known, 100.0) == "mdm"
    single = PoseGap(known.before[-1:], known.after[:1], np.ones((1, 17), np.float32), np.ones((1, 17), np.float32), 12)
    assert table.method(single, 0.0) in {"linear", "hermite", "slerp", "mdm"}


@pytest.mark.parametrize("samples", [1, 4])
def test_equal_seeds_give_equal_motion(samples: int) -> None:
    model, known = MotionDiffusion(Weights.load(), samples=samples), gaps()[0][:2]
    assert all(np.array_equal(a, b) for a, b in zip(model.fill(known, 3), model.fill(known, 3), strict=True))
