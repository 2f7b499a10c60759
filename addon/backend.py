"""The backend's process: started, spoken to, listened to, ended. No bpy, and no call that waits but `end`."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, Any

from ..vmg_backend import protocol
from .child import clean_environment
from .failures import Failure, JobFailed
from .platforms import Platform

_VARIABLES = {
    "PYTHONUTF8": "1",
    "PYTHONNOUSERSITE": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONFAULTHANDLER": "1",  # a crash in a library leaves its trace in the log
    "GLOG_minloglevel": "2",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""Quiet libraries that stay off the network."""

_LOG_BYTES = 1_000_000
_GRACE = 0.5
"""Seconds between the request to end and the end by force, and for the last lines of a process that is gone."""


class _QuietHandler(RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - its name is given
        """Go on without the line; a log that cannot be written is no reason to fail, nor to fill the console."""


class Log:
    """A file of lines; when it is full it begins anew and one older file is kept.

    Parameters
    ----------
    path : Path
        Made with its folder at the first line. A disk that refuses it is no reason to fail.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _QuietHandler(path, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8", delay=True)
        self._file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))

    def write(self, text: str) -> None:
        """Add `text`, from any thread."""
        if self._file.stream is None:
            with contextlib.suppress(OSError):
                self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file.handle(logging.makeLogRecord({"msg": text}))

    def close(self) -> None:
        """Close the file; a later line would open it again."""
        self._file.close()


def serve_command(python: Path) -> list[str]:
    """How the backend of an environment is started: nothing of the folder that it is started in is importable."""
    return [str(python), "-P", "-m", "vmg_backend", "serve"]


class BackendProcess:
    """A running backend. Threads only move lines between its streams and queues.

    Parameters
    ----------
    command : sequence of str
        The program and its words.
    log : Log
        Gets what it writes to its standard error, and what of its standard output is no message.
    platform : Platform, optional
        How programs are started and ended; by default as on this system.

    Raises
    ------
    JobFailed
        When it cannot be started at all.
    """

    def __init__(self, command: Sequence[str], log: Log, platform: Platform | None = None) -> None:
        self._log = log
        self._platform = platform or Platform.here()
        try:
            self._child = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=tempfile.gettempdir(),  # on Windows nobody could delete the folder of a .blend that it ran in
                env={**clean_environment(), **_VARIABLES},
                **self._platform.child_options(),
            )
        except OSError as error:
            said = f"{command[0]} cannot be started: {error.strerror}."
            raise JobFailed(
                Failure(
                    protocol.Explanation("The backend does not start", said, "Repair it."), "vmg.environment_repair"
                )
            ) from error
        log.write(f"started as process {self._child.pid}: {' '.join(command)}")
        self._gone_since: float | None = None
        self._incoming: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        assert self._child.stdin and self._child.stdout and self._child.stderr  # noqa: S101 - by the pipes above
        self._threads = [
            threading.Thread(target=self._write, args=(self._child.stdin,), daemon=True),
            threading.Thread(target=self._read, args=(self._child.stdout,), daemon=True),
            threading.Thread(target=self._keep, args=(self._child.stderr,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._child.poll() is None

    @property
    def ended(self) -> bool:
        """Whether the process is gone and all that it said was read."""
        if self.alive:
            return False
        now = time.monotonic()
        if self._gone_since is None:
            self._gone_since = now
            self._log.write(f"process {self.pid} ended with {self._child.returncode}")
            self._signal(force=True)  # what it started may hold its streams open
        listening = any(thread.is_alive() for thread in self._threads[1:])
        return self._incoming.empty() and (not listening or now > self._gone_since + _GRACE)

    def send(self, message: dict[str, Any]) -> None:
        """Hand a message over to be written; nothing happens if the process is gone."""
        self._outgoing.put(protocol.encode({"jsonrpc": "2.0", **message}))

    def cancel(self, request: int) -> None:
        """Ask for the end of a request, which is still to be answered."""
        self.send({"method": "cancel", "params": {"id": request}})

    def receive(self) -> dict[str, Any] | None:
        """The next message that has come, or None. What is no message goes to the log."""
        while True:
            try:
                line = self._incoming.get_nowait()
            except queue.Empty:
                return None
            try:
                message = json.loads(line)
            except ValueError:
                message = None
            if isinstance(message, dict) and message.get("jsonrpc") == "2.0":
                return message
            self._log.write(f"no message: {line[:200]!r}")

    def end(self, patience: float = 2.0) -> None:
        """End the process and what it started: close its input, then ask, then force. Waits; any thread may call it.

        Parameters
        ----------
        patience : float
            Seconds that it has to end by itself.
        """
        self._outgoing.put(None)
        if not self._wait(patience):
            self._signal(force=False)
            self._wait(_GRACE)
        self._signal(force=True)
        self._child.wait()
        for thread in self._threads:
            thread.join(_GRACE)

    def _wait(self, seconds: float) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(seconds)
        return not self.alive

    def _signal(self, *, force: bool) -> None:
        """Tell the process and its children to end; those may outlive it."""
        if self._platform.windows:
            if self.alive:
                subprocess.run(
                    ["taskkill", "/F", "/T", "/PID", str(self.pid)],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    check=False,
                    **self._platform.child_options(),
                )
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS refuses where only the dead are left
            os.killpg(self.pid, signal.SIGKILL if force else signal.SIGTERM)

    def _write(self, stream: IO[bytes]) -> None:
        with contextlib.suppress(OSError), stream:  # the reader of the pipe is gone: `ended` will tell
            while (line := self._outgoing.get()) is not None:
                stream.write(line)
                stream.flush()

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._incoming.put(line)

    def _keep(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._log.write(line.decode(errors="replace").rstrip())
