"""A model of one's own: what its training takes, the one that runs, those that were stopped, how the last one ended.

A training changes nothing in the file until it is done: undo, another file and closing Blender leave its run alone.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import bpy

from ..vmg_backend import protocol
from ..vmg_backend.errors import UserError
from . import compat, footages, hardware, paths
from .curve import drawn
from .jobs import workflow
from .picture import Icon
from .session import Job, SceneRef, Session, session
from .workflow import Ask, Verb

SAVING = 120.0
"""Seconds that the backend has to end a step and keep its state, after a pause; the person does not wait for it."""
_LONGEST = 40


@dataclass
class Training:
    """What this registration knows.

    Attributes
    ----------
    plan : TrainingPlan or None
        What the last one that was asked about would take.
    running : Train or None
    learned : Learned or None
        How the last one goes or went; its curve is the icon.
    name : str
        Whose that is.
    said : str
        How the last one ended, in sentences.
    icon : Icon
    question : Job or None
        The last one that was asked about what a training would take.
    """

    plan: protocol.TrainingPlan | None = None
    running: protocol.Train | None = None
    learned: protocol.Learned | None = None
    name: str = ""
    said: str = ""
    icon: Icon = field(default_factory=Icon)
    question: Job | None = None

    def hear(self, learned: protocol.Learned) -> None:
        """Show how it goes."""
        self.learned = learned
        self.icon.paint(drawn(learned))
        compat.redraw("SEQUENCE_EDITOR")

    def clear(self) -> None:
        """Show nothing of what was."""
        self.learned, self.name, self.said = None, "", ""
        self.icon.clear()


_trainings: list[Training] = []


def training() -> Training:
    """The one of this registration."""
    return _trainings[0]


def refusal(scene: bpy.types.Scene) -> str:
    """Why nothing can be trained on the scene's footage, one clause; empty where it can."""
    rows = scene.vmg.footages
    if not rows:
        return "Choose footage first"
    if any(row.missing for row in rows):
        return "Footage is missing"
    if not all(row.analyzed for row in rows):
        return "The footage is not analyzed yet"
    return "HMInterp is not set up" if hardware.ready() is False else ""


def usual_name(scene: bpy.types.Scene) -> str:
    """The footage's name, fit for a model and not taken by another one."""
    words = re.sub(r"[^\w.-]+", " ", Path(scene.vmg.footages[0].name).stem)
    plain = words[:_LONGEST].strip(" .-") or "Model"
    found = hardware.known()
    taken = {model.name for model in found.models} if found else set()
    numbers = (f"{plain} {number}" for number in range(2, len(taken) + 3))
    return next(name for name in (plain, *numbers) if name not in taken)


def wish(
    scene: bpy.types.Scene, name: str, minutes: float | None = None, *, thrifty: bool = False, recipe: str = "personal"
) -> protocol.Train:
    """A training on the scene's footage, where the preferences say.

    Raises
    ------
    UserError
        When there is no footage, or a file is not there.
    """
    asked, machine = footages.asked_about(scene), paths.preferences()
    device, precision = (machine.device, machine.precision) if machine else ("auto", "auto")
    return protocol.Train(name, asked.footages, minutes, device, precision, thrifty, recipe, asked.library)


def ask(session: Session, asked: protocol.Train, then: Callable[[], None]) -> Job:
    """Ask what a training would take; `then` is called when that is known."""

    def note(plan: protocol.TrainingPlan) -> None:
        training().plan = plan
        then()

    question = training().question = session.ask("plan_training", asked, on_result=note)
    return question


def waiting() -> str:
    """What has to be known before it may be asked what a training takes; empty where nothing has."""
    question = training().question
    if question and question.outcome is None:
        return "Looking at what it would take"
    return "Looking for devices" if session().asking else ""


def facts(plan: protocol.TrainingPlan, name: str, *, thrifty: bool) -> list[tuple[str, bool]]:
    """What a person should know before it starts: lines, and whether all is well with each."""

    def room(what: str, needed: int, free: int) -> tuple[str, bool]:
        return f"{what}: up to {hardware.gigabytes(needed)}; {hardware.gigabytes(free)} are free", needed <= free

    going_on = [run.done for run in stopped() if run.asked.name == name]
    return [
        (f"Where: {plan.device}", True),
        room("Memory", plan.memory_thrifty if thrifty else plan.memory, plan.free),
        room("Disk", plan.disk, plan.free_disk),
        (f"Footage: {plan.frames} frames show the person well", plan.frames > 0),
        *((sentence, False) for sentence in [plan.remark] if sentence),
        *((f"“{name}” was stopped at {done:.0%}: it goes on", True) for done in going_on),
    ]


def start(scene: bpy.types.Scene, asked: protocol.Train) -> Job:
    """Train, or go on where a training of that name was stopped; raises `UserError` while another job runs."""
    return workflow().run(scene, lambda target: _train(target, asked))


def stopped() -> list[protocol.StoppedRun]:
    """Trainings that can go on."""
    found, running = hardware.known(), training().running
    return [run for run in found.runs if not running or run.asked.name != running.name] if found else []


def resume(scene: bpy.types.Scene, name: str) -> Job:
    """Go on with a training, on the device that is chosen now."""
    run = next((run for run in stopped() if run.asked.name == name), None)
    if run is None:
        raise UserError(f"The training “{name}” is not there any more.", "Begin another one.")
    machine = paths.preferences()
    place = {"device": machine.device, "precision": machine.precision} if machine else {}
    return start(scene, dataclasses.replace(run.asked, **place))


def pause() -> None:
    """Stop the training; what it has learned is kept, and what waits for its end begins."""
    session().cancel()


def drop(scene: bpy.types.Scene, name: str) -> None:
    """Delete a training that is not done; stops it, where it runs."""
    running = training().running
    if running and running.name == name:
        pause()
    workflow().run_when_free(scene, lambda _: _drop(name), kind=f"drop {name}")


def _train(target: SceneRef, asked: protocol.Train) -> Verb:
    ours = training()
    if ours.name != asked.name:
        ours.clear()
    ours.name, ours.said, ours.running = asked.name, "", asked
    try:
        trained = yield Ask("train", asked, f"Train {asked.name}", ours.hear, SAVING)
    finally:
        ours.running = None
    found = target.find() is not None
    ours.said = _told(trained, chosen=found)
    only = _only()
    hardware.note_model(trained.model)

    def choose(scene: bpy.types.Scene) -> Iterator[None]:
        if trained.better:
            scene.vmg.engine, scene.vmg.model = "hminterp", trained.model.name
        elif only and not scene.vmg.model:  # it was chosen, without a word: it was the only one
            scene.vmg.model = only
        yield

    if found and (trained.better or only):
        yield from workflow().arrive(target, f"Train {asked.name}", choose)


def _drop(name: str) -> Verb:
    left = yield Ask("forget_run", protocol.RunName(name), f"Delete the training {name}")
    hardware.note_runs(left.runs)
    if training().name == name:
        training().clear()


def _only() -> str:
    """The model that is used because there is no other."""
    found = hardware.known()
    return found.models[0].name if found and len(found.models) == 1 else ""


def _told(trained: protocol.Trained, *, chosen: bool) -> str:
    """How it ended, for people."""
    labels = {"fade": "Fade", "flow": "Flow"}
    compared = " and ".join(
        f"{abs(much):.1f} dB {'better' if much > 0 else 'worse'} than {labels[other]}"
        for other, much in sorted(trained.over.items(), key=lambda item: -item[1])
    )
    judged = f"Near the person, {trained.model.label} is {compared}, in {trained.gaps} gaps that it was not taught"
    if trained.better:
        return f"{judged}. It is chosen." if chosen else f"{judged}. It is in the menu."
    return f"{judged}. It does not win, so it is in the menu and not chosen: train longer, or on more footage."


def register() -> None:
    """Begin with nothing known."""
    _trainings.append(Training())


def unregister() -> None:
    """Forget; the run stays."""
    _trainings.pop().icon.close()
