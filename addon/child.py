"""Runs a program whose output is read while it works, and which can be stopped at any moment.

Standard library only, Python 3.8: see `environment`.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
from typing import TYPE_CHECKING

from .platforms import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TICK = 0.2
"""Seconds between two looks at whether the person cancelled."""

# What would lead a Python of its own to somebody else's packages.
_STRAY = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
_STRAY_PIP = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON")


class ChildFailed(Exception):  # noqa: N818 - reads as what happened
    """The program did not start or ended with an error; `lines` is what it said."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines[-5:]))
        self.lines = lines


def clean_environment() -> dict[str, str]:
    """The variables of this process without those that would mix two Pythons."""
    return {name: value for name, value in os.environ.items() if name not in _STRAY + _STRAY_PIP}


def run(
    command: Sequence[str],
    *,
    on_line: Callable[[str], None],
    on_tick: Callable[[], None],
    platform: Platform,
    inherited: Sequence[int] = (),
) -> list[str]:
    """Run `command` to its end; gives the lines that it wrote, errors among them.

    Parameters
    ----------
    command : sequence of str
        The program and its words.
    on_line : callable
        Gets each line when it comes.
    on_tick : callable
        Called every `TICK` seconds; whatever it raises ends the program and is passed on.
    platform : Platform
        How programs are started here.
    inherited : sequence of int
        Descriptors that the program keeps open (not on Windows).

    Raises
    ------
    ChildFailed
        When the program does not start or ends with an error.
    """
    try:
        child = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=clean_environment(),
            pass_fds=() if platform.windows else tuple(inherited),
            **platform.child_options(),
        )
    except OSError as error:
        raise ChildFailed([f"{command[0]}: {error.strerror}"]) from error
    written: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(child, written), daemon=True)
    reader.start()
    lines: list[str] = []
    try:
        while True:
            on_tick()
            try:
                line = written.get(timeout=TICK)
            except queue.Empty:
                continue
            if line is None:
                break
            lines.append(line)
            on_line(line)
        if child.wait() != 0:
            raise ChildFailed(lines)
        return lines
    finally:
        _end(child, platform)
        reader.join(TICK)


def _read(child: subprocess.Popen[str], written: queue.Queue[str | None]) -> None:
    if child.stdout is not None:
        with child.stdout:
            for line in child.stdout:
                written.put(line.rstrip())
    written.put(None)


def _end(child: subprocess.Popen[str], platform: Platform) -> None:
    """End the program and what it started; pip runs builds as children of its own."""
    if child.poll() is not None:
        return
    if platform.windows:
        subprocess.run(
            ["taskkill", "/F", "/T", "/PID", str(child.pid)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            **platform.child_options(),
        )
        child.wait()
        return
    os.killpg(child.pid, signal.SIGTERM)
    try:
        child.wait(0.5)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
