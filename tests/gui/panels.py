"""The guide's pictures of actions, other cuts and a training."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import bpy

from . import beginning, film, sight
from .sight import Box, Spot
from .user import User, Waiting


def story(user: User, order: dict[str, Any]) -> Waiting[None]:
    """Kinds of motion found and named, actions, a take and where else it could cut to, a training."""
    images = Path(order["out"]) / "images"
    yield from beginning.first_start(user)
    yield from beginning.installation(user, order)
    yield from beginning.environment(user, order)
    yield from film.strips(user, order)
    sidebar = yield from user.opens_tab("Motion Graph")
    yield from film.material(user, sidebar)
    yield from film.save(user, Path(order["work"]) / "film.blend")
    yield from film.beats(user, sidebar)
    yield from actions(user, sidebar, images / "blender_actions.png")
    with user.step("suggest"):
        yield from film.suggest(user, sidebar)
    with user.step("enlarge the sequencer"):
        yield from user.points(user.timeline(60, 6))
        yield from user.presses("SPACE", ctrl=True)
        yield 1.0
        sidebar = user.region("SEQUENCE_EDITOR", "UI", view_type="SEQUENCER")
    yield from ways(user, sidebar, images / "blender_ways.png")
    yield from training(user, sidebar, images / "blender_training.png")


def actions(user: User, sidebar: Box, picture: Path) -> Waiting[None]:
    """The footage's kinds of motion, two of them named, and actions that ask for these."""
    with user.step("find actions"):
        yield from user.clicks((yield from user.scrolls_to("Footage Labels", sidebar)))
        yield from user.clicks((yield from user.scrolls_to("Find Actions", sidebar)))
        yield from user.waits(lambda: film.count(user, "LABEL") and not film.running(), "labels", film.LONG)
    with user.step("name the kinds"):
        for found, name in (("motion 1", "wave"), ("motion 2", "swing")):
            yield from _chooses(user, found, sidebar)
            yield from user.clicks((yield from user.scrolls_to("Rename All", sidebar)))
            yield from film.names(user, name)
            yield 1.0
    with user.step("add actions"):
        yield from film.action(user, sidebar, 97, "swing")
        yield from film.action(user, sidebar, 241, "wave")
        yield from _scrolls_to_top(user, "Actions", sidebar)
        timeline = user.region("SEQUENCE_EDITOR", view_type="SEQUENCER")
        sight.take_picture(picture, Box(timeline.left, timeline.top, sidebar.right, timeline.bottom))


def _chooses(user: User, label: str, sidebar: Box) -> Waiting[None]:
    """Click on the first row that shows this label; again where the click was lost."""

    def chosen() -> str:
        return str(user.scene().sequence_editor.strips[user.scene().vmg.label_index].text)

    for _ in range(5):
        yield from user.clicks((yield from user.scrolls_to(label, sidebar)))
        if chosen() == label:
            return
    raise AssertionError(f"the row of {chosen()!r} is chosen, and not that of {label!r}")


def _scrolls_to_top(user: User, text: str, sidebar: Box) -> Waiting[None]:
    """Turn the wheel until `text` is the first thing in the sidebar."""
    place = yield from user.scrolls_to(text, sidebar)
    while place.y > sidebar.top + 60:  # a step is 40 px
        yield from user.scrolls(Spot(sidebar.left + 4, sidebar.top + 300), 1)
        place, before = (yield from user.sees(text, sidebar)), place
        if place == before:
            break  # the panels' end


def ways(user: User, sidebar: Box, picture: Path) -> Waiting[None]:
    """Why the take is as it is, and where else it could cut to."""
    with user.step("other cuts"):
        yield from film.puts_playhead(user, 121)
        for text in ("Why", "Other Cuts", "Show Other Cuts"):
            yield from user.clicks((yield from user.scrolls_to(text, sidebar)))
        yield 1.0
        yield from user.waits(lambda: not film.running(), "the search's end", film.LONG)
        yield from user.scrolls_to("Use This Cut", sidebar)
        yield from user.scrolls(Spot(sidebar.left + 4, sidebar.top + 300), 60)
        yield 1.0
        top, bottom = (yield from user.sees("Why", sidebar)).y, (yield from user.sees("Final Cut", sidebar)).y
        sight.take_picture(picture, Box(sidebar.left + 8, top - 14, sidebar.right - 30, bottom - 16))  # without tabs


def training(user: User, sidebar: Box, picture: Path) -> Waiting[None]:
    """The dialog that says what a training takes, then a training."""
    title = "Train on This Footage"
    with user.step("what a training takes"):
        yield from user.clicks((yield from user.scrolls_to(title, sidebar)))
        yield from user.waits(lambda: len(sight.find(title, sidebar)) > 1, "the button")
        yield 1.0
        yield from user.waits(lambda: not bpy.context.window_manager.vmg.asking, "what devices there are", film.LONG)
        yield from user.clicks(sight.find(title, sidebar)[-1])
        yield from user.sees("Minutes", seconds=film.LONG)
        yield 1.0
    yield from user.presses("ESC")
    yield from learning(user, sidebar, picture)


def learning(user: User, sidebar: Box, picture: Path) -> Waiting[None]:
    """A training begins, learns and is paused."""
    with user.step("train"):
        # the dialog's recipe would not get far without a graphics card
        with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
            bpy.ops.vmg.train(name="performer", minutes=4.0, recipe="tiny")
        yield from user.waits(lambda: (it := _learned()) and it.done > 0.6, "most of the curve", 2 * film.LONG)
        yield from _scrolls_to_top(user, "Generate", sidebar)
        yield 1.0
        top = (yield from user.sees("Generate", sidebar)).y
        below = Box(sidebar.left, (yield from user.sees("Train on This Footage", sidebar)).y, *sidebar[2:])
        bottom = (yield from user.sees("Takes", below)).y
        sight.take_picture(picture, Box(sidebar.left + 8, top - 14, sidebar.right - 30, bottom - 16))
    with user.step("pause the training"):
        yield from user.clicks((yield from user.scrolls_to("Pause", sidebar)))
        yield from user.waits(lambda: not film.running(), "its end", film.LONG)


def _learned() -> Any:
    """How the training goes, as the extension knows it."""
    return sys.modules["bl_ext.user_default.video_motion_graphs.addon.training"].training().learned
