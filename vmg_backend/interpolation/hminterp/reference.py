"""ReferenceNet, and how the denoiser reads what it wrote (AnimateAnyone; Video Motion Graphs, section 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor, nn
from torch.nn import functional

from .config import Config


def make_unet(config: Config) -> UNet2DConditionModel:
    """Stable Diffusion's UNet at the config's size."""
    attending = len(config.channels) - 1
    return UNet2DConditionModel(
        in_channels=config.latent_channels,
        out_channels=config.latent_channels,
        down_block_types=("CrossAttnDownBlock2D",) * attending + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * attending,
        block_out_channels=config.channels,
        layers_per_block=config.layers,
        cross_attention_dim=config.token_width,
        attention_head_dim=config.heads,  # Stable Diffusion 1.5's configs mean the number of heads by it
    )


def sites(unet: nn.Module) -> dict[str, Attention]:
    """The spatial self-attentions by name; equal names in ReferenceNet and denoiser are a pair."""
    return {
        name: module
        for name, module in unet.named_modules()
        if isinstance(module, Attention) and name.endswith(".attn1") and ".motion_modules." not in name
    }


def set_processors(unet: nn.Module, processor: Callable[[str], AttnProcessor2_0]) -> None:
    """Give every spatial attention (the crossing ones get the same words) a processor that knows its name."""
    for name, module in unet.named_modules():
        if isinstance(module, Attention) and ".motion_modules." not in name:
            module.set_processor(processor(name))


@dataclass(frozen=True)
class References:
    """What the denoiser reads of the reference frames.

    Attributes
    ----------
    keys, values : mapping of str to float [G, R·N, C]
        Of G gaps with R references of N tokens, by site.
    rows : tuple of int or None
        Which gap's references each entry of the batch sees; None sees only itself.
    """

    keys: Mapping[str, Tensor]
    values: Mapping[str, Tensor]
    rows: tuple[int | None, ...]

    def batched(self, flags: Sequence[bool] | Tensor) -> References:
        """The same for another batch.

        Parameters
        ----------
        flags : bool [B]
            Whether an entry sees its references; entry i belongs to gap i modulo the number of gaps, so that a guided
            batch is [unconditional gaps, conditional gaps] with flags [False, ..., True, ...].
        """
        count = len(self.rows)
        seen = [bool(flag) for flag in flags]
        return replace(self, rows=tuple(self.rows[i % count] if see else None for i, see in enumerate(seen)))

    def runs(self) -> Iterator[tuple[slice, slice | None]]:
        """Entries of the batch that follow each other, with the gaps whose references they see, or none."""
        for _, group in groupby(enumerate(self.rows), lambda entry: None if entry[1] is None else entry[0] - entry[1]):
            run = list(group)
            (first, row), count = run[0], len(run)
            yield slice(first, first + count), None if row is None else slice(row, row + count)


class _AtSite(AttnProcessor2_0):
    """A processor that knows the name of its site."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class Writer(_AtSite):
    """Keeps what a self-attention of ReferenceNet is given."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        bank: dict[str, Tensor] | None = None,
    ) -> Tensor:
        """Write into `bank`, then attend."""
        if bank is not None and encoder_hidden_states is None:
            bank[self.name] = hidden_states
        attended: Tensor = super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
        return attended


class Reader(_AtSite):
    """Attends over a frame's own tokens, or its neighbours', and the reference frames'."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        references: References | None = None,
        recurrent: int | None = None,
    ) -> Tensor:
        """Attend; the words are diffusers'. Frames [B·F, N, C] stand together by gap.

        With `recurrent`, which is F, keys and values are those of the frames before and after (`neighbours`).
        """
        if encoder_hidden_states is not None or (references is None and recurrent is None):
            attended: Tensor = super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
            return attended
        batch = len(references.rows) if references is not None else len(hidden_states) // (recurrent or 1)
        query, key, value = (
            project(hidden_states).unflatten(0, (batch, -1)) for project in (attn.to_q, attn.to_k, attn.to_v)
        )
        if recurrent is not None:
            key, value = neighbours(key), neighbours(value)
        if references is None:
            mixed = _attend(query, key, value, attn.heads)
        else:
            keys, values = references.keys[self.name], references.values[self.name]
            parts = []
            for entries, rows in references.runs():
                own_keys, own_values = key[entries], value[entries]
                if rows is not None:
                    own_keys, own_values = _joined(own_keys, keys[rows]), _joined(own_values, values[rows])
                parts.append(_attend(query[entries], own_keys, own_values, attn.heads))
            mixed = torch.cat(parts)
        out: Tensor = attn.to_out[1](attn.to_out[0](mixed.flatten(0, 1)))
        return out


def neighbours(tokens: Tensor) -> Tensor:
    """What recurrent causal attention reads (Edit-Your-Motion, section III-C).

    Parameters
    ----------
    tokens : [B, F, N, C]

    Returns
    -------
    [B, F, 2 N, C]
        The tokens of the frame before, then those of the frame after; the first and the last frame stand in for what
        is not there. (Equation 9 prints the frame itself as the second one of the values; the text says the next.)
    """
    before = torch.cat([tokens[:, :1], tokens[:, :-1]], 1)
    after = torch.cat([tokens[:, 1:], tokens[:, -1:]], 1)
    return torch.cat([before, after], 2)


def _joined(own: Tensor, reference: Tensor) -> Tensor:
    """Tokens [E, F, N, C] and [E, R·N, C], for each frame one after the other."""
    return torch.cat([own, reference[:, None].expand(-1, own.shape[1], -1, -1)], dim=2)


def _attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Attention of [E, F, N, C] over [E, F, M, C]."""
    shape = query.shape
    query, key, value = (x.flatten(0, 1).unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    return functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(shape)


class ReferenceNet(nn.Module):
    """The UNet that looks at the reference frames; it has no head.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.time = config.reference_time
        self.unet = make_unet(config)
        self.unet.conv_norm_out = None
        self.unet.conv_out = nn.Identity()
        set_processors(self.unet, Writer)

    def forward(self, latents: Tensor, tokens: Tensor) -> dict[str, Tensor]:
        """What each self-attention is given, by site; `Denoiser.references` makes keys and values of it.

        Parameters
        ----------
        latents : float [B·R, c, h, w]
            Clean ones.
        tokens : float [B·R, T, D]

        Returns
        -------
        dict of str to float [B·R, N, C]
        """
        dtype = self.unet.dtype
        bank: dict[str, Tensor] = {}
        self.unet(
            latents.to(dtype), self.time, tokens.to(dtype), cross_attention_kwargs={"bank": bank}, return_dict=False
        )
        return bank
