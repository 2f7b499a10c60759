"""HMInterp as an in-between engine: a crop around the person, the network, and back into the frame."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from ...background.matte import PersonMatte
from ...pose.maps import STYLES
from ...progress import SILENT, Progress
from ..colour import match_colour
from ..crop import crop_of
from ..gap_maps import draw_gap
from ..guide import PoseGuide
from ..interpolator import Frames, Gap, Interpolator, Preview
from ..paste import paste_gap
from .config import Config
from .devices import Placement, bounded, explained, free_memory, release
from .generating import Way, generate
from .memory import Thrift, plan
from .model import HMInterp


class HMInterpEngine:
    """Generates the frames of a gap with a model (Video Motion Graphs, section 3.3).

    Every call of the network has the frames that its model was trained with. A gap that is shorter is given more real
    frames on either side, a longer one is made in overlapping parts.

    Parameters
    ----------
    config : Config
        The model's.
    version : str
        Changes whenever the model, or how it is used, changes the pixels.
    load : callable
        Loads the model, onto a device and in a precision, when the first gap is filled.
    place : Placement
        Where it runs.
    guide : PoseGuide
        Draws the skeletons that the model follows.
    way : Way
    morph : Interpolator, optional
        Fills the gap first, for models whose Seed Image Guider is given that instead of duplicates.
    matting : callable, optional
        Makes what cuts the person out.
    """

    name = "hminterp"

    def __init__(
        self,
        config: Config,
        version: str,
        load: Callable[[torch.device, torch.dtype, Progress], HMInterp],
        place: Placement,
        guide: PoseGuide,
        way: Way,
        morph: Interpolator | None = None,
        matting: Callable[[], PersonMatte] = PersonMatte,
    ) -> None:
        self.version = version
        self.guide = guide
        self._config = config
        self._load = load
        self._place = place
        self._free = free_memory(place.device)
        self._way = way
        self._morph = morph
        self._matting = matting
        self._model: HMInterp | None = None

    def given(self, length: int) -> int:
        """As many real frames on either side as fill up one call."""
        return max(self._config.context, (self._config.frames - length + 1) // 2)

    def fill(self, gap: Gap, progress: Progress = SILENT, preview: Preview | None = None) -> Frames:
        """The n frames [n, H, W, 3] of `gap`."""
        crop = crop_of(gap, self._config.size, self._config.multiple, self._config.aspect or None)
        given, side = np.stack([crop.cut(frame) for frame in (*gap.lead, *gap.trail)]), len(gap.lead)
        style, device = STYLES[self._config.pose_style], self._place.device
        maps = draw_gap(gap, crop, style, side, side)
        first = None
        if self._morph is not None:
            filled = self._morph.fill(gap, progress.part(0.0, 0.2))
            first, progress = np.stack([crop.cut(frame) for frame in filled]), progress.part(0.2, 1.0)
        width, height = crop.size
        thrift = plan(
            self._config,
            height=height,
            width=width,
            place=self._place,
            frames=gap.length + 2 * side,
            given=side,
            guided=(self._way.guidance or self._config.guidance) != 1.0,
            free=self._budget(),
        )
        with explained(device), bounded(device, self._budget()):
            model = self._ready(thrift, progress.part(0.0, 0.1, "Loading the model"))
            patches = generate(
                model,
                given,
                gap.length,
                maps,
                first,
                seed=gap.seed,
                way=self._way,
                thrift=thrift,
                device=device,
                progress=progress.part(0.1, 0.8),
                preview=preview,
            )
        made, start, end = patches[side:-side], patches[:side], patches[-side:]
        matched = match_colour(made, (start, given[:side]), (end, given[side:]))
        return paste_gap(gap, matched, crop, self._matting, progress=progress.part(0.8, 1.0))

    @property
    def held(self) -> bool:
        """Whether the model is in the memory."""
        return self._model is not None

    def release(self) -> None:
        """Forget the model; the next gap loads it again."""
        self._model = None
        release(self._place.device)

    def _budget(self) -> int:
        """Bytes that the model may have; of the CPU's memory as many as were free before it was loaded."""
        return self._free if self._place.device.type == "cpu" else free_memory(self._place.device)

    def _ready(self, thrift: Thrift, progress: Progress) -> HMInterp:
        """The model where the work begins."""
        device = torch.device("cpu") if thrift.offload else self._place.device
        if self._model is None:
            self._model = self._load(device, self._place.dtype, progress)
        return self._model.to(device)
