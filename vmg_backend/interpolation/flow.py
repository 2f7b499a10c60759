"""A moving morph of the two continuations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import cv2
import numpy as np
from numpy.typing import NDArray

from ..background.matte import Matte, PersonMatte
from ..pose.skeletons import MEDIAPIPE, Skeleton
from ..progress import SILENT, Progress
from .guide import Guide
from .interpolator import Frames, Gap, Preview, crossing_weights, smooth_step
from .mattes import limbs_of, mattes_of_sides, sure_limbs
from .morph import Field, Lines, after, difference, halves, line_field, residual_flow, sample, spread
from .parallel import in_parallel
from .surroundings import surroundings

_FLOW_SIZE = 512
"""Longer side in px at which fields are computed."""
_MARGIN = 0.06
"""Room around the person, as a share of the person's longer side."""
_NEUTRAL = 0.5
"""What stands for the background while the person's motion is looked for."""
_AGREED, _APART = 0.15, 0.45
"""Distances of a joint between both continuations, in the person's size: below they agree, above the guide is heard."""
_ALIKE, _UNLIKE = 0.10, 0.25
"""Differences (of 1) between the two warped people: below they mix, above the nearer one is shown alone."""
_SWITCH = 0.06
"""Weight on either side of one half over which the shown one changes where the two are unlike."""


@dataclass(frozen=True)
class _Crop:
    """The part of the picture that the person needs, and the scale at which fields are computed there."""

    top: int
    left: int
    height: int
    width: int

    @property
    def window(self) -> tuple[slice, slice]:
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    @property
    def scale(self) -> float:
        return min(1.0, _FLOW_SIZE / max(self.height, self.width))

    @property
    def small(self) -> tuple[int, int]:
        """Height and width of the fields."""
        return max(16, round(self.height * self.scale)), max(16, round(self.width * self.scale))


class Flow:
    """Moving morph: at each moment both real frames are brought into one pose between theirs and mixed.

    First the skeletons move limbs onto limbs, then dense optical flow aligns what is left, on the person alone; where
    the two people still differ, the nearer one is shown alone, so that no limb is seen twice. The background is the
    real one of both sides, with the plate (or, where the camera moves, the other side) where the person hid it.

    Parameters
    ----------
    skeleton : Skeleton, optional
        Of the gap's joints.
    matting : callable, optional
        Makes what cuts the person out.
    guide : Guide, optional
        What draws the joints on the way; without one they go from the one side to the other as those cross over.
    """

    name = "flow"
    version = "2"

    def __init__(
        self,
        skeleton: Skeleton = MEDIAPIPE,
        matting: Callable[[], PersonMatte] = PersonMatte,
        guide: Guide | None = None,
    ) -> None:
        self._matting = matting
        self.guide = guide
        self._bones = limbs_of(skeleton)

    def given(self, length: int) -> int:
        """One real frame on either side."""
        return 1

    def fill(self, gap: Gap, progress: Progress = SILENT, preview: Preview | None = None) -> Frames:
        """The n frames [n, H, W, 3] of `gap`."""
        cutting = progress.part(0.0, 0.5, "Cutting out the person")
        mattes_a, mattes_b = mattes_of_sides(gap, self._bones, self._matting, cutting)
        weights = crossing_weights(gap.length)
        a_lines, b_lines, between, sure = self._lines(gap, weights)
        beyond = _beyond((a_lines[sure], b_lines[sure]), between[sure]) if gap.wanted else (0, 0, 0, 0)
        crop = _crop_of([*mattes_a, *mattes_b], beyond)

        def draw(k: int) -> NDArray[np.uint8]:
            a, b, weight = gap.outgoing.frames[k], gap.incoming.frames[k], float(weights[k])
            picture = surroundings(a, b, mattes_a[k], mattes_b[k], gap.plate_before, gap.plate_after, weight)
            if crop is not None:
                window = crop.window
                layer = _person(
                    (_cut_out(a[window], mattes_a[k][window]), _cut_out(b[window], mattes_b[k][window])),
                    (_scaled(a_lines[k][sure[k]], crop), _scaled(b_lines[k][sure[k]], crop)),
                    _scaled(between[k][sure[k]], crop),
                    crop,
                    weight,
                )
                clear = spread(1.0 - layer[..., 3], 3)
                picture[window] = layer[..., :3] + clear * picture[window]
            return np.asarray(np.rint(np.clip(picture, 0.0, 1.0) * 255.0), np.uint8)

        return np.stack(in_parallel(draw, range(gap.length), progress.part(0.5, 1.0, "Morphing")))

    def _lines(self, gap: Gap, weights: NDArray[np.float64]) -> tuple[Lines, Lines, Lines, NDArray[np.bool_]]:
        """Both sides' bones [n, L, 2, 2] in px, those in between, and which [n, L] are sure on both sides."""
        a, b = gap.outgoing, gap.incoming
        joints_a = a.joints.astype(np.float64)
        apart = _smoothed(b.joints - joints_a)
        between = joints_a + weights[:, None, None] * apart
        if gap.guide:
            heard = np.float64(1.0) if gap.wanted else _disagreement(apart, _size(joints_a))[:, None]
            between += heard * np.nan_to_num(gap.guide.joints - between)
        ends_a, ends_b, bent = (joints[:, self._bones] for joints in (joints_a, joints_a + apart, between))
        sure_a, sure_b = (sure_limbs(side.joints, side.confidence, self._bones) for side in (a, b))
        return ends_a, ends_b, bent, sure_a & sure_b & np.isfinite(ends_b).all(axis=(-2, -1))


def _smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the first axis by 1-2-1, the ends as they are; joints jitter, the distance of two continuations does not."""
    padded = np.concatenate([values[:1], values, values[-1:]])
    return np.asarray((padded[:-2] + 2.0 * padded[1:-1] + padded[2:]) / 4.0, np.float64)


def _disagreement(apart: NDArray[np.float64], size: float) -> NDArray[np.float64]:
    """How far two continuations `apart` [n, J, 2] show different motion, for each joint 0 to 1 [J].

    Where they agree, what they agree on is real motion, and no guess is better. One number for the whole gap: a joint
    that is guided now and then would tremble.
    """
    farthest = np.nan_to_num(np.linalg.norm(apart, axis=-1)).max(axis=0) / size
    return smooth_step(np.clip((farthest - _AGREED) / (_APART - _AGREED), 0.0, 1.0))


def _size(joints: NDArray[np.float64]) -> float:
    """Root mean square distance of joints [n, J, 2] from their middle, px."""
    offsets = joints - np.nanmean(joints, axis=1, keepdims=True)
    return max(float(np.sqrt(np.nanmean((offsets**2).sum(axis=-1)))), 1.0)


def _crop_of(mattes: list[Matte], beyond: tuple[int, ...]) -> _Crop | None:
    """Around all mattes, with some room and px `beyond` (above, left, below, right); None when there is nobody."""
    covered = reduce(np.maximum, mattes) > 0.02
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    if len(rows) == 0:
        return None
    room = int(_MARGIN * max(rows[-1] - rows[0], columns[-1] - columns[0])) + 4
    above, left_of, below, right_of = (room + more for more in beyond)
    top, left = max(0, int(rows[0]) - above), max(0, int(columns[0]) - left_of)
    bottom = min(covered.shape[0], int(rows[-1]) + below + 1)
    right = min(covered.shape[1], int(columns[-1]) + right_of + 1)
    return _Crop(top, left, bottom - top, right - left)


def _beyond(sides: tuple[Lines, Lines], between: Lines) -> tuple[int, ...]:
    """How many px (above, left, below, right) limbs go further out than on both sides."""
    if len(between) == 0:
        return (0, 0, 0, 0)
    real = np.concatenate(sides)
    less = real.min(axis=(0, 1)) - between.min(axis=(0, 1))
    more = between.max(axis=(0, 1)) - real.max(axis=(0, 1))
    return tuple(max(0, math.ceil(px)) for px in (less[1], less[0], more[1], more[0]))


def _scaled(lines: Lines, crop: _Crop) -> Lines:
    ratio = np.array([crop.small[1] / crop.width, crop.small[0] / crop.height])
    return np.asarray((lines - (crop.left, crop.top) + 0.5) * ratio - 0.5, np.float64)


def _cut_out(frame: NDArray[np.uint8], matte: Matte) -> NDArray[np.float32]:
    """Premultiplied colour and alpha [H, W, 4] in 0..1."""
    return np.dstack([frame.astype(np.float32) / 255.0 * spread(matte, 3), matte])


def _person(
    people: tuple[NDArray[np.float32], NDArray[np.float32]],
    lines: tuple[Lines, Lines],
    between: Lines,
    crop: _Crop,
    weight: float,
) -> NDArray[np.float32]:
    """One person [H, W, 4], premultiplied, of the two cut-out ones mixed by `weight`, with limbs on `between`."""
    height, width = crop.small
    posed = [line_field(between, side, (height, width)) for side in lines]
    small = [_resized(person, (height, width)) for person in people]
    forth, back = residual_flow(*(_grey(sample(image, field)) for image, field in zip(small, posed, strict=True)))
    fields = [after(field, half) for field, half in zip(posed, halves(forth, back, weight), strict=True)]
    a, b = (
        sample(person, _enlarged(field, crop), cv2.INTER_CUBIC) for person, field in zip(people, fields, strict=True)
    )
    share = _share_of_b(a, b, weight, crop)
    return np.asarray(np.clip(a + spread(share, 4) * (b - a), 0.0, 1.0), np.float32)


def _grey(person: NDArray[np.float32]) -> NDArray[np.uint8]:
    """What the flow looks at: the person before a neutral background, whose edge shows the outline."""
    colour = person[..., :3] + spread((1.0 - person[..., 3]) * np.float32(_NEUTRAL), 3)
    return np.asarray(
        np.rint(np.clip(colour @ np.array([0.299, 0.587, 0.114], np.float32), 0.0, 1.0) * 255.0), np.uint8
    )


def _resized(image: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), np.float32)


def _enlarged(field: Field, crop: _Crop) -> Field:
    height, width = crop.small
    full = cv2.resize(field, (crop.width, crop.height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(full * np.array([crop.width / width, crop.height / height], np.float32), np.float32)


def _share_of_b(a: NDArray[np.float32], b: NDArray[np.float32], weight: float, crop: _Crop) -> NDArray[np.float32]:
    """The weight of `b` in each pixel: `weight` where the two look alike, nearly all or nothing where not."""
    unlike = cv2.GaussianBlur(difference(a, b), (0, 0), max(1.0, 2.0 / crop.scale))
    unlike = np.clip((unlike - _ALIKE) / (_UNLIKE - _ALIKE), 0.0, 1.0)
    switched = np.clip((weight - 0.5) / (2.0 * _SWITCH) + 0.5, 0.0, 1.0)
    return np.asarray(weight + unlike * (switched - weight), np.float32)
