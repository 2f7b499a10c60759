"""Pose maps: pictures of a skeleton, as generative models are shown poses."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .mapping import convert
from .skeletons import COCO18, COCO_WHOLEBODY, Skeleton

Floats = NDArray[np.floating[Any]]
Picture = NDArray[np.uint8]

_HALF_LIMB, _DOT, _FINGER, _FACE_DOT = 4, 4, 2, 3
"""px of the canvas: half the breadth of a limb, radius of a joint, breadth of a finger, radius of a face point."""
_DIMMED = 0.6
"""Limbs are that much darker than joints."""


@dataclass(frozen=True)
class MapStyle:
    """How a pose map is drawn.

    Attributes
    ----------
    name : str
        Key in `STYLES`.
    canvas : int
        Short side in px of the canvas, on which limbs are 8 px broad and joints 4 px in radius, whatever the picture's
        size; it is then scaled to that. So the skeleton is as broad as the picture's short side wants it.
    by_confidence : bool
        Whether colours are multiplied by confidence: of the joint, or of both joints of a limb.
    body_cut, detail_cut : float
        Least confidence of joints of the body, and of hands and face, that are drawn. Limbs need both their joints.
    face : bool
        Whether the 68 points of the face are drawn, so far as there are any.
    hands : bool
        Whether fingers are drawn.
    swapped : bool
        Whether red and blue change places.
    """

    name: str
    canvas: int
    by_confidence: bool
    body_cut: float
    detail_cut: float
    face: bool
    hands: bool = True
    swapped: bool = False


VMG = MapStyle("vmg", canvas=512, by_confidence=False, body_cut=0.3, detail_cut=0.3, face=False)
"""Video Motion Graphs says no more than that 2D poses are rendered as RGB videos (figure 3). Its pose guider is that of
Animate Anyone, whose public code draws like DWPose: full brightness, a hard cut, a canvas of 512 px."""

MIMICMOTION = MapStyle("mimicmotion", canvas=2160, by_confidence=True, body_cut=0.0, detail_cut=0.0, face=True)
"""MimicMotion's paper: confidence is brightness, in place of a threshold. The canvas is that of its code."""

MIMICMOTION_RELEASED = MapStyle(
    "mimicmotion_released", canvas=2160, by_confidence=True, body_cut=0.3, detail_cut=0.0, face=True, swapped=True
)
"""MimicMotion's released code: the body is cut hard as well, hands and face are not; and the picture is turned from BGR
to RGB although it was drawn as RGB."""

VACE = MapStyle(
    "vace", canvas=1024, by_confidence=False, body_cut=0.3, detail_cut=0.3, face=True, hands=False, swapped=True
)
"""What VACE's public code makes of a video's poses: DWPose's body and face without hands, at 1024 px, red and blue
swapped (its issue 134 asks whether the model was trained so; nobody has answered)."""

STYLES = {style.name: style for style in (VMG, MIMICMOTION, MIMICMOTION_RELEASED, VACE)}


def _rainbow(count: int) -> NDArray[np.float64]:
    """Colours [count, 3] of evenly spaced hues, from red on."""
    return 255.0 * np.array([colorsys.hsv_to_rgb(number / count, 1, 1) for number in range(count)])


_LIMBS = np.array(
    [
        COCO18.index(*limb.split())
        for limb in (
            *("neck right_shoulder", "neck left_shoulder"),
            *("right_shoulder right_elbow", "right_elbow right_wrist"),
            *("left_shoulder left_elbow", "left_elbow left_wrist"),
            *("neck right_hip", "right_hip right_knee", "right_knee right_ankle"),
            *("neck left_hip", "left_hip left_knee", "left_knee left_ankle"),
            *("neck nose", "nose right_eye", "right_eye right_ear", "nose left_eye", "left_eye left_ear"),
        )
    ]
)
"""OpenPose's limbs, in the order in which they are coloured and drawn."""
_BODY = slice(0, 18)
_BODY_COLOURS = _rainbow(18)
_HANDS = (COCO18.left_hand, COCO18.right_hand)
_FINGER_COLOURS = _rainbow(20)
_HAND_DOTS, _FACE_DOTS = np.array([0, 0, 255]), np.array([255, 255, 255])
_FACE = [number for number, joint in enumerate(COCO_WHOLEBODY.joints) if joint.startswith("face_")]
_TURN = np.linspace(0, 2 * np.pi, 72, endpoint=False)[:, None]


def draw(
    joints: NDArray[np.float32],
    confidence: NDArray[np.float32],
    skeleton: Skeleton,
    size: tuple[int, int],
    style: MapStyle = VMG,
) -> NDArray[np.uint8]:
    """Draw a pose: OpenPose's 18 joints and both hands.

    Parameters
    ----------
    joints : float32 [J, 2]
        px of the picture; NaN where unknown. What lies outside the picture is cut off.
    confidence : float32 [J]
        0 (unknown) to 1.
    skeleton : Skeleton
        COCO18, or one that can be converted to it.
    size : tuple of int
        (width, height) of the picture in px.
    style : MapStyle

    Returns
    -------
    uint8 [H, W, 3]
        RGB on black.

    Raises
    ------
    UserError
        When the skeleton cannot be converted.
    """
    sides = np.rint(np.array(size) * style.canvas / min(size)).astype(int)
    canvas = np.zeros((sides[1], sides[0], 3), np.uint8)

    def placed(target: Skeleton) -> tuple[Floats, Floats]:
        found, sure = convert(joints, confidence, skeleton, target)
        known = np.isfinite(found).all(-1)
        # The middle of a picture's first pixel is at half a px, that of a canvas's, for OpenCV, at 0.
        return np.where(known[:, None], found, 0) * (sides / size) - 0.5, np.where(known, sure, 0)

    points, sure = placed(COCO18)
    light = _light(sure, style.body_cut, style)
    _ellipses(canvas, points[_LIMBS], light[_LIMBS].prod(-1), _DIMMED * _BODY_COLOURS[: len(_LIMBS)])
    _dots(canvas, points[_BODY], light[_BODY], _BODY_COLOURS, _DOT)
    light = _light(sure, style.detail_cut, style)
    for hand in _HANDS if style.hands else ():
        fingers = np.array([(COCO18.parents[joint], joint) for joint in hand[1:]])
        _lines(canvas, points[fingers], light[fingers].prod(-1), _FINGER_COLOURS)
        _dots(canvas, points[[*hand]], light[[*hand]], _HAND_DOTS, _DOT)
    if style.face:
        points, sure = placed(COCO_WHOLEBODY)
        _dots(canvas, points[_FACE], _light(sure[_FACE], style.detail_cut, style), _FACE_DOTS, _FACE_DOT)

    picture = _scaled(canvas, size)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) if style.swapped else picture, np.uint8)


def draw_run(
    joints: NDArray[np.float32],
    confidence: NDArray[np.float32],
    skeleton: Skeleton,
    size: tuple[int, int],
    style: MapStyle = VMG,
) -> NDArray[np.uint8]:
    """Draw a run of poses, joints [T, J, 2] and confidence [T, J], as pictures [T, H, W, 3]; see `draw`."""
    pictures = np.empty((len(joints), size[1], size[0], 3), np.uint8)
    for picture, pose, sure in zip(pictures, joints, confidence, strict=True):
        picture[:] = draw(pose, sure, skeleton, size, style)
    return pictures


def _scaled(canvas: Picture, size: tuple[int, int]) -> Picture:
    """Bring the canvas to a size; by halves, so that nothing slips through between the samples of a small picture."""
    if min(canvas.shape[:2]) < 2 * min(size):
        return np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    half = cv2.resize(canvas, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return _scaled(np.asarray(half, np.uint8), size)


def _light(confidence: Floats, cut: float, style: MapStyle) -> Floats:
    """How bright each joint is, 0 to 1; those at 0 are not drawn."""
    return np.where(confidence >= cut, confidence if style.by_confidence else confidence > 0, 0)


def _ellipses(canvas: Picture, ends: Floats, light: Floats, colours: Floats) -> None:
    middle, half = ends.mean(1), (ends[:, 1] - ends[:, 0]) / 2
    across = half[:, ::-1] * (-1, 1) / np.maximum(np.linalg.norm(half, axis=-1, keepdims=True), 1e-6) * _HALF_LIMB
    outlines = middle[:, None] + np.cos(_TURN) * half[:, None] + np.sin(_TURN) * across[:, None]
    for outline, colour in _lit(outlines, light, colours):
        cv2.fillConvexPoly(canvas, outline, colour)


def _lines(canvas: Picture, ends: Floats, light: Floats, colours: Floats) -> None:
    for line, colour in _lit(ends, light, colours):
        cv2.line(canvas, line[0].tolist(), line[1].tolist(), colour, _FINGER)


def _dots(canvas: Picture, points: Floats, light: Floats, colours: Floats, radius: int) -> None:
    for point, colour in _lit(points, light, colours):
        cv2.circle(canvas, point.tolist(), radius, colour, cv2.FILLED)


def _lit(places: Floats, light: Floats, colours: Floats) -> Iterator[tuple[NDArray[np.int32], list[float]]]:
    """What is bright at all: its places in whole px of the canvas, and its colour."""
    shown = np.flatnonzero(light)
    whole = np.rint(places[shown]).astype(np.int32)
    lit = np.rint(np.broadcast_to(colours, (len(light), 3))[shown] * light[shown, None])
    return zip(whole, lit.tolist(), strict=True)
