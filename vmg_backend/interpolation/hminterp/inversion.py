"""DDIM inversion: the noisy latents from which sampling comes back to given ones (Edit-Your-Motion, section III-B)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...progress import SILENT, Progress
from .config import Config
from .fusion import Fusion, Tiles
from .sampling import Caller, Conditions, Denoises
from .schedulers import Noise, make_scheduler


@torch.no_grad()
def invert(
    denoiser: Denoises,
    conditions: Conditions,
    config: Config,
    clean: Tensor,
    *,
    steps: int | None = None,
    fusion: Fusion | None = None,
    progress: Progress = SILENT,
) -> Tensor:
    """The latents with which `sample(..., sampler="ddim", guidance=1, start=...)` makes `clean`.

    Equation 6, whose print lost its bars and brackets, is DDIM's step the other way: with a the share of the signal's
    power and eps what the network means at moment s,
    z_t = sqrt(a_t / a_s) (z_s - sqrt(1 - a_s) eps) + sqrt(1 - a_t) eps. The network is asked at s instead of t, and the
    error of that falls with the number of steps. There is no guidance, which would make it grow.

    At zero terminal SNR, a_t is 0 at the last moment, so that nothing of z_s would be left but through eps. There,
    2^-12 of the signal stays, as where sampling begins (`make_scheduler`); with v-prediction, which such models need,
    neither way divides by it.

    Parameters
    ----------
    denoiser, conditions, config, fusion
        As of `sample`.
    clean : float [B, c, N, h, w]
    steps : int, optional
        As many as sampling will make; the config's where it is not given.
    progress : Progress, optional
        Updated before every call of the denoiser.

    Returns
    -------
    float32 [B, c, N, h, w]
    """
    scheduler = make_scheduler(config, steps or config.steps, "ddim")
    law = replace(Noise.of(config), kept=scheduler.alphas_cumprod)
    tiles = Tiles.plan(clean.shape[2], config.frames, config.context, fusion or Fusion())
    frames, moments = tiles.frames.to(clean.device), scheduler.timesteps.flip(0).tolist()
    call = Caller(denoiser, config, progress, len(moments) * len(frames))
    x = signal = clean.float()
    at = torch.zeros(len(x), dtype=torch.int64, device=x.device)  # clean latents are what has the least noise
    for number, moment in enumerate(moments):
        said = tiles.join(call(x.index_select(2, tile), at, conditions.tile(tile)) for tile in frames)
        if number > 0:
            signal = law.clean(said, x, at)
        eps, at = law.noise(said, x, at), torch.full_like(at, moment)
        x = law.noisy(signal, eps, at)
    return x
