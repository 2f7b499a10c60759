"""Gaps longer than one call makes: tiles over time, joined at every step.

MimicMotion's progressive latent fusion (section 3.4). All tiles read the same noisy latents, and what they say is
joined before the scheduler's step. Such steps are linear in what the network said, so that this equals joining the
latents after the step, as the paper writes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Fusion:
    """How a long gap is made.

    Attributes
    ----------
    law : {"code", "paper"}
        Shares in an overlap of C frames: the released code's tent over every tile, in which the later tile has
        (j - 1/2) / C of frame j = 1 .. C; or the paper's j / (C + 1).
    overlap : int, optional
        Frames made by two neighbouring tiles at least; half of a tile's made frames where it is not given.
    noise : {"repeated", "free"}
        One tile's noise over and over, as the released code has it, or other noise for every frame.
    """

    law: Literal["code", "paper"] = "code"
    overlap: int | None = None
    noise: Literal["repeated", "free"] = "repeated"


@dataclass(frozen=True)
class Tiles:
    """Which frames the network sees in one call each, and what its word counts there.

    Attributes
    ----------
    frames : int64 [tiles, F]
        Frames of the whole: the given ones of the start, the tile's window in the gap, the given ones of the end. So
        every tile is fed as a short gap is, and knows both key frames.
    shares : float32 [tiles, F]
        For every frame of the whole they add up to one. Given frames are the first and the last tile's alone: there
        they have their true neighbours.
    """

    frames: Tensor
    shares: Tensor

    @classmethod
    def plan(cls, whole: int, frames: int, context: int, fusion: Fusion) -> Tiles:
        """Tiles of `frames` over a gap that has `whole` frames with the `context` given ones at either end.

        The last tile is aligned to the end. A gap of one call's length is one tile.

        Raises
        ------
        ValueError
            When the whole is shorter than a tile, or the overlap is not shorter than what a tile makes.
        """
        made, gap = frames - 2 * context, whole - 2 * context
        overlap = made // 2 if fusion.overlap is None else fusion.overlap
        if gap < made or not 0 <= overlap < made:
            raise ValueError(f"No tiles of {made} frames overlapping by {overlap} over a gap of {gap} frames")
        starts = torch.tensor([*range(0, gap - made, made - overlap), gap - made])
        window = starts[:, None] + torch.arange(made)
        shares = torch.zeros(len(starts), whole)
        shares[:, context : whole - context] = (_tents if fusion.law == "code" else _ramps)(window, gap)
        shares[0, :context] = shares[-1, whole - context :] = 1
        start, end = torch.arange(context), torch.arange(whole - context, whole)
        index = torch.cat([start.expand(len(starts), -1), context + window, end.expand(len(starts), -1)], 1)
        return cls(index, shares.gather(1, index))

    def join(self, said: Iterable[Tensor]) -> Tensor:
        """The whole [B, c, N, h, w] of what was said of each tile [B, c, F, h, w], one after the other."""
        joined = None
        for frames, shares, tile in zip(self.frames, self.shares, said, strict=True):
            if joined is None:
                batch, channels, _, height, width = tile.shape
                joined = tile.new_zeros(batch, channels, int(self.frames.max()) + 1, height, width)
            joined.index_add_(2, frames.to(tile.device), tile * shares.to(tile)[:, None, None])
        assert joined is not None, "a plan has one tile at least"  # noqa: S101 - for the type checker
        return joined


def draw_noise(shape: tuple[int, ...], frames: int, context: int, seed: int, fusion: Fusion) -> Tensor:
    """The noise that sampling begins with, float32 [B, c, N, h, w] on the CPU: the same on every device.

    Parameters
    ----------
    shape : tuple of int
        (B, c, N, h, w), N frames in the whole.
    frames, context : int
        Of one call, with the given ones; of these, at either end.
    """
    generator = torch.Generator().manual_seed(seed)
    batch, channels, whole, height, width = shape
    if fusion.noise == "free":
        return torch.randn(shape, generator=generator)
    tile = torch.randn((batch, channels, frames, height, width), generator=generator)
    gap = context + torch.arange(whole - 2 * context) % (frames - 2 * context)
    return tile[:, :, torch.cat([torch.arange(context), gap, torch.arange(frames - context, frames)])]


def _tents(window: Tensor, gap: int) -> Tensor:
    """Shares [tiles, gap] that fall from each tile's middle to its ends."""
    made = window.shape[1]
    place = (torch.arange(made) + 0.5) * 2 / made
    tents = torch.zeros(len(window), gap).scatter_(1, window, torch.minimum(place, 2 - place).expand(len(window), -1))
    return tents / tents.sum(0)


def _ramps(window: Tensor, gap: int) -> Tensor:
    """Shares [tiles, gap] by the paper's equation, applied from the first tile to the last."""
    made = window.shape[1]
    shares = torch.zeros(len(window), gap)
    shares[0, :made] = 1
    for tile in range(1, len(window)):
        start, end = int(window[tile, 0]), int(window[tile - 1, -1]) + 1
        rising = torch.ones(made)
        rising[: end - start] = torch.arange(1, end - start + 1) / (end - start + 1)
        shares[:, window[tile]] *= 1 - rising
        shares[tile, window[tile]] = rising
    return shares
