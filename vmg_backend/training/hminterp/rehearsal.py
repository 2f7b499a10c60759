"""What a training needs of a device's memory, told before it starts: its stages, rehearsed without numbers.

A forward and a backward pass of each stage are run on torch's "meta" device, as `interpolation.hminterp.memory` does
for gaps, and what is alive at any time is added up. Beside that stay the weights, what the optimizers remember, and
the averaged weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ...interpolation.hminterp.memory import Flash, Live, bytes_of
from ...interpolation.hminterp.model import HMInterp
from .clips import Batch
from .objectives import OBJECTIVES, keep_less
from .optimizers import make_optimizers
from .recipes import Recipe, Stage

_REMEMBERED = {"muon": 1, "adam": 2}
"""Numbers that an optimizer remembers of each that it changes."""


@dataclass(frozen=True)
class Need:
    """Memory of a training, bytes.

    Attributes
    ----------
    weights : int
        Of the model.
    state : int
        What a state on the disk takes at most: weights that learn, their averages, the optimizers' memory.
    peak : int
        Most that is alive at once, for pictures of the model's full size, in 32 bits.
    working : int
        The part of it that grows with the pictures.
    """

    weights: int
    state: int
    peak: int
    working: int

    def at(self, share: float) -> int:
        """The peak for pictures of that share of the full size's pixels."""
        return round(self.peak - self.working * (1.0 - share))


@lru_cache(maxsize=8)
def rehearsed(recipe: Recipe, thrifty: bool) -> Need:
    """What the stages of a recipe need; takes seconds.

    Parameters
    ----------
    recipe : Recipe
    thrifty : bool
        With gradient checkpointing.
    """
    model = HMInterp.build(recipe.config, "meta").to("meta")
    weights, states, peaks = bytes_of(model.parameters()), [], []
    # of those that differ only in what they are told, the one that is told most, which takes seconds less
    told = sorted(recipe.stages, key=lambda stage: stage.seed + stage.pose)
    heaviest = {(stage.aim, stage.trained, stage.batch, stage.frames): stage for stage in told}
    for stage in heaviest.values():
        for name, part in model.named_children():
            part.requires_grad_(name in stage.trained).train(name in stage.trained)
        if thrifty:
            keep_less(model)
        objective = OBJECTIVES[stage.aim](model, stage)
        live = Live()
        with Flash(_Attention.apply), live:
            _backward(objective(_batch(model, stage), torch.Generator().manual_seed(0)))
        learning = bytes_of(parameter for parameter in model.parameters() if parameter.requires_grad)
        kept = learning + sum(
            _REMEMBERED[name] * bytes_of(parameter for group in each.param_groups for parameter in group["params"])
            for name, each in make_optimizers(objective, stage).items()
        )
        objective.zero_grad()
        states.append(learning + kept)
        peaks.append((weights + kept + live.peak, live.peak - learning))
    peak, working = max(peaks)
    return Need(weights, max(states), peak, working)


def _batch(model: HMInterp, stage: Stage) -> Batch:
    """A batch without numbers."""
    config = model.config
    alone = stage.aim == "autoencoder"
    frames, side, cells = 1 if alone else config.frames, config.size, config.size // config.factor

    def empty(*shape: int) -> Tensor:
        return torch.empty(stage.batch, *shape, device="meta")

    return Batch(
        pictures=empty(frames, 3, side, side),
        maps=empty(3, frames, side, side),
        weights=empty(1, frames, cells, cells),
        latents=None if alone else empty(frames, config.latent_channels, cells, cells),
    )


def _backward(loss: Tensor) -> None:
    """As `loss.backward()`, which modes of torch functions would see, and be switched off for all that it calls."""
    one = torch.ones_like(loss)
    torch.autograd.Variable._execution_engine.run_backward(
        (loss,), (one,), False, False, (), allow_unreachable=True, accumulate_grad=True
    )


class _Attention(torch.autograd.Function):
    """Attention that keeps nothing but what goes in and comes out."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:  # noqa: ANN401 - as torch hands it
        made = query.new_empty(*query.shape[:-1], value.shape[-1])
        ctx.save_for_backward(query, key, value, made)
        return made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401
        del gradient
        return tuple(map(torch.empty_like, ctx.saved_tensors[:3]))
