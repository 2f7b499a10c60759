"""The optimizers of a stage."""

from __future__ import annotations

import torch
from torch import nn

from ..muon import Muon
from ..optimizing import warmth
from .recipes import Stage

_SMALLEST = 16
"""Rows or columns of a matrix from which Muon turns it."""


def make_optimizers(module: nn.Module, stage: Stage) -> dict[str, torch.optim.Optimizer]:
    """What changes the parameters that learn: AdamW, or Muon for matrices and kernels and AdamW for all else."""
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    matrices = [each for each in learning if each.ndim > 1 and min(each.flatten(1).shape) >= _SMALLEST]
    if stage.optimizer == "adamw" or not matrices:
        return {"adam": _adam(learning, stage)}
    turned = set(map(id, matrices))
    return {
        "muon": Muon(matrices, stage.rate, 0.0),
        "adam": _adam([each for each in learning if id(each) not in turned], stage),
    }


def _adam(parameters: list[nn.Parameter], stage: Stage) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        parameters, stage.rate, (0.9, 0.98), weight_decay=0.01 if stage.optimizer == "adamw" else 0.0
    )


def set_rate(optimizer: torch.optim.Optimizer, stage: Stage, step: int) -> None:
    """Give an optimizer the learning rate of a step."""
    for group in optimizer.param_groups:
        group["lr"] = stage.rate * warmth(step / stage.steps)
