"""The flow engine on real footage, judged by the poses seen in its frames."""

from __future__ import annotations

import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from vmg_backend.background.plate import plate_of
from vmg_backend.footage import FrameReader, open_footage
from vmg_backend.interpolation.engines import make_engine
from vmg_backend.interpolation.interpolator import Continuation, Gap, crossing_weights
from vmg_backend.motion.gap import Side
from vmg_backend.pose.skeletons import MEDIAPIPE
from vmg_backend.protocol import EngineChoice

MEDIA = os.environ.get("VMG_MEDIA")
BODY = 33
MATCHES = [(84, 52), (180, 213), (332, 518)]
"""Frames of dance_routine.mp4 at which the dancer stands and moves alike."""


def poses(frames: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    import mediapipe as mp

    height, width = frames[0].shape[:2]
    joints, confidence = [], []
    with mp.solutions.holistic.Holistic() as estimator:
        for frame in frames:
            landmarks = estimator.process(np.ascontiguousarray(frame)).pose_landmarks.landmark
            joints.append([(mark.x * width, mark.y * height) for mark in landmarks])
            confidence.append([mark.visibility for mark in landmarks])
    return np.array(joints, np.float32), np.array(confidence, np.float32)


def continuation(frames: list[np.ndarray]) -> Continuation:
    joints, confidence = poses(frames)
    hands = len(MEDIAPIPE.joints) - BODY
    return Continuation(
        np.stack(frames),
        np.pad(joints, ((0, 0), (0, hands), (0, 0)), constant_values=np.nan),
        np.pad(confidence, ((0, 0), (0, hands))),
    )


def around(a: list[np.ndarray], b: list[np.ndarray]) -> tuple[Side, Side]:
    """The poses right before and right after the gap."""
    first, last = continuation(a[:1]), continuation(b[-1:])
    return Side(first.joints, first.confidence), Side(last.joints, last.confidence)


@pytest.mark.long
@pytest.mark.skipif(not MEDIA, reason="VMG_MEDIA does not name the folder of real footage")
def test_flow_is_nearer_than_fade_to_the_pose_between_the_continuations() -> None:
    footage = open_footage(Path(MEDIA or "") / "footage" / "dance_routine.mp4", fps=Fraction(30))
    errors: dict[str, list[float]] = {"fade": [], "flow": []}
    half = 4
    with FrameReader(footage) as reader:
        plate = plate_of(footage, reader)
        for i, j in MATCHES:
            a, b = (list(reader.frames(k - half, k + half + 1)) for k in (i, j))
            gap = Gap(
                a[:1], b[-1:], continuation(a[1:-1]), continuation(b[1:-1]), plate.image, plate.image, *around(a, b)
            )
            weights = crossing_weights(gap.length)[:, None, None]
            between = ((1 - weights) * gap.outgoing.joints + weights * gap.incoming.joints)[:, list(MEDIAPIPE.core)]
            for name, engine_errors in errors.items():
                made = make_engine(EngineChoice(name)).fill(gap)
                assert made.shape == gap.outgoing.frames.shape
                seen, _ = poses([a[0], *made, b[-1]])
                offset = seen[1:-1][:, list(MEDIAPIPE.core)] - between
                engine_errors.append(float(np.hypot(offset[..., 0], offset[..., 1]).mean()))
                if name == "flow":
                    changes = [
                        np.abs(now.astype(int) - last).mean()
                        for last, now in zip([a[0], *made], [*made, b[-1]], strict=True)
                    ]
                    real = [np.abs(now.astype(int) - last).mean() for side in (a, b) for last, now in pairwise(side)]
                    assert max(changes) < 2.0 * max(real)
    assert np.mean(errors["flow"]) < 0.9 * np.mean(errors["fade"])
