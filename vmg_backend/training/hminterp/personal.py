"""A model of one person, from their own footage: the whole chain."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...errors import UserError
from ...evaluation.picture_metrics import likeness
from ...files import write_json, writing_folder
from ...interpolation.engines import make_engine
from ...interpolation.guide import PoseGuide, guide_of, shipped_guide
from ...interpolation.hminterp.devices import choose
from ...interpolation.hminterp.engine import HMInterpEngine
from ...interpolation.hminterp.generating import Way
from ...interpolation.hminterp.model import HMInterp
from ...interpolation.hminterp.opening import GUIDE
from ...progress import SILENT, Progress
from ...protocol import EngineChoice
from .clips import Clips
from .guide_tuning import tune_guide
from .preparing import differs, prepare
from .recipes import Recipe, Stage
from .runs import Moment, Run, new_model, run_folder
from .trainer import Heard, Means, Trainer, fitted, processes
from .validation import TrueGap, filled, held_out_gaps, strip, validate, wins

if TYPE_CHECKING:
    from ...jobs import Analysis
    from ...library import FootageLibrary

VALIDATION = "validation.json"
"""Beside a model that was trained here: how it fared on gaps that it has not seen."""
_CLIPS, _TUNING, _VALIDATING = 0.05, 0.05, 0.05
"""Shares of the whole that preparing the clips, tuning the skeletons and validating at the end take, roughly."""
_WATCHED = 2
"""Gaps that are looked at in the course of a training."""


@dataclass(frozen=True)
class Trained:
    """What came of it.

    Attributes
    ----------
    model : Path
        Its folder.
    result : dict
        Of `validation.validate`.
    better : bool
        Whether it is nearer to the real person than `fade` and `flow`, so that it may become the default.
    """

    model: Path
    result: dict[str, Any]
    better: bool


@dataclass(frozen=True)
class Estimate:
    """What a training will take, told once its first steps were tried.

    Attributes
    ----------
    steps : dict of str to int
        Of each stage.
    seconds : float
        That are left of the training.
    """

    steps: dict[str, int]
    seconds: float


def train_on(
    analyses: Sequence[Analysis],
    library: FootageLibrary,
    name: str,
    recipe: Recipe,
    *,
    begin: HMInterp | None = None,
    minutes: float | None = None,
    means: Means | None = None,
    progress: Progress = SILENT,
    told: Callable[[Estimate], None] | None = None,
    heard: Heard | None = None,
) -> Trained:
    """Train a model on footage of one person; or go on with it, where a run of that name was stopped.

    Parameters
    ----------
    analyses : sequence of Analysis
    library : FootageLibrary
        Has the empty backgrounds.
    name : str
        Of the model.
    recipe : Recipe
    begin : HMInterp, optional
        What the training begins with, whose config the new model has; by default an untrained one of the recipe's.
    minutes : float, optional
        The recipe's steps are scaled so that the training takes about so long here; by default they stay as they are.
    means : Means, optional
    progress : Progress
        A training that is cancelled goes on from there when it is started again.
    told : callable, optional
        Gets the estimate, before the training begins in earnest.
    heard : callable, optional
        Gets what was measured so far, again and again.

    Raises
    ------
    UserError
        When there is too little to be learned, or a model of that name is there already, or a run on other footage.
    """
    folder, model_folder = run_folder(name), new_model(name)
    means = means or Means()
    if begin is not None:
        recipe = replace(recipe, config=begin.config)
    if Run.begun(folder / "run") and differs(analyses, recipe.config, folder / "clips"):
        raise UserError(
            f'The training "{name}" was begun on other footage, or for another kind of model.',
            "Go on with what it was begun with, or choose another name.",
            title="Another training",
        )
    together = processes(means.cpu)
    with together.main_process_first():  # the others find what it has made
        part = progress.part(0.0, _CLIPS, "Preparing clips")
        clips = prepare(analyses, recipe.config, folder / "clips", progress=part)
    if not clips.held_out:
        raise UserError(
            "The footage is too short to keep gaps out of the training by which it can be judged.",
            "Add footage: half a minute of movement is little, two minutes are good.",
            title="Too little footage",
        )
    own, costs = _own(recipe, name, clips), None
    if minutes is not None and not Run.begun(folder / "run"):
        own, costs = fitted(own, clips, minutes, means, begin)
    with together.main_process_first():  # it has measured other times than the others
        if Run.begun(folder / "run"):
            own = Run.recipe_of(folder / "run")
        run = Run(folder / "run", own)
    trainer = Trainer(own, clips, run, means, begin, heard, costs)
    if told:
        told(Estimate({stage.name: stage.steps for stage in own.stages}, trainer.seconds_left))
    learning = progress.part(_CLIPS + _TUNING, 1.0 - _VALIDATING)
    if together.is_main_process:
        gaps = held_out_gaps(clips, analyses, library)
        guide, moved = _tuned(clips, gaps, own, folder, progress.part(_CLIPS, _CLIPS + _TUNING, "Tuning the skeletons"))
        model = trainer.run(learning, Watcher(run, gaps[:: max(1, len(gaps) // _WATCHED)][:_WATCHED], guide))
        result = judged(model, gaps, guide, progress.part(1.0 - _VALIDATING, 1.0, "Validating")) | moved
        with writing_folder(model_folder) as made:  # a model that is there is done: nobody would go on with it
            model.save(made)
            if guide is not shipped_guide():
                (made / GUIDE).parent.mkdir()
                shutil.copyfile(folder / GUIDE, made / GUIDE)
            write_json(made / VALIDATION, result)
    else:
        trainer.run(learning)
    together.wait_for_everyone()
    result = json.loads((model_folder / VALIDATION).read_text(encoding="utf-8"))
    return Trained(model_folder, result, wins(result))


def judged(model: HMInterp, gaps: Sequence[TrueGap], guide: PoseGuide, progress: Progress = SILENT) -> dict[str, Any]:
    """The model beside `fade` and `flow` on gaps that it has not seen, led by generated skeletons."""
    engines = {"hminterp": engine_of(model, guide)} | {
        name: make_engine(EngineChoice(name)) for name in ("fade", "flow")
    }
    return validate(gaps, engines, progress)


def engine_of(model: HMInterp, guide: PoseGuide) -> HMInterpEngine:
    """The engine of a model that is in the memory."""
    device = next(model.parameters()).device
    place = replace(choose(str(device) if device.type == "cuda" else device.type), dtype=torch.float32)
    return HMInterpEngine(model.config, "in training", lambda *_: model, place, guide, Way())


class Watcher:
    """Looks at a model in the course of its training: how near it comes in some gaps, and a strip of each.

    Parameters
    ----------
    run : Run
    gaps : sequence of TrueGap
    guide : PoseGuide
    """

    def __init__(self, run: Run, gaps: Sequence[TrueGap], guide: PoseGuide) -> None:
        self._run = run
        self._gaps = gaps
        self._guide = guide

    def __call__(self, model: HMInterp, stage: Stage, moment: Moment, progress: Progress) -> dict[str, float]:
        """What goes into the curves."""
        if stage.aim != "interpolator":
            return {}
        engine = engine_of(model, self._guide)
        scores = []
        for number, one in enumerate(self._gaps):
            progress.check()
            made = filled(one, engine, led=False, progress=progress.part(0.0, 0.0))
            scores.append(likeness(made, one.frames, one.joints).person_psnr)
            self._run.picture(f"{stage.name}-{moment.step:06d}-{number}", strip(made, one.frames))
        return {"person_psnr": float(np.mean(scores))}


def _own(recipe: Recipe, name: str, clips: Clips) -> Recipe:
    """The recipe of a model of that name, which sees what the clips show."""
    names = ", ".join(source["name"] for source in clips.told["sources"])
    config = replace(recipe.config, name=name, aspect=clips.aspect, source=f"Trained on {names}.")
    return replace(recipe, config=config)


def _tuned(
    clips: Clips, gaps: Sequence[TrueGap], recipe: Recipe, folder: Path, progress: Progress
) -> tuple[PoseGuide, dict[str, Any]]:
    """What draws the skeletons: tuned to the person, where that helped; and what is told of it."""
    if not recipe.guide:
        return shipped_guide(), {}
    tuning = tune_guide(clips, gaps, recipe.guide, folder / "guide.state", progress)
    if not tuning.better:
        return shipped_guide(), {"guide": tuning.as_dict()}
    tuning.weights.save(folder / GUIDE)
    return guide_of(folder / GUIDE), {"guide": tuning.as_dict()}
