"""What makes a transition stale, and what does not."""

import importlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

A, B = "a" * 64, "b" * 64
FILES = {A: "/footage/a.mp4", B: "/footage/b.mp4"}


@pytest.fixture
def stale(enabled):
    return importlib.import_module(f"{enabled.__name__}.addon.timeline.stale")


@pytest.fixture
def protocol(enabled):
    return importlib.import_module(f"{enabled.__name__}.vmg_backend.protocol")


@pytest.fixture
def path():
    """Five segments of 20 frames, four transitions of 10; the cuts lie before frames 25, 55, 85, 115."""
    segments = [
        {"footage": (A, B)[i % 2], "first": 100 * i, "last": 100 * i + 19, "at": 30 * i, "speed": 1.0} for i in range(5)
    ]
    transitions = [
        {
            "id": i,
            "from": {"footage": (A, B)[i % 2], "frame": 100 * i + 19},
            "to": {"footage": (B, A)[i % 2], "frame": 100 * i + 100},
            "match": [100 * i + 24, 100 * i + 95],
            "at": 30 * i + 20,
            "frames": 10,
            "pinned": False,
        }
        for i in range(4)
    ]
    footages = {key: {"path": file} for key, file in FILES.items()}
    return {"fps": "24/1", "frames": 140, "segments": segments, "transitions": transitions, "footages": footages}


@pytest.fixture
def key(protocol):
    """Frames 205 to 210 of the first footage at 65: in the third segment, where they are."""
    return protocol.KeyAt("00000001", 65, FILES[A], 205, 6)


@pytest.fixture
def made_for(protocol, key):
    beats = tuple(protocol.BeatAt(frame / 24, "beat") for frame in (12, 36, 60, 72, 100))
    return protocol.Wish(footages=(), frames=140, beats=beats, keys=(key,))


def test_nothing_changed(stale, path, made_for):
    assert stale.overdue(path, made_for, made_for.beats, made_for.keys, ()) == set()


@pytest.mark.parametrize("shift", [-12, -6, -1, 1, 5, 12])
def test_a_moved_key_makes_exactly_its_two_transitions_stale(stale, path, made_for, key, shift):
    assert stale.overdue(path, made_for, made_for.beats, (replace(key, at=key.at + shift),), ()) == {1, 2}


def test_a_slipped_or_longer_key(stale, path, made_for, key):
    assert stale.overdue(path, made_for, made_for.beats, (replace(key, frame=207),), ()) == {1, 2}
    assert stale.overdue(path, made_for, made_for.beats, (replace(key, frames=30),), ()) == {1, 2}


def test_a_key_that_went_far_away_or_is_new(stale, path, made_for, key):
    assert stale.overdue(path, made_for, made_for.beats, (replace(key, at=125),), ()) == {3}
    assert stale.overdue(path, made_for, made_for.beats, (key, replace(key, uid="2", at=5, frame=40)), ()) == {0}


def test_a_change_that_the_take_shows_already_asks_for_nothing(stale, path, made_for, key):
    """Shortened, removed, or put where the take shows these very frames."""
    assert stale.overdue(path, made_for, made_for.beats, (replace(key, frames=3),), ()) == set()
    assert stale.overdue(path, made_for, made_for.beats, (), ()) == set()
    assert stale.overdue(path, made_for, made_for.beats, (replace(key, at=70, frame=210),), ()) == set()
    other_file = replace(key, path=FILES[B])
    assert stale.overdue(path, made_for, made_for.beats, (other_file,), ()) == {1, 2}


def test_a_key_that_the_person_cut_away_stays_so(stale, path, made_for, key):
    path["segments"][2]["first"] += 3  # another piece of footage there
    assert stale.overdue(path, made_for, made_for.beats, (key,), ()) == set()


def test_nudged_beats(stale, path, made_for):
    def nudged(index, frames):
        beats = list(made_for.beats)
        beats[index] = replace(beats[index], time=beats[index].time + frames / 24)
        return stale.overdue(path, made_for, beats, made_for.keys, ())

    assert nudged(0, 2) == {0}  # the first segment has one cut only
    assert nudged(2, 1) == {1, 2}
    assert nudged(2, 0.2) == set()  # the same frame
    assert nudged(1, 20) == {0, 1, 2}  # from the second segment into the third
    assert stale.overdue(path, made_for, made_for.beats[:-1], made_for.keys, ()) == {2, 3}


def test_onsets_have_no_weight(stale, path, made_for, protocol):
    beats = (*made_for.beats, protocol.BeatAt(1.0, "onset"))
    assert stale.overdue(path, made_for, beats, made_for.keys, ()) == set()


# Actions, and keyframes that are not hard


@pytest.fixture
def tag(protocol):
    return lambda at, frames, name="wave": protocol.TagAt(at, frames, name)


def test_actions_count_where_another_one_is_wanted(stale, path, made_for, tag):
    made_for = replace(made_for, tags=(tag(30, 25), tag(90, 20, "turn")))
    unchanged = made_for.beats, made_for.keys

    def changed(*tags):
        return stale.overdue(path, made_for, *unchanged, tags)

    assert changed(*made_for.tags) == changed(tag(30, 25, "Wave"), tag(90, 20, "turn")) == set()
    assert changed(tag(30, 25), tag(90, 20, "jump")) == {2, 3}  # the fourth segment
    assert changed(tag(30, 25)) == {2, 3}
    assert changed(tag(30, 30), tag(90, 20, "turn")) == {1, 2}  # longer: only where it was not before
    assert changed(tag(25, 30), tag(90, 20, "turn")) == {0, 1}  # still from the cut on
    assert changed(*made_for.tags, tag(120, 10, "bow")) == {3}


@pytest.mark.parametrize("mode", ["soft", "pose"])
def test_a_keyframe_that_is_not_hard_counts_from_where_it_is_to_where_it_ends(stale, path, made_for, key, mode):
    free = replace(key, mode=mode, at=50, frame=3, frames=40)  # from the second segment into the fourth
    made_for = replace(made_for, keys=(free,))
    assert stale.overdue(path, made_for, made_for.beats, (free,), ()) == set()
    assert stale.overdue(path, made_for, made_for.beats, (replace(free, at=5, frames=6),), ()) == {0}  # it has no home
    assert stale.overdue(path, made_for, made_for.beats, (replace(free, tolerance=0.5),), ()) == {0, 1, 2, 3}
    shown = replace(key, mode=mode, uid="2")
    assert stale.overdue(path, made_for, made_for.beats, (free, shown), ()) == set()  # these very frames are shown


def test_a_hard_keyframe_that_was_soft_has_no_home(stale, path, made_for, key):
    made_for = replace(made_for, keys=(replace(key, mode="soft", at=78),))  # before the third cut
    assert stale.overdue(path, made_for, made_for.beats, (replace(key, at=83),), ()) == {2, 3}


def test_staying_in_a_footage_counts_where_another_is_seen(stale, path, made_for, key):
    here = replace(key, mode="footage", at=32, frames=18, frame=0)
    for file, ids in ((FILES[B], set()), (FILES[A], {0, 1})):
        assert stale.overdue(path, made_for, made_for.beats, (key, replace(here, uid="2", path=file)), ()) == ids
    here = replace(here, uid="2", path=FILES[B])
    for at, frames, ids in ((32, 22, {1, 2}), (27, 20, {0})):  # A is blended from 50 on, and until 29
        longer = replace(here, at=at, frames=frames)
        assert stale.overdue(path, made_for, made_for.beats, (key, longer), ()) == ids


def test_what_is_avoided_counts_where_it_is_seen(stale, path, made_for, key):
    def asked(frame, frames, file=FILES[A]):
        avoided = replace(key, uid="2", mode="avoid", at=0, path=file, frame=frame, frames=frames)
        return stale.overdue(path, made_for, made_for.beats, (key, avoided), ())

    assert asked(0, 20) == {0}
    assert asked(200, 1) == {1, 2}
    assert asked(229, 1) == {1, 2}  # the last frame that its transition blends
    assert asked(230, 60) == set()
    assert asked(200, 1, FILES[B]) == set()


def test_another_edited_picture_of_a_keyframe(stale, path, made_for, key):
    assert stale.overdue(path, made_for, made_for.beats, (replace(key, image="/a.png"),), ()) == {1, 2}
    fresh = replace(key, uid="2", at=95, frame=305, path=FILES[B])  # shown already
    assert stale.overdue(path, made_for, made_for.beats, (key, fresh), ()) == set()
    assert stale.overdue(path, made_for, made_for.beats, (key, replace(fresh, image="/a.png")), ()) == {2, 3}


def test_a_picture_that_is_led_to_concerns_one_transition(stale, path, made_for, key):
    """Saved again, left out, chosen anew."""
    plain = replace(key, at=60, frame=200)
    pictured = replace(plain, image="/a.png", image_stamp="1 1")
    for old, new in (
        (pictured, replace(pictured, image_stamp="2 1")),
        (pictured, replace(pictured, image="/b.png")),
        (pictured, plain),
        (plain, pictured),
    ):
        made_for = replace(made_for, keys=(old,))
        assert stale.overdue(path, made_for, made_for.beats, (old,), ()) == set()
        assert stale.overdue(path, made_for, made_for.beats, (new,), ()) == {1}


# In the timeline


@pytest.fixture
def modules(enabled, stale, protocol, bpy):
    """The add-on's modules by name."""

    class Modules:
        pass

    Modules.stale, Modules.protocol = stale, protocol
    for name in ("compat", "overview", "properties", "timeline.actions", "timeline.takes", "timeline.building"):
        setattr(Modules, name.rpartition(".")[2], importlib.import_module(f"{enabled.__name__}.addon.{name}"))
    ours = not hasattr(bpy.types.Scene, "vmg")
    if ours:
        Modules.properties.register()
    yield Modules
    if ours:
        Modules.properties.unregister()


@pytest.fixture
def take(bpy, modules, scene, coded_movie, tmp_path):
    """Two cuts in a movie of 60 frames, the first transition filled."""
    movie = str(coded_movie(24))
    segments = [
        {"footage": A, "first": f, "last": f + 9, "at": at, "speed": 1.0} for f, at in ((4, 0), (40, 14), (22, 28))
    ]
    transitions = [
        {
            "id": index,
            "from": {"footage": A, "frame": one["last"]},
            "to": {"footage": A, "frame": other["first"]},
            "match": [one["last"] + 2, other["first"] - 2],
            "at": one["at"] + 10,
            "frames": 4,
            "engine": None,
            "cost": 0.1,
            "connector": False,
            "frames_dir": None,
            "hash": None,
            "pinned": False,
        }
        for index, (one, other) in enumerate(pairwise(segments))
    ]
    path = {
        **{"format": "vmg-path", "version": 1, "fps": "24/1", "frames": 38, "seconds": 38 / 24},
        "footages": {A: {"name": "m", "path": movie, "fps": "24/1", "size": [64, 64], "ranges": [[0, 59]]}},
        **{"segments": segments, "transitions": transitions, "audio": None, "beats": []},
        **{"cost": 1.0, "bound": 1.0, "gap": 0.0, "costs": {}, "beat_alignment": None, "reuse_window": 0.0},
        **{"seed": 0, "versions": {}},
    }
    for frame in (106, 120):
        scene.timeline_markers.new("beat", frame=frame)
    beats = tuple(modules.protocol.BeatAt(frame / 24, "mark") for frame in (5, 19))
    wish = modules.protocol.Wish(footages=(), frames=38, beats=beats)
    steps = modules.takes.insert_take(scene, path, {A: movie}, 101, wish)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            uid = done.value
            break
    modules.takes.show_take(scene, uid)
    folder = tmp_path / "frames"
    folder.mkdir()
    image = bpy.data.images.new("x", 64, 64)
    for index in range(4):
        image.filepath_raw, image.file_format = str(folder / f"{index:04d}.png"), "PNG"
        image.save()
    filled = {**path["transitions"][0], "engine": "fade", "hash": "h", "frames_dir": str(folder)}
    assert modules.takes.fill_transition(scene, uid, filled)
    return modules.takes.find(scene, uid)


def frames_strip(modules, take):
    return next(s for s in modules.compat.strips(take) if s.vmg.role == "TRANSITION")


def crosses(modules, take):
    found = [s for s in modules.compat.strips(take) if s.vmg.role == "CROSS"]
    return sorted(found, key=modules.compat.start)


def colors(modules, take):
    return frames_strip(modules, take).color_tag, [s.color_tag for s in crosses(modules, take)]


def test_a_take_as_it_was_made(modules, scene, take):
    assert [s.frames for s in modules.stale.states(take)] == ["fit", "none"]
    assert modules.stale.stale_transitions(scene, take) == ()
    assert modules.stale.mark(scene, take) == 0
    assert colors(modules, take) == ("COLOR_05", ["NONE", "NONE"])


def test_a_rolled_cut_makes_its_frames_stale_and_rolling_back_mends_them(modules, scene, take):
    out, into = sorted((s for s in modules.compat.strips(take) if s.type == "MOVIE"), key=modules.compat.start)[:2]
    for shift, stale_ids, color in ((2, (0,), "COLOR_03"), (-2, (), "COLOR_05")):
        modules.compat.set_visible(out, 101, modules.compat.end(out) + shift)
        modules.compat.set_visible(into, modules.compat.start(into) + shift, modules.compat.end(into))
        assert modules.stale.stale_transitions(scene, take) == stale_ids
        assert modules.stale.mark(scene, take) == len(stale_ids)
        assert colors(modules, take)[0] == color
        assert frames_strip(modules, take).vmg.stale == bool(stale_ids)


def test_files_that_are_gone(modules, scene, take):
    folder = Path(modules.building.frames_folder(frames_strip(modules, take)))
    folder.rename(folder.with_name("elsewhere"))
    assert [s.frames for s in modules.stale.states(take)] == ["gone", "none"]
    assert modules.stale.mark(scene, take) == 1
    assert colors(modules, take)[0] == "COLOR_01"
    folder.with_name("elsewhere").rename(folder)
    assert modules.stale.mark(scene, take) == 0


def test_a_nudged_marker_colours_what_lies_beside_its_segment(modules, scene, take):
    scene.timeline_markers[1].frame += 2  # under the middle segment
    assert modules.stale.stale_transitions(scene, take) == (0, 1)
    assert modules.stale.mark(scene, take) == 2
    assert colors(modules, take) == ("COLOR_03", ["COLOR_03", "COLOR_03"])
    frames_strip(modules, take).vmg.pinned = True  # what is pinned is not made again
    assert modules.stale.stale_transitions(scene, take) == (1,)
    scene.timeline_markers[1].frame -= 2
    assert modules.stale.mark(scene, take) == 0
    assert colors(modules, take) == ("COLOR_05", ["NONE", "NONE"])


def test_a_wanted_action_colours_what_lies_beside_its_segments(modules, scene, take):
    before = modules.overview.fingerprint(scene)
    strip = modules.actions.add_action(scene, 119, "wave")  # from the middle segment into the last one
    assert modules.overview.fingerprint(scene) != before
    assert modules.stale.mark(scene, take) == 2
    before = modules.overview.fingerprint(scene)
    strip.text = "turn"
    assert modules.overview.fingerprint(scene) != before
    strip.mute = True
    assert modules.stale.mark(scene, take) == 0


def test_what_is_asked_of_a_keyframe_changes_the_fingerprint(bpy, modules, scene, take, coded_movie):
    scene.sequence_editor.channels[9].name = "VMG Keys"
    fingerprints = [modules.overview.fingerprint(scene)]
    key = modules.compat.new_movie(scene.sequence_editor, "by hand", str(coded_movie(24)), 9, 101)
    fingerprints.append(modules.overview.fingerprint(scene))
    for name, value in (("mode", "soft"), ("tolerance", 0.5), ("image", "//a.png")):
        setattr(key.vmg, name, value)
        fingerprints.append(modules.overview.fingerprint(scene))
    assert len(set(fingerprints)) == 5


def test_a_trimmed_take_is_not_stale_but_a_moved_one_is(modules, scene, take):
    modules.compat.set_visible(take, 104, 137)
    assert modules.stale.stale_transitions(scene, take) == ()
    modules.compat.set_visible(take, 101, 139)
    modules.compat.move(take, 3)
    assert modules.stale.stale_transitions(scene, take) == (0, 1)


def test_frames_without_a_transition(modules, scene, take):
    """The second piece was made to touch the first: the frames over the old transition are of no use."""
    out = min((s for s in modules.compat.strips(take) if s.type == "MOVIE"), key=modules.compat.start)
    modules.compat.set_visible(out, 101, 111)
    assert [s.frames for s in modules.stale.states(take)] == ["none"]
    assert modules.stale.mark(scene, take) == 0
    strip = frames_strip(modules, take)
    assert (strip.vmg.transition, strip.vmg.stale, strip.color_tag) == (-1, True, "COLOR_03")
    assert crosses(modules, take)[-1].vmg.transition == 0


def test_reading_changes_nothing_and_marking_twice_neither(bpy, modules, scene, take):
    modules.stale.mark(scene, take)
    changes = []
    bpy.app.handlers.depsgraph_update_post.append(lambda scene, graph: changes.append(len(graph.updates)))
    try:
        bpy.context.view_layer.update()
        changes.clear()
        modules.stale.states(take)
        modules.stale.mark(scene, take)
        bpy.context.view_layer.update()
        assert sum(changes) == 0
    finally:
        bpy.app.handlers.depsgraph_update_post.pop()
