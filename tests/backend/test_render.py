"""The final cut, decoded by another decoder: every frame is the one that the path says."""

from __future__ import annotations

import itertools
import json
import os
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import soundfile

from vmg_backend.errors import UserError
from vmg_backend.files import content_hash
from vmg_backend.footage import VideoWriter, open_footage
from vmg_backend.graph.motion_graph import MotionGraph
from vmg_backend.interpolation.cache import TransitionCache
from vmg_backend.interpolation.fill import Material, fill_transitions, folders_of, read_transition
from vmg_backend.interpolation.interpolator import Frames, Gap, Preview
from vmg_backend.jobs import footages_of
from vmg_backend.library import FootageLibrary
from vmg_backend.pose.track import PoseTrack
from vmg_backend.progress import SILENT, Progress
from vmg_backend.render import render
from vmg_backend.search.film import lay_out
from vmg_backend.search.path import FootageEntry, Sound, frames_of
from vmg_backend.search.path import Path as FoundPath
from vmg_backend.search.problem import Route


def numbered_frame(number: int, size: tuple[int, int] = (96, 64)) -> np.ndarray:
    """A picture that carries its number in eight large blocks, so that it survives compression."""
    picture = np.full((size[1], size[0], 3), 128, dtype=np.uint8)
    for bit in range(8):
        x = bit * size[0] // 8
        picture[:, x : x + size[0] // 8] = 220 if number >> bit & 1 else 30
    return picture


def number_of(picture: np.ndarray) -> int:
    """The number that a picture carries."""
    width = picture.shape[1] // 8
    blocks = [picture[8:-8, bit * width + 3 : (bit + 1) * width - 3].mean() for bit in range(8)]
    return sum(1 << bit for bit, level in enumerate(blocks) if level > 125)


@pytest.fixture(scope="session")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 100 numbered frames."""
    file = tmp_path_factory.mktemp("numbered") / "numbered.mp4"
    with VideoWriter(file, (96, 64), Fraction(24)) as writer:
        for number in range(100):
            writer.write(numbered_frame(number))
    return file


class Numbers:
    """An engine whose frames carry numbers from 200 on, and that remembers what it was given."""

    name, version = "numbers", "1"
    guide = None

    def __init__(self) -> None:
        self.gaps: list[Gap] = []

    def given(self, length: int) -> int:
        return 1

    def fill(self, gap: Gap, progress: Progress = SILENT, preview: Preview | None = None) -> Frames:
        self.gaps.append(gap)
        return np.stack([numbered_frame(200 + k) for k in range(gap.length)])


def found_path(footage_file: Path, audio: Path) -> tuple[FoundPath, dict[str, Material]]:
    """Frames 10 to 39, then on from 70: a cut at output frame 30 with a transition of 6."""
    footage = open_footage(footage_file)
    graph = MotionGraph(
        footages=(footage.id,),
        offsets=np.array([0, 100]),
        runs=np.array([[0, 99]], dtype=np.int32),
        source=np.array([39], dtype=np.int32),
        target=np.array([70], dtype=np.int32),
        cost=np.array([0.2], dtype=np.float32),
        half=np.array([3], dtype=np.int8),
        connector=np.array([False]),
        threshold=0.3,
        kept=1.0,
        fps=Fraction(24),
    )
    route = Route(np.array([*range(10, 40), *range(70, 90)]), ((30, 0),), 0.0)
    segments, transitions = lay_out(route, graph)
    path = FoundPath(
        fps=Fraction(24),
        frames=50,
        footages={footage.id: FootageEntry(footage.name, str(footage.path), "24/1", footage.size, ((0, 99),))},
        segments=tuple(segments),
        transitions=tuple(transitions),
        audio=Sound(str(audio), 0.5, 50 / 24),
        beats=(),
        cost=0.0,
        bound=0.0,
        gap=0.0,
        costs={},
        beat_alignment=None,
        reuse_window=0.0,
        seed=0,
    )
    nowhere = np.full((100, 75, 2), np.nan, dtype=np.float32)
    track = PoseTrack(
        nowhere,
        np.full((100, 75, 3), np.nan, dtype=np.float32),
        np.zeros((100, 75), dtype=np.float32),
        np.zeros(100, dtype=bool),
        "mediapipe",
    )
    return path, {footage.id: Material(footage, track, None)}


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    file = tmp_path / "tone.wav"
    soundfile.write(file, np.sin(np.arange(5 * 44100) * 0.05).astype(np.float32) * 0.3, 44100)
    return file


def decoded_numbers(film: Path) -> list[int]:
    """The numbers in a film, read by OpenCV."""
    capture = cv2.VideoCapture(str(film))
    numbers = []
    while True:
        good, picture = capture.read()
        if not good:
            return numbers
        numbers.append(number_of(picture))


EXPECTED = [*range(10, 37), *range(200, 206), *range(73, 90)]


def test_every_frame_is_the_one_that_the_path_says(numbered: Path, tone: Path, tmp_path: Path) -> None:
    path, materials = found_path(numbered, tone)
    engine = Numbers()
    library = FootageLibrary(tmp_path / "lib é")
    path = fill_transitions(path, materials, engine, library)
    footages = {key: material.footage for key, material in materials.items()}
    out = tmp_path / "film ü.mp4"
    render(path, footages, out)
    assert decoded_numbers(out) == EXPECTED
    gap = engine.gaps[0]
    assert (number_of(gap.start), number_of(gap.end)) == (36, 73)
    assert [number_of(frame) for frame in gap.outgoing.frames] == [37, 38, 39, 40, 41, 42]
    assert [number_of(frame) for frame in gap.incoming.frames] == [67, 68, 69, 70, 71, 72]

    with av.open(str(out)) as container:
        samples = sum(frame.samples for frame in container.decode(audio=0))
        assert container.streams.audio[0].duration * container.streams.audio[0].time_base == pytest.approx(50 / 24)
        assert samples >= 50 / 24 * 44100 - 1
    assert not list(tmp_path.glob(".vmg-*"))

    # What is in the library is not made again, and a path that was saved renders the same.
    again = fill_transitions(path, materials, engine, library)
    assert len(engine.gaps) == 1
    again.save(tmp_path / "p.json")
    assert FoundPath.load(tmp_path / "p.json") == again


def test_an_unfilled_path_says_how_to_fill_it(numbered: Path, tone: Path, tmp_path: Path) -> None:
    path, materials = found_path(numbered, tone)
    footages = {key: material.footage for key, material in materials.items()}
    with pytest.raises(UserError, match="vmg generate"):
        render(path, footages, tmp_path / "film.mp4")
    assert not list(tmp_path.glob("*.mp4"))


def test_frames_that_are_gone_are_named(numbered: Path, tone: Path, tmp_path: Path) -> None:
    path, materials = found_path(numbered, tone)
    path = fill_transitions(path, materials, Numbers(), FootageLibrary(tmp_path / "lib"))
    (Path(str(path.transitions[0].frames_dir)) / "0003.png").unlink()
    with pytest.raises(UserError, match="missing"):
        render(path, {key: m.footage for key, m in materials.items()}, tmp_path / "film.mp4")


def test_a_path_tiles_the_output(numbered: Path, tone: Path) -> None:
    path, _ = found_path(numbered, tone)
    pieces = sorted([(s.at, s.frames) for s in path.segments] + [(t.at, t.frames) for t in path.transitions])
    assert pieces[0][0] == 0
    assert all(at + count == following for (at, count), (following, _) in itertools.pairwise(pieces))
    assert sum(pieces[-1]) == path.frames
    transition = path.transitions[0]
    assert (transition.from_.frame, transition.to.frame, transition.match) == (36, 73, (39, 70))


def test_generated_frames_may_lie_beside_the_path(numbered: Path, tone: Path, tmp_path: Path) -> None:
    path, _ = found_path(numbered, tone)
    (transition,) = path.transitions
    for told, expected in (("mine/0", tmp_path / "mine" / "0"), (str(tmp_path / "x"), tmp_path / "x"), (None, None)):
        path.with_transitions([replace(transition, frames_dir=told)]).save(tmp_path / "p.json")
        (loaded,) = FoundPath.load(tmp_path / "p.json").transitions
        assert loaded.frames_dir == (str(expected) if expected else None)


def test_each_footage_of_a_path_is_read_once_for_its_hash(
    numbered: Path, tone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = found_path(numbered, tone)
    library = FootageLibrary(tmp_path / "library")
    library.footage(numbered)
    hashed: list[Path] = []

    def counted(file: Path, progress: Progress = SILENT) -> str:
        hashed.append(file)
        return content_hash(file, progress)

    monkeypatch.setattr("vmg_backend.library.content_hash", counted)
    footages_of(path, library)
    assert hashed == [numbered]


@pytest.mark.parametrize(
    ("seconds", "fps", "frames"),
    [(30.0, Fraction(30), 900), (30.0, Fraction(30000, 1001), 899), (0.5, Fraction(25), 13), (0.1, Fraction(24), 2)],
)
def test_lengths_are_rounded_half_up(seconds: float, fps: Fraction, frames: int) -> None:
    assert frames_of(seconds, fps) == frames


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fps", "1/0"),
        ("fps", "-24/1"),
        ("frames", 51),
        ("frames", "fifty"),
        ("segments", []),
        ("footages", []),
        ("transitions", []),
        ("audio", 3),
    ],
)
def test_a_path_that_was_damaged_is_refused(
    name: str, value: object, numbered: Path, tone: Path, tmp_path: Path
) -> None:
    path, _ = found_path(numbered, tone)
    file = tmp_path / "p.json"
    file.write_text(json.dumps(path.as_dict() | {name: value}))
    with pytest.raises(UserError, match="damaged"):
        FoundPath.load(file)


def test_a_reversed_segment_is_refused(numbered: Path, tone: Path, tmp_path: Path) -> None:
    data = found_path(numbered, tone)[0].as_dict()
    data["segments"][0]["first"], data["segments"][0]["last"] = 36, 10
    (tmp_path / "p.json").write_text(json.dumps(data))
    with pytest.raises(UserError, match="damaged"):
        FoundPath.load(tmp_path / "p.json")


def test_a_damaged_frame_is_made_again(numbered: Path, tone: Path, tmp_path: Path) -> None:
    path, materials = found_path(numbered, tone)
    library, engine = FootageLibrary(tmp_path / "lib"), Numbers()
    path = fill_transitions(path, materials, engine, library)
    (Path(str(path.transitions[0].frames_dir)) / "0001.png").write_bytes(b"")
    path = fill_transitions(path, materials, engine, library)
    assert len(engine.gaps) == 2
    render(path, {key: m.footage for key, m in materials.items()}, tmp_path / "film.mp4")
    assert decoded_numbers(tmp_path / "film.mp4") == EXPECTED


def test_a_job_keeps_the_limit_and_its_own_frames(
    numbered: Path,
    tone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TransitionCache.clean, "__defaults__", (0.0, SILENT))
    path, materials = found_path(numbered, tone)
    library = FootageLibrary(tmp_path / "lib")
    old = library.transitions.root / ("0" * 16)
    old.mkdir(parents=True)
    (old / "0000.png").write_bytes(b"x")
    os.utime(old, (time.time() - 3600.0,) * 2)
    filled = fill_transitions(path, materials, Numbers(), library)
    (entry,) = library.transitions.entries()
    assert (entry.folder.name, entry.engine) == (filled.transitions[0].hash, "numbers")
    assert len(read_transition(filled.transitions[0])) == 6
    os.utime(entry.folder, (time.time() - 3600.0,) * 2)
    engine = Numbers()
    fill_transitions(filled, materials, engine, library)  # after a restart: used, not made again
    assert engine.gaps == []
    (entry,) = library.transitions.entries()
    assert time.time() - entry.used < 60


def test_one_transition_alone_can_be_filled(numbered: Path, tone: Path, tmp_path: Path) -> None:
    path, materials = found_path(numbered, tone)
    library, engine = FootageLibrary(tmp_path / "lib"), Numbers()
    assert fill_transitions(path, materials, engine, library, only=[5]) == path
    assert engine.gaps == []
    assert fill_transitions(path, materials, engine, library, only=[0]).transitions[0].engine == "numbers"


def test_an_entry_that_was_damaged_is_made_again(numbered: Path, tone: Path, tmp_path: Path) -> None:
    path, materials = found_path(numbered, tone)
    library, engine = FootageLibrary(tmp_path / "lib"), Numbers()
    filled = fill_transitions(path, materials, engine, library)
    (entry,) = library.transitions.entries()
    frames = read_transition(filled.transitions[0])
    for damage in (
        lambda file: file.write_bytes(file.read_bytes()[:50]),
        lambda file: file.unlink(),
        lambda file: cv2.imwrite(str(file), np.zeros((4, 4, 3), np.uint8)),
    ):
        damage(entry.folder / "0002.png")
        fill_transitions(path, materials, engine, library)
        assert np.array_equal(read_transition(filled.transitions[0]), frames)
    assert len(engine.gaps) == 4
    (entry.folder / "about.json").write_text("{")
    assert library.transitions.entries()[0].engine is None


def test_frames_that_a_path_shows_are_used(
    numbered: Path,
    tone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of pinned transitions too, which no engine asks for."""
    monkeypatch.setattr(TransitionCache.clean, "__defaults__", (0.0, SILENT))
    path, materials = found_path(numbered, tone)
    library = FootageLibrary(tmp_path / "lib")
    filled = fill_transitions(path, materials, Numbers(), library)
    pinned = filled.with_transitions([replace(filled.transitions[0], pinned=True)])
    (folder,) = folders_of(pinned)
    os.utime(folder, (time.time() - 3600.0,) * 2)
    newer = Numbers()
    newer.version = "2"
    fill_transitions(pinned, materials, newer, library)
    assert folder.exists()
