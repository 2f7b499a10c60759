"""Panel Takes: what was made, which of it is shown, and why it is as it is."""

from __future__ import annotations

from collections.abc import Callable

import bpy

from ..addon import compat, explanation, overview
from ..addon.timeline import takes
from .common import StripList, Tab, TakeTab, clock, hint, strip_list
from .status import wrapped

LEAST = 0.005
"""Costs below this are not spoken of."""
MOST = 2
"""Of the other cuts, as many are named."""
WORDS = {"tags": "actions"}
"""What the interface calls a condition, where that is another word than the path's."""


class VMG_UL_takes(StripList):
    """The takes among the strips."""

    role = "TAKE"

    def draw_row(self, row: bpy.types.UILayout, scene: bpy.types.Scene, item: bpy.types.Struct) -> None:
        """Active or not, name, transitions filled, visible or not."""
        active = scene.vmg.active_take == item.vmg.uid
        button = row.operator(
            "vmg.take_activate", text="", icon="RADIOBUT_ON" if active else "RADIOBUT_OFF", emboss=False
        )
        button.uid = item.vmg.uid
        row.prop(item, "name", text="", emboss=False)
        counted = overview.counts(item)
        said = [f"{counted.filled}/{counted.all}"]
        said += ["loop"] if overview.is_loop(item) else []
        said += [f"{counted.stale} stale"] if counted.stale else []
        row.label(text=", ".join(said), icon=compat.color_icon(3) if counted.stale else "NONE")
        # Blender itself shows the icon before this one where it is muted
        row.prop(item, "mute", text="", icon="HIDE_OFF", emboss=False)


class VMG_PT_takes(Tab):
    """All takes of the scene."""

    bl_label = "Takes"

    def show(self, layout: bpy.types.UILayout, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        """The list, and what is done with the active one."""
        del context
        if not takes.takes(scene):
            hint(layout, "Suggest makes the first take")
            return
        strip_list(layout, "VMG_UL_takes", scene, "take_index")
        row = layout.row(align=True)
        row.operator("vmg.take_reveal", icon="ZOOM_SELECTED")
        row.operator("vmg.cut_play", icon="PLAY")
        row.operator("vmg.take_remove", text="", icon="TRASH")
        layout.operator("vmg.suggest_part", icon="FILE_REFRESH")
        layout.operator("vmg.takes_clean")


class VMG_PT_why(TakeTab):
    """What the active take costs, by condition."""

    bl_label = "Why"
    bl_parent_id = "VMG_PT_takes"

    def show(self, layout: bpy.types.UILayout, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        """Costs in all and in the second under the playhead, and the next cut."""
        del context
        take = overview.active_take(scene)
        told, frame = explanation.of(take), explanation.frame_of(take, scene.frame_current)
        here = {} if frame is None else told.second(frame)
        _costs(layout, ("Costs", "Take", "This second"))
        for name in dict.fromkeys((*told.costs, *here)):
            _costs(layout, (WORDS.get(name, name).capitalize(), _price(told.costs.get(name)), _price(here.get(name))))
        if not told.seconds:
            hint(layout, "Suggest says more of a new take")
        elif cut := frame is not None and told.next_cut(frame):
            column = layout.column(align=True)
            for line in wrapped(sentence(cut, lambda at: clock(scene, scene.frame_current + at - frame))):
                column.label(text=line)


def sentence(cut: explanation.Cut, when: Callable[[int], str]) -> str:
    """A cut and the best other ones in words; `when` says when a frame of the take is shown."""
    begins = f"Next cut at {when(cut.at)}."
    if cut.other is None:
        return f"{begins} The search found no take without it."
    told = sorted(cut.other.costs.items(), key=lambda item: -abs(item[1]))
    named = ", ".join(f"{WORDS.get(name, name)} {cost:+.2f}" for name, cost in told if abs(cost) >= LEAST)
    places = [f"to {name} frame {source} at {when(at)}" for at, name, source in cut.other.cuts]
    more = f", and {len(places) - MOST} more" if len(places) > MOST else ""
    cuts, costs = ("cuts", "cost") if len(places) > 1 else ("cut", "costs")
    instead = f"The best other {cuts}, {', '.join(places[:MOST])}{more}," if places else "Not cutting"
    return f"{begins} {instead} {costs} {cut.other.dearer:.2f} more" + (f" ({named})." if named else ".")


def _costs(layout: bpy.types.UILayout, words: tuple[str, str, str]) -> None:
    """A row of three columns, names wider than numbers."""
    row = layout.split(factor=0.4)
    row.label(text=words[0])
    numbers = row.split(factor=0.5)
    for word in words[1:]:
        cell = numbers.row()
        cell.alignment = "RIGHT"
        cell.label(text=word)


def _price(cost: float | None) -> str:
    return "" if cost is None else f"{round(cost, 2) + 0.0:.2f}"  # -0.00 is 0.00


register, unregister = bpy.utils.register_classes_factory((VMG_UL_takes, VMG_PT_takes, VMG_PT_why))
