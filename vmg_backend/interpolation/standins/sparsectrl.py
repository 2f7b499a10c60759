"""AnimateDiff v3 with SparseCtrl and an OpenPose ControlNet as a stand-in.

SparseCtrl (Guo et al. 2023, section 3) tells a denoiser of text and motion what some frames look like, a ControlNet
(Zhang et al. 2023) what pose each frame has. Both say so by features that are added in the same places, so that they
can be added to each other; no pipeline of diffusers does it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DPMSolverMultistepScheduler,
    MotionAdapter,
    SparseControlNetModel,
    UNet2DConditionModel,
    UNetMotionModel,
)
from torch import Tensor, nn

from ...pose.maps import VMG
from ...progress import SILENT, Progress
from ..hminterp.autoencoder import decode, encode
from ..hminterp.denoiser import norm_by_frame
from ..hminterp.devices import Placement
from ..hminterp.fusion import Fusion, Tiles, draw_noise
from ..hminterp.generating import levels, tensor_of
from ..hminterp.memory import Estimate, Residence
from ..hminterp.sampling import check_finite, previewed
from ..interpolator import Preview
from .engine import Feed, Generator, Pixels
from .memory import rehearse
from .parts import Part
from .words import clip_words

FRAMES = 16
"""Frames of a call: what AnimateDiff was trained with."""
_GUIDANCE = 7.5
_CHUNK = 4
"""Frames that are encoded or decoded together."""


@dataclass(frozen=True)
class Networks:
    """The parts of the model.

    Attributes
    ----------
    unet : UNetMotionModel
        Stable Diffusion 1.5 with AnimateDiff's motion modules.
    sparse : SparseControlNetModel
        SparseCtrl for pictures.
    pose : ControlNetModel
        For OpenPose's pose maps.
    autoencoder : AutoencoderKL
    """

    unet: UNetMotionModel
    sparse: SparseControlNetModel
    pose: ControlNetModel
    autoencoder: AutoencoderKL

    @property
    def denoising(self) -> tuple[nn.Module, ...]:
        """Those that every step needs."""
        return self.unet, self.sparse, self.pose


@dataclass(frozen=True)
class Conditions:
    """What stays the same through all steps.

    Attributes
    ----------
    words : [2, T, D]
        What is not wanted, then what is.
    seen : [1, c, N, h, w]
        Latents of the given frames, 0 in the gap.
    mask : [1, 1, N, h, w]
        1 on given frames.
    maps : [N, 3, H, W]
        Pose maps in 0..1.
    """

    words: Tensor
    seen: Tensor
    mask: Tensor
    maps: Tensor

    def tile(self, frames: Tensor) -> Conditions:
        """Those of some frames (indices [F])."""
        return Conditions(self.words, self.seen[:, :, frames], self.mask[:, :, frames], self.maps[frames])


class SparseCtrl:
    """AnimateDiff v3 with SparseCtrl and OpenPose's ControlNet, and how they are fed.

    Parameters
    ----------
    folders : mapping of str to Path
        The models', by their names in the registry.
    steps : int
        Denoising steps.
    """

    name, label = "sparsectrl", "SparseCtrl"
    size, multiple, style = 512, 64, VMG

    def __init__(self, folders: Mapping[str, Path], steps: int) -> None:
        self._folders, self._steps = folders, steps

    def sides(self, length: int) -> tuple[int, int]:
        """As many as fill up a call; longer gaps, made in overlapping parts, have one on either side."""
        room = max(FRAMES - length, 2)
        return (room + 1) // 2, room // 2

    def estimate(self, frames: int, size: tuple[int, int], place: Placement) -> Estimate:
        """Encoding, a call of the denoiser, decoding."""
        square = _estimate(tuple(self._folders.items()), frames, self.size, place)
        return square.scaled(size[0] * size[1] / self.size**2)

    def open(self, place: Placement, offload: bool, progress: Progress) -> Generator:
        """All parts but the text encoder, which has done its part."""
        home = torch.device("cpu") if offload else place.device
        loaded = {}
        parts = _parts(self._folders)
        for number, (name, part) in enumerate(parts.items()):
            progress.update(number / len(parts))
            loaded[name] = part.load(place.dtype)
        networks = _networks(loaded)
        for network in (*networks.denoising, networks.autoencoder):
            network.to(home)
        words = clip_words(self._folders["sd15-text"]).to(place.device, place.dtype)
        return partial(_generate, networks, words, self._steps, Residence(place.device, offload), offload)


@torch.no_grad()
def sample(
    networks: Networks,
    conditions: Conditions,
    seed: int,
    steps: int,
    progress: Progress = SILENT,
    preview: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Make the latents [1, c, N, h, w] of a gap with the frames around it, N at least `FRAMES`.

    Parameters
    ----------
    networks : Networks
    conditions : Conditions
    seed : int
        Of the noise, drawn on the CPU.
    steps : int
    progress : Progress
        Updated before every call of the denoiser.
    preview : callable, optional
        Gets the estimate of the clean latents, a few times.

    Raises
    ------
    Cancelled
        Before the next call of the denoiser.
    UserError
        When its numbers are not finite.
    """
    scheduler = DPMSolverMultistepScheduler(  # as diffusers' documentation of SparseCtrl has it
        beta_start=0.00085, beta_end=0.012, beta_schedule="linear", use_karras_sigmas=True, steps_offset=1
    )
    scheduler.set_timesteps(steps)
    fusion, device = Fusion(), conditions.seen.device
    tiles = Tiles.plan(conditions.seen.shape[2], FRAMES, 1, fusion)
    frames, moments = tiles.frames.to(device), scheduler.timesteps.to(device)
    x = draw_noise(tuple(conditions.seen.shape), FRAMES, 1, seed, fusion).to(device)
    calls, done, shown = 2 * len(frames) * steps, 0, previewed(steps)
    for step, moment in enumerate(moments):
        parts = []
        for tile in frames:
            told, noisy, guesses = conditions.tile(tile), x[:, :, tile], []
            for words in conditions.words:  # one after the other: half of the memory, hardly slower
                progress.update(done / calls)
                done += 1
                guesses.append(_denoised(networks, noisy.to(told.seen.dtype), moment, words, told).float())
            parts.append(torch.lerp(guesses[0], guesses[1], _GUIDANCE))
        said = tiles.join(parts)
        check_finite(said)
        x = scheduler.step(said, moment, x).prev_sample
        if preview is not None and step in shown:
            preview(scheduler.model_outputs[-1])
    return x


def _denoised(networks: Networks, noisy: Tensor, moment: Tensor, words: Tensor, told: Conditions) -> Tensor:
    """The noise in latents [1, c, F, h, w], by what both controllers say added up."""
    text = words.expand(noisy.shape[2], -1, -1)
    levels_sparse, middle_sparse = networks.sparse(
        noisy, moment, text, controlnet_cond=told.seen, conditioning_mask=told.mask, return_dict=False
    )
    frames = noisy[0].transpose(0, 1)
    levels_pose, middle_pose = networks.pose(frames, moment, text, controlnet_cond=told.maps, return_dict=False)
    noise: Tensor = networks.unet(
        noisy,
        moment,
        text,
        down_block_additional_residuals=[a + b for a, b in zip(levels_sparse, levels_pose, strict=True)],
        mid_block_additional_residual=middle_sparse + middle_pose,
        return_dict=False,
    )[0]
    return noise


@torch.no_grad()
def _generate(
    networks: Networks,
    words: Tensor,
    steps: int,
    home: Residence,
    offload: bool,
    feed: Feed,
    seed: int,
    progress: Progress,
    preview: Preview | None,
) -> Pixels:
    autoencoder = networks.autoencoder

    def show(clean: Tensor) -> None:
        if preview is not None:
            preview(levels(decode(autoencoder, clean[:, :, clean.shape[2] // 2]))[0])

    with home.using(autoencoder):
        conditions = _conditions(autoencoder, feed, words, progress.part(0.0, 0.1, "Encoding"))
    with home.using(*networks.denoising):
        denoising = progress.part(0.1, 0.9, "Denoising")
        latents = sample(networks, conditions, seed, steps, denoising, None if offload else show)
    with home.using(autoencoder):
        return _decoded(autoencoder, latents, progress.part(0.9, 1.0, "Decoding"))


def _conditions(autoencoder: AutoencoderKL, feed: Feed, words: Tensor, progress: Progress) -> Conditions:
    device, dtype = words.device, words.dtype
    given = torch.from_numpy(np.flatnonzero(feed.given)).to(device)
    pictures = 2.0 * tensor_of(feed.frames[feed.given], device, dtype)[0].transpose(0, 1) - 1.0
    parts: list[Tensor] = []
    for first in range(0, len(pictures), _CHUNK):
        progress.update(first / len(pictures))
        parts.append(encode(autoencoder, pictures[first : first + _CHUNK]))
    latents = torch.cat(parts).transpose(0, 1)[None]
    seen = latents.new_zeros(*latents.shape[:2], len(feed.frames), *latents.shape[3:])
    mask = torch.zeros_like(seen[:, :1])
    seen[:, :, given], mask[:, :, given] = latents, 1.0
    return Conditions(words, seen, mask, tensor_of(feed.maps, device, dtype)[0].transpose(0, 1))


def _decoded(autoencoder: AutoencoderKL, latents: Tensor, progress: Progress) -> Pixels:
    parts: list[Pixels] = []
    for first in range(0, latents.shape[2], _CHUNK):
        progress.update(first / latents.shape[2])
        parts.append(levels(decode(autoencoder, latents[0, :, first : first + _CHUNK].transpose(0, 1))))
    return np.concatenate(parts)


def _parts(folders: Mapping[str, Path]) -> dict[str, Part]:
    return {
        "unet": Part(UNet2DConditionModel, folders["sd15-unet"], "unet", "fp16"),
        "motion": Part(MotionAdapter, folders["animatediff-v3"]),
        "sparse": Part(SparseControlNetModel, folders["sparsectrl-rgb"]),
        "pose": Part(ControlNetModel, folders["controlnet-openpose"], variant="fp16"),
        "autoencoder": Part(AutoencoderKL, folders["sd-vae"]),
    }


def _networks(parts: Mapping[str, Any]) -> Networks:
    """The parts joined; AnimateDiff's norms are those of its own code."""
    unet = UNetMotionModel.from_unet2d(parts["unet"], parts["motion"]).eval().requires_grad_(False)
    unet = nn.Module.to(unet, parts["unet"].dtype)  # diffusers warns of parts to be kept in float32: it has none
    networks = Networks(unet, parts["sparse"], parts["pose"], parts["autoencoder"])
    for network in (networks.unet, networks.sparse):
        norm_by_frame(network)
    return networks


@lru_cache(maxsize=8)
def _estimate(folders: tuple[tuple[str, Path], ...], frames: int, side: int, place: Placement) -> Estimate:
    """Of square pictures."""
    dtype = place.dtype
    shapes = {name: part.shape(dtype) for name, part in _parts(dict(folders)).items()}
    with torch.device("meta"):
        networks = _networks(shapes)
    autoencoder = networks.autoencoder
    factor = 2 ** (len(autoencoder.config.block_out_channels) - 1)
    latents = (1, networks.unet.config.in_channels, frames, side // factor, side // factor)
    pictures = (frames, 3, side, side)

    def conditions() -> Conditions:
        words = torch.empty(2, 77, networks.unet.config.cross_attention_dim, dtype=dtype)
        mask = torch.empty(1, 1, *latents[2:], dtype=dtype)
        return Conditions(words, torch.empty(latents, dtype=dtype), mask, torch.empty(pictures, dtype=dtype))

    def denoising() -> object:
        held, x = conditions(), [torch.empty(latents) for _ in range(8)]
        told = held.tile(torch.empty(FRAMES, dtype=torch.int64))
        return x, _denoised(networks, torch.empty(told.seen.shape, dtype=dtype), torch.empty(()), held.words[0], told)

    def encoding() -> object:
        return conditions(), encode(autoencoder, torch.empty(_CHUNK, *pictures[1:], dtype=dtype))

    def decoding() -> object:
        return conditions(), decode(autoencoder, torch.empty(_CHUNK, latents[1], *latents[3:], dtype=dtype))

    parts = {"unet": networks.unet, "sparse": networks.sparse, "pose": networks.pose, "autoencoder": autoencoder}
    stages = {
        "encode": (("autoencoder",), encoding),
        "denoise": (("unet", "sparse", "pose"), denoising),
        "decode": (("autoencoder",), decoding),
    }
    return rehearse(parts, stages, place)
