"""From a person's choice to an engine: which model, where, how well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch

from ...errors import UserError
from ...files import settings_hash
from ...models import own_models
from ...progress import Progress
from ...protocol import NO_MODEL, EngineChoice
from ..flow import Flow
from ..guide import PoseGuide, guide_of, shipped_guide
from .adapters import ADAPTERS, Tuned, load_tuned
from .config import Config, hashes_of
from .devices import choose
from .engine import HMInterpEngine
from .generating import Way
from .model import HMInterp

_VERSION = "1"
"""Of how a model is used."""
GUIDE = Path("guide", "mdm.safetensors")
"""In a model's folder: a Motion Diffusion Model that was tuned to the person."""
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
    config, place, guide = Config.load(folder), choose(choice.device, choice.precision), own_guide(folder)
    way = WAYS[choice.quality](config)
    decided: dict[str, object] = {
        "version": _VERSION,
        "model": hashes_of(folder),
        "way": vars(way),
        "precision": str(place.dtype),
        "morph": Flow.version if config.seed_filling == "morph" else None,
    }
    morph = Flow() if config.seed_filling == "morph" else None
    return HMInterpEngine(config, settings_hash(decided), loader(folder), place, guide, way, morph)


def own_guide(folder: Path) -> PoseGuide:
    """What draws the skeletons for a model: a Motion Diffusion Model that was tuned with it, or the one for all."""
    file = folder / GUIDE
    return guide_of(file) if file.is_file() else shipped_guide()


def loader(folder: Path) -> Callable[[torch.device, torch.dtype, Progress], HMInterp]:
    """What loads a model: a whole one, or one that was tuned on top of another, which must still be what it was.

    Raises
    ------
    UserError
        When that other one is not here, or was changed.
    """
    file = folder / ADAPTERS
    if not file.is_file():
        return partial(HMInterp.load, folder)
    tuned = Tuned.read(file)
    remedy = "Bring it back, or tune the model that is here."
    try:
        base = model_folder(tuned.base)
    except UserError as error:
        wrong = f'{folder.name} was tuned on the model "{tuned.base}", which is not here.'
        raise UserError(wrong, remedy, title="Model missing") from error
    if hashes_of(base) != tuned.hashes:
        wrong = f'{folder.name} was tuned on the model "{tuned.base}", which was changed since.'
        raise UserError(wrong, remedy, title="Other model")
    return partial(load_tuned, base, file)


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
            title=NO_MODEL,
        )
    if name in there:
        return there[name]
    if not name and len(there) == 1:
        return next(iter(there.values()))
    wrong = f'There is no model "{name}" for HMInterp.' if name else "There are several models for HMInterp."
    raise UserError(wrong, f"Choose one of: {', '.join(there)}.", title="Which model?")
