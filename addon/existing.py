"""An environment that the person made: whether the backend would start there, and what it lacks.

A program of that environment imports what the backend needs, on a thread; no bpy.
"""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

from ..vmg_backend import protocol
from ..vmg_backend.errors import Cancelled
from . import child
from .environment import FITTING, MODULES, State, Status
from .platforms import Platform

PATIENCE = 120.0
"""Seconds for all imports: a cold disk is slow."""

_OTHER = "Name the Python of another environment, or none to use our own."
_SIGN = "vmg-check "
_CODE = f"""
import importlib, json, sys
found = {{"version": list(sys.version_info[:2]), "lacking": [], "failing": [], "protocol": ""}}
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError as error:
        lacks = type(error).__name__ == "ModuleNotFoundError"
        found["lacking" if lacks else "failing"].append(error.name or name if lacks else "%s: %s" % (name, error))
    except Exception as error:
        found["failing"].append("%s: %s" % (name, error))
try:
    from vmg_backend import protocol
    found["protocol"] = protocol.fingerprint()
except (ImportError, AttributeError):
    pass
print("\\n{_SIGN}" + json.dumps(found))
"""


class Check:
    """One look at an environment; it begins at once, and `status` says what is known so far.

    Parameters
    ----------
    python : Path
        The environment's interpreter.
    wheel : str
        How the backend is named to pip, for the remedy.
    patience : float
        Seconds that it may take.
    """

    def __init__(self, python: Path, wheel: str, patience: float = PATIENCE) -> None:
        self.python = python
        self.status = Status(State.CHECKING, f"The environment of {python} is being looked at.")
        self._wheel = wheel
        self._until = time.monotonic() + patience
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether it is known how the environment stands."""
        return self.status.state is not State.CHECKING

    def cancel(self) -> None:
        """End the look soon."""
        self._cancelled.set()

    def close(self) -> None:
        """End the look, and wait for that: about a second."""
        self.cancel()
        self._thread.join()

    def _look(self) -> None:
        """Runs on the thread."""
        program = [str(self.python), "-I", "-X", "utf8", "-c", _CODE, *MODULES]
        try:
            lines = child.run(program, on_line=lambda _: None, on_tick=self._tick, platform=Platform.here())
            told = next(line for line in reversed(lines) if line.startswith(_SIGN))
            self.status = self._judged(json.loads(told[len(_SIGN) :]))
        except Cancelled:
            return
        except TimeoutError:
            self.status = Status(State.BROKEN, f"{self.python} has not answered in time.", "Press Test once more.")
        except (child.ChildFailed, StopIteration) as failure:
            said = getattr(failure, "lines", ())
            why = f": {said[-1].rstrip('. ')}" if said else ""
            self.status = Status(State.BROKEN, f"{self.python} does not work as the backend's Python{why}.", _OTHER)

    def _tick(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled
        if time.monotonic() > self._until:
            raise TimeoutError

    def _judged(self, found: dict[str, Any]) -> Status:
        pip = f'"{self.python}" -m pip install'
        install = f"{pip} {self._wheel}"
        remedy = "Install the backend there, then press Test: "
        if found["lacking"] and tuple(found["version"]) not in FITTING:
            fitting = " or ".join(f"{major}.{minor}" for major, minor in sorted(FITTING))
            version = "{}.{}".format(*found["version"])
            return Status(State.BROKEN, f"{self.python} is Python {version}; the backend needs {fitting}.", _OTHER)
        if "vmg_backend" not in found["lacking"] and found["protocol"] != protocol.fingerprint():
            install = f"{pip} --force-reinstall --no-deps {self._wheel}"  # pip keeps one of the same number otherwise
            other = f"The backend of {self.python} is of another version than the add-on."
            return Status(State.OUTDATED, other, remedy + install, install)
        if found["lacking"]:
            names = ", ".join(dict.fromkeys(name.partition(".")[0] for name in found["lacking"]))
            lacks = f"The environment of {self.python} lacks {names}."
            return Status(State.BROKEN, lacks, remedy + install, install)
        if found["failing"]:
            library = "If it names a library (.so, .dll), install that with your system's packages; then press Test."
            return Status(State.BROKEN, f"A package of {self.python} does not start: {found['failing'][0]}.", library)
        return Status(State.READY, f"The environment of {self.python} is used.")
