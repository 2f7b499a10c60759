"""The whole work of the person by operators: with a backend that can be foreseen, and with the real one.

VMG_BACKEND_PYTHON names an interpreter with vmg_backend installed; without it the real one is left out.
"""

import re
import time
from pathlib import Path

import pytest

SAMPLE = Path(__file__).resolve().parents[2] / "vmg_backend" / "sample"
PERFORMER, MUSIC = SAMPLE / "performer.mp4", SAMPLE / "music.ogg"


def undo_names(bpy, capfd):
    """The names of all undo steps, oldest first."""
    capfd.readouterr()
    bpy.context.window_manager.print_undo_steps()
    return re.findall(r"name='(.*)'", capfd.readouterr().out)


def test_added_footage_is_neither_stretched_nor_does_it_change_the_scene(scripted):
    scene = scripted.scene
    scene.render.fps = 30
    assert scripted.ops.footage_add(filepath=str(PERFORMER)) == {"FINISHED"}
    (strip,) = scripted.compat.strips(scene.sequence_editor)
    assert scripted.compat.duration(strip) == 672
    assert scripted.compat.source_frame(strip, scripted.compat.start(strip) + 100) == 100
    assert (scene.render.fps, scene.render.resolution_x) == (30, 1920)
    (row,) = scene.vmg.footages
    assert (row.analyzed, row.frames, row.width, row.fps) == (True, 672, 512, "24/1")

    scripted.ops.scene_match()
    assert scripted.compat.scene_rate(scene) == 24
    assert (scene.render.resolution_x, scene.render.resolution_y) == (512, 768)
    assert scene.view_settings.view_transform == "Standard"


def test_what_is_no_film_leaves_nothing_behind(scripted, tmp_path):
    (tmp_path / "no.mp4").write_text("no film")
    for file in (tmp_path / "no.mp4", tmp_path / "nowhere.mp4"):
        with pytest.raises(RuntimeError, match=r"^Error: .*Choose"):
            scripted.ops.footage_add(filepath=str(file))
    assert not len(scripted.compat.strips(scripted.scene.sequence_editor_create()))
    assert not scripted.scene.vmg.footages


def test_selected_strips_become_footage_and_stop_being_it(scripted):
    scene = scripted.scene
    strip = scripted.compat.new_movie(scene.sequence_editor_create(), "a", str(PERFORMER), 1, 1)
    strip.select = True
    scripted.ops.footage_use()
    assert (strip.vmg.role, len(scene.vmg.footages), scene.vmg.footages[0].analyzed) == ("FOOTAGE", 1, True)
    scripted.ops.footage_remove()
    assert (strip.vmg.role, len(scene.vmg.footages)) == ("NONE", 0)


def test_the_chosen_one_of_two_moved_files_is_located(scripted, tmp_path):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(PERFORMER.read_bytes() + name.encode())
        scripted.ops.footage_add(filepath=str(tmp_path / name))
        (tmp_path / name).rename(tmp_path / f"new {name}")
    scripted.footages.look_for_files()
    rows = scripted.scene.vmg.footages
    assert [row.missing for row in rows] == [True, True]
    scripted.scene.vmg.footage_index = 1
    scripted.ops.footage_locate(filepath=str(tmp_path / "new b.mp4"))
    assert [(row.name, row.missing) for row in rows] == [("a.mp4", True), ("new b.mp4", False)]


def test_a_moved_file_is_located(scripted, tmp_path):
    (tmp_path / "old.mp4").write_bytes(PERFORMER.read_bytes())
    scripted.ops.footage_add(filepath=str(tmp_path / "old.mp4"))
    (tmp_path / "old.mp4").rename(tmp_path / "new.mp4")
    with pytest.raises(RuntimeError, match=r"^Error: .*not where it was"):
        scripted.ops.analyze()
    scripted.footages.look_for_files()
    assert scripted.scene.vmg.footages[0].missing
    scripted.ops.footage_locate(filepath=str(tmp_path / "new.mp4"))
    (row,) = scripted.scene.vmg.footages
    assert (row.name, row.missing, row.analyzed) == ("new.mp4", False, True)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("suggest", "Choose footage first"),
        ("generate", "There is no take yet"),
        ("rerender_stale", "There is no take yet"),
        ("take_reveal", "There is no take yet"),
        ("beats_detect", "Choose music first"),
        ("beats_half", "Detect beats first"),
        ("key_add", "Choose footage first"),
        ("action_add", "Choose footage first"),
        ("footage_label", "Select footage strips"),
        ("labels_rename", "Choose a label in the list"),
        ("actions_find", "Choose footage first"),
        ("suggest_part", "There is no take yet"),
        ("ways_out", "There is no take yet"),
        ("way_take", "Press Show Other Cuts first"),
        ("speech_use", "Select sound strips"),
        ("keys_from_beats", "Choose footage first"),
        ("footage_use", "Select movie strips"),
        ("footage_locate", "No footage is missing"),
        ("insert_waiting", "No result waits"),
        ("scene_match", "No footage was looked at yet"),
    ],
)
def test_a_grey_button_says_why(scripted, name, reason):
    # Blender tells what was set by poll_message_set only on its buttons; refusal is where it comes from
    operator = getattr(scripted.bpy.types, f"VMG_OT_{name}")
    assert operator.refusal(scripted.bpy.context, scripted.scene).startswith(reason)
    assert not getattr(scripted.ops, name).poll()


def test_beats_are_detected_changed_and_cleared(scripted):
    scripted.prepare()
    scene = scripted.scene
    own = scene.timeline_markers.new("mine", frame=33)
    try:
        scripted.ops.music_add(filepath=str(MUSIC))
    except RuntimeError:
        pytest.skip("This module of Blender has no sound.")
    scripted.ops.beats_detect()

    def frames():
        return [marker.frame for marker in scripted.markers.detected(scene)]

    assert frames() == [1 + 12 * index for index in range(20)]
    scripted.ops.beats_offset(frames=2)
    assert frames()[:2] == [3, 15]
    scripted.ops.beats_half()
    assert frames()[:2] == [3, 27]
    scripted.ops.beats_double()
    assert frames()[:2] == [3, 15]
    scripted.ops.beats_clear()
    assert not frames()
    assert own.frame == 33


def test_keyframes_are_made_visited_and_removed(scripted):
    scripted.prepare()
    scene = scripted.scene
    for frame in (60, 130):
        scene.frame_set(frame)
        scripted.ops.key_add()
    with pytest.raises(RuntimeError, match=r"^Error: .*already"):
        scripted.ops.key_add()
    compat = scripted.compat
    keys = [(compat.start(s), compat.end(s), compat.source_frame(s, compat.start(s))) for s in scripted.key_strips()]
    assert keys == [(60, 72, 59), (130, 142, 129)]
    uids = [strip.vmg.uid for strip in scripted.key_strips()]
    scripted.ops.key_jump(uid=uids[0])
    assert scene.frame_current == 60
    scripted.ops.key_jump(step="NEXT")
    assert scene.frame_current == 130
    with pytest.raises(RuntimeError, match=r"^Error: .*other way"):
        scripted.ops.key_jump(step="NEXT")
    for strip in scripted.compat.strips(scene.sequence_editor):
        strip.select = strip.vmg.uid == uids[1]
    scripted.ops.key_toggle()
    assert [strip.vmg.uid for strip in scripted.key_strips()] == uids[:1]


def test_actions_are_wanted_labelled_and_found(scripted):
    scripted.prepare()
    scene, compat = scripted.scene, scripted.compat
    scene.frame_set(49)
    scripted.ops.action_add(tag=" wave ")
    with pytest.raises(RuntimeError, match=r"^Error: .*no name"):
        scripted.ops.action_add(tag=" ")

    def texts(role):
        strips = [strip for strip in compat.strips(scene.sequence_editor) if strip.vmg.role == role]
        return sorted((compat.start(strip), compat.end(strip), strip.text) for strip in strips)

    assert texts("ACTION") == [(49, 97, "wave")]
    assert [strip.text for strip in compat.selected(scripted.bpy.context)] == ["wave"]
    assert compat.strips(scene.sequence_editor)[scene.vmg.action_index].text == "wave"
    for strip in scripted.reading.footage(scene):
        strip.select = True
    scripted.ops.footage_label(tag="dance")
    assert texts("LABEL") == [(1, 673, "dance")]
    (label,) = (strip for strip in compat.strips(scene.sequence_editor) if strip.vmg.role == "LABEL")
    compat.set_visible(label, 51, 151)
    scripted.ops.actions_find()
    assert texts("LABEL") == [(1, 51, "motion 1"), (51, 151, "dance"), (151, 201, "motion 2")]
    strips = list(compat.strips(scene.sequence_editor))
    assert strips[scene.vmg.label_index].vmg.role == "LABEL"
    scene.vmg.label_index = next(index for index, one in enumerate(strips) if getattr(one, "text", "") == "motion 1")
    scripted.ops.labels_rename(tag="jump")
    assert [text for _, _, text in texts("LABEL")] == ["jump", "dance", "motion 2"]
    (name,) = [strip.name for strip in strips if strip.vmg.role == "ACTION"]
    scene.frame_set(1)
    scripted.ops.strip_show(name=name)
    assert (scene.frame_current, [strip.name for strip in compat.selected(scripted.bpy.context)]) == (49, [name])
    assert strips[scene.vmg.action_index].name == name
    scripted.ops.strip_remove(name=name)
    assert texts("ACTION") == []
    with pytest.raises(RuntimeError, match=r"^Error: .*not there any more"):
        scripted.ops.strip_remove(name=strips[0].name)  # a footage strip is none of the list's


def test_takes_that_differ_are_stacked_and_the_best_is_shown(scripted, capfd):
    scripted.prepare()
    scripted.scene.vmg.takes_wanted = 3
    before = undo_names(scripted.bpy, capfd)
    scripted.ops.suggest()
    assert undo_names(scripted.bpy, capfd)[len(before) :] == ["Suggest Take"]
    made = scripted.takes.takes(scripted.scene)
    assert [take.mute for take in made] == [False, True, True]
    assert len({scripted.takes.read_take(take)["segments"][0]["first"] for take in made}) == 3


def test_a_part_is_made_anew_and_the_rest_stays(scripted, capfd):
    scripted.prepare()
    scripted.ops.suggest()

    def shown():
        return [one["first"] for one in scripted.takes.read_take(scripted.take)["segments"]]

    first, scene = shown(), scripted.scene
    with pytest.raises(RuntimeError, match="Nothing is stale"):
        scripted.ops.rerender_stale()
    assert scripted.bpy.context.window_manager.vmg.failure_message.startswith("Nothing is stale")
    scene.frame_set(60)
    before = undo_names(scripted.bpy, capfd)
    scripted.ops.suggest_part()
    assert undo_names(scripted.bpy, capfd)[len(before) :] == ["Suggest Part Again"]
    assert [now != was for now, was in zip(shown(), first, strict=True)] == [False, True, False, False, False]
    second = shown()
    scripted.ops.suggest_part()
    assert [one.first for one in scripted.takes.seen(scripted.take)] == [first[1], second[1]]  # not wanted again
    scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end = True, 241, 300
    assert not scripted.ops.suggest_part.poll()
    scene.frame_preview_start = 240
    assert scripted.ops.suggest_part.poll()
    scene.use_preview_range = False
    scene.frame_set(241)
    assert not scripted.ops.suggest_part.poll()


def test_suggest_generate_change_a_key_render_only_that(scripted, capfd):
    scripted.prepare()
    scene = scripted.scene
    scene.frame_set(1 + 2 * 48 + 20)
    scripted.ops.key_add()
    before = undo_names(scripted.bpy, capfd)
    scripted.ops.suggest()
    assert undo_names(scripted.bpy, capfd)[len(before) :] == ["Suggest Take"]
    assert (scripted.take.name, scripted.compat.start(scripted.take), scripted.compat.duration(scripted.take)) == (
        "VMG Take 001",
        1,
        240,
    )
    assert scripted.counts() == (4, 0, 0)

    scripted.ops.generate()
    assert undo_names(scripted.bpy, capfd)[len(before) + 1 :] == ["Generate VMG Take 001"]
    assert scripted.counts() == (4, 4, 0)
    hashes = {strip.vmg.transition: strip.vmg.hash for strip in scripted.inside("TRANSITION")}
    assert all(
        Path(scripted.bpy.path.abspath(s.directory), "0011.png").is_file() for s in scripted.inside("TRANSITION")
    )

    (key,) = scripted.reading.key_strips(scene)
    scripted.slip(key, 7)
    before = undo_names(scripted.bpy, capfd)
    scripted.ops.rerender_stale()
    assert undo_names(scripted.bpy, capfd)[len(before) :] == ["Re-render Stale"]
    after = {strip.vmg.transition: strip.vmg.hash for strip in scripted.inside("TRANSITION")}
    assert sorted(number for number in after if after[number] != hashes[number]) == [1, 2]
    assert scripted.counts() == (4, 4, 0)
    path = scripted.takes.read_take(scripted.take)
    shown = next(one for one in path["segments"] if one["at"] <= 116 < one["at"] + one["last"] - one["first"] + 1)
    assert shown["first"] + 116 - shown["at"] == 116 + 7

    with pytest.raises(RuntimeError, match=r"^Error: .*nothing to render"):
        scripted.ops.rerender_stale()


def test_a_cut_that_is_rolled_by_hand_is_rendered_alone(scripted):
    scripted.prepare()
    scripted.ops.suggest()
    scripted.ops.generate()
    compat = scripted.compat
    hashes = {strip.vmg.transition: strip.vmg.hash for strip in scripted.inside("TRANSITION")}
    out, into = sorted(scripted.inside("PIECE"), key=compat.start)[1:3]
    compat.set_visible(out, compat.start(out), compat.end(out) + 4)
    compat.set_visible(into, compat.start(into) + 4, compat.end(into))
    scripted.ops.rerender_stale()
    after = {strip.vmg.transition: strip.vmg.hash for strip in scripted.inside("TRANSITION")}
    assert [number for number in sorted(after) if after[number] != hashes[number]] == [1]
    assert scripted.counts()[:2] == (4, 4)
    begins = [one["at"] for one in scripted.takes.read_take(scripted.take)["transitions"]]
    assert begins == [42, 94, 138, 186]


def test_undo_and_redo_of_a_take(scripted):
    scripted.prepare()
    bpy = scripted.bpy
    bpy.ops.ed.undo_push(message="before")
    scripted.ops.suggest()
    scripted.ops.generate()
    bpy.ops.ed.undo()
    assert scripted.counts() == (4, 0, 0)
    bpy.ops.ed.undo()
    assert scripted.take is None
    bpy.ops.ed.redo()
    bpy.ops.ed.redo()
    assert scripted.counts() == (4, 4, 0)


def test_what_was_made_is_in_the_file(scripted):
    scripted.prepare()
    scripted.ops.suggest()
    scripted.ops.generate()
    file = scripted.bpy.data.filepath
    scripted.bpy.ops.wm.save_mainfile()
    scripted.bpy.ops.wm.open_mainfile(filepath=file)
    assert scripted.counts() == (4, 4, 0)
    folders = {strip.directory for strip in scripted.inside("TRANSITION")}
    assert all(folder.startswith("//vmg/cut") for folder in folders)
    assert scripted.scene.vmg.footages[0].analyzed
    with pytest.raises(RuntimeError, match=r"^Error: .*All transitions"):
        scripted.ops.generate()


def test_frames_made_before_the_first_save_are_in_the_file_then(scripted, tmp_path):
    bpy = scripted.bpy
    bpy.ops.wm.read_homefile(use_factory_startup=False)
    scripted.prepare()
    scripted.ops.suggest()
    scripted.ops.generate()
    assert not any(strip.directory.startswith("//") for strip in scripted.inside("TRANSITION"))
    (tmp_path / "first").mkdir()
    file = str(tmp_path / "first" / "first.blend")
    bpy.ops.wm.save_as_mainfile(filepath=file)
    bpy.ops.wm.open_mainfile(filepath=file)
    folders = [Path(bpy.path.abspath(strip.directory)) for strip in scripted.inside("TRANSITION")]
    assert len(folders) == 4
    assert all((folder / "0011.png").is_file() and tmp_path / "first" in folder.parents for folder in folders)


def test_every_suggestion_is_a_take_of_its_own(scripted):
    scripted.prepare()
    scripted.ops.suggest()
    first = scripted.take.vmg.uid
    scripted.ops.suggest()
    second = scripted.take.vmg.uid
    muted = {take.vmg.uid: take.mute for take in scripted.takes.takes(scripted.scene)}
    assert muted == {first: True, second: False}
    scripted.ops.take_activate(uid=first)
    assert scripted.take.vmg.uid == first
    assert not scripted.take.mute
    scripted.ops.take_remove()
    assert [take.vmg.uid for take in scripted.takes.takes(scripted.scene)] == [second]


@pytest.mark.serial
def test_cancelling_keeps_what_is_there(scripted, capfd):
    scripted.prepare()
    scripted.ops.suggest()
    scripted.slow(0.3)
    before = undo_names(scripted.bpy, capfd)
    job = scripted.jobs.generate(scripted.scene)
    scripted.pump_until(lambda: scripted.counts()[1] == 1)
    started = time.monotonic()
    scripted.ops.job_cancel()
    scripted.pump_until(lambda: not scripted.session.session().active)
    assert time.monotonic() - started < 1.5
    assert job.outcome is scripted.session.Outcome.CANCELLED
    assert scripted.counts()[:2] == (4, 1)
    assert undo_names(scripted.bpy, capfd)[len(before) :] == ["Generate VMG Take 001"]


def test_a_result_whose_scene_is_gone_waits(scripted):
    bpy = scripted.bpy
    scripted.prepare()
    job = scripted.jobs.suggest(scripted.scene)
    old = scripted.scene
    bpy.context.window.scene = bpy.data.scenes.new("Other")
    bpy.data.scenes.remove(old)
    scripted.session.session().wait(job)
    assert len(scripted.jobs.workflow().waiting) == 1
    assert not scripted.takes.takes(scripted.scene)
    assert scripted.ops.insert_waiting() == {"FINISHED"}
    assert len(scripted.takes.takes(scripted.scene)) == 1
    assert scripted.jobs.workflow().waiting == []


def test_a_duplicate_of_the_scene_gets_nothing(scripted):
    bpy = scripted.bpy
    scripted.prepare()
    job = scripted.jobs.suggest(scripted.scene)
    first = scripted.scene
    bpy.ops.scene.new(type="FULL_COPY")
    assert scripted.scene != first
    scripted.session.session().wait(job)
    assert not scripted.takes.takes(scripted.scene)
    assert len(scripted.takes.takes(first)) == 1


def test_a_result_after_another_file_was_opened_waits(scripted, tmp_path):
    bpy = scripted.bpy
    scripted.prepare()
    job = scripted.jobs.suggest(scripted.scene)
    bpy.ops.wm.read_homefile(use_factory_startup=False)
    scripted.session.session().wait(job)
    assert len(scripted.jobs.workflow().waiting) == 1
    assert not scripted.takes.takes(scripted.scene)
    scripted.ops.waiting_dismiss()
    assert not scripted.ops.insert_waiting.poll()


def test_a_take_that_is_gone_while_it_fills_keeps_its_frames(scripted):
    scripted.prepare()
    scripted.ops.suggest()
    scripted.slow(0.05)
    job = scripted.jobs.generate(scripted.scene)
    scripted.pump_until(lambda: scripted.counts()[1] == 1)
    scripted.takes.remove(scripted.scene, scripted.take.vmg.uid)
    scripted.session.session().wait(job)
    assert [waiting.title for waiting in scripted.jobs.workflow().waiting] == ["3 transitions"]
    with pytest.raises(RuntimeError, match=r"^Error: The take that the result belongs to"):
        scripted.ops.insert_waiting()
    assert len(scripted.jobs.workflow().waiting) == 1


def test_an_analysis_waits_for_the_running_job(scripted):
    scripted.prepare()
    scripted.slow(0.2)
    job = scripted.jobs.suggest(scripted.scene)
    scripted.scene.vmg.footages[0].analyzed = False
    scripted.jobs.analyze(scripted.scene)
    assert job.outcome is None
    assert scripted.jobs.analyzing(scripted.scene)
    scripted.jobs.workflow().finish()
    assert scripted.scene.vmg.footages[0].analyzed
    assert len(scripted.takes.takes(scripted.scene)) == 1


def test_a_second_job_is_refused_with_the_reason(scripted):
    scripted.prepare()
    scripted.jobs.suggest(scripted.scene)
    with pytest.raises(scripted.errors.UserError, match="“Suggest” is running"):
        scripted.jobs.detect_beats(scripted.scene)
    assert not scripted.ops.suggest.poll()
    scripted.jobs.workflow().finish()


def test_unused_frames_are_found_and_deleted(scripted):
    scripted.prepare()
    scripted.ops.suggest()
    scripted.ops.generate()
    assert scripted.unused.folders() == []
    kept = scripted.take.vmg.uid
    scripted.ops.suggest()
    scripted.ops.generate()
    scripted.ops.take_remove()
    found = scripted.unused.folders()
    assert len(found) == 4
    assert all(size > 0 for _, size in found)
    scripted.ops.takes_clean()
    assert not any(folder.exists() for folder, _ in found)
    scripted.ops.take_activate(uid=kept)
    assert all(Path(scripted.bpy.path.abspath(s.directory)).is_dir() for s in scripted.inside("TRANSITION"))


def test_a_cut_is_played_around(scripted):
    scripted.prepare()
    scripted.ops.suggest()
    scripted.scene.frame_set(100)
    scripted.ops.cut_play()
    scene = scripted.scene
    assert (scene.use_preview_range, scene.frame_preview_start, scene.frame_preview_end) == (True, 49, 145)


def test_pins_are_kept(scripted):
    scripted.prepare()
    scripted.ops.suggest()
    scripted.ops.generate()
    strip = scripted.inside("TRANSITION")[0]
    strip.vmg.pinned = True
    number = strip.vmg.transition
    scripted.scene.vmg.engine = "fade"
    old = strip.vmg.hash
    scripted.jobs.generate(scripted.scene, [0, 1, 2, 3])
    scripted.jobs.workflow().finish()
    hashes = {strip.vmg.transition: strip.vmg.hash for strip in scripted.inside("TRANSITION")}
    assert hashes[number] == old
    assert len(set(hashes.values())) == 4
    with pytest.raises(scripted.errors.UserError, match="pinned"):
        scripted.jobs.generate(scripted.scene, [number])


# -- the real backend --------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_the_whole_flow_on_the_sample(real, capfd):
    bpy, scene = real.bpy, real.scene
    try:
        real.ops.sample_load()
        has_sound = True
    except RuntimeError:  # Blender 4.2's module has no sound; the footage is there
        real.jobs.use_footage(scene, match_scene=True)
        real.jobs.workflow().finish()
        has_sound = False
    assert scene.vmg.footages[0].analyzed
    assert (real.compat.scene_rate(scene), scene.render.resolution_x) == (24, 512)
    scene.vmg.length_mode, scene.vmg.seconds, scene.vmg.engine = "SECONDS", 10.0, "fade"
    if has_sound:
        real.ops.beats_detect()
        found = [marker.frame for marker in real.markers.detected(scene)]
        truth = [1 + round(24 * (0.5 + 0.5 * index)) for index in range(19)]
        assert sum(any(abs(frame - beat) <= 1 for frame in found) for beat in truth) >= 17
    else:
        for index in range(19):
            scene.timeline_markers.new("beat", frame=1 + 12 + 12 * index)
    scene.frame_set(121)
    real.ops.key_add()
    real.ops.suggest()
    total, filled, _ = real.counts()
    assert total >= 4
    assert filled == 0
    (key,) = real.reading.key_strips(scene)
    source = real.compat.source_frame(key, 121)
    segments = real.takes.read_take(real.take)["segments"]
    shown = next(one for one in segments if one["at"] <= 120 < one["at"] + one["last"] - one["first"] + 1)
    assert shown["first"] + 120 - shown["at"] == source

    real.ops.generate()
    assert real.counts() == (total, total, 0)
    hashes = {strip.vmg.hash for strip in real.inside("TRANSITION")}
    real.slip(key, 5)
    real.ops.rerender_stale()
    total, filled, stale = real.counts()
    assert (filled, stale) == (total, 0)
    assert len({strip.vmg.hash for strip in real.inside("TRANSITION")} - hashes) == 2

    bpy.ops.ed.undo()
    bpy.ops.ed.redo()
    assert real.counts() == (total, total, 0)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    assert real.counts() == (total, total, 0)


def test_matching_the_scene_shows_the_whole_picture(scripted):
    """Add Movie has scaled the strip into the picture of a new scene; that must not stay."""
    scene = scripted.scene
    strip = scripted.compat.new_movie(scene.sequence_editor_create(), "a", str(PERFORMER), 1, 1)
    strip.transform.scale_x = strip.transform.scale_y = 1080 / 768
    strip.select = True
    scripted.ops.footage_use()
    scripted.ops.scene_match()
    assert (strip.transform.scale_x, strip.transform.scale_y) == (1.0, 1.0)
    strip.transform.scale_x = 1.2  # the person's own wish
    scripted.ops.scene_match()
    assert strip.transform.scale_x == pytest.approx(1.2)


def test_the_scene_is_as_long_as_the_take(scripted):
    scripted.prepare(20.0)
    scripted.scene.frame_end = 100
    scripted.ops.suggest()
    assert scripted.scene.frame_end == scripted.compat.end(scripted.take) - 1
