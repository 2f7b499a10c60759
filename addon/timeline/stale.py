"""Which transitions of a take no longer fit, as it lies in the timeline now.

A transition is stale when

- its frames were generated for another junction than the one that is there now: other source frames right before or
  after it, another length, or another place (pinned frames only need place and length);
- the files of its frames are gone;
- it leads to a keyframe whose edited picture was chosen, left out or saved again since;
- the segment on one side of it is to change, because a condition of the take did since it was made: a keyframe was
  added, moved, slipped, resized or given another mode and the take does not meet it, a beat was added, moved or
  removed, or another action is wanted. A segment is under all that happens between the cuts on either side of it.

So a moved keyframe makes exactly the two transitions beside its segment stale. A removed one asks for nothing, and
onsets have no weight in the search. A transition that was never filled is stale only by its conditions.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import bpy

from ...vmg_backend.protocol import BeatAt, KeyAt, TagAt, Wish
from .. import compat
from . import actions, building, reading, takes
from .plan import Fill, PathDict

_COLORS = {"none": "NONE", "fit": building.FILLED, "old": building.STALE, "gone": building.FAILED}


@dataclass(frozen=True)
class State:
    """What is the matter with a transition.

    Attributes
    ----------
    transition : dict
        As `read_take` has it.
    frames : str
        "none": only the cross fade; "fit"; "old": made for another junction; "gone": the files are.
    overdue : bool
        A condition beside it changed.
    fill : Fill or None
        The generated frames that lie there.
    """

    transition: dict[str, Any]
    frames: str
    overdue: bool
    fill: Fill | None

    @property
    def stale(self) -> bool:
        """Whether it should be made anew."""
        return self.frames in ("old", "gone") or (self.overdue and not self.transition["pinned"])

    @property
    def color(self) -> str:
        """The colour tag of its strip."""
        return building.STALE if self.stale and self.frames != "gone" else _COLORS[self.frames]


def states(take: Any, overdue_ids: Iterable[int] = ()) -> list[State]:  # noqa: ANN401 - bpy has no types
    """The state of each transition of a take; changes nothing, so it may be called while drawing.

    Raises
    ------
    UserError
        When the take shows something that no path can say.
    """
    found, path = takes.look(take)
    ids = set(overdue_ids)
    return [_state(transition, found.fills, transition["id"] in ids) for transition in path["transitions"]]


def stale_transitions(scene: bpy.types.Scene, take: Any) -> tuple[int, ...]:  # noqa: ANN401
    """The ids of the stale transitions of a take; reads markers, keyframes and actions: not while drawing.

    Raises
    ------
    UserError
        When the take, a keyframe or an action cannot be read.
    """
    return tuple(state.transition["id"] for state in states_now(scene, take) if state.stale)


def mark(scene: bpy.types.Scene, take: Any) -> int:  # noqa: ANN401
    """Write numbers, colours and the property `stale` on the strips of all transitions; gives how many are stale.

    What is written already is not touched. Raises `UserError` as `stale_transitions` does.
    """
    found = states_now(scene, take)
    start, inside = compat.start(take), building.inner(take)
    crosses = [strip for strip in inside.values() if strip.vmg.role == "CROSS"]
    placed = set()
    for state in found:
        transition = state.transition
        middle = start + transition["at"] + transition["frames"] // 2
        for cross in crosses:
            if compat.start(cross) <= middle < compat.end(cross):
                _write(cross, transition["id"], state.stale, building.STALE if state.stale else "NONE")
        if state.fill:
            _write(inside[state.fill.uid], transition["id"], state.stale, state.color)
            placed.add(state.fill.uid)
    for strip in inside.values():
        if strip.vmg.role == "TRANSITION" and strip.vmg.uid not in placed:  # there is no transition any more
            _write(strip, -1, True, building.STALE)
    return sum(state.stale for state in found)


def overdue(
    path: PathDict, made_for: Wish, beats: Sequence[BeatAt], keys: Sequence[KeyAt], tags: Sequence[TagAt]
) -> set[int]:
    """The ids of the transitions beside segments under which conditions changed.

    Parameters
    ----------
    path : dict
        The take as it is now.
    made_for : Wish
        The conditions that it was made for.
    beats, keys, tags
        The conditions as they are now, from the take's start.
    """
    rate = Fraction(path["fps"])
    frames = _beat_frames(made_for.beats, rate) ^ _beat_frames(beats, rate)
    frames |= {frame for frame, _ in _wanted(made_for.tags) ^ _wanted(tags)}
    cuts = [transition["at"] + transition["frames"] // 2 for transition in path["transitions"]]
    changed = {_segment(cuts, frame) for frame in frames}
    before = {key.uid: key for key in made_for.keys}
    repainted: set[int] = set()
    for key in keys:
        old = before.get(key.uid)
        if key == old:
            continue
        if key.mode != "hard":
            changed.update(_segment(cuts, frame) for frame in _unmet(path, key))
            continue
        if _shows(path, key):
            if _picture(key) == _picture(old):
                continue
            led = {one["id"] for one in path["transitions"] if one["at"] + one["frames"] == key.at}
            if led or not key.image:  # the cut is in its place: only the picture that its transition leads to differs
                repainted |= led
                continue
        here = _segment(cuts, key.at + key.frames // 2)
        if old is not None and old.mode == "hard":  # it takes its segment along, unless it went far away
            home = _segment(cuts, old.at + old.frames // 2)
            touched = range(_segment(cuts, key.at), _segment(cuts, key.at + key.frames - 1) + 1)
            here = home if home in touched else here
        changed.add(here)
    beside = {index for one in changed for index in (one - 1, one) if 0 <= index < len(cuts)}
    return repainted | {path["transitions"][index]["id"] for index in beside}


def states_now(scene: bpy.types.Scene, take: Any) -> list[State]:  # noqa: ANN401
    """As `states`, with the conditions as they are now; reads markers, keyframes and actions: not while drawing."""
    reading.check_rates(scene)  # else no beat lies where it lay
    found, path = takes.look(take)
    taken = reading.TakeRange(found.start, found.frames)
    tags = actions.tags(scene, taken)
    ids = overdue(path, takes.wish_of(take), reading.beats(scene, taken), reading.keys(scene, taken), tags)
    return [_state(transition, found.fills, transition["id"] in ids) for transition in path["transitions"]]


def _state(transition: dict[str, Any], fills: Sequence[Fill], is_overdue: bool) -> State:
    near = [fill for fill in fills if fill.overlap(transition)]
    if not near:
        return State(transition, "none", is_overdue, None)
    best = max(near, key=lambda fill: (fill.fits(transition), fill.overlap(transition)))
    frames = "old" if not best.fits(transition) else "fit" if best.present else "gone"
    return State(transition, frames, is_overdue, best)


def _segment(cuts: Sequence[int], frame: int) -> int:
    return sum(cut <= frame for cut in cuts)


def _beat_frames(beats: Iterable[BeatAt], rate: Fraction) -> set[int]:
    return {round(beat.time * rate) for beat in beats if beat.kind != "onset"}


def _wanted(tags: Iterable[TagAt]) -> set[tuple[int, str]]:
    return {(frame, tag.tag.casefold()) for tag in tags for frame in range(tag.at, tag.at + tag.frames)}


def _unmet(path: PathDict, key: KeyAt) -> Iterator[int]:
    """Frames of the take at which it may not be as a keyframe that is not hard wants it, as far as can be told here."""
    span = range(key.at, key.at + key.frames)
    if key.mode in ("soft", "pose"):
        yield from () if _shows(path, key) else span
        return
    lead_in = {one["at"] + one["frames"]: one["frames"] for one in path["transitions"]}
    lead_out = {one["at"]: one["frames"] for one in path["transitions"]}
    for segment in path["segments"]:
        at, end = segment["at"], segment["at"] + segment["last"] - segment["first"] + 1
        before, after = lead_in.get(at, 0), lead_out.get(end, 0)  # frames that are seen of it while it is blended
        same = _same_file(path["footages"][segment["footage"]]["path"], key.path)
        if key.mode == "footage":
            unmet = not same and key.at < end + after and at - before < key.at + key.frames
        else:
            unmet = same and segment["first"] - before < key.frame + key.frames and key.frame <= segment["last"] + after
        if unmet:
            yield at


def _picture(key: KeyAt | None) -> tuple[str, str]:
    """What tells whether a keyframe's edited picture is another one."""
    return (key.image, key.image_stamp) if key else ("", "")


def _shows(path: PathDict, key: KeyAt) -> bool:
    """Whether the take shows the keyframe untouched, where it is now."""
    return any(
        segment["at"] <= key.at
        and key.at + key.frames <= segment["at"] + segment["last"] - segment["first"] + 1
        and key.frame - key.at == segment["first"] - segment["at"]
        and _same_file(path["footages"][segment["footage"]]["path"], key.path)
        for segment in path["segments"]
    )


def _same_file(one: str, other: str) -> bool:
    return os.path.normcase(os.path.normpath(one)) == os.path.normcase(os.path.normpath(other))


def _write(strip: Any, number: int, is_stale: bool, color: str) -> None:  # noqa: ANN401
    """Each value only where it differs: a change makes Blender draw and evaluate anew."""
    if strip.vmg.transition != number:
        strip.vmg.transition = number
    if strip.vmg.stale != is_stale:
        strip.vmg.stale = is_stale
    if strip.color_tag != color:
        strip.color_tag = color
