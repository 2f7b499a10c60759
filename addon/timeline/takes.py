"""Takes: a path as one meta strip that is cut, filled and changed, and read back as a path."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import bpy

from ...vmg_backend import protocol
from ...vmg_backend.errors import UserError
from ...vmg_backend.files import writing, writing_folder
from .. import compat, paths
from . import building, reading, wishes
from .building import TakeLost
from .plan import PathDict, path_of, same_junction, take_plan

_SEEN = 60
"""Pieces of other versions that are remembered."""


def takes(scene: bpy.types.Scene) -> list[Any]:
    """The meta strips of the complete takes, oldest first; changes nothing, so it may be called while drawing."""
    if scene.sequence_editor is None:
        return []
    found = [strip for strip in compat.all_strips(scene.sequence_editor) if _is_take(strip) and strip.vmg.complete]
    return sorted(found, key=lambda strip: strip.vmg.number)


def find(scene: bpy.types.Scene, uid: str) -> Any | None:  # noqa: ANN401 - bpy has no types
    """The complete take `uid`, or None."""
    return next((strip for strip in takes(scene) if strip.vmg.uid == uid), None)


def insert_take(
    scene: bpy.types.Scene, path: PathDict, movies: Mapping[str, str], start: int, wish: protocol.Wish
) -> Generator[None, None, str]:
    """Make a take, hidden, in steps of a few milliseconds; `show_take` shows it. Gives its uid.

    Closed before its end, or when the person undoes or removes what is there of it, it leaves nothing behind.

    Parameters
    ----------
    scene : Scene
    path : dict
        As PATH.json; one frame of it is one of the scene.
    movies : mapping of str to str
        The file to show for each footage: itself, or a copy of which Blender shows frame k as frame k.
    start : int
        The timeline's frame at which the take begins.
    wish : Wish
        What it was made for.

    Raises
    ------
    TakeLost
        When the take or its scene went away meanwhile.
    UserError
        When a file is not there, or no channel is free.
    """
    uid = building.new_uid()
    place = building.Place.of(scene, uid)
    try:
        _begin(scene, uid, path, start, wish)
        yield
        yield from building.arrange(place, path, movies)
        with place.open() as (_, meta):
            meta.vmg.complete = True
    finally:
        _discard(place)
    return uid


def show_take(scene: bpy.types.Scene, uid: str) -> None:
    """Make a take the active one: it is seen, and takes that lie over it or under it are not.

    Raises
    ------
    TakeLost
        When there is none of that uid.
    """
    meta = _existing(scene, uid)
    for other in takes(scene):
        if compat.start(other) < compat.end(meta) and compat.end(other) > compat.start(meta):
            other.mute = other != meta
    meta.mute = False
    compat.select_alone(scene.sequence_editor, meta)
    scene.vmg.active_take = uid


def read_take(meta: Any) -> PathDict:  # noqa: ANN401 - bpy has no types
    """The path that a take shows now: pieces may have been rolled, trimmed, slipped, moved or removed by hand.

    Raises
    ------
    UserError
        When it shows something that no path can say: a gap, a piece over another, a change of speed.
    """
    return look(meta)[1]


def look(meta: Any) -> tuple[building.Contents, PathDict]:  # noqa: ANN401
    """What lies in a take, and the path that it shows; raises as `read_take`."""
    found = building.contents(meta)
    for problem in found.broken.values():
        raise UserError(problem, "Undo that change, or put the piece in again at its own speed.")
    return found, path_of(building.base_of(meta), found.pieces, found.frames, found.fills, start=found.start)


def fill_transition(scene: bpy.types.Scene, uid: str, transition: dict[str, Any]) -> bool:
    """Show generated frames in a take; False where the take no longer has such a transition.

    Parameters
    ----------
    scene : Scene
    uid : str
        The take's.
    transition : dict
        As the path had it that was sent, with `engine`, `hash` and `frames_dir` of what was generated.

    Raises
    ------
    TakeLost
    UserError
        When the take cannot be read as a path any more, or the frames are not there.
    """
    meta = _existing(scene, uid)
    building.check_frames(transition)
    places = [one for one in read_take(meta)["transitions"] if same_junction(transition, one)]
    if not places:
        return False
    here = min(places, key=lambda one: abs(one["at"] - transition["at"]))
    with compat.quiet(scene.sequence_editor):
        building.put_fill(meta, {**transition, "id": here["id"], "at": here["at"], "pinned": False})
    return True


def apply_update(
    scene: bpy.types.Scene, uid: str, path: PathDict, movies: Mapping[str, str], wish: protocol.Wish
) -> building.Steps:
    """Change a take to show `path`, in steps of a few milliseconds; what is right already is not touched.

    Generated frames stay where they fit; others make room for the cross fade until they are filled again.

    Raises
    ------
    TakeLost
    UserError
        When a file is not there.
    """
    place = building.Place.of(_existing(scene, uid).id_data, uid)
    yield from building.arrange(place, path, movies)
    _, meta = place.find()
    meta.vmg.path, meta.vmg.wish = json.dumps(path), json.dumps(protocol.as_json(wish))


def seen(meta: Any) -> tuple[protocol.ShownAt, ...]:  # noqa: ANN401 - bpy has no types
    """What other versions of the take showed in the parts that were suggested again; the latest ones."""
    return tuple(protocol.ShownAt(*one) for one in json.loads(meta.vmg.seen or "[]"))


def note_seen(scene: bpy.types.Scene, uid: str, path: PathDict, part: tuple[int, int]) -> None:
    """Remember what a path showed from one frame of the take to another (inclusive)."""
    meta = _existing(scene, uid)
    now = [
        protocol.ShownAt(one["footage"], one["first"], one["last"], one["at"])
        for one in path["segments"]
        if one["at"] <= part[1] and one["at"] + one["last"] - one["first"] >= part[0]
    ]
    meta.vmg.seen = json.dumps([list(vars(one).values()) for one in (*seen(meta), *now)[-_SEEN:]])


def wish_of(meta: Any) -> protocol.Wish:  # noqa: ANN401 - bpy has no types
    """What a take was made for, counted from where it begins now: its front may have been trimmed since.

    Its footages are where they lie now.
    """
    wish = protocol.from_json(protocol.Wish, json.loads(meta.vmg.wish))
    then, now = json.loads(meta.vmg.path)["footages"], building.base_of(meta)["footages"]
    moved = {building.file_key(entry["path"]): now[footage]["path"] for footage, entry in then.items()}
    wish = wishes.relocated(wish, lambda path: moved.get(building.file_key(path), path))
    first, frames = _trimmed(meta), compat.duration(meta)
    if (first, frames) == (0, wish.frames):
        return wish
    return wishes.trimmed(wish, first, frames, compat.scene_rate(meta.id_data))


def _trimmed(meta: Any) -> int:  # noqa: ANN401
    """The frame of the take, as it was made, at which it begins now.

    Blender tells where a meta strip's first strip begins, which moves when that is trimmed. So it is what most pieces
    agree on: how far their sources lie from where they lay when the take was made.
    """
    plan = take_plan(building.base_of(meta)).pieces
    then = {(piece.footage, piece.first - piece.at) for piece in plan}
    found = sorted(building.contents(meta).pieces, key=lambda piece: piece.at)
    pairs = [*zip(found, plan, strict=False), *zip(reversed(found), reversed(plan), strict=False)]
    likely = [(now.first - now.at) - (was.first - was.at) for now, was in pairs]
    shifts = dict.fromkeys((compat.start(meta) - round(compat.content_start(meta)), *likely))
    return max(shifts, key=lambda shift: sum((one.footage, one.first - one.at - shift) in then for one in found))


def remove(scene: bpy.types.Scene, uid: str) -> None:
    """Remove a take; its files stay."""
    meta = _existing(scene, uid)
    with compat.quiet(scene.sequence_editor):
        compat.strips(_owner(scene, meta)).remove(meta)
    if scene.vmg.active_take == uid:
        left = takes(scene)
        scene.vmg.active_take = left[-1].vmg.uid if left else ""


def adopt_files(scene: bpy.types.Scene) -> tuple[int, UserError | None]:
    """After the first save: move frames and copied footage from the cache to beside the .blend.

    Returns
    -------
    adopted : int
        How many strips show them there now.
    problem : UserError or None
        Why others could not be moved: they stay where they are, and the next save tries again.
    """
    editor = scene.sequence_editor
    if not bpy.data.filepath or editor is None:
        return 0, None
    cache, home = paths.unsaved_root(), paths.footage_folder(scene).parent
    adopted, problem = 0, None
    for strip in compat.all_strips(editor):
        if strip.vmg.role == "TRANSITION":
            old = Path(building.frames_folder(strip))
        elif strip.type == "MOVIE":
            old = reading.absolute(strip.filepath)
        else:
            continue
        if old.is_relative_to(cache):
            new = home.joinpath(*old.relative_to(cache).parts[1:])
            try:
                if old.exists() and not new.exists():
                    _bring(old, new)
            except UserError as error:
                problem = error
                continue
            if strip.type == "MOVIE":
                strip.filepath = building.stored_path(str(new))
            else:
                building.show_folder(strip, new)
            adopted += 1
    return adopted, problem


def renew(scene: bpy.types.Scene) -> int:
    """Give copies of takes, and copied or split strips inside them, names of their own; returns how many takes.

    The copy of a take gets a number of its own as well, and footage that was put into a take by hand becomes a piece
    of it. Call it before a take is read to be changed.
    """
    renewed, seen = 0, set[str]()
    for meta in takes(scene):
        is_copy = meta.vmg.uid in seen
        if is_copy:
            meta.vmg.uid = building.new_uid()
            _number(scene, meta)
            renewed += 1
        seen.add(meta.vmg.uid)
        inside = set[str]()
        known = building.known_files(building.base_of(meta))
        for strip in compat.strips(meta):
            if strip.type == "MOVIE" and strip.vmg.role != "PIECE":
                footage = strip.vmg.footage or known.get(building.file_key(strip.filepath), "")
                strip.vmg.role, strip.vmg.footage = ("PIECE", footage) if footage else ("NONE", "")
            if strip.vmg.role in ("PIECE", "CROSS", "TRANSITION"):
                strip.vmg.take = meta.vmg.uid
                if not strip.vmg.uid or strip.vmg.uid in inside or is_copy:
                    strip.vmg.uid = building.new_uid()
                inside.add(strip.vmg.uid)
    return renewed


def _begin(scene: bpy.types.Scene, uid: str, path: PathDict, start: int, wish: protocol.Wish) -> None:
    editor = scene.sequence_editor_create()
    with compat.quiet(editor):
        channel = building.free_channel(scene, start, start + path["frames"])
        meta = compat.new_meta(editor, "VMG Take", channel, start)
        meta.mute, meta.select = True, False
        compat.set_visible(meta, start, start + path["frames"])
        meta.color_tag = building.FILLED
        vmg = meta.vmg
        vmg.role, vmg.uid, vmg.path = "TAKE", uid, json.dumps(path)
        vmg.wish = json.dumps(protocol.as_json(wish))
        _number(scene, meta)


def _number(scene: bpy.types.Scene, meta: Any) -> None:  # noqa: ANN401
    scene.vmg.takes_made = 1 + max(scene.vmg.takes_made, *(take.vmg.number for take in takes(scene)), 0)
    meta.vmg.number = scene.vmg.takes_made
    meta.name = f"VMG Take {meta.vmg.number:03d}"


def _discard(place: building.Place) -> None:
    """Take away what is there of a take that was not completed."""
    scene = place.scene.find()
    meta = building.find(scene, place.uid) if scene else None
    if scene and meta and not meta.vmg.complete:
        with compat.quiet(scene.sequence_editor):
            compat.strips(_owner(scene, meta)).remove(meta)


def _bring(old: Path, new: Path) -> None:
    """Move a file or a folder, whole or not at all; raises `UserError`."""
    with contextlib.suppress(OSError):  # at once, where both lie on one disk; what is wrong is said below
        new.parent.mkdir(parents=True, exist_ok=True)
        old.replace(new)
        return
    if old.is_dir():
        with writing_folder(new) as temporary:
            shutil.copytree(old, temporary, dirs_exist_ok=True)
        shutil.rmtree(old, ignore_errors=True)
    else:
        with writing(new) as temporary:
            shutil.copyfile(old, temporary)
        with contextlib.suppress(OSError):  # then it stays in the cache
            old.unlink()


def _existing(scene: bpy.types.Scene, uid: str) -> Any:  # noqa: ANN401
    meta = find(scene, uid)
    if meta is None:
        raise TakeLost(uid)
    return meta


def _owner(scene: bpy.types.Scene, meta: Any) -> Any:  # noqa: ANN401
    """What a take lies in: the editor, or a meta strip of the person's."""
    metas = [strip for strip in compat.all_strips(scene.sequence_editor) if strip.type == "META"]
    return next((one for one in metas if meta in list(compat.strips(one))), scene.sequence_editor)


def _is_take(strip: Any) -> bool:  # noqa: ANN401
    return bool(strip.type == "META" and strip.vmg.role == "TAKE")
