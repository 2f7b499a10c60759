"""The shipped sample against its own ground truth, by means that did not make it."""

import itertools
import json

import av
import numpy as np
import pytest
import soundfile

from vmg_backend import sample

LIMBS = [
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("left", "right")
    for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
]
TRACKED = [
    f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
]


@pytest.fixture(scope="module")
def truth():
    loaded = json.loads(sample.TRUTH.read_text(encoding="utf-8"))
    loaded["image"] = np.array(loaded["image"])
    loaded["world"] = np.array(loaded["world"])
    return loaded


@pytest.fixture(scope="module")
def beats():
    return np.loadtxt(sample.BEATS)


def column(truth, name):
    return truth["joints"].index(name)


def decoded(step=1):
    with av.open(str(sample.PERFORMER)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % step == 0:
                yield number, frame.to_ndarray(format="rgb24")


def test_a_few_megabytes_are_shipped():
    assert sum(path.stat().st_size for path in (sample.PERFORMER, sample.TRUTH, sample.MUSIC, sample.BEATS)) < 5e6


def test_video_has_the_frames_size_and_rate_of_the_truth_and_no_sound(truth):
    with av.open(str(sample.PERFORMER)) as container:
        assert not container.streams.audio
        stream = container.streams.video[0]
        assert stream.average_rate == truth["fps"]
        stamps = [float(frame.pts * stream.time_base) for frame in container.decode(stream)]
        assert [stream.width, stream.height] == truth["size"]
    np.testing.assert_allclose(stamps, np.arange(truth["frames"]) / truth["fps"], atol=1e-6)
    assert truth["image"].shape == (truth["frames"], len(truth["joints"]), 2)
    assert truth["world"].shape == (truth["frames"], len(truth["joints"]), 3)


def test_bones_keep_their_length(truth):
    for a, b in [*LIMBS, ("left_hip", "right_hip")]:
        lengths = np.linalg.norm(truth["world"][:, column(truth, a)] - truth["world"][:, column(truth, b)], axis=1)
        assert np.ptp(lengths) < 0.003, (a, b)  # the file rounds to a millimetre
        assert 0.15 < lengths.mean() < 0.5


def test_image_is_the_pinhole_projection_of_the_world_and_inside_the_picture(truth):
    width, height = truth["size"]
    x, depth, z = np.moveaxis(truth["world"] - truth["camera"]["position"], -1, 0)
    focal = truth["camera"]["focal_px"]
    expected = np.stack([width / 2 + focal * x / depth, height / 2 - focal * z / depth], axis=-1)
    np.testing.assert_allclose(truth["image"], expected, atol=0.3)
    assert (truth["image"] > 20).all()
    assert (truth["image"] < np.array([width, height]) - 20).all()


def test_performer_is_seen_where_the_truth_says(truth):
    numbers, pictures = zip(*decoded(step=16), strict=True)
    rows = np.array([picture[::4] for picture in pictures], np.int16)  # every fourth row is enough
    changed = np.abs(rows - np.median(rows, axis=0)).max(axis=-1) > 25
    for joint in ("left_wrist", "right_wrist", "left_elbow", "right_elbow"):
        seen = []
        for number, mask in zip(numbers, changed, strict=True):
            x, y = truth["image"][number, column(truth, joint)]
            row, col = round(y / 4), round(x)
            seen.append(mask[row - 2 : row + 3, col - 6 : col + 7].any())
        moved = truth["image"][list(numbers), column(truth, joint)].std(axis=0).sum()
        assert moved > 20  # else the median would hold the arm
        assert np.mean(seen) > 0.95, joint


def test_figures_recur_and_differ(truth):
    names = [figure["name"] for figure in truth["figures"]]
    assert len({name.removeprefix("-") for name in names}) >= 8
    assert sum(names.count(name) >= 3 for name in set(names)) >= 4  # to the same side
    starts = np.array([figure["start"] for figure in truth["figures"]])
    np.testing.assert_allclose(starts, np.array(truth["beats"])[::2][: len(starts)], atol=1e-3)


def test_dance_rests_on_its_beats_and_moves_between_them(truth):
    step = np.linalg.norm(np.diff(truth["world"], axis=0), axis=2).mean(axis=1)
    middles = (np.arange(len(step)) + 0.5) / truth["fps"]
    beats = np.array(truth["beats"])
    for a, b in itertools.pairwise(beats):
        between = step[(middles > a) & (middles < b)].max()
        assert np.interp(a, middles, step) < 0.25 * between
        assert between > 0.01


def test_dance_and_music_have_different_beats(truth, beats):
    dance = np.diff(truth["beats"])
    assert np.std(dance) > 0.005
    assert abs(np.median(dance) - np.median(np.diff(beats[:, 0]))) > 0.04


def test_music_holds_its_regular_beats(beats):
    sound, rate = soundfile.read(sample.MUSIC)
    assert len(sound) / rate == pytest.approx(35.0)
    assert 0.5 < np.abs(sound).max() < 1
    times, positions = beats.T
    assert times[0] == 0.5
    np.testing.assert_allclose(np.diff(times), 0.5, atol=1e-9)
    np.testing.assert_array_equal(positions, np.arange(len(times)) % 4 + 1)
    loud = np.square(sound).sum(axis=1)
    for time in times:
        at = round(time * rate)
        before, after = loud[at - 1200 : at].mean(), loud[at : at + 1200].mean()
        assert after > 2 * before, time


@pytest.mark.long
def test_librosa_finds_the_beats(beats):
    import librosa
    import mir_eval

    sound, rate = librosa.load(sample.MUSIC)
    _, found = librosa.beat.beat_track(y=sound, sr=rate, units="time")
    trimmed = (mir_eval.beat.trim_beats(times) for times in (beats[:, 0], found))
    assert mir_eval.beat.f_measure(*trimmed) >= 0.95


@pytest.mark.long
def test_mediapipe_tracks_every_joint_on_its_own_side(truth):
    import mediapipe

    landmarks = [mediapipe.solutions.pose.PoseLandmark[name.upper()] for name in TRACKED]
    columns = [column(truth, name) for name in TRACKED]
    other = columns[6:] + columns[:6]
    errors, swaps = [], 0
    with mediapipe.solutions.pose.Pose(model_complexity=1) as estimator:
        for number, picture in decoded():
            found = estimator.process(picture).pose_landmarks
            assert found, f"nobody found in frame {number}"
            points = np.array([(found.landmark[k].x, found.landmark[k].y) for k in landmarks]) * truth["size"]
            joints = truth["image"][number]
            shoulders, hips = joints[columns][[0, 6]].mean(axis=0), joints[columns][[3, 9]].mean(axis=0)
            torso = np.linalg.norm(shoulders - hips)
            error = np.linalg.norm(points - joints[columns], axis=1) / torso
            errors.append(error)
            apart = np.linalg.norm(joints[columns] - joints[other], axis=1) / torso
            swaps += int(((np.linalg.norm(points - joints[other], axis=1) / torso < error) & (apart > 0.3)).sum())
    errors = np.array(errors)
    assert errors.mean() < 0.06
    assert (errors > 0.25).mean() < 0.01
    assert swaps == 0
