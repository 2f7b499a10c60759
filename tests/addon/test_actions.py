"""Actions and labels as text strips: what they say, by footage whose frames are known."""

import importlib

import pytest


@pytest.fixture
def actions(addon):
    return addon("timeline.actions")


@pytest.fixture
def label_at(enabled):
    return importlib.import_module(f"{enabled.__name__}.vmg_backend.protocol").LabelAt


@pytest.fixture
def say(scene, compat):
    """Puts a text strip on a channel, as a person does: on one that has this name."""

    def say(name, text, first, last, number=20):
        scene.sequence_editor.channels[number].name = name
        return compat.new_text(scene.sequence_editor, "Text", text, number, first, last)

    return say


def refused(call, match):
    with pytest.raises(Exception, match=match) as caught:
        call()
    assert type(caught.value).__name__ == "UserError"


def spans(compat, strips):
    return [(compat.start(strip), compat.end(strip), strip.text) for strip in strips]


def test_an_action_lasts_two_seconds_or_until_the_next(actions, compat, scene, put):
    put(1, 1)
    for frame in (100, 70, 30):
        actions.add_action(scene, frame, f"from {frame}")
    assert spans(compat, actions.wanted(scene)) == [(30, 70, "from 30"), (70, 100, "from 70"), (100, 148, "from 100")]
    refused(lambda: actions.add_action(scene, 69, "again"), "wanted here already")


def test_the_channel_is_muted_and_the_strips_have_their_role(actions, scene, put):
    put(1, 1)
    strip = actions.add_action(scene, 10, "wave")
    channel = scene.sequence_editor.channels[strip.channel]
    assert (strip.channel, channel.name, channel.mute) == (2, "VMG Actions", True)
    assert (strip.type, strip.vmg.role, len(strip.vmg.uid)) == ("TEXT", "ACTION", 8)


def test_whoever_made_the_strip(actions, reading, scene, put, say):
    put(1, 1)
    first, second = say("VMG Actions", "wave\nand  turn ", 30, 50), say("VMG Actions", "bow", 60, 80)
    second.vmg.uid = "00000001"  # as a copy has it
    muted = say("VMG Actions", "never", 90, 100)
    muted.mute = True
    elsewhere = say("Titles", "The end", 30, 50, number=21)
    found = actions.tags(scene, reading.TakeRange(40, 35))
    assert [(tag.at, tag.frames, tag.tag) for tag in found] == [(0, 10, "wave and turn"), (20, 15, "bow")]
    assert [one.vmg.role for one in (first, second, elsewhere)] == ["ACTION", "ACTION", "NONE"]
    first.channel = 22
    assert len(actions.tags(scene, reading.TakeRange(1, 100))) == 1
    assert first.vmg.role == "NONE"
    second.text = "  "
    refused(lambda: actions.tags(scene, reading.TakeRange(1, 100)), "“Text.*” names no action")


def test_a_label_speaks_of_all_footage_under_it(actions, scene, put, say, coded_movie):
    put(1, 1)  # source = frame - 1
    put(2, -9, 1, 30, path=coded_movie(12))  # source = frame + 9
    put(3, 1, 1, 60).mute = True
    say("VMG Labels", "wave", 11, 41)
    assert sorted((one.path, one.first, one.last, one.tag) for one in actions.labels(scene)) == sorted([
        (str(coded_movie(24)), 10, 39, "wave"),
        (str(coded_movie(12)), 20, 38, "wave"),
    ])  # fmt: skip


def test_performances(actions, scene, put, say):
    """One label over a split strip is one; two labels are two; the same frames under two labels are not two."""
    strip = put(1, 1)
    strip.split(frame=21, split_method="SOFT")
    say("VMG Labels", "wave", 11, 31)
    say("VMG Labels", "wave", 31, 41)
    put(1, 101, 121, 151)  # source 20 to 49 once more
    say("VMG Labels", "wave", 121, 126)
    assert [(one.first, one.last) for one in actions.labels(scene)] == [(10, 29), (30, 39)]


def test_labels_of_reversed_and_stretched_strips(actions, compat, reading, scene, put, say, add_movie, coded_movie):
    put(1, 1).use_reverse_frames = True
    slow = add_movie(coded_movie(8), stretched=True, at=100)  # each frame lasts three
    reading.use_as_footage([slow])
    say("VMG Labels", "wave", 11, 21)
    say("VMG Labels", "turn", 130, 160)
    found = {one.tag: (one.first, one.last) for one in actions.labels(scene)}
    assert found == {"wave": (40, 49), "turn": (10, 20)}


def test_footage_is_labelled_where_it_is_not_yet(actions, compat, scene, put):
    first, second = put(1, 1), put(1, 61)
    (label,) = actions.label_footage(scene, [first], "wave")
    assert (compat.start(label), compat.end(label), label.vmg.role) == (1, 61, "LABEL")
    compat.set_visible(label, 1, 31)
    made = actions.label_footage(scene, [first, second], "turn")
    assert spans(compat, made) == [(31, 61, "turn"), (61, 121, "turn")]
    refused(lambda: actions.label_footage(scene, [first, second], "bow"), "labelled already")
    third = put(2, 100)
    refused(lambda: actions.label_footage(scene, [third], "bow"), "at the same time")
    third.vmg.role = "NONE"
    refused(lambda: actions.label_footage(scene, [third], "bow"), "not used as footage")


def test_found_labels_lie_over_the_strips_that_show_these_frames(actions, compat, scene, put, label_at, coded_movie):
    file = str(coded_movie(24))
    put(1, 1, 11, 41)  # source 10 to 39
    put(1, 100)
    list(actions.write_labels(scene, [label_at(file, 0, 19, "motion 1"), label_at(file, 20, 59, "motion 2")]))
    labels = compat.strips(scene.sequence_editor)
    found = sorted(spans(compat, [strip for strip in labels if strip.vmg.role == "LABEL"]))
    assert found == [(11, 21, "motion 1"), (21, 41, "motion 2"), (100, 120, "motion 1"), (120, 160, "motion 2")]
    assert len({strip.vmg.uid for strip in labels if strip.vmg.role == "LABEL"}) == 4
    assert [(one.first, one.last, one.tag) for one in actions.labels(scene)] == [
        (0, 19, "motion 1"),
        (20, 59, "motion 2"),
    ]


def test_found_labels_of_reversed_and_stretched_strips(
    actions, compat, reading, scene, put, add_movie, label_at, coded_movie
):
    put(1, 1).use_reverse_frames = True
    slow = add_movie(coded_movie(8), stretched=True, at=100)
    reading.use_as_footage([slow])
    wanted = [label_at(str(coded_movie(24)), 40, 49, "wave"), label_at(str(coded_movie(8)), 10, 20, "turn")]
    list(actions.write_labels(scene, wanted))
    found = {one.tag: (one.first, one.last) for one in actions.labels(scene)}
    assert found == {"wave": (40, 49), "turn": (10, 20)}


def test_finding_again_keeps_what_the_person_wrote(actions, compat, scene, put, say, label_at, coded_movie):
    file = str(coded_movie(24))
    put(1, 1)
    say("VMG Labels", "wave", 1, 6)
    list(actions.write_labels(scene, [label_at(file, 0, 19, "motion 1"), label_at(file, 20, 59, "motion 2")]))

    def labels():
        strips = compat.strips(scene.sequence_editor)
        return sorted(spans(compat, [strip for strip in strips if strip.vmg.role == "LABEL"]))

    assert labels() == [(1, 6, "wave"), (6, 21, "motion 1"), (21, 61, "motion 2")]
    next(strip for strip in compat.strips(scene.sequence_editor) if compat.start(strip) == 6).text = "turn"
    list(actions.write_labels(scene, [label_at(file, 0, 59, "motion 1")]))
    assert labels() == [(1, 6, "wave"), (6, 21, "turn"), (21, 61, "motion 1")]


def test_nothing_is_found_where_footage_lies_at_the_same_time(actions, scene, put, label_at, coded_movie):
    put(1, 1)
    other = put(2, 60)
    refused(lambda: list(actions.write_labels(scene, [])), "“movie 1” and “movie 2” lie at the same time")
    other.mute = True
    actions.check_apart(scene)


def test_known_tags_are_those_of_labels_and_of_the_names_of_what_has_none(actions, scene, put, say, coded_movie):
    put(1, 1)
    put(1, 101, path=coded_movie(12))
    for row, tag in zip(scene.vmg.footages, ("coded", "twelve"), strict=True):
        row.tag = tag
    assert actions.known_tags(scene) == ("coded", "twelve")
    for first, text in ((10, "wave"), (20, "Turn"), (30, "wave "), (40, " ")):
        say("VMG Labels", text, first, first + 10)
    assert actions.known_tags(scene) == ("Turn", "twelve", "wave")
