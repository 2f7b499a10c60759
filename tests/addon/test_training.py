"""Train on This Footage: asked about, begun, paused, gone on with, deleted; what it shows, and what becomes chosen."""

import importlib
import time

import numpy as np
import pytest


@pytest.fixture
def training(scripted, hardware):
    """The module, with footage in the scene."""
    scripted.add_footage()
    found = importlib.import_module(f"{scripted.jobs.__package__}.training")
    found.training().clear()
    yield found
    found.training().clear()


def learned(records, losses, checks=()):
    return records.Learned(1, "seed", 3, 4, 0.75, tuple(losses), tuple(checks))


# -- before it starts --------------------------------------------------------------------------------------------------


def test_what_stands_against_it_is_said(scripted, hardware):
    refusal = scripted.bpy.types.VMG_OT_train_plan.refusal
    assert refusal(scripted.bpy.context, scripted.scene) == "Choose footage first"
    scripted.add_footage()
    assert refusal(scripted.bpy.context, scripted.scene) == ""
    scripted.scene.vmg.footages[0].analyzed = False
    assert refusal(scripted.bpy.context, scripted.scene) == "The footage is not analyzed yet"


def test_it_needs_what_hminterp_needs(scripted, training, hardware, monkeypatch):
    monkeypatch.setattr(hardware.installation, "has_hminterp", lambda: False)
    assert training.refusal(scripted.scene) == "HMInterp is not set up"
    assert not scripted.ops.train.poll()


def test_it_waits_while_devices_are_looked_for_and_says_so(scripted, training, hardware):
    refusal = scripted.bpy.types.VMG_OT_train_plan.refusal
    session = scripted.session.session()
    looked = hardware.look(session)
    assert refusal(scripted.bpy.context, scripted.scene) == "Looking for devices"
    session.wait(looked)
    assert refusal(scripted.bpy.context, scripted.scene) == ""
    asked = training.ask(session, training.wish(scripted.scene, "Mia"), lambda: None)
    assert refusal(scripted.bpy.context, scripted.scene) == "Looking at what it would take"
    session.wait(asked)
    assert refusal(scripted.bpy.context, scripted.scene) == ""


def test_where_how_much_and_how_long_is_told_before(scripted, training):
    assert scripted.ops.train_plan() == {"FINISHED"}
    plan = training.training().plan
    said = training.facts(plan, "performer", thrifty=False)
    assert said == [
        ("Where: Card", True),
        ("Memory: up to 7.0 GB; 6.1 GB are free", False),
        ("Disk: up to 0.9 GB; 80.0 GB are free", True),
        ("Footage: 600 frames show the person well", True),
    ]
    assert ("Memory: up to 5.0 GB; 6.1 GB are free", True) in training.facts(plan, "performer", thrifty=True)
    assert plan.minutes == 30.0


def test_the_model_is_called_as_the_footage_and_as_no_other(scripted, training, hardware, records):
    assert training.usual_name(scripted.scene) == "performer"
    scripted.scene.vmg.footages[0].name = "Mia/Ärger: take #2.mp4"
    assert training.usual_name(scripted.scene) == "Ärger take 2"
    scripted.ops.hardware_look()
    scripted.scene.vmg.footages[0].name = "ann.mp4"
    assert training.usual_name(scripted.scene) == "ann 2"
    hardware.note_model(records.ModelHere("ann 2", "ann 2", ""))
    assert training.usual_name(scripted.scene) == "ann 3"


def test_the_request_says_what_the_preferences_chose(scripted, training, bpy):
    machine = bpy.context.preferences.addons[scripted.paths.PACKAGE].preferences
    machine.device, machine.precision = "cuda:0", "bf16"
    asked = training.wish(scripted.scene, "Mia", 20.0, thrifty=True)
    machine.device, machine.precision = "auto", "auto"
    assert (asked.device, asked.precision, asked.minutes, asked.thrifty) == ("cuda:0", "bf16", 20.0, True)
    assert [use.path.rpartition("/")[2] for use in asked.footages] == ["performer.mp4"]
    assert asked.recipe == "personal"


# -- how it ends -------------------------------------------------------------------------------------------------------


def test_a_model_that_wins_is_chosen_in_one_step_that_can_be_undone(scripted, training, hardware):
    scripted.ops.hardware_look()
    assert (scripted.scene.vmg.engine, scripted.scene.vmg.model) == ("flow", "")
    assert scripted.ops.train(name="Mia") == {"FINISHED"}
    assert (scripted.scene.vmg.engine, scripted.scene.vmg.model) == ("hminterp", "Mia")
    assert "Mia" in [name for name, *_ in hardware.model_choices("")]
    assert training.training().said == (
        "Near the person, Mia is 4.2 dB better than Fade and 1.3 dB better than Flow, in 6 gaps that it was not taught."
        " It is chosen."
    )
    scripted.bpy.ops.ed.undo()
    assert (scripted.scene.vmg.engine, scripted.scene.vmg.model) == ("flow", "")
    scripted.bpy.ops.ed.redo()
    assert scripted.scene.vmg.model == "Mia"


def test_a_model_that_does_not_win_is_in_the_menu_and_not_chosen(scripted, training, hardware):
    scripted.ops.hardware_look()
    scripted.scene.vmg.model = "bob"
    scripted.ops.train(name="worse")
    assert (scripted.scene.vmg.engine, scripted.scene.vmg.model) == ("flow", "bob")
    assert "worse" in [name for name, *_ in hardware.model_choices("bob")]
    assert "0.8 dB worse than Flow" in training.training().said
    assert "does not win" in training.training().said
    assert training.training().running is None


def test_the_only_model_stays_chosen_beside_one_that_does_not_win(scripted, training, hardware, records):
    hardware._note(records.Hardware((), (records.ModelHere("ann", "ann", ""),), "/models", ()))
    scripted.ops.train(name="worse")
    assert scripted.scene.vmg.model == "ann"


# -- while it runs -----------------------------------------------------------------------------------------------------


def begun(scripted, training, name="Mia", pause=0.15):
    scripted.slow(pause)
    job = training.start(scripted.scene, training.wish(scripted.scene, name))
    scripted.pump_until(lambda: training.training().learned is not None)
    return job


def test_the_curve_grows_while_it_runs_and_no_tick_takes_long(scripted, training):
    scripted.slow(0.05)
    job = training.start(scripted.scene, training.wish(scripted.scene, "Mia"))
    ours, seen, slowest = training.training(), [], 0.0
    while job.outcome is None:
        start = time.thread_time()
        scripted.session.session().pump()
        slowest = max(slowest, time.thread_time() - start)
        if ours.learned and ours.learned.done not in seen:
            seen.append(ours.learned.done)
            assert ours.icon.size == (160, 160)
        time.sleep(0.002)
    assert seen == [0.25, 0.5, 0.75, 1.0]
    print(f"slowest tick {1e3 * slowest:.1f} ms")
    assert slowest < 0.016  # half of it is what pump allows itself


def test_nothing_is_generated_meanwhile_and_the_reason_is_said(scripted, training):
    scripted.prepare()
    scripted.ops.suggest()
    begun(scripted, training)
    assert not scripted.ops.generate.poll()
    assert scripted.jobs.workflow().said_running == "“Train Mia” is running"
    with pytest.raises(scripted.errors.UserError, match="Train Mia"):
        scripted.jobs.generate(scripted.scene)
    scripted.ops.train_pause()
    scripted.pump_until(lambda: not scripted.session.session().busy)
    scripted.slow(0.3)
    job = scripted.jobs.generate(scripted.scene)
    assert not scripted.ops.train.poll()
    assert not scripted.ops.train_plan.poll()
    with pytest.raises(scripted.errors.UserError, match="is running"):
        training.start(scripted.scene, training.wish(scripted.scene, "Mia"))
    scripted.ops.job_cancel()
    scripted.pump_until(lambda: job.outcome is not None and not scripted.session.session().active)


def test_a_pause_is_there_within_a_second_and_resume_goes_on(scripted, training, hardware):
    job = begun(scripted, training)
    done = training.training().learned.done
    start = time.monotonic()
    assert scripted.ops.train_pause() == {"FINISHED"}
    scripted.pump_until(lambda: job.outcome is not None)
    assert time.monotonic() - start < 1.1
    assert training.training().running is None
    assert not scripted.ops.train_pause.poll()
    scripted.pump_until(lambda: not scripted.session.session().active)
    scripted.ops.hardware_look()
    (run,) = training.stopped()
    assert run.asked.name == "Mia"
    assert run.done >= done > 0
    assert (f"“Mia” was stopped at {run.done:.0%}: it goes on", True) in training.facts(
        scripted_plan(scripted, training), "Mia", thrifty=False
    )
    assert scripted.ops.train_resume(name="Mia") == {"FINISHED"}
    assert scripted.scene.vmg.model == "Mia"
    assert training.stopped() == []


def scripted_plan(scripted, training):
    scripted.ops.train_plan()
    return training.training().plan


def test_a_pause_leaves_what_waits_for_its_end(scripted, training):
    job = begun(scripted, training)
    scripted.jobs.analyze(scripted.scene)
    assert scripted.jobs.workflow().queued(scripted.scene)
    scripted.ops.train_pause()
    scripted.pump_until(lambda: job.outcome is not None and not scripted.jobs.workflow().busy)
    assert not scripted.jobs.workflow().queued(scripted.scene)
    assert scripted.session.session().failure is None


def test_a_backend_that_keeps_the_state_for_long_is_not_ended(scripted, training, monkeypatch):
    """A step of a large network on a processor, and its state, take longer than other jobs may."""
    monkeypatch.setattr(scripted.session, "LAST_PATIENCE", 0.0)
    monkeypatch.setattr(scripted.session, "PATIENCE", 0.05)
    job = begun(scripted, training, pause=0.5)
    process = scripted.session.session()._link.process
    monkeypatch.setattr(process, "cancel", lambda _: None)  # it does not listen yet
    scripted.ops.train_pause()
    scripted.pump_until(lambda: job.outcome is not None)
    follows = scripted.jobs.describe(scripted.scene)
    scripted.pump_until(lambda: follows.stage == "Waiting for what was cancelled")
    scripted.pump_until(lambda: follows.outcome is not None)
    assert follows.failure is None
    assert scripted.session.session()._link.process is process


def test_cancel_stops_and_deletes(scripted, training, hardware):
    job = begun(scripted, training)
    scripted.jobs.analyze(scripted.scene)  # which waits, and is not forgotten
    training.drop(scripted.scene, "Mia")
    scripted.pump_until(lambda: job.outcome is not None and not scripted.jobs.workflow().busy)
    assert not scripted.jobs.workflow().queued(scripted.scene)
    scripted.ops.hardware_look()
    assert training.stopped() == []
    assert (training.training().name, training.training().learned) == ("", None)
    assert scripted.session.session().failure is None


def test_a_stopped_training_can_be_deleted(scripted, training):
    begun(scripted, training)
    scripted.ops.train_pause()
    scripted.pump_until(lambda: not scripted.session.session().active)
    scripted.ops.hardware_look()
    assert scripted.ops.train_drop(name="Mia") == {"FINISHED"}
    assert training.stopped() == []
    with pytest.raises(RuntimeError, match="not there any more"):
        scripted.ops.train_resume(name="Mia")


def test_undo_and_another_file_leave_it_alone(scripted, training, tmp_path):
    job = begun(scripted, training)
    scripted.bpy.ops.ed.undo_push(message="edit")
    scripted.bpy.ops.ed.undo()
    assert job.outcome is None
    scripted.bpy.ops.wm.read_homefile(use_factory_startup=False, use_empty=True)
    assert training.training().running is not None
    scripted.pump_until(lambda: job.outcome is not None)
    assert job.failure is None
    assert training.training().said.endswith("It is chosen.") is False
    assert "in the menu" in training.training().said
    assert scripted.jobs.workflow().waiting == []
    assert [scene.vmg.model for scene in scripted.bpy.data.scenes if scene.vmg.model] == []


def test_one_whose_backend_dies_goes_on(scripted, training):
    """The same is asked again by itself; the backend knows how far it was, from its files."""
    job = begun(scripted, training)
    scripted.session.session()._link.process._signal(force=True)
    scripted.pump_until(lambda: job.outcome is not None)
    assert job.failure is None
    assert job.losses == 1
    assert scripted.scene.vmg.model == "Mia"


# -- the picture -------------------------------------------------------------------------------------------------------


@pytest.fixture
def curve(scripted):
    return importlib.import_module(f"{scripted.jobs.__package__}.curve")


def test_the_picture_shows_a_falling_loss_and_a_rising_validation(curve, records):
    losses = [(0, step / 10, 1.0 / (step + 1)) for step in range(6)] + [(1, 0.5 + step / 10, 0.5) for step in range(6)]
    picture = curve.drawn(learned(records, losses, [(0.6, 20.0), (1.0, 24.0)]))
    assert picture.shape == (160, 160, 3)

    def rows(colour, columns):
        return [np.flatnonzero((picture[:, column] == colour).all(-1)).mean() for column in columns]

    first = rows(curve._LOSSES[0], (5, 40, 70))
    assert first == sorted(first)  # row 0 lies on top
    assert first[0] < first[-1]
    checked = rows(curve._CHECK, (100, 155))
    assert checked[1] < checked[0]
    assert (picture[:, 159] == curve._LOSSES[1]).all(-1).any()


@pytest.mark.parametrize("losses", [[], [(0, 0.0, 0.3)], [(0, 0.1, 0.3), (0, 0.2, 0.3)], [(3, 1.0, 0.0)]])
def test_few_points_are_drawn_too(curve, records, losses):
    assert curve.drawn(learned(records, losses, [(1.0, 20.0)])).shape == (160, 160, 3)


@pytest.mark.serial
def test_the_longest_curve_is_drawn_within_a_tick(scripted, training, records):
    count = records.CURVE_POINTS
    losses = [(step * 4 // count, step / count, 1.0 / (step + 1)) for step in range(count)]
    message = learned(records, losses, [(step / count, 20.0 + step) for step in range(count)])
    data = records.as_json(message)
    begun_at = time.thread_time()
    training.training().hear(records.from_json(records.Learned, data))
    took = time.thread_time() - begun_at
    print(f"the longest curve {1e3 * took:.2f} ms")
    assert took < 0.008
