"""Panel Train on This Footage: the training that runs, those that were stopped, how the last one went."""

from __future__ import annotations

import bpy

from ..addon import hardware, training
from ..vmg_backend.protocol import Learned
from .common import SubTab
from .hardware import ask_soon, draw_missing, draw_train
from .status import wrapped

CURVE = 8.0
"""Height of the curve's picture, in rows."""


class VMG_PT_training(SubTab):
    """Models of one's own."""

    bl_label = "Train on This Footage"
    bl_parent_id = "VMG_PT_generate"

    def show(self, layout: bpy.types.UILayout, context: bpy.types.Context, scene: bpy.types.Scene) -> None:
        """What runs, what can go on, what came of the last one, and the button that begins."""
        del context, scene
        if hardware.ready() is False:
            draw_missing(layout)
            return
        ask_soon()
        ours = training.training()
        if ours.running:
            _draw_running(layout, ours.running.name)
        for run in training.stopped():
            _draw_stopped(layout, run.asked.name, run.done)
        if ours.name:
            _draw_course(layout, ours)
        if not ours.running:
            draw_train(layout)


def _draw_running(layout: bpy.types.UILayout, name: str) -> None:
    """What can be done with it; the status above says how far it is."""
    row = layout.row(align=True)
    row.operator("vmg.train_pause", icon="PAUSE")
    row.operator("vmg.train_drop", text="Cancel", icon="X").name = name


def _draw_stopped(layout: bpy.types.UILayout, name: str, done: float) -> None:
    split = layout.split(factor=0.6, align=True)
    split.label(text=f"{name}: {done:.0%}", icon="PAUSE")
    row = split.row(align=True)
    row.operator("vmg.train_resume", icon="PLAY").name = name
    row.operator("vmg.train_drop", text="", icon="TRASH").name = name


def _draw_course(layout: bpy.types.UILayout, ours: training.Training) -> None:
    """How it ended, and the curve."""
    if not ours.learned and not ours.said:
        return
    box = layout.box()
    row = box.row()
    row.label(text=ours.name, icon="CHECKMARK" if ours.said else "NONE")
    if not ours.running:
        row.operator("vmg.train_dismiss", text="", icon="X", emboss=False)
    column = box.column(align=True)
    for line in wrapped(ours.said):
        column.label(text=line)
    if ours.learned:
        box.template_icon(icon_value=ours.icon.icon, scale=CURVE)
        column = box.column(align=True)
        for line in _measured(ours.learned):
            column.label(text=line)


def _measured(learned: Learned) -> list[str]:
    """The latest figures."""
    lines = [f"{learned.stage}: step {learned.step} of {learned.steps}"]
    if learned.losses:
        lines.append(f"Loss (blue): {learned.losses[-1][2]:.3g}")
    if learned.checks:
        lines.append(f"Near the person (orange): {learned.checks[-1][1]:.1f} dB")
    return lines


register, unregister = bpy.utils.register_classes_factory((VMG_PT_training,))
