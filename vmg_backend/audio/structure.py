"""The form of a piece of music: how loud it is when, its bars, phrases and sections.

Everything is looked at bar by bar. A section is a stretch in which the sound (timbre, harmony, loudness) stays around
one mean: of all ways to cut the piece into sections, the one with the least squared distance to their means, plus a
price for each section, that the change from bar to bar decides (as the Bayesian information criterion does; Schwarz
1978). Phrases are groups of bars inside a section, by preference of 4 or 8, that begin where the bars before and after
a bar line are least alike: the novelty of the self-similarity matrix (Foote 2000, "Automatic audio segmentation using
a measure of audio novelty").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.ndimage import gaussian_filter1d

from ..progress import SILENT, Progress
from .beats import Beat
from .rhythm import RATE

HOP, WINDOW, BANDS = 2048, 4096, 40
STEP = HOP / RATE
"""s from one value of the loudness to the next (93 ms)."""

BEATS_IN_BAR = 4
"""Of a piece whose bars are not clear."""
BAR = 2.0
"""s, length of a bar of a piece without beats."""
SHORTEST = 2
"""Bars, least length of a section."""
CEPSTRA = 8
"""Numbers that describe the timbre of a bar."""
PRICE = 2.0
"""Price of a section, times what two halves of one sound differ by through chance alone."""
ALIKE = 1.0
"""Mean distance, in spreads between bars of one section, up to which two sections sound alike."""
NOVELTY = 4
"""Bars on either side of a bar line that are compared for phrases."""
PHRASE_LENGTHS = {4: 0.0, 8: 0.5, 2: 1.5, 6: 1.5, 3: 2.0, 5: 2.0, 7: 2.0, 1: 3.0}
"""What a phrase of so many bars costs, against the novelty of its first bar line in standard deviations."""
QUIETEST = 1e-8
"""Share of the loudest power below which all is silence (-80 dB)."""


@dataclass(frozen=True)
class Section:
    """A stretch of music of one kind: s, and a number that all sections have in common that sound alike."""

    start: float
    end: float
    kind: int


@dataclass(frozen=True)
class Structure:
    """The form of a piece of music.

    Attributes
    ----------
    seconds : float
    loudness : float64 [L]
        dB of full scale, weighted as the ear hears, every `STEP` seconds; not smoothed.
    bars : float64 [B]
        Beginnings, s; the first one may begin before the music's first beat.
    phrases : float64 [P]
        Beginnings, s; each section begins one.
    sections : tuple of Section
        By time, without gaps.
    """

    seconds: float
    loudness: NDArray[np.float64]
    bars: NDArray[np.float64]
    phrases: NDArray[np.float64]
    sections: tuple[Section, ...]

    def energy(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Loudness [T] in dB at some times [T], as meant over half a bar before and after; silence after the end."""
        bar = float(np.median(np.diff(self.bars))) if len(self.bars) > 1 else BAR
        power = gaussian_filter1d(10.0 ** (self.loudness / 10.0), 0.5 * bar / STEP, mode="nearest")
        level = 10.0 * np.log10(np.maximum(power, 1e-12))
        heard = np.interp(times, (np.arange(len(level)) + 0.5) * STEP, level)
        return np.asarray(np.where(times < self.seconds, heard, level.min()))


def find_structure(samples: NDArray[np.float32], beats: Sequence[Beat], progress: Progress = SILENT) -> Structure:
    """Find bars, phrases and sections.

    Parameters
    ----------
    samples : float32 [N]
        Mono, `rhythm.RATE` samples per second.
    beats : sequence of Beat
        Of these samples, by time.
    progress : Progress

    Returns
    -------
    Structure
        Of silence: one section, one phrase.
    """
    seconds = len(samples) / RATE
    mel, chroma, loudness = _spectra(samples, progress)
    lines = bar_lines(beats, seconds)
    bars = _bars(mel, chroma, loudness, lines)
    cuts = _sections(bars)
    kinds = _kinds(bars, cuts)
    ends = [*lines[cuts[1:]].tolist(), seconds]
    sections = tuple(Section(float(lines[cut]), end, kind) for cut, end, kind in zip(cuts, ends, kinds, strict=True))
    return Structure(seconds, loudness, lines, lines[_phrases(bars, cuts)], sections)


def bar_lines(beats: Sequence[Beat], seconds: float) -> NDArray[np.float64]:
    """Beginnings of bars, s [B]: from 0 on, each at the music's; counted or measured where the music's are not known.

    What lies before the first bar is a bar of its own, when half as long as one at least, and belongs to it if not.
    """
    pulse = [beat for beat in beats if beat.pulse]
    times = np.array([beat.time for beat in pulse if beat.kind == "bar"])
    if len(times) < 2:
        times = np.array([beat.time for beat in pulse])[::BEATS_IN_BAR]
    if len(times) < 2:
        return np.arange(0.0, max(seconds - 0.5 * BAR, 0.5 * BAR), BAR)
    usual = float(np.median(np.diff(times)))
    times = times[times < max(seconds - 0.5 * usual, times[0] + 1e-9)]
    if times[0] >= 0.5 * usual:
        return np.concatenate([[0.0], times])
    return np.concatenate([[0.0], times[1:]])


def _spectra(
    samples: NDArray[np.float32], progress: Progress
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Power in bands [F, BANDS], in pitch classes [F, 12], and loudness in dB [F]; block by block."""
    import librosa

    to_mel = librosa.filters.mel(sr=RATE, n_fft=WINDOW, n_mels=BANDS)
    to_chroma = librosa.filters.chroma(sr=RATE, n_fft=WINDOW)
    hertz = librosa.fft_frequencies(sr=RATE, n_fft=WINDOW)
    ear = np.zeros(len(hertz))
    ear[1:] = 10.0 ** (librosa.A_weighting(hertz[1:], min_db=None) / 10.0)
    ear *= 4.0 / WINDOW**2  # of a sine at full scale, about 0 dB
    count = max(1, -(-len(samples) // HOP))
    padded = np.pad(samples, (WINDOW - HOP) // 2)
    padded = np.pad(padded, (0, max(0, (count - 1) * HOP + WINDOW - len(padded))))
    mel, chroma, heard = np.empty((count, BANDS)), np.empty((count, 12)), np.empty(count)
    for first in range(0, count, 1024):
        last = min(first + 1024, count)
        part = padded[first * HOP : (last - 1) * HOP + WINDOW]
        power = np.abs(librosa.stft(part, n_fft=WINDOW, hop_length=HOP, center=False)) ** 2
        mel[first:last], chroma[first:last], heard[first:last] = (to_mel @ power).T, (to_chroma @ power).T, ear @ power
        progress.update(last / count)
    return mel, chroma, 10.0 * np.log10(np.maximum(heard, 1e-12))


def _bars(
    mel: NDArray[np.float64], chroma: NDArray[np.float64], loudness: NDArray[np.float64], lines: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What each bar sounds like [B, D]: timbre, harmony and loudness, each with the same say.

    A number counts in units of its usual change from one bar to the next, so a chance change has the size 1.
    """
    first = np.minimum(np.round(lines / STEP).astype(np.int64), len(mel) - 1)
    first = np.maximum.accumulate(first)
    count = np.maximum(np.diff(np.append(first, len(mel))), 1)[:, None]
    power = np.add.reduceat(mel, first) / count
    floor = max(float(power.max()) * QUIETEST, 1e-12)
    timbre = dct(np.log(np.maximum(power, floor)), axis=1, norm="ortho")[:, 1 : CEPSTRA + 1]
    pitches = np.add.reduceat(chroma, first) / count
    harmony = pitches / np.maximum(
        np.linalg.norm(pitches, axis=1, keepdims=True), max(float(pitches.max()), 1e-12) * QUIETEST
    )
    loud = np.add.reduceat(loudness, first)[:, None] / count
    return np.hstack([_in_steps(part) for part in (timbre, harmony, loud)])


def _in_steps(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers [B, d] in units of their root mean square change from bar to bar, all together counting as one number.

    Half of the squared change is the variance inside a section. It is the median that says what is usual, so that the
    few changes between sections do not count; and at least a hundredth of the whole spread.
    """
    if len(values) < 2:
        return np.zeros_like(values)
    change = np.square(np.diff(values, axis=0)).sum(axis=1) / 2.0
    spread = float(values.var(axis=0).sum())
    return np.asarray(values / np.sqrt(max(float(np.median(change)), 0.01 * spread, 1e-9)))


def _sections(bars: NDArray[np.float64]) -> list[int]:
    """First bars of the sections: least squares and a price for each, over all ways to cut (dynamic programming)."""
    count = len(bars)
    sums = np.vstack([np.zeros(bars.shape[1]), np.cumsum(bars, axis=0)])
    squares = np.concatenate([[0.0], np.cumsum(np.square(bars).sum(axis=1))])
    price = PRICE * 3.0 * np.log(max(count, 2))  # three kinds of numbers, each of variance 1
    best = np.full(count + 1, np.inf)
    best[0] = 0.0
    came_from = np.zeros(count + 1, np.int64)
    for end in range(1, count + 1):
        starts = np.arange(0, end - SHORTEST + 1)
        starts = starts[np.isfinite(best[starts])] if len(starts) else np.array([0])
        inside = squares[end] - squares[starts]
        inside -= np.square(sums[end] - sums[starts]).sum(axis=1) / (end - starts)
        costs = best[starts] + inside + price
        if end < SHORTEST and end < count:
            continue
        best[end], came_from[end] = costs.min(), starts[costs.argmin()]
    cuts, end = [], count
    while end > 0:
        end = int(came_from[end])
        cuts.append(end)
    return cuts[::-1]


def _kinds(bars: NDArray[np.float64], cuts: Sequence[int]) -> list[int]:
    """A number for each section, the same where they sound alike; counted as they come."""
    means = [part.mean(axis=0) for part in np.split(bars, cuts[1:])]
    kinds: list[int] = []
    for number, mean in enumerate(means):
        away = [float(np.sqrt(np.square(mean - other).sum() / 3.0)) for other in means[:number]]
        nearest = int(np.argmin(away)) if away else 0
        kinds.append(kinds[nearest] if away and away[nearest] <= ALIKE else max(kinds, default=-1) + 1)
    return kinds


def _novelty(bars: NDArray[np.float64]) -> NDArray[np.float64]:
    """How unlike the bars before and after each bar line are [B], standardised: Foote's checkerboard on similarity."""
    count = len(bars)
    similarity = np.exp(-np.square(bars[:, None] - bars[None]).sum(axis=2) / (2.0 * 3.0 * 2.0))
    novelty = np.zeros(count)
    for line in range(1, count):
        reach = min(NOVELTY, line, count - line)
        around = slice(line - reach, line + reach)
        sign = np.repeat([-1.0, 1.0], reach)
        novelty[line] = sign @ similarity[around, around] @ sign / reach**2
    inner = novelty[1:]
    return np.asarray((novelty - inner.mean()) / max(float(inner.std()), 1e-9)) if len(inner) else novelty


def _phrases(bars: NDArray[np.float64], cuts: Sequence[int]) -> list[int]:
    """First bars of the phrases: most novelty there, less what the lengths cost; each section by itself."""
    novelty = _novelty(bars)
    phrases: list[int] = []
    for first, last in zip(cuts, [*cuts[1:], len(bars)], strict=True):
        best, came_from = {first: 0.0}, {first: first}
        for end in range(first + 1, last + 1):
            options = [
                (best[end - n] + (novelty[end] if end < last else 0.0) - price, end - n)
                for n, price in PHRASE_LENGTHS.items()
                if end - n in best
            ]
            best[end], came_from[end] = max(options)
        inside, at = [], last
        while at > first:
            at = came_from[at]
            inside.append(at)
        phrases += inside[::-1]
    return phrases
