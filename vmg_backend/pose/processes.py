"""Work done by a few processes that report each step and can be stopped at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar, cast

from ..errors import UserError
from ..progress import Progress

POLL_SECONDS = 0.1
"""How soon a cancelled job is noticed while no step is reported."""

Job = TypeVar("Job")
Result = TypeVar("Result")
Task = Callable[[Job, Callable[[], None]], Result]


def run(task: Task[Job, Result], jobs: Sequence[Job], *, steps: int, workers: int, progress: Progress) -> list[Result]:
    """Do `task` for all `jobs` and return the results in their order.

    Even one worker is a process of its own: native libraries that print, hold memory or cannot be interrupted stay
    out of this one.

    Parameters
    ----------
    task : callable
        A function of a module (it is looked up by name in the new process). Gets the job and a function to call after
        each step; what it prints, native libraries included, goes nowhere.
    jobs : sequence
        The work, the same whatever the number of workers.
    steps : int
        Steps of all jobs together, for the progress.
    workers : int
        Processes.
    progress : Progress

    Raises
    ------
    Cancelled
        When the job was cancelled; the processes have ended by then.
    UserError
        When the task raised one.
    RuntimeError
        When the task raised anything else (with its traceback) or its process died.
    """
    results: dict[int, Result] = {}
    waiting = list(range(len(jobs)))[::-1]
    context = multiprocessing.get_context("spawn")
    processes: list[SpawnProcess] = []
    busy: dict[Connection, int] = {}

    def give_next(connection: Connection) -> None:
        if waiting:
            busy[connection] = waiting.pop()
            connection.send(jobs[busy[connection]])
        else:
            busy.pop(connection, None)
            connection.close()

    done = 0
    try:
        for _ in range(min(workers, len(jobs))):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, task), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            give_next(ours)
        while busy:
            progress.check()
            for ready in wait(list(busy), POLL_SECONDS):
                connection = cast(Connection, ready)  # `wait` is typed for sockets, too
                try:
                    kind, value = connection.recv()
                except (EOFError, ConnectionResetError):
                    progress.check()  # Ctrl-C in a terminal ends the workers, too
                    raise RuntimeError("A process that worked on this job died.") from None
                if kind == "step":
                    done += 1
                    progress.update(done / steps)
                elif kind == "result":
                    results[busy[connection]] = value
                    give_next(connection)
                elif kind == "user error":
                    raise UserError(value["message"], value["remedy"], title=value["title"])
                else:
                    raise RuntimeError(f"A process that worked on this job failed.\n{value}")
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
    return [results[number] for number in range(len(jobs))]


def _serve(connection: Connection, task: Task[Any, Any]) -> None:
    """Work on the jobs that come through `connection` until it closes or the process that asked is gone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asked decides what Ctrl-C ends
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # mediapipe and TensorFlow Lite write to the descriptors, past sys.stderr
        os.dup2(nowhere, stream)
    try:
        while True:
            try:
                job = connection.recv()
            except EOFError:
                return
            try:
                result = task(job, lambda: connection.send(("step", None)))
            except UserError as error:
                connection.send(("user error", error.as_dict()))
                return
            except Exception:  # noqa: BLE001 - passed on whole to the process that asked
                connection.send(("failure", traceback.format_exc()))
                return
            connection.send(("result", result))
    except BrokenPipeError:
        return  # the process that asked is gone


def _end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, however that came about."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
