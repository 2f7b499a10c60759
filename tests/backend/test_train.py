"""``vmg train`` from the command line."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from vmg_backend.cli import main
from vmg_backend.motion.weights import Weights
from vmg_backend.training.mdm import RECIPES

MEDIA = os.environ.get("VMG_MEDIA")
needs_media = pytest.mark.skipif(not MEDIA, reason="VMG_MEDIA does not name the folder of motion capture")


def train(*words: str | Path) -> int:
    return main(["train", "mdm", *map(str, words), "--json"])


@pytest.mark.long
@needs_media
def test_a_training_leaves_weights_that_say_what_they_are_made_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPES, "tiny", replace(RECIPES["tiny"], batch=4, longest=4))  # lengths are measured first
    motion = Path(MEDIA or "") / "mocap" / "cmu_actions_30fps.npz"
    out = tmp_path / "mdm.safetensors"
    assert train("--motion", motion, "--out", out, "--recipe", "tiny", "--steps", "3") == 0
    told = json.loads(capsys.readouterr().out)
    about = Weights.load(out).about
    assert about["recipe"]["name"] == "tiny"
    assert about["recipe"]["steps_made"] == told["steps"] == 3
    assert about["data"]["files"] == [motion.name]
    assert 250 < about["data"]["seconds"] < 445
    assert "choice" not in about  # nobody of the validation part is among them
    assert [file.name for file in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "w.txt"], "safetensors"),
        (["--out", "w.safetensors", "--recipe", "none"], "recipe"),
        (["--out", "w.safetensors", "--steps", "0"], "whole number"),
        (["--out", "w.safetensors"], "is no motion capture"),
    ],
)
def test_wrong_words_are_answered_in_a_sentence(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train("--motion", "nothing.bvh", *words) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["personal", "hminterp", "one-shot"])
def test_training_on_footage_says_what_is_not_installed(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vmg_backend.interpolation.engines.missing_packages", lambda: ("torch", "diffusers"))
    model = ["--model", "Mia"] if kind == "one-shot" else []
    assert main(["train", kind, "dance.mp4", "--name", "Mia-2", *model]) == 2
    assert "torch and diffusers" in capsys.readouterr().err
