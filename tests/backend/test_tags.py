"""Action tags: what they cost, that they are searched exactly, and words of sign language in the order asked for."""

from __future__ import annotations

import importlib.util
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vmg_backend.errors import UserError
from vmg_backend.footage import Footage
from vmg_backend.graph.build import GraphSettings
from vmg_backend.graph.features import MotionFeatures
from vmg_backend.graph.motion_graph import MotionGraph
from vmg_backend.interpolation.interpolator import crossing_weights
from vmg_backend.jobs import Source, analyze, build
from vmg_backend.library import FootageLibrary
from vmg_backend.progress import SILENT
from vmg_backend.search.conditions import SearchContext
from vmg_backend.search.exact import solve
from vmg_backend.search.find import find_paths
from vmg_backend.search.labels import Label
from vmg_backend.search.objective import Objective, SearchSettings
from vmg_backend.search.path import Path as Performance
from vmg_backend.search.problem import Problem
from vmg_backend.search.tags import TagCondition, TagSpan, TagSpans, load_tags

FPS = 30


def context(lengths: dict[str, int], frames: int, edges: list[tuple[int, int]], half: int = 2) -> SearchContext:
    """Footages of these lengths, moving evenly, with these edges between nodes."""
    offsets = np.concatenate([[0], np.cumsum(list(lengths.values()))])
    nodes = int(offsets[-1])
    footages = [
        Footage(
            name, Path(f"{name}.mp4"), Fraction(FPS), (64, 48), 0, np.arange(n), Fraction(1, FPS), False, *2 * (whole,)
        )
        for name, n in lengths.items()
        for whole in [np.array([[0, n - 1]], dtype=np.int32)]
    ]
    runs = np.stack([offsets[:-1], offsets[1:] - 1], axis=1).astype(np.int32)
    joints = np.zeros((nodes, 2, 3))
    features = MotionFeatures(
        local=joints,
        world=joints,
        velocity=np.ones((nodes, 2, 3)),
        confidence=np.ones((nodes, 2)),
        rhythm=joints[..., :2],
        blur=joints[..., 0],
        runs=runs,
        offsets=offsets,
        fps=Fraction(FPS),
    )
    edges = sorted(edges, key=lambda edge: (edge[1], edge[0]))
    graph = MotionGraph(
        footages=tuple(lengths),
        offsets=offsets,
        runs=runs,
        source=np.array([u for u, _ in edges], dtype=np.int32),
        target=np.array([x for _, x in edges], dtype=np.int32),
        cost=np.zeros(len(edges), dtype=np.float32),
        half=np.full(len(edges), half, dtype=np.int8),
        connector=np.zeros(len(edges), dtype=bool),
        threshold=1.0,
        kept=1.0,
        fps=Fraction(FPS),
    )
    return SearchContext(footages, (), graph, features, frames)


def condition(asked: TagSpans, about: SearchContext) -> TagCondition:
    result = asked.condition(about, SILENT)
    assert isinstance(result, TagCondition)
    return result


A_TO_B = {"a": 60, "b": 60}
"""Two footages whose names are their actions: nodes 0 to 59 and 60 to 119."""


def test_a_second_of_the_wrong_action_costs_twenty() -> None:
    spans = (TagSpan("a", 0, 2), TagSpan("B", 2, 4))
    tags = condition(TagSpans(spans, weight=1.5), context(A_TO_B, 120, []))
    cost = np.stack([tags.node_cost(t) for t in range(120)])
    assert cost[10:40, 100].sum() == pytest.approx(1.5 * 20)  # b where a is wanted
    assert cost[1, 60] == cost[118, 0] == pytest.approx(1.5 * 20 / FPS)  # no soft edge where the film begins and ends
    assert np.all(cost[1:52, :60] == 0)  # the first and last frame also tell what is lost
    assert np.all(cost[68:119, 60:] == 0)
    assert tags.about["actions"] == {"a": {"frames": 60, "by": "file"}, "b": {"frames": 60, "by": "file"}}
    json.dumps(tags.about)


def test_both_are_right_inside_a_soft_edge_and_nothing_else_is() -> None:
    about = context({**A_TO_B, "c": 60}, 120, [])
    cost = np.stack(
        [condition(TagSpans((TagSpan("a", 0, 2), TagSpan("b", 2, 4))), about).node_cost(t) for t in range(120)]
    )
    frame = 20 / FPS
    assert np.allclose(cost[53:67, :120], 0)  # 0.25 s on either side of 60
    assert np.allclose(cost[53:67, 120:], frame)
    assert cost[51, 60] == pytest.approx(frame)
    hard = condition(TagSpans((TagSpan("a", 0, 2), TagSpan("b", 2, 4)), soft=0.0), about)
    assert hard.node_cost(59)[60] == pytest.approx(frame)
    assert hard.node_cost(60)[60] == 0


def test_between_spans_anything_may_be_shown_and_the_ramp_is_linear() -> None:
    tags = condition(TagSpans((TagSpan("a", 1, 2),)), context(A_TO_B, 90, []))
    assert tags.node_cost(10) is None
    assert tags.cut_cost(10) is None
    assert tags.node_cost(75) is None
    middles = (np.arange(90) + 0.5) / FPS
    rising = np.clip((middles - 0.75) / 0.5, 0, 1)
    cost = np.array([0.0 if (now := tags.node_cost(t)) is None else now[60] for t in range(50)])
    assert np.allclose(cost, rising[:50] * 20 / FPS)


def test_a_short_span_keeps_a_firm_middle() -> None:
    """Soft edges of its neighbours would otherwise meet in it, and it could be left out at no cost."""
    spans = (TagSpan("a", 0, 1), TagSpan("b", 1, 1.4), TagSpan("a", 1.4, 3))
    tags = condition(TagSpans(spans), context(A_TO_B, 90, []))
    left_out = sum(tags.node_cost(t)[0] for t in range(30, 42))
    assert left_out == pytest.approx(20 * 0.2, rel=0.1)


def test_what_a_cut_loses_of_an_action() -> None:
    """Motion is even here, so that the share of frames is the share of motion."""
    edges = [(29, 60), (59, 60), (59, 90), (29, 90), (44, 15), (59, 0), (14, 45)]
    about = context(A_TO_B, 120, edges)
    graph = about.graph
    tags = condition(TagSpans((TagSpan("a", 0, 2), TagSpan("b", 2, 4))), about)
    at = {(int(u), int(x)): e for e, (u, x) in enumerate(zip(graph.source, graph.target, strict=True))}
    cost = tags.cut_cost(60)  # where both are right
    assert cost[at[59, 60]] == pytest.approx(0)  # from a's own end to b's own start
    assert cost[at[29, 60]] == pytest.approx(0.5)  # half of a is lost
    assert cost[at[59, 90]] == pytest.approx(0.5)
    assert cost[at[29, 90]] == pytest.approx(1.0)
    within = tags.cut_cost(30)
    assert within[at[14, 45]] == pytest.approx(0.5)  # half is skipped
    assert within[at[44, 15]] == pytest.approx(0.5)  # half is shown again
    assert within[at[59, 0]] == pytest.approx(0)  # performed twice
    assert tags.node_cost(0)[15] == pytest.approx(0.25)  # the film begins in the middle of it
    assert tags.node_cost(119)[60 + 44] == pytest.approx(0.25)


def test_an_action_that_goes_on_may_be_shown_in_part() -> None:
    long = context({"a": 60, "dance": 600}, 90, [(29, 200)])
    tags = condition(TagSpans((TagSpan("a", 0, 1), TagSpan("dance", 1, 3))), long)
    assert tags.node_cost(89)[300] == 0
    assert tags.cut_cost(30)[0] == pytest.approx(0.5)  # of a, which has room; nothing of the dance


def test_a_transition_costs_what_it_shows_of_the_wrong_action() -> None:
    """Against the blend of both continuations, frame by frame."""
    half, rng = 4, np.random.default_rng(0)
    edges = [(int(u), 60 + int(x)) for u, x in zip(rng.integers(10, 50, 6), rng.integers(10, 50, 6), strict=True)]
    about = context(A_TO_B, 120, edges, half)
    tags = condition(TagSpans((TagSpan("a", 0, 2), TagSpan("b", 2, 4))), about)
    weights = crossing_weights(2 * half)
    for t in range(45, 75):
        blended = shown = 0.0
        for k, frame in enumerate(range(t - half, t + half)):
            cost = tags.node_cost(frame)
            blended += (1 - weights[k]) * cost[30] + weights[k] * cost[90]
            shown += cost[30] if frame < t else cost[90]
        more = tags.cut_cost(t) - tags.lost[tags.group[t]]
        assert np.allclose(more, blended - shown)
        if abs(t - 60) <= 3:
            assert np.allclose(more, 0)  # a transition that lies in the soft edge is free
        elif abs(t - 60) <= 10:
            assert np.all(np.abs(more) > 1e-3)


def test_the_labels_that_there_are_answer_unknown_tags() -> None:
    labels = (Label("wave", 0, 1, "a.mp4"), Label("turn", 1, 2, "a.mp4"))
    asked = TagSpans((TagSpan("waev", 0, 1), TagSpan("swim", 1, 2)), labels)
    with pytest.raises(UserError) as told:
        asked.condition(context(A_TO_B, 60, []), SILENT)
    assert told.value.message == 'No footage is labelled "waev" (nearest: wave) or "swim".'
    assert told.value.remedy == "Label footage with it, or ask for one of: b, turn, wave."


def test_spans_that_cannot_be() -> None:
    with pytest.raises(UserError, match=r'"a" and "b" are both wanted at 1\.00 s'):
        TagSpans((TagSpan("a", 0, 2), TagSpan("b", 1, 3)))
    TagSpans(
        (TagSpan("a", 0, 2), TagSpan("A", 1, 3), TagSpan("b", 2.9, 4))
    )  # the same action, and an overlap in the edge
    with pytest.raises(UserError, match="less than the least time"):
        TagSpans((TagSpan("a", 0, 0.5),), hold=1.0)
    with pytest.raises(UserError, match=r"the film ends at 2\.00 s"):
        TagSpans((TagSpan("a", 3, 4),)).condition(context(A_TO_B, 60, []), SILENT)
    unseen = context(A_TO_B, 60, [])
    unseen = replace(unseen, features=replace(unseen.features, runs=np.array([[60, 119]], dtype=np.int32)))
    with pytest.raises(UserError, match='No frame that is labelled "a" can be shown'):
        TagSpans((TagSpan("a", 0, 1),)).condition(unseen, SILENT)


def test_files_of_tags(tmp_path: Path) -> None:
    file = tmp_path / "tags.json"
    file.write_text('[{"tag": "a", "start": 0, "end": 2.5}, {"tag": "b", "start": 2.5, "end": 4}]')
    assert load_tags(file) == (TagSpan("a", 0.0, 2.5), TagSpan("b", 2.5, 4.0))
    file.write_text('[{"tag": "a", "start": 0}]')
    with pytest.raises(UserError, match=r'Entry 1 in tags\.json lacks one of "tag", "start", "end"'):
        load_tags(file)


def exhaustive() -> Callable[[Problem], float]:
    """The search that tries every path, of the exact search's own tests."""
    file = Path(__file__).with_name("test_exact_search.py")
    spec = importlib.util.spec_from_file_location("exact_search", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.exhaustive


def test_the_search_for_tags_is_exact() -> None:
    rng, least = np.random.default_rng(5), exhaustive()
    solved = cuts = tagged = 0
    for _ in range(80):
        lengths = {name: int(rng.integers(2, 6)) for name in "abc"[: rng.integers(1, 4)]}
        nodes, frames, hold = sum(lengths.values()), int(rng.integers(3, 10)), int(rng.integers(1, 4))
        edges = {(int(u), int(x)) for u, x in rng.integers(0, nodes, (12, 2)) if x != u + 1}
        about = context(lengths, frames, list(edges), int(rng.integers(0, 3)))
        about = replace(about, features=replace(about.features, velocity=rng.random((nodes, 2, 3))))
        times = np.sort(rng.random(rng.integers(2, 5))) * frames / FPS
        spans = tuple(TagSpan(str(rng.choice(list(lengths))), *pair) for pair in itertools.pairwise(times.tolist()))
        asked = [TagSpans(spans, weight=float(5 * rng.random() + 1), soft=float(0.05 * rng.random()))]
        objective = Objective.of(about, beats=(), settings=SearchSettings(), seed=1, longest=1, asked=asked)
        problem = objective.problem(frames, hold)
        expected, route = least(problem), solve(problem)
        if route is None:
            assert expected == np.inf
            continue
        assert route.cost == pytest.approx(expected)
        assert sum(objective.costs(route).values()) == pytest.approx(expected)
        solved, cuts, tagged = solved + 1, cuts + len(route.cuts), tagged + (objective.costs(route)["tags"] > 0)
    assert solved > 50
    assert cuts > 25
    assert tagged > 20


MAN = ("again", "brother", "help", "no", "student", "yes")
WOMAN = ("book", "learn", "school", "walk")


def wrong_frames(path: Performance, spans: list[TagSpan], soft: float) -> list[int]:
    """Output frames outside of soft edges whose picture, most of it where it is blended, is of another file."""
    shown = np.full(path.frames, "", dtype=object)
    for segment in path.segments:
        shown[segment.at : segment.at + segment.frames] = path.footages[segment.footage].name
    for one in path.transitions:
        shown[one.at : one.at + one.half] = path.footages[one.from_.footage].name
        shown[one.at + one.half : one.at + one.frames] = path.footages[one.to.footage].name
    middles = (np.arange(path.frames) + 0.5) / float(path.fps)
    wrong = np.zeros(path.frames, dtype=bool)
    for span in spans:
        inside = (middles >= (span.start + soft if span.start else 0)) & (middles < span.end - soft)
        wrong |= inside & (shown != f"{span.tag}.mkv")
    return np.flatnonzero(wrong).tolist()


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "tags", "seconds"),
    [
        (MAN, "brother again student help yes student no brother", 2.0),
        (WOMAN, "walk book learn school book walk", 2.6),
    ],
)
def test_words_of_sign_language_in_the_order_asked_for(
    media: Path, tmp_path: Path, words: tuple[str, ...], tags: str, seconds: float
) -> None:
    """Right by file in every frame outside of the soft edges, transitions included."""
    library = FootageLibrary(tmp_path / "library")
    analyses = analyze([Source(media / "footage" / "sign_words" / f"{word}.mkv") for word in words], library)
    # Words as short as these need more ways from one to the other than a dance does, and some are wanted twice.
    graph, features = build(analyses, library, GraphSettings(threshold_scale=5.0))
    settings = SearchSettings(reuse_seconds=0.0)
    spans = [TagSpan(tag, k * seconds, (k + 1) * seconds) for k, tag in enumerate(tags.split())]
    (path,) = find_paths(
        [one.footage for one in analyses],
        graph,
        features,
        tracks=[one.track for one in analyses],
        frames=round(len(spans) * seconds * FPS),
        asked=[TagSpans(tuple(spans))],
        settings=settings,
    )
    assert wrong_frames(path, spans, 0.25) == []
    assert {path.footages[segment.footage].name[:-4] for segment in path.segments} <= set(tags.split())
