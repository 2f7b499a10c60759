"""The Motion Diffusion Model's network in torch, for training; `forward` computes the same in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .features import LONGEST, widths
from .gap import CONTEXT

ROWS = LONGEST + 2 * CONTEXT
"""Frames of the longest gap with its context."""


@dataclass(frozen=True)
class Size:
    """How large a network is.

    Attributes
    ----------
    joints : int
    width : int
        Features of each frame.
    pairs : int
        Blocks down, and as many up, with one more in the middle.
    heads : int
        Of attention.
    """

    joints: int
    width: int
    pairs: int
    heads: int


class MotionTransformer(nn.Module):
    """A transformer in UNet form over the frames around and in a gap (Video Motion Graphs, section 3.3, figure 4).

    The poses of both ends are joined to each frame by feature concatenation before the first block; each block on
    the way up gets the features of its mirror block by concatenation. The diffusion step scales and shifts the
    features of each block, zero at first (Peebles and Xie 2023, section 3.2, adaLN-Zero). Predicts x0.

    Parameters
    ----------
    size : Size
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        frame, both = widths(size.joints)
        width = size.width
        self.enter = nn.Linear(2 * size.joints + frame + both, width)
        self.from_first = nn.Parameter(0.02 * torch.randn(ROWS, width))
        self.from_last = nn.Parameter(0.02 * torch.randn(ROWS, width))
        self.moment = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.down = nn.ModuleList(Block(width, size.heads) for _ in range(size.pairs))
        self.middle = Block(width, size.heads)
        self.join = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(size.pairs))
        self.up = nn.ModuleList(Block(width, size.heads) for _ in range(size.pairs))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, 2 * size.joints)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, noisy: Tensor, moment: Tensor, frames: Tensor, both: Tensor) -> Tensor:
        """Predict the clean offset.

        Parameters
        ----------
        noisy : float32 [B, n, J, 2]
        moment : float32 [B]
            0 (clean) to 1 (noise).
        frames : float32 [B, s + n + s, F]
        both : float32 [B, E]

        Returns
        -------
        float32 [B, n, J, 2]
        """
        count, length = noisy.shape[:2]
        rows = frames.shape[1]
        context = (rows - length) // 2
        offset = functional.pad(noisy.reshape(count, length, -1), (0, 0, context, context))
        x = self.enter(torch.cat([offset, frames, both[:, None].expand(-1, rows, -1)], dim=2))
        x = x + self.from_first[:rows] + self.from_last[:rows].flip(0)
        step = self.moment(waves(moment, self.size.width))
        kept = []
        for block in self.down:
            x = block(x, step)
            kept.append(x)
        x = self.middle(x, step)
        for join, block in zip(self.join, self.up, strict=True):
            x = block(join(torch.cat([x, kept.pop()], dim=2)), step)
        clean: Tensor = self.leave(self.norm(x[:, context : context + length]))
        return clean.reshape(noisy.shape)


class Block(nn.Module):
    """Attention and a feed-forward layer, both steered by the diffusion step."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.steer = nn.Linear(width, 6 * width)
        self.attend = nn.Linear(width, 3 * width)
        self.gather = nn.Linear(width, width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        nn.init.zeros_(self.steer.weight)
        nn.init.zeros_(self.steer.bias)

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        """Features [B, rows, width] by the step's [B, width]."""
        count, rows, width = x.shape
        shift, scale, gate, shift_wide, scale_wide, gate_wide = self.steer(step)[:, None].chunk(6, dim=2)
        normal = functional.layer_norm(x, (width,)) * (1 + scale) + shift
        queries, keys, values = (
            self.attend(normal).reshape(count, rows, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        )
        seen = functional.scaled_dot_product_attention(queries, keys, values)
        x = x + gate * self.gather(seen.transpose(1, 2).reshape(count, rows, width))
        normal = functional.layer_norm(x, (width,)) * (1 + scale_wide) + shift_wide
        x = x + gate_wide * self.narrow(functional.gelu(self.widen(normal), approximate="tanh"))
        return x


def waves(moment: Tensor, width: int) -> Tensor:
    """Sines and cosines [B, width] of moments [B], as of steps 0 to 1000 (Vaswani et al. 2017, section 3.5)."""
    rates = torch.exp(-torch.arange(width // 2, device=moment.device) * (9.21034 / (width // 2)))
    angles = 1000.0 * moment[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
