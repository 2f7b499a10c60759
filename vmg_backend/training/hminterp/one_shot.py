"""One-shot tuning: a model fitted to one footage by adapters, in two stages (Edit-Your-Motion, section III-D)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...background.matte import PersonMatte
from ...errors import UserError
from ...files import write_json, writing, writing_folder
from ...interpolation.guide import shipped_guide
from ...interpolation.hminterp.adapters import ADAPTERS, Adaptation, Adapters, Tuned, save_tuned
from ...interpolation.hminterp.config import hashes_of
from ...interpolation.hminterp.model import HMInterp
from ...interpolation.hminterp.opening import model_folder
from ...interpolation.mattes import Picture, limbs_of, mattes, sure_limbs
from ...models import own_models
from ...progress import SILENT, Progress, shares
from .arrays import ArrayWriter, mapped
from .clips import Batch, Clips, Window
from .personal import VALIDATION, judged
from .preparing import prepare
from .recipes import Recipe, Stage
from .runs import Run
from .trainer import Means, Trainer
from .validation import held_out_gaps

if TYPE_CHECKING:
    from ...jobs import Analysis
    from ...library import FootageLibrary

_PIECE = 128
"""Pictures whose mattes are found between two writes."""
Matting = Callable[[], PersonMatte]
Background = Literal["seen", "ignored", "hidden"]


@dataclass(frozen=True)
class Lesson:
    """A stage of the tuning.

    Attributes
    ----------
    stage : Stage
        Its `trained` names groups of `Adapters`.
    background : str
        "seen" and learned as all else, "ignored": seen, while the loss counts the person alone, or "hidden": taken out
        of all that is seen (the paper's way).
    """

    stage: Stage
    background: Background = "seen"


@dataclass(frozen=True)
class OneShot:
    """How a model is tuned.

    Attributes
    ----------
    name : str
    lessons : tuple of Lesson
        One after the other.
    adaptation : Adaptation
    said : str
        What it is, for people.
    seed : int
    """

    name: str
    lessons: tuple[Lesson, ...]
    adaptation: Adaptation
    said: str
    seed: int = 1

    def scaled(self, share: float = 1.0, rate: float | None = None) -> OneShot:
        """The same with that share of all steps, and at another learning rate."""

        def changed(stage: Stage) -> Stage:
            return replace(stage, steps=max(1, round(stage.steps * share)), rate=rate or stage.rate)

        return replace(self, lessons=tuple(replace(each, stage=changed(each.stage)) for each in self.lessons))


def _stage(name: str, steps: int, *trained: str) -> Stage:
    return Stage(name, "interpolator", trained, steps, 1, 3e-5, keep=0.98)


def _stages(name: str, background: Background, said: str) -> OneShot:
    person = Lesson(_stage("person", 300, "temporal", "motion"), background)
    return OneShot(name, (person, Lesson(_stage("frames", 300, "recurrent", "motion"))), Adaptation(), said)


TWO_STAGES = _stages(
    "two stages",
    "ignored",
    "First how the person moves, with a loss that ignores the background; then what all looks like. Steps and rate are "
    "the paper's.",
)
PAPER = _stages("paper", "hidden", "As the paper has it: in the first stage the background is not even seen.")
JOINT = OneShot(
    "joint",
    (Lesson(_stage("joint", 600, "temporal", "recurrent", "motion")),),
    Adaptation(),
    "All at once, on whole frames: what the two stages are compared with (the paper's table IV, without STL).",
)
RECIPES = {recipe.name: recipe for recipe in (TWO_STAGES, PAPER, JOINT)}


class PersonClips(Clips):
    """Clips of which the person alone is learned.

    Parameters
    ----------
    folder : Path
        Of clips; the mattes [rows, h, w] are kept there, in latent cells.
    hidden : bool
        Whether the background is not even seen: latents and pictures times the person's matte (section III-D, equation
        13). Otherwise the loss alone leaves it out.
    matting : callable
        Makes what cuts the person out.
    progress : Progress
    """

    def __init__(self, folder: Path, hidden: bool, matting: Matting = PersonMatte, progress: Progress = SILENT) -> None:
        super().__init__(folder)
        self._hidden = hidden
        cells = (self.size[0] // self.told["factor"], self.size[1] // self.told["factor"])
        file, shape = folder / "mattes.npy", (len(self._pictures), cells[1], cells[0])
        if not file.is_file():
            with writing(file) as temporary, ArrayWriter(temporary, shape, np.uint8) as array:
                for first in range(0, len(self._pictures), _PIECE):
                    end = min(first + _PIECE, len(self._pictures))
                    part = progress.part(first / len(self._pictures), end / len(self._pictures))
                    found = mattes(self._to_cut(slice(first, end)), matting, part)
                    small = [cv2.resize(each, cells, interpolation=cv2.INTER_AREA) for each in found]
                    array.put(first, np.rint(255.0 * np.stack(small)).astype(np.uint8))
        self._mattes = mapped(file, shape, np.uint8)

    def batch(self, windows: Sequence[Window], device: torch.device, hands: float = 1.0) -> Batch:
        """As of `Clips`."""
        rows = [slice(first := self.clips[one.clip].row + one.first, first + one.frames) for one in windows]
        matte = torch.from_numpy(np.stack([self._mattes[each] for each in rows])).to(device)[:, :, None].float() / 255.0
        return (alone if self._hidden else weighed)(super().batch(windows, device, hands), matte)

    def _to_cut(self, rows: slice) -> Iterator[Picture]:
        bones = limbs_of(self.skeleton)
        sure = sure_limbs(self._joints[rows], self._confidence[rows], bones)
        for frame, joints, known in zip(self._pictures[rows], self._joints[rows], sure, strict=True):
            yield frame, None, joints[bones[known]].astype(np.float64)


def alone(batch: Batch, matte: Tensor) -> Batch:
    """A batch without its background: grey in the pictures, 0 in the latents.

    Parameters
    ----------
    batch : Batch
    matte : [B, F, 1, h, w]
        Share of the person in each latent cell.
    """
    size = batch.pictures.shape[-2:]
    fine = functional.interpolate(matte.flatten(0, 1), size).view(*matte.shape[:3], *size)
    latents = None if batch.latents is None else batch.latents * matte
    return replace(batch, pictures=torch.lerp(torch.full_like(fine, 0.5), batch.pictures, fine), latents=latents)


def weighed(batch: Batch, matte: Tensor) -> Batch:
    """A batch whose loss counts the person alone, by the matte [B, F, 1, h, w], and each sample as much as before."""
    share = matte.transpose(1, 2)
    mean = share.mean((1, 2, 3, 4), keepdim=True)
    return replace(batch, weights=batch.weights * share / mean.clamp_min(torch.finfo(mean.dtype).eps))


def tune(
    model: HMInterp,
    clips: Path,
    folder: Path,
    recipe: OneShot = TWO_STAGES,
    *,
    means: Means | None = None,
    matting: Matting = PersonMatte,
    progress: Progress = SILENT,
) -> Adapters:
    """Fit a model to clips.

    Parameters
    ----------
    model : HMInterp
        The adapters stay attached to it; its own weights stay what they are.
    clips : Path
        The folder of the clips.
    folder : Path
        Of the training, with a run for each lesson; where it holds states, it goes on from them.
    recipe : OneShot
    means : Means, optional
    matting : callable
        Makes what cuts the person out.
    progress : Progress
        A tuning that is cancelled has saved its state.

    Raises
    ------
    UserError
        When the model is tuned already, or as of `Trainer.run`.
    """
    torch.manual_seed(recipe.seed)
    adapters = Adapters(model, recipe.adaptation)
    adapters.attach(model)
    spans = shares(lesson.stage.steps for lesson in recipe.lessons)
    for lesson, span in zip(recipe.lessons, spans, strict=True):
        part, plan = progress.part(*span), Recipe(recipe.name, model.config, (lesson.stage,), recipe.said, recipe.seed)
        cutting, learning = part.part(0.0, 0.1, "Cutting the person out"), part.part(0.1, 1.0)
        hidden = lesson.background == "hidden"
        seen = Clips(clips) if lesson.background == "seen" else PersonClips(clips, hidden, matting, cutting)
        Trainer(plan, seen, Run(folder / lesson.stage.name, plan), means, model).run(learning)
    return adapters


def one_shot(
    analyses: Sequence[Analysis],
    library: FootageLibrary,
    base: str,
    out: Path,
    folder: Path,
    recipe: OneShot = TWO_STAGES,
    *,
    means: Means | None = None,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Tune a model on footage, and write the tuned model: ``vmg train one-shot``.

    Parameters
    ----------
    analyses : sequence of Analysis
        The footage, with its poses.
    library : FootageLibrary
        Has the empty backgrounds.
    base : str
        Name or folder of the model that is tuned.
    out : Path
        The tuned model's folder.
    folder : Path
        Of clips and runs, from where a tuning that was stopped goes on.
    recipe : OneShot
    means : Means, optional
    progress : Progress

    Returns
    -------
    dict
        What was done, for JSON; ``validation`` is None where the footage is too short to keep gaps out of the tuning.

    Raises
    ------
    UserError
        When the model is tuned already, nothing can be learned of the footage, or the training cannot go on.
    """
    source = model_folder(base)
    if (source / ADAPTERS).exists():
        raise UserError(f"{source.name} is tuned already.", "Tune the model that it was made from.")
    named = source.name if source in own_models() else str(source.resolve())
    model = HMInterp.load(source, progress=progress.part(0.0, 0.02, "Loading the model"))
    clips = prepare(analyses, model.config, folder / "clips", progress=progress.part(0.02, 0.1, "Preparing clips"))
    adapters = tune(model, clips.folder, folder, recipe, means=means, progress=progress.part(0.1, 0.95))
    gaps = held_out_gaps(clips, analyses, library)
    validation = judged(model, gaps, shipped_guide(), progress.part(0.95, 1.0, "Validating")) if gaps else None
    about = {"recipe": asdict(recipe), "footage": clips.told["sources"], "held_out": clips.told["held_out"]}
    names = ", ".join(each["name"] for each in clips.told["sources"])
    config = replace(model.config, source=f"{model.config.source} Tuned on {names}.")
    with writing_folder(out) as made:
        save_tuned(made, adapters, config, Tuned(named, hashes_of(source), recipe.adaptation, about))
        if validation:
            write_json(made / VALIDATION, validation)
    count = sum(parameter.numel() for parameter in adapters.parameters())
    return {"model": str(out), "base": named, "parameters": count, "validation": validation, **about}
