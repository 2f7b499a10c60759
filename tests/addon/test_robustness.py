"""Bad luck, and people who do what nobody expected: nothing is lost, and nothing lands where it should not."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

PERFORMER = Path(__file__).resolve().parents[2] / "vmg_backend" / "sample" / "performer.mp4"


def begin(scripted, kind):
    """Start a job of this kind, on a scene where it has something to do."""
    scene = scripted.scene
    if kind == "analyze":
        scripted.jobs.analyze(scene)
        return scripted.session.session().job
    if kind == "rerender":
        (key,) = scripted.key_strips()
        scripted.slip(key, random.Random(len(scene.vmg.active_take)).choice((3, 5)))
    return {
        "beats": scripted.jobs.detect_beats,
        "suggest": scripted.jobs.suggest,
        "generate": scripted.jobs.generate,
        "rerender": scripted.jobs.rerender_stale,
    }[kind](scene)


def with_take(scripted, *, filled=False):
    scripted.prepare()
    scripted.scene.frame_set(1 + 2 * 48 + 20)
    scripted.ops.key_add()
    scripted.ops.suggest()
    if filled:
        scripted.ops.generate()


def pid(scripted):
    link = scripted.session.session()._link
    return link.process.pid if link else None


def pump_until_half_built(scripted):
    editor = scripted.scene.sequence_editor
    while not any(strip.type == "META" for strip in scripted.compat.strips(editor)):
        scripted.session.session().pump(0.0)
    assert not scripted.takes.takes(scripted.scene)


def settle(scripted):
    scripted.pump_until(lambda: not scripted.jobs.workflow().busy and not scripted.session.session().active)


def consistent(scripted):
    """Nothing half made lies anywhere, and all takes can be read."""
    for scene in scripted.bpy.data.scenes:
        if scene.sequence_editor:
            metas = [strip for strip in scripted.compat.all_strips(scene.sequence_editor) if strip.type == "META"]
            assert all(strip.vmg.complete for strip in metas)
            for strip in metas:
                scripted.takes.read_take(strip)


# -- the backend dies --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["analyze", "suggest", "generate", "rerender"])
def test_a_backend_that_is_killed_is_started_again(scripted, kind):
    with_take(scripted, filled=kind == "rerender")
    scripted.slow(0.2)
    job = begin(scripted, kind)
    scripted.pump_until(lambda: scripted.session.session().hello)
    scripted.session.session().pump()
    first = pid(scripted)
    os.kill(first, signal.SIGKILL)
    scripted.jobs.workflow().finish()
    assert pid(scripted) != first
    assert job.outcome is scripted.session.Outcome.DONE
    consistent(scripted)
    if kind in ("generate", "rerender"):
        assert scripted.counts() == (4, 4, 0)
    assert len(scripted.takes.takes(scripted.scene)) == (2 if kind == "suggest" else 1)


def test_twenty_cancels_at_random_moments(scripted):
    with_take(scripted, filled=True)
    chance = random.Random(7)
    scripted.slow(0.02)
    for _ in range(20):
        kind = chance.choice(("analyze", "suggest", "generate", "rerender"))
        if kind == "generate":
            scripted.scene.vmg.engine = chance.choice(("flow", "fade"))
            job = scripted.jobs.generate(scripted.scene, [0, 1, 2, 3])
        else:
            job = begin(scripted, kind)
        end = time.monotonic() + chance.uniform(0, 0.3)
        while time.monotonic() < end:
            scripted.session.session().pump()
            scripted.jobs.workflow().proceed()
        if scripted.ops.job_cancel.poll():
            scripted.ops.job_cancel()
        settle(scripted)
        assert job.outcome is not scripted.session.Outcome.FAILED
        consistent(scripted)
    assert not scripted.jobs.workflow().waiting
    scripted.slow(0.0)
    scripted.ops.suggest()
    scripted.ops.generate()
    assert scripted.counts() == (4, 4, 0)


# -- while a job runs --------------------------------------------------------------------------------------------------


def test_another_file_is_opened_while_transitions_arrive(scripted):
    bpy = scripted.bpy
    with_take(scripted)
    file = bpy.data.filepath
    bpy.ops.wm.save_mainfile()
    scripted.slow(0.05)
    job = scripted.jobs.generate(scripted.scene)
    scripted.pump_until(lambda: scripted.counts()[1] == 1)
    bpy.ops.wm.read_homefile(use_factory_startup=False)
    scripted.session.session().wait(job)
    assert job.outcome is scripted.session.Outcome.DONE
    assert scripted.take is None
    with pytest.raises(RuntimeError, match=r"^Error: .*not in this scene"):
        scripted.ops.insert_waiting()
    bpy.ops.wm.open_mainfile(filepath=file)
    assert scripted.counts() == (4, 0, 0)
    scripted.ops.insert_waiting()
    assert scripted.counts()[1] == 3
    scripted.ops.generate()
    assert scripted.counts() == (4, 4, 0)


def test_the_file_is_saved_while_transitions_arrive(scripted, tmp_path):
    bpy = scripted.bpy
    with_take(scripted)
    scripted.slow(0.05)
    job = scripted.jobs.generate(scripted.scene)
    scripted.pump_until(lambda: scripted.counts()[1] == 1)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "auto.blend"), copy=True)
    bpy.ops.wm.save_mainfile()
    scripted.session.session().wait(job)
    assert scripted.counts() == (4, 4, 0)


def test_undo_and_redo_while_transitions_arrive(scripted):
    bpy = scripted.bpy
    scripted.prepare()
    bpy.ops.ed.undo_push(message="before")
    scripted.ops.suggest()
    scripted.slow(0.05)
    job = scripted.jobs.generate(scripted.scene)
    scripted.pump_until(lambda: scripted.counts()[1] == 1)
    bpy.ops.ed.undo()
    assert scripted.take is None
    scripted.session.session().wait(job)
    assert job.outcome is scripted.session.Outcome.DONE
    bpy.ops.ed.redo()
    assert scripted.counts() == (4, 0, 0)
    scripted.ops.insert_waiting()
    assert scripted.counts() == (4, 3, 0)
    scripted.ops.generate()
    assert scripted.counts() == (4, 4, 0)


def test_undo_while_a_take_is_built(scripted):
    bpy = scripted.bpy
    scripted.prepare()
    bpy.ops.ed.undo_push(message="one")
    scripted.scene.timeline_markers.new("x", frame=9)
    bpy.ops.ed.undo_push(message="two")
    job = scripted.jobs.suggest(scripted.scene)
    pump_until_half_built(scripted)
    bpy.ops.ed.undo()
    scripted.session.session().wait(job)
    assert not scripted.takes.takes(scripted.scene)
    assert not any(s.type == "META" for s in scripted.compat.strips(scripted.scene.sequence_editor))
    scripted.ops.insert_waiting()
    assert len(scripted.takes.takes(scripted.scene)) == 1
    consistent(scripted)


def test_the_scene_is_renamed_and_copied_while_transitions_arrive(scripted):
    bpy = scripted.bpy
    with_take(scripted)
    scripted.slow(0.05)
    first = scripted.scene
    job = scripted.jobs.generate(first)
    scripted.pump_until(lambda: scripted.counts()[1] == 1)
    first.name = "Umbenännt / neu"
    bpy.ops.scene.new(type="FULL_COPY")
    assert scripted.scene != first
    scripted.session.session().wait(job)
    assert scripted.counts()[1] == 1
    bpy.context.window.scene = first
    assert scripted.counts() == (4, 4, 0)


def test_a_take_that_cannot_be_read_for_a_while_loses_nothing(scripted):
    with_take(scripted)
    scripted.slow(0.1)
    job = scripted.jobs.generate(scripted.scene)
    scripted.pump_until(lambda: scripted.counts()[1] == 1)
    compat = scripted.compat
    piece = sorted(scripted.inside("PIECE"), key=compat.start)[2]
    end = compat.end(piece)
    compat.set_visible(piece, compat.start(piece), end - 20)  # in the middle of an edit: a gap
    done = scripted.counts()[1]
    scripted.pump_until(lambda: job.outcome or job.fraction > 0.9 or time.sleep(0.15) is None)
    compat.set_visible(piece, compat.start(piece), end)
    scripted.session.session().wait(job)
    assert done == 1
    assert scripted.counts() == (4, 4, 0)


def test_a_take_that_stays_unreadable_fails_with_a_sentence_and_keeps_the_frames(scripted):
    with_take(scripted)
    scripted.slow(0.02)
    job = scripted.jobs.generate(scripted.scene)
    scripted.pump_until(lambda: scripted.counts()[1] == 1)
    compat = scripted.compat
    piece = sorted(scripted.inside("PIECE"), key=compat.start)[2]
    end = compat.end(piece)
    compat.set_visible(piece, compat.start(piece), end - 20)
    with pytest.raises(scripted.errors.UserError, match="shows nothing"):
        scripted.session.session().wait(job)
    folder = Path(scripted.bpy.data.filepath).parent / "vmg" / "cut" / "take_001"
    assert len(list(folder.iterdir())) == 4
    compat.set_visible(piece, compat.start(piece), end)
    scripted.ops.generate()
    assert scripted.counts() == (4, 4, 0)


def test_the_addon_is_disabled_while_a_job_runs(scripted, enabled, installed, capfd):
    import addon_utils

    with_take(scripted)
    scripted.slow(0.2)
    scripted.jobs.generate(scripted.scene)
    scripted.pump_until(lambda: scripted.counts()[1] == 1)
    number = pid(scripted)
    addon_utils.disable(installed)
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
    import gc

    gc.collect()
    addon_utils.enable(installed)
    assert "Traceback" not in "".join(capfd.readouterr())


def test_the_addon_is_disabled_while_a_take_is_built(scripted, installed, capfd):
    import addon_utils

    scripted.prepare()
    scripted.jobs.suggest(scripted.scene)
    pump_until_half_built(scripted)
    addon_utils.disable(installed)
    assert [strip.type for strip in scripted.compat.strips(scripted.scene.sequence_editor)] == ["MOVIE"]
    addon_utils.enable(installed)
    assert "Traceback" not in "".join(capfd.readouterr())


# -- files that move ---------------------------------------------------------------------------------------------------


def test_a_moved_project_shows_its_frames(scripted, tmp_path):
    bpy = scripted.bpy
    shutil.copy(PERFORMER, tmp_path / "tänzerin 1.mp4")
    scripted.ops.footage_add(filepath=str(tmp_path / "tänzerin 1.mp4"), match_scene=True)
    scripted.scene.vmg.length_mode = "SECONDS"
    scripted.scene.frame_set(1 + 2 * 48 + 20)
    scripted.ops.key_add()
    scripted.ops.suggest()
    scripted.ops.generate()
    bpy.ops.wm.save_mainfile()
    old = Path(bpy.data.filepath).parent
    new = tmp_path / "anders wo ü"
    new.mkdir()
    for name in ("cut.blend", "vmg", "tänzerin 1.mp4"):
        shutil.move(old / name, new / name)
    bpy.ops.wm.open_mainfile(filepath=str(new / "cut.blend"))
    assert scripted.counts() == (4, 4, 0)
    path = scripted.takes.read_take(scripted.take)
    assert all(one["frames_dir"].startswith(str(new)) for one in path["transitions"])
    with pytest.raises(RuntimeError, match="nothing to render"):
        scripted.ops.rerender_stale()


def test_frames_that_are_gone_are_generated_anew(scripted):
    bpy = scripted.bpy
    with_take(scripted, filled=True)
    bpy.ops.wm.save_mainfile()
    shutil.rmtree(Path(bpy.data.filepath).parent / "vmg")
    bpy.ops.wm.open_mainfile(filepath=bpy.data.filepath)
    scripted.ops.rerender_stale()
    assert scripted.counts() == (4, 4, 0)
    assert all(Path(bpy.path.abspath(s.directory), "0000.png").is_file() for s in scripted.inside("TRANSITION"))


def test_a_first_save_to_where_no_folder_can_be_made_says_so_and_loses_nothing(scripted, tmp_path, capfd):
    bpy = scripted.bpy
    bpy.ops.wm.read_homefile(use_factory_startup=False)
    with_take(scripted, filled=True)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "vmg").write_text("a file where the folder should be")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "odd" / "first.blend"))
    assert "Traceback" not in "".join(capfd.readouterr())
    assert scripted.counts() == (4, 4, 0)
    assert all(Path(bpy.path.abspath(s.directory), "0000.png").is_file() for s in scripted.inside("TRANSITION"))
    assert scripted.session.session().failure
    (tmp_path / "odd" / "vmg").unlink()
    bpy.ops.wm.save_mainfile()
    assert all(s.directory.startswith("//vmg") for s in scripted.inside("TRANSITION"))


def test_copies_of_footage_go_with_the_first_save(scripted, tmp_path):
    bpy = scripted.bpy
    shutil.copy(PERFORMER, tmp_path / "inexact.mp4")
    bpy.ops.wm.read_homefile(use_factory_startup=False)
    scripted.scene.frame_set(1)
    scripted.ops.footage_add(filepath=str(tmp_path / "inexact.mp4"), match_scene=True)
    scripted.scene.vmg.length_mode = "SECONDS"
    scripted.ops.suggest()
    scripted.scene.frame_set(50)
    scripted.ops.key_add()  # of a piece: it shows the copy
    scripted.scene.name = "Other"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "first.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "first.blend"))
    shown = {strip.filepath for strip in [*scripted.inside("PIECE"), *scripted.key_strips()]}
    assert shown == {"//vmg/footage/inexact-ffffffff.mp4"}
    assert (tmp_path / "vmg" / "footage" / "inexact-ffffffff.mp4").is_file()
    scripted.ops.suggest()
    assert len(scripted.takes.takes(scripted.scene)) == 2
    consistent(scripted)


def test_a_file_of_an_earlier_run_is_saved_for_the_first_time(scripted, tmp_path, monkeypatch):
    """As after a crash: the frames lie in the cache, under the name of a run that is gone."""
    bpy = scripted.bpy
    bpy.ops.wm.read_homefile(use_factory_startup=False)
    with_take(scripted, filled=True)
    monkeypatch.setattr(scripted.paths, "_RUN", "0" * 8)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "recovered.blend"))
    assert {s.directory[:6] for s in scripted.inside("TRANSITION")} == {"//vmg/"}
    assert all(Path(bpy.path.abspath(s.directory), "0011.png").is_file() for s in scripted.inside("TRANSITION"))


def test_the_first_save_comes_while_transitions_arrive(scripted, tmp_path):
    bpy = scripted.bpy
    bpy.ops.wm.read_homefile(use_factory_startup=False)
    with_take(scripted)
    scripted.slow(0.05)
    job = scripted.jobs.generate(scripted.scene)
    scripted.pump_until(lambda: scripted.counts()[1] == 1)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "first.blend"))
    scripted.session.session().wait(job)
    assert scripted.counts() == (4, 4, 0)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "first.blend"))
    assert scripted.counts() == (4, 4, 0)
    assert {s.directory[:6] for s in scripted.inside("TRANSITION")} == {"//vmg/"}
    with pytest.raises(RuntimeError, match="nothing to render"):
        scripted.ops.rerender_stale()


@pytest.mark.parametrize("compress", [False, True])
def test_frames_that_another_file_beside_shows_are_not_cleaned(scripted, tmp_path, compress):
    bpy = scripted.bpy
    with_take(scripted, filled=True)
    bpy.ops.wm.save_mainfile(compress=compress)
    folders = [Path(bpy.path.abspath(s.directory)) for s in scripted.inside("TRANSITION")]
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "cut_v2.blend"))
    scripted.ops.take_remove()
    scripted.ops.takes_clean()
    assert all(folder.is_dir() for folder in folders)
    (tmp_path / "cut.blend").write_bytes(b"\x28\xb5\x2f\xfd nonsense")
    with pytest.raises(RuntimeError, match=r"cut\.blend cannot be read"):
        scripted.ops.takes_clean()
    (tmp_path / "cut.blend").unlink()
    bpy.ops.wm.save_mainfile()
    scripted.ops.takes_clean()
    assert not any(folder.is_dir() for folder in folders)


def test_footage_that_vanishes_between_two_steps(scripted, tmp_path):
    shutil.copy(PERFORMER, tmp_path / "mine.mp4")
    scripted.ops.footage_add(filepath=str(tmp_path / "mine.mp4"), match_scene=True)
    scripted.scene.vmg.length_mode = "SECONDS"
    job = scripted.jobs.suggest(scripted.scene)
    (tmp_path / "mine.mp4").unlink()
    with pytest.raises(scripted.errors.UserError, match=r"no file .*mine.mp4"):
        scripted.session.session().wait(job)
    assert not any(s.type == "META" for s in scripted.compat.strips(scripted.scene.sequence_editor))
    for name in ("suggest", "analyze", "key_add"):
        with pytest.raises(RuntimeError, match=r"^Error: .*mine.mp4"):
            getattr(scripted.ops, name)()
    assert scripted.scene.vmg.footages[0].missing


# -- odd timelines -----------------------------------------------------------------------------------------------------


def test_music_of_a_second_and_none(scripted):
    scripted.prepare(1.0)
    scripted.ops.suggest()
    assert scripted.counts() == (0, 0, 0)
    with pytest.raises(RuntimeError, match="no transitions"):
        scripted.ops.generate()
    with pytest.raises(RuntimeError, match=r"No transition .* selected"):
        scripted.ops.generate(selected=True)
    with pytest.raises(RuntimeError, match="no cuts"):
        scripted.ops.cut_play()
    scripted.scene.vmg.length_mode = "MUSIC"
    for name in ("suggest", "keys_from_beats"):
        scripted.scene.timeline_markers.new("x", frame=5)
        with pytest.raises(RuntimeError, match=r"There is no music, nor speech\. Choose music"):
            getattr(scripted.ops, name)()


def test_a_take_inside_a_meta(scripted):
    bpy, scene = scripted.bpy, scripted.scene
    with_take(scripted)
    uid = scripted.take.vmg.uid
    for strip in scripted.compat.strips(scene.sequence_editor):
        strip.select = strip.vmg.role in ("TAKE", "FOOTAGE")
    with scripted.compat.editor_override(bpy.context, scene):
        bpy.ops.sequencer.meta_make()
    assert scripted.take.vmg.uid == uid
    scripted.ops.generate()
    assert scripted.counts() == (4, 4, 0)
    (key,) = scripted.key_strips()
    scripted.slip(key, 3)
    scripted.ops.rerender_stale()
    assert scripted.counts() == (4, 4, 0)
    scripted.ops.suggest()
    assert len(scripted.takes.takes(scene)) == 2
    scripted.ops.take_activate(uid=uid)
    scripted.ops.take_remove()
    assert len(scripted.takes.takes(scene)) == 1


def test_the_first_piece_is_trimmed(scripted):
    """Where a take begins its beats begin to be counted: all the same none is stale."""
    with_take(scripted, filled=True)
    for frame in range(13, 241, 24):
        scripted.scene.timeline_markers.new("b", frame=frame)
    scripted.ops.suggest()
    scripted.ops.generate()
    take, compat = scripted.take, scripted.compat
    compat.set_visible(take, compat.start(take) + 10, compat.end(take))
    with pytest.raises(RuntimeError, match="nothing to render"):
        scripted.ops.rerender_stale()
    first = min(scripted.inside("PIECE"), key=compat.start)
    compat.set_visible(first, compat.start(first) + 20, compat.end(first))
    compat.set_visible(take, compat.start(first), compat.end(take))
    assert scripted.takes.read_take(take)["frames"] == 220
    with pytest.raises(RuntimeError, match="nothing to render"):
        scripted.ops.rerender_stale()
    compat.move(take, 24)
    for marker in scripted.scene.timeline_markers:
        marker.frame += 24
    for key in scripted.key_strips():
        compat.move(key, 24)
    with pytest.raises(RuntimeError, match="nothing to render"):
        scripted.ops.rerender_stale()


def test_pieces_edited_by_hand(scripted):
    with_take(scripted, filled=True)
    compat, strips = scripted.compat, scripted.compat.strips

    def pieces():
        return sorted(scripted.inside("PIECE"), key=compat.start)

    middle = pieces()[2]
    begin, end = compat.start(middle), compat.end(middle)
    for strip in [s for s in scripted.inside("TRANSITION") if compat.start(s) in (begin, end - 12)]:
        strips(scripted.take).remove(strip)
    strips(scripted.take).remove(middle)
    for name in ("generate", "rerender_stale"):
        with pytest.raises(RuntimeError, match=r"^Error: The take shows nothing from frame 10\d to 1\d\d. Make"):
            getattr(scripted.ops, name)()
    before, after = pieces()[1:3]
    compat.set_visible(before, compat.start(before), compat.start(after))  # touching: a hard cut
    assert len(scripted.takes.read_take(scripted.take)["transitions"]) == 2
    with pytest.raises(RuntimeError, match="All transitions"):
        scripted.ops.generate()
    for strip in strips(scripted.take):
        strip.select = strip.vmg.role == "CROSS"
    editor = scripted.scene.sequence_editor
    editor.display_stack(scripted.take)
    scripted.ops.generate(selected=True)
    editor.display_stack(None)
    consistent(scripted)
    strips(scripted.take).remove(pieces()[0])
    with pytest.raises(RuntimeError, match="shows nothing from frame 1 "):
        scripted.ops.rerender_stale()


def test_the_scene_gets_another_rate_after_a_take_was_made(scripted):
    with_take(scripted)
    scripted.scene.render.fps = 30
    for name in ("suggest", "rerender_stale"):
        with pytest.raises(RuntimeError, match=r"^Error: performer.mp4 has 24 frames per second, the scene 30"):
            getattr(scripted.ops, name)()
    scripted.ops.generate()  # frame by frame, whatever the rate
    assert scripted.counts() == (4, 4, 0)


def test_odd_keyframes(scripted):
    scripted.prepare()
    scene, compat = scripted.scene, scripted.compat
    scene.frame_set(5000)
    with pytest.raises(RuntimeError, match="no footage here"):
        scripted.ops.key_add()
    scene.frame_set(30)
    scripted.ops.key_add()
    (key,) = scripted.key_strips()
    compat.move(key, 5000)  # beyond the take: no condition
    scripted.ops.suggest()
    compat.move(key, -5000)
    compat.set_visible(key, 30, 30 + 700)  # longer than its file
    scene.vmg.seconds = 40.0
    with pytest.raises(RuntimeError, match="does not show successive frames"):
        scripted.ops.suggest()


def test_muted_footage_is_no_footage(scripted):
    scripted.prepare()
    for strip in scripted.reading.footage(scripted.scene):
        strip.mute = True
    with pytest.raises(RuntimeError, match="There is no footage yet"):
        scripted.ops.suggest()


def test_footage_that_is_not_used_any_more(scripted, tmp_path):
    with_take(scripted)
    scripted.ops.footage_remove()
    with pytest.raises(RuntimeError, match=r"^Error: "):
        scripted.ops.rerender_stale()
    assert not scripted.ops.suggest.poll()
    scripted.ops.generate()
    assert scripted.counts()[1] == 4


# -- the real backend --------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A disk with room for three transitions or so."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount, "-t", "tmpfs", "-o", "size=9m", "tmpfs", str(folder)]
    if not mount or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("Only root can mount a small disk.")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.long
def test_the_disk_is_full_while_transitions_arrive(real, small_disk, tmp_path):
    bpy, scene = real.bpy, real.scene
    bpy.ops.wm.save_as_mainfile(filepath=str(small_disk / "film.blend"))
    real.prepare(20.0)
    scene.vmg.engine = "fade"
    for index in range(38):
        scene.timeline_markers.new("beat", frame=13 + 12 * index)
    real.ops.suggest()
    total = real.counts()[0]
    with pytest.raises(RuntimeError, match=r"^Error: The disk is full while writing .* Free some space"):
        real.ops.generate()
    filled = real.counts()[1]
    assert 0 < filled < total
    assert not list(small_disk.rglob(".vmg*"))
    folders = {  # equal cuts share one
        Path(bpy.path.abspath(strip.directory)): real.compat.duration(strip) for strip in real.inside("TRANSITION")
    }
    assert {folder: len(list(folder.iterdir())) for folder in small_disk.glob("vmg/cut/take_001/*")} == folders
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    real.ops.generate()
    assert real.counts() == (total, total, 0)
    bpy.ops.wm.read_homefile(use_factory_startup=False)  # lets go of the disk


@pytest.mark.long
def test_the_real_backend_is_killed_while_transitions_arrive(real):
    real.prepare()
    real.scene.vmg.engine = "fade"
    for index in range(19):
        real.scene.timeline_markers.new("beat", frame=13 + 12 * index)
    real.ops.suggest()
    job = real.jobs.generate(real.scene)
    real.pump_until(lambda: real.counts()[1] == 1, 120.0)
    os.kill(pid(real), signal.SIGKILL)
    real.jobs.workflow().finish()
    assert job.losses == 1
    total, filled, stale = real.counts()
    assert (filled, stale) == (total, 0)


def test_saving_elsewhere_keeps_the_footage_in_sight(scripted, tmp_path):
    """Blender makes the strips' relative paths right; ours it does not know. A copy leaves this file where it is."""
    bpy = scripted.bpy
    scripted.prepare()
    scripted.ops.key_add()
    scripted.key_strips()[0].vmg.image = "//edited.png"

    def named():
        (row,), (key,) = scripted.scene.vmg.footages, scripted.key_strips()
        return [scripted.reading.absolute(path) for path in (row.path, key.vmg.image)]

    before = named()
    assert scripted.scene.vmg.footages[0].path.startswith("//") and before[0].is_file()
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(deep / "copy.blend"), copy=True)
    assert named() == before
    bpy.ops.wm.save_as_mainfile(filepath=str(deep / "moved.blend"))
    assert named() == before
    for name in ("copy", "moved"):
        bpy.ops.wm.open_mainfile(filepath=str(deep / f"{name}.blend"))
        assert named() == before
