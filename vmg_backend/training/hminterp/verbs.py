"""The verbs of ``vmg train`` for HMInterp."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ... import jobs
from ...errors import UserError
from ...interpolation.hminterp.model import HMInterp
from ...interpolation.hminterp.opening import model_folder
from ...jobs import Analysis
from ...library import FootageLibrary
from ...progress import Progress
from ...words import library_of, sources_of
from .one_shot import RECIPES as LESSONS
from .one_shot import one_shot
from .personal import Estimate, Trained, train_on
from .preparing import videos_in
from .recipes import RECIPES, Recipe
from .runs import new_model, run_folder
from .trainer import Means, processes

_ANALYSING = 0.1
"""Share of the whole that estimating the poses takes, where they are not known yet."""


def personal(words: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """``vmg train personal``."""
    return _train(words, progress, words.minutes, None)


def hminterp(words: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """``vmg train hminterp``."""
    return _train(words, progress, None, HMInterp.load(model_folder(words.begin)) if words.begin else None)


def tuned(words: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """``vmg train one-shot``."""
    out = new_model(words.name)
    library, analyses = _read(words, progress)
    told = one_shot(
        analyses,
        library,
        words.model,
        out,
        run_folder(words.name),
        LESSONS[words.recipe].scaled(rate=words.rate),
        means=_means(words),
        progress=progress.part(_ANALYSING, 1.0),
    )
    return {**told, "summary": f"{words.name}: {out}, tuned on top of {words.model}"}


VERBS = {"personal": personal, "hminterp": hminterp, "one-shot": tuned}
"""By the word after ``vmg train``."""


def _train(
    words: argparse.Namespace, progress: Progress, minutes: float | None, begin: HMInterp | None
) -> dict[str, Any]:
    recipe = _recipe(words.recipe)
    new_model(words.name)
    library, analyses = _read(words, progress)
    trained = train_on(
        analyses,
        library,
        words.name,
        recipe,
        begin=begin,
        minutes=minutes,
        means=_means(words),
        progress=progress.part(_ANALYSING, 1.0),
        told=_tell,
    )
    return {
        "model": str(trained.model),
        "better": trained.better,
        "means": trained.result["means"],
        "over": trained.result["over"],
        "summary": _summary(words.name, trained),
    }


def _read(words: argparse.Namespace, progress: Progress) -> tuple[FootageLibrary, list[Analysis]]:
    """The library, and the footages that are named with their poses."""
    words.footage = videos_in(words.footage)
    library = library_of(words)
    with processes(words.device == "cpu").main_process_first():
        return library, jobs.analyze(sources_of(words), library, progress.part(0.0, _ANALYSING), together=False)


def _means(words: argparse.Namespace) -> Means:
    return Means(words.precision, words.thrifty, words.device == "cpu")


def _recipe(name: str) -> Recipe:
    if name in RECIPES:
        return RECIPES[name]
    file = Path(name)
    if not file.is_file():
        raise UserError(f'There is no recipe "{name}".', f"Choose one of {', '.join(RECIPES)}, or name a JSON file.")
    try:
        return Recipe.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        raise UserError(f"{file} is no JSON: {error}.", "Write it as the recipes of a run's folder are.") from error


def _tell(estimate: Estimate) -> None:
    steps = ", ".join(f"{name} {count}" for name, count in estimate.steps.items())
    print(f"Steps: {steps}; about {estimate.seconds / 60.0:.0f} min.", file=sys.stderr)


def _summary(name: str, trained: Trained) -> str:
    means = trained.result["means"]["all"]
    lines = [
        f"{name}: {trained.model}",
        f"On {len(trained.result['gaps'])} gaps that were not trained on, near the person:",
    ]
    lines += [f"  {engine:9} {scores['person_psnr']:6.2f} dB" for engine, scores in means.items()]
    if not trained.better:
        lines.append("It does not win over both: keep `flow`, or train longer and on more footage.")
    return "\n".join(lines)
