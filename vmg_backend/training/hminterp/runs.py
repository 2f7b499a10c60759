"""The folder of a run: what is taught, how far it is, and what it looked like on the way."""

from __future__ import annotations

import json
import platform
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import UserError
from ...files import said_clearly, write_json, write_text, writing, writing_folder
from ...models import OWN, models_root
from ...tensors import Kind, opened
from .recipes import Recipe

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.tensorboard import SummaryWriter

_RECIPE = "recipe.json"
_PACKAGES = ("vmg_backend", "torch", "diffusers", "transformers", "accelerate", "numpy")
_STATE = Kind("training state", "Delete the run's folder to begin anew.")


@dataclass(frozen=True)
class Moment:
    """Where a run is: the stage's number, and its steps that are done."""

    stage: int
    step: int


class Run:
    """A run's folder.

    Parameters
    ----------
    folder : Path
        Made, where it is not there yet.
    recipe : Recipe
        The run's; a run that was begun with another is refused.

    Raises
    ------
    UserError
        When the folder is another run's, or cannot be written.
    """

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder = folder
        if self.begun(folder):
            if self.recipe_of(folder) != recipe:
                raise UserError(
                    f"{folder} is a run of another recipe.",
                    "Name another folder, or go on with the recipe that it has.",
                )
        else:
            write_json(folder / _RECIPE, recipe.as_dict())
            write_json(folder / "versions.json", _versions())

    @staticmethod
    def begun(folder: Path) -> bool:
        """Whether a folder holds a run."""
        return (folder / _RECIPE).exists()

    @staticmethod
    def recipe_of(folder: Path) -> Recipe:
        """The recipe of the run that a folder holds."""
        return Recipe.from_dict(json.loads((folder / _RECIPE).read_text(encoding="utf-8")))

    @property
    def moment(self) -> Moment | None:
        """Where it was saved last."""
        if not self._told.exists():
            return None
        told = json.loads(self._told.read_text(encoding="utf-8"))
        return Moment(told["stage"], told["step"])

    def save(self, moment: Moment, tensors: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Write a state, tensors by the name of their file; until it is whole, the last one counts."""
        from safetensors.torch import save_file  # not above: what runs there are is told without torch

        if moment == self.moment:  # it is there, and must not be gone while it is written again
            return
        folder = self.folder / "states" / f"{moment.stage}-{moment.step}"
        with writing_folder(folder) as temporary:
            for name, group in tensors.items():
                plain = {key: tensor.detach().cpu().contiguous() for key, tensor in group.items()}
                save_file(plain, temporary / f"{name}.safetensors", {"format": "pt"})
        write_json(self._told, {**vars(moment), "folder": folder.name})
        for other in folder.parent.iterdir():
            if other != folder:
                shutil.rmtree(other, ignore_errors=True)

    def load(self, name: str) -> dict[str, Tensor]:
        """Tensors of the last state.

        Raises
        ------
        UserError
            When they cannot be read.
        """
        folder = self.folder / "states" / json.loads(self._told.read_text(encoding="utf-8"))["folder"]
        with opened(folder / f"{name}.safetensors", _STATE, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping

    @property
    def _told(self) -> Path:
        return self.folder / "state.json"

    def picture(self, name: str, pixels: NDArray[np.uint8]) -> None:
        """Keep a sample [H, W, 3]."""
        with writing(self.folder / "samples" / f"{name}.png") as temporary:
            cv2.imwrite(str(temporary), pixels[..., ::-1])


class Curves:
    """What was measured in a run: a line of JSON for each; as a context also TensorBoard's events, if it is installed.

    Parameters
    ----------
    run : Run
    since : Moment, optional
        What was told after it is forgotten: it will be told again.
    heard : callable, optional
        Gets all lines whenever there is another one, and at the beginning those that are there.
    """

    def __init__(
        self, run: Run, since: Moment | None, heard: Callable[[Sequence[Mapping[str, Any]]], None] | None = None
    ) -> None:
        self._file = run.folder / "curves.jsonl"
        self._heard = heard
        self._lines = [
            line
            for line in read_curves(run.folder)
            if since and (line["number"], line["step"]) <= (since.stage, since.step)
        ]
        write_text(self._file, "".join(json.dumps(line) + "\n" for line in self._lines))
        if heard and self._lines:
            heard(self._lines)
        self._board: SummaryWriter | None = None

    def __enter__(self) -> Self:
        """Write events from here on, and anew those of the lines that are there."""
        if find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            events = self._file.with_name("events")
            shutil.rmtree(events, ignore_errors=True)
            with said_clearly(events):
                self._board = SummaryWriter(str(events))
            self._show(self._lines)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._board:
            with said_clearly(self._file):
                self._board.close()
            self._board = None

    def tell(self, moment: Moment, stage: str, **values: float) -> None:
        """Note values by name."""
        line = {"number": moment.stage, "stage": stage, "step": moment.step, **values}
        with said_clearly(self._file), self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._lines.append(line)
        self._show([line])
        if self._heard:
            self._heard(self._lines)

    def _show(self, lines: Sequence[Mapping[str, Any]]) -> None:
        if self._board is None:
            return
        with said_clearly(self._file):
            for line in lines:
                for name in line.keys() - {"number", "stage", "step"}:
                    self._board.add_scalar(f"{line['stage']}/{name}", line[name], line["step"])
            self._board.flush()


def run_folder(name: str) -> Path:
    """Where the clips and the run of a model of that name are."""
    return runs_root() / name


def runs_root() -> Path:
    """Where all runs of models are."""
    return models_root() / "runs"


def new_model(name: str) -> Path:
    """Where a model of that name will be.

    Raises
    ------
    UserError
        When it cannot be called so, or is there already.
    """
    if not re.fullmatch(r"\w[\w .-]*", name):
        raise UserError(f'"{name}" cannot be the name of a model.', "Use letters, digits, spaces, -, _ and dots.")
    folder = models_root() / OWN / name
    if folder.exists():
        raise UserError(f'There is a model "{name}" already.', "Choose another name, or delete that model's folder.")
    return folder


def read_curves(folder: Path) -> list[dict[str, Any]]:
    """All that a run's curves hold; a line that was cut off by a crash is left out."""
    file = folder / "curves.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "system": platform.platform(terse=True)}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
