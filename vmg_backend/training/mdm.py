"""Training of the Motion Diffusion Model."""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from ..errors import UserError
from ..files import writing
from ..motion.features import LONGEST, place_and_size, tell
from ..motion.gap import CONTEXTS, PoseGap, ends
from ..motion.mdm import cell
from ..motion.network import MotionTransformer, Size
from ..motion.regression import FEATURES, KINDS, MEASURES, Fit, Tables
from ..motion.schedule import signal_share
from ..motion.weights import Weights
from ..progress import SILENT, Progress
from ..tensors import Kind, opened
from .muon import Muon
from .optimizing import packed, unpack, warmth

_BLOCKS = ("down", "middle", "join", "up")
"""Parts of the network whose matrices map features to features."""
_SOFT = 0.05
"""Below this an error counts by its square, as far as it can be seen from there on by its length."""
_TABLE_BATCHES = 12
"""Batches of each context and length, of all kinds, from which base and deviation are found."""
_SAVE_EVERY = 60.0
"""Seconds between two states from which training can go on."""
_STATE = Kind("state of a training", "Delete it to begin anew.", lambda stated: {"recipe", "step"} <= stated.keys())


class Lesson(Protocol):
    """A batch of gaps of one shape whose truth is known.

    Attributes
    ----------
    truth : float32 [B, n, J, 2]
    confidence : float32 [B, n, J]
        How far each true joint is to be trusted, 0 to 1.
    """

    @property
    def truth(self) -> NDArray[np.float32]: ...  # noqa: D102

    @property
    def confidence(self) -> NDArray[np.float32]: ...  # noqa: D102

    def gaps(self) -> list[PoseGap]: ...  # noqa: D102


Draw = Callable[[np.random.Generator, int, int, int], Lesson]
"""Draws a lesson: random numbers, how many gaps, frames of context, frames of the gap."""


@dataclass(frozen=True)
class Recipe:
    """All that decides a training beside its data.

    Attributes
    ----------
    name : str
    width, pairs, heads : int
        Size of the network.
    steps : int
    batch : int
        Gaps for each step.
    rate : float
        Highest learning rate: it rises over the first 2 % of the steps and falls along a half cosine to the end.
    decay : float
        AdamW's weight decay.
    keep : float
        Share of the averaged weights (EMA) that each step keeps.
    velocity : float
        Weight of the error of frame differences.
    longest : int
        Frames of the longest gap.
    typical : float
        Frames around which the gaps' lengths gather (log-normal).
    single : float
        Share of steps with one frame of context instead of three.
    seed : int
    """

    name: str
    width: int = 128
    pairs: int = 3
    heads: int = 4
    steps: int = 5000
    batch: int = 64
    rate: float = 1.5e-3
    decay: float = 0.01
    keep: float = 0.999
    velocity: float = 0.5
    longest: int = LONGEST
    typical: float = 14.0
    single: float = 0.4
    seed: int = 1


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("shipped"),
        Recipe("tiny", width=48, pairs=1, steps=400, batch=32, rate=2e-3, keep=0.98, longest=24),
        Recipe("tuning", steps=400, batch=32, rate=2e-4, keep=0.99, longest=24),
    )
}


class Training:
    """A training that can be stopped and taken up again.

    Parameters
    ----------
    draw : callable
        Where the lessons come from.
    joints : int
        Of each pose.
    recipe : Recipe
    begin : Weights, optional
        What is tuned: of a network of the recipe's size.
    """

    def __init__(self, draw: Draw, joints: int, recipe: Recipe, begin: Weights | None = None) -> None:
        self._draw = draw
        self._recipe = recipe
        torch.manual_seed(recipe.seed)
        self._network = MotionTransformer(Size(joints, recipe.width, recipe.pairs, recipe.heads))
        if begin is not None:
            self._network.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in begin.tensors.items()})
        self._average = {name: tensor.clone() for name, tensor in self._network.state_dict().items()}
        self._optimizers = _optimizers(self._network, recipe)
        self._step = 0
        self._tables = begin.tables if begin else None

    @property
    def step(self) -> int:
        """Steps that were made."""
        return self._step

    def run(self, state: Path, progress: Progress = SILENT, said: Callable[[int, float], None] | None = None) -> None:
        """Train to the recipe's end.

        Parameters
        ----------
        state : Path
            Written every minute and when the training is cancelled, so that it can go on.
        progress : Progress
        said : callable, optional
            Gets the number of steps and the mean loss since it was last told.
        """
        if self._tables is None:
            self._tables = self._measure(progress.part(0.0, 0.02, "Measuring the gaps"))
        part = progress.part(0.02, 1.0, "Training")
        saved, losses = time.monotonic(), []
        try:
            while self._step < self._recipe.steps:
                part.update(self._step / self._recipe.steps)
                losses.append(self._learn(self._tables))
                if said and self._step % 100 == 0:
                    said(self._step, float(np.mean(losses)))
                    losses.clear()
                if time.monotonic() - saved > _SAVE_EVERY:
                    self.save(state)
                    saved = time.monotonic()
        finally:
            self.save(state)

    def weights(self, about: dict[str, Any]) -> Weights:
        """The averaged weights of what was learned so far."""
        if self._tables is None:
            raise ValueError("Nothing was learned yet.")
        tensors = {name: tensor.numpy().copy() for name, tensor in self._average.items()}
        recipe = {**asdict(self._recipe), "steps_made": self._step}
        return Weights(tensors, self._recipe.heads, self._tables, {"recipe": recipe, **about})

    def _measure(self, progress: Progress) -> Tables:
        """What is expected of each context, kind and length."""
        recipe = self._recipe
        random = np.random.default_rng([recipe.seed, 1])
        shape = (len(CONTEXTS), len(KINDS), LONGEST + 1, LONGEST)
        tables = Tables(
            np.zeros((*shape, FEATURES), np.float32),
            np.zeros((*shape[:3], MEASURES), np.float32),
            np.ones(shape, np.float32),
        )
        met = np.zeros(shape[:3], bool)
        for row, context in enumerate(CONTEXTS):
            for length in range(1, recipe.longest + 1):
                progress.update((row + length / recipe.longest) / len(CONTEXTS))
                fits: dict[tuple[int, int, int], Fit] = defaultdict(Fit)
                for _ in range(_TABLE_BATCHES):
                    lesson = self._draw(random, recipe.batch, context, length)
                    gaps = lesson.gaps()
                    fits[cell(gaps)].add(gaps, lesson.truth, lesson.confidence, place_and_size(*ends(gaps))[1])
                for at, fit in fits.items():
                    prior = fit.prior()
                    tables.base[at][:length], tables.spread[at], tables.sigma[at][:length] = vars(prior).values()
                    met[at] = True
        _fill_in(tables, met)
        return tables

    def _learn(self, tables: Tables) -> float:
        """One step; gives its loss."""
        recipe = self._recipe
        random = np.random.default_rng([recipe.seed, 2, self._step])  # the same step learns the same, resumed or not
        context = CONTEXTS[0] if random.random() < recipe.single else CONTEXTS[1]
        length = int(np.clip(round(random.lognormal(math.log(recipe.typical), 0.7)), 1, recipe.longest))
        lesson = self._draw(random, recipe.batch, context, length)
        gaps = lesson.gaps()
        prior = tables[cell(gaps)]
        told = tell(gaps, prior)
        deviation = prior.sigma[:, None, None]
        clean = torch.from_numpy((told.normalized(lesson.truth) - told.base) / (deviation * told.scale))
        moment = (random.random(len(gaps)) ** 0.25).astype(np.float32)  # most is decided where there is most noise
        share = torch.from_numpy(signal_share(moment).astype(np.float32))[:, None, None, None]
        noise = torch.from_numpy(random.standard_normal(clean.shape, dtype=np.float32))
        noisy = share.sqrt() * clean + (1.0 - share).sqrt() * noise

        for optimizer in self._optimizers.values():
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate * warmth(self._step / recipe.steps)
        predicted = self._network(noisy, torch.from_numpy(moment), *map(torch.from_numpy, (told.frames, told.ends)))
        loss = self._loss((predicted - clean) * torch.from_numpy(deviation), torch.from_numpy(lesson.confidence))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), 1.0)
        for optimizer in self._optimizers.values():
            optimizer.step()
        self._step += 1
        keep = min(recipe.keep, (1 + self._step) / (10 + self._step))
        for name, tensor in self._network.state_dict().items():
            self._average[name].lerp_(tensor, 1.0 - keep)
        return float(loss.detach())

    def _loss(self, error: Tensor, confidence: Tensor) -> Tensor:
        """Mean distance of joints, and of their steps, from the truth; errors [B, n, J, 2] in units of their scale."""
        place = (confidence * _length(error)).sum() / confidence.sum()
        if error.shape[1] < 2:
            return place
        both = torch.minimum(confidence[:, 1:], confidence[:, :-1])
        return place + self._recipe.velocity * (both * _length(error.diff(dim=1))).sum() / both.sum()

    def save(self, path: Path) -> None:
        """Write the state, whole or not at all."""
        tensors = {f"network.{name}": tensor for name, tensor in self._network.state_dict().items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self._average.items()}
        tensors |= packed(self._optimizers)
        if self._tables is not None:
            tensors |= {f"table.{name}": torch.from_numpy(table) for name, table in vars(self._tables).items()}
        metadata = {"recipe": json.dumps(asdict(self._recipe)), "step": str(self._step)}
        with writing(path) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary, metadata)

    def resume(self, path: Path) -> None:
        """Take up the training whose state was saved.

        Raises
        ------
        UserError
            When it had another recipe, or cannot be read.
        """
        with opened(path, _STATE, "pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        if replace(Recipe(**json.loads(metadata["recipe"])), steps=0) != replace(self._recipe, steps=0):
            raise UserError(f"{path.name} is the state of a training with another recipe.", "Name another --out file.")

        def part(prefix: str) -> dict[str, Tensor]:
            return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}

        self._network.load_state_dict(part("network."))
        self._average = part("average.")
        unpack(self._optimizers, tensors)
        self._step = int(metadata["step"])
        if tables := part("table."):
            self._tables = Tables(**{name: table.numpy() for name, table in tables.items()})


def _optimizers(network: MotionTransformer, recipe: Recipe) -> dict[str, torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for all else."""
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in network.named_parameters():
        (matrices if parameter.ndim == 2 and name.startswith(_BLOCKS) else others).append(parameter)
    return {
        "muon": Muon(matrices, recipe.rate, recipe.decay),
        "adam": torch.optim.AdamW(others, recipe.rate, (0.9, 0.98), 1e-8, recipe.decay),
    }


def _fill_in(tables: Tables, met: NDArray[np.bool_]) -> None:
    """Give lengths of which no gap of a kind was drawn what the nearest length has, at the same part of the gap."""
    for row, number in np.ndindex(met.shape[:2]):
        known = np.flatnonzero(met[row, number])
        for length in np.flatnonzero(~met[row, number, 1:]) + 1 if len(known) else ():
            nearest = known[np.abs(known - length).argmin()]
            places, there = (np.arange(1, n + 1) / (n + 1) for n in (length, nearest))
            at, source = (row, number, length), (row, number, nearest)
            tables.spread[at] = tables.spread[source]
            tables.sigma[at][:length] = np.interp(places, there, tables.sigma[source][:nearest])
            for feature in range(FEATURES):
                tables.base[at][:length, feature] = np.interp(places, there, tables.base[source][:nearest, feature])


def _length(vectors: Tensor) -> Tensor:
    """Of vectors [..., 2], smooth at 0."""
    return torch.sqrt(vectors.square().sum(dim=-1) + _SOFT**2)
