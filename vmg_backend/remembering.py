"""A library that keeps in memory what it gave."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .footage import Footage
from .graph.build import GraphSettings
from .graph.features import MotionFeatures
from .graph.motion_graph import MotionGraph
from .library import FootageLibrary
from .pose.track import PoseEstimator, PoseTrack
from .progress import SILENT, Progress

MOST = {"identity": 4096, "poses": 256, "graph": 2, "plate": 32}
"""How many of each kind are kept; the one that was not asked for the longest goes first."""

_Thing = TypeVar("_Thing")


@dataclass(frozen=True)
class RememberingLibrary(FootageLibrary):
    """The same library, for a process that is asked again and again: what was read once need not be read again."""

    _kept: dict[str, OrderedDict[Hashable, Any]] = field(
        default_factory=lambda: {kind: OrderedDict() for kind in MOST}, compare=False, repr=False
    )

    def identity(self, path: Path, progress: Progress = SILENT) -> str:
        """The content hash of a file; made again only where size or time of change are others."""
        status = path.stat()
        key = (str(path.absolute()), status.st_size, status.st_mtime_ns)
        make = super().identity
        return self._remember("identity", key, lambda: make(path, progress))

    def has_poses(self, footage: Footage, estimator: PoseEstimator) -> bool:
        """As of every library."""
        return _of_poses(footage, estimator) in self._kept["poses"] or super().has_poses(footage, estimator)

    def poses(
        self, footage: Footage, estimator: PoseEstimator, *, workers: int = 1, progress: Progress = SILENT
    ) -> PoseTrack:
        """As of every library."""
        load = super().poses
        return self._remember(
            "poses", _of_poses(footage, estimator), lambda: load(footage, estimator, workers=workers, progress=progress)
        )

    def graph(
        self,
        footages: Sequence[Footage],
        tracks: Sequence[PoseTrack],
        settings: GraphSettings,
        progress: Progress = SILENT,
    ) -> tuple[MotionGraph, MotionFeatures]:
        """As of every library."""
        used = tuple((one.id, one.fps, one.ranges.tobytes(), one.shots.tobytes()) for one in footages)
        load = super().graph
        return self._remember("graph", (settings, used), lambda: load(footages, tracks, settings, progress))

    def plate(self, footage: Footage, progress: Progress = SILENT) -> NDArray[np.uint8] | None:
        """As of every library."""
        load = super().plate
        return self._remember("plate", (footage.id, footage.ranges.tobytes()), lambda: load(footage, progress))

    def clear(self, progress: Progress = SILENT) -> None:
        """As of every library, and forget everything."""
        for things in self._kept.values():
            things.clear()
        super().clear(progress)

    def _remember(self, kind: str, key: Hashable, make: Callable[[], _Thing]) -> _Thing:
        things = self._kept[kind]
        if key not in things:
            things[key] = make()
            if len(things) > MOST[kind]:
                things.popitem(last=False)
        things.move_to_end(key)
        thing: _Thing = things[key]
        return thing


def _of_poses(footage: Footage, estimator: PoseEstimator) -> Hashable:
    return footage.id, footage.fps, estimator.name, estimator.version
