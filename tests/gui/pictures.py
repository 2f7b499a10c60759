"""The guide's pictures, taken on the way of the film: the panels, the timeline with beats, the take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import beginning, film, sight
from .user import User, Waiting


def story(user: User, order: dict[str, Any]) -> Waiting[None]:
    """The film's steps up to Generate, with a picture where the guide has one."""
    images = Path(order["out"]) / "images"
    yield from beginning.first_start(user)
    yield from beginning.installation(user, order)
    yield from beginning.environment(user, order)
    yield from film.strips(user, order)
    sidebar = yield from user.opens_tab("Motion Graph")
    editor = user.region("SEQUENCE_EDITOR", view_type="SEQUENCER")
    yield from film.material(user, sidebar)
    sight.take_picture(images / "blender_setup.png", sidebar)
    yield from film.skeleton(user, sidebar, images / "blender_skeleton.png")
    yield from film.save(user, Path(order["work"]) / "film.blend")
    yield from film.beats(user, sidebar)
    sight.take_picture(images / "blender_beats.png", editor)
    yield from film.keyframe(user, sidebar)
    sight.take_picture(images / "blender_keyframe.png", editor)
    yield from film.takes(user, sidebar)
    sight.take_picture(images / "blender_workspace.png")
    yield from film.move_keyframe(user, 24)  # less would snap back to the beat
    yield 2.0
    sight.take_picture(images / "blender_stale.png", editor)
