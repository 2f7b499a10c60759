"""Files of the Motion Diffusion Model: safetensors, read without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import writing
from ..tensors import Kind, opened
from .regression import Tables

SHIPPED = Path(__file__).parent / "weights" / "mdm.safetensors"
"""The weights that come with the package."""
_FORMAT = "vmg motion diffusion 2"
_KIND = Kind(
    "Motion Diffusion Model",
    "Train one by `vmg train mdm`, or leave the choice to the one that comes with the package.",
    lambda stated: stated.get("format") == _FORMAT,
)


@dataclass(frozen=True)
class Weights:
    """A trained Motion Diffusion Model.

    Attributes
    ----------
    tensors : mapping of str to float32 array
        The network's, by their names in `network.MotionTransformer`.
    heads : int
        Of attention.
    tables : Tables
        What is expected before the network is asked.
    about : mapping
        Recipe, data, results of validation, the table of `choice`.
    """

    tensors: Mapping[str, NDArray[np.float32]]
    heads: int
    tables: Tables
    about: Mapping[str, Any]

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all; the network in half precision."""
        from safetensors.numpy import save_file

        tensors: dict[str, NDArray[Any]] = {name: tensor.astype(np.float16) for name, tensor in self.tensors.items()}
        tables: dict[str, NDArray[Any]] = {f"table.{name}": table for name, table in vars(self.tables).items()}
        metadata = {"format": _FORMAT, "heads": str(self.heads), "about": json.dumps(self.about)}
        with writing(path) as temporary:
            save_file(tensors | tables, temporary, metadata)

    @classmethod
    def load(cls, path: Path = SHIPPED) -> Weights:
        """Read the file.

        Raises
        ------
        UserError
            When there is none, or it holds something else.
        """
        with opened(path, _KIND, "numpy") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        tables = Tables(**{field.name: tensors.pop(f"table.{field.name}") for field in fields(Tables)})
        network = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
        return cls(network, int(metadata["heads"]), tables, json.loads(metadata["about"]))
