"""The form of music: pieces whose sections, phrases and loudness are known because they are made here."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from vmg_backend import sample
from vmg_backend.audio.beats import Beat, load_beats
from vmg_backend.audio.decode import load_audio
from vmg_backend.audio.rhythm import RATE
from vmg_backend.audio.structure import STEP, bar_lines, find_structure
from vmg_backend.errors import Cancelled
from vmg_backend.progress import Progress

BAR = 2.0
VERSE = (((220.0, 261.6, 329.6), (174.6, 220.0, 261.6)), 0.2, 0.0)
CHORUS = (((196.0, 246.9, 293.7), (130.8, 164.8, 196.0)), 0.7, 0.3)
"""Chords that take turns, their loudness, and the noise on the beats."""


def piece(*sections, seed=0):
    """Bars of chords, each `(bars, sound)`; and their beats."""
    rng = np.random.default_rng(seed)
    bars = []
    for count, (chords, loud, noise) in sections:
        for number in range(count):
            t = np.arange(round(BAR * RATE)) / RATE
            bar = sum(np.sin(2 * np.pi * k * f * t) / k for f in chords[number % len(chords)] for k in (1, 2, 3))
            bar = bar * loud * np.exp(-(t % 0.5) / 0.4) * rng.uniform(0.9, 1.1)
            bar += noise * rng.standard_normal(len(t)) * np.exp(-(t % 0.5) / 0.03)
            bars.append(0.1 * bar)
    samples = np.concatenate(bars).astype(np.float32)
    samples += 1e-4 * rng.standard_normal(len(samples)).astype(np.float32)
    beats = [Beat(0.5 * n, "bar" if n % 4 == 0 else "beat", 1.0) for n in range(4 * len(bars))]
    return samples, beats


def test_sections_begin_where_the_sound_changes_and_equal_sounds_have_one_kind():
    structure = find_structure(*piece((8, VERSE), (8, CHORUS), (8, VERSE), (4, CHORUS)))
    assert [section.start for section in structure.sections] == [0.0, 16.0, 32.0, 48.0]
    assert [section.end for section in structure.sections] == [16.0, 32.0, 48.0, 56.0]
    assert [section.kind for section in structure.sections] == [0, 1, 0, 1]


@pytest.mark.parametrize("seed", range(4))
def test_one_sound_is_one_section(seed):
    assert len(find_structure(*piece((24, VERSE), seed=seed)).sections) == 1


def test_phrases_begin_with_sections_and_have_whole_bars():
    structure = find_structure(*piece((8, VERSE), (12, CHORUS)))
    lengths = np.diff([*structure.phrases, structure.seconds]) / BAR
    assert {section.start for section in structure.sections} <= set(structure.phrases.tolist())
    assert set(lengths.tolist()) <= {4.0, 8.0}, lengths


def test_a_phrase_begins_where_the_music_is_new():
    other = (((293.7, 349.2, 440.0), (329.6, 392.0, 493.9)), 0.2, 0.0)
    structure = find_structure(*piece((4, VERSE), (4, other), (4, VERSE), (4, other)))
    assert structure.phrases.tolist() == [0.0, 8.0, 16.0, 24.0]


def test_energy_is_that_of_the_sound():
    structure = find_structure(*piece((8, VERSE), (8, (VERSE[0], 0.8, 0.0))))
    quiet, loud = structure.energy(np.array([8.0, 24.0]))
    assert loud - quiet == pytest.approx(20 * np.log10(4), abs=1.0)
    assert structure.energy(np.array([structure.seconds + 5]))[0] <= quiet
    assert len(structure.loudness) == pytest.approx(structure.seconds / STEP, abs=1)


def test_loudness_is_in_db_as_the_ear_hears():
    t = np.arange(4 * RATE) / RATE
    full, deep = (
        find_structure(np.sin(2 * np.pi * hertz * t).astype(np.float32), []).loudness[10:-10].mean()
        for hertz in (1000.0, 50.0)
    )
    assert full == pytest.approx(10 * np.log10(3 / 8), abs=0.5)  # the window's mean square, no gain at 1 kHz
    assert deep - full == pytest.approx(-30.2, abs=1.0)  # IEC 61672-1, A at 50 Hz


def test_the_projects_own_music_has_the_form_that_its_script_gives_it():
    """Hats begin with its third bar, the tune with the fifth; a break of two bars with the ninth, then the chorus."""
    samples, _ = load_audio(sample.MUSIC, rate=RATE)
    structure = find_structure(samples, load_beats(sample.BEATS))
    starts = [section.start for section in structure.sections]
    assert starts[:5] == [0.0, 4.5, 8.5, 16.5, 20.5]
    tune, chorus = structure.sections[2].kind, structure.sections[4].kind
    assert tune == chorus != structure.sections[3].kind


def test_the_same_samples_give_the_same_structure():
    samples, beats = piece((4, VERSE), (8, CHORUS))
    one, other = find_structure(samples, beats), find_structure(samples, beats)
    assert one.sections == other.sections
    assert np.array_equal(one.phrases, other.phrases)
    assert np.array_equal(one.loudness, other.loudness)


@pytest.mark.parametrize("seconds", [0.01, 0.5, 3.0, 20.0])
def test_silence_is_one_section(seconds):
    structure = find_structure(np.zeros(round(seconds * RATE), np.float32), [])
    assert [(section.start, section.kind) for section in structure.sections] == [(0.0, 0)]
    assert np.isfinite(structure.energy(np.array([0.0, seconds, 100.0]))).all()


def test_bar_lines():
    beats = [Beat(0.3 + 0.5 * n, "bar" if n % 4 == 2 else "beat", 1.0) for n in range(12)]
    assert bar_lines(beats, 6.5).tolist() == pytest.approx([0.0, 1.3, 3.3, 5.3])
    counted = [Beat(0.3 + 0.5 * n, "beat", 1.0) for n in range(12)]
    assert bar_lines(counted, 6.5).tolist() == pytest.approx([0.0, 2.3, 4.3])
    assert bar_lines([], 7.2).tolist() == pytest.approx([0.0, 2.0, 4.0, 6.0])
    assert bar_lines([], 0.2).tolist() == [0.0]


def test_it_can_be_stopped():
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        find_structure(*piece((4, VERSE)), Progress(cancelled=stop))
