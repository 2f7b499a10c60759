"""How well beats are found: F-measure against beats that people tapped, beside librosa's tracker as it ships.

    python benchmarks/beats.py MUSIC [MUSIC ...] --out benchmarks/results/beats.json

Beside each piece lies a file of the same name that ends with .beats, with lines of the second and the position in the
bar. The measure is mir_eval's: a beat is met within 70 ms, and the first 5 s do not count; null stands where a tracker
names no bars. Of the trackers that are optional, those that are not installed are named and left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vmg_backend.audio.beats import Beat, beats_in, load_beats
from vmg_backend.audio.decode import load_audio
from vmg_backend.audio.rhythm import RATE

Times = NDArray[np.float64]
Found = tuple[Times, Times]
"""Beats, and those of them that begin a bar, s."""
Tracker = Callable[[NDArray[np.float32]], Found]


def vmg(samples: NDArray[np.float32]) -> Found:
    """The project's own detection."""
    return _times(beats_in(samples))


def librosa_as_shipped(samples: NDArray[np.float32]) -> Found:
    """`librosa.beat.beat_track` with its defaults; it knows no bars."""
    import librosa

    _, beats = librosa.beat.beat_track(y=samples, sr=RATE, units="time")
    return np.asarray(beats, np.float64), np.zeros(0)


def beat_this(samples: NDArray[np.float32]) -> Found:
    """Beat This! (Foscarin et al. 2024) with its final weights, which must be on this machine."""
    from beat_this.inference import Audio2Beats

    beats, bars = Audio2Beats(device="cpu", dbn=False)(samples, RATE)
    return np.asarray(beats, np.float64), np.asarray(bars, np.float64)


TRACKERS: dict[str, Tracker] = {"vmg": vmg, "librosa": librosa_as_shipped}
OPTIONAL: dict[str, Tracker] = {"beat_this": beat_this}


def _times(beats: list[Beat]) -> Found:
    return (
        np.array([beat.time for beat in beats if beat.pulse]),
        np.array([beat.time for beat in beats if beat.kind == "bar"]),
    )


def measure(music: Path, trackers: dict[str, Tracker]) -> dict[str, object]:
    """Figures of each tracker on one piece."""
    from mir_eval.beat import evaluate, f_measure, trim_beats

    truth, bars = _times(load_beats(music.with_suffix(".beats")))
    samples, _ = load_audio(music, rate=RATE)
    figures: dict[str, object] = {"seconds": round(len(samples) / RATE, 1), "beats": len(truth), "bars": len(bars)}
    for name, track in trackers.items():
        begun = time.process_time()
        found, found_bars = track(samples)
        seconds = time.process_time() - begun
        scores = evaluate(truth, found)
        figures[name] = {
            "f_measure": round(scores["F-measure"], 3),
            "f_measure_of_bars": round(f_measure(trim_beats(bars), trim_beats(found_bars)), 3)
            if len(found_bars)
            else None,
            "continuity": {key: round(scores[f"{word} Metric Level {kind}"], 3) for key, word, kind in _CONTINUITY},
            "beats": len(found),
            "median_offset_ms": round(float(np.median(_offsets(truth, found)) * 1e3), 1) if len(found) else None,
            "cpu_seconds": round(seconds, 2),
        }
    return figures


_CONTINUITY = (
    ("CMLc", "Correct", "Continuous"),
    ("CMLt", "Correct", "Total"),
    ("AMLc", "Any", "Continuous"),
    ("AMLt", "Any", "Total"),
)


def _offsets(truth: Times, found: Times) -> Times:
    """By how much the beats found are late against the nearest true ones [B], s."""
    return np.asarray(found - truth[np.abs(found[:, None] - truth).argmin(axis=1)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("music", type=Path, nargs="+")
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    present = {name: track for name, track in OPTIONAL.items() if importlib.util.find_spec(name)}
    trackers = {**TRACKERS, **present}
    vmg(np.zeros(RATE, np.float32))
    librosa_as_shipped(np.random.default_rng(0).standard_normal(RATE * 4).astype(np.float32))  # compiled before timing
    report = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("librosa", "mir_eval")},
        "optional_trackers": {name: "measured" if name in present else "not installed" for name in OPTIONAL},
        "pieces": {music.name: measure(music, trackers) for music in words.music},
    }
    print(json.dumps(report, indent=1))
    if words.out:
        words.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
