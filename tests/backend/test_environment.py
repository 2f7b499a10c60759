"""The making of environments: a small package of the test's own, no network, other systems by injected facts."""

import base64
import hashlib
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = "vmg_house_under_test"
RUNNING = sys.version_info[:2]

sys.modules[NAME] = types.ModuleType(NAME)
sys.modules[NAME].__path__ = [str(ROOT)]
environment = importlib.import_module(f"{NAME}.addon.environment")
platforms = importlib.import_module(f"{NAME}.addon.platforms")
child = importlib.import_module(f"{NAME}.addon.child")
errors = importlib.import_module(f"{NAME}.vmg_backend.errors")
Progress = importlib.import_module(f"{NAME}.vmg_backend.progress").Progress
Environment, Recipe, State, Platform = (
    environment.Environment,
    environment.Recipe,
    environment.State,
    platforms.Platform,
)


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """Pip finds the packages of the test alone."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))


def make_wheel(folder, name, text="", version="1.0", requires=(), extra=(), main="", extra_name="dev"):
    """A wheel with one module, written by hand: building one would need the network."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Requires-Dist: {other}" for other in requires]
    metadata += [f'Provides-Extra: {extra_name}\nRequires-Dist: {other} ; extra == "{extra_name}"' for other in extra]
    content = {
        f"{name}/__init__.py": text,
        f"{name}/__main__.py": main,
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data.encode()).digest()).rstrip(b'=').decode()},"
        f"{len(data.encode())}\n"
        for path, data in content.items()
    )
    content[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        for path, data in content.items():
            file.writestr(path, data)
    return wheel


@pytest.fixture
def recipe(tmp_path):
    """A package that needs another one, and a third one for its extra."""
    make_wheel(tmp_path / "wheels", "vmg_other", "value = 1\n")
    make_wheel(tmp_path / "wheels", "vmg_third", "value = 3\n")
    source = make_wheel(tmp_path / "source", "vmg_backend", "value = 2\n", requires=["vmg_other"], extra=["vmg_third"])
    return Recipe(pythons=(RUNNING,), source=source, modules=("vmg_backend", "vmg_other"))


def value_of(made, module):
    command = [str(made.python), "-I", "-c", f"import {module}; print({module}.value)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


class Reports(list):
    """What progress was told."""

    def __call__(self, fraction, text):
        self.append((fraction, text))

    def rising(self):
        fractions = [fraction for fraction, _ in self]
        return fractions == sorted(fractions) and fractions[0] == 0 and fractions[-1] == 1


# -- a whole life, with real environments ------------------------------------------------------------------------------


@pytest.mark.long
def test_from_nothing_to_ready_and_back(tmp_path, recipe):
    root = tmp_path / "größe mit Leerzeichen" / "環境"
    made = Environment(root)
    assert made.status(recipe).state is State.ABSENT
    reports = Reports()
    made.set_up(recipe, Progress(reports))
    assert made.status(recipe).state is State.READY
    assert reports.rising()
    assert {"Looking for Python", "Making the environment", "Installing 2 packages", "Self test"} <= {
        text for _, text in reports
    }
    assert (value_of(made, "vmg_backend"), value_of(made, "vmg_other")) == ("2", "1")

    reports.clear()
    made.set_up(recipe, Progress(reports))
    assert not reports  # nothing to do

    # the same version with another content is noticed and taken
    newer = Recipe(
        pythons=recipe.pythons,
        source=make_wheel(
            tmp_path / "newer", "vmg_backend", "value = 7\n", requires=["vmg_other"], extra=["vmg_third"]
        ),
        extras=("dev",),
        modules=recipe.modules,
    )
    assert made.status(newer).state is State.OUTDATED
    made.set_up(newer)
    assert made.status(newer).state is State.READY
    assert (value_of(made, "vmg_backend"), value_of(made, "vmg_third")) == ("7", "3")

    # without the extra it is still good enough, and an update keeps it
    without = replace(newer, extras=())
    assert made.status(without).state is State.READY
    made.set_up(recipe)
    assert (value_of(made, "vmg_backend"), value_of(made, "vmg_third")) == ("2", "3")
    assert made.status(replace(recipe, extras=("dev",))).state is State.READY

    made.remove()
    assert not root.exists()
    assert made.status().state is State.ABSENT


@pytest.mark.long
def test_repair(tmp_path, recipe):
    made = Environment(tmp_path / "env")
    made.set_up(recipe)
    packages = next((tmp_path / "env").glob("venv/lib/python3*/site-packages"))
    for file in (packages / "vmg_backend").iterdir():
        if file.is_file():
            file.unlink()
    (packages / "vmg_backend").rename(packages / "gone")
    assert made.status(recipe).state is State.BROKEN
    made.repair(recipe)
    assert made.status(recipe).state is State.READY
    assert value_of(made, "vmg_backend") == "2"


@pytest.mark.long
def test_a_package_that_was_half_installed_is_installed_again(tmp_path, recipe):
    made = Environment(tmp_path / "env")
    made.set_up(recipe)
    packages = next((tmp_path / "env").glob("venv/lib/python3*/site-packages"))
    # as a power cut between two files of vmg_other leaves it
    (packages / "vmg_other" / "__init__.py").unlink()
    (packages / "vmg_other-1.0.dist-info" / "INSTALLER").unlink()
    marker = tmp_path / "env" / environment.MARKER
    marker.write_text(json.dumps({**json.loads(marker.read_text("utf-8")), "complete": False}), encoding="utf-8")
    assert made.status(recipe).state is State.INCOMPLETE
    made.set_up(recipe)
    assert value_of(made, "vmg_other") == "1"


@pytest.mark.long
def test_a_set_up_that_is_killed_is_continued(tmp_path, recipe):
    made = Environment(tmp_path / "env")
    code = textwrap.dedent(f"""
        import importlib, pathlib, sys, types
        sys.modules["r"] = types.ModuleType("r")
        sys.modules["r"].__path__ = [{str(ROOT)!r}]
        e = importlib.import_module("r.addon.environment")
        recipe = e.Recipe(pythons=({RUNNING!r},), source=pathlib.Path({str(recipe.source)!r}),
                          modules={recipe.modules!r})
        e.Environment(pathlib.Path({str(tmp_path / "env")!r})).set_up(recipe)
    """)
    moments = random.Random(2)
    killed = 0
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", code])
        try:
            process.wait(moments.uniform(0.3, 5.0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
        assert made.status(recipe).state in (State.ABSENT, State.INCOMPLETE, State.READY)
        if made.status(recipe).state is State.READY:
            assert value_of(made, "vmg_other") == "1"
            made.remove()
    assert killed >= 3
    made.set_up(recipe)
    assert (value_of(made, "vmg_backend"), value_of(made, "vmg_other")) == ("2", "1")


@pytest.mark.long
def test_two_at_once_wait_for_one_another(tmp_path, recipe):
    made = [Environment(tmp_path / "env") for _ in range(2)]
    reports = [Reports(), Reports()]
    threads = [
        threading.Thread(target=each.set_up, args=(recipe, Progress(report)))
        for each, report in zip(made, reports, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert made[0].status(recipe).state is State.READY
    steps = [{text for _, text in report} for report in reports]
    assert sum("Making the environment" in texts for texts in steps) == 1
    assert sum("Waiting for another set-up of the same folder" in texts for texts in steps) == 1


@pytest.mark.long
def test_what_pip_cannot_find_is_said_in_a_sentence(tmp_path, recipe):
    (tmp_path / "wheels" / "vmg_other-1.0-py3-none-any.whl").unlink()
    made = Environment(tmp_path / "env")
    with pytest.raises(errors.UserError, match="could not be installed: No matching distribution found for vmg_other"):
        made.set_up(recipe)
    assert made.status(recipe).state is State.INCOMPLETE


@pytest.mark.long
def test_no_connection_is_said_in_a_sentence(tmp_path, recipe, monkeypatch):
    (tmp_path / "wheels" / "vmg_other-1.0-py3-none-any.whl").unlink()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
    with pytest.raises(errors.UserError, match="the package index was not reached"):
        Environment(tmp_path / "env").set_up(recipe)


@pytest.mark.long
def test_a_package_that_does_not_start_fails_the_self_test(tmp_path):
    broken = make_wheel(
        tmp_path / "source", "vmg_backend", "raise ImportError('libGL.so.1: cannot open shared object file')\n"
    )
    made = Environment(tmp_path / "env")
    with pytest.raises(errors.UserError, match=r"libGL\.so\.1: cannot open") as caught:
        made.set_up(Recipe(pythons=(RUNNING,), source=broken, modules=("vmg_backend",)))
    assert "libgl1" in caught.value.remedy
    assert made.status().state is State.INCOMPLETE


# -- the extra that uv installs --------------------------------------------------------------------------------------

UV = """
import pathlib, subprocess, sys, time
words = sys.argv[1:]
pathlib.Path({said!r}).write_text("\\n".join(words), "utf-8")
print("Resolved 2 packages in 1ms", flush=True)
print("Downloading vmg-torch (502.2MiB)", flush=True)
print("Downloading vmg-small (2.0MiB)", flush=True)
print(" Downloaded vmg-small", flush=True)
while pathlib.Path({wait!r}).exists():
    time.sleep(0.05)
print(" Downloaded vmg-torch", flush=True)
print("Prepared 2 packages in 1s", flush=True)
backend = words.index("--torch-backend")
rest = [word for index, word in enumerate(words[2:], 2) if index not in (backend, backend + 1)]
rest = rest[rest.index("--python") + 2 :]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *rest]))
"""


@pytest.fixture
def by_uv(tmp_path, recipe):
    """The recipe without and with the extra; a stand-in for uv, which waits at the download while `wait` exists."""
    wait = tmp_path / "wait"
    make_wheel(tmp_path / "wheels", "uv", main=UV.format(said=str(tmp_path / "said"), wait=str(wait)))
    source = make_wheel(
        *(tmp_path / "source", "vmg_backend", "value = 2\n"),
        requires=["vmg_other"],
        extra=["vmg_third"],
        extra_name=environment.HMINTERP,
    )
    base = replace(recipe, source=source)
    extended = replace(base, extras=(environment.HMINTERP,), modules=(*base.modules, "vmg_third"))
    return types.SimpleNamespace(base=base, extended=extended, wait=wait)


@pytest.mark.long
@pytest.mark.serial
def test_an_extra_is_added_by_uv_while_the_environment_stays_whole(tmp_path, by_uv):
    made = Environment(tmp_path / "env")
    made.set_up(by_uv.base)
    assert (made.status(by_uv.extended).state, made.extras) == (State.OUTDATED, ())
    assert made.needs_packages(by_uv.extended)
    own = next((tmp_path / "env").glob("venv/lib/python3*/site-packages/vmg_backend/__init__.py")).stat().st_mtime_ns

    by_uv.wait.touch()
    cancelled, reports = threading.Event(), Reports()

    def work():
        with pytest.raises(errors.Cancelled):
            made.set_up(by_uv.extended, Progress(reports, cancelled))

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: any("Downloading vmg-torch (502.2MiB)" in text for _, text in reports), 60)
    assert made.status(by_uv.base).state is State.READY  # it can be used meanwhile
    asked = time.monotonic()
    cancelled.set()
    thread.join(10)
    assert time.monotonic() - asked < 1.0
    assert (made.status(by_uv.base).state, made.extras) == (State.READY, ())
    assert value_of(made, "vmg_backend") == "2"

    by_uv.wait.unlink()
    reports.clear()
    made.set_up(by_uv.extended, Progress(reports))
    assert reports.rising()
    assert (made.status(by_uv.extended).state, made.extras) == (State.READY, (environment.HMINTERP,))
    assert value_of(made, "vmg_third") == "3"
    words = (tmp_path / "said").read_text("utf-8").splitlines()
    assert words[:4] == ["pip", "install", "--python", str(made.python)]
    assert words[words.index("--torch-backend") + 1] == "auto"
    assert words[-1].startswith("vmg_backend[generate] @ file://")
    package = next((tmp_path / "env").glob("venv/lib/python3*/site-packages/vmg_backend/__init__.py"))
    assert package.stat().st_mtime_ns == own  # nothing but the extra was installed

    made.repair(by_uv.base)
    assert made.extras == (environment.HMINTERP,)
    assert value_of(made, "vmg_third") == "3"


@pytest.mark.long
def test_an_interrupted_first_set_up_goes_on_without_an_extra_that_nobody_asks_for(tmp_path, by_uv):
    made = Environment(tmp_path / "env")
    by_uv.wait.touch()
    cancelled, reports = threading.Event(), Reports()

    def work():
        with pytest.raises(errors.Cancelled):
            made.set_up(by_uv.extended, Progress(reports, cancelled))

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: any("vmg-torch" in text for _, text in reports), 60)
    cancelled.set()
    thread.join(10)
    assert made.status(by_uv.base).state is State.INCOMPLETE
    (tmp_path / "said").unlink()
    made.set_up(by_uv.base)
    assert (made.status(by_uv.base).state, made.extras) == (State.READY, ())
    assert not (tmp_path / "said").exists()


def test_what_uv_says_is_followed():
    said = environment._UvProgress()
    assert (said.text, said.fraction()) == ("Choosing packages", 0.0)
    for line in ("Using Python 3.11.7 environment at: tv", "Resolved 40 packages in 4.03s"):
        said.read(line)
    for line in ("Downloading torch (1.5GiB)", "Downloading numpy (16.0MiB)", "Downloading tiny (512.0KiB)"):
        said.read(line)
    assert said.text == "Downloading torch (1.5GiB)"
    said.read(" Downloaded torch")
    assert said.text == "Downloading numpy (16.0MiB)"
    assert said.fraction() == pytest.approx(0.8 * 1536 / 1552.5)
    for line in (" Downloaded numpy", " Downloaded tiny", "Prepared 40 packages in 5.44s"):
        said.read(line)
    assert (said.text, said.fraction()) == ("Installing 40 packages", 0.8)
    said.read(" + numpy==1.26.4")
    assert said.text == "Installing 40 packages"


def test_why_uv_failed_is_said_in_a_sentence():
    away = ["error: Request failed after 3 retries in 11.0s", "  cause: error sending request for url (https://x)"]
    assert "was not reached" in str(environment._explained(child.ChildFailed(away), Path("log")))
    none = ["error: No solution found when resolving dependencies", "  cause: Because there is no version"]
    assert "No solution found" in str(environment._explained(child.ChildFailed(none), Path("log")))


# -- cancelling --------------------------------------------------------------------------------------------------------


def make_program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def answering(path, version, extra="exit 1", makes_environments=True):
    """A program that answers like a Python of that version and does `extra` when asked for anything else."""
    answer = json.dumps([list(version), True, makes_environments, str(path)])
    return make_program(path, f"#!/bin/sh\nif [ \"$2\" = -c ]; then echo '{answer}'; exit 0; fi\n{extra}\n")


needs_sh = pytest.mark.skipif(os.name != "posix", reason="its stand-ins for Python are shell scripts")


@needs_sh
@pytest.mark.serial
def test_cancel_ends_the_program_and_its_children_within_a_second(tmp_path, recipe):
    grandchild = tmp_path / "pid"
    python = answering(tmp_path / "bin" / "python", RUNNING, f"trap '' TERM; sleep 60 & echo $! > '{grandchild}'; wait")
    made = Environment(tmp_path / "env", Platform("linux", python, ()))
    cancelled = threading.Event()
    ended = []

    def work():
        with pytest.raises(errors.Cancelled):
            made.set_up(recipe, Progress(None, cancelled))
        ended.append(time.monotonic())

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(lambda: grandchild.exists() and grandchild.read_text().strip())
    asked = time.monotonic()
    cancelled.set()
    thread.join(10)
    assert ended
    assert ended[0] - asked < 1.0
    wait_for(lambda: not is_running(int(grandchild.read_text())))
    assert made.status(recipe).state is State.INCOMPLETE


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


# -- finding Python ----------------------------------------------------------------------------------------------------


@needs_sh
def test_a_shim_that_fails_is_passed_over(tmp_path):
    make_program(
        tmp_path / "shims" / "python3.12", "#!/bin/sh\necho 'pyenv: python3.12: command not found' >&2\nexit 127\n"
    )
    old = answering(tmp_path / "a" / "python3", (3, 9))
    good = answering(tmp_path / "b" / "python3.12", (3, 12))
    platform = Platform("linux", old, (tmp_path / "shims", tmp_path / "a", tmp_path / "b", tmp_path / "none"))
    found = list(platforms.find_pythons(environment.FITTING, platform))
    assert [interpreter.program for interpreter in found] == [good]


@needs_sh
def test_the_running_python_comes_first_then_the_newer_version(tmp_path):
    running = answering(tmp_path / "a" / "python", (3, 11))
    older = answering(tmp_path / "b" / "python3.11", (3, 11))
    newer = answering(tmp_path / "c" / "python3.12", (3, 12))
    platform = Platform("linux", running, (tmp_path / "b", tmp_path / "c"))
    found = [interpreter.program for interpreter in platforms.find_pythons(environment.FITTING, platform)]
    assert found == [running, newer, older]


@needs_sh
def test_a_python_for_32_bits_or_one_that_babbles_is_none(tmp_path):
    narrow = make_program(tmp_path / "python3.12", "#!/bin/sh\necho '[[3, 12], false, true, \"x\"]'\n")
    babbling = make_program(tmp_path / "python3.11", "#!/bin/sh\necho hello\n")
    assert platforms.ask(narrow) is None
    assert platforms.ask(babbling) is None
    assert platforms.ask(tmp_path / "missing") is None


@needs_sh
def test_without_a_fitting_python_one_sentence_says_so(tmp_path, recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, "uv", None)
    old = answering(tmp_path / "bin" / "python3", (3, 9))
    made = Environment(tmp_path / "env", Platform("linux", old, (tmp_path / "bin",)))
    with pytest.raises(errors.UserError) as caught:
        made.set_up(environment.backend_recipe(recipe.source))
    assert str(caught.value) == (
        "No Python 3.12 or 3.11 was found, nor uv, which would bring one. "
        "Install Python 3.12 or 3.11 or uv, then start again."
    )


@needs_sh
def test_a_python_without_venv_is_told_apart(tmp_path, recipe, monkeypatch):
    monkeypatch.setitem(sys.modules, "uv", None)
    bare = answering(tmp_path / "bin" / "python3.11", (3, 11), makes_environments=False)
    made = Environment(tmp_path / "env", Platform("linux", bare, ()))
    with pytest.raises(errors.UserError, match="without the module venv"):
        made.set_up(environment.backend_recipe(recipe.source))


@needs_sh
def test_uv_brings_a_python_where_none_fits(tmp_path, recipe):
    old = answering(tmp_path / "bin" / "python3", (3, 9))
    said = tmp_path / "said"
    make_program(tmp_path / "bin" / "uv", f'#!/bin/sh\nprintf "%s\\n" "$@" > \'{said}\'\nexit 1\n')
    made = Environment(tmp_path / "env", Platform("linux", old, (tmp_path / "bin",)))
    with pytest.raises(errors.UserError, match="environment could not be made"):
        made.set_up(environment.backend_recipe(recipe.source))
    assert said.read_text().split("\n")[:4] == ["venv", "--seed", "--python", "3.12"]


# -- other systems -----------------------------------------------------------------------------------------------------


def test_paths_and_options_of_windows(tmp_path):
    windows = Platform("win32", Path("python.exe"), (tmp_path,))
    assert windows.python_in(Path("e")) == Path("e/Scripts/python.exe")
    packages = tmp_path / "e" / "Lib" / "site-packages"
    packages.mkdir(parents=True)
    assert windows.packages_in(tmp_path / "e") == packages
    (tmp_path / "uv.exe").write_bytes(b"")
    assert list(windows.programs("uv")) == [tmp_path / "uv.exe"]
    flags = windows.child_options()["creationflags"]
    assert flags & 0x08000000  # CREATE_NO_WINDOW
    assert flags & 0x00000200  # CREATE_NEW_PROCESS_GROUP


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_paths_and_options_of_posix(tmp_path, system):
    platform = Platform(system, Path("python"), (tmp_path,))
    assert platform.python_in(Path("e")) == Path("e/bin/python")
    assert platform.packages_in(tmp_path / "e") is None
    packages = tmp_path / "e" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    assert platform.packages_in(tmp_path / "e") == packages
    assert platform.child_options() == {"start_new_session": True}


def test_a_program_does_not_inherit_another_pythons_packages(monkeypatch):
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_USER"):
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("HTTPS_PROXY", "kept")
    kept = child.clean_environment()
    assert "elsewhere" not in kept.values()
    assert kept["HTTPS_PROXY"] == "kept"


# -- the marker --------------------------------------------------------------------------------------------------------


def test_a_foreign_folder_is_neither_used_nor_removed(tmp_path, recipe):
    root = tmp_path / "photos"
    root.mkdir()
    (root / "holiday.jpg").write_bytes(b"dear")
    made = Environment(root)
    assert made.status().state is State.FOREIGN
    for call in (made.remove, lambda: made.set_up(recipe), lambda: made.repair(recipe)):
        with pytest.raises(errors.UserError, match="did not make"):
            call()
    assert [file.name for file in root.iterdir()] == ["holiday.jpg"]


def test_what_an_interrupted_first_write_leaves_is_not_foreign(tmp_path):
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / ".vmg-k3x.json").write_text("", encoding="utf-8")
    assert Environment(tmp_path / "env").status().state is State.ABSENT


def test_somebody_elses_marker_is_foreign(tmp_path):
    (tmp_path / environment.MARKER).write_text('{"owner": "other"}', encoding="utf-8")
    assert Environment(tmp_path).status().state is State.FOREIGN


def test_remove_keeps_what_the_person_put_there(tmp_path):
    root = tmp_path / "env"
    (root / "venv" / "lib").mkdir(parents=True)
    (root / environment.MARKER).write_text('{"owner": "video_motion_graphs"}', encoding="utf-8")
    (root / "notes.txt").write_text("mine", encoding="utf-8")
    Environment(root).remove()
    assert [file.name for file in root.iterdir()] == ["notes.txt"]


def test_a_base_python_that_is_gone_breaks_the_environment(tmp_path):
    root = tmp_path / "env"
    (root / "venv" / "bin").mkdir(parents=True)
    (root / "venv" / "bin" / "python").symlink_to(tmp_path / "gone")
    marker = {"owner": "video_motion_graphs", "complete": True, "base": str(tmp_path / "gone"), "package": ""}
    (root / environment.MARKER).write_text(json.dumps(marker), encoding="utf-8")
    status = Environment(root, Platform("linux", Path(sys.executable), ())).status()
    assert status.state is State.BROKEN
    assert str(tmp_path / "gone") in status.reason


def test_a_folder_that_cannot_be_written_is_said_in_a_sentence(tmp_path, recipe):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(errors.UserError, match="cannot be written"):
        Environment(tmp_path / "file" / "env").set_up(recipe)


# -- the pins ----------------------------------------------------------------------------------------------------------


def test_every_installed_package_is_pinned():
    """The environment of these tests is the one that a person gets, package by package."""
    from importlib.metadata import PackageNotFoundError, distribution, distributions

    try:
        distribution("vmg_backend")
    except PackageNotFoundError:
        pytest.skip("not the environment that `python3 bootstrap.py test` makes")

    def plain(name):
        return name.lower().replace("_", "-").replace(".", "-")

    lines = environment.CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    pins = dict(line.split(" ;")[0].split("==") for line in lines if "==" in line and not line.startswith("#"))
    installed = {plain(found.metadata["Name"]): found.version.partition("+")[0] for found in distributions()}
    for own in ("vmg-backend", "pip"):
        installed.pop(own, None)
    assert {name: version for name, version in installed.items() if pins.get(name) != version} == {}
