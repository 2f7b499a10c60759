"""Training of HMInterp: recipes, objectives, and a trainer that can be stopped."""

from __future__ import annotations

import errno
import json
import math
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from vmg_backend.errors import Cancelled, UserError
from vmg_backend.interpolation.hminterp.autoencoder import decode, encode
from vmg_backend.interpolation.hminterp.config import TINY as CONFIG
from vmg_backend.interpolation.hminterp.decoder import taps
from vmg_backend.interpolation.hminterp.model import HMInterp
from vmg_backend.progress import Progress
from vmg_backend.training.hminterp.clips import Batch
from vmg_backend.training.hminterp.objectives import (
    AutoencoderObjective,
    DecoderObjective,
    InterpolatorObjective,
    begin_decoder,
)
from vmg_backend.training.hminterp.recipes import PAPER, RECIPES, TINY, Recipe, Stage, ablations
from vmg_backend.training.hminterp.runs import Run, read_curves
from vmg_backend.training.hminterp.trainer import Means, Trainer

SMALL_CONFIG = replace(CONFIG, frames=6, size=32, channels=(32, 32), reference="attention")
CPU = Means(cpu=True)


class FewClips:
    """Random pictures where a training expects clips."""

    def __init__(self, frames: int = 8, size: int = 32, factor: int = 8) -> None:
        draw = torch.Generator().manual_seed(3)
        self._pictures = torch.rand(frames, 3, size, size, generator=draw)
        self._maps = torch.rand(1, 3, frames, size, size, generator=draw)
        self._cells = size // factor
        self._latents: Tensor | None = None

    def windows(self, frames: int) -> list[slice]:
        return [slice(first, first + frames) for first in range(len(self._pictures) - frames + 1)]

    def batch(self, windows: list[slice], _: torch.device, hands: float) -> Batch:
        pictures = torch.stack([self._pictures[window] for window in windows])
        maps = torch.cat([self._maps[:, :, window] for window in windows])
        weights = torch.ones(len(windows), 1, pictures.shape[1], self._cells, self._cells)
        latents = None if self._latents is None else torch.stack([self._latents[window] for window in windows])
        return Batch(pictures, maps, weights, latents)

    def pictures(self, random: np.random.Generator, count: int, _: torch.device) -> Batch:
        chosen = self._pictures[random.choice(len(self._pictures), count)]
        return Batch(chosen[:, None], torch.empty(0), torch.empty(0), None)

    def keep_latents(self, autoencoder: object, _: torch.device, __: Progress) -> None:
        with torch.no_grad():
            self._latents = encode(autoencoder, 2.0 * self._pictures - 1.0)


def recipe_of(base: Recipe = TINY) -> Recipe:
    return replace(base, config=replace(SMALL_CONFIG, name=base.config.name))


def trained(recipe: Recipe, folder: Path, stop: int | None = None) -> HMInterp:
    """The model, after a cancel at the `stop`-th look at the progress if there is one, and a second start."""
    if stop is not None:
        cancelled, looks = threading.Event(), 0

        def report(_: float, __: str) -> None:
            nonlocal looks
            looks += 1
            if looks == stop:
                cancelled.set()

        with pytest.raises(Cancelled):
            Trainer(recipe, FewClips(), Run(folder, recipe), CPU).run(Progress(report, cancelled))
    return Trainer(recipe, FewClips(), Run(folder, recipe), CPU).run()


def same(ours: HMInterp, theirs: HMInterp) -> bool:
    mine, other = ours.state_dict(), theirs.state_dict()
    return mine.keys() == other.keys() and all(torch.equal(mine[key], other[key]) for key in mine)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[HMInterp, Path]:
    folder = tmp_path_factory.mktemp("run") / "whole"
    return trained(recipe_of(), folder), folder


@pytest.mark.parametrize("stop", [2, 6, 8, 10])
def test_stopped_and_resumed_equals_uninterrupted(whole: tuple[HMInterp, Path], tmp_path: Path, stop: int) -> None:
    model, folder = whole
    again = trained(recipe_of(), tmp_path / "run", stop)
    assert same(model, again)
    assert model.config == again.config

    def losses(run: Path) -> list[tuple[str, int, float]]:
        return [(line["stage"], line["step"], line["loss"]) for line in read_curves(run)]

    assert losses(folder)[-1] == losses(tmp_path / "run")[-1]


def test_another_seed_gives_another_model(whole: tuple[HMInterp, Path], tmp_path: Path) -> None:
    assert not same(whole[0], trained(replace(recipe_of(), seed=2), tmp_path / "run"))


def test_latents_of_a_trained_autoencoder_have_a_deviation_of_one(whole: tuple[HMInterp, Path]) -> None:
    model, _ = whole
    assert model.config.latent_scale != 1.0
    with torch.no_grad():
        latents = encode(model.autoencoder, 2.0 * FewClips()._pictures - 1.0)
    assert float(latents.std()) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("number", range(4))
def test_frozen_parts_do_not_change(tmp_path: Path, number: int) -> None:
    stage = recipe_of().stages[number]
    recipe = replace(recipe_of(), stages=(stage,))
    before = HMInterp.build(recipe.config)
    learned = Trainer(recipe, FewClips(), Run(tmp_path / "run", recipe), CPU, model=_copy(before)).run()
    changed = {
        name
        for name, part in learned.named_children()
        for key, tensor in part.state_dict().items()
        if not torch.equal(tensor, getattr(before, name).state_dict()[key])
    }
    expected = set(stage.trained) & {name for name, _ in learned.named_children()}
    silent = {"pose_guider"} if not stage.pose else set()  # told nothing, it learns nothing
    assert changed == expected - silent


def _copy(model: HMInterp) -> HMInterp:
    other = HMInterp.build(model.config)
    other.load_state_dict(model.state_dict())
    return other


@pytest.mark.long
@pytest.mark.parametrize(
    "row", {row.recipe.name: row for row in ablations(recipe_of())}.values(), ids=lambda row: row.name
)
def test_every_row_of_the_papers_tables_trains(tmp_path: Path, row: object) -> None:
    recipe = row.recipe.scaled(0.01)
    clips = FewClips(frames=recipe.config.frames + 1)
    model = Trainer(recipe, clips, Run(tmp_path / "run", recipe), CPU).run()
    assert {line["stage"] for line in read_curves(tmp_path / "run")} == {stage.name for stage in recipe.stages}
    assert (model.decoder is None) == (recipe.config.decoder == "none")
    assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())


def test_the_papers_tables_are_told_as_they_are() -> None:
    rows = {(row.table, row.name): row for row in ablations(PAPER)}
    assert len(rows) == 13
    psnr = {name: row.paper["PSNR"] for (table, name), row in rows.items() if table == 6}
    assert min(psnr, key=psnr.__getitem__) == "P"
    assert max(psnr, key=psnr.__getitem__) == "SI, then P + SI"
    assert rows[5, "no reference decoder"].paper == rows[6, "SI, then P + SI"].paper  # the same network
    assert all(row.recipe.config.decoder == "none" for (table, _), row in rows.items() if table == 6)
    steps = {
        name: [stage.steps for stage in row.recipe.stages if stage.aim == "interpolator"]
        for (_, name), row in rows.items()
    }
    assert steps["SI, then P + SI"] == [100_000, 8_000]
    assert steps["SI, then P + SI, long"] == [100_000, 30_000]
    assert steps["P"] == steps["SI"] == steps["P + SI"] == [108_000]


@pytest.mark.parametrize("recipe", [*RECIPES.values(), *(row.recipe for row in ablations(TINY))], ids=lambda r: r.name)
def test_a_recipe_is_json(recipe: Recipe) -> None:
    assert Recipe.from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe


def test_a_recipe_with_unknown_words_is_refused() -> None:
    with pytest.raises(UserError):
        Recipe.from_dict({**TINY.as_dict(), "colour": "blue"})


def test_a_run_of_another_recipe_is_refused(whole: tuple[HMInterp, Path]) -> None:
    with pytest.raises(UserError, match="another recipe"):
        Run(whole[1], recipe_of().scaled(2.0))


def test_a_full_disk_leaves_the_last_state_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, folder = recipe_of(), tmp_path / "run"
    real, written = safetensors.torch.save_file, 0

    def full(*words: object) -> None:
        nonlocal written
        written += 1
        if written > 2:
            Path(str(words[1])).write_bytes(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*words)

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(UserError, match="disk is full"):
        Trainer(recipe, FewClips(), Run(folder, recipe), CPU).run()
    monkeypatch.undo()
    assert Run(folder, recipe).moment is not None
    assert not list(folder.rglob(".vmg-*"))
    again = Trainer(recipe, FewClips(), Run(folder, recipe), CPU).run()
    assert same(again, trained(recipe, tmp_path / "other"))


def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path) -> None:
    stage = replace(recipe_of().stages[0], rate=1e9, steps=30, limit=1e30)
    recipe = replace(recipe_of(), stages=(stage,))
    with pytest.raises(UserError, match="diverged"):
        Trainer(recipe, FewClips(), Run(tmp_path / "run", recipe), CPU).run()


def test_learning_lowers_the_loss_of_every_aim(tmp_path: Path) -> None:
    stages = tuple(replace(stage, steps=40, single=0.0) for stage in recipe_of().stages if stage.name != "seed")
    recipe = replace(recipe_of(), stages=stages)
    Trainer(recipe, FewClips(frames=6), Run(tmp_path / "run", recipe), CPU).run()
    curve = read_curves(tmp_path / "run")
    for stage in stages:
        losses = [line["loss"] for line in curve if line["stage"] == stage.name]
        assert losses[-1] < 0.9 * losses[0], stage.name


def test_a_decoder_begins_as_the_autoencoders() -> None:
    torch.manual_seed(0)
    model = HMInterp.build(replace(SMALL_CONFIG, autoencoder_layers=2))
    torch.nn.init.zeros_(model.autoencoder.post_quant_conv.bias)
    begin_decoder(model.decoder, model.autoencoder)
    latents = torch.randn(1, 4, 5, 4, 4)
    with torch.no_grad():
        wanted = decode(model.autoencoder, latents[0].transpose(0, 1))
        features = taps(model.autoencoder, torch.rand(1, 2, 3, 32, 32))
        made = model.decoder(latents, features)[0].transpose(0, 1)
    torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-5)


def test_min_snr_weights_are_those_of_the_equation() -> None:
    objective = InterpolatorObjective(HMInterp.build(SMALL_CONFIG), replace(recipe_of().stages[3], snr=5.0))
    for moment in (0, 400, 998, 999):
        kept = float(objective._noise.kept[moment])
        snr = kept / (1.0 - kept)
        expected = min(snr + 1.0, 5.0) / (snr + 1.0)
        assert float(objective._balance(torch.tensor([moment]))) == pytest.approx(expected, rel=1e-5)


def test_frames_to_be_made_count_ten_times_and_hands_as_much_as_is_said() -> None:
    torch.manual_seed(0)
    stage = replace(recipe_of().stages[3], snr=0.0, unconditional=0.0, single=0.0)
    objective = InterpolatorObjective(HMInterp.build(SMALL_CONFIG), stage)
    batch = FewClips(frames=6).batch([slice(0, 6)], torch.device("cpu"), 1.0)

    def loss(weights: Tensor) -> float:
        with torch.no_grad():
            return float(objective(replace(batch, weights=weights), torch.Generator().manual_seed(1)))

    def only(frame: int, weight: float) -> Tensor:
        weights = torch.zeros_like(batch.weights)
        weights[:, :, frame] = weight
        return weights

    parts = [loss(only(frame, 1.0)) for frame in range(6)]
    assert loss(batch.weights) == pytest.approx(sum(parts), rel=1e-4)
    assert loss(only(2, 10.0)) == pytest.approx(10.0 * parts[2], rel=1e-4)
    assert max(parts[0], parts[-1]) < 0.3 * min(parts[1:-1])


def test_single_frames_see_one_frame_to_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = replace(recipe_of().stages[3], single=1.0)
    objective = InterpolatorObjective(HMInterp.build(SMALL_CONFIG), stage)
    seen: list[tuple[int, ...]] = []
    forward = objective.model.denoiser.forward

    def look(noisy: Tensor, *words: object) -> Tensor:
        seen.append(tuple(noisy.shape))
        assert float(noisy[:, -1].abs().max()) == 0.0  # the mask: no given frame
        return forward(noisy, *words)

    monkeypatch.setattr(objective.model.denoiser, "forward", look)
    batch = FewClips(frames=6).batch([slice(0, 6)], torch.device("cpu"), 1.0)
    objective(batch, torch.Generator().manual_seed(1))
    assert seen == [(1, 9, 1, 4, 4)]


@pytest.mark.parametrize(
    ("kind", "number"), [(AutoencoderObjective, 0), (DecoderObjective, 1), (InterpolatorObjective, 3)]
)
def test_the_same_draw_gives_the_same_loss(kind: type, number: int) -> None:
    torch.manual_seed(0)
    objective = kind(HMInterp.build(SMALL_CONFIG), recipe_of().stages[number])
    batch = FewClips(frames=6).batch([slice(0, 6)], torch.device("cpu"), 1.0)
    losses = [float(objective(batch, torch.Generator().manual_seed(seed)).detach()) for seed in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]
    assert all(math.isfinite(loss) for loss in losses)


def test_a_stage_of_the_paper_has_the_papers_steps() -> None:
    steps: dict[str, Stage] = {stage.name: stage for stage in PAPER.stages}
    assert (steps["seed"].steps, steps["seed"].pose, steps["seed"].seed) == (100_000, False, True)
    assert (steps["pose"].steps, steps["pose"].pose, steps["pose"].seed) == (8_000, True, True)
