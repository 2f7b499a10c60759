"""Light reference: the given frames' appearance for the denoiser by convolutions alone (MotionFollower, "ReCtr").

A network of a tenth of the ReferenceNet's size that runs once for a gap; its features are added in each of the
denoiser's blocks on the way down, for every frame (the adapter of Mou et al. 2023, T2I-Adapter, section 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .config import Config
from .decoder import frame_times, shares, silent

_BLOCKS = 2
"""Residual blocks of a level."""


class LightReference(nn.Module):
    """Features of given frames at each of the denoiser's levels; untrained ones are zero.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.unshuffle = nn.PixelUnshuffle(config.factor)
        self.enter = nn.Conv2d(3 * config.factor**2, config.channels[0], 3, padding=1)
        before = (config.channels[0], *config.channels)
        self.levels = nn.ModuleList(
            _Level(wide, own, smaller=number > 0)
            for number, (wide, own) in enumerate(zip(before, config.channels, strict=False))
        )
        self.leave = nn.ModuleList(silent(nn.Conv2d(own, own, 1)) for own in config.channels)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Features of each level.

        Parameters
        ----------
        pictures : [..., 3, H, W]
            In 0..1, for instance [B, 2, 3, H, W] for the given frames right before and after each gap.

        Returns
        -------
        list of [..., C_l, h_l, w_l]
            Finest first; h_0 = H / 8, and each level has half of the one before, rounded up as the denoiser rounds.
        """
        x = self.enter(self.unshuffle(pictures.flatten(0, -4).to(self.enter.weight.dtype)))
        found = []
        for level, leave in zip(self.levels, self.leave, strict=True):
            x = level(x)
            found.append(leave(x).reshape(*pictures.shape[:-3], *x.shape[1:]))
        return found


class _Level(nn.Module):
    def __init__(self, wide: int, own: int, *, smaller: bool) -> None:
        super().__init__()
        self.shrink = nn.AvgPool2d(2, ceil_mode=True) if smaller else nn.Identity()
        self.widen = nn.Conv2d(wide, own, 1) if wide != own else nn.Identity()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(own, own, 3, padding=1), nn.ReLU(), nn.Conv2d(own, own, 1)) for _ in range(_BLOCKS)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.widen(self.shrink(x))
        for block in self.blocks:
            x = x + block(x)
        return x


def over_frames(features: Sequence[Tensor], frames: int, context: int) -> list[Tensor]:
    """What the denoiser adds to each frame: the only reference's features, or a mix of both by the frame's time.

    Parameters
    ----------
    features : sequence of [B, R, C_l, h_l, w_l]
        Of one (the start) or two references (start and end).
    frames, context : int
        F, and how many of them are given at either end.

    Returns
    -------
    list of [B·F, C_l, h_l, w_l]
    """
    if features[0].shape[1] == 1:
        return [level.expand(-1, frames, -1, -1, -1).flatten(0, 1) for level in features]
    share = shares(frame_times(frames, context), "repeat").to(features[0])
    return [torch.einsum("brchw,fr->bfchw", level, share).flatten(0, 1) for level in features]
