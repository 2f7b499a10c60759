"""Where the person is in a frame."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

Matte = NDArray[np.float32]
"""Share of the person in each pixel [H, W], 0 (background) to 1."""

_WORKING_SIZE = 640
"""Longer side in px at which mattes are refined; the network itself sees 256."""
_SPECK = 0.02
"""Pieces smaller than this share of the largest one are no part of the person."""
_REACH = 0.05
"""How far outside the network's matte a difference to the plate may still be the person, as a share of its height."""
_WRIST = 0.025
"""Thickness of a limb at its thinnest, as a share of the person's height."""
_SAME, _DIFFERENT = 8.0, 40.0
"""Differences to the plate in levels: below is noise, above is no shadow."""


class PersonMatte:
    """Cuts the person out of frames; a context manager that holds mediapipe's networks.

    The segmentation of its pose network is the better one (whole hands, no furniture), but finds nobody where its
    detector does not (blurred, small or turned away people): there its segmentation of whole frames steps in. Each
    frame is looked at on its own, so that the matte of a frame does not depend on the frames seen before it.
    """

    def __enter__(self) -> Self:
        import mediapipe as mp

        self._open = ExitStack()
        self._pose = self._open.enter_context(
            mp.solutions.pose.Pose(static_image_mode=True, model_complexity=1, enable_segmentation=True)
        )
        self._whole = self._open.enter_context(mp.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def matte(
        self,
        frame: NDArray[np.uint8],
        plate: NDArray[np.uint8] | None = None,
        limbs: NDArray[np.float64] | None = None,
    ) -> Matte:
        """The person's matte [H, W]; all 0 where no person is found.

        Parameters
        ----------
        frame : uint8 [H, W, 3]
        plate : uint8 [H, W, 3], optional
            The empty background: what differs from it near the person belongs to the person.
        limbs : float [L, 2, 2], optional
            Ends of bones in px, where they are known: what lies on them is the person (a foot that the network missed).
        """
        height, width = frame.shape[:2]
        found = self._pose.process(frame).segmentation_mask
        if found is None:
            found = self._whole.process(frame).segmentation_mask
        scale = min(1.0, _WORKING_SIZE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = _resized(frame, size)
        matte = np.asarray(cv2.resize(found, size, interpolation=cv2.INTER_AREA), np.float32)
        if limbs is not None:
            matte = with_limbs(matte, (limbs + 0.5) * np.divide(size, (width, height)) - 0.5)
        matte = _edge_aware(matte, small)
        if plate is not None:
            matte = with_plate(matte, small, _resized(plate, size))
        matte = without_specks(matte)
        return np.asarray(cv2.resize(matte, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def with_limbs(matte: Matte, limbs: NDArray[np.float64]) -> Matte:
    """The matte with the bones [L, 2, 2] (px) drawn in, about as thick as a wrist."""
    if len(limbs) == 0:
        return matte
    thickness = max(1, round(_WRIST * float(np.ptp(limbs[..., 1]))))
    drawn = np.zeros(matte.shape, np.uint8)
    for start, end in np.rint(limbs).astype(int).tolist():
        cv2.line(drawn, start, end, [255.0], thickness, cv2.LINE_AA)
    return np.maximum(matte, drawn.astype(np.float32) / 255.0)


def with_plate(matte: Matte, frame: NDArray[np.uint8], plate: NDArray[np.uint8]) -> Matte:
    """The matte corrected by the difference between the frame and the empty background.

    Near the person, what clearly differs from the plate is added (a hand that the network missed); where the
    network is unsure, what equals the plate is taken away. Inside the person nothing is taken away: clothes may have
    the wall's colour.
    """
    difference = cv2.absdiff(cv2.GaussianBlur(frame, (0, 0), 1.0), cv2.GaussianBlur(plate, (0, 0), 1.0)).max(axis=2)
    share = np.clip((difference.astype(np.float32) - _SAME) / (_DIFFERENT - _SAME), 0.0, 1.0)
    rows = np.flatnonzero((matte > 0.5).any(axis=1))
    if len(rows) == 0:
        return matte
    reach = max(1, round(_REACH * (rows[-1] - rows[0] + 1)))
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    near = cv2.GaussianBlur(cv2.dilate(matte, square), (0, 0), 0.5 * reach)
    added = np.where(share > 0.99, share, 0.0).astype(np.float32)
    added = cv2.GaussianBlur(cv2.morphologyEx(added, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), (0, 0), 0.8) * near
    sure = np.clip((matte - 0.6) / 0.3, 0.0, 1.0)
    kept = matte * (sure + (1.0 - sure) * share)
    return np.maximum(kept, added).astype(np.float32)


def without_specks(matte: Matte) -> Matte:
    """The matte without pieces that are far smaller than the person."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((matte > 0.1).astype(np.uint8), connectivity=8)
    if count <= 1:
        return np.zeros_like(matte)
    areas = stats[1:, cv2.CC_STAT_AREA]
    person = np.concatenate([[False], areas >= _SPECK * areas.max()])
    return np.where(person[labels], matte, np.float32(0.0))


def _edge_aware(matte: Matte, frame: NDArray[np.uint8]) -> Matte:
    """The network's coarse matte drawn to the edges of the picture (He et al. 2010, Guided Image Filtering)."""
    guide = frame.astype(np.float32) / 255.0
    radius = max(2, round(max(matte.shape) / 128))
    filtered = cv2.ximgproc.guidedFilter(guide, matte, radius, 1e-4)
    return np.clip((filtered - 0.15) / 0.7, 0.0, 1.0).astype(np.float32)


def _resized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if image.shape[1::-1] == size:
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
