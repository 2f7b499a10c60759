"""The command line as programs and people meet it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from vmg_backend import sample
from vmg_backend.cli import main
from vmg_backend.footage import Footage
from vmg_backend.library import FootageLibrary
from vmg_backend.search.path import Path as FoundPath


def vmg(*words: object, cache: Path | None = None) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    environment = os.environ | ({"VMG_CACHE": str(cache)} if cache else {})
    return subprocess.Popen(
        [sys.executable, "-m", "vmg_backend", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def said(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=900)
    return process.returncode, out, err


def test_help_loads_nothing_heavy() -> None:
    heavy = "numpy scipy cv2 av librosa mediapipe torch"
    code = (
        "import sys\n"
        "from vmg_backend.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print([name for name in '{heavy}'.split() if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "Find the path" in out
    assert out.rstrip().endswith("[]")


@pytest.mark.parametrize(
    ("words", "said_why"),
    [
        (["analyze", "no such file.mp4"], "no such file"),
        (["analyze", "."], ""),
        (["beats", "no such music.ogg"], "no such music"),
        (["cut", "x.mp4", "--out", "y.mp4", "--seconds", "3", "--engine", "magic"], "fade, flow"),
        (["cut", "x.mp4", "--out", "y.avi", "--seconds", "3"], ".mp4"),
        (["cut", "x.mp4", "--out", "y.mp4"], "--music"),
        (["cut", "x.mp4", "--out", "y.mp4", "--music", "no such.ogg"], "no such"),
        (["cut", "x.mp4", "--out", ".", "--seconds", "3"], ""),
        (["search", "--out", "p.json", "--seconds", "3", "--range", "0-9"], "Name the footage"),
        (["search", "--out", "p.json", "--seconds", "1e300"], "86400"),
        (["search", "--out", "p.json", "--seed", "-1"], "whole number"),
        (["search", "--out", "p.json", "--seconds", "3", "--weight", "beat=2"], "beats, accents, music"),
        (["search", "--out", "p.json", "--seconds", "3", "--tags", "none.json"], "none.json"),
        (["search", "--out", "p.json", "--seconds", "3", "--text", " . "], ""),
        (["search", "--out", "p.json", "--seconds", "3", "--start", "dance"], "NAME:FRAME"),
        (["search", "--out", "p.json", "--seconds", "3", "--stay", "a.mp4:5-2"], "NAME:START-END"),
        (["search", "--out", "p.json", "--speech", "none.wav"], "none.wav"),
        (["search", "--out", "p.json", "--seconds", "3", "--speech", "none.wav"], "none.wav"),
        (["search", "--out", "p.json", "--seconds", "3", "--report", "p.json"], "another use"),
        (["search", "--out", "p.json", "--seconds", "3", "--report", "p.2.json", "--takes", "2"], "another use"),
        (["search", "--out", "p.json", "--seconds", "3", "--loop", "--takes", "2"], "of a loop"),
        (["search", "--out", "p.json", "--seconds", "3", "--weight", "music=1"], "--weight music"),
        (["search", "--out", "p.json", "--seconds", "3", "--weight", "tags"], "NAME=X"),
        (["nonsense"], "--help"),
        (["cut", "x.mp4", "--out", "y.mp4", "--seconds", "3", "--fps", "fast"], "fast"),
        (["cut", "x.mp4", "--out", "y.mp4", "--seconds", "3", "--range", "9-x"], "FIRST-LAST"),
        (["search", "--out", "p.json", "--seconds", "3"], "vmg analyze"),
        (["render", "p.json", "--out", "y.mp4"], "vmg search"),
        (["evaluate", "beats", "y.mp4", "--beats", "b.txt"], ""),
        (["evaluate", "transitions", "y.mp4", "--sheet", "x.txt"], ".png"),
        (["analyze"], "No footage"),
        (["analyze", "--forget", "gone.mp4"], "gone.mp4"),
    ],
)
def test_user_errors_exit_2_with_one_json_object(
    words: list[str], said_why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VMG_CACHE", str(tmp_path / "cache"))
    assert main([*words, "--json"]) == 2
    shown = capsys.readouterr()
    error = json.loads(shown.out)["error"]
    assert set(error) == {"title", "message", "remedy"}
    assert all(error.values())
    assert said_why in error["message"] + error["remedy"]
    assert "Traceback" not in shown.err
    assert not list(tmp_path.glob("*.mp4"))


@pytest.mark.long
def test_a_search_under_many_wishes_at_once(
    sample_library: FootageLibrary, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Actions, accents, music, an end, a longest time and takes, as a person gives them."""
    name, files = sample.PERFORMER.name, {}
    spans = [{"tag": "swing", "start": 2.0, "end": 9.0, "footage": name}, {"tag": "hop", "start": 12, "end": 20}]
    for file, entries in (
        ("labels", [{**span, "footage": name} for span in spans]),
        ("tags", [{"tag": "hop", "start": 0, "end": 4}, {"tag": "swing", "start": 4, "end": 8}]),
    ):
        files[file] = tmp_path / f"{file}.json"
        files[file].write_text(json.dumps(entries))
    out, page = tmp_path / "take.json", tmp_path / "take.html"
    words = ["search", sample.PERFORMER, "--library", sample_library.root, "--music", sample.MUSIC, "--seconds", 8]
    words += ["--beats", sample.BEATS, "--labels", files["labels"], "--tags", files["tags"], "--weight", "accents=1"]
    words += ["--weight", "music=0.5", "--longest", 3, "--end", f"{name}:100", "--takes", 2, "--report", page]
    assert main([*map(str, words), "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["path"] for one in told["takes"]] == [str(out), str(tmp_path / "take.2.json")]
    paths = [FoundPath.load(Path(one["path"])) for one in told["takes"]]
    fps = float(paths[0].fps)
    for path in paths:
        assert set(path.conditions) == {"beats", "accents", "music", "tags"}
        assert path.segments[-1].last == 100
        assert (
            max(path.transitions[k + 1].at - path.transitions[k].at for k in range(len(path.transitions) - 1))
            <= 3 * fps
        )
        wanted = {"hop": (12 * fps, 20 * fps), "swing": (2 * fps, 9 * fps)}
        for segment in path.segments:
            middle = segment.at + segment.frames / 2
            if abs(middle - 4 * fps) > fps:
                first, last = wanted["hop" if middle < 4 * fps else "swing"]
                assert first - fps / 2 <= segment.first <= segment.last <= last + fps / 2
        reasons = path.explanation
        parts = [sum(one["costs"].values()) for one in reasons["seconds"] + reasons["cuts"]]
        assert sum(parts) == pytest.approx(path.cost)
    assert "runner-up" in page.read_text()


def test_our_faults_exit_1_and_name_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setenv("VMG_CACHE", str(tmp_path))
    monkeypatch.setattr("vmg_backend.verbs.doctor", broken)
    assert main(["doctor", "--json"]) == 1
    log = tmp_path / "logs" / "vmg.log"
    assert str(log) in json.loads(capsys.readouterr().out)["error"]["remedy"]
    assert "ZeroDivisionError" in log.read_text()


@pytest.mark.parametrize("verb", ["cut", "search", "beats"])
def test_nothing_that_is_read_is_ever_written_over(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    footage, music = tmp_path / "in.mp4", tmp_path / "song.mp4"
    shutil.copy(sample.PERFORMER, footage)
    shutil.copy(sample.MUSIC, music)
    words = {
        "cut": ["cut", footage, "--music", music, "--out", music],
        "search": ["search", footage, "--music", music, "--out", footage],
        "beats": ["beats", music, "--out", music],
    }[verb]
    assert (
        main([*map(str, words), "--library", str(tmp_path / "lib")] if verb != "beats" else list(map(str, words))) == 2
    )
    assert "Choose another name" in capsys.readouterr().err
    assert footage.read_bytes() == sample.PERFORMER.read_bytes()
    assert music.read_bytes() == sample.MUSIC.read_bytes()


@pytest.mark.parametrize("words", [["graph", "--report"], ["search", "--seconds", "3", "--out"]])
def test_footage_that_only_the_library_names_is_not_written_over(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    footage, library = tmp_path / "in.mp4", FootageLibrary(tmp_path / "lib")
    shutil.copy(sample.PERFORMER, footage)
    library.remember(library.footage(footage), None, None)
    assert main([*words, str(footage), "--library", str(library.root)]) == 2
    assert "Choose another name" in capsys.readouterr().err
    assert footage.read_bytes() == sample.PERFORMER.read_bytes()


@pytest.mark.long
def test_from_footage_to_film(dancer: Path, tmp_path: Path) -> None:
    """The whole way in separate verbs, on paths with spaces and accents."""
    library, path = tmp_path / "my library", tmp_path / "päth.json"
    code, out, err = said(vmg("graph", dancer, "--library", library, "--json"))
    assert code == 0, err
    graph = json.loads(out)
    assert graph["frames"] == 120
    assert graph["edges"] >= graph["connectors"]
    assert {"frames_without_person", "kept", "threshold", "cpu_seconds", "peak_memory_mb"} <= graph.keys()

    words = ["--music", sample.MUSIC, "--beats", sample.BEATS, "--seconds", "6.5", "--library", library]
    code, out, err = said(vmg("search", "--out", path, *words, "--json"))  # the library's footage
    assert code == 0, err
    found = json.loads(out)
    assert found["frames"] == 156
    assert found["transitions"]
    assert found["bound"] <= found["cost"] + 1e-9

    film = tmp_path / "film é.mp4"
    code, _, err = said(vmg("render", path, "--out", film, "--library", library))
    assert code == 2
    assert "vmg generate" in err
    code, _, err = said(vmg("generate", path, "--engine", "fade", "--library", library))
    assert code == 0, err
    code, _, err = said(vmg("render", path, "--out", film, "--library", library))
    assert code == 0, err
    with av.open(str(film)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 156
    assert {t.engine for t in FoundPath.load(path).transitions} == {"fade"}
    check_path(FoundPath.load(path), hold=14)


def check_path(path: FoundPath, hold: int) -> None:
    """No backward step, holds kept, the output covered once, no frame again within the window, lengths right."""
    shown: list[tuple[str, int] | None] = [None] * path.frames
    for segment in path.segments:
        assert segment.last >= segment.first
        for k in range(segment.frames):
            assert shown[segment.at + k] is None
            shown[segment.at + k] = (segment.footage, segment.first + k)
    for transition in path.transitions:
        half = transition.half
        i, j_next = transition.match
        assert shown[transition.at - 1] == (transition.from_.footage, transition.from_.frame)
        assert shown[transition.at + transition.frames] == (transition.to.footage, transition.to.frame)
        for k in range(half):
            shown[transition.at + k] = (transition.from_.footage, i - half + 1 + k)
            shown[transition.at + half + k] = (transition.to.footage, j_next + k)
    assert None not in shown
    cuts = [transition.at + transition.half for transition in path.transitions]
    bounds = [0, *cuts, path.frames]
    if cuts:
        assert min(np.diff(bounds)) >= hold
    for t in range(1, path.frames):
        if t not in cuts:
            before, now = shown[t - 1], shown[t]
            assert before is not None
            assert now == (before[0], before[1] + 1)
    window = round(path.reuse_window * path.fps)
    last: dict[tuple[str, int] | None, int] = {}
    for t, node in enumerate(shown):
        assert t - last.get(node, -window - 1) > window
        last[node] = t


@pytest.mark.long
@pytest.mark.serial
def test_cancelled_within_a_second_with_exit_130(dancer: Path, tmp_path: Path) -> None:
    process = vmg("analyze", dancer, "--library", tmp_path / "lib", cache=tmp_path)
    assert process.stderr is not None
    for line in process.stderr:
        if "Poses" in line:
            break
    time.sleep(2.0)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert time.monotonic() - begun < 2.0  # a second, and a loaded machine's time to end processes
    assert FootageLibrary(tmp_path / "lib").check() == []


@pytest.mark.long
def test_killed_at_any_moment_nothing_is_lost(dancer: Path, tmp_path: Path) -> None:
    """Killed at 20 random moments: the library stays sound, and the next run gives what an undisturbed one gives."""

    def words(name: str) -> list[object]:
        return [
            *("cut", dancer, "--music", sample.MUSIC, "--beats", sample.BEATS, "--seconds", "6.5", "--engine", "flow"),
            *("--library", tmp_path / name, "--out", tmp_path / f"{name}.mp4", "--json"),
        ]

    begun = time.monotonic()
    code, undisturbed, err = said(vmg(*words("quiet"), cache=tmp_path))
    assert code == 0, err
    whole = time.monotonic() - begun
    rng = random.Random(0)
    killed, library = 0, tmp_path / "killed"
    for _ in range(60):
        for part in rng.sample(["graphs", "transitions", "footage"], k=rng.randrange(3)):
            shutil.rmtree(library / part, ignore_errors=True)  # so that there is something to be killed at
        begun = time.monotonic()
        process = vmg(*words("killed"), cache=tmp_path)
        try:
            process.communicate(timeout=rng.uniform(0.0, 1.0) * whole)
            whole = 0.8 * (time.monotonic() - begun)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            killed += 1
        assert FootageLibrary(library).check() == []
        if (tmp_path / "killed.mp4").exists():
            with av.open(str(tmp_path / "killed.mp4")) as container:
                assert container.streams.video[0].frames == 156
        if killed == 20:
            break
    assert killed == 20
    code, disturbed, err = said(vmg(*words("killed"), cache=tmp_path))
    assert code == 0, err
    first, second = json.loads(undisturbed), json.loads(disturbed)
    for result in (first, second):
        for transition in result["transitions"]:
            del transition["frames_dir"]  # lies in each run's own library
        del result["out"], result["path"]
    assert first == second
    frames = [list(_pictures(tmp_path / f"{name}.mp4")) for name in ("quiet", "killed")]
    assert all(np.array_equal(a, b) for a, b in zip(*frames, strict=True))


def _pictures(film: Path) -> list[np.ndarray]:
    with av.open(str(film)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("not a folder")
    assert main(["analyze", str(sample.PERFORMER), "--library", str(blocked / "lib"), "--json"]) == 2
    assert "Choose a folder" in json.loads(capsys.readouterr().out)["error"]["remedy"]


def test_a_cache_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("not a folder")
    for words in (["analyze", sample.PERFORMER], ["doctor"]):
        code, _, err = said(vmg(*words, cache=blocked / "cache"))
        assert code == 2
        assert "Traceback" not in err
        assert str(blocked) in err.splitlines()[-1]


def test_doctor_names_what_is_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "graphs" / "0123456789abcdef.npz"
    assert main(["doctor", "--library", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == []
    broken.parent.mkdir()
    broken.write_text("no archive")
    assert main(["doctor", "--library", str(tmp_path), "--json"]) == 2
    shown = capsys.readouterr()
    assert json.loads(shown.out)["broken_files"] == [str(broken)]
    assert str(broken) in shown.err
    assert list(tmp_path.iterdir()) == [broken.parent]  # nothing is left of what was tried


def test_whoever_stops_listening_gets_no_traceback() -> None:
    process = vmg("beats", sample.MUSIC)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    assert process.wait(timeout=900) == 0


def test_damage_is_said_in_one_line_each_time_and_kept_in_the_library(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(sample.PERFORMER.read_bytes()[:150_000])
    monkeypatch.setattr("vmg_backend.jobs._with_poses", lambda footages, *_: [_Seen(one) for one in footages])
    for _ in range(2):
        assert main(["analyze", str(torn), "--library", str(tmp_path / "lib"), "--json"]) == 0
        shown = capsys.readouterr()
        (footage,) = json.loads(shown.out)["footages"]
        assert "cut short" in footage["damaged"]
        assert f"Warning: {footage['damaged']}" in shown.err.splitlines()
        assert "UserWarning" not in shown.err


class _Seen:
    """An analysis with a person in each frame."""

    def __init__(self, footage: Footage) -> None:
        self.footage = footage
        self.track = SimpleNamespace(person=np.ones(footage.frames, dtype=bool))


def test_footage_that_was_moved_is_named_and_can_be_forgotten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library = FootageLibrary(tmp_path / "lib")
    for name in ("moved.mp4", "stays.mp4"):
        shutil.copy(sample.PERFORMER, tmp_path / name)
        with (tmp_path / name).open("ab") as file:
            file.write(name.encode())  # other content, another footage
        library.remember(library.footage(tmp_path / name), None, None)
    (tmp_path / "moved.mp4").unlink()
    assert main(["graph", "--library", str(library.root), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert "moved.mp4" in error["message"]
    assert "--forget" in error["remedy"]
    assert main(["analyze", "--forget", str(tmp_path / "moved.mp4"), "--library", str(library.root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["forgotten"] == [str(tmp_path / "moved.mp4")]
    assert [entry[0].name for entry in library.entries()] == ["stays.mp4"]


def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        kept = disk / "beats.json"
        kept.write_text("old")
        (disk / "filler").write_bytes(b"x" * 56 * 1024)
        assert main(["beats", str(sample.MUSIC), "--out", str(kept), "--json"]) == 2
        assert json.loads(capsys.readouterr().out)["error"]["title"] == "Disk full"
        assert kept.read_text() == "old"
        assert {file.name for file in disk.iterdir()} == {"beats.json", "filler"}
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("verb", ["generate", "cut", "demo"])
def test_a_missing_model_is_said_before_any_work_on_the_footage(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("the footage was looked at")

    monkeypatch.setenv("VMG_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr("vmg_backend.verbs.FoundPath", SimpleNamespace(load=lambda _: SimpleNamespace(transitions=())))
    for name in ("analyze", "analyses_of"):
        monkeypatch.setattr(f"vmg_backend.jobs.{name}", work)
    out = ["--out", str(tmp_path / "film.mp4")]
    words = {
        "generate": ["generate", "p.json"],
        "cut": ["cut", str(sample.PERFORMER), "--music", str(sample.MUSIC), "--beats", str(sample.BEATS), *out],
        "demo": ["demo", *out],
    }[verb]
    assert main([*words, "--engine", "hminterp", "--library", str(tmp_path / "library")]) == 2
    said = capsys.readouterr().err
    assert "There is no model for HMInterp here" in said or "which are not installed" in said
