"""The optimizers of a stage, and their states as tensors."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..muon import Muon
from .recipes import Stage

_SMALLEST = 16
"""Rows or columns of a matrix from which Muon turns it."""
_RISING = 0.02


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
    done = step / stage.steps
    warmth = (
        (done + 1e-3) / (_RISING + 1e-3)
        if done < _RISING
        else 0.5 * (1.0 + math.cos(math.pi * (done - _RISING) / (1 - _RISING)))
    )
    for group in optimizer.param_groups:
        group["lr"] = stage.rate * warmth


def packed(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """An optimizer's state as tensors by name."""
    held = optimizer.state_dict()["state"]
    return {f"{prefix}.{number}.{name}": tensor for number, state in held.items() for name, tensor in state.items()}


def unpack(optimizer: torch.optim.Optimizer, prefix: str, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimizer the state that `packed` told."""
    held: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for key, tensor in tensors.items():
        if key.startswith(f"{prefix}."):
            number, name = key[len(prefix) + 1 :].split(".", 1)
            held[int(number)][name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": held})
