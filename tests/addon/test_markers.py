"""Beats as markers; what the person made is never touched."""

from itertools import pairwise

import pytest


@pytest.fixture
def markers(addon):
    return addon("timeline.markers")


@pytest.fixture
def write(addon, scene, markers):
    """Writes four bars of four beats, 12 frames (half a second) apart from frame 11 on, with onsets between some."""
    reading = addon("timeline.reading")
    beat_at = reading.BeatAt

    def write(density="ALL", pickup=0):
        scene.vmg.density = density
        beats = [
            beat_at(n * 0.5, "bar" if n % 4 == pickup else "beat", 1.0 if n % 4 == pickup else 0.5) for n in range(16)
        ]
        onsets = [beat_at(n * 0.5 + 0.25, "onset", 0.25) for n in (1, 3)]
        return markers.write(scene, [*beats, *onsets], reading.TakeRange(11, 200))

    return write


def frames(markers, scene):
    return [marker.frame for marker in markers.detected(scene)]


def mine(scene, name="mine", frame=23):
    marker = scene.timeline_markers.new(name, frame=frame)
    return marker


def others(scene):
    return sorted((one.name, one.frame) for one in scene.timeline_markers if not one.vmg.detected)


ALL = [11 + 12 * n for n in range(16)]


@pytest.mark.parametrize(
    ("density", "expected"),
    [("ALL", ALL), ("SECOND", ALL[::2]), ("BARS", ALL[::4]), ("ONSETS", sorted([*ALL, 29, 53]))],
)
def test_density(markers, scene, write, density, expected):
    mine(scene)
    assert write(density) == len(expected)
    assert frames(markers, scene) == expected
    assert others(scene) == [("mine", 23)]


def test_every_second_beat_keeps_the_bars_of_a_tune_with_a_pickup(markers, scene, write):
    write("SECOND", pickup=3)
    kept = [(one.frame, one.vmg.kind) for one in markers.detected(scene)]
    assert [frame for frame, _ in kept] == ALL[1::2]
    assert [frame for frame, kind in kept if kind == "BAR"] == ALL[3::4]


def test_names_kinds_and_strengths(markers, scene, write):
    write("ONSETS")
    found = [(one.name, one.vmg.kind, one.vmg.strength) for one in markers.detected(scene)]
    assert found[:5] == [
        ("bar 1", "BAR", 1.0),
        ("beat 1", "BEAT", 0.5),
        ("onset 1", "ONSET", 0.25),
        ("beat 2", "BEAT", 0.5),
        ("beat 3", "BEAT", 0.5),
    ]


def test_writing_again_replaces_the_detected_ones_only(markers, scene, write):
    mine(scene)
    camera = mine(scene, "shot", 100)
    write()
    write("BARS")
    assert frames(markers, scene) == ALL[::4]
    assert others(scene) == [("mine", 23), ("shot", 100)]
    assert camera in list(scene.timeline_markers)


def test_none_of_a_density_leaves_what_is_there(addon, markers, scene, write):
    write()
    scene.vmg.density = "BARS"
    with pytest.raises(Exception, match="density"):
        markers.write(scene, [], addon("timeline.reading").TakeRange(1, 100))
    assert len(markers.detected(scene)) == 16


def test_clear(markers, scene, write):
    mine(scene)
    write()
    markers.clear(scene)
    assert [marker.name for marker in scene.timeline_markers] == ["mine"]


def test_half_follows_the_bars_and_edits(markers, scene, write):
    mine(scene)
    write("ONSETS")
    markers.half(scene)
    assert [one.frame for one in markers.detected(scene) if one.vmg.kind != "ONSET"] == ALL[::2]
    assert [one.frame for one in markers.detected(scene) if one.vmg.kind == "ONSET"] == [29, 53]
    markers.detected(scene)[0].frame = 5  # the person nudged one
    markers.half(scene)
    assert [one.frame for one in markers.detected(scene) if one.vmg.kind != "ONSET"] == [5, *ALL[4::4]]
    assert others(scene) == [("mine", 23)]


def test_double_fills_in_between_and_turns_onsets_into_beats(markers, scene, write):
    mine(scene)
    write("ONSETS")
    markers.double(scene)
    assert frames(markers, scene) == list(range(11, 11 + 12 * 15 + 1, 6))
    assert [one.vmg.kind for one in markers.detected(scene)].count("BAR") == 4
    assert others(scene) == [("mine", 23)]
    markers.half(scene)
    assert frames(markers, scene) == ALL


def test_doubling_again_and_again_ends_at_one_a_frame(markers, scene, write):
    write("BARS")
    for _ in range(8):
        markers.double(scene)
    assert frames(markers, scene) == list(range(11, 11 + 12 * 12 + 1))


def test_flip(markers, scene, write):
    mine(scene)
    write("ONSETS")
    kinds = [one.vmg.kind for one in markers.detected(scene) if one.vmg.kind != "ONSET"]
    markers.flip(scene)
    assert frames(markers, scene) == [frame + 6 for frame in ALL]
    assert [one.vmg.kind for one in markers.detected(scene)] == kinds
    assert others(scene) == [("mine", 23)]


def test_flip_with_a_tempo_that_changes(markers, scene, write):
    write()
    for number, marker in enumerate(markers.detected(scene)):
        marker.frame = 10 + number * number
    before = frames(markers, scene)
    markers.flip(scene)
    middles = [(a + b + 1) // 2 for a, b in pairwise(before)]
    assert frames(markers, scene)[:-1] == middles


def test_offset(markers, scene, write):
    mine(scene)
    write()
    markers.offset(scene, -3)
    assert frames(markers, scene) == [frame - 3 for frame in ALL]
    assert others(scene) == [("mine", 23)]


def test_nothing_detected_is_no_trouble(markers, scene):
    mine(scene)
    for change in (markers.half, markers.double, markers.flip, markers.clear):
        change(scene)
    markers.offset(scene, 5)
    assert others(scene) == [("mine", 23)]


def test_a_name_that_the_person_gave_stays(markers, scene, write):
    write()
    markers.detected(scene)[2].name = "jump!"
    markers.double(scene)
    assert [one.name for one in markers.detected(scene)].count("jump!") == 1


def test_a_marker_that_is_only_called_beat_is_the_persons(markers, scene, write):
    write("BARS")
    mine(scene, "beat 7", 99)
    assert len(markers.beats(scene)) == 5
    markers.clear(scene)
    assert others(scene) == [("beat 7", 99)]


def test_cameras_markers_are_no_beats(bpy, markers, scene):
    mine(scene).camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    assert markers.beats(scene) == []
    mine(scene, "other", 30)
    assert [one.name for one in markers.beats(scene)] == ["other"]


def test_after_saving_and_loading(bpy, markers, scene, write, tmp_path):
    mine(scene)
    write()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    scene = bpy.context.scene
    markers.half(scene)
    assert frames(markers, scene) == ALL[::2]
    markers.clear(scene)
    assert [one.name for one in scene.timeline_markers] == ["mine"]


def test_after_undo(bpy, markers, scene, write):
    mine(scene)
    bpy.ops.ed.undo_push(message="mine")
    write()
    bpy.ops.ed.undo_push(message="beats")
    markers.half(scene)
    bpy.ops.ed.undo_push(message="half")
    bpy.ops.ed.undo()
    assert frames(markers, bpy.context.scene) == ALL
    bpy.ops.ed.undo()
    assert [one.name for one in bpy.context.scene.timeline_markers] == ["mine"]
    bpy.ops.ed.redo()
    markers.clear(bpy.context.scene)
    assert [one.name for one in bpy.context.scene.timeline_markers] == ["mine"]
