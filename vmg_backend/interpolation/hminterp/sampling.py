"""From noise to the latents of a gap: the loop that every size of HMInterp shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from ...errors import UserError
from ...progress import SILENT, Progress
from .config import Config
from .fusion import Fusion, Tiles, draw_noise
from .reference import References
from .schedulers import Noise, Sampler, make_scheduler
from .seed import widened

Preview = Callable[[Tensor], None]
"""Gets what the latents [B, c, N, h, w] look like becoming."""
_PREVIEWS = 4
"""Parts that the previews divide the sampling into."""


class Denoises(Protocol):
    """What `Denoiser` is called with."""

    def __call__(
        self,
        noisy: Tensor,
        moment: Tensor,
        tokens: Tensor,
        added: Tensor | None,
        references: References | None,
        light: Sequence[Tensor] | None,
    ) -> Tensor:
        """What the network says of the noisy latents [B, C, F, h, w] (seed and mask among them, if so widened)."""
        ...


@dataclass(frozen=True)
class Conditions:
    """What stays the same through all steps, computed once for B gaps of N frames (one call's, or more).

    Attributes
    ----------
    tokens : float [B·N, T, D]
    added : float [B·N, C0, h, w], optional
        The guiders' features, summed.
    seed : float [B, c, N, h, w]
        Latents of the given frames, and what fills the gap.
    mask : float [B, 1, N, h, w]
        1 on given frames.
    references : References, optional
    light : sequence of float [B·N, C_level, h_level, w_level], optional
    """

    tokens: Tensor
    added: Tensor | None
    seed: Tensor
    mask: Tensor
    references: References | None = None
    light: Sequence[Tensor] | None = None

    def tile(self, frames: Tensor) -> Conditions:
        """The conditions of some frames (indices [F])."""
        count = self.seed.shape[2]

        def some(each: Tensor) -> Tensor:
            chosen: Tensor = each.unflatten(0, (-1, count)).index_select(1, frames).flatten(0, 1)
            return chosen

        return replace(
            self,
            tokens=some(self.tokens),
            added=None if self.added is None else some(self.added),
            seed=self.seed.index_select(2, frames),
            mask=self.mask.index_select(2, frames),
            light=None if self.light is None else [some(level) for level in self.light],
        )

    def unconditional(self) -> Conditions:
        """Without what the person looks like; where she is and what is given stays (as in training)."""
        return self.partly([False] * len(self.seed))

    def partly(self, told: Sequence[bool]) -> Conditions:
        """The conditions of B entries, of which only some [B] are told what the person looks like."""
        if all(told):
            return self
        heard = torch.tensor(told).to(self.tokens).repeat_interleave(self.seed.shape[2])
        return replace(
            self,
            tokens=self.tokens * heard[:, None, None],
            references=self.references.batched(told) if self.references is not None and any(told) else None,
            light=None if self.light is None or not any(told) else [x * heard[:, None, None, None] for x in self.light],
        )

    def doubled(self) -> Conditions:
        """The unconditional half, then the conditional one, as one batch."""
        twice = replace(
            self,
            tokens=torch.cat([self.tokens] * 2),
            added=None if self.added is None else torch.cat([self.added] * 2),
            seed=torch.cat([self.seed] * 2),
            mask=torch.cat([self.mask] * 2),
            light=None if self.light is None else [torch.cat([x] * 2) for x in self.light],
        )
        return twice.partly([False] * len(self.seed) + [True] * len(self.seed))


@torch.no_grad()
def sample(
    denoiser: Denoises,
    conditions: Conditions,
    config: Config,
    *,
    seed: int,
    steps: int | None = None,
    guidance: float | None = None,
    sampler: Sampler | None = None,
    two_pass: bool = False,
    fusion: Fusion | None = None,
    start: Tensor | None = None,
    progress: Progress = SILENT,
    preview: Preview | None = None,
) -> Tensor:
    """Make the latents of B gaps.

    Frames beyond one call's are made in tiles (`fusion`). Noise is drawn on the CPU, so that the same seed begins the
    same on every device; the scheduler's arithmetic is in float32, whatever the denoiser's precision is.

    Parameters
    ----------
    denoiser : callable
        A `Denoiser`, on the device of the conditions.
    conditions : Conditions
    config : Config
    seed : int
    steps : int, optional
        Denoising steps; the config's where it is not given.
    guidance : float, optional
        w in unconditional + w · (conditional - unconditional); 1 asks for the conditional alone, in one pass.
    sampler : {"ddim", "dpm++"}, optional
    two_pass : bool
        Both halves of guidance one after the other: half of the memory, a little slower.
    fusion : Fusion, optional
        How a long gap is made.
    start : float32 [B, c, N, h, w], optional
        What the first step begins with (`inversion.invert`), instead of the seed's noise.
    progress : Progress, optional
        Updated before every call of the denoiser.
    preview : callable, optional
        Gets the estimate of the clean latents, a few times.

    Returns
    -------
    float32 [B, c, N, h, w]
        Given frames are exactly those of `conditions.seed` where the config renoises them.

    Raises
    ------
    Cancelled
        Before the next call of the denoiser.
    UserError
        When the denoiser's numbers are not finite.
    """
    how = fusion or Fusion()
    clean, given = conditions.seed.float(), conditions.mask.bool()
    device, law = clean.device, Noise.of(config)
    scheduler = make_scheduler(config, steps or config.steps, sampler)
    moments = scheduler.timesteps.tolist()
    tiles = Tiles.plan(clean.shape[2], config.frames, config.context, how)
    frames = tiles.frames.to(device)
    weight = config.guidance if guidance is None else guidance
    passes = 2 if two_pass and weight != 1 else 1
    call = Caller(denoiser, config, progress, len(moments) * len(frames) * passes)
    if start is None:
        start = draw_noise(tuple(clean.shape), config.frames, config.context, seed, how)
    start = start.to(device)

    shown = previewed(len(moments))
    x = start
    for step, time in enumerate(moments):
        moment = torch.full((len(x),), time, device=device)
        if config.renoise_given:
            x = torch.where(given, law.noisy(clean, start, moment), x)
        said = tiles.join(
            _guided(call, x.index_select(2, tile), moment, conditions.tile(tile), weight, two_pass) for tile in frames
        )
        if preview is not None and step in shown:
            preview(torch.where(given, clean, law.clean(said, x, moment)))
        x = scheduler.step(said, time, x).prev_sample
    return torch.where(given, clean, x) if config.renoise_given else x


def previewed(steps: int) -> set[int]:
    """The steps, counted from 0, after which a preview is shown."""
    return {steps * part // _PREVIEWS - 1 for part in range(1, _PREVIEWS)}


def check_finite(said: Tensor) -> None:
    """Look at what a network said.

    Raises
    ------
    UserError
        When its numbers are not finite.
    """
    if not said.isfinite().all():
        raise UserError(
            "The model's numbers ran over (NaN or infinity), so that there is no picture.",
            "Choose bf16 or fp32 as the precision; if it is fp32 already, verify the model's files.",
            title="Numbers ran over",
        )


class Caller:
    """Calls the denoiser, tells how far it is, and looks at what comes back."""

    def __init__(self, denoiser: Denoises, config: Config, progress: Progress, calls: int) -> None:
        self._denoiser, self._widened, self._progress = denoiser, config.seed == "widened", progress
        self._done, self._calls = 0, calls

    def __call__(self, noisy: Tensor, moment: Tensor, conditions: Conditions) -> Tensor:
        """What it says, in float32."""
        self._progress.update(self._done / self._calls)
        self._done += 1
        if self._widened:
            noisy = widened(noisy, conditions.seed.to(noisy), conditions.mask.to(noisy))
        said = self._denoiser(
            noisy, moment, conditions.tokens, conditions.added, conditions.references, conditions.light
        ).float()
        check_finite(said)
        return said


def _guided(
    call: Caller, noisy: Tensor, moment: Tensor, conditions: Conditions, weight: float, two_pass: bool
) -> Tensor:
    """Classifier-free guidance (Ho and Salimans 2022, equation 6)."""
    if weight == 1:
        return call(noisy, moment, conditions)
    if two_pass:
        free = call(noisy, moment, conditions.unconditional())
        return torch.lerp(free, call(noisy, moment, conditions), weight)
    free, bound = call(torch.cat([noisy] * 2), torch.cat([moment] * 2), conditions.doubled()).chunk(2)
    return torch.lerp(free, bound, weight)
