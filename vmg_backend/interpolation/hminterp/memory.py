"""What HMInterp needs of a device's memory, told before it starts; and how it makes do with less.

No table and no formula: the parts are run on torch's "meta" device, where tensors have shapes but no numbers, and the
bytes that are alive at any time are added up, operation by operation. Run so, and run with numbers on the CPU, they
have the same peaks (tests/backend/test_hminterp_memory.py). Attention is taken to need no matrix of all pairs, as
with the flash and memory-efficient kernels of CUDA, ROCm and the CPU. What it does not see: scratch of convolutions and
matrix products, and memory lost between blocks; `SLACK` is for these.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ...errors import UserError
from .autoencoder import decode
from .conditioning import conditions_of
from .config import Config
from .decoder import taps
from .devices import Placement, free_memory, release
from .model import HMInterp
from .sampling import Conditions
from .seed import widened

SLACK = {"cpu": 1.3, "cuda": 1.15, "mps": 1.15}
"""What is really taken, over what is rehearsed. On the CPU it was 1.26 and 1.13 (the process's memory, model small at
192 px, without thrift and with two passes and single frames decoded); the GPUs' are guesses that none has checked."""
_LATENTS = 8
"""Copies of the latents, in float32, that sampling holds beside a call of the denoiser."""


@dataclass(frozen=True)
class Thrift:
    """What is done to need less memory.

    Attributes
    ----------
    two_pass : bool
        Both halves of guidance one after the other.
    offload : bool
        Parts of the model wait in the RAM while they have nothing to do.
    chunk : int
        Frames that are decoded together.
    """

    two_pass: bool = False
    offload: bool = False
    chunk: int = 4


THRIFTS = (
    Thrift(),
    Thrift(two_pass=True),
    Thrift(two_pass=True, chunk=1),
    Thrift(two_pass=True, offload=True),
    Thrift(two_pass=True, offload=True, chunk=1),
)
"""From the fastest to the one that needs least."""


@dataclass(frozen=True)
class Stage:
    """A piece of the work: parts of the model that have something to do, and the most bytes alive beside weights."""

    parts: tuple[str, ...]
    working: int


@dataclass(frozen=True)
class Estimate:
    """Memory for one gap, bytes.

    Attributes
    ----------
    weights : mapping of str to int
        Of each part of the model.
    stages : mapping of str to stages
        Of the phases "prepare" (the conditions), "denoise" and "decode", in their order.
    offload : bool
        Whether only those parts are on the device that have something to do.
    slack : float
        What is really taken, over the sum of these.
    """

    weights: Mapping[str, int]
    stages: Mapping[str, tuple[Stage, ...]]
    offload: bool
    slack: float

    @property
    def phases(self) -> dict[str, int]:
        """What each phase needs in all."""
        return {
            phase: round(self.slack * max(self._weight(stage) + stage.working for stage in stages))
            for phase, stages in self.stages.items()
        }

    @property
    def peak(self) -> int:
        """What the gap needs in all."""
        return max(self.phases.values())

    def scaled(self, ratio: float) -> Estimate:
        """The same for pictures of `ratio` times as many pixels, to which all work is proportional."""
        stages = {
            phase: tuple(replace(stage, working=round(ratio * stage.working)) for stage in stages)
            for phase, stages in self.stages.items()
        }
        return replace(self, stages=stages)

    def _weight(self, stage: Stage) -> int:
        return sum(self.weights[part] for part in (stage.parts if self.offload else self.weights))


def estimate(
    config: Config,
    *,
    height: int,
    width: int,
    place: Placement,
    frames: int | None = None,
    given: int | None = None,
    guided: bool = True,
    thrift: Thrift = THRIFTS[0],
) -> Estimate:
    """What one gap needs; rehearsed once at the size of the model, which takes seconds, and scaled to others.

    Parameters
    ----------
    config : Config
    height, width : int
        Of the crop, px.
    place : Placement
    frames : int, optional
        Of the gap with the given ones; those of one call by default.
    given : int, optional
        Given frames at either end; the config's context by default.
    guided : bool
        Whether guidance is other than 1.
    thrift : Thrift
    """
    gap = (config, place.dtype, frames or config.frames, given or config.context)
    rehearsed = Estimate(
        weights={name: bytes_of(part.parameters()) for name, part in _shapes(config, place.dtype).named_children()},
        stages={
            "prepare": _preparing(*gap)[0],
            "denoise": _denoising(*gap, guided and not thrift.two_pass),
            "decode": _decoding(*gap, thrift.chunk),
        },
        offload=thrift.offload,
        slack=SLACK[place.device.type],
    )
    return rehearsed.scaled(height * width / config.size**2)


def plan(
    config: Config,
    *,
    height: int,
    width: int,
    place: Placement,
    frames: int | None = None,
    given: int | None = None,
    guided: bool = True,
    free: int | None = None,
) -> Thrift:
    """The fastest way that fits.

    Parameters
    ----------
    config, height, width, frames, given, guided
        As of `estimate`.
    place : Placement
    free : int, optional
        Bytes; by default those that the device has free now.

    Raises
    ------
    UserError
        When none fits; its remedy names what would: a size of at least the half, or a lighter model.
    """
    budget = free_memory(place.device) if free is None else free

    def need(thrift: Thrift, network: Config = config) -> Estimate:
        return estimate(
            network,
            height=height,
            width=width,
            place=place,
            frames=frames,
            given=given,
            guided=guided,
            thrift=thrift,
        )

    ways = [way for way in THRIFTS if not (way.offload and place.device.type == "cpu")]
    for way in ways:
        if need(way).peak <= budget:
            return way
    least, short = need(ways[-1]), min(height, width)
    sizes = range((short - 1) // config.multiple * config.multiple, short // 2 - 1, -config.multiple)
    fitting = [f"{side} px" for side in sizes if least.scaled((side / short) ** 2).peak <= budget][:1]
    if config.reference == "attention" and need(ways[-1], replace(config, reference="light")).peak <= budget:
        fitting.append("a model with the light controller")
    raise UserError(
        f"HMInterp at {short} px needs {said(least.peak)}, and {said(budget)} are free.",
        f"Choose {' or '.join(fitting)}." if fitting else "Close other programs, or choose another device or engine.",
        title="Too little memory",
    )


class Residence:
    """Keeps the parts of a model where they are needed.

    Parameters
    ----------
    device : torch.device
        Where they work.
    offload : bool
        Whether they wait on the CPU for their turn; else they are expected to be on the device, and stay.

    Attributes
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device, offload: bool) -> None:
        self.device, self._offload = device, offload

    @contextmanager
    def using(self, *parts: nn.Module | None) -> Iterator[None]:
        """Have some parts on the device, for as long as it lasts. Parts that are None are not there to be moved."""
        if not self._offload:
            yield
            return
        there = [part for part in parts if part is not None]
        try:
            for part in there:
                part.to(self.device)
            yield
        finally:
            for part in there:
                part.to("cpu")
            release(self.device)


class Live(TorchDispatchMode):
    """Adds up the bytes of the tensors that were made while it lasts and are still alive.

    Attributes
    ----------
    now, peak : int
        Bytes; a storage counts once, however many tensors look into it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._watched: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        """Run one operation and count what it made."""
        made = func(*args, **(kwargs or {}))
        before = {id(storage) for storage in _storages((args, kwargs))}
        for storage in _storages(made):
            if id(storage) not in before:
                self._count(storage, storage.nbytes())
        return made

    def _count(self, storage: torch.UntypedStorage, size: int) -> None:
        key = id(storage)
        if key in self._watched:
            return

        def gone(_: object) -> None:
            del self._watched[key]
            self.now -= size

        self._watched[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)


def _storages(values: object) -> list[torch.UntypedStorage]:
    return [leaf.untyped_storage() for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def _result(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Of attention, without numbers."""
    return query.new_empty(*query.shape[:-1], value.shape[-1])


class Flash(TorchFunctionMode):
    """Attention that needs nothing but what it is given and its result, as with the kernels of CUDA, ROCm and the CPU.

    Parameters
    ----------
    attend : callable
        From queries, keys and values to the result.
    """

    def __init__(self, attend: Callable[[Tensor, Tensor, Tensor], Tensor] = _result) -> None:
        super().__init__()
        self._attend = attend

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        """Run one function."""
        if func is functional.scaled_dot_product_attention:
            named: dict[str, Any] = {**dict(zip(("query", "key", "value"), args, strict=False)), **(kwargs or {})}
            return self._attend(named["query"], named["key"], named["value"])
        return func(*args, **(kwargs or {}))


@contextmanager
def rehearsing(live: Live) -> Iterator[None]:
    """Run networks without numbers, and count what they would hold."""
    with torch.no_grad(), torch.device("meta"), Flash(), live:
        yield


class _Rehearsal:
    """Work on the meta device, in stages.

    Attributes
    ----------
    live : Live
    stages : list of Stage
    """

    def __init__(self, model: HMInterp, held: int = 0) -> None:
        self._names = {id(part): name for name, part in model.named_children()}
        self._held = held
        self.live = Live()
        self.stages: list[Stage] = []

    @contextmanager
    def using(self, *parts: nn.Module | None) -> Iterator[None]:
        """As `Residence.using`; what was alive since the stage before counts as this one's."""
        yield
        names = tuple(self._names[id(part)] for part in parts if part is not None)
        self.stages.append(Stage(names, self._held + self.live.peak))
        self.live.peak = self.live.now


@lru_cache(maxsize=8)
def _shapes(config: Config, dtype: torch.dtype) -> HMInterp:
    return HMInterp.build(config, "meta").to("meta", dtype).eval().requires_grad_(False)


@lru_cache(maxsize=32)
def _preparing(
    config: Config, dtype: torch.dtype, frames: int, given: int
) -> tuple[tuple[Stage, ...], int, Conditions]:
    """How the conditions of a gap are made, the bytes that stay until it is done, and the conditions."""
    model = _shapes(config, dtype)
    rehearsal, side = _Rehearsal(model), config.size
    with rehearsing(rehearsal.live):
        pictures = torch.empty(1, 2 * given, 3, side, side, dtype=dtype)
        maps = torch.empty(1, 3, frames, side, side, dtype=dtype)
        conditions = conditions_of(model, pictures, frames - 2 * given, maps, using=rehearsal.using)
        return tuple(rehearsal.stages), rehearsal.live.now, conditions


@lru_cache(maxsize=32)
def _denoising(config: Config, dtype: torch.dtype, frames: int, given: int, batched: bool) -> tuple[Stage, ...]:
    """One call of the denoiser, with what is held through all of them."""
    model = _shapes(config, dtype)
    _, held, conditions = _preparing(config, dtype, frames, given)
    rehearsal = _Rehearsal(model, held + _LATENTS * conditions.seed.numel() * torch.float32.itemsize)
    with rehearsing(rehearsal.live), rehearsal.using(model.denoiser):
        tile = conditions.tile(torch.arange(config.frames))
        told = tile.doubled() if batched else tile
        noisy = torch.empty(told.seed.shape, dtype=torch.float32)
        if config.seed == "widened":
            noisy = widened(noisy, told.seed.to(noisy), told.mask.to(noisy))
        moment = torch.empty(len(noisy), dtype=torch.int64)
        model.denoiser(noisy, moment, told.tokens, told.added, told.references, told.light)
    return tuple(rehearsal.stages)


@lru_cache(maxsize=32)
def _decoding(config: Config, dtype: torch.dtype, frames: int, given: int, chunk: int) -> tuple[Stage, ...]:
    """The decoding of a gap."""
    model = _shapes(config, dtype)
    _, held, conditions = _preparing(config, dtype, frames, given)
    rehearsal = _Rehearsal(model, held)
    with rehearsing(rehearsal.live), rehearsal.using(model.autoencoder, model.decoder):
        latents = torch.empty(conditions.seed.shape, dtype=dtype)
        if model.decoder is not None:
            features = taps(model.autoencoder, torch.empty(1, 2, 3, config.size, config.size, dtype=dtype))
            made = model.decoder.decode(latents, features, chunk)
        else:
            parts = latents[0].transpose(0, 1).split(chunk)
            made = torch.cat([decode(model.autoencoder, part) for part in parts])
        made.float().add(1.0).mul(127.5)
    return tuple(rehearsal.stages)


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Of all the tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def said(amount: int) -> str:
    """Bytes, for people."""
    return f"{amount / 1e9:.1f} GB"
