"""Poses: skeletons, estimators, smoothing, and what makes poses comparable."""

from .mediapipe_estimator import MediapipeEstimator
from .normalize import metres_per_pixel, normalize_bones, root_translation
from .skeletons import MEDIAPIPE, SKELETONS, Skeleton
from .track import PoseEstimator, PoseTrack

__all__ = [
    "MEDIAPIPE",
    "SKELETONS",
    "MediapipeEstimator",
    "PoseEstimator",
    "PoseTrack",
    "Skeleton",
    "metres_per_pixel",
    "normalize_bones",
    "root_translation",
]
