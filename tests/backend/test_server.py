"""The server as Blender meets it: a process with pipes."""

from __future__ import annotations

import json
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from vmg_backend import jobs, protocol, sample, service
from vmg_backend.cli import main
from vmg_backend.countdown import Countdown
from vmg_backend.errors import UserError
from vmg_backend.footage import FrameReader, open_footage
from vmg_backend.graph.build import GraphSettings
from vmg_backend.graph.motion_graph import MotionGraph
from vmg_backend.interpolation import engines
from vmg_backend.interpolation.catalogue import CATALOGUE
from vmg_backend.interpolation.engines import ENGINES
from vmg_backend.interpolation.fade import Fade
from vmg_backend.interpolation.hardware import hardware
from vmg_backend.library import FootageLibrary
from vmg_backend.pose.mediapipe_estimator import MediapipeEstimator
from vmg_backend.pose.track import PoseTrack
from vmg_backend.progress import Progress
from vmg_backend.remembering import RememberingLibrary
from vmg_backend.search.path import Path as FoundPath
from vmg_backend.server import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR
from vmg_backend.wishes import changed_stretches

GONE_SECONDS = 2.0
CANCELLED_SECONDS = 1.0


class Blender:
    """Blender's side of the pipes."""

    def __init__(self, cache: Path, before: str = "") -> None:
        """`before`: Python that the process runs before it serves."""
        code = f"{before}\nimport sys\nfrom vmg_backend.cli import main\nsys.exit(main(['serve']))"
        words = ["-c", code] if before else ["-m", "vmg_backend", "serve"]
        self.log = cache / "stderr.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | {"VMG_CACHE": str(cache)},
            )
        self.next = 1
        self.notes: list[tuple[float, dict[str, Any]]] = []
        self._lines: queue.Queue[tuple[float, dict[str, Any]]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put((time.monotonic(), json.loads(line)))

    def write(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def send(self, method: str, params: object = None) -> int:
        number, self.next = self.next, self.next + 1
        data = protocol.as_json(params) if params is not None else None
        self.write(protocol.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": data}))
        return number

    def cancel(self, number: int) -> None:
        self.write(protocol.encode({"jsonrpc": "2.0", "method": "cancel", "params": {"id": number}}))

    def message(self, seconds: float = 300.0) -> dict[str, Any]:
        at, message = self._lines.get(timeout=seconds)
        assert message["jsonrpc"] == "2.0"
        if "method" in message:
            self.notes.append((at, message))
        return message

    def answer(self, number: int | None, seconds: float = 300.0) -> dict[str, Any]:
        while True:
            message = self.message(seconds)
            if "method" not in message:
                assert message["id"] == number
                return message

    def ask(self, method: str, params: object = None) -> dict[str, Any]:
        self.notes.clear()
        message = self.answer(self.send(method, params))
        assert "result" in message, message
        result: dict[str, Any] = message["result"]
        kind = protocol.METHODS[method][1]
        assert protocol.as_json(protocol.from_json(kind, result)) is not None
        return result

    def refused(self, method: str, params: object = None) -> dict[str, Any]:
        error: dict[str, Any] = self.answer(self.send(method, params))["error"]
        return error

    def noted(self, method: str) -> list[dict[str, Any]]:
        return [message["params"] for _, message in self.notes if message["method"] == method]

    def until(self, number: int, stage: str) -> None:
        """Wait for progress in a stage."""
        while True:
            message = self.message()
            assert "method" in message, message
            if message["method"] == "progress" and message["params"]["stage"].startswith(stage):
                assert message["params"]["id"] == number
                return

    def close(self) -> float:
        """End the stream; how long the process then lives on, s."""
        assert self.process.stdin is not None
        begun = time.monotonic()
        self.process.stdin.close()
        self.process.wait(timeout=30)
        return time.monotonic() - begun


def use(*files: Path, library: Path) -> protocol.Footages:
    return protocol.Footages(tuple(protocol.FootageUse(str(file)) for file in files), str(library))


@pytest.fixture
def blender(tmp_path: Path) -> Iterator[Blender]:
    one = Blender(tmp_path)
    yield one
    if one.process.poll() is None:
        assert one.close() < GONE_SECONDS


@pytest.fixture(scope="session")
def analyzed(tmp_path_factory: pytest.TempPathFactory, dancer: Path) -> Path:
    """A library that knows the dancer; to be copied."""
    library = tmp_path_factory.mktemp("library")
    assert main(["graph", str(dancer), "--library", str(library), "--json"]) == 0
    return library


def wish_for(dancer: Path, library: Path, **more: Any) -> protocol.Wish:
    beats = tuple(protocol.BeatAt(0.5 * k, "bar" if k % 4 == 0 else "beat") for k in range(1, 12))
    wish = {"frames": 144, "beats": beats, "library": str(library), **more}
    return protocol.Wish((protocol.FootageUse(str(dancer)),), **wish)


# Who answers, and what is no request


def test_the_server_loads_nothing_heavy_before_it_is_asked_for_work() -> None:
    code = (
        "import sys, vmg_backend.cli, vmg_backend.server as server\n"
        "server.hello()\n"
        "print([name for name in 'numpy scipy cv2 av librosa mediapipe'.split() if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_hello(blender: Blender) -> None:
    hello = blender.ask("hello")
    assert hello["protocol"] == protocol.fingerprint()
    assert hello["cores"] == os.cpu_count()
    assert [engine["name"] for engine in hello["engines"]] == list(ENGINES)
    assert {engine.name for engine in CATALOGUE if engine.seconds > 0 and engine.label} == set(ENGINES)


@pytest.mark.parametrize(
    ("line", "code", "number"),
    [
        (b"nonsense", PARSE_ERROR, None),
        (b"\xff\xfe\x00", PARSE_ERROR, None),
        (b'{"id": 7, "method": "hello"', PARSE_ERROR, None),
        (b"[" * 100_000, PARSE_ERROR, None),
        (b'{"id": 7, "method": "beats", "params": {"pieces": [], "seconds": NaN}}', PARSE_ERROR, None),
        (b"[]", INVALID_REQUEST, None),
        (b"3", INVALID_REQUEST, None),
        (b'{"id": 7}', INVALID_REQUEST, None),
        (b'{"id": 7, "method": 3}', INVALID_REQUEST, None),
        (b'{"id": "seven", "method": "hello"}', INVALID_REQUEST, None),
        (b'{"id": true, "method": "hello"}', INVALID_REQUEST, None),
        (b'{"id": 7, "method": "call"}', METHOD_NOT_FOUND, 7),
        (b'{"id": 7, "method": "_library"}', METHOD_NOT_FOUND, 7),
        (b'{"id": 7, "method": "describe"}', INVALID_PARAMS, 7),
        (b'{"id": 7, "method": "describe", "params": []}', INVALID_PARAMS, 7),
        (b'{"id": 7, "method": "describe", "params": {"footages": [{"path": 3}]}}', INVALID_PARAMS, 7),
        (b'{"id": 7, "method": "describe", "params": {"footages": [], "more": 1}}', INVALID_PARAMS, 7),
        (b'{"id": 7, "method": "beats", "params": {"pieces": [], "seconds": 1' + b"0" * 400 + b"}}", INVALID_PARAMS, 7),
    ],
)
def test_what_is_no_request_is_answered_and_outlived(
    blender: Blender, line: bytes, code: int, number: int | None
) -> None:
    blender.write(line + b"\n")
    assert blender.answer(number)["error"]["code"] == code
    blender.write(b'\n{"method": "unknown"}\n{"method": "cancel"}\n{"method": "cancel", "params": {"id": 99}}\n')
    assert blender.ask("hello")


def test_names_that_are_no_unicode_come_through(blender: Blender) -> None:
    name = os.fsdecode(b"/nowhere/\xff\xe9.mp4")
    error = blender.refused("describe", use(Path(name), library=Path("/nowhere/library")))
    assert error["code"] == protocol.USER_ERROR
    assert name in error["message"]


# Errors


def test_what_the_person_can_put_right_is_explained(blender: Blender, tmp_path: Path) -> None:
    error = blender.refused("analyze", use(tmp_path / "gone.mp4", library=tmp_path))
    assert error["code"] == protocol.USER_ERROR
    explanation = protocol.from_json(protocol.Explanation, error["data"])
    assert "gone.mp4" in explanation.message
    assert explanation.remedy
    assert explanation.log == ""
    assert blender.refused("suggest", protocol.Suggest(protocol.Wish((), 24)))["code"] == protocol.USER_ERROR
    assert (
        blender.refused("fill", protocol.Fill({}, (), protocol.EngineChoice("fade"), str(tmp_path)))["code"]
        == protocol.USER_ERROR
    )
    assert (
        blender.refused("fill", protocol.Fill({}, (), protocol.EngineChoice("magic"), str(tmp_path)))["code"]
        == protocol.USER_ERROR
    )


def test_a_fault_of_ours_is_logged_and_outlived(tmp_path: Path) -> None:
    blender = Blender(tmp_path, "from vmg_backend.service import Service\nService.library = lambda *_: 1 / 0")
    for _ in range(2):
        error = blender.refused("library", protocol.Place())
        assert error["code"] == protocol.INTERNAL_ERROR
        explanation = protocol.from_json(protocol.Explanation, error["data"])
        assert "ZeroDivisionError" in explanation.message
    log = Path(explanation.log)
    assert log == tmp_path / "logs" / "vmg.log"
    assert log.read_text("utf-8").count("Traceback") == 2
    assert blender.close() < GONE_SECONDS


# The stream


NOISE = """
import os, subprocess, sys
from vmg_backend.service import Service
quiet = Service.library
def loud(*words):
    print("noise by print")
    print("noise by the first stdout", file=sys.__stdout__, flush=True)
    os.write(1, b"noise by the descriptor\\n")
    subprocess.run([sys.executable, "-c", "import sys; print('noise of a child', repr(sys.stdin.read()))"])
    return quiet(*words)
Service.library = loud
"""


def test_nothing_that_is_printed_gets_into_the_stream(tmp_path: Path) -> None:
    blender = Blender(tmp_path, NOISE)
    for _ in range(3):
        assert blender.ask("library", protocol.Place(str(tmp_path / "lib")))["footages"] == 0
    assert blender.close() < GONE_SECONDS
    log = blender.log.read_text()
    for source in ("by print", "by the first stdout", "by the descriptor"):
        assert log.count(f"noise {source}") == 3
    assert log.count("noise of a child ''") == 3  # it found its input empty, not the requests


def test_requests_wait_for_their_turn_and_can_be_cancelled_meanwhile(tmp_path: Path) -> None:
    slow = (
        "import time\nfrom vmg_backend.service import Service\nquick = Service.library\n"
        "Service.library = lambda *words: time.sleep(0.5) or quick(*words)"
    )
    blender = Blender(tmp_path, slow)
    place = protocol.Place(str(tmp_path / "lib"))
    first, second, third = blender.send("library", place), blender.send("library", place), blender.send("hello")
    blender.cancel(second)
    blender.write(b'{"id": %d, "method": "hello"}\n' % first)
    assert blender.answer(None)["error"]["code"] == INVALID_REQUEST  # an id that is in use
    assert blender.answer(first)["result"]
    assert blender.answer(second)["error"]["code"] == protocol.CANCELLED
    assert blender.answer(third)["result"]
    assert blender.close() < GONE_SECONDS


@pytest.mark.parametrize("work", ["time.sleep(60)", "np.linalg.svd(np.random.rand(4000, 4000))", "all(iter(int, 1))"])
def test_the_process_is_gone_when_the_stream_ends_whatever_it_does(tmp_path: Path, work: str) -> None:
    busy = (
        "import time, numpy as np\nfrom vmg_backend.service import Service\n"
        f"def work(self, place, call):\n    call.progress.update(0.0)\n    {work}\n    while True: {work}\n"
        "Service.library = work"
    )
    blender = Blender(tmp_path, busy)
    blender.until(blender.send("library", protocol.Place()), "")
    time.sleep(0.3)
    assert blender.close() < GONE_SECONDS


# Progress


def test_progress_is_told_ten_times_a_second_at_most(tmp_path: Path) -> None:
    busy = (
        "import time\nfrom vmg_backend.service import Service\nquick = Service.library\n"
        "def work(self, place, call):\n    begun = time.monotonic()\n"
        "    while (gone := time.monotonic() - begun) < 3: call.progress.part(0.5, 1.0, 'Busy').update(gone / 3)\n"
        "    return quick(self, place, call)\n"
        "Service.library = work"
    )
    blender = Blender(tmp_path, busy)
    blender.ask("hello")
    blender.ask("library", protocol.Place())
    told = [protocol.from_json(protocol.Progressed, note) for note in blender.noted("progress")]
    assert 5 < len(told) <= 31
    assert {(one.id, one.stage) for one in told} == {(2, "Busy")}
    fractions = [one.fraction for one in told]
    assert fractions == sorted(fractions)
    assert fractions[0] < 0.6 < 0.9 < fractions[-1] <= 1
    assert told[0].seconds_left is None
    assert told[-1].seconds_left == pytest.approx((1 - fractions[-1]) / 0.5 * 3, abs=0.5)
    assert blender.close() < GONE_SECONDS


def test_the_countdown_is_right_where_speed_is_even() -> None:
    countdown = Countdown()
    for tenth in range(1000):
        left = countdown.update(tenth / 10, tenth / 1000, "Poses")
        assert (left is None) == (tenth < 20)
        if left is not None:
            assert left == pytest.approx(100 - tenth / 10, rel=0.01, abs=0.1)


def test_the_countdown_is_smooth_and_recovers_where_speed_changes() -> None:
    """10 s of quick work, then work that is ten times slower: 10 % of the job in 10 s, the rest in 900 s."""
    countdown, told = Countdown(), []
    rng = np.random.default_rng(0)
    fraction = 0.0
    for tenth in range(3000):
        stage, speed = ("Reading", 0.01) if tenth < 100 else ("Poses", 0.001)
        fraction += speed / 10 * rng.uniform(0.5, 1.5)
        told.append(countdown.update(tenth / 10, fraction, stage))
    assert told[500] == pytest.approx((1 - 0.1 - 0.04) / 0.001, rel=0.1)
    steps = [abs(b - a) / a for a, b in pairwise(told[200:]) if a is not None and b is not None]
    assert max(steps) < 0.02


def test_the_countdown_ends_with_the_job_though_it_ends_early() -> None:
    countdown = Countdown()
    for tenth in range(100):
        countdown.update(tenth / 10, tenth / 1000, "Searching")
    told = [countdown.update(10 + tenth / 10, 0.99 + tenth / 1000, "Searching") for tenth in range(11)]
    assert told[-1] == 0
    assert told[3] is not None
    assert told[3] < 2


def test_a_jump_over_what_is_known_already_says_nothing() -> None:
    countdown = Countdown()
    assert countdown.update(0.0, 0.0, "Reading") is None
    assert countdown.update(0.1, 0.6, "Reading") is None
    for tenth in range(2, 300):
        left = countdown.update(tenth / 10, 0.6 + tenth / 1000, "Poses")
        if left is not None:
            assert left == pytest.approx((0.4 - tenth / 1000) * 100, rel=0.1, abs=0.5)


# Footage


def remuxed(source: Path, target: Path) -> Path:
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        for packet in old.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                new.mux(packet)
    return target


def test_footage_is_described(blender: Blender, dancer: Path, tmp_path: Path) -> None:
    inexact = remuxed(dancer, tmp_path / "milliseconds.mkv")
    torn = tmp_path / "torn.mp4"
    data = bytearray(dancer.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20_000] = random.Random(1).randbytes(20_000)
    torn.write_bytes(data)
    asked = use(dancer, inexact, torn, library=tmp_path / "lib")
    for _ in range(2):  # the second time from the library
        exact, other, damaged = blender.ask("describe", asked)["footages"]
        assert exact | {"path": "", "footage": ""} == {
            **{"path": "", "footage": "", "fps": "24/1", "size": [512, 768], "frames": 120, "shots": 1, "exact": True},
            **{"analyzed": False, "frames_without_person": None, "damaged": None, "poses": None, "tag": "dancer ü"},
        }
        assert exact["footage"] == open_footage(dancer).id
        assert (other["exact"], other["frames"], other["damaged"]) == (False, 120, None)
        assert damaged["frames"] < 120
        assert f"first {damaged['frames']} frames" in damaged["damaged"]


def test_a_conformed_copy_is_exact(blender: Blender, dancer: Path, tmp_path: Path) -> None:
    inexact = remuxed(dancer, tmp_path / "milliseconds.mkv")
    library, target = str(tmp_path / "lib"), tmp_path / "new folder" / "copy.mp4"
    footage = protocol.FootageUse(str(inexact))
    made = blender.ask("conform", protocol.Conform(footage, str(target), library))
    assert made == {"path": str(target), "encoded": False}
    (copy,) = blender.ask("describe", use(target, library=tmp_path / "lib"))["footages"]
    assert (copy["exact"], copy["frames"]) == (True, 120)
    for wrong in (inexact, tmp_path / "copy.avi", tmp_path):
        before = inexact.read_bytes()
        assert blender.refused("conform", protocol.Conform(footage, str(wrong), library))["code"] == protocol.USER_ERROR
        assert inexact.read_bytes() == before


def test_vp8_is_encoded_anew_and_the_log_says_so(blender: Blender, tmp_path: Path) -> None:
    path = tmp_path / "vp8.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx", rate=30)
        stream.width, stream.height = 64, 48
        for k in range(20):
            picture = np.full((48, 64, 3), 10 * k, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    target = tmp_path / "copy.mp4"
    asked = protocol.Conform(protocol.FootageUse(str(path)), str(target), str(tmp_path / "lib"))
    assert blender.ask("conform", asked)["encoded"]
    assert any("encoded anew" in note["text"] for note in blender.noted("log"))


def test_only_what_is_the_librarys_own_is_counted_and_cleared(blender: Blender, tmp_path: Path) -> None:
    library = tmp_path / "library"
    key, short = "a" * 64, "0123456789abcdef"
    ours = [
        *(f"footage/{key}/{name}" for name in ("index-2.npz", "index.npz", "footage.json", "poses-12ab.npz")),
        *(f"footage/{key}/plate-12ab.npz", f"footage/{key}/.vmg-x.npz", f"graphs/{short}.npz"),
        *(f"transitions/{short}/{name}" for name in ("0000.png", "0001.png", "skeleton.npz", ".vmg-x.npz")),
    ]
    theirs = [
        *("footage/my holiday.mp4", f"footage/{key}/notes.txt", "footage/index.npz", "graphs/sales.npz", "0000.png"),
        *(f"transitions/{short}/cat.png", "transitions/0000.png", f"graphs/deeper/{short}.npz", "footage.json"),
    ]
    for name in ours + theirs:
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_bytes(b"12345")
    (library / "empty").mkdir()
    place = protocol.Place(str(library))
    assert blender.ask("library", place) == {"folder": str(library), "bytes": 5 * len(ours), "footages": 1}
    assert blender.ask("clear_library", place) == {"folder": str(library), "bytes": 0, "footages": 0}
    left = {str(file.relative_to(library)) for file in library.rglob("*") if file.is_file()}
    assert left == set(theirs)
    assert (library / "empty").exists()
    assert blender.ask("clear_library", protocol.Place(str(tmp_path / "none")))["bytes"] == 0


def test_the_users_own_library_is_the_one_in_the_cache(blender: Blender, tmp_path: Path) -> None:
    assert blender.ask("library", protocol.Place())["folder"] == str(tmp_path / "library")


# Memory


def test_a_file_is_read_again_only_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []
    real = FootageLibrary.identity
    monkeypatch.setattr(
        FootageLibrary, "identity", lambda self, path, progress: hashed.append(path) or real(self, path, progress)
    )
    library, file = RememberingLibrary(tmp_path), tmp_path / "a.bin"
    file.write_bytes(b"one")
    first = library.identity(file)
    assert library.identity(file) == first
    assert len(hashed) == 1
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert library.identity(file) != first
    assert len(hashed) == 2


def test_a_second_search_reads_nothing_again(
    dancer: Path, analyzed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = RememberingLibrary(tmp_path / "lib")
    shutil.copytree(analyzed, library.root)
    read: list[str] = []
    for kind in (PoseTrack, MotionGraph):
        load = kind.load
        monkeypatch.setattr(kind, "load", lambda file, load=load: read.append(file.name) or load(file))
    results = []
    for _ in range(2):
        analyses = jobs.analyze([jobs.Source(dancer)], library)
        results.append(jobs.build(analyses, library, GraphSettings()))
        assert len(read) == 2
    assert results[0] == results[1]
    other = jobs.analyze([jobs.Source(dancer, None, ((0, 99),))], library)
    assert jobs.build(other, library, GraphSettings())[0].runs.max() == 99
    library.clear()
    assert not library.has_poses(analyses[0].footage, MediapipeEstimator())


# The whole way


def test_beats_of_the_mix(blender: Blender) -> None:
    """The sample's music, its second 4 heard at second 1: the beats are those of the file, moved by -3 s."""
    pieces = (protocol.SoundPiece(str(sample.MUSIC), 4.0, 1.0, 11.0),)
    found = blender.ask("beats", protocol.Sound(pieces, 12.0))
    times = [float(line.split()[0]) - 3.0 for line in sample.BEATS.read_text().splitlines() if line.strip()]
    truth = np.array([time for time in times if 1.5 < time < 11.5])
    beats = np.array([beat["time"] for beat in found["beats"] if beat["kind"] in ("beat", "bar")])
    assert np.abs(beats[:, None] - truth).min(axis=0).max() < 0.05
    assert found["tempo"] == pytest.approx(60 / np.diff(truth).mean(), rel=0.02)
    assert all(0 <= beat["time"] < 12 for beat in found["beats"])
    assert blender.ask("beats", protocol.Sound((), 2.0)) == {"beats": [], "tempo": 0.0}


def test_the_server_makes_what_the_command_makes(
    blender: Blender, dancer: Path, analyzed: Path, tmp_path: Path
) -> None:
    library = tmp_path / "lib"
    shutil.copytree(analyzed, library)
    (described,) = blender.ask("describe", use(dancer, library=library))["footages"]
    assert (described["analyzed"], described["frames_without_person"]) == (True, 0)
    poses = protocol.from_json(protocol.Poses, described["poses"])
    with np.load(library / poses.file) as data:
        assert data["image"].shape == (described["frames"], 75, 2)
        left, right = (data["image"][:, list(joints), 0].mean() for joints in (poses.left, poses.right))
    assert left > right + 10  # px: the dancer faces us
    assert all(0 <= joint < 75 for bone in poses.bones for joint in bone)
    assert blender.ask("analyze", use(dancer, library=library))["footages"] == [described]

    wish = wish_for(dancer, library, keys=(protocol.KeyAt("k", 61, str(dancer), 40, 5),), seed=3)
    (tmp_path / "beats.json").write_text(json.dumps([protocol.as_json(beat) for beat in wish.beats]))
    keys = [{"at": 61 / 24, "footage": dancer.name, "frame": 40, "frames": 5}]
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    words = ["search", dancer, "--library", library, "--out", tmp_path / "path.json", "--seconds", "6", "--seed", "3"]
    words += ["--beats", tmp_path / "beats.json", "--keyframes", tmp_path / "keys.json"]
    assert main([*map(str, words), "--json"]) == 0
    (suggested,) = blender.ask("suggest", protocol.Suggest(wish))["paths"]
    assert suggested == json.loads((tmp_path / "path.json").read_text())
    assert suggested["frames"] == 144
    assert [shown(suggested)[t] for t in range(61, 66)] == [40, 41, 42, 43, 44]

    folder = tmp_path / "take 1"
    ids = tuple(transition["id"] for transition in suggested["transitions"])
    assert ids
    fill = protocol.Fill(suggested, ids, protocol.EngineChoice("fade"), str(folder), str(library))
    assert blender.ask("fill", fill)["made"] > 0
    filled = {note["id"]: note for note in blender.noted("filled")}
    assert set(filled) == set(ids)
    assert main(["generate", str(tmp_path / "path.json"), "--engine", "fade", "--library", str(library), "--json"]) == 0
    for transition in FoundPath.load(tmp_path / "path.json").transitions:
        note = filled[transition.id]
        assert (note["hash"], note["engine"]) == (transition.hash, "fade")
        assert Path(note["frames_dir"]) == folder / str(transition.hash)
        names = sorted(file.name for file in Path(note["frames_dir"]).iterdir())
        assert names == [f"{k:04d}.png" for k in range(transition.frames)]
        for name in names:
            ours, theirs = (cv2.imread(str(Path(str(at)) / name)) for at in (note["frames_dir"], transition.frames_dir))
            assert np.array_equal(ours, theirs)

    assert blender.ask("fill", fill) == {"made": 0, "kept": len(ids)}
    assert len(blender.noted("filled")) == len(ids)
    (Path(filled[ids[0]]["frames_dir"]) / "0001.png").unlink()
    assert blender.ask("fill", fill)["made"] == 1
    assert (
        blender.refused("fill", protocol.Fill(suggested, (99,), protocol.EngineChoice("fade"), str(folder)))["code"]
        == protocol.USER_ERROR
    )


def test_a_keyframe_is_spoken_of_as_the_person_knows_it(
    blender: Blender, dancer: Path, analyzed: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(b"not footage")
    for key, said in (
        (protocol.KeyAt("k", 141, str(dancer), 40, 12), f"5.88 s (frame 40 of {dancer.name})"),
        (protocol.KeyAt("k", 60, str(dancer), 500, 1), f"2.5 s (frame 500 of {dancer.name})"),
        (protocol.KeyAt("k", 60, str(other), 5, 1), "2.5 s (frame 5 of other.mp4)"),
        (protocol.KeyAt("k", 60, str(tmp_path / "gone.mp4"), 5, 1), "2.5 s (frame 5 of gone.mp4)"),
        (protocol.KeyAt("k", -3, str(dancer), 5, 1), "-0.12 s"),
    ):
        error = blender.refused("suggest", protocol.Suggest(wish_for(dancer, analyzed, keys=(key,))))
        assert error["code"] == protocol.USER_ERROR
        assert said in error["message"]
        assert error["data"]["remedy"]


def test_a_take_is_brought_up_to_date(blender: Blender, dancer: Path, analyzed: Path, tmp_path: Path) -> None:
    key, gone = protocol.KeyAt("k", 61, str(dancer), 40, 5), protocol.KeyAt("g", 9, str(tmp_path / "gone.mp4"), 40, 5)
    wish = wish_for(dancer, analyzed, keys=(key,))
    (path,) = blender.ask("suggest", protocol.Suggest(wish))["paths"]
    same = blender.ask("update", protocol.Update(path, wish, replace(wish, keys=(key, gone))))
    assert same == {"path": path, "changed": []}
    moved = replace(wish, keys=(replace(key, at=64),))
    updated = blender.ask("update", protocol.Update(path, moved, wish))
    assert updated["changed"]
    assert shown(updated["path"])[64] == 40
    kept = [one for one in updated["path"]["transitions"] if one["id"] not in updated["changed"]]
    old = [one | {"id": 0} for one in path["transitions"]]
    assert all(one | {"id": 0} in old for one in kept)

    other = blender.ask("update", protocol.Update(path, wish, wish, ((100, 143),)))
    before, after = shown(path), shown(other["path"])
    assert other["changed"]
    assert after[61] == 40
    assert all(before.get(t) != after.get(t) for t in range(112, 144) if t in before)
    assert {t: before[t] for t in range(70) if t in before} == {t: after[t] for t in range(70) if t in after}


def shown(path: dict[str, Any]) -> dict[int, int]:
    """Output frames and the source frames that they show untouched."""
    return {s["at"] + k: s["first"] + k for s in path["segments"] for k in range(s["last"] - s["first"] + 1)}


# All that a take may be asked for, in this process


def test_every_condition_means_the_same_as_to_the_command(
    dancer: Path, analyzed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library, footage = tmp_path / "lib", open_footage(dancer).id
    shutil.copytree(analyzed, library)
    music = protocol.Sound((protocol.SoundPiece(str(sample.MUSIC), 4.0, 0.0, 6.0),), 6.0)
    labels = (("sway", 0, 49), ("reach", 50, 119))
    wish = wish_for(
        dancer,
        library,
        seed=2,
        tags=(protocol.TagAt(0, 72, "Sway"), protocol.TagAt(72, 72, "reach")),
        labels=tuple(protocol.LabelAt(str(dancer), first, last, tag) for tag, first, last in labels),
        text="swaying for 3 seconds, then reach",
        music=music,
        weights={"music": 0.5, "tags": 0.75, "accents": 0.5},
        longest_seconds=2.5,
        keys=(
            protocol.KeyAt("soft", 30, str(dancer), 20, 4, "soft"),
            protocol.KeyAt("pose", 60, str(dancer), 10, 2, "pose", 0.9),
            protocol.KeyAt("stay", 100, str(dancer), 0, 9, "footage"),
            protocol.KeyAt("not", 0, str(dancer), 70, 6, "avoid"),
        ),
    )
    files = {
        "tags": [{"tag": tag, "start": 3 * k, "end": 3 * k + 3} for k, tag in enumerate(("sway", "reach"))],
        "labels": [
            {"tag": tag, "start": first / 24, "end": (last + 1) / 24, "footage": footage} for tag, first, last in labels
        ],
        "beats": [{**protocol.as_json(beat), "time": beat.time + 4} for beat in wish.beats],
        "keyframes": [
            {"at": 30 / 24, "footage": footage, "frame": 20, "frames": 4, "mode": "soft"},
            {"at": 60 / 24, "footage": footage, "frame": 10, "frames": 2, "mode": "pose", "tolerance": 0.9},
            {"at": 100 / 24, "footage": footage, "frames": 9, "mode": "footage"},
            {"footage": footage, "frame": 70, "frames": 6, "mode": "avoid"},
        ],
    }
    words = ["search", dancer, "--library", library, "--mix", "--out", tmp_path / "path.json", "--seconds", 6]
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
        words += [f"--{name}", tmp_path / f"{name}.json"]
    words += ["--music", sample.MUSIC, "--music-start", 4, "--text", wish.text, "--longest", 2.5, "--seed", 2]
    words += [word for weight in ("music=0.5", "tags=0.75", "accents=0.5") for word in ("--weight", weight)]
    assert main([*map(str, words), "--json"]) == 0, capsys.readouterr().err
    (path,) = service.Service().suggest(protocol.Suggest(wish), Recorded()).paths
    theirs = json.loads((tmp_path / "path.json").read_text())
    assert {*path["conditions"]} == {"beats", "accents", "tags", "text", "music", "keyframes", "variety"}
    # What differs is that the command names the music as the film's sound, and the person's spelling.
    assert theirs["conditions"]["tags"].pop("spans") != path["conditions"]["tags"].pop("spans")
    assert json.loads(json.dumps(path)) | {"audio": None} == theirs | {"audio": None}


@pytest.mark.parametrize(
    ("more", "said", "remedy"),
    [
        ({"tags": (protocol.TagAt(0, 48, "swey"),)}, '"swey" (nearest: sway)', "ask for one of: sway"),
        ({"text": "she juggles"}, '"she juggles"', "sway"),
        ({"text": "sway [1-2"}, '"[1-2"', "Close each bracket"),
        ({"tags": (protocol.TagAt(0, 48, "sway"), protocol.TagAt(12, 48, "x"))}, "both wanted at 0.50 s", "End"),
        ({"weights": {"tempo": 1.0}}, "'tempo'", "beats, accents"),
        ({"weights": {"beats": -1.0}}, "weight -1", "0 or more"),
        ({"keys": (protocol.KeyAt("k", 1, "", 1, 1, "odd"),)}, "'odd'", "hard, soft"),
        ({"longest_seconds": 0.1}, "at most 2 frames", "at least 0.50 s"),
        ({"music": protocol.Sound((), 6.0), "weights": {"music": 1.0}}, "No music is heard", "Choose"),
        ({"speech": protocol.Sound((), 6.0)}, "No speech is heard", "Choose"),
        ({"loop": True}, "Other takes of a loop", "Ask for one take"),
    ],
)
def test_what_cannot_be_asked_for_is_said_without_words_of_the_command(
    dancer: Path, analyzed: Path, more: dict[str, Any], said: str, remedy: str
) -> None:
    labels = (protocol.LabelAt(str(dancer), 0, 59, "sway"),)
    with pytest.raises(UserError) as caught:
        service.Service().suggest(protocol.Suggest(wish_for(dancer, analyzed, labels=labels, **more), 2), Recorded())
    assert said in caught.value.message
    assert remedy in caught.value.remedy
    assert "--" not in str(caught.value)


def test_what_is_asked_for_otherwise_than_before() -> None:
    wave, turn, bow = (protocol.TagAt(24 * k, 24, tag) for k, tag in enumerate(("wave", "turn", "bow")))
    sound = protocol.Sound((protocol.SoundPiece("a.wav", 0.0, 1.0, 9.0),), 10.0)
    wish = protocol.Wish((), 240, tags=(wave, turn), text="", speech=sound)

    def changed(**more: Any) -> list[tuple[int, int]]:
        return changed_stretches(replace(wish, **more), wish, Fraction(24))

    assert changed() == changed(keys=(protocol.KeyAt("k", 3, "a.mp4", 1, 1),), beats=(), seed=3) == []
    assert changed(tags=(wave, bow)) == [(24, 48), (48, 72)]
    assert changed(frames=200, speech=protocol.Sound((replace(sound.pieces[0], seconds=200 / 24 - 1),), 200 / 24)) == []
    assert changed(music=sound) == []  # which has no weight
    whole = [(0, 240)]
    assert changed(text="wave") == whole
    assert changed(speech=None) == changed(weights={"tags": 2.0}) == whole
    assert changed(labels=(protocol.LabelAt("a.mp4", 0, 9, "wave"),)) == whole
    assert changed(music=sound, weights={"music": 1.0}) == whole


def test_ways_out_are_edges_and_their_pictures_what_is_shown(dancer: Path, analyzed: Path, tmp_path: Path) -> None:
    ours, uses = service.Service(), (protocol.FootageUse(str(dancer)),)
    (analysis,) = jobs.analyze([jobs.Source(dancer)], FootageLibrary(analyzed))
    graph, _ = jobs.build([analysis], FootageLibrary(analyzed), GraphSettings(mix=True))
    edges = set(zip(graph.source.tolist(), graph.target.tolist(), strict=True))
    frame = int(graph.source.min())
    stand = protocol.Stand(uses, str(dancer), frame, str(tmp_path), 3, str(analyzed))
    ways = ours.ways_out(stand, Recorded()).ways
    assert 1 <= len(ways) <= 3
    assert all((frame + way.after - 1, way.frame) in edges and way.after <= 49 for way in ways)
    assert [way.after for way in ways] == sorted(way.after for way in ways)
    assert all(abs(a.frame - b.frame) >= 12 for a, b in pairwise(sorted(ways, key=lambda way: way.frame)))
    with FrameReader(analysis.footage) as reader:
        for way in ways:
            picture = np.load(way.picture)
            whole = cv2.resize(reader.frame(way.frame), picture.shape[1::-1], interpolation=cv2.INTER_AREA)
            assert (picture.dtype, max(picture.shape)) == (np.uint8, protocol.PREVIEW_SIDE)
            assert np.array_equal(picture, whole)
    for wrong in (replace(stand, frame=120), replace(stand, path=str(sample.PERFORMER))):
        with pytest.raises(UserError, match="none of the footage"):
            ours.ways_out(wrong, Recorded())


def test_kinds_of_motion_cover_the_footage(dancer: Path, analyzed: Path) -> None:
    uses = (protocol.FootageUse(str(dancer)),)
    labels = service.Service().kinds(protocol.AskKinds(uses, 2, str(analyzed)), Recorded()).labels
    assert {label.tag for label in labels} <= {"motion 1", "motion 2"}
    assert {label.path for label in labels} == {str(dancer)}
    frames = [k for label in labels for k in range(label.first, label.last + 1)]
    assert len(frames) == len(set(frames)) > 90
    assert set(frames) <= set(range(120))


# Engines with a model


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models: a tiny untrained one, the same with many steps, and a damaged one."""
    import torch

    from vmg_backend.interpolation.hminterp.config import TINY
    from vmg_backend.interpolation.hminterp.model import HMInterp

    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    for config in (TINY, replace(TINY, steps=48)):
        model = HMInterp.build(config)
        model.save(folder / "hminterp" / ("tiny" if config is TINY else "slow"))
    (folder / "hminterp" / "broken").mkdir()
    (folder / "hminterp" / "broken" / "config.json").write_text('{"name": "broken"}')
    return folder


@pytest.fixture
def generating(
    models: Path, dancer: Path, analyzed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Blender, Any]]:
    """A server with models and a take to fill; gives what makes the request that fills one of its transitions."""
    monkeypatch.setenv("VMG_MODELS", str(models))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    blender = Blender(tmp_path)
    (path,) = blender.ask("suggest", protocol.Suggest(wish_for(dancer, analyzed)))["paths"]

    def fill(transition: int = 0, **choice: Any) -> protocol.Fill:
        engine = protocol.EngineChoice("hminterp", **choice)
        number = path["transitions"][transition]["id"]
        return protocol.Fill(path, (number,), engine, str(tmp_path / "take"), str(analyzed))

    yield blender, fill
    assert blender.close() < GONE_SECONDS


def test_a_model_fills_shows_what_it_does_and_lets_go(generating: tuple[Blender, Any], tmp_path: Path) -> None:
    blender, fill = generating
    hardware = protocol.from_json(protocol.Hardware, blender.ask("hardware", protocol.Look()))
    assert hardware.missing == ()
    assert hardware.devices[-1].name == "cpu"
    assert all(0 < device.free <= device.total for device in hardware.devices)
    assert {model.name: model.label for model in hardware.models} == {
        "broken": "broken (damaged)",
        "slow": "slow",
        "tiny": "tiny",
    }
    assert "64 px" in next(model for model in hardware.models if model.name == "tiny").description
    assert blender.noted("held") == []

    assert blender.refused("fill", fill())["message"] == "There are several models for HMInterp."
    assert "not complete" in blender.refused("fill", fill(model="broken"))["message"]
    assert blender.ask("fill", fill(model="tiny", quality="draft")) == {"made": 1, "kept": 0}
    (filled,) = blender.noted("filled")
    assert filled["engine"] == "hminterp"
    assert blender.noted("held") == [{"engine": "hminterp"}]
    previews = [protocol.from_json(protocol.Preview, note) for note in blender.noted("preview")]
    assert len(previews) == 3
    assert {preview.id for preview in previews} == {filled["id"]}
    assert len({preview.file for preview in previews}) == 3
    assert not any(Path(preview.file).parent.exists() for preview in previews)

    blender.ask("fill", fill(1, model="tiny", quality="draft"))
    assert blender.noted("held") == []  # it still is
    (filled,) = blender.noted("filled")
    frames = [cv2.imread(str(file)) for file in sorted(Path(filled["frames_dir"]).glob("*.png"))]
    assert {frame.shape for frame in frames} == {cv2.imread(str(next(Path(filled["frames_dir"]).glob("*")))).shape}

    assert blender.ask("release", protocol.Look())["models"]
    assert blender.noted("held") == [{"engine": ""}]
    blender.ask("release", protocol.Look())  # nothing is held any more
    assert blender.noted("held") == []
    assert list((tmp_path / "temporary").glob("vmg-preview-*")) == []


@pytest.mark.serial
def test_a_model_is_cancelled_within_one_of_its_steps(generating: tuple[Blender, Any], tmp_path: Path) -> None:
    blender, fill = generating
    number = blender.send("fill", fill(model="slow"))
    while (message := blender.message()).get("method") != "preview":
        assert "method" in message, message
    file = Path(message["params"]["file"])
    picture = np.load(file)
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[2] == 3
    assert max(picture.shape) <= protocol.PREVIEW_SIDE
    begun = time.monotonic()
    blender.cancel(number)
    assert blender.answer(number)["error"]["code"] == protocol.CANCELLED
    assert time.monotonic() - begun < CANCELLED_SECONDS
    assert not file.parent.exists()
    assert not list((tmp_path / "take").glob("*"))
    assert blender.noted("held") == [{"engine": "hminterp"}]  # the next fill need not load it again


class Recorded:
    """What the server would send, with a progress that nobody hears."""

    def __init__(self) -> None:
        self.id, self.progress, self.notes = 1, Progress(), []

    def notify(self, method: str, params: object) -> None:
        self.notes.append((method, params))


def test_an_engine_is_kept_for_the_same_choice_and_released_for_another(
    dancer: Path, analyzed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released: list[str] = []
    trained = ["1"]

    class Model(Fade):
        held = True

        def __init__(self, choice: protocol.EngineChoice) -> None:
            self.name, self.version = choice.name, f"{choice.quality} {trained[-1]}"

        def release(self) -> None:
            self.held = False
            released.append(self.version)

    monkeypatch.setattr(service, "make_engine", lambda choice: Fade() if choice.name == "fade" else Model(choice))
    ours, call = service.Service(), Recorded()
    (path,) = ours.suggest(protocol.Suggest(wish_for(dancer, analyzed)), call).paths
    final, draft = protocol.EngineChoice("model"), protocol.EngineChoice("model", quality="draft")

    def filled(*choices: protocol.EngineChoice) -> list[str]:
        for choice in choices:
            ours.fill(protocol.Fill(path, (), choice, str(tmp_path), str(analyzed)), call)
        return released

    assert filled(final, final) == []
    trained.append("2")  # under the same name
    assert filled(final, final) == ["final 1"]
    assert filled(draft, protocol.EngineChoice("fade")) == ["final 1", "final 2", "draft 2"]
    held = [params.engine for method, params in call.notes if method == "held"]
    assert held == ["model", "", "model", "", "model", ""]


def test_a_broken_torch_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda _: object())
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match=r"torch is installed, and cannot be loaded: .*\. Repair"):
        hardware(protocol.Look())


def test_without_the_packages_there_are_no_devices_and_torch_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None if name in ("torch", "diffusers") else object())
    monkeypatch.setitem(sys.modules, "torch", None)
    found = hardware(protocol.Look())
    assert (found.devices, found.missing) == ((), ("torch", "diffusers"))


SLOW = """
import time, vmg_backend.interpolation.hardware as h
h._devices = lambda: time.sleep(1.5) or ()
"""


@pytest.mark.serial
def test_hardware_is_looked_for_beside_what_runs(tmp_path: Path) -> None:
    """What is asked after it is answered before it, and it is answered while work goes on."""
    busy = (
        "from vmg_backend.service import Service\nquick = Service.clear_library\n"
        "Service.clear_library = lambda *words: time.sleep(4) or quick(*words)"
    )
    blender = Blender(tmp_path, SLOW + busy)
    place = protocol.Place(str(tmp_path / "lib"))
    blender.ask("library", place)  # all is loaded
    first, second = blender.send("hardware", protocol.Look()), blender.send("library", place)
    assert blender.answer(second, 1.0)["result"]
    third = blender.send("clear_library", place)
    assert blender.answer(first)["result"]["devices"] == []
    assert blender.answer(third)["result"]
    cancelled = blender.send("hardware", protocol.Look()), blender.send("hardware", protocol.Look())
    blender.cancel(cancelled[1])
    assert blender.answer(cancelled[0])["result"]
    assert blender.answer(cancelled[1])["error"]["code"] == protocol.CANCELLED
    assert blender.close() < GONE_SECONDS


def test_a_model_elsewhere_is_found_and_filled_with(
    models: Path, generating: tuple[Blender, Any], tmp_path: Path
) -> None:
    blender, fill = generating
    mine = tmp_path / "my models é" / "mine"
    shutil.copytree(models / "hminterp" / "tiny", mine)
    found = blender.ask("model", protocol.ModelFolder(str(mine)))
    assert (found["name"], found["label"]) == (str(mine), "mine")
    assert blender.ask("model", protocol.ModelFolder(str(models / "hminterp" / "tiny")))["name"] == "tiny"
    gone = str(tmp_path / "gone")
    seen = blender.ask("hardware", protocol.Look((str(mine), gone, str(models / "hminterp" / "tiny"))))["models"]
    assert {model["name"]: model["label"] for model in seen} == {
        "broken": "broken (damaged)",
        "slow": "slow",
        "tiny": "tiny",
        str(mine): "mine",
        gone: "gone (not found)",
    }
    assert blender.ask("fill", fill(model=str(mine), quality="draft")) == {"made": 1, "kept": 0}


def test_a_folder_without_a_model_is_refused_in_a_sentence(models: Path, tmp_path: Path) -> None:
    """One of another program, one of none, one that holds ours, one that is not whole."""
    blender = Blender(tmp_path)

    def refused(folder: Path) -> protocol.Explanation:
        error = blender.refused("model", protocol.ModelFolder(str(folder)))
        assert error["code"] == protocol.USER_ERROR
        return protocol.from_json(protocol.Explanation, error["data"])

    other = tmp_path / "unet"
    other.mkdir()
    (other / "config.json").write_text('{"_class_name": "UNet2DConditionModel"}')
    for folder in (other, tmp_path / "nowhere"):
        assert refused(folder).message == f"{folder} holds no model of HMInterp."
        assert "config.json" in refused(folder).remedy
    assert refused(models / "hminterp").remedy == "Choose one of the folders in it: slow, tiny."
    half = tmp_path / "half"
    shutil.copytree(models / "hminterp" / "tiny", half)
    (half / "denoiser.safetensors").unlink()
    assert refused(half).message == f"The model in {half} is not whole: denoiser.safetensors is missing."
    (half / "hashes.json").write_text("[]")
    assert "hashes.json cannot be read" in refused(half).message
    assert blender.close() < GONE_SECONDS


# Cancelling and ending in the middle of everything


@pytest.mark.long
@pytest.mark.serial
def test_cancelled_at_any_moment_nothing_is_lost(dancer: Path, analyzed: Path, tmp_path: Path) -> None:
    known, empty = tmp_path / "known", tmp_path / "empty"
    shutil.copytree(analyzed, known)
    rng = random.Random(0)
    wish = wish_for(dancer, known)
    blender = Blender(tmp_path)
    (undisturbed,) = blender.ask("suggest", protocol.Suggest(wish))["paths"]
    ids = tuple(transition["id"] for transition in undisturbed["transitions"])
    folder = tmp_path / "frames"
    work: list[tuple[str, Any, float]] = [
        ("analyze", use(dancer, library=empty), 6.0),
        ("suggest", protocol.Suggest(wish), 1.0),
        ("fill", protocol.Fill(undisturbed, ids, protocol.EngineChoice("flow"), str(folder), str(known)), 8.0),
    ]
    cancelled, slowest = 0, 0.0
    for attempt in range(60):
        method, params, longest = work[attempt % 3]
        shutil.rmtree(empty, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        number = blender.send(method, params)
        time.sleep(rng.uniform(0.0, longest))
        begun = time.monotonic()
        blender.cancel(number)
        message = blender.answer(number)
        if "error" in message:
            assert message["error"]["code"] == protocol.CANCELLED
            slowest = max(slowest, time.monotonic() - begun)
            cancelled += 1
            assert FootageLibrary(known).check() == []
        if cancelled == 20:
            break
    assert cancelled == 20
    assert slowest < CANCELLED_SECONDS
    assert not workers_of(blender)
    assert blender.ask("suggest", protocol.Suggest(wish))["paths"] == [undisturbed]
    assert blender.ask("analyze", use(dancer, library=empty))["footages"][0]["analyzed"]
    for file in (analyzed / "footage").rglob("poses-*.npz"):
        with np.load(file) as expected, np.load(empty / file.relative_to(analyzed)) as found:
            assert all(np.array_equal(expected[name], found[name], equal_nan=True) for name in ("image", "world"))
    assert blender.close() < GONE_SECONDS


def workers_of(blender: Blender) -> list[int]:
    """The processes that estimate poses, below the server."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout
    lines = [line.split(None, 2) for line in listed.splitlines()]
    return [
        int(pid)
        for pid, parent, *words in lines
        if int(parent) == blender.process.pid and words and "spawn_main" in words[0]
    ]


def alive(pid: int) -> bool:
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(found.strip()) and not found.strip().startswith("Z")


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="asks ps for the workers")
@pytest.mark.parametrize("end", ["the stream ends", "the server is killed"])
@pytest.mark.parametrize("after", [0.3, 1.0, 4.0])
def test_the_workers_end_with_the_server(end: str, after: float, dancer: Path, tmp_path: Path) -> None:
    blender = Blender(tmp_path)
    blender.until(blender.send("analyze", use(dancer, library=tmp_path / "lib")), "Poses")
    time.sleep(after)
    workers = workers_of(blender)
    assert workers
    begun = time.monotonic()
    if end == "the stream ends":
        assert blender.close() < GONE_SECONDS
    else:
        blender.process.send_signal(signal.SIGKILL)
        blender.process.wait()
    while any(map(alive, workers)):
        assert time.monotonic() - begun < GONE_SECONDS
        time.sleep(0.05)
