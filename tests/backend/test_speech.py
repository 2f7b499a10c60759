"""Speech as a condition: what it charges, by plain loops; and films whose best path is known."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import lfilter

from vmg_backend.audio.prosody import CEPSTRA, RATE, Prosody
from vmg_backend.errors import UserError
from vmg_backend.footage import Footage
from vmg_backend.graph.features import RHYTHM_JOINTS, MotionFeatures
from vmg_backend.graph.motion_graph import MotionGraph
from vmg_backend.pose.skeletons import MEDIAPIPE, MOTION
from vmg_backend.pose.track import PoseTrack
from vmg_backend.progress import SILENT
from vmg_backend.search.conditions import BeatCondition, SearchContext
from vmg_backend.search.exact import solve
from vmg_backend.search.motion_beats import node_motion_beats
from vmg_backend.search.problem import Problem
from vmg_backend.search.speech import (
    ENERGY,
    FACE,
    HEAD,
    MOUTH,
    OFF_STRESS,
    PAUSE,
    SOUND,
    Speech,
    SpeechCondition,
    face_jumps,
    hand_speed,
    hands_of,
    rest_wanted,
    stress_closeness,
    strokes,
)

FPS = 30
TORSO = 100.0


def features_of(wrists: np.ndarray, runs: list[tuple[int, int]] | None = None) -> MotionFeatures:
    """Of a person of whom only the wrists [N, 2, 2] move, px."""
    nodes = len(wrists)
    rhythm = np.zeros((nodes, len(RHYTHM_JOINTS), 2))
    for name, y in (("shoulder", 0.0), ("hip", TORSO)):
        for side in ("left", "right"):
            rhythm[:, RHYTHM_JOINTS.index(f"{side}_{name}")] = (0.0, y)
    for k, side in enumerate(("left", "right")):
        rhythm[:, RHYTHM_JOINTS.index(f"{side}_wrist")] = wrists[:, k]
    nothing = np.zeros((nodes, 17, 3))
    return MotionFeatures(
        local=nothing,
        world=nothing,
        velocity=nothing,
        confidence=np.ones((nodes, 17)),
        rhythm=rhythm,
        blur=np.full((nodes, len(RHYTHM_JOINTS)), 0.2),
        runs=np.array(runs or [(0, nodes - 1)], dtype=np.int32),
        offsets=np.array([0, nodes]),
        fps=Fraction(FPS),
    )


def gesturing(at: list[int], nodes: int, seconds: float = 0.4) -> np.ndarray:
    """Wrists [N, 2, 2] that swing to and fro by a torso's length, fastest on the way to each of these frames."""
    t = np.arange(nodes)
    place = np.zeros(nodes)
    for number, middle in enumerate(at):
        s = np.clip((t - (middle - 0.5)) / (seconds * FPS) + 0.5, 0.0, 1.0)  # minimum jerk (Flash and Hogan 1985)
        place += (-1) ** number * TORSO * (10 * s**3 - 15 * s**4 + 6 * s**5)
    return np.stack([np.stack([place, 0 * place], axis=1)] * 2, axis=1)


def graph_of(features: MotionFeatures, edges: list[tuple[int, int]], half: int = 1) -> MotionGraph:
    ordered = sorted((target, source) for source, target in edges)
    return MotionGraph(
        footages=("a",),
        offsets=features.offsets,
        runs=features.runs,
        source=np.array([source for _, source in ordered], dtype=np.int32),
        target=np.array([target for target, _ in ordered], dtype=np.int32),
        cost=np.zeros(len(edges), dtype=np.float32),
        half=np.full(len(edges), half, dtype=np.int8),
        connector=np.zeros(len(edges), dtype=bool),
        threshold=1.0,
        kept=1.0,
        fps=features.fps,
    )


def track_of(nodes: int) -> PoseTrack:
    image = np.zeros((nodes, len(MEDIAPIPE.joints), 2), np.float32)
    face = {"nose": (50, 55), "left_eye": (70, 40), "right_eye": (30, 40), "left_ear": (100, 50), "right_ear": (0, 50)}
    for name, place in (face | {"left_mouth": (60, 70), "right_mouth": (40, 70)}).items():
        image[:, MEDIAPIPE.joints.index(name)] = place
    confidence = np.ones(image.shape[:2], np.float32)
    return PoseTrack(image, np.zeros((*image.shape[:2], 3), np.float32), confidence, np.ones(nodes, bool), "mediapipe")


def footage_of(file: Path, nodes: int) -> Footage:
    """A footage of which only the sound is read."""
    whole = np.array([[0, nodes - 1]], np.int32)
    times = np.arange(nodes, dtype=np.int64)
    return Footage("a", file, Fraction(FPS), (640, 480), 0, times, Fraction(1, FPS), False, whole, whole)


def said(stresses: list[float], pauses: list[tuple[float, float]], seconds: float) -> Prosody:
    count = round(seconds * 100)
    return Prosody(
        energy=np.ones(count),
        pitch=np.full(count, np.nan),
        sound=np.zeros((count, 2 + CEPSTRA), np.float32),
        pauses=np.array(pauses, dtype=float).reshape(-1, 2),
        syllables=np.array([(time, time) for time in stresses], dtype=float).reshape(-1, 2),
        stress=np.ones(len(stresses)),
        seconds=seconds,
    )


def babble(seconds: float, seed: int) -> np.ndarray:
    """Syllables of random pitch, vowel and loudness, with pauses: no two moments sound alike."""
    rng = np.random.default_rng(seed)
    pieces: list[np.ndarray] = []
    while sum(map(len, pieces)) < seconds * RATE:
        t = np.arange(round(rng.uniform(0.12, 0.3) * RATE)) / RATE
        hertz = rng.uniform(100, 200)
        sound = sum(np.sin(2 * np.pi * k * hertz * t) / k for k in range(1, 20))
        for formant in rng.uniform([300, 900, 2200], [900, 2200, 3200]):
            poles = [1.0, -2 * 0.97 * np.cos(2 * np.pi * formant / RATE), 0.97**2]
            sound = lfilter([1.0], poles, sound)
        pieces.append(rng.uniform(0.1, 0.5) * np.sin(np.pi * t / t[-1]) * sound / np.abs(sound).max())
        pieces.append(np.zeros(round(rng.choice([0.0, 0.05, 0.5]) * RATE)))
    return np.concatenate(pieces)[: round(seconds * RATE)].astype(np.float32)


def test_strokes_are_found_where_the_hands_are_fastest() -> None:
    at = [30, 60, 95, 130]
    hands = hands_of(features_of(gesturing(at, 160)))
    chance = node_motion_beats(hands, strokes(0.3))
    for middle in at:
        assert chance[middle - 1 : middle + 2].sum() > 0.9
    assert chance.sum() == pytest.approx(len(at), abs=0.2)
    peak = 2 * 1.875 / 0.4  # two hands; the middle of minimum jerk is 15/8 of the mean speed
    assert hand_speed(features_of(gesturing(at, 160)))[at].mean() == pytest.approx(peak, rel=0.03)
    assert node_motion_beats(hands, strokes(1.1 * peak)).sum() == 0.0


def test_a_stroke_fits_from_the_onset_to_the_nucleus() -> None:
    prosody = replace(
        said([1.0, 2.0], [], 3.0), syllables=np.array([[0.9, 1.0], [1.9, 2.0]]), stress=np.array([1, 0.5])
    )
    closeness = stress_closeness(prosody, 90, FPS)
    for t in range(90):
        at = (t - 0.5) / FPS
        expected = 0.0
        for (onset, nucleus), strength in zip(prosody.syllables, prosody.stress, strict=True):
            away = onset - at if at < onset else max(at - nucleus, 0.0)
            expected = max(expected, strength * np.exp(-(away**2) / (2 * 0.08**2)))
        assert closeness[t] == pytest.approx(expected)
    assert closeness[29] == closeness[30] == 1.0
    assert not stress_closeness(said([], [], 3.0), 90, FPS).any()


def test_rest_is_wanted_in_pauses_and_after_the_end() -> None:
    wanted = rest_wanted(np.array([[0.0, 0.5], [1.0, 2.0], [3.5, 4.0]]), 4.0, 150, FPS)
    times = np.flatnonzero(wanted) / FPS
    spans = [times[times < 0.6], times[(times > 0.6) & (times < 3)], times[times > 3]]
    assert [(span[0], span[-1]) for span in spans] == [
        pytest.approx((0.0, 0.3), abs=0.04),
        pytest.approx((1.1, 1.8), abs=0.04),
        pytest.approx((3.6, 149 / FPS), abs=0.04),
    ]
    assert sum(map(len, spans)) == pytest.approx((0.3 + 0.7 + 1.4) * FPS, abs=4)


def test_a_cut_costs_what_the_face_jumps() -> None:
    features = features_of(gesturing([10], 60))
    graph = graph_of(features, [(9, 20), (9, 30), (9, 40), (9, 50)])
    track = track_of(60)
    track.image[29] += (40, 30)  # by half of its width
    mouth = MEDIAPIPE.index("left_mouth", "right_mouth")
    track.image[39, mouth, 1] += 7  # and the middle of the face by 2 of the 7
    track.image[49] += 500
    costs = face_jumps(graph, [track])
    assert costs[0] == 0.0
    assert costs[1] == pytest.approx(HEAD * 0.5)
    assert costs[2] == pytest.approx((HEAD * 2 + MOUTH * 5) / 100)
    assert costs[3] == FACE
    track.confidence[29] = 0.5
    assert face_jumps(graph, [track])[1] == pytest.approx(HEAD * 0.25)
    joints = len(MOTION.joints)
    plain = PoseTrack(np.ones((60, joints, 2)), np.ones((60, joints, 3)), np.ones((60, joints)), track.person, "motion")
    assert not face_jumps(graph, [plain]).any()


def random_condition(rng: np.random.Generator, nodes: int, edges: int, frames: int) -> SpeechCondition:
    own = rng.normal(size=(nodes, 3)).astype(np.float32)
    own[rng.random(nodes) < 0.2] = np.nan
    return SpeechCondition(
        strokes=BeatCondition(
            rng.random(nodes), rng.normal(size=(edges, 4)), rng.random(frames), weight=1.5, off_beat=OFF_STRESS
        ),
        moving=rng.random(nodes),
        paused=(rng.random(frames) < 0.4).astype(float),
        vigour=rng.random(nodes),
        energy=rng.random(frames),
        own=own,
        heard=rng.normal(size=(frames, 3)).astype(np.float32),
        unlike=float(rng.choice([0.0, 4.0])),
        face=rng.random(edges),
        second=1.5 / 3,
        about={},
    )


def charged(condition: SpeechCondition, t: int, v: int) -> float:
    """The cost of showing a node, by what the documentation says."""
    cost = 1.5 * condition.strokes.motion[v] * (OFF_STRESS - condition.strokes.closeness[t])
    if condition.paused[t]:
        second = PAUSE * condition.moving[v]
    else:
        second = ENERGY * abs(condition.vigour[v] - condition.energy[t])
    if condition.unlike:
        far = sum(float(a - b) ** 2 for a, b in zip(condition.own[v], condition.heard[t], strict=True))
        second += SOUND * (1.0 if np.isnan(far) else far / condition.unlike)
    return float(cost + 1.5 / 3 * second)


def charged_cut(condition: SpeechCondition, t: int, edge: int, frames: int) -> float:
    cost = condition.face[edge]
    for column, change in enumerate(condition.strokes.cuts[edge]):
        if 0 <= t - 2 + column < frames:
            cost += 1.5 * change * (OFF_STRESS - condition.strokes.closeness[t - 2 + column])
    return float(cost)


def test_the_best_path_is_that_of_exhaustive_search() -> None:
    rng = np.random.default_rng(0)
    cuts = 0
    for _ in range(60):
        nodes, frames, hold = 9, int(rng.integers(4, 9)), int(rng.integers(1, 4))
        runs = np.array([[0, 3], [4, 8]])
        edges = sorted({(int(rng.integers(9)), int(rng.integers(9))) for _ in range(8)}, key=lambda edge: edge[1])
        edges = [(u, x) for u, x in edges if x != u + 1]
        condition = random_condition(rng, nodes, len(edges), frames)
        best = np.inf

        def walk(t: int, v: int, age: int, cost: float, cut: bool) -> None:
            nonlocal best
            cost += charged(condition, t, v)  # noqa: B023 - called at once
            if t == frames - 1:  # noqa: B023
                best = min(best, cost) if not cut or age >= hold else best  # noqa: B023
                return
            if v not in (3, 8):
                walk(t + 1, v + 1, age + 1, cost, cut)
            for edge, (u, x) in enumerate(edges):  # noqa: B023
                if u == v and age >= hold:  # noqa: B023
                    walk(t + 1, x, 1, cost + charged_cut(condition, t + 1, edge, frames), True)  # noqa: B023

        for v in range(nodes):
            walk(0, v, 1, 0.0, False)
        route = solve(
            Problem(
                nodes=nodes,
                runs=runs,
                source=np.array([u for u, _ in edges], dtype=np.int64),
                target=np.array([x for _, x in edges], dtype=np.int64),
                cut_cost=condition.cut_cost,
                frames=frames,
                hold=hold,
                node_cost=condition.node_cost,
            )
        )
        assert (np.inf if route is None else route.cost) == pytest.approx(best, rel=1e-5)
        cuts += len(route.cuts) if route else 0
    assert cuts > 20


@pytest.fixture
def stage(tmp_path: Path):
    """A person who gestures for four seconds and rests for four, without sound, and cuts between any still moments."""
    nodes = 240
    features = features_of(gesturing([10, 34, 62, 86, 110], nodes))
    still = [v for v in range(nodes) if hand_speed(features)[v] < 0.05]
    edges = [(u, x) for u in still[::3] for x in still[1::3] if abs(u - x) > 8]
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(8 * RATE), RATE)
    return SearchContext([footage_of(silent, nodes)], [track_of(nodes)], graph_of(features, edges), features, 150)


def film(context: SearchContext, condition: SpeechCondition) -> np.ndarray:
    graph = context.graph
    route = solve(
        Problem(
            nodes=graph.nodes,
            runs=graph.runs,
            source=graph.source,
            target=graph.target,
            cut_cost=lambda t: condition.cut_cost(t) + 0.1,
            frames=context.frames,
            hold=8,
            node_cost=condition.node_cost,
        )
    )
    assert route is not None
    return route.nodes


def test_hands_strike_on_stresses_and_rest_in_pauses(stage: SearchContext) -> None:
    stresses = [0.5, 1.4, 3.7, 4.4]
    prosody = said(stresses, [(1.8, 3.3)], 5.0)
    nodes = film(stage, Speech("speech.wav", prosody).condition(stage, SILENT))
    speed = hand_speed(stage.features)[nodes]
    peaks = [t for t in range(3, 147) if speed[t] == speed[t - 3 : t + 4].max() and speed[t] > 2]
    for stress in stresses:
        assert min(abs((t - 0.5) / FPS - stress) for t in peaks) < 0.05
    assert speed[round(1.9 * FPS) : round(3.1 * FPS)].max() < 0.05
    other = film(stage, Speech("speech.wav", said(stresses, [], 5.0)).condition(replace(stage, frames=150), SILENT))
    assert not np.array_equal(nodes, other)  # without the pause the film is another


def test_what_is_shown_sounds_like_what_is_said(stage: SearchContext, tmp_path: Path) -> None:
    """The new speech is a part of what the footage says: the film is that part."""
    spoken = babble(8.0, seed=1)
    soundfile.write(tmp_path / "own.wav", spoken, RATE)
    soundfile.write(tmp_path / "new.wav", 0.3 * spoken[3 * RATE : 7 * RATE], RATE)
    context = replace(stage, footages=[footage_of(tmp_path / "own.wav", 240)], frames=120)
    condition = Speech.read(tmp_path / "new.wav").condition(context, SILENT)
    assert condition.about["own_sound"]["own.wav"].startswith("speech")
    nearest = np.array([np.square(condition.own - condition.heard[t]).sum(axis=1).argmin() for t in range(120)])
    loud = condition.heard[:, 0] > 0.8
    assert loud.sum() > 30
    assert np.mean(np.abs(nearest - (90 + np.arange(120)))[loud] <= 5) > 0.9


def test_what_was_found_is_said(stage: SearchContext, tmp_path: Path) -> None:
    speech = Speech("a.wav", said([1.0], [(2.0, 3.0)], 5.0), weight=2.0)
    condition = speech.condition(stage, SILENT)
    assert condition.about["stresses"] == [1.0]
    assert condition.about["pauses"] == [[2.0, 3.0]]
    assert condition.about["strokes_in_footage"] == pytest.approx(5, abs=0.3)
    assert condition.about["own_sound"] == {"silent.wav": "no speech"}
    assert condition.about["embedding"].startswith("none")
    assert condition.unlike == 0.0
    single = replace(speech, weight=1.0).condition(stage, SILENT)
    assert np.allclose(condition.node_cost(30), 2 * single.node_cost(30))
    assert np.allclose(condition.cut_cost(30), 2 * single.cut_cost(30))
    missing = replace(stage, footages=[footage_of(tmp_path / "gone.wav", 240)])
    assert "gone.wav" in speech.condition(missing, SILENT).about["own_sound"]["gone.wav"]


def test_a_file_without_speech_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "hum.wav", np.zeros(RATE), RATE)
    with pytest.raises(UserError, match=r"hum\.wav"):
        Speech.read(tmp_path / "hum.wav")


@pytest.mark.long
def test_real_gestures_meet_stresses_that_another_ear_hears(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine seconds of footage, two of the benchmark's speeches; stresses and pauses are Praat's."""
    pytest.importorskip("parselmouth")
    spec = importlib.util.spec_from_file_location(
        "speech_benchmark", Path(__file__).parents[2] / "benchmarks" / "speech.py"
    )
    assert spec
    assert spec.loader
    benchmark = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, benchmark)
    spec.loader.exec_module(benchmark)
    report, _ = benchmark.measure(
        media / "speech",
        benchmark.material_of(media / "footage" / "talk_gestures.mp4", None, 271),
        benchmark.SPEECHES[:2],
    )
    assert report["all"]["p"] < 0.01
    assert report["all"]["closeness"] > report["all"]["shuffled"] + 0.1
    for figures in report["films"].values():
        assert figures["pauses"]["in_pauses"] < 0.85 * figures["pauses"]["outside"]
