"""The empty plate, the camera's stand, and the matte."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from vmg_backend.background.camera import camera_motion
from vmg_backend.background.matte import PersonMatte, with_limbs, with_plate, without_specks
from vmg_backend.background.plate import Plate, estimate_plate, plate_of

HEIGHT, WIDTH = 150, 181


def texture(height: int, width: int, seed: int) -> np.ndarray:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(height, width, 3)), (0, 0), 2.0)
    return np.clip(128 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)


def walk(scene: list[np.ndarray], places: np.ndarray, noise: float = 2.0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Frames and mattes of a bar of 20 x 80 px that stands at `places` before the scene, seen by a noisy camera."""
    random = np.random.default_rng(0)
    frames, mattes = [], []
    for background, x in zip(scene, places, strict=True):
        matte = np.zeros((HEIGHT, WIDTH), np.float32)
        matte[40:120, int(x) : int(x) + 20] = 1.0
        frame = np.where(matte[..., None] > 0, (200, 30, 40), background)
        frames.append(np.clip(np.rint(frame + random.normal(0, noise, frame.shape)), 0, 255).astype(np.uint8))
        mattes.append(matte)
    return frames, mattes


def test_plate_is_the_scene_behind_a_walker() -> None:
    truth = texture(HEIGHT, WIDTH, 1)
    plate = estimate_plate(*walk([truth] * 16, np.linspace(5, 155, 16)))
    assert plate.still
    assert plate.coverage == 1.0
    assert np.abs(plate.image.astype(int) - truth).mean() < 1.5  # one frame has noise of 1.6 on average
    assert np.abs(plate.image.astype(int) - truth).max() < 12


def test_plate_outvotes_a_person_whom_the_matte_missed() -> None:
    truth = texture(HEIGHT, WIDTH, 1)
    frames, mattes = walk([truth] * 16, np.linspace(5, 155, 16))
    mattes[7] = np.zeros_like(mattes[7])
    plate = estimate_plate(frames, mattes)
    assert np.abs(plate.image.astype(int) - truth).max() < 14


def test_plate_marks_and_fills_what_was_never_seen() -> None:
    smooth = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    smooth[...] = np.linspace(40, 200, WIDTH)[None, :, None]
    smooth[::12, ::12] = 255  # corners for the camera to be followed by
    plate = estimate_plate(*walk([smooth] * 12, np.full(12, 80)))
    assert plate.still
    assert not plate.seen[45:115, 82:98].any()
    assert plate.seen[:30].all()
    assert plate.seen[:, :60].all()
    assert plate.coverage == pytest.approx(1 - 80 * 20 / (HEIGHT * WIDTH), abs=0.06)
    hole = plate.image[60:100, 85:95].astype(int)
    assert np.abs(hole - np.linspace(40, 200, WIDTH)[85:95][None, :, None]).mean() < 25  # the bar itself: over 90


@pytest.mark.parametrize(
    ("motion", "still"),
    [
        (lambda t: (0, 0), True),
        (lambda t: (2 * t, 0), False),  # a quick pan
        (lambda t: (t // 4, t // 5), False),  # a drift of a quarter px a sample
        (lambda t: (0, 0) if t != 9 else (30, 0), True),  # one jolt
    ],
    ids=["still", "pan", "drift", "jolt"],
)
def test_a_moving_camera_is_noticed(motion, still: bool) -> None:
    wide = texture(HEIGHT + 60, WIDTH + 120, 3)
    scene = []
    for t in range(32):
        x, y = motion(t)
        scene.append(wide[y : y + HEIGHT, x : x + WIDTH])
    assert estimate_plate(*walk(scene, np.linspace(5, 155, 32))).still == still


def test_a_caption_that_changes_is_no_motion_of_the_camera() -> None:
    truth = texture(HEIGHT, WIDTH, 4)
    scene = [truth.copy() for _ in range(16)]
    for t, frame in enumerate(scene):
        frame[130:145, 10 : 20 + 9 * t] = 255
    assert estimate_plate(*walk(scene, np.linspace(5, 155, 16))).still


def test_camera_motion_is_the_similarity_that_was_applied() -> None:
    a = texture(HEIGHT, WIDTH, 6)
    turn = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 1.5, 1.03)
    turn[:, 2] += (3.0, -2.0)
    b = cv2.warpAffine(a, turn, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    found = camera_motion(a, b, np.ones((HEIGHT, WIDTH), np.bool_))
    corners = np.array([[20, 20, 1], [160, 20, 1], [20, 130, 1], [160, 130, 1]], float)
    assert np.abs(corners @ found[:2].T - corners @ turn.T).max() < 0.5


def test_camera_motion_of_blank_pictures_is_none() -> None:
    blank = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    assert np.array_equal(camera_motion(blank, blank, np.ones((HEIGHT, WIDTH), np.bool_)), np.eye(3))


def test_with_plate_adds_a_missed_hand_and_takes_an_unsure_edge() -> None:
    plate = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    frame = plate.copy()
    frame[30:130, 60:100] = 220  # the person
    frame[60:70, 99:106] = 220  # the hand beside it
    frame[5:15, 160:175] = 220  # a lamp that was switched on, far away
    matte = np.zeros((HEIGHT, WIDTH), np.float32)
    matte[30:130, 60:100] = 1.0
    matte[30:130, 52:60] = 0.4  # a soft edge over what is only background
    better = with_plate(matte, frame, plate)
    assert better[63:67, 101:104].min() > 0.5
    assert better[40:120, 53:58].max() < 0.1
    assert better[40:120, 65:95].min() > 0.9
    assert better[5:15, 160:175].max() < 0.1


def test_with_plate_keeps_clothes_of_the_walls_colour() -> None:
    plate = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    matte = np.zeros((HEIGHT, WIDTH), np.float32)
    matte[30:130, 60:100] = 1.0
    assert with_plate(matte, plate.copy(), plate)[30:130, 60:100].min() > 0.95


def test_without_specks_keeps_the_person_and_a_torn_off_hand() -> None:
    matte = np.zeros((HEIGHT, WIDTH), np.float32)
    matte[30:130, 60:100] = 1.0
    matte[60:70, 110:120] = 1.0
    matte[10:14, 10:14] = 1.0
    kept = without_specks(matte)
    assert kept[60:70, 110:120].min() == 1.0
    assert kept[10:14, 10:14].max() == 0.0
    assert not without_specks(np.zeros((HEIGHT, WIDTH), np.float32)).any()


def test_with_limbs_draws_the_bones() -> None:
    matte = np.zeros((HEIGHT, WIDTH), np.float32)
    drawn = with_limbs(matte, np.array([[[20.0, 20.0], [20.0, 140.0]]]))
    assert drawn[20:140, 20].min() == 1.0
    assert drawn[:, 40:].max() == 0.0
    assert np.array_equal(with_limbs(matte, np.zeros((0, 2, 2))), matte)


MEDIA = os.environ.get("VMG_MEDIA")
needs_media = pytest.mark.skipif(not MEDIA, reason="VMG_MEDIA does not name the folder of real footage")


def real_plate(name: str) -> Plate:
    from vmg_backend.footage import FrameReader, open_footage

    footage = open_footage(Path(MEDIA or "") / "footage" / name)
    with FrameReader(footage) as reader:
        return plate_of(footage, reader)


@pytest.mark.long
@needs_media
@pytest.mark.parametrize(
    "name",
    [
        "dance_routine.mp4",
        "talk_gestures.mp4",
        "sign_words/book.mkv",
        "sign_words/yes.mkv",
        "sit_walk_in_out.mp4",
        "taichi.mp4",
    ],
)
def test_real_cameras_that_stand_still(name: str) -> None:
    assert real_plate(name).still


@pytest.mark.long
@needs_media
@pytest.mark.parametrize("name", ["dance_ball_pan.mp4", "kungfu_moving_camera.mp4", "dance_sea.mp4"])
def test_real_cameras_that_move(name: str) -> None:
    assert not real_plate(name).still


@pytest.mark.long
@needs_media
def test_the_plate_of_a_room_is_the_room_that_its_first_frames_show() -> None:
    from vmg_backend.footage import FrameReader, open_footage

    footage = open_footage(Path(MEDIA or "") / "footage" / "dance_room.mp4")
    with FrameReader(footage) as reader:
        plate = plate_of(footage, reader)
        empty = reader.frame(0)
    assert plate.still
    difference = np.abs(plate.image.astype(int) - empty).max(axis=2)
    assert np.mean(difference > 30) < 0.04  # the door, which is still open in the first frame, is 0.025
    assert plate.coverage > 0.97


@pytest.mark.long
@needs_media
def test_a_real_persons_matte_covers_the_joints() -> None:
    import mediapipe as mp

    from vmg_backend.footage import FrameReader, open_footage

    footage = open_footage(Path(MEDIA or "") / "footage" / "sit_walk_in_out.mp4")
    with FrameReader(footage) as reader:
        frame = reader.frame(80)
    with PersonMatte() as cutter:
        matte = cutter.matte(frame)
    with mp.solutions.holistic.Holistic(static_image_mode=True) as holistic:
        found = holistic.process(frame).pose_landmarks.landmark
    assert 0.05 < matte.mean() < 0.4
    for joint in (0, 11, 12, 13, 14, 25, 26, 27, 28):  # nose, shoulders, elbows, knees, ankles
        x, y = found[joint].x * frame.shape[1], found[joint].y * frame.shape[0]
        assert matte[int(y), int(x)] > 0.5
