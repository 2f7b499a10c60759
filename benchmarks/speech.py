"""Gestures under speeches: are the hands where the voice is stressed, and still where it pauses?

    python benchmarks/speech.py --media MEDIA --library LIBRARY --out benchmarks/results/DATE-speech.json

MEDIA holds footage/talk_gestures.mp4 and speech/; another file of footage/ may be named. For each speech a film is
searched. Stresses and pauses of the check come from Praat's intensity and pitch (parselmouth), which the search knows
nothing of. A film is compared with chance: the same film under the same stresses, shifted round and round, and under
the other speeches; and with the straight footage from each of its frames on, in a loop.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.signal import argrelextrema, find_peaks

from vmg_backend.audio.decode import load_audio
from vmg_backend.evaluation.beat_alignment import joint_speed, motion_beat_order
from vmg_backend.footage import Footage, FrameReader, open_footage
from vmg_backend.graph.build import GraphSettings, build_graph
from vmg_backend.graph.features import MotionFeatures, motion_features
from vmg_backend.graph.motion_graph import MotionGraph
from vmg_backend.library import FootageLibrary
from vmg_backend.pose.mediapipe_estimator import MediapipeEstimator
from vmg_backend.pose.track import PoseTrack
from vmg_backend.search.film import Film
from vmg_backend.search.find import find_paths
from vmg_backend.search.path import output_joints
from vmg_backend.search.problem import Route
from vmg_backend.search.speech import FAINTEST_STROKE, Speech, face_jumps, hand_speed, hands_of

SPEECHES = ("librispeech_198-209-0000.ogg", "librispeech_3436-172162-0000.ogg", "whisper_jfk.flac")
KERNEL = 0.1
"""s: sigma of the closeness of a stroke to a stress."""
SHIFTS = 20_000


Figures = dict[str, object]
Material = tuple[Footage, PoseTrack, MotionGraph, MotionFeatures]


@dataclass(frozen=True)
class Truth:
    """What Praat hears: times of stresses [S] and pauses [P, 2], s, and the length."""

    stresses: NDArray[np.float64]
    pauses: NDArray[np.float64]
    seconds: float


def praat(file: Path) -> Truth:
    """Stresses: voiced peaks of Praat's intensity, a dip of 2 dB on either side, whose intensity and pitch together
    are above those of the syllables within 1 s. Pauses: 25 dB below the loudest for 0.3 s."""
    import parselmouth

    samples, rate = load_audio(file, rate=16000)
    sound = parselmouth.Sound(samples.astype(np.float64), rate)
    intensity, pitch = sound.to_intensity(minimum_pitch=75.0, time_step=0.01), sound.to_pitch(time_step=0.01)
    times, level = intensity.xs(), intensity.values[0]
    hertz = np.interp(times, pitch.xs(), pitch.selected_array["frequency"])
    peaks, _ = find_peaks(level, prominence=2.0)
    peaks = peaks[(hertz[peaks] > 75) & (level[peaks] > level.max() - 25)]
    at, loud, high = times[peaks], level[peaks], 12 * np.log2(hertz[peaks])
    near = np.abs(at[:, None] - at) <= 1.0
    excess = [value - (near @ value) / near.sum(axis=1) for value in (loud, high)]
    score = sum(value / value.std() for value in excess)
    quiet = np.concatenate([[False], level < level.max() - 25, [False]])
    edges = np.flatnonzero(np.diff(quiet.astype(int))).reshape(-1, 2)
    spans = np.array([[times[a], times[b - 1]] for a, b in edges if (b - a) * 0.01 >= 0.3]).reshape(-1, 2)
    return Truth(at[score > 0], spans, len(samples) / rate)


def stroke_times(speed: NDArray[np.float64], fps: float, floor: float) -> NDArray[np.float64]:
    """When the hands are fastest, s; the speed [T] is that of the way from the frame before."""
    peaks = argrelextrema(speed, np.greater, order=motion_beat_order(fps))[0]
    return (peaks[speed[peaks] >= floor] - 0.5) / fps


def closeness(stresses: NDArray[np.float64], strokes: NDArray[np.float64]) -> float:
    """Mean over the stresses of exp(-d^2 / (2 KERNEL^2)), d to the nearest stroke."""
    if not len(strokes):
        return 0.0
    order = np.sort(strokes)
    after = np.clip(np.searchsorted(order, stresses), 0, len(order) - 1)
    away = np.minimum(np.abs(order[after] - stresses), np.abs(order[np.maximum(after - 1, 0)] - stresses))
    return float(np.exp(-(away**2) / (2 * KERNEL**2)).mean())


def in_shift(stresses: NDArray[np.float64], strokes: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """The closeness when the stresses are shifted round by every multiple of 10 ms from 0.5 s on."""
    return np.array([closeness((stresses + by) % seconds, strokes) for by in np.arange(0.5, seconds - 0.5, 0.01)])


@dataclass(frozen=True)
class Shown:
    """What a film shows: strokes, s, and the speed of the hands at each frame [T], torso lengths in a second."""

    route: Route
    strokes: NDArray[np.float64]
    speed: NDArray[np.float64]


def shown_hands(route: Route, graph: MotionGraph, features: MotionFeatures, floor: float) -> Shown:
    """Of a film, transitions blended."""
    joints = output_joints(route, graph, hands_of(features).rhythm)
    speed = joint_speed(joints, np.ones(len(joints), dtype=bool)) * float(features.fps)
    speed[0] = speed[1]
    return Shown(route, stroke_times(speed, float(features.fps), floor), speed)


def still(
    speed: NDArray[np.float64], pauses: NDArray[np.float64], fps: float, known: NDArray[np.float64]
) -> Figures | None:
    """Mean speed of the hands in pauses (0.1 s after their start to 0.2 s before their end) and outside, and the
    share of the footage that is slower."""
    t = np.arange(len(speed)) / fps
    inside = np.any([(t >= a + 0.1) & (t < b - 0.2) for a, b in pauses], axis=0) if len(pauses) else t < 0
    if not inside.any():
        return None
    means = float(speed[inside].mean()), float(speed[~inside].mean())
    quantiles = [round(float((known < mean).mean()), 3) for mean in means]
    return {
        "frames": int(inside.sum()),
        "in_pauses": round(means[0], 3),
        "outside": round(means[1], 3),
        "footage_slower_than_in_pauses": quantiles[0],
        "footage_slower_than_outside": quantiles[1],
    }


def route_of(nodes: Film, graph: MotionGraph, cost: float) -> Route:
    edges = {pair: edge for edge, pair in enumerate(zip(graph.source.tolist(), graph.target.tolist(), strict=True))}
    return Route(nodes.nodes, tuple((cut.time, edges[cut.source, cut.target]) for cut in nodes.cuts), cost)


def straight(
    features: MotionFeatures, frames: int, floor: float, stresses: NDArray[np.float64], heard: NDArray[np.float64]
) -> Figures:
    """The straight footage in a loop: from any of its frames on, and from the best one by what the search `heard`."""
    speed, fps = hand_speed(features), float(features.fps)
    looped = np.resize(speed, len(speed) + frames)
    strokes = [stroke_times(looped[start : start + frames], fps, floor) for start in range(len(speed))]
    scores = np.array([closeness(stresses, one) for one in strokes])
    chosen = int(np.argmax([closeness(heard, one) for one in strokes]))
    return {
        "any_start": round(float(scores.mean()), 3),
        "start_chosen_as_the_search_hears": round(float(scores[chosen]), 3),
        "start_chosen_by_the_check_itself": round(float(scores.max()), 3),
    }


def measure(speeches: Path, material: Material, names: Sequence[str] = SPEECHES) -> tuple[Figures, dict[str, Shown]]:
    """Figures of a film under each speech, and all together."""
    footage, track, graph, features = material
    fps = float(graph.fps)
    known = hand_speed(features)[features.shown]
    floor = max(FAINTEST_STROKE, float(np.median(known)))
    truths = {name: praat(speeches / name) for name in names}
    films, shows, summed = {}, {}, []
    for name in names:
        begun = time.process_time()
        speech = Speech.read(speeches / name)
        frames = int(truths[name].seconds * fps)
        (path,) = find_paths([footage], graph, features, frames=frames, tracks=[track], asked=[speech])
        route = route_of(Film.of(path, graph), graph, path.cost)
        shown = shown_hands(route, graph, features, floor)
        shows[name] = shown
        stresses = truths[name].stresses[truths[name].stresses < frames / fps]
        score, chance = closeness(stresses, shown.strokes), in_shift(stresses, shown.strokes, frames / fps)
        summed.append((score, chance, len(stresses)))
        others = [closeness(truths[n].stresses, shown.strokes) for n in names if n != name]
        face = face_jumps(graph, [track])
        films[name] = {
            "seconds": round(frames / fps, 2),
            "cpu_seconds": round(time.process_time() - begun, 1),
            "cost": path.cost,
            "gap": path.gap,
            "reuse_window": path.reuse_window,
            "cuts": len(route.cuts),
            "stresses": len(stresses),
            "strokes": len(shown.strokes),
            "closeness": round(score, 3),
            "strokes_near_a_stress": round(closeness(shown.strokes, stresses), 3),
            "shuffled": {"mean": round(float(chance.mean()), 3), "sd": round(float(chance.std()), 3)},
            "p": float((1 + (chance >= score - 1e-12).sum()) / (1 + len(chance))),
            "under_other_speeches": [round(value, 3) for value in others],
            "straight_footage": straight(features, frames, floor, stresses, speech.prosody.stresses),
            "pauses": still(shown.speed, truths[name].pauses, fps, known),
            "face_jump_per_cut": round(float(np.mean([face[e] for _, e in route.cuts])), 3) if route.cuts else None,
            "face_jump_of_any_edge": round(float(face.mean()), 3),
            "search_agrees_with_praat": round(closeness(truths[name].stresses, speech.prosody.stresses), 3),
        }
    n = np.array([count for _, _, count in summed])
    rng = np.random.default_rng(0)
    drawn = sum(rng.choice(chance, SHIFTS) * count for _, chance, count in summed) / n.sum()
    score = float(sum(score * count for score, _, count in summed) / n.sum())
    return {
        "films": films,
        "all": {
            "stresses": int(n.sum()),
            "closeness": round(score, 3),
            "shuffled": round(float(drawn.mean()), 3),
            "p": float((1 + (drawn >= score).sum()) / (1 + SHIFTS)),
            "shifts": SHIFTS,
        },
    }, shows


def material_of(file: Path, library: Path | None, frames: int | None = None, fps: Fraction | None = None) -> Material:
    """A footage, or its first frames, and its graph; poses from a library, or anew."""
    footage = FootageLibrary(library).footage(file, fps=fps) if library else open_footage(file)
    if frames:
        whole = np.array([[0, frames - 1]], np.int32)
        footage = replace(footage, pts=footage.pts[:frames], shots=whole, ranges=whole)
    estimator = MediapipeEstimator()
    track = FootageLibrary(library).poses(footage, estimator) if library else estimator.track(footage, workers=2)
    features = motion_features([footage], [track])
    return footage, track, build_graph(features, (footage.id,), GraphSettings()), features


def sheet(footage: Footage, shown: Shown, fps: float, file: Path) -> None:
    """Three frames of each stroke: 0.13 s before, at, and 0.13 s after; the first 16 strokes."""
    step = round(0.13 * fps)
    frames = [round(stroke * fps + 0.5) + by for stroke in shown.strokes[:16] for by in (-step, 0, step)]
    with FrameReader(footage) as reader:
        tiles = [
            cv2.resize(reader.frame(int(shown.route.nodes[min(max(t, 0), len(shown.route.nodes) - 1)])), (180, 320))
            for t in frames
        ]
    rows = [np.hstack(tiles[k : k + 12]) for k in range(0, len(tiles) - 11, 12)]
    cv2.imwrite(str(file), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--footage", default="talk_gestures.mp4")
    parser.add_argument("--fps", type=Fraction, help="of its motion, where the file's own is wrong")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sheet", type=Path, help="picture of frames at strokes, of the first speech")
    words = parser.parse_args()
    material = material_of(words.media / "footage" / words.footage, words.library, fps=words.fps)
    report, shows = measure(words.media / "speech", material)
    print(json.dumps(report, indent=1))
    if words.out:
        words.out.write_text(json.dumps(report, indent=1) + "\n")
    if words.sheet:
        footage, _, graph, _ = material
        sheet(footage, shows[SPEECHES[0]], float(graph.fps), words.sheet)


if __name__ == "__main__":
    main()
