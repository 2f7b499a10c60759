"""Filling the transitions of a path with generated frames."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path as FilePath

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..files import settings_hash, writing_folder
from ..footage import Footage, FrameReader
from ..library import FootageLibrary
from ..motion.gap import CONTEXT, Side
from ..pose.drawing import save_skeleton
from ..pose.track import PoseTrack
from ..progress import SILENT, Progress, shares
from ..search.path import Path, Transition
from .edited import edited_bytes, edited_picture
from .interpolator import Continuation, Frames, Gap, Interpolator

_FAST_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]


@dataclass(frozen=True)
class Material:
    """A footage, its poses, and its empty background where the camera stands still.

    Attributes
    ----------
    footage : Footage
    track : PoseTrack
    plate : uint8 [H, W, 3] or None
    """

    footage: Footage
    track: PoseTrack
    plate: NDArray[np.uint8] | None

    @cached_property
    def key(self) -> str:
        """A hash of what was estimated of the footage: joints and plate decide the pixels as the footage does."""
        digest = hashlib.sha256(self.track.image.tobytes() + self.track.confidence.tobytes())
        digest.update(b"" if self.plate is None else self.plate.tobytes())
        return digest.hexdigest()[:16]


def fill_transitions(
    path: Path,
    materials: Mapping[str, Material],
    engine: Interpolator,
    library: FootageLibrary,
    progress: Progress = SILENT,
    only: Collection[int] | None = None,
) -> Path:
    """The path with all transitions filled that are not pinned; frames that are in the library are not made again.

    The library's transitions are then brought back within their limit.

    Parameters
    ----------
    path : Path
    materials : mapping of str to Material
        By content hash.
    engine : Interpolator
    library : FootageLibrary
        Where the frames are kept.
    progress : Progress
    only : collection of int, optional
        Ids of the transitions that are to be filled; the others stay as they are.
    """
    cache = library.transitions
    wanted = [one for one in path.transitions if only is None or one.id in only]
    filled: dict[int, Transition] = {}
    with cache.working(folders_of(path)):
        for transition, made in fill(wanted, path.seed, materials, engine, cache.take, progress):
            filled[transition.id] = transition
            if made:
                cache.note(str(transition.hash), engine.name)
        cache.clean()
    return path.with_transitions([filled.get(one.id, one) for one in path.transitions])


def fill(
    transitions: Sequence[Transition],
    seed: int,
    materials: Mapping[str, Material],
    engine: Interpolator,
    place: Callable[[str], FilePath],
    progress: Progress = SILENT,
    preview: Callable[[int, NDArray[np.uint8]], None] | None = None,
) -> Iterator[tuple[Transition, bool]]:
    """Fill one transition after the other; each comes as soon as its frames are there.

    Parameters
    ----------
    transitions : sequence of Transition
        Pinned ones that have frames stay as they are.
    seed : int
        The path's.
    materials : mapping of str to Material
        By content hash.
    engine : Interpolator
    place : callable
        The folder of the frames, named by the transition's hash; frames that lie there are not made again.
    progress : Progress
    preview : callable, optional
        Gets a transition's id and pictures [h, w, 3] of what its middle frame is becoming.

    Yields
    ------
    transition : Transition
        Filled.
    made : bool
        Whether its frames were made now.
    """
    with ExitStack() as stack:
        readers = {key: stack.enter_context(FrameReader(material.footage)) for key, material in materials.items()}
        folders = [place(transition_hash(transition, materials, engine, seed)) for transition in transitions]
        work = [0 if folder.is_dir() else one.frames for folder, one in zip(folders, transitions, strict=True)]
        for transition, folder, share in zip(transitions, folders, shares(work), strict=True):
            part = progress.part(*share, "Transitions")
            part.update(0.0)
            if transition.pinned and transition.frames_dir:
                yield transition, False
                continue
            missing = not _whole(folder, transition.frames, materials[transition.to.footage].footage.size)
            if missing:
                gap = gap_of(transition, materials, readers, seed, engine.given(transition.frames))
                if engine.guide:
                    gap = replace(gap, guide=engine.guide.draw(gap), wanted=engine.guide.wanted)
                frames = engine.fill(gap, part, preview and partial(preview, transition.id))
                with writing_folder(folder) as temporary:
                    _write(temporary, frames)
                    if gap.guide and engine.guide:
                        save_skeleton(temporary, gap.guide.joints, gap.guide.confidence, engine.guide.skeleton)
            yield replace(transition, engine=engine.name, hash=folder.name, frames_dir=str(folder)), missing


def transition_hash(transition: Transition, materials: Mapping[str, Material], engine: Interpolator, seed: int) -> str:
    """The hash of everything that decides a transition's pixels."""
    edited = {"to_image": hashlib.sha256(edited_bytes(transition.to_image)).hexdigest()} if transition.to_image else {}
    return settings_hash(
        {
            **edited,
            "engine": engine.name,
            "version": engine.version,
            "guide": engine.guide.version if engine.guide else None,
            "seed": seed,
            "from": [transition.from_.footage, transition.from_.frame],
            "to": [transition.to.footage, transition.to.frame],
            "match": transition.match,
            "frames": transition.frames,
            "materials": [materials[side.footage].key for side in (transition.from_, transition.to)],
        }
    )


def gap_of(
    transition: Transition, materials: Mapping[str, Material], readers: Mapping[str, FrameReader], seed: int, given: int
) -> Gap:
    """What the engine gets: `given` real frames on either side, both continuations through the gap, and the plates."""
    before, after = transition.from_.footage, transition.to.footage
    i, j = transition.match[0], transition.match[1] - 1
    half = transition.half
    around = max(given, CONTEXT)
    # in the order of the files' frames: each jump back costs decoding from a key frame on
    lead = _around(materials[before], readers[before], transition.from_.frame, np.arange(1 - given, 1))
    outgoing = _continuation(materials[before], readers[before], i, half)
    incoming = _continuation(materials[after], readers[after], j, half)
    trail = _around(materials[after], readers[after], transition.to.frame, np.arange(given))
    if transition.to_image:
        trail[0] = edited_picture(transition.to_image, materials[after].footage.size)
    return Gap(
        lead=lead,
        trail=trail,
        outgoing=outgoing,
        incoming=incoming,
        plate_before=materials[before].plate,
        plate_after=materials[after].plate,
        before=_poses(materials[before], transition.from_.frame, np.arange(1 - around, 1)),
        after=_poses(materials[after], transition.to.frame, np.arange(around)),
        seed=seed,
    )


def _continuation(material: Material, reader: FrameReader, frame: int, half: int) -> Continuation:
    first, last = frame - half + 1, frame + half
    return Continuation(
        frames=np.stack(list(reader.frames(first, last))),
        joints=material.track.image[first : last + 1],
        confidence=material.track.confidence[first : last + 1],
    )


def _around(material: Material, reader: FrameReader, frame: int, around: NDArray[np.int64]) -> Frames:
    """The frames `around` one; the last of its shot on that side for those that are not of it."""
    held = _held(material, frame, around)
    frames = list(reader.frames(int(held[0]), int(held[-1])))
    return np.stack([frames[index - held[0]] for index in held])


def _held(material: Material, frame: int, around: NDArray[np.int64]) -> NDArray[np.int64]:
    """Frames `around` one, held within its shot."""
    shots = material.footage.shots
    first, last = shots[(shots[:, 0] <= frame) & (frame <= shots[:, 1])][0]
    return np.clip(frame + around, first, last)


def _poses(material: Material, frame: int, around: NDArray[np.int64]) -> Side:
    """Poses of the frames `around` one, NaN where they are not of its shot."""
    held = _held(material, frame, around)
    there = held == frame + around
    joints = np.where(there[:, None, None], material.track.image[held], np.nan)
    confidence = np.where(there[:, None], material.track.confidence[held], 0.0)
    return Side(joints.astype(np.float32), confidence.astype(np.float32))


def _whole(folder: FilePath, frames: int, size: tuple[int, int]) -> bool:
    """Whether all frames are there and can be read: a killed disk or a person may have taken some away."""
    pictures = [_picture(file) for file in _files(folder, frames)]
    return all(picture is not None and picture.shape[1::-1] == size for picture in pictures)


def _files(folder: FilePath, frames: int) -> list[FilePath]:
    return [folder / f"{index:04d}.png" for index in range(frames)]


def _picture(file: FilePath) -> NDArray[np.uint8] | None:
    """The BGR picture in a file; None where there is none that can be read."""
    data = np.fromfile(file, dtype=np.uint8) if file.is_file() else np.zeros(0, dtype=np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    return None if picture is None else picture.astype(np.uint8, copy=False)


def _write(folder: FilePath, frames: Frames) -> None:
    for file, frame in zip(_files(folder, len(frames)), frames, strict=True):
        good, data = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), _FAST_PNG)
        if not good:
            raise ValueError(f"{file.name} could not be encoded")
        file.write_bytes(data.tobytes())


def folders_of(path: Path) -> list[FilePath]:
    """The folders of generated frames that a path shows."""
    return [FilePath(one.frames_dir) for one in path.transitions if one.frames_dir]


def read_transition(transition: Transition) -> Frames:
    """The generated frames [n, H, W, 3] of a filled transition.

    Raises
    ------
    UserError
        When it is not filled, or its frames are gone.
    """
    remedy = "Put them back, or unpin it." if transition.pinned else "Run `vmg generate PATH.json`."
    if transition.frames_dir is None:
        raise UserError(f"Transition {transition.id} is not filled yet.", "Run `vmg generate PATH.json`.")
    folder = FilePath(transition.frames_dir)
    found = map(_picture, _files(folder, transition.frames))
    frames = [picture for picture in found if picture is not None]
    if len(frames) != transition.frames or len({picture.shape for picture in frames}) != 1:
        raise UserError(
            f"Frames of transition {transition.id} are missing, damaged or of different sizes in {folder}.", remedy
        )
    return np.stack([cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) for picture in frames])
