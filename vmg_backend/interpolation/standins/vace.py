"""Wan2.1-VACE 1.3B as a stand-in (Jiang et al. 2025): real frames at both ends, pose maps in the gap.

A frame of the model's video is either kept (mask 0) or to be made after what stands there (mask 1).
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanVACEPipeline, WanVACETransformer3DModel
from torch import Tensor

from ...pose.maps import VACE
from ...progress import Progress
from ..hminterp.devices import Placement
from ..hminterp.generating import levels
from ..hminterp.memory import Estimate
from ..hminterp.sampling import check_finite, previewed
from ..interpolator import Preview
from .engine import Feed, Generator, Pixels
from .memory import rehearse
from .parts import Part, heard, readable
from .words import umt5_words

_TOKENS = 512
"""Tokens of text that Wan was trained with."""
_GUIDANCE, _SHIFT = 5.0, 3.0
"""As diffusers' documentation has them for 480p."""
_STRIDE = 4
"""Frames of one latent frame; the first frame has one of its own."""
_LEAD, _LEAST_TRAIL = 1 + _STRIDE, _STRIDE
"""Real frames before and, at least, after the gap: two whole latent frames and one hold nothing else."""


class Vace:
    """VACE, and how it is fed.

    Parameters
    ----------
    folder : Path
        The model's.
    hashes : object
        What identifies its files.
    steps : int
        Denoising steps.
    """

    name, label = "vace", "VACE"
    size, multiple, style = 480, 16, VACE

    def __init__(self, folder: Path, hashes: object, steps: int) -> None:
        self._folder, self._hashes, self._steps = folder, hashes, steps

    def sides(self, length: int) -> tuple[int, int]:
        """As many as make 4 k + 1 frames of it all."""
        return _LEAD, _LEAST_TRAIL + -length % _STRIDE

    def estimate(self, frames: int, size: tuple[int, int], place: Placement) -> Estimate:
        """Encoding, a call of the transformer, decoding."""
        return _estimate(self._folder, frames, self.size, place).scaled(size[0] * size[1] / self.size**2)

    def open(self, place: Placement, offload: bool, progress: Progress) -> Generator:
        """The pipeline, without its text encoder."""
        words = umt5_words(self._folder, _TOKENS, self._hashes, progress.part(0.0, 0.5, "Reading the words"))
        progress.update(0.5)
        autoencoder, transformer = (part.load(dtype) for part, dtype in _parts(self._folder, place))
        with readable(self._folder):
            scheduler = UniPCMultistepScheduler.from_pretrained(
                self._folder, subfolder="scheduler", flow_shift=_SHIFT, local_files_only=True
            )
        pipeline = WanVACEPipeline(None, None, autoencoder, scheduler, transformer)
        pipeline.set_progress_bar_config(disable=True)
        if offload:
            pipeline.enable_model_cpu_offload(device=place.device)
        else:
            pipeline.to(place.device)
        return partial(_generate, pipeline, words.to(place.device), self._steps, offload)


def _generate(
    pipeline: WanVACEPipeline,
    words: Tensor,
    steps: int,
    offload: bool,
    feed: Feed,
    seed: int,
    progress: Progress,
    preview: Preview | None,
) -> Pixels:
    shown = previewed(steps) if preview is not None and not offload else ()

    def look(_: object, step: int, __: object, state: dict[str, Any]) -> dict[str, Any]:
        check_finite(state["latents"])
        if step == steps - 1:
            decoding.enter_context(heard(pipeline.vae.decoder, latents, progress.part(0.9, 1.0, "Decoding")))
        if preview is not None and step in shown:
            clean = pipeline.scheduler.model_outputs[-1]
            preview(_middle(pipeline.vae, clean))
        return state

    frames, height, width, _ = feed.frames.shape
    mask = np.broadcast_to(~feed.given[:, None, None, None], feed.frames.shape)
    latents = (frames - 1) // _STRIDE + 1
    try:
        with (
            heard(pipeline.vae.encoder, 2 * latents, progress.part(0.0, 0.1, "Encoding")),
            heard(pipeline.transformer, 2 * steps, progress.part(0.1, 0.9, "Denoising")),
            ExitStack() as decoding,
        ):
            made = pipeline(
                video=_video(np.where(mask, feed.maps, feed.frames) / 255.0),
                mask=_video(mask),
                prompt_embeds=words[1:],
                negative_prompt_embeds=words[:1],
                height=height,
                width=width,
                num_frames=frames,
                num_inference_steps=steps,
                guidance_scale=_GUIDANCE,
                generator=torch.Generator().manual_seed(seed),
                callback_on_step_end=look,
                output_type="np",
            ).frames[0]
    finally:
        pipeline.maybe_free_model_hooks()  # what waits in the RAM does so after a cancel, too
    return np.asarray(np.rint(255.0 * made), np.uint8)


def _video(pictures: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return pictures.astype(np.float32)[None]


def _middle(autoencoder: AutoencoderKLWan, clean: Tensor) -> Pixels:
    """The middle frame [h, w, 3] of latents [1, c, f, h, w], decoded alone."""
    config, middle = autoencoder.config, clean.shape[2] // 2
    mean, deviation = (clean.new_tensor(x).view(1, -1, 1, 1, 1) for x in (config.latents_mean, config.latents_std))
    latents = (clean * deviation + mean)[:, :, middle : middle + 1]
    picture: Pixels = levels(autoencoder.decode(latents.to(autoencoder.dtype), return_dict=False)[0][:, :, 0])[0]
    return picture


def _parts(folder: Path, place: Placement) -> tuple[tuple[Part, torch.dtype], ...]:
    """The autoencoder, which its authors run in float32 alone, and the transformer."""
    return (
        (Part(AutoencoderKLWan, folder, "vae"), torch.float32),
        (Part(WanVACETransformer3DModel, folder, "transformer"), place.dtype),
    )


@lru_cache(maxsize=8)
def _estimate(folder: Path, frames: int, side: int, place: Placement) -> Estimate:
    """Of square pictures."""
    autoencoder, transformer = (part.shape(dtype) for part, dtype in _parts(folder, place))
    config, factor = transformer.config, 2 ** len(autoencoder.temperal_downsample)
    cells = ((frames - 1) // _STRIDE + 1, side // factor, side // factor)
    pictures = (1, 3, frames, side, side)

    def encode() -> object:
        held = [torch.empty(pictures) for _ in range(5)]  # video, mask twice, what is kept and what is to be made
        return held, autoencoder.encode(held[0])

    def denoise() -> object:
        return transformer(
            hidden_states=torch.empty(1, config.in_channels, *cells, dtype=place.dtype),
            timestep=torch.empty(1),
            encoder_hidden_states=torch.empty(1, _TOKENS, config.text_dim, dtype=place.dtype),
            control_hidden_states=torch.empty(1, config.vace_in_channels, *cells, dtype=place.dtype),
        )

    def decode() -> object:
        return autoencoder.decode(torch.empty(1, config.in_channels, *cells))

    stages = {
        "encode": (("autoencoder",), encode),
        "denoise": (("transformer",), denoise),
        "decode": (("autoencoder",), decode),
    }
    return rehearse({"autoencoder": autoencoder, "transformer": transformer}, stages, place)
