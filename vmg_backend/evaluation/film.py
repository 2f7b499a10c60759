"""Measuring a finished film: poses estimated again on its own pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..audio.beats import Beat
from ..errors import UserError
from ..footage import Footage, FrameReader
from ..graph.features import motion_features
from ..interpolation.interpolator import crossing_weights
from ..motion.gap import Side
from ..pose.skeletons import SKELETONS, Skeleton
from ..pose.track import PoseTrack
from ..progress import SILENT, Progress
from ..search.path import Path, Transition
from .beat_alignment import beat_alignment_score, best_straight, hit_rate, joint_speed, motion_beats
from .bootstrap import interval

AROUND = 12
"""Frames on either side of a transition that its speed is compared with."""

LIMBS = tuple(
    (f"{side}_{start}", f"{side}_{end}")
    for side in ("left", "right")
    for start, end in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
)
SURE = 0.5
"""Confidence from which a joint is found."""
STRETCH = 0.15
"""Torso lengths by which a limb may be longer or shorter than both continuations show it; the estimator's own noise on
clean pictures is a quarter of that."""


@dataclass(frozen=True)
class Film:
    """A finished film with the path it was made from.

    Attributes
    ----------
    footage : Footage
        The film itself, opened like footage.
    track : PoseTrack
        Poses estimated on the film.
    path : Path
    sources : list of (Footage, PoseTrack)
        What it was cut from.
    """

    footage: Footage
    track: PoseTrack
    path: Path
    sources: list[tuple[Footage, PoseTrack]]


def evaluate_beats(film: Film, beats: Sequence[Beat]) -> dict[str, Any]:
    """Beat Alignment Score, hit rate and density of motion beats, of the film and of the straight footage.

    The straight footage is played in a loop from the start that suits it best, for each metric on its own.

    Raises
    ------
    UserError
        When no beat lies under the film.
    """
    fps = film.footage.fps
    start = film.path.audio.start if film.path.audio else 0.0
    seconds = film.footage.frames / float(fps)
    music = np.array([beat.time - start for beat in beats if beat.kind != "onset"])
    music = music[(music >= 0) & (music < seconds)]
    if not len(music):
        raise UserError("No beat lies under the film.", "Give the beats of the music that it was made for.")

    shown = motion_features([film.footage], [film.track])
    motion = motion_beats(joint_speed(shown.rhythm, shown.shown), fps) / float(fps)
    footages, tracks = [footage for footage, _ in film.sources], [track for _, track in film.sources]
    source = motion_features(footages, tracks)
    looped = joint_speed(source.rhythm, source.shown, looped=True)
    straight = best_straight(looped, source.fps, music, film.footage.frames)
    straight_density = len(motion_beats(looped, source.fps)) / (source.shown.sum() / float(source.fps))
    score, hits = beat_alignment_score(motion, music), hit_rate(motion, music)
    return {
        "beat_alignment": {"film": score, "straight": straight.score},
        "hit_rate": {"film": hits, "straight": straight.hit_rate},
        "motion_beats_per_second": {"film": len(motion) / seconds, "straight": float(straight_density)},
        "ratios": {
            "beat_alignment": score / max(straight.score, 1e-9),
            "hit_rate": hits / max(straight.hit_rate, 1e-9),
            "motion_beats_per_second": len(motion) / seconds / max(float(straight_density), 1e-9),
        },
        "n": {"motion_beats": len(motion), "music_beats": len(music)},
        "interval_95": {
            "beat_alignment": interval(np.array([beat_alignment_score([time], music) for time in motion])),
            "hit_rate": interval(np.array([hit_rate(motion, [time]) for time in music])),
        },
    }


def evaluate_transitions(film: Film, progress: Progress = SILENT) -> dict[str, Any]:
    """Whether transitions stall, jump or lose the pose, each measured on the finished film.

    For each transition: the median joint speed inside over that of the frames around it; the largest change from one
    frame to the next inside and at its ends over the footage's 99th percentile; and the distance of its joints from
    the blend of both real continuations, in torso lengths; and the share of its limbs that are torn.

    Raises
    ------
    UserError
        When the film has no transition.
    """
    if not film.path.transitions:
        raise UserError("The film has no transition to measure.", "Measure a longer film.")
    changes = frame_changes(film.footage, progress.part(0.0, 0.6, "Comparing frames"))
    usual = np.concatenate(
        [frame_changes(footage, progress.part(0.6, 1.0, "Comparing frames"))[1:] for footage, _ in film.sources]
    )
    percentile = float(np.percentile(usual, 99))
    speed = joint_speed(film.track.image.astype(np.float64), film.track.person) / film.path.speeds
    tracks = {footage.id: track for footage, track in film.sources}
    entries = []
    for transition in film.path.transitions:
        first, end = transition.at, transition.at + transition.frames
        around = np.concatenate([speed[max(first - AROUND, 1) : first], speed[end + 1 : end + 1 + AROUND]])
        entries.append(
            {
                "id": transition.id,
                "at": transition.at,
                "frames": transition.frames,
                "speed_ratio": _finite(float(np.nanmedian(speed[first : end + 1]) / np.nanmedian(around))),
                "change_ratio": float(changes[first : end + 1].max() / percentile),
                "pose_error": _finite(pose_error(film.track, transition, tracks)),
                "torn_limbs": torn_limbs(film.track, transition, tracks),
            }
        )

    def column(name: str) -> NDArray[np.float64]:
        return np.array([entry[name] for entry in entries], dtype=np.float64)

    engines = "+".join(sorted({str(transition.engine) for transition in film.path.transitions}))
    return {
        "speed_ratio": {engines: _finite(float(np.nanmedian(column("speed_ratio"))))},
        "change_ratio": {engines: float(column("change_ratio").max())},
        "pose_error": {engines: _finite(float(np.nanmean(column("pose_error"))))},
        "torn_limbs": {engines: float(column("torn_limbs").mean())},
        "change_percentile_99": percentile,
        "n": {"transitions": len(entries)},
        "interval_95": {
            "speed_ratio": interval(column("speed_ratio"), np.median),
            "pose_error": interval(column("pose_error")),
            "torn_limbs": interval(column("torn_limbs")),
        },
        "transitions": entries,
    }


def _finite(value: float) -> float | None:
    """None, which JSON has, for a value that could not be measured."""
    return value if np.isfinite(value) else None


def frame_changes(footage: Footage, progress: Progress = SILENT) -> NDArray[np.float64]:
    """Mean absolute difference of each frame from the one before [T], in levels; 0 for the first."""
    changes = np.zeros(footage.frames)
    with FrameReader(footage) as reader:
        before: NDArray[np.int16] | None = None
        for k, frame in enumerate(reader.frames(0, footage.frames - 1)):
            progress.update(k / footage.frames)
            now = frame.astype(np.int16)
            if before is not None:
                changes[k] = np.abs(now - before).mean()
            before = now
    return changes


def pose_error(track: PoseTrack, transition: Transition, tracks: dict[str, PoseTrack]) -> float:
    """Mean distance of a transition's joints from the blend of the real continuations, in torso lengths.

    Body joints, weighted by the least confidence of the three.
    """
    one, other, seen = _through(track, transition, tracks)
    body = np.arange(33)
    weight = crossing_weights(transition.frames)[:, None, None]
    blend = np.asarray((1 - weight) * one.joints[:, body] + weight * other.joints[:, body], np.float64)
    trust = np.minimum(one.confidence[:, body], other.confidence[:, body])
    distance = np.linalg.norm(seen.joints[:, body] - blend, axis=2)
    known = np.isfinite(distance)
    if not known.any():
        return float("nan")
    torso = float(np.median(_torsos(blend, SKELETONS[track.skeleton])))
    return float((trust * distance)[known].sum() / max(trust[known].sum(), 1e-9) / torso)


def torn_limbs(track: PoseTrack, transition: Transition, tracks: dict[str, PoseTrack]) -> float:
    """The share of limbs in a transition's frames that the estimator does not find as long as they must be.

    Counted are upper arms, forearms, thighs and shins in frames where both real continuations show them for sure. One
    is torn where the film's track is not sure of it, or sees it longer or shorter by `STRETCH` torso lengths than both
    continuations do.
    """
    shown = _through(track, transition, tracks)
    skeleton = SKELETONS[track.skeleton]
    starts, ends = (list(skeleton.index(*names)) for names in zip(*LIMBS, strict=True))
    lengths = [np.linalg.norm(side.joints[:, starts] - side.joints[:, ends], axis=-1) for side in shown]
    sure = [np.nan_to_num(np.minimum(side.confidence[:, starts], side.confidence[:, ends])) > SURE for side in shown]
    room = STRETCH * np.nanmax([_torsos(side.joints, skeleton) for side in shown[:2]])
    counted = sure[0] & sure[1]
    shortest, longest = np.minimum(*lengths[:2]) - room, np.maximum(*lengths[:2]) + room
    whole = sure[2] & (shortest <= lengths[2]) & (lengths[2] <= longest)
    return float((counted & ~whole).sum() / max(counted.sum(), 1))


def _through(track: PoseTrack, transition: Transition, tracks: dict[str, PoseTrack]) -> tuple[Side, Side, Side]:
    """Poses through a transition: what really follows on the one side, what leads to the other, and the film's."""
    i, j = transition.match[0], transition.match[1] - 1
    offsets = np.arange(1 - transition.half, transition.half + 1)
    one, other = tracks[transition.from_.footage], tracks[transition.to.footage]
    inside = np.arange(transition.at, transition.at + transition.frames)
    first, second, third = (
        Side(side.image[frames], side.confidence[frames])
        for side, frames in ((one, i + offsets), (other, j + offsets), (track, inside))
    )
    return first, second, third


def _torsos(joints: NDArray[np.floating[Any]], skeleton: Skeleton) -> NDArray[np.float64]:
    """Length of the torso as it is seen in poses [n, J, 2]: [n] px."""
    shoulders, hips = (
        joints[:, list(skeleton.index(f"left_{name}", f"right_{name}"))].mean(axis=1) for name in ("shoulder", "hip")
    )
    return np.asarray(np.linalg.norm(shoulders - hips, axis=1), np.float64)


def contact_sheet(film: Film, out: FilePath, height: int = 200, progress: Progress = SILENT) -> None:
    """Write a PNG with one row for each transition: the real frame before, all generated ones, the real one after."""
    import cv2

    from ..files import writing

    rows = []
    with FrameReader(film.footage) as reader:
        for index, transition in enumerate(film.path.transitions):
            progress.update(index / len(film.path.transitions))
            first, last = transition.at - 1, transition.at + transition.frames
            frames = np.stack(list(reader.frames(first, last)))
            crop = _around_person(film.track.image[first : last + 1], frames.shape[1:3])
            tiles = [_tile(frame[crop], height) for frame in frames]
            tiles[0][:4], tiles[-1][:4] = (0, 160, 0), (0, 160, 0)
            row = np.concatenate(tiles, axis=1)
            label = f"{transition.id}  at {transition.at}  n {transition.frames}  cost {transition.cost:.3f}"
            cv2.putText(row, label, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 0), 1, cv2.LINE_AA)
            rows.append(row)
    width = max(row.shape[1] for row in rows)
    sheet = np.concatenate([np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0))) for row in rows])
    with writing(out) as temporary:
        good, data = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
        if not good:
            raise OSError(f"{out.name} could not be encoded")
        temporary.write_bytes(data.tobytes())


def _around_person(joints: NDArray[np.float32], size: tuple[int, ...]) -> tuple[slice, slice]:
    known = joints[np.isfinite(joints).all(axis=2)]
    if not len(known):
        return slice(0, size[0]), slice(0, size[1])
    low, high = known.min(axis=0), known.max(axis=0)
    margin = 0.15 * (high - low).max()
    x0, y0 = np.maximum(low - margin, 0).astype(int)
    x1, y1 = np.minimum(high + margin, [size[1], size[0]]).astype(int)
    return slice(y0, max(y1, y0 + 2)), slice(x0, max(x1, x0 + 2))


def _tile(picture: NDArray[np.uint8], height: int) -> NDArray[np.uint8]:
    import cv2

    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    return np.ascontiguousarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))
