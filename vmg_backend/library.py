"""The library on disk: what was computed from footage, and can be computed again."""

from __future__ import annotations

import json
import re
import shutil
import time
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .background.plate import plate_of
from .errors import UserError
from .files import cache_root, content_hash, settings_hash, write_json, writing
from .footage import Footage, FrameReader, check_same_format, open_footage
from .footage.decoding import check_file
from .footage.opening import usable_ranges
from .graph import looks
from .graph.build import GraphSettings, build_graph
from .graph.features import MotionFeatures, motion_features
from .graph.matching import VELOCITY_SECONDS, WINDOW
from .graph.motion_graph import MotionGraph
from .graph.pairs import Matches
from .interpolation.cache import TransitionCache
from .pose.track import PoseEstimator, PoseTrack
from .progress import SILENT, Progress

FEATURES_VERSION = "3"
"""Changes whenever features or edges are computed differently: older graphs are then not used any more."""

INDEX_VERSION = "2"
"""Changes whenever more is noted about a footage: it is then decoded again."""

PLATE_VERSION = "1"
"""Likewise for background plates."""

LOOK_VERSION = "1"
"""Likewise for what footages look like."""

_STALE_SECONDS = 24 * 3600

_OURS = re.compile(
    r"footage/[0-9a-f]{64}/(index(-\w+)?\.npz|footage\.json|(poses|plate|look)-\w+\.npz|\.vmg-[^/]*)"
    r"|(graphs|matches)/([0-9a-f]{16}|\.vmg-[^/]*)\.npz"
    r"|transitions/([0-9a-f]{16}|\.vmg-[^/]*)/(\d{4,}\.png|skeleton\.npz|about\.json|\.vmg-[^/]*)"
    r"|transitions/\.jobs/[^/]*"
)


@dataclass(frozen=True)
class FootageLibrary:
    """A folder of poses, graphs and generated transitions, filed by the content that they were made from.

    Each file is whole or absent, so that a job that was killed leaves a library that the next one goes on with.

    Attributes
    ----------
    root : Path
    """

    root: Path

    @classmethod
    def default(cls) -> Self:
        """The library in the user's cache."""
        return cls(cache_root() / "library")

    def identity(self, path: Path, progress: Progress = SILENT) -> str:
        """The content hash of a file."""
        return content_hash(path, progress)

    def footage(
        self,
        path: Path,
        *,
        fps: Fraction | None = None,
        ranges: Sequence[tuple[int, int]] | None = None,
        identity: str | None = None,
        progress: Progress = SILENT,
    ) -> Footage:
        """Describe a video file, decoding it only the first time; see `open_footage`.

        `identity` is its content hash, where that is known already.
        """
        check_file(path)
        index = self.root / "footage" / (identity or self.identity(path, progress)) / f"index-{INDEX_VERSION}.npz"
        if _whole(index):
            known = _load_footage(index, path)
            if known.damage:
                warnings.warn(known.damage, stacklevel=2)
        else:
            known = open_footage(path, progress=progress)
            _save_footage(index, known)
        return replace(known, fps=fps or known.fps, ranges=usable_ranges(ranges, known.frames, path))

    def remember(self, footage: Footage, fps: Fraction | None, ranges: Sequence[tuple[int, int]] | None) -> None:
        """Note where an analysed footage lies and how it is to be read, for `entries`."""
        entry = {
            "path": str(footage.path.resolve()),
            "fps": str(fps) if fps else None,
            "ranges": [list(pair) for pair in ranges] if ranges else None,
        }
        write_json(self.root / "footage" / footage.id / "footage.json", entry)

    def forget(self, name: str) -> Path:
        """Take a footage, by path or content hash, out of `entries`; what was computed from it stays.

        Raises
        ------
        UserError
            When no such footage was analysed.
        """
        for file in sorted(self.root.glob("footage/*/footage.json")):
            path = Path(json.loads(file.read_text("utf-8"))["path"])
            if name == file.parent.name or Path(name).resolve() == path:
                file.unlink()
                return path
        raise UserError(
            f"The library {self.root} holds no footage {name}.", "Give the path that it was analysed at, or its hash."
        )

    def entries(self) -> list[tuple[Path, Fraction | None, tuple[tuple[int, int], ...] | None]]:
        """Path, stated rate and ranges of each analysed footage, by path.

        Raises
        ------
        UserError
            When nothing was analysed yet.
        """
        found = [json.loads(file.read_text("utf-8")) for file in self.root.glob("footage/*/footage.json")]
        if not found:
            raise UserError(
                f"The library {self.root} holds no footage yet.",
                "Name footage files, or run `vmg analyze FOOTAGE...` first.",
            )
        return [
            (
                Path(entry["path"]),
                Fraction(entry["fps"]) if entry["fps"] else None,
                tuple((a, b) for a, b in entry["ranges"]) if entry["ranges"] else None,
            )
            for entry in sorted(found, key=lambda entry: entry["path"])
        ]

    def has_poses(self, footage: Footage, estimator: PoseEstimator) -> bool:
        """Whether the poses of a footage were estimated."""
        return _whole(self.poses_file(footage, estimator))

    def poses(
        self, footage: Footage, estimator: PoseEstimator, *, workers: int = 1, progress: Progress = SILENT
    ) -> PoseTrack:
        """The poses of a footage, estimated only the first time."""
        file = self.poses_file(footage, estimator)
        if not _whole(file):
            estimator.track(footage, workers=workers, progress=progress).save(file)
        return PoseTrack.load(file)

    def poses_file(self, footage: Footage, estimator: PoseEstimator) -> Path:
        """Where the poses of a footage are, or would be."""
        key = settings_hash({"estimator": estimator.name, "version": estimator.version, "fps": str(footage.fps)})
        return self.root / "footage" / footage.id / f"poses-{key}.npz"

    def graph(
        self,
        footages: Sequence[Footage],
        tracks: Sequence[PoseTrack],
        settings: GraphSettings,
        progress: Progress = SILENT,
    ) -> tuple[MotionGraph, MotionFeatures]:
        """The motion graph of footages with their poses, built only the first time, and its features.

        Raises
        ------
        UserError
            When the footages differ in size or rate, or show no person.
        """
        check_same_format(footages)
        features = motion_features(list(footages), list(tracks))
        if not len(features.runs):
            raise UserError(
                f"No person was found in {', '.join(footage.name for footage in footages)}.",
                "Choose footage in which one person is seen, large enough and well lit.",
                title="No person found",
            )
        seen = [self.look(*both) for both in zip(footages, tracks, strict=True)] if len(footages) > 1 else []
        groups = looks.groups(seen) if seen and not settings.mix else [0] * len(footages)
        for (_, other), why in looks.reasons(seen, groups).items():
            apart = ", ".join(footage.name for footage, group in zip(footages, groups, strict=True) if group == other)
            warnings.warn(f"{apart}: not cut together with the footage before ({why}; --mix does)", stacklevel=2)
        given = [_given(footage, features, number) for number, footage in enumerate(footages)]
        key = settings_hash(
            {"version": FEATURES_VERSION, "settings": asdict(settings), "footages": given, "groups": groups}
        )
        file = self.root / "graphs" / f"{key}.npz"
        if not _whole(file):
            store = _MatchFiles(self.root / "matches", given, settings.band_seconds)
            names = tuple(footage.id for footage in footages)
            build_graph(features, names, settings, progress, groups=groups, store=store).save(file)
        return MotionGraph.load(file), features

    def look(self, footage: Footage, track: PoseTrack, progress: Progress = SILENT) -> looks.Look:
        """What a footage looks like, by some of its frames; looked at only the first time."""
        person = footage.ranges.tolist(), int(track.person.sum())
        key = settings_hash({"version": LOOK_VERSION, "skeleton": track.skeleton, "ranges": person})
        file = self.root / "footage" / footage.id / f"look-{key}.npz"
        if not _whole(file):
            looks.look_of(footage, track, progress).save(file)
        return looks.Look.load(file)

    def plate(self, footage: Footage, progress: Progress = SILENT) -> NDArray[np.uint8] | None:
        """The empty background [H, W, 3] of a footage whose camera stands still, estimated only the first time.

        Returns
        -------
        uint8 [H, W, 3] or None
            None where the camera or the background moves.
        """
        key = settings_hash({"version": PLATE_VERSION, "ranges": footage.ranges.tolist()})
        file = self.root / "footage" / footage.id / f"plate-{key}.npz"
        if not _whole(file):
            with FrameReader(footage) as reader:
                plate = plate_of(footage, reader, progress)
            with writing(file) as temporary, temporary.open("wb") as stream:
                np.savez_compressed(stream, image=plate.image, still=np.array(plate.still))
        with np.load(file, allow_pickle=False) as data:
            return data["image"] if data["still"] else None

    @property
    def transitions(self) -> TransitionCache:
        """The generated transitions."""
        return TransitionCache(self.root / "transitions")

    def files(self) -> list[Path]:
        """Everything here that a library wrote, told by its name; a person's own files are none of it."""
        names = (str(file.relative_to(self.root).as_posix()) for file in self.root.rglob("*") if not file.is_dir())
        return sorted(self.root / name for name in names if _OURS.fullmatch(name))

    def clear(self, progress: Progress = SILENT) -> None:
        """Delete `files`, and the folders that are empty then."""
        files = self.files()
        for number, file in enumerate(files):
            progress.update(number / len(files))
            file.unlink(missing_ok=True)
        folders = {parent for file in files for parent in file.parents if self.root in parent.parents}
        for folder in sorted(folders, reverse=True):
            if not any(folder.iterdir()):
                folder.rmdir()

    def check(self) -> list[Path]:
        """Files that cannot be read; none in a sound library. Leftovers of killed jobs are removed when a day old."""
        broken = []
        for file in sorted(self.root.rglob("*")):
            if file.name.startswith(".vmg-"):
                if time.time() - file.stat().st_mtime > _STALE_SECONDS:
                    shutil.rmtree(file) if file.is_dir() else file.unlink()
            elif (file.suffix == ".npz" and not _whole(file)) or (file.suffix == ".png" and not file.stat().st_size):
                broken.append(file)
        return broken


def _given(footage: Footage, features: MotionFeatures, number: int) -> list[object]:
    """What the features of one footage of a graph were made from."""
    first, end = features.offsets[number : number + 2]
    runs = features.runs[(features.runs[:, 0] >= first) & (features.runs[:, 0] < end)] - first
    return [footage.id, str(footage.fps), footage.ranges.tolist(), footage.shots.tolist(), runs.tolist()]


@dataclass(frozen=True)
class _MatchFiles:
    """The matches of footages, filed by what they were found in; whoever adds a footage finds those of the others."""

    folder: Path
    given: Sequence[object]
    band_seconds: float

    def _file(self, first: int, second: int) -> Path:
        key = settings_hash(
            {
                "version": FEATURES_VERSION,
                "band": self.band_seconds,
                "window": [*WINDOW, VELOCITY_SECONDS],
                "footages": [self.given[first], self.given[second]],
            }
        )
        return self.folder / f"{key}.npz"

    def load(self, first: int, second: int) -> Matches | None:
        """The matches of two footages, where they are known."""
        file = self._file(first, second)
        return Matches.load(file) if _whole(file) else None

    def save(self, first: int, second: int, matches: Matches) -> None:
        """Keep them."""
        matches.save(self._file(first, second))


def _whole(file: Path) -> bool:
    """Whether a file is there and undamaged; anything else is made again."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except (FileNotFoundError, NotADirectoryError, zipfile.BadZipFile):
        return False


def _save_footage(file: Path, footage: Footage) -> None:
    with writing(file) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(
            stream,
            fps=np.array([footage.fps.numerator, footage.fps.denominator]),
            size=np.array(footage.size),
            rotation=np.array(footage.rotation),
            pts=footage.pts,
            time_base=np.array([footage.time_base.numerator, footage.time_base.denominator]),
            variable_rate=np.array(footage.variable_rate),
            shots=footage.shots,
            damaged=np.array(footage.damaged),
        )


def _load_footage(file: Path, path: Path) -> Footage:
    with np.load(file, allow_pickle=False) as data:
        pts = data["pts"]
        return Footage(
            id=file.parent.name,
            path=path,
            fps=Fraction(*(int(value) for value in data["fps"])),
            size=(int(data["size"][0]), int(data["size"][1])),
            rotation=int(data["rotation"]),
            pts=pts,
            time_base=Fraction(*(int(value) for value in data["time_base"])),
            variable_rate=bool(data["variable_rate"]),
            shots=data["shots"],
            ranges=np.array([[0, len(pts) - 1]], dtype=np.int32),
            damaged=bool(data["damaged"]),
        )
