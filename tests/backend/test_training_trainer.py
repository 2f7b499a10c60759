"""Training of HMInterp: recipes, objectives, and a trainer that can be stopped."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import math
import multiprocessing
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from accelerate.state import AcceleratorState
from torch import Tensor

from vmg_backend.errors import Cancelled, UserError
from vmg_backend.interpolation.hminterp.autoencoder import decode, encode
from vmg_backend.interpolation.hminterp.config import TINY as CONFIG
from vmg_backend.interpolation.hminterp.decoder import taps
from vmg_backend.interpolation.hminterp.model import HMInterp
from vmg_backend.progress import Progress
from vmg_backend.training.hminterp import trainer as training
from vmg_backend.training.hminterp.batches import Batches
from vmg_backend.training.hminterp.clips import Batch
from vmg_backend.training.hminterp.objectives import (
    OBJECTIVES,
    AutoencoderObjective,
    DecoderObjective,
    InterpolatorObjective,
    Objective,
    begin_decoder,
    keep_less,
)
from vmg_backend.training.hminterp.recipes import PAPER, RECIPES, TINY, Ablation, Recipe, Stage, ablations
from vmg_backend.training.hminterp.runs import Moment, Run, read_curves
from vmg_backend.training.hminterp.trainer import Means, Trainer, processes

SMALL_CONFIG = replace(
    CONFIG,
    **{"frames": 6, "size": 16, "channels": (32,), "autoencoder": (32, 32), "decoder_channels": (32, 32)},
    **{"seed_channels": (8, 8), "pose_channels": (8, 8)},
)
"""A network takes its time by the layer, not by the pixel."""
CPU = Means(cpu=True)
LOST = "CUDA error: device-side assert triggered"
LESSONS = tuple(replace(stage, steps=2) for stage in TINY.stages)


class FewClips:
    """Random pictures where a training expects clips."""

    def __init__(self, frames: int = 8, size: int = SMALL_CONFIG.size) -> None:
        draw = torch.Generator().manual_seed(3)
        self._pictures = torch.rand(frames, 3, size, size, generator=draw)
        self._maps = torch.rand(1, 3, frames, size, size, generator=draw)
        self._cells = size // SMALL_CONFIG.factor
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


@pytest.fixture(autouse=True, scope="module")
def _few_are_measured() -> Iterator[None]:
    """`FewClips` hold no more pictures."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(training, "_MEASURED", 8)
        yield


def recipe_of() -> Recipe:
    return replace(TINY, config=replace(SMALL_CONFIG, name="tiny"), stages=LESSONS)


def trainer_of(recipe: Recipe, folder: Path, model: HMInterp | None = None) -> Trainer:
    """One that need not find out how long a step takes."""
    clips, costs = FewClips(recipe.config.frames + 2), [1.0] * len(recipe.stages)
    return Trainer(recipe, clips, Run(folder, recipe), CPU, model, costs=costs)


def at_look(look: int) -> Progress:
    """One that is cancelled at the so manieth look at it."""
    cancelled, looks = threading.Event(), itertools.count(1)

    def report(_: float, __: str) -> None:
        if next(looks) == look:
            cancelled.set()

    return Progress(report, cancelled)


def stopped(recipe: Recipe, folder: Path, look: int) -> None:
    """Train, until it is cancelled at the so manieth look at the progress."""
    with pytest.raises(Cancelled):
        trainer_of(recipe, folder).run(at_look(look))


def same(mine: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return mine.keys() == other.keys() and all(torch.equal(mine[key], other[key]) for key in mine)


@dataclass(frozen=True)
class Whole:
    """A training that nothing disturbed.

    Its result, its folder, the weights before and after each stage, and what a step of each took when it was tried.
    """

    model: HMInterp
    folder: Path
    states: list[dict[str, Tensor]]
    costs: list[float]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    torch.manual_seed(recipe_of().seed)
    model = HMInterp.build(recipe_of().config)
    states, real = [{**model.state_dict(), "latent_scale": torch.tensor(model.config.latent_scale)}], Run.save

    def save(run: Run, moment: Moment, tensors: dict[str, dict[str, Tensor]]) -> None:
        states.append({name: tensor.clone() for name, tensor in tensors["weights"].items()})
        real(run, moment, tensors)

    folder = tmp_path_factory.mktemp("run") / "whole"
    trainer = Trainer(recipe_of(), FewClips(), Run(folder, recipe_of()), CPU)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Run, "save", save)
        return Whole(trainer.run(), folder, states, trainer.costs)


def test_what_stopped_a_training_does_not_show(whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens to it on the way, it goes on from its last state, and ends as if nothing had been."""
    recipe, folder, lost = recipe_of(), tmp_path / "run", torch.AcceleratorError(f"{LOST}\nIt may be told late.")

    def stands_at(stage: int, step: int) -> None:
        assert Run(folder, recipe).moment == Moment(stage, step)
        assert len(list((folder / "states").iterdir())) == 1
        assert not list(folder.rglob(".vmg-*"))

    stopped(recipe, folder, 1)
    stands_at(0, 1)
    with monkeypatch.context() as patched, pytest.raises(UserError, match="disk is full"):
        fail_while_saving(patched, OSError(errno.ENOSPC, "No space left on device"), 1)
        trainer_of(recipe, folder).run()
    stands_at(0, 1)
    with monkeypatch.context() as patched, pytest.raises(UserError, match=LOST) as told:
        patched.setattr(training, "_SAVE_EVERY", 0.0)
        patched.setattr(training, "_SAVE_SHARE", 0.0)
        fail_while_computing(patched, lost, DecoderObjective, 2)
        trainer_of(recipe, folder).run()
    assert told.value.title == "Graphics card lost"
    assert "goes on from its last state" in told.value.remedy
    stands_at(1, 1)
    stopped(recipe, folder, 4)  # after a step of the decoder's stage and two of the next
    stands_at(3, 1)
    again = trainer_of(recipe, folder).run()
    assert same(whole.model.state_dict(), again.state_dict())
    assert whole.model.config == again.config
    points = [[(line["stage"], line["step"]) for line in read_curves(each)] for each in (whole.folder, folder)]
    assert points[0] == points[1]


def test_killed_at_any_moment_it_goes_on_from_a_whole_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the disk holds at a moment is what a process leaves that is killed then."""
    recipe, folder, half = replace(recipe_of(), stages=LESSONS[:1]), tmp_path / "run", tmp_path / "killed"
    saved: dict[Moment, Mapping[str, Mapping[str, Tensor]]] = {}
    seen: list[tuple[Moment | None, str]] = []

    def look(change: str) -> None:
        moment = Run(folder, recipe).moment
        seen.append((moment, change))
        if moment:
            assert all(same(tensors, Run(folder, recipe).load(name)) for name, tensors in saved[moment].items())
        if change == "half of optimizer.safetensors" and moment:
            shutil.copytree(folder, half)

    real = Run.save

    def save(run: Run, moment: Moment, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        saved[moment] = {file: {name: one.clone() for name, one in group.items()} for file, group in tensors.items()}
        real(run, moment, tensors)

    with monkeypatch.context() as patched:
        patched.setattr(Run, "save", save)
        patched.setattr(training, "_SAVE_EVERY", 0.0)
        patched.setattr(training, "_SAVE_SHARE", 0.0)
        trainer = trainer_of(recipe, folder)
        looked_at(patched, look)
        expected = trainer.run()
    assert list(dict(seen)) == [None, Moment(0, 1), Moment(0, 2), Moment(1, 0)]
    halves = {f"half of {name}.safetensors" for name in ("weights", "average", "optimizer")}
    assert {change for _, change in seen} == halves | {"to be renamed", "renamed", "half deleted", "deleted"}

    assert list((half / "states").glob(".vmg-*"))
    again = trainer_of(recipe, half).run()
    assert same(again.state_dict(), expected.state_dict())
    assert [file.name for file in (half / "states").iterdir()] == ["1-0"]


def looked_at(patched: pytest.MonkeyPatch, look: Callable[[str], None]) -> None:
    """`look` whenever a file is half written, something is to be renamed or was, a folder is half deleted or gone."""
    write, rename, delete = safetensors.torch.save_file, Path.replace, shutil.rmtree

    def save_file(tensors: object, path: Path, *words: object) -> None:
        write(tensors, path, *words)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        look(f"half of {path.name}")
        path.write_bytes(whole)

    def replace_(path: Path, target: Path) -> Path:
        look("to be renamed")
        renamed = rename(path, target)
        look("renamed")
        return renamed

    def rmtree(path: Path, **words: bool) -> None:
        if path.exists():
            next(path.iterdir()).unlink()
            look("half deleted")
            delete(path, **words)
            look("deleted")

    patched.setattr(safetensors.torch, "save_file", save_file)
    patched.setattr(Path, "replace", replace_)
    patched.setattr(shutil, "rmtree", rmtree)


# -- several processes -------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_processes_stop_together_and_go_on_as_if_they_never_had(tmp_path: Path) -> None:
    here = sys.platform == "linux" and not torch.cuda.is_available()
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork" if here else "spawn")) as pool:
        one, other = pool.map(one_of_two, range(2), [tmp_path] * 2, timeout=300)
    assert one == other
    assert one["stops"] == [Moment(0, 1), Moment(0, 1), Moment(0, 2)]
    assert one["resumed"] == one["whole"] != one["untrained"]


def one_of_two(rank: int, folder: Path) -> dict[str, Any]:
    """What a process comes to whose fellow or who itself is cancelled: between steps, in a step, in a validation."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    torch.set_num_threads(1)
    store, patience = (folder / "store").as_uri(), timedelta(minutes=2)
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2, timeout=patience)
    AcceleratorState._reset_state(reset_partial_state=True)
    config, stage = replace(SMALL_CONFIG, decoder="none"), replace(LESSONS[2], steps=3, accumulate=2)
    recipe, cancelled = replace(recipe_of(), config=config, stages=(stage,)), threading.Event()
    states = {"untrained": weights_of(HMInterp.build(recipe.config))}

    def watch(_: HMInterp, __: Stage, ___: Moment, progress: Progress) -> dict[str, float]:
        cancelled.set()
        progress.check()
        return {}

    def trainer(name: str) -> Trainer:
        with processes(cpu=True).main_process_first():
            run = Run(folder / name, recipe)
        return Trainer(recipe, FewClips(), run, Means(cpu=True, watch_every=0.0), costs=[1.0])

    states["whole"] = weights_of(trainer("whole").run())
    stops = []
    for who, progress, watching in [
        (1, at_look(2), None),  # at the next step's first pass
        (1, at_look(1), None),  # at its second one
        (0, Progress(cancelled=cancelled), watch),
    ]:
        stopped = trainer("stopped")
        with pytest.raises(Cancelled):
            stopped.run(*((progress, watching) if who == rank else ()))
        stops.append(stopped._moment)
        assert Run(folder / "stopped", recipe).moment == stops[-1]
    states["resumed"] = weights_of(trainer("stopped").run())
    return {"stops": stops, **states}


def weights_of(model: HMInterp) -> str:
    """All of them, as a hash."""
    told = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        told.update(name.encode() + tensor.numpy().tobytes())
    return told.hexdigest()


# -- mixed precision ---------------------------------------------------------------------------------------------------


@pytest.fixture
def _accelerate_anew() -> Iterator[None]:
    """It knows one precision in a process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.usefixtures("_accelerate_anew")
def test_in_half_precision_every_aim_is_learned_and_weights_stay_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bfloat16, in which the passes compute."""
    stages = [replace(LESSONS[number], steps=1, batch=1) for number in (0, 1, 3)]
    recipe, seen, real = replace(recipe_of(), stages=tuple(stages)), set(), Run.save

    def save(run: Run, moment: Moment, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        real(run, moment, tensors)
        seen.update(tensor.dtype for group in tensors.values() for tensor in group.values())

    monkeypatch.setattr(Run, "save", save)
    monkeypatch.setattr(training, "_SAVE_EVERY", 0.0)
    monkeypatch.setattr(training, "_SAVE_SHARE", 0.0)
    means = Means("bf16", cpu=True)
    model = Trainer(recipe, FewClips(), Run(tmp_path / "run", recipe), means, costs=[1.0] * 3).run()
    losses = {line["stage"]: line["loss"] for line in read_curves(tmp_path / "run")}
    assert losses.keys() == {stage.name for stage in stages}
    assert all(math.isfinite(loss) for loss in losses.values())
    assert seen == {torch.float32, torch.float64}  # the latter is the latents' scale
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def fail_while_saving(patched: pytest.MonkeyPatch, error: Exception, number: int) -> None:
    """The so manieth file of states comes to half of it."""
    real, written = safetensors.torch.save_file, itertools.count(1)

    def save(*words: object) -> None:
        if next(written) == number:
            Path(str(words[1])).write_bytes(b"half of it")
            raise error
        real(*words)

    patched.setattr(safetensors.torch, "save_file", save)


def fail_while_computing(patched: pytest.MonkeyPatch, error: Exception, kind: type[Objective], number: int) -> None:
    """The so manieth loss of a kind comes to nothing."""
    real, calls = kind.forward, itertools.count(1)

    def forward(*words: Any) -> Tensor:
        if next(calls) == number:
            raise error
        return real(*words)

    patched.setattr(kind, "forward", forward)


def test_a_step_of_each_stage_is_tried_before(whole: Whole) -> None:
    recipe = recipe_of()
    assert len(whole.costs) == 4
    assert all(0.0 < cost < 60.0 for cost in whole.costs)
    trainer = Trainer(recipe, FewClips(), Run(whole.folder, recipe), CPU, costs=whole.costs)
    assert trainer.seconds_left == 0.0  # it is at its end


def test_the_time_left_is_that_of_the_steps_left(tmp_path: Path) -> None:
    recipe, run = recipe_of(), Run(tmp_path / "run", recipe_of())
    assert Trainer(recipe, FewClips(), run, CPU, costs=[1.0, 10.0, 100.0, 1000.0]).seconds_left == 2 + 20 + 200 + 2000


def test_another_seed_gives_another_model(whole: Whole, tmp_path: Path) -> None:
    recipe = replace(recipe_of(), stages=(replace(LESSONS[0], steps=1),), seed=2)
    other = trainer_of(recipe, tmp_path / "run").run().autoencoder.state_dict()
    assert not any(
        torch.equal(whole.states[1][f"autoencoder.{name}"], other[name]) for name in other if "conv1.w" in name
    )


def test_latents_of_a_trained_autoencoder_have_a_deviation_of_one(whole: Whole) -> None:
    model = whole.model
    assert model.config.latent_scale != 1.0
    with torch.no_grad():
        latents = encode(model.autoencoder, 2.0 * FewClips()._pictures - 1.0)
    assert float(latents.std()) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("number", range(4))
def test_frozen_parts_do_not_change(whole: Whole, number: int) -> None:
    stage, (before, after) = LESSONS[number], whole.states[number : number + 2]
    changed = {name.partition(".")[0] for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    expected = set(stage.trained) & {name for name, _ in whole.model.named_children()}
    silent = {"pose_guider"} if not stage.pose else set()  # told nothing, it learns nothing
    scaled = {"latent_scale"} if stage.aim == "autoencoder" else set()
    assert changed == (expected - silent) | scaled


SHORT = tuple(replace(stage, steps=1, batch=1) for stage in PAPER.stages)


@pytest.mark.long
@pytest.mark.parametrize(
    "row",
    {row.recipe.name: row for row in ablations(replace(PAPER, config=SMALL_CONFIG, stages=SHORT))[:-1]}.values(),
    ids=lambda row: row.name,
)
def test_every_row_of_the_papers_tables_trains(tmp_path: Path, row: Ablation) -> None:
    recipe = row.recipe.scaled(0.01)  # one step of each stage
    model = trainer_of(recipe, tmp_path / "run").run()
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


def test_a_run_of_another_recipe_is_refused(whole: Whole) -> None:
    with pytest.raises(UserError, match="another recipe"):
        Run(whole.folder, recipe_of().scaled(2.0))


@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_a_broken_step_stops_the_training_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    recipe = replace(recipe_of(), stages=(replace(LESSONS[0], steps=3),))
    calls, real = itertools.count(1), AutoencoderObjective.forward

    def forward(*words: object) -> Tensor:
        loss = real(*words)
        if next(calls) == 3:
            zero = (loss - loss.detach()).clamp(min=0.0)  # its root is 0, and its slope is none
            return loss * math.nan if broken == "loss" else loss + zero.sqrt()
        return loss

    monkeypatch.setattr(AutoencoderObjective, "forward", forward)
    monkeypatch.setattr(training, "_SAVE_EVERY", 0.0)
    monkeypatch.setattr(training, "_SAVE_SHARE", 0.0)
    with pytest.raises(UserError, match="diverged"):
        trainer_of(recipe, tmp_path / "run").run()
    run = Run(tmp_path / "run", recipe)
    assert run.moment == Moment(0, 2)
    assert all(torch.isfinite(tensor).all() for tensor in run.load("weights").values())


@pytest.mark.parametrize("number", [0, 1, 3])
def test_learning_lowers_the_loss_of_every_aim(tmp_path: Path, number: int) -> None:
    """Of the same draws, before and after."""
    often = {"steps": 3, "batch": 2, "rate": 4.0 * LESSONS[number].rate}
    stage = replace(LESSONS[number], **often, single=0.0, unconditional=0.0, keep=0.0)
    recipe = replace(recipe_of(), stages=(stage,))
    torch.manual_seed(0)
    model = HMInterp.build(recipe.config)

    def loss() -> float:
        clips = FewClips()
        batches, objective = Batches(clips, stage, 6, (7, 0), torch.device("cpu")), OBJECTIVES[stage.aim](model, stage)
        with torch.no_grad():
            return sum(float(objective(*batches.draw(number))) for number in range(2))

    before = loss()
    trainer_of(recipe, tmp_path / "run", model).run()
    assert loss() < 0.95 * before


@pytest.mark.parametrize("number", [0, 1, 3])
def test_thrift_keeps_less_and_changes_no_gradient(number: int) -> None:
    stage = LESSONS[number]
    torch.manual_seed(0)
    model = HMInterp.build(SMALL_CONFIG)
    for name, part in model.named_children():
        part.requires_grad_(name in stage.trained).train(name in stage.trained)
    for parameter in model.parameters():
        if not parameter.any():  # silent at first: nothing would go through it
            torch.nn.init.normal_(parameter, std=0.05)
    batch = FewClips().batch([slice(0, 6), slice(1, 7)][: stage.batch], torch.device("cpu"), 1.0)
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        kept[-1] += tensor.nbytes
        return tensor

    def gradients() -> dict[str, Tensor]:
        kept.append(0)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = OBJECTIVES[stage.aim](model, stage)(batch, torch.Generator().manual_seed(1))
        loss.backward()
        found = {name: one.grad.clone() for name, one in model.named_parameters() if one.grad is not None}
        model.zero_grad()
        return found

    plain = gradients()
    keep_less(model)
    thrifty = gradients()
    assert kept[1] < 0.8 * kept[0]
    assert plain.keys() == thrifty.keys()
    assert sum(bool(gradient.any()) for gradient in plain.values()) > 0.9 * len(plain)
    for name, gradient in plain.items():
        torch.testing.assert_close(thrifty[name], gradient, rtol=1e-6, atol=1e-6, msg=name)


def test_a_decoder_begins_as_the_autoencoders() -> None:
    torch.manual_seed(0)
    model = HMInterp.build(replace(SMALL_CONFIG, autoencoder_layers=2))
    torch.nn.init.zeros_(model.autoencoder.post_quant_conv.bias)
    begin_decoder(model.decoder, model.autoencoder)
    latents = torch.randn(1, 4, 5, 4, 4)
    with torch.no_grad():
        wanted = decode(model.autoencoder, latents[0].transpose(0, 1))
        features = taps(model.autoencoder, torch.rand(1, 2, 3, 8, 8))
        made = model.decoder(latents, features)[0].transpose(0, 1)
    torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-5)


def test_min_snr_weights_are_those_of_the_equation() -> None:
    objective = InterpolatorObjective(HMInterp.build(SMALL_CONFIG), replace(LESSONS[3], snr=5.0))
    for moment in (0, 400, 998, 999):
        kept = float(objective._noise.kept[moment])
        snr = kept / (1.0 - kept)
        expected = min(snr + 1.0, 5.0) / (snr + 1.0)
        assert float(objective._balance(torch.tensor([moment]))) == pytest.approx(expected, rel=1e-5)


def test_frames_to_be_made_count_ten_times_and_hands_as_much_as_is_said() -> None:
    torch.manual_seed(0)
    stage = replace(LESSONS[3], snr=0.0, unconditional=0.0, single=0.0)
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
    stage = replace(LESSONS[3], single=1.0)
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
    assert seen == [(1, 9, 1, 8, 8)]


@pytest.mark.parametrize(
    ("kind", "number"), [(AutoencoderObjective, 0), (DecoderObjective, 1), (InterpolatorObjective, 3)]
)
def test_the_same_draw_gives_the_same_loss(kind: type, number: int) -> None:
    torch.manual_seed(0)
    objective = kind(HMInterp.build(SMALL_CONFIG), LESSONS[number])
    batch = FewClips(frames=6).batch([slice(0, 6)], torch.device("cpu"), 1.0)
    losses = [float(objective(batch, torch.Generator().manual_seed(seed)).detach()) for seed in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]
    assert all(math.isfinite(loss) for loss in losses)


def test_a_stage_of_the_paper_has_the_papers_steps() -> None:
    steps: dict[str, Stage] = {stage.name: stage for stage in PAPER.stages}
    assert (steps["seed"].steps, steps["seed"].pose, steps["seed"].seed) == (100_000, False, True)
    assert (steps["pose"].steps, steps["pose"].pose, steps["pose"].seed) == (8_000, True, True)
