"""Clips for training: what is kept of footage, what is left out, and that it is what the engine sees."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("diffusers")
import torch

from vmg_backend import sample
from vmg_backend.errors import Cancelled, UserError
from vmg_backend.footage import FrameReader, VideoWriter, open_footage
from vmg_backend.footage.colour import Colour, yuv_of_rgb
from vmg_backend.interpolation.crop import plan_crop
from vmg_backend.interpolation.hminterp import engine as engine_module
from vmg_backend.interpolation.hminterp.autoencoder import encode, make_autoencoder
from vmg_backend.interpolation.hminterp.config import TINY
from vmg_backend.interpolation.hminterp.devices import choose
from vmg_backend.interpolation.hminterp.generating import Way
from vmg_backend.interpolation.interpolator import Continuation, Gap
from vmg_backend.jobs import Analysis
from vmg_backend.library import FootageLibrary
from vmg_backend.motion.gap import Side
from vmg_backend.pose.mediapipe_estimator import MediapipeEstimator
from vmg_backend.pose.skeletons import MEDIAPIPE
from vmg_backend.pose.track import PoseTrack
from vmg_backend.progress import Progress
from vmg_backend.training.hminterp import held_out as holding
from vmg_backend.training.hminterp import preparing
from vmg_backend.training.hminterp.arrays import ArrayWriter
from vmg_backend.training.hminterp.clips import FILE, Clips, Filters
from vmg_backend.training.hminterp.held_out import GUARD, LENGTH, HeldOut, Stretch
from vmg_backend.training.hminterp.preparing import prepare, repeated, videos_in

CONFIG = replace(TINY, pose_style="vmg")
"""The style's canvas is four times smaller, and quickly drawn."""
CPU = torch.device("cpu")
F = CONFIG.frames
ALL = Filters(still_kept=1.0)


def track_of(image: np.ndarray, confidence: np.ndarray) -> PoseTrack:
    person = confidence.any(1)
    image = np.where(person[:, None, None], image, np.nan).astype(np.float32)
    return PoseTrack(image, np.zeros((*confidence.shape, 3), np.float32), confidence, person, MEDIAPIPE.name)


@pytest.fixture(scope="module")
def performer(dance: tuple[Path, FootageLibrary]) -> Analysis:
    """A second and a half of the sample with its true joints, and hands about its wrists."""
    file, library = dance
    footage = replace(library.footage(file), ranges=np.array([[20, 55]], np.int32))
    track = library.poses(footage, MediapipeEstimator())
    image, confidence = track.image.copy(), track.confidence.copy()
    random = np.random.default_rng(0)
    for hand, wrist in ((MEDIAPIPE.left_hand, "left_wrist"), (MEDIAPIPE.right_hand, "right_wrist")):
        image[:, hand] = image[:, MEDIAPIPE.index(wrist)] + random.uniform(-5, 5, (len(hand), 2))
        confidence[:, hand] = 0.9
    return Analysis(footage, track_of(image, confidence))


def figure(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """A made-up person in a picture of 128 x 96 px, who walks to and fro, by 2 px a frame."""
    offsets = np.random.default_rng(1).uniform((-12, -35), (12, 35), (len(MEDIAPIPE.joints), 2))
    walk = 64 + 30 * np.sin(np.arange(frames) / 15)
    middle = np.stack([walk, np.full(frames, 48.0)], 1)
    return middle[:, None] + offsets, np.full((frames, len(offsets)), 0.9, np.float32)


def film(path: Path, frames: int, scene: Callable[[int], int] = lambda k: 0, show: Callable[[int], int] = int) -> Path:
    """A bright square that moves over a texture; `scene` says which, `show` which moment a frame shows."""
    textures = [
        np.random.default_rng(k).integers(0, 200, (12, 16, 3), np.uint8).repeat(8, 0).repeat(8, 1) for k in (1, 2)
    ]
    with VideoWriter(path, (128, 96), Fraction(24), crf=10) as writer:
        colour = Colour()
        for k in range(frames):
            picture = textures[scene(k)].copy()
            left = 2 + abs(3 * show(k) % 180 - 90)
            picture[30:70, left : left + 24] = 250
            writer.write(yuv_of_rgb(picture, colour))
    return path


@pytest.fixture(scope="module")
def stroller(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """60 frames without a flaw."""
    path = film(tmp_path_factory.mktemp("stroller") / "stroller.mp4", 60)
    return Analysis(open_footage(path), track_of(*figure(60)))


@pytest.fixture(scope="module")
def brief(stroller: Analysis) -> Analysis:
    """The first 20 of them."""
    return within(stroller, 20)


def within(analysis: Analysis, frames: int) -> Analysis:
    return replace(analysis, footage=replace(analysis.footage, ranges=np.array([[0, frames - 1]], np.int32)))


@pytest.fixture(scope="module")
def walker(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """160 frames, a cut before frame 50, nobody in 90 to 95, an unsure pose in 120."""
    path = film(tmp_path_factory.mktemp("walker") / "walker.mp4", 160, scene=lambda k: int(k >= 50))
    footage = open_footage(path)
    assert footage.shots.tolist() == [[0, 49], [50, 159]]
    image, confidence = figure(160)
    confidence[90:96] = 0.0
    confidence[120] = 0.2
    return Analysis(footage, track_of(image, confidence))


def frames_of(clips: Clips, window: Any) -> list[int]:
    first = clips.clips[window.clip].row + window.first
    return clips.numbers[first : first + window.frames].tolist()


def test_a_training_sees_what_the_engine_sees(performer, tmp_path, monkeypatch):
    """What the engine hands to the network of a gap is, bit for bit, a window of the clips."""
    few = replace(performer.footage, ranges=np.array([[20, 20 + F]], np.int32))
    clips = prepare([replace(performer, footage=few)], TINY, tmp_path / "clips", held_out=(), filters=ALL)
    window = clips.windows(F)[-1]
    numbers = frames_of(clips, window)
    batch = clips.batch([window], CPU)
    with FrameReader(performer.footage) as reader:
        frames = np.stack([reader.frame(k) for k in numbers])
    image, sure = performer.track.image[numbers], performer.track.confidence[numbers]
    made = slice(1, F - 1)
    through = Continuation(frames[made], image[made], sure[made])
    before = Side(np.repeat(image[:1], 3, 0), np.repeat(sure[:1], 3, 0))
    after = Side(np.repeat(image[-1:], 3, 0), np.repeat(sure[-1:], 3, 0))
    guide = Side(image[made], sure[made])
    gap = Gap(frames[:1], frames[-1:], through, through, None, None, before, after, guide=guide)

    class Seen(Exception):  # noqa: N818 - no error, but the way out
        pass

    def network(_model, given, length, maps, *_, **__):
        assert length == F - 2
        raise Seen(given, maps)

    monkeypatch.setattr(engine_module, "generate", network)
    monkeypatch.setattr(engine_module, "crop_of", lambda *_: clips.clips[window.clip].crop)
    engine = engine_module.HMInterpEngine(TINY, "1", lambda *_: torch.nn.Module(), choose("cpu"), None, Way())
    with pytest.raises(Seen) as seen:
        engine.fill(gap)
    given, maps = seen.value.args
    pictures = (batch.pictures[0] * 255).round().byte().permute(0, 2, 3, 1).numpy()
    assert np.array_equal(pictures[[0, -1]], given)
    assert np.array_equal((batch.maps[0] * 255).round().byte().permute(1, 2, 3, 0).numpy(), maps)
    assert maps.any(axis=(1, 2, 3)).all()
    assert len(np.unique(pictures)) > 100


def test_every_frame_is_cut_by_its_clips_crop(performer, tmp_path):
    clips = prepare([performer], CONFIG, tmp_path / "clips", held_out=())
    joints, confidence = performer.track.image, performer.track.confidence
    with FrameReader(performer.footage) as reader:
        for number, clip in enumerate(clips.clips):
            rows = clips.numbers[clip.row : clip.row + clip.frames]
            assert clip.frames <= 4 * F + F
            crop = plan_crop(joints[rows], confidence[rows], (128, 192), 64, CONFIG.multiple, clips.aspect)
            assert crop == clip.crop
            assert crop.size == clips.size
            window = next(one for one in clips.windows(F) if one.clip == number)
            seen = clips.batch([window], CPU).pictures[0]
            for k, picture in zip(frames_of(clips, window), seen, strict=True):
                cut = crop.cut(reader.frame(k))
                assert np.array_equal((picture * 255).round().byte().permute(1, 2, 0).numpy(), cut)
    assert len(clips.clips) == 2
    own = [plan_crop(joints[n], confidence[n], (128, 192), 64, CONFIG.multiple).size for n in rows_of(clips)]
    assert clips.aspect == np.median([size[0] / size[1] for size in own])


def rows_of(clips: Clips) -> list[np.ndarray]:
    return [clips.numbers[clip.row : clip.row + clip.frames] for clip in clips.clips]


def test_the_aspect_of_the_config_is_kept(brief, tmp_path):
    clips = prepare([brief], replace(CONFIG, aspect=2.0), tmp_path / "clips", held_out=())
    assert clips.size == (128, 64)
    assert clips.aspect == 2.0


def test_every_good_window_is_there_once_and_no_other(walker, tmp_path):
    held = HeldOut(walker.footage.id, tuple(range(20, 24)), 1, True)
    clips = prepare([walker], CONFIG, tmp_path / "clips", held_out=[held], filters=ALL)
    beside = set(range(20 - GUARD, 24 + GUARD))
    bad = beside | set(range(90, 96)) | {120}
    for frames in (1, 5, F):
        good = [
            list(range(first, first + frames))
            for first in range(160 - frames + 1)
            if not bad & set(range(first, first + frames)) and not first < 50 <= first + frames - 1
        ]
        assert sorted(frames_of(clips, window) for window in clips.windows(frames)) == good
    counts = clips.told["counts"]
    used = 160 - len(bad)
    assert counts["frames"] == {
        **{"outside the ranges": 0, "no person": 6, "not sure": 1, "repeated": 0},
        **{"held out": 4, "beside what is held out": 2 * GUARD, "used": used},
    }
    assert counts["windows"] == {"used": len(clips.windows(F)), "still": 0}
    assert clips.held_out == (held,)


def test_runs_too_short_and_ranges_are_left_out(walker, tmp_path):
    footage = replace(walker.footage, ranges=np.array([[10, 30], [100, 104], [106, 125]], np.int32))
    clips = prepare([Analysis(footage, walker.track)], CONFIG, tmp_path / "clips", held_out=())
    assert set(np.concatenate(rows_of(clips))) == set(range(10, 31)) | set(range(106, 120))
    frames = clips.told["counts"]["frames"]
    assert sum(frames.values()) == 160
    assert frames["too short a stretch"] == 5 + 5


def test_repeated_frames_are_left_out(tmp_path):
    """15 frames a second in a file of 30, as some phones and converters write them."""
    path = film(tmp_path / "doubled.mp4", 120, show=lambda k: k // 2 * 2)
    image, confidence = figure(120)
    analysis = Analysis(open_footage(path), track_of(image, confidence))
    clips = prepare([analysis], CONFIG, tmp_path / "clips", held_out=())
    numbers = np.concatenate(rows_of(clips))
    assert np.mean(numbers % 2 == 0) > 0.95
    assert 55 <= len(set(numbers.tolist())) <= 65


def test_which_frames_repeat_the_one_before():
    random = np.random.default_rng(0)
    moving = random.integers(0, 256, (40, 8, 8), np.uint8)
    assert not repeated(moving, 0.2).any()
    order = [0, 1, 2, 2, 3, 4, 5, 6, 6, 7, 7, 8, 9]
    assert np.flatnonzero(repeated(moving[order], 0.2)).tolist() == [3, 8, 10]
    quiet = np.full((20, 8, 8), 99, np.uint8)
    assert not repeated(np.concatenate([quiet, moving, quiet]), 0.2).any()  # standing still is no repetition


def test_windows_in_which_nobody_moves_are_few(stroller, tmp_path):
    image, confidence = figure(60)
    image[30:] = image[30]
    still = Analysis(stroller.footage, track_of(image, confidence))
    clips = prepare([still], CONFIG, tmp_path / "clips", held_out=(), filters=Filters(still_kept=0.25))
    firsts = [frames_of(clips, window)[0] for window in clips.windows(F)]
    assert [first for first in firsts if first < 30] == list(range(30))
    quiet = [first for first in firsts if first >= 30]
    assert len(quiet) == pytest.approx(0.25 * (60 - 30 - F + 1), abs=1)
    assert max(b - a for a, b in pairwise(quiet)) <= 5
    assert clips.told["counts"]["windows"]["still"] == 60 - F + 1 - len(firsts)
    assert len(clips.windows(1)) == 60


def stretch_of(footage: str, count: int, speed: np.ndarray, first: int = 0) -> Stretch:
    return Stretch(footage, np.arange(first, first + count, dtype=np.int32), speed.astype(np.float32))


@pytest.mark.parametrize(("count", "gaps"), [(40, 0), (60, 1), (150, 2), (200, 3), (600, 4), (2000, 12)])
def test_held_out_gaps_are_spread_over_fast_and_slow(count, gaps):
    speed = 1 + np.sin(np.arange(count) / 15)
    stretch = stretch_of("a", count, speed)
    found = holding.choose([stretch], 3, 1)
    assert len(found) == gaps
    assert found == holding.choose([stretch], 3, 1)
    if gaps > 2:
        assert found != holding.choose([stretch], 3, 2)
        assert abs(sum(one.fast for one in found) - gaps / 2) <= 0.5
        middles = [one.frames[len(one.frames) // 2] for one in found]
        assert all(k * count / gaps - 20 <= middle <= (k + 1) * count / gaps + 20 for k, middle in enumerate(middles))
    for one in found:
        assert np.diff(one.frames).tolist() == [1] * (LENGTH + 5)
        assert len(one.gap) == LENGTH
        where = [speed[list(range(k, k + LENGTH))].mean() for k in range(3, count - LENGTH - 2)]
        assert (speed[list(one.gap)].mean() >= np.median(where)) == one.fast
    for one, other in pairwise(found):
        assert other.frames[0] - one.frames[-1] > 2 * GUARD
    left, held, beside = holding.without(stretch, found)
    assert held == gaps * (LENGTH + 6)
    assert sum(len(one.numbers) for one in left) + held + beside == count
    assert held + beside <= count / 2
    for one in left:
        for other in found:
            assert not other.touches("a", int(one.numbers[0]), int(one.numbers[-1]), GUARD)
            assert not set(one.numbers.tolist()) & set(range(other.frames[0] - GUARD, other.frames[-1] + GUARD + 1))


def test_held_out_gaps_come_from_all_footages():
    speed = np.ones(400)
    found = holding.choose([stretch_of("a", 400, speed), stretch_of("b", 400, speed)], 3, 1)
    assert {one.footage for one in found} == {"a", "b"}
    (whole,), held, beside = holding.without(stretch_of("c", 400, speed), found)
    assert (len(whole.numbers), held, beside) == (400, 0, 0)


def test_chosen_gaps_are_written_down_and_kept_out(stroller, tmp_path):
    clips = prepare([stroller], CONFIG, tmp_path / "clips")
    assert len(clips.held_out) == 1
    trained = {k for window in clips.windows(F) for k in frames_of(clips, window)}
    for one in clips.held_out:
        assert not trained & set(range(one.frames[0] - GUARD, one.frames[-1] + GUARD + 1))
        assert one.context == 3
    given = prepare([stroller], CONFIG, tmp_path / "other", held_out=clips.held_out)
    assert given.held_out == clips.held_out
    assert np.array_equal(given.numbers, clips.numbers)


def test_clips_are_prepared_once(brief, tmp_path, monkeypatch):
    folder = tmp_path / "clips"
    clips = prepare([brief], CONFIG, folder, held_out=())
    before = (folder / "pictures.npy").stat().st_mtime_ns
    with monkeypatch.context() as patched:
        patched.setattr(preparing, "scan_video", None)
        again = prepare([brief], CONFIG, folder, held_out=())
    assert again.told == clips.told
    assert (folder / "pictures.npy").stat().st_mtime_ns == before
    other = prepare([brief], replace(CONFIG, frames=7), folder, held_out=())
    assert other.told["frames"] == 7
    assert sorted(file.name for file in tmp_path.iterdir()) == ["clips"]


def test_a_cancel_leaves_the_folder_as_it_was(stroller, tmp_path):
    folder, heard = tmp_path / "clips", []

    def stop(fraction, stage):
        heard.append((fraction, stage))
        if fraction > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        prepare([stroller], CONFIG, folder, progress=Progress(stop))
    assert not list(tmp_path.iterdir())
    assert [fraction for fraction, _ in heard] == sorted(fraction for fraction, _ in heard)
    assert heard[-1][1] == "Writing 0.0 GB"
    assert len(heard) > 30


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(stroller, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(UserError, match=r"Preparing the clips needs 0\.0 GB"):
        prepare([stroller], CONFIG, tmp_path / "clips")
    assert not list(tmp_path.iterdir())


def test_a_disk_that_becomes_full_loses_nothing(stroller, brief, tmp_path, monkeypatch):
    folder = tmp_path / "clips"
    clips = prepare([brief], CONFIG, folder, held_out=())
    put, written = ArrayWriter.put, []

    def full(self, row, rows):
        written.append(row)
        if len(written) > 50:
            raise OSError(errno.ENOSPC, "No space left on device")
        put(self, row, rows)

    monkeypatch.setattr(ArrayWriter, "put", full)
    with pytest.raises(UserError, match="disk is full"):
        prepare([stroller], CONFIG, folder)
    assert Clips.open(folder).told == clips.told
    assert [file.name for file in tmp_path.iterdir()] == ["clips"]
    with pytest.raises(UserError, match="disk is full"):
        clips.keep_latents(make_autoencoder(CONFIG), CPU)
    assert not list(folder.glob("latents/*/*"))


def test_a_folder_with_other_things_is_not_replaced(stroller, tmp_path):
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(UserError, match="holds no clips"):
        prepare([stroller], CONFIG, tmp_path)
    assert (tmp_path / "diary.txt").read_text() == "mine"


def test_footage_without_anything_to_learn_is_refused_with_reasons(walker, tmp_path):
    nobody = Analysis(walker.footage, track_of(*(values * 0 for values in figure(160))))
    with pytest.raises(UserError, match="no person: 160"):
        prepare([nobody], CONFIG, tmp_path / "clips")


@pytest.fixture(scope="module")
def ready(stroller, tmp_path_factory):
    return prepare([stroller], replace(CONFIG, size=32), tmp_path_factory.mktemp("ready") / "clips", held_out=())


def test_batches_have_the_shapes_of_the_contract(ready):
    width, height = ready.size
    batch = ready.batch(ready.windows(F)[:3], CPU, hands=10.0)
    assert batch.pictures.shape == (3, F, 3, height, width)
    assert batch.maps.shape == (3, 3, F, height, width)
    assert batch.weights.shape == (3, 1, F, height // 8, width // 8)
    assert batch.latents is None
    assert {tensor.dtype for tensor in (batch.pictures, batch.maps, batch.weights)} == {torch.float32}
    assert 0 <= batch.pictures.min() < 0.2 < 0.8 < batch.pictures.max() <= 1
    assert (ready.batch(ready.windows(F)[:1], CPU).weights == 1).all()
    with pytest.raises(UserError, match="500 frames"):
        ready.windows(500)


def test_large_hands_weigh_more_where_they_are(stroller, tmp_path):
    image, confidence = stroller.track.image.copy(), stroller.track.confidence.copy()
    for hand in (MEDIAPIPE.left_hand, MEDIAPIPE.right_hand):
        image[:, hand] = image[:, hand[:1]] + np.random.default_rng(hand[0]).uniform(-22, 22, (21, 2))
    confidence[50:, MEDIAPIPE.right_hand] = 0.3
    analysis = Analysis(stroller.footage, track_of(image, confidence))
    clips = prepare([analysis], CONFIG, tmp_path / "clips", held_out=())
    for window in clips.windows(F)[::9]:
        weights = clips.batch([window], CPU, hands=10.0).weights[0, 0]
        crop = clips.clips[window.clip].crop
        for k, frame in zip(frames_of(clips, window), weights, strict=True):
            inside = torch.zeros_like(frame, dtype=torch.bool)
            for hand in (MEDIAPIPE.left_hand, MEDIAPIPE.right_hand)[: 1 if k >= 50 else 2]:
                for x, y in crop.joints(image[k, hand]) / 8:
                    if 0 <= x < frame.shape[1] and 0 <= y < frame.shape[0]:
                        inside[int(y), int(x)] = True
            assert (frame[inside] > 1).all()
            assert frame.mean() <= 3.001
            assert frame.min() == 1
            assert inside.any()


def test_single_pictures_are_drawn_evenly_and_again_alike(ready):
    one, two = (ready.pictures(np.random.default_rng(3), 5, CPU) for _ in range(2))
    assert one.pictures.shape == (5, 1, 3, ready.size[1], ready.size[0])
    assert torch.equal(one.pictures, two.pictures)
    assert not torch.equal(one.pictures, ready.pictures(np.random.default_rng(4), 5, CPU).pictures)
    assert len(ready.windows(1)) == 60  # each frame once, though neighbouring clips share some


def test_latents_are_those_of_the_autoencoder_and_are_kept(ready, monkeypatch):
    torch.manual_seed(0)
    autoencoder = make_autoencoder(CONFIG).requires_grad_(False)
    clips = Clips.open(ready.folder)
    clips.keep_latents(autoencoder, CPU)
    windows = clips.windows(F)[::15]
    batch = clips.batch(windows, CPU)
    wanted = encode(autoencoder, 2.0 * batch.pictures - 1.0)
    assert batch.latents is not None
    assert batch.latents.shape == wanted.shape == (len(windows), F, 4, clips.size[1] // 8, clips.size[0] // 8)
    assert torch.allclose(batch.latents, wanted, atol=2e-3 * float(wanted.abs().max()))
    assert wanted.std() > 0

    calls = []
    original = Clips._encoded
    monkeypatch.setattr(Clips, "_encoded", lambda self, *rest: calls.append(1) or original(self, *rest))
    Clips.open(ready.folder).keep_latents(autoencoder, CPU)
    assert not calls
    with torch.no_grad():
        autoencoder.encoder.conv_in.bias += 0.1
    Clips.open(ready.folder).keep_latents(autoencoder, CPU)
    assert len(calls) == len(clips.clips)


def test_encoding_goes_on_where_it_was_cancelled(ready):
    torch.manual_seed(7)
    autoencoder = make_autoencoder(CONFIG).requires_grad_(False)

    def stop(fraction, _):
        if fraction > 0.6:
            raise Cancelled

    before = set(ready.folder.glob("latents/*/*"))
    with pytest.raises(Cancelled):
        Clips.open(ready.folder).keep_latents(autoencoder, CPU, Progress(stop))
    there = set(ready.folder.glob("latents/*/*")) - before
    assert 0 < len(there) < len(ready.clips)
    assert all(file.suffix == ".npy" for file in there)
    whole = {file: file.stat().st_mtime_ns for file in there}
    Clips.open(ready.folder).keep_latents(autoencoder, CPU)
    assert {file: file.stat().st_mtime_ns for file in there} == whole
    assert len(set(ready.folder.glob("latents/*/*")) - before) == len(ready.clips)


@pytest.mark.parametrize("harm", ["missing", "short", "pickled", "version", "json"])
def test_damaged_clips_are_refused_in_a_sentence(ready, tmp_path, harm):
    folder = tmp_path / "clips"
    shutil.copytree(ready.folder, folder)
    file = folder / "maps.npy"
    if harm == "missing":
        file.unlink()
    elif harm == "short":
        file.write_bytes(file.read_bytes()[:-100])
    elif harm == "pickled":
        np.save(file, np.array([{"a": 1}]), allow_pickle=True)
    elif harm == "version":
        (folder / FILE).write_text(json.dumps({**ready.told, "version": 0}))
    else:
        (folder / FILE).write_text("{")
    with pytest.raises(UserError) as said:
        Clips.open(folder)
    assert "Prepare the clips again" in said.value.remedy


def test_folders_are_searched_for_videos(tmp_path):
    for name in ("b.mp4", "a.MKV", "notes.txt", ".vmg-x.mp4", "deep/c.mov"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    named = tmp_path / "notes.txt"  # what is named is taken at its word
    assert videos_in([tmp_path, named]) == [tmp_path / name for name in ("a.MKV", "b.mp4", "deep/c.mov", "notes.txt")]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no videos"):
        videos_in([tmp_path / "empty"])


def test_the_sample_gives_clips_and_gaps_of_both_kinds(true_library: FootageLibrary, tmp_path):
    footage = true_library.footage(sample.PERFORMER)
    analysis = Analysis(footage, true_library.poses(footage, MediapipeEstimator()))
    foreseen = preparing.foresee([analysis], replace(CONFIG, frames=18))
    assert foreseen.frames > 600
    assert foreseen.size[0] < foreseen.size[1]
    numbers = np.arange(footage.frames, dtype=np.int32)
    speed = np.linalg.norm(np.diff(analysis.track.image, axis=0, prepend=0), axis=-1).mean(1).astype(np.float32)
    assert [one.fast for one in holding.choose([Stretch(footage.id, numbers, speed)], 3, 1)].count(True) == 2
