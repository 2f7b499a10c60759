"""The timeline as records, on timelines whose records are known."""

import importlib
import os
from dataclasses import replace
from fractions import Fraction

import pytest


@pytest.fixture
def conditions(addon):
    return addon("timeline.conditions")


@pytest.fixture
def put(scene, compat, coded_movie):
    """Puts a movie strip of 60 frames on the timeline: its frame 0 at `at`, visible [first, last)."""

    def put(channel, at, first=None, last=None, *, role="FOOTAGE", path=None):
        path = path or coded_movie(24)
        strip = compat.new_movie(scene.sequence_editor, "movie", str(path), channel, at)
        compat.set_visible(strip, at if first is None else first, at + 60 if last is None else last)
        strip.vmg.role = role
        return strip

    return put


def refused(call, match):
    with pytest.raises(Exception, match=match) as caught:
        call()
    assert type(caught.value).__name__ == "UserError"


# Footage


def test_visible_ranges_of_one_file_are_merged(reading, scene, put, coded_movie):
    put(1, 1, 11, 21)  # source 10 to 19
    put(2, 100, 115, 125)  # 15 to 24
    put(1, 200, 225, 231)  # 25 to 30, right after
    put(1, 300, 340, 345)  # 40 to 44
    (use,) = reading.footage_uses(scene)
    assert use.path == str(coded_movie(24))
    assert (use.fps, use.ranges) == (None, ((10, 30), (40, 44)))


def test_all_of_a_file_is_no_range_and_muted_strips_do_not_count(reading, scene, put):
    put(1, 1)
    put(2, 100, 110, 120).mute = True
    assert [use.ranges for use in reading.footage_uses(scene)] == [None]
    scene.sequence_editor.channels[1].mute = True  # hidden, for instance under a take: still footage
    assert [use.ranges for use in reading.footage_uses(scene)] == [None]


def test_a_stumble_cut_out_leaves_two_ranges(reading, compat, scene, put):
    strip = put(1, 1)
    middle = strip.split(frame=21, split_method="SOFT")
    end = middle.split(frame=31, split_method="SOFT")
    assert end.vmg.role == "FOOTAGE"
    compat.strips(scene.sequence_editor).remove(middle)
    (use,) = reading.footage_uses(scene)
    assert use.ranges == ((0, 19), (30, 59))


def test_a_stretched_strip_gives_the_frames_that_it_shows(reading, compat, scene, coded_movie, add_movie):
    strip = add_movie(coded_movie(8), stretched=True, at=1)
    strip.vmg.role = "FOOTAGE"
    compat.set_visible(strip, 1 + 30, 1 + 60)
    (use,) = reading.footage_uses(scene)
    assert use.ranges == ((10, 20),)  # 8 fps in 24: source = 30 / 3 to round(59 / 3)


def test_strips_inside_a_meta_are_footage_too(reading, compat, scene, put):
    meta = compat.new_meta(scene.sequence_editor, "meta", 5, 1)
    put(1, 1, 11, 21).move_to_meta(meta)
    assert [use.ranges for use in reading.footage_uses(scene)] == [((10, 19),)]


def test_files_in_order_and_the_persons_word_on_the_rate(reading, scene, put, coded_movie):
    put(1, 200, path=coded_movie(24))
    put(1, 1, path=coded_movie(30, 1.001))
    reading.sync_footages(scene)
    assert [row.name for row in scene.vmg.footages] == ["coded.mp4", "coded.mp4"]
    scene.vmg.footages[0].use_scene_rate = True
    scene.render.fps, scene.render.fps_base = 30, 1.001
    uses = reading.footage_uses(scene)
    assert [(use.path, use.fps) for use in uses] == [
        (str(coded_movie(30, 1.001)), "30000/1001"),
        (str(coded_movie(24)), None),
    ]


def test_rows_follow_the_strips_and_keep_what_is_known(bpy, reading, compat, scene, put, coded_movie, tmp_path):
    first, second = put(1, 1, path=coded_movie(24)), put(1, 100, path=coded_movie(8))
    reading.sync_footages(scene)
    for number, row in enumerate(scene.vmg.footages):
        row.footage, row.frames = f"hash{number}", 60
    put(2, 1, path=coded_movie(24))
    third = put(3, 1, path=coded_movie(12))
    second.vmg.role = "NONE"
    scene.vmg.footage_index = 5
    reading.sync_footages(scene)
    rows = scene.vmg.footages
    assert [(row.path, row.footage) for row in rows] == [(first.filepath, "hash0"), (third.filepath, "")]
    assert scene.vmg.footage_index == 1
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    first.filepath = bpy.path.relpath(first.filepath)  # the same file by another name
    reading.sync_footages(scene)
    assert rows[0].footage == "hash0"
    third.filepath = str(tmp_path / "gone.mp4")
    reading.sync_footages(scene)
    assert [row.missing for row in rows] == [False, True]


def test_no_footage_and_lost_footage(reading, scene, put, tmp_path):
    refused(lambda: reading.footage_uses(scene), "no footage yet")
    strip = put(1, 1)
    strip.filepath = str(tmp_path / "gone.mp4")
    refused(lambda: reading.footage_uses(scene), "gone.mp4 is not where it was")


def test_rates_that_differ_are_refused_with_both(reading, scene, put):
    put(1, 1)
    reading.sync_footages(scene)
    row = scene.vmg.footages[0]
    reading.check_rates(scene)  # not known yet
    row.fps = "24"
    reading.check_rates(scene)
    row.fps = "24001/1000"  # a container's rounding
    reading.check_rates(scene)
    row.fps = "30000/1001"
    refused(lambda: reading.check_rates(scene), "29.97 frames per second, the scene 24")
    row.use_scene_rate = True
    reading.check_rates(scene)


def test_roles_are_for_strips_of_their_kind(reading, compat, scene, put, coded_frames):
    strip = put(1, 1, role="NONE")
    reading.use_as_footage([strip])
    assert (strip.vmg.role, strip.vmg.source_frames) == ("FOOTAGE", 60)
    picture = compat.new_images(scene.sequence_editor, "picture", [coded_frames / "0000.png"], 2, 1)
    other = put(3, 1, role="NONE")
    refused(lambda: reading.use_as_footage([other, picture]), "picture")
    assert other.vmg.role == "NONE"  # all or none
    refused(lambda: reading.use_as_music([strip]), "no sound strip")
    refused(lambda: reading.use_as_speech([strip]), "no sound strip")


# Time


def test_range_of_the_scene_and_seconds(reading, scene):
    scene.frame_start, scene.frame_end = 11, 250
    scene.vmg.length_mode = "RANGE"
    assert reading.take_range(scene) == reading.TakeRange(11, 240)
    scene.use_preview_range = True
    scene.frame_preview_start, scene.frame_preview_end = 50, 73
    assert reading.take_range(scene) == reading.TakeRange(50, 24)
    scene.vmg.length_mode, scene.vmg.seconds = "SECONDS", 10.0
    scene.render.fps, scene.render.fps_base = 30, 1.001
    assert reading.take_range(scene) == reading.TakeRange(50, 300)  # 299.7 frames
    scene.vmg.length_mode = "MUSIC"
    refused(lambda: reading.take_range(scene), "no music")


# Sound


@pytest.fixture
def music(bpy, reading, compat, scene, tmp_path):
    """Puts ten seconds of silence on the timeline as music: heard over [first, last), its start at `at`."""
    import wave

    if bpy.app.version < (4, 5):
        pytest.skip("Blender 4.2's module has no sound")
    path = tmp_path / "music.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(2 * 80_000))

    def put(channel, at, first, last, volume=1.0):
        strip = compat.strips(scene.sequence_editor).new_sound("music", str(path), channel, at)
        compat.set_visible(strip, first, last)
        strip.volume = volume
        reading.use_as_music([strip])
        return strip

    put.path = str(path)
    return put


def test_what_is_heard(reading, scene, music):
    music(1, 1, 1, 121)  # from its start, 5 s
    music(2, 61, 109, 181, 0.5)  # from second 2 on, 3 s
    music(3, 1, 1, 241).mute = True
    music(4, 1, 1, 500)
    scene.sequence_editor.channels[4].mute = True
    taken = reading.take_range(scene)
    assert taken == reading.TakeRange(1, 180)
    sound = reading.sound(scene, taken)
    assert sound.seconds == 7.5
    assert [(one.path, one.start, one.at, one.seconds, one.volume, one.speed) for one in sound.pieces] == [
        (music.path, 0.0, 0.0, 5.0, 1.0, 1.0),
        (music.path, 2.0, 4.5, 3.0, 0.5, 1.0),
    ]


def test_speech_is_read_as_music_is_and_gives_the_length_where_there_is_none(reading, scene, music):
    spoken = music(1, 25, 49, 121)
    reading.use_as_speech([spoken])
    assert (reading.music(scene), reading.speech(scene)) == ([], [spoken])
    taken = reading.take_range(scene)
    assert taken == reading.TakeRange(49, 72)
    (piece,) = reading.sound(scene, taken, "SPEECH").pieces
    assert (piece.start, piece.at, piece.seconds) == (1.0, 0.0, 3.0)
    assert reading.sound(scene, taken).pieces == ()
    music(2, 1, 1, 25)
    assert reading.take_range(scene) == reading.TakeRange(1, 24)


def test_music_outside_the_take_and_before_it(reading, scene, music):
    music(1, 1, 1, 241)
    music(2, 300, 300, 540)
    sound = reading.sound(scene, reading.TakeRange(49, 48))
    assert [(one.start, one.at, one.seconds) for one in sound.pieces] == [(0.0, -2.0, 10.0)]


def test_music_at_a_rate_that_is_no_decimal(reading, scene, music):
    scene.render.fps, scene.render.fps_base = 30, 1.001
    music(1, 1, 31, 61)
    (one,) = reading.sound(scene, reading.TakeRange(1, 300)).pieces
    second = float(Fraction(30) / Fraction(30000, 1001))
    assert (one.start, one.at, one.seconds) == (second, second, second)


def test_sound_offset_and_hidden_start(reading, scene, music):
    strip = music(1, 1, 1, 121)
    strip.sound_offset = 0.5
    assert reading.sound(scene, reading.TakeRange(1, 48)).pieces[0].start == 0.5
    strip.sound_offset = -0.5  # half a second of silence first
    (one,) = reading.sound(scene, reading.TakeRange(1, 48)).pieces
    assert (one.start, one.at, one.seconds) == (0.0, 0.5, 4.5)


def test_retimed_music_has_a_speed(bpy, reading, compat, scene, music):
    strip = music(1, 1, 1, 241)
    strip.select = True
    scene.sequence_editor.active_strip = strip
    with compat.editor_override(bpy.context, scene):
        bpy.ops.sequencer.retiming_show()
        bpy.ops.sequencer.select_all(action="SELECT")
        bpy.ops.sequencer.retiming_segment_speed_set(speed=50.0)
    compat.set_visible(strip, 49, 97)
    (one,) = reading.sound(scene, reading.TakeRange(1, 480)).pieces
    assert (one.speed, one.start) == (pytest.approx(0.5, abs=1e-3), pytest.approx(1.0, abs=2e-3))
    assert (one.at, one.seconds) == (2.0, 2.0)


# Beats and keyframes


def test_markers_as_beats(bpy, reading, scene):
    def marker(frame, kind=None, strength=1.0):
        one = scene.timeline_markers.new("x", frame=frame)
        if kind:
            one.vmg.detected, one.vmg.kind, one.vmg.strength = True, kind, strength
        return one

    marker(48, "BEAT", 0.25)
    marker(24, "BAR")
    marker(36, "ONSET")
    marker(30)  # the person's
    marker(23, "BEAT")  # before the take
    marker(72, "BEAT")  # right after it
    marker(40).camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    found = reading.beats(scene, reading.TakeRange(24, 48))
    assert [(one.time, one.kind, one.strength) for one in found] == [
        (0.0, "bar", 1.0),
        (0.25, "mark", 1.0),
        (0.5, "onset", 1.0),
        (1.0, "beat", 0.25),
    ]


@pytest.fixture
def on_keys(scene, put):
    """Puts a movie strip on the keyframes' channel."""
    scene.sequence_editor.channels[7].name = "VMG Keys"
    scene.sequence_editor.channels[7].mute = True
    return lambda at, first, last, **options: put(7, at, first, last, role="NONE", **options)


def test_keyframes(reading, scene, put, on_keys, coded_movie):
    put(1, 1)
    reading.sync_footages(scene)
    on_keys(100, 130, 142)
    on_keys(60, 70, 71)
    found = reading.keys(scene, reading.TakeRange(50, 200))
    assert [(key.at, key.frame, key.frames, key.path) for key in found] == [
        (20, 10, 1, str(coded_movie(24))),
        (80, 30, 12, str(coded_movie(24))),
    ]
    assert all(len(key.uid) == 8 for key in found)
    assert len(reading.footage_uses(scene)) == 1  # a keyframe is no footage


def test_a_keyframe_keeps_its_uid_and_a_copy_gets_its_own(bpy, reading, compat, scene, put, on_keys):
    put(1, 1)
    reading.sync_footages(scene)
    strip = on_keys(100, 130, 142)
    (before,) = reading.keys(scene, reading.TakeRange(1, 300))
    for other in compat.strips(scene.sequence_editor):
        other.select = other == strip
    with compat.editor_override(bpy.context, scene):
        bpy.ops.sequencer.duplicate()
    (copy,) = [one for one in compat.strips(scene.sequence_editor) if one.select]
    compat.move(copy, 40)
    copy.channel = 7
    found = reading.keys(scene, reading.TakeRange(1, 300))
    assert len({key.uid for key in found}) == 2
    assert before.uid in {key.uid for key in found}
    assert reading.keys(scene, reading.TakeRange(1, 300)) == found


def test_a_keyframe_moved_off_the_channel_is_none(reading, scene, put, on_keys):
    put(1, 1)
    reading.sync_footages(scene)
    strip = on_keys(100, 130, 142)
    reading.adopt_keys(scene)
    assert strip.vmg.role == "KEY"
    strip.channel = 9
    assert reading.keys(scene, reading.TakeRange(1, 300)) == ()
    assert strip.vmg.role == "NONE"


def test_a_keyframe_at_the_edge_is_clipped(reading, scene, put, on_keys):
    put(1, 1)
    reading.sync_footages(scene)
    on_keys(100, 110, 120)
    cut = [reading.keys(scene, reading.TakeRange(*taken)) for taken in [(114, 50), (50, 64), (120, 20), (90, 20)]]
    assert [[(key.at, key.frame, key.frames) for key in keys] for keys in cut] == [[(0, 14, 6)], [(60, 10, 4)], [], []]


def test_keyframes_that_cannot_be_kept(reading, compat, scene, put, on_keys, coded_movie, add_movie, coded_frames):
    put(1, 1)
    reading.sync_footages(scene)
    everything = reading.TakeRange(1, 500)
    strip = on_keys(100, 150, 170)  # longer than the file
    refused(lambda: reading.keys(scene, everything), "successive frames")
    strip.mute = True  # switched off
    assert reading.keys(scene, everything) == ()
    compat.strips(scene.sequence_editor).remove(strip)
    strip = on_keys(200, 210, 220)
    strip.use_reverse_frames = True
    refused(lambda: reading.keys(scene, everything), "successive frames")
    strip.use_reverse_frames = False
    other = compat.new_movie(scene.sequence_editor, "the other", str(coded_movie(24)), 7, 215)
    refused(lambda: reading.keys(scene, everything), "the other.*overlaps")
    compat.strips(scene.sequence_editor).remove(other)
    foreign = on_keys(300, 310, 320, path=coded_movie(12))
    refused(lambda: reading.keys(scene, everything), "not used as footage")
    compat.strips(scene.sequence_editor).remove(foreign)
    picture = compat.new_images(scene.sequence_editor, "picture", [coded_frames / "0000.png"], 7, 400)
    refused(lambda: reading.keys(scene, everything), "picture.*no movie strip")
    compat.strips(scene.sequence_editor).remove(picture)
    assert len(reading.keys(scene, everything)) == 1


def test_a_keyframe_from_a_copy_of_the_footage_names_the_original(reading, scene, put, on_keys, coded_movie, tmp_path):
    put(1, 1)
    reading.sync_footages(scene)
    scene.vmg.footages[0].footage = "a" * 64
    copy = tmp_path / "conformed.mp4"
    copy.write_bytes(coded_movie(24).read_bytes())
    on_keys(100, 110, 120, path=copy).vmg.footage = "a" * 64
    (key,) = reading.keys(scene, reading.TakeRange(1, 300))
    assert (key.path, key.frame) == (str(coded_movie(24)), 10)


def test_what_may_overlap(reading, compat, scene, put, on_keys, coded_movie):
    put(1, 1)
    reading.sync_footages(scene)
    everything = reading.TakeRange(1, 500)
    strips = [on_keys(200, 210, 220)]
    for at in (215, 218):  # not trimmed: Blender would move them to another channel
        strips.append(compat.new_movie(scene.sequence_editor, "other", str(coded_movie(24)), 7, at))
    for strip, mode in zip(strips, ("hard", "soft", "pose"), strict=True):
        strip.vmg.mode = mode
    assert [key.mode for key in reading.keys(scene, everything)] == ["hard", "soft", "pose"]
    strips[2].vmg.mode = "hard"
    refused(lambda: reading.keys(scene, everything), "overlaps")


def test_modes_and_what_belongs_to_them(reading, scene, put, on_keys, coded_movie, tmp_path):
    put(1, 1)
    reading.sync_footages(scene)
    strip = on_keys(100, 110, 120)
    picture = tmp_path / "edited.png"
    picture.touch()
    strip.vmg.tolerance, strip.vmg.image = 0.25, str(picture)

    def read(mode, start=101, frames=100):
        strip.vmg.mode = mode
        (key,) = reading.keys(scene, reading.TakeRange(start, frames))
        return key.mode, key.at, key.frame, key.frames, key.tolerance, key.image

    assert read("hard") == ("hard", 9, 10, 10, None, str(picture))
    assert read("hard", 113) == ("hard", 0, 13, 7, None, "")  # its first frame is not in the take
    assert read("soft") == ("soft", 9, 10, 10, 0.25, "")
    assert read("pose") == ("pose", 9, 10, 10, 0.25, "")
    assert read("footage") == ("footage", 9, 0, 10, None, "")
    assert read("avoid", 113) == ("avoid", 0, 10, 10, None, "")  # whole, and at no time
    strip.vmg.tolerance = 0.0
    assert read("soft")[4] is None
    strip.vmg.mode = "hard"
    stamps = []
    for text in ("", "painted", "painted again"):
        picture.write_text(text)
        stamps += [key.image_stamp for key in reading.keys(scene, reading.TakeRange(101, 100))]
    assert len({*stamps}) == 3  # saved again under the same name
    os.utime(picture, (1, 1))
    assert reading.keys(scene, reading.TakeRange(101, 100))[0].image_stamp not in stamps
    picture.unlink()
    assert read("soft")[0] == "soft"
    refused(lambda: read("hard"), "edited picture.*not where it was")


def test_a_stretch_of_a_footage_may_be_longer_than_its_file_and_what_is_avoided_may_be_reversed(
    reading, scene, put, on_keys
):
    put(1, 1)
    reading.sync_footages(scene)
    strip = on_keys(100, 110, 190)
    strip.vmg.mode = "footage"
    (key,) = reading.keys(scene, reading.TakeRange(1, 300))
    assert (key.at, key.frames) == (109, 80)
    strip.vmg.mode = "avoid"
    strip.use_reverse_frames = True
    (key,) = reading.keys(scene, reading.TakeRange(1, 300))
    assert (key.frame, key.frames) == (0, 50)  # the last ten of the file lie before 110


def test_a_pose_may_come_from_any_video(reading, scene, put, on_keys, coded_movie, tmp_path):
    put(1, 1)
    reading.sync_footages(scene)
    foreign = on_keys(100, 110, 120, path=coded_movie(12))
    foreign.vmg.mode = "pose"
    (key,) = reading.keys(scene, reading.TakeRange(1, 300))
    assert (key.path, key.frame, key.frames) == (str(coded_movie(12)), 10, 10)
    for mode in ("soft", "footage", "avoid"):
        foreign.vmg.mode = mode
        refused(lambda: reading.keys(scene, reading.TakeRange(1, 300)), "not used as footage")
    foreign.vmg.mode = "pose"
    foreign.filepath = str(tmp_path / "gone.mp4")
    refused(lambda: reading.keys(scene, reading.TakeRange(1, 300)), "not where it was")


def test_the_modes_are_the_protocols(addon, enabled):
    protocol = importlib.import_module(f"{enabled.__name__}.vmg_backend.protocol")
    assert tuple(name for name, *_ in addon("properties").MODES) == protocol.KEY_MODES


def test_a_wish_holds_all_of_it(reading, conditions, addon, scene, put, on_keys, tmp_path):
    put(1, 1)
    on_keys(100, 110, 120)
    reading.sync_footages(scene)
    settings = scene.vmg
    settings.length_mode, scene.frame_start, scene.frame_end = "RANGE", 101, 196
    settings.seed, settings.hold_seconds, settings.cut_price, settings.reuse_seconds = 3, 0.7, 0.2, 0.0
    scene.timeline_markers.new("mine", frame=125)
    settings.longest_seconds, settings.loop, settings.text = 4.1, True, " wave, then turn "
    settings.weight_tags, settings.weight_accents = 2.2, 0.3
    actions = addon("timeline.actions")
    actions.add_action(scene, 149, "wave")
    actions.label_footage(scene, reading.footage(scene), "wave")
    wish = conditions.wish(scene)
    assert (wish.frames, wish.seed, wish.hold_seconds, wish.cut_price) == (96, 3, 0.7, 0.2)
    assert (wish.reuse_seconds, len(wish.footages)) == (None, 1)
    assert (wish.longest_seconds, wish.loop, wish.text) == (4.1, True, "wave, then turn")
    assert wish.weights == {"beats": 1, "accents": 0.3, "music": 0, "tags": 2.2, "text": 1, "speech": 1}
    assert [(tag.at, tag.frames, tag.tag) for tag in wish.tags] == [(48, 48, "wave")]
    assert [(label.first, label.last, label.tag) for label in wish.labels] == [(0, 59, "wave")]
    assert (wish.music, wish.speech) == (None, None)
    assert [(beat.time, beat.kind) for beat in wish.beats] == [(1.0, "mark")]
    assert [(key.at, key.frame, key.frames) for key in wish.keys] == [(9, 10, 10)]
    settings.reuse_seconds = 2.5
    settings.longest_seconds = 0.0
    wish = conditions.wish(scene)
    assert (wish.reuse_seconds, wish.longest_seconds) == (2.5, None)


def test_sound_is_sent_only_where_it_has_a_weight(reading, conditions, compat, scene, put, music):
    put(1, 1)
    music(2, 1, 1, 121)
    reading.use_as_speech([music(3, 1, 25, 121)])
    wish = conditions.wish(scene)
    assert wish.music is None and [piece.at for piece in wish.speech.pieces] == [1.0]
    scene.vmg.weight_music, scene.vmg.weight_speech = 0.5, 0.0
    wish = conditions.wish(scene)
    assert wish.speech is None and [piece.at for piece in wish.music.pieces] == [0.0]
    scene.vmg.weight_music, scene.vmg.weight_speech = 0.0, 1.0
    take = compat.new_meta(scene.sequence_editor, "take", 9, 1)
    assert conditions.wish_now(scene, take, wish.frames, wish) == wish
    assert conditions.wish_now(scene, take, wish.frames, replace(wish, weights={})).speech is not None


def test_what_a_made_take_would_be_asked_for_now(reading, conditions, compat, addon, scene, put):
    """What lies in the timeline is read anew, where the take is now; the settings stay."""
    put(1, 1)
    settings, actions = scene.vmg, addon("timeline.actions")
    settings.length_mode, scene.frame_start, scene.frame_end = "RANGE", 101, 196
    scene.timeline_markers.new("mine", frame=125)
    action = actions.add_action(scene, 125, "wave")
    made_for = conditions.wish(scene)
    take = compat.new_meta(scene.sequence_editor, "take", 9, 101)
    assert conditions.wish_now(scene, take, 96, made_for) == made_for
    settings.text, settings.weight_tags, settings.seed, settings.loop = "turn", 3.0, 7, True
    assert conditions.wish_now(scene, take, 96, made_for) == made_for
    compat.move(take, 24)
    now = conditions.wish_now(scene, take, 72, made_for)
    assert (now.frames, [beat.time for beat in now.beats]) == (72, [0.0])
    assert [(tag.at, tag.frames) for tag in now.tags] == [(0, 48)]
    action.text = " "
    refused(lambda: conditions.wish_now(scene, take, 72, made_for), "names no action")


@pytest.mark.parametrize(("rate", "first"), [((24, 1.0), "hard"), ((30, 1.001), "footage")])
def test_what_is_left_of_a_wish_is_what_that_part_asks_for(
    reading, conditions, addon, compat, scene, put, on_keys, music, tmp_path, rate, first
):
    """`wishes.trimmed` against the timeline itself, for each condition."""
    scene.render.fps, scene.render.fps_base = rate
    put(1, 1)
    reading.sync_footages(scene)
    picture = tmp_path / "edited.png"
    picture.touch()
    for at, mode in ((100, first), (120, "footage"), (130, "soft"), (140, "hard"), (148, "avoid")):
        key = on_keys(at - 10, at, at + 8)
        key.vmg.mode, key.vmg.image = mode, str(picture)
    for frame in (101, 105, 123):
        scene.timeline_markers.new("mine", frame=frame)
    for frame, text in ((140, "turn"), (98, "wave")):
        addon("timeline.actions").add_action(scene, frame, text)
    spoken = [
        music(channel, 81, first, last) for channel, first, last in ((10, 90, 103), (11, 103, 112), (12, 149, 200))
    ]
    reading.use_as_speech(spoken)
    scene.vmg.length_mode, scene.frame_start, scene.frame_end = "RANGE", 97, 180
    whole = conditions.wish(scene)
    scene.frame_start, scene.frame_end = 104, 149
    left = addon("timeline.wishes").trimmed(whole, 7, 46, compat.scene_rate(scene))
    assert left == conditions.wish(scene)
    worded = replace(whole, text="wave, then turn", loop=True)
    trimmed = addon("timeline.wishes").trimmed
    again = trimmed(trimmed(worded, 7, 46, 24), 3, 20, 24)
    assert (again.text_at, again.text_frames, again.loop) == (-10, whole.frames, False)
    assert [len(one) for one in (whole.keys, left.keys, left.beats, left.tags, left.speech.pieces)] == [5, 5, 2, 2, 2]
