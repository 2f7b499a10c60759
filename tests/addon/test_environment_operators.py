"""The preferences' buttons, with an environment that holds a backend of the standard library alone."""

import base64
import dataclasses
import hashlib
import importlib
import os
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

FAKE = Path(__file__).with_name("fake_backend.py")


class Parts:
    def __init__(self, root):
        for name in ("session", "platforms", "installation", "environment", "paths", "upkeep", "hardware"):
            setattr(self, name, importlib.import_module(f"{root}.addon.{name}"))
        self.errors = importlib.import_module(f"{root}.vmg_backend.errors")
        self.preferences = importlib.import_module(f"{root}.ui.preferences")


@pytest.fixture
def parts(enabled):
    return Parts(enabled.__name__)


def make_wheel(folder, note=""):
    """A package vmg_backend that needs nothing and speaks the protocol."""
    name = "vmg_backend-0.1.0"
    main = f"sys.argv[1:] = ['good', {str(folder)!r}]\nrunpy.run_path({str(FAKE)!r}, None, '__main__')\n"
    files = {
        "vmg_backend/__init__.py": f"# {note}\n",
        "vmg_backend/__main__.py": f"import runpy, sys\n{main}",
        f"{name}.dist-info/METADATA": "Metadata-Version: 2.1\nName: vmg_backend\nVersion: 0.1.0\n",
        f"{name}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={digest(text)},{len(text)}\n" for path, text in files.items())
    files[f"{name}.dist-info/RECORD"] = record + f"{name}.dist-info/RECORD,,\n"
    wheel = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


def digest(text):
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def chosen(bpy, parts, tmp_path, monkeypatch):
    """The preferences, with a folder of the test's own, an own cache, and a recipe that needs no network."""
    monkeypatch.setenv("VMG_CACHE", str(tmp_path / "cache"))
    wheel = make_wheel(tmp_path)
    recipe = parts.environment.Recipe(pythons=(sys.version_info[:2],), source=wheel, modules=("vmg_backend",))
    monkeypatch.setattr(parts.installation, "recipe", lambda: recipe)
    preferences = bpy.context.preferences.addons[parts.paths.PACKAGE].preferences
    preferences.environment_folder = str(tmp_path / "environment")
    preferences.existing_python = preferences.library_folder = ""
    online = bpy.context.preferences.system.use_online_access
    yield preferences
    bpy.context.preferences.system.use_online_access = online
    parts.session.session().stop_backend()
    for field in ("environment_folder", "existing_python", "library_folder"):
        setattr(preferences, field, "")


@pytest.fixture
def online(bpy, chosen):
    bpy.context.preferences.system.use_online_access = True
    assert bpy.app.online_access


def state(parts):
    return parts.installation.status().state


@pytest.fixture
def made(parts, chosen, tmp_path):
    """The environment as a set-up leaves it, without waiting for pip."""
    folder = tmp_path / "environment"
    subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    recipe = parts.installation.recipe()
    packages = parts.platforms.Platform.here().packages_in(folder / "venv")
    zipfile.ZipFile(recipe.source).extractall(packages)
    parts.environment.Environment(folder)._write_marker(
        complete=True,
        extras=(),
        base=sys._base_executable,
        package=recipe.package,
        fingerprint=recipe.fingerprint(),
    )
    assert state(parts) is parts.environment.State.READY
    return folder


@pytest.mark.long  # four times pip
def test_everything_without_a_window(bpy, parts, chosen, online, tmp_path):
    states = parts.environment.State
    assert state(parts) is states.ABSENT
    assert bpy.ops.vmg.environment_set_up() == {"FINISHED"}
    assert state(parts) is states.READY
    assert parts.installation.python().is_relative_to(tmp_path / "environment")
    assert not bpy.ops.vmg.environment_set_up.poll()

    assert bpy.ops.vmg.environment_test() == {"FINISHED"}
    assert parts.session.session().hello.version == "0.0.1"
    assert "0.0.1" in bpy.context.window_manager.vmg.backend
    process = parts.session.session()._link.process

    make_wheel(tmp_path, "newer")
    assert state(parts) is states.OUTDATED
    assert bpy.ops.vmg.environment_test() == {"FINISHED"}  # it is older, and still understood
    bpy.context.preferences.system.use_online_access = False
    assert bpy.ops.vmg.environment_set_up() == {"FINISHED"}  # nothing has to be fetched
    assert not process.alive
    assert state(parts) is states.READY

    bpy.context.preferences.system.use_online_access = True
    assert bpy.ops.vmg.environment_repair() == {"FINISHED"}
    assert state(parts) is states.READY

    assert bpy.ops.vmg.environment_remove() == {"FINISHED"}
    assert state(parts) is states.ABSENT
    assert not (tmp_path / "environment").exists()
    with pytest.raises(RuntimeError, match="not set up"):
        bpy.ops.vmg.environment_test()


def test_a_newer_wheel_is_an_update_that_needs_no_network(bpy, parts, made, tmp_path):
    assert not bpy.ops.vmg.environment_set_up.poll()
    make_wheel(tmp_path, "newer")
    assert state(parts) is parts.environment.State.OUTDATED
    assert not bpy.app.online_access
    assert bpy.ops.vmg.environment_set_up.poll()


def test_other_packages_need_the_network(bpy, parts, made, tmp_path, monkeypatch):
    pins = tmp_path / "pins.txt"
    pins.write_text("numpy==1.26.4\n", encoding="utf-8")
    other = dataclasses.replace(parts.installation.recipe(), constraints=pins)
    monkeypatch.setattr(parts.installation, "recipe", lambda: other)
    assert state(parts) is parts.environment.State.OUTDATED
    assert not bpy.ops.vmg.environment_set_up.poll()
    bpy.context.preferences.system.use_online_access = True
    assert bpy.ops.vmg.environment_set_up.poll()


def test_offline_says_what_to_switch(bpy, parts, chosen):
    assert not bpy.app.online_access
    with pytest.raises(RuntimeError, match="Allow Online Access"):
        bpy.ops.vmg.environment_set_up()
    assert not parts.paths.environment_folder().exists()


def test_offline_by_the_command_line_says_so(parts, chosen, monkeypatch):
    class App:
        online_access = False
        online_access_override = True

    class Blender:
        app = App

    monkeypatch.setattr(parts.installation, "bpy", Blender)
    assert "--offline-mode" in parts.installation.why_offline()


@pytest.fixture
def with_extra(parts, monkeypatch):
    """The recipe with the extra, too."""
    plain = parts.installation.recipe()
    monkeypatch.setattr(parts.installation, "recipe", lambda *extras: dataclasses.replace(plain, extras=extras))


def test_hminterp_is_added_only_where_it_is_asked_for(bpy, parts, chosen, made, with_extra, monkeypatch):
    asked, ours = [], parts.environment.HMINTERP

    def add(self, recipe, progress):
        asked.append(recipe.extras)
        marker = self._read_marker()
        self._write_marker(**{**marker, "extras": recipe.extras})

    monkeypatch.setattr(parts.environment.Environment, "set_up", add)
    assert not bpy.ops.vmg.environment_set_up.poll()  # the backend is ready without
    said, buttons = drawn(bpy, parts, chosen)
    assert "HMInterp is not set up" in said
    assert "2.8 GB" in said
    assert "hminterp_set_up" in buttons

    with pytest.raises(RuntimeError, match="Allow Online Access"):
        bpy.ops.vmg.hminterp_set_up()
    bpy.context.preferences.system.use_online_access = True
    parts.hardware._surveys[-1].asked_after = 7
    assert bpy.ops.vmg.hminterp_set_up() == {"FINISHED"}
    assert asked == [(ours,)]
    assert parts.installation.has_hminterp()
    assert state(parts) is parts.environment.State.READY
    assert parts.hardware._surveys[-1].asked_after is None  # what was known is looked up again
    assert not bpy.ops.vmg.hminterp_set_up.poll()
    assert "HMInterp is installed" in drawn(bpy, parts, chosen)[0]


def test_hminterp_is_refused_where_there_is_nothing_to_add_it_to(bpy, parts, chosen, online, tmp_path):
    with pytest.raises(RuntimeError, match="Set the backend up first"):
        bpy.ops.vmg.hminterp_set_up()
    chosen.existing_python = sys.executable
    with pytest.raises(RuntimeError, match="never changed"):
        bpy.ops.vmg.hminterp_set_up()
    assert parts.installation.has_hminterp() is None


def test_repairing_offline_would_only_destroy(bpy, parts, made):
    with pytest.raises(RuntimeError, match="Allow Online Access"):
        bpy.ops.vmg.environment_repair()
    assert state(parts) is parts.environment.State.READY


@pytest.mark.serial
def test_a_set_up_is_cancelled_within_a_second(bpy, parts, chosen, online, monkeypatch):
    session = parts.session.session()
    started = threading.Event()

    def slow(self, recipe, progress):
        while True:
            started.set()
            progress.update(0.3)
            time.sleep(0.02)

    monkeypatch.setattr(parts.environment.Environment, "set_up", slow)
    job = parts.upkeep.set_up(session)
    assert started.wait(5)
    assert not bpy.ops.vmg.environment_set_up.poll()
    session.pump()
    assert bpy.context.window_manager.vmg.running
    assert bpy.ops.vmg.environment_cancel() == {"FINISHED"}
    begun = time.monotonic()
    with pytest.raises(parts.errors.Cancelled):
        session.wait(job)
    assert time.monotonic() - begun < 1.0
    assert not bpy.ops.vmg.environment_cancel.poll()


def test_a_failed_set_up_is_shown(bpy, parts, chosen, online, monkeypatch):
    def full(self, recipe, progress):
        raise parts.errors.UserError("The disk is full.", "Free some.", title="Disk full")

    monkeypatch.setattr(parts.environment.Environment, "set_up", full)
    with pytest.raises(RuntimeError, match=r"The disk is full\. Free some\."):
        bpy.ops.vmg.environment_set_up()
    assert bpy.context.window_manager.vmg.failure_title == "Disk full"


def test_a_folder_of_somebody_elses_is_left_alone(bpy, parts, chosen, online, tmp_path):
    (tmp_path / "environment").mkdir()
    (tmp_path / "environment" / "holiday.jpg").write_bytes(b"dear")
    with pytest.raises(RuntimeError, match="did not make"):
        bpy.ops.vmg.environment_set_up()
    assert not bpy.ops.vmg.environment_remove.poll()
    assert not bpy.ops.vmg.environment_repair.poll()
    assert (tmp_path / "environment" / "holiday.jpg").exists()


def test_an_existing_environment(bpy, parts, chosen, tmp_path):
    chosen.existing_python = str(tmp_path / "none")
    assert state(parts) is parts.environment.State.BROKEN
    with pytest.raises(RuntimeError, match="Name another interpreter"):
        bpy.ops.vmg.environment_test()
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -P '{FAKE}' good '{tmp_path}'\n", encoding="utf-8")
    program.chmod(0o755)
    chosen.existing_python = str(program)
    assert state(parts) is parts.environment.State.READY
    if os.name != "nt":
        assert bpy.ops.vmg.environment_test() == {"FINISHED"}
    for name in ("set_up", "repair", "remove"):
        assert not getattr(bpy.ops.vmg, f"environment_{name}").poll()


def test_another_choice_ends_the_backend_that_ran(bpy, parts, chosen, made, tmp_path):
    bpy.ops.vmg.environment_test()
    process = parts.session.session()._link.process
    chosen.existing_python = str(tmp_path / "other")
    assert parts.session.session().hello is None
    end = time.monotonic() + 5
    while process.alive:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_size_of_the_library(bpy, parts, chosen, made, tmp_path):
    folder = tmp_path / "cache" / "library" / "footage"
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(bytes(3_000_000))
    bpy.ops.vmg.library_measure()
    assert chosen.library_megabytes == 3.0
    chosen.library_folder = str(tmp_path / "elsewhere")
    bpy.ops.vmg.library_measure()
    assert chosen.library_megabytes == 0.0
    chosen.library_megabytes = 5.0
    assert bpy.ops.vmg.library_clear() == {"FINISHED"}
    assert chosen.library_megabytes == 0.0  # as the backend said


def test_sizes_read_well(enabled):
    megabytes = importlib.import_module(f"{enabled.__name__}.operators.environment").megabytes
    assert [megabytes(size) for size in (0, 2_400_000, 999e6, 1_520_000_000)] == ["0 MB", "2 MB", "999 MB", "1.5 GB"]


class Recorder:
    """A layout that keeps what is said and which buttons there are."""

    def __init__(self):
        self.words, self.buttons = [], []

    def __getattr__(self, name):
        return lambda *words, **options: self

    def label(self, *, text="", icon="NONE"):
        self.words.append(text)

    def operator(self, idname, **options):
        self.buttons.append(idname.partition(".")[2])
        return self

    def prop(self, data, name, **options):
        assert name in data.bl_rna.properties


def drawn(bpy, parts, chosen):
    layout = Recorder()

    class Shown:
        """The preferences as `draw` sees them, with a layout."""

        def __getattr__(self, name):
            return getattr(chosen, name)

    shown = Shown()
    shown.layout = layout
    kind = parts.preferences.VideoMotionGraphsPreferences
    for name in ("_draw_state", "_draw_hminterp"):
        setattr(shown, name, getattr(kind, name).__get__(shown))
    kind.draw(shown, bpy.context)
    return "\n".join(layout.words), layout.buttons


def test_the_preferences_say_what_is_missing(bpy, parts, chosen):
    said, buttons = drawn(bpy, parts, chosen)
    assert "Backend: not set up" in said
    assert "Allow Online Access" in said
    assert "environment_set_up" in buttons

    bpy.context.preferences.system.use_online_access = True
    said, _ = drawn(bpy, parts, chosen)
    assert "Allow Online Access" not in said


def test_the_preferences_say_who_answers(bpy, parts, chosen, made, tmp_path):
    bpy.ops.vmg.environment_test()
    said, buttons = drawn(bpy, parts, chosen)
    assert "Backend: ready" in said
    assert "CPU" in said
    assert {"environment_test", "environment_repair", "environment_remove"} <= set(buttons)

    chosen.existing_python = str(tmp_path / "none")
    said, _ = drawn(bpy, parts, chosen)
    assert "Backend: broken" in said
    assert "There is no Python at" in said
