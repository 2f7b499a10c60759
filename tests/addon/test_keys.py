"""Keyframes as strips: what they show is what was seen."""

import pytest


@pytest.fixture
def keys(addon):
    return addon("timeline.keys")


def refused(call, match):
    with pytest.raises(Exception, match=match) as caught:
        call()
    assert type(caught.value).__name__ == "UserError"


def everything(reading, scene):
    return [(key.at, key.frame, key.frames) for key in reading.keys(scene, reading.TakeRange(0, 1000))]


def test_a_keyframe_shows_what_is_seen_at_the_playhead_for_half_a_second(keys, reading, scene, put, shown):
    put(1, 5)
    seen = [shown(frame) for frame in (20, 25, 31)]
    key = keys.add_key(scene, 20)
    assert everything(reading, scene) == [(20, 15, 12)]
    assert (key.vmg.role, len(key.vmg.uid), key.color_tag) == ("KEY", 8, "COLOR_04")
    scene.sequence_editor.channels[1].mute = True
    scene.sequence_editor.channels[key.channel].mute = False
    assert [shown(frame) for frame in (20, 25, 31)] == seen == [15, 20, 26]


def test_the_channel_is_made_once_empty_named_and_muted(keys, reading, scene, put):
    put(1, 1)
    put(3, 100)
    key = keys.add_key(scene, 20)
    channel = scene.sequence_editor.channels[key.channel]
    assert (key.channel, channel.name, channel.mute, channel.lock) == (2, "VMG Keys", True, False)
    assert keys.add_key(scene, 110).channel == 2
    assert key.vmg.mode == "hard"


def test_a_channel_that_the_person_moved_is_found(keys, scene, put):
    put(1, 1)
    scene.sequence_editor.channels[9].name = "VMG Keys"
    assert keys.add_key(scene, 20).channel == 9
    assert not scene.sequence_editor.channels[9].mute  # as the person has it


def test_a_full_sequencer(keys, compat, scene, put):
    put(1, 1)
    for channel in range(2, 129):
        compat.new_meta(scene.sequence_editor, "full", channel, 1)
    refused(lambda: keys.add_key(scene, 20), "No channel")


def test_the_topmost_strip_is_seen_and_muted_ones_are_not(keys, reading, scene, put):
    put(1, 1)
    top = put(4, 11)
    keys.add_key(scene, 31)
    top.mute = True
    keys.add_key(scene, 50)
    assert everything(reading, scene) == [(31, 20, 12), (50, 49, 11)]


def test_of_a_stretched_strip_the_frame_that_it_shows(keys, reading, scene, coded_movie, add_movie, shown):
    strip = add_movie(coded_movie(8), stretched=True, at=1)
    reading.use_as_footage([strip])
    reading.sync_footages(scene)
    seen = shown(61)
    keys.add_key(scene, 61)
    assert everything(reading, scene) == [(61, seen, 12)]
    assert seen == 20


def test_a_keyframe_ends_where_the_footage_the_next_or_the_usable_range_ends(keys, reading, scene, put):
    put(1, 1, 1, 41)
    for frame in (36, 10, 5):
        keys.add_key(scene, frame)
    assert everything(reading, scene) == [(5, 4, 5), (10, 9, 12), (36, 35, 5)]
    assert {strip.channel for strip in reading.key_strips(scene)} == {2}


def test_where_no_footage_is(keys, scene, put, compat):
    refused(lambda: keys.add_key(scene, 10), "no footage here")
    put(1, 1)
    refused(lambda: keys.add_key(scene, 100), "no footage here")
    keys.add_key(scene, 10)
    refused(lambda: keys.add_key(scene, 15), "already")
    assert len(compat.strips(scene.sequence_editor)) == 2


def test_of_a_take_the_piece_that_is_nearer(keys, reading, compat, scene, put, coded_movie):
    """Pieces overlap by 8 frames around a cut at frame 30."""
    put(1, 200)
    meta = compat.new_meta(scene.sequence_editor, "VMG Take 001", 5, 1)
    meta.vmg.role = "TAKE"
    for channel, at, first, last in [(1, 1, 1, 34), (2, -14, 26, 46)]:
        piece = compat.new_movie(meta, "piece", str(coded_movie(24)), channel, at)
        compat.set_visible(piece, first, last)
        piece.vmg.role = "PIECE"
    compat.set_visible(meta, 1, 46)
    found = {}
    for frame in (10, 28, 29, 30, 31, 40):
        key = keys.add_key(scene, frame)
        found[frame] = compat.source_frame(key, frame)
        keys.remove(scene, [key.vmg.uid])
    assert found == {10: 9, 28: 27, 29: 28, 30: 44, 31: 45, 40: 54}
    assert everything(reading, scene) == []


def marker(scene, frame, kind=None):
    one = scene.timeline_markers.new("x", frame=frame)
    one.select = False
    if kind:
        one.vmg.detected, one.vmg.kind = True, kind
    return one


def test_from_beats_counts_from_the_first_bar(keys, reading, scene, put):
    put(1, 1)
    put(1, 61)
    scene.vmg.length_mode = "RANGE"
    for number in range(10):
        marker(scene, 6 + 12 * number, "BAR" if number % 4 == 1 else "BEAT")
        marker(scene, 12 + 12 * number, "ONSET")
    assert len(keys.from_beats(scene, 4)) == 3
    assert everything(reading, scene) == [(18, 17, 12), (66, 5, 12), (114, 53, 7)]


def test_from_beats_takes_the_selected_and_leaves_out_what_cannot_be(keys, compat, scene, put):
    put(1, 1)
    scene.vmg.length_mode = "RANGE"
    for frame in (10, 20, 30, 50, 100, 300):
        marker(scene, frame, "BEAT").select = frame != 20
    keys.add_key(scene, 28)
    assert [compat.start(key) for key in keys.from_beats(scene)] == [10, 50]
    refused(lambda: keys.from_beats(scene), "no beat with footage")


def test_remove_and_jump(keys, scene, put, compat):
    put(1, 1)
    first, second, third = (keys.add_key(scene, frame) for frame in (5, 20, 40))
    assert [keys.neighbour(scene, frame, 1) for frame in (1, 5, 30, 40)] == [5, 20, 40, None]
    assert [keys.neighbour(scene, frame, -1) for frame in (5, 6, 40, 90)] == [None, 5, 20, 40]
    assert keys.remove(scene, [first.vmg.uid, third.vmg.uid, "unknown"]) == 2
    assert [keys.neighbour(scene, 0, 1), keys.neighbour(scene, 20, 1)] == [20, None]
    assert second.vmg.role == "KEY"


def test_slipped_moved_and_undone_like_any_strip(bpy, keys, reading, scene, put, compat):
    put(1, 1)
    key = keys.add_key(scene, 20)
    bpy.ops.ed.undo_push(message="key")
    compat.move(key, 7)  # G
    assert everything(reading, scene) == [(27, 19, 12)]
    compat.move(key, -4)  # S: the content moves, the strip stays
    compat.set_visible(key, 27, 39)
    assert everything(reading, scene) == [(27, 23, 12)]
    bpy.ops.ed.undo_push(message="slip")
    bpy.ops.ed.undo()
    assert everything(reading, bpy.context.scene) == [(20, 19, 12)]
