"""The skeleton over the preview: which pose belongs to what a render shows, where it lies, when it is there at all."""

import importlib
import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

FOOTAGE = "f" * 64
FILE = f"footage/{FOOTAGE}/poses-0.npz"
POSES = json.dumps({"file": FILE, "bones": [[0, 1], [1, 2]], "left": [0], "right": [2]})
WIDTH, HEIGHT = 64, 48


@pytest.fixture
def sight(addon):
    return addon("timeline.sight")


@pytest.fixture
def skeleton(enabled):
    return importlib.import_module(f"{enabled.__name__}.ui.skeleton")


@pytest.fixture
def film(scene, addon, coded_movie):
    """The coded movie as footage that is analysed; no strip shows it yet."""

    def use(fps=24):
        row = scene.vmg.footages.add()
        row.path, row.footage, row.poses, row.analyzed = str(coded_movie(fps)), FOOTAGE, POSES, True
        row.width = row.height = 64
        return row

    return use


@pytest.fixture
def add(scene, film, add_movie, compat):
    """Adds a strip of the footage: `add(channel, at, first, last)` shows its frames from `first` to `last`."""

    def make(channel=1, at=1, first=0, last=59, owner=None):
        if not len(scene.vmg.footages):
            film()
        row = scene.vmg.footages[0]
        strip = compat.new_movie(owner or scene.sequence_editor, "footage", row.path, channel, at - first)
        compat.set_visible(strip, at, at + last - first + 1)
        compat.measure(strip)
        return strip

    return make


@pytest.fixture
def agrees(scene, sight, shown):
    """The pose's number is the number that the rendered picture shows, at each of these frames."""

    def check(frames):
        rendered = {frame: shown(frame) for frame in frames}
        said = {}
        for frame in frames:
            scene.frame_set(frame)
            found = sight.seen(scene)
            said[frame] = found.frame if found else None
        assert said == rendered
        return rendered

    return check


def seen_at(scene, sight, frame, *more):
    scene.frame_set(frame)
    return sight.seen(scene, *more)


# Which pose: always the one of the frame that is rendered


@pytest.mark.parametrize("fps", [12, 24, 60])
def test_the_pose_is_that_of_the_rendered_frame(fps, scene, film, add_movie, compat, agrees):
    film(fps)
    strip = add_movie(scene.vmg.footages[0].path, stretched=fps != 24)
    compat.measure(strip)
    first, last = compat.start(strip), compat.end(strip) - 1
    assert len(set(agrees([first, first + 1, first + 7, last - 1, last]).values())) > 3
    compat.set_visible(strip, first + 3, last - 3)
    compat.move(strip, 2)
    agrees([first + 5, first + 11, last - 2])
    strip.use_reverse_frames = True
    agrees([first + 5, first + 11, last - 2])


def test_of_strips_above_each_other_the_upper_one_counts(scene, sight, add, agrees, compat):
    add(channel=1, at=1, first=0, last=29)
    above = add(channel=3, at=11, first=40, last=49)
    assert agrees([1, 10, 11, 20, 21, 30]) == {1: 0, 10: 9, 11: 40, 20: 49, 21: 20, 30: 29}
    above.mute = True
    assert agrees([15]) == {15: 14}
    above.mute, scene.sequence_editor.channels[3].mute = False, True
    assert agrees([15]) == {15: 14}
    scene.sequence_editor.channels[3].mute = False
    above.blend_alpha = 0.0
    assert agrees([15]) == {15: 14}
    assert seen_at(scene, sight, 31) is None


def test_titles_hide_nobody_but_another_movie_does(bpy, scene, sight, add, compat):
    add(channel=1)
    collection = compat.strips(scene.sequence_editor)
    length = {"length": 20} if bpy.app.version >= (5, 0) else {"frame_end": 25}
    text = collection.new_effect("title", "TEXT", 4, 5, **length)
    other = add(channel=3)
    other.vmg.source_frames = 0  # as if it were of somebody else's film: not measured, so not known
    assert seen_at(scene, sight, 10) is None
    other.mute = True
    assert seen_at(scene, sight, 10).frame == 9
    assert text.type == "TEXT"


def test_what_a_channel_setting_of_the_preview_hides_has_no_pose(scene, sight, add):
    add(channel=2, first=0, last=59)
    add(channel=5, first=30, last=59)
    assert [seen_at(scene, sight, 1, channel).frame for channel in (0, 5, 4, 2)] == [30, 30, 0, 0]
    assert seen_at(scene, sight, 1, 1) is None


@pytest.fixture
def take(scene, add, compat, coded_frames):
    """A take as Suggest makes it: two pieces, and a cross fade of 10 frames."""
    meta = compat.new_meta(scene.sequence_editor, "VMG Take 001", 5, 101)
    out, into = add(1, 101, 5, 34, owner=meta), add(2, 121, 30, 59, owner=meta)
    cross = compat.new_cross(meta, "cross", 3, 121, 131, out, into)
    compat.set_visible(meta, 101, 151)
    meta.vmg.role, cross.vmg.role = "TAKE", "CROSS"
    for piece in (out, into):
        piece.vmg.role, piece.vmg.footage = "PIECE", FOOTAGE
    return meta


def fill(meta, compat, coded_frames, at=121, frames=10):
    files = [coded_frames / f"{number:04}.png" for number in range(frames)]
    strip = compat.new_images(meta, "Transition 01", files, 4, at)
    strip.vmg.role, strip.vmg.made_for = "TRANSITION", json.dumps({"to": {"footage": FOOTAGE}})
    return strip


def test_inside_a_take(scene, take, agrees, compat):
    """Halfway through the cross fade the nearer side changes; the render's stronger picture says when."""
    expected = {101: 5, 120: 24, 121: 25, 125: 29, 127: 36, 130: 39, 131: 40, 150: 59}
    assert agrees(sorted(expected)) == expected
    compat.set_visible(take, 110, 140)
    assert set(agrees([110, 139])) == {110, 139}
    compat.move(take, 50)
    assert agrees([160, 189]) == {160: 14, 189: 48}


def test_inside_metas_in_metas_that_are_moved_and_trimmed(bpy, scene, take, agrees, compat):
    compat.select_alone(scene.sequence_editor, take)
    with compat.editor_override(bpy.context, scene):
        bpy.ops.sequencer.meta_make()
    (outer,) = compat.strips(scene.sequence_editor)
    assert agrees([101, 120, 131, 150]) == {101: 5, 120: 24, 131: 40, 150: 59}
    compat.move(outer, -40)
    compat.set_visible(outer, 70, 90)
    assert agrees([70, 79, 89]) == {70: 14, 79: 23, 89: 38}
    compat.set_visible(outer, 50, 130)  # beyond what is in it
    agrees([50, 60, 61, 110, 111, 129])


def test_an_open_take_shows_itself_alone(bpy, scene, sight, take, add, compat):
    """Blender then shows what is in the meta; the preview's setting climbs out of it again."""
    above = add(channel=9, at=101, first=0, last=59)
    assert seen_at(scene, sight, 120).frame == 19
    scene.sequence_editor.display_stack(take)
    assert seen_at(scene, sight, 120).frame == 24
    assert seen_at(scene, sight, 120, -1).frame == seen_at(scene, sight, 120, -5).frame == 19
    scene.sequence_editor.display_stack(None)
    above.mute = True
    assert seen_at(scene, sight, 120).frame == 24


def test_a_filled_transition_has_poses_of_its_own(scene, sight, take, agrees, compat, coded_frames):
    strip = fill(take, compat, coded_frames)
    assert agrees([120, 121, 125, 130, 131]) == {120: 24, 121: 0, 125: 4, 130: 9, 131: 40}
    assert seen_at(scene, sight, 120).source == sight.FootagePoses(POSES)
    assert seen_at(scene, sight, 121).source == sight.TransitionPoses(str(coded_frames))
    compat.set_visible(strip, 123, 129)
    assert agrees([123, 128]) == {123: 2, 128: 7}
    compat.move(take, 7)
    assert agrees([130, 135]) == {130: 2, 135: 7}
    assert sight.sources(scene) == {sight.FootagePoses(POSES), sight.TransitionPoses(str(coded_frames))}


def test_what_cannot_be_told_has_no_pose(bpy, scene, sight, take, add, compat, coded_frames):
    take.use_reverse_frames = True
    assert seen_at(scene, sight, 120) is None
    take.use_reverse_frames = False
    row = scene.vmg.footages[0]
    row.exact = False  # takes then show a copy; the strip of the file itself shows nobody knows which frame
    assert seen_at(scene, sight, 120) is None
    row.exact, row.poses = True, ""
    assert seen_at(scene, sight, 120) is None
    row.poses = POSES
    strip = fill(take, compat, coded_frames)
    for unknown in ("", "[]", "{}", '{"to": {"footage": "of another scene"}}'):
        strip.vmg.made_for = unknown
        assert seen_at(scene, sight, 125) is None
    scene.vmg.footages.clear()
    assert [seen_at(scene, sight, frame) for frame in (120, 125)] == [None, None]


def test_a_meta_whose_speed_was_changed_has_no_pose(bpy, scene, sight, take, compat):
    compat.select_alone(scene.sequence_editor, take)
    with compat.editor_override(bpy.context, scene):
        bpy.ops.sequencer.retiming_segment_speed_set(speed=50.0)
    assert compat.duration(take) > 90
    assert seen_at(scene, sight, 120) is None


def test_a_copy_of_footage_that_is_not_exact_has_its_poses(bpy, scene, sight, add, compat, tmp_path):
    strip = add()
    row = scene.vmg.footages[0]
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(Path(row.path).read_bytes())
    strip.vmg.footage, strip.filepath, row.exact = FOOTAGE, str(copy), False
    assert seen_at(scene, sight, 8).frame == 7


# Where: a white dot in a rendered picture lies where the joint is said to lie


@pytest.fixture
def dotted(bpy, tmp_path):
    """Makes a picture of WIDTH x HEIGHT px with a white square about a point (x, y from the top)."""

    def make(x, y):
        pixels = np.zeros((HEIGHT, WIDTH, 4), np.float32)
        pixels[..., 3] = 1
        pixels[y - 2 : y + 2, x - 2 : x + 2, :3] = 1
        image = bpy.data.images.new("dot", WIDTH, HEIGHT)
        image.pixels.foreach_set(pixels[::-1].ravel())
        image.filepath_raw, image.file_format = str(tmp_path / "0000.png"), "PNG"
        image.save()
        bpy.data.images.remove(image)
        return tmp_path / "0000.png"

    return make


@pytest.fixture
def lies(bpy, scene, sight, tmp_path):
    """Compares where the point (x, y) is said to lie with the middle of what is white in the render."""

    def check(x, y):
        render = scene.render
        if hasattr(render.image_settings, "media_type"):
            render.image_settings.media_type = "IMAGE"
        render.image_settings.file_format, render.filepath = "PNG", str(tmp_path / "render.png")
        bpy.ops.render.render(write_still=True, scene=scene.name)
        image = bpy.data.images.load(render.filepath, check_existing=False)
        white = np.array(image.pixels[:]).reshape(image.size[1], image.size[0], -1)[..., 0]
        bpy.data.images.remove(image)
        rows, columns = np.nonzero(white > 0.2)
        weights = white[rows, columns]
        middle = [np.average(columns + 0.5, weights=weights), np.average(rows + 0.5, weights=weights)]
        place = sight.seen(scene).place
        np.testing.assert_allclose(place.points(np.array([[x, y]], float))[0], middle, atol=0.6)
        return middle

    return check


@pytest.fixture
def picture(scene, compat, dotted):
    """A strip of the dotted picture in a scene of 128 x 96 px, as a transition's: its px are the footage's."""
    scene.render.resolution_x, scene.render.resolution_y = 128, 96
    row = scene.vmg.footages.add()
    row.footage, row.width, row.height = FOOTAGE, WIDTH, HEIGHT
    strip = compat.new_images(scene.sequence_editor, "dot", [dotted(20, 12)], 1, 1)
    strip.vmg.role, strip.vmg.made_for = "TRANSITION", json.dumps({"to": {"footage": FOOTAGE}})
    scene.frame_set(1)
    return strip


def test_unchanged_it_lies_in_the_middle(picture, lies):
    assert lies(20, 12) == pytest.approx([32 + 20, 24 + 48 - 12], abs=0.1)


def test_scaled_as_match_scene_does_it_fills_the_picture(picture, lies):
    picture.transform.scale_x = picture.transform.scale_y = 2.0
    assert lies(20, 12) == pytest.approx([40, 96 - 24], abs=0.6)


def test_moved_turned_scaled_about_another_point_cropped_and_mirrored(picture, lies):
    shape = picture.transform
    shape.offset_x, shape.offset_y = 9, -7
    lies(20, 12)
    shape.rotation = math.radians(30)
    lies(20, 12)
    shape.scale_x, shape.scale_y = 1.5, 0.8
    lies(20, 12)
    shape.origin = (0.2, 0.9)
    lies(20, 12)
    picture.crop.min_x, picture.crop.max_y = 5, 4
    lies(20, 12)
    picture.use_flip_x = True
    lies(20, 12)
    picture.use_flip_y = True
    lies(20, 12)


def test_in_a_picture_of_odd_size(scene, picture, lies):
    scene.render.resolution_x, scene.render.resolution_y = 131, 97
    lies(20, 12)
    scene.render.resolution_percentage = 100
    picture.transform.scale_x = picture.transform.scale_y = 1.7
    lies(20, 12)


def test_metas_and_cross_fades_have_transforms_too(scene, picture, lies, compat):
    editor = scene.sequence_editor
    picture.transform.offset_x = 11
    meta = compat.new_meta(editor, "meta", 3, 1)
    picture.move_to_meta(meta)
    compat.set_visible(meta, 1, 2)
    meta.transform.scale_x = meta.transform.scale_y = 1.3
    meta.transform.rotation = math.radians(-20)
    lies(20, 12)
    meta.use_flip_x = True
    outer = compat.new_meta(editor, "outer", 5, 1)
    meta.move_to_meta(outer)
    compat.set_visible(outer, 1, 2)
    outer.transform.offset_y = 13
    lies(20, 12)


def test_what_is_cropped_away_is_not_drawn(picture, sight, scene):
    picture.crop.min_x, picture.crop.max_y = 10, 8  # left, and the top
    place = sight.seen(scene).place
    points = np.array([[9, 20], [11, 20], [20, 7], [20, 9], [70, 50], [np.nan, np.nan]])
    assert place.uncut(points).tolist() == [False, True, False, True, True, True]


# On the screen


def region(left, bottom, right, top, width, height):
    """A preview that shows these view coordinates."""
    view = SimpleNamespace(
        region_to_view=lambda x, y: (left + (right - left) * x / width, bottom + (top - bottom) * y / height)
    )
    return SimpleNamespace(view2d=view, width=width, height=height)


def test_zoom_and_pan_of_the_preview(scene, skeleton):
    """Blender lays the scene's middle to the view's origin; one px of the scene is one unit of it."""
    scene.render.resolution_x, scene.render.resolution_y = 200, 100
    matrix = skeleton.on_screen(region(-100, -50, 100, 50, 400, 200), scene.render)
    assert (matrix @ [0, 0, 1]).tolist() == [0, 0, 1]
    assert (matrix @ [200, 100, 1]).tolist() == [400, 200, 1]
    matrix = skeleton.on_screen(region(-20, 0, 30, 25, 800, 400), scene.render)
    assert (matrix @ [100, 50, 1]).tolist() == pytest.approx([320, 0, 1])
    scene.render.pixel_aspect_x = 2.0
    matrix = skeleton.on_screen(region(-200, -50, 200, 50, 400, 100), scene.render)
    assert (matrix @ [200, 100, 1]).tolist() == pytest.approx([400, 100, 1])


@pytest.fixture
def shapes(enabled):
    return importlib.import_module(f"{enabled.__name__}.ui.shapes")


def drawn(shapes, confidence, points=((10, 10), (10, 50), (50, 50)), width=4.0):
    bones, sides = np.array([[0, 1], [1, 2]]), np.array([0, 0, 1])
    return shapes.skeleton(np.array(points, float), np.array(confidence), bones, sides, width)


def paint(mesh, x, y):
    """The colour of what covers a px, drawn in the triangles' order over nothing [4]."""
    seen = np.zeros(4)
    for corners in mesh.triangles:
        a, b, c = mesh.points[corners].astype(float)
        area = np.linalg.det([b - a, c - a])
        if abs(area) < 1e-9:
            continue
        u, v = np.linalg.solve(np.array([b - a, c - a]).T, np.array([x, y]) - a)
        if min(u, v, 1 - u - v) >= 0:
            color = np.array([1 - u - v, u, v]) @ mesh.colors[corners]
            seen = color[3] * np.array([*color[:3], 1]) + (1 - color[3]) * seen
    return seen


def test_bones_and_joints_have_the_colour_of_their_side(shapes):
    mesh = drawn(shapes, [1.0, 1.0, 1.0])
    assert paint(mesh, 10.3, 30)[:3] == pytest.approx(shapes.COLORS[0])
    assert paint(mesh, 30, 50.3)[:3] == pytest.approx(shapes.COLORS[2])  # from left to right: the middle's
    assert paint(mesh, 50.2, 50.3)[:3] == pytest.approx(shapes.COLORS[1])
    assert paint(mesh, 30, 30).tolist() == [0, 0, 0, 0]
    outline = paint(mesh, 10 + 2 + 0.7, 30.1)
    assert 0.2 < outline[3] < 1
    assert outline[:3].max() < outline[3] * max(shapes.COLORS[0])
    assert np.ptp(mesh.points[:, 1]) == pytest.approx(40 + 2 * (4 + 0.3 * 4 + 1), abs=0.3)  # dots, edge, soft rim


def test_what_was_hardly_seen_is_faint_and_what_was_not_is_not_there(shapes):
    strong, weak = (paint(drawn(shapes, [1.0, one, 1.0]), 10.3, 30)[3] for one in (1.0, 0.2))
    assert weak < 0.5 * strong
    assert paint(drawn(shapes, [1.0, 0.0, 1.0]), 10.3, 30)[3] == 0
    lost = drawn(shapes, [1.0, 1.0, 1.0], points=((10, 10), (np.nan, np.nan), (50, 50)))
    assert len(lost.triangles) == 0
    assert np.isfinite(drawn(shapes, [1.0, 1.0, 1.0], points=((10, 10), (10, 10), (50, 50))).points).all()


def test_lines_grow_with_the_picture_and_never_vanish(shapes, skeleton, sight, scene, picture):
    poses = importlib.import_module(shapes.__name__.replace("ui.shapes", "addon.poses"))
    joints = np.array([[[20, 10], [20, 40]]], np.float32)
    track = poses.Track(joints, np.ones((1, 2), np.float32), np.array([[0, 1]]), np.array([2, 2]))
    found = sight.seen(scene)

    def spread(zoom):
        mesh = skeleton.mesh(found, track, np.diag([zoom, zoom, 1.0]))
        middle = (32 + 20) * zoom
        opaque = mesh.points[mesh.colors[:, 3] > 0.99]
        assert np.median(opaque[:, 0]) == pytest.approx(middle, abs=0.1)
        return np.abs(opaque[:, 0] - middle).max()

    assert spread(40.0) == pytest.approx(2 * spread(20.0), rel=1e-3)
    assert spread(0.5) == pytest.approx(spread(0.25), rel=0.05)


# Files


@pytest.fixture
def library(addon, monkeypatch, tmp_path):
    """A library with poses of the coded movie, and a function that writes a transition's."""
    place = tmp_path / "library"
    monkeypatch.setattr(addon("paths"), "library_place", lambda: place)
    (place / FILE).parent.mkdir(parents=True)
    joints, confidence = (np.arange(60 * 3 * 2, dtype=np.float32).reshape(60, 3, 2), np.ones((60, 3), np.float32))
    np.savez_compressed(place / FILE, image=joints, confidence=confidence, world=np.zeros(1))
    return place


def write_skeleton(folder, frames=10, joints=3):
    np.savez_compressed(
        folder / "skeleton.npz",
        joints=np.full((frames, joints, 2), 7, np.float32),
        confidence=np.ones((frames, joints), np.float32),
        bones=np.array([[0, 1]], np.int32), left=np.array([0], np.int32), right=np.zeros(0, np.int32),
    )  # fmt: skip


def test_files_are_read_and_what_is_no_file_of_ours_is_none(addon, sight, library, tmp_path):
    read = addon("poses").read_track
    track = read(sight.FootagePoses(POSES), library)
    assert track.joints[59].tolist() == [[354, 355], [356, 357], [358, 359]]
    assert (track.bones.tolist(), track.sides.tolist()) == ([[0, 1], [1, 2]], [0, 2, 1])
    here = sight.TransitionPoses(str(tmp_path))
    assert read(here, library) is None
    write_skeleton(tmp_path)
    assert (read(here, library).joints.shape, read(here, library).sides.tolist()) == ((10, 3, 2), [0, 2, 2])
    data = (tmp_path / "skeleton.npz").read_bytes()
    for broken in (data[:100], data[:-40], b"", data.replace(b"joints", b"jointz")):
        (tmp_path / "skeleton.npz").write_bytes(broken)
        assert read(here, library) is None
    write_skeleton(tmp_path, joints=1)  # the bone leads to a joint that is not there
    assert read(here, library) is None
    for odd in ("", "{}", POSES.replace('"file"', '"fill"'), POSES.replace("poses-0", "poses-1")):
        assert read(sight.FootagePoses(odd), library) is None


def test_footage_without_its_poses_is_not_analysed_any_more(addon, scene, film, library):
    row = film()
    addon("footages").look_for_files()
    assert row.analyzed
    (library / FILE).unlink()
    addon("footages").look_for_files()
    assert not row.analyzed
    row.analyzed, row.poses = True, "of a later version"
    addon("footages").look_for_files()
    assert not row.analyzed


def test_poses_go_where_the_frames_go(bpy, addon, scene, take, compat, coded_frames, monkeypatch, tmp_path):
    """At the first save they are moved beside the file, and Clean Unused Files takes them away."""
    monkeypatch.setattr(addon("paths"), "cache_root", lambda: tmp_path / "cache")
    folder = addon("paths").take_folder(scene, 1) / "0123456789abcdef"
    folder.mkdir(parents=True)
    for number in range(10):
        (folder / f"{number:04}.png").write_bytes((coded_frames / f"{number:04}.png").read_bytes())
    write_skeleton(folder)
    strip = fill(take, compat, folder)
    strip.name = "generated"
    (tmp_path / "film").mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film" / "film.blend"))
    scene = bpy.context.scene
    (moved,) = (one for one in compat.all_strips(scene.sequence_editor) if one.name == "generated")
    there = addon("timeline.building").frames_folder(moved)
    assert there.startswith(str(tmp_path / "film"))
    source = addon("timeline.sight").TransitionPoses(there)
    assert addon("poses").read_track(source, tmp_path).joints.shape == (10, 3, 2)
    assert not folder.exists()
    compat.strips(moved.parent_meta()).remove(moved)
    unused = addon("unused").folders()
    assert [(str(one), size > 0) for one, size in unused] == [(there, True)]
    addon("unused").delete(unused)
    assert not (tmp_path / "film" / "vmg").exists() or not list((tmp_path / "film" / "vmg").rglob("*.npz"))


# The switch


@pytest.fixture
def handlers(bpy, monkeypatch):
    """The handlers that are registered, by what Blender knows them by."""
    live, kind = {}, bpy.types.SpaceSequenceEditor
    add, remove = kind.draw_handler_add, kind.draw_handler_remove

    def noting(function, arguments, region, when):
        assert (region, when) == ("PREVIEW", "POST_PIXEL")
        handle = add(function, arguments, region, when)
        live[handle] = function
        return handle

    def forgetting(handle, region):
        remove(handle, region)
        del live[handle]

    monkeypatch.setattr(kind, "draw_handler_add", noting)
    monkeypatch.setattr(kind, "draw_handler_remove", forgetting)
    return live


def test_nothing_is_registered_or_read_while_it_is_off(bpy, scene, skeleton, handlers, monkeypatch):
    manager = bpy.context.window_manager
    assert not manager.vmg_skeleton
    manager.vmg_skeleton = False
    assert handlers == {}
    manager.vmg_skeleton = manager.vmg_skeleton = True
    assert len(handlers) == 1
    assert manager.vmg_skeleton
    manager.vmg_skeleton = False
    assert handlers == {}
    assert not manager.vmg_skeleton
    assert skeleton._overlays == []


def test_it_stays_on_over_undo_and_another_file_and_goes_with_the_addon(
    bpy, installed, scene, skeleton, handlers, take, library, tmp_path
):
    import addon_utils

    bpy.context.window_manager.vmg_skeleton = True
    (overlay,) = skeleton._overlays
    scene.frame_set(120)
    assert overlay.found(scene, 0) is None  # not read yet
    overlay._load()
    sight, track = overlay.found(scene, 0)
    assert track.joints[sight.frame].tolist() == [[144, 145], [146, 147], [148, 149]]
    bpy.ops.ed.undo_push(message="one")
    scene.frame_set(121)
    bpy.ops.ed.undo_push(message="two")
    bpy.ops.ed.undo()
    scene = bpy.context.scene
    assert overlay.found(scene, 0)[0].frame == 24
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    assert overlay.found(bpy.context.scene, 0) is None
    overlay._load()
    assert overlay._tracks == {}  # nothing is kept of what no scene shows
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "film.blend"))
    overlay._load()
    assert overlay.found(bpy.context.scene, 0)[0].frame == 24
    assert bpy.context.window_manager.vmg_skeleton
    assert len(handlers) == 1
    addon_utils.disable(installed)
    try:
        assert handlers == {}
        assert not hasattr(bpy.context.window_manager, "vmg_skeleton")
    finally:
        addon_utils.enable(installed)
    assert not bpy.context.window_manager.vmg_skeleton


def test_drawing_survives_whatever_is_gone(bpy, scene, skeleton, handlers, take, library, compat, monkeypatch):
    """Strips, footage, files, scenes: what is not there is not drawn, and nothing is raised."""
    bpy.context.window_manager.vmg_skeleton = True
    (draw,) = handlers.values()
    painted = []
    monkeypatch.setattr(skeleton, "_draw", painted.append)
    space = SimpleNamespace(show_overlays=True, display_mode="IMAGE", display_channel=0)

    def look():
        painted.clear()
        context = SimpleNamespace(
            space_data=space, region=region(-32, -32, 32, 32, 128, 128), scene=bpy.context.scene,
            sequencer_scene=bpy.context.scene,
        )  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(skeleton, "bpy", SimpleNamespace(context=context, app=bpy.app))
            draw()
        return len(painted)

    scene.frame_set(120)
    assert look() == 0
    skeleton._overlays[0]._load()
    assert look() == 1
    space.show_overlays = False
    assert look() == 0
    space.show_overlays, space.display_mode = True, "WAVEFORM"
    assert look() == 0
    space.display_mode = "IMAGE"
    compat.strips(scene.sequence_editor).remove(take)
    assert look() == 0
    scene.sequence_editor_clear()
    assert look() == 0
    other = bpy.data.scenes.new("other")
    bpy.context.window.scene = other
    bpy.data.scenes.remove(scene)
    assert look() == 0
    skeleton._overlays[0]._load()
    bpy.context.window_manager.vmg_skeleton = False
