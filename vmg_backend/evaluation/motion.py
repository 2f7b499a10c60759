"""How good in-betweens are, measured on gaps whose truth is known: the protocol of ``vmg evaluate motion``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..motion.baselines import LINEAR
from ..motion.gap import CONTEXTS, InBetweener, Joints, TrueGap, with_context
from ..pose.skeletons import MOTION
from ..progress import SILENT, Progress
from .motion_metrics import Sums, bone_drift, foot_slide, l2p, mpjpe, npss, seam_jump

LENGTHS = (8, 12, 24, 48)
"""Frames of the gaps."""
SPEEDS = ("all", "slow", "middle", "fast")
"""All gaps of a length, and thirds of them by the speed of the truth."""
TRUTH = "truth"
"""The name under which the truth's own metrics stand beside the methods'."""
OF_TRUTH = ("seam_jump", "foot_slide")
"""The metrics that are not 0 for the truth itself."""

_RESAMPLES = 2000
_AT_ONCE = 64
"""Gaps that are filled between two looks at whether to go on."""
_HIPS = list(MOTION.index("left_hip", "right_hip"))
_FEET = MOTION.index("left_ankle", "right_ankle", "left_toe", "right_toe")

_SPREAD = {
    "head": (0.65, 0.31), "shoulder": (0.70, 0.29), "elbow": (0.79, 0.45), "wrist": (0.88, 0.71), "hand": (0.90, 0.77),
    "hip": (0.60, 0.26), "knee": (0.77, 0.42), "ankle": (0.74, 0.48), "toe": (0.88, 0.53),
}  # fmt: skip
DEVIATION = np.array([_SPREAD[joint.rpartition("_")[2]] for joint in MOTION.joints])
"""For L2P: standard deviation [17, 2] of the joints about the hips in the last frame before the gap, over the training
part's gaps of 24 frames (`fixed_gaps`), torso lengths; left and right averaged."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Filled:
    """Gaps of one length, filled by several methods.

    Attributes
    ----------
    truth : float64 [B, n, J, D]
    trust : float64 [B, n, J]
        Confidence of the truth; 0 where it is not known, or a joint is known on neither side of the gap.
    before, after : float64 [B, s, J, D]
        What really surrounds the gaps, whatever of it the methods were told.
    torso, fps : float64 [B]
    takes : sequence of str [B]
    methods : mapping of str to float64 [B, n, J, D]
        The joints of every method.
    """

    truth: Floats
    trust: Floats
    before: Floats
    after: Floats
    torso: Floats
    fps: Floats
    takes: Sequence[str]
    methods: Mapping[str, Floats]


def fill_gaps(
    gaps: Sequence[TrueGap],
    methods: Mapping[str, InBetweener],
    context: int,
    progress: Progress = SILENT,
) -> Filled:
    """Fill gaps of one length, of which each method is told `context` frames on either side."""
    asked = [with_context(gap.gap, context) for gap in gaps]
    filled: dict[str, Floats] = {}
    for number, (name, method) in enumerate(methods.items()):
        joints: list[Joints] = []
        for first in range(0, len(asked), _AT_ONCE):
            progress.update((number + first / len(asked)) / len(methods))
            joints += method.fill(asked[first : first + _AT_ONCE])
        filled[name] = np.stack(joints).astype(np.float64)
    truth = np.stack([gap.truth for gap in gaps]).astype(np.float64)
    known = np.isfinite(truth) & np.isfinite(np.stack(LINEAR.fill(asked)))
    return Filled(
        truth=truth,
        trust=np.where(known.all(axis=-1), np.stack([gap.confidence for gap in gaps]), 0.0),
        before=np.stack([gap.gap.before for gap in gaps]).astype(np.float64),
        after=np.stack([gap.gap.after for gap in gaps]).astype(np.float64),
        torso=np.array([gap.torso for gap in gaps]),
        fps=np.array([gap.fps for gap in gaps]),
        takes=[gap.take for gap in gaps],
        methods=filled,
    )


def true_speed(filled: Filled) -> Floats:
    """Mean speed of the true joints through each gap [B], from the frame before to the frame after, torso lengths/s."""
    motion = np.concatenate([filled.before[:, -1:], filled.truth, filled.after[:, :1]], axis=1)
    steps = np.linalg.norm(np.diff(motion, axis=1), axis=-1)
    return np.asarray(np.nanmean(steps, axis=(1, 2)) * filled.fps / filled.torso)


def metrics(filled: Filled) -> dict[str, dict[str, Sums]]:
    """All metrics of all methods, on gaps between poses of `MOTION`: metric -> method -> sums over each window."""
    truth, trust, torso = filled.truth, filled.trust, filled.torso
    rooted = trust * (trust[:, :, _HIPS] > 0).all(axis=2, keepdims=True)

    def local(joints: Floats) -> Floats:
        return np.asarray((joints - joints[:, :, _HIPS].mean(axis=2, keepdims=True)) / torso[:, None, None, None])

    formulas: dict[str, Callable[[Floats], Sums]] = {
        "mpjpe": lambda joints: mpjpe(joints, truth, trust, torso),
        "l2p": lambda joints: l2p(joints, truth, trust, torso, DEVIATION),
        "npss": lambda joints: npss(local(joints), local(truth), rooted),
        "bone_drift": lambda joints: bone_drift(joints, truth, trust, torso, MOTION.bones),
        "seam_jump": lambda joints: seam_jump(joints, filled.before, filled.after, torso),
        "foot_slide": lambda joints: foot_slide(joints, truth, trust, torso, filled.fps, _FEET),
    }
    measured = {
        metric: {name: formula(joints) for name, joints in filled.methods.items()}
        for metric, formula in formulas.items()
    }
    for metric in OF_TRUTH:
        measured[metric][TRUTH] = formulas[metric](truth)
    return measured


class Takes:
    """Bootstrap over takes: windows of one take are no independent evidence.

    Parameters
    ----------
    takes : sequence of str [B]
        Of each window.
    """

    def __init__(self, takes: Sequence[str]) -> None:
        names, self._of = np.unique(np.asarray(takes), return_inverse=True)
        self._count = len(names)
        self._picks = np.random.default_rng(0).multinomial(
            self._count, np.full(self._count, 1 / self._count), size=_RESAMPLES
        )

    def interval(self, sums: Sums, over: Sums | None = None) -> list[float]:
        """The 95 % interval of a mean, or of its ratio to another one of the same windows; empty with one take."""
        means = self._means(sums) if over is None else self._means(sums) / self._means(over)
        means = means[np.isfinite(means)]
        return [float(end) for end in np.percentile(means, [2.5, 97.5])] if self._count > 1 and len(means) else []

    def _means(self, sums: Sums) -> Floats:
        """The mean of each resample."""
        total, weight = (self._picks @ np.bincount(self._of, part, self._count) for part in sums)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(total / weight)


def evaluate_motion(
    gaps: Sequence[TrueGap],
    methods: Mapping[str, InBetweener],
    rivals: Collection[str],
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Measure methods on gaps, by length, context and speed.

    Parameters
    ----------
    gaps : sequence of TrueGap
        Between poses of `MOTION`, of any lengths.
    methods : mapping of str to InBetweener
        ``linear`` among them.
    rivals : collection of str
        The methods against the best of which the others are held.
    progress : Progress

    Returns
    -------
    dict
        ``evaluate motion`` in docs/design/contracts.md.

    Raises
    ------
    UserError
        When there is no gap.
    """
    if not gaps:
        raise UserError("There is no stretch of motion long enough for a gap.", "Name longer takes, or shorter gaps.")
    by_length = {n: [gap for gap in gaps if gap.gap.length == n] for n in sorted({gap.gap.length for gap in gaps})}
    result: dict[str, Any] = {"interval_95": {}, "ratios": {}, "n": {"gaps": {}, "takes": {}}, "speeds": {}}
    cells = [(length, context) for length in by_length for context in CONTEXTS]
    for number, (length, context) in enumerate(cells):
        part = progress.part(number / len(cells), (number + 1) / len(cells), f"Gaps of {length} frames")
        filled = fill_gaps(by_length[length], methods, context, part)
        measured, speed = metrics(filled), true_speed(filled)
        slow, fast = np.quantile(speed, [1 / 3, 2 / 3])
        result["speeds"][str(length)] = [float(slow), float(fast)]
        everything = np.ones(len(speed), np.bool_)
        chosen = (everything, speed < slow, (slow <= speed) & (speed < fast), speed >= fast)
        for name, picked in zip(SPEEDS, chosen, strict=True):
            key = (str(length), str(context), name)
            takes = [filled.takes[index] for index in np.flatnonzero(picked)]
            _put(result["n"]["gaps"], key[::2], len(takes))
            _put(result["n"]["takes"], key[::2], len({*takes}))
            if takes:
                part_of = {m: {name: sums.at(picked) for name, sums in of.items()} for m, of in measured.items()}
                _add_cell(result, key, part_of, Takes(takes), rivals)
    return result


def told(result: Mapping[str, Any]) -> str:
    """The joint errors as a table in words, and how they compare."""
    cells = [
        (length, context, speed, speeds[speed])
        for length, contexts in result["mpjpe"].items()
        for context, speeds in contexts.items()
        for speed in ("all", "fast")
    ]
    names = list(cells[0][-1])
    lines = ["Joint error (MPJPE), torso lengths", " " * 20 + "".join(f"{name:>10}" for name in names)]
    for length, context, speed, values in cells:
        lines.append(
            f"{length:>2} frames, s {context}, {speed:5}"
            + "".join(f"{values[name]:10.4f}" if values[name] is not None else " " * 10 for name in names)
        )
    return "\n".join(lines)


def _add_cell(
    result: dict[str, Any],
    key: tuple[str, ...],
    measured: dict[str, dict[str, Sums]],
    takes: Takes,
    rivals: Collection[str],
) -> None:
    """Enter what was measured on the gaps of one length, context and speed."""
    for metric, sums in measured.items():
        _put(result, (metric, *key), {name: _finite(one.mean) for name, one in sums.items()})
        _put(result["interval_95"], (metric, *key), {name: takes.interval(one) for name, one in sums.items()})
    errors = measured["mpjpe"]
    best = min((name for name in errors if name in rivals), key=lambda name: errors[name].mean)
    for name in errors:
        against = {"linear": LINEAR.name, "best": best}
        ratios = {
            label: {
                "rival": rival,
                "ratio": _finite(errors[name].mean / errors[rival].mean),
                "interval_95": takes.interval(errors[name], errors[rival]),
            }
            for label, rival in against.items()
            if rival != name
        }
        _put(result["ratios"], (*key, name), ratios)


def _put(table: dict[str, Any], key: Sequence[str], value: Any) -> None:  # noqa: ANN401 - anything that JSON has
    for step in key[:-1]:
        table = table.setdefault(step, {})
    table[key[-1]] = value


def _finite(value: float) -> float | None:
    """None, which JSON has, for a value that could not be measured."""
    return value if np.isfinite(value) else None
