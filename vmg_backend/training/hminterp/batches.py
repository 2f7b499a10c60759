"""Which windows each step sees, and what is random in it."""

from __future__ import annotations

import numpy as np
import torch

from .clips import Batch, Clips
from .recipes import Stage


class Batches:
    """The batches of a stage; the same step gets the same one, resumed or not.

    Parameters
    ----------
    clips : Clips
    stage : Stage
    frames : int
        Of a window.
    key : sequence of int
        The recipe's seed, and the stage's number.
    device : torch.device
    process, processes : int
        Which part of each batch is drawn here.
    """

    def __init__(
        self,
        clips: Clips,
        stage: Stage,
        frames: int,
        key: tuple[int, int],
        device: torch.device,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        self._clips = clips
        self._stage = stage
        self._key = key
        self._device = device
        self._process = process
        self._count = max(1, stage.batch // processes)
        self._windows = [] if stage.aim == "autoencoder" else clips.windows(frames)

    def draw(self, number: int) -> tuple[Batch, torch.Generator]:
        """The batch of a backward pass, and where its noise comes from."""
        random = np.random.default_rng([*self._key, number, self._process])
        draw = torch.Generator().manual_seed(int(random.integers(2**62)))
        if self._stage.aim == "autoencoder":
            return self._clips.pictures(random, self._count, self._device), draw
        chosen = random.choice(len(self._windows), self._count, replace=len(self._windows) < self._count)
        return self._clips.batch([self._windows[each] for each in chosen], self._device, self._stage.hands), draw
