"""Which in-betweener fills which gap: what validation found best for gaps of its kind."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..evaluation.motion import Takes, fill_gaps
from ..evaluation.motion_metrics import Sums, mpjpe
from ..pose.skeletons import MOTION
from ..progress import SILENT, Progress
from .baselines import BLEND, baselines, velocity
from .gap import CONTEXTS, InBetweener, Joints, PoseGap, TrueGap, ends, with_context
from .mdm import MotionDiffusion
from .regression import KINDS, kind
from .weights import Weights

STILL = 0.1
"""The share of the gaps of a kind that are too few, and too much at the edge, to trust a network by."""
_SHOULDERS, _HIPS = (list(MOTION.index(f"left_{part}", f"right_{part}")) for part in ("shoulder", "hip"))


@dataclass(frozen=True)
class Rule:
    """Gaps of one kind, and what fills them.

    Attributes
    ----------
    context : int
        Frames that are known on either side, 1 or 3.
    kind : str
        Of `regression.KINDS`.
    longest : int or None
        Frames of the longest gap that it is for; None for any.
    farthest : float or None
        The greatest `movement` that it is for, torso lengths; None for any.
    method : str
    """

    context: int
    kind: str
    longest: int | None
    farthest: float | None
    method: str

    def holds(self, gap: PoseGap, movement: float) -> bool:
        """Whether a gap has its context, and is short and still enough."""
        return (
            len(gap.before) == self.context
            and (self.longest is None or gap.length <= self.longest)
            and (self.farthest is None or movement <= self.farthest)
        )


@dataclass(frozen=True)
class Table:
    """Rules, of which the first that holds counts.

    Where no rule speaks of a kind, the rules for the kind that knows less of the gap hold.
    """

    rules: tuple[Rule, ...]

    def method(self, gap: PoseGap, movement: float) -> str:
        """What fills a gap.

        Raises
        ------
        ValueError
            When no rule holds.
        """
        for name in KINDS[kind(gap) :: -1]:
            for rule in self.rules:
                if rule.kind == name and rule.holds(gap, movement):
                    return rule.method
        raise ValueError(f"No rule for gaps of {gap.length} frames with {len(gap.before)} on either side.")

    def as_json(self) -> list[dict[str, Any]]:
        """For the weights' metadata."""
        return [asdict(rule) for rule in self.rules]

    @classmethod
    def from_json(cls, rules: Sequence[Mapping[str, Any]]) -> Self:
        """The inverse of `as_json`."""
        return cls(tuple(Rule(**rule) for rule in rules))


class Choice:
    """Fills each gap by the method of its kind.

    Parameters
    ----------
    table : Table
    methods : mapping of str to InBetweener
        All that the table names.

    Attributes
    ----------
    name : str
        The methods that it picks from, like ``hermite+mdm``.
    """

    def __init__(self, table: Table, methods: Mapping[str, InBetweener]) -> None:
        if missing := {rule.method for rule in table.rules} - methods.keys():
            raise ValueError(f"The table names {', '.join(sorted(missing))}, which is not given.")
        self._table = table
        self._methods = methods
        self.name = "+".join(sorted({rule.method for rule in table.rules}))

    def picked(self, gap: PoseGap) -> str:
        """The method for a gap."""
        return self._table.method(gap, float(movement([gap])[0]))

    def fill(self, gaps: Sequence[PoseGap], seed: int = 0) -> list[Joints]:
        """The joints [n, J, 2] in each gap."""
        groups: dict[str, list[int]] = defaultdict(list)
        for index, gap in enumerate(gaps):
            groups[self.picked(gap)].append(index)
        filled: dict[int, Joints] = {}
        for name, group in groups.items():
            filled |= dict(zip(group, self._methods[name].fill([gaps[index] for index in group], seed), strict=True))
        return [filled[index] for index in range(len(gaps))]


def contenders(weights: Weights) -> dict[str, InBetweener]:
    """All that a table may name: the baselines, the blend and the network, by name."""
    return {**baselines(MOTION), BLEND.name: BLEND, MotionDiffusion.name: MotionDiffusion(weights)}


def movement(gaps: Sequence[PoseGap]) -> NDArray[np.float64]:
    """How far the joints may go in gaps of one shape between poses of `MOTION`, by what is known around them.

    The mean over the joints of the distance between the poses at both ends, and of the way that the mean of the speeds
    there would lead in the gap's time; in lengths of the torso as long as it is seen around the gap.

    Returns
    -------
    float64 [B]
        Torso lengths; infinite where no torso is seen.
    """
    start, end = ends(gaps)
    before, after = (np.stack(frames) for frames in zip(*((gap.before, gap.after) for gap in gaps), strict=True))
    speeds = np.nan_to_num(np.stack([_length(velocity(frames)) for frames in (before, after)]))
    ways = _length(end - start) + speeds.mean(axis=0) * (gaps[0].length + 1)
    known = np.isfinite(ways)
    way = np.where(known, ways, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    frames = np.concatenate([before, after], axis=1)
    torsos = _length(frames[:, :, _SHOULDERS].mean(axis=2) - frames[:, :, _HIPS].mean(axis=2))
    torso = np.nan_to_num(torsos).max(axis=1)
    return np.where(torso > 0, way / np.where(torso > 0, torso, 1.0), np.inf)


def make_table(
    gaps: Sequence[TrueGap], methods: Mapping[str, InBetweener], learned: Collection[str], progress: Progress = SILENT
) -> Table:
    """Choose by what validation says: the method with the lowest MPJPE for each kind of gap.

    The kinds are those of `Rule`: the contexts, the lengths that occur (parted at their geometric means), and thirds by
    `movement`, which is known without the truth. A learned method is chosen only where it is better than every other
    one beyond doubt: where the 95 % interval of the ratio of both errors, takes resampled, lies below 1. And it is not
    chosen for exact gaps that are stiller than nine in ten of those that were looked at: of people who stand still,
    validation on people who walk says nothing, and without noise there is nothing in them to be mended.

    Parameters
    ----------
    gaps : sequence of TrueGap
        Of the validation part.
    methods : mapping of str to InBetweener
        ``blend`` is tried where continuations are known.
    learned : collection of str
        Which of them are.
    progress : Progress
    """
    kinds: dict[tuple[int, int], list[TrueGap]] = defaultdict(list)
    for gap in gaps:
        kinds[kind(gap.gap), gap.gap.length].append(gap)
    lengths = sorted({length for _, length in kinds})
    longest: dict[int, int | None] = {a: math.isqrt(a * b) for a, b in pairwise(lengths)} | {lengths[-1]: None}
    cells = [(context, *at) for context in CONTEXTS for at in sorted(kinds)]
    rules: list[Rule] = []
    for number, (context, known, length) in enumerate(cells):
        part = progress.part(number / len(cells), (number + 1) / len(cells), f"Choosing for {length} frames")
        group = kinds[known, length]
        usable = {name: method for name, method in methods.items() if name != BLEND.name or group[0].gap.continued}
        filled = fill_gaps(group, usable, context, part)
        errors = {
            name: mpjpe(joints, filled.truth, filled.trust, filled.torso) for name, joints in filled.methods.items()
        }
        moved = movement([with_context(gap.gap, context) for gap in group])
        still, low, high = map(float, np.quantile(moved, [STILL, 1 / 3, 2 / 3]))
        thirds = {low: moved <= low, high: (low < moved) & (moved <= high), None: moved > high}
        best: dict[float | None, str] = {}
        if KINDS[known] == "exact":
            plain = {name: sums for name, sums in errors.items() if name not in learned}
            best[still] = _best(plain, thirds[low], filled.takes, ())
        best |= {farthest: _best(errors, third, filled.takes, learned) for farthest, third in thirds.items()}
        rules += [Rule(context, KINDS[known], longest[length], farthest, name) for farthest, name in best.items()]
    return Table(tuple(rules))


def _best(errors: Mapping[str, Sums], chosen: NDArray[np.bool_], takes: Sequence[str], learned: Collection[str]) -> str:
    part = {name: sums.at(chosen) for name, sums in errors.items()}
    plain = [name for name in part if name not in learned]
    resampling = Takes([takes[index] for index in np.flatnonzero(chosen)])

    def sure(name: str) -> bool:
        intervals = [resampling.interval(part[name], part[rival]) for rival in plain]
        return all(interval and interval[1] < 1.0 for interval in intervals)

    return min([*plain, *filter(sure, part.keys() & learned)], key=lambda name: part[name].mean)


def _length(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(vectors, axis=-1), np.float64)
