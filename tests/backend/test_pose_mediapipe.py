"""mediapipe on real footage, found by VMG_MEDIA, and on the project's own sample."""

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from vmg_backend import sample
from vmg_backend.errors import Cancelled
from vmg_backend.footage import FrameReader, open_footage
from vmg_backend.pose import MEDIAPIPE, MediapipeEstimator, PoseTrack
from vmg_backend.progress import Progress

pytest.importorskip("mediapipe")
MEDIA = os.environ.get("VMG_MEDIA")
needs_media = pytest.mark.skipif(not MEDIA, reason="VMG_MEDIA does not name the folder with real footage")
CORE = list(MEDIAPIPE.core)


def footage(name, frames=None):
    """Footage as it is, or only its first frames."""
    whole = open_footage(Path(MEDIA) / "footage" / name)
    if frames is None:
        return whole
    shots = whole.shots[whole.shots[:, 0] < frames].copy()
    shots[-1, 1] = min(shots[-1, 1], frames - 1)
    return replace(whole, pts=whole.pts[:frames], shots=shots, ranges=np.array([[0, frames - 1]], np.int32))


def arrays(track):
    return {name: getattr(track, name) for name in ("image", "world", "confidence", "person")}


@needs_media
@pytest.mark.long
def test_one_and_two_workers_track_alike(tmp_path):
    clip = footage("dance_sea.mp4")
    one, two = (MediapipeEstimator().track(clip, workers=workers) for workers in (1, 2))
    for name, values in arrays(one).items():
        np.testing.assert_array_equal(values, arrays(two)[name], err_msg=name)
    assert one.person.mean() > 0.95
    assert one.image.shape == (clip.frames, 75, 2)
    assert {values.dtype for values in (one.image, one.world, one.confidence)} == {np.dtype(np.float32)}
    assert one.confidence.min() >= 0
    assert one.confidence.max() <= 1
    hips = one.world[one.person][:, list(MEDIAPIPE.index("left_hip", "right_hip"))].mean(1)
    assert np.abs(hips).max() < 0.01
    one.save(tmp_path / "track.npz")
    loaded = PoseTrack.load(tmp_path / "track.npz")
    for name, values in arrays(one).items():
        np.testing.assert_array_equal(values, arrays(loaded)[name])


@needs_media
@pytest.mark.long
def test_smoothing_switched_off_leaves_the_detections_and_on_only_calms_them():
    clip = footage("dance_sea.mp4", 60)
    raw, smoothed = (MediapipeEstimator(smoothing).track(clip) for smoothing in (False, True))
    np.testing.assert_array_equal(raw.confidence, smoothed.confidence)
    first, second = (track.image[:, CORE] for track in (raw, smoothed))
    assert (
        np.linalg.norm(np.diff(second, 2, axis=0), axis=-1).mean()
        < 0.8 * np.linalg.norm(np.diff(first, 2, axis=0), axis=-1).mean()
    )
    assert np.median(np.linalg.norm(first - second, axis=-1)) < 0.01 * clip.size[1]
    assert MediapipeEstimator(False).version != MediapipeEstimator(True).version


@needs_media
@pytest.mark.long
@pytest.mark.serial
def test_cancelling_ends_the_tracking_within_a_second():
    cancelled, when = threading.Event(), []

    def report(_fraction, _stage):
        if not when:
            when.append(time.monotonic())
        cancelled.set()

    with pytest.raises(Cancelled):
        MediapipeEstimator().track(footage("dance_sea.mp4"), workers=2, progress=Progress(report, cancelled))
    assert time.monotonic() - when[0] < 1


@needs_media
@pytest.mark.long
def test_nobody_is_found_in_the_empty_room():
    """Looked at by eye: empty up to frame 7, 560 to 578 and 1065 to 1077; the whole dancer from 90 to 150."""
    track = MediapipeEstimator().track(footage("dance_room.mp4", 1120), workers=2)
    for first, last in ((0, 7), (560, 578), (1065, 1077)):
        assert not track.person[first : last + 1].any()
    assert track.person[90:151].all()
    assert track.person[100:540].mean() > 0.9
    absent = ~track.person
    assert np.isnan(track.image[absent]).all() and np.isnan(track.world[absent]).all()
    assert (track.confidence[absent] == 0).all()
    assert np.isfinite(track.image[track.person]).all() and np.isfinite(track.world[track.person]).all()


@needs_media
@pytest.mark.long
def test_office_chairs_are_nobody(tmp_path):
    """The right side of a room while the man sits on the left: mediapipe sees a person in a chair in many frames."""
    source = footage("sit_walk_in_out.mp4")
    path = tmp_path / "chairs.mp4"
    with FrameReader(source) as reader, av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = 320, 720, "yuv420p"
        for picture in reader.frames(30, 160):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:, 400:]), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert not MediapipeEstimator().track(open_footage(path), workers=2).person.any()
    assert MediapipeEstimator().track(source, workers=2).person.mean() > 0.95


@needs_media
@pytest.mark.long
def test_limbs_lie_on_the_skeleton_that_others_drew():
    frames = 240
    clip = footage("dance_routine.mp4", frames)
    track = MediapipeEstimator().track(clip, workers=2)
    ends = list(MEDIAPIPE.index("left_wrist", "right_wrist", "left_ankle", "right_ankle"))
    distances = []
    with FrameReader(footage("dance_routine_skeleton.mp4")) as reader:
        for number, drawn in enumerate(reader.frames(0, frames - 1)):
            to_limb = cv2.distanceTransform((drawn.max(2) < 60).astype(np.uint8), cv2.DIST_L2, 5)
            x, y = np.clip(np.round(track.image[number, ends]).astype(int), 0, np.array(clip.size) - 1).T
            distances.append(to_limb[y, x])
    near = np.array(distances) < 0.02 * clip.size[1]
    assert near.all(1).mean() > 0.9
    assert near.mean(0).min() > 0.95


@needs_media
@pytest.mark.long
def test_hands_of_a_speaker_are_found_at_his_wrists():
    track = MediapipeEstimator().track(footage("talk_gestures.mp4", 90), workers=2)
    for hand, wrist in ((MEDIAPIPE.left_hand, "left_wrist"), (MEDIAPIPE.right_hand, "right_wrist")):
        confidence = track.confidence[:, hand[0]]
        seen = confidence > 0.3
        assert seen.mean() > 0.8
        assert (track.confidence[:, list(hand)] == confidence[:, None]).all()
        joints = track.world[seen][:, list(hand)]
        np.testing.assert_allclose(joints[:, 0], track.world[seen][:, MEDIAPIPE.joints.index(wrist)], atol=0.02)
        reach = np.linalg.norm(joints - joints[:, :1], axis=-1).max(1)
        assert 0.09 < np.median(reach) < 0.24  # metres from the wrist to the farthest fingertip


@pytest.mark.long
def test_the_sample_performer_is_found_where_it_is(sample_library):
    truth = json.loads(sample.TRUTH.read_text(encoding="utf-8"))
    track = sample_library.poses(sample_library.footage(sample.PERFORMER), MediapipeEstimator())
    assert track.person.all()
    names = [name for name in truth["joints"] if name in MEDIAPIPE.joints and name != "nose"]
    ours = track.image[:, list(MEDIAPIPE.index(*names))]
    theirs = np.array(truth["image"])[:, [truth["joints"].index(name) for name in names]]
    assert len(ours) == len(theirs) and len(names) == 12
    at = {name: theirs[:, names.index(name)] for name in names}
    torso = np.linalg.norm(
        (at["left_shoulder"] + at["right_shoulder"] - at["left_hip"] - at["right_hip"]) / 2, axis=-1
    ).max()
    error = np.linalg.norm(ours - theirs, axis=-1) / torso
    assert error.mean() < 0.08
    assert (error > 0.25).mean() < 0.01
    wrists = [names.index("left_wrist"), names.index("right_wrist")]
    lags = range(-3, 4)
    inner = slice(4, -4)
    cost = [np.abs(np.roll(ours, -lag, axis=0)[inner, wrists] - theirs[inner, wrists]).mean() for lag in lags]
    assert lags[int(np.argmin(cost))] == 0
