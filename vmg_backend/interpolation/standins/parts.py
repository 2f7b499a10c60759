"""Parts of public models: read from the folders that they were downloaded to, and from nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from ...errors import UserError
from ...progress import Progress


@dataclass(frozen=True)
class Part:
    """A network of a public model.

    Attributes
    ----------
    kind : type
        Its class in diffusers or transformers.
    folder : Path
        Of the model.
    subfolder : str
    variant : str, optional
        "fp16" where the files are named so.
    """

    kind: Any
    folder: Path
    subfolder: str = ""
    variant: str | None = None

    def load(self, dtype: torch.dtype) -> Any:  # noqa: ANN401 - a `kind`
        """The network with its weights on the CPU, for use.

        Raises
        ------
        UserError
            When files or tensors are missing, damaged or of another shape.
        """
        with readable(self.folder):
            network, found = self.kind.from_pretrained(
                self.folder,
                subfolder=self.subfolder,
                variant=self.variant,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
        if missing := found["missing_keys"]:
            raise _damaged(self.folder, f"{len(missing)} tensors are missing, {sorted(missing)[0]} among them")
        return network.eval().requires_grad_(False)

    def shape(self, dtype: torch.dtype) -> Any:  # noqa: ANN401 - a `kind`
        """The network on the device "meta": its shapes alone."""
        with readable(self.folder):
            config = self.kind.load_config(self.folder, subfolder=self.subfolder, local_files_only=True)
        with torch.device("meta"):
            return nn.Module.to(self.kind.from_config(config), dtype).eval().requires_grad_(False)


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Say for a person that a model's files are not what they should be.

    Raises
    ------
    UserError
        In place of what diffusers and transformers raise then.
    """
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        raise _damaged(folder, str(error).splitlines()[0].rstrip(".")) from error


@contextmanager
def heard(module: nn.Module, calls: int, progress: Progress) -> Iterator[None]:
    """Update `progress` before each call of a module, of which so many are expected: a cancel waits for one at most."""
    numbers = count()
    handle = module.register_forward_pre_hook(lambda *_: progress.update(next(numbers) / calls))
    try:
        yield
    finally:
        handle.remove()


def _damaged(folder: Path, why: str) -> UserError:
    return UserError(
        f"The model in {folder} cannot be read: {why}.",
        f"Run `vmg models verify {folder.name}`, and `vmg models get {folder.name}` again.",
        title="Model incomplete",
    )
