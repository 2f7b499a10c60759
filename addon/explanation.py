"""Why a take is as it is: what each condition costs, and what would be at each cut otherwise. Read from its path."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import bpy

from . import compat

Costs = Mapping[str, float]
"""By condition; "cuts" is the price of cutting at all."""


@dataclass(frozen=True)
class Other:
    """The best film without a cut: how much dearer it is, in all and by condition, and where it cuts instead.

    Attributes
    ----------
    dearer : float
    costs : mapping of str to float
    cuts : tuple of (int, str, int)
        Frame of the take, name of the footage that follows, its source frame.
    """

    dearer: float
    costs: Costs
    cuts: tuple[tuple[int, str, int], ...]


@dataclass(frozen=True)
class Cut:
    """A cut at a frame of the take, what it costs, and the next best; None where there is no other way."""

    at: int
    costs: Costs
    other: Other | None


@dataclass(frozen=True)
class Explanation:
    """What the search said of a take when it was suggested.

    Attributes
    ----------
    costs : mapping of str to float
        In all.
    seconds : tuple of (int, mapping)
        For each second its first frame, counted from the take's, and what is shown in it costs.
    cuts : tuple of Cut
    """

    costs: Costs
    seconds: tuple[tuple[int, Costs], ...]
    cuts: tuple[Cut, ...]

    def second(self, frame: int) -> Costs:
        """What the second around a frame of the take costs, cuts included."""
        starts = [at for at, _ in self.seconds if at <= frame]
        if not starts:
            return {}
        end = min((at for at, _ in self.seconds if at > frame), default=frame + 1)
        found = dict(self.seconds[len(starts) - 1][1])
        for cut in self.cuts:
            if starts[-1] <= cut.at < end:
                for name, cost in cut.costs.items():
                    found[name] = found.get(name, 0.0) + cost
        return found

    def next_cut(self, frame: int) -> Cut | None:
        """The first cut at or after a frame of the take."""
        return next((cut for cut in self.cuts if cut.at >= frame), None)


def of(take: bpy.types.MetaStrip) -> Explanation:
    """The explanation of a take; reads no file, and each path once."""
    return _read(take.vmg.path)


def frame_of(take: bpy.types.MetaStrip, frame: int) -> int | None:
    """A timeline frame as one of the take as it was made; None where the take is not shown."""
    if not compat.start(take) <= frame < compat.end(take):
        return None
    return frame - round(compat.content_start(take))


@functools.lru_cache(maxsize=2)
def _read(text: str) -> Explanation:
    path = json.loads(text)
    told: dict[str, Any] = path.get("explanation") or {"seconds": (), "cuts": ()}
    names = {footage: entry["name"] for footage, entry in path["footages"].items()}
    return Explanation(
        path["costs"],
        tuple((second["at"], second["costs"]) for second in told["seconds"]),
        tuple(Cut(cut["at"], cut["costs"], _other(cut["runner_up"], names)) for cut in told["cuts"]),
    )


def _other(entry: dict[str, Any] | None, names: Mapping[str, str]) -> Other | None:
    if entry is None:
        return None
    cuts = ((cut["at"], names.get(cut["to"]["footage"], ""), cut["to"]["frame"]) for cut in entry["cuts"])
    return Other(entry["dearer"], entry["costs"], tuple(cuts))
