"""Where networks run: devices, their precision, their memory, and what is said when that or a device fails."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

from ...errors import UserError

Precision = Literal["fp32", "fp16", "bf16"]
PRECISIONS: dict[Precision, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "cublas_status_alloc_failed")
"""What MPS, the CPU and CUDA's library of matrices say in a plain RuntimeError."""
_LOST = (
    *("cuda error", "hip error", "cuda driver error", "execution_failed", "device-side assert", "launch failure"),
    *("device lost", "gpu hang", "command buffer"),
)
"""What torch says when a GPU failed: from then on, nothing on it can be reached by this process."""
_UNFIT = "no kernel image"
"""A CUDA error, too: torch was not built for that GPU, which is none the worse for it."""


@dataclass(frozen=True)
class Placement:
    """Where a model runs, and how exactly it counts."""

    device: torch.device
    dtype: torch.dtype


def devices() -> dict[str, str]:
    """What there is to run on, best first: names for `choose` with names for people."""
    found = {f"cuda:{number}": torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())}
    if torch.backends.mps.is_available():
        found["mps"] = "Apple GPU"
    return found | {"cpu": "CPU"}


def choose(device: str = "auto", precision: str = "auto") -> Placement:
    """Where to run.

    Parameters
    ----------
    device : str
        "auto" takes the best there is; else one of `devices` ("cuda" is the first of these, AMD's included).
    precision : {"auto", "fp32", "fp16", "bf16"}
        "auto" is bf16 on GPUs that compute in it, fp16 on others, and fp32 on the CPU.

    Raises
    ------
    UserError
        When there is no such device, or it does not compute so.
    """
    there = devices()
    name = next(iter(there)) if device == "auto" else "cuda:0" if device == "cuda" else device
    if name not in there:
        raise UserError(
            f'There is no device "{device}" here.',
            f"Choose auto, or one of: {', '.join(there)}.",
            title="No such device",
        )
    place = torch.device(name)
    able = _precisions(place)
    wanted = able[0] if precision == "auto" else precision
    if wanted not in able:
        raise UserError(
            f"{there[name]} does not compute in {wanted} here.", f"Choose auto or {' or '.join(able)} as the precision."
        )
    return Placement(place, PRECISIONS[wanted])


def _precisions(device: torch.device) -> list[Precision]:
    """What a device computes in, best first."""
    if device.type == "cpu":
        return ["fp32"]
    if device.type == "mps":
        return ["fp16", "fp32"]
    native = torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)
    return ["bf16", "fp16", "fp32"] if native else ["fp16", "fp32"]


def free_memory(device: torch.device) -> int:
    """Bytes that this process can have on a device in all: what is free, and what it holds there already.

    On the CPU it is what is free alone, so ask before the model is loaded.
    """
    if device.type == "cuda":  # what torch holds but does not use is its own to use again
        return int(torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device))
    free = _ram("available")
    if device.type == "mps":  # one memory for both, of which the GPU should have no more than Metal says
        return min(free + torch.mps.driver_allocated_memory(), torch.mps.recommended_max_memory())
    return free


def total_memory(device: torch.device) -> int:
    """Bytes that a device has, whoever holds them."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[1])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory())
    return _ram("total")


def _ram(which: Literal["available", "total"]) -> int:
    import psutil  # type: ignore[import-untyped]  # comes with accelerate, without types

    return int(getattr(psutil.virtual_memory(), which))


def release(device: torch.device) -> None:
    """Give memory that nothing uses back to the system."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


@contextmanager
def bounded(device: torch.device, budget: int) -> Iterator[None]:
    """Take no more than `budget` bytes of a CUDA device: some drivers would spill into the RAM, and crawl."""
    if device.type != "cuda":
        yield
        return
    total = torch.cuda.mem_get_info(device)[1]
    torch.cuda.set_per_process_memory_fraction(min(budget / total, 1.0), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


@contextmanager
def explained(
    device: torch.device,
    remedy: str = "Choose a smaller size, or close other programs that use its memory.",
    lost: str = "Restart the backend, and begin again.",
) -> Iterator[None]:
    """Tell a person that memory ran out, with what the failed work held there given back; or that a GPU failed.

    Parameters
    ----------
    device : torch.device
    remedy, lost : str
        What to do when the memory ran out, and when the GPU failed.

    Raises
    ------
    UserError
        In place of the errors by which torch says so.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if _ran_out(error):
            traceback.clear_frames(error.__traceback__)  # they hold the tensors
            error.__traceback__ = None
            release(device)
            owner = "computer" if device.type == "cpu" else "GPU"
            raise UserError(f"The {owner} ran out of memory.", remedy, title="Out of memory") from None
        if _is_lost(error):  # its memory cannot be given back any more
            said = str(error).partition("\n")[0].rstrip(".")
            raise UserError(
                f"The GPU failed, and does not answer: {said}.", lost, title="Graphics card lost"
            ) from error
        raise


def _ran_out(error: RuntimeError | MemoryError) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(words in str(error).lower() for words in _OUT_OF_MEMORY)


def _is_lost(error: RuntimeError | MemoryError) -> bool:
    said = str(error).lower()
    return _UNFIT not in said and any(words in said for words in _LOST)
