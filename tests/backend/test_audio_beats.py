"""Beats: detection against known and human-annotated beats, editing, files."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vmg_backend.audio.beats import Beat, detect_beats, double, flip, halve, load_beats, offset, save_beats
from vmg_backend.errors import Cancelled, UserError
from vmg_backend.progress import Progress

RATE = 22050
ROOT = Path(__file__).parents[2]


def pulse_times(beats):
    return np.array([beat.time for beat in beats if beat.pulse])


def bar_times(beats):
    return np.array([beat.time for beat in beats if beat.kind == "bar"])


def f_measure(truth, found):
    from mir_eval.beat import f_measure, trim_beats

    return f_measure(trim_beats(np.asarray(truth)), trim_beats(np.asarray(found)))


# ---- detection --------------------------------------------------------------------------------------------------


def kick():
    t = np.arange(round(0.2 * RATE)) / RATE
    return np.sin(2 * np.pi * 55 * t) * np.exp(-t / 0.06)


def burst(seconds, rng):
    t = np.arange(round(5 * seconds * RATE)) / RATE
    return rng.standard_normal(len(t)) * np.exp(-t / seconds)


def tone(frequency, seconds):
    t = np.arange(round(seconds * RATE)) / RATE
    return np.sin(2 * np.pi * frequency * t) * np.exp(-t / (seconds / 3)) * np.minimum(1, t / 0.004)


def add(samples, sound, time, gain=1.0):
    first = round(time * RATE)
    last = min(len(samples), first + len(sound))
    samples[first:last] += gain * sound[: last - first]


def write(path, samples):
    soundfile.write(path, samples / np.abs(samples).max() * 0.9, RATE)
    return path


def off_beat_hats(path, tempo, seconds=24.0):
    """Kick on each beat, a loud hat half way between: librosa alone locks to the hats (F = 0)."""
    rng = np.random.default_rng(0)
    samples, beats = np.zeros(round(seconds * RATE)), np.arange(0.5, seconds - 0.3, 60 / tempo)
    for time in beats:
        add(samples, kick(), time)
        add(samples, burst(0.015, rng), time + 30 / tempo, 0.8)
    return write(path, samples), beats


def band(path, beats, meter=4):
    """Kick on the first of each bar, snare on the others, hats on all, bass notes, a new chord in each bar."""
    rng = np.random.default_rng(1)
    samples = np.zeros(round((beats[-1] + 1.0) * RATE))
    chords = [(220.0, 261.6, 329.6), (174.6, 220.0, 261.6), (196.0, 246.9, 293.7)]
    gaps = np.diff(beats, append=2 * beats[-1] - beats[-2])
    for number, (time, gap) in enumerate(zip(beats, gaps, strict=True)):
        chord = chords[number // meter % 3]
        if number % meter == 0:
            add(samples, kick(), time)
        else:
            add(samples, burst(0.04, rng), time, 0.3)
        add(samples, burst(0.01, rng), time, 0.2)
        for frequency in chord:
            add(samples, tone(frequency, gap), time, 0.15)
    return write(path, samples)


@pytest.mark.long
@pytest.mark.parametrize("tempo", [97, 120, 140])
def test_kick_with_loud_off_beat_hats(tmp_path, tempo):
    path, truth = off_beat_hats(tmp_path / "hats.wav", tempo)
    found = pulse_times(detect_beats(path))
    assert f_measure(truth, found) == 1.0
    # the tracker alone, for the record: it is this track that it fails on
    import librosa

    samples, _ = librosa.load(path, sr=RATE)
    _, alone = librosa.beat.beat_track(y=samples, sr=RATE, units="time")
    assert f_measure(truth, alone) < 0.1


@pytest.mark.long
@pytest.mark.parametrize(("meter", "tempo"), [(4, 92), (4, 118), (3, 132)])
def test_beats_and_bars_from_the_first_to_the_last(tmp_path, meter, tempo):
    truth = 0.0 + np.arange(48) * 60 / tempo
    path = band(tmp_path / "band.flac", truth, meter)
    beats = detect_beats(path)
    found = pulse_times(beats)
    away = np.abs(found[:, None] - truth[None, :])
    assert away.min(axis=0).max() < 0.03  # each beat, the one at 0 too
    assert abs(np.median(found[away.argmin(axis=0)] - truth)) < 0.008  # no late bias
    assert len(found) <= len(truth) + 1  # one more may follow in the tail
    bars = bar_times(beats)
    assert len(bars) >= 48 // meter
    assert np.abs(bars[:, None] - truth[::meter][None, :]).min(axis=0).max() < 0.03


@pytest.mark.long
def test_no_beats_in_the_silence_around_the_music(tmp_path):
    truth = 5.0 + np.arange(40) * 0.5
    path = band(tmp_path / "inner.wav", truth)
    samples, _ = soundfile.read(path)
    soundfile.write(path, np.concatenate([samples, np.zeros(6 * RATE)]), RATE)
    found = pulse_times(detect_beats(path))
    assert found[0] == pytest.approx(5.0, abs=0.03)
    assert found[-1] < truth[-1] + 1.1


@pytest.mark.long
@pytest.mark.parametrize(
    "tempo_at", [lambda time: 95 + 35 * time / 50, lambda time: 80 if time < 25 else 130], ids=["rises", "jumps"]
)
def test_tempo_that_changes(tmp_path, tempo_at):
    truth = [0.4]
    while truth[-1] < 50:
        truth.append(truth[-1] + 60 / tempo_at(truth[-1]))
    path = band(tmp_path / "changes.wav", np.array(truth))
    assert f_measure(truth, pulse_times(detect_beats(path))) > 0.95


@pytest.mark.long
def test_grid_goes_on_through_a_soft_beginning(tmp_path):
    """Six seconds of a held chord without attacks, then the band: the tracker alone begins with the band."""
    truth = 6.0 + np.arange(40) * 0.5
    path = band(tmp_path / "intro.wav", truth)
    samples, _ = soundfile.read(path)
    t = np.arange(6 * RATE) / RATE
    samples[: len(t)] += 0.1 * np.minimum(1, t) * (np.sin(2 * np.pi * 220 * t) + np.sin(2 * np.pi * 330 * t))
    found = pulse_times(detect_beats(write(path, samples)))
    expected = np.arange(0.5, truth[-1] + 0.1, 0.5)
    assert np.abs(found[:, None] - expected[None, :]).min(axis=0).max() < 0.05


@pytest.mark.long
def test_part_counts_from_its_start(tmp_path):
    truth = 0.25 + np.arange(60) * 0.5
    path = band(tmp_path / "part.wav", truth)
    found = pulse_times(detect_beats(path, start=10.0, seconds=12.0))
    expected = truth[(truth >= 10) & (truth < 22)] - 10
    assert np.abs(found[:, None] - expected[None, :]).min(axis=0).max() < 0.05
    assert found[0] >= 0
    assert found[-1] < 12


@pytest.mark.long
def test_onsets_and_strength(tmp_path):
    """Loud and soft beats at regular times, one loud bang off the grid."""
    rng = np.random.default_rng(5)
    truth = 0.5 + np.arange(32) * 0.5
    samples = np.zeros(round(17 * RATE))
    for number, time in enumerate(truth):
        add(samples, burst(0.02, rng), time, 1.0 if number % 2 else 0.15)
    add(samples, burst(0.02, rng), 8.13, 1.0)
    samples += 0.02 * rng.standard_normal(len(samples))
    beats = detect_beats(write(tmp_path / "bangs.wav", samples))
    assert [beat.time for beat in beats] == sorted(beat.time for beat in beats)
    assert all(0 <= beat.strength <= 1 for beat in beats)
    onsets = [beat for beat in beats if beat.kind == "onset"]
    assert any(abs(beat.time - 8.13) < 0.03 for beat in onsets)
    strengths = [min((beat for beat in beats if beat.pulse), key=lambda b: abs(b.time - t)).strength for t in truth]
    assert min(strengths[1::2]) > max(strengths[0::2])


@pytest.mark.long
@pytest.mark.parametrize("seconds", [0.01, 0.3, 2.0])
def test_silence_and_snippets(tmp_path, seconds):
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(round(seconds * RATE) + 1), RATE)
    assert detect_beats(path) == []
    rng = np.random.default_rng(0)
    soundfile.write(path, rng.uniform(-0.1, 0.1, round(seconds * RATE) + 1), RATE)
    assert all(0 <= beat.time <= seconds + 0.01 and 0 <= beat.strength <= 1 for beat in detect_beats(path))


@pytest.mark.long
def test_progress_rises_to_the_end(tmp_path):
    seen = []
    path, _ = off_beat_hats(tmp_path / "hats.wav", 120)
    detect_beats(path, progress=Progress(lambda fraction, stage: seen.append(fraction)))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "least", "bars"), [("band_100bpm.flac", 0.98, 0.95), ("country_84bpm.wav", 0.90, None)]
)
def test_human_annotations_of_real_music(name, least, bars):
    media = os.environ.get("VMG_MEDIA")
    if not media:
        pytest.skip("VMG_MEDIA does not name the folder with the real music")
    path = Path(media) / "music" / name
    truth = load_beats(path.with_suffix(".beats"))
    beats = detect_beats(path)
    assert f_measure(pulse_times(truth), pulse_times(beats)) >= least
    assert pulse_times(beats)[0] == pytest.approx(pulse_times(truth)[0], abs=0.05)
    if bars is not None:
        assert f_measure(bar_times(truth), bar_times(beats)) >= bars
    else:
        assert len(bar_times(beats)) == 0  # unclear: rather none than wrong ones


def test_cancelled_before_it_begins(tmp_path):
    path = tmp_path / "music.wav"
    soundfile.write(path, np.ones(RATE), RATE)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        detect_beats(path, progress=Progress(cancelled=stop))


def test_import_stays_light():
    code = "import sys, vmg_backend.audio.beats, vmg_backend.audio.rhythm; print('librosa' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "False"


# ---- editing ----------------------------------------------------------------------------------------------------


def grid(*kinds, start=1.0, gap=0.5):
    return [Beat(start + gap * k, kind, 0.1 * (k + 1)) for k, kind in enumerate(kinds)]


def seen(beats):
    return [(round(beat.time, 6), beat.kind, round(beat.strength, 6)) for beat in beats]


def test_halve_keeps_the_bars():
    beats = grid("beat", "bar", "beat", "beat", "beat", "bar")
    assert seen(halve(beats)) == [
        (1.0, "onset", 0.1),
        (1.5, "bar", 0.2),
        (2.0, "onset", 0.3),
        (2.5, "beat", 0.4),
        (3.0, "onset", 0.5),
        (3.5, "bar", 0.6),
    ]


def test_double_turns_onsets_half_way_into_beats():
    beats = [*grid("bar", "beat", "beat"), Beat(1.76, "onset", 0.9), Beat(1.3, "mark", 1.0)]
    assert seen(double(sorted(beats, key=lambda beat: beat.time))) == [
        (1.0, "bar", 0.1),
        (1.25, "beat", 0.15),  # nothing sounds there: the mean of its neighbours
        (1.3, "mark", 1.0),
        (1.5, "beat", 0.2),
        (1.75, "beat", 0.9),
        (2.0, "beat", 0.3),
    ]


def test_flip_moves_bars_along():
    beats = grid("beat", "bar", "beat", start=0.3)
    assert seen(flip(beats)) == [
        (0.05, "beat", 0.1),
        (0.3, "onset", 0.1),
        (0.55, "beat", 0.15),
        (0.8, "onset", 0.2),
        (1.05, "bar", 0.25),
        (1.3, "onset", 0.3),
    ]
    assert seen(flip(grid("beat", "beat", start=0.2)))[0] == (0.2, "onset", 0.1)  # no room before the first one


def test_double_then_halve_and_flip_twice_give_the_grid_back():
    beats = grid("bar", "beat", "beat", "beat", "bar", "beat", "beat")
    assert [b for b in halve(double(beats)) if b.pulse] == beats
    twice = [(b.time, b.strength) for b in flip(flip(beats)) if b.pulse]
    assert [b for b in twice if b[0] >= 1.0] == [(b.time, b.strength) for b in beats[:-1]]


@pytest.mark.parametrize("edit", [halve, double, flip])
def test_editing_little_or_nothing(edit):
    assert edit([]) == []
    marks = [Beat(2.0, "mark", 1.0)]
    assert edit(marks) == marks
    assert [b for b in edit(grid("bar")) if b.pulse] == grid("bar")


def test_offset():
    beats = [*grid("bar", "beat"), Beat(1.7, "onset", 0.5)]
    assert seen(offset(beats, -1.2)) == [(0.3, "beat", 0.2), (0.5, "onset", 0.5)]
    assert offset(offset(beats, 0.25), -0.25) == beats


# ---- files ------------------------------------------------------------------------------------------------------


def test_json_round_trip_is_exact(tmp_path):
    path = tmp_path / "Schläge ♪.json"
    beats = [Beat(1 / 3, "beat", 0.1), Beat(0.5, "bar", 1.0), Beat(0.5, "onset", 0.0), Beat(2.0, "mark", 2 / 3)]
    save_beats(path, beats)
    assert load_beats(path) == beats
    save_beats(path, [])
    assert load_beats(path) == []


def test_text_files(tmp_path):
    path = tmp_path / "human.beats"
    path.write_text("\ufeff0.47\t2\n1.06  3\n\n1.63 4\r\n2.22\t1\n2.84\n", encoding="utf-8")
    assert load_beats(path) == [
        Beat(0.47, "beat", 1.0),
        Beat(1.06, "beat", 1.0),
        Beat(1.63, "beat", 1.0),
        Beat(2.22, "bar", 1.0),
        Beat(2.84, "beat", 1.0),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no beats"),
        ("1.0 1\nhello\n", 'Line 2 of bad.beats reads "hello"'),
        ("1.0 1\n2.0 x\n", 'Line 2 of bad.beats reads "2.0 x"'),
        ("1.0 0\n", 'Line 1 of bad.beats reads "1.0 0"'),
        ("1.0 2.0 label\n", "Line 1 of bad.beats"),
        ("1.0 1 1\n", "Line 1 of bad.beats"),
        ("1.0\n-0.5\n", "Line 2 of bad.beats has the time -0.5"),
        ("1.0\nnan\n", "Line 2 of bad.beats has the time nan"),
        ("inf\n", "Line 1 of bad.beats has the time inf"),
        ("1.0\n3.0\n2.0\n", r"Line 3 of bad.beats \(2 s\) lies before the one above it"),
        ("[1, 2", "Line 1 of bad.beats is no valid JSON"),
        ('{"beats": []}', "holds no list of beats"),
        ('[{"time": 1.0, "kind": "beat"}]', "Entry 1 of bad.beats lacks"),
        ("[3]", "Entry 1 of bad.beats lacks"),
        ('[{"time": NaN, "kind": "beat", "strength": 1}]', "Entry 1 of bad.beats has the time nan"),
        ('[{"time": "1", "kind": "beat", "strength": 1}]', "Entry 1 of bad.beats has the time '1'"),
        ('[{"time": true, "kind": "beat", "strength": 1}]', "Entry 1 of bad.beats has the time True"),
        ('[{"time": 1, "kind": "boom", "strength": 1}]', "Entry 1 of bad.beats has the unknown kind 'boom'"),
        ('[{"time": 1, "kind": ["beat"], "strength": 1}]', "unknown kind"),
        ('[{"time": 1, "kind": "beat", "strength": 1.5}]', "Entry 1 of bad.beats has the strength 1.5"),
        (
            '[{"time": 1, "kind": "beat", "strength": 1}, {"time": 0.5, "kind": "bar", "strength": 1}]',
            r"Entry 2 of bad.beats \(0.5 s\) lies before",
        ),
    ],
)
def test_nonsense_is_named(tmp_path, text, says):
    path = tmp_path / "bad.beats"
    path.write_text(text)
    with pytest.raises(UserError, match=says) as error:
        load_beats(path)
    assert error.value.remedy


def test_files_that_are_none(tmp_path):
    with pytest.raises(UserError, match="There is no beats file"):
        load_beats(tmp_path / "missing.json")
    with pytest.raises(UserError, match="There is no beats file"):
        load_beats(tmp_path)
    (tmp_path / "music.mp3").write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match=r"music.mp3 is no text file"):
        load_beats(tmp_path / "music.mp3")
