"""What a network made of a crop, back in whole frames."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
import pytest

from vmg_backend.background.matte import PersonMatte
from vmg_backend.footage import VideoWriter, open_footage
from vmg_backend.interpolation.crop import Crop, crop_of
from vmg_backend.interpolation.fill import Material, fill_transitions, read_transition
from vmg_backend.interpolation.interpolator import Continuation, Frames, Gap
from vmg_backend.interpolation.paste import paste_back, paste_gap
from vmg_backend.library import FootageLibrary
from vmg_backend.motion.gap import Side
from vmg_backend.pose.skeletons import MEDIAPIPE
from vmg_backend.pose.track import PoseTrack
from vmg_backend.progress import SILENT, Progress
from vmg_backend.search.path import FootageEntry, FrameOf, Segment, Transition
from vmg_backend.search.path import Path as FoundPath

HEIGHT, WIDTH = 144, 192
RED = np.array([220, 30, 40])
TALL, BROAD = 72, 24
"""The person: a red upright bar."""


def scene(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> np.ndarray:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(height, width, 3)), (0, 0), 2.0)
    grey = np.clip(100 + 25 * noise / noise.std(), 40, 160)
    return np.rint(grey * (0.6, 1.0, 1.0)).astype(np.uint8)


PLATE = scene()


def picture(x: int, background: np.ndarray = PLATE) -> np.ndarray:
    shown, top = background.copy(), (background.shape[0] - TALL) // 2
    shown[top : top + TALL, x - BROAD // 2 : x + BROAD // 2] = RED
    return shown


class RedMatte(PersonMatte):
    """The truth instead of a network: what is red."""

    def __enter__(self) -> RedMatte:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def matte(self, frame: np.ndarray, plate: np.ndarray | None = None, limbs: np.ndarray | None = None) -> np.ndarray:
        return (np.abs(frame.astype(int) - RED).max(axis=2) < 60).astype(np.float32)


def poses(places: list[int], height: int = HEIGHT) -> tuple[np.ndarray, np.ndarray]:
    joints = np.full((len(places), len(MEDIAPIPE.joints), 2), np.nan, np.float32)
    for joint, y in zip(MEDIAPIPE.index("left_shoulder", "left_hip"), (-TALL / 2, TALL / 2), strict=True):
        joints[:, joint] = [(x, height / 2 + y) for x in places]
    return joints, np.isfinite(joints).all(axis=-1).astype(np.float32)


def gap_of_walk(apart: int, plates: bool, background: np.ndarray = PLATE) -> Gap:
    """A person who walks on by 4 px a frame, and the same walk `apart` px further right."""
    outgoing = [60 + 4 * k for k in range(6)]
    sides = [
        Continuation(np.stack([picture(x + shift, background) for x in outgoing[1:-1]]), *poses([*outgoing[1:-1]]))
        for shift in (0, apart)
    ]
    before, after = Side(*poses([outgoing[0]] * 3)), Side(*poses([outgoing[-1] + apart] * 3))
    lead, trail = picture(outgoing[0], background)[None], picture(outgoing[-1] + apart, background)[None]
    plate = background if plates else None
    return Gap(lead, trail, sides[0], sides[1], plate, plate, before, after)


@pytest.mark.parametrize("matte", [True, False])
@pytest.mark.parametrize("size", [(64, 64), (96, 96)])
def test_pixels_outside_the_crop_stay_bit_for_bit(matte: bool, size: tuple[int, int]) -> None:
    crop = Crop(40, 30, 80, 80, size)
    patch = np.full((*size[::-1], 3), 200, np.uint8)
    pasted = paste_back(PLATE, patch, crop, np.ones(size[::-1], np.float32) if matte else None)
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[30:110, 40:120] = False
    assert np.array_equal(pasted[outside], PLATE[outside])
    assert (pasted[60:80, 70:90] == 200).all()
    assert not np.array_equal(pasted[31:109, 41:119], PLATE[31:109, 41:119])


def test_a_whole_crop_fades_into_the_picture() -> None:
    crop = Crop(40, 30, 80, 80, (80, 80))
    row = paste_back(np.zeros_like(PLATE), np.full((80, 80, 3), 200, np.uint8), crop)[70, :, 0].astype(int)
    assert (np.abs(np.diff(row)) < 55).all()  # not all at once
    assert row[40] < 10
    assert row[119] < 10
    assert row[47:113].min() == 200


def test_only_the_person_of_a_patch_is_shown() -> None:
    crop = Crop(40, 30, 80, 80, (160, 160))
    patch = crop.cut(picture(80, scene(seed=9)))
    matte = RedMatte().matte(patch)
    pasted = paste_back(PLATE, patch, crop, matte)
    assert np.abs(pasted.astype(int) - picture(80))[:, list(range(67)) + list(range(93, WIDTH))].max() == 0
    assert np.abs(pasted.astype(int) - picture(80)).mean() < 0.5
    assert np.abs(pasted.astype(int) - PLATE)[matte_free(pasted)].max() == 0


def matte_free(frame: np.ndarray) -> np.ndarray:
    """Pixels some way off all that is red."""
    near = cv2.dilate((frame[..., 0] > frame[..., 1].astype(int) + 20).astype(np.uint8), np.ones((7, 7), np.uint8))
    return near == 0


@pytest.mark.parametrize("plates", [True, False], ids=["plates", "moving camera"])
def test_frames_of_a_gap_show_the_person_once_over_the_real_background(plates: bool) -> None:
    gap = gap_of_walk(20, plates)
    crop = crop_of(gap, 96, 16, aspect=1.0)
    places = [68, 76, 82, 94]
    network = scene(seed=3) if plates else PLATE  # what it makes of the background is not seen before a plate
    patches = np.stack([crop.cut(picture(x, network)) for x in places])
    before = [array.copy() for array in (gap.outgoing.frames, gap.incoming.frames, patches)]
    made = paste_gap(gap, patches, crop, matting=RedMatte)
    assert all(
        np.array_equal(*pair) for pair in zip(before, (gap.outgoing.frames, gap.incoming.frames, patches), strict=True)
    )
    assert made.shape == gap.outgoing.frames.shape
    for frame, x in zip(made, places, strict=True):
        difference = np.abs(frame.astype(int) - picture(x)).max(axis=2)
        assert np.mean(difference > 40) < 0.01  # the outline, which was resized twice
        assert difference[:, : crop.left].max(initial=0) <= 1
        assert difference[:, crop.left + crop.width :].max(initial=0) <= 1


def test_the_guides_limbs_are_shown_to_the_matting() -> None:
    seen = []

    class Watching(RedMatte):
        def matte(
            self, frame: np.ndarray, plate: np.ndarray | None = None, limbs: np.ndarray | None = None
        ) -> np.ndarray:
            seen.append((frame.shape, limbs))
            return super().matte(frame)

    gap = gap_of_walk(20, plates=True)
    guide = Side(*poses([70, 75, 80, 85]))
    crop = Crop(30, 20, 100, 110, (50, 55))
    paste_gap(replace(gap, guide=guide), np.zeros((4, 55, 50, 3), np.uint8), crop, matting=Watching)
    patches = [limbs for shape, limbs in seen if shape == (110, 100, 3)]
    assert len(patches) == 4
    expected = {
        ((x - 30.0, HEIGHT / 2 - TALL / 2 - 20), (x - 30.0, HEIGHT / 2 + TALL / 2 - 20)) for x in (70, 75, 80, 85)
    }
    assert {tuple(map(tuple, np.sort(limbs[0], axis=0).tolist())) for limbs in patches} == expected


def test_a_full_hd_frame_comes_back_in_full_hd() -> None:
    background = scene(1080, 1920)
    gap = gap_of_walk(40, plates=True, background=background)
    gap = replace(gap, before=Side(*poses([60] * 3, 1080)), after=Side(*poses([120] * 3, 1080)))
    gap = replace(
        gap,
        **{
            name: replace(side, joints=poses([64 + 4 * k for k in range(4)], 1080)[0])
            for name, side in (("outgoing", gap.outgoing), ("incoming", gap.incoming))
        },
    )
    crop = crop_of(gap, 64, 16, aspect=1.0)
    assert crop.width < 200
    made = paste_gap(gap, np.stack([crop.cut(frame) for frame in gap.outgoing.frames]), crop, matting=RedMatte)
    assert made.shape == (4, 1080, 1920, 3)
    for frame in made:
        assert np.array_equal(frame[:, 400:], background[:, 400:])


class Cropping:
    """An engine that sees a crop and gives back what it saw of the outgoing side, in other colours."""

    name, version, guide = "cropping", "1", None

    def given(self, length: int) -> int:
        return 1

    def fill(self, gap: Gap, progress: Progress = SILENT, preview: object = None) -> Frames:
        self.crop = crop_of(gap, 48, 16, aspect=1.0)
        self.gap = gap
        return paste_gap(
            gap, 255 - np.stack([self.crop.cut(frame) for frame in gap.outgoing.frames]), self.crop, RedMatte
        )


def test_frames_outside_the_gap_are_never_touched(tmp_path: Path) -> None:
    file = tmp_path / "walk.mp4"
    with VideoWriter(file, (WIDTH, HEIGHT), Fraction(24)) as writer:
        for number in range(60):
            writer.write(picture(30 + 2 * number))
    footage = open_footage(file)
    joints, confidence = poses([30 + 2 * number for number in range(60)])
    world = np.zeros((*confidence.shape, 3), np.float32)
    material = Material(footage, PoseTrack(joints, world, confidence, np.ones(60, bool), "mediapipe"), None)
    transition = Transition(0, FrameOf(footage.id, 17), FrameOf(footage.id, 43), (20, 41), 18, 6, None, 0.0, False)
    path = FoundPath(
        fps=Fraction(24),
        frames=24 + 17,
        footages={footage.id: FootageEntry(footage.name, str(file), "24/1", footage.size, ((0, 59),))},
        segments=(Segment(footage.id, 0, 17, 0), Segment(footage.id, 43, 59, 24)),
        transitions=(transition,),
        audio=None, beats=(), cost=0.0, bound=0.0, gap=0.0, costs={}, beat_alignment=None, reuse_window=0.0, seed=0,
    )  # fmt: skip
    content, engine = file.read_bytes(), Cropping()
    filled = fill_transitions(path, {footage.id: material}, engine, FootageLibrary(tmp_path / "lib"))
    assert file.read_bytes() == content
    assert replace(filled, transitions=path.transitions) == path
    frames = read_transition(filled.transitions[0])
    assert frames.shape == (6, HEIGHT, WIDTH, 3)
    crop = engine.crop
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[max(crop.top, 0) : crop.top + crop.height, max(crop.left, 0) : crop.left + crop.width] = False
    for k, frame in enumerate(frames):
        real = engine.gap.outgoing.frames[k].astype(int), engine.gap.incoming.frames[k].astype(int)
        still = outside & (np.abs(real[0] - real[1]).max(axis=2) <= 2)
        assert still.mean() > 0.2
        assert np.abs(frame - np.mean(real, axis=0))[still].max() <= 2
        assert np.abs(frame.astype(int) - real[0])[~outside].mean() > 20
