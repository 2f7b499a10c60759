"""Panel Generate: how long, with what, and the two buttons."""

from __future__ import annotations

from collections.abc import Callable

import bpy

from ..addon import compat, overview
from ..addon.picture import picture
from ..addon.timeline import actions, markers, reading
from .common import SubTab, Tab, hint
from .hardware import draw_model
from .status import draw_status

PICTURE = 7.0
"""Height of the picture of what is becoming, in rows."""


class VMG_PT_generate(Tab):
    """Suggest, then Generate."""

    bl_label = "Generate"

    def show(self, layout: bpy.types.UILayout, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        """Settings, the buttons, what runs."""
        settings = scene.vmg
        layout.prop(settings, "length_mode")
        if settings.length_mode == "SECONDS":
            layout.prop(settings, "seconds")
        elif settings.length_mode == "MUSIC" and not (reading.music(scene) or reading.speech(scene)):
            hint(layout, "No music, nor speech: choose another length")
        layout.prop(settings, "takes_wanted")
        layout.prop(settings, "seed")
        layout.prop(settings, "play_after_suggest")
        row = layout.row()
        row.scale_y = 1.3
        row.operator("vmg.suggest", icon="SHADERFX")
        take = overview.active_take(scene)
        if take is None:
            hint(
                layout,
                "Suggest makes a take with cross fades" if settings.footages else "Choose footage in Setup first",
            )
        else:
            self._show_take(layout, scene, take)
        draw_status(layout, context)
        if (transition := picture().transition) is not None:
            box = layout.box()
            box.label(text=f"Transition {transition + 1}, its middle frame")
            box.template_icon(icon_value=picture().icon, scale=PICTURE)

    def _show_take(self, layout: bpy.types.UILayout, scene: bpy.types.Scene, take: bpy.types.Struct) -> None:
        layout.prop(scene.vmg, "engine")
        draw_model(layout, scene)
        counted = overview.counts(take)
        row = layout.row()
        row.scale_y = 1.3
        left = counted.all - counted.filled
        row.operator("vmg.generate", text=f"Generate ({left})" if left else "Generate", icon="RENDER_ANIMATION")
        if counted.stale:
            text = f"Re-render Stale ({counted.stale})"
            layout.operator("vmg.rerender_stale", text=text, icon=compat.color_icon(3))


_WEIGHTS: dict[str, Callable[[bpy.types.Scene], object]] = {
    "weight_beats": markers.beats,
    "weight_accents": markers.beats,
    "weight_music": reading.music,
    "weight_speech": reading.speech,
    "weight_tags": actions.wanted,
    "weight_text": lambda scene: scene.vmg.text.strip(),
}
"""The weights, each with what must be there so that it matters."""


class VMG_PT_weights(SubTab):
    """What counts how much."""

    bl_label = "Weights"
    bl_parent_id = "VMG_PT_generate"

    def show(self, layout: bpy.types.UILayout, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        """The weights; those grey that weigh nothing now."""
        del context
        counts = {name: bool(wanted(scene)) for name, wanted in _WEIGHTS.items()}
        for name, active in counts.items():
            row = layout.row()
            row.active = active
            row.prop(scene.vmg, name)
        if not all(counts.values()):
            hint(layout, "Grey: nothing here asks for it")


class VMG_PT_search(SubTab):
    """Where it may cut."""

    bl_label = "Cuts"
    bl_parent_id = "VMG_PT_generate"

    def show(self, layout: bpy.types.UILayout, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        """How often, how dear, and what may come again."""
        del context
        for name in ("hold_seconds", "longest_seconds", "cut_price", "reuse_seconds", "loop"):
            layout.prop(scene.vmg, name)


register, unregister = bpy.utils.register_classes_factory((VMG_PT_generate, VMG_PT_weights, VMG_PT_search))
