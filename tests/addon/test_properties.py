"""The property groups through saving, loading, undo, and a time without the add-on."""

import importlib

import pytest

TEXT = "ä" * 100_000


def _fill(scene, compat):
    scene.vmg.length_mode, scene.vmg.seconds, scene.vmg.active_take = "SECONDS", 12.5, "0a1b2c3d"
    row = scene.vmg.footages.add()
    row.path, row.fps, row.frames, row.frames_without_person = "//a.mp4", "30000/1001", 2089, 7
    strip = compat.new_meta(scene.sequence_editor, "take", 3, 1)
    strip.vmg.role, strip.vmg.uid, strip.vmg.path = "TAKE", "deadbeef", TEXT
    marker = scene.timeline_markers.new("beat 1", frame=7)
    marker.vmg.detected, marker.vmg.kind, marker.vmg.strength = True, "BAR", 0.5
    scene.timeline_markers.new("mine", frame=9)


def _check(scene, compat):
    assert (scene.vmg.length_mode, scene.vmg.seconds, scene.vmg.active_take) == ("SECONDS", 12.5, "0a1b2c3d")
    (row,) = scene.vmg.footages
    assert (row.path, row.fps, row.frames, row.frames_without_person) == ("//a.mp4", "30000/1001", 2089, 7)
    (strip,) = compat.strips(scene.sequence_editor)
    assert (strip.vmg.role, strip.vmg.uid, strip.vmg.path) == ("TAKE", "deadbeef", TEXT)
    found = [(one.frame, one.vmg.detected, one.vmg.kind, one.vmg.strength) for one in scene.timeline_markers]
    assert sorted(found) == [(7, True, "BAR", 0.5), (9, False, "MARK", 1.0)]


def test_saved_and_loaded(bpy, addon, scene, tmp_path):
    _fill(scene, addon("compat"))
    _check(scene, addon("compat"))
    bpy.context.window_manager.vmg.title = "Suggest"
    bpy.context.window_manager.vmg.fraction = 0.5
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.context.window_manager.vmg.title = ""
    bpy.context.window_manager.vmg.fraction = 0.0
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    _check(bpy.context.scene, addon("compat"))
    now = bpy.context.window_manager.vmg
    assert (now.title, now.fraction, now.seconds_left) == ("", 0.0, -1.0)  # what runs is not saved


def test_kept_by_a_file_that_was_saved_without_the_addon(bpy, installed, addon, scene, tmp_path):
    import addon_utils  # Blender's, which is there after bpy

    _fill(scene, addon("compat"))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    addon_utils.disable(installed)
    try:
        bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
        assert not hasattr(bpy.context.scene, "vmg")
        bpy.context.scene.frame_end = 77
        bpy.ops.wm.save_mainfile()
    finally:
        module = addon_utils.enable(installed)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    assert bpy.context.scene.frame_end == 77
    _check(bpy.context.scene, importlib.import_module(f"{module.__name__}.addon.compat"))


def test_undone_and_redone_but_for_what_runs(bpy, addon, scene):
    bpy.ops.ed.undo_push(message="before")
    _fill(scene, addon("compat"))
    bpy.ops.ed.undo_push(message="after")
    bpy.context.window_manager.vmg.stage = "Search"
    bpy.ops.ed.undo()
    assert bpy.context.scene.vmg.length_mode == "MUSIC"
    assert not len(bpy.context.scene.vmg.footages)
    assert not len(bpy.context.scene.timeline_markers)
    bpy.ops.ed.redo()
    _check(bpy.context.scene, addon("compat"))
    assert bpy.context.window_manager.vmg.stage == "Search"


@pytest.mark.parametrize(
    "name", ["FootageRow", "SceneProperties", "StripProperties", "MarkerProperties", "WindowManagerProperties"]
)
def test_each_property_has_a_name_and_a_tooltip(addon, name):
    group = getattr(addon("properties"), name)
    own = [prop for prop in group.bl_rna.properties if prop.identifier not in ("rna_type", "name")]
    assert own
    assert [prop.identifier for prop in own if not prop.name or not prop.description] == []
    assert [prop.identifier for prop in own if prop.description.endswith(".")] == []
