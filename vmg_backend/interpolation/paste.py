"""From what a network made of a crop to whole frames."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..background.matte import Matte, PersonMatte
from ..pose.skeletons import MEDIAPIPE, Skeleton
from ..progress import SILENT, Progress
from .crop import Crop
from .interpolator import Frames, Gap, crossing_weights
from .mattes import limbs_of, mattes, mattes_of_sides, sure_limbs
from .parallel import in_parallel
from .surroundings import surroundings

_FEATHER = 0.08
"""Share of the crop's shorter side over which a whole crop fades into the picture."""
_EDGE = 0.02
"""The same for a person cut out, who may reach the crop's edge but must not end there at once."""


def paste_back(
    background: NDArray[np.uint8], patch: NDArray[np.uint8], crop: Crop, matte: Matte | None = None
) -> NDArray[np.uint8]:
    """A frame with the patch in the place that its crop was taken from.

    Parameters
    ----------
    background : uint8 [H, W, 3]
        Its pixels outside the crop, and where the matte is 0, stay bit for bit.
    patch : uint8 [h, w, 3]
        At the size at which the network sees the crop.
    crop : Crop
    matte : float32 [h, w] or [height, width], optional
        The person in the patch, the only one to be shown; without it the whole patch is, with soft edges.
    """
    picture = (background.shape[1], background.shape[0])
    if matte is None:
        return crop.paste(background, patch, crop.feather(picture, _FEATHER))
    alpha = np.clip(crop.fitted(matte), 0.0, 1.0) * crop.feather(picture, _EDGE)
    return crop.paste(background, patch, alpha)


def paste_gap(
    gap: Gap,
    patches: Frames,
    crop: Crop,
    matting: Callable[[], PersonMatte] = PersonMatte,
    skeleton: Skeleton = MEDIAPIPE,
    progress: Progress = SILENT,
) -> Frames:
    """The frames [n, H, W, 3] of a gap from the patches [n, h, w, 3] that a network made of its crop.

    Where the camera stands still, the person is cut out of the patches and shown over the real background, with the
    plate where the person hid it. Elsewhere nobody knows where the background has got to but the network: the whole
    patch is shown, with soft edges, over the background of both sides moved with the camera.
    """
    bones = limbs_of(skeleton)
    weights = crossing_weights(gap.length)
    cutting = progress.part(0.0, 0.4, "Cutting out the person")
    mattes_a, mattes_b = mattes_of_sides(gap, bones, matting, cutting)

    def scene(k: int) -> NDArray[np.uint8]:
        a, b = gap.outgoing.frames[k], gap.incoming.frames[k]
        plates = gap.plate_before, gap.plate_after
        empty = surroundings(a, b, mattes_a[k], mattes_b[k], *plates, float(weights[k]))
        return np.asarray(np.rint(np.clip(empty, 0.0, 1.0) * 255.0), np.uint8)

    scenes = in_parallel(scene, range(gap.length), progress.part(0.4, 0.6, "Background"))
    people: list[Matte | None] = [None] * gap.length
    if gap.plate_before is not None and gap.plate_after is not None:
        limbs = [np.zeros((0, 2, 2))] * gap.length
        if gap.guide:
            sure = sure_limbs(gap.guide.joints, gap.guide.confidence, bones)
            placed = crop.joints(gap.guide.joints) * np.divide((crop.width, crop.height), crop.size)
            limbs = [joints[bones[known]] for joints, known in zip(placed, sure, strict=True)]
        seen = [(crop.fitted(patch), None, lines) for patch, lines in zip(patches, limbs, strict=True)]
        people = [*mattes(seen, matting, progress.part(0.6, 0.9, "Cutting out the person"))]
    layers = zip(scenes, patches, people, strict=True)
    return np.stack([paste_back(background, patch, crop, matte) for background, patch, matte in layers])
