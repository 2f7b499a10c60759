"""Tensors into a safetensors file, piece by piece: a part of a model has gigabytes, and a cancel should not wait."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ...errors import UserError
from ...progress import SILENT, Progress

_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""What the format calls them."""
_PIECE = 1 << 20
"""Numbers that are written at once."""


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], progress: Progress = SILENT, dtype: torch.dtype | None = None
) -> str:
    """Write a file, to be read by any reader of the format; gives its SHA-256.

    Parameters
    ----------
    path : Path
        In a folder that is being written.
    tensors : mapping of str to Tensor
        Wherever they are.
    progress : Progress
        Told after every few megabytes.
    dtype : torch.dtype, optional
        What numbers with a fraction are written in; by default each as it is.

    Raises
    ------
    UserError
        When a number is too large for `dtype`.
    """
    written = {
        name: dtype if dtype and tensor.is_floating_point() else tensor.dtype for name, tensor in tensors.items()
    }
    order = sorted(tensors, key=lambda name: (-written[name].itemsize, name))  # so that each begins at a multiple
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in order:
        begin, end = end, end + tensors[name].numel() * written[name].itemsize
        shape = list(tensors[name].shape)
        header[name] = {"dtype": _NAMES[written[name]], "shape": shape, "data_offsets": [begin, end]}
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    digest, done = hashlib.sha256(), 0
    with path.open("wb") as file:

        def put(data: bytes | memoryview) -> None:
            digest.update(data)
            file.write(data)

        put(len(head).to_bytes(8, "little") + head)
        for name in order:
            for piece in tensors[name].detach().reshape(-1).split(_PIECE):
                progress.update(done / max(end, 1))
                put(_converted(piece, written[name], name).view(torch.uint8).numpy().data)
                done += piece.numel() * written[name].itemsize
    return digest.hexdigest()


def _converted(piece: Tensor, dtype: torch.dtype, name: str) -> Tensor:
    there = piece.to("cpu", dtype)
    if there.dtype != piece.dtype and not bool(torch.isfinite(there).all()):
        raise UserError(
            f"{name} holds numbers that are too large for {str(dtype).removeprefix('torch.')}.",
            "Keep the precision that it has.",
            title="Out of range",
        )
    return there
