"""Material that several tests share."""

from __future__ import annotations

import gc
import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from vmg_backend import sample
from vmg_backend.background.matte import PersonMatte
from vmg_backend.footage import FrameReader, VideoWriter, open_footage
from vmg_backend.library import FootageLibrary
from vmg_backend.locking import locked
from vmg_backend.pose.mediapipe_estimator import MediapipeEstimator
from vmg_backend.pose.skeletons import MEDIAPIPE
from vmg_backend.pose.track import PoseTrack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with many long tests first: of several processes, none shall begin the longest when the others end."""
    long = Counter(item.path for item in items if item.get_closest_marker("long"))
    items.sort(key=lambda item: -long[item.path])


def pytest_collection_finish() -> None:
    """Trainings collect garbage often: what is imported by now, half a million things, need not be looked at."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of real footage and music; tests that need it skip without."""
    folder = os.environ.get("VMG_MEDIA")
    if not folder:
        pytest.skip("VMG_MEDIA is not set: no real footage and music")
    return Path(folder)


class Middle(PersonMatte):
    """A person in the middle of every picture."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def matte(self, frame, plate=None, limbs=None):
        alpha = np.zeros(frame.shape[:2], np.float32)
        alpha[frame.shape[0] // 3 : 2 * frame.shape[0] // 3, frame.shape[1] // 3 : 2 * frame.shape[1] // 3] = 1.0
        return alpha


@pytest.fixture(scope="session")
def middle() -> type[PersonMatte]:
    """What cuts the middle out of every picture, as if a person stood there."""
    return Middle


@pytest.fixture(scope="session")
def dancer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds of the project's own sample."""
    file = tmp_path_factory.mktemp("footage with space é") / "dancer ü.mp4"
    footage = open_footage(sample.PERFORMER)
    with FrameReader(footage) as reader, VideoWriter(file, footage.size, footage.fps, colour=reader.colour) as writer:
        for frame in reader.video_frames(0, 119):
            writer.write(frame)
    return file


@pytest.fixture(scope="session")
def sample_library(tmp_path_factory: pytest.TempPathFactory) -> FootageLibrary:
    """A library that knows the poses of the sample, to be read; all processes that test share one."""
    shared = os.environ.get("VMG_SAMPLE_LIBRARY")
    folder = Path(shared) if shared else tmp_path_factory.mktemp("library")
    folder.mkdir(parents=True, exist_ok=True)
    library = FootageLibrary(folder)
    with locked(folder / "lock", lambda: None):
        library.poses(library.footage(sample.PERFORMER), MediapipeEstimator(), workers=os.cpu_count() or 1)
    return library


@pytest.fixture(scope="session")
def true_library(tmp_path_factory: pytest.TempPathFactory) -> FootageLibrary:
    """A library that knows where the joints of the sample really are, to be read: nothing is estimated."""
    told = json.loads(sample.TRUTH.read_text())
    names = [name.replace("_toe", "_foot_index") for name in told["joints"]]
    image = np.zeros((told["frames"], len(MEDIAPIPE.joints), 2), np.float32)
    confidence = np.zeros(image.shape[:2], np.float32)
    for number, name in enumerate(names):
        if name in MEDIAPIPE.joints:
            (at,) = MEDIAPIPE.index(name)
            image[:, at], confidence[:, at] = np.array(told["image"])[:, number], 0.95
    library = FootageLibrary(tmp_path_factory.mktemp("true"))
    track = PoseTrack(
        image, np.zeros((*confidence.shape, 3), np.float32), confidence, confidence.any(axis=1), MEDIAPIPE.name
    )
    track.save(library.poses_file(library.footage(sample.PERFORMER), MediapipeEstimator()))
    return library


@pytest.fixture(scope="session")
def dance(true_library: FootageLibrary, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FootageLibrary]:
    """Five seconds of the sample, four times smaller, as engines take their time by the pixel; and a library of it."""
    folder, whole = tmp_path_factory.mktemp("little"), true_library.footage(sample.PERFORMER)
    file, frames, smaller = folder / "dance.mp4", 124, 4
    size = (whole.size[0] // smaller, whole.size[1] // smaller)
    with FrameReader(whole) as reader, VideoWriter(file, size, whole.fps) as writer:
        for frame in reader.frames(0, frames - 1):
            writer.write(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))
    library, estimator = FootageLibrary(folder / "library"), MediapipeEstimator()
    track = true_library.poses(whole, estimator)
    rows = {name: value[:frames] for name, value in vars(track).items() if isinstance(value, np.ndarray)}
    rows["image"] = rows["image"] / smaller
    replace(track, **rows).save(library.poses_file(library.footage(file), estimator))
    return file, library
