"""The denoiser: diffusers' UNetMotionModel with what HMInterp adds to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D, UNetMotionModel
from torch import Tensor, nn

from .config import Config
from .motion_attention import MotionAttention
from .reference import Reader, References, set_processors, sites

Extra = Tensor | Callable[[Tensor], Tensor]


def make_denoiser(config: Config) -> UNetMotionModel:
    """The UNet; its motion modules, and the input's channels beyond the noisy latents, add nothing yet."""
    attending = len(config.channels) - 1
    unet = UNetMotionModel(
        in_channels=config.input_channels,
        out_channels=config.latent_channels,
        down_block_types=("CrossAttnDownBlockMotion",) * attending + ("DownBlockMotion",),
        up_block_types=("UpBlockMotion",) + ("CrossAttnUpBlockMotion",) * attending,
        block_out_channels=config.channels,
        layers_per_block=config.layers,
        cross_attention_dim=config.token_width,
        num_attention_heads=config.heads,
        motion_num_attention_heads=config.heads,
        motion_max_seq_length=config.longest,
        temporal_transformer_layers_per_block=config.motion_layers,
        temporal_transformer_layers_per_mid_block=config.motion_layers,
        use_motion_mid_block=config.motion_mid,
    )
    with torch.no_grad():
        unet.conv_in.weight[:, config.latent_channels :].zero_()
    for module in motion_modules(unet):
        nn.init.zeros_(module.proj_out.weight)
        nn.init.zeros_(module.proj_out.bias)
    if config.motion_norm == "frame":
        norm_by_frame(unet)
    set_processors(unet, Reader)
    return unet


def motion_modules(unet: nn.Module) -> list[AnimateDiffTransformer3D]:
    """The modules that attend over time."""
    return [module for module in unet.modules() if isinstance(module, AnimateDiffTransformer3D)]


def norm_by_frame(network: nn.Module) -> None:
    """Have the motion modules of a network, whose weights stay, take their statistics of each frame."""
    for module in motion_modules(network):
        norm = FrameNorm(module.norm.num_groups, module.norm.num_channels, module.norm.eps, device="meta")
        norm.load_state_dict(module.norm.state_dict(keep_vars=True), assign=True)
        module.norm = norm


class FrameNorm(nn.GroupNorm):
    """A GroupNorm of [B, C, F, h, w] with the statistics of each frame, as AnimateDiff's own code has it."""

    def forward(self, x: Tensor) -> Tensor:
        """Features, normalised."""
        frames = x.transpose(1, 2)
        return super().forward(frames.flatten(0, 1)).view(frames.shape).transpose(1, 2)


class Denoiser(nn.Module):
    """Predicts what the noise is, or how fast it goes, from the noisy latents and all conditions.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.unet = make_denoiser(config)
        width, channels = config.motion_attention, config.channels[0]
        self.motion_attention = MotionAttention(channels, width) if width else None
        self.recurrent = config.recurrent

    def forward(
        self,
        noisy: Tensor,
        moment: Tensor,
        tokens: Tensor,
        added: Tensor | None = None,
        references: References | None = None,
        light: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Predict.

        Parameters
        ----------
        noisy : float [B, c, F, h, w]
            Of c, seed latents and mask are a part where the config's seed is "widened" (`seed.widened`).
        moment : [B]
            Diffusion step.
        tokens : float [B·F, T, D]
        added : float [B·F, C0, h, w], optional
            The guiders' features, summed; added after the first convolution, as motion attention, where there is one,
            has fitted them to its output.
        references : References, optional
        light : sequence of float [B·F, C_level, h_level, w_level], optional
            The light controller's features (`light_reference.over_frames`), added at the end of each level on the way
            down, before it is halved.

        Returns
        -------
        float [B, c, F, h, w]
            In `noisy`'s precision, whatever the network's is.
        """
        dtype, frames = self.unet.dtype, noisy.shape[2]
        extras: list[tuple[nn.Module, Extra]] = []
        if added is not None:
            guided = added.to(dtype)
            if (attention := self.motion_attention) is not None:
                extras.append((self.unet.conv_in, lambda seen: attention(guided, seen, frames)))
            extras.append((self.unet.conv_in, guided))
        if light is not None:
            ends = [block.motion_modules[-1] for block in self.unet.down_blocks]
            extras += zip(ends, light, strict=True)
        with adding(extras):
            predicted: Tensor = self.unet(
                noisy.to(dtype),
                moment,
                tokens.to(dtype),
                cross_attention_kwargs={"references": references, "recurrent": frames if self.recurrent else None},
                return_dict=False,
            )[0]
        return predicted.to(noisy.dtype)

    def references(self, features: Mapping[str, Tensor], count: int) -> References:
        """Keys and values of the reference frames, once for each gap.

        Parameters
        ----------
        features : mapping of str to float [B·R, N, C]
            What ReferenceNet wrote at each site.
        count : int
            R.
        """
        gaps = len(next(iter(features.values()))) // count
        keys, values = {}, {}
        for site, attention in sites(self.unet).items():
            seen = features[site].to(self.unet.dtype).unflatten(0, (gaps, count)).flatten(1, 2)
            keys[site], values[site] = attention.to_k(seen), attention.to_v(seen)
        return References(keys, values, tuple(range(gaps)))


@contextmanager
def adding(extras: Iterable[tuple[nn.Module, Extra]]) -> Iterator[None]:
    """While it lasts, each module's output has something added: a tensor, or what a function makes of the output."""

    def plus(extra: Extra) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
        def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            return output + (extra if isinstance(extra, Tensor) else extra(output)).to(output.dtype)

        return hook

    handles = [module.register_forward_hook(plus(extra)) for module, extra in extras]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
