"""Why a take is as it is, as its path tells."""

import json

import pytest

SECONDS = [{"at": 0, "costs": {"beats": 0.5}}, {"at": 24, "costs": {"beats": -0.25}}, {"at": 48, "costs": {"beats": 1}}]
RUNNER_UP = {
    "dearer": 0.42,
    "costs": {"beats": 0.3, "cuts": 0.12, "tags": 0.0},
    "cuts": [{"at": 29, "from": {"footage": "f", "frame": 8}, "to": {"footage": "f", "frame": 312}}],
}
PATH = {
    "footages": {"f": {"name": "dance.mp4"}},
    "costs": {"cuts": 0.3, "beats": 1.25},
    "explanation": {
        "seconds": SECONDS,
        "cuts": [
            {"at": 30, "costs": {"cuts": 0.1, "beats": 0.5}, "runner_up": RUNNER_UP},
            {"at": 47, "costs": {"cuts": 0.2}, "runner_up": None},
        ],
    },
}


@pytest.fixture
def explanation(addon):
    return addon("explanation")


@pytest.fixture
def take(scene, addon):
    """A take from frame 11 to 70 whose content begins at 1."""
    compat = addon("compat")
    meta = compat.new_meta(scene.sequence_editor, "VMG Take 001", 1, 1)
    color = compat.strips(meta).new_effect("c", "COLOR", 1, 1, **_sixty(compat))
    compat.set_visible(color, 1, 61)
    compat.set_visible(meta, 11, 61)
    compat.move(meta, 10)
    meta.vmg.path = json.dumps(PATH)
    return meta


def _sixty(compat):
    return {"length": 60} if compat._OWN_SEQUENCER_SCENE else {"frame_end": 61}


def test_a_second_costs_what_is_shown_and_cut_in_it(explanation, take):
    told = explanation.of(take)
    assert told.second(0) == {"beats": 0.5}
    assert told.second(24) == told.second(47) == {"beats": -0.25 + 0.5, "cuts": pytest.approx(0.3)}
    assert told.second(1000) == {"beats": 1}
    starts = [at for at, _ in told.seconds]
    sums = {name: sum(told.second(at).get(name, 0.0) for at in starts) for name in ("beats", "cuts")}
    assert sums == {"beats": pytest.approx(1.75), "cuts": pytest.approx(0.3)}


def test_the_next_cut_is_told_with_what_would_be_instead(explanation, take):
    told = explanation.of(take)
    assert [told.next_cut(frame).at for frame in (0, 30, 31, 47)] == [30, 30, 47, 47]
    assert told.next_cut(48) is None
    assert told.next_cut(0).other.cuts == ((29, "dance.mp4", 312),)
    assert told.next_cut(47).other is None


def test_a_take_that_was_moved_and_trimmed_is_read_at_the_right_frames(explanation, take):
    assert [explanation.frame_of(take, frame) for frame in (20, 21, 70, 71)] == [None, 10, 59, None]


def test_a_path_is_read_once_and_one_without_an_explanation_tells_its_sums(explanation, take):
    assert explanation.of(take) is explanation.of(take)
    take.vmg.path = json.dumps({**PATH, "explanation": None})
    told = explanation.of(take)
    assert (told.costs, told.seconds, told.cuts) == (PATH["costs"], (), ())
    assert told.second(3) == {}
    assert told.next_cut(0) is None
