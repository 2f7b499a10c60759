"""Makes what the project needs and runs it: ``python3 bootstrap.py demo``, ``test`` and ``blender``.

Standard library only, and readable by an old Python, which then finds a newer one.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parent
PACKAGE = "video_motion_graphs"

OK, FAILED, USER, CANCELLED = 0, 1, 2, 130
_NOTHING_SELECTED = 5  # pytest's

BLENDERS = (("4.2.23", (3, 11)), ("4.5.15", (3, 11)), ("5.0.1", (3, 11)), ("5.2.3", (3, 13)))
"""The Blender modules that the add-on is tested in, and the Python that each is built for."""

USUAL_BLENDER = "5.0.1"
"""The one that is used without --all."""

AT_ONCE = min(4, os.cpu_count() or 1)
"""How many programs test beside one another."""

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}
"""For each of them, else their threads would wait for one another."""

_BUILDERS = ((3, 13), (3, 12), (3, 11), (3, 10))


def main(argv: Sequence[str]) -> int:
    """Run one command; gives its exit code."""
    parser = argparse.ArgumentParser(description="Set up Video Motion Graphs in an environment of its own and run it.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="demo|test|blender")
    commands.add_parser("demo", help="make a finished video from the project's own sample, in Blender where it can be")
    blender = commands.add_parser("blender", help="build the extension and install it into a Blender that is here")
    blender.add_argument("--blender", type=Path, metavar="PATH", help="the program; default: the one that is found")
    test = commands.add_parser("test", help="run all checks; what follows is handed to pytest")
    test.add_argument("--all", action="store_true", help="the long tests too, in every Blender that can be had")
    words, rest = parser.parse_known_args(argv)
    if rest and words.command != "test":
        parser.error(f"{words.command} does not know: {' '.join(rest)}")

    cancelled = threading.Event()
    for name in ("SIGINT", "SIGTERM"):
        signal.signal(getattr(signal, name), lambda *_: cancelled.set())
    parts = _Parts(cancelled)
    try:
        if words.command == "demo":
            return _demo(parts)
        if words.command == "blender":
            return _install(parts, words.blender)
        return _test(parts, words.all, rest)
    except parts.errors.UserError as error:
        print(f"{error.title}: {error}", file=sys.stderr)
        return USER
    except parts.errors.Cancelled:
        print("Cancelled; the next start continues.", file=sys.stderr)
        return CANCELLED


class _Parts:
    """The extension's modules that are used here, and the wish to stop.

    The repo's root is a package whose folder may have any name, so it is loaded under the extension's.
    """

    def __init__(self, cancelled: threading.Event) -> None:
        self.cancelled = cancelled
        sys.dont_write_bytecode = True
        root = types.ModuleType(PACKAGE)
        root.__path__ = [str(ROOT)]
        sys.modules[PACKAGE] = root
        self.environment: Any = importlib.import_module(f"{PACKAGE}.addon.environment")
        self.platforms: Any = importlib.import_module(f"{PACKAGE}.addon.platforms")
        self.errors: Any = importlib.import_module(f"{PACKAGE}.vmg_backend.errors")
        self.files: Any = importlib.import_module(f"{PACKAGE}.vmg_backend.files")
        self.progress: Any = importlib.import_module(f"{PACKAGE}.vmg_backend.progress")
        self.build: Any = importlib.import_module(f"{PACKAGE}.tools.build_extension")

    def place(self, name: str) -> Path:
        """The folder of an environment that others may use too."""
        cache: Path = self.files.cache_root()
        return cache / "environments" / name

    def ready(self, place: Path, recipe: Any, title: str) -> Any:
        """The environment in `place`, set up where it is not."""
        environment = self.environment.Environment(place)
        if environment.status(recipe).state is not self.environment.State.READY:
            bar = _Bar(title)
            try:
                environment.set_up(recipe, self.progress.Progress(bar.show, self.cancelled))
            finally:
                bar.close()
        return environment

    @contextlib.contextmanager
    def backend(self, extras: tuple[str, ...] = ()) -> Iterator[Any]:
        """The backend's environment, holding the code of this folder; each clone has its own."""
        clone = self.files.settings_hash({"clone": str(ROOT)})
        with tempfile.TemporaryDirectory(prefix="vmg-sources-") as folder:
            self.build.copy_backend_sources(Path(folder))
            recipe = self.environment.backend_recipe(Path(folder), extras)
            yield self.ready(self.place(f"backend-{clone}"), recipe, "The backend")

    def run(self, command: Sequence[object], output: Any = None, **variables: str) -> int:
        """Run a program in this terminal, or into a file; Ctrl-C reaches it too, and it may finish in good order."""
        child = subprocess.Popen(
            [str(word) for word in command],
            cwd=str(ROOT),
            env={**os.environ, **variables},
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
        )
        told = False
        while True:
            try:
                code = child.wait(0.1)
                break
            except subprocess.TimeoutExpired:
                if self.cancelled.is_set() and not told:
                    told = True
                    child.send_signal(signal.SIGTERM)  # Ctrl-C alone would not reach it under another program
        if self.cancelled.is_set():
            raise self.errors.Cancelled
        return code


class _Bar:
    """Progress on the terminal's last line; where there is no terminal, a line for each step and every ten seconds."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._started = time.monotonic()
        self._live = sys.stderr.isatty()
        self._text = ""
        self._said = 0.0

    def show(self, fraction: float, text: str) -> None:
        seconds = time.monotonic() - self._started
        line = f"{self._title}: {fraction:4.0%}  {text}"
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{line}  ({seconds:.0f} s)"[:width].ljust(width), end="", file=sys.stderr, flush=True)
        elif text != self._text or seconds > self._said + 10:
            print(line, file=sys.stderr, flush=True)
            self._said = seconds
        self._text = text

    def close(self) -> None:
        if self._live:
            print(file=sys.stderr)


def _demo(parts: _Parts) -> int:
    """Make the film in Blender's module where a Python for one is here, else on the command line; says which."""
    with parts.backend() as backend:
        pass  # the sources are needed for the set-up alone
    blender = _any_blender(parts)
    if blender is None:
        print("No Python fits a module of Blender, so the demo runs on the command line.", file=sys.stderr)
        code: int = parts.run([backend.python, "-P", "-m", "vmg_backend", "demo"])
    else:
        with tempfile.TemporaryDirectory(prefix="vmg-demo-") as folder:
            archive = _build(parts, Path(folder))
            out = parts.files.cache_root() / "demo" / "vmg_demo_blender.mp4"
            script = ROOT / "tools" / "demo_in_blender.py"
            code = parts.run([blender.python, "-P", script, archive, backend.python, out])
    if code == OK:
        print(f"For your own footage: {Path(backend.python).parent / 'vmg'} cut FOOTAGE --music MUSIC --out FILM.mp4")
        print("In your Blender: python3 bootstrap.py blender")
    return code


def _any_blender(parts: _Parts) -> Any:
    """The newest of Blender's modules that a Python on this machine fits, in its environment; None where none does."""
    platforms = parts.platforms
    for version, python in reversed(BLENDERS):
        if any(found.makes_environments for found in platforms.find_pythons((python,), platforms.Platform.here())):
            return _blender(parts, version, python)
    return None


def _build(parts: _Parts, folder: Path) -> Path:
    """The extension's zip, built into `folder`."""
    constraints = parts.environment.CONSTRAINTS
    recipe = parts.environment.Recipe(pythons=_BUILDERS, requirements=("setuptools",), constraints=constraints)
    builder = parts.ready(parts.place("build"), recipe, "The tool that packs the extension")
    if parts.run([builder.python, "tools/build_extension.py", folder]) != OK:
        raise parts.errors.UserError(
            "The extension could not be packed.", "Look at the lines above.", title="Nothing was installed"
        )
    return next(folder.glob("*.zip"))


def _install(parts: _Parts, wished: Path | None) -> int:
    """Install the extension into an installed Blender, by Blender's own command."""
    program = wished or _find_blender(parts)
    if program is None or not program.is_file():
        raise parts.errors.UserError(
            f"There is no Blender at {wished}." if wished else "No Blender was found on this machine.",
            "Name its program: python3 bootstrap.py blender --blender PATH.",
            title="No Blender",
        )
    with tempfile.TemporaryDirectory(prefix="vmg-blender-") as folder:
        archive = _build(parts, Path(folder))
        code: int = parts.run(
            [program, "--command", "extension", "install-file", "--repo", "user_default", "--enable", archive]
        )
    if code != OK:
        raise parts.errors.UserError(
            f"{program} did not take the extension; its reason is above.",
            "It must be Blender 4.2 or newer, and not running.",
            title="Not installed",
        )
    print(f"Installed into {program}. Open the workspace Video Editing, press N in the sequencer: tab Motion Graph.")
    return OK


def _find_blender(parts: _Parts) -> Path | None:
    """An installed Blender: on the path, or where its installers put it; the newest first."""
    here = parts.platforms.Platform.here()
    found = list(here.programs("blender"))
    if here.system == "darwin":
        found += [Path("/Applications/Blender.app/Contents/MacOS/Blender")]
    elif here.windows:
        programs = Path(os.environ.get("PROGRAMFILES") or "C:/Program Files")
        found += sorted(programs.glob("Blender Foundation/Blender */blender.exe"), reverse=True)
    return next((program for program in found if program.is_file()), None)


@dataclass
class _Check:
    """A program that checks something; `report` is where pytest writes down what it found."""

    name: str
    command: Sequence[object]
    variables: dict[str, str] = field(default_factory=dict)
    report: Path | None = None


@dataclass
class _Suite:
    """Tests that pytest runs in one environment."""

    name: str
    python: Path
    paths: list[str]
    variables: dict[str, str]

    def check(self, folder: Path, options: Sequence[str], part: str = "", **variables: str) -> _Check:
        """Those tests that the options select."""
        name = self.name + part
        report = folder / f"{name}.xml"
        # -P: the names `ui`, `addon`, `tests`... must not be importable from the root
        command = [self.python, "-P", "-m", "pytest", f"--junitxml={report}", *options, *self.paths]
        return _Check(name, command, {**self.variables, **variables}, report)


@dataclass
class _Result:
    """One line of the report."""

    name: str
    code: int
    seconds: float
    counts: dict[str, int]

    @property
    def failed(self) -> bool:
        return self.code != OK


def _test(parts: _Parts, everything: bool, words: list[str]) -> int:
    """Run the checks; gives 1 when one failed."""
    started = time.monotonic()
    paths = [word for word in words if (ROOT / word.split("::")[0]).exists()]
    options = [word for word in words if word not in paths]
    addon, gui = (
        [path for path in paths if Path(path.split("::")[0]).as_posix().startswith(f"tests/{kind}")]
        for kind in ("addon", "gui")
    )
    others = [path for path in paths if path not in addon + gui]

    results: list[_Result] = []
    skipped: list[str] = []
    suites: list[_Suite] = []
    with tempfile.TemporaryDirectory(prefix="vmg-test-") as name, parts.backend(("dev",)) as backend:
        folder = Path(name)
        sample = {"VMG_SAMPLE_LIBRARY": str(folder / "library")}
        if others or not paths:
            suites.append(_Suite("pytest", backend.python, others or ["tests/backend", "tests/package"], sample))
        if addon or gui or not paths:
            built = _run(parts, _Check("build the extension", [backend.python, "tools/build_extension.py", folder]))
            results.append(built)
            variables = {
                "VMG_EXTENSION": str(next(folder.glob("*.zip"), "")),
                "VMG_BACKEND_PYTHON": str(backend.python),
            }
            wanted = [entry for entry in BLENDERS if everything or entry[0] == USUAL_BLENDER]
            for version, python in wanted if not built.failed and (addon or not paths) else ():
                title = f"add-on in Blender {version}"
                try:
                    blender = _blender(parts, version, python)
                except parts.errors.UserError as error:
                    skipped.append(f"{title}: {error}")
                    continue
                known = {} if version == USUAL_BLENDER else sample  # once, the sample is analysed from inside Blender
                suites.append(_Suite(title, blender.python, addon or ["tests/addon"], {**variables, **known}))
            if gui and not built.failed:  # minutes of software drawing: only where it is asked for by name
                suites.append(_Suite("add-on in a window", backend.python, gui, variables))
        if words:
            if not everything and not any(option == "-m" or option.startswith("-m=") for option in options):
                options += ["-m", "not long"]
            results += [_run(parts, suite.check(folder, options)) for suite in suites]
        else:
            marks = "" if everything else "not long and "
            results += _whole(parts, _static_checks(parts, backend, folder), suites, folder, marks)
    return _report(results, skipped, time.monotonic() - started)


def _whole(
    parts: _Parts, checks: Sequence[_Check], suites: Sequence[_Suite], folder: Path, marks: str
) -> list[_Result]:
    """Everything, as many programs at once as the machine has cores; what is marked `serial` alone, after the rest.

    A file of tests stays in one process, so that what its tests share is made once.
    """
    backend, *blenders = suites
    spread = [f"--numprocesses={AT_ONCE}", "--dist=loadfile", "--no-loadscope-reorder"]
    most, alone = ["--durations=20", "-m", f"{marks}not serial"], ["-m", f"{marks}serial"]
    results = [_run(parts, backend.check(folder, [*most, *spread], **_ONE_THREAD))]
    beside = [*checks, *(suite.check(folder, most, **_ONE_THREAD) for suite in blenders)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results += pool.map(lambda check: _run_unseen(parts, check), beside)
    return results + [_run(parts, suite.check(folder, alone, ", one at a time")) for suite in suites]


def _static_checks(parts: _Parts, backend: Any, folder: Path) -> list[_Check]:
    """Ruff and mypy over the whole project."""
    # mypy wants the root under the name that its modules' relative imports go up to
    try:
        (folder / PACKAGE).symlink_to(ROOT, target_is_directory=True)
    except OSError as error:
        raise parts.errors.UserError(
            "The type check needs a symbolic link, which this system refuses.",
            "On Windows, switch on Developer Mode.",
            title="No symbolic links",
        ) from error
    rings = [f"--package={PACKAGE}.{ring}" for ring in ("vmg_backend", "addon", "operators", "ui", "tools")]
    rings.append(f"--module={PACKAGE}.bootstrap")
    cache = ["--cache-dir", backend.root / "mypy"]
    return [
        _Check("ruff check", [backend.python, "-m", "ruff", "check", "."]),
        _Check("ruff format", [backend.python, "-m", "ruff", "format", "--check", "."]),
        _Check("mypy", [backend.python, "-m", "mypy", *cache, *rings], {"MYPYPATH": str(folder)}),
    ]


def _blender(parts: _Parts, version: str, python: tuple[int, int]) -> Any:
    """An environment that has Blender's module and pytest, and nothing of the backend's."""
    recipe = parts.environment.Recipe(pythons=(python,), requirements=(f"bpy=={version}", "pytest==9.2.0"))
    return parts.ready(parts.place(f"bpy-{version}"), recipe, f"Blender {version}")


def _run(parts: _Parts, check: _Check, output: Any = None) -> _Result:
    """Run one program in sight, or into a file."""
    started = time.monotonic()
    print(f"\n$ {' '.join(str(word) for word in check.command)}", flush=True)
    code = parts.run(check.command, output, **check.variables)
    seconds = time.monotonic() - started
    if check.report and code == _NOTHING_SELECTED:  # no fault where the person selects
        code = OK
    return _Result(check.name, code, seconds, _counts(check.report) if check.report else {})


def _run_unseen(parts: _Parts, check: _Check) -> _Result:
    """Run one program of several; what it says is shown in one piece when it has ended."""
    with tempfile.TemporaryFile() as output:
        result = _run(parts, check, output)
        output.seek(0)
        sys.stdout.buffer.write(f"\n{check.name}:\n".encode() + output.read())
        sys.stdout.flush()
    return result


def _counts(report: Path) -> dict[str, int]:
    """How many tests went how."""
    counts = {"passed": 0, "failed": 0, "errors": 0, "skipped": 0}
    if report.exists():
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):  # noqa: S314 - pytest wrote it just now
            tests, failed, errors, skipped = (
                int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")
            )
            counts["failed"] += failed
            counts["errors"] += errors
            counts["skipped"] += skipped
            counts["passed"] += tests - failed - errors - skipped
    return counts


def _report(results: list[_Result], skipped: list[str], seconds: float) -> int:
    """Print a line for each check, then one like pytest's last."""
    print("\n" + " summary ".center(100, "="))
    total = {"failed": 0, "passed": 0, "skipped": 0, "errors": 0}
    for result in results:
        counts = ", ".join(f"{count} {word}" for word, count in result.counts.items() if count)
        print(f"{'FAILED' if result.failed else 'ok    '}  {result.name} ({result.seconds:.0f} s)  {counts}".rstrip())
        for word, count in result.counts.items():
            total[word] += count
        if not result.counts:  # a check that counts as one test
            total["failed" if result.failed else "passed"] += 1
        elif result.failed and not (result.counts["failed"] or result.counts["errors"]):
            total["errors"] += 1  # it ended before its end
    for line in skipped:
        print(f"skipped {line}")
    total["skipped"] += len(skipped)
    words = ", ".join(f"{count} {word}" for word, count in total.items() if count)
    print(f" {words} in {seconds:.2f}s ".center(100, "="))
    return FAILED if any(result.failed for result in results) else OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
