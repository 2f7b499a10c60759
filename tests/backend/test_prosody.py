"""Prosody of signals whose syllables, stresses, pauses and pitch are known, since they were made so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.signal import lfilter

from vmg_backend import sample
from vmg_backend.audio.decode import load_audio
from vmg_backend.audio.prosody import RATE, STEP, find_prosody


@dataclass(frozen=True)
class Said:
    samples: np.ndarray
    nuclei: np.ndarray  # s, the middle of each syllable
    stressed: np.ndarray
    pauses: list[tuple[float, float]]


def syllable(seconds: float, hertz: float, loud: float) -> np.ndarray:
    """A buzz through the formants of an a, swelling and fading."""
    t = np.arange(round(seconds * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * hertz * k * t) / k for k in range(1, int(4000 / hertz)))
    for formant, width in ((700, 110), (1200, 130), (2600, 180)):
        radius = np.exp(-np.pi * width / RATE)
        poles = [1.0, -2 * radius * np.cos(2 * np.pi * formant / RATE), radius**2]
        buzz = lfilter([sum(poles)], poles, buzz)
    return loud * np.sin(np.pi * t / seconds) ** 2 * buzz / np.abs(buzz).max()


def speech(phrases: int = 6, hertz: float = 120.0, noise: float = 0.0, seed: int = 0) -> Said:
    """Phrases of eight syllables, two of each stressed: 6 dB louder, half longer and a fifth higher; pauses between."""
    rng = np.random.default_rng(seed)
    pieces, nuclei, stressed, pauses, at = [], [], [], [], 0.0

    def silence(seconds: float) -> None:
        nonlocal at
        pieces.append(np.zeros(round(seconds * RATE)))
        at += seconds

    for _ in range(phrases):
        strong = rng.choice([0, 1, 2], size=1)[0], rng.choice([5, 6, 7], size=1)[0]
        for number in range(8):
            stress = number in strong
            seconds = 0.2 if not stress else 0.3
            pieces.append(syllable(seconds, hertz * (1.2 if stress else 1.0), 0.5 if stress else 0.25))
            nuclei.append(at + seconds / 2)
            stressed.append(stress)
            at += seconds
        pause = float(rng.uniform(0.4, 1.0))
        pauses.append((at, at + pause))
        silence(pause)
    samples = np.concatenate(pieces)
    samples += noise * rng.standard_normal(len(samples))
    return Said(samples.astype(np.float32), np.array(nuclei), np.array(stressed), pauses)


@pytest.mark.parametrize(("noise", "hertz"), [(0.0, 120.0), (0.004, 120.0), (0.004, 210.0)])
def test_stresses_are_those_that_were_spoken(noise: float, hertz: float) -> None:
    said = speech(noise=noise, hertz=hertz)
    prosody = find_prosody(said.samples)
    away = np.abs(prosody.syllables[:, 1, None] - said.nuclei)
    assert len(prosody.syllables) == len(said.nuclei)
    assert away.min(axis=1).max() < 0.04
    heard = prosody.stress[away.argmin(axis=0)]
    assert np.mean(heard[said.stressed] > 0.5) > 0.9
    assert np.mean(heard[~said.stressed] > 0.0) < 0.1
    assert np.all(prosody.syllables[:, 0] < prosody.syllables[:, 1])


@pytest.mark.parametrize("noise", [0.0, 0.004])
def test_pauses_are_those_that_were_made(noise: float) -> None:
    said = speech(noise=noise)
    pauses = find_prosody(said.samples).pauses
    assert len(pauses) == len(said.pauses)
    assert np.abs(pauses - np.array(said.pauses)).max() < 0.08  # syllables fade into them


@pytest.mark.parametrize("hertz", [90.0, 140.0, 260.0])
def test_pitch_is_that_of_the_voice(hertz: float) -> None:
    said = speech(phrases=2, hertz=hertz)
    prosody = find_prosody(said.samples)
    middles = np.round(said.nuclei / STEP).astype(int)
    spoken = np.where(said.stressed, 1.2 * hertz, hertz)
    assert np.abs(prosody.pitch[middles] / spoken - 1.0).max() < 0.02
    paused = np.round((np.array(said.pauses).mean(axis=1)) / STEP).astype(int)
    assert np.isnan(prosody.pitch[paused]).all()
    assert (prosody.energy[paused] == 0.0).all()
    assert (prosody.energy[middles[said.stressed]] > 0.9).all()


def test_a_quiet_recording_says_the_same() -> None:
    said = speech(phrases=3)
    loud, quiet = find_prosody(said.samples), find_prosody(0.05 * said.samples)
    assert np.allclose(loud.syllables, quiet.syllables)
    assert np.allclose(loud.stress, quiet.stress, atol=1e-3)
    assert np.allclose(loud.sound, quiet.sound, atol=1e-3)


def test_what_comes_later_does_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    said = speech(phrases=2)
    whole = find_prosody(said.samples)
    monkeypatch.setattr("vmg_backend.audio.prosody._BLOCK", 37)
    pieces = find_prosody(said.samples)
    assert np.allclose(whole.sound, pieces.sound, atol=1e-4)
    assert np.array_equal(whole.pauses, pieces.pauses)


@pytest.mark.parametrize("samples", [np.zeros(RATE, np.float32), np.zeros(0, np.float32), np.full(10, 0.5, np.float32)])
def test_silence_is_one_pause(samples: np.ndarray) -> None:
    prosody = find_prosody(samples)
    assert prosody.pauses.tolist() == [[0.0, len(samples) / RATE]]
    assert not len(prosody.stresses)
    assert not prosody.energy.any()
    assert not prosody.spoken


def test_noise_and_music_are_no_speech() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(5 * RATE).astype(np.float32)
    assert not find_prosody(noise).spoken
    music, _ = load_audio(sample.MUSIC, rate=RATE, seconds=12.0)
    assert not find_prosody(music).spoken
    assert find_prosody(speech().samples).spoken


def test_real_speech_and_music_are_told_apart(media) -> None:
    for name in ("librispeech_198-209-0000.ogg", "whisper_jfk.flac"):
        assert find_prosody(load_audio(media / "speech" / name, rate=RATE, seconds=12.0)[0]).spoken, name
    for name in ("band_100bpm.flac", "country_84bpm.wav"):
        assert not find_prosody(load_audio(media / "music" / name, rate=RATE, seconds=12.0)[0]).spoken, name
