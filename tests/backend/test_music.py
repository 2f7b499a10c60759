"""The film follows the music: strong stops on strong beats, lively where it is loud, elsewhere at another section."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile

from vmg_backend.audio.beats import Beat
from vmg_backend.audio.structure import STEP, Section, Structure
from vmg_backend.errors import UserError
from vmg_backend.graph.features import MotionFeatures
from vmg_backend.graph.motion_graph import MotionGraph
from vmg_backend.progress import SILENT
from vmg_backend.search.conditions import BeatCondition, SearchContext, beat_closeness
from vmg_backend.search.exact import Table
from vmg_backend.search.motion_beats import cut_motion_beats, node_motion_beats, rests
from vmg_backend.search.music import (
    GENTLE,
    PHRASE,
    SECTION,
    Music,
    accent,
    accent_condition,
    accents,
    dips,
    motion_energy,
    stops,
    unlikeness,
)
from vmg_backend.search.problem import Problem

FPS, NODES = 30, 360
CALM, LIVELY = range(20, 160), range(200, 340)


def features_of(rhythm: np.ndarray) -> MotionFeatures:
    nothing = np.zeros((len(rhythm), 17, 3))
    return MotionFeatures(
        local=nothing,
        world=nothing,
        velocity=nothing,
        confidence=np.ones((len(rhythm), 17)),
        rhythm=rhythm,
        blur=np.zeros((len(rhythm), 13)),
        runs=np.array([[0, len(rhythm) - 1]], dtype=np.int32),
        offsets=np.array([0, len(rhythm)]),
        fps=Fraction(FPS),
    )


def calm_then_lively() -> MotionFeatures:
    """The first half swings by 5 px, the second by 50; each half in a pose of its own."""
    t = np.arange(NODES) / FPS
    size = np.where(np.arange(NODES) < NODES // 2, 5.0, 50.0)
    rhythm = np.zeros((NODES, 13, 2))
    rhythm[:, :, 0] = (size * np.sin(2 * np.pi * 1.1 * t))[:, None]
    features = features_of(rhythm)
    local = np.zeros((NODES, 17, 3))
    local[NODES // 2 :, :, 1] = 1.0
    return replace(features, local=local)


def graph_of(edges: list[tuple[int, int]]) -> MotionGraph:
    edges = sorted(edges, key=lambda edge: (edge[1], edge[0]))
    return MotionGraph(
        footages=("a",),
        offsets=np.array([0, NODES]),
        runs=np.array([[0, NODES - 1]], dtype=np.int32),
        source=np.array([source for source, _ in edges], dtype=np.int32),
        target=np.array([target for _, target in edges], dtype=np.int32),
        cost=np.zeros(len(edges), dtype=np.float32),
        half=np.full(len(edges), 3, dtype=np.int8),
        connector=np.zeros(len(edges), dtype=bool),
        threshold=1.0,
        kept=1.0,
        fps=Fraction(FPS),
    )


def music(loudness: list[tuple[float, float]], sections: list[float], phrases: list[float]) -> Structure:
    """Loudness as (seconds, dB) one after the other; bars of two seconds."""
    level = np.concatenate([np.full(round(seconds / STEP), db) for seconds, db in loudness])
    end = sum(seconds for seconds, _ in loudness)
    spans = zip(sections, [*sections[1:], end], strict=True)
    return Structure(
        end,
        level,
        np.arange(0.0, end, 2.0),
        np.array(phrases),
        tuple(Section(first, last, kind) for kind, (first, last) in enumerate(spans)),
    )


def condition_of(structure: Structure, graph: MotionGraph, frames: int, weight: float = 1.0):
    context = SearchContext((), (), graph, calm_then_lively(), frames)
    return Music("a.ogg", structure, weight).condition(context, SILENT)


# ---- accents ----------------------------------------------------------------------------------------------------


def test_beats_that_do_not_differ_change_nothing():
    beats = [Beat(0.5 * n, "beat", 0.7) for n in range(9)]
    assert (accents(beats) == 1.0).all()
    assert (accent(np.arange(9) * 0.5, accents(beats), 150, FPS) == 0.0).all()
    assert len(accents([])) == 0
    assert (accent(np.zeros(0), np.zeros(0), 10, FPS) == 0.0).all()


def test_bars_marks_and_strong_attacks_count_more_and_the_mean_is_one():
    kinds = ("bar", "beat", "onset", "mark", "beat")
    strengths = (0.5, 0.5, 1.0, 0.5, 0.9)
    beats = [Beat(0.5 * n, kind, strength) for n, (kind, strength) in enumerate(zip(kinds, strengths, strict=True))]
    weights = accents(beats)
    assert len(weights) == 4  # as `objective.pulse`: onsets are left out
    assert weights.mean() == pytest.approx(1.0, abs=1e-12)
    assert weights[0] == weights[2] > weights[3] > weights[1]


def test_accent_is_the_nearest_beats():
    times, weights = np.array([1.0, 2.0]), np.array([1.4, 0.6])
    values = accent(times, weights, 90, FPS)
    near = beat_closeness(times, 90, FPS)
    assert values[:45] == pytest.approx(0.4 * near[:45])
    assert values[46:] == pytest.approx(-0.4 * near[46:])


def test_dips_by_a_plain_loop():
    rng = np.random.default_rng(0)
    speed, order = rng.uniform(size=(3, 60)), 5
    speed[1, 20] = np.inf
    speed[2, :3] = np.nan
    found = dips(speed, FPS)
    known = np.where(np.isfinite(speed), speed, 0.0)
    for row in range(3):
        for t in range(60):
            before, after = known[row, max(t - order, 0) : t + 1].max(), known[row, t : t + order + 1].max()
            assert found[row, t] == max(min(before, after) - known[row, t], 0.0)


def test_a_sharp_stop_is_a_strong_motion_beat():
    """Two stops, one from ten times the speed; the footage's mean is 1, and none is found where no rest is."""
    speed = np.full(120, 4.0)
    for at, fast in ((30, 5.0), (70, 50.0)):
        speed[at - 6 : at + 7] = fast * np.minimum(np.abs(np.arange(-6, 7)) / 4, 1.0) + 0.1
    rhythm = np.zeros((120, 13, 2))
    rhythm[:, 0, 0] = np.cumsum(speed)
    features = features_of(rhythm)
    strength = node_motion_beats(features, stops(features))
    plain = node_motion_beats(features)
    assert strength[70] > 1.5 * strength[30] > 0
    assert set(np.flatnonzero(strength)) <= set(np.flatnonzero(plain))
    assert strength.sum() == pytest.approx(plain.sum())
    assert (stops(features)(np.ones(50), FPS) == 0).all()
    assert rests(np.ones(50), FPS).sum() == 0


def test_the_accent_condition_rewards_the_sharpest_stop_on_the_strongest_beat():
    rng = np.random.default_rng(0)
    features, graph = features_of(np.cumsum(rng.normal(size=(NODES, 13, 2)), axis=0)), graph_of([(100, 250)])
    context = SearchContext((), (), graph, features, 120)
    beats = [Beat(1.0, "bar", 1.0), Beat(2.0, "beat", 1.0), Beat(3.0, "beat", 1.0)]
    motion, cuts = node_motion_beats(features), cut_motion_beats(graph, features)
    plain = BeatCondition(motion, cuts, beat_closeness(np.array([1.0, 2.0, 3.0]), 120, FPS), 2.0)
    condition = accent_condition(context, beats, plain)
    assert condition is not None
    excess = accents(beats) - 1.0
    strength = node_motion_beats(features, stops(features)) - GENTLE * motion
    for beat, more in zip(beats, excess, strict=True):
        assert condition.node_cost(round(beat.time * FPS)) == pytest.approx(-2.0 * more * strength)
    assert condition.node_cost(round(1.5 * FPS)) == pytest.approx(np.zeros(NODES), abs=1e-9)
    assert condition.node_cost(30).argmin() == strength.argmax()
    assert accent_condition(context, [replace(beat, kind="beat") for beat in beats], plain) is None


# ---- energy and sections ----------------------------------------------------------------------------------------


def test_a_second_of_opposite_energy_costs_one():
    frames = 12 * FPS
    condition = condition_of(music([(6.0, -30.0), (6.0, -10.0)], [0.0], [0.0]), graph_of([(100, 250)]), frames)
    node = int(np.argmax(condition.vigour))
    cost = sum(condition.node_cost(t)[node] for t in range(round(0.2 * FPS), round(1.2 * FPS)))
    assert cost == pytest.approx(1.0, abs=0.15)
    assert condition_of(
        music([(6.0, -30.0), (6.0, -10.0)], [0.0], [0.0]), graph_of([(100, 250)]), frames, 2.0
    ).node_cost(5) == pytest.approx(2.0 * condition.node_cost(5))


def test_the_film_is_lively_where_the_music_is_loud():
    """Searched exactly: from the lively half to the calm one where the music turns quiet."""
    frames, graph = 8 * FPS, graph_of([(n, n - 170) for n in range(200, 340, 3)])
    condition = condition_of(music([(4.0, -10.0), (4.0, -30.0)], [0.0], [0.0]), graph, frames)
    problem = Problem(
        nodes=NODES,
        runs=graph.runs,
        source=graph.source,
        target=graph.target,
        cut_cost=lambda t: condition.cut_cost(t) + 0.1,
        frames=frames,
        hold=15,
        node_cost=condition.node_cost,
    )
    route = Table(problem).solve()
    nodes = np.asarray(route.nodes)
    assert (nodes[: round(3.0 * FPS)] >= NODES // 2).all()
    assert (nodes[round(5.5 * FPS) :] < NODES // 2).all()


def test_music_of_one_loudness_says_nothing_about_energy():
    condition = condition_of(music([(8.0, -20.0)], [0.0], [0.0]), graph_of([(100, 250)]), 240)
    assert (condition.node_cost(30) == 0.0).all()
    assert condition.about["energy_counts"] == 0.0


def test_a_cut_is_worth_something_where_a_section_begins_and_more_to_another_motion():
    like, unlike = (60, 90), (100, 280)
    graph = graph_of([like, unlike, (250, 310)])
    at = {pair: n for n, pair in enumerate(zip(graph.source.tolist(), graph.target.tolist(), strict=True))}
    condition = condition_of(music([(8.0, -20.0)], [0.0, 4.0], [0.0, 2.0, 4.0]), graph, 240)
    section, phrase, elsewhere = (condition.cut_cost(round(time * FPS)) for time in (4.0, 2.0, 3.0))
    assert -SECTION <= section[at[unlike]] < section[at[like]] <= -SECTION / 2
    assert phrase == pytest.approx(-PHRASE)
    assert elsewhere == pytest.approx(0.0, abs=1e-9)


def test_unlikeness_is_the_distance_of_the_poses_around_the_cut():
    features, graph = calm_then_lively(), graph_of([(60, 90), (100, 280), (150, 175)])
    ranks = dict(zip(graph.target.tolist(), unlikeness(graph, features), strict=True))
    assert ranks[90] < ranks[175] < ranks[280]  # the third's two seconds reach into the other half


def test_motion_energy_is_speed_over_a_second():
    energy = motion_energy(calm_then_lively())
    assert energy[list(LIVELY)].min() > 4 * energy[list(CALM)].max()
    mean_speed = 13 * 50.0 * 4 * 1.1  # of a swing: four times its size in each period
    assert energy[list(LIVELY)].mean() == pytest.approx(mean_speed, rel=0.05)


def test_what_was_found_is_said(tmp_path: Path):
    rate = 22050
    t = np.arange(8 * rate) / rate
    samples = np.sin(2 * np.pi * 330 * t) * np.exp(-(t % 0.5) / 0.1) * np.where(t < 4, 0.1, 0.8)
    soundfile.write(tmp_path / "a.wav", samples, rate)
    beats = [Beat(0.5 * n, "bar" if n % 4 == 0 else "beat", 1.0) for n in range(16)]
    asked = Music.read(tmp_path / "a.wav", beats=beats, weight=0.5)
    condition = asked.condition(SearchContext((), (), graph_of([(100, 250)]), calm_then_lively(), 150), SILENT)
    about = condition.about
    assert (about["music"], about["weight"], about["bars"]) == ("a.wav", 0.5, 3)  # of the five seconds under the film
    assert [section[0] for section in about["sections"]] == [0.0, 4.0]
    assert about["loudness_range_db"] == pytest.approx(20 * np.log10(8), abs=4)


def test_silence_is_no_music(tmp_path: Path):
    soundfile.write(tmp_path / "a.wav", np.zeros(22050), 22050)
    with pytest.raises(UserError, match="No music is heard"):
        Music.read(tmp_path / "a.wav")
