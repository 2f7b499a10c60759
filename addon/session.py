"""Jobs, one at a time, in the backend's process or on a thread, while the person goes on working; questions beside.

`Session` knows no Blender. What it is in Blender, the timer that pumps it and the panel that shows it, is below it.
"""

from __future__ import annotations

import inspect
import itertools
import queue
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import bpy

from ..vmg_backend import protocol
from ..vmg_backend.errors import Cancelled, UserError
from ..vmg_backend.progress import Progress
from . import compat, installation, paths
from .backend import BackendProcess, Log
from .failures import Failure, JobCancelled, JobFailed

PATIENCE = 1.0
"""Seconds after which a cancelled job counts as cancelled, whether the backend answered or not."""

LAST_PATIENCE = 2.0
"""Seconds more after which a backend that did not answer is ended, unless the job says otherwise; the next job starts
another one."""

GREETING = 60.0
"""Seconds for the answer to hello: a cold disk is slow."""

BUDGET = 0.008
"""Seconds of work in one tick of the timer."""

TICK = 0.03
"""Seconds between two ticks while there is something to do."""

_STARTS = 2
"""How often a job may lose its backend: it is started again once."""

_EVENTS: dict[str, type] = {"filled": protocol.Filled, "preview": protocol.Preview, "learned": protocol.Learned}
"""The notifications that a job's `on_event` gets, beside `progress` and `log`."""

Steps = Iterator[object] | None
"""What a callback may return: work that is done tick by tick, a few milliseconds each."""

_Running = Generator[object, None, None]


class Outcome(Enum):
    """How a job ended."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class SceneRef:
    """A scene that may be gone by the time that it is needed.

    Attributes
    ----------
    uid : int
        Its `session_uid`: the same after undo and renaming, never the same after loading a file.
    name : str
        As it was called.
    """

    uid: int
    name: str = field(compare=False)

    @classmethod
    def of(cls, scene: bpy.types.Scene) -> SceneRef:
        """The reference to `scene`."""
        return cls(scene.session_uid, scene.name)

    def find(self) -> bpy.types.Scene | None:
        """The scene, or None where it is gone."""
        return next((scene for scene in bpy.data.scenes if scene.session_uid == self.uid), None)


@dataclass(eq=False)
class Job:
    """What the person asked for, and how far it is.

    Attributes
    ----------
    title : str
        "Detect beats".
    scene : SceneRef or None
        Where its result belongs.
    stage : str
    fraction : float
        In [0, 1].
    seconds_left : float or None
    outcome : Outcome or None
        None while it runs.
    failure : Failure or None
    patience : float
        Seconds that the backend has to answer, after the job counts as cancelled.
    """

    title: str
    on_result: Callable[[Any], Steps]
    on_event: Callable[[Any], Steps] | None = None
    on_error: Callable[[Failure], Steps] | None = None
    on_cancel: Callable[[], Steps] | None = None
    scene: SceneRef | None = None
    request: tuple[str, Any] | None = None
    stage: str = ""
    fraction: float = 0.0
    seconds_left: float | None = None
    outcome: Outcome | None = None
    failure: Failure | None = None
    cancelling_since: float | None = None
    losses: int = 0
    patience: float = LAST_PATIENCE


@dataclass(eq=False)
class _Link:
    """A process and what was agreed with it.

    Attributes
    ----------
    owed : int or None
        The id of the request that it has not answered yet; first the hello.
    job : Job or None
        Whose request that is; None for the hello.
    deadline : float or None
        When the process is ended if it has not answered.
    held : str
        The engine whose model it keeps in the memory.
    asked : dict of int to Job
        Questions that it has not answered yet.
    """

    process: BackendProcess
    owed: int | None
    deadline: float | None
    job: Job | None = None
    hello: protocol.Hello | None = None
    held: str = ""
    asked: dict[int, Job] = field(default_factory=dict)


@dataclass(eq=False)
class _Worker:
    """Work on a thread: it posts what is to be done on the main one."""

    job: Job
    cancelled: threading.Event = field(default_factory=threading.Event)
    posted: queue.SimpleQueue[Callable[[], None]] = field(default_factory=queue.SimpleQueue)
    thread: threading.Thread | None = None


def _nothing() -> None:
    pass


class Session:
    """The jobs of one registration of the add-on.

    Everything happens in `pump`, on the thread that calls it; callbacks may return an iterator, which is advanced one
    step at a time, and later messages wait for it. A job whose backend died is sent again once: events may then come
    twice, results do not.

    Parameters
    ----------
    command : callable
        Gives the words that start the backend, or None while they are not known yet; raises `UserError` (or `JobFailed`
        with an action) where there is none.
    log : Log
        Gets what the backend says and what goes wrong here.
    wake : callable
        Called when there is something to pump.
    changed : callable
        Called when something may look different now.
    refusal : callable
        Gives the failure that the person is told in place of what the backend, or its end, tells.

    Attributes
    ----------
    job : Job or None
        The one that runs.
    ended : int
        How many jobs have ended.
    log : Log
    """

    def __init__(
        self,
        command: Callable[[], Sequence[str] | None],
        log: Log,
        wake: Callable[[], None] = _nothing,
        changed: Callable[[], None] = _nothing,
        refusal: Callable[[Failure], Failure] = lambda failure: failure,
    ) -> None:
        self.job: Job | None = None
        self.ended = 0
        self._failure: Failure | None = None
        self.log = log
        self._command = command
        self._wake = wake
        self._changed = changed
        self._refusal = refusal
        self._questions: list[Job] = []
        self._link: _Link | None = None
        self._worker: _Worker | None = None
        self._ending: list[threading.Thread] = []
        self._steps: deque[_Running] = deque()
        self._ids = itertools.count(1)

    @property
    def failure(self) -> Failure | None:
        """Why the last job failed, until the next one begins or somebody sets it to None."""
        return self._failure

    @failure.setter
    def failure(self, failure: Failure | None) -> None:
        self._failure = failure
        self._changed()

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return self.job is not None

    @property
    def active(self) -> bool:
        """Whether `pump` has something to do or to wait for."""
        return bool(self.job or self._steps or self.asking or (self._link and self._link.owed is not None))

    @property
    def asking(self) -> bool:
        """Whether a question is open."""
        return bool(self._questions or (self._link and self._link.asked))

    @property
    def hello(self) -> protocol.Hello | None:
        """Who answers; None while no backend runs."""
        return self._link.hello if self._link else None

    @property
    def held(self) -> str:
        """The engine whose model the backend keeps in the memory; "" for none."""
        return self._link.held if self._link else ""

    def submit(
        self,
        method: str,
        params: object | None,
        *,
        title: str,
        on_result: Callable[[Any], Steps],
        on_event: Callable[[Any], Steps] | None = None,
        on_error: Callable[[Failure], Steps] | None = None,
        on_cancel: Callable[[], Steps] | None = None,
        scene: SceneRef | None = None,
        patience: float = LAST_PATIENCE,
    ) -> Job:
        """Ask the backend; starts it where it does not run.

        Parameters
        ----------
        method : str
            One of `protocol.METHODS`.
        params : object or None
            The record of its parameters.
        title : str
            What the person sees.
        on_result, on_event, on_error, on_cancel : callable
            Get the result's record, an event's record, the `Failure`, nothing. Each may return an iterator.
        scene : SceneRef, optional
            Where the result belongs.
        patience : float
            Seconds that the backend has to put away what it has, after the job was cancelled.

        Raises
        ------
        UserError
            While another job runs.
        """
        _check(method, params)
        request = (method, params)
        job = Job(title, on_result, on_event, on_error, on_cancel, scene, request=request, patience=patience)
        return self._begin(job)

    def run(
        self,
        title: str,
        work: Callable[[Progress], Any],
        *,
        on_result: Callable[[Any], Steps],
        on_error: Callable[[Failure], Steps] | None = None,
        on_cancel: Callable[[], Steps] | None = None,
        alone: bool = False,
    ) -> Job:
        """Do `work` on a thread of its own, where it must not touch Blender; `on_result` gets what it returns.

        With `alone` it begins when the backend has ended, whose files it may change then.

        Raises
        ------
        UserError
            While another job runs.
        """
        job = self._begin(Job(title, on_result, None, on_error, on_cancel))
        if alone:
            self._drop_link()
        worker = _Worker(job)
        worker.thread = threading.Thread(target=self._work, args=(work, worker), daemon=True)
        self._worker = worker
        worker.thread.start()
        return job

    def ask(self, method: str, params: object | None, *, on_result: Callable[[Any], None]) -> Job:
        """Ask a question, which is answered beside the running job and is none itself; starts the backend likewise.

        While a thread works, which may change the backend's files, the question waits. One that is lost with the
        backend is not asked again.

        Parameters
        ----------
        method : str
            One of `protocol.ASIDE`.
        params : object or None
            The record of its parameters.
        on_result : callable
            Gets the result's record.
        """
        _check(method, params)
        if method not in protocol.ASIDE:
            raise ValueError(f"{method} is a job")
        question = Job("", on_result, request=(method, params))
        self._questions.append(question)
        self._wake()
        self._changed()
        return question

    def cancel(self) -> None:
        """Stop the running job; it ends within `PATIENCE` seconds, on a thread when its work lets go."""
        job, link = self.job, self._link
        if job is None or job.cancelling_since is not None:
            return
        job.cancelling_since = time.monotonic()
        if self._worker:
            self._worker.cancelled.set()
        elif link and link.job is job and link.owed is not None:
            link.deadline = job.cancelling_since + PATIENCE + job.patience
            link.process.cancel(link.owed)
        else:  # not sent yet, or its result is arriving
            self._end(job, Outcome.CANCELLED)
        self._changed()

    def pump(self, budget: float = BUDGET) -> None:
        """Work for at most `budget` seconds and one step."""
        deadline = time.perf_counter() + budget
        self._tend()
        while self._step() and time.perf_counter() < deadline:
            pass
        self._tend()
        self._changed()

    def wait(self, job: Job) -> None:
        """Pump until `job` has ended; for background mode, where no timer runs.

        Raises
        ------
        JobFailed, JobCancelled
        """
        while job.outcome is None or self._steps:
            self.pump()
            if not self._steps:
                time.sleep(0.005)
        if job.failure:
            raise JobFailed(job.failure)
        if job.outcome is Outcome.CANCELLED:
            raise JobCancelled

    def stop_backend(self) -> None:
        """End the backend without waiting for it; the next job starts it again. A running job is cancelled."""
        if self.job and self.job.request:
            self._end(self.job, Outcome.CANCELLED)
        self._drop_link()

    def close(self) -> None:
        """End everything, and wait for that: a few seconds at most."""
        if self._worker and self._worker.thread:
            self._worker.cancelled.set()
            self._worker.thread.join(3.0)
        if self.job:
            self._end(self.job, Outcome.CANCELLED)
        while self._steps:
            self._advance()
        if self._link:
            self._link.process.end(patience=1.0)
        for thread in self._ending:
            thread.join(3.0)
        self.job = self._link = self._worker = None
        self._questions.clear()
        self.log.close()

    def _begin(self, job: Job) -> Job:
        if self.job:
            raise UserError(
                f"“{self.job.title}” is still running.", "Wait for it, or cancel it.", title="One job at a time"
            )
        self.job, self.failure = job, None
        self._wake()
        return job

    # -- what happens in the time of `pump` ----------------------------------------------------------------------------

    def _tend(self) -> None:
        """Look after the process: its end, its deadlines, the request that waits for it."""
        link, now = self._link, time.monotonic()
        if link and link.deadline is not None and now > link.deadline:
            self.log.write("no answer in time")
            self._lost(link)
        elif link and link.process.ended:
            self._lost(link)
        if self._questions and self._worker is None:
            self._ask_all()
        job = self.job
        if job is None or job.request is None:
            return
        if job.cancelling_since is not None and now > job.cancelling_since + PATIENCE:
            self._end(job, Outcome.CANCELLED)
        elif self._link is None:
            self._start()
        elif self._link.hello and self._link.owed is None:
            self._send(self._link, job)
        elif self._link.hello and self._link.job is not job:
            job.stage = "Waiting for what was cancelled"

    def _step(self) -> bool:
        """Do the next thing; gives whether there was one."""
        if self._steps:
            self._advance()
        elif self._worker:
            try:
                self._worker.posted.get_nowait()()
            except queue.Empty:
                return False
        elif self._link and (message := self._link.process.receive()):
            self._read(self._link, message)
        else:
            return False
        return True

    def _advance(self) -> None:
        steps = self._steps[0]
        try:
            next(steps)
        except StopIteration:
            if self._steps and self._steps[0] is steps:
                self._steps.popleft()
        except UserError as error:
            self._fail(Failure.of(error))
        except Exception:  # noqa: BLE001 - the outer edge: a timer that raises would never tick again
            self._fail(self._ours(traceback.format_exc()))

    def _ask_all(self) -> None:
        """Send the questions that wait, once there is a backend."""
        if self._link is None:
            self._start()
        elif self._link.hello:
            for question in self._questions:
                number = next(self._ids)
                self._link.asked[number] = question
                self._request(self._link, number, question)
            self._questions.clear()

    def _start(self) -> None:
        try:
            command = self._command()
            if self.job and self.job.request:
                self.job.stage = "Starting the backend" if command else "Checking the environment"
            if command is None:
                return  # the next tick asks again
            process = BackendProcess(command, self.log)
        except UserError as error:
            self._give_up(self._refusal(Failure.of(error)))
            return
        self._link = _Link(process, next(self._ids), time.monotonic() + GREETING)
        process.send({"id": self._link.owed, "method": "hello"})

    def _send(self, link: _Link, job: Job) -> None:
        link.owed, link.job = next(self._ids), job
        job.stage = ""
        self._request(link, link.owed, job)

    def _request(self, link: _Link, number: int, job: Job) -> None:
        method, params = job.request or ("", None)
        request: dict[str, Any] = {"id": number, "method": method}
        if params is not None:
            request["params"] = protocol.as_json(params)
        link.process.send(request)

    def _lost(self, link: _Link) -> None:
        """The process is gone, or as good as gone."""
        job, questions = self.job, [*self._questions, *link.asked.values()]
        link.asked.clear()
        self._questions.clear()
        self._drop_link()
        title = "The backend ended" if link.hello else "The backend does not start"
        action = "" if link.hello else "vmg.environment_repair"

        def why(story: str) -> Failure:
            remedy = "Start the job again; if it happens again, look into the log, or test the backend."
            return self._refusal(self._with_log(protocol.Explanation(title, story, remedy), action))

        for question in questions:
            self._settle(question, why("The backend ended before it had answered."))
        if job is None or job.request is None or (link.hello and link.job is not job):
            return  # no job waited for it
        job.losses += 1
        if job.cancelling_since is not None:
            self._end(job, Outcome.CANCELLED)
        elif job.losses == _STARTS:
            self._fail(why("The backend ended before it had answered, twice."))

    def _give_up(self, failure: Failure) -> None:
        """There is no backend that could be asked."""
        questions, self._questions = self._questions, []
        for question in questions:
            self._settle(question, failure)
        if self.job and self.job.request:
            self._fail(failure)
        else:
            self.failure = failure

    # -- messages ------------------------------------------------------------------------------------------------------

    def _read(self, link: _Link, message: dict[str, Any]) -> None:
        job, answers = link.job, message.get("id") == link.owed
        try:
            if "method" in message:
                self._notified(link, message["method"], message.get("params") or {})
            elif question := link.asked.pop(message.get("id", 0), None):
                self._told(question, message)
            elif not answers:
                self.log.write(f"an answer to nothing: {str(message)[:200]}")
            elif link.hello is None:
                self._greeted(link, message)
            else:
                self._answered(link, message)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            story = f"not understood ({error!r}): {str(message)[:2000]}"
            if answers and "method" not in message and (job is None or job is self.job):
                self._drop_link()
                self._fail(self._ours(story))
            else:
                self.log.write(story)

    def _notified(self, link: _Link, method: str, params: dict[str, Any]) -> None:
        job = self.job
        if method == "log":
            self.log.write(str(params.get("text", params)))
        elif method == "held":
            link.held = protocol.from_json(protocol.Held, params).engine
        elif job is None or link.job is not job or link.owed is None:
            return  # of a job that was cancelled
        elif method == "progress":
            progress = protocol.from_json(protocol.Progressed, params)
            job.fraction, job.stage, job.seconds_left = progress.fraction, progress.stage, progress.seconds_left
        elif method in _EVENTS and job.on_event:
            self._steps.append(_calling(job.on_event, protocol.from_json(_EVENTS[method], params)))

    def _greeted(self, link: _Link, message: dict[str, Any]) -> None:
        link.owed = link.deadline = None
        hello = message.get("result") or {}
        if hello.get("protocol") == protocol.fingerprint():
            link.hello = protocol.from_json(protocol.Hello, hello)
            return
        self._drop_link()
        said = protocol.Explanation(
            "The backend needs an update",
            "The backend is of another version than the add-on.",
            "Update it.",
        )
        self._give_up(self._refusal(Failure(said, "vmg.environment_set_up")))

    def _told(self, question: Job, message: dict[str, Any]) -> None:
        """A question is answered; what it brings is no job's, and is there at once."""
        try:
            if "error" in message:
                self._settle(question, self._why(question, message["error"]))
                return
            question.on_result(_result(question, message))
        except UserError as error:
            self._settle(question, Failure.of(error))
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            self._settle(question, self._ours(f"not understood ({error!r}): {str(message)[:2000]}"))
        else:
            question.outcome = Outcome.DONE

    def _settle(self, question: Job, failure: Failure) -> None:
        question.failure, question.outcome = failure, Outcome.FAILED
        self.failure = failure

    def _answered(self, link: _Link, message: dict[str, Any]) -> None:
        job = link.job
        link.owed = link.deadline = link.job = None
        if job is None or job is not self.job or job.request is None:
            return  # it was cancelled, and does not count any more
        if "error" not in message:
            self._deliver(job, _result(job, message))
        elif message["error"]["code"] == protocol.CANCELLED:
            self._end(job, Outcome.CANCELLED)
        else:
            self._fail(self._why(job, message["error"]))

    def _why(self, job: Job, error: dict[str, Any]) -> Failure:
        if error.get("data"):
            return self._refusal(Failure(protocol.from_json(protocol.Explanation, error["data"])))
        return self._ours(f"the backend refused {job.request}: {error}")

    # -- threads -------------------------------------------------------------------------------------------------------

    def _work(self, work: Callable[[Progress], Any], worker: _Worker) -> None:
        """Runs on the worker's thread."""
        job, post = worker.job, worker.posted.put

        def report(fraction: float, stage: str) -> None:
            post(lambda: vars(job).update(fraction=fraction, stage=stage))

        for ending in self._ending:
            ending.join()
        try:
            result = work(Progress(report, worker.cancelled))
        except Cancelled:
            post(lambda: self._end(job, Outcome.CANCELLED))
        except UserError as error:
            failure = Failure.of(error)
            post(lambda: self._fail(failure))
        except Exception:  # noqa: BLE001 - the thread's outer edge
            story = traceback.format_exc()
            post(lambda: self._fail(self._ours(story)))
        else:
            post(lambda: self._deliver(job, result))

    # -- how jobs end --------------------------------------------------------------------------------------------------

    def _deliver(self, job: Job, result: object) -> None:
        def steps() -> _Running:
            yield from job.on_result(result) or ()
            self._end(job, Outcome.DONE)

        self._worker = job.request = None
        self._steps.append(steps())

    def _fail(self, failure: Failure) -> None:
        self.failure, job = failure, self.job
        if job:
            job.failure = failure
            self._end(job, Outcome.FAILED)

    def _end(self, job: Job, outcome: Outcome) -> None:
        if outcome is not Outcome.DONE:
            self._drop_steps()
            link = self._link
            if link and link.job is job and link.owed is not None and job.cancelling_since is None:
                link.deadline = time.monotonic() + PATIENCE + job.patience
                link.process.cancel(link.owed)  # it failed here, while it went on there
        job.outcome = outcome
        self.ended += 1
        self.job = self._worker = None
        if outcome is Outcome.FAILED and job.on_error and job.failure:
            self._steps.append(_calling(job.on_error, job.failure))
        elif outcome is Outcome.CANCELLED and job.on_cancel:
            self._steps.append(_calling(job.on_cancel))

    def _drop_steps(self) -> None:
        """Break off what is being done in steps; their `finally` may tidy up."""
        steps, self._steps = self._steps, deque()
        for one in steps:
            if inspect.getgeneratorstate(one) == inspect.GEN_RUNNING:
                continue  # it is where we were called from
            try:
                one.close()
            except Exception:  # noqa: BLE001 - the outer edge, as in `_advance`
                self.log.write(traceback.format_exc())

    def _drop_link(self) -> None:
        link, self._link = self._link, None
        if link:
            for question in link.asked.values():
                question.outcome = Outcome.CANCELLED
            thread = threading.Thread(target=link.process.end, args=(0.0,))
            self._ending = [*(old for old in self._ending if old.is_alive()), thread]
            thread.start()

    def _ours(self, story: str) -> Failure:
        """A fault of the program; `story` goes to the log."""
        self.log.write(story)
        said = protocol.Explanation("Internal error", "Something went wrong inside the add-on.", "The log says more.")
        return self._with_log(said)

    def _with_log(self, said: protocol.Explanation, action: str = "") -> Failure:
        return Failure(protocol.Explanation(said.title, said.message, said.remedy, str(self.log.path)), action)


def _check(method: str, params: object | None) -> None:
    kind = protocol.METHODS[method][0]
    if type(params) is not (kind or type(None)):
        raise TypeError(f"{method} takes {kind}, not {type(params)}")


def _result(job: Job, message: dict[str, Any]) -> object:
    result: object = protocol.from_json(protocol.METHODS[(job.request or ("",))[0]][1], message["result"])
    return result


def _calling(callback: Callable[..., Steps], *words: object) -> _Running:
    yield from callback(*words) or ()


class _InBlender:
    """A session in Blender: the timer that pumps it, the panel that shows it."""

    def __init__(self) -> None:
        self._timer = self._tick  # one object, by which Blender knows the timer
        log = Log(paths.log_file())
        self.session = Session(installation.command, log, self._wake, self.show, installation.explained)
        self._shown = self._look()
        self._told, self._told_at = ("", ""), 0.0

    def close(self) -> None:
        if bpy.app.timers.is_registered(self._timer):
            bpy.app.timers.unregister(self._timer)
        self.session.close()
        self.show()

    def show(self, *, anew: bool = False) -> None:
        """Bring WindowManager.vmg up to date where something is new; `anew` after it was lost with the old file."""
        now = self._look()
        if now == self._shown and not anew:
            return
        self._shown = now
        if bpy.app.background and self.session.job:
            self._tell(self.session.job)
        for manager in bpy.data.window_managers:
            for name, value in now.items():
                setattr(manager.vmg, name, value)
        compat.redraw("SEQUENCE_EDITOR", "PREFERENCES")

    def _tell(self, job: Job) -> None:
        """Where there is no panel: a line for each stage, and one every ten seconds."""
        now = time.monotonic()
        if job.stage and ((job.title, job.stage) != self._told or now > self._told_at + 10):
            self._told, self._told_at = (job.title, job.stage), now
            print(f"{job.title}: {job.fraction:4.0%}  {job.stage}", file=sys.stderr, flush=True)

    def _look(self) -> dict[str, object]:
        """The session as the fields of WindowManager.vmg."""
        job, failure, hello = self.session.job, self.session.failure, self.session.hello
        said = failure.explanation if failure else protocol.Explanation("", "", "")
        left = job.seconds_left if job else None
        return {
            "running": job is not None,
            "title": job.title if job else "",
            "stage": job.stage if job else "",
            "fraction": job.fraction if job else 0.0,
            "seconds_left": -1.0 if left is None else left,
            "failure_title": said.title,
            "failure_message": said.message,
            "failure_remedy": said.remedy,
            "failure_log": said.log,
            "failure_action": failure.action if failure else "",
            "backend": f"{hello.version}, Python {hello.python}, {hello.device}" if hello else "",
            "held": self.session.held,
            "asking": self.session.asking,
        }

    def _wake(self) -> None:
        if not bpy.app.background and not bpy.app.timers.is_registered(self._timer):
            bpy.app.timers.register(self._timer, persistent=True)

    def _tick(self) -> float | None:
        self.session.pump()
        return TICK if self.session.active else None


_registered: list[_InBlender] = []


def session() -> Session:
    """The session of this registration."""
    return _registered[0].session


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def _after_load(*_: object) -> None:
    _registered[0].show(anew=True)


def register() -> None:
    """Begin a session; nothing is started yet."""
    _registered.append(_InBlender())
    bpy.app.handlers.load_post.append(_after_load)


def unregister() -> None:
    """End it, and whatever runs in it."""
    bpy.app.handlers.load_post.remove(_after_load)
    _registered.pop().close()
