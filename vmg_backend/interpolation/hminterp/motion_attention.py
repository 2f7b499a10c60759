"""Motion attention: the guiders' features fitted to the denoiser's own (Edit-Your-Motion, section III-B)."""

from __future__ import annotations

import math

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from .config import MOTION_HEADS


class MotionAttention(nn.Module):
    """Self-attention over a frame, cross-attention to the denoiser's features, attention over time; zero until trained.

    The paper puts it on ControlNet's features. Here the Pose Guider's take their place: they are added after the
    denoiser's first convolution, whose output is the U-Net's feature that the cross-attention reads. What comes out is
    added to the guider's features, so that these stay what they were until something is learned. It works at a small
    width of its own; sines tell places and times, as there is nothing else to know them by.

    Parameters
    ----------
    channels : int
        C0 of the denoiser's first level.
    width : int
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        size = {"heads": MOTION_HEADS, "dim_head": width // MOTION_HEADS}
        self.enter_norm, self.enter = nn.LayerNorm(channels), nn.Linear(channels, width)
        self.own_norm, self.own = nn.LayerNorm(width), Attention(width, **size)
        self.seen_norm, self.unet_norm = nn.LayerNorm(width), nn.LayerNorm(channels)
        self.seen = Attention(width, cross_attention_dim=channels, **size)  # its to_q is equation 8's Linear
        self.time_norm, self.time = nn.LayerNorm(width), Attention(width, **size)
        self.leave = nn.Linear(width, channels)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, guided: Tensor, seen: Tensor, frames: int) -> Tensor:
        """What is added to the guiders' features.

        Parameters
        ----------
        guided : [B·F, C0, h, w]
            The guiders' features, summed.
        seen : [B·F, C0, h, w]
            What the denoiser's first convolution made of the noisy latents.
        frames : int
            F.

        Returns
        -------
        [B·F, C0, h, w]
        """
        height, width = guided.shape[2:]
        x = self.enter(self.enter_norm(_tokens(guided)))
        rows, columns = (_sines(count, x.shape[-1], x) for count in (height, width))
        x = x + (rows[:, None] + columns.flip(-1)[None]).flatten(0, 1)
        x = x + self.own(self.own_norm(x))
        x = x + self.seen(self.seen_norm(x), self.unet_norm(_tokens(seen)))
        by_place = x.unflatten(0, (-1, frames)).transpose(1, 2).flatten(0, 1)
        moved = self.time(self.time_norm(by_place) + _sines(frames, x.shape[-1], x))
        x = x + moved.unflatten(0, (-1, height * width)).transpose(1, 2).flatten(0, 1)
        fitted: Tensor = self.leave(x).transpose(1, 2).unflatten(2, (height, width))
        return fitted


def _tokens(features: Tensor) -> Tensor:
    """Features [B·F, C, h, w] as [B·F, h·w, C]."""
    return features.flatten(2).transpose(1, 2)


def _sines(count: int, width: int, like: Tensor) -> Tensor:
    """Codes [count, width] of places 0, 1, ... (Vaswani et al. 2017, section 3.5)."""
    place = torch.arange(count, device=like.device, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, width, 2, device=like.device) * (-math.log(10000.0) / width))
    return torch.cat([(place * rates).sin(), (place * rates).cos()], 1).to(like.dtype)
