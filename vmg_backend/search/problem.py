"""One search: what is asked of the path, in numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ban = tuple[int, int, int]
"""(output frame, first node, last node): these nodes (inclusive) may not be shown at that time."""


@dataclass(frozen=True)
class Allowed:
    """A constraint: from output frame `first` to `last` (inclusive) only these nodes [N] may be shown."""

    first: int
    last: int
    nodes: NDArray[np.bool_]


@dataclass(frozen=True)
class Problem:
    """A path of `frames` frames through a motion graph, as cheap as possible.

    A path shows one node for each output frame. The next frame shows the next node of the same run, or, along an
    edge, its target: a cut takes no time. Between two cuts, before the first and after the last there are at least
    `hold` frames and at most `longest`; a path without a cut may be shorter than `hold`.

    Attributes
    ----------
    nodes : int
        N, the number of nodes, of which only those in runs may be shown.
    runs : int [R, 2]
        First and last node (inclusive) of each stretch that may be shown.
    source, target : int [E]
        Edges, sorted by target.
    cut_cost : callable
        Gives the cost of each edge [E] when its target is shown at an output frame; finite.
    frames : int
    hold : int
        At least 1.
    node_cost : callable
        Gives the cost of showing each node [N] at an output frame; finite.
    pins : dict of int to int
        Output frame to the node that must be shown then.
    bans : tuple of Ban
    allowed : tuple of Allowed
        All of them hold at once.
    longest : int, optional
        At least `hold`; None for no limit.
    """

    nodes: int
    runs: NDArray[np.integer[Any]]
    source: NDArray[np.integer[Any]]
    target: NDArray[np.integer[Any]]
    cut_cost: Callable[[int], NDArray[np.float64]]
    frames: int
    hold: int
    node_cost: Callable[[int], NDArray[np.float64]]
    pins: dict[int, int] = field(default_factory=dict)
    bans: tuple[Ban, ...] = ()
    allowed: tuple[Allowed, ...] = ()
    longest: int | None = None

    def __post_init__(self) -> None:
        if self.longest is not None and self.longest < self.hold:
            raise ValueError(f"A segment of at least {self.hold} frames cannot have at most {self.longest}.")


@dataclass(frozen=True)
class Route:
    """A path through the graph, before it becomes footage.

    Attributes
    ----------
    nodes : int64 [T]
        The node that is shown at each output frame.
    cuts : tuple of (int, int)
        (output frame of the target, index of the edge) of each cut.
    cost : float
        Sum of all node and cut costs.
    """

    nodes: NDArray[np.int64]
    cuts: tuple[tuple[int, int], ...]
    cost: float
