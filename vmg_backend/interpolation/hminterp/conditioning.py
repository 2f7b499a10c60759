"""From the frames around gaps and pose maps to what the denoiser is told at every step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from .autoencoder import encode
from .light_reference import LightReference, over_frames
from .model import HMInterp
from .reference import ReferenceNet, References
from .sampling import Conditions
from .seed import seed_latents
from .tokens import for_frames

Using = Callable[..., AbstractContextManager[None]]


def conditions_of(
    model: HMInterp,
    pictures: Tensor,
    length: int,
    maps: Tensor | None = None,
    filling: Tensor | None = None,
    *,
    latents: Tensor | None = None,
    seeded: bool = True,
    using: Using = lambda *_: nullcontext(),
) -> Conditions:
    """What stays the same through all steps (Video Motion Graphs, section 3.3, figure 3).

    Parameters
    ----------
    model : HMInterp
    pictures : [B, 2 g, 3, H, W]
        g given frames before each gap and g after it, in 0..1.
    length : int
        Frames n of the gap; F = n + 2 g.
    maps : [B, 3, F, H, W], optional
        Pose maps in 0..1; without them the Pose Guider is silent.
    filling : [B, c, n, h, w], optional
        Latents that stand in the gap instead of duplicates.
    latents : [B, 2 g, c, h, w], optional
        Those of the given frames, where they are known already.
    seeded : bool
        Whether the Seed Image Guider is told of the given frames (not in some trainings).
    using : callable, optional
        Has parts of the model where they work, while they do (`memory.Residence.using`).
    """
    if latents is None:
        with using(model.autoencoder):
            latents = encode(model.autoencoder, 2.0 * pictures - 1.0)
    seed, mask = seed_latents(latents.transpose(1, 2), length, filling)
    if not seeded:
        seed, mask = torch.zeros_like(seed), torch.zeros_like(mask)
    given, frames = pictures.shape[1] // 2, seed.shape[2]
    nearest = [given - 1, given][: model.config.references]
    seen, seen_latents = pictures[:, nearest], latents[:, nearest]
    with using(model.tokens):
        tokens = model.tokens(seen, seen_latents)
    references: References | None = None
    light: list[Tensor] | None = None
    if isinstance(model.reference, ReferenceNet):
        with using(model.reference):
            features = model.reference(seen_latents.flatten(0, 1), tokens.flatten(0, 1)[:, None])
        with using(model.denoiser):
            references = model.denoiser.references(features, len(nearest))
    elif isinstance(model.reference, LightReference):
        with using(model.reference):
            light = over_frames(model.reference(seen), frames, given)
    with using(model.pose_guider, model.seed_guider):
        added = _guided(model, pictures, length, (seed, mask) if seeded else None, maps)
    return Conditions(
        tokens=for_frames(tokens, frames),
        added=added,
        seed=seed,
        mask=mask,
        references=references,
        light=light,
    )


def _guided(
    model: HMInterp, pictures: Tensor, length: int, seed: tuple[Tensor, Tensor] | None, maps: Tensor | None
) -> Tensor | None:
    """The guiders' features [B·F, C0, h, w], summed."""
    features: list[Tensor] = []
    if model.pose_guider is not None and maps is not None:
        features.append(model.pose_guider(maps))
    if model.seed_guider is not None and seed is not None:
        if model.seed_guider.stride > 1:
            seed = seed_latents(pictures.transpose(1, 2), length)
        features.append(model.seed_guider(*seed))
    return sum(features[1:], features[0]) if features else None
