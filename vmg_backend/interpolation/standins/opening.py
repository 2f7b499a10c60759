"""From a person's choice to a stand-in: its files, where it runs, how well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...errors import UserError
from ...files import settings_hash
from ...models import find_model, installed
from ...protocol import EngineChoice
from ..guide import shipped_guide
from ..hminterp.devices import choose
from .engine import StandIn, StandInEngine
from .needs import NEEDS, missing_models
from .sparsectrl import SparseCtrl
from .vace import Vace

_VERSION = "1"
"""Of how the models are used."""
_DRAFT = 10
"""Denoising steps that show how a person moves."""


@dataclass(frozen=True)
class Files:
    """Where an engine's models are, by their names, and what identifies all their files."""

    folders: Mapping[str, Path]
    hashes: Mapping[str, Mapping[str, str]]


MAKERS: Mapping[str, tuple[int, Callable[[Files, int], StandIn]]] = {
    Vace.name: (30, lambda files, steps: Vace(files.folders["wan-vace"], files.hashes, steps)),
    SparseCtrl.name: (25, lambda files, steps: SparseCtrl(files.folders, steps)),
}
"""Denoising steps as diffusers' documentation has them, and what makes the stand-in."""


def open_stand_in(choice: EngineChoice) -> StandInEngine:
    """The engine, whose models are loaded when the first gap is filled.

    Raises
    ------
    UserError
        When they are not here, another model is asked for, or there is no such device.
    """
    if choice.model:
        raise UserError(f"{choice.name} has its own model, and takes no other.", "Leave the choice of a model out.")
    steps, make = MAKERS[choice.name]
    steps = _DRAFT if choice.quality == "draft" else steps
    files, place = _files(choice.name), choose(choice.device, choice.precision)
    decided: dict[str, object] = {
        "version": _VERSION,
        "models": files.hashes,
        "steps": steps,
        "precision": str(place.dtype),
    }
    return StandInEngine(make(files, steps), settings_hash(decided), place, shipped_guide())


def _files(engine: str) -> Files:
    """The engine's, as they were found to be when they were downloaded.

    Raises
    ------
    UserError
        When some are not here.
    """
    if missing := missing_models(engine):
        size = sum(find_model(name).gigabytes for name in missing)
        raise UserError(
            f"{engine} lacks {', '.join(missing)}, and nothing is downloaded without being asked.",
            f"Run {', '.join(f'`vmg models get {name}`' for name in missing)} ({size:.2g} GB).",
            title="Model missing",
        )
    models = [find_model(name) for name in NEEDS[engine]]
    hashes = {
        model.name: {held.path: held.sha256 for held in found.files} for model in models if (found := installed(model))
    }
    return Files({model.name: model.folder for model in models}, hashes)
