"""The backend's process, as Blender holds it, against one that behaves well or badly."""

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

FAKE = Path(__file__).with_name("fake_backend.py")
HELLO = {"id": 1, "method": "hello"}


@pytest.fixture
def backend(enabled):
    return importlib.import_module(f"{enabled.__name__}.addon.backend")


@pytest.fixture
def log(backend, tmp_path):
    made = backend.Log(tmp_path / "logs" / "x.log")
    yield made
    made.close()


@pytest.fixture
def started(backend, log, tmp_path):
    made = []

    def start(habit):
        made.append(backend.BackendProcess([sys.executable, "-P", str(FAKE), habit, str(tmp_path)], log))
        return made[-1]

    yield start
    for process in made:
        process.end(0.0)


def receive(process, seconds=10.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if message := process.receive():
            return message
        time.sleep(0.005)
    raise AssertionError("no message came")


def until(check, seconds=5.0):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end
        time.sleep(0.01)


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/stat")  # one that nobody has waited for yet is gone, too
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z"


def test_it_answers_and_ends_when_its_input_ends(started):
    process = started("good")
    process.send(HELLO)
    assert receive(process)["result"]["version"] == "0.0.1"
    assert process.alive
    assert not process.ended
    begun = time.monotonic()
    process.end(patience=5.0)
    assert time.monotonic() - begun < 2.0
    assert not process.alive
    assert process.ended


def test_one_that_does_not_listen_is_ended_by_force(started):
    process = started("deaf")
    process.send(HELLO)
    receive(process)
    process.send({"id": 2, "method": "beats"})
    receive(process)
    begun = time.monotonic()
    process.end(patience=0.3)
    assert time.monotonic() - begun < 3.0
    assert gone(process.pid)


def test_what_is_no_message_goes_to_the_log(started, log):
    process = started("garbage")
    process.send({"id": 7, "method": "beats"})
    assert [receive(process).get("id") for _ in range(5)] == [99, None, None, None, 7]
    until(lambda: "Loading model" in log.path.read_text("utf-8"))
    assert log.path.read_text("utf-8").count("no message") == 5


def test_a_large_message_comes_whole(started):
    process = started("good")
    process.send({"id": 3, "method": "suggest"})
    segments = receive(process)["result"]["paths"][0]["segments"]
    assert len(segments) == 40_000
    assert segments[-1] == {"at": 39_999, "name": "ü" * 50}


@pytest.mark.serial
def test_a_large_request_does_not_hold_up_the_sender(started):
    process = started("never greets")
    process.send(HELLO)
    time.sleep(0.2)
    begun = time.perf_counter()
    process.send({"id": 4, "method": "update", "params": "x" * 5_000_000})
    assert time.perf_counter() - begun < 0.5
    process.end(patience=0.1)
    assert gone(process.pid)


def test_the_end_is_seen_after_the_last_message(started, log):
    process = started("dies")
    process.send({"id": 5, "method": "beats"})
    until(lambda: not process.alive)
    assert not process.ended
    assert receive(process)["method"] == "progress"
    until(lambda: process.ended)
    assert f"process {process.pid} ended" in log.path.read_text("utf-8")


def test_a_crash_leaves_its_trace_in_the_log(started, log):
    process = started("dies")
    process.send({"id": 5, "method": "beats"})
    until(lambda: "Aborted" in log.path.read_text("utf-8"))


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
def test_the_children_of_a_dead_one_end_with_it(started):
    process = started("dies with children")
    process.send({"id": 6, "method": "beats"})
    until(lambda: process.ended)

    def empty():
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        members = [
            stat.read_text().rpartition(")")[2].split() for stat in Path("/proc").glob("[0-9]*/stat") if stat.exists()
        ]
        return not any(words[2] == str(process.pid) and words[0] != "Z" for words in members)

    until(empty)


def test_a_program_that_is_not_there_is_said_in_a_sentence(backend, log):
    errors = importlib.import_module(backend.__name__.replace("addon.backend", "vmg_backend.errors"))
    with pytest.raises(errors.UserError, match="cannot be started: No such file"):
        backend.BackendProcess(["/nowhere/python"], log)


def test_the_log_keeps_one_older_file(backend, log):
    for index in range(30_000):
        log.write(f"{index} {'x' * 60}")
    files = sorted(log.path.parent.iterdir())
    assert [file.name for file in files] == ["x.log", "x.log.1"]
    assert sum(file.stat().st_size for file in files) < 2_100_000
    assert log.path.read_text("utf-8").splitlines()[-1].split()[2] == "29999"


def test_a_log_that_cannot_be_written_stops_nothing(backend, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    log = backend.Log(tmp_path / "file" / "x.log")
    process = backend.BackendProcess([sys.executable, "-P", str(FAKE), "good", str(tmp_path)], log)
    process.send(HELLO)
    assert receive(process)["result"]["cores"] == 2
    process.end()


def test_nothing_of_blenders_python_is_inherited(backend, log, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = "import os, json; print(json.dumps({'jsonrpc': '2.0', 'result': dict(os.environ)}))"
    process = backend.BackendProcess([sys.executable, "-P", "-c", code], log)
    variables = receive(process)["result"]
    assert "PYTHONPATH" not in variables
    assert variables["HF_HUB_OFFLINE"] == "1"
    process.end()


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@pytest.mark.parametrize("real", [False, True])
def test_a_blender_that_is_killed_takes_the_backend_with_it(backend, real, extension_zip, tmp_path):
    """Even Blender's own end by force closes the pipe; the process in the middle is one that runs Blender's module."""
    command = [sys.executable, "-P", str(FAKE), "good", str(tmp_path)]
    if real:
        command = backend.serve_command(Path(real_python()))
    # the extension's root under another name, loaded as Blender does it: from its files
    script = tmp_path / "blender.py"
    script.write_text(
        "import sys, types, time, importlib, zipfile, pathlib\n"
        "import bpy\n"
        f"folder = pathlib.Path({str(tmp_path / 'extension')!r})\n"
        f"zipfile.ZipFile({str(extension_zip)!r}).extractall(folder)\n"
        "root = types.ModuleType('vmg_root'); root.__path__ = [str(folder)]; sys.modules['vmg_root'] = root\n"
        "backend = importlib.import_module('vmg_root.addon.backend')\n"
        f"process = backend.BackendProcess({command!r}, backend.Log(folder / 'x.log'))\n"
        "process.send({'id': 1, 'method': 'hello'})\n"
        "while not process.receive(): time.sleep(0.01)\n"
        "print('backend', process.pid, flush=True)\n"
        "time.sleep(1000)\n",
        encoding="utf-8",
    )
    blender = subprocess.Popen([sys.executable, "-P", str(script)], stdout=subprocess.PIPE, encoding="utf-8")
    try:
        pid = next(int(line.split()[1]) for line in blender.stdout if line.startswith("backend"))
        assert not gone(pid)
    finally:
        blender.send_signal(signal.SIGKILL)
        blender.wait()
    begun = time.monotonic()
    until(lambda: gone(pid))
    print(f"backend gone after {time.monotonic() - begun:.2f} s")
    assert time.monotonic() - begun < 2.0


def real_python():
    if "VMG_BACKEND_PYTHON" not in os.environ:
        pytest.skip("VMG_BACKEND_PYTHON names no interpreter that has the backend")
    return os.environ["VMG_BACKEND_PYTHON"]
