"""The training of a model by a recipe: stage after stage, on accelerate."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
from diffusers.training_utils import EMAModel
from torch import nn

from ...errors import Cancelled, UserError
from ...interpolation.hminterp.autoencoder import encode
from ...interpolation.hminterp.devices import explained
from ...interpolation.hminterp.model import HMInterp
from ...progress import SILENT, Progress, shares
from ..optimizing import packed, unpack
from .batches import Batches
from .clips import Clips
from .objectives import OBJECTIVES, begin_decoder, keep_less
from .optimizers import make_optimizers, set_rate
from .recipes import Recipe, Stage
from .runs import Curves, Moment, Run

_SAVE_EVERY = 60.0
"""Seconds between two states, at least; and so many times what the last one took to write:"""
_SAVE_SHARE = 20.0
_TELL_EVERY = 10
"""Steps between two points of the curves."""
_MEASURED = 64
"""Pictures from which the latents' deviation is measured."""
_THRIFT = "Train thriftily (gradient checkpointing), or with fewer windows in a batch."
_RESUME = "Restart the backend, and begin the same training again: it goes on from its last state, which is whole."

Watch = Callable[[HMInterp, Stage, Moment, Progress], Mapping[str, float]]
"""Gets the model with its averaged weights now and then, and says what of it goes into the curves."""
Heard = Callable[[Recipe, Sequence[Mapping[str, Any]]], None]
"""Gets the recipe and all that the curves hold (`runs.read_curves`), whenever something was measured."""


@dataclass(frozen=True)
class Means:
    """What a training may use.

    Attributes
    ----------
    precision : {"no", "fp16", "bf16"}
        accelerate's mixed precision.
    thrifty : bool
        Compute activations twice rather than keep them (gradient checkpointing).
    cpu : bool
        Leave GPUs alone.
    watch_every : float
        Seconds between two looks of `Watch`.
    """

    precision: Literal["no", "fp16", "bf16"] = "no"
    thrifty: bool = False
    cpu: bool = False
    watch_every: float = 300.0


class Trainer:
    """The training of one run.

    Where the run holds a state, the training goes on from it, with the same result as if it had never stopped: bit for
    bit on the CPU with the same number of threads.

    Parameters
    ----------
    recipe : Recipe
    clips : Clips
    run : Run
    means : Means, optional
    model : HMInterp, optional
        What the training begins with; by default an untrained one of the recipe's config.
    heard : callable, optional
    costs : list of float, optional
        Where they were measured before.

    Raises
    ------
    UserError
        When the run's state cannot be read.
    """

    def __init__(
        self,
        recipe: Recipe,
        clips: Clips,
        run: Run,
        means: Means | None = None,
        model: HMInterp | None = None,
        heard: Heard | None = None,
        costs: list[float] | None = None,
    ) -> None:
        self._recipe = recipe
        self._clips = clips
        self._run = run
        self._means = means or Means()
        # ReferenceNet's last layers have nobody who reads them: their gradients never come.
        unused = DistributedDataParallelKwargs(find_unused_parameters=True)
        self._accelerator = Accelerator(
            mixed_precision=self._means.precision, cpu=self._means.cpu, kwargs_handlers=[unused]
        )
        if model is None:
            torch.manual_seed(recipe.seed)
            model = HMInterp.build(recipe.config)
        self._model = model
        self._moment, self._halfway = run.moment or Moment(0, 0), False
        if run.moment:
            self._restore()
        main = self._accelerator.is_main_process
        self._curves = Curves(run, run.moment, partial(heard, recipe) if heard else None) if main else None
        self._saved, self._took = time.monotonic(), 0.0
        if costs is not None:
            self.costs = costs

    @property
    def seconds_left(self) -> float:
        """Of the training, as far as trying a step of each stage tells."""
        done = self._moment
        left = [stage.steps for stage in self._recipe.stages]
        left[: done.stage] = [0] * done.stage
        if done.stage < len(left):
            left[done.stage] -= done.step
        return sum(cost * steps for cost, steps in zip(self.costs, left, strict=True))

    @cached_property
    def costs(self) -> list[float]:
        """Seconds of a step of each stage, found by trying a forward and a backward pass."""
        found = []
        for number, stage in enumerate(self._recipe.stages):
            with self._explained(), self._ready(stage) as objective:
                batches = self._batches(stage, number)
                tries = []
                for step in range(2):
                    begun = time.monotonic()
                    batch, draw = batches.draw(step)
                    self._accelerator.backward(objective(batch, draw))
                    tries.append(time.monotonic() - begun)
            found.append(min(tries) * stage.accumulate)
        return found

    def run(self, progress: Progress = SILENT, watch: Watch | None = None) -> HMInterp:
        """Teach every stage that is left.

        Parameters
        ----------
        progress : Progress
            A training that is cancelled has saved its state.
        watch : callable, optional

        Returns
        -------
        HMInterp
            With averaged weights, frozen, on the device of the training.

        Raises
        ------
        UserError
            When the disk is full, memory runs out, the GPU fails or the loss is no number; the last state is whole.
        """
        spans = shares(
            [round(1e6 * cost * stage.steps) for cost, stage in zip(self.costs, self._recipe.stages, strict=True)]
        )
        with self._explained(), self._curves or nullcontext():
            while self._moment.stage < len(self._recipe.stages):
                stage = self._recipe.stages[self._moment.stage]
                self._teach(stage, progress.part(*spans[self._moment.stage], f"Training: {stage.name}"), watch)
        return self._model.eval().requires_grad_(False)

    def _teach(self, stage: Stage, progress: Progress, watch: Watch | None) -> None:
        accelerator = self._accelerator
        if stage.aim != "autoencoder":
            with accelerator.main_process_first():
                self._clips.keep_latents(
                    self._model.autoencoder, accelerator.device, progress.part(0.0, 0.0, "Encoding")
                )
        if stage.aim == "decoder" and self._model.decoder is not None and not self._moment.step:
            begin_decoder(self._model.decoder, self._model.autoencoder)
        with self._ready(stage) as objective:
            self._learn(stage, objective, progress, watch)
        if stage.aim == "autoencoder":
            self._rescale(self._model.config.latent_scale / self._deviation())
        self._moment = Moment(self._moment.stage + 1, 0)
        self._save({}, None)

    def _learn(self, stage: Stage, objective: nn.Module, progress: Progress, watch: Watch | None) -> None:
        accelerator = self._accelerator
        learning = [parameter for parameter in objective.parameters() if parameter.requires_grad]
        optimizers = make_optimizers(objective, stage)
        average = EMAModel(learning, decay=stage.keep)
        if self._halfway:
            unpack(optimizers, self._run.load("optimizer"))
            kept = self._run.load("average")
            average.shadow_params = [kept[str(number)].to(accelerator.device) for number in range(len(learning))]
            average.optimization_step = self._moment.step
            self._halfway = False
        prepared = {name: accelerator.prepare(optimizer) for name, optimizer in optimizers.items()}
        batches = self._batches(stage, self._moment.stage)
        losses, told = [], time.monotonic()
        watched = told
        try:
            while (step := self._moment.step) < stage.steps:
                losses.append(self._step(stage, step, objective, prepared, batches, progress))
                average.step(learning)
                self._moment = replace(self._moment, step=step + 1)
                if self._curves and ((step + 1) % _TELL_EVERY == 0 or step + 1 == stage.steps):
                    mean, each = sum(losses) / len(losses), (time.monotonic() - told) / len(losses)
                    self._curves.tell(self._moment, stage.name, loss=mean, seconds=each)
                    losses, told = [], time.monotonic()
                if time.monotonic() - self._saved > max(_SAVE_EVERY, _SAVE_SHARE * self._took):
                    self._save(optimizers, average)
                if watch and accelerator.is_main_process and time.monotonic() - watched > self._means.watch_every:
                    seen: Mapping[str, float] = {}
                    with suppress(Cancelled), _shown(self._model, average, learning):  # the next step says so to all
                        seen = watch(self._model, stage, self._moment, progress)
                    if self._curves and seen:
                        self._curves.tell(self._moment, stage.name, **seen)
                    losses, told = [], time.monotonic()
                    watched = told
        except Cancelled:
            self._save(optimizers, average)
            accelerator.wait_for_everyone()  # launchers kill all others as soon as one has ended
            raise
        average.copy_to(learning)

    def _step(
        self,
        stage: Stage,
        step: int,
        objective: nn.Module,
        optimizers: dict[str, torch.optim.Optimizer],
        batches: Batches,
        progress: Progress,
    ) -> float:
        """One step; gives its loss."""
        total = 0.0
        for optimizer in optimizers.values():
            optimizer.zero_grad()
            set_rate(optimizer, stage, step)
        for number in range(stage.accumulate):
            self._go_on(progress, (step + number / stage.accumulate) / stage.steps)
            batch, draw = batches.draw(step * stage.accumulate + number)
            loss = objective(batch, draw) / stage.accumulate
            self._accelerator.backward(loss)
            total += float(loss.detach())
        norm = float(self._accelerator.clip_grad_norm_(objective.parameters(), stage.limit))
        scaled = self._accelerator.scaler is not None  # it leaves out steps whose gradients are too large for fp16
        broken = not (total < math.inf and (scaled or norm < math.inf))
        if broken:  # said before it gets into the weights, and so into a state
            raise UserError(
                f'The training diverged in the stage "{stage.name}", at step {step}.',
                "Begin anew under another name: in 32 bits, or by a recipe with a lower rate.",
                title="Training diverged",
            )
        for optimizer in optimizers.values():
            optimizer.step()
        return total

    def _go_on(self, progress: Progress, done: float) -> None:
        """Tell how far it is; where one process was cancelled, all stop here, or they would wait for it."""
        try:
            progress.update(done)
        except Cancelled:
            self._accelerator.set_trigger()
        if self._accelerator.check_trigger():
            raise Cancelled

    @contextmanager
    def _ready(self, stage: Stage) -> Iterator[nn.Module]:
        """The stage's objective on its device, with the parts that learn in training."""
        model = self._model.to(self._accelerator.device).train().requires_grad_(False)
        for name, part in model.named_children():
            learns = name in stage.trained
            part.requires_grad_(learns).train(learns)
        if self._means.thrifty:
            keep_less(model)
        objective = self._accelerator.prepare(OBJECTIVES[stage.aim](model, stage))
        yield objective
        objective.zero_grad()  # what is frozen next would count in its gradient's norm
        self._accelerator.free_memory()

    def _explained(self) -> AbstractContextManager[None]:
        return explained(self._accelerator.device, _THRIFT, _RESUME)

    def _batches(self, stage: Stage, number: int) -> Batches:
        accelerator = self._accelerator
        key = (self._recipe.seed, number)
        place = (accelerator.device, accelerator.process_index, accelerator.num_processes)
        return Batches(self._clips, stage, self._model.config.frames, key, *place)

    @torch.no_grad()
    def _deviation(self) -> float:
        """Of the latents, as the autoencoder makes them."""
        stage, key = self._recipe.stages[self._moment.stage], (self._recipe.seed, self._moment.stage)
        measured = replace(stage, batch=_MEASURED)  # the same ones in all processes
        batch, _ = Batches(self._clips, measured, self._model.config.frames, key, self._accelerator.device).draw(0)
        return float(encode(self._model.autoencoder, 2.0 * batch.pictures - 1.0).std())

    def _rescale(self, scale: float) -> None:
        made = HMInterp.build(replace(self._model.config, latent_scale=scale))
        made.load_state_dict(self._model.state_dict())
        self._model = made

    def _save(self, optimizers: dict[str, torch.optim.Optimizer], average: EMAModel | None) -> None:
        if not self._accelerator.is_main_process:
            return
        begun = time.monotonic()
        weights = {"latent_scale": torch.tensor(self._model.config.latent_scale, dtype=torch.float64)}
        for name, part in self._model.named_children():
            if name in self._recipe.learns():
                weights |= {f"{name}.{key}": tensor for key, tensor in part.state_dict().items()}
        tensors = {"weights": weights}
        if average is not None:
            tensors["average"] = {str(number): tensor for number, tensor in enumerate(average.shadow_params)}
            tensors["optimizer"] = packed(optimizers)
        self._run.save(self._moment, tensors)
        self._saved, self._took = time.monotonic(), time.monotonic() - begun

    def _restore(self) -> None:
        """Go on where the run is."""
        weights = self._run.load("weights")
        if (scale := float(weights.pop("latent_scale"))) != self._model.config.latent_scale:
            self._rescale(scale)
        self._model.load_state_dict(weights, strict=False)
        self._halfway = self._moment.step > 0


def processes(cpu: bool) -> PartialState:
    """All that train together: one, or as many as accelerate's launcher has started.

    They wait hours for each other, if they must: the first one prepares clips, and validates, alone.
    """
    return PartialState(cpu=cpu, timeout=timedelta(hours=6))


def fitted(
    recipe: Recipe, clips: Clips, minutes: float, means: Means, model: HMInterp | None = None
) -> tuple[Recipe, list[float]]:
    """A recipe with as many steps as so many minutes allow here, and what they cost (`Trainer.costs`)."""
    with tempfile.TemporaryDirectory() as scratch:
        tried = Trainer(recipe, clips, Run(Path(scratch) / "run", recipe), means, model)
    return recipe.scaled(60.0 * minutes / tried.seconds_left), tried.costs


@contextmanager
def _shown(model: HMInterp, average: EMAModel, learning: Sequence[nn.Parameter]) -> Iterator[None]:
    """The model as it is in use, with its averaged weights."""
    modes = {module: module.training for module in model.modules()}
    average.store(learning)
    average.copy_to(learning)
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        average.restore(learning)
        for module, mode in modes.items():
            module.training = mode
