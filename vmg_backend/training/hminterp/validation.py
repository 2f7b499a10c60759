"""How good a model is on gaps that it has not seen, beside `fade` and `flow`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...evaluation.bootstrap import interval
from ...evaluation.picture_metrics import Likeness, likeness
from ...footage import FrameReader
from ...interpolation.fill import Material
from ...interpolation.interpolator import Continuation, Frames, Gap, Interpolator
from ...motion.gap import Side
from ...progress import SILENT, Progress
from .held_out import HeldOut

if TYPE_CHECKING:
    from ...jobs import Analysis
    from ...library import FootageLibrary
    from .clips import Clips


@dataclass(frozen=True)
class TrueGap:
    """A gap whose frames are known.

    Attributes
    ----------
    gap : Gap
        Without them: its continuations are stills of the frames at its ends, the joints through it its truth.
    frames : uint8 [n, H, W, 3]
    joints : float32 [n, J, 2]
        Px.
    fast : bool
    """

    gap: Gap
    frames: Frames
    joints: NDArray[np.float32]
    fast: bool


def held_out_gaps(clips: Clips, analyses: Sequence[Analysis], library: FootageLibrary) -> list[TrueGap]:
    """All gaps that were kept out of clips; the library has the footages' empty backgrounds."""
    materials = {one.footage.id: Material(one.footage, one.track, library.plate(one.footage)) for one in analyses}
    return [true_gap(materials[one.footage], one) for one in clips.held_out]


def true_gap(material: Material, held_out: HeldOut) -> TrueGap:
    """Read a gap that was held out, with all given frames around it."""
    side, numbers, track = held_out.context, list(held_out.frames), material.track
    with FrameReader(material.footage) as reader:
        frames = np.stack([reader.frame(number) for number in numbers])

    def poses(chosen: list[int]) -> Side:
        return Side(track.image[chosen], track.confidence[chosen])

    before, inner, after = numbers[:side], numbers[side : len(numbers) - side], numbers[len(numbers) - side :]

    def still(frame: NDArray[np.uint8], number: int) -> Continuation:
        one = poses([number])
        count = len(inner)
        return Continuation(
            np.repeat(frame[None], count, axis=0), one.joints.repeat(count, 0), one.confidence.repeat(count, 0)
        )

    gap = Gap(
        lead=frames[:side],
        trail=frames[len(frames) - side :],
        outgoing=still(frames[side - 1], before[-1]),
        incoming=still(frames[len(frames) - side], after[0]),
        plate_before=material.plate,
        plate_after=material.plate,
        before=poses(before),
        after=poses(after),
        guide=poses(inner),
    )
    return TrueGap(gap, frames[side : len(frames) - side], poses(inner).joints, held_out.fast)


def filled(one: TrueGap, engine: Interpolator, *, led: bool, progress: Progress = SILENT) -> Frames:
    """What an engine makes of a gap.

    Parameters
    ----------
    one : TrueGap
    engine : Interpolator
    led : bool
        Whether it is told where the joints really are; else its guide guesses, and is not shown the stills.
    progress : Progress
    """
    given, gap = engine.given(one.gap.length), one.gap
    guide = gap.guide if led else None
    if not led and engine.guide is not None:
        unknown = [
            replace(side, joints=np.full_like(side.joints, np.nan), confidence=np.zeros_like(side.confidence))
            for side in (gap.outgoing, gap.incoming)
        ]
        guide = engine.guide.draw(replace(gap, outgoing=unknown[0], incoming=unknown[1], guide=None))
    seen = replace(gap, lead=gap.lead[-given:], trail=gap.trail[:given], guide=guide)
    return engine.fill(seen, progress)


def validate(
    gaps: Sequence[TrueGap], engines: Mapping[str, Interpolator], progress: Progress = SILENT
) -> dict[str, Any]:
    """Compare engines on gaps.

    Parameters
    ----------
    gaps : sequence of TrueGap
    engines : mapping of str to Interpolator
        The first one is compared with all others.
    progress : Progress

    Returns
    -------
    dict
        ``gaps``: how near each engine came in each; ``means``; ``over``: by how much the first one is nearer than each
        other, with a 95 % interval of the mean over gaps (bootstrap).
    """
    found: list[dict[str, Likeness]] = []
    for number, one in enumerate(gaps):
        scores = {}
        for place, (name, engine) in enumerate(engines.items()):
            part = (number + place / len(engines)) / len(gaps)
            whole = (number + (place + 1) / len(engines)) / len(gaps)
            made = filled(one, engine, led=False, progress=progress.part(part, whole))
            scores[name] = likeness(made, one.frames, one.joints)
        found.append(scores)
    first, *others = engines
    kinds = {"all": [True] * len(gaps), "fast": [one.fast for one in gaps]}
    means = {
        kind: {
            name: _means([scores[name] for scores, kept in zip(found, which, strict=True) if kept]) for name in engines
        }
        for kind, which in kinds.items()
        if any(which)
    }
    first_over = {
        other: over(np.array([scores[first].person_psnr - scores[other].person_psnr for scores in found]))
        for other in others
    }
    return {
        "gaps": [
            {"fast": one.fast, **{name: asdict(score) for name, score in scores.items()}}
            for one, scores in zip(gaps, found, strict=True)
        ],
        "means": means,
        "over": first_over,
    }


def strip(made: Frames, real: Frames, height: int = 160) -> Frames:
    """A picture [h, w, 3]: the frames made above the real ones."""
    width = max(1, round(height * real.shape[2] / real.shape[1]))
    rows = [[cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in row] for row in (made, real)]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def wins(result: Mapping[str, Any]) -> bool:
    """Whether the first engine is nearer to the person, on the mean over all gaps, than every other one."""
    return all(interval["mean"] > 0.0 for interval in result["over"].values())


def _means(scores: Sequence[Likeness]) -> dict[str, float]:
    return {name: round(float(np.mean([getattr(score, name) for score in scores])), 4) for name in vars(scores[0])}


def over(differences: NDArray[np.float64]) -> dict[str, float]:
    """Mean of the differences [gaps], dB, and its 95 % interval."""
    low, high = interval(differences)
    return {"mean": round(float(differences.mean()), 3), "low": round(low, 3), "high": round(high, 3)}
