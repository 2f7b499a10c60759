"""Beats, bars and onsets in samples, by librosa, with the weaknesses of its beat tracker mended.

What librosa 0.11 alone does, and what is done about it here:

- It reports beats about 25 ms after the sound's attack (`LATENESS`, subtracted).
- Its onset envelope, the better one by median over the bands, hardly sees a kick drum: the low band is added.
- It looks for the largest sum over beats, and an attack is never below 0: one beat too many costs nothing, so where the
  music slows down it squeezes one in. The envelope's mean is taken off: a beat has to be better than chance.
- It wants a beat at the very end of the sound, and squeezes the ones before it to get there: it gets seconds of nothing
  to have that beat in.
- One tempo for the whole piece loses pieces that change theirs; its own tempo of each moment jumps between octaves.
  Here the tempo is a path through the tempogram that may change but pays for it.
- The beat at the very start is not reported: the grid goes on to both sides while the music sounds.
- Kick drum with loud off-beat hats: it locks to the hats. Where the low band says clearly that the beat lies half way
  between, the low band gets its way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..progress import SILENT, Progress

RATE = 22050
HOP = 256
WINDOW = 2048
FRAME = HOP / RATE
"""Seconds from one frame of the envelopes to the next (11.6 ms)."""

LATENESS = 0.025
"""Seconds by which beats and onsets are reported late, measured on clicks and drum tracks with known beats."""
NEAR = 0.05
"""Seconds around a moment in which its attack is looked for."""
SILENCE = 1e-4
"""Peak of full scale under which there is no music."""
SOUNDING = 1e-4
"""Power, as a share of the loud parts' (-40 dB), above which the music sounds."""
TORN_OFF = 0.85
"""First or last beats nearer to their neighbours than this share of the usual are squeezed in at the file's end."""

SLOWEST, FASTEST, PREFERRED = 50.0, 220.0, 120.0
"""Tempi in beats per minute: the bounds, and the one that counts most (log-normal, one octave wide)."""
TEMPO_WINDOW = 6.0
TEMPO_STEP = 0.5
"""Seconds of music behind one tempo, and from one tempo to the next."""
TEMPO_CHANGE = 20.0
"""Price of a tempo change by one octave, against the tempogram's log score."""
TIGHTNESS = 300.0
"""How closely librosa's tracker keeps to the tempo (its default is 100)."""
TAIL = 4.0
"""Seconds of nothing after the end: room for several beats of any tempo."""

LOW_BAND = 130.0
"""Hz: kick drum and bass lie below."""
LOW_WEIGHT = 0.5
"""Share of the low band's attacks beside librosa's envelope, whose median over the bands hardly sees a kick drum."""
FLIP_RATIO = 3.0
"""The beats move to the low band's when its attacks there are so much stronger than at the beats found."""
BAR_CONFIDENCE = 2.0
"""Standard errors by which the first beat of the bar must stand out from the second best."""
FEWEST_FOR_BARS = 16
"""Beats below which no bars are looked for."""


@dataclass(frozen=True)
class Rhythm:
    """Where the pulse of a piece lies.

    Attributes
    ----------
    beats : float64 [N]
        Seconds, rising.
    downbeats : bool [N]
        Which beats begin a bar; none when that is not clear.
    beat_strengths : float64 [N]
        0 to 1: how strong the attack at the beat is.
    onsets : float64 [M]
        Seconds, rising: every attack found.
    onset_strengths : float64 [M]
        0 to 1.
    """

    beats: NDArray[np.float64]
    downbeats: NDArray[np.bool_]
    beat_strengths: NDArray[np.float64]
    onsets: NDArray[np.float64]
    onset_strengths: NDArray[np.float64]


@dataclass(frozen=True)
class _Envelopes:
    """What the spectrogram says, frame by frame."""

    onset: NDArray[np.float64]  # [F] attack in the whole band, in standard deviations
    low: NDArray[np.float64]  # [F] attack below LOW_BAND, 1 = strong
    power: NDArray[np.float64]  # [F]
    chroma: NDArray[np.float64]  # [F, 12] energy of the pitch classes


def find_rhythm(samples: NDArray[np.float32], progress: Progress = SILENT) -> Rhythm:
    """Find beats, bars and onsets.

    Parameters
    ----------
    samples : float32 [N]
        Mono, `RATE` samples per second.
    progress : Progress

    Returns
    -------
    Rhythm
        Empty for silence. Times lie in [0, length of the sound].
    """
    import librosa

    if len(samples) < WINDOW or np.abs(samples).max() < SILENCE:
        none = np.zeros(0)
        return Rhythm(none, none.astype(bool), none, none, none)
    envelopes = _envelopes(samples, progress.part(0.0, 0.6))
    tempo = _tempo_path(envelopes.onset)
    progress.update(0.7)
    beats = _track(envelopes.onset, tempo)
    beats = _in_phase(beats, _track(envelopes.low, tempo), envelopes.low)
    progress.update(0.9)
    beats = _where_music_sounds(beats, envelopes.power, len(samples) / RATE)
    onsets = librosa.onset.onset_detect(onset_envelope=envelopes.onset, sr=RATE, hop_length=HOP, units="time")
    onsets = np.clip(onsets - LATENESS, 0.0, None)
    strengths = _near(envelopes.onset, onsets)
    strong = max(float(np.percentile(strengths, 95)), 1e-9) if len(onsets) else np.inf
    progress.update(1.0)
    return Rhythm(
        beats,
        _downbeats(beats, envelopes),
        np.clip(_near(envelopes.onset, beats) / strong, 0.0, 1.0),
        onsets,
        np.clip(strengths / strong, 0.0, 1.0),
    )


def _envelopes(samples: NDArray[np.float32], progress: Progress) -> _Envelopes:
    """Block by block, so that an hour of music does not need gigabytes."""
    import librosa

    to_mel = librosa.filters.mel(sr=RATE, n_fft=WINDOW)
    to_chroma = librosa.filters.chroma(sr=RATE, n_fft=WINDOW)
    bass = librosa.fft_frequencies(sr=RATE, n_fft=WINDOW) < LOW_BAND
    padded = np.pad(samples, WINDOW // 2)
    count = 1 + len(samples) // HOP
    mel = np.empty((len(to_mel), count), np.float32)
    chroma = np.empty((count, 12))
    amplitude = np.empty(count)
    for first in range(0, count, 2048):
        last = min(first + 2048, count)
        part = padded[first * HOP : (last - 1) * HOP + WINDOW]
        power = np.abs(librosa.stft(part, n_fft=WINDOW, hop_length=HOP, center=False)) ** 2
        mel[:, first:last] = to_mel @ power
        chroma[first:last] = (to_chroma @ power).T
        amplitude[first:last] = np.sqrt(power[bass].sum(axis=0))
        progress.update(last / count)
    onset = librosa.onset.onset_strength(
        S=librosa.power_to_db(mel), sr=RATE, hop_length=HOP, n_fft=WINDOW, aggregate=np.median
    )
    attack = np.maximum(amplitude - np.pad(amplitude, (3, 0))[:-3], 0.0)  # over 35 ms: a kick's rise
    attack = np.pad(attack, (2, 0))[:-2]  # as late as librosa's envelope
    low = attack / max(float(np.percentile(attack, 99)), 1e-9)
    onset = onset / max(float(onset.std()), 1e-9) + LOW_WEIGHT * low / max(float(low.std()), 1e-9)
    return _Envelopes(onset.astype(np.float64), low, mel.sum(axis=0).astype(np.float64), chroma)


def _tempo_path(onset: NDArray[np.float64]) -> NDArray[np.float64]:
    """Beats per minute at every frame: the best path through the tempogram (Viterbi)."""
    import librosa

    tempogram = librosa.feature.tempogram(
        onset_envelope=onset, sr=RATE, hop_length=HOP, win_length=round(TEMPO_WINDOW / FRAME)
    )
    lags = np.arange(int(np.ceil(60 / FASTEST / FRAME)), int(60 / SLOWEST / FRAME) + 1)
    tempi = 60 / FRAME / lags
    step = round(TEMPO_STEP / FRAME)
    likely = -0.5 * np.log2(tempi / PREFERRED) ** 2
    scores = (np.log1p(1e6 * np.maximum(tempogram[lags, ::step], 0.0)) + likely[:, None]).T
    price = TEMPO_CHANGE * np.abs(np.log2(tempi[:, None] / tempi[None, :]))
    best = scores[0]
    came_from = np.zeros((len(scores), len(tempi)), np.int64)
    for moment in range(1, len(scores)):
        reached = best[:, None] - price
        came_from[moment] = reached.argmax(axis=0)
        best = reached.max(axis=0) + scores[moment]
    path = np.empty(len(scores), np.int64)
    path[-1] = best.argmax()
    for moment in range(len(scores) - 1, 0, -1):
        path[moment - 1] = came_from[moment, path[moment]]
    return np.repeat(tempi[path], step)[: len(onset)]


def _track(envelope: NDArray[np.float64], tempo: NDArray[np.float64]) -> NDArray[np.float64]:
    """Beats in seconds, by librosa's dynamic programming; some may follow after the end."""
    import librosa

    tail = round(TAIL / FRAME)
    _, beats = librosa.beat.beat_track(
        onset_envelope=np.pad(envelope - envelope.mean(), (0, tail)),
        sr=RATE,
        hop_length=HOP,
        bpm=np.pad(tempo, (0, tail), mode="edge"),
        tightness=TIGHTNESS,
        trim=False,
        units="time",
    )
    return np.asarray(beats, np.float64) - LATENESS


def _in_phase(
    beats: NDArray[np.float64], low_beats: NDArray[np.float64], low: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Take the low band's beats where `beats` lie half a beat off and miss most of its attacks."""
    if len(beats) < 4 or len(low_beats) < 4:
        return beats
    inner = low_beats[(low_beats > beats[0]) & (low_beats < beats[-1])]
    after = np.searchsorted(beats, inner)
    phases = (inner - beats[after - 1]) / (beats[after] - beats[after - 1])
    if not len(phases) or abs(float(np.median(phases)) - 0.5) > 0.2:
        return beats
    clear = _near(low, low_beats).mean() > FLIP_RATIO * _near(low, beats).mean()
    return low_beats if clear else beats


def _where_music_sounds(beats: NDArray[np.float64], power: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """Continue the grid to both sides while the music sounds; drop beats in the silence around it."""
    frames = np.flatnonzero(power > SOUNDING * np.percentile(power, 95))
    begin = max(0.0, frames[0] * FRAME - NEAR)
    end = min(seconds, frames[-1] * FRAME)
    beats = beats[(beats >= begin - NEAR) & (beats <= end)]
    if len(beats) < 2:
        return np.asarray(np.maximum(beats, 0.0))
    gaps = np.diff(beats)
    usual = np.flatnonzero(gaps >= TORN_OFF * np.median(gaps))
    beats = beats[usual[0] : usual[-1] + 2]
    gaps = np.diff(beats)
    ahead, behind = float(np.median(gaps[:8])), float(np.median(gaps[-8:]))
    before = np.arange(beats[0] - ahead, begin - NEAR, -ahead)[::-1]
    after = np.arange(beats[-1] + behind, end, behind)
    grid = np.concatenate([before, beats, after])
    grid = grid[(grid >= begin - NEAR) & (grid <= end)]
    return np.asarray(np.maximum(grid, 0.0))


def _downbeats(beats: NDArray[np.float64], envelopes: _Envelopes) -> NDArray[np.bool_]:
    """Tell which beats begin bars of four or three: there the bass is struck and the harmony changes."""
    downbeats = np.zeros(len(beats), np.bool_)
    if len(beats) < FEWEST_FOR_BARS:
        return downbeats
    frames = np.clip(np.round(beats / FRAME).astype(int), 0, len(envelopes.chroma) - 1)
    sums = np.add.reduceat(envelopes.chroma, frames)  # from each beat to the next
    harmony = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    change = 1 - (harmony[1:] * harmony[:-1]).sum(axis=1)
    accent = _standardised(_near(envelopes.low, beats))
    accent[1:] += _standardised(change)
    confidence, meter, phase = max(_bar(accent, meter) for meter in (4, 3))
    if confidence >= BAR_CONFIDENCE:
        downbeats[phase::meter] = True
    return downbeats


def _bar(accent: NDArray[np.float64], meter: int) -> tuple[float, int, int]:
    """How many standard errors the strongest beat of the bar leads the second, the meter, and which beat it is."""
    groups = [accent[phase::meter] for phase in range(meter)]
    second, first = sorted(range(meter), key=lambda phase: float(groups[phase].mean()))[-2:]
    error = np.sqrt(sum(groups[phase].var(ddof=1) / len(groups[phase]) for phase in (first, second)))
    lead = groups[first].mean() - groups[second].mean()
    return float(lead / max(float(error), 1e-9)), meter, first


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-6))


def _near(envelope: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the envelope's maximum within `NEAR` seconds of each attack."""
    reach = round(NEAR / FRAME)
    frames = np.round((times + LATENESS) / FRAME).astype(int)
    windows = np.clip(frames[:, None] + np.arange(-reach, reach + 1), 0, len(envelope) - 1)
    return np.asarray(envelope[windows].max(axis=1, initial=0.0))
