"""Trainings that Blender began: what was asked for is kept in the run's folder, so that the same can be asked again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from ...errors import UserError
from ...files import write_json
from ...protocol import StoppedRun, Train, as_json, from_json
from .recipes import Recipe
from .runs import Run, new_model, run_folder, runs_root

_ASKED = "asked.json"


def note(asked: Train) -> None:
    """Keep what is asked for."""
    write_json(run_folder(asked.name) / _ASKED, as_json(asked))


def stopped() -> tuple[StoppedRun, ...]:
    """Those that are not done; the running one among them, and none that this version cannot go on with."""
    return tuple(_stopped())


def forget(name: str) -> None:
    """Delete one that is not done.

    Raises
    ------
    UserError
        When there is none of that name, or it cannot be deleted.
    """
    if all(run.asked.name != name for run in stopped()):
        raise UserError(f'There is no training "{name}" that was stopped.', "Look again which there are.")
    try:
        shutil.rmtree(run_folder(name))
    except OSError as error:
        raise UserError(f"{run_folder(name)} cannot be deleted: {error.strerror}.", "Delete it yourself.") from error


def share_done(recipe: Recipe, stage: int, step: int) -> float:
    """Of all steps."""
    steps = [each.steps for each in recipe.stages]
    return (sum(steps[:stage]) + step) / sum(steps)


def _stopped() -> Iterator[StoppedRun]:
    for file in sorted(runs_root().glob(f"*/{_ASKED}")):
        try:
            asked = from_json(Train, json.loads(file.read_text(encoding="utf-8")))
            new_model(asked.name)  # or it is done
            yield StoppedRun(asked, _done(file.parent / "run"))
        except (OSError, ValueError, UserError):
            continue


def _done(folder: Path) -> float:
    if not Run.begun(folder):
        return 0.0
    recipe = Run.recipe_of(folder)
    moment = Run(folder, recipe).moment
    return share_done(recipe, moment.stage, moment.step) if moment else 0.0
