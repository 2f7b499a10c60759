"""The guide's pictures of actions, ways out and a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from . import beginning, film, sight
from .sight import Box, Spot
from .user import User, Waiting


def story(user: User, order: dict[str, Any]) -> Waiting[None]:
    """Kinds of motion found and named, actions, a take and its ways out, a training."""
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
        for found, name in (("motion 1", "step"), ("motion 2", "sway")):
            row = yield from user.scrolls_to(found, sidebar)
            yield from user.clicks(Spot(row.x + 80, row.y))  # its length: the words themselves are a field
            yield from user.clicks((yield from user.scrolls_to("Rename All", sidebar)))
            yield from film.names(user, name)
            yield 1.0
    with user.step("add actions"):
        yield from film.action(user, sidebar, 97, "sway")
        yield from film.action(user, sidebar, 241, "step")
        yield from user.scrolls_to("Actions", sidebar)
        yield 1.0
        timeline = user.region("SEQUENCE_EDITOR", view_type="SEQUENCER")
        sight.take_picture(picture, Box(timeline.left, timeline.top, sidebar.right, timeline.bottom))


def ways(user: User, sidebar: Box, picture: Path) -> Waiting[None]:
    """Why the take is as it is, and where it could go."""
    with user.step("ways out"):
        yield from film.puts_playhead(user, 121)
        for text in ("Why", "Ways Out", "Show Ways Out"):
            yield from user.clicks((yield from user.scrolls_to(text, sidebar)))
        yield 1.0
        yield from user.waits(lambda: not film.running(), "the search's end", film.LONG)
        yield from user.scrolls_to("Go Here", sidebar)
        yield from user.scrolls(Spot(sidebar.left + 4, sidebar.top + 300), 60)
        yield 1.0
        top, bottom = (yield from user.sees("Why", sidebar)).y, (yield from user.sees("Final Cut", sidebar)).y
        sight.take_picture(picture, Box(sidebar.left, top - 14, sidebar.right, bottom - 16))


def training(user: User, sidebar: Box, picture: Path) -> Waiting[None]:
    """A training that has just begun to learn."""
    with user.step("train"):
        title = "Train on This Footage"
        heading = yield from user.scrolls_to(title, sidebar)
        yield from user.clicks(heading)
        yield from user.waits(lambda: len(sight.find(title, sidebar)) > 1, "the button")
        yield 1.0
        yield from user.waits(lambda: not bpy.context.window_manager.vmg.asking, "what devices there are", 60)
        yield from user.clicks(sight.find(title, sidebar)[-1])
        minutes = yield from user.sees("Minutes", seconds=film.LONG)
        yield 1.0
        yield from user.fills(Spot(minutes.x + 150, minutes.y), "2")
        yield from user.clicks("Train")
        yield from user.waits(lambda: user.reads("Near the person (orange):", sidebar), "the curve", film.LONG)
        yield from user.scrolls_to(title, sidebar)
        yield 1.0
        sight.take_picture(picture, sidebar)
    with user.step("pause the training"):
        yield from user.clicks((yield from user.scrolls_to("Pause", sidebar)))
        yield from user.waits(lambda: not bpy.context.window_manager.vmg.running, "its end", film.LONG)
