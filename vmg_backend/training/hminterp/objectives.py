"""What the stages minimise. Each is a module, so that accelerate can spread it over processes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional

from ...interpolation.hminterp.autoencoder import encode
from ...interpolation.hminterp.conditioning import conditions_of
from ...interpolation.hminterp.decoder import ReferenceDecoder, frame_times, taps
from ...interpolation.hminterp.model import HMInterp
from ...interpolation.hminterp.schedulers import MOMENTS, Noise
from ...interpolation.hminterp.seed import widened
from .clips import Batch
from .recipes import Aim, Stage

_DETAIL = 0.1
"""Weight of the differences between neighbouring pixels, beside the mean square error."""
_PERCEPTUAL = 0.02
"""Weight of the distances between features; they are of unit length, the square errors of good pictures near 0.005."""
_PULL = 1e-4
"""Weight of the latents' mean square, which keeps them from growing."""
_JITTER = 0.02
"""Deviation of the noise that decoders learn to forgive: what the denoiser makes is never quite a latent."""
_GIVEN = 0.1
"""Weight of given frames, which are replaced by their real pixels in the end, beside that of the frames to be made."""


class Objective(nn.Module):
    """The loss of a batch.

    Parameters
    ----------
    model : HMInterp
    stage : Stage
    """

    def __init__(self, model: HMInterp, stage: Stage) -> None:
        super().__init__()
        self.model = model
        self.stage = stage

    def forward(self, batch: Batch, draw: torch.Generator) -> Tensor:
        """The loss, a scalar.

        Parameters
        ----------
        batch : Batch
        draw : torch.Generator
            On the CPU, so that every device draws the same: all that is random comes from it.
        """
        raise NotImplementedError


class AutoencoderObjective(Objective):
    """The autoencoder makes pictures of pictures."""

    def forward(self, batch: Batch, draw: torch.Generator) -> Tensor:
        """As `Objective`; of `batch`, only the pictures are looked at."""
        real = _signed(batch.pictures.flatten(0, 1))
        autoencoder = self.model.autoencoder
        latents = encode(autoencoder, real)
        seen = latents + _JITTER * _noise(latents, draw)
        made = autoencoder.decode(seen / autoencoder.config["scaling_factor"], return_dict=False)[0]
        return detail(made, real) + _PULL * latents.square().mean()


class DecoderObjective(Objective):
    """The Reference Decoder makes pictures of latents, given the frames at both ends (section 3.3)."""

    def forward(self, batch: Batch, draw: torch.Generator) -> Tensor:
        """As `Objective`; of each window, as many frames as the stage says are made."""
        decoder = self.model.decoder
        if decoder is None:
            raise ValueError("A model without a Reference Decoder cannot learn one.")
        given, frames = self.model.config.context, batch.pictures.shape[1]
        length = min(self.stage.frames or frames, frames)
        first = int(torch.randint(frames - length + 1, (), generator=draw))
        some = slice(first, first + length)
        real = _signed(batch.pictures[:, some])
        with torch.no_grad():
            latents = encode(self.model.autoencoder, real) if batch.latents is None else batch.latents[:, some]
            ends = _signed(batch.pictures[:, [given - 1, frames - given]])
            features = taps(self.model.autoencoder, ends)
        latents = (latents + _JITTER * _noise(latents, draw)).transpose(1, 2)
        made = decoder(latents, features, frame_times(frames, given)[some]).transpose(1, 2)
        return detail(made.flatten(0, 1), real.flatten(0, 1)) + _PERCEPTUAL * perceptual(
            self.model.autoencoder, made, real
        )


class InterpolatorObjective(Objective):
    """The denoiser says what the noise is, or how fast it goes, given all conditions (section 3.3)."""

    def __init__(self, model: HMInterp, stage: Stage) -> None:
        super().__init__(model, stage)
        self._noise = Noise.of(model.config)

    def forward(self, batch: Batch, draw: torch.Generator) -> Tensor:
        """As `Objective`."""
        stage, given = self.stage, self.model.config.context
        frames = batch.pictures.shape[1]
        at_ends = [*range(given), *range(frames - given, frames)]
        pictures = batch.pictures[:, at_ends]
        if batch.latents is None:
            with torch.no_grad():
                latents = encode(self.model.autoencoder, 2.0 * batch.pictures - 1.0)
        else:
            latents = batch.latents
        conditions = conditions_of(
            self.model,
            pictures,
            frames - 2 * given,
            batch.maps if stage.pose else None,
            latents=latents[:, at_ends],
            seeded=stage.seed,
        )
        told = torch.rand(len(pictures), generator=draw) >= stage.unconditional
        conditions = conditions.partly(told.tolist())
        clean, weights = latents.transpose(1, 2), batch.weights
        weights = weights * (1.0 - (1.0 - _GIVEN) * _given(frames, given, weights))
        if torch.rand((), generator=draw) < stage.single:
            alone = torch.randint(given, frames - given, (1,), generator=draw).to(clean.device)
            conditions, clean, weights = (
                conditions.tile(alone),
                clean.index_select(2, alone),
                weights.index_select(2, alone),
            )
        noise = _noise(clean, draw)
        if stage.offset:
            noise = noise + stage.offset * _noise(clean[..., :1, :1], draw)
        moment = torch.randint(0, MOMENTS, (len(clean),), generator=draw).to(clean.device)
        noisy = self._noise.noisy(clean, noise, moment)
        if self.model.config.seed == "widened":
            noisy = widened(noisy, conditions.seed, conditions.mask)
        said = self.model.denoiser(
            noisy, moment, conditions.tokens, conditions.added, conditions.references, conditions.light
        )
        error = (said.float() - self._noise.target(clean, noise, moment)).square() * weights
        whole: Tensor = (error.mean((1, 2, 3, 4)) * self._balance(moment)).mean()
        return whole

    def _balance(self, moment: Tensor) -> Tensor:
        """Min-SNR weights [B] (Hang et al. 2023, equation 8); of v-prediction, which weighs by SNR + 1 itself."""
        if not self.stage.snr:
            return torch.ones_like(moment, dtype=torch.float32)
        kept = self._noise.kept.to(moment.device)[moment]
        ratio = kept / (1.0 - kept) + (1.0 if self._noise.prediction == "v_prediction" else 0.0)
        return ratio.clamp(max=self.stage.snr) / ratio


OBJECTIVES: Mapping[Aim, type[Objective]] = {
    "autoencoder": AutoencoderObjective,
    "decoder": DecoderObjective,
    "interpolator": InterpolatorObjective,
}


def detail(made: Tensor, real: Tensor) -> Tensor:
    """Mean square error, and the absolute error of what changes from pixel to pixel; pictures [N, 3, H, W] in -1..1."""
    loss = functional.mse_loss(made, real)
    for axis in (-1, -2):
        loss = loss + _DETAIL * functional.l1_loss(made.diff(dim=axis), real.diff(dim=axis))
    return loss


def perceptual(autoencoder: AutoencoderKL, made: Tensor, real: Tensor) -> Tensor:
    """Distances of features of unit length, as LPIPS measures them (Zhang et al. 2018, equation 1).

    They are those of the autoencoder's own encoder: nothing is downloaded for them, and they are not LPIPS.

    Parameters
    ----------
    autoencoder : AutoencoderKL
        Frozen.
    made, real : [B, F, 3, H, W]
        In -1..1.
    """
    with torch.no_grad():
        wanted = taps(autoencoder, real)
    pairs = zip(taps(autoencoder, made), wanted, strict=True)
    distances = [(_unit(ours) - _unit(theirs)).square().sum(-3).mean() for ours, theirs in pairs]
    return torch.stack(distances).mean()


def begin_decoder(decoder: ReferenceDecoder, autoencoder: AutoencoderKL) -> None:
    """Let a Reference Decoder begin as the autoencoder's decoder.

    Its layers within frames have the same names and take the same weights, where both have them (with one layer in the
    middle, the autoencoder's attention and second block are left out); its layers over time begin without effect. The
    autoencoder's 1x1 convolution before its decoder is joined with the first layer, which is exact but for what its
    bias adds at the borders.
    """
    theirs, ours = autoencoder.get_submodule("decoder").state_dict(), decoder.body.state_dict()
    if (mix := autoencoder.post_quant_conv) is not None:
        first = theirs["conv_in.weight"]
        theirs["conv_in.bias"] = theirs["conv_in.bias"] + first.sum((2, 3)) @ mix.bias
        theirs["conv_in.weight"] = torch.einsum("omhw,mi->oihw", first, mix.weight[..., 0, 0])
    with torch.no_grad():
        for name, tensor in ours.items():
            same = theirs.get(name.replace(".spatial_res_block.", "."))
            if same is not None and same.shape == tensor.shape:
                tensor.copy_(same)
            elif name.startswith("time_conv_out") or ".temporal_res_block.conv2." in name:
                tensor.zero_()
        for channel in range(ours["time_conv_out.weight"].shape[0]):
            ours["time_conv_out.weight"][channel, channel, 1] = 1.0


def keep_less(model: HMInterp) -> None:
    """Keep less of the forward pass, and compute it again in the backward pass."""
    for part in (model.denoiser.unet, getattr(model.reference, "unet", None), model.autoencoder, model.decoder):
        if part is not None:
            part.enable_gradient_checkpointing()


def _signed(pictures: Tensor) -> Tensor:
    """Pictures in -1..1, laid out anew: the backward pass of channels-last ones ends the process on the CPU."""
    return (2.0 * pictures - 1.0).contiguous()


def _unit(features: Tensor) -> Tensor:
    return functional.normalize(features.float(), dim=-3)


def _given(frames: int, given: int, like: Tensor) -> Tensor:
    """1 on given frames [F, 1, 1]."""
    at = torch.arange(frames, device=like.device)
    return ((at < given) | (at >= frames - given)).to(like)[:, None, None]


def _noise(like: Tensor, draw: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=draw).to(like)
