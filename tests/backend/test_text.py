"""Texts: how they are parted into phrases, when each is shown, and which labels it means."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vmg_backend.errors import UserError
from vmg_backend.footage import Footage
from vmg_backend.graph.features import MotionFeatures
from vmg_backend.graph.motion_graph import MotionGraph
from vmg_backend.progress import SILENT
from vmg_backend.search.conditions import SearchContext
from vmg_backend.search.labels import Label
from vmg_backend.search.text import Text, load_synonyms, match, read_phrases, share_out, stem

SYNONYMS = load_synonyms()


def parts(text: str) -> list[str]:
    return [phrase.words for phrase in read_phrases(text)]


def times(text: str, seconds: float) -> list[tuple[float, float]]:
    return [(round(a, 6), round(b, 6)) for a, b in share_out(read_phrases(text), seconds)]


def nothing() -> None:
    """No encoder is here."""


def meant(phrase: str, *tags: str) -> tuple[tuple[str, ...], str] | None:
    found, _ = match([phrase], tags, SYNONYMS, nothing)
    return (found[0].tags, found[0].by) if found else None


def test_a_text_is_parted_at_punctuation_and_connecting_words() -> None:
    assert parts("she waves, then turns and walks off") == ["she waves", "turns", "walks off"]
    assert parts("She waves. She turns!\nafter that she bows;") == ["She waves", "She turns", "she bows"]
    assert parts("brother, yes and then help") == ["brother", "yes", "help"]
    assert parts("he jumps up and down, then bows") == ["he jumps up & down", "bows"]  # that is one action
    assert parts("understands nothing") == ["understands nothing"]  # "and" inside of a word


def test_phrases_share_the_film_equally() -> None:
    assert times("she waves, then turns and walks off", 9) == [(0, 3), (3, 6), (6, 9)]


def test_times_in_brackets() -> None:
    told = [(0.0, 1.5), (1.5, 4.0)]
    assert times("she waves [0-1.5], she turns [1.5-4]", 10) == told
    assert times("she waves [0-1.5] she turns [1.5-4]", 10) == told
    assert times("[0 - 1.5 s] she waves [1.5 to 4] she turns", 10) == told
    assert parts("she waves [0-1.5] she turns [1.5-4]") == ["she waves", "she turns"]
    assert parts("[0-1.5] she waves [1.5-4] she turns") == ["she waves", "she turns"]
    assert parts("she waves [1-2] at him") == ["she waves at him"]
    assert parts("she waves (at him) (2 s)") == ["she waves (at him)"]


def test_what_has_no_time_shares_what_is_left_between_the_others() -> None:
    assert times("waves, turns, bows [4-6], walks", 10) == [(0, 2), (2, 4), (4, 6), (6, 10)]
    assert times("rests for three seconds, then turns and walks (2 s)", 10) == [(0, 3), (3, 8), (8, 10)]
    assert times("waves for 1.5 seconds. turns for 2 s", 10) == [(0, 1.5), (1.5, 3.5)]  # the rest is free
    assert parts("rests for three seconds") == ["rests"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "says nothing"),
        (" ... , then", "says nothing"),
        ("[0-2]", "No words stand beside"),
        ("waves [3-1]", "does not last"),
        ("waves for 0 seconds", "is no time"),
        ("waves [1-2", r'"\[1-2" in the text cannot be read'),
        ("waves 1-2], turns", r'"\]" in the text cannot be read'),
        ("waves, turns (3 s", r'"\(3 s" in the text cannot be read'),
        ("waves [soon]", r'"\[soon\]" in the text cannot be read'),
    ],
)
def test_texts_are_checked_without_footage(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Text(text, (), SYNONYMS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("waves [2-4], turns [1-3]", '"turns" is wanted at 1 s'),
        ("waves, turns [0-2]", '"waves" and what follows it do not fit between 0 and 0 s'),
        ("waves for 6 seconds, turns for 5 seconds", "do not fit between 0 and 10 s"),
        ("waves [0-9.9], turns, bows", "do not fit between 9.9 and 10 s"),
    ],
)
def test_times_that_cannot_be(text: str, says: str) -> None:
    with pytest.raises(UserError) as told:
        share_out(read_phrases(text), 10)
    assert says in told.value.message


@pytest.mark.parametrize(
    "forms",
    [
        "wave waves waved waving",
        "run runs running",
        "dance dances danced dancing",
        "study studies studied studying",
        "agree agrees agreed agreeing",
        "stretch stretches stretched stretching",
        "clap claps clapped clapping",
        "kiss kisses kissed kissing",
        "roll rolls rolled rolling",
        "see sees seeing",
    ],
)
def test_forms_of_a_word_have_one_stem(forms: str) -> None:
    assert len({stem(word) for word in forms.split()}) == 1


def test_words_keep_what_only_looks_like_an_ending() -> None:
    assert [stem(word) for word in ("yes", "sing", "red", "speed", "bus")] == ["yes", "sing", "red", "speed", "bus"]
    assert len({stem(word) for word in ("wave", "walk", "wait", "want", "run", "rub", "turn", "no", "yes")}) == 9


def test_phrases_mean_labels_by_their_words() -> None:
    assert meant("she waves", "wave", "walk") == (("wave",), "words")
    assert meant("she WAVED happily", "Waving", "walk") == (("Waving",), "words")
    assert meant("waves with her left hand", "wave", "wave left", "left foot") == (("wave left",), "words")
    assert meant("she walks off", "walk in", "walk off", "walk") == (("walk off",), "words")
    assert meant("she walks", "walk in", "walk out") == (("walk in", "walk out"), "words")  # either will do
    assert meant("she gets in line", "walk in") is None  # "in" alone says too little
    assert meant("you", "you", "me") == (("you",), "words")  # a label may be nothing but such a word


def test_phrases_mean_labels_by_synonyms() -> None:
    assert meant("twirls", "turn", "walk") == (("turn",), "synonyms")
    assert meant("she ran away", "run", "sit") == (("run",), "synonyms")
    assert meant("gets up", "stand up", "sit down") == (("stand up",), "synonyms")
    assert meant("greets him", "wave", "hello") == (("wave", "hello"), "synonyms")
    assert meant("strolls", "walk", "stroll") == (("stroll",), "words")  # the word itself before a synonym


def test_what_no_word_connects_goes_by_the_encoder_alone() -> None:
    vectors = {"soars": [1.0, 0.0], "flies": [0.0, 1.0], "jump": [0.8, 0.6], "sit": [0.0, -1.0], "turn": [-1.0, 0.0]}
    asked: list[str] = []

    def encode(sentences: list[str]) -> np.ndarray:
        asked.extend(sentences)
        return np.array([vectors[one] for one in sentences], dtype=np.float32)

    found, rest = match(["she sits", "soars"], ["jump", "sit", "turn"], SYNONYMS, lambda: encode)
    assert [(one.tags, one.by) for one in found] == [(("sit",), "words"), (("jump",), "sentence embedding")]
    assert rest == []
    assert "she sits" not in asked
    found, rest = match(["flies"], ["sit", "turn"], SYNONYMS, lambda: encode)
    assert (found, rest) == ([], ["flies"])


def test_own_synonyms_are_read_beside_ours(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('[["boogie", "dance"], ["lie flat", "rest"]]')
    both = load_synonyms(file)
    assert match(["boogies"], ["dance"], both, nothing)[0][0].by == "synonyms"
    assert match(["lies flat"], ["rest"], both, nothing)[0][0].tags == ("rest",)
    assert match(["twirls"], ["turn"], both, nothing)[0]
    for content, says in (("[", "not JSON"), ('{"a": ["b"]}', "not a list"), ('[["a", 3]]', "not a list")):
        file.write_text(content)
        with pytest.raises(UserError, match=says):
            load_synonyms(file)


def context(frames: int) -> SearchContext:
    """A footage `a.mp4` of 10 s without edges."""
    whole, nodes = np.array([[0, 299]], dtype=np.int32), 300
    footage = Footage(
        "a", Path("a.mp4"), Fraction(30), (64, 48), 0, np.arange(300), Fraction(1, 30), False, whole, whole
    )
    none, offsets = np.zeros(0, dtype=np.int32), np.array([0, nodes])
    joints = np.ones((nodes, 1, 3))
    features = MotionFeatures(
        joints, joints, joints, joints[..., 0], joints[..., :2], joints[..., 0], whole, offsets, Fraction(30)
    )
    graph = MotionGraph(
        ("a",),
        offsets,
        whole,
        none,
        none,
        none.astype(np.float32),
        none.astype(np.int8),
        none > 0,
        1.0,
        1.0,
        Fraction(30),
    )
    return SearchContext([footage], (), graph, features, frames)


LABELS = (Label("wave", 0, 3, "a.mp4"), Label("spin", 3, 6, "a.mp4"), Label("walk", 6, 10, "a.mp4"))


def test_a_text_becomes_tags_and_tells_how() -> None:
    text = Text("she waves, then turns and walks off", LABELS, SYNONYMS, soft=0.0, encoder=nothing)
    condition = text.condition(context(180), SILENT)
    assert condition.name == "text"
    free = [np.flatnonzero(condition.node_cost(t) == 0).tolist() for t in (30, 90, 150)]
    assert free == [list(range(90)), list(range(90, 180)), list(range(180, 300))]
    told = condition.about["phrases"]
    assert [(one["words"], one["tags"], one["by"]) for one in told] == [
        ("she waves", ["wave"], "words"),
        ("turns", ["spin"], "synonyms"),
        ("walks off", ["walk"], "words"),
    ]
    assert [(one["start"], one["end"]) for one in told] == [(0, 2), (2, 4), (4, 6)]
    json.dumps(condition.about)


def test_of_a_text_what_was_cut_off_is_left_out_and_the_rest_keeps_its_time() -> None:
    text = Text("she waves, then turns and walks off", LABELS, SYNONYMS, soft=0.0, encoder=nothing, start=-1, seconds=6)
    told = text.condition(context(90), SILENT).about["phrases"]
    assert [(one["words"], one["start"], one["end"]) for one in told] == [("she waves", 0, 1), ("turns", 1, 3)]
    late = replace(text, start=-5.0).condition(context(30), SILENT)
    assert [one["words"] for one in late.about["phrases"]] == ["walks off"]


def test_a_phrase_that_means_nothing_names_the_labels() -> None:
    with pytest.raises(UserError) as told:
        Text("she waves, flies and swims", LABELS, SYNONYMS, encoder=nothing).condition(context(180), SILENT)
    assert told.value.message == 'No footage is labelled with anything like "flies" or "swims".'
    assert told.value.remedy.endswith("ask for one of: spin, walk, wave.")
