"""Jobs of the add-on against a backend that behaves well or badly, and against the real one."""

import importlib
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

FAKE = Path(__file__).with_name("fake_backend.py")


class Parts:
    """The extension's modules that are used here."""

    def __init__(self, root):
        for name in ("addon.session", "addon.backend", "addon.failures", "addon.paths", "addon.installation"):
            setattr(self, name.split(".")[1], importlib.import_module(f"{root}.{name}"))
        for name in ("protocol", "errors"):
            setattr(self, name, importlib.import_module(f"{root}.vmg_backend.{name}"))
        self.SOUND = self.protocol.Sound(pieces=(), seconds=1.0)


@pytest.fixture
def parts(enabled):
    return Parts(enabled.__name__)


class Given:
    """What a job's callbacks got."""

    def __init__(self):
        self.results, self.events, self.failures, self.cancels = [], [], [], 0

    def cancelled(self):
        self.cancels += 1


@pytest.fixture
def given():
    return Given()


@pytest.fixture
def make(parts, tmp_path):
    """Gives a session whose backend has a habit."""
    made = []

    def session(habit, **options):
        command = [sys.executable, "-P", str(FAKE), habit, str(tmp_path)]
        log = parts.backend.Log(tmp_path / "blender.log")
        made.append(parts.session.Session(lambda: command, log, **options))
        return made[-1]

    yield session
    for one in made:
        one.close()


@pytest.fixture
def ask(parts, given):
    def submit(session, method="beats", params=None, **callbacks):
        callbacks = {
            "on_result": given.results.append,
            "on_event": given.events.append,
            "on_error": given.failures.append,
            "on_cancel": given.cancelled,
            **callbacks,
        }
        return session.submit(method, params or parts.SOUND, title="Detect beats", **callbacks)

    return submit


def starts(tmp_path):
    return len(list(tmp_path.glob("start-*")))


def pump_until(session, check, seconds=10.0):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it did not happen in time"
        session.pump()
        time.sleep(0.002)


# -- going well --------------------------------------------------------------------------------------------------------


def test_a_result_arrives_as_a_record(parts, make, ask, given):
    session = make("good")
    assert not session.busy
    job = ask(session)
    assert session.job is job
    assert session.busy
    session.wait(job)
    assert not session.busy
    assert not session.active
    assert job.outcome is parts.session.Outcome.DONE
    assert given.results == [parts.protocol.FoundBeats(beats=(parts.protocol.BeatAt(0.5, "beat", 1.0),), tempo=120.0)]
    assert session.hello.version == "0.0.1"


def test_one_process_serves_many_jobs(make, ask, given, tmp_path):
    session = make("good")
    for _ in range(3):
        session.wait(ask(session))
    assert len(given.results) == 3
    assert starts(tmp_path) == 1


def test_one_job_at_a_time(parts, make, ask):
    session = make("good")
    job = ask(session)
    with pytest.raises(parts.errors.UserError, match="still running"):
        ask(session)
    session.wait(job)


def test_a_wrong_record_is_refused_where_it_is_written(parts, make, ask):
    with pytest.raises(TypeError, match="beats takes"):
        ask(make("good"), params=parts.protocol.Place())


def test_events_come_in_order_and_before_the_result(make, ask, given):
    seen = []

    def event(filled):
        for tick in range(2):
            seen.append((filled.id, tick))
            yield

    session = make("events")
    session.wait(ask(session, on_event=event, on_result=lambda _: seen.append("result")))
    assert seen == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), "result"]


def test_progress_is_seen(make, ask):
    session = make("deaf")
    job = ask(session)
    pump_until(session, lambda: job.fraction)
    assert (job.fraction, job.stage, job.seconds_left) == (0.25, "Working", 3.0)


def test_garbage_in_the_stream_changes_nothing(make, ask, given):
    session = make("garbage")
    session.wait(ask(session))
    assert len(given.results) == 1
    assert "Loading model" in session.log.path.read_text("utf-8")


def test_a_large_result_arrives(parts, make, ask, given):
    session = make("good")
    session.wait(ask(session, "suggest", parts.protocol.Suggest(parts.protocol.Wish(footages=(), frames=10))))
    assert len(given.results[0].paths[0]["segments"]) == 40_000


@pytest.mark.serial
def test_a_result_is_put_in_tick_by_tick(make, ask):
    session = make("good")
    done = []

    def arrive(_):
        for index in range(20):
            time.sleep(0.004)
            done.append(index)
            yield

    job = ask(session, on_result=arrive)
    pump_until(session, lambda: done)
    ticks = 0
    while session.busy:
        begun = time.perf_counter()
        session.pump()
        ticks += 1
        assert time.perf_counter() - begun < 0.1
    assert done == list(range(20))
    assert ticks >= 8  # two steps fit into the budget of 8 ms
    assert job.outcome.value == "done"


@pytest.mark.serial
def test_ticks_stay_short_under_a_flood_of_messages(make, ask, given):
    """20,000 notifications as fast as a pipe gives them: the person's frames must not suffer."""
    session = make("chatty")
    job = ask(session)
    times, own = [], []
    while job.outcome is None:
        begun, begun_own = time.perf_counter(), time.thread_time()
        session.pump()
        times.append(time.perf_counter() - begun)
        own.append(time.thread_time() - begun_own)
        time.sleep(0.003)
    p99, own99 = np.percentile(times, 99), np.percentile(own, 99)
    print(f"{len(times)} ticks, p99 {1e3 * p99:.1f} ms, of these {1e3 * own99:.1f} ms of this thread's own")
    assert len(given.results) == 1
    assert own99 <= 0.016  # programs beside this one may hold up the clock, but not this thread's own


# -- questions, beside the jobs ----------------------------------------------------------------------------------------


def hardware(parts, session, given):
    return session.ask("hardware", parts.protocol.Look(), on_result=given.results.append)


def test_a_question_is_answered_while_a_job_runs(parts, make, ask, given):
    session = make("slow")
    job = ask(session)
    pump_until(session, lambda: session.hello)
    question = hardware(parts, session, given)
    assert session.asking
    assert session.job is job
    pump_until(session, lambda: not session.asking)
    assert job.outcome is None
    assert question.outcome is parts.session.Outcome.DONE
    assert given.results[0].missing == ("torch",)
    session.wait(job)
    assert given.results[1].tempo == 120.0
    assert session.ended == 1


def test_a_question_starts_the_backend_and_is_no_job(parts, make, given, tmp_path):
    session = make("good")
    question = hardware(parts, session, given)
    assert session.active
    assert not session.busy
    session.wait(question)
    assert len(given.results) == 1
    assert (session.active, session.ended, starts(tmp_path)) == (False, 0, 1)


def test_a_question_does_not_outlive_its_backend(parts, make, given, tmp_path):
    session = make("dies at start")
    question = hardware(parts, session, given)
    with pytest.raises(parts.failures.JobFailed, match="had answered"):
        session.wait(question)
    assert session.failure.action == "vmg.environment_repair"
    assert (session.asking, starts(tmp_path)) == (False, 1)  # it is not asked again and again


def test_a_lost_question_harms_no_job(parts, make, ask, given, tmp_path):
    session = make("dies once")
    job = ask(session)
    question = hardware(parts, session, given)
    session.wait(job)
    assert job.outcome is parts.session.Outcome.DONE
    assert question.outcome is not None
    assert not session.asking


def test_an_answer_that_is_not_understood_fails_the_question(parts, make, given):
    session = make("good")
    question = session.ask("model", parts.protocol.ModelFolder("/models/a"), on_result=given.results.append)
    with pytest.raises(parts.failures.JobFailed, match="went wrong inside"):
        session.wait(question)
    assert given.results == []
    session.wait(hardware(parts, session, given))
    assert len(given.results) == 1


def test_a_question_waits_while_a_thread_changes_the_backend(parts, make, given, tmp_path):
    session, go_on = make("good"), threading.Event()
    job = session.run("Set up", lambda _: go_on.wait(10.0), on_result=lambda _: None, alone=True)
    question = hardware(parts, session, given)
    for _ in range(20):
        session.pump()
        time.sleep(0.01)
    assert starts(tmp_path) == 0
    go_on.set()
    session.wait(job)
    session.wait(question)
    assert len(given.results) == 1


def test_a_question_ends_with_a_backend_that_is_stopped(parts, make, given):
    session = make("good")
    session.wait(hardware(parts, session, given))
    question = hardware(parts, session, given)
    session.pump()
    session.stop_backend()
    assert not session.asking
    with pytest.raises(parts.failures.JobCancelled):
        session.wait(question)
    assert session.failure is None


def test_only_what_is_answered_aside_is_asked(parts, make):
    with pytest.raises(ValueError, match="is a job"):
        make("good").ask("beats", parts.SOUND, on_result=print)
    with pytest.raises(TypeError, match="hardware takes"):
        make("good").ask("hardware", None, on_result=print)


# -- cancelling --------------------------------------------------------------------------------------------------------


@pytest.mark.serial
def test_cancelling_ends_the_job_and_keeps_the_backend(parts, make, ask, given, tmp_path):
    session = make("cancels")
    job = ask(session)
    pump_until(session, lambda: job.fraction)
    session.cancel()
    begun = time.monotonic()
    with pytest.raises(parts.failures.JobCancelled):
        session.wait(job)
    assert time.monotonic() - begun < 0.9
    assert given.cancels == 1
    assert given.results == given.failures == []
    pump_until(session, lambda: not session.active)
    assert session.hello
    assert starts(tmp_path) == 1


def test_a_late_answer_to_a_cancel_is_waited_for_by_the_next_job(parts, make, ask, given, tmp_path):
    session = make("slow to cancel")
    job = ask(session)
    pump_until(session, lambda: job.fraction)
    session.cancel()
    with pytest.raises(parts.failures.JobCancelled):
        session.wait(job)
    assert not session.busy
    session.wait(ask(session))
    assert len(given.results) == 1
    assert starts(tmp_path) == 1


@pytest.mark.serial
def test_a_backend_that_does_not_answer_a_cancel_is_ended(parts, make, ask, given, tmp_path):
    session = make("deaf")
    job = ask(session)
    pump_until(session, lambda: job.fraction)
    process = session._link.process
    session.cancel()
    begun = time.monotonic()
    with pytest.raises(parts.failures.JobCancelled):
        session.wait(job)
    assert 0.9 < time.monotonic() - begun < 1.5  # the panel shows it as cancelled
    pump_until(session, lambda: not process.alive)
    assert 2.5 < time.monotonic() - begun < 4.5  # and then it is gone
    assert given.cancels == 1
    pump_until(session, lambda: not session.active)
    assert starts(tmp_path) == 1  # started again at the next need, not before
    job = ask(session)
    pump_until(session, lambda: job.fraction)
    assert starts(tmp_path) == 2


def test_cancelling_before_the_backend_runs(parts, make, ask, given, tmp_path):
    session = make("good")
    job = ask(session)
    session.cancel()
    with pytest.raises(parts.failures.JobCancelled):
        session.wait(job)
    assert starts(tmp_path) == 0


def test_cancelling_while_the_result_arrives_lets_it_tidy_up(parts, make, ask, given):
    session = make("good")
    tidied = []

    def arrive(_):
        try:
            while True:
                yield
        finally:
            tidied.append(True)

    job = ask(session, on_result=arrive)
    pump_until(session, lambda: session._steps)
    session.cancel()
    with pytest.raises(parts.failures.JobCancelled):
        session.wait(job)
    assert tidied == [True]
    session.wait(ask(session))
    assert len(given.results) == 1


# -- failing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("habit", ["dies once", "dies at start once"])
def test_a_backend_that_dies_is_started_again_once(make, ask, given, habit, tmp_path):
    session = make(habit)
    session.wait(ask(session))
    assert len(given.results) == 1
    assert given.failures == []
    assert starts(tmp_path) == 2


@pytest.mark.parametrize(
    ("habit", "title", "action"),
    [
        ("dies", "The backend ended", ""),
        ("dies with children", "The backend ended", ""),
        ("dies at start", "The backend does not start", "vmg.environment_repair"),
    ],
)
def test_a_second_death_fails_the_job_with_the_log(parts, make, ask, given, habit, title, action, tmp_path):
    session = make(habit)
    with pytest.raises(parts.failures.JobFailed, match="before it had answered, twice") as caught:
        session.wait(ask(session))
    assert starts(tmp_path) == 2
    assert caught.value.failure.explanation.title == title
    assert caught.value.failure.action == action
    assert Path(caught.value.failure.explanation.log).is_file()
    assert given.failures == [caught.value.failure]
    assert session.failure is caught.value.failure


def test_a_backend_that_was_killed_between_two_jobs_is_no_loss(make, ask, given, tmp_path):
    session = make("dies once")  # the habit shows in the first process only, and after that the third start is one
    (tmp_path / "start-first").touch()
    session.wait(ask(session))
    os.kill(session._link.process.pid, 9)
    time.sleep(0.1)
    session.wait(ask(session))
    assert len(given.results) == 2
    assert starts(tmp_path) == 3


def test_the_persons_error_is_said_as_it_came(parts, make, ask):
    session = make("refuses")
    with pytest.raises(parts.failures.JobFailed, match="too short") as caught:
        session.wait(ask(session))
    assert caught.value.title == "Too short"
    assert session.hello  # the backend goes on


def test_a_fault_of_the_backend_names_its_log(parts, make, ask):
    session = make("fault")
    with pytest.raises(parts.failures.JobFailed, match="A fault") as caught:
        session.wait(ask(session))
    assert caught.value.failure.explanation.log == "/var/log/x"


def test_an_answer_that_is_none_fails_the_job(parts, make, ask, given):
    session = make("nonsense")
    with pytest.raises(parts.failures.JobFailed, match="inside the add-on"):
        session.wait(ask(session))
    assert given.results == []
    assert "not understood" in session.log.path.read_text("utf-8")


def test_another_version_asks_for_an_update(parts, make, ask, tmp_path):
    session = make("other version")
    with pytest.raises(parts.failures.JobFailed, match="another version") as caught:
        session.wait(ask(session))
    assert caught.value.failure.action == "vmg.environment_set_up"
    assert session.hello is None
    assert starts(tmp_path) == 1


def test_a_greeting_without_sense_fails_the_job(parts, make, ask):
    session = make("odd greeting")
    with pytest.raises(parts.failures.JobFailed, match="inside the add-on"):
        session.wait(ask(session))


def test_a_backend_that_dies_while_its_result_arrives_is_not_asked_again(make, ask, tmp_path):
    session = make("good")
    steps = []

    def arrive(_):
        os.kill(session._link.process.pid, 9)
        for index in range(100):
            time.sleep(0.002)
            steps.append(index)
            yield

    session.wait(ask(session, on_result=arrive))
    assert steps == list(range(100))
    assert starts(tmp_path) == 1


def test_no_environment_is_a_failure_with_a_button(parts, make, ask, given, tmp_path, monkeypatch):
    monkeypatch.setenv("VMG_CACHE", str(tmp_path / "empty"))
    session = make("good")
    session._command = parts.installation.command
    with pytest.raises(parts.failures.JobFailed, match="not set up") as caught:
        session.wait(ask(session))
    assert caught.value.failure.action == "vmg.environment_set_up"
    assert given.failures == [caught.value.failure]


def test_a_callback_that_fails_ends_the_job_only(parts, make, ask, given):
    session = make("events")

    def wrong(_):
        yield
        raise ReferenceError("StructRNA of type Scene has been removed")

    with pytest.raises(parts.failures.JobFailed, match="inside the add-on"):
        session.wait(ask(session, on_event=wrong))
    assert "StructRNA" in session.log.path.read_text("utf-8")
    assert given.results == []
    session.wait(ask(session))
    assert len(given.results) == 1


def test_a_users_error_in_a_callback_is_said(parts, make, ask):
    def full(_):
        raise parts.errors.UserError("No channel is free.", "Delete strips.", title="No room")

    session = make("good")
    with pytest.raises(parts.failures.JobFailed, match="No channel is free"):
        session.wait(ask(session, on_result=full))


def test_a_failure_is_forgotten_when_the_next_job_begins(parts, make, ask):
    session = make("refuses")
    with pytest.raises(parts.failures.JobFailed):
        session.wait(ask(session))
    assert session.failure
    ask(session)
    assert session.failure is None


def test_closing_in_the_middle_of_a_job_ends_the_process(make, ask):
    session = make("deaf")
    job = ask(session)
    pump_until(session, lambda: job.fraction)
    process = session._link.process
    begun = time.monotonic()
    session.close()
    assert time.monotonic() - begun < 3.0
    assert not process.alive
    assert not session.busy


# -- threads -----------------------------------------------------------------------------------------------------------


def test_work_on_a_thread(make, given):
    session = make("good")
    main = threading.current_thread()

    def work(progress):
        assert threading.current_thread() is not main
        progress.part(0.0, 1.0, "Packing").update(0.5)
        return 7

    job = session.run("Set up", work, on_result=given.results.append)
    session.wait(job)
    assert given.results == [7]
    assert (job.fraction, job.stage) == (0.5, "Packing")


def test_work_on_a_thread_is_cancelled(parts, make, given):
    session = make("good")

    def work(progress):
        while True:
            progress.update(0.1)
            time.sleep(0.01)

    job = session.run("Set up", work, on_result=given.results.append, on_cancel=given.cancelled)
    pump_until(session, lambda: job.fraction)
    session.cancel()
    with pytest.raises(parts.failures.JobCancelled):
        session.wait(job)
    assert given.cancels == 1
    assert given.results == []


def test_work_on_a_thread_fails(parts, make):
    session = make("good")

    def full(progress):
        raise parts.errors.UserError("The disk is full.", "Free some.", title="Disk full")

    with pytest.raises(parts.failures.JobFailed, match="The disk is full"):
        session.wait(session.run("Set up", full, on_result=print))
    with pytest.raises(parts.failures.JobFailed, match="inside the add-on"):
        session.wait(session.run("Set up", lambda progress: 1 / 0, on_result=print))
    assert "ZeroDivisionError" in session.log.path.read_text("utf-8")


def test_what_works_alone_begins_after_the_backend_has_ended(make, ask, given):
    session = make("stays")
    job = ask(session)
    pump_until(session, lambda: job.fraction)
    process = session._link.process
    session.cancel()
    pump_until(session, lambda: not session.busy)
    session.wait(session.run("Repair", lambda progress: process.alive, on_result=given.results.append, alone=True))
    assert given.results == [False]


# -- in Blender --------------------------------------------------------------------------------------------------------


@pytest.fixture
def ours(parts, monkeypatch, tmp_path):
    """The registered session, with a backend that behaves well."""
    session = parts.session.session()

    def use(habit):
        command = [sys.executable, "-P", str(FAKE), habit, str(tmp_path)]
        monkeypatch.setattr(session, "_command", lambda: command)
        return session

    yield use
    session.stop_backend()


def test_the_window_manager_shows_the_job(bpy, parts, ours, ask):
    session = ours("deaf")
    job = ask(session)
    pump_until(session, lambda: job.fraction)
    shown = bpy.context.window_manager.vmg
    assert (shown.running, shown.title, shown.stage) == (True, "Detect beats", "Working")
    assert (shown.fraction, shown.seconds_left) == (0.25, 3.0)
    assert "0.0.1" in shown.backend
    session.cancel()
    pump_until(session, lambda: job.outcome)
    assert (shown.running, shown.title, shown.failure_title) == (False, "", "")


def test_the_window_manager_shows_the_failure(bpy, parts, ours, ask):
    session = ours("other version")
    with pytest.raises(parts.failures.JobFailed):
        session.wait(ask(session))
    shown = bpy.context.window_manager.vmg
    assert shown.failure_title == "The backend needs an update"
    assert shown.failure_action == "vmg.environment_set_up"
    session.failure = None
    assert shown.failure_title == ""


def test_another_file_during_a_job(bpy, parts, ours, ask, given):
    session = ours("good")
    bpy.context.scene.name = "Scene"
    scene = parts.session.SceneRef.of(bpy.context.scene)
    job = ask(session, on_result=lambda _: given.results.append(scene.find()), scene=scene)
    bpy.ops.wm.read_homefile(app_template="")
    assert bpy.context.window_manager.vmg.running
    session.wait(job)
    assert given.results == [None]  # its scene is gone, though one of that name is there
    assert scene.name in bpy.data.scenes
    assert not bpy.context.window_manager.vmg.running


def test_undo_during_a_job(bpy, parts, ours, ask, given):
    session = ours("good")
    bpy.context.preferences.edit.use_global_undo = True
    bpy.ops.ed.undo_push(message="before")
    scene = parts.session.SceneRef.of(bpy.context.scene)
    bpy.context.scene.frame_start = 7
    bpy.ops.ed.undo_push(message="change")
    job = ask(session, on_result=lambda _: given.results.append(scene.find().frame_start))
    bpy.ops.ed.undo()
    assert bpy.context.window_manager.vmg.running
    session.wait(job)
    assert given.results == [1]


def test_a_renamed_scene_is_found(bpy, parts):
    scene = bpy.data.scenes.new("One")
    found = parts.session.SceneRef.of(scene)
    scene.name = "Two"
    assert found.find() == scene
    assert found == parts.session.SceneRef.of(scene)
    bpy.data.scenes.remove(scene)
    assert found.find() is None


def test_saving_during_a_job(bpy, ours, ask, given, tmp_path):
    session = ours("good")
    job = ask(session)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "edit.blend"), copy=True)
    session.wait(job)
    assert len(given.results) == 1


def test_disabling_the_addon_during_a_job_ends_the_backend(bpy, parts, ours, ask, enabled):
    import addon_utils

    session = ours("deaf")
    job = ask(session)
    pump_until(session, lambda: job.fraction)
    process = session._link.process
    addon_utils.disable(enabled.__name__, default_set=True)
    assert not process.alive
    assert parts.session._after_load not in bpy.app.handlers.load_post
    addon_utils.enable(enabled.__name__, default_set=True)
    assert not bpy.context.window_manager.vmg.running


def test_the_timer_runs_only_while_there_is_something_to_do(bpy, parts, ours, ask, monkeypatch):
    """Timers do not fire without a window; what Blender would call is called here."""
    session = ours("good")
    holder = parts.session._registered[0]
    assert not bpy.app.timers.is_registered(holder._timer)
    job = ask(session)
    assert not bpy.app.timers.is_registered(holder._timer)  # never in background mode
    end = time.monotonic() + 10
    while (again := holder._timer()) is not None:
        assert again == parts.session.TICK
        assert time.monotonic() < end
        time.sleep(0.005)
    assert job.outcome is parts.session.Outcome.DONE


# -- places ------------------------------------------------------------------------------------------------------------


def test_names_of_folders(parts):
    safe = parts.paths.safe_name
    assert safe("Scene") == "scene"
    assert safe("take-1_b") == "take-1_b"
    names = ["Tanz im Mai", "Tänzer", "T?nzer", "舞", "踊", "con", "COM1", "..", "a/b", "a\\b", "x" * 80, "x" * 81, " "]
    made = [safe(name) for name in names]
    assert len(set(made)) == len(made)
    for name in made:
        assert name == name.lower()
        assert name.isascii()
        assert not set(name) & set(' .<>:"/\\|?*')
        assert name not in ("con", "com1")
        assert len(name) <= 60


def test_frames_go_beside_the_file(bpy, parts, tmp_path, monkeypatch):
    monkeypatch.setenv("VMG_CACHE", str(tmp_path / "cache"))
    bpy.ops.wm.read_homefile(app_template="")
    scene = bpy.context.scene
    unsaved = parts.paths.take_folder(scene, 3)
    assert unsaved.parts[-2:] == ("scene", "take_003")
    assert parts.paths.unsaved_folder(scene) in unsaved.parents
    assert (tmp_path / "cache") in unsaved.parents
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "edit.blend"))
    assert parts.paths.take_folder(scene, 12) == tmp_path / "vmg" / "scene" / "take_012"
    assert parts.paths.footage_folder(scene) == tmp_path / "vmg" / "footage"
    bpy.ops.wm.read_homefile(app_template="")


def test_the_packages_name_is_the_extensions(parts):
    assert parts.paths.PACKAGE == "bl_ext.user_default.video_motion_graphs"


# -- the real one ------------------------------------------------------------------------------------------------------


@pytest.fixture
def real(parts, tmp_path, monkeypatch):
    if "VMG_BACKEND_PYTHON" not in os.environ:
        pytest.skip("VMG_BACKEND_PYTHON names no interpreter that has the backend")
    monkeypatch.setenv("VMG_CACHE", str(tmp_path / "cache"))
    command = parts.backend.serve_command(Path(os.environ["VMG_BACKEND_PYTHON"]))
    session = parts.session.Session(lambda: command, parts.backend.Log(tmp_path / "blender.log"))
    yield session
    session.close()


def test_the_real_backend_understands_us(parts, real, ask, given):
    real.wait(ask(real, "library", parts.protocol.Place()))
    assert given.results[0].bytes == 0
    assert real.hello.protocol == parts.protocol.fingerprint()
    assert real.hello.engines


def test_the_real_backend_explains(parts, real, ask, tmp_path):
    sound = parts.protocol.Sound((parts.protocol.SoundPiece(str(tmp_path / "none.ogg"), 0.0, 0.0, 1.0),), 1.0)
    with pytest.raises(parts.failures.JobFailed, match=r"none\.ogg"):
        real.wait(ask(real, "beats", sound))


def test_the_real_backend_is_cancelled_within_a_second(parts, real, ask, given):
    performer = Path(__file__).resolve().parents[2] / "vmg_backend" / "sample" / "performer.mp4"
    footages = parts.protocol.Footages((parts.protocol.FootageUse(str(performer)),))
    job = ask(real, "analyze", footages)
    pump_until(real, lambda: job.fraction > 0.02, 60.0)
    begun = time.monotonic()
    real.cancel()
    pump_until(real, lambda: not real.active)
    print(f"cancelled after {time.monotonic() - begun:.2f} s")
    assert given.cancels == 1
    assert real.hello  # it answered: no need to end it
    real.wait(ask(real, "library", parts.protocol.Place()))
