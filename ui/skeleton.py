"""The skeleton over the preview, and its switch: `WindowManager.vmg_skeleton`, neither saved nor undone.

While the switch is off nothing is registered and nothing is kept. While it is on, the drawing looks up the pose of what
is shown; a timer reads the files of what it has not met before.
"""

from __future__ import annotations

import bpy
import numpy as np
from numpy.typing import NDArray

from ..addon import compat, paths
from ..addon.poses import Track, read_track
from ..addon.timeline.sight import Sight, Source, seen, sources
from . import shapes

WIDTH = 1 / 200
"""A bone's width as a part of the footage's height."""
PAUSE = 1.0
"""Seconds until files that were not there are looked for again."""


class Overlay:
    """Draws the skeleton until it is closed."""

    def __init__(self) -> None:
        self._tracks: dict[Source, Track | None] = {}
        self._timer = self._load  # one object, by which Blender knows the timer
        self._handle = bpy.types.SpaceSequenceEditor.draw_handler_add(self._draw, (), "PREVIEW", "POST_PIXEL")
        _redraw()

    def close(self) -> None:
        """Stop drawing, and forget everything."""
        bpy.types.SpaceSequenceEditor.draw_handler_remove(self._handle, "PREVIEW")
        if bpy.app.timers.is_registered(self._timer):
            bpy.app.timers.unregister(self._timer)
        _redraw()

    def found(self, scene: bpy.types.Scene, display_channel: int) -> tuple[Sight, Track] | None:
        """What is to be drawn now; asks for the file where it was not read yet."""
        sight = seen(scene, display_channel)
        if sight is None:
            return None
        track = self._tracks.get(sight.source)
        if track is None:
            if not bpy.app.timers.is_registered(self._timer):
                pause = PAUSE if sight.source in self._tracks else 0.0
                bpy.app.timers.register(self._timer, first_interval=pause, persistent=True)
            return None
        return (sight, track) if 0 <= sight.frame < len(track.joints) else None

    def _draw(self) -> None:
        context = bpy.context
        scene, space = compat.sequencer_scene(context), context.space_data
        if scene is None or not space.show_overlays or space.display_mode != "IMAGE":
            return
        if found := self.found(scene, space.display_channel):
            to_screen = on_screen(context.region, scene.render)
            _draw(mesh(*found, to_screen))

    def _load(self) -> None:
        """Read all that the scenes can show, so that nothing has to be waited for while playing."""
        wanted = {source for scene in bpy.data.scenes for source in sources(scene)}
        before, library = self._tracks, paths.library_place()
        self._tracks = {source: before.get(source) or read_track(source, library) for source in wanted}
        if any(track and not before.get(source) for source, track in self._tracks.items()):
            _redraw()


def on_screen(region: bpy.types.Region, render: bpy.types.RenderSettings) -> NDArray[np.float64]:
    """From px of the scene's picture (y up) to px of the preview's region [3, 3]."""
    view = region.view2d
    left, bottom = view.region_to_view(0, 0)
    right, top = view.region_to_view(region.width, region.height)
    zoom = np.array([region.width / (right - left), region.height / (top - bottom)])
    scale = zoom * (render.pixel_aspect_x / render.pixel_aspect_y, 1.0)  # the preview stretches the width alone
    middle = np.array([render.resolution_x, render.resolution_y]) / 2
    matrix = np.diag([*scale, 1.0])
    matrix[:2, 2] = -scale * middle - zoom * (left, bottom)
    return matrix


def mesh(sight: Sight, track: Track, to_screen: NDArray[np.float64]) -> shapes.Mesh:
    """The skeleton of what is seen, in px of the region."""
    joints, place = track.joints[sight.frame], sight.place
    confidence = track.confidence[sight.frame] * place.uncut(joints)
    points = place.points(joints) @ to_screen[:2, :2].T + to_screen[:2, 2]
    width = WIDTH * place.size[1] * place.scale * float(to_screen[1, 1])
    return shapes.skeleton(points, confidence, track.bones, track.sides, width)


def _draw(drawn: shapes.Mesh) -> None:
    import gpu  # type: ignore[import-not-found]  # Blender's own, of no use without a window
    from gpu_extras.batch import batch_for_shader  # type: ignore[import-not-found]

    shader = gpu.shader.from_builtin("SMOOTH_COLOR")
    flat = np.column_stack([drawn.points, np.zeros(len(drawn.points), np.float32)])
    batch = batch_for_shader(shader, "TRIS", {"pos": flat, "color": drawn.colors}, indices=drawn.triangles)
    gpu.state.blend_set("ALPHA")
    batch.draw(shader)
    gpu.state.blend_set("NONE")


def _redraw() -> None:
    windows = [window for manager in bpy.data.window_managers for window in manager.windows]
    for area in (area for window in windows for area in window.screen.areas):
        if area.type == "SEQUENCE_EDITOR":
            area.tag_redraw()


_overlays: list[Overlay] = []


def _is_on(_manager: bpy.types.WindowManager) -> bool:
    return bool(_overlays)


def _switch(_manager: bpy.types.WindowManager, on: bool) -> None:
    if on and not _overlays:
        _overlays.append(Overlay())
    while _overlays and not on:
        _overlays.pop().close()


def _popover(self: bpy.types.Panel, context: bpy.types.Context) -> None:
    """In the preview's own list of overlays."""
    self.layout.prop(context.window_manager, "vmg_skeleton")


def register() -> None:
    """Add the switch, which is off."""
    bpy.types.WindowManager.vmg_skeleton = bpy.props.BoolProperty(
        name="Skeleton",
        description="Draw the joints that were found in the footage, or made for a transition, over the preview",
        get=_is_on,
        set=_switch,
        options={"SKIP_SAVE"},
    )
    bpy.types.SEQUENCER_PT_preview_overlay.append(_popover)


def unregister() -> None:
    """Switch it off and take it away."""
    bpy.types.SEQUENCER_PT_preview_overlay.remove(_popover)
    _switch(bpy.context.window_manager, False)
    del bpy.types.WindowManager.vmg_skeleton
