"""From given frames and pose maps to frames: one gap, from pixels to pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...progress import SILENT, Progress
from ..interpolator import Preview
from .autoencoder import decode, encode
from .conditioning import conditions_of
from .decoder import frame_times, taps
from .memory import Residence, Thrift
from .model import HMInterp
from .sampling import sample
from .schedulers import Sampler

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Way:
    """How frames are made, beside the model.

    Attributes
    ----------
    steps : int, optional
        Denoising steps; the model's own where it is not said.
    guidance : float, optional
    sampler : {"ddim", "dpm++"}, optional
    """

    steps: int | None = None
    guidance: float | None = None
    sampler: Sampler | None = None


@torch.no_grad()
def generate(
    model: HMInterp,
    given: Pixels,
    length: int,
    maps: Pixels | None = None,
    morph: Pixels | None = None,
    *,
    seed: int = 0,
    way: Way | None = None,
    thrift: Thrift | None = None,
    device: torch.device | None = None,
    progress: Progress = SILENT,
    preview: Preview | None = None,
) -> Pixels:
    """The frames of a gap with the given ones around it, all as the network sees them.

    Parameters
    ----------
    model : HMInterp
        In its precision; on the device, or where thrift lets it wait.
    given : uint8 [2 g, H, W, 3]
        g real frames before the gap and g after it; sides are multiples of the config's `multiple`.
    length : int
        Frames n of the gap; n + 2 g is the number of frames of one call, or more.
    maps : uint8 [n + 2 g, H, W, 3], optional
        Pose maps.
    morph : uint8 [n, H, W, 3], optional
        A first idea of the gap, whose latents stand there for the Seed Image Guider instead of duplicates.
    seed : int
    way : Way, optional
    thrift : Thrift, optional
        What is done to need less memory.
    device : torch.device, optional
        Where the work is done; by default where the model is.
    progress : Progress
    preview : callable, optional
        Gets pictures [H, W, 3] of what the middle frame is becoming, a few times; none where parts wait for their
        turn, because memory is scarce then.

    Returns
    -------
    uint8 [n + 2 g, H, W, 3]
        The given frames as the autoencoder sees them: to match colours by.
    """
    how, thrifty = way or Way(), thrift or Thrift()
    home = Residence(device or next(model.parameters()).device, thrifty.offload)
    progress.update(0.0)
    dtype = model.autoencoder.dtype
    pictures = tensor_of(given, home.device, dtype).transpose(1, 2)
    drawn = None if maps is None else tensor_of(maps, home.device, dtype)
    filling = None
    if morph is not None:
        with home.using(model.autoencoder):
            seen = 2.0 * tensor_of(morph, home.device, dtype).transpose(1, 2) - 1.0
            filling = encode(model.autoencoder, seen).transpose(1, 2)
    conditions = conditions_of(model, pictures, length, drawn, filling, using=home.using)
    with home.using(model.denoiser):
        latents = sample(
            model.denoiser,
            conditions,
            model.config,
            seed=seed,
            steps=how.steps,
            guidance=how.guidance,
            sampler=how.sampler,
            two_pass=thrifty.two_pass,
            progress=progress.part(0.0, 0.85, "Denoising"),
            preview=None if preview is None or thrifty.offload else lambda latents: preview(_middle(model, latents)),
        )
    with home.using(model.autoencoder, model.decoder):
        return decoded(model, latents, pictures, thrifty.chunk, progress.part(0.85, 1.0, "Decoding"))


def decoded(model: HMInterp, latents: Tensor, pictures: Tensor, chunk: int, progress: Progress = SILENT) -> Pixels:
    """The frames [F, H, W, 3] of one gap's latents [1, c, F, h, w], with the given pictures [1, 2 g, 3, H, W]."""
    given, frames = pictures.shape[1] // 2, latents.shape[2]
    latents = latents.to(model.autoencoder.dtype)
    if model.decoder is not None:
        features = taps(model.autoencoder, 2.0 * pictures[:, given - 1 : given + 1] - 1.0)
        made = model.decoder.decode(latents, features, chunk, progress, frame_times(frames, given))[0].transpose(0, 1)
    else:
        parts = []
        for first in range(0, frames, chunk):
            progress.update(first / frames)
            parts.append(decode(model.autoencoder, latents[0, :, first : first + chunk].transpose(0, 1)))
        made = torch.cat(parts)
    return levels(made)


def _middle(model: HMInterp, latents: Tensor) -> Pixels:
    """The middle frame [H, W, 3] of one gap's latents [1, c, F, h, w], as the autoencoder alone decodes it."""
    middle = latents[:, :, latents.shape[2] // 2].to(model.autoencoder.dtype)
    picture: Pixels = levels(decode(model.autoencoder, middle))[0]
    return picture


def levels(pictures: Tensor) -> Pixels:
    """Pictures [n, 3, H, W] in -1..1 as uint8 [n, H, W, 3]."""
    scaled = (pictures.float().clamp(-1.0, 1.0) + 1.0) * 127.5
    return np.asarray(scaled.round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy(), np.uint8)


def tensor_of(pictures: Pixels, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Pictures [F, H, W, 3] as [1, 3, F, H, W] in 0..1."""
    tensor = torch.from_numpy(np.ascontiguousarray(pictures)).to(device).permute(3, 0, 1, 2)[None]
    return tensor.to(dtype) / 255.0
