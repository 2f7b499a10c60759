"""Files of the Motion Diffusion Model: safetensors, read without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..files import writing

SHIPPED = Path(__file__).parent / "weights" / "mdm.safetensors"
"""The weights that come with the package."""
_FORMAT = "vmg motion diffusion 1"
_TABLES = ("table.base", "table.sigma")


@dataclass(frozen=True)
class Weights:
    """A trained Motion Diffusion Model.

    Attributes
    ----------
    tensors : mapping of str to float32 array
        The network's, by their names in `network.MotionTransformer`.
    heads : int
        Of attention.
    base : float32 [2, 3, 65, 64, 6]
        Weights of `regression`: by context (1 or 3 frames), kind, the gap's length and the frame.
    sigma : float32 [2, 3, 65, 64]
        Root mean square of truth less base, normalised; in the same order.
    about : mapping
        Recipe, data, results of validation, the table of `choice`.
    """

    tensors: Mapping[str, NDArray[np.float32]]
    heads: int
    base: NDArray[np.float32]
    sigma: NDArray[np.float32]
    about: Mapping[str, Any]

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all; the network in half precision."""
        from safetensors.numpy import save_file

        tensors: dict[str, NDArray[Any]] = {name: tensor.astype(np.float16) for name, tensor in self.tensors.items()}
        tables: dict[str, NDArray[Any]] = dict(zip(_TABLES, (self.base, self.sigma), strict=True))
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
        from safetensors import SafetensorError, safe_open

        remedy = "Train one by `vmg train mdm`, or leave the choice to the one that comes with the package."
        try:
            with safe_open(path, "numpy") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path} cannot be read as weights: {error}.", remedy, title="No weights") from error
        if metadata.get("format") != _FORMAT:
            raise UserError(f"{path} holds no Motion Diffusion Model of this version.", remedy, title="Other weights")
        base, sigma = (tensors.pop(name) for name in _TABLES)
        network = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
        return cls(network, int(metadata["heads"]), base, sigma, json.loads(metadata["about"]))
