"""Synthesise the sample's music, whose beats and bars are known because they were composed.

    python music.py FOLDER

Sixteen bars at 120 beats a minute and a last chord. A kick on every beat and a snare on the second and fourth keep a
beat tracker from locking to the off-beats; everything that falls between the beats is soft.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

Signal = NDArray[np.float64]

RATE = 44100
TEMPO = 120.0
FIRST_BEAT = 0.5
BEATS_PER_BAR = 4
BARS = 16
SECONDS = 35.0
BEAT = 60 / TEMPO
BAR = BEATS_PER_BAR * BEAT

# MIDI notes of the chords, a bar each
_VERSE = [(57, 60, 64), (53, 57, 60), (48, 55, 64), (55, 59, 62)]  # A minor, F, C, G
_CHORUS = [(53, 57, 60), (55, 59, 62), (52, 55, 59), (57, 60, 64)]  # F, G, E minor, A minor
_BREAK = [(50, 57, 65), (52, 56, 59)]  # D minor, E
_CHORDS = [*_VERSE, *_VERSE, *_BREAK, *_CHORUS, _CHORUS[0], _CHORUS[1]]
_LAST_CHORD = (45, 57, 64, 69)
_BREAK_BARS = (8, 9)

# (beat within the phrase of four bars, note, length in beats)
_VERSE_TUNE = [
    *((0, 76, 1.5), (1.5, 74, 0.5), (2, 72, 2), (4, 69, 1), (5, 72, 1), (6, 74, 2)),
    *((8, 76, 1.5), (9.5, 79, 0.5), (10, 76, 2), (12, 74, 1), (13, 71, 1), (14, 74, 2)),
]
_CHORUS_TUNE = [
    *((0, 77, 1), (1, 76, 1), (2, 72, 2), (4, 74, 1), (5, 76, 1), (6, 79, 2)),
    *((8, 76, 1), (9, 74, 1), (10, 71, 2), (12, 72, 1), (13, 76, 1), (14, 81, 2)),
]


def beats() -> NDArray[np.float64]:
    """Seconds of every beat, the last chord's included; each fourth from the first on is a downbeat."""
    return FIRST_BEAT + BEAT * np.arange(BARS * BEATS_PER_BAR + 1)


def compose(seed: int = 11) -> Signal:
    """The whole piece, float64 [samples, 2] within -1 to 1."""
    mix = _Mix(seed)
    for bar, chord in enumerate(_CHORDS):
        start = FIRST_BEAT + bar * BAR
        in_break = bar in _BREAK_BARS
        _drums(mix, start, bar, in_break)
        _bass(mix, start, chord[0] - 12 if chord[0] < 55 else chord[0] - 24, in_break)
        _arpeggio(mix, start, chord, 0.10 if bar >= 4 else 0.13)
        if bar >= 4:
            mix.pad(chord, start, BAR, 0.035 if in_break else 0.026)
    for phrase, tune in ((4, _VERSE_TUNE), (10, _CHORUS_TUNE)):
        for beat, note, held in tune:
            mix.lead(note, FIRST_BEAT + phrase * BAR + beat * BEAT, held * BEAT, 0.085)
    for beat, note, held in _CHORUS_TUNE[:6]:
        mix.lead(note, FIRST_BEAT + 14 * BAR + beat * BEAT, held * BEAT, 0.095)
    end = FIRST_BEAT + BARS * BAR
    mix.kick(end, 0.9)
    mix.crash(end, 0.16)
    mix.bass(_LAST_CHORD[0] - 12, end, 1.5, 0.4)
    mix.pad(_LAST_CHORD, end, 1.6, 0.03)
    for note in _LAST_CHORD:
        mix.pluck(note + 12, end, 0.09, 0)
    return mix.master()


def _drums(mix: _Mix, start: float, bar: int, in_break: bool) -> None:
    fill = bar in (7, 9, 15)
    for beat in range(BEATS_PER_BAR):
        at = start + beat * BEAT
        mix.kick(at, 0.55 if in_break else 0.85)
        if beat % 2:
            mix.snare(at, 0.30 if in_break else 0.5)
        if bar >= 2:
            mix.hat(at, 0.20)
            mix.hat(at + BEAT / 2, 0.09)
        if fill and beat == BEATS_PER_BAR - 1:
            for quarter, loud in ((1, 0.14), (2, 0.20), (3, 0.24)):
                mix.snare(at + quarter * BEAT / 4, loud)
    if bar in (4, 10):
        mix.crash(start, 0.14)


def _bass(mix: _Mix, start: float, note: int, in_break: bool) -> None:
    for beat in range(BEATS_PER_BAR):
        if in_break and beat % 2:
            continue
        mix.bass(note, start + beat * BEAT, BEAT * 0.9, 0.36)
        if beat == BEATS_PER_BAR - 1:
            mix.bass(note + 12, start + (beat + 0.5) * BEAT, BEAT * 0.4, 0.16)


def _arpeggio(mix: _Mix, start: float, chord: Sequence[int], loud: float) -> None:
    order = (0, 1, 2, 1, 2, 0, 1, 2)
    for step, k in enumerate(order):
        mix.pluck(chord[k] + 12, start + step * BEAT / 2, loud * (1.0 if step % 2 == 0 else 0.5), (-1) ** step * 0.35)


class _Mix:
    """Two buses of stereo sound: drums, and everything else, which is ducked under the kick and given a room."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._drums = np.zeros((round(SECONDS * RATE), 2))
        self._tones = np.zeros_like(self._drums)
        self._duck = np.ones(len(self._drums))

    def kick(self, at: float, loud: float) -> None:
        time = _time(0.28)
        sweep = 48 * time + 82 * 0.035 * (1 - np.exp(-time / 0.035))
        sound = np.sin(2 * np.pi * sweep) * np.exp(-time / 0.09) + self._noise(time, 0.003) * 0.15
        _add(self._drums, sound, at, loud)
        first = round(at * RATE)
        dip = 1 - 0.45 * np.exp(-_time(0.35) / 0.10)
        window = self._duck[first : first + len(dip)]
        np.minimum(window, dip[: len(window)], out=window)

    def snare(self, at: float, loud: float) -> None:
        time = _time(0.2)
        sound = 0.5 * np.sin(2 * np.pi * 190 * time) * np.exp(-time / 0.05) + 0.6 * self._noise(time, 0.055)
        _add(self._drums, sound, at, loud, 0.06)

    def hat(self, at: float, loud: float) -> None:
        time = _time(0.09)
        _add(self._drums, np.diff(self._noise(time, 0.022), 2, prepend=[0, 0]) * 0.35, at, loud, -0.25)

    def crash(self, at: float, loud: float) -> None:
        time = _time(1.6)
        _add(self._drums, np.diff(self._noise(time, 0.45), prepend=0) * np.minimum(1, time / 0.002), at, loud, 0.3)

    def bass(self, note: int, at: float, seconds: float, loud: float) -> None:
        _add(self._tones, _harmonics(note, seconds, (1, 0.45, 0.25, 0.1), 0.30, attack=0.004), at, loud)

    def pluck(self, note: int, at: float, loud: float, pan: float) -> None:
        _add(self._tones, _harmonics(note, 0.9, (1, 0.55, 0.35, 0.22, 0.12), 0.24, attack=0.002), at, loud, pan)

    def lead(self, note: int, at: float, seconds: float, loud: float) -> None:
        time = _time(seconds + 0.12)
        phase = 2 * np.pi * _hertz(note) * time + 0.25 * np.sin(2 * np.pi * 5.2 * time) * np.minimum(1, time / 0.4)
        sound = np.sin(phase) + 0.33 * np.sin(3 * phase) * np.exp(-time / 0.25) + 0.12 * np.sin(5 * phase)
        shape = (
            np.minimum(1, time / 0.012) * np.clip((seconds + 0.12 - time) / 0.12, 0, 1) * (0.6 + 0.4 * np.exp(-time))
        )
        _add(self._tones, sound * shape, at, loud, 0.1)

    def pad(self, chord: Sequence[int], at: float, seconds: float, loud: float) -> None:
        time = _time(seconds + 0.3)
        shape = np.minimum(1, time / 0.25) * np.clip((seconds + 0.3 - time) / 0.3, 0, 1)
        for note in chord:
            for cents, pan in ((-6, -0.6), (6, 0.6)):
                frequency = _hertz(note + cents / 100)
                sound = sum(np.sin(2 * np.pi * frequency * k * time) / k**1.5 for k in (1, 2, 3, 4))
                _add(self._tones, sound * shape, at, loud, pan)

    def master(self) -> Signal:
        """Both buses together, softly limited, faded out at the end."""
        tones = self._tones * self._duck[:, None]
        mixed = self._drums + tones + 0.12 * self._room(tones + 0.25 * self._drums)
        fade = np.clip((SECONDS - np.arange(len(mixed)) / RATE) / 0.8, 0, 1)[:, None]
        limited = np.tanh(mixed * 0.9) * fade
        return limited * (0.8 / np.abs(limited).max())  # Vorbis overshoots a little

    def _noise(self, time: Signal, decay: float) -> Signal:
        return self._random.standard_normal(len(time)) * np.exp(-time / decay)

    def _room(self, sound: Signal) -> Signal:
        """The sound's echo in a small hall: 0.9 s of decaying noise, different in each ear."""
        time = _time(0.9)
        echo = (
            self._random.standard_normal((len(time), 2))
            * np.exp(-time / 0.22)[:, None]
            * np.minimum(1, time / 0.01)[:, None]
        )
        echo /= np.sqrt((echo**2).sum(axis=0))
        size = len(sound) + len(echo)
        wet = np.fft.irfft(np.fft.rfft(sound, size, axis=0) * np.fft.rfft(echo, size, axis=0), size, axis=0)
        return wet[: len(sound)]


def _time(seconds: float) -> Signal:
    return np.arange(round(seconds * RATE)) / RATE


def _hertz(note: float) -> float:
    return float(440 * 2 ** ((note - 69) / 12))


def _harmonics(note: int, seconds: float, weights: Sequence[float], decay: float, attack: float) -> Signal:
    """A struck string: the higher a harmonic, the sooner it dies."""
    time = _time(seconds)
    sound = np.zeros_like(time)
    for k, weight in enumerate(weights, start=1):
        sound += weight * np.sin(2 * np.pi * k * _hertz(note) * time) * np.exp(-time * k**0.7 / decay)
    return sound * np.minimum(1, time / attack) * np.clip((seconds - time) / 0.02, 0, 1)


def _add(bus: Signal, sound: Signal, at: float, loud: float, pan: float = 0.0) -> None:
    first = round(at * RATE)
    sound = sound[: len(bus) - first]
    bus[first : first + len(sound)] += loud * sound[:, None] * np.sqrt((1 - pan, 1 + pan))


def main() -> None:
    """Write ``music.ogg`` and ``music.beats``."""
    parser = argparse.ArgumentParser(description="Synthesise the sample's music.")
    parser.add_argument("folder", type=Path, help="where music.ogg and music.beats go")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with soundfile.SoundFile(folder / "music.ogg", "w", RATE, channels=2, format="OGG", subtype="VORBIS") as file:
        for block in np.array_split(compose(), 100):  # libsndfile may crash on one long Vorbis write
            file.write(block)
    lines = [f"{time:.3f}\t{k % BEATS_PER_BAR + 1}\n" for k, time in enumerate(beats())]
    (folder / "music.beats").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
