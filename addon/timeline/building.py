"""Strips of a take: read as they lie, and brought to where a plan wants them, in steps of a few milliseconds.

One mechanism makes takes and changes them: `arrange` compares what is there with what is wanted. Opening a movie costs
tens of milliseconds, a copy of an open one less than one; so a footage is opened once at most and copied by doubling.

Undo, deleting and editing may happen between two steps: each finds its strips again by uid, or ends with `TakeLost`.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bpy

from ...vmg_backend.errors import UserError
from .. import compat, paths
from ..session import SceneRef
from . import reading
from .plan import Fill, PathDict, Piece, TakePlan, take_plan

Strip = Any  # bpy has no types

CROSS_CHANNEL, FILL_CHANNEL, PARKING = 3, 4, 12
"""Channels inside a take; on PARKING and above lie strips that have no place yet."""
FILLED, STALE, FAILED = "COLOR_05", "COLOR_03", "COLOR_01"
_LAST_CHANNEL = 128
_BELOW = ("FOOTAGE", "MUSIC", "SPEECH", "KEY", "ACTION", "LABEL")
_REMOVED_AT_ONCE = 8
_MADE_AT_ONCE = 32
"""Copies lie on top of each other until they are laid; where all channels are taken Blender moves strips in time."""
_LOOK = (
    ("transform", ("offset_x", "offset_y", "scale_x", "scale_y", "rotation", "origin")),
    ("crop", ("min_x", "max_x", "min_y", "max_y")),
)
_PLAIN_LOOK = ("use_flip_x", "use_flip_y", "color_saturation", "color_multiply")

Steps = Generator[None, None, None]


class TakeLost(Exception):  # noqa: N818 - nobody's fault: the person undid or removed it
    """The take, or a strip of it, is gone since the last step."""


@dataclass(frozen=True)
class Place:
    """A take that is found again in every step."""

    scene: SceneRef
    uid: str

    @classmethod
    def of(cls, scene: bpy.types.Scene, uid: str) -> Place:
        """Where the take `uid` of `scene` is."""
        return cls(SceneRef.of(scene), uid)

    def find(self) -> tuple[bpy.types.Scene, Strip]:
        """The scene and the take's meta strip; raises `TakeLost`."""
        scene = self.scene.find()
        meta = find(scene, self.uid) if scene else None
        if meta is None:
            raise TakeLost(self.uid)
        return scene, meta

    @contextlib.contextmanager
    def open(self) -> Iterator[tuple[bpy.types.Scene, Strip]]:
        """The same, for changing it."""
        scene, meta = self.find()
        with compat.quiet(scene.sequence_editor):
            yield scene, meta


@dataclass(frozen=True)
class Contents:
    """What lies in a take, muted strips left out.

    Attributes
    ----------
    start, frames : int
        The take's visible range in the timeline.
    pieces : tuple of Piece
    broken : dict of str to str
        A sentence for each piece (by uid) that does not show its footage frame by frame.
    fills : tuple of Fill
    """

    start: int
    frames: int
    pieces: tuple[Piece, ...]
    broken: dict[str, str]
    fills: tuple[Fill, ...]


def new_uid() -> str:
    """A name for a strip."""
    return secrets.token_hex(4)


def find(scene: bpy.types.Scene, uid: str) -> Strip | None:
    """The take `uid`, complete or not, also inside other meta strips."""
    editor = scene.sequence_editor
    if editor is None or not uid:
        return None
    candidates = (strip for strips in (compat.strips(editor), compat.all_strips(editor)) for strip in strips)
    return next((s for s in candidates if s.type == "META" and s.vmg.role == "TAKE" and s.vmg.uid == uid), None)


# Reading


def contents(meta: Strip) -> Contents:
    """What lies in the take now."""
    start = compat.start(meta)
    known = known_files(base_of(meta))
    pieces, broken, fills = [], {}, []
    for strip in compat.strips(meta):
        if strip.mute:
            continue
        if strip.type == "MOVIE":
            footage = strip.vmg.footage or known.get(file_key(strip.filepath), "")
            if footage:  # other movies are the person's own
                piece, problem = _piece(strip, footage, start)
                pieces.append(piece)
                broken.update({strip.vmg.uid: problem} if problem else {})
        elif strip.type == "IMAGE" and strip.vmg.role == "TRANSITION":
            fills.append(_fill(strip, start))
        elif strip.type == "SPEED" and strip.input_1:
            broken[strip.input_1.vmg.uid] = f"The speed of {strip.input_1.name} was changed."
    return Contents(start, compat.duration(meta), tuple(pieces), broken, tuple(fills))


def _piece(strip: Strip, footage: str, start: int) -> tuple[Piece, str]:
    """A piece, and what is wrong with it: a sentence, or ""."""
    begin, end = compat.start(strip), compat.end(strip)
    problem = f"{strip.name} does not show its footage frame by frame."
    try:
        first, last = compat.source_frame(strip, begin), compat.source_frame(strip, end - 1)
        odd = compat.retimed(strip) or strip.use_reverse_frames or strip.strobe > 1
        if last - first == end - 1 - begin and not odd:
            problem = ""
    except UserError as error:
        first, problem = 0, f"{strip.name}: {error.message}"
    return Piece(footage, first, first + end - 1 - begin, begin - start, strip.channel, strip.vmg.uid), problem


def _fill(strip: Strip, start: int) -> Fill:
    folder = frames_folder(strip)
    begin, end = compat.start(strip), compat.end(strip)
    return Fill(
        uid=strip.vmg.uid,
        at=begin - start,
        frames=end - begin,
        made_for=json.loads(strip.vmg.made_for),
        folder=folder,
        pinned=strip.vmg.pinned,
        present=os.path.isdir(folder),  # noqa: PTH112 - called for each transition of each drawing
    )


def frames_folder(strip: Strip) -> str:
    """The folder of a transition's frames, absolute; where the strip finds them is the truth."""
    return str(os.path.normpath(bpy.path.abspath(strip.directory)))


def base_of(meta: Strip) -> PathDict:
    """The path that a take was made from; its footages are where they lie now, for a project may have been moved."""
    base: PathDict = json.loads(meta.vmg.path)
    for row in meta.id_data.vmg.footages:
        if row.footage in base["footages"]:
            base["footages"][row.footage]["path"] = str(reading.absolute(row.path))
    return base


def known_files(base: PathDict) -> dict[str, str]:
    """The footage of each file of a path, by `file_key`."""
    return {file_key(entry["path"]): footage for footage, entry in base["footages"].items()}


def file_key(path: str) -> str:
    """The same for all ways to name a file."""
    return str(os.path.normcase(os.path.realpath(bpy.path.abspath(path))))


# Changing


def arrange(place: Place, path: PathDict, movies: Mapping[str, str]) -> Steps:
    """Bring the strips of a take to where `path` wants them; what is right already is not touched.

    Parameters
    ----------
    place : Place
    path : dict
        As PATH.json; frames of filled transitions are shown.
    movies : mapping of str to str
        The file to show for each footage.

    Raises
    ------
    TakeLost
    UserError
        When a file is not there.
    """
    plan = take_plan(path)
    _check_files(plan, movies)
    with place.open() as (_, meta):
        found = contents(meta)
        uids = _assign(plan, [piece for piece in found.pieces if piece.uid not in found.broken])
        removed = _superfluous(meta, plan, uids, found)
    yield
    yield from _remove(place, removed)
    have = {piece.uid: piece for piece in found.pieces}
    pairs = [(have[uid], piece) for uid, piece in zip(uids, plan.pieces, strict=True) if uid]
    yield from _lay_all(place, [(now, piece) for now, piece in pairs if now != replace(piece, uid=now.uid)])
    for footage in dict.fromkeys(piece.footage for piece in plan.pieces):
        same = [index for index, piece in enumerate(plan.pieces) if piece.footage == footage]
        missing = [index for index in same if not uids[index]]
        for begin in range(0, len(missing), _MADE_AT_ONCE):
            batch = missing[begin : begin + _MADE_AT_ONCE]
            donor = next((replace(plan.pieces[index], uid=uids[index]) for index in same if uids[index]), None)
            made = yield from _make(place, footage, movies[footage], len(batch), donor)
            for index, piece in zip(batch, made, strict=True):
                uids[index] = piece.uid
            yield from _lay_all(place, [(piece, plan.pieces[index]) for index, piece in zip(batch, made, strict=True)])
    for cross in plan.crosses:
        with place.open() as (_, meta):
            _cross(meta, inner(meta), uids[cross.index], uids[cross.index + 1], cross.id)
        yield
    with place.open() as (_, meta):
        compat.set_visible(meta, compat.start(meta), compat.start(meta) + plan.frames)
    for transition in plan.transitions:
        if transition["frames_dir"] and not any(_shows(fill, transition) for fill in found.fills):
            with place.open() as (_, meta):
                put_fill(meta, transition)
            yield
    _, meta = place.find()
    if {(p.first, p.at, p.end, p.channel, p.uid) for p in contents(meta).pieces} != {
        (p.first, p.at, p.end, p.channel, uid) for p, uid in zip(plan.pieces, uids, strict=True)
    }:
        raise TakeLost(place.uid)  # the person changed it meanwhile


def inner(meta: Strip) -> dict[str, Strip]:
    """The strips of a take by uid."""
    return {strip.vmg.uid: strip for strip in compat.strips(meta) if strip.vmg.uid}


def put_fill(meta: Strip, transition: dict[str, Any]) -> None:
    """Show the generated frames of `transition`, at its place, in place of those that lie there."""
    start = compat.start(meta)
    first, last = start + transition["at"], start + transition["at"] + transition["frames"]
    inside = [strip for strip in compat.strips(meta) if compat.start(strip) < last and compat.end(strip) > first]
    for strip in [strip for strip in inside if strip.vmg.role == "TRANSITION"]:
        inside.remove(strip)
        compat.strips(meta).remove(strip)
    pieces = [strip for strip in inside if strip.vmg.role == "PIECE"]
    into = max(pieces, key=compat.start)
    for strip in pieces:
        if strip != into and compat.end(strip) > last:  # an odd overlap: its last frame is the incoming piece's
            compat.set_visible(strip, compat.start(strip), last)
    taken = {strip.channel for strip in inside}
    channel = next(channel for channel in range(FILL_CHANNEL, _LAST_CHANNEL) if channel not in taken)
    folder = Path(transition["frames_dir"])
    names = [f"{index:04d}.png" for index in range(transition["frames"])]
    files = [folder / name for name in (".unread", *names[1:])]  # the first file would be decoded: tens of milliseconds
    strip = compat.new_images(meta, f"Transition {transition['id'] + 1:02d}", files, channel, first)
    strip.elements[0].filename = names[0]
    show_folder(strip, folder)
    _take_look(strip, into)
    vmg = strip.vmg
    vmg.role, vmg.uid, vmg.take, vmg.transition = "TRANSITION", new_uid(), meta.vmg.uid, transition["id"]
    vmg.engine, vmg.hash, vmg.pinned = transition["engine"], transition["hash"], transition["pinned"]
    vmg.made_for = json.dumps(transition)
    strip.color_tag = FILLED
    strip.select = False


def show_folder(strip: Strip, folder: Path) -> None:
    """Let a transition's strip find its frames in `folder`."""
    strip.directory = stored_path(str(folder)) + os.sep


def stored_path(path: str) -> str:
    """`path` as a .blend keeps it: relative to the file where that is possible."""
    return paths.stored(path) if bpy.data.filepath else path


def free_channel(scene: bpy.types.Scene, start: int, end: int) -> int:
    """The first channel above what the take is made of and for that has nothing on it in [start, end).

    Raises
    ------
    UserError
        When all channels are taken.
    """
    strips = list(compat.strips(scene.sequence_editor))
    below = max((s.channel for s in strips if s.vmg.role in _BELOW), default=0)
    taken = {s.channel for s in strips if compat.start(s) < end and compat.end(s) > start}
    for channel in range(below + 1, _LAST_CHANNEL + 1):
        if channel not in taken:
            return channel
    raise UserError(
        f"No channel is free from frame {start} to {end - 1}.", "Move strips down, or remove takes that are not needed."
    )


def _check_files(plan: TakePlan, movies: Mapping[str, str]) -> None:
    for footage in {piece.footage for piece in plan.pieces}:
        if not Path(bpy.path.abspath(movies[footage])).is_file():
            raise UserError(f"There is no file {movies[footage]}.", "Put it back, or choose the footage again.")
    for transition in plan.transitions:
        if transition["frames_dir"]:
            check_frames(transition)


def check_frames(transition: dict[str, Any]) -> None:
    """Make sure that the frames of a transition are there: Blender shows what is not as magenta, and says nothing."""
    folder, count = Path(transition["frames_dir"]), transition["frames"]
    if not all((folder / f"{index:04d}.png").is_file() for index in range(count)):
        raise UserError(f"{folder} does not hold {count} frames.", "Generate the transition again.")


def _assign(plan: TakePlan, found: Sequence[Piece]) -> list[str]:
    """For each wanted piece the uid of the strip that is to show it; "" for one that is to be made."""
    exact = {(piece.footage, piece.first, piece.at, piece.end): piece.uid for piece in found}
    uids = [exact.pop((piece.footage, piece.first, piece.at, piece.end), "") for piece in plan.pieces]
    left = [piece for piece in found if piece.uid not in uids]
    for index, piece in enumerate(plan.pieces):
        same = [other for other in left if other.footage == piece.footage]
        if not uids[index] and same:
            nearest = min(same, key=lambda other: abs(other.at - piece.at))
            left.remove(nearest)
            uids[index] = nearest.uid
    return uids


def _superfluous(meta: Strip, plan: TakePlan, uids: Sequence[str], found: Contents) -> list[str]:
    """The uids of strips of ours that the plan has no place for; effects come before what they are made from."""
    pairs = {(uids[cross.index], uids[cross.index + 1]) for cross in plan.crosses}
    wanted = [transition for transition in plan.transitions if transition["frames_dir"] is not None]
    kept = {fill.uid for fill in found.fills if any(_shows(fill, transition) for transition in wanted)}
    removed = []
    for strip in compat.strips(meta):
        role, uid = strip.vmg.role, strip.vmg.uid
        if role == "CROSS":
            wrong = (strip.input_1.vmg.uid, strip.input_2.vmg.uid) not in pairs
        elif role == "TRANSITION":
            wrong = uid not in kept
        else:
            wrong = uid not in uids and (role == "PIECE" or any(uid == piece.uid for piece in found.pieces))
        if wrong:
            removed.append((role == "PIECE", uid))
    return [uid for _, uid in sorted(removed)]


def _shows(fill: Fill, transition: dict[str, Any]) -> bool:
    return fill.fits(transition) and fill.made_for["hash"] == transition["hash"]


def _remove(place: Place, uids: Sequence[str]) -> Steps:
    for index in range(0, len(uids), _REMOVED_AT_ONCE):
        with place.open() as (_, meta):
            inside = inner(meta)
            for uid in uids[index : index + _REMOVED_AT_ONCE]:
                if uid in inside:  # with a piece, Blender removes the effects on it
                    compat.strips(meta).remove(inside[uid])
        yield


def _make(
    place: Place, footage: str, movie: str, count: int, donor: Piece | None
) -> Generator[None, None, list[Piece]]:
    """Make `count` strips of a footage by doubling; they lie on PARKING, where the donor lies, or from its frame 0."""
    uids: list[str] = []
    if donor is None:
        with place.open() as (scene, meta):
            strip = _open(scene, meta, footage, movie)
            donor, problem = _piece(strip, footage, compat.start(meta))
            if problem:
                raise UserError(problem, "Convert the video to a constant frame rate.")
            donor = replace(donor, channel=0)
            uids.append(strip.vmg.uid)
        yield
    sources = list(uids) or [donor.uid]
    while len(uids) < count:
        with place.open() as (scene, meta):
            inside = inner(meta)
            copies = _duplicate(scene, meta, [_strip(inside, uid) for uid in sources[: count - len(uids)]])
            for strip in copies:
                strip.vmg.uid = new_uid()
                uids.append(strip.vmg.uid)
                sources.append(strip.vmg.uid)
        yield
    return [replace(donor, uid=uid, channel=0) for uid in uids]


def _open(scene: bpy.types.Scene, meta: Strip, footage: str, movie: str) -> Strip:
    """The first strip of a footage in a take: a copy of one in the timeline where that will do."""
    file, start = file_key(movie), compat.start(meta)
    same = [s for s in compat.strips(scene.sequence_editor) if s.type == "MOVIE" and s.vmg.role == "FOOTAGE"]
    same = [s for s in same if s.vmg.footage == footage or file_key(s.filepath) == file]
    for strip in same:
        compat.measure(strip)
    plain = [s for s in same if file_key(s.filepath) == file and _can_be_copied(scene, s)]
    if plain:
        (strip,) = _duplicate(scene, None, plain[:1])
        strip.move_to_meta(meta)
    else:
        strip = compat.new_movie(meta, Path(movie).name, stored_path(bpy.path.abspath(movie)), PARKING, start)
        if same:
            _take_look(strip, same[0])
        else:
            _fit(strip, scene)
        compat.measure(strip)
    strip.name = Path(movie).stem[:40]
    strip.channel = PARKING
    strip.mute = strip.lock = False
    strip.color_tag = "NONE"
    vmg = strip.vmg
    vmg.role, vmg.uid, vmg.take, vmg.footage = "PIECE", new_uid(), meta.vmg.uid, footage
    return strip


def _can_be_copied(scene: bpy.types.Scene, strip: Strip) -> bool:
    """Whether a copy can show the whole file frame by frame; animation would come along, at its old time."""
    animated = scene.animation_data is not None and scene.animation_data.action is not None
    if animated or strip.lock or _piece(strip, "", 0)[1]:
        return False
    begin, last = round(compat.content_start(strip)), strip.vmg.source_frames - 1
    return (compat.source_frame(strip, begin), compat.source_frame(strip, begin + last)) == (0, last)


def _duplicate(scene: bpy.types.Scene, owner: Strip | None, chosen: Sequence[Strip]) -> list[Strip]:
    """Copies of strips of a meta strip (None: of the top level); what is selected, active and open stays so."""
    editor = scene.sequence_editor
    collection = compat.strips(owner or editor)
    selected = [(s, s.select_left_handle, s.select_right_handle) for s in collection if s.select]
    active, stack = editor.active_strip, list(editor.meta_stack)
    for strip in collection:
        strip.select = strip in chosen
    with compat.editor_override(bpy.context, scene):
        editor.display_stack(owner)
        bpy.ops.sequencer.duplicate()
    copies = [strip for strip in collection if strip.select]
    for strip in copies:
        strip.select = False
    for strip, left, right in selected:
        strip.select, strip.select_left_handle, strip.select_right_handle = True, left, right
    editor.display_stack(stack[-1] if stack else None)
    editor.active_strip = active
    return copies


def _lay_all(place: Place, pairs: Sequence[tuple[Piece, Piece]]) -> Steps:
    """Bring pieces from where they are to where they are wanted; first all out of each other's way."""
    with place.open() as (_, meta):
        inside = inner(meta)
        for number, (have, _wanted) in enumerate(pairs):
            _strip(inside, have.uid).channel = PARKING + number % 2
    yield
    for have, wanted in pairs:
        with place.open() as (_, meta):
            _lay(_strip(inner(meta), have.uid), have, wanted)
        yield


def _lay(strip: Strip, have: Piece, wanted: Piece) -> None:
    """Bring a piece that lies as `have` to where it is `wanted`; the channel last: on its way it may meet others."""
    begin = compat.start(strip)
    compat.move(strip, (wanted.at - wanted.first) - (have.at - have.first))
    start = begin - have.at
    compat.set_visible(strip, start + wanted.at, start + wanted.end)
    strip.channel = wanted.channel
    strip.vmg.role = "PIECE"


def _cross(meta: Strip, inside: Mapping[str, Strip], out: str, into: str, number: int) -> None:
    """A cross fade over the overlap of two pieces, unless there is one."""
    outgoing, incoming = _strip(inside, out), _strip(inside, into)
    name = f"Cross {number + 1:02d}"
    for strip in inside.values():
        if strip.vmg.role == "CROSS" and strip.input_1 == outgoing and strip.input_2 == incoming:
            strip.vmg.transition = number
            return
    first, last = compat.start(incoming), compat.end(outgoing)
    strip = compat.new_cross(meta, name, CROSS_CHANNEL, first, last, outgoing, incoming)
    vmg = strip.vmg
    vmg.role, vmg.uid, vmg.take, vmg.transition = "CROSS", new_uid(), meta.vmg.uid, number
    strip.select = False


def _strip(inside: Mapping[str, Strip], uid: str) -> Strip:
    if uid not in inside:
        raise TakeLost(uid)
    return inside[uid]


def _take_look(strip: Strip, other: Strip) -> None:
    """Place and colour `strip` in the picture as `other`."""
    for group, names in _LOOK:
        for name in names:
            setattr(getattr(strip, group), name, getattr(getattr(other, group), name))
    for name in _PLAIN_LOOK:
        setattr(strip, name, getattr(other, name))


def _fit(strip: Strip, scene: bpy.types.Scene) -> None:
    """Scale the strip into the picture, as Blender does with what is added by hand."""
    element, render = strip.elements[0], scene.render
    scale = min(render.resolution_x / element.orig_width, render.resolution_y / element.orig_height)
    strip.transform.scale_x = strip.transform.scale_y = scale
