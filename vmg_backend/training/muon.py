"""Muon: steps of equal size in all directions that a matrix can turn."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

_QUINTIC = 3.4445, -4.7750, 2.0315
"""Of the iteration; they bring all singular values near to 1 in few steps."""
_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Momentum whose step is made orthogonal (Jordan et al. 2024, Muon: an optimizer for hidden layers).

    The step's size is that of Adam (Liu et al. 2025, Muon is scalable for LLM training, equation 4), so one learning
    rate serves both. As `torch.optim.Muon`, which works in bfloat16: twenty times slower on most CPUs.

    Parameters
    ----------
    parameters : iterable of Tensor
        Matrices, and kernels [out, in, ...], which are turned as matrices [out, in · ...].
    rate : float
    decay : float
        Of the weights.
    momentum : float
    """

    def __init__(self, parameters: Iterable[Tensor], rate: float, decay: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": rate, "decay": decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # closures are of no use here
        """Change all parameters by their gradients; accelerate hands over that there is no closure."""
        for group in self.param_groups:
            for matrix in (each for each in group["params"] if each.grad is not None):
                momentum = self.state[matrix].setdefault("momentum", torch.zeros_like(matrix))
                momentum.lerp_(matrix.grad, 1.0 - group["momentum"])
                step = orthogonal(torch.lerp(matrix.grad, momentum, group["momentum"]).flatten(1))
                matrix.mul_(1.0 - group["lr"] * group["decay"])
                matrix.add_(step.view_as(matrix), alpha=-group["lr"] * 0.2 * max(step.shape) ** 0.5)


def orthogonal(matrix: Tensor) -> Tensor:
    """About the nearest matrix with orthonormal rows or columns, by Newton and Schulz's iteration."""
    wide: Tensor = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + 1e-7)
    first, second, third = _QUINTIC
    for _ in range(_ITERATIONS):
        square = wide @ wide.T
        wide = first * wide + (second * square + third * square @ square) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T
