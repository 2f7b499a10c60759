"""Seed Image Guider: what the given frames say about those between (Video Motion Graphs, section 3.3)."""

from __future__ import annotations

import torch
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from torch import Tensor

from .config import Config


def seed_latents(given: Tensor, length: int, filling: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The given frames' latents with something in the gap, and where they are given.

    Parameters
    ----------
    given : [B, c, 2 s, h, w]
        s frames before the gap, s after it.
    length : int
        Frames n of the gap.
    filling : [B, c, n, h, w], optional
        What stands in the gap; by default duplicates of the nearest given frame (of two as near, the earlier).

    Returns
    -------
    latents : [B, c, F, h, w]
    mask : [B, 1, F, h, w]
        1 on given frames, else 0.
    """
    start, end = given.chunk(2, dim=2)
    if filling is None:
        later = length // 2
        filling = torch.cat(
            [start[:, :, -1:].expand(-1, -1, length - later, -1, -1), end[:, :, :1].expand(-1, -1, later, -1, -1)], 2
        )
    whole, hole = torch.ones_like(start[:, :1]), torch.zeros_like(filling[:, :1])
    return torch.cat([start, filling, end], 2), torch.cat([whole, hole, whole], 2)


def widened(noisy: Tensor, latents: Tensor, mask: Tensor) -> Tensor:
    """The denoiser's input [B, 2 c + 1, F, h, w] where the config's seed is "widened"."""
    return torch.cat([noisy, latents, mask], dim=1)


class SeedGuider(ControlNetConditioningEmbedding):
    """Features of the given frames, added after the denoiser's first convolution; zero until trained.

    It has the Pose Guider's layers and names. With stride 1 it reads latents alone (four channels, as the authors'
    has them, and which frames are given is known from their places), else pictures and their mask.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config) -> None:
        inputs = config.latent_channels if config.seed_stride == 1 else 4
        super().__init__(config.channels[0], inputs, config.seed_channels)
        self.stride = config.seed_stride
        if self.stride == 1:
            for block in self.blocks:
                block.stride = (1, 1)

    def forward(self, seen: Tensor, mask: Tensor) -> Tensor:
        """Features of each frame.

        Parameters
        ----------
        seen : [B, c, F, h, w] or [B, 3, F, H, W]
            Latents; or pictures in 0..1 where the stride is the autoencoder's factor. Filled as `seed_latents` does.
        mask : [B, 1, F, h, w] or [B, 1, F, H, W]

        Returns
        -------
        [B·F, C0, h, w]
        """
        inputs = seen if self.stride == 1 else torch.cat([seen, mask], dim=1)
        features: Tensor = super().forward(inputs.transpose(1, 2).flatten(0, 1))
        return features
