"""Tokens of the reference frames for cross-attention, in place of a text's (AnimateAnyone, section 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import Config

if TYPE_CHECKING:
    from transformers import CLIPVisionConfig

_MEAN, _SPREAD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_GRID = 2
"""Cells of a picture's side that latents are pooled to."""


def make_tokens(config: Config) -> ClipTokens | LatentTokens:
    """The maker of tokens that the config names."""
    if config.tokens == "latent":
        return LatentTokens(config.latent_channels, config.token_width)
    from transformers import CLIPVisionConfig

    large = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        patch_size=14,
        image_size=224,
        projection_dim=config.token_width,
    )
    return ClipTokens(large)


def for_frames(tokens: Tensor, frames: int) -> Tensor:
    """The tokens [B, T, D] of each gap for every frame of a call, [B·F, T, D]."""
    return tokens.repeat_interleave(frames, dim=0)


class ClipTokens(nn.Module):
    """One token of each picture by CLIP's image encoder.

    Parameters
    ----------
    vision : CLIPVisionConfig
    """

    def __init__(self, vision: CLIPVisionConfig) -> None:
        from transformers import CLIPVisionModelWithProjection

        super().__init__()
        self.encoder = CLIPVisionModelWithProjection(vision)

    def forward(self, pictures: Tensor, latents: Tensor) -> Tensor:
        """Tokens of the reference frames.

        Parameters
        ----------
        pictures : [B, R, 3, H, W]
            In 0..1.
        latents : [B, R, c, h, w]
            Not looked at.

        Returns
        -------
        [B, R, D]
        """
        seen = prepared(pictures.flatten(0, 1), self.encoder.config.image_size)
        tokens: Tensor = self.encoder(seen.to(self.encoder.device, self.encoder.dtype)).image_embeds
        return tokens.view(*pictures.shape[:2], -1)


class LatentTokens(nn.Module):
    """One token of each picture by its pooled latents.

    Parameters
    ----------
    channels, width : int
        Of latents and of tokens.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(channels * _GRID**2, width)

    def forward(self, pictures: Tensor, latents: Tensor) -> Tensor:
        """As `ClipTokens`, but of the latents."""
        pooled = functional.adaptive_avg_pool2d(latents.flatten(0, 1).to(self.project.weight), _GRID)
        tokens: Tensor = self.project(pooled.flatten(1))
        return tokens.view(*latents.shape[:2], -1)


def prepared(pictures: Tensor, size: int) -> Tensor:
    """Pictures [N, 3, H, W] in 0..1 as CLIP was trained to see them: squeezed into a square, normalised."""
    squares = functional.interpolate(pictures.float(), (size, size), mode="bicubic", antialias=True).clamp(0, 1)
    mean, spread = (torch.tensor(values, device=pictures.device).view(3, 1, 1) for values in (_MEAN, _SPREAD))
    return (squares - mean) / spread
