"""The motion graph: which frame may follow which."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..files import writing


@dataclass(frozen=True)
class MotionGraph:
    """Nodes are the frames of all footages; edges lead from frame i to frame j + 1 where i is matched with j.

    That each frame of a run is followed by the next one is understood, and not stored.

    Attributes
    ----------
    footages : tuple of str
        Content hashes.
    offsets : int64 [F + 1]
        First node of each footage, and the number of nodes.
    runs : int32 [R, 2]
        First and last node (inclusive) of each stretch that may be shown.
    source, target : int32 [E]
        Sorted by target, then source.
    cost : float32 [E]
        Cost of the match (source, target - 1), m.
    half : int8 [E]
        Half the number of frames that a transition here replaces.
    connector : bool [E]
        Added so that no part of the footage is out of reach: mostly dearer than the threshold.
    threshold : float
        m.
    kept : float
        Share of the usable frames that can be reached and left for ever.
    fps : Fraction
    """

    footages: tuple[str, ...]
    offsets: NDArray[np.int64]
    runs: NDArray[np.int32]
    source: NDArray[np.int32]
    target: NDArray[np.int32]
    cost: NDArray[np.float32]
    half: NDArray[np.int8]
    connector: NDArray[np.bool_]
    threshold: float
    kept: float
    fps: Fraction

    @property
    def nodes(self) -> int:
        """The number of frames of all footages."""
        return int(self.offsets[-1])

    @property
    def edges(self) -> int:
        """The number of edges."""
        return len(self.source)

    def footage_of(self, node: int) -> tuple[int, int]:
        """Index of the footage, and the frame in it."""
        index = int(np.searchsorted(self.offsets, node, side="right")) - 1
        return index, int(node - self.offsets[index])

    def by_source(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """CSR by source: `edge[start[i]:start[i + 1]]` are the edges that leave node i."""
        edge = np.argsort(self.source, kind="stable")
        start = np.searchsorted(self.source[edge], np.arange(self.nodes + 1))
        return start, edge

    def by_target(self) -> NDArray[np.int64]:
        """CSR by target: edges `start[i]` to `start[i + 1] - 1` lead to node i."""
        return np.searchsorted(self.target, np.arange(self.nodes + 1))

    def save(self, path: Path) -> None:
        """Write the graph as ``.npz``, whole or not at all."""
        with writing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(
                file,
                footages=np.array(self.footages),
                offsets=self.offsets,
                runs=self.runs,
                source=self.source,
                target=self.target,
                cost=self.cost,
                half=self.half,
                connector=self.connector,
                scalars=np.array([self.threshold, self.kept]),
                fps=np.array([self.fps.numerator, self.fps.denominator]),
            )

    @classmethod
    def load(cls, path: Path) -> MotionGraph:
        """Read a graph that `save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            return cls(
                footages=tuple(str(name) for name in data["footages"]),
                offsets=data["offsets"],
                runs=data["runs"],
                source=data["source"],
                target=data["target"],
                cost=data["cost"],
                half=data["half"],
                connector=data["connector"],
                threshold=float(data["scalars"][0]),
                kept=float(data["scalars"][1]),
                fps=Fraction(int(data["fps"][0]), int(data["fps"][1])),
            )
