"""Speech as a condition: strokes of the hands on stressed syllables, energy with energy, rest in pauses.

Nothing learned is in it. A learned embedding of speech and gesture is not registered; `SpeechCondition.about` says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.signal import argrelextrema

from ..audio.decode import load_audio
from ..audio.prosody import CEPSTRA, RATE, STEP, Prosody, find_prosody
from ..errors import UserError
from ..evaluation.beat_alignment import motion_beat_order
from ..footage import Footage
from ..graph.features import RHYTHM_JOINTS, MotionFeatures
from ..graph.motion_graph import MotionGraph
from ..pose.skeletons import SKELETONS
from ..pose.track import PoseTrack
from ..progress import SILENT, Progress
from .conditions import BeatCondition, SearchContext
from .levels import node_speed, rank, smooth
from .motion_beats import Find, cut_motion_beats, node_motion_beats

NEAR_STRESS = 0.08
"""s (sigma) by which a stroke may miss a stressed syllable. The hands are fastest shortly before the voice is highest
(Pouw and Dixon 2019, "Quantifying gesture-speech synchrony"; Leonard and Cummins 2011): from the syllable's onset to
its nucleus a stroke fits entirely."""
OFF_STRESS = 0.5
"""Cost of a stroke far from any stress; one on a strong stress costs 1 less."""
FAINTEST_STROKE = 0.3
"""Torso lengths in a second, both hands together, under which nobody sees a stroke."""

PAUSE = 2.0
"""Cost of a second that moves through a pause as the footage does when it moves."""
RETRACTING, PREPARING = 0.1, 0.2
"""s after a pause begins in which the hands may still come to rest, and before it ends in which they may set out."""
CALM, MOVING = 5, 75
"""Percentiles of the hands' speed that are rest, and motion."""

ENERGY = 0.5
"""Cost of a second in which the hands are liveliest where the speech is faintest, or the other way round."""
PHRASE = 0.25
"""s (sigma) over which energy is meant."""

SOUND = 0.25
"""Cost of a second in which the lips say what sounds as unlike the speech as any other moment does."""

HEAD, MOUTH, FACE = 0.5, 1.5, 0.5
"""Cost of a cut over which the face jumps by its own width, of one over which the corners of the mouth move as far
within it, and the most that a face costs: a jump is a jump."""

_HANDS = [RHYTHM_JOINTS.index(f"{side}_wrist") for side in ("left", "right")]
_SHOULDERS, _HIPS = (
    [RHYTHM_JOINTS.index(f"{side}_{joint}") for side in ("left", "right")] for joint in ("shoulder", "hip")
)
_EYES, _EARS, _CORNERS = (tuple(f"{side}_{part}" for side in ("left", "right")) for part in ("eye", "ear", "mouth"))


@dataclass(frozen=True)
class Speech:
    """A speech that the film should follow.

    Attributes
    ----------
    name : str
        Of the file.
    prosody : Prosody
        Of the part that lies under the film, from its first frame on.
    weight : float
    """

    name: str
    prosody: Prosody
    weight: float = 1.0

    @classmethod
    def read(
        cls,
        file: Path,
        *,
        start: float = 0.0,
        seconds: float | None = None,
        weight: float = 1.0,
        progress: Progress = SILENT,
    ) -> Self:
        """Listen to a sound file, or the sound of a video, from `start` on.

        Raises
        ------
        UserError
            When the file cannot be read (`load_audio`), or no syllable is heard in it.
        """
        samples, _ = load_audio(file, start=start, seconds=seconds, rate=RATE, progress=progress)
        return cls.of(file.name, samples, weight, progress)

    @classmethod
    def of(cls, name: str, samples: NDArray[np.float32], weight: float = 1.0, progress: Progress = SILENT) -> Self:
        """Listen to samples [N], `prosody.RATE` of them in a second.

        Raises
        ------
        UserError
            When no syllable is heard in them.
        """
        prosody = find_prosody(samples, progress)
        if not len(prosody.syllables):
            raise UserError(f"No speech is heard in {name}.", "Choose a recording of somebody who speaks.")
        return cls(name, prosody, weight)

    def condition(self, context: SearchContext, progress: Progress) -> SpeechCondition:
        """What it means for these footages: their hands, their faces, and what they say themselves."""
        features, prosody, frames, fps = context.features, self.prosody, context.frames, context.fps
        speed = hand_speed(features)
        find = strokes(max(FAINTEST_STROKE, float(np.median(speed[features.shown]))))
        hands = hands_of(features)
        motion = node_motion_beats(hands, find)
        cuts = cut_motion_beats(context.graph, hands, progress.part(0.0, 0.6), find)
        own, said = _own_sound(context.footages, features.nodes, progress.part(0.6, 1.0))
        heard = _at(prosody.sound, (np.arange(frames) + 0.5) / fps, fps)
        spoken = own[np.isfinite(own[:, 0])]
        paused = rest_wanted(prosody.pauses, prosody.seconds, frames, fps)
        energy = gaussian_filter1d(prosody.energy, PHRASE / STEP)[_frames_at(frames, fps, len(prosody.energy))]
        calm, moving = np.percentile(speed[features.shown], [CALM, MOVING])
        return SpeechCondition(
            strokes=BeatCondition(motion, cuts, stress_closeness(prosody, frames, fps), self.weight, OFF_STRESS),
            moving=np.clip((speed - calm) / max(moving - calm, 1e-9), 0.0, 1.0),
            paused=paused,
            vigour=rank(smooth(speed, features, PHRASE * fps), features.shown),
            energy=rank(energy, paused < 1.0),
            own=own,
            heard=heard,
            unlike=_unlike(spoken, heard),
            face=face_jumps(context.graph, context.tracks) * self.weight,
            second=self.weight / fps,
            about={
                "speech": self.name,
                "weight": self.weight,
                "stresses": [round(float(time), 2) for time in prosody.stresses],
                "pauses": [[round(float(time), 2) for time in pause] for pause in prosody.pauses],
                "strokes_in_footage": round(float(motion.sum()), 1),
                "own_sound": said,
                "embedding": "none: no learned embedding of speech and gesture is registered",
            },
        )


@dataclass(frozen=True)
class SpeechCondition:
    """Costs of a film under a speech; see `Speech`.

    Attributes
    ----------
    strokes : BeatCondition
        Strokes on stresses.
    moving : float64 [N]
        How much the hands move, 0 to 1.
    paused : float64 [T]
        Whether the speech rests, 0 to 1.
    vigour, energy : float64 [N], [T]
        Rank of the hands' and the speech's energy, 0 to 1.
    own, heard : float32 [N, D], [T, D]
        What each node sounds like (NaN where it does not speak), and what each output frame shall sound like.
    unlike : float
        Mean squared distance of the two; 0 where no footage speaks.
    face : float64 [E]
        What a cut costs because the face jumps.
    second : float
        Weight of one frame, when that of a second is the speech's.
    """

    strokes: BeatCondition
    moving: NDArray[np.float64]
    paused: NDArray[np.float64]
    vigour: NDArray[np.float64]
    energy: NDArray[np.float64]
    own: NDArray[np.float32]
    heard: NDArray[np.float32]
    unlike: float
    face: NDArray[np.float64]
    second: float
    about: dict[str, Any]
    name: str = "speech"

    def node_cost(self, frame: int) -> NDArray[np.float64] | None:
        """See `Condition.node_cost`."""
        paused = float(self.paused[frame])
        each = PAUSE * paused * self.moving + ENERGY * (1.0 - paused) * np.abs(self.vigour - self.energy[frame])
        if self.unlike:
            distance = np.square(self.own - self.heard[frame]).sum(axis=1) / self.unlike
            each = each + SOUND * np.nan_to_num(distance, nan=1.0)
        stroke = self.strokes.node_cost(frame)
        return np.asarray(self.second * each if stroke is None else stroke + self.second * each)

    def cut_cost(self, frame: int) -> NDArray[np.float64] | None:
        """See `Condition.cut_cost`."""
        stroke = self.strokes.cut_cost(frame)
        return self.face if stroke is None else self.face + stroke


def hand_speed(features: MotionFeatures) -> NDArray[np.float64]:
    """How fast the hands move [N], both together, torso lengths in a second; 0 outside runs."""
    return node_speed(hands_of(features))


def hands_of(features: MotionFeatures) -> MotionFeatures:
    """The same features with the two wrists as rhythm, in torso lengths."""
    x = features.rhythm[features.shown]
    torso = max(float(np.median(np.linalg.norm(x[:, _SHOULDERS].mean(1) - x[:, _HIPS].mean(1), axis=1))), 1e-9)
    return replace(features, rhythm=features.rhythm[:, _HANDS] / torso, blur=features.blur[:, _HANDS] / torso)


def strokes(faintest: float) -> Find:
    """What finds strokes of the hands: moments when they are fastest, and faster than `faintest` (in a second)."""

    def find(speed: NDArray[np.float64], fps: float | Fraction) -> NDArray[np.bool_]:
        known = np.where(np.isfinite(speed), speed, -np.inf)
        found = np.zeros(speed.shape, dtype=bool)
        found[argrelextrema(known, np.greater, axis=-1, order=motion_beat_order(fps))] = True
        return found & (known * float(fps) >= faintest)

    return find


def stress_closeness(prosody: Prosody, frames: int, fps: float) -> NDArray[np.float64]:
    """How well a stroke fits each output frame [T], 0 to 1: the strength of the stress, less where it is missed.

    A speed is that of the way from the frame before, so its time is half a frame earlier.
    """
    stressed = prosody.stress > 0
    if not stressed.any():
        return np.zeros(frames)
    times = (np.arange(frames)[:, None] - 0.5) / fps
    onset, nucleus = prosody.syllables[stressed].T
    missed = np.maximum(np.maximum(onset - times, times - nucleus), 0.0)
    return np.asarray((prosody.stress[stressed] * np.exp(-(missed**2) / (2 * NEAR_STRESS**2))).max(axis=1))


def rest_wanted(pauses: NDArray[np.float64], seconds: float, frames: int, fps: float) -> NDArray[np.float64]:
    """Which output frames [T] shall rest, 0 or 1: those in pauses, and all after the speech's end."""
    times = np.arange(frames) / fps
    rest = times >= seconds
    for start, end in pauses:
        begin = start + (RETRACTING if start > 0 else 0.0)
        finish = end - (PREPARING if end < seconds else 0.0)
        rest |= (times >= begin) & (times < finish)
    return rest.astype(np.float64)


def face_jumps(graph: MotionGraph, tracks: Sequence[PoseTrack]) -> NDArray[np.float64]:
    """What each edge [E] costs because the face jumps: its place in the picture, and the mouth's place in it.

    The skeleton's face is nose, eyes, ears and the corners of the mouth; where one is missing or unsure, it costs less.
    """
    names = ("nose", *_EYES, *_EARS, *_CORNERS)
    known = [_named(track, names) for track in tracks]
    places = np.concatenate([places for places, _ in known])
    sure = np.concatenate([sure for _, sure in known])
    eyes, mouth = places[:, 1:3].mean(axis=1), places[:, 5:7].mean(axis=1)
    ears = np.linalg.norm(places[:, 3] - places[:, 4], axis=1)
    width = np.maximum(ears, 1.5 * np.linalg.norm(eyes - mouth, axis=1))  # of a profile, too
    last, first = graph.source, graph.target - 1
    size = np.maximum(0.5 * (width[last] + width[first]), 1e-9)
    move = places[last] - places[first]
    head = move.mean(axis=1)
    corners = np.linalg.norm(move[:, 5:7] - head[:, None], axis=2).mean(axis=1)
    cost = (HEAD * np.linalg.norm(head, axis=1) + MOUTH * corners) / size
    return np.asarray(np.minimum(cost, FACE) * np.minimum(sure[last], sure[first]))


def _named(track: PoseTrack, names: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places [T, n, 2] of joints, and how sure the estimator is of all of them [T]; 0 where the skeleton lacks one."""
    joints = SKELETONS[track.skeleton].joints
    if not set(names) <= set(joints):
        return np.zeros((len(track.image), len(names), 2)), np.zeros(len(track.image))
    at = [joints.index(name) for name in names]
    return np.nan_to_num(track.image[:, at]).astype(np.float64), track.confidence[:, at].min(axis=1).astype(np.float64)


def _own_sound(
    footages: Sequence[Footage], nodes: int, progress: Progress
) -> tuple[NDArray[np.float32], dict[str, str]]:
    """What each node sounds like [N, D], NaN where its footage does not speak, and what was heard in each footage."""
    parts, said = [], {}
    for number, footage in enumerate(footages):
        part = progress.part(number / len(footages), (number + 1) / len(footages), f"Listening to {footage.name}")
        parts.append(np.full((footage.frames, 2 + CEPSTRA), np.nan, np.float32))
        try:
            samples, _ = load_audio(footage.path, rate=RATE, progress=part)
        except UserError as error:
            said[footage.name] = str(error)
            continue
        prosody = find_prosody(samples, part)
        if prosody.spoken:
            times = (footage.pts - footage.pts[0]) * float(footage.time_base)
            parts[-1] = _at(prosody.sound, times + 0.5 / float(footage.fps), float(footage.fps))
            said[footage.name] = f"speech, {len(prosody.syllables) / prosody.seconds:.1f} syllables a second"
        else:
            said[footage.name] = "no speech"
    own = np.concatenate(parts)
    assert len(own) == nodes  # noqa: S101 - features and footages belong together
    return own, said


def _at(sound: NDArray[np.float32], times: NDArray[np.floating[Any]], fps: float) -> NDArray[np.float32]:
    """The sound [n, D] at some times, over a frame's length; silence after its end."""
    smooth = gaussian_filter1d(sound, 0.5 / fps / STEP, axis=0)
    index = np.round(times / STEP).astype(np.int64)
    return np.where((index < len(sound))[:, None], smooth[np.minimum(index, len(sound) - 1)], np.float32(0.0))


def _frames_at(frames: int, fps: float, length: int) -> NDArray[np.int64]:
    return np.asarray(np.minimum(np.round(np.arange(frames) / fps / STEP).astype(np.int64), length - 1))


def _unlike(own: NDArray[np.float32], heard: NDArray[np.float32]) -> float:
    """Mean squared distance [own x heard]: |a|^2 + |b|^2 - 2 a b, on average; 0 without any."""
    if not len(own):
        return 0.0
    squares = np.square(own).sum(axis=1).mean() + np.square(heard).sum(axis=1).mean()
    return float(squares - 2.0 * own.mean(axis=0) @ heard.mean(axis=0))
