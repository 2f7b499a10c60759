"""Generated transitions on disk: kept by their use, within a size, and never taken from whoever works with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vmg_backend.cli import main
from vmg_backend.interpolation.cache import TransitionCache

HOUR = 3600.0


def key(number: int) -> str:
    return f"{number:016x}"


def store(cache: TransitionCache, number: int, hours_ago: float, size: int = 1000, engine: str | None = "flow") -> Path:
    folder = cache.root / key(number)
    folder.mkdir(parents=True)
    (folder / "0000.png").write_bytes(b"x" * size)
    if engine:
        cache.note(key(number), engine)
        (folder / "0000.png").write_bytes(b"x" * (size - (folder / "about.json").stat().st_size))
    for file in (*folder.iterdir(), folder):
        os.utime(file, (time.time() - hours_ago * HOUR,) * 2)
    return folder


def left(cache: TransitionCache) -> set[int]:
    return {int(entry.folder.name, 16) for entry in cache.entries()}


@pytest.fixture
def cache(tmp_path: Path) -> TransitionCache:
    return TransitionCache(tmp_path / "library é" / "transitions")


def test_an_empty_cache_is_none(cache: TransitionCache) -> None:
    assert cache.entries() == []
    assert cache.clean(0.0) == []


def test_the_least_used_go_first(cache: TransitionCache) -> None:
    for number, hours in enumerate((5.0, 1.0, 9.0, 3.0)):
        store(cache, number, hours)
    assert [entry.bytes for entry in cache.entries()] == [1000] * 4
    assert [int(entry.folder.name, 16) for entry in cache.entries()] == [2, 0, 3, 1]
    cache.take(key(2))  # used now
    assert [int(entry.folder.name, 16) for entry in cache.clean(2500)] == [0, 3]
    assert left(cache) == {1, 2}
    assert cache.clean(2500) == []
    cache.clean(0.0)
    assert left(cache) == set()
    assert [path.name for path in cache.root.iterdir()] == []


def test_other_folders_are_none_of_its_business(cache: TransitionCache) -> None:
    mine = cache.root / "holiday"
    mine.mkdir(parents=True)
    (mine / "0000.png").write_bytes(b"x")
    (cache.root / "notes.txt").write_text("x")
    store(cache, 1, 1.0)
    assert len(cache.clean(0.0)) == 1
    assert {path.name for path in cache.root.iterdir()} == {"holiday", "notes.txt"}


def test_what_is_used_is_left_until_the_job_ends(cache: TransitionCache) -> None:
    old, named = store(cache, 0, 9.0), store(cache, 1, 8.0)
    other = TransitionCache(cache.root)
    with cache.working([named, cache.root.parent / "elsewhere"]):
        cache.take(key(2))  # that is not there yet
        store(cache, 2, 0.0)
        assert [entry.folder for entry in other.clean(0.0)] == [old]
        with other.working():
            pass
        assert left(other) == {1, 2}
        assert other.clean(0.0) == []
    assert len(other.clean(0.0)) == 2


WORKING = """
import sys
from pathlib import Path
from vmg_backend.interpolation.cache import TransitionCache
cache = TransitionCache(Path(sys.argv[1]))
with cache.working():
    cache.take(sys.argv[2])
    print("working", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["ends", "is killed"])
def test_another_process_at_work_keeps_what_it_uses(cache: TransitionCache, end: str) -> None:
    for number in (0, 1):
        store(cache, number, 9.0)
    words = [sys.executable, "-c", WORKING, str(cache.root), key(1)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    (job,) = (cache.root / ".jobs").iterdir()
    os.utime(job, (time.time() - HOUR,) * 2)  # it has been running for an hour
    cache.clean(0.0)
    assert left(cache) == {1}
    if end == "is killed":
        process.kill()
    process.communicate()
    jobs = list((cache.root / ".jobs").iterdir())
    assert len(jobs) == (end == "is killed")
    cache.clean(0.0)
    assert left(cache) == set()
    assert list((cache.root / ".jobs").iterdir()) == []


def test_retouched_frames_are_never_deleted(cache: TransitionCache) -> None:
    folder = store(cache, 0, 9.0)
    store(cache, 1, 9.0, engine=None)
    (folder / "0000.png").write_bytes(b"painted")
    os.utime(folder, (time.time() - 9 * HOUR,) * 2)
    cache.clean(0.0)
    assert left(cache) == {0}


def test_a_use_in_the_last_moment_counts(cache: TransitionCache, monkeypatch: pytest.MonkeyPatch) -> None:
    store(cache, 0, 9.0)
    listed = cache.entries()
    cache.take(key(0))
    monkeypatch.setattr(TransitionCache, "entries", lambda _: listed)
    assert cache.clean(0.0) == []
    assert (cache.root / key(0) / "0000.png").exists()


def test_the_verbs_show_and_clean(cache: TransitionCache, capsys: pytest.CaptureFixture[str]) -> None:
    for number, engine in enumerate(("flow", "flow", "fade", None)):
        store(cache, number, 9.0 - number, engine=engine)
    words = ["--library", str(cache.root.parent), "--json"]
    assert main(["cache", "show", *words]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["folder"] == str(cache.root)
    assert (shown["entries"], shown["bytes"], shown["limit"]) == (4, 4000, 10_000_000_000)
    assert shown["engines"]["flow"] == {"entries": 2, "bytes": 2000}
    assert shown["engines"].keys() == {"flow", "fade", "unknown"}
    assert main(["cache", "clean", *words]) == 0
    assert json.loads(capsys.readouterr().out)["deleted"] == 0
    assert main(["cache", "clean", "--limit", "0.0000025", *words]) == 0
    cleaned = json.loads(capsys.readouterr().out)
    assert (cleaned["deleted"], cleaned["freed"], cleaned["entries"], cleaned["bytes"]) == (2, 2000, 2, 2000)
    assert left(cache) == {2, 3}
    assert main(["cache", "clean", "--all", *words]) == 0
    assert json.loads(capsys.readouterr().out)["entries"] == 0
    assert main(["cache", "show", "--library", str(cache.root.parent)]) == 0
    assert "0 transitions" in capsys.readouterr().out
