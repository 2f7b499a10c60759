"""A public model as an in-between engine: a crop around the person, the model, and back into the frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...background.matte import PersonMatte
from ...pose.maps import MapStyle
from ...progress import SILENT, Progress
from ..colour import match_colour
from ..crop import crop_of
from ..gap_maps import draw_gap
from ..guide import PoseGuide
from ..hminterp.devices import Placement, bounded, explained, free_memory, release
from ..hminterp.memory import Estimate
from ..interpolator import Frames, Gap, Preview
from ..paste import paste_gap
from .memory import plan

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Feed:
    """What a model is given of one gap, all at its own size.

    Attributes
    ----------
    frames : uint8 [F, h, w, 3]
        The real frames at both ends, black in the gap.
    given : bool [F]
        Which these are.
    maps : uint8 [F, h, w, 3]
        Pose maps, in the model's style.
    """

    frames: Pixels
    given: NDArray[np.bool_]
    maps: Pixels


Generator = Callable[[Feed, int, Progress, Preview | None], Pixels]
"""From what is given and a seed to frames [F, h, w, 3]; the given ones as the model sees them, to match colours by."""


class StandIn(Protocol):
    """A public model, and how it wants to be fed.

    Attributes
    ----------
    name, label : str
        Of the engine, in the command line and for people.
    size, multiple : int
        Shorter side in px of what it sees, and what both sides are multiples of.
    style : MapStyle
        The pose maps that it was trained with.
    """

    name: str
    label: str
    size: int
    multiple: int
    style: MapStyle

    def sides(self, length: int) -> tuple[int, int]:
        """How many real frames it is given before and after a gap."""
        ...

    def estimate(self, frames: int, size: tuple[int, int], place: Placement) -> Estimate:
        """What it needs of the memory for `frames` pictures of a size (width, height)."""
        ...

    def open(self, place: Placement, offload: bool, progress: Progress) -> Generator:
        """Load it; with `offload`, parts wait in the RAM while they have nothing to do."""
        ...


class StandInEngine:
    """Generates the frames of a gap with a public model.

    Parameters
    ----------
    model : StandIn
    version : str
        Changes whenever the model, or how it is used, changes the pixels.
    place : Placement
        Where it runs.
    guide : PoseGuide
        Draws the skeletons that the model follows.
    matting : callable, optional
        Makes what cuts the person out.
    """

    def __init__(
        self,
        model: StandIn,
        version: str,
        place: Placement,
        guide: PoseGuide,
        matting: Callable[[], PersonMatte] = PersonMatte,
    ) -> None:
        self.name = model.name
        self.version = version
        self.guide = guide
        self._model = model
        self._place = place
        self._free = free_memory(place.device)
        self._matting = matting
        self._opened: tuple[bool, Generator] | None = None

    def given(self, length: int) -> int:
        """As many real frames on either side as the model is given on its richer one."""
        return max(self._model.sides(length))

    def fill(self, gap: Gap, progress: Progress = SILENT, preview: Preview | None = None) -> Frames:
        """The n frames [n, H, W, 3] of `gap`."""
        lead, trail = self._model.sides(gap.length)
        crop, device = crop_of(gap, self._model.size, self._model.multiple), self._place.device
        before, after = (np.stack([crop.cut(f) for f in frames]) for frames in (gap.lead[-lead:], gap.trail[:trail]))
        maps = draw_gap(gap, crop, self._model.style, lead, trail)
        frames, given = np.zeros_like(maps), np.ones(len(maps), bool)
        frames[:lead], frames[-trail:], given[lead:-trail] = before, after, False
        need = self._model.estimate(len(maps), crop.size, self._place)
        offload = plan(need, self._model.label, self._place, self._budget())
        with explained(device), bounded(device, self._budget()):
            generate = self._ready(offload, progress.part(0.0, 0.1, "Loading the model"))
            made = generate(Feed(frames, given, maps), gap.seed, progress.part(0.1, 0.8), preview)
        patches = match_colour(made[~given], (made[:lead], before), (made[-trail:], after))
        return paste_gap(gap, patches, crop, self._matting, progress=progress.part(0.8, 1.0))

    @property
    def held(self) -> bool:
        """Whether the model is in the memory."""
        return self._opened is not None

    def release(self) -> None:
        """Forget the model; the next gap loads it again."""
        self._opened = None
        release(self._place.device)

    def _budget(self) -> int:
        """Bytes that the model may have; of the CPU's memory as many as were free before it was loaded."""
        return self._free if self._place.device.type == "cpu" else free_memory(self._place.device)

    def _ready(self, offload: bool, progress: Progress) -> Generator:
        """The model, loaded so that it fits."""
        if self._opened is None or self._opened[0] != offload:
            self.release()
            self._opened = offload, self._model.open(self._place, offload, progress)
        return self._opened[1]
