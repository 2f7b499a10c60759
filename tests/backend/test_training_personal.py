"""A model of one person: the whole chain, and the guide's commands."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vmg_backend import sample
from vmg_backend.background.matte import PersonMatte
from vmg_backend.cli import main
from vmg_backend.errors import UserError
from vmg_backend.interpolation.hminterp import engine
from vmg_backend.interpolation.hminterp.config import hashes_of
from vmg_backend.interpolation.hminterp.memory import THRIFTS
from vmg_backend.interpolation.hminterp.opening import model_folder
from vmg_backend.jobs import Source, analyze
from vmg_backend.library import FootageLibrary
from vmg_backend.models import MODELS_VARIABLE, own_models
from vmg_backend.training.hminterp import personal
from vmg_backend.training.hminterp.personal import VALIDATION, train_on
from vmg_backend.training.hminterp.recipes import RECIPES, TINY
from vmg_backend.training.hminterp.runs import Moment, Run
from vmg_backend.training.hminterp.trainer import Means, Trainer
from vmg_backend.training.hminterp.validation import wins

SMALLEST = replace(
    TINY,
    config=replace(TINY.config, frames=6, size=32, channels=(32, 32)),
    stages=tuple(replace(stage, steps=2) for stage in TINY.stages),
    guide=1,
)
GUIDE = Path(__file__).parents[2] / "docs" / "training.md"


def hurried(monkeypatch: pytest.MonkeyPatch, middle: type[PersonMatte]) -> None:
    """Leave out what takes long, and nothing here depends on."""
    for name in ("__enter__", "__exit__", "matte"):  # hundreds of pictures are cut out
        monkeypatch.setattr(PersonMatte, name, vars(middle)[name])
    monkeypatch.setattr(Trainer, "costs", [1.0] * len(SMALLEST.stages))  # no step is tried,
    monkeypatch.setattr(engine, "plan", lambda *_, **__: THRIFTS[0])  # and no memory rehearsed
    monkeypatch.setitem(RECIPES, "tiny", SMALLEST)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, middle: type[PersonMatte]) -> Path:
    hurried(monkeypatch, middle)
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.mark.long
def test_a_training_ends_as_a_judged_model_wherever_it_was_killed(
    models: Path, tmp_path: Path, dance: tuple[Path, FootageLibrary], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the disk holds at a moment is what a process leaves that is killed then."""
    footage, library = dance
    analyses = analyze([Source(footage)], library)
    judge, write, killed = personal.judged, personal.write_json, tmp_path / "killed"

    def judging(*words: Any) -> dict[str, Any]:
        assert not own_models()
        assert Run(models / "runs" / "Mia" / "run", Run.recipe_of(models / "runs" / "Mia" / "run")).moment == Moment(
            4, 0
        )
        return judge(*words)

    def writing(path: Path, value: object) -> None:  # the last of all files
        shutil.copytree(models, killed)
        write(path, value)

    with monkeypatch.context() as patched:
        patched.setattr(personal, "judged", judging)
        patched.setattr(personal, "write_json", writing)
        trained = train_on(analyses, library, "Mia", SMALLEST, means=Means(cpu=True))
    assert trained.model == model_folder("Mia") == models / "hminterp" / "Mia"
    result = json.loads((trained.model / VALIDATION).read_text())
    assert set(result["means"]["all"]) == {"hminterp", "fade", "flow"}
    assert len(result["gaps"]) >= 2
    assert not trained.better  # eight steps make no model: were it better, the comparison would be broken
    differences = [gap["hminterp"]["person_psnr"] - gap["flow"]["person_psnr"] for gap in result["gaps"]]
    assert result["over"]["flow"]["mean"] == pytest.approx(np.mean(differences), abs=1e-3)
    with pytest.raises(UserError, match="already"):
        train_on(analyses, library, "Mia", SMALLEST)

    monkeypatch.setenv(MODELS_VARIABLE, str(killed))
    assert list(killed.glob("hminterp/.vmg-*/config.json"))  # it was in the midst of it
    assert not own_models()
    monkeypatch.setattr(personal, "judged", lambda *_: {name: result[name] for name in ("gaps", "means", "over")})
    again = train_on(analyses, library, "Mia", SMALLEST, means=Means(cpu=True))
    assert own_models() == [again.model]
    assert again.result == result
    assert hashes_of(again.model) == hashes_of(trained.model)


@pytest.mark.long
def test_the_guides_commands_run(
    models: Path, tmp_path: Path, dance: tuple[Path, FootageLibrary], monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"```\n(vmg .*?)\n```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    assert [command.split()[1] for command in commands] == ["train", "train", "cut", "train", "train"]
    monkeypatch.chdir(tmp_path)
    footage, library = dance
    shutil.copyfile(footage, "dance.mp4")
    shutil.copyfile(sample.MUSIC, "song.ogg")
    real = ("--name Mia", "--name Mia-stage")  # at their real size: days without a GPU
    for command in (command for command in commands if not command.endswith(real)):
        words = [*shlex.split(command)[1:], "--library", str(library.root)]
        if words[0] == "cut":
            words += ["--seconds", "4", "--beats", str(sample.BEATS)]
        assert main(words) == 0, command
    assert Path("film.mp4").stat().st_size > 10_000


def test_a_model_wins_only_over_all_others() -> None:
    def result(fade: float, flow: float) -> dict[str, object]:
        return {"over": {"fade": {"mean": fade}, "flow": {"mean": flow}}}

    assert wins(result(1.0, 0.1))
    assert not wins(result(1.0, -0.1))
    assert not wins(result(0.0, 1.0))
