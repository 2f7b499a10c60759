"""Material that several tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmg_backend import sample
from vmg_backend.footage import FrameReader, VideoWriter, open_footage


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of real footage and music; tests that need it skip without."""
    folder = os.environ.get("VMG_MEDIA")
    if not folder:
        pytest.skip("VMG_MEDIA is not set: no real footage and music")
    return Path(folder)


@pytest.fixture(scope="session")
def dancer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds of the project's own sample."""
    file = tmp_path_factory.mktemp("footage with space é") / "dancer ü.mp4"
    footage = open_footage(sample.PERFORMER)
    with FrameReader(footage) as reader, VideoWriter(file, footage.size, footage.fps, colour=reader.colour) as writer:
        for frame in reader.video_frames(0, 119):
            writer.write(frame)
    return file
