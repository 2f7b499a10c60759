"""Where the loss weighs more because of hands: worked out by hand, and on a person who talks with them."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vmg_backend.footage import Footage, FrameReader
from vmg_backend.interpolation.crop import plan_crop
from vmg_backend.pose import processes
from vmg_backend.pose.mediapipe_estimator import MediapipeEstimator
from vmg_backend.pose.skeletons import MEDIAPIPE, MOTION
from vmg_backend.training.hminterp.hands import hand_weights

MEDIA = os.environ.get("VMG_MEDIA")
CELLS, FACTOR = (20, 16), 8
LEFT, RIGHT = list(MEDIAPIPE.left_hand), list(MEDIAPIPE.right_hand)


def hand(left: float, top: float, right: float, bottom: float, frames: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The left hand's joints in a box, px, all of them sure; nothing else is known."""
    joints = np.full((frames, len(MEDIAPIPE.joints), 2), np.nan, np.float32)
    confidence = np.zeros(joints.shape[:2], np.float32)
    along = np.linspace(0, 1, len(LEFT))[:, None]
    joints[:, LEFT] = (left, top) + along * np.array([right - left, bottom - top])
    confidence[:, LEFT] = 0.9
    return joints, confidence


def weights_of(joints, confidence, weight=10.0, **options):
    return hand_weights(joints, confidence, MEDIAPIPE, CELLS, FACTOR, weight, **options)


def test_the_box_of_a_sure_hand_weighs_ten():
    found = weights_of(*hand(41, 26, 79, 47))
    wanted = np.ones((1, 16, 20), np.float32)
    wanted[0, 3:6, 5:10] = 10.0
    assert np.array_equal(found, wanted)
    assert found.dtype == np.float32


def test_only_frames_in_which_the_whole_hand_is_sure_count():
    joints, confidence = hand(40, 24, 80, 48, frames=3)
    confidence[1, LEFT[5]] = 0.5
    confidence[2, LEFT] = 0.79
    assert [(frame > 1).any() for frame in weights_of(joints, confidence)] == [True, False, False]
    assert (weights_of(joints, confidence, share=0.9)[1] == 10).sum() == 5 * 3
    assert (weights_of(joints, confidence, sure=0.7)[2] == 10).sum() == 5 * 3


@pytest.mark.parametrize(
    ("box", "counts"), [((40, 24, 55, 39), False), ((40, 24, 57, 26), True), ((41, 24, 42, 40), True)]
)
def test_hands_below_two_cells_do_not_count(box, counts):
    assert (weights_of(*hand(*box)) > 1).any() == counts


def test_hands_at_the_edge_weigh_as_far_as_they_are_seen():
    joints, confidence = hand(-20, -20, 20, 12)
    wanted = np.ones((16, 20))
    wanted[:2, :3] = 10
    assert np.array_equal(weights_of(joints, confidence)[0], wanted)
    assert (weights_of(*hand(200, 10, 240, 50)) == 1).all()
    assert (weights_of(*hand(-60, 10, -20, 50)) == 1).all()


@pytest.mark.parametrize("cells", [20, 71, 72, 160, 320])
def test_the_mean_weight_is_three_at_most(cells):
    right = 8 * min(cells, 20)
    found = weights_of(*hand(0, 0, right, 8 * (cells // 20) if cells >= 20 else 8))
    assert found.mean() <= 3.0001
    assert found.max() == pytest.approx(min(10.0, 1 + 2 / (found > 1).mean()), rel=1e-5)


def test_without_weight_or_hands_all_is_one():
    joints, confidence = hand(40, 24, 80, 48)
    assert (weights_of(joints, confidence, 1.0) == 1).all()
    assert (hand_weights(np.zeros((2, 17, 2)), np.ones((2, 17)), MOTION, CELLS, FACTOR, 10.0) == 1).all()


def part(path: Path, first: int, last: int) -> Footage:
    """Frames of a footage of one shot, without decoding the whole."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        pts = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)[first : last + 1]
        size, base = (stream.width, stream.height), stream.time_base
    whole = np.array([[0, len(pts) - 1]], np.int32)
    return Footage(path.stem, path, Fraction(30), size, 0, np.array(pts), base, False, whole, whole)


@pytest.mark.long
@pytest.mark.skipif(not MEDIA, reason="VMG_MEDIA does not name the folder of real footage")
def test_on_talking_hands_it_fires_where_they_are(monkeypatch):
    """Against mediapipe's model for hands alone, which knows nothing of the body's pose: it looks for palms."""
    from mediapipe.python.solutions.hands import Hands

    def here(task, chunks, **_):  # not in processes of their own, which take seconds to start
        return [task(chunk, lambda: None) for chunk in chunks]

    monkeypatch.setattr(processes, "run", here)
    footage = part(Path(MEDIA or "") / "footage" / "talk_gestures.mp4", 180, 209)
    track = MediapipeEstimator().track(footage)
    crop = plan_crop(track.image, track.confidence, footage.size, 256, 64)
    width, height = crop.size
    cells = (width // FACTOR, height // FACTOR)
    weights = hand_weights(crop.joints(track.image), track.confidence, MEDIAPIPE, cells, FACTOR, 10.0)
    seen = {}
    with Hands(static_image_mode=True, max_num_hands=2) as model, FrameReader(footage) as reader:
        for k in range(0, footage.frames, 3):
            frame = reader.frame(k)
            side = max(frame.shape[:2])
            square = np.zeros((side, side, 3), np.uint8)
            square[: frame.shape[0], : frame.shape[1]] = frame
            hands = model.process(square).multi_hand_landmarks or []
            places = [
                crop.joints(side * np.array([(mark.x, mark.y) for mark in one.landmark])) / FACTOR for one in hands
            ]
            if places:
                seen[k] = places
    assert len(seen) >= 8
    fires = [bool((weights[k] > 1).any()) for k in seen]
    assert 0.2 <= np.mean(fires) <= 0.95

    def on(heavy: np.ndarray, joints: np.ndarray) -> float:
        """Share of a hand's joints that lie in heavy cells."""
        at = np.clip(joints.astype(int), 0, np.array(cells) - 1)
        return float(heavy[at[:, 1], at[:, 0]].mean())

    hit, mirrored, away = [], [], []
    for k, places in seen.items():
        heavy = weights[k] > 1
        if heavy.any():
            near = np.zeros_like(heavy)
            for joints in places:
                (left, top), (right, bottom) = np.maximum([joints.min(0) - 2, joints.max(0) + 3], 0).astype(int)
                near[top:bottom, left:right] = True
            hit.append(max(on(heavy, joints) for joints in places) > 0.9)
            mirrored.append(max(on(heavy[:, ::-1], joints) for joints in places) > 0.9)
            away.append((heavy & ~near).sum() / heavy.sum())
    assert np.mean(hit) > 0.9
    assert np.mean(away) < 0.15
    assert np.mean(mirrored) < 0.5  # the check can fail
