"""What Blender asks of trainings: what one would take, and to train."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil, isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate.state import AcceleratorState

from ... import jobs
from ...errors import UserError
from ...files import free_space
from ...interpolation.hardware import model
from ...interpolation.hminterp.devices import choose, devices, free_memory, release
from ...interpolation.hminterp.memory import SLACK
from ...library import FootageLibrary
from ...pose.mediapipe_estimator import MediapipeEstimator
from ...progress import Progress
from ...protocol import CURVE_POINTS, FootageUse, Learned, ModelFolder, Train, Trained, TrainingPlan
from . import begun
from .begun import share_done
from .personal import train_on
from .preparing import foresee
from .recipes import RECIPES, Recipe
from .rehearsal import rehearsed
from .runs import Run, new_model, run_folder
from .trainer import Means

_ANALYSING = 0.1
"""Share of the whole that estimating the poses takes, where they are not known yet."""
_MINUTES = {"cuda": 30.0, "mps": 60.0, "cpu": 480.0}
_LEAST = 720
"""Frames from which a training has something to go on: half a minute."""
_PRECISIONS: Mapping[str, Literal["no", "fp16", "bf16"]] = {"auto": "no", "fp32": "no", "fp16": "fp16", "bf16": "bf16"}


def plan_training(asked: Train) -> TrainingPlan:
    """What a training would take; rehearses a step of each of its stages, and decodes nothing.

    Raises
    ------
    UserError
        When the footage was not analysed yet, or there is no such recipe or device.
    """
    recipe, device = _recipe(asked), choose(asked.device).device
    library = FootageLibrary(Path(asked.library)) if asked.library else FootageLibrary.default()
    clips = foresee([_analysed(use, library) for use in asked.footages], recipe.config)
    plain, free = rehearsed(recipe, False), free_memory(device)
    share, slack = clips.size[0] * clips.size[1] / recipe.config.size**2, SLACK[device.type]
    folder, memory = run_folder(asked.name), round(slack * plain.at(share))
    return TrainingPlan(
        device=next(label for name, label in devices().items() if torch.device(name) == device),
        minutes=_MINUTES[device.type],
        frames=clips.frames,
        memory=memory,
        # seconds more, so only where it may help
        memory_thrifty=memory if memory <= free else round(slack * rehearsed(recipe, True).at(share)),
        free=free,
        disk=clips.bytes + 2 * plain.state + plain.weights,
        free_disk=free_space(folder),
        folder=str(folder),
        remark=_remark(device, clips.frames),
    )


def _remark(device: torch.device, frames: int) -> str:
    if device.type == "cpu":
        return "Without a graphics card a good model takes days: until then Flow is better."
    if frames < _LEAST:
        return "This is little footage: half a minute of movement is little, two minutes are good."
    return ""


def train(
    asked: Train, library: FootageLibrary, progress: Progress, request: int, tell: Callable[[Learned], None]
) -> Trained:
    """Train a model, or go on with a training that was stopped.

    Parameters
    ----------
    asked : Train
    library : FootageLibrary
    progress : Progress
    request : int
        Number that `tell` is to name.
    tell : callable
        Gets how it goes.

    Raises
    ------
    UserError
        As `train_on`.
    """
    recipe, device = _recipe(asked), choose(asked.device).device
    new_model(asked.name)
    folder = run_folder(asked.name)
    if not Run.begun(folder / "run"):
        begun.note(asked)
    sources = [jobs.Source.of(use) for use in asked.footages]
    analyses = jobs.analyze(sources, library, progress.part(0.0, _ANALYSING), together=False)
    with _alone_on(device), _begun_or_gone(folder):
        made = train_on(
            analyses,
            library,
            asked.name,
            recipe,
            minutes=asked.minutes,
            means=Means(_PRECISIONS[asked.precision], asked.thrifty, device.type == "cpu"),
            progress=progress.part(_ANALYSING, 1.0),
            told=lambda _: begun.note(asked),  # the device may be another one now
            heard=lambda recipe, lines: tell(_learned(request, recipe, lines)),
        )
    shutil.rmtree(folder / "clips", ignore_errors=True)  # gigabytes that nobody would look for
    over = {other: interval["mean"] for other, interval in made.result["over"].items()}
    here = model(ModelFolder(str(made.model)))
    return Trained(here, made.better, over, len(made.result["gaps"]))


def _learned(request: int, recipe: Recipe, lines: Sequence[Mapping[str, Any]]) -> Learned:
    """How a training goes, from all that its curves hold."""
    last = lines[-1]
    return Learned(
        request=request,
        stage=last["stage"],
        step=last["step"],
        steps=recipe.stages[last["number"]].steps,
        done=share_done(recipe, last["number"], last["step"]),
        losses=tuple(_curve(recipe, lines, "loss")),
        checks=tuple((share, value) for _, share, value in _curve(recipe, lines, "person_psnr")),
    )


def _curve(recipe: Recipe, lines: Sequence[Mapping[str, Any]], name: str) -> Iterator[tuple[int, float, float]]:
    """What the curves hold of one value, thinned to means: the stage's number, the share of all steps, the value."""
    points = [
        (line["number"], share_done(recipe, line["number"], line["step"]), line[name])
        for line in lines
        if isfinite(line.get(name, np.nan))
    ]
    each = max(1, ceil(len(points) / (CURVE_POINTS - len(recipe.stages) + 1)))
    for stage in range(len(recipe.stages)):
        here = [point[1:] for point in points if point[0] == stage]
        for first in range(0, len(here), each):
            share, value = np.mean(here[first : first + each], axis=0).tolist()
            yield stage, share, value


@contextmanager
def _begun_or_gone(folder: Path) -> Iterator[None]:
    """Leave nothing behind of a training that could not begin."""
    try:
        yield
    except UserError:
        if not Run.begun(folder / "run"):
            shutil.rmtree(folder, ignore_errors=True)
        raise


@contextmanager
def _alone_on(device: torch.device) -> Iterator[None]:
    """Let accelerate begin anew, which knows one device and precision in a process, and give all memory back."""
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        if device.type == "cuda":
            with torch.cuda.device(device):
                yield
        else:
            yield
    finally:
        release(device)  # also what a cancelled training left behind, which maps files that may be deleted next


def _recipe(asked: Train) -> Recipe:
    if asked.recipe not in RECIPES:
        raise UserError(f'There is no recipe "{asked.recipe}".', f"Choose one of {', '.join(RECIPES)}.")
    return RECIPES[asked.recipe]


def _analysed(use: FootageUse, library: FootageLibrary) -> jobs.Analysis:
    source, estimator = jobs.Source.of(use), MediapipeEstimator()
    footage = library.footage(source.path, fps=source.fps, ranges=source.ranges)
    if not library.has_poses(footage, estimator):
        raise UserError(f"{footage.name} was not analyzed yet.", "Analyze it first.", title="Not analyzed")
    return jobs.Analysis(footage, library.poses(footage, estimator))
