"""A model of one person: the whole chain, and the guide's commands."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vmg_backend import sample
from vmg_backend.background.matte import PersonMatte
from vmg_backend.cli import main
from vmg_backend.errors import Cancelled, UserError
from vmg_backend.interpolation.hminterp.opening import model_folder
from vmg_backend.jobs import Source, analyze
from vmg_backend.library import FootageLibrary
from vmg_backend.models import MODELS_VARIABLE
from vmg_backend.progress import Progress
from vmg_backend.training.hminterp.personal import VALIDATION, train_on
from vmg_backend.training.hminterp.recipes import RECIPES, TINY
from vmg_backend.training.hminterp.trainer import Means
from vmg_backend.training.hminterp.validation import wins

SMALLEST = replace(
    TINY,
    config=replace(TINY.config, frames=6, size=32, channels=(32, 32)),
    stages=tuple(replace(stage, steps=2) for stage in TINY.stages),
    guide=1,
)
GUIDE = Path(__file__).parents[2] / "docs" / "training.md"


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, middle: type[PersonMatte]) -> Path:
    for name in ("__enter__", "__exit__", "matte"):  # hundreds of pictures are cut out, and nothing here depends on it
        monkeypatch.setattr(PersonMatte, name, vars(middle)[name])
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.mark.long
def test_a_stopped_training_ends_as_a_judged_model(models: Path, dance: tuple[Path, FootageLibrary]) -> None:
    footage, library = dance
    analyses = analyze([Source(footage)], library)
    cancelled = threading.Event()

    def stop(_: float, stage: str) -> None:
        if stage == "Training: seed":
            cancelled.set()

    with pytest.raises(Cancelled):
        train_on(analyses, library, "Mia", SMALLEST, means=Means(cpu=True), progress=Progress(stop, cancelled))
    assert (models / "runs" / "Mia" / "run" / "state.json").exists()
    assert not (models / "hminterp" / "Mia").exists()

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


@pytest.mark.long
def test_the_guides_commands_run(
    models: Path, tmp_path: Path, dance: tuple[Path, FootageLibrary], monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = re.findall(r"```\n(vmg .*?)\n```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    assert [command.split()[1] for command in commands] == ["train", "train", "cut", "train", "train"]
    monkeypatch.setitem(RECIPES, "tiny", SMALLEST)
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
