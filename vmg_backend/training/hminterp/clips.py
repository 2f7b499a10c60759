"""Clips: what a training sees of footage, on disk and as batches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from ...errors import UserError
from ...files import check_space, writing
from ...interpolation.crop import Crop
from ...interpolation.hminterp.autoencoder import encode
from ...pose.skeletons import SKELETONS
from ...progress import SILENT, Progress
from .arrays import REMEDY, ArrayWriter, mapped
from .hands import hand_weights
from .held_out import HeldOut

FILE = "clips.json"
VERSION = 1
"""Changes whenever clips are prepared differently: older ones are then made anew."""
_PIECE = 2
"""Pictures that are encoded between two looks at whether the person cancels."""


@dataclass(frozen=True)
class Filters:
    """What is not worth learning.

    Attributes
    ----------
    sure : float
        Least mean confidence of the core's joints that lie inside the picture, in each frame.
    still : float
        Torso lengths a second below which a window counts as still, on the mean of its sure joints and frames. Somebody
        who stands still has 0.02 to 0.05, with the estimator's noise; slow tai chi 0.05 to 0.15.
    still_kept : float
        Share of still windows that are kept: a person who stands still is to be learned, too, but not most of the time.
    repeated : float
        A frame repeats the one before where it differs from it by less than this share of what its neighbours differ.
    """

    sure: float = 0.5
    still: float = 0.05
    still_kept: float = 0.25
    repeated: float = 0.2


@dataclass(frozen=True)
class Clip:
    """A run of frames of one shot, seen through one crop.

    Attributes
    ----------
    footage : str
        Content hash.
    row : int
        Of its first frame, in all arrays.
    frames : int
    owned : int
        Windows begin in so many of its first frames; those that begin later are windows of the next clip, with which it
        shares its last frames.
    crop : Crop
    """

    footage: str
    row: int
    frames: int
    owned: int
    crop: Crop


@dataclass(frozen=True)
class Window:
    """So many frames of a clip, from one of them on."""

    clip: int
    first: int
    frames: int


@dataclass(frozen=True)
class Batch:
    """B windows of F frames.

    Attributes
    ----------
    pictures : [B, F, 3, H, W]
        In 0..1.
    maps : [B, 3, F, H, W]
        Pose maps in 0..1.
    weights : [B, 1, F, h, w]
        Of the loss: more where a hand is confidently seen.
    latents : [B, F, c, h, w], optional
        Scaled, as `encode` gives them, where they are kept.
    """

    pictures: Tensor
    maps: Tensor
    weights: Tensor
    latents: Tensor | None


class Clips:
    """Clips that `prepare` wrote.

    Parameters
    ----------
    folder : Path

    Attributes
    ----------
    folder : Path
    told : dict
        What `clips.json` says: sources, filters, counts by reason and all else that a note on a model may want to say.
    clips : tuple of Clip
    held_out : tuple of HeldOut
        Gaps that no window touches, nor comes near to.
    size : (int, int)
        Width and height of all pictures.
    skeleton : Skeleton
        Of the joints.

    Raises
    ------
    UserError
        When there are none, or they are damaged or of another version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told = read(folder)
        self.clips = tuple(_clip(told) for told in self.told["clips"])
        self.held_out = tuple(HeldOut(**{**told, "frames": tuple(told["frames"])}) for told in self.told["held_out"])
        self.size: tuple[int, int] = (self.told["size"][0], self.told["size"][1])
        self._filters = Filters(**self.told["filters"])
        self.skeleton = SKELETONS[self.told["skeleton"]]
        rows = self.clips[-1].row + self.clips[-1].frames
        sides, joints = (self.size[1], self.size[0], 3), len(self.skeleton.joints)
        self._pictures = mapped(folder / "pictures.npy", (rows, *sides), np.uint8)
        self._maps = mapped(folder / "maps.npy", (rows, *sides), np.uint8)
        self._joints = mapped(folder / "joints.npy", (rows, joints, 2), np.float32)
        self._confidence = mapped(folder / "confidence.npy", (rows, joints), np.float32)
        self._speed = mapped(folder / "speed.npy", (rows,), np.float32)
        self.numbers = mapped(folder / "numbers.npy", (rows,), np.int32)
        self._latents: list[NDArray[Any]] = []

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The clips of a folder."""
        return cls(folder)

    @property
    def aspect(self) -> float:
        """Width over height of all pictures, for the config of a model that is trained on them."""
        return self.size[0] / self.size[1]

    def windows(self, frames: int) -> list[Window]:
        """All windows of so many frames that are to be trained on, in the order of the footage.

        Raises
        ------
        UserError
            When all clips are shorter.
        """
        found, _ = windows_of(self.clips, self._speed, frames, self._filters)
        if not found:
            raise UserError(
                f"No clip in {self.folder} has {frames} frames.", "Add longer footage, or choose shorter windows."
            )
        return found

    def batch(self, windows: Sequence[Window], device: torch.device, hands: float = 1.0) -> Batch:
        """What a training sees of windows of one length.

        Parameters
        ----------
        windows : sequence of Window
        device : torch.device
        hands : float
            Weight of the loss where a hand is confidently seen.
        """
        rows = [slice(first := self.clips[one.clip].row + one.first, first + one.frames) for one in windows]

        def levels(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(np.stack([array[each] for each in rows])).to(device).float() / 255.0

        weights = np.stack([self._weights(each, hands) for each in rows])
        kept = [self._latents[one.clip][one.first : one.first + one.frames] for one in windows if self._latents]
        return Batch(
            pictures=levels(self._pictures).permute(0, 1, 4, 2, 3).contiguous(),
            maps=levels(self._maps).permute(0, 4, 1, 2, 3).contiguous(),
            weights=torch.from_numpy(weights)[:, None].to(device),
            latents=torch.from_numpy(np.stack(kept)).to(device).float() if kept else None,
        )

    def pictures(self, random: np.random.Generator, count: int, device: torch.device) -> Batch:
        """A batch of `count` windows of one frame, any of all, each as likely as the others."""
        return self.batch([self._alone[each] for each in random.integers(len(self._alone), size=count)], device)

    def keep_latents(self, autoencoder: AutoencoderKL, device: torch.device, progress: Progress = SILENT) -> None:
        """Encode all frames, once for each autoencoder; batches have the latents from then on.

        They lie in the clips' folder in half precision, a file for each clip: work that was interrupted goes on there.

        Parameters
        ----------
        autoencoder : AutoencoderKL
            Frozen; moved to the device.
        device : torch.device
        progress : Progress

        Raises
        ------
        UserError
            When the disk has no room, or latents are too large for half precision.
        """
        autoencoder.to(device)
        key = _hash(autoencoder, progress)
        folder = self.folder / "latents" / key
        files = [folder / f"{number:05d}.npy" for number in range(len(self.clips))]
        factor = 1 << len(autoencoder.config["block_out_channels"]) - 1
        shape = (autoencoder.config["latent_channels"], self.size[1] // factor, self.size[0] // factor)
        missing = [(clip, file) for clip, file in zip(self.clips, files, strict=True) if not file.exists()]
        size = 2 * sum(clip.frames for clip, _ in missing) * int(np.prod(shape))
        check_space(self.folder, size, "Keeping the latents", "Free some space there.")
        for number, (clip, file) in enumerate(missing):
            part = progress.part(number / len(missing), (number + 1) / len(missing))
            latents = self._encoded(autoencoder, clip, device, part)
            with writing(file) as temporary, ArrayWriter(temporary, latents.shape, np.float16) as array:
                array.put(0, latents)
        self._latents = [
            mapped(file, (clip.frames, *shape), np.float16) for clip, file in zip(self.clips, files, strict=True)
        ]

    def poses(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Joints [F, J, 2] of a window, px of its pictures, and their confidence [F, J]."""
        first = self.clips[window.clip].row + window.first
        rows = slice(first, first + window.frames)
        return np.array(self._joints[rows]), np.array(self._confidence[rows])

    @cached_property
    def _alone(self) -> list[Window]:
        return self.windows(1)

    @torch.no_grad()
    def _encoded(
        self, autoencoder: AutoencoderKL, clip: Clip, device: torch.device, progress: Progress
    ) -> NDArray[np.float16]:
        """Latents [n, c, h, w] of a clip's frames."""
        pieces = []
        for first in range(0, clip.frames, _PIECE):
            progress.update(first / clip.frames)
            rows = slice(clip.row + first, clip.row + min(first + _PIECE, clip.frames))
            pictures = torch.from_numpy(self._pictures[rows].copy()).to(device).permute(0, 3, 1, 2).float() / 255.0
            pieces.append(encode(autoencoder, 2.0 * pictures - 1.0).half().cpu().numpy())
        latents: NDArray[np.float16] = np.concatenate(pieces)
        if not np.isfinite(latents).all():
            raise UserError(
                "The autoencoder's latents are too large to be kept.", "Train it longer, or at a lower rate."
            )
        return latents

    def _weights(self, rows: slice, hands: float) -> NDArray[np.float32]:
        cells = (self.size[0] // self.told["factor"], self.size[1] // self.told["factor"])
        joints, confidence = self._joints[rows], self._confidence[rows]
        return hand_weights(joints, confidence, self.skeleton, cells, self.told["factor"], hands)


def windows_of(
    clips: Sequence[Clip], speed: NDArray[np.float32], frames: int, filters: Filters
) -> tuple[list[Window], int]:
    """Windows of so many frames that are to be trained on, and how many still ones were left out.

    Parameters
    ----------
    clips : sequence of Clip
    speed : float32 [rows]
        Since the frame before, torso lengths a second.
    frames : int
    filters : Filters
    """
    found: list[Window] = []
    still = kept = 0
    for number, clip in enumerate(clips):
        way = np.cumsum(speed[clip.row : clip.row + clip.frames], dtype=np.float64)
        for first in range(min(clip.owned, clip.frames - frames + 1)):
            if frames > 1 and way[first + frames - 1] - way[first] < filters.still * (frames - 1):
                still += 1
                if kept >= filters.still_kept * still:
                    continue
                kept += 1
            found.append(Window(number, first, frames))
    return found, still - kept


def read(folder: Path) -> dict[str, Any]:
    """What `clips.json` of a folder says.

    Raises
    ------
    UserError
        When there is none of this version.
    """
    try:
        told: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"There are no clips in {folder}.", REMEDY, title="File missing") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / FILE} cannot be read: {error}.", REMEDY, title="File damaged") from error
    if told.get("version") != VERSION:
        raise UserError(f"The clips in {folder} are of another version.", REMEDY, title="Another version")
    return told


def _clip(told: dict[str, Any]) -> Clip:
    crop = told["crop"]
    return Clip(**{**told, "crop": Crop(**{**crop, "size": tuple(crop["size"])})})


def _hash(autoencoder: AutoencoderKL, progress: Progress) -> str:
    """Of all that decides the latents."""
    digest = hashlib.sha256(str(autoencoder.config["scaling_factor"]).encode())
    for name, tensor in sorted(autoencoder.state_dict().items()):
        progress.check()
        digest.update(name.encode() + tensor.float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
