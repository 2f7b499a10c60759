"""What this machine has for engines with a model, as a person chooses among it."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError
from ..models import OWN, models_root, own_models
from ..protocol import Device, Hardware, Lacking, Look, ModelFolder, ModelHere
from .engines import missing_packages
from .hminterp.config import FILE, HASHES, Config, hashes_of
from .standins.needs import NEEDS, missing_models

_WHICH = f"Choose the folder that holds a model's {FILE} and {HASHES}: an imported or a trained one."


def hardware(look: Look) -> Hardware:
    """Devices with their memory, and models; loads torch where it is installed.

    Raises
    ------
    UserError
        When it is installed and cannot be loaded.
    """
    missing = missing_packages()
    folders = dict.fromkeys((*own_models(), *map(Path, look.models)))
    models = tuple(_described(folder) for folder in folders)
    lacking = tuple(Lacking(engine, names) for engine in NEEDS if (names := missing_models(engine)))
    if missing:
        return Hardware((), models, str(models_root() / OWN), missing, lacking)
    from ..training.hminterp.begun import stopped

    return Hardware(_devices(), models, str(models_root() / OWN), missing, lacking, stopped())


def model(asked: ModelFolder) -> ModelHere:
    """The model in a folder.

    Raises
    ------
    UserError
        When there is none of ours, or not all of it.
    """
    folder = Path(asked.path)
    if not (folder / FILE).is_file() or not (folder / HASHES).is_file():
        inside = sorted(file.parent.name for file in folder.glob(f"*/{HASHES}"))
        raise UserError(
            f"{folder} holds no model of HMInterp.",
            f"Choose one of the folders in it: {', '.join(inside)}." if inside else _WHICH,
            title="No model there",
        )
    found = _read(folder)
    if missing := [name for name in hashes_of(folder) if not (folder / name).is_file()]:
        raise UserError(
            f"The model in {folder} is not whole: {', '.join(missing)} is missing.",
            "Copy or import it again.",
            title="Model incomplete",
        )
    return found


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
        return _read(folder)
    except UserError as error:  # it is named, so that the person learns why it cannot be used
        state = "damaged" if folder.is_dir() else "not found"
        return ModelHere(_name(folder), f"{folder.name} ({state})", error.message)


def _read(folder: Path) -> ModelHere:
    config = Config.load(folder)
    made = f"{config.size} px, {config.made} of {config.frames} frames a call"
    return ModelHere(_name(folder), folder.name, f"{made}. Licence: {config.licence.rstrip('.')}")


def _name(folder: Path) -> str:
    return folder.name if folder in own_models() else str(folder)
