"""What engines with a model choose from, in the panels' menus; what a transition is becoming, in a small picture."""

import dataclasses
import gc
import importlib
import time

import numpy as np
import pytest


@pytest.fixture
def machine(bpy, scripted):
    """The preferences, as they are at first."""
    chosen = bpy.context.preferences.addons[scripted.paths.PACKAGE].preferences
    yield chosen
    chosen.device, chosen.precision = "auto", "auto"


@pytest.fixture
def take(scripted, hardware):
    """A take with transitions to fill by HMInterp."""
    scripted.prepare()
    scripted.ops.suggest()
    scripted.scene.vmg.engine, scripted.scene.vmg.model = "hminterp", "ann"
    return scripted


def known_with(hardware, records, *names):
    models = tuple(records.ModelHere(name, name, "") for name in names)
    hardware._surveys[-1].found = records.Hardware((), models, "/models", ())


# -- what is asked -----------------------------------------------------------------------------------------------------


def test_the_backend_is_asked_once_and_then_by_the_person(scripted, hardware, monkeypatch):
    assert hardware.due()
    assert hardware.known() is None
    assert scripted.ops.hardware_look() == {"FINISHED"}
    assert [model.name for model in hardware.known().models] == ["ann", "bob"]
    assert not hardware.due()
    hardware.forget()
    assert hardware.due()
    monkeypatch.setattr(hardware.installation, "has_hminterp", lambda: False)
    assert not hardware.due()  # the marker of our own environment has told already


def test_one_that_fails_is_not_asked_again_and_again(scripted, hardware, monkeypatch):
    monkeypatch.setattr(scripted.session.session(), "_command", lambda: ["/nowhere/python"])
    with pytest.raises(RuntimeError, match="cannot be started"):
        scripted.ops.hardware_look()
    assert hardware.known() is None
    assert not hardware.due()


def test_it_is_asked_anew_when_a_job_has_ended_and_when_another_model_is_chosen(scripted, hardware):
    """Free memory is told where a panel shows it, without anybody looking again and again."""
    scripted.ops.hardware_look()
    assert not hardware.due()
    scripted.prepare()
    assert hardware.due()  # footage was analysed
    hardware.look(scripted.session.session())
    assert not hardware.due()  # it is being asked
    scripted.pump_until(lambda: not scripted.session.session().asking)
    assert not hardware.due()
    scripted.scene.vmg.model_choice = "bob"
    assert hardware.due()


def test_looking_holds_nobody_up(take, hardware):
    """While devices are looked for, buttons can be pressed; while a job runs, devices can be looked for."""
    shown, session = take.bpy.context.window_manager.vmg, take.session.session()
    take.slow(0.5)
    job = take.jobs.generate(take.scene)
    assert take.ops.hardware_look.poll()
    question = hardware.look(session)
    assert session.job is job
    session.pump()
    assert shown.asking
    assert not take.ops.hardware_look.poll()
    take.pump_until(lambda: job.outcome is not None and not session.asking)
    assert (job.failure, question.failure, hardware.known() is not None) == (None, None, True)
    assert not shown.asking

    hardware.look(session)
    assert not session.busy
    assert take.ops.suggest.poll()
    assert take.ops.generate.poll()


def test_a_failed_question_is_shown_and_takes_no_message_away(scripted, hardware, monkeypatch):
    session = scripted.session.session()
    session.failure = before = scripted.session.Failure.of(scripted.errors.UserError("Too little memory.", "Close it."))
    scripted.ops.hardware_look()
    assert session.failure is before
    session.stop_backend()
    monkeypatch.setattr(session, "_command", lambda: ["/nowhere/python"])
    question = hardware.look(session)
    scripted.pump_until(lambda: not session.asking)
    assert session.failure is question.failure
    assert "cannot be started" in scripted.bpy.context.window_manager.vmg.failure_message


# -- models that lie elsewhere -----------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(machine, tmp_path):
    folder = tmp_path / "my models é" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").touch()
    yield folder
    machine.model_folders.clear()


def test_a_model_of_ones_own_folder_is_chosen_and_stays_in_the_menu(take, hardware, machine, elsewhere, records):
    take.ops.hardware_look()
    assert take.ops.model_add(directory=f"{elsewhere}/") == {"FINISHED"}
    assert take.scene.vmg.model == take.scene.vmg.model_choice == str(elsewhere)
    assert hardware.engine_choice(take.scene).model == str(elsewhere)
    assert [folder.path for folder in machine.model_folders] == [str(elsewhere)]
    assert take.bpy.context.preferences.is_dirty
    take.ops.model_add(directory=str(elsewhere))
    assert len(machine.model_folders) == 1

    take.scene.vmg.model_choice = "ann"
    assert not take.ops.model_forget.poll()
    hardware.forget()
    take.ops.hardware_look()
    assert [choice[1] for choice in hardware.model_choices("ann")] == ["ann", "bob", "mine"]
    take.scene.vmg.model_choice = str(elsewhere)
    assert take.ops.model_forget() == {"FINISHED"}
    assert (take.scene.vmg.model, len(machine.model_folders)) == ("", 0)
    assert [model.name for model in hardware.known().models] == ["ann", "bob"]
    assert elsewhere.exists()


def test_a_folder_without_a_model_is_refused_in_a_sentence(take, machine, tmp_path):
    with pytest.raises(RuntimeError, match=r"holds no model\. Choose another"):
        take.ops.model_add(directory=str(tmp_path))
    assert (take.scene.vmg.model, len(machine.model_folders)) == ("ann", 0)
    assert take.bpy.context.window_manager.vmg.failure_title == "No model there"


# -- remedies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "own", "there", "action"),
    [
        ("NOT_INSTALLED", True, False, "vmg.hminterp_set_up"),
        ("NOT_INSTALLED", True, True, "vmg.environment_repair"),
        ("NOT_INSTALLED", False, None, ""),
        ("NO_MODEL", True, True, "vmg.model_add"),
    ],
)
def test_errors_have_blenders_own_remedy(scripted, hardware, records, monkeypatch, title, own, there, action):
    installation = hardware.installation
    monkeypatch.setattr(installation, "has_hminterp", lambda: there)
    monkeypatch.setattr(scripted.paths, "existing_python", lambda: None if own else "/env/bin/python")
    failure = installation.explained(
        installation.Failure(records.Explanation(getattr(records, title), "It lacks torch.", "pip install it."))
    )
    assert (failure.action, failure.explanation.message) == (action, "It lacks torch.")
    assert ("pip" in failure.explanation.remedy) == (not action)
    assert not action or getattr(scripted.ops, action.removeprefix("vmg.")).get_rna_type()  # there is such an operator


# -- menus -------------------------------------------------------------------------------------------------------------


def test_the_menu_of_models_keeps_the_name(scripted, hardware, records):
    settings = scripted.scene.vmg
    assert settings.model_choice == "-"
    scripted.ops.hardware_look()
    assert settings.model_choice == "-"  # there are two
    settings.model_choice = "bob"
    assert settings.model == "bob"
    with pytest.raises(TypeError):
        settings.model_choice = "carl"

    known_with(hardware, records, "aaron", "ann", "bob")  # it has another place now
    assert settings.model_choice == "bob"
    known_with(hardware, records, "ann")
    assert settings.model_choice == "bob"
    assert ("bob", "bob (not found)") in [item[:2] for item in hardware.items(hardware.model_choices("bob"))]
    hardware.forget()
    assert settings.model_choice == "bob"
    known_with(hardware, records, "ann")
    settings.model_choice = "ann"
    assert settings.model == "ann"


def test_the_only_model_needs_no_choice(scripted, hardware, records):
    known_with(hardware, records, "ann")
    scripted.scene.vmg.engine = "hminterp"
    assert scripted.scene.vmg.model_choice == "ann"
    assert hardware.refusal(scripted.scene) == ""
    assert hardware.engine_choice(scripted.scene).model == "ann"  # it may lie elsewhere


def test_engines_with_models_of_their_own_take_none_and_say_what_is_not_downloaded(scripted, hardware, records):
    known_with(hardware, records, "ann")
    settings = scripted.scene.vmg
    settings.engine, settings.model, settings.quality = "vace", "ann", "draft"
    assert hardware.engine_choice(scripted.scene) == records.EngineChoice("vace", "", "draft", "auto", "auto")
    assert hardware.refusal(scripted.scene) == ""
    found = hardware.known()
    hardware._note(dataclasses.replace(found, lacking=(records.Lacking("vace", ("wan-vace",)),)))
    assert hardware.lacking("vace") == ("wan-vace",)
    assert "not downloaded" in hardware.refusal(scripted.scene)
    settings.engine = "sparsectrl"
    assert hardware.refusal(scripted.scene) == ""


def test_the_texts_of_a_menu_live_on(scripted, hardware, records):
    """Blender refers to them and keeps no reference of its own."""
    settings = scripted.scene.vmg
    for turn in range(200):
        known_with(hardware, records, *("".join(["Zo\u00eb ", str(number % 7), " \u00fc" * 20]) for number in range(5)))
        names = [model.name for model in hardware.known().models]
        settings.model_choice = names[turn % 5]
        gc.collect(0)
        junk = [f"other text {turn} {number}" * 3 for number in range(50)]
        assert settings.model_choice == settings.model == names[turn % 5]
        assert junk


def test_device_and_precision_belong_to_the_machine(scripted, hardware, records, machine):
    settings = scripted.scene.vmg
    assert hardware.engine_choice(scripted.scene) == records.EngineChoice("flow")
    settings.engine, settings.model, settings.quality = "hminterp", "bob", "draft"
    assert hardware.engine_choice(scripted.scene) == records.EngineChoice("hminterp", "bob", "draft", "auto", "auto")
    scripted.ops.hardware_look()
    assert (machine.device_choice, hardware.device("auto").label) == ("auto", "Card")
    machine.device_choice, machine.precision = "cuda:0", "fp16"
    assert hardware.engine_choice(scripted.scene) == records.EngineChoice("hminterp", "bob", "draft", "cuda:0", "fp16")
    hardware.forget()
    assert (machine.device_choice, machine.device) == ("cuda:0", "cuda:0")
    known_with(hardware, records)
    assert hardware.device("cuda:0") is None


@pytest.mark.parametrize(
    ("names", "model", "said"),
    [
        ((), "", "There is no model for HMInterp"),
        (("ann", "bob"), "", "Choose a model"),
        (("ann", "bob"), "bob", ""),
        (("ann",), "", ""),
    ],
)
def test_generate_says_what_hminterp_lacks(take, hardware, records, names, model, said):
    take.scene.vmg.model = model
    known_with(hardware, records, *names)
    operator = take.bpy.types.VMG_OT_generate
    assert operator.refusal(take.bpy.context, take.scene) == said
    take.scene.vmg.engine = "flow"
    assert operator.refusal(take.bpy.context, take.scene) == ""


def test_generate_says_that_hminterp_is_not_set_up(take, hardware, monkeypatch):
    assert hardware.refusal(take.scene) == ""  # nobody knows yet: the backend will say
    monkeypatch.setattr(hardware.installation, "has_hminterp", lambda: False)
    assert hardware.refusal(take.scene) == "HMInterp is not set up"


# -- memory ------------------------------------------------------------------------------------------------------------


def test_a_held_model_can_be_released(take, hardware):
    shown = take.bpy.context.window_manager.vmg
    assert not take.ops.memory_release.poll()
    take.ops.generate()
    assert shown.held == "hminterp"
    assert take.ops.memory_release() == {"FINISHED"}
    assert shown.held == ""
    assert hardware.known().devices[0].free == 6_100_000_000
    assert not take.ops.memory_release.poll()
    take.ops.generate.poll()


def test_a_model_goes_with_its_process(take):
    take.ops.generate()
    take.session.session().stop_backend()
    take.session.session().pump()
    assert take.bpy.context.window_manager.vmg.held == ""
    assert not take.ops.memory_release.poll()


# -- the picture -------------------------------------------------------------------------------------------------------


@pytest.fixture
def picture(scripted):
    return importlib.import_module(f"{scripted.jobs.__package__}.picture").picture()


def test_what_is_becoming_is_shown_while_it_is_made(take, picture):
    take.slow(0.3)
    job = take.jobs.generate(take.scene)
    seen, slowest = {}, 0.0
    while job.outcome is None:
        begun = time.thread_time()
        take.session.session().pump()
        slowest = max(slowest, time.thread_time() - begun)
        if picture.transition is not None:
            seen[picture.transition] = picture.size
        time.sleep(0.005)
    print(f"slowest tick {1e3 * slowest:.1f} ms")
    assert list(seen.values()) == [(16, 24)] * take.counts()[0]
    assert len(seen) > 2
    assert picture.transition is None
    assert take.counts()[:2] == (len(seen), len(seen))


def test_a_cancelled_job_takes_its_picture_away(take, picture):
    take.slow(5.0)
    job = take.jobs.generate(take.scene)
    take.pump_until(lambda: picture.transition is not None)
    take.ops.job_cancel()
    take.pump_until(lambda: job.outcome is not None and not take.session.session().active)
    assert picture.transition is None


def test_pixels_are_those_of_the_file(picture, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 10, 3), np.uint8)
    np.save(tmp_path / "a.npy", pixels)
    picture.show(3, tmp_path / "a.npy")
    assert (picture.transition, picture.size) == (3, (10, 20))
    (icon,) = picture._icons.values()
    shown = np.array(icon.image_pixels, np.int32).view(np.uint8).reshape(20, 10, 4)
    assert np.array_equal(shown[::-1, :, :3], pixels)  # Blender counts rows from below
    assert (shown[..., 3] == 255).all()
    picture.clear()
    assert (picture.transition, picture.size, picture.icon) == (None, (0, 0), 0)


def test_what_is_gone_or_no_picture_is_passed_over(picture, tmp_path):
    (tmp_path / "b.npy").write_bytes(b"\x93NUMPY")
    for name in ("gone.npy", "b.npy"):
        picture._next = 0.0
        picture.show(1, tmp_path / name)
        assert picture.transition is None


def test_a_flood_of_pictures_costs_no_more_than_a_few(picture, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(30):
        np.save(tmp_path / f"{number}.npy", rng.integers(0, 256, (192, 192, 3), np.uint8))
    slowest, shown = 0.0, set()
    begun_all = time.monotonic()
    for number in range(30):
        begun = time.thread_time()
        picture.show(number, tmp_path / f"{number}.npy")
        slowest = max(slowest, time.thread_time() - begun)
        shown.add(picture.transition)
    print(f"slowest picture {1e3 * slowest:.2f} ms")
    assert slowest < 0.008
    assert len(shown) <= 1 + (time.monotonic() - begun_all) / 0.05
    picture.clear()
