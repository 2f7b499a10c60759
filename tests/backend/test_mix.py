"""The heard mix, against sums of shifted arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from vmg_backend.audio.mix import mix
from vmg_backend.errors import Cancelled, UserError
from vmg_backend.progress import Progress
from vmg_backend.protocol import SoundPiece

RATE = 8000


@pytest.fixture
def sounds(tmp_path: Path) -> dict[str, np.ndarray]:
    """Two files of noise, by path; lossless."""
    rng = np.random.default_rng(0)
    made = {str(tmp_path / f"{name} ü.wav"): rng.uniform(-0.4, 0.4, RATE * 3).astype(np.float32) for name in "ab"}
    for path, samples in made.items():
        soundfile.write(path, samples, RATE, subtype="FLOAT")
    return made


def expected(sounds: dict[str, np.ndarray], pieces: list[SoundPiece], seconds: float) -> np.ndarray:
    """Sample by sample, in whole samples: heard[t] is the sum of volume * file[t - at + start]."""
    total = np.zeros(round(seconds * RATE))
    for piece in pieces:
        file = sounds[piece.path]
        at, start, length = (round(value * RATE) for value in (piece.at, piece.start, piece.seconds))
        for t in range(max(0, at), min(len(total), at + length)):
            if 0 <= t - at + start < len(file):
                total[t] += piece.volume * file[t - at + start]
    return total


@pytest.mark.parametrize(
    "pieces",
    [
        [("a", 0.0, 0.0, 3.0, 1.0)],
        [("a", 0.5, 0.25, 1.0, 0.7), ("b", 0.0, 1.0, 2.0, 1.3)],
        [("a", 0.0, 0.0, 2.0, 1.0), ("a", 1.0, 0.5, 2.0, -1.0), ("b", 0.125, 0.0, 0.5, 2.0)],
        [("a", 0.25, -1.0, 2.0, 1.0)],
        [("a", 0.0, 1.5, 3.0, 1.0)],
        [("a", -0.5, 0.25, 2.0, 1.0)],
        [("a", 2.5, 0.0, 2.0, 1.0)],
        [("a", 0.0, 2.0, 1.0, 1.0), ("b", 0.0, -3.0, 3.0, 1.0), ("b", 0.0, 0.0, 0.0, 1.0)],
        [],
    ],
)
def test_the_mix_is_the_sum_of_the_pieces_to_the_sample(sounds: dict, pieces: list) -> None:
    paths = dict(zip("ab", sounds, strict=True))
    made = [SoundPiece(paths[name], start, at, seconds, volume) for name, start, at, seconds, volume in pieces]
    heard = mix(made, 2.0, RATE)
    assert heard.dtype == np.float32
    assert heard.shape == (2 * RATE,)
    np.testing.assert_allclose(heard, expected(sounds, made, 2.0), atol=1e-6)


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 2.0, 1.013])
@pytest.mark.parametrize("at", [0.25, -0.5])
def test_speed_is_that_of_the_times_in_the_file(tmp_path: Path, speed: float, at: float) -> None:
    """Clicks at known times are heard at at + (time - start) / speed, to a fraction of a sample."""
    file, start = tmp_path / "clicks.wav", 0.5
    clicks = [0.7, 1.1, 1.95, 2.6]
    samples = np.zeros(3 * RATE, np.float32)
    for click in clicks:  # smooth enough to survive resampling
        samples += np.exp(-0.5 * ((np.arange(len(samples)) / RATE - click) / 0.002) ** 2).astype(np.float32)
    soundfile.write(file, samples, RATE, subtype="FLOAT")
    heard = mix([SoundPiece(str(file), start, at, 10.0, speed=speed)], 2.0, RATE)
    times = np.arange(len(heard)) / RATE
    wanted = sum(np.exp(-0.5 * (((times - at) * speed + start - click) / 0.002) ** 2) for click in clicks)
    wanted = np.where(times >= at, wanted, 0.0)
    assert max(wanted) > 0.9
    np.testing.assert_allclose(heard, wanted, atol=0.02)


def test_what_cannot_be_read_or_played_is_said(tmp_path: Path, sounds: dict) -> None:
    with pytest.raises(UserError, match=r"gone\.wav"):
        mix([SoundPiece(str(tmp_path / "gone.wav"), 0.0, 0.0, 1.0)], 1.0, RATE)
    with pytest.raises(UserError, match="speed"):
        mix([SoundPiece(next(iter(sounds)), 0.0, 0.0, 1.0, speed=0.0)], 1.0, RATE)


def test_reading_stops_when_it_is_told_to(sounds: dict) -> None:
    import threading

    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        mix([SoundPiece(next(iter(sounds)), 0.0, 0.0, 1.0)], 1.0, RATE, Progress(cancelled=cancelled))
