"""What engines with a model have to choose from: devices, models, packages; and what was chosen.

The backend is asked for it where a panel needs it, and not before: it loads torch for the answer, which takes seconds.
It answers beside the running job.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import bpy

from ..vmg_backend import protocol
from . import installation, paths
from .environment import State
from .session import Job, SceneRef, Session, session

STAND_INS = ("vace", "sparsectrl")
"""The engines that have models of their own, which are downloaded."""
WITH_MODEL = ("hminterp", *STAND_INS)
"""The engines that have one."""

Choice = tuple[str, str, str]
"""What a property holds, and its label and tooltip."""

MenuItem = tuple[str, str, str, str, int]
"""As Blender wants it."""


@dataclass
class _Survey:
    """What was found, and how many jobs had ended when it was asked for: each may change how much memory is free."""

    found: protocol.Hardware | None = None
    asked_after: int | None = None


_surveys: list[_Survey] = []


def known() -> protocol.Hardware | None:
    """What the backend found when it was last asked."""
    return _surveys[-1].found


def forget() -> None:
    """What was found does not hold any more: the backend is another one."""
    _surveys[-1] = _Survey()


def outdate() -> None:
    """What was found may be different now."""
    _surveys[-1].asked_after = None


def due() -> bool:
    """Whether a panel that needs to know should ask: once, and again when a job has ended since."""
    if session().asking or _surveys[-1].asked_after == session().ended or ready() is False:
        return False
    return installation.status().state in (State.READY, State.OUTDATED)


def ready() -> bool | None:
    """Whether the packages of HMInterp are there; None where only the backend can tell, and was not asked."""
    found = known()
    return not found.missing if found else installation.has_hminterp()


def look(session: Session) -> Job:
    """Ask the backend."""
    _surveys[-1].asked_after = session.ended
    return session.ask("hardware", _asked(), on_result=_note)


def release(session: Session) -> Job:
    """Have the backend forget its model; raises `UserError` while another job runs."""
    return session.submit("release", _asked(), title="Release memory", on_result=_note)


def _asked() -> protocol.Look:
    machine = paths.preferences()
    return protocol.Look(tuple(folder.path for folder in machine.model_folders) if machine else ())


def _note(found: protocol.Hardware) -> None:
    _surveys[-1].found = found


# -- models that lie elsewhere -----------------------------------------------------------------------------------------


def add_model(session: Session, scene: bpy.types.Scene, folder: Path) -> Job:
    """Have the backend look whether a folder holds a model; where it does, it is remembered and chosen."""
    target = SceneRef.of(scene)

    def note(found: protocol.ModelHere) -> None:
        machine = paths.preferences()
        if found.name == str(folder) and machine is not None and not is_elsewhere(found.name):
            machine.model_folders.add().path = found.name
            bpy.context.preferences.is_dirty = True  # or Blender would not save them
        note_model(found)
        if chosen_for := target.find():
            chosen_for.vmg.model = found.name

    return session.ask("model", protocol.ModelFolder(str(folder)), on_result=note)


def note_model(found: protocol.ModelHere) -> None:
    """A model is there that was not, or is another one now; the training that made it is done."""
    if before := known():
        others = (model for model in before.models if model.name != found.name)
        runs = tuple(run for run in before.runs if run.asked.name != found.name)
        _note(dataclasses.replace(before, models=(*others, found), runs=runs))


def note_runs(runs: tuple[protocol.StoppedRun, ...]) -> None:
    """These are the trainings that can go on."""
    if before := known():
        _note(dataclasses.replace(before, runs=runs))


def is_elsewhere(name: str) -> bool:
    """Whether a model is one of those that the person added."""
    return name in _asked().models


def forget_model(scene: bpy.types.Scene) -> None:
    """Take the chosen model off the list; its files stay."""
    before, machine, name = known(), paths.preferences(), scene.vmg.model
    if machine is not None and is_elsewhere(name):
        machine.model_folders.remove(_asked().models.index(name))
        bpy.context.preferences.is_dirty = True
    if before:
        _note(dataclasses.replace(before, models=tuple(one for one in before.models if one.name != name)))
    scene.vmg.model = ""


# -- what is chosen ----------------------------------------------------------------------------------------------------


def engine_choice(scene: bpy.types.Scene) -> protocol.EngineChoice:
    """What the scene's settings, and this machine's, choose for its transitions."""
    settings, machine = scene.vmg, paths.preferences()
    if settings.engine not in WITH_MODEL:
        return protocol.EngineChoice(settings.engine)
    found = known()
    only = found.models[0].name if found and len(found.models) == 1 else ""
    model = "" if settings.engine in STAND_INS else settings.model or only
    chosen = protocol.EngineChoice(settings.engine, model, settings.quality)
    if machine is None:
        return chosen
    return protocol.EngineChoice(*(chosen.name, chosen.model, chosen.quality), machine.device, machine.precision)


def refusal(scene: bpy.types.Scene) -> str:
    """Why the chosen engine cannot run, one clause; empty where it can, or where nobody knows yet."""
    if scene.vmg.engine not in WITH_MODEL:
        return ""
    if ready() is False:
        return "HMInterp is not set up"
    if scene.vmg.engine in STAND_INS:
        return "The engine's models are not downloaded" if lacking(scene.vmg.engine) else ""
    found = known()
    if found is None:
        return ""
    if not found.models:
        return "There is no model for HMInterp"
    return "" if scene.vmg.model or len(found.models) == 1 else "Choose a model"


def lacking(engine: str) -> tuple[str, ...]:
    """The models of one of `STAND_INS` that are not downloaded, as far as is known."""
    found = known()
    return next((one.models for one in found.lacking if one.engine == engine), ()) if found else ()


def device(name: str) -> protocol.Device | None:
    """What is known of the device that `name` chooses."""
    found = known()
    devices = found.devices if found else ()
    return next((one for one in devices if name in ("auto", one.name)), None)  # the best comes first


def model_choices(chosen: str) -> list[Choice]:
    """The models for a menu in which `chosen` is chosen: it stays there where it is not found."""
    found = known()
    here = [(model.name, model.label, model.description) for model in found.models] if found else []
    if not chosen and len(here) != 1:  # the only one needs no choice
        here.insert(0, ("", "Choose a model" if here else "None", "Models are found in the backend's folder of models"))
    return _with(chosen, here)


def device_choices(chosen: str) -> list[Choice]:
    """The same for devices."""
    found = known()
    there = [(one.name, one.label, f"{gigabytes(one.total)} of memory") for one in found.devices] if found else []
    return _with(chosen, [("auto", "Automatic", "The best that there is"), *there])


def gigabytes(amount: float) -> str:
    """A number of bytes as a person says it."""
    return f"{amount / 1e9:.1f} GB"


def _with(chosen: str, choices: list[Choice]) -> list[Choice]:
    if any(name == chosen for name, *_ in choices) or not chosen:
        return choices
    missing = " (not found)" if known() else ""
    return [*choices, (chosen, f"{chosen}{missing}", "It is not there now" if missing else chosen)]


def items(choices: list[Choice]) -> list[MenuItem]:
    """Choices as Blender wants a menu's."""
    return [
        (_lasting(name or "-"), _lasting(label), _lasting(description), "NONE", number)
        for number, (name, label, description) in enumerate(choices)
    ]


def place(choices: list[Choice], chosen: str) -> int:
    """Which of the choices is chosen."""
    return next((number for number, (name, *_) in enumerate(choices) if name == chosen), 0)


@cache
def _lasting(text: str) -> str:
    """`text`, kept for ever: Blender refers to the texts of a menu that is made anew, and does not keep them."""
    return text


def register() -> None:
    """Begin with nothing known."""
    _surveys.append(_Survey())


def unregister() -> None:
    """Forget."""
    _surveys.pop()
