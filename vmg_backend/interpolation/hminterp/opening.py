"""From a person's choice to an engine: which model, where, how well."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ...errors import UserError
from ...files import settings_hash
from ...models import own_models
from ...protocol import EngineChoice
from ..flow import Flow
from ..guide import shipped_guide
from .config import Config
from .devices import choose
from .engine import HMInterpEngine
from .generating import Way
from .model import HASHES, HMInterp

_VERSION = "1"
"""Of how a model is used."""
DRAFT_STEPS = 8
"""Denoising steps that show how a person moves; DPM++ needs no more for that."""


def open_engine(choice: EngineChoice) -> HMInterpEngine:
    """The engine with its model, which is loaded when the first gap is filled.

    Raises
    ------
    UserError
        When there is no such model or device.
    """
    folder = model_folder(choice.model)
    config, place, guide = Config.load(folder), choose(choice.device, choice.precision), shipped_guide()
    way = WAYS[choice.quality](config)
    decided: dict[str, object] = {
        "version": _VERSION,
        "model": _hashes(folder),
        "way": vars(way),
        "precision": str(place.dtype),
        "morph": Flow.version if config.seed_filling == "morph" else None,
    }
    morph = Flow() if config.seed_filling == "morph" else None
    return HMInterpEngine(config, settings_hash(decided), partial(HMInterp.load, folder), place, guide, way, morph)


def _hashes(folder: Path) -> dict[str, str]:
    """What the model's files are, as was found when they were written: hashing gigabytes takes too long to wait for.

    Raises
    ------
    UserError
        When that is not there.
    """
    try:
        hashes = json.loads((folder / HASHES).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{folder / HASHES} cannot be read: {error}.", "Copy or import the whole model again."
        ) from error
    return {str(name): str(digest) for name, digest in hashes.items()}


def _draft(config: Config) -> Way:
    return Way(steps=min(DRAFT_STEPS, config.steps), sampler="dpm++")


WAYS: Mapping[str, Callable[[Config], Way]] = {"draft": _draft, "final": lambda _: Way()}
"""By the name of a quality."""


def model_folder(name: str) -> Path:
    """Where a model lies.

    Parameters
    ----------
    name : str
        Its name or folder; "" for the only one that is there.

    Raises
    ------
    UserError
        When there is none, or it is not clear which.
    """
    if name and (Path(name) / "config.json").is_file():
        return Path(name)
    there = {folder.name: folder for folder in own_models()}
    if not there:
        raise UserError(
            "There is no model for HMInterp here.",
            "Get one as docs/models.md says (`vmg models list`); `flow` needs none.",
            title="No model",
        )
    if name in there:
        return there[name]
    if not name and len(there) == 1:
        return next(iter(there.values()))
    wrong = f'There is no model "{name}" for HMInterp.' if name else "There are several models for HMInterp."
    raise UserError(wrong, f"Choose one of: {', '.join(there)}.", title="Which model?")
