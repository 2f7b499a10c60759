"""What makes poses of one person comparable: one length for each bone, and a place in the room."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .skeletons import ROOT, SKELETONS, Skeleton
from .smoothing import runs
from .track import PoseTrack

FOCAL_LENGTH = 1.0
"""Assumed focal length over the picture's longer side (a field of view of 53 degrees, a phone's video)."""

SCALE_HALF_WINDOW = 7
"""Frames on either side over which the size of the person in the picture is averaged."""


def normalize_bones(world: NDArray[np.float32], skeleton: Skeleton) -> NDArray[np.float32]:
    """Give each bone its median length over all frames and keep its direction.

    Parameters
    ----------
    world : float32 [T, J, 3]
        Joints in metres about the middle of the hips; NaN without a person.
    skeleton : Skeleton
        Its tree says which bones there are; those of the root start in the middle of the hips.

    Returns
    -------
    float32 [T, J, 3]
    """
    normalized = np.full_like(world, np.nan)
    if np.isnan(world).all():
        return normalized
    hips = np.zeros_like(world[:, 0])
    for joint in skeleton.order:
        parent = skeleton.parents[joint]
        bone = world[:, joint] - (hips if parent == ROOT else world[:, parent])
        length = np.linalg.norm(bone, axis=-1, keepdims=True)
        scale = np.nanmedian(length) / np.maximum(length, 1e-6)
        normalized[:, joint] = (hips if parent == ROOT else normalized[:, parent]) + bone * scale
    return normalized


def metres_per_pixel(track: PoseTrack, shots: NDArray[np.int32] | None = None) -> NDArray[np.float32]:
    """Find the size of a pixel at the person's distance.

    For each frame the one scale that takes the image joints to the world joints' x and y best, by least squares
    weighted by confidence (weak perspective), over shoulders, hips and limbs: a torso seen from above or a leg
    pointing at the camera is short in both. Then averaged over time within each stretch of frames with a person.

    Parameters
    ----------
    track : PoseTrack
    shots : int32 [S, 2], optional
        First and last frame of each shot, inclusive; nothing is averaged across their ends.

    Returns
    -------
    float32 [T]
        NaN without a person.
    """
    core = list(SKELETONS[track.skeleton].core)
    image = track.image[:, core].astype(np.float64)
    world = track.world[:, core, :2].astype(np.float64)
    weights = track.confidence[:, core].astype(np.float64) ** 2 + 1e-6
    total = weights.sum(1)[:, None, None]
    image -= (weights[:, :, None] * image).sum(1, keepdims=True) / total
    world -= (weights[:, :, None] * world).sum(1, keepdims=True) / total
    fit = (weights[:, :, None] * image * world).sum((1, 2))
    spread = (weights[:, :, None] * image**2).sum((1, 2))

    scale = np.full(len(image), np.nan, np.float32)
    window = np.hanning(2 * SCALE_HALF_WINDOW + 3)[1:-1]
    everything = np.array([[0, len(image) - 1]], np.int32)
    for first, last in runs(track.person, everything if shots is None else shots):
        part = slice(first, last + 1)
        # The ratio of averages, not the average of ratios: frames in which the person is spread wide say most.
        scale[part] = _convolve(fit[part], window) / np.maximum(_convolve(spread[part], window), 1e-9)
    return scale


def root_translation(
    track: PoseTrack, size: tuple[int, int], shots: NDArray[np.int32] | None = None
) -> NDArray[np.float32]:
    """Where the middle of the hips is in the room, seen from the camera.

    A pinhole camera with an assumed focal length f: a pixel is z / f metres wide at the distance z, so the person's
    size in the picture gives z, and the place of the hips in the picture x and y. Global joints are world joints plus
    this. A wrong f scales z by one factor and leaves x and y as they are.

    Parameters
    ----------
    track : PoseTrack
    size : tuple of int
        (width, height) of the footage in px.
    shots : int32 [S, 2], optional
        First and last frame of each shot, inclusive.

    Returns
    -------
    float32 [T, 3]
        Metres, x right, y down, z away; NaN without a person.
    """
    skeleton = SKELETONS[track.skeleton]
    hips = track.image[:, list(skeleton.index("left_hip", "right_hip"))].mean(1)
    scale = metres_per_pixel(track, shots)[:, None]
    centre = np.array(size, np.float32) / 2
    place: NDArray[np.float32] = np.concatenate([(hips - centre) * scale, scale * FOCAL_LENGTH * max(size)], axis=1)
    return place.astype(np.float32)


def _convolve(values: NDArray[np.float64], window: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum each value with its neighbours, over what there is of the window at the ends."""
    half = len(window) // 2
    result: NDArray[np.float64] = np.convolve(values, window)[half : half + len(values)]
    return result
