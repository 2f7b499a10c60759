"""Body and hands by mediapipe's holistic model (BlazePose, arXiv:2006.10204; MediaPipe Hands, arXiv:2006.10214)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..footage import Footage
from ..progress import SILENT, Progress
from . import processes
from .chunks import Chunk, plan
from .normalize import metres_per_pixel
from .skeletons import MEDIAPIPE
from .smoothing import half_window, runs, smooth
from .track import PoseTrack

CHUNK_FRAMES = 150
WARM_UP_FRAMES = 10
"""The tracker follows the person from frame to frame; after this many frames it no longer matters where it began."""

LONG_SIDE = 512
"""Larger pictures are scaled down to this first: the models look at crops of at most 256 px."""

LEAST_PRESENCE = 0.3
"""mediapipe's own score that it still follows a person; its default of 0.5 loses dancers in motion blur."""

LEAST_VISIBILITY = 0.35
SURE_VISIBILITY = 0.8
SURE_FRAMES = 3
"""Mean visibility of the core's joints inside the picture: each frame with a person has the least, and each
stretch of such frames is sure in so many of them. An office chair reaches 0.78 at best and 0.3 to 0.7 mostly; a
person sinks as low in motion blur, but not for a whole stretch."""

LEAST_INSIDE = 4
"""Joints of the core (of 12) that lie inside the picture, below which there is too little of a person."""

LEAST_EXTENT = 0.1
"""Diagonal of the core over the picture's shorter side, below which a person is too small to be believed."""

WRIST_DISTANCE = 0.08
"""Metres between the hand's root and the body's wrist at which the hand's confidence has fallen to 1/e."""

PALM = (0.04, 0.16)
"""Metres from the hand's root to the middle knuckle that a hand may have; 0.09 to 0.10 is usual."""

_LEFT_WRIST, _RIGHT_WRIST = MEDIAPIPE.index("left_wrist", "right_wrist")
_BODY = 33
_MIDDLE_KNUCKLE = 9


class MediapipeEstimator:
    """Finds one person's body and hands with mediapipe (CPU, its models come with its package).

    What the tracks hold beyond mediapipe's own numbers:

    - A body joint's confidence is mediapipe's visibility, and 0 outside the picture.
    - A hand's joints share one confidence, since mediapipe's visibility of hand joints is always 0: that of the body's
      wrist, times how close the hand's root is to that wrist, and 0 when the palm has no hand's size. Joints of a hand
      that was not found lie at the body's wrist with confidence 0.
    - mediapipe gives hands no world joints here: theirs are the image offsets from the hand's root (with mediapipe's
      depth, which is in px, too), scaled by the person's metres per pixel, put at the body's wrist.

    mediapipe's own smoothing stays off, since it follows late: played forwards and backwards, 300 frames of a fast
    dance lie 0.6 frames apart with it (a lag of 0.3 frames), 0.0 without.

    Parameters
    ----------
    smoothing : bool
        Smooth the joints over time without lag (`vmg_backend.pose.smoothing`).
    """

    name = "mediapipe-holistic"

    def __init__(self, smoothing: bool = True) -> None:
        self.smoothing = smoothing
        self.version = "1" if smoothing else "1-raw"

    def track(self, footage: Footage, *, workers: int = 1, progress: Progress = SILENT) -> PoseTrack:
        """Find the poses in every frame of `footage`; equal for any number of workers.

        Raises
        ------
        Cancelled
        UserError
            When the footage cannot be read.
        """
        chunks = plan(footage.shots, CHUNK_FRAMES, WARM_UP_FRAMES)
        landmarks = _Landmarks.join(
            processes.run(
                _track_chunk,
                [(footage, chunk) for chunk in chunks],
                steps=sum(chunk.last - chunk.start + 1 for chunk in chunks),
                workers=workers,
                progress=progress,
            )
        )
        return assemble(landmarks, footage, smoothing=self.smoothing)


@dataclass(frozen=True)
class _Landmarks:
    """What mediapipe says about some frames; NaN where it found nothing.

    Attributes
    ----------
    body : float32 [T, 33, 3]
        x, y in px, visibility.
    world : float32 [T, 33, 3]
    hands : float32 [T, 2, 21, 3]
        Left and right; x, y, z in px.
    """

    body: NDArray[np.float32]
    world: NDArray[np.float32]
    hands: NDArray[np.float32]

    @classmethod
    def empty(cls, frames: int) -> _Landmarks:
        shapes = ((frames, _BODY, 3), (frames, _BODY, 3), (frames, 2, 21, 3))
        return cls(*(np.full(shape, np.nan, np.float32) for shape in shapes))

    @classmethod
    def join(cls, parts: list[_Landmarks]) -> _Landmarks:
        return cls(
            np.concatenate([part.body for part in parts]),
            np.concatenate([part.world for part in parts]),
            np.concatenate([part.hands for part in parts]),
        )


def _track_chunk(job: tuple[Footage, Chunk], step: Callable[[], None]) -> _Landmarks:
    import cv2
    from mediapipe.python.solutions.holistic import Holistic

    from ..footage import FrameReader

    cv2.setNumThreads(1)  # the processes share the cores already
    footage, chunk = job
    landmarks = _Landmarks.empty(chunk.last - chunk.first + 1)
    width, height = footage.size
    scale = min(1.0, LONG_SIDE / max(width, height))
    small = (round(width * scale), round(height * scale))
    side = max(small)
    # mediapipe reads x and z over the picture's width and y over its height, of the square that it gets.
    to_pixels = np.array([side * width / small[0], side * height / small[1], side * width / small[0]], np.float32)

    model = Holistic(model_complexity=1, smooth_landmarks=False, min_tracking_confidence=LEAST_PRESENCE)
    with model, FrameReader(footage) as reader:
        for number, frame in enumerate(reader.frames(chunk.start, chunk.last), chunk.start):
            # Square, because in other pictures mediapipe shears turned hands ("NORM_RECT without IMAGE_DIMENSIONS").
            picture = np.zeros((side, side, 3), np.uint8)
            picture[: small[1], : small[0]] = cv2.resize(frame, small, interpolation=cv2.INTER_AREA)
            found = model.process(picture)
            step()
            at = number - chunk.first
            if at < 0 or found.pose_landmarks is None:
                continue
            landmarks.body[at] = _xyz(found.pose_landmarks) * to_pixels
            landmarks.body[at, :, 2] = [joint.visibility for joint in found.pose_landmarks.landmark]
            landmarks.world[at] = _xyz(found.pose_world_landmarks)
            for side_number, hand in enumerate((found.left_hand_landmarks, found.right_hand_landmarks)):
                if hand is not None:
                    landmarks.hands[at, side_number] = _xyz(hand) * to_pixels
    return landmarks


def _xyz(landmarks: Any) -> NDArray[np.float32]:  # noqa: ANN401 - a protobuf message
    return np.array([(joint.x, joint.y, joint.z) for joint in landmarks.landmark], np.float32)


def assemble(landmarks: _Landmarks, footage: Footage, *, smoothing: bool) -> PoseTrack:
    """Turn mediapipe's landmarks of all frames into a track."""
    size = footage.size
    person = find_person(landmarks.body, size, footage.shots)
    wrists = [_LEFT_WRIST, _RIGHT_WRIST]
    frames = len(person)
    body, world = landmarks.body[:, :, :2], landmarks.world
    confidence = np.where(_inside(body, size), landmarks.body[:, :, 2], 0)
    found = ~np.isnan(landmarks.hands[:, :, 0, 0])
    track = PoseTrack(
        image=np.concatenate([body, np.repeat(body[:, wrists], 21, axis=1)], axis=1),
        world=np.concatenate([world, np.repeat(world[:, wrists], 21, axis=1)], axis=1),
        confidence=np.concatenate([confidence, np.zeros((frames, 42))], axis=1).astype(np.float32),
        person=person,
        skeleton=MEDIAPIPE.name,
    )
    track = _without_absent(track)
    scale = metres_per_pixel(track, footage.shots)
    for side, joints in enumerate((MEDIAPIPE.left_hand, MEDIAPIPE.right_hand)):
        wrist = wrists[side]
        hand = landmarks.hands[:, side]
        trust = hand_confidence(hand, track.image[:, wrist], track.confidence[:, wrist], scale)
        seen = found[:, side] & (trust > 0)
        part = np.ix_(seen, joints)
        track.image[part] = hand[seen, :, :2]
        track.world[part] = track.world[seen, wrist, None] + (hand - hand[:, :1])[seen] * scale[seen, None, None]
        track.confidence[part] = trust[seen, None]
    if not smoothing:
        return track
    stretches, half = runs(person, footage.shots), half_window(float(footage.fps))
    return replace(
        track,
        image=smooth(track.image, track.confidence, stretches, half),
        world=smooth(track.world, track.confidence, stretches, half),
    )


def find_person(body: NDArray[np.float32], size: tuple[int, int], shots: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Tell in which frames what was found is a person, and seen well enough to be used.

    Parameters
    ----------
    body : float32 [T, 33, 3]
        x, y in px, visibility; NaN where nothing was found.
    size : tuple of int
        (width, height) in px.
    shots : int32 [S, 2]
        First and last frame of each shot, inclusive.

    Returns
    -------
    bool [T]
    """
    core = body[:, list(MEDIAPIPE.core)]
    inside = _inside(core[:, :, :2], size)
    count = inside.sum(1)
    visibility = np.where(inside, core[:, :, 2], 0).sum(1) / np.maximum(count, 1)
    extent = np.linalg.norm(core[:, :, :2].max(1) - core[:, :, :2].min(1), axis=1)  # NaN, so no person, if not found
    person: NDArray[np.bool_] = (
        (visibility >= LEAST_VISIBILITY) & (count >= LEAST_INSIDE) & (extent >= LEAST_EXTENT * min(size))
    )
    for first, last in runs(person, shots):
        stretch = slice(first, last + 1)
        person[stretch] = (visibility[stretch] >= SURE_VISIBILITY).sum() >= SURE_FRAMES
    return person


def hand_confidence(
    hand: NDArray[np.float32], wrist: NDArray[np.float32], visibility: NDArray[np.float32], scale: NDArray[np.float32]
) -> NDArray[np.float32]:
    """How far a hand can be trusted, from its agreement with the body.

    Parameters
    ----------
    hand : float32 [T, 21, 3]
        x, y, z in px; NaN where no hand was found.
    wrist : float32 [T, 2]
        The body's wrist in px.
    visibility : float32 [T]
        Of the body's wrist.
    scale : float32 [T]
        Metres per pixel.

    Returns
    -------
    float32 [T]
        In [0, 1]; 0 where no hand was found or it cannot be this person's.
    """
    distance = np.linalg.norm(hand[:, 0, :2] - wrist, axis=1) * scale
    palm = np.linalg.norm(hand[:, _MIDDLE_KNUCKLE] - hand[:, 0], axis=1) * scale
    trust = visibility * np.exp(-((distance / WRIST_DISTANCE) ** 2))
    possible = (palm >= PALM[0]) & (palm <= PALM[1]) & (distance <= 2 * WRIST_DISTANCE)
    return np.where(possible, trust, 0).astype(np.float32)


def _inside(points: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = ((points >= 0) & (points < np.array(size))).all(-1)
    return inside


def _without_absent(track: PoseTrack) -> PoseTrack:
    absent = ~track.person
    for joints in (track.image, track.world):
        joints[absent] = np.nan
    track.confidence[absent] = 0
    return track
