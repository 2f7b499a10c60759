"""The running job, what went wrong, and the result that waits: the same in the panels and in the header."""

from __future__ import annotations

import bpy

from ..addon import jobs, training


def draw_status(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Progress, failure and waiting result, where there are any."""
    shown = context.window_manager.vmg
    if shown.running:
        _draw_progress(layout, shown)
    if shown.failure_title:
        _draw_failure(layout, shown)
    for waiting in jobs.workflow().waiting[:1]:
        row = layout.row()
        row.label(text=f"Result ready: {waiting.title}", icon="CHECKMARK")
        row.operator("vmg.insert_waiting")
        row.operator("vmg.waiting_dismiss", text="", icon="X", emboss=False)


def time_left(seconds: float) -> str:
    """An estimate as a person would say it; empty where there is none."""
    if seconds < 0:
        return ""
    if seconds < 90:
        return f"{max(1, round(seconds))} s left"
    return f"{round(seconds / 60)} min left"


def _draw_progress(layout: bpy.types.UILayout, shown: bpy.types.PropertyGroup) -> None:
    column = layout.column(align=True)
    said = ", ".join(filter(None, (shown.stage, time_left(shown.seconds_left))))
    column.label(text=shown.title, icon="SORTTIME")
    row = column.row(align=True)
    row.progress(text=said, factor=min(max(shown.fraction, 0.0), 1.0))
    _draw_stop(row)


def _draw_stop(row: bpy.types.UILayout) -> None:
    """The button that stops what runs: a training is only paused by it."""
    if training.training().running:
        row.operator("vmg.train_pause", text="", icon="PAUSE")
    else:
        row.operator("vmg.job_cancel", text="", icon="X")


def _draw_failure(layout: bpy.types.UILayout, shown: bpy.types.PropertyGroup) -> None:
    box = layout.box()
    row = box.row()
    row.alert = True
    row.label(text=shown.failure_title, icon="ERROR")
    row.operator("vmg.failure_dismiss", text="", icon="X", emboss=False)
    column = box.column(align=True)
    for sentence in (shown.failure_message, shown.failure_remedy):
        for line in wrapped(sentence):
            column.label(text=line)
    row = box.row()
    if shown.failure_action:
        row.operator(shown.failure_action)
    if shown.failure_log:
        row.operator("vmg.show_log", icon="TEXT")


def wrapped(text: str, width: int = 44) -> list[str]:
    """`text` in lines of about `width` characters; a label is cut off at the panel's edge otherwise."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return [line for line in lines if line]


def _header(self: bpy.types.Header, context: bpy.types.Context) -> None:
    """A small badge while a job runs."""
    shown = context.window_manager.vmg
    if shown.running:
        row = self.layout.row(align=True)
        row.ui_units_x = 8
        row.progress(text=shown.title, factor=min(max(shown.fraction, 0.0), 1.0))
        _draw_stop(row)


def register() -> None:
    """Add the badge."""
    bpy.types.SEQUENCER_HT_header.append(_header)


def unregister() -> None:
    """Take it away."""
    bpy.types.SEQUENCER_HT_header.remove(_header)
