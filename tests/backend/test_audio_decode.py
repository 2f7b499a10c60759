"""Decoding against other coders (soundfile) and signals with known places."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from vmg_backend.audio.decode import audio_seconds, load_audio
from vmg_backend.errors import UserError

RATE = 44100


def noise(seconds: float = 2.0, channels: int = 1, rate: int = RATE) -> np.ndarray:
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, (round(seconds * rate), channels))
    return samples[:, 0] if channels == 1 else samples


def film(path: Path, *, sound: bool, delay: float = 0.0) -> None:
    """One second of grey pictures; its sound is one second with a click in the middle and begins after `delay`."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=RATE, layout="mono") if sound else None
        for number in range(25):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 128, np.uint8), format="rgb24")
            picture.pts = number
            container.mux(video.encode(picture))
        container.mux(video.encode())
        if audio is not None:
            samples = np.zeros(RATE, np.int16)
            samples[RATE // 2] = 20000
            frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            frame.rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), round(delay * RATE)
            container.mux(audio.encode(frame))
            container.mux(audio.encode())


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_lossless_samples_equal_another_decoder(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"Musik für {suffix} ♪.{suffix}"
    soundfile.write(path, noise(channels=2), RATE, subtype="PCM_16")
    truth, _ = soundfile.read(path, dtype="float32")
    both, rate = load_audio(path, rate=RATE, mono=False)
    assert rate == RATE
    assert both.dtype == np.float32
    np.testing.assert_array_equal(both, truth)
    np.testing.assert_allclose(load_audio(path, rate=RATE)[0], truth.mean(axis=1), atol=1e-7)
    assert audio_seconds(path) == 2.0


@pytest.mark.parametrize(("suffix", "tolerance"), [("wav", 1), ("flac", 1), ("ogg", 4), ("mp3", 30)])
def test_resampled_click_stays_at_its_time(tmp_path: Path, suffix: str, tolerance: int) -> None:
    samples = np.zeros(2 * 48000)
    samples[48000] = 0.9
    path = tmp_path / f"click.{suffix}"
    soundfile.write(path, samples, 48000)
    found, rate = load_audio(path)
    assert rate == 22050
    assert abs(int(np.abs(found).argmax()) - 22050) <= tolerance
    assert len(found) == pytest.approx(2 * 22050, abs=70)  # FFmpeg drops up to 3 ms at the end of Vorbis


def test_a_part_is_the_slice_of_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "noise.wav"
    soundfile.write(path, noise(3.0), RATE)
    whole, _ = load_audio(path, rate=RATE)
    part, _ = load_audio(path, start=0.7, seconds=1.1, rate=RATE)
    np.testing.assert_array_equal(part, whole[round(0.7 * RATE) : round(1.8 * RATE)])
    end, _ = load_audio(path, start=2.5, seconds=9.0, rate=RATE)
    np.testing.assert_array_equal(end, whole[round(2.5 * RATE) :])
    resampled, _ = load_audio(path, start=1.0, seconds=1.0)
    everything, _ = load_audio(path)
    assert len(resampled) == 22050
    np.testing.assert_allclose(resampled[50:-50], everything[22050 + 50 : 44100 - 50], atol=1e-5)


@pytest.mark.parametrize("delay", [0.0, 0.4])
def test_sound_of_a_film_keeps_its_place(tmp_path: Path, delay: float) -> None:
    path = tmp_path / "film.mov"
    film(path, sound=True, delay=delay)
    samples, _ = load_audio(path, rate=RATE)
    assert abs(int(samples.argmax()) - round((0.5 + delay) * RATE)) <= 1
    assert audio_seconds(path) == pytest.approx(1.0 + delay, abs=1e-3)


def broken_file(folder: Path, name: str) -> Path:
    path = folder / name
    if name == "empty.wav":
        path.touch()
    elif name == "text.mp3":
        path.write_text("no music\n" * 50)
    elif name == "silent.mov":
        film(path, sound=False)
    elif name == "cut_off.flac":
        soundfile.write(folder / "whole.flac", noise(4.0), RATE)
        whole = (folder / "whole.flac").read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif name == "damaged.mp3":
        soundfile.write(folder / "whole.mp3", noise(4.0), RATE)
        data = bytearray((folder / "whole.mp3").read_bytes())
        middle = len(data) // 2
        data[middle : middle + 4000] = np.random.default_rng(2).bytes(4000)
        path.write_bytes(data)
    elif name == "no_samples.wav":
        soundfile.write(path, np.zeros(0), RATE)
    return path


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing.wav", "There is no file"),
        (".", "There is no file"),
        ("empty.wav", "empty.wav is empty, broken or no media file"),
        ("text.mp3", "text.mp3 is empty, broken or no media file"),
        ("silent.mov", "silent.mov has no sound"),
        ("cut_off.flac", r"cut_off.flac is cut off: it should be 4.0 s long but ends after \d.\d s"),
        ("damaged.mp3", r"The sound of damaged.mp3 is broken after [12].\d s"),
        ("no_samples.wav", "The sound of no_samples.wav is empty or broken"),
    ],
)
def test_bad_files_get_one_clear_sentence(tmp_path: Path, name: str, says: str) -> None:
    path = broken_file(tmp_path, name)
    for read in (load_audio, audio_seconds):
        with pytest.raises(UserError, match=says) as error:
            read(path)
        assert error.value.remedy
        assert "\n" not in error.value.message


def test_parts_that_do_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, noise(1.0), RATE)
    with pytest.raises(UserError, match=r"short.wav ends after 1.00 s, before the part asked for \(from 3 s\)"):
        load_audio(path, start=3.0)
    with pytest.raises(UserError, match="does not exist"):
        load_audio(path, start=-1.0)
    with pytest.raises(UserError, match="does not exist"):
        load_audio(path, seconds=0.0)
