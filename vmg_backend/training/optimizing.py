"""What all trainings share of their optimizers: the learning rate's course, and states as tensors."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor

_RISING = 0.02


def warmth(done: float) -> float:
    """The learning rate's share of its highest, at a share of the steps: it rises, then falls along a half cosine."""
    if done < _RISING:
        return (done + 1e-3) / (_RISING + 1e-3)
    return 0.5 * (1.0 + math.cos(math.pi * (done - _RISING) / (1.0 - _RISING)))


def packed(optimizers: Mapping[str, torch.optim.Optimizer]) -> dict[str, Tensor]:
    """What optimizers remember, as tensors by name."""
    return {
        f"{kind}.{number}.{name}": tensor
        for kind, optimizer in optimizers.items()
        for number, state in optimizer.state_dict()["state"].items()
        for name, tensor in state.items()
    }


def unpack(optimizers: Mapping[str, torch.optim.Optimizer], tensors: Mapping[str, Tensor]) -> None:
    """Give optimizers what `packed` told; other tensors are left alone."""
    for kind, optimizer in optimizers.items():
        held: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for key, tensor in tensors.items():
            if key.startswith(f"{kind}."):
                _, number, name = key.split(".", 2)
                held[int(number)][name] = tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": held})
