"""The add-on in Blender's own Python module, in an environment that has nothing of the backend's.

`python3 bootstrap.py test` makes that environment, builds the zip and names it in VMG_EXTENSION.
"""

import importlib
import os
import shutil
import sys
import time
from pathlib import Path

import pytest

MODULE = "bl_ext.user_default.video_motion_graphs"
SCRIPTED = Path(__file__).with_name("scripted_backend.py")
SAMPLE = Path(__file__).resolve().parents[2] / "vmg_backend" / "sample"
PERFORMER = SAMPLE / "performer.mp4"


def pytest_configure(config):
    if "VMG_EXTENSION" not in os.environ:
        raise pytest.UsageError("VMG_EXTENSION must name the extension's zip; run `python3 bootstrap.py test`.")


def pytest_sessionfinish(session, exitstatus):
    session.config.stash[_STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    """Leave without Blender's own clean-up, in which 4.5 can hang for ever."""
    if "bpy" in sys.modules and _STATUS in config.stash:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[_STATUS])


_STATUS = pytest.StashKey[int]()


@pytest.fixture(scope="session")
def extension_zip():
    return Path(os.environ["VMG_EXTENSION"])


@pytest.fixture(scope="session")
def bpy(tmp_path_factory):
    """Blender with the settings of somebody who has just installed it."""
    user = tmp_path_factory.mktemp("user")
    os.environ["BLENDER_USER_RESOURCES"] = str(user)
    os.environ["BLENDER_USER_EXTENSIONS"] = str(user / "extensions")
    import bpy

    return bpy


@pytest.fixture(scope="session")
def installed(bpy, extension_zip):
    """The zip, installed as a person does it from disk, not enabled yet; gives its module name."""
    result = bpy.ops.extensions.package_install_files(
        repo="user_default", filepath=str(extension_zip), enable_on_install=False
    )
    assert result == {"FINISHED"}
    return MODULE


@pytest.fixture
def enabled(installed):
    import addon_utils

    module = addon_utils.enable(installed, default_set=True)
    assert module is not None
    yield module
    addon_utils.disable(installed, default_set=True)


@pytest.fixture
def addon(enabled):
    """Imports a module of the installed add-on: `addon("compat")`, `addon("timeline.keys")`."""
    return lambda name: importlib.import_module(f"{enabled.__name__}.addon.{name}")


@pytest.fixture
def scene(bpy, enabled):
    """The scene of a new file, 24 fps, 64 x 64, that the Sequencer shows; nothing of it is cached."""
    bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=True)
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = 24, 1.0
    scene.render.resolution_x = scene.render.resolution_y = 64
    scene.render.use_sequencer = True
    scene.view_settings.view_transform = "Standard"
    editor = scene.sequence_editor_create()
    editor.use_cache_raw = editor.use_cache_final = False  # 5.x may show a stretched strip's neighbouring frame
    if hasattr(bpy.context.workspace, "sequencer_scene"):
        bpy.context.workspace.sequencer_scene = scene
    return scene


@pytest.fixture(scope="session")
def coded_frames(bpy, tmp_path_factory):
    """Pictures 0000.png to 0059.png of 64 x 64 px; vertical bars say the number, the least bit on the left."""
    folder = tmp_path_factory.mktemp("frames")
    image = bpy.data.images.new("code", 64, 64)
    for number in range(60):
        row = [float(number >> (x // 8) & 1) for x in range(64)]
        image.pixels = [value for x in row for value in (x, x, x, 1.0)] * 64
        image.filepath_raw, image.file_format = str(folder / f"{number:04}.png"), "PNG"
        image.save()
    return folder


@pytest.fixture
def coded_movie(bpy, scene, addon, coded_frames, tmp_path_factory):
    """Makes movies of the 60 coded pictures, by Blender: `coded_movie(30, 1.001)`. Leaves no strip behind."""
    compat = addon("compat")

    def make(fps, base=1.0):
        path = _MOVIES.get((fps, base))
        if path is None:
            path = _MOVIES[fps, base] = tmp_path_factory.mktemp("movie") / "coded.mp4"
            other = bpy.data.scenes.new("movie")
            other.render.fps, other.render.fps_base = fps, base
            other.render.resolution_x = other.render.resolution_y = 64
            other.frame_start, other.frame_end = 1, 60
            other.view_settings.view_transform = "Standard"
            compat.set_render_output(other, str(path))
            files = [coded_frames / f"{number:04}.png" for number in range(60)]
            compat.new_images(other.sequence_editor_create(), "code", files, 1, 1)
            bpy.ops.render.render(animation=True, scene=other.name)
            bpy.data.scenes.remove(other)
        return path

    return make


_MOVIES = {}


@pytest.fixture
def shown(bpy, scene, tmp_path):
    """The number that the coded picture shows at a timeline frame, read from a real render."""

    def read(frame):
        render = scene.render
        if hasattr(render.image_settings, "media_type"):
            render.image_settings.media_type = "IMAGE"
        render.image_settings.file_format = "PNG"
        render.filepath = str(tmp_path / "shown.png")
        scene.frame_set(frame)
        bpy.ops.render.render(write_still=True, scene=scene.name)
        image = bpy.data.images.load(render.filepath, check_existing=False)
        row = list(image.pixels)[32 * 64 * 4 : 33 * 64 * 4 : 4]
        bpy.data.images.remove(image)
        return sum(1 << bit for bit in range(8) if sum(row[bit * 8 + 2 : bit * 8 + 6]) > 2)

    return read


@pytest.fixture
def add_movie(bpy, scene, addon):
    """Adds a movie as the person does by Add Movie: `add_movie(path, stretched=True)`."""

    def add(path, *, stretched, at=10, channel=1):
        options = {"move_strips": False} if bpy.app.version >= (5, 0) else {}  # else it waits for the mouse
        before = {strip.name for strip in addon("compat").strips(scene.sequence_editor)}
        with addon("compat").editor_override(bpy.context, scene):
            bpy.ops.sequencer.movie_strip_add(
                filepath=str(path), frame_start=at, channel=channel, sound=False, use_framerate=False,
                adjust_playback_rate=stretched, **options,
            )  # fmt: skip
        return next(s for s in addon("compat").strips(scene.sequence_editor) if s.name not in before)

    return add


# -- the whole add-on, with a backend ----------------------------------------------------------------------------------


class Parts:
    """The extension's modules, and Blender, as the tests use them."""

    def __init__(self, bpy, root):
        self.bpy, self.ops = bpy, bpy.ops.vmg
        for name in ("compat", "jobs", "overview", "session", "footages", "unused", "paths"):
            setattr(self, name, importlib.import_module(f"{root}.addon.{name}"))
        for name in ("reading", "takes", "markers"):
            setattr(self, name, importlib.import_module(f"{root}.addon.timeline.{name}"))
        self.errors = importlib.import_module(f"{root}.vmg_backend.errors")

    @property
    def scene(self):
        return self.bpy.context.window.scene

    @property
    def take(self):
        return self.overview.active_take(self.scene)

    def counts(self):
        found = self.overview.counts(self.take)
        return found.all, found.filled, found.stale

    def key_strips(self):
        return self.reading.key_strips(self.scene)

    def inside(self, role):
        return [strip for strip in self.compat.strips(self.take) if strip.vmg.role == role]

    def pump_until(self, done, seconds=20.0):
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end
            self.session.session().pump()
            self.jobs.workflow().proceed()
            time.sleep(0.002)

    def slip(self, strip, frames):
        """Let a strip show other frames at the same time, as S does."""
        first, last = self.compat.start(strip), self.compat.end(strip)
        self.compat.move(strip, -frames)
        self.compat.set_visible(strip, first, last)

    def add_footage(self):
        self.scene.frame_set(self.scene.frame_start)
        assert self.ops.footage_add(filepath=str(PERFORMER), match_scene=True) == {"FINISHED"}

    def prepare(self, seconds=10.0):
        """Footage, and a length without music: the module of Blender 4.2 has no sound."""
        self.add_footage()
        self.scene.vmg.length_mode, self.scene.vmg.seconds = "SECONDS", seconds


@pytest.fixture
def parts(bpy, enabled, tmp_path):
    made = Parts(bpy, enabled.__name__)
    bpy.ops.wm.read_homefile(use_factory_startup=False)
    bpy.context.window.scene = scene = bpy.data.scenes.new("Cut")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "cut.blend"))
    for other in [one for one in bpy.data.scenes if one != scene]:
        bpy.data.scenes.remove(other)
    bpy.ops.ed.undo_push(message="start")  # an empty history cannot be printed
    return made


@pytest.fixture
def scripted(parts, monkeypatch):
    """The foreseeable backend, fast; gives a function that makes it slow."""

    def use(pause):
        command = [sys.executable, "-P", str(SCRIPTED), str(pause)]
        parts.session.session().stop_backend()
        monkeypatch.setattr(parts.session.session(), "_command", lambda: command)

    use(0.0)
    parts.slow = use
    return parts


@pytest.fixture
def compat(addon):
    return addon("compat")


@pytest.fixture
def reading(addon):
    return addon("timeline.reading")


@pytest.fixture
def put(scene, reading, compat, coded_movie):
    """Puts a footage strip of 60 frames on the timeline: its frame 0 at `at`, visible [first, last)."""

    def put(channel, at, first=None, last=None, path=None):
        strip = compat.new_movie(scene.sequence_editor, f"movie {channel}", str(path or coded_movie(24)), channel, at)
        compat.set_visible(strip, at if first is None else first, at + 60 if last is None else last)
        reading.use_as_footage([strip])
        reading.sync_footages(scene)
        return strip

    return put


@pytest.fixture
def hardware(scripted, monkeypatch):
    """The module, with a backend that is installed with HMInterp."""
    environment, installation = (
        importlib.import_module(f"{scripted.jobs.__package__}.{name}") for name in ("environment", "installation")
    )
    monkeypatch.setattr(installation, "status", lambda: environment.Status(environment.State.READY))
    monkeypatch.setattr(installation, "has_hminterp", lambda: True)
    found = importlib.import_module(f"{scripted.jobs.__package__}.hardware")
    found.forget()
    yield found
    found.forget()


@pytest.fixture
def records(scripted):
    return importlib.import_module(f"{scripted.jobs.__package__.rpartition('.')[0]}.vmg_backend.protocol")


@pytest.fixture(scope="session")
def sample_library(tmp_path_factory):
    """One for all tests, so that the sample is analysed once; never where VMG_SAMPLE_LIBRARY holds its analysis."""
    folder = tmp_path_factory.mktemp("library")
    known = Path(os.environ.get("VMG_SAMPLE_LIBRARY") or folder) / "footage"
    if known.is_dir():
        shutil.copytree(known, folder / "footage")
    return str(folder)


@pytest.fixture
def real(parts, bpy, enabled, sample_library):
    python = os.environ.get("VMG_BACKEND_PYTHON")
    if not python:
        pytest.skip("VMG_BACKEND_PYTHON names no interpreter with the backend.")
    chosen = bpy.context.preferences.addons[enabled.__name__].preferences
    chosen.existing_python = python
    chosen.library_folder = sample_library
    yield parts
    chosen.existing_python = chosen.library_folder = ""
