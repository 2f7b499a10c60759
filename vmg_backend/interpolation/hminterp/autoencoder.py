"""The autoencoder: Stable Diffusion's, at the config's size."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from torch import Tensor

from .config import Config

_TOGETHER = 2
"""Pictures that are encoded at once: more take more memory than anything else before the denoiser, and no less time."""


def make_autoencoder(config: Config) -> AutoencoderKL:
    """The network."""
    levels = len(config.autoencoder)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=config.autoencoder,
        layers_per_block=config.autoencoder_layers,
        latent_channels=config.latent_channels,
        sample_size=config.size,
        scaling_factor=config.latent_scale,
    )


def encode(autoencoder: AutoencoderKL, pictures: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Scaled latents of pictures.

    Parameters
    ----------
    autoencoder : AutoencoderKL
    pictures : [..., 3, H, W]
        In -1..1.
    generator : torch.Generator, optional
        Draws from the posterior, as in training; without one its mean is taken, as in use.

    Returns
    -------
    [..., c, h, w]
    """
    pieces = pictures.flatten(0, -4).to(autoencoder.dtype).split(_TOGETHER)
    posterior = DiagonalGaussianDistribution(
        torch.cat([autoencoder.encode(piece).latent_dist.parameters for piece in pieces])
    )
    latents: Tensor = posterior.mode() if generator is None else posterior.sample(generator)
    return latents.view(*pictures.shape[:-3], *latents.shape[1:]) * _scale(autoencoder)


def decode(autoencoder: AutoencoderKL, latents: Tensor) -> Tensor:
    """Pictures [..., 3, H, W] in -1..1, and a little beyond, of scaled latents [..., c, h, w]."""
    plain = latents.flatten(0, -4).to(autoencoder.dtype) / _scale(autoencoder)
    pictures: Tensor = autoencoder.decode(plain, return_dict=False)[0]
    return pictures.view(*latents.shape[:-3], *pictures.shape[1:])


def _scale(autoencoder: AutoencoderKL) -> float:
    scale: float = autoencoder.config["scaling_factor"]
    return scale
