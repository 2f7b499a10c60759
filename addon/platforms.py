"""What depends on the system: where programs lie, and which Pythons are there.

Standard library only, Python 3.8: see `environment`.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Version = tuple[int, int]

_PROBE = """
import json, struct, sys
try:
    import ensurepip, venv
except ImportError:
    venv = None
print(json.dumps([sys.version_info[:2], struct.calcsize("P") == 8, venv is not None, sys.executable]))
"""


@dataclass(frozen=True)
class Platform:
    """The facts of a system; tests inject those of another one.

    Parameters
    ----------
    system : str
        As `sys.platform`: "linux", "darwin", "win32".
    executable : Path
        The running interpreter.
    path : tuple of Path
        The folders in which programs are looked for, in order.
    """

    system: str
    executable: Path
    path: tuple[Path, ...]

    @classmethod
    def here(cls) -> Platform:
        """The system that this runs on; programs are also looked for where a desktop's PATH does not reach."""
        home = Path.home()
        folders = [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
        folders.append(home / ".local" / "bin")
        pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
        folders += sorted(pyenv.glob("versions/*/bin"), reverse=True)
        if sys.platform == "darwin":
            folders += [Path("/opt/homebrew/bin"), Path("/usr/local/bin")]
            folders += sorted(Path("/Library/Frameworks/Python.framework/Versions").glob("*/bin"), reverse=True)
        elif sys.platform == "win32":
            folders += sorted((home / "AppData/Local/Programs/Python").glob("Python3*"), reverse=True)
        return cls(sys.platform, Path(sys.executable), tuple(dict.fromkeys(folders)))

    @property
    def windows(self) -> bool:
        """Whether programs end in .exe and consoles pop up."""
        return self.system == "win32"

    def python_in(self, environment: Path) -> Path:
        """The interpreter of a virtual environment."""
        return environment / "Scripts" / "python.exe" if self.windows else environment / "bin" / "python"

    def packages_in(self, environment: Path) -> Path | None:
        """The folder of a virtual environment that holds its packages, where there is one."""
        if self.windows:
            folders = [environment / "Lib" / "site-packages"]
        else:
            folders = sorted(environment.glob("lib/python3*/site-packages"))
        return next((folder for folder in folders if folder.is_dir()), None)

    def programs(self, name: str) -> Iterator[Path]:
        """Every program of that name, in the order of `path`."""
        for folder in self.path:
            program = folder / (name + ".exe" if self.windows else name)
            if program.is_file():
                yield program

    def child_options(self) -> dict[str, Any]:
        """How a program is started: no console window, and a group of its own that can be ended as a whole."""
        if self.windows:
            return {"creationflags": 0x08000000 | 0x00000200}  # CREATE_NO_WINDOW | CREATE_NEW_PROCESS_GROUP
        return {"start_new_session": True}


@dataclass(frozen=True)
class Interpreter:
    """A Python as it describes itself."""

    program: Path
    version: Version
    makes_environments: bool


def ask(program: Path) -> Interpreter | None:
    """The Python behind `program`, or None where it is none: a shim without a version, a shop's placeholder."""
    try:
        answer = subprocess.run(
            [str(program), "-I", "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=True,
            encoding="utf-8",
            errors="replace",
            **Platform.here().child_options(),
        ).stdout
        (major, minor), wide, makes_environments, executable = json.loads(answer)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    if not wide:  # none of the packages is built for 32 bits
        return None
    return Interpreter(Path(executable), (major, minor), makes_environments)


def find_pythons(versions: Sequence[Version], platform: Platform) -> Iterator[Interpreter]:
    """Every Python of the wanted versions: the running one first, then by version, as wanted, then the unnamed ones.

    One that cannot make environments is among them, so that the person can be told.
    """
    names = [f"python{major}.{minor}" for major, minor in versions] + ["python3", "python"]
    asked = set()
    for program in (platform.executable, *(found for name in names for found in platform.programs(name))):
        if program in asked:
            continue
        asked.add(program)
        interpreter = ask(program)
        if interpreter is not None and interpreter.version in versions:
            yield interpreter


def find_uv(platform: Platform) -> Path | None:
    """The program uv, from the path or from its package."""
    found = next(platform.programs("uv"), None)
    if found is not None:
        return found
    try:
        return Path(importlib.import_module("uv").find_uv_bin())
    except (ImportError, FileNotFoundError):
        return None
