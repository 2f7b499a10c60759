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
PROTOCOL = Path(__file__).resolve().parents[2] / "vmg_backend" / "protocol.py"


class Parts:
    def __init__(self, root):
        for name in ("session", "platforms", "installation", "environment", "existing", "paths", "upkeep", "hardware"):
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
        "vmg_backend/protocol.py": PROTOCOL.read_text(encoding="utf-8"),
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


def test_an_existing_environment(bpy, parts, chosen, tmp_path, monkeypatch):
    chosen.existing_python = str(tmp_path / "none")
    assert state(parts) is parts.environment.State.BROKEN
    with pytest.raises(RuntimeError, match="Name the program python"):
        bpy.ops.vmg.environment_test()
    program = existing(parts, tmp_path, make_wheel(tmp_path))
    monkeypatch.setattr(parts.existing, "MODULES", ("vmg_backend",))
    chosen.existing_python = str(program)
    assert state(parts) is parts.environment.State.CHECKING
    assert bpy.ops.vmg.sample_load.poll()  # a script need not wait
    assert "Backend: being checked" in drawn(bpy, parts, chosen)[0]
    assert bpy.ops.vmg.environment_test() == {"FINISHED"}
    assert state(parts) is parts.environment.State.READY
    for name in ("set_up", "repair", "remove"):
        assert not getattr(bpy.ops.vmg, f"environment_{name}").poll()
        assert f"environment_{name}" not in drawn(bpy, parts, chosen)[1]


def existing(parts, folder, wheel):
    """An environment with a wheel in it; gives its interpreter."""
    subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", str(folder / "own")], check=True)
    platform = parts.platforms.Platform.here()
    zipfile.ZipFile(wheel).extractall(platform.packages_in(folder / "own"))
    return platform.python_in(folder / "own")


def test_what_an_existing_environment_lacks_is_said_with_its_remedy(bpy, parts, chosen, tmp_path, monkeypatch):
    chosen.existing_python = str(existing(parts, tmp_path, make_wheel(tmp_path)))
    packages = parts.platforms.Platform.here().packages_in(tmp_path / "own")
    monkeypatch.setattr(parts.existing, "MODULES", ("vmg_backend", "av", "cv2"))
    monkeypatch.setattr(parts.existing, "FITTING", (sys.version_info[:2],))

    def refused():
        with pytest.raises(RuntimeError) as caught:
            bpy.ops.vmg.environment_test()
        assert bpy.context.window_manager.vmg.failure_action == "vmg.environment_test"
        return str(caught.value)

    (packages / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open')", encoding="utf-8")
    said = refused()
    assert "lacks av." in said
    assert "own" in said
    assert "-m pip install" in said
    assert parts.paths.wheel().name in said
    finished(parts)
    assert parts.installation.status().command in said
    assert "environment_copy" in drawn(bpy, parts, chosen)[1]

    (packages / "av.py").touch()
    said = refused()  # it was looked at anew
    assert "cv2: libGL.so.1: cannot open." in said
    assert "system's packages" in said

    (packages / "cv2.py").touch()
    (packages / "cv2.py").write_text("", encoding="utf-8")
    protocol = packages / "vmg_backend" / "protocol.py"
    other = protocol.read_text(encoding="utf-8")
    protocol.write_text("def fingerprint():\n    return 'older'\n", encoding="utf-8")
    assert "--force-reinstall" in refused()
    protocol.write_text(other, encoding="utf-8")
    assert bpy.ops.vmg.environment_test() == {"FINISHED"}

    (packages / "av.py").unlink()
    monkeypatch.setattr(parts.existing, "FITTING", ((3, 2),))
    parts.session.session().stop_backend()
    assert "the backend needs 3.2" in refused()


def finished(parts):
    """Wait for the check that is under way."""
    parts.installation.status()
    parts.installation._checks[-1]._thread.join(10)


@pytest.mark.parametrize(("text", "said"), [("exit 3", "does not work"), ("sleep 9", "not answered in time")])
@pytest.mark.skipif(os.name == "nt", reason="a shell script")
def test_a_program_that_is_no_python_is_named(parts, tmp_path, text, said):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\necho no library\n{text}\n", encoding="utf-8")
    program.chmod(0o755)
    check = parts.existing.Check(program, "x", patience=0.3)
    check._thread.join(5)
    assert check.status.state is parts.environment.State.BROKEN
    assert said in check.status.reason


def test_a_backend_of_ones_own_that_does_not_start_is_tested_and_not_repaired(parts, chosen, tmp_path):
    said = parts.installation.Explanation("The backend does not start", "It ended.", "Repair it.")
    told = parts.installation.Failure(said, "vmg.environment_repair")
    assert parts.installation.explained(told) == told
    chosen.existing_python = str(tmp_path / "python")
    assert parts.installation.explained(told).action == "vmg.environment_test"
    assert "Repair" not in parts.installation.explained(told).explanation.remedy


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
