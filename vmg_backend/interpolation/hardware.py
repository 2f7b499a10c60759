"""What this machine has for engines with a model, as a person chooses among it."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError
from ..models import OWN, models_root, own_models
from ..protocol import Device, Hardware, ModelHere
from .engines import missing_packages
from .hminterp.config import Config


def hardware() -> Hardware:
    """Devices with their memory, and models; loads torch where it is installed.

    Raises
    ------
    UserError
        When it is installed and cannot be loaded.
    """
    missing = missing_packages()
    models = tuple(_described(folder) for folder in own_models())
    return Hardware(() if missing else _devices(), models, str(models_root() / OWN), missing)


def _devices() -> tuple[Device, ...]:
    try:
        import torch

        from .hminterp.devices import devices, free_memory, total_memory
    except (ImportError, OSError) as error:  # a library that it was built with is missing
        raise UserError(
            f"torch is installed, and cannot be loaded: {error}.", "Repair the backend.", title="torch is broken"
        ) from error
    return tuple(
        Device(name, label, free_memory(torch.device(name)), total_memory(torch.device(name)))
        for name, label in devices().items()
    )


def _described(folder: Path) -> ModelHere:
    try:
        config = Config.load(folder)
    except UserError as error:  # it is named, so that the person learns why it cannot be used
        return ModelHere(folder.name, f"{folder.name} (damaged)", error.message)
    made = f"{config.size} px, {config.made} of {config.frames} frames a call"
    return ModelHere(folder.name, folder.name, f"{made}. Licence: {config.licence.rstrip('.')}")
