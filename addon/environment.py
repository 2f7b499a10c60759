"""The backend's own Python environment: made, checked, repaired, removed.

Standard library only and no bpy: the add-on's Set Up button and `bootstrap.py` both use it. It is written for
Python 3.8, so that the bootstrap can be started by an old Python and say what is missing, or find a newer one.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import shutil
import time
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..vmg_backend.errors import UserError
from ..vmg_backend.files import write_json
from ..vmg_backend.locking import locked
from ..vmg_backend.progress import SILENT, Progress
from . import child
from .platforms import Platform, ask, find_pythons, find_uv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .platforms import Version

FITTING = ((3, 12), (3, 11))
"""The Python versions that the backend runs on, best first; mediapipe holds it to these."""

CONSTRAINTS = Path(__file__).with_name("backend_constraints.txt")
"""The exact version of every package of the backend's environment."""

MODULES = ("vmg_backend", "numpy", "scipy", "av", "cv2", "soundfile", "librosa", "safetensors", "mediapipe")
"""What the backend imports; a package of these may be there and yet miss a library of the system."""

HMINTERP = "generate"
"""The extra that the engine HMInterp needs."""

_BY_UV = frozenset({HMINTERP})
"""Extras that uv installs into the environment: it knows which build of torch fits the machine's graphics card."""

MARKER = "vmg-environment.json"
_OWNER = "video_motion_graphs"
_ASIDE = ".vmg-*"  # what `files.writing` writes before it renames


class State(Enum):
    """How an environment stands."""

    ABSENT = "not set up"
    INCOMPLETE = "set-up was interrupted"
    OUTDATED = "needs an update"
    BROKEN = "broken"
    FOREIGN = "not ours"
    CHECKING = "being checked"
    READY = "ready"


@dataclass(frozen=True)
class Status:
    """A `State` and, where there is more to say, a sentence, one about what to do, and the command that does it."""

    state: State
    reason: str = ""
    remedy: str = ""
    command: str = ""


@dataclass(frozen=True)
class Recipe:
    """What an environment is to hold.

    Parameters
    ----------
    pythons : tuple of (int, int)
        The Python versions that fit, best first.
    requirements : tuple of str
        What pip is asked for by name.
    source : Path, optional
        Our own package: a wheel, or a folder with a pyproject.toml.
    package : str
        Its name.
    extras : tuple of str
        Its extras.
    constraints : Path, optional
        A file with the exact version of every package.
    modules : tuple of str
        What must be importable in the end: the self test.
    trial : str
        Code that is run once after that, so that what is compiled at the first use is compiled by then.
    """

    pythons: tuple[Version, ...]
    requirements: tuple[str, ...] = ()
    source: Path | None = None
    package: str = "vmg_backend"
    extras: tuple[str, ...] = ()
    constraints: Path | None = None
    modules: tuple[str, ...] = ()
    trial: str = ""

    def wanted(self, extras: Iterable[str]) -> list[str]:
        """What pip and uv are asked for: our own package with some extras, within the constraints."""
        words = ["--constraint", str(self.constraints)] if self.constraints else []
        if self.source:
            chosen = ",".join(extras)
            words.append(f"{self.package}{f'[{chosen}]' if chosen else ''} @ {self.source.resolve().as_uri()}")
        return words

    def fingerprint(self) -> dict[str, str]:
        """What decides the content of the environment, but for its extras."""
        return {
            "requirements": " ".join(self.requirements),
            "source": _hash_of(self.source) if self.source else "",
            "constraints": _hash_of(self.constraints) if self.constraints else "",
        }


def backend_recipe(source: Path, extras: tuple[str, ...] = ()) -> Recipe:
    """The backend from a wheel or a source folder, with the packages that it was tested with."""
    return Recipe(
        pythons=FITTING,
        source=source,
        extras=extras,
        constraints=CONSTRAINTS,
        modules=(*MODULES, *(("torch", "diffusers", "transformers", "accelerate") if HMINTERP in extras else ())),
        trial="from vmg_backend import sample\nfrom vmg_backend.audio.beats import detect_beats\n"
        "detect_beats(sample.MUSIC, seconds=8.0)",  # numba takes up to a minute for librosa, once
    )


class Environment:
    """A virtual environment in a folder of its own.

    A marker file tells that the folder is ours. It is written first as incomplete and last, atomically, with the
    fingerprint of what was installed: an interrupted set-up is seen and continued, with what pip has in its cache.

    Parameters
    ----------
    root : Path
        The folder; it need not exist.
    platform : Platform, optional
        The system; by default the one that this runs on.
    """

    def __init__(self, root: Path, platform: Platform | None = None) -> None:
        self.root = root
        self._platform = platform or Platform.here()
        self._folder = root / "venv"
        self._log = root / "set-up.log"
        self._lock = root / "lock"

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self._platform.python_in(self._folder)

    def status(self, recipe: Recipe | None = None) -> Status:
        """How the environment stands, seen without starting a program.

        Parameters
        ----------
        recipe : Recipe, optional
            What it is to hold; without it an older content counts as ready.
        """
        marker = self._read_marker()
        if marker is None:
            if self.root.exists() and not self._holds_nothing():
                return Status(State.FOREIGN, f"{self.root} holds something that Video Motion Graphs did not make.")
            return Status(State.ABSENT)
        if not marker.get("complete"):
            return Status(State.INCOMPLETE)
        if not self.python.exists() or not Path(marker["base"]).exists():
            return Status(State.BROKEN, f"The Python that it was made from, {marker['base']}, is gone.")
        packages = self._platform.packages_in(self._folder)
        if packages is None or (marker["package"] and not (packages / marker["package"]).is_dir()):
            return Status(State.BROKEN, "Its packages were deleted.")
        if recipe is not None and (
            marker["fingerprint"] != recipe.fingerprint() or not set(recipe.extras) <= set(marker["extras"])
        ):
            return Status(State.OUTDATED)
        return Status(State.READY)

    @property
    def extras(self) -> tuple[str, ...]:
        """The extras that it has, or had when it was last whole; they are kept by all that changes it."""
        return tuple((self._read_marker() or {}).get("extras", ()))

    def needs_packages(self, recipe: Recipe) -> bool:
        """Whether a set-up would fetch packages: not where nothing but our own is older."""
        marker = self._read_marker()
        if self.status().state is not State.READY or marker is None or not set(recipe.extras) <= set(marker["extras"]):
            return True
        held, wanted = marker["fingerprint"], recipe.fingerprint()
        return any(held[name] != wanted[name] for name in ("requirements", "constraints"))

    def set_up(self, recipe: Recipe, progress: Progress = SILENT) -> None:
        """Make the environment, continue an interrupted set-up, or bring an older one up to date.

        While nothing but extras is added to a whole environment, it can be used all the time, and stays as good as it
        was where that is interrupted: the constraints leave no other package to be changed.

        Parameters
        ----------
        recipe : Recipe
            What it is to hold. Extras that it already has are kept.
        progress : Progress
            Gets the fraction done and the step; when cancelled, the set-up stops within a second.

        Raises
        ------
        UserError
            When no Python fits, the folder is not ours, the network or the disk fails, or a package does not start.
        Cancelled
            When it was cancelled; the next call continues.
        """
        status = self.status(recipe)
        if status.state is State.READY:
            return
        if status.state is State.FOREIGN:
            raise UserError(status.reason, "Choose an empty folder for the environment.", title="Folder in use")
        fingerprint = recipe.fingerprint()  # now: building in a source folder adds to it
        if not self._is_whole(recipe):
            self._write_marker(complete=False, extras=self.extras)

        waiting = progress.part(0.0, 0.0, "Waiting for another set-up of the same folder")
        with locked(self._lock, lambda: waiting.update(0.0)) as lock:
            if self.status(recipe).state is not State.READY:  # the other one may have made what we want
                self._set_up(recipe, fingerprint, _Steps(progress, self._log, lock))

    def _is_whole(self, recipe: Recipe) -> bool:
        """Whether nothing but extras is missing."""
        return self.status(replace(recipe, extras=())).state is State.READY

    def _set_up(self, recipe: Recipe, fingerprint: dict[str, str], steps: _Steps) -> None:
        extras = tuple(sorted({*recipe.extras, *self.extras}))
        steps.say(0.0, "Looking for Python")
        if not self._has_working_pip(recipe):
            self._make(recipe, steps)
        self._clear_half_installed(recipe)
        self._install(recipe, extras, steps)
        steps.say(0.95, "Self test")
        base = self._self_test(recipe, steps)
        if recipe.trial:
            steps.say(0.97, "First run")
            self._run_code(recipe.trial, steps)
        self._write_marker(
            complete=True,
            extras=extras,
            base=base,
            package=recipe.package if recipe.source else "",
            fingerprint=fingerprint,
        )
        steps.say(1.0, "Ready")

    def repair(self, recipe: Recipe, progress: Progress = SILENT) -> None:
        """Make the environment anew, with its extras; what was downloaded before is used again.

        Raises
        ------
        UserError, Cancelled
            As `set_up` and `remove`.
        """
        with_extras = replace(recipe, extras=tuple(sorted({*recipe.extras, *self.extras})))
        self.remove()
        self.set_up(with_extras, progress)

    def remove(self) -> None:
        """Delete the environment, and nothing that is not ours.

        Raises
        ------
        UserError
            When the folder does not carry our marker, or something in it is in use.
        """
        status = self.status()
        if status.state is State.ABSENT:
            return
        if status.state is State.FOREIGN:
            raise UserError(status.reason, "Delete it yourself if you do not need it.", title="Not removed")
        # The marker goes last, so that what an interrupted removal leaves is still known as ours.
        self._write_marker(complete=False)
        self._delete_folder()
        for file in (self._log, self._lock, *self.root.glob(_ASIDE)):
            with contextlib.suppress(FileNotFoundError):
                file.unlink()
        (self.root / MARKER).unlink()
        with contextlib.suppress(OSError):  # the person keeps something of their own there
            self.root.rmdir()

    def _holds_nothing(self) -> bool:
        """Whether the folder is as good as empty; a marker that is just being written, or never was, is nothing."""
        return self.root.is_dir() and set(self.root.iterdir()) <= set(self.root.glob(_ASIDE))

    def _read_marker(self) -> dict[str, Any] | None:
        try:
            marker = json.loads((self.root / MARKER).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return marker if isinstance(marker, dict) and marker.get("owner") == _OWNER else None

    def _write_marker(self, **content: Any) -> None:
        write_json(self.root / MARKER, {"owner": _OWNER, **content})

    def _has_working_pip(self, recipe: Recipe) -> bool:
        """Whether an earlier set-up left a fitting interpreter and the whole of pip."""
        packages = self._platform.packages_in(self._folder)
        if packages is None or not any(packages.glob("pip-*.dist-info/INSTALLER")):
            return False
        interpreter = ask(self.python)
        return interpreter is not None and interpreter.version in recipe.pythons

    def _make(self, recipe: Recipe, steps: _Steps) -> None:
        """Make a bare environment with a Python that is here, or else with one that uv brings."""
        bare = None
        for interpreter in find_pythons(recipe.pythons, self._platform):
            steps.progress.check()
            if interpreter.makes_environments:
                command = [str(interpreter.program), "-I", "-m", "venv", str(self._folder)]
                break
            bare = bare or interpreter
        else:
            uv = find_uv(self._platform)
            if uv is None:
                raise _no_python(recipe, bare is not None)
            command = [str(uv), "venv", "--seed", "--python", _dotted(recipe.pythons[0]), str(self._folder)]
        self._delete_folder()
        steps.say(0.02, "Making the environment")
        try:
            steps.run(command, self._platform)
        except child.ChildFailed as failure:
            raise UserError(
                f"The environment could not be made: {_last(failure.lines)}.",
                f"Install Python {_dotted(recipe.pythons[0])} anew, then start again; more is in {self._log}.",
                title="Installation failed",
            ) from failure

    def _clear_half_installed(self, recipe: Recipe) -> None:
        """Delete the records of packages whose installation was interrupted; pip would take them for whole.

        Our own package goes too where it may be older: pip keeps an older wheel of the same version.
        """
        packages = self._platform.packages_in(self._folder)
        if packages is None:
            return
        older = not self._is_whole(recipe)
        for record in packages.glob("*.dist-info"):
            # pip and uv write INSTALLER when all files of a package are there
            if not (record / "INSTALLER").exists() or (older and record.name.startswith(recipe.package + "-")):
                shutil.rmtree(record)
        if older and recipe.source and (packages / recipe.package).exists():
            shutil.rmtree(packages / recipe.package)

    def _install(self, recipe: Recipe, extras: Sequence[str], steps: _Steps) -> None:
        by_uv = [extra for extra in extras if extra in _BY_UV]
        split = 0.3 if by_uv else 0.95
        pip = [str(self.python), "-I", "-u", "-X", "utf8", "-m", "pip", "install"]
        pip += ["--disable-pip-version-check", "--no-input", "--retries", "3", *recipe.requirements]
        pip += [*(["uv"] if by_uv else []), *recipe.wanted(extra for extra in extras if extra not in _BY_UV)]
        said = _PipProgress(self._count_packages, _count_pins(recipe.constraints))
        self._run_installer(pip, said, (0.05, split), steps)
        if by_uv:
            uv = [str(self.python), "-I", "-X", "utf8", "-m", "uv", "pip", "install", "--python", str(self.python)]
            uv += ["--torch-backend", "auto", *recipe.wanted(by_uv)]
            self._run_installer(uv, _UvProgress(), (split, 0.95), steps)

    def _run_installer(
        self, command: Sequence[str], said: _PipProgress | _UvProgress, span: tuple[float, float], steps: _Steps
    ) -> None:
        def tick() -> None:
            steps.say(span[0] + (span[1] - span[0]) * said.fraction(), said.text)

        try:
            steps.run(command, self._platform, said.read, tick)
        except child.ChildFailed as failure:
            raise _explained(failure, self._log) from failure

    def _count_packages(self) -> int:
        packages = self._platform.packages_in(self._folder)
        return sum(1 for _ in packages.glob("*.dist-info")) if packages else 0

    def _self_test(self, recipe: Recipe, steps: _Steps) -> str:
        """Import what must be importable; gives the interpreter that the environment was made from."""
        code = "import sys\n" + "".join(f"import {name}\n" for name in recipe.modules) + "print(sys._base_executable)"
        return self._run_code(code, steps)[-1]

    def _run_code(self, code: str, steps: _Steps) -> list[str]:
        try:
            return steps.run([str(self.python), "-I", "-X", "utf8", "-c", code], self._platform)
        except child.ChildFailed as failure:
            raise UserError(
                f"The new environment does not start: {_last(failure.lines)}.",
                "If it names a library (.so, .dll), install that with your system's packages "
                "(on Debian and Ubuntu: apt install libgl1 libglib2.0-0); then start again.",
                title="Self test failed",
            ) from failure

    def _delete_folder(self) -> None:
        if not self._folder.exists():
            return
        try:
            shutil.rmtree(self._folder)
        except OSError as error:
            raise UserError(
                f"{self._folder} cannot be deleted: {error.strerror}.",
                "End the programs that run in it, then start again.",
                title="Environment in use",
            ) from error


class _Steps:
    """What the steps of a set-up share: progress that never goes back, the log, and the lock.

    The programs hold the lock as well, so that a pip that outlives us is waited for.
    """

    def __init__(self, progress: Progress, log: Path, lock: int) -> None:
        self.progress = progress
        self._log = log
        self._lock = lock
        self._fraction = 0.0
        self._text = ""
        log.write_text(time.strftime("%Y-%m-%d %H:%M:%S\n"), encoding="utf-8")

    def say(self, fraction: float, text: str) -> None:
        self._fraction = max(self._fraction, fraction)
        self._text = text
        self.progress.part(0.0, 1.0, text).update(self._fraction)

    def run(
        self,
        command: Sequence[str],
        platform: Platform,
        on_line: Callable[[str], None] = lambda line: None,
        on_tick: Callable[[], None] | None = None,
    ) -> list[str]:
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(command)}\n")

            def keep(line: str) -> None:
                log.write(line + "\n")
                log.flush()
                on_line(line)

            return child.run(
                command,
                on_line=keep,
                on_tick=on_tick or (lambda: self.say(self._fraction, self._text)),
                platform=platform,
                inherited=[self._lock],
            )


class _PipProgress:
    """How far pip is, from what it says and, while it only installs, from the packages that are there.

    Parameters
    ----------
    count : callable
        How many packages the environment has now.
    expected : int
        About how many pip will collect.
    """

    def __init__(self, count: Callable[[], int], expected: int) -> None:
        self._count = count
        self._expected = expected
        self._collected = 0
        self._installing = 0
        self._before = 0
        self.text = "Collecting packages"

    def read(self, line: str) -> None:
        words = line.split()
        if line.startswith(("Collecting ", "Requirement already satisfied: ")):
            self._collected += 1
        elif line.startswith("Installing collected packages: "):
            self._installing = len(words) - 3
            self._before = self._count()
            self.text = f"Installing {self._installing} packages"
        elif words[:1] == ["Downloading"]:  # "  Downloading jaxlib-0.7.1-cp311-manylinux.whl (77.6 MB)"
            size = line[line.rfind("(") :] if line.endswith("B)") else ""
            self.text = f"Downloading {_project(words[1])} {size}".rstrip()
        elif words[:2] == ["Using", "cached"]:
            self.text = f"Using {_project(words[2])}, downloaded before"
        elif words[:1] in (["Building"], ["Preparing"]):
            self.text = "Building packages"

    def fraction(self) -> float:
        if self._installing:
            return 0.6 + 0.4 * min(1.0, (self._count() - self._before) / self._installing)
        return 0.6 * min(1.0, self._collected / self._expected)


class _UvProgress:
    """How far uv is, by the sizes of what it downloads; it says these before it begins with any."""

    def __init__(self) -> None:
        self._sizes: dict[str, float] = {}
        self._waiting: dict[str, str] = {}
        self._installing = False
        self.text = "Choosing packages"

    def read(self, line: str) -> None:
        words = line.split()
        if words[:1] == ["Downloading"] and len(words) == 3:  # "Downloading torch (502.2MiB)"
            self._sizes[words[1]] = _bytes(words[2])
            self._waiting[words[1]] = words[2]
        elif words[:1] == ["Downloaded"]:
            self._waiting.pop(words[-1], None)
        elif words[:1] == ["Prepared"]:
            self._installing, self._waiting = True, {}
            self.text = f"Installing {words[1]} packages"
            return
        if self._waiting:
            largest = max(self._waiting, key=lambda name: self._sizes[name])
            self.text = f"Downloading {largest} {self._waiting[largest]}"

    def fraction(self) -> float:
        if self._installing:
            return 0.8
        there = sum(size for name, size in self._sizes.items() if name not in self._waiting)
        return 0.8 * there / max(sum(self._sizes.values()), 1.0)


def _bytes(text: str) -> float:
    """The number in "(502.2MiB)"."""
    number, unit = text.strip("()")[:-3], text.strip("()")[-3:]
    return float(number) * {"KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}[unit]


def _hash_of(path: Path) -> str:
    """SHA-256 of a file's bytes, or of all files in a folder with their places."""
    if path.is_file():
        found = path.stat()
        return _hash_of_file(path, found.st_mtime_ns, found.st_size)
    return _hash_of_files(path, sorted(file for file in path.rglob("*") if file.is_file()))


@functools.lru_cache(maxsize=8)
def _hash_of_file(path: Path, changed: int, size: int) -> str:
    """Remembered, so that a panel may ask for the status whenever it is drawn."""
    del changed, size
    return _hash_of_files(path, [path])


def _hash_of_files(root: Path, files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _count_pins(constraints: Path | None) -> int:
    return constraints.read_text(encoding="utf-8").count("==") if constraints else 12


def _dotted(version: Version) -> str:
    return "{}.{}".format(*version)


def _project(address: str) -> str:
    """The name in front of the version in the name of a package's file."""
    return address.rpartition("/")[2].split("-")[0]


def _last(lines: Sequence[str]) -> str:
    """The last line of what a program said, to be put into a sentence."""
    line = lines[-1] if lines else "no reason was given"
    return (line[len("ERROR: ") :] if line.lower().startswith("error: ") else line).rstrip(". ")


def _no_python(recipe: Recipe, found_bare: bool) -> UserError:
    wanted = " or ".join(_dotted(version) for version in recipe.pythons)
    if found_bare:
        return UserError(
            f"Python {wanted} is here, but without the module venv.",
            "Install it (on Debian and Ubuntu: apt install python3-venv), then start again.",
            title="Python is incomplete",
        )
    return UserError(
        f"No Python {wanted} was found, nor uv, which would bring one.",
        f"Install Python {wanted} or uv, then start again.",
        title="Python is missing",
    )


def _explained(failure: child.ChildFailed, log: Path) -> UserError:
    """Pip's failure in one sentence."""
    said = "\n".join(failure.lines)
    if any(sign in said for sign in ("No space left on device", "Errno 28", "Disk quota exceeded")):
        return UserError(
            f"The disk is full: the packages do not fit into {log.parent}.",
            "Free about 2 GB, then start again; what is there is used.",
            title="Disk full",
        )
    signs = ("NewConnectionError", "Failed to establish a new connection", "name resolution", "getaddrinfo failed",
             "Read timed out", "ConnectTimeout", "Connection refused", "ProxyError", "SSLError", "IncompleteRead",
             "Network is unreachable", "RemoteDisconnected", "ConnectionResetError", "error sending request",
             "dns error", "network timeout")  # fmt: skip
    if any(sign in said for sign in signs):
        return UserError(
            "The packages could not be downloaded: the package index was not reached.",
            "Check the connection (and the proxy, if there is one), then start again; what was downloaded is kept.",
            title="No connection",
        )
    errors = [line for line in failure.lines if line.lower().startswith("error: ")]
    return UserError(
        f"The packages could not be installed: {_last(errors or failure.lines)}.",
        f"Start again; if it happens again, the whole story is in {log}.",
        title="Installation failed",
    )
