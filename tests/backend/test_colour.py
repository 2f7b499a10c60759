"""Generated frames in the colours of the real ones around them."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from vmg_backend.footage import FrameReader, open_footage
from vmg_backend.interpolation.colour import MOST_GAIN, MOST_OFFSET, Match, match_colour
from vmg_backend.interpolation.interpolator import crossing_weights

SIZE = (180, 120)
LEVELS = np.arange(20.0, 236.0)[:, None]
CHANGES = [((1.1, 0.95, 1.05), (-8.0, 6.0, 3.0)), ((0.85, 0.85, 0.85), (20.0, 20.0, 20.0)), ((1, 1, 1), (8, -8, 4))]


def scene(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(*SIZE, 3))
    soft = sum(cv2.GaussianBlur(noise, (0, 0), grain) * grain for grain in (2, 8, 25))
    return np.clip(128 + 35 * soft / soft.std(), 25, 230)


def with_person(picture: np.ndarray, x: int) -> np.ndarray:
    """A person who covers a fifth of the picture."""
    shown = picture.copy()
    shown[30:170, x : x + 31] = (205, 60, 45)
    return np.rint(shown).astype(np.uint8)


def spoiled(picture: np.ndarray, gain: tuple[float, ...], offset: tuple[float, ...]) -> np.ndarray:
    """What `gain` and `offset` would bring back to the picture."""
    return np.clip(np.rint((picture - np.array(offset)) / gain), 0, 255).astype(np.uint8)


def error(found: Match, gain: tuple[float, ...], offset: tuple[float, ...]) -> float:
    """The largest error of what is made of the levels 20 to 235."""
    return float(np.abs(LEVELS * (found.gain - gain) + found.offset - offset).max())


@pytest.mark.parametrize(("gain", "offset"), CHANGES)
def test_a_known_change_is_found(gain: tuple[float, ...], offset: tuple[float, ...]) -> None:
    real = with_person(scene(), 20)
    assert error(Match.fit(spoiled(real, gain, offset), real), gain, offset) < 0.5


@pytest.mark.parametrize(("gain", "offset"), CHANGES)
def test_a_known_change_is_found_although_a_person_moved(gain: tuple[float, ...], offset: tuple[float, ...]) -> None:
    real, made = with_person(scene(), 20), spoiled(with_person(scene(), 62), gain, offset)
    assert error(Match.fit(made, real), gain, offset) < 1.0
    plain = [np.polyfit(made[..., c].ravel(), real[..., c].ravel(), 1) for c in range(3)]
    least_squares = Match(*np.array(plain).T)
    assert error(least_squares, gain, offset) > 10.0


def test_lost_detail_and_noise_change_little() -> None:
    real, (gain, offset) = with_person(scene(), 20), CHANGES[0]
    blurred = cv2.GaussianBlur(spoiled(real, gain, offset), (0, 0), 1.5)
    noisy = blurred + np.random.default_rng(1).normal(0, 6, real.shape)
    made = np.rint(np.clip(noisy, 0, 255)).astype(np.uint8)
    assert error(Match.fit(made, real), gain, offset) < 3.0
    assert np.abs((Match.fit(made, real).apply(made).astype(float) - real).mean(axis=(0, 1))).max() < 0.5


def test_what_was_clipped_does_not_count() -> None:
    real = with_person(scene(), 20)
    real[:60] = 0  # black bars, which an engine that is too dark makes no blacker
    gain, offset = (1.0, 1.1, 0.9), (12.0, 4.0, 15.0)
    assert error(Match.fit(spoiled(real, gain, offset), real), gain, offset) < 0.5


def test_equal_pictures_are_left_as_they_are() -> None:
    for real in (with_person(scene(), 20), np.full((40, 40, 3), 90, np.uint8), np.zeros((40, 40, 3), np.uint8)):
        found = Match.fit(real, real)
        assert found.gain.tolist() == [1.0] * 3
        assert found.offset == pytest.approx([0.0] * 3, abs=1e-9)
        frames = np.random.default_rng(2).integers(0, 256, (5, 30, 20, 3), dtype=np.uint8)
        assert np.array_equal(match_colour(frames, (real, real), (real, real)), frames)


def test_nothing_explodes() -> None:
    rng = np.random.default_rng(3)
    flat, wild = np.full((60, 50, 3), 100, np.uint8), rng.integers(0, 256, (60, 50, 3), dtype=np.uint8)
    black, white = np.zeros_like(flat), np.full_like(flat, 255)
    pairs = [(flat, wild), (wild, flat), (wild, 255 - wild), (black, flat), (flat, white)]
    for made, real in pairs:
        found = Match.fit(made, real)
        assert np.all((found.gain >= 1 / MOST_GAIN - 1e-9) & (found.gain <= MOST_GAIN + 1e-9))
        assert np.abs(127.5 * found.gain + found.offset - 127.5).max() <= MOST_OFFSET + 1e-6
    shifted = Match.fit(flat, flat + np.uint8(9))
    assert shifted.gain == pytest.approx([1.0] * 3, abs=0.02)
    assert shifted.apply(flat).tolist() == (flat + 9).tolist()


def test_several_given_frames_are_fitted_together() -> None:
    reals = np.stack([with_person(scene(seed), 20) for seed in range(3)])
    (gain, offset) = CHANGES[0]
    found = Match.fit(np.stack([spoiled(real, gain, offset) for real in reals]), reals)
    assert error(found, gain, offset) < 0.5


def test_the_match_crosses_over_from_start_to_end() -> None:
    real = with_person(scene(), 20)
    start, end = ((1, 1, 1), (10.0, 0.0, -6.0)), ((1, 1, 1), (-10.0, 8.0, 0.0))
    grey = np.full((6, 20, 20, 3), 120, np.uint8)
    made = match_colour(grey, (spoiled(real, *start), real), (spoiled(real, *end), real))
    weights = crossing_weights(6)[:, None]
    expected = 120 + (1 - weights) * start[1] + weights * end[1]
    assert np.abs(made.mean(axis=(1, 2)) - expected).max() < 0.8


def test_no_seam_is_left_on_footage(dancer: Path) -> None:
    """An engine that is right but for its colours, beside the footage as two decoders show it."""
    footage = open_footage(dancer)
    with FrameReader(footage) as reader:
        frames = np.stack(list(reader.frames(40, 49)))
    with av.open(str(dancer)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)][40:50]
    start, end = ((1.08, 0.95, 1.02), (-9.0, 5.0, -6.0)), ((0.95, 1.04, 1.0), (9.0, -2.0, 7.0))
    weights = crossing_weights(8)
    spoiled_by = [tuple(np.array(a) + w * (np.array(b) - a) for a, b in zip(start, end, strict=True)) for w in weights]
    made = np.stack([spoiled(frame, *by) for frame, by in zip(frames[1:-1], spoiled_by, strict=True)])
    ends = [(spoiled(frames[k], *by), frames[k]) for k, by in ((0, start), (-1, end))]
    matched = match_colour(made, ends[0], ends[1])
    for k, real in ((0, 1), (-1, -2)):
        assert np.abs(made[k].astype(float) - frames[real]).mean() > 2.0
        assert np.abs(matched[k].astype(float) - frames[real]).mean() < 0.5
        # FFmpeg's quick conversion, which Blender 4.2 shows, is darker by about a level
        assert np.abs((matched[k].astype(float) - pictures[real]).mean()) < 1.5
