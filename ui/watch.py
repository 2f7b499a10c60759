"""Notices that the timeline changed under the active take, and has its stale transitions marked anew.

Moving a marker tells no handler of Blender's, but draws the Sequencer anew. So the drawing compares a few numbers;
where they differ it asks for the marks, which a timer writes a moment later: what draws must not write.
"""

from __future__ import annotations

import bpy

from ..addon import compat, overview
from ..addon.session import SceneRef
from ..addon.timeline import stale
from ..vmg_backend.errors import UserError

PAUSE = 0.15
"""Seconds between a change and its marks: a strip that is being dragged changes with each drawing."""


class _Watch:
    """What was last marked, and the handle by which Blender calls us."""

    def __init__(self) -> None:
        self._seen: dict[SceneRef, int] = {}
        self._timer = self._mark  # one object, by which Blender knows the timer
        self._handle = bpy.types.SpaceSequenceEditor.draw_handler_add(self._look, (), "WINDOW", "POST_VIEW")

    def close(self) -> None:
        bpy.types.SpaceSequenceEditor.draw_handler_remove(self._handle, "WINDOW")
        if bpy.app.timers.is_registered(self._timer):
            bpy.app.timers.unregister(self._timer)

    def _look(self) -> None:
        context = bpy.context
        scene = compat.sequencer_scene(context)
        if scene is None or context.screen.is_animation_playing or bpy.app.timers.is_registered(self._timer):
            return
        if self._seen.get(SceneRef.of(scene)) != overview.fingerprint(scene):
            bpy.app.timers.register(self._timer, first_interval=PAUSE, persistent=True)

    def _mark(self) -> None:
        for window in bpy.context.window_manager.windows:
            if any("TRANSFORM_OT" in operator.bl_idname for operator in window.modal_operators):
                return  # the next drawing asks again
        for scene in bpy.data.scenes:
            now = overview.fingerprint(scene)
            if self._seen.get(SceneRef.of(scene)) == now:
                continue
            self._seen[SceneRef.of(scene)] = now
            mark(scene)
        compat.redraw("SEQUENCE_EDITOR")


def mark(scene: bpy.types.Scene) -> None:
    """Mark the stale transitions of the active take; one that cannot be read keeps its marks, Generate says why."""
    take = overview.active_take(scene)
    if take is None:
        return
    try:
        stale.mark(scene, take)
    except UserError:
        return


_watches: list[_Watch] = []


def register() -> None:
    """Begin to watch; without windows nothing is drawn."""
    if not bpy.app.background:
        _watches.append(_Watch())


def unregister() -> None:
    """Stop."""
    while _watches:
        _watches.pop().close()
