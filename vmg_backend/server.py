"""The backend as Blender's child: requests come on standard input, answers go to standard output (``vmg serve``)."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from . import __version__, protocol
from .countdown import Countdown
from .errors import Cancelled, UserError
from .faults import logged
from .interpolation.catalogue import CATALOGUE
from .progress import Progress

if TYPE_CHECKING:
    from .service import Service

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
"""As JSON-RPC 2.0 defines them."""

HEAVY = ("numpy", "scipy.signal", "av", "cv2", ".service")
"""What takes a second or two to load; in steps, so that a job is cancelled meanwhile."""

_LOOKING = {"plan_training": ".training.hminterp.requests"}
"""Modules of what is answered aside; of all else it is the one of `hardware`."""

REPORT_SECONDS = 0.1
"""Least time between two notifications of progress."""


def serve(words: argparse.Namespace, progress: Progress) -> NoReturn:
    """``vmg serve``: answer requests until standard input ends."""
    del words, progress  # each request names what it needs
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    Server(*_own_streams()).run()


def _own_streams() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output, out of everybody else's reach: what is printed from now on goes to the log."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return requests, answers


@dataclass(frozen=True)
class _Request:
    id: int
    method: str
    params: Any
    cancelled: threading.Event = field(default_factory=threading.Event)


class Server:
    """Answers requests one at a time, in the order in which they come; those of `protocol.ASIDE` beside the others.

    A thread reads: it refuses what is malformed at once, queues the rest, passes ``cancel`` on, and ends the process
    when the stream ends. The work is done in the main thread, and what is answered aside in one of its own.

    Parameters
    ----------
    requests, answers : binary streams
    """

    def __init__(self, requests: BinaryIO, answers: BinaryIO) -> None:
        self._requests, self._answers = requests, answers
        self._writing = threading.Lock()
        self._waiting: SimpleQueue[_Request] = SimpleQueue()
        self._aside: SimpleQueue[_Request] = SimpleQueue()
        self._open: dict[int, _Request] = {}

    def run(self) -> NoReturn:
        """Serve; ends the process when the requests end."""
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._answer_aside, daemon=True).start()
        while True:
            self._answer(self._waiting.get(), self._done)
            with suppress(ImportError):  # whoever asks for work is told
                for name in HEAVY:  # loaded before it is asked for, but not while somebody waits
                    if self._waiting.empty():
                        import_module(name, __package__)

    def _answer_aside(self) -> NoReturn:
        while True:
            self._answer(self._aside.get(), _looked)

    @cached_property
    def _service(self) -> Service:
        from .service import Service

        return Service()

    def _read(self) -> None:
        try:
            for line in self._requests:
                if line.strip():
                    self._take(line)
        finally:
            _end()

    def _take(self, line: bytes) -> None:
        """Queue the request of a line, or say why not."""
        try:
            message = json.loads(line, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            self._refuse(None, PARSE_ERROR, f"This is not JSON: {error}")
            return
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            self._refuse(None, INVALID_REQUEST, "A request is an object with a method.")
            return
        method, given = message["method"], message.get("params")
        if "id" not in message:
            wanted = given.get("id") if isinstance(given, dict) else None
            if method == "cancel" and type(wanted) is int and (running := self._open.get(wanted)):
                running.cancelled.set()
            return
        number = message["id"]
        if type(number) is not int or number in self._open:
            self._refuse(None, INVALID_REQUEST, "A request's id is a whole number that no open request has.")
        elif method not in protocol.METHODS:
            self._refuse(number, METHOD_NOT_FOUND, f'There is no method "{method}".')
        else:
            kind = protocol.METHODS[method][0]
            try:
                params = None if kind is None else protocol.from_json(kind, given)
            except (ValueError, OverflowError) as error:
                self._refuse(number, INVALID_PARAMS, str(error))
                return
            self._open[number] = request = _Request(number, method, params)
            (self._aside if method in protocol.ASIDE else self._waiting).put(request)

    def _answer(self, request: _Request, work: Callable[[_Request, Call], object]) -> None:
        answer = self._answer_of(request, work)
        del self._open[request.id]
        self._send({"id": request.id, **answer})

    def _answer_of(self, request: _Request, work: Callable[[_Request, Call], object]) -> dict[str, Any]:
        call = Call(request.id, request.cancelled, self._send)
        try:
            call.progress.check()
            return {"result": protocol.as_json(work(request, call))}
        except UserError as error:
            return _error(protocol.USER_ERROR, error.message, protocol.Explanation(**error.as_dict()))
        except Cancelled:
            return _error(protocol.CANCELLED, "Cancelled.")
        except Exception as error:  # noqa: BLE001 - the one place where a fault of ours becomes an answer
            fault = protocol.Explanation(**logged(error, f"vmg serve: {request.method}"))
            return _error(protocol.INTERNAL_ERROR, fault.message, fault)

    def _done(self, request: _Request, call: Call) -> object:
        if request.method == "hello":
            return hello()
        _load(call)
        with warnings.catch_warnings():
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = call.warned
            result: object = getattr(self._service, request.method)(request.params, call)
            return result

    def _refuse(self, number: int | None, code: int, message: str) -> None:
        self._send({"id": number, **_error(code, message)})

    def _send(self, message: dict[str, Any]) -> None:
        line = protocol.encode({"jsonrpc": "2.0", **message})
        try:
            with self._writing:
                self._answers.write(line)
                self._answers.flush()
        except OSError:  # nobody listens any more
            _end()


class Call:
    """A request while it is worked on: where its notifications go.

    Attributes
    ----------
    id : int
        The request's.
    progress : Progress
    """

    def __init__(self, number: int, cancelled: threading.Event, send: Callable[[dict[str, Any]], None]) -> None:
        self.id = number
        self.progress = Progress(self._report, cancelled)
        self._send = send
        self._countdown = Countdown()
        self._next = 0.0

    def notify(self, method: str, params: Any) -> None:  # noqa: ANN401 - any record of the protocol
        """Send a notification."""
        self._send({"method": method, "params": protocol.as_json(params)})

    def warned(self, message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        """Pass a warning on as the notification ``log``, in place of `warnings.showwarning`."""
        if issubclass(category, UserWarning):
            self._send({"method": "log", "params": {"id": self.id, "text": str(message)}})

    def _report(self, fraction: float, stage: str) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + REPORT_SECONDS
            left = self._countdown.update(now, fraction, stage)
            self.notify("progress", protocol.Progressed(self.id, fraction, stage, left))


def hello() -> protocol.Hello:
    """Who answers; without loading anything."""
    return protocol.Hello(
        protocol=protocol.fingerprint(),
        version=__version__,
        python=platform.python_version(),
        device="CPU",
        cores=os.cpu_count() or 1,
        engines=CATALOGUE,
    )


def _looked(request: _Request, call: Call) -> object:
    """What a method of `protocol.ASIDE` gives."""
    _load(call)  # in the order in which the main thread does: neither waits for what the other has half of
    module = import_module(_LOOKING.get(request.method, ".interpolation.hardware"), __package__)
    result: object = getattr(module, request.method)(request.params)
    return result


def _load(call: Call) -> None:
    for name in HEAVY:
        call.progress.check()
        import_module(name, __package__)


def _error(code: int, message: str, data: protocol.Explanation | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = protocol.as_json(data)
    return {"error": error}


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _end() -> NoReturn:
    """End this process and its workers at once, whatever they are doing."""
    for worker in multiprocessing.active_children():
        worker.kill()
    os._exit(0)
