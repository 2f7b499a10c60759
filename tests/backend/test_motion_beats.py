"""What a cut does to the motion beats around it, against plain loops over the frames that the film would show."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from vmg_backend.graph.features import MotionFeatures
from vmg_backend.graph.motion_graph import MotionGraph
from vmg_backend.interpolation.interpolator import crossing_weights
from vmg_backend.search.motion_beats import BLENDED, cut_motion_beats, node_motion_beats

NODES, ORDER = 300, 5


def swinging() -> MotionFeatures:
    rng = np.random.default_rng(0)
    t = np.arange(NODES) / 30
    swings = np.stack([np.sin(2 * np.pi * rng.uniform(0.5, 1.6) * t + rng.uniform(0, 6)) for _ in range(4)], axis=1)
    rhythm = (swings @ rng.normal(size=(4, 26)) * 30).reshape(NODES, 13, 2)
    nothing = np.zeros((NODES, 17, 3))
    return MotionFeatures(
        local=nothing,
        world=nothing,
        velocity=nothing,
        confidence=np.ones((NODES, 17)),
        rhythm=rhythm,
        blur=np.zeros((NODES, 13)),
        runs=np.array([[0, NODES - 1]], dtype=np.int32),
        offsets=np.array([0, NODES]),
        fps=Fraction(30),
    )


def cuts() -> MotionGraph:
    rng = np.random.default_rng(1)
    source, target = rng.integers(40, 250, size=(2, 25))
    order = np.lexsort((source, target))
    half = rng.integers(1, 7, size=25)
    half[0] = 6
    return MotionGraph(
        footages=("a",),
        offsets=np.array([0, NODES]),
        runs=np.array([[0, NODES - 1]], dtype=np.int32),
        source=source[order].astype(np.int32),
        target=target[order].astype(np.int32),
        cost=np.zeros(25, dtype=np.float32),
        half=half.astype(np.int8),
        connector=np.zeros(25, dtype=bool),
        threshold=1.0,
        kept=1.0,
        fps=Fraction(30),
    )


def rests(joints: np.ndarray) -> set[int]:
    """Frames slower than all within the order on either side, where those are all known."""
    speed = [0.0] + [
        sum(float(np.hypot(*(joints[t][k] - joints[t - 1][k]))) for k in range(13)) for t in range(1, len(joints))
    ]
    return {
        t
        for t in range(ORDER + 1, len(joints) - ORDER)
        if all(speed[t] < speed[t + k] for k in range(-ORDER, ORDER + 1) if k)
    }


def test_beats_that_appear_and_vanish_at_a_cut() -> None:
    features, graph = swinging(), cuts()
    changes = cut_motion_beats(graph, features)
    reach = changes.shape[1] // 2
    assert reach == 6 + ORDER
    source_rests = rests(features.rhythm)
    appeared = vanished = 0
    for edge in range(graph.edges):
        u, x, half = int(graph.source[edge]), int(graph.target[edge]), int(graph.half[edge])
        # Thirty frames before the cut and thirty after it, as the film shows them.
        shown = [features.rhythm[u - 29 + k] for k in range(30)] + [features.rhythm[x + k] for k in range(30)]
        for k, weight in enumerate(crossing_weights(2 * half)):
            offset = k - half  # 0 is the frame that shows the target
            outgoing, incoming = features.rhythm[u + 1 + offset], features.rhythm[x + offset]
            shown[30 + offset] = (1 - weight) * outgoing + weight * incoming
        now = rests(np.array(shown))
        for offset in range(-reach, reach):
            node = u + 1 + offset if offset < 0 else x + offset
            change = changes[edge, offset + reach]
            there, before = 30 + offset in now, node in source_rests
            counts = BLENDED if -half <= offset < half else 1.0
            assert change == pytest.approx(there * counts - before)
            appeared += there and not before
            vanished += before and not there
    assert appeared > 10
    assert vanished > 10


def test_nodes_that_rest_are_those_of_plain_loops() -> None:
    features = swinging()
    found = node_motion_beats(features)
    assert set(np.flatnonzero(found[ORDER + 1 : NODES - ORDER]) + ORDER + 1) == rests(features.rhythm)
    assert set(found) == {0.0, 1.0}


def test_a_sharp_stop_is_certain_and_a_long_rest_is_spread() -> None:
    """Two stops of a joint that moves evenly: in one frame, and for ten frames in which it hardly moves."""
    speed = np.full(NODES, 8.0)
    speed[100] = 1.0
    speed[200:210] = 1.0 + 0.01 * np.abs(np.arange(10) - 4)
    features = swinging()
    rhythm = np.zeros_like(features.rhythm)
    rhythm[..., 0] = np.cumsum(speed)[:, None]
    found = node_motion_beats(replace(features, rhythm=rhythm, blur=np.full((NODES, 13), 0.5)))
    assert found[99:102].sum() == pytest.approx(1.0, abs=0.1)
    assert found[100] > 0.6
    rest = found[200:210]
    assert rest.max() < 0.6
    assert (rest > 0).sum() >= 4
