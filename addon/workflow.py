"""Runs a verb: a generator that asks the backend, and changes the timeline between two answers.

A verb yields an `Ask` to get its result, and None where a tick may end. It knows nothing of ticks, threads and queues.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import bpy

from ..vmg_backend.errors import UserError
from .failures import Failure
from .session import LAST_PATIENCE, Job, SceneRef, Session, session
from .timeline.building import TakeLost


@dataclass(frozen=True)
class Ask:
    """A request: the method and its record, the job's title, who gets its events, how long it may take to stop."""

    method: str
    params: object
    title: str
    on_event: Callable[[Any], None] | None = None
    patience: float = LAST_PATIENCE


Verb = Generator[Ask | None, Any, None]
"""Yields what it wants, gets results sent. It is closed when its job fails or is cancelled: `finally` tidies up."""

Insert = Callable[[bpy.types.Scene], Iterator[object]]
"""Puts a result into a scene, tick by tick."""


@dataclass(frozen=True)
class Waiting:
    """A result whose scene, or whose place in it, is gone; what it is, and how it is put into a scene."""

    title: str
    insert: Insert


@dataclass
class Workflow:
    """The verbs of one registration: one runs, and some wait for it.

    Attributes
    ----------
    waiting : list of Waiting
        Finished results without a place.
    """

    waiting: list[Waiting] = field(default_factory=list)
    _next: tuple[SceneRef, Ask, Verb] | None = None
    _queue: dict[tuple[SceneRef, str], Callable[[SceneRef], Verb]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._timer = self._tick  # one object, by which Blender knows the timer

    @property
    def busy(self) -> bool:
        """Whether a verb runs or waits."""
        return bool(self._session.busy or self._next or self._queue)

    @property
    def said_running(self) -> str:
        """What runs, one clause; empty where nothing does."""
        job = self._session.job
        return f"“{job.title}” is running" if job else "Another job is running" if self.busy else ""

    @property
    def _session(self) -> Session:
        return session()

    def run(self, scene: bpy.types.Scene, verb: Callable[[SceneRef], Verb]) -> Job:
        """Start a verb for a scene.

        Raises
        ------
        UserError
            When a job runs, or the verb cannot begin.
        """
        if self._session.job or self._next:
            raise UserError(f"{self.said_running}.", "Wait for it, or cancel it.", title="One job at a time")
        target = SceneRef.of(scene)
        steps = verb(target)
        try:
            first = next(steps)
        except UserError as error:  # the panel says this one, and not why the last job failed
            self._session.failure = Failure.of(error)
            self._session.pump(0.0)
            raise
        return self._submit(target, first, steps)

    def run_when_free(self, scene: bpy.types.Scene, verb: Callable[[SceneRef], Verb], kind: str = "analyze") -> None:
        """Start a verb now, or as soon as nothing else runs; for each scene one of each kind waits."""
        if not self.busy:
            self.run(scene, verb)
            return
        self._queue[SceneRef.of(scene), kind] = verb
        self._watch()

    def queued(self, scene: bpy.types.Scene) -> bool:
        """Whether an analysis waits for that scene."""
        return (SceneRef.of(scene), "analyze") in self._queue

    def finish(self) -> None:
        """Wait until nothing runs and nothing waits; for background mode.

        Raises
        ------
        JobFailed, JobCancelled
        """
        while self.busy:
            if job := self._session.job:
                self._session.wait(job)
            self.proceed()

    def proceed(self) -> None:
        """Start what comes next, where nothing runs."""
        if self._session.job:
            return
        if self._next:
            (target, ask, steps), self._next = self._next, None
            self._submit(target, ask, steps)
        elif self._queue:
            target, kind = next(iter(self._queue))
            verb = self._queue.pop((target, kind))
            if scene := target.find():
                try:
                    self.run(scene, verb)
                except UserError as error:  # nobody pressed a button to whom it could be told
                    self._session.failure = Failure.of(error)

    def cancel(self) -> None:
        """Stop what runs, and forget what was to run after it."""
        if self._next:
            self._next[2].close()
        self._next = None
        self._queue.clear()
        self._session.cancel()

    def arrive(self, target: SceneRef, title: str, insert: Insert, *, step: bool = True) -> Iterator[None]:
        """Put a result into its scene, or keep it where the scene or the place is gone.

        It is one undo step, unless more follows that makes one (`step` False).
        """
        if job := self._session.job:
            job.stage, job.seconds_left = "Placing strips", None
        scene = target.find()
        if scene is None:
            self.waiting.append(Waiting(title, insert))
            return
        while blender_is_busy():
            yield
        try:
            for _ in insert(scene):
                yield
        except TakeLost:  # undone or removed while it grew
            self.waiting.append(Waiting(title, insert))
            return
        if step:
            apply_result(title)

    def _submit(self, target: SceneRef, ask: Ask | None, steps: Verb) -> Job:
        assert ask is not None  # noqa: S101 - a verb begins with a request
        return self._session.submit(
            ask.method,
            ask.params,
            title=ask.title,
            on_result=lambda result: self._advance(target, steps, result),
            on_event=ask.on_event,
            on_error=lambda _: steps.close(),
            on_cancel=steps.close,
            scene=target,
            patience=ask.patience,
        )

    def _advance(self, target: SceneRef, steps: Verb, result: object) -> Iterator[None]:
        """Go on with a verb to its next request, or to its end."""
        try:
            step = steps.send(result)
            while step is None:
                yield
                step = next(steps)
        except StopIteration:
            return
        self._next = (target, step, steps)
        self._watch()

    def _watch(self) -> None:
        """See to it that `proceed` is called when the job has ended; in background mode `finish` does."""
        if not bpy.app.background and not bpy.app.timers.is_registered(self._timer):
            bpy.app.timers.register(self._timer, persistent=True)

    def close(self) -> None:
        """Forget everything."""
        if self._next:
            self._next[2].close()
        self._next = None
        self._queue.clear()
        if bpy.app.timers.is_registered(self._timer):
            bpy.app.timers.unregister(self._timer)

    def _tick(self) -> float | None:
        self.proceed()
        return 0.05 if self._next or self._queue else None


def apply_result(title: str) -> None:
    """Make one undo step of what has arrived, from wherever we are called: a timer has no window."""
    windows = bpy.context.window_manager.windows
    with bpy.context.temp_override(window=bpy.context.window or (windows[0] if windows else None)):
        bpy.ops.vmg.apply_result(title=title)


def blender_is_busy() -> bool:
    """Whether Blender renders, or the person is in the middle of moving something."""
    if any(bpy.app.is_job_running(kind) for kind in ("RENDER", "COMPOSITE")):
        return True
    windows = bpy.context.window_manager.windows
    return any(
        operator.bl_idname.startswith("TRANSFORM_OT") for window in windows for operator in window.modal_operators
    )
