"""Whether a decoder that sees the given frames is better, and how: none, zero-padded and repeated references compared.

    python benchmarks/reference_decoder.py [--steps 120] [--out benchmarks/results/reference_decoder.json]

Random textures that move before another one stand for footage. A small autoencoder is trained with a temporal decoder;
from it each kind of Reference Decoder goes on, the encoder frozen, for as many steps on the same clips. Printed is the
PSNR of the frames between the given ones in clips that were not seen. The paper has none 37.21, zero 38.13 and repeat
39.53 dB on its own data (Video Motion Graphs, table 5). A check of the structure, not of quality.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from vmg_backend.interpolation.hminterp.autoencoder import encode, make_autoencoder
from vmg_backend.interpolation.hminterp.config import TINY
from vmg_backend.interpolation.hminterp.decoder import ReferenceDecoder, taps

CONFIG = replace(TINY, decoder="none")
KINDS = ("none", "zero", "repeat")
FRAMES, SIDE, BATCH = 6, 32, 2
RATE = 2e-3
HELD_OUT = 24
THINGS = 3
"""Textures of a clip: a still background and what moves before it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=120, help="of each training")
    parser.add_argument("--first", type=int, default=150, help="steps of the autoencoder's training")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    options = parser.parse_args()
    torch.manual_seed(0)
    begin = time.perf_counter()
    autoencoder, plain = make_autoencoder(CONFIG), ReferenceDecoder(CONFIG)
    autoencoder.decoder = autoencoder.post_quant_conv = nn.Identity()
    train(
        [*autoencoder.parameters(), *plain.parameters()],
        lambda clips: plain(latents_of(autoencoder, clips), ()),
        options.first,
    )
    autoencoder.requires_grad_(False)
    results: dict[str, float] = {}
    for kind in KINDS:
        torch.manual_seed(1)
        decoder = ReferenceDecoder(replace(CONFIG, decoder=kind))
        decoder.body.load_state_dict(plain.body.state_dict())

        def decoded(clips: Tensor, decoder: ReferenceDecoder = decoder) -> Tensor:
            return decoder(latents_of(autoencoder, clips), taps(autoencoder, clips[:, :, [0, -1]].transpose(1, 2)))

        train(list(decoder.parameters()), decoded, options.steps)
        results[kind] = psnr_between(decoded)
        print(f"{kind:7} {results[kind]:.2f} dB   {time.perf_counter() - begin:.0f} s", flush=True)
    if options.out:
        options.out.write_text(json.dumps({"steps": options.steps, "psnr_db": results}, indent=1) + "\n")


def train(parameters: list[nn.Parameter], decode: Callable[[Tensor], Tensor], steps: int) -> None:
    """The same clips for each call."""
    optimizer = torch.optim.AdamW(parameters, RATE, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
    random = torch.Generator().manual_seed(2)
    for _ in range(steps):
        clips = draw(random, BATCH)
        made = decode(clips)
        loss = functional.mse_loss(made, clips) + 0.5 * functional.l1_loss(made, clips)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()


@torch.no_grad()
def psnr_between(decode: Callable[[Tensor], Tensor]) -> float:
    """dB, over the frames between the given ones."""
    clips = draw(torch.Generator().manual_seed(3), HELD_OUT)
    error = (decode(clips).clamp(-1, 1) - clips)[:, :, 1:-1] * 127.5
    return 10 * math.log10(255**2 / error.square().mean().item())


def latents_of(autoencoder: nn.Module, clips: Tensor) -> Tensor:
    return encode(autoencoder, clips.transpose(1, 2)).transpose(1, 2)


def draw(random: torch.Generator, count: int) -> Tensor:
    """Clips [B, 3, F, H, W] in -1..1: discs of one texture move before another one that stays."""
    times = torch.linspace(0, 1, FRAMES)
    row, column = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    clips = texture(random, count)[:, :, None].repeat(1, 1, FRAMES, 1, 1)
    for _ in range(THINGS - 1):
        ends = torch.rand(2, count, 2, generator=random) * SIDE
        radius = SIDE * (0.12 + 0.13 * torch.rand(count, generator=random))
        places = ends[0, :, None] + (ends[1] - ends[0])[:, None] * times[:, None] / 2  # [B, F, 2]
        away = (row - places[..., 0, None, None]) ** 2 + (column - places[..., 1, None, None]) ** 2
        covered = torch.sigmoid(radius[:, None, None, None] - away.sqrt())[:, None]
        surface = texture(random, count)
        shifts = (places - places[:, :1]).round().long()
        moved = [
            torch.stack([s.roll(tuple(at.tolist()), (1, 2)) for at in shift], 1)
            for s, shift in zip(surface, shifts, strict=True)
        ]
        clips = torch.lerp(clips, torch.stack(moved), covered)
    return clips


def texture(random: torch.Generator, count: int) -> Tensor:
    """Smooth colours and fine grain [B, 3, H, W]."""
    coarse, fine = (torch.rand(count, 3, side, side, generator=random) * 2 - 1 for side in (4, SIDE // 2))
    sized = [functional.interpolate(each, (SIDE, SIDE), mode="bilinear") for each in (coarse, fine)]
    return (0.6 * sized[0] + 0.6 * sized[1]).clamp(-1, 1)


if __name__ == "__main__":
    main()
