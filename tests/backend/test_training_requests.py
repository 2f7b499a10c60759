"""What Blender asks of trainings: what one would take, to train, to go on with what was stopped, to forget it."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.backend.test_training_personal import SMALLEST, hurried
from tests.backend.test_training_trainer import LESSONS, recipe_of
from vmg_backend import protocol, sample
from vmg_backend.background.matte import PersonMatte
from vmg_backend.errors import Cancelled, UserError
from vmg_backend.interpolation.hardware import hardware
from vmg_backend.interpolation.hminterp.config import hashes_of
from vmg_backend.interpolation.hminterp.memory import Live, bytes_of
from vmg_backend.interpolation.hminterp.model import HMInterp
from vmg_backend.interpolation.hminterp.opening import model_folder
from vmg_backend.jobs import Source, analyze
from vmg_backend.library import FootageLibrary
from vmg_backend.models import MODELS_VARIABLE, OWN, own_models
from vmg_backend.protocol import CURVE_POINTS, FootageUse, Look, Train, Trained
from vmg_backend.server import Call
from vmg_backend.service import Service
from vmg_backend.training.hminterp import begun, personal, requests
from vmg_backend.training.hminterp.clips import Batch
from vmg_backend.training.hminterp.objectives import OBJECTIVES
from vmg_backend.training.hminterp.personal import VALIDATION
from vmg_backend.training.hminterp.preparing import differs, foresee, prepare
from vmg_backend.training.hminterp.recipes import TINY
from vmg_backend.training.hminterp.rehearsal import rehearsed
from vmg_backend.training.hminterp.runs import Curves, Moment, Run, run_folder


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


def asked(name: str = "Mia", library: str = "") -> Train:
    return Train(name, (FootageUse(str(sample.PERFORMER)),), device="cpu", recipe="tiny", library=library)


# -- memory ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1, 3])
def test_what_is_rehearsed_is_what_is_alive_with_numbers(number: int) -> None:
    recipe = replace(recipe_of(), stages=LESSONS[number : number + 1])
    (stage,), config = recipe.stages, recipe.config
    model = HMInterp.build(config)
    for name, part in model.named_children():
        part.requires_grad_(name in stage.trained).train(name in stage.trained)
    learning = bytes_of(one for one in model.parameters() if one.requires_grad)
    objective, live = OBJECTIVES[stage.aim](model, stage), Live()
    frames, cells = 1 if stage.aim == "autoencoder" else config.frames, config.size // config.factor
    with live:
        size = (stage.batch, frames, 3, config.size, config.size)
        latents = torch.rand(stage.batch, frames, config.latent_channels, cells, cells)
        weights = torch.ones(stage.batch, 1, frames, cells, cells)
        batch = Batch(torch.rand(size), torch.rand(size).transpose(1, 2), weights, latents if frames > 1 else None)
        objective(batch, torch.Generator().manual_seed(0)).backward()
    need = rehearsed(recipe, False)
    assert need.weights == bytes_of(model.parameters())
    assert need.working + learning == pytest.approx(live.peak, rel=0.05)
    assert need.peak > need.weights + learning + need.working
    assert need.at(0.5) == need.peak - round(need.working / 2)
    if number == 3:
        assert rehearsed(recipe, True).working < 0.9 * need.working


# -- trainings that are not done ---------------------------------------------------------------------------------------


def test_what_was_stopped_can_be_asked_for_again_until_it_is_done(models: Path) -> None:
    begun.note(asked("Mia"))
    begun.note(replace(asked("Ann"), thrifty=True, minutes=20.0))
    Run(run_folder("Ann") / "run", TINY).save(Moment(1, 1), {"weights": {}})
    ann, mia = begun.stopped()
    assert ann == protocol.StoppedRun(replace(asked("Ann"), thrifty=True, minutes=20.0), 5 / 11)
    assert mia == protocol.StoppedRun(asked("Mia"), 0.0)

    (run_folder("Mia") / "asked.json").write_text('{"name": "Mia", "of another version": 1}')
    (run_folder("Zoe")).mkdir()
    assert begun.stopped() == (ann,)
    (models / OWN / "Ann").mkdir(parents=True)
    assert begun.stopped() == ()


def test_forgetting_deletes_what_was_begun_and_nothing_else(models: Path) -> None:
    begun.note(asked("Mia"))
    Run(run_folder("Mia") / "run", TINY)
    (models / "runs" / "terminal").mkdir()
    for name in ("terminal", "..", "Zoe"):
        with pytest.raises(UserError, match="no training"):
            begun.forget(name)
    begun.forget("Mia")
    assert [file.name for file in (models / "runs").iterdir()] == ["terminal"]


# -- what is told while it runs ----------------------------------------------------------------------------------------


def test_whoever_listens_hears_all_lines_after_each_and_the_old_ones_first(tmp_path: Path) -> None:
    run, heard = Run(tmp_path / "run", TINY), []

    def hear(lines: Sequence[Mapping[str, Any]]) -> None:
        heard.append([(line["number"], line["step"]) for line in lines])

    curves = Curves(run, None, hear)
    for step in (1, 2, 3):
        curves.tell(Moment(0, step), "autoencoder", loss=1.0)
    assert heard == [[(0, 1)], [(0, 1), (0, 2)], [(0, 1), (0, 2), (0, 3)]]
    heard.clear()
    Curves(run, Moment(0, 2), hear)
    assert heard == [[(0, 1), (0, 2)]]


@pytest.mark.parametrize("points", [3, CURVE_POINTS, 2503])
def test_a_curve_is_thinned_to_means_of_its_stages(points: int) -> None:
    recipe = replace(TINY, stages=tuple(replace(stage, steps=points) for stage in TINY.stages))
    lines = [
        {"number": number, "stage": stage.name, "step": step + 1, "loss": float(number * points + step)}
        for number, stage in enumerate(recipe.stages[:3])
        for step in range(points)
    ]
    lines.append({"number": 2, "stage": "seed", "step": points, "person_psnr": 21.5})
    lines.append({"number": 2, "stage": "seed", "step": points, "person_psnr": float("inf")})
    learned = requests._learned(7, recipe, lines)
    assert 3 * min(points, CURVE_POINTS // 8) <= len(learned.losses) <= CURVE_POINTS
    assert (learned.request, learned.stage, learned.step, learned.steps, learned.done) == (
        7,
        "seed",
        points,
        points,
        0.75,
    )
    shares = [share for _, share, _ in learned.losses]
    assert shares == sorted(shares)
    for number, share, loss in learned.losses:
        assert loss == pytest.approx(share * 4 * points - 1)  # the loss was the number of the step
        assert number * points <= loss < (number + 1) * points
    assert learned.checks == ((0.75, 21.5),)
    sent = protocol.from_json(protocol.Learned, protocol.as_json(learned))
    assert sent == learned


# -- with footage ------------------------------------------------------------------------------------------------------


def test_what_it_takes_is_told_without_decoding(
    models: Path, dance: tuple[Path, FootageLibrary], monkeypatch: pytest.MonkeyPatch
) -> None:
    footage, library = dance
    small = replace(SMALLEST, stages=SMALLEST.stages[:1])
    monkeypatch.setattr(requests, "RECIPES", {"tiny": small})
    part = (0, 59)
    use = FootageUse(str(footage), ranges=(part,))
    plan = requests.plan_training(replace(asked(library=str(library.root)), footages=(use,)))
    assert (plan.device, plan.memory_thrifty) == ("CPU", plan.memory)
    assert "days" in plan.remark
    assert Path(plan.folder) == models / "runs" / "Mia"
    assert not Path(plan.folder).exists()

    analyses = analyze([Source(footage, ranges=(part,))], library)
    foreseen = foresee(analyses, small.config)
    clips = prepare(analyses, small.config, models / "clips", held_out=())
    written = sum(file.stat().st_size for file in (models / "clips").glob("*.npy"))
    assert foreseen.size == clips.size
    assert foreseen.frames == plan.frames
    assert 0.99 * written < foreseen.bytes < 1.1 * written
    assert foreseen.bytes < plan.disk < foreseen.bytes + 3e8


def test_footage_without_poses_is_refused(models: Path, tmp_path: Path, dance: tuple[Path, FootageLibrary]) -> None:
    wish = replace(asked(library=str(tmp_path / "library")), footages=(FootageUse(str(dance[0])),))
    with pytest.raises(UserError, match="not analyzed"):
        requests.plan_training(wish)
    with pytest.raises(UserError, match="no recipe"):
        requests.plan_training(replace(wish, recipe="none"))


def test_clips_of_other_footage_are_told(tmp_path: Path, dance: tuple[Path, FootageLibrary]) -> None:
    """A run of that name would go on with what it never saw."""
    footage, library = dance
    some, other = (analyze([Source(footage, ranges=(part,))], library) for part in ((0, 29), (0, 39)))
    assert not differs(some, SMALLEST.config, tmp_path / "clips")
    prepare(some, SMALLEST.config, tmp_path / "clips")
    assert not differs(some, SMALLEST.config, tmp_path / "clips")
    assert differs(other, SMALLEST.config, tmp_path / "clips")
    assert differs(some, replace(SMALLEST.config, size=32), tmp_path / "clips")


@pytest.mark.long
def test_a_training_pauses_survives_a_killed_backend_and_ends_as_a_judged_model(
    models: Path,
    tmp_path: Path,
    dance: tuple[Path, FootageLibrary],
    middle: type[PersonMatte],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the disk holds at a moment is what a process leaves that is killed then."""
    hurried(monkeypatch, middle)
    footage, library = dance
    wish = replace(asked(library=str(library.root)), footages=(FootageUse(str(footage)),))
    service, cancelled, sent, killed = Service(), threading.Event(), [], tmp_path / "killed"

    def pause(message: dict[str, Any]) -> None:
        sent.append(message)
        if len(sent) == 1 or message["method"] == "learned":
            assert [run.asked for run in hardware(Look()).runs] == [wish]
        if message["method"] == "learned":
            cancelled.set()

    with pytest.raises(Cancelled):
        service.train(wish, Call(1, cancelled, pause))
    before = sent[-1]["params"]
    assert (before["request"], own_models()) == (1, [])
    (run,) = hardware(Look()).runs
    assert run.asked == wish
    assert run.done >= before["done"] > 0.0

    judge, write = personal.judged, personal.write_json

    def judging(*words: Any) -> dict[str, Any]:
        assert not own_models()
        run = run_folder("Mia") / "run"
        assert Run(run, Run.recipe_of(run)).moment == Moment(4, 0)
        return judge(*words)

    def writing(path: Path, value: object) -> None:  # the last of all files
        shutil.copytree(models, killed)
        write(path, value)

    sent.clear()
    with monkeypatch.context() as patched:
        patched.setattr(personal, "judged", judging)
        patched.setattr(personal, "write_json", writing)
        trained = service.train(wish, Call(2, threading.Event(), sent.append))
    learned = [message["params"] for message in sent if message["method"] == "learned"]
    assert learned[0]["done"] >= run.done
    assert learned[-1]["done"] == 1.0
    assert len(learned[-1]["losses"]) >= 3
    assert protocol.from_json(Trained, protocol.as_json(trained)) == trained
    assert trained.model.name == "Mia"
    assert not trained.better  # eight steps make no model: were it better, the comparison would be broken
    result = json.loads((model_folder("Mia") / VALIDATION).read_text())
    assert set(result["means"]["all"]) == {"hminterp", "fade", "flow"}
    assert len(result["gaps"]) >= 2
    differences = [gap["hminterp"]["person_psnr"] - gap["flow"]["person_psnr"] for gap in result["gaps"]]
    assert trained.over == {other: interval["mean"] for other, interval in result["over"].items()}
    assert trained.over["flow"] == pytest.approx(np.mean(differences), abs=1e-3)
    here = hardware(Look())
    assert [model.name for model in here.models] == ["Mia"]
    assert here.runs == ()
    assert not (run_folder("Mia") / "clips").exists()
    with pytest.raises(UserError, match='There is a model "Mia" already'):
        service.train(wish, Call(3, threading.Event(), sent.append))
    with pytest.raises(UserError, match="no training"):
        service.forget_run(protocol.RunName("Mia"), Call(4, threading.Event(), sent.append))

    hashes = hashes_of(model_folder("Mia"))
    monkeypatch.setenv(MODELS_VARIABLE, str(killed))
    assert list(killed.glob("hminterp/.vmg-*/config.json"))  # it was in the midst of it
    assert not own_models()
    monkeypatch.setattr(personal, "judged", lambda *_: {name: result[name] for name in ("gaps", "means", "over")})
    again = service.train(wish, Call(5, threading.Event(), sent.append))
    assert own_models() == [model_folder("Mia")]
    assert json.loads((model_folder("Mia") / VALIDATION).read_text()) == result
    assert (again.over, hashes_of(model_folder("Mia"))) == (trained.over, hashes)
