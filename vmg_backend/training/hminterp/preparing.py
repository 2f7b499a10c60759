"""From footage to clips: what is worth learning, cut out and kept as a network sees it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import percentile_filter

from ...errors import UserError
from ...files import check_space, settings_hash, write_json, writing_folder
from ...footage import FrameReader
from ...footage.opening import scan_video
from ...graph.features import inside, usable_runs
from ...interpolation.crop import plan_crop
from ...interpolation.hminterp.config import Config
from ...motion.gap import CONTEXT
from ...pose.maps import STYLES, draw_run
from ...pose.skeletons import SKELETONS
from ...progress import SILENT, Progress, shares
from . import held_out as holding
from .arrays import ArrayWriter
from .clips import FILE, VERSION, Clip, Clips, Filters, read, windows_of
from .held_out import HeldOut, Stretch

if TYPE_CHECKING:
    from ...jobs import Analysis
    from ...pose.track import PoseTrack

VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mts", ".mpg", ".mpeg", ".wmv")
"""Endings by which videos are found in a folder."""
_LONGEST = 4
"""Times a window's length that a clip has at most, so that its crop stays near the person."""
_SEEN = 0.3
"""Confidence from which a joint's motion counts."""
_STEP = 0.2
"""Grey levels by which a small picture must differ from the next one, on its mean, that a repetition stands out: in
real footage most do by 0.3 to 3."""
_TORSO_PERCENTILE = 90
"""A bent torso is no shorter: its length is that of the frames around in which it is nearly longest."""


def videos_in(paths: Iterable[Path]) -> list[Path]:
    """Files as they are, and all videos of folders.

    Raises
    ------
    UserError
        When a folder holds none.
    """
    found: list[Path] = []
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        here = [file for file in files if file == path or _is_video(file)]
        if not here:
            raise UserError(f"{path} holds no videos.", f"Videos end in {', '.join(VIDEOS)}.")
        found += here
    return found


def prepare(
    analyses: Sequence[Analysis],
    config: Config,
    folder: Path,
    *,
    held_out: Sequence[HeldOut] | None = None,
    filters: Filters | None = None,
    seed: int = 1,
    progress: Progress = SILENT,
) -> Clips:
    """Cut footage into clips; those that a folder holds already are taken as they are.

    Parameters
    ----------
    analyses : sequence of Analysis
        Footages of any size and rate, with their poses.
    config : Config
        Of the model: the size and aspect that it sees, the frames of its windows, how it is shown poses.
    folder : Path
    held_out : sequence of HeldOut, optional
        Gaps that nothing is to be learned of, and none if it is empty; by default they are chosen (`held_out.choose`).
    filters : Filters, optional
    seed : int
        Of that choice.
    progress : Progress

    Raises
    ------
    UserError
        When nothing is left to be learned, or the disk has no room.
    Cancelled
        The folder is then as it was.
    """
    if folder.exists() and not (folder / FILE).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{folder} is there, and holds no clips.", "Name a new folder.")
    chosen = filters or Filters()
    key = _key(analyses, config, held_out, chosen, seed)
    if (folder / FILE).is_file() and read(folder)["key"] == key:
        return Clips.open(folder)
    plan = _plan(analyses, config, held_out, chosen, seed, progress.part(0.0, 0.25))
    check_space(folder, plan.bytes, "Preparing the clips", "Free some space there, or train on less footage.")
    with writing_folder(folder) as temporary:
        _write(plan, analyses, config, temporary, progress.part(0.25, 1.0, f"Writing {plan.bytes / 1e9:.1f} GB"))
        write_json(temporary / FILE, {"version": VERSION, "key": key, **plan.told})
    return Clips.open(folder)


def differs(analyses: Sequence[Analysis], config: Config, folder: Path) -> bool:
    """Whether a folder holds clips, and others than `prepare` would write by itself."""
    return (folder / FILE).is_file() and read(folder)["key"] != _key(analyses, config, None, Filters(), 1)


def foresee(analyses: Sequence[Analysis], config: Config) -> Foreseen:
    """What `prepare` would write, without decoding: so frames that repeat others count as well."""
    filters = Filters()
    stretches = [
        each for one in analyses for each in _stretches(one, filters, Counter(), np.ones(one.footage.frames, bool))
    ]
    pieces = [piece for stretch in stretches for piece in _pieces(stretch, config.frames)]
    if not pieces:
        return Foreseen(0, (0, 0), 0)
    size = _clips(pieces, {one.footage.id: one for one in analyses}, config)[0].crop.size
    frames = sum(len(one.numbers) for one in stretches if len(one.numbers) >= config.frames)
    rows = sum(len(one.numbers) for one, _ in pieces)
    return Foreseen(frames, size, _bytes(rows, size, analyses[0].track.skeleton))


@dataclass(frozen=True)
class Foreseen:
    """Clips that are not written yet: their frames, the size [W, H] of all, and what they take on the disk, bytes."""

    frames: int
    size: tuple[int, int]
    bytes: int


def _bytes(rows: int, size: tuple[int, int], skeleton: str) -> int:
    """What so many rows of all arrays take."""
    return rows * (2 * 3 * size[0] * size[1] + 4 * (3 * len(SKELETONS[skeleton].joints) + 2))


@dataclass(frozen=True)
class _Plan:
    """What will be written: the clips, number of each row's frame, its speed, and what is told of all."""

    clips: tuple[Clip, ...]
    numbers: NDArray[np.int32]
    speed: NDArray[np.float32]
    told: dict[str, Any]

    @property
    def size(self) -> tuple[int, int]:
        return self.clips[0].crop.size

    @property
    def bytes(self) -> int:
        return _bytes(len(self.numbers), self.size, self.told["skeleton"])


def _plan(
    analyses: Sequence[Analysis],
    config: Config,
    held_out: Sequence[HeldOut] | None,
    filters: Filters,
    seed: int,
    progress: Progress,
) -> _Plan:
    stretches: list[Stretch] = []
    counts: Counter[str] = Counter()
    for analysis, part in zip(analyses, shares(one.footage.frames for one in analyses), strict=True):
        scanned = scan_video(analysis.footage.path, progress.part(*part, f"Looking through {analysis.footage.name}"))
        stretches += _stretches(analysis, filters, counts, ~repeated(scanned.thumbnails, filters.repeated))
    if held_out is None:
        # as many frames around a gap as the engine looks at (`HMInterpEngine.given`), and as guides do
        context = max(CONTEXT, config.context, (config.frames - holding.LENGTH + 1) // 2)
        held_out = holding.choose(stretches, context, seed)
    pieces: list[tuple[Stretch, int]] = []
    for stretch in stretches:
        left, held, beside = holding.without(stretch, held_out)
        counts.update({"held out": held, "beside what is held out": beside})
        for each in left:
            counts["used" if len(each.numbers) >= config.frames else "too short a stretch"] += len(each.numbers)
            pieces += _pieces(each, config.frames)
    if not pieces:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in counts.items() if count)
        raise UserError(
            f"No {config.frames} frames of the footage that follow each other can be learned from ({reasons}).",
            "Choose footage in which one person is seen well for longer.",
            title="Nothing to learn",
        )
    clips = _clips(pieces, {one.footage.id: one for one in analyses}, config)
    numbers = np.concatenate([stretch.numbers for stretch, _ in pieces])
    speed = np.concatenate([stretch.speed for stretch, _ in pieces])
    windows, still = windows_of(clips, speed, config.frames, filters)
    told = {
        "size": list(clips[0].crop.size),
        "factor": config.factor,
        "frames": config.frames,
        "skeleton": analyses[0].track.skeleton,
        "style": config.pose_style,
        "filters": asdict(filters),
        "seed": seed,
        "guard": holding.GUARD,
        "sources": [
            {
                "footage": one.footage.id,
                "name": one.footage.name,
                "path": str(one.footage.path.resolve()),
                "fps": str(one.footage.fps),
                "frames": one.footage.frames,
                "shots": len(one.footage.shots),
            }
            for one in analyses
        ],
        "counts": {"frames": dict(counts), "windows": {"used": len(windows), "still": still}},
        "held_out": [asdict(one) for one in held_out],
        "clips": [asdict(clip) for clip in clips],
    }
    return _Plan(clips, numbers, speed, told)


def _stretches(analysis: Analysis, filters: Filters, counts: Counter[str], fresh: NDArray[np.bool_]) -> list[Stretch]:
    """Runs of frames that may be learned from; adds to the counts how many may not, by the first reason.

    Fresh [T] are those that do not repeat the one before.
    """
    footage, track = analysis.footage, analysis.track
    person, sure = track.person, _sureness(track) >= filters.sure
    allowed = inside(footage.ranges, footage.frames)
    reasons = ("outside the ranges", "no person", "not sure", "repeated")
    good = np.ones(footage.frames, bool)
    for reason, passed in zip(reasons, (allowed, person, sure, fresh), strict=True):
        counts[reason] += int((good & ~passed).sum())
        good &= passed
    found = []
    for first, last in usable_runs(person & sure, footage.shots, footage.ranges).tolist():
        numbers = (first + np.flatnonzero(fresh[first : last + 1])).astype(np.int32)
        if len(numbers):
            found.append(Stretch(footage.id, numbers, _speed(track, numbers, float(footage.fps))))
    return found


def repeated(thumbnails: NDArray[np.uint8], share: float) -> NDArray[np.bool_]:
    """Which frames only repeat the one before, as when 24 frames are stretched to 30, or recorders stutter.

    The step to such a frame is less than a share of the steps right before and after it; where somebody stands still,
    or for a moment between two moves, these are small as well. Frames that are shown three times are not recognised.

    Parameters
    ----------
    thumbnails : uint8 [T, h, w]
    share : float

    Returns
    -------
    bool [T]
    """
    steps = np.array([np.abs(b.astype(np.int16) - a).mean() for a, b in pairwise(thumbnails)])
    padded = np.pad(steps, 1)
    around = np.minimum(padded[:-2], padded[2:])
    return np.concatenate([[False], (steps < share * around) & (around >= _STEP)])


def _sureness(track: PoseTrack) -> NDArray[np.float64]:
    """Mean confidence [T] of the core's joints inside the picture (those outside have none)."""
    core = track.confidence[:, SKELETONS[track.skeleton].core].astype(np.float64)
    mean: NDArray[np.float64] = core.sum(1) / np.maximum((core > 0).sum(1), 1)
    return mean


def _speed(track: PoseTrack, numbers: NDArray[np.int32], fps: float) -> NDArray[np.float32]:
    """Torso lengths a second [n], since the frame before, on the mean of the core's joints that are seen."""
    skeleton = SKELETONS[track.skeleton]
    joints = track.image[numbers].astype(np.float64)
    torso = joints[:, skeleton.torso]
    around = 2 * round(fps) + 1
    length = percentile_filter(
        np.linalg.norm(torso[:, :2].mean(1) - torso[:, 2:].mean(1), axis=-1), _TORSO_PERCENTILE, around, mode="nearest"
    )
    seen = track.confidence[numbers][:, skeleton.core] >= _SEEN
    both = seen[1:] & seen[:-1]
    steps = np.where(both, np.linalg.norm(np.diff(joints[:, skeleton.core], axis=0), axis=-1), 0)
    mean = steps.sum(1) / np.maximum(both.sum(1), 1)
    speed = mean / np.maximum(length[1:], 1.0) * fps / np.diff(numbers)
    return np.asarray(np.concatenate([[0.0], speed]), np.float32)


def _pieces(stretch: Stretch, frames: int) -> Iterator[tuple[Stretch, int]]:
    """Clips of a stretch, and how many windows begin in each; every window is one of exactly one clip."""
    starts = len(stretch.numbers) - frames + 1
    count = -(-starts // ((_LONGEST - 1) * frames + 1)) if starts > 0 else 0
    for number in range(count):
        first, end = starts * number // count, starts * (number + 1) // count
        length = end - first + frames - 1
        yield stretch[first : first + length], end - first if number + 1 < count else length


def _clips(pieces: Sequence[tuple[Stretch, int]], analyses: dict[str, Analysis], config: Config) -> tuple[Clip, ...]:
    """Clips with their crops, of one aspect: the config's, or the middle one of their own."""
    poses = [(analyses[stretch.footage], stretch.numbers) for stretch, _ in pieces]

    def crops(aspect: float | None) -> Iterator[Any]:
        for analysis, numbers in poses:
            joints, confidence = analysis.track.image[numbers], analysis.track.confidence[numbers]
            yield plan_crop(joints, confidence, analysis.footage.size, config.size, config.multiple, aspect)

    aspect = config.aspect or float(np.median([crop.size[0] / crop.size[1] for crop in crops(None)]))
    rows = np.cumsum([0, *(len(stretch.numbers) for stretch, _ in pieces)]).tolist()
    return tuple(
        Clip(stretch.footage, row, len(stretch.numbers), owned, crop)
        for (stretch, owned), row, crop in zip(pieces, rows[:-1], crops(aspect), strict=True)
    )


def _write(plan: _Plan, analyses: Sequence[Analysis], config: Config, folder: Path, progress: Progress) -> None:
    """Write the arrays, reading each footage once from start to end."""
    skeleton, style = SKELETONS[plan.told["skeleton"]], STYLES[config.pose_style]
    rows, joints, sides = len(plan.numbers), len(skeleton.joints), (plan.size[1], plan.size[0], 3)
    with ExitStack() as stack:

        def writer(name: str, shape: tuple[int, ...], kind: type[np.generic]) -> ArrayWriter:
            return stack.enter_context(ArrayWriter(folder / f"{name}.npy", shape, kind))

        pictures, maps = writer("pictures", (rows, *sides), np.uint8), writer("maps", (rows, *sides), np.uint8)
        places = writer("joints", (rows, joints, 2), np.float32)
        confidence = writer("confidence", (rows, joints), np.float32)
        writer("numbers", (rows,), np.int32).put(0, plan.numbers)
        writer("speed", (rows,), np.float32).put(0, plan.speed)
        done = 0
        for analysis in analyses:
            wanted = sorted(
                (int(plan.numbers[row]), row, clip.crop)
                for clip in plan.clips
                if clip.footage == analysis.footage.id
                for row in range(clip.row, clip.row + clip.frames)
            )
            with FrameReader(analysis.footage) as reader:
                for number, row, crop in wanted:
                    progress.update(done / rows)
                    done += 1
                    seen, sure = crop.joints(analysis.track.image[[number]]), analysis.track.confidence[[number]]
                    pictures.put(row, crop.cut(reader.frame(number)))
                    maps.put(row, draw_run(seen, sure, skeleton, crop.size, style))
                    places.put(row, seen)
                    confidence.put(row, sure)


def _key(
    analyses: Sequence[Analysis], config: Config, held_out: Sequence[HeldOut] | None, filters: Filters, seed: int
) -> str:
    """A hash of all that decides the clips."""
    return settings_hash(
        {
            "version": VERSION,
            "sources": [
                [
                    *(one.footage.id, str(one.footage.fps), one.footage.ranges.tolist(), one.footage.shots.tolist()),
                    hashlib.sha256(one.track.image.tobytes() + one.track.confidence.tobytes()).hexdigest(),
                ]
                for one in analyses
            ],
            "config": [config.frames, config.context, config.size, config.multiple, config.factor, config.aspect],
            "style": config.pose_style,
            "held out": None if held_out is None else [asdict(one) for one in held_out],
            "filters": asdict(filters),
            "seed": seed,
        }
    )


def _is_video(file: Path) -> bool:
    return file.is_file() and file.suffix.lower() in VIDEOS and not file.name.startswith(".")
