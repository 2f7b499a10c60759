"""Music as a condition: energy with energy, a cut to other motion for another section, strong stops on strong beats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..audio.beats import Beat, beats_in
from ..audio.decode import load_audio
from ..audio.rhythm import RATE
from ..audio.structure import Structure, find_structure
from ..errors import UserError
from ..evaluation.beat_alignment import joint_speed, motion_beat_order, rests
from ..graph.features import MotionFeatures
from ..graph.motion_graph import MotionGraph
from ..progress import SILENT, Progress
from .conditions import BeatCondition, SearchContext
from .levels import node_speed, rank, smooth
from .motion_beats import Find, cut_motion_beats, node_motion_beats

BAR = 1.5
"""What the beginning of a bar, or a moment that a person marked, counts against another beat of the same strength."""
FAINT = 0.5
"""What a beat without any attack counts against one with the strongest."""
GENTLE = 0.5
"""Sharpness of a stop, the footage's mean being 1, of which accents say nothing: sharper ones belong on strong beats,
gentler ones on weak ones."""

ENERGY = 1.0
"""Cost of a second in which the motion is liveliest where the music is faintest, or the other way round."""
BREATH = 0.4
"""s (sigma) over which the motion's energy is meant: about a second."""
CONTRAST = 6.0
"""dB between the music's faint and loud parts from which on its energy counts in full."""

PHRASE, SECTION = 0.1, 0.3
"""What a cut is worth at the beginning of a phrase, and of a section when the motion after it is as unlike the motion
before it as the graph offers (half of it when it is as like)."""
NEAR_LINE = 0.12
"""s (sigma) by which a cut may miss the beginning."""
LOOK = 2.0
"""s of motion before and after a cut that are compared."""


def accents(beats: Sequence[Beat]) -> NDArray[np.float64]:
    """How much each beat [B] that a search knows (all but onsets) counts: by kind and strength, 1 on average.

    Exactly 1 for all where none stands out.
    """
    known = [beat for beat in beats if beat.kind != "onset"]
    raw = np.array([(1.0 if beat.kind == "beat" else BAR) * (FAINT + (1.0 - FAINT) * beat.strength) for beat in known])
    return raw / raw.mean() if len(raw) and np.ptp(raw) > 0 else np.ones(len(raw))


def accent(
    times: NDArray[np.float64], accents: NDArray[np.float64], frames: int, fps: float, sigma: float = 0.05
) -> NDArray[np.float64]:
    """What each output frame [T] is worth more than `beat_closeness` says, by how much the nearest beat [B] counts.

    0 everywhere where all beats count alike; negative on weak ones.
    """
    if not len(times):
        return np.zeros(frames)
    away = np.abs(np.arange(frames)[:, None] / fps - times)
    nearest = away.argmin(axis=1)
    closeness = np.exp(-(away[np.arange(frames), nearest] ** 2) / (2 * sigma**2))
    return np.asarray(closeness * (accents[nearest] - 1.0))


def dips(speed: NDArray[np.float64], fps: float | Fraction) -> NDArray[np.float64]:
    """How far each speed [..., T] lies below the highest ones before and after it, the lower of both; 0 where unknown.

    As far around as a motion beat is compared.
    """
    order = motion_beat_order(fps)
    known = np.where(np.isfinite(speed), speed, 0.0)
    padded = np.pad(known, [(0, 0)] * (speed.ndim - 1) + [(order, order)])
    highest = np.lib.stride_tricks.sliding_window_view(padded, order + 1, axis=-1).max(axis=-1)
    around = np.minimum(highest[..., : speed.shape[-1]], highest[..., order:])
    return np.asarray(np.maximum(around - known, 0.0))


def stops(features: MotionFeatures) -> Find:
    """What finds motion beats by how sharp the stop is: 1 on average over the footage's, 0 to about 2."""
    found = []
    for first, last in features.runs:
        speed = joint_speed(features.rhythm[first : last + 1], np.ones(last + 1 - first, dtype=bool))
        found.append(dips(speed, features.fps)[rests(speed, features.fps)])
    depths = np.concatenate(found) if found else np.zeros(0)
    usual = max(float(np.median(depths)) if len(depths) else 0.0, 1e-9)
    mean = max(float(np.mean(depths / (depths + usual))) if len(depths) else 0.0, 1e-9)

    def find(speed: NDArray[np.float64], fps: float | Fraction) -> NDArray[np.float64]:
        depth = dips(speed, fps)
        return np.asarray(rests(speed, fps) * depth / (depth + usual) / mean)

    return find


def accent_condition(
    context: SearchContext, beats: Sequence[Beat], plain: BeatCondition, progress: Progress = SILENT
) -> BeatCondition | None:
    """Sharp stops on strong beats: what is added to the `plain` condition of the same beats.

    None where all beats count alike. It adds nothing far from beats and 0 on average over them, so the plain condition
    decides how many beats are danced.
    """
    weights = accents(beats)
    if (weights == 1.0).all():
        return None
    features, find = context.features, stops(context.features)
    times = np.array([beat.time for beat in beats if beat.kind != "onset"])
    return BeatCondition(
        node_motion_beats(features, find) - GENTLE * plain.motion,
        cut_motion_beats(context.graph, features, progress, find) - GENTLE * plain.cuts,
        accent(times, weights, context.frames, context.fps),
        plain.weight,
        off_beat=0.0,
        name="accents",
    )


@dataclass(frozen=True)
class Music:
    """Music whose course the film should follow.

    Attributes
    ----------
    name : str
        Of the file.
    structure : Structure
        Of the part that lies under the film, from its first frame on.
    weight : float
    """

    name: str
    structure: Structure
    weight: float = 1.0

    @classmethod
    def read(
        cls,
        file: Path,
        *,
        start: float = 0.0,
        seconds: float | None = None,
        weight: float = 1.0,
        beats: Sequence[Beat] | None = None,
        progress: Progress = SILENT,
    ) -> Self:
        """Listen to a piece from `start` on; `beats` (of that part) where a person has corrected them.

        Raises
        ------
        UserError
            When the file cannot be read (`load_audio`), or is silent.
        """
        samples, _ = load_audio(file, start=start, seconds=seconds, rate=RATE, progress=progress)
        return cls.of(file.name, samples, weight, beats, progress)

    @classmethod
    def of(
        cls,
        name: str,
        samples: NDArray[np.float32],
        weight: float = 1.0,
        beats: Sequence[Beat] | None = None,
        progress: Progress = SILENT,
    ) -> Self:
        """Listen to samples [N], `rhythm.RATE` of them in a second; `beats` where they are known.

        Raises
        ------
        UserError
            When they are silent.
        """
        if np.abs(samples).max(initial=0.0) < 1e-4:
            raise UserError(f"No music is heard in {name}.", "Choose another file, or an earlier or later start.")
        known = beats_in(samples, progress.part(0.0, 0.7)) if beats is None else beats
        return cls(name, find_structure(samples, known, progress.part(0.7, 1.0)), weight)

    def condition(self, context: SearchContext, progress: Progress) -> MusicCondition:
        """What it means for these footages: how lively each frame is, and how much each cut changes."""
        features, graph, structure, fps = context.features, context.graph, self.structure, context.fps
        progress.check()
        times = np.arange(context.frames) / fps
        level = structure.energy(times)
        faint, loud = np.percentile(level, [5, 95])
        contrast = float(np.clip((loud - faint) / CONTRAST, 0.0, 1.0))
        sections = [section for section in structure.sections if section.start < context.frames / fps]
        begin = np.array([section.start for section in sections[1:]])
        phrases = structure.phrases[(structure.phrases > 0) & (structure.phrases < context.frames / fps)]
        near = accent(begin, np.full(len(begin), 2.0), context.frames, fps, NEAR_LINE)
        near_phrase = accent(phrases, np.full(len(phrases), 2.0), context.frames, fps, NEAR_LINE)
        unlike = unlikeness(graph, features)
        return MusicCondition(
            vigour=rank(motion_energy(features), features.shown),
            energy=rank(level, np.ones(context.frames, dtype=bool)),
            second=self.weight * ENERGY * contrast / fps,
            phrase=self.weight * PHRASE * np.where(near > 0.5, 0.0, near_phrase),
            section=self.weight * SECTION * near,
            change=0.5 + 0.5 * unlike,
            about={
                "music": self.name,
                "weight": self.weight,
                "loudness_range_db": round(float(loud - faint), 1),
                "energy_counts": round(contrast, 2),
                "bars": int((structure.bars < context.frames / fps).sum()),
                "phrases": [round(float(time), 2) for time in structure.phrases if time < context.frames / fps],
                "sections": [[round(one.start, 2), round(one.end, 2), one.kind] for one in sections],
            },
        )


@dataclass(frozen=True)
class MusicCondition:
    """Costs of a film under music; see `Music`.

    Attributes
    ----------
    vigour, energy : float64 [N], [T]
        Rank of the motion's and the music's energy, 0 to 1.
    second : float
        Cost of one frame whose ranks are 0 and 1.
    phrase, section : float64 [T]
        What a cut is worth at each output frame.
    change : float64 [E]
        Share of `section` that each edge is worth.
    """

    vigour: NDArray[np.float64]
    energy: NDArray[np.float64]
    second: float
    phrase: NDArray[np.float64]
    section: NDArray[np.float64]
    change: NDArray[np.float64]
    about: dict[str, Any]
    name: str = "music"

    def node_cost(self, frame: int) -> NDArray[np.float64] | None:
        """See `Condition.node_cost`."""
        return np.asarray(self.second * np.abs(self.vigour - self.energy[frame]))

    def cut_cost(self, frame: int) -> NDArray[np.float64] | None:
        """See `Condition.cut_cost`."""
        return np.asarray(-self.phrase[frame] - self.section[frame] * self.change)


def motion_energy(features: MotionFeatures) -> NDArray[np.float64]:
    """How lively the motion is at each node [N]: the joints' speed in the picture, px/s, meant over about a second."""
    return smooth(node_speed(features), features, BREATH * float(features.fps))


def unlikeness(graph: MotionGraph, features: MotionFeatures) -> NDArray[np.float64]:
    """How unlike the motions before and after each cut are [E]: rank of the distance of their mean poses, 0 to 1."""
    length = max(1, round(LOOK * float(features.fps)))
    sums = np.concatenate(
        [[np.zeros(features.local[0].size)], np.cumsum(features.local.reshape(features.nodes, -1), 0)]
    )
    runs = features.runs[np.searchsorted(features.runs[:, 0], np.arange(features.nodes), side="right") - 1]
    source, target = graph.source.astype(np.int64), graph.target.astype(np.int64)
    first = np.minimum(np.maximum(source - length + 1, runs[source, 0]), source)  # a person may cut outside of runs
    last = np.maximum(np.minimum(target + length - 1, runs[target, 1]), target)
    before = (sums[source + 1] - sums[first]) / (source + 1 - first)[:, None]
    after = (sums[last + 1] - sums[target]) / (last + 1 - target)[:, None]
    return rank(np.linalg.norm(after - before, axis=1), np.ones(graph.edges, dtype=bool))
