"""The muted channels by whose strips the person says something: what lies there is not seen in the film.

A channel is known by its name, so that it may be moved; whatever strip of the right kind lies there counts, whoever
made it.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable

import bpy

from ...vmg_backend.errors import UserError
from .. import compat

KEYS = "VMG Keys"
ACTIONS = "VMG Actions"
LABELS = "VMG Labels"
ALL = (KEYS, ACTIONS, LABELS)


def numbers(scene: bpy.types.Scene, names: Collection[str] = ALL) -> dict[str, int]:
    """The numbers of the channels of these names that there are."""
    if scene.sequence_editor is None:
        return {}
    channels = scene.sequence_editor.channels
    found = ((channels[number].name, number) for number in range(len(channels) - 1, 0, -1))
    return {name: number for name, number in found if name in names}


def made(scene: bpy.types.Scene, name: str) -> int:
    """The number of the channel `name`; made, muted, on the lowest empty one where there is none yet.

    Raises
    ------
    UserError
        When no channel is empty.
    """
    editor = scene.sequence_editor or scene.sequence_editor_create()
    there = numbers(scene, (name,))
    if there:
        return there[name]
    free = empty(editor)
    editor.channels[free].name = name
    editor.channels[free].mute = True
    return free


def empty(editor: bpy.types.SequenceEditor, *reserved: int) -> int:
    """The lowest channel without strips that is none of `reserved`.

    Raises
    ------
    UserError
        When there is none.
    """
    taken = {strip.channel for strip in compat.strips(editor)}.union(reserved)
    free = next((number for number in range(1, len(editor.channels)) if number not in taken), None)
    if free is None:
        raise UserError("No channel of the sequencer is empty.", "Empty one, by moving its strips to another.")
    return free


def strips_on(scene: bpy.types.Scene, name: str) -> list[bpy.types.Struct]:
    """All strips on the channel `name`, in the order of their time."""
    there = numbers(scene, (name,))
    if not there:
        return []
    return by_time(strip for strip in compat.strips(scene.sequence_editor) if strip.channel == there[name])


def adopt(scene: bpy.types.Scene, name: str, kind: str, role: str) -> None:
    """Give each strip of this kind on the channel `name` the role and an id of its own; all others lose the role."""
    if scene.sequence_editor is None:
        return
    there = {strip for strip in strips_on(scene, name) if strip.type == kind}
    for strip in compat.all_strips(scene.sequence_editor):
        if strip.vmg.role == role and strip not in there:
            strip.vmg.role = "NONE"
    seen = set()
    for strip in sorted(there, key=lambda strip: strip.vmg.role != role):
        if strip.vmg.role != role or not strip.vmg.uid or strip.vmg.uid in seen:
            strip.vmg.uid = uuid.uuid4().hex[:8]
        if strip.vmg.role != role:
            strip.vmg.role = role
        seen.add(strip.vmg.uid)


def by_time(strips: Iterable[bpy.types.Struct]) -> list[bpy.types.Struct]:
    """Strips in the order in which they begin, lower channels first."""
    return sorted(strips, key=lambda strip: (compat.start(strip), strip.channel))
