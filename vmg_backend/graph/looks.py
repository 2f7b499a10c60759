"""What footages look like: which of them share camera and clothes, so that a cut between them does not show.

A few frames of each are looked at. The camera is told by the picture in coarse cells without the person, the clothes by
the colour between shoulders and hips; both in CIELAB, where distances are as people see them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from ..files import writing
from ..footage import Footage, FrameReader
from ..pose.skeletons import SKELETONS
from ..pose.track import PoseTrack
from ..progress import SILENT, Progress
from .features import inside

CAMERA, CLOTHES = 6.0, 14.0
"""Distances in CIELAB up to which two backgrounds or two torsos are taken for the same, beyond how much they change
within one footage. 2.3 is just noticeable."""

_FRAMES = 12
_CELLS = 9
"""Cells along the shorter side of the picture."""
_AROUND = 0.25
"""How much further than the joints the person may reach, as a share of the person's size."""
_SURE = 0.5
"""Confidence of the joints that tell where the person is; a guess often lies out of the picture."""
_LEAST_CELLS = 0.1
"""Share of the cells that two backgrounds must have in common to be compared."""


@dataclass(frozen=True)
class Look:
    """What a footage looks like.

    Attributes
    ----------
    background : float32 [H, W, 3]
        Median colour of each cell without the person, CIELAB; NaN where the person always is.
    torso : float32 [3]
        Median colour of the torso, CIELAB; NaN where it was never seen.
    background_changes, torso_changes : float
        Median distance of single frames from these.
    """

    background: NDArray[np.float32]
    torso: NDArray[np.float32]
    background_changes: float
    torso_changes: float

    def save(self, path: Path) -> None:
        """Write it as ``.npz``, whole or not at all."""
        with writing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **{field.name: np.asarray(getattr(self, field.name)) for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            return cls(
                data["background"], data["torso"], float(data["background_changes"]), float(data["torso_changes"])
            )


@dataclass(frozen=True)
class Difference:
    """How two footages differ: distances in CIELAB beyond what changes within one of them; 0 where nothing tells."""

    camera: float
    clothes: float

    @property
    def same(self) -> bool:
        """Whether frames of one may follow those of the other."""
        return self.camera <= CAMERA and self.clothes <= CLOTHES

    @property
    def reason(self) -> str:
        """Why not, in words."""
        told = []
        if self.camera > CAMERA:
            told.append(f"the background differs by {self.camera:.0f} (at most {CAMERA:.0f} is taken for one camera)")
        if self.clothes > CLOTHES:
            told.append(f"the clothes differ by {self.clothes:.0f} (at most {CLOTHES:.0f} are taken for the same)")
        return " and ".join(told)


def look_of(footage: Footage, track: PoseTrack, progress: Progress = SILENT) -> Look:
    """Look at some frames of a footage in which a person is seen, or at any where there is none."""
    usable = np.flatnonzero(inside(footage.ranges, len(track.person)))
    shown = usable[track.person[usable]]
    usable = shown if len(shown) else usable
    chosen = usable[np.unique(np.linspace(0, len(usable) - 1, min(_FRAMES, len(usable))).round().astype(int))]
    pictures, torsos = [], []
    with FrameReader(footage) as reader:
        for count, k in enumerate(chosen.tolist()):
            progress.update(count / len(chosen))
            picture = np.asarray(
                cv2.cvtColor(reader.frame(k).astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB), np.float32
            )
            there = bool(track.person[k])
            sure = track.image[k, track.confidence[k] >= _SURE]
            pictures.append(_cells(picture, sure if there else sure[:0]))
            if there and (colours := _torso(picture, track, k)) is not None:
                torsos.append(colours)
    stack = np.array(pictures)
    seen = np.isfinite(stack).any(axis=(0, 3))
    background = np.full(stack.shape[1:], np.nan, np.float32)
    background[seen] = np.nanmedian(stack[:, seen], axis=0)
    changes = np.linalg.norm(stack[:, seen] - background[seen], axis=-1)
    torso = np.median(torsos, axis=0).astype(np.float32) if torsos else np.full(3, np.nan, np.float32)
    return Look(
        background,
        torso,
        float(np.nanmedian(changes)) if seen.any() else 0.0,
        float(np.median(np.linalg.norm(np.array(torsos) - torso, axis=1))) if torsos else 0.0,
    )


def difference(one: Look, other: Look) -> Difference:
    """How two footages of one size differ."""
    camera = 0.0
    common = np.isfinite(one.background[..., 0]) & np.isfinite(other.background[..., 0])
    if common.mean() >= _LEAST_CELLS:
        apart = np.linalg.norm(one.background[common] - other.background[common], axis=-1)
        camera = float(np.median(apart)) - max(one.background_changes, other.background_changes)
    clothes = 0.0
    if np.isfinite(one.torso).all() and np.isfinite(other.torso).all():
        clothes = float(np.linalg.norm(one.torso - other.torso)) - max(one.torso_changes, other.torso_changes)
    return Difference(max(camera, 0.0), max(clothes, 0.0))


def groups(looks: Sequence[Look]) -> list[int]:
    """A group for each footage, numbered as they first appear: what looks the same, directly or through others."""
    number = list(range(len(looks)))
    for a in range(len(looks)):
        for b in range(a):
            if number[a] != number[b] and difference(looks[a], looks[b]).same:
                number = [min(number[a], number[b]) if n in (number[a], number[b]) else n for n in number]
    order = list(dict.fromkeys(number))
    return [order.index(n) for n in number]


def reasons(looks: Sequence[Look], group: Sequence[int]) -> dict[tuple[int, int], str]:
    """For each two groups, why they are not mixed: of their footages, those that differ least."""
    told: dict[tuple[int, int], str] = {}
    for a in range(max(group, default=0) + 1):
        for b in range(a + 1, max(group, default=0) + 1):
            between = [
                difference(one, other)
                for one, of in zip(looks, group, strict=True)
                for other, of_other in zip(looks, group, strict=True)
                if (of, of_other) == (a, b)
            ]
            told[a, b] = min(between, key=lambda d: max(d.camera / CAMERA, d.clothes / CLOTHES)).reason
    return told


def _cells(picture: NDArray[np.float32], joints: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean colour of each cell; NaN where the person may be."""
    height, width = picture.shape[:2]
    size = min(height, width) / _CELLS
    shape = round(width / size), round(height / size)
    cells = cv2.resize(picture, shape, interpolation=cv2.INTER_AREA).astype(np.float32)
    if len(joints):
        low, high = np.nanmin(joints[:, :2], axis=0), np.nanmax(joints[:, :2], axis=0)
        around = _AROUND * float((high - low).max())
        scale = np.array(shape) / (width, height)
        x0, y0 = np.clip(np.floor((low - around) * scale), 0, shape).astype(int)
        x1, y1 = np.clip(np.ceil((high + around) * scale), 0, shape).astype(int)
        cells[y0:y1, x0:x1] = np.nan
    return cells


def _torso(picture: NDArray[np.float32], track: PoseTrack, frame: int) -> NDArray[np.float32] | None:
    """Median colour between shoulders and hips; None where that is out of the picture."""
    names = SKELETONS[track.skeleton].joints
    corners = [names.index(name) for name in ("left_shoulder", "right_shoulder", "right_hip", "left_hip")]
    points = track.image[frame, corners, :2].astype(np.float64)
    points = points.mean(axis=0) + 0.7 * (points - points.mean(axis=0))
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, points.round().astype(np.int32), (1,))
    return np.median(picture[mask > 0], axis=0) if mask.any() else None
