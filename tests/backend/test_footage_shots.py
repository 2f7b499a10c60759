"""Shot cuts, on made-up pictures and on real footage."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from vmg_backend.footage import FrameReader, conform, find_shots, needs_conform, open_footage

MEDIA = os.environ.get("VMG_MEDIA")
needs_media = pytest.mark.skipif(MEDIA is None, reason="VMG_MEDIA is not set: no real footage")


def scene(seed: int) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(64, 128)), 2)
    return 128 + 60 * noise / noise.std()


def dancer(seed: int, frames: int, speed: float = 1.0, start: float = 0.0) -> np.ndarray:
    """Grey pictures of something that swings before a background, with some noise of the camera."""
    background, body = scene(seed), scene(seed + 100)
    rng = np.random.default_rng(seed)
    film = []
    for k in range(frames):
        at = int(30 + 22 * np.sin(start + speed * k / 8))
        image = background[:, :64].copy()
        image[12:60, at - 8 : at + 9] = body[12:60, 40:57]
        film.append(image + rng.normal(0, 1, image.shape))
    return np.clip(film, 0, 255).astype(np.uint8)


def cuts(film: np.ndarray) -> list[int]:
    shots = find_shots(film)
    assert shots.dtype == np.int32
    assert shots[0, 0] == 0
    assert shots[-1, 1] == len(film) - 1
    assert (shots[1:, 0] == shots[:-1, 1] + 1).all()
    return shots[1:, 0].tolist()


@pytest.mark.parametrize("speed", [0.3, 1.0, 3.0])
def test_motion_is_no_cut(speed):
    for seed in range(5):
        assert cuts(dancer(seed, 80, speed)) == []


def test_cuts_to_another_scene():
    film = np.concatenate([dancer(1, 30), dancer(2, 25, 3.0), dancer(3, 40, 0.5), dancer(4, 1)])
    assert cuts(film) == [30, 55, 95]


def test_a_jump_cut_before_the_same_background():
    film = np.concatenate([dancer(1, 40, 0.3), dancer(1, 40, 0.3, start=2.5)])
    assert cuts(film) == [40]


def test_repeated_frames_are_passed_over():
    film = dancer(1, 60)
    stuttering = np.repeat(film, [1, 1, 1, 2] * 15, axis=0)
    assert cuts(stuttering) == []
    assert cuts(np.repeat(film, 2, axis=0)) == []
    joined = np.repeat(np.concatenate([film, dancer(2, 30)]), 2, axis=0)
    assert cuts(joined) == [120]


def test_fades_flashes_and_flicker_are_no_cuts():
    film = dancer(1, 60, 0.5).astype(float)
    fade = film * np.linspace(0, 1, 60)[:, None, None]
    assert cuts(fade.astype(np.uint8)) == []
    other = dancer(2, 60, 0.5)
    weight = np.clip((np.arange(60) - 15) / 25, 0, 1)[:, None, None]
    assert cuts((film * (1 - weight) + other * weight).astype(np.uint8)) == []
    flash = film.copy()
    flash[30] = 255
    assert cuts(flash.astype(np.uint8)) == []
    flicker = film * (1 + 0.08 * np.random.default_rng(0).normal(size=60))[:, None, None]
    assert cuts(np.clip(flicker, 0, 255).astype(np.uint8)) == []


def test_still_and_very_short_films():
    still = np.full((20, 64, 64), 90, np.uint8)
    assert cuts(still) == []
    assert cuts(still[:1]) == []
    assert cuts(dancer(1, 2)) == []


REAL = {
    "talk_gestures.mp4": (600, 30, [271]),
    "yoga_captions.mp4": (527, None, [526]),
    "taichi.mp4": (458, 10, []),
    "dance_routine.mp4": (594, 8, []),
    "dance_sea.mp4": (194, 24, []),
    "dance_room.mp4": (2089, None, []),
    "kungfu_moving_camera.mp4": (301, 30, []),
    "dance_moving_background.mp4": (288, 24, []),
    "dance_ball_pan.mp4": (338, None, []),
    "sit_walk_in_out.mp4": (187, 20, []),
    **{
        f"sign_words/{word}.mkv": (frames, 30, [])
        for word, frames in {
            "again": 77, "book": 109, "brother": 65, "help": 58, "learn": 61,
            "no": 66, "school": 72, "student": 52, "walk": 89, "yes": 65,
        }.items()
    },
}  # fmt: skip


@needs_media
@pytest.mark.long
@pytest.mark.parametrize("name", REAL)
def test_real_footage(name):
    frames, fps, wanted = REAL[name]
    footage = open_footage(Path(MEDIA) / "footage" / name)
    assert footage.frames == frames
    assert fps is None or footage.fps == fps
    assert not footage.variable_rate
    assert footage.shots[1:, 0].tolist() == wanted


@needs_media
@pytest.mark.long
@pytest.mark.parametrize("name", ["sign_words/brother.mkv", "sign_words/again.mkv", "yoga_captions.mp4"])
def test_real_footage_conforms_without_loss(tmp_path, name):
    footage = open_footage(Path(MEDIA) / "footage" / name)
    assert needs_conform(footage)
    made = open_footage(conform(footage, tmp_path / "a.mp4").path)
    assert not needs_conform(made)
    assert made.frames == footage.frames
    with FrameReader(footage) as source, FrameReader(made) as copy:
        for a, b in zip(source.frames(0, footage.frames - 1), copy.frames(0, footage.frames - 1), strict=True):
            assert np.array_equal(a, b)


@needs_media
@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["dance_routine.mp4", "sign_words/book.mkv", "sit_walk_in_out.mp4", "talk_gestures.mp4"]
)
def test_real_footage_agrees_with_another_decoder(name):
    import cv2

    path = Path(MEDIA) / "footage" / name
    footage = open_footage(path)
    wanted = sorted(np.random.default_rng(0).choice(min(footage.frames, 300), 15, replace=False).tolist())
    capture = cv2.VideoCapture(str(path))
    pictures = {}
    for k in range(wanted[-1] + 1):
        assert capture.grab()
        if k in wanted:
            pictures[k] = capture.retrieve()[1][:, :, ::-1].astype(float)
    with FrameReader(footage) as reader:
        for k in np.random.default_rng(1).permutation(wanted).tolist():
            near = {
                j: np.abs(reader.frame(j) - pictures[k]).mean() for j in (k - 1, k, k + 1) if 0 <= j < footage.frames
            }
            assert near[k] < 3
            assert near[k] == min(near.values())
