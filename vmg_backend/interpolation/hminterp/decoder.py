"""Reference Decoder: latents to pictures, with the fine features of the two nearest given frames beside them.

Latents lose texture; the given frames have it. The body is the temporal decoder of Stable Video Diffusion, features of
the given frames join at each of its levels (ToonCrafter, section 3.3), and each frame gets a reference, not only the
first and the last (Video Motion Graphs, section 3.3, "Reference Decoder").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

import torch
from diffusers import AutoencoderKL
from diffusers.models.attention_processor import Attention
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import TemporalDecoder
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D, SpatioTemporalResBlock
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from ...progress import SILENT, Progress
from .config import Config

Layer = TypeVar("Layer", bound=nn.Module)
Share = Literal["repeat", "nearest", "zero"]
Step = Callable[[Tensor, slice], Tensor]
"""Layers that see one frame at a time: features [B, f, C, h, w] of the frames that the slice names."""

_ATTENTION_LEVELS = 2
"""Levels, from the coarsest on, in which any place of a reference may be looked up; below, its own place only."""
_HEAD = 64


class ReferenceDecoder(nn.Module):
    """The temporal decoder that sees the given frames.

    Untrained fusions change nothing: with the weights of a temporal decoder in `body` (their names are the same) it
    is that decoder.

    Parameters
    ----------
    config : Config
        Its `decoder`: ``repeat`` gives each frame a mix of both references by its time, ``nearest`` the nearer one,
        ``zero`` only the two given frames theirs (ablation), ``none`` no references (ablation).
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self._context, self._scale = config.context, config.latent_scale
        self._thrifty = False
        self.body = TemporalDecoder(
            in_channels=config.latent_channels,
            block_out_channels=config.decoder_channels,
            layers_per_block=config.autoencoder_layers,
        )
        self._share: Share | None = None if config.decoder == "none" else config.decoder
        fusions: list[LookUp | Place] = []
        if self._share is not None:
            widths = (*config.decoder_channels[::-1], config.decoder_channels[0])
            tapped = (*config.autoencoder[::-1], config.autoencoder[0])
            for level, (own, reference) in enumerate(zip(widths, tapped, strict=True)):
                fusions.append((LookUp if level < _ATTENTION_LEVELS else Place)(own, reference))
        self.fusions = nn.ModuleList(fusions)

    def enable_gradient_checkpointing(self) -> None:
        """Keep only what goes into each stage, and compute the rest again in the backward pass."""
        self._thrifty = True

    def forward(self, latents: Tensor, taps: Sequence[Tensor], times: Tensor | None = None) -> Tensor:
        """All frames at once, for training.

        Parameters
        ----------
        latents : [B, c, F, h, w]
            As the denoiser makes them.
        taps : sequence of [B, 2, C_l, h_l, w_l]
            Of `taps`, of the given frames right before and right after the gap; none are used by ``none``.
        times : [F], optional
            Of `frame_times`; by default for the config's given frames at either end.

        Returns
        -------
        [B, 3, F, 8h, 8w]
            In -1..1 and a little beyond.
        """
        return self._run(latents, taps, times, latents.shape[2], SILENT)

    @torch.no_grad()
    def decode(
        self,
        latents: Tensor,
        taps: Sequence[Tensor],
        chunk: int,
        progress: Progress = SILENT,
        times: Tensor | None = None,
    ) -> Tensor:
        """What `forward` makes, in less memory: each layer goes through the clip in pieces.

        Layers within a frame take `chunk` frames at a time; layers over time, which see nothing beside their own
        place, take rows of all frames; and the normalisations between them are of the whole clip, as in training.
        Two feature maps of the clip at full resolution and what a layer needs for one piece are held at once.

        Parameters
        ----------
        latents, taps, times
            As for `forward`.
        chunk : int
            Frames at a time.
        progress : Progress, optional
            Told, and asked whether to stop, before each piece of each layer.

        Returns
        -------
        [B, 3, F, 8h, 8w]
        """
        return self._run(latents, taps, times, chunk, progress)

    def _run(
        self, latents: Tensor, taps: Sequence[Tensor], times: Tensor | None, chunk: int, progress: Progress
    ) -> Tensor:
        latents = latents.to(self.body.conv_in.weight.dtype)
        if times is None:
            times = frame_times(latents.shape[2], self._context)
        share = None if self._share is None else shares(times, self._share).to(latents)
        stages = len(_parts(self.body, SpatioTemporalResBlock)) + 1
        x = latents.transpose(1, 2) / self._scale
        for stage, (steps, block) in enumerate(self._stages(taps, share)):
            part = progress.part(stage / stages, (stage + 1) / stages)
            x = self._through(_within_frames, steps, x, chunk, part.part(0.0, 0.5))
            if block is not None:
                x = self._through(_over_time, block, x, chunk, part.part(0.5, 1.0))
        pictures: Tensor = self.body.time_conv_out(x.transpose(1, 2))
        return pictures

    def _through(self, way: Callable[..., Tensor], *words: object) -> Tensor:
        if not (self._thrifty and torch.is_grad_enabled()):
            return way(*words)
        again: Tensor = checkpoint(way, *words, use_reentrant=False)
        return again

    def _stages(
        self, taps: Sequence[Tensor], share: Tensor | None
    ) -> Iterator[tuple[list[Step], SpatioTemporalResBlock | None]]:
        """The decoder's layers in their order: some within each frame, then one residual block's layers over time."""
        body = self.body
        first, *others = _parts(body.mid_block, SpatioTemporalResBlock)
        yield [_each(body.conv_in), _spatial(first)], first
        for attention, block in zip(_parts(body.mid_block, Attention), others, strict=False):
            yield [_each(attention), _spatial(block)], block
        steps: list[Step] = []
        for number, level in enumerate(body.up_blocks):
            for block in _parts(level, SpatioTemporalResBlock):
                yield [*steps, _spatial(block)], block
                steps = []
            steps = [*self._fusion(number, taps, share), *map(_each, _parts(level, Upsample2D))]
        steps += [_each(body.conv_norm_out), _each(body.conv_act), *self._fusion(-1, taps, share)]
        yield [*steps, _each(body.conv_out)], None

    def _fusion(self, number: int, taps: Sequence[Tensor], share: Tensor | None) -> list[Step]:
        return [] if share is None else [self.fusions[number](taps[-1 - number].to(share), share)]


class LookUp(nn.Module):
    """Each place of a frame looks at all places of both references (cross-attention, at first without effect).

    Parameters
    ----------
    own, reference : int
        Channels of the decoder and of the references' features.
    """

    def __init__(self, own: int, reference: int) -> None:
        super().__init__()
        self._heads = max(own // _HEAD, 1)
        self.norm = nn.GroupNorm(32, own, eps=1e-6)
        self.norm_reference = nn.GroupNorm(32, reference, eps=1e-6)
        self.queries = nn.Linear(own, own, bias=False)
        self.keys = nn.Linear(reference, own, bias=False)
        self.values = nn.Linear(reference, own, bias=False)
        self.leave = silent(nn.Linear(own, own))

    def forward(self, tap: Tensor, _: Tensor) -> Step:
        """The step for references [B, 2, C, h, w], among which it chooses by itself."""
        places = _tokens(tap, self.norm_reference)
        keys, values = self._split(self.keys(places)), self._split(self.values(places))

        def step(x: Tensor, _: slice) -> Tensor:
            seen = functional.scaled_dot_product_attention(
                self._split(self.queries(_tokens(x, self.norm))), keys, values
            )
            found: Tensor = self.leave(seen.transpose(1, 2).flatten(2))
            return x + found.reshape(x.movedim(2, -1).shape).movedim(-1, 2)

        return step

    def _split(self, tokens: Tensor) -> Tensor:
        """Tokens [B, N, C] by heads [B, heads, N, C / heads]."""
        return tokens.reshape(*tokens.shape[:2], self._heads, -1).transpose(1, 2)


def _tokens(x: Tensor, norm: nn.GroupNorm) -> Tensor:
    """Places [B, F·h·w, C] of all frames [B, F, C, h, w], each frame normalised."""
    return _each(norm)(x, slice(None)).movedim(2, -1).flatten(1, 3)


class Place(nn.Module):
    """Each place of a frame gets the references' features of the same place (1x1 convolution, at first without effect).

    Parameters
    ----------
    own, reference : int
        Channels of the decoder and of the references' features.
    """

    def __init__(self, own: int, reference: int) -> None:
        super().__init__()
        self.leave = silent(nn.Conv2d(reference, own, 1))

    def forward(self, tap: Tensor, share: Tensor) -> Step:
        """The step for references [B, 2, C, h, w] and what share [F, 2] of them each frame gets."""
        both = _each(self.leave)(tap, slice(None))
        return lambda x, frames: x + torch.einsum("brchw,fr->bfchw", both, share[frames])


def taps(autoencoder: AutoencoderKL, pictures: Tensor) -> list[Tensor]:
    """Features of given frames that a Reference Decoder takes.

    Parameters
    ----------
    autoencoder : AutoencoderKL
        The one that makes the latents.
    pictures : [..., 3, H, W]
        In -1..1; a decoder takes those of [B, 2, 3, H, W], the given frames right before and after each gap.

    Returns
    -------
    list of [..., C_l, h_l, w_l]
        The first convolution's output, then each level's before it is made smaller, finest first.
    """
    encoder = autoencoder.get_submodule("encoder")
    thrifty = encoder.gradient_checkpointing and torch.is_grad_enabled()
    x: Tensor = encoder.get_submodule("conv_in")(pictures.flatten(0, -4).to(autoencoder.dtype))
    found = [x]
    for level in encoder.get_submodule("down_blocks").children():
        for block in _parts(level, ResnetBlock2D):
            x = checkpoint(block, x, None, use_reentrant=False) if thrifty else block(x, None)
        found.append(x)
        for shrink in _parts(level, Downsample2D):
            x = shrink(x)
    return [tap.reshape(*pictures.shape[:-3], *tap.shape[1:]) for tap in found]


def frame_times(frames: int, context: int) -> Tensor:
    """When each frame [F] is: 0 at the last given frame before the gap, 1 at the first one after it."""
    return (torch.arange(frames) - (context - 1)) / (frames - 2 * context + 1)


def shares(times: Tensor, how: Share) -> Tensor:
    """What share [F, 2] of the start's and the end's features each frame gets.

    Parameters
    ----------
    times : [F]
        Of `frame_times`.
    how : {"repeat", "nearest", "zero"}
        A mix by time; the nearer one; only the given frames their own.
    """
    if how == "repeat":
        end = times.clamp(0, 1)
        return torch.stack([1 - end, end], 1)
    if how == "nearest":
        return torch.stack([times < 0.5, times >= 0.5], 1).to(times)
    return torch.stack([times == 0, times == 1], 1).to(times)


def silent(layer: Layer) -> Layer:
    """The layer, giving zeros until it is trained."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _parts(whole: nn.Module, kind: type[Layer]) -> list[Layer]:
    """All modules of one kind, in their order."""
    return [part for part in whole.modules() if isinstance(part, kind)]


def _spatial(block: SpatioTemporalResBlock) -> Step:
    return _each(lambda x: block.spatial_res_block(x, None))


def _each(layer: Callable[[Tensor], Tensor]) -> Step:
    """A layer for [N, C, h, w] as a step."""

    def step(x: Tensor, _: slice) -> Tensor:
        made = layer(x.flatten(0, 1))
        return made.reshape(*x.shape[:2], *made.shape[1:])

    return step


def _spans(length: int, size: int) -> list[slice]:
    return [slice(begin, begin + size) for begin in range(0, length, size)]


def _within_frames(steps: Sequence[Step], x: Tensor, chunk: int, progress: Progress) -> Tensor:
    """Take features [B, F, ...] through steps, a few frames at a time."""
    spans = _spans(x.shape[1], chunk)

    def made(number: int) -> Tensor:
        progress.update(number / len(spans))
        piece = x[:, spans[number]]
        for step in steps:
            piece = step(piece, spans[number])
        return piece

    first = made(0)
    if len(spans) == 1:
        return first
    clip = first.new_empty(*x.shape[:2], *first.shape[2:])
    clip[:, spans[0]] = first
    for number in range(1, len(spans)):
        clip[:, spans[number]] = made(number)
    return clip


def _over_time(block: SpatioTemporalResBlock, x: Tensor, chunk: int, progress: Progress) -> Tensor:
    """The layers over time of a residual block on [B, F, C, h, w]; in pieces, x is overwritten by the result."""
    inner = block.temporal_res_block
    if chunk >= x.shape[1]:
        progress.update(0.0)
        clip = x.transpose(1, 2)
        mixed: Tensor = block.time_mixer(clip, inner(clip, None), None)
        return mixed.transpose(1, 2)
    pieces = -(-x.shape[1] // chunk)
    strips = [(..., rows, slice(None)) for rows in _spans(x.shape[3], -(-x.shape[3] // pieces))]
    between = torch.empty_like(x)
    normal = _group_norm(inner.norm1, x)
    for number, strip in enumerate(strips):
        progress.update(number / len(strips) / 2)
        between[strip] = inner.conv1(functional.silu(normal(x[strip])).transpose(1, 2)).transpose(1, 2)
    normal = _group_norm(inner.norm2, between)
    for number, strip in enumerate(strips):
        progress.update((1 + number / len(strips)) / 2)
        before = x[strip].transpose(1, 2)
        after = before + inner.conv2(functional.silu(normal(between[strip])).transpose(1, 2))
        x[strip] = block.time_mixer(before, after, None).transpose(1, 2)
    return x


def _group_norm(norm: nn.GroupNorm, x: Tensor) -> Callable[[Tensor], Tensor]:
    """A group normalisation by the statistics of a whole clip [B, F, C, h, w], to be applied to pieces of it."""
    groups = (len(x), norm.num_groups, -1)
    frames = [torch.var_mean(frame.reshape(groups).float(), 2, correction=0) for frame in x.unbind(1)]
    variances, means = (torch.stack(values) for values in zip(*frames, strict=True))
    deviation = (variances.mean(0) + means.var(0, correction=0) + norm.eps).sqrt()
    repeats = norm.num_channels // norm.num_groups
    scale = norm.weight.float() / deviation.repeat_interleave(repeats, 1)
    shift = norm.bias.float() - means.mean(0).repeat_interleave(repeats, 1) * scale
    scale, shift = scale[:, None, :, None, None], shift[:, None, :, None, None]
    return lambda piece: torch.addcmul(shift, piece.float(), scale).to(piece)
