"""The prosody of speech: how loud and how high it is, where it pauses, and which syllables are stressed.

No word is recognised: a stressed word is heard by its syllable, which is louder, longer and, a little, higher than the
ones around it. Which of these counts how much differs between languages and studies; loudness and length are the more
reliable cues (Silipo and Greenberg 1999; Kochanski et al. 2005, "Loudness predicts prominence").
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.ndimage import binary_opening, gaussian_filter1d, label, median_filter
from scipy.signal import find_peaks

from ..progress import SILENT, Progress

RATE = 16000
HOP = 160
WINDOW = 512
STEP = HOP / RATE
"""Seconds from one frame to the next (10 ms)."""

SILENCE = 1e-4
"""Peak of full scale under which there is no speech."""
QUIET = 25.0
"""dB below the loud parts at which speech becomes a pause, where the recording is clean enough."""
ABOVE_NOISE, BELOW_LOUD = 6.0, 12.0
"""dB: in a noisy recording a pause ends so far above the noise, but never nearer than this to the loud parts."""
SHORTEST_PAUSE, SHORTEST_SOUND = 0.25, 0.06
"""Seconds. A shorter pause is the closure of a consonant, a shorter sound a click."""

VOWELS = (300.0, 3000.0)
"""Hz: where vowels are loud, and neither hum nor hiss is."""
DIP = 2.0
"""dB by which the level falls on either side of a syllable (de Jong and Wempe 2009)."""
LENGTH_DIP = 4.0
"""dB below its peak at which a syllable ends."""
SYLLABLES_APART = 0.08
STRESSES_APART = 0.1
"""Seconds between syllables, and between stresses, at least."""
AROUND = 1.0
"""Seconds (sigma) of the surroundings that a stressed syllable stands out from."""
LEVEL_SHARE, LENGTH_SHARE, PITCH_SHARE = 1.0, 0.5, 0.5
"""What a standard deviation of each cue counts."""

LOWEST, HIGHEST = 65.0, 450.0
"""Hz of voices."""
PITCH_WINDOW, PITCH_SUM = 1024, 640
"""Samples that one pitch is found in, and that its difference function is summed over."""
PERIODIC, VOICED = 0.15, 0.35
"""The first period whose normalised difference is below the one is the pitch; the least must be below the other."""

FEWEST_SYLLABLES, QUIET_SHARE = 1.5, 0.3
"""A second, and share of frames with less than half the mean energy: more of both in speech, less in music."""

CEPSTRA = 12
_BANDS = 40
_BLOCK = 4096


@dataclass(frozen=True)
class Prosody:
    """How something is said, in frames of `STEP` seconds.

    Attributes
    ----------
    energy : float64 [F]
        Loudness: 0 in a pause, 1 where it is loud, linear in dB.
    pitch : float64 [F]
        Hz; NaN where there is no voice.
    sound : float32 [F, 2 + CEPSTRA]
        What a moment sounds like: energy, pitch and mel cepstrum, the voice and the microphone taken off. 0 in a pause.
    pauses : float64 [P, 2]
        Seconds from and to.
    syllables : float64 [S, 2]
        Seconds of each syllable's onset (its steepest rise) and nucleus (its loudest moment), rising.
    stress : float64 [S]
        How strongly each syllable is stressed: 0 (not) to 1.
    seconds : float
        Length of the sound.
    """

    energy: NDArray[np.float64]
    pitch: NDArray[np.float64]
    sound: NDArray[np.float32]
    pauses: NDArray[np.float64]
    syllables: NDArray[np.float64]
    stress: NDArray[np.float64]
    seconds: float

    @property
    def spoken(self) -> bool:
        """Whether this is speech, not music: syllables follow closely, and much of it is quiet (Saunders 1996)."""
        quiet = np.mean(self.energy < 0.5 * self.energy.mean())
        return bool(len(self.syllables) > FEWEST_SYLLABLES * self.seconds and quiet > QUIET_SHARE)

    @property
    def stresses(self) -> NDArray[np.float64]:
        """Seconds of the nuclei of the stressed syllables."""
        return np.asarray(self.syllables[self.stress > 0, 1])


def find_prosody(samples: NDArray[np.float32], progress: Progress = SILENT) -> Prosody:
    """Find energy, pitch, pauses and stressed syllables.

    Parameters
    ----------
    samples : float32 [N]
        Mono, `RATE` samples per second.
    progress : Progress

    Returns
    -------
    Prosody
        One long pause where nothing is heard.
    """
    seconds = len(samples) / RATE
    if len(samples) < WINDOW or np.abs(samples).max() < SILENCE:
        count = 1 + len(samples) // HOP
        return Prosody(
            np.zeros(count),
            np.full(count, np.nan),
            np.zeros((count, 2 + CEPSTRA), np.float32),
            np.array([[0.0, seconds]]),
            np.zeros((0, 2)),
            np.zeros(0),
            seconds,
        )
    mel, vowels, pitch = _frames(samples / np.abs(samples).max(), progress.part(0.0, 0.9))
    level = _decibel(mel.sum(axis=1))
    loud = float(np.percentile(level, 95))
    quiet = min(max(loud - QUIET, float(np.percentile(level, 5)) + ABOVE_NOISE), loud - BELOW_LOUD)
    paused = _pauses(level > quiet)
    energy = np.where(paused, 0.0, np.clip((level - quiet) / (loud - quiet), 0.0, 1.0))
    pitch[paused] = np.nan
    syllables, stress = _syllables(_decibel(vowels), energy, pitch)
    numbers, count = label(paused)
    pauses = [np.flatnonzero(numbers == number + 1)[[0, -1]] * STEP for number in range(count)]
    progress.update(1.0)
    return Prosody(
        energy,
        pitch,
        _sound(mel, energy, pitch),
        np.clip(np.array(pauses).reshape(-1, 2) + np.array([0.0, STEP]), 0.0, seconds),
        syllables,
        stress,
        seconds,
    )


def _frames(
    samples: NDArray[np.float32], progress: Progress
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Power in mel bands [F, B] and in the vowels' band [F], and pitch [F]; block by block, for an hour of sound."""
    import librosa

    to_mel = librosa.filters.mel(sr=RATE, n_fft=WINDOW, n_mels=_BANDS, fmin=80.0)
    frequencies = librosa.fft_frequencies(sr=RATE, n_fft=WINDOW)
    open_mouth = (frequencies >= VOWELS[0]) & (frequencies <= VOWELS[1])
    taper = np.hanning(WINDOW).astype(np.float32)
    count = 1 + len(samples) // HOP
    padded = np.pad(samples, PITCH_WINDOW // 2 + HOP)[HOP:]
    windows = np.lib.stride_tricks.sliding_window_view(padded, PITCH_WINDOW)[::HOP][:count]
    middle = slice((PITCH_WINDOW - WINDOW) // 2, (PITCH_WINDOW + WINDOW) // 2)
    mel, vowels, pitch = np.empty((count, _BANDS)), np.empty(count), np.empty(count)
    for first in range(0, count, _BLOCK):
        block = slice(first, first + _BLOCK)
        power = np.abs(np.fft.rfft(windows[block, middle] * taper)) ** 2
        mel[block] = power @ to_mel.T
        vowels[block] = power[:, open_mouth].sum(axis=1)
        pitch[block] = _pitch(windows[block])
        progress.update(min(1.0, (first + _BLOCK) / count))
    jumps = np.abs(pitch - median_filter(np.nan_to_num(pitch), 5)) > 0.2 * pitch  # octave errors, and lone frames
    return mel, vowels, np.where(jumps, np.nan, pitch)


def _pitch(windows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Hz [n] of each window [n, PITCH_WINDOW], NaN without a period (YIN: de Cheveigne and Kawahara 2002, eq. 6-8)."""
    shortest, longest = int(RATE / HIGHEST), int(np.ceil(RATE / LOWEST))
    size = 2 * PITCH_WINDOW
    whole, start = np.fft.rfft(windows, size), np.fft.rfft(windows[:, :PITCH_SUM], size)
    product = np.fft.irfft(whole * start.conj(), size)[:, : longest + 2]
    squares = np.pad(np.cumsum(windows.astype(np.float64) ** 2, axis=1), ((0, 0), (1, 0)))
    lags = np.arange(longest + 2)
    difference = np.maximum(
        squares[:, [PITCH_SUM]] + squares[:, lags + PITCH_SUM] - squares[:, lags] - 2 * product, 0.0
    )
    sums = np.cumsum(difference[:, 1:], axis=1)
    normal = np.ones_like(difference)
    normal[:, 1:] = difference[:, 1:] * lags[1:] / np.maximum(sums, 1e-12)
    inner = normal[:, shortest : longest + 1]
    dip = (inner <= normal[:, shortest - 1 : longest]) & (inner <= normal[:, shortest + 1 : longest + 2])
    good = dip & (inner < PERIODIC)
    lag = shortest + np.where(good.any(axis=1), good.argmax(axis=1), np.where(dip, inner, np.inf).argmin(axis=1))
    left, here, right = (np.take_along_axis(normal, lag[:, None] + k, axis=1)[:, 0] for k in (-1, 0, 1))
    bend = left - 2 * here + right
    exact = lag + np.where(bend > 1e-9, 0.5 * (left - right) / np.maximum(bend, 1e-9), 0.0)
    return np.where((here < VOICED) & (sums[:, -1] > 1e-9), RATE / exact, np.nan)


def _pauses(sounding: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Frames [F] in pauses that are long enough."""
    quiet = ~binary_opening(sounding, np.ones(round(SHORTEST_SOUND / STEP)))
    numbers, _ = label(quiet)
    long_enough = np.bincount(numbers) * STEP >= SHORTEST_PAUSE
    long_enough[0] = False
    return np.asarray(long_enough[numbers])


def _syllables(
    level: NDArray[np.float64], energy: NDArray[np.float64], pitch: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Onset and nucleus of each syllable [S, 2] in seconds, and its stress [S].

    Nuclei are voiced peaks of the level with a dip on either side (de Jong and Wempe 2009).
    """
    level = gaussian_filter1d(level, 0.02 / STEP)
    peaks, _ = find_peaks(level, prominence=DIP, distance=round(SYLLABLES_APART / STEP))
    voiced = median_filter(np.isfinite(pitch), 3)
    peaks = peaks[voiced[peaks] & (energy[peaks] > 0)]
    if not len(peaks):
        return np.zeros((0, 2)), np.zeros(0)
    between = [0, *(a + int(level[a:b].argmin()) for a, b in pairwise(peaks)), len(level) - 1]
    rise = np.gradient(level)
    onsets, lengths, heights = np.zeros(len(peaks)), np.zeros(len(peaks)), np.zeros(len(peaks))
    semitones = 12 * np.log2(pitch / np.nanmedian(pitch))
    for number, peak in enumerate(peaks):
        first, last = max(between[number], peak - round(0.2 / STEP)), between[number + 1]
        onsets[number] = first + int(rise[first : peak + 1].argmax())
        before, after = (
            level[first : peak + 1][::-1] < level[peak] - LENGTH_DIP,
            level[peak : last + 1] < level[peak] - LENGTH_DIP,
        )
        lengths[number] = sum(int(side.argmax()) if side.any() else len(side) for side in (before, after)) * STEP
        near = semitones[max(peak - 5, 0) : peak + 6]
        heights[number] = np.nanmedian(near) if np.isfinite(near).any() else 0.0
    times = peaks * STEP
    cues = ((level[peaks], LEVEL_SHARE), (np.log(lengths + 0.02), LENGTH_SHARE), (heights, PITCH_SHARE))
    score = np.sum([share * _standing_out(values, times) for values, share in cues], axis=0)
    rival = np.abs(times[:, None] - times) < STRESSES_APART
    greatest = score >= np.where(rival, score, -np.inf).max(axis=1)
    strong = max(float(np.percentile(score, 90)), 1e-9)
    stress = np.where(greatest, np.sqrt(np.clip(score / strong, 0.0, 1.0)), 0.0)
    return np.stack([onsets * STEP, times], axis=1), stress


def _standing_out(values: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviations [S] by which each value is above those said around it."""
    near = np.exp(-((times[:, None] - times) ** 2) / (2 * AROUND**2))
    above = values - near @ values / near.sum(axis=1)
    return np.asarray(above / max(float(above.std()), 1e-9))


def _sound(mel: NDArray[np.float64], energy: NDArray[np.float64], pitch: NDArray[np.float64]) -> NDArray[np.float32]:
    """See `Prosody.sound`: each part of about the same size."""
    cepstra = dct(_decibel(mel), axis=1, norm="ortho")[:, 1 : CEPSTRA + 1]
    spoken = energy > 0
    if spoken.any():
        cepstra = (cepstra - cepstra[spoken].mean(axis=0)) / np.maximum(cepstra[spoken].std(axis=0), 1e-9)
    voiced = np.isfinite(pitch)
    height = np.zeros(len(pitch))
    if voiced.any():
        height[voiced] = np.clip(np.log2(pitch[voiced] / np.median(pitch[voiced])) * 3.0, -2.0, 2.0)
    return np.column_stack([2.0 * energy, height * energy, cepstra * energy[:, None] / np.sqrt(CEPSTRA)]).astype(
        np.float32
    )


def _decibel(power: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(10.0 * np.log10(np.maximum(power, 1e-10)))
