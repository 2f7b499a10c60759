"""Actions as text strips: what is wanted when ("VMG Actions"), and what the footage shows ("VMG Labels").

A label says what the footage strips show that lie under it in time, so it stays true when the footage is analysed
anew, and is lost with it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import bpy

from ...vmg_backend.errors import UserError
from ...vmg_backend.protocol import LabelAt, TagAt
from .. import compat
from ..session import SceneRef
from . import channels, reading

SECONDS = 2.0
"""Length of a new action."""
_COLORS = {channels.ACTIONS: "COLOR_06", channels.LABELS: "COLOR_07"}
_ROLES = {channels.ACTIONS: "ACTION", channels.LABELS: "LABEL"}

_Span = tuple[int, int]
"""Timeline frames, half open."""


# What the person makes


def add_action(scene: bpy.types.Scene, frame: int, tag: str) -> bpy.types.Struct:
    """Want the action `tag` from the timeline frame `frame` on, for `SECONDS` or up to the next one.

    Raises
    ------
    UserError
        When an action is wanted there already, or no channel is empty.
    """
    frames = max(1, math.floor(SECONDS * float(compat.scene_rate(scene)) + 0.5))
    there = channels.strips_on(scene, channels.ACTIONS)
    if any(compat.start(strip) <= frame < compat.end(strip) for strip in there):
        raise UserError("An action is wanted here already.", "Move the playhead, or change the text of that strip.")
    end = min([frame + frames, *(compat.start(strip) for strip in there if compat.start(strip) > frame)])
    return _write(scene, channels.ACTIONS, [((frame, end), tag)])[0]


def label_footage(scene: bpy.types.Scene, strips: Iterable[bpy.types.Struct], tag: str) -> list[bpy.types.Struct]:
    """Say that these footage strips show the action `tag`, wherever nothing is said of them yet.

    Raises
    ------
    UserError
        When one is no footage, another one lies at the same time, or all is labelled.
    """
    chosen = list(strips)
    for strip in chosen:
        if strip.vmg.role != "FOOTAGE":
            raise UserError(f"“{strip.name}” is not used as footage.", "Select footage strips.")
    for strip in chosen:
        _check_alone(strip, [other for other in _footage(scene) if other not in chosen])
    made = _write(scene, channels.LABELS, [((compat.start(strip), compat.end(strip)), tag) for strip in chosen])
    if not made:
        raise UserError("This footage is labelled already.", "Change the text of the label strips, or remove them.")
    return made


def write_labels(scene: bpy.types.Scene, labels: Iterable[LabelAt]) -> Iterator[None]:
    """Write labels that were found, in place of those found before; what the person wrote or changed stays.

    Each lies over all footage strips that show its frames. A step writes one of them.

    Raises
    ------
    UserError
        When footage strips lie at the same time, so that a label could not be said of one of them.
    """
    check_apart(scene)
    wanted: dict[str, list[LabelAt]] = {}
    for label in labels:
        wanted.setdefault(label.path, []).append(label)
    old = [strip for strip in channels.strips_on(scene, channels.LABELS) if _is_found(strip)]
    with compat.quiet(scene.sequence_editor):
        for strip in old:
            compat.strips(scene.sequence_editor).remove(strip)
    texts = [
        (_when_shown(strip, label), label.tag)
        for strip in _footage(scene)
        for label in wanted.get(str(reading.file_of(strip)), ())
    ]
    target = SceneRef.of(scene)
    for text in texts:
        yield
        if (there := target.find()) is None:
            return
        for strip in _write(there, channels.LABELS, [text]):
            strip.vmg.found = strip.text


def rename(scene: bpy.types.Scene, old: str, new: str) -> int:
    """Let each label that says `old` say `new`; gives how many."""
    found = [strip for strip in channels.strips_on(scene, channels.LABELS) if strip.type == "TEXT"]
    chosen = [strip for strip in found if _words(strip).casefold() == " ".join(old.split()).casefold()]
    for strip in chosen:
        strip.text, strip.name = new, new[:60]
    return len(chosen)


def remove(scene: bpy.types.Scene, strip: bpy.types.Struct) -> None:
    """Remove the strip of an action or a label."""
    with compat.quiet(scene.sequence_editor):
        compat.strips(scene.sequence_editor).remove(strip)


def check_apart(scene: bpy.types.Scene) -> None:
    """Make sure that what lies at a time of the timeline is one footage strip; raises as `write_labels`."""
    for strip, other in pairwise(_footage(scene)):
        _check_alone(strip, [other])


# What is said


def wanted(scene: bpy.types.Scene) -> list[bpy.types.Struct]:
    """The strips of actions that are wanted, in the order of their time."""
    return _said(scene, channels.ACTIONS)


def known_tags(scene: bpy.types.Scene) -> tuple[str, ...]:
    """The actions that the footage is known to show: by labels, and by the names of files that have none."""
    labels = _said(scene, channels.LABELS)
    strips = _footage(scene)
    labelled = {reading.file_of(strip) for strip in strips if any(_meet(strip, label) for label in labels)}
    used = {reading.file_of(strip) for strip in strips} - labelled
    by_name = [row.tag for row in scene.vmg.footages if reading.absolute(row.path) in used]
    found = {tag.casefold(): tag for tag in (*map(_words, labels), *by_name) if tag}
    return tuple(found[key] for key in sorted(found))


def adopt(scene: bpy.types.Scene) -> None:
    """Let each text strip on the two channels have its role and an id of its own; all others have none."""
    for name, role in _ROLES.items():
        channels.adopt(scene, name, "TEXT", role)


def tags(scene: bpy.types.Scene, taken: reading.TakeRange) -> tuple[TagAt, ...]:
    """The actions that are wanted during the take; of one that reaches beyond it, the part inside.

    Raises
    ------
    UserError
        When one has no words.
    """
    adopt(scene)
    found = []
    for strip in wanted(scene):
        first, end = max(compat.start(strip), taken.start), min(compat.end(strip), taken.end)
        if first < end:
            found.append(TagAt(first - taken.start, end - first, _tag(strip)))
    return tuple(found)


def labels(scene: bpy.types.Scene) -> tuple[LabelAt, ...]:
    """What the labels say of the footage's frames.

    What one label says of successive frames is one performance, also where the footage strip was cut in between; what
    two say is two, but for frames that both speak of.

    Raises
    ------
    UserError
        When one has no words.
    """
    adopt(scene)
    strips = _footage(scene)
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for label in _said(scene, channels.LABELS):
        tag = _tag(label)
        shown: dict[str, list[tuple[int, int]]] = {}
        for strip in (strip for strip in strips if _meet(strip, label)):
            compat.measure(strip)
            first = max(compat.start(strip), compat.start(label))
            end = min(compat.end(strip), compat.end(label))
            shown.setdefault(str(reading.file_of(strip)), []).append(reading.shown_between(strip, first, end))
        for path, ranges in shown.items():
            found.setdefault((path, tag), []).extend(reading.merged(ranges))
    spans = {key: reading.merged(ranges, touching=False) for key, ranges in found.items()}
    return tuple(sorted((LabelAt(path, *one, tag) for (path, tag), ones in spans.items() for one in ones), key=_order))


def _footage(scene: bpy.types.Scene) -> list[bpy.types.Struct]:
    """The footage strips that count, in the order of their time."""
    return [strip for strip in reading.footage(scene) if not strip.mute]


def _order(label: LabelAt) -> tuple[str, int, int, str]:
    return label.path, label.first, label.last, label.tag


def _said(scene: bpy.types.Scene, name: str) -> list[bpy.types.Struct]:
    return [strip for strip in channels.strips_on(scene, name) if strip.type == "TEXT" and not strip.mute]


def _words(strip: bpy.types.Struct) -> str:
    return " ".join(strip.text.split())


def _tag(strip: bpy.types.Struct) -> str:
    tag = _words(strip)
    if not tag:
        raise UserError(
            f"The text strip “{strip.name}” names no action.", "Type one as its text, or mute or remove the strip."
        )
    return tag


def _is_found(strip: bpy.types.Struct) -> bool:
    """Whether a label was found, and is still called what it was then."""
    return bool(strip.vmg.found) and strip.type == "TEXT" and _words(strip) == strip.vmg.found


def _meet(one: bpy.types.Struct, other: bpy.types.Struct) -> bool:
    return compat.start(one) < compat.end(other) and compat.start(other) < compat.end(one)


def _check_alone(strip: bpy.types.Struct, others: Sequence[bpy.types.Struct]) -> None:
    same = next((other for other in others if _meet(strip, other)), None)
    if same is not None:
        raise UserError(
            f"“{strip.name}” and “{same.name}” lie at the same time: a label there would speak of both.",
            "Move one of them along the timeline.",
            title="Footage at the same time",
        )


def _when_shown(strip: bpy.types.Struct, label: LabelAt) -> _Span:
    """When a footage strip shows the frames of a label; empty where it does not."""
    compat.measure(strip)
    frames = range(compat.start(strip), compat.end(strip))
    forward = compat.source_frame(strip, frames[0]) <= compat.source_frame(strip, frames[-1])
    sign = 1 if forward else -1
    least, most = sorted((sign * label.first, sign * label.last))

    def shown(frame: int) -> int:
        return sign * compat.source_frame(strip, frame)

    first = frames.start + bisect_left(frames, least, key=shown)
    return first, frames.start + bisect_right(frames, most, key=shown)


def _gaps(span: _Span, taken: Iterable[_Span]) -> Iterator[_Span]:
    """The parts of a span of the timeline outside of others, which are in the order of time."""
    begin, end = span
    for first, after in taken:
        if first >= end:
            break
        if begin < first:
            yield begin, first
        begin = max(begin, after)
    if begin < end:
        yield begin, end


def _write(scene: bpy.types.Scene, name: str, texts: Sequence[tuple[_Span, str]]) -> list[bpy.types.Struct]:
    """Put text strips on the channel `name`, over those parts of their spans in which nothing lies there yet."""
    number, editor = channels.made(scene, name), scene.sequence_editor
    taken = [(compat.start(strip), compat.end(strip)) for strip in channels.strips_on(scene, name)]
    made = []
    with compat.quiet(editor):
        for wanted_span, tag in texts:
            for span in list(_gaps(wanted_span, taken)):
                insort(taken, span)
                strip = compat.new_text(editor, tag[:60], tag, number, *span)
                strip.color_tag = _COLORS[name]
                strip.select = False  # Blender selects new ones: G would move all of them
                made.append(strip)
    adopt(scene)
    return made
