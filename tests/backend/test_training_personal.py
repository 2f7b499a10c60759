"""The guide's commands: models of one person, and what is made of them."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.backend.test_training_trainer import SMALL_CONFIG
from vmg_backend import sample
from vmg_backend.background.matte import PersonMatte
from vmg_backend.cli import main
from vmg_backend.interpolation.hminterp import engine
from vmg_backend.interpolation.hminterp.memory import THRIFTS
from vmg_backend.interpolation.hminterp.opening import model_folder
from vmg_backend.library import FootageLibrary
from vmg_backend.models import MODELS_VARIABLE, own_models
from vmg_backend.training.hminterp import personal, trainer
from vmg_backend.training.hminterp.one_shot import RECIPES as LESSONS
from vmg_backend.training.hminterp.one_shot import TWO_STAGES
from vmg_backend.training.hminterp.recipes import PERSONAL, RECIPES, TINY
from vmg_backend.training.hminterp.trainer import Trainer
from vmg_backend.training.hminterp.validation import wins

SMALLEST = replace(
    TINY,
    config=replace(SMALL_CONFIG, frames=14, pose_style="vmg", steps=2),  # a gap is made at once; skeletons are small
    stages=tuple(replace(stage, steps=2) for stage in TINY.stages),
    guide=1,
)
GUIDE = Path(__file__).parents[2] / "docs" / "training.md"


def hurried(monkeypatch: pytest.MonkeyPatch, middle: type[PersonMatte]) -> None:
    """Leave out what takes long, and nothing here depends on."""
    for name in ("__enter__", "__exit__", "matte"):  # hundreds of pictures are cut out
        monkeypatch.setattr(PersonMatte, name, vars(middle)[name])
    costs = property(lambda it: [1.0] * len(it._recipe.stages))
    monkeypatch.setattr(Trainer, "costs", costs)  # no step is tried,
    monkeypatch.setattr(trainer, "_MEASURED", 8)
    monkeypatch.setattr(engine, "plan", lambda *_, **__: THRIFTS[0])  # and no memory rehearsed
    monkeypatch.setitem(RECIPES, "tiny", SMALLEST)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, middle: type[PersonMatte]) -> Path:
    hurried(monkeypatch, middle)
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.mark.long
def test_the_guides_commands_run(
    models: Path, tmp_path: Path, dance: tuple[Path, FootageLibrary], monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"```\n(vmg .*?)\n```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    assert [command.split()[1] for command in commands] == ["train", "train", "cut", "train", "train"]
    stages = tuple(replace(stage, steps=1, batch=1, accumulate=1) for stage in PERSONAL.stages)
    for recipe in ("personal", "tiny"):
        monkeypatch.setitem(RECIPES, recipe, replace(SMALLEST, stages=stages, guide=0))
    monkeypatch.setitem(LESSONS, TWO_STAGES.name, TWO_STAGES.scaled(1 / 300))
    worse = {"gaps": [], "means": {"all": {}}, "over": {"flow": {"mean": -1.0}}}
    monkeypatch.setattr(personal, "judged", lambda *_: worse)  # done in earnest for the one-shot tuning
    monkeypatch.chdir(tmp_path)
    footage, library = dance
    shutil.copyfile(footage, "dance.mp4")
    shutil.copyfile(sample.MUSIC, "song.ogg")
    for command in commands:
        words = [*shlex.split(command)[1:], "--library", str(library.root)]
        if words[0] == "cut":
            words += ["--seconds", "4", "--beats", str(sample.BEATS)]
        if command.endswith("--recipe tiny"):  # of the same name as the one before, whose run it goes on with
            shutil.rmtree(model_folder("Mia"))
        assert main(words) == 0, command
    assert Path("film.mp4").stat().st_size > 10_000
    assert {folder.name for folder in own_models()} == {"Mia", "Mia-stage", "Mia-more"}


def test_a_model_wins_only_over_all_others() -> None:
    def result(fade: float, flow: float) -> dict[str, object]:
        return {"over": {"fade": {"mean": fade}, "flow": {"mean": flow}}}

    assert wins(result(1.0, 0.1))
    assert not wins(result(1.0, -0.1))
    assert not wins(result(0.0, 1.0))
