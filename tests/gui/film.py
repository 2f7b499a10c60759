"""The whole way: footage, music, beats, a keyframe, Suggest, Generate, undo, save, open again, render."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import bpy

from . import beginning, sight
from .sight import Box, Spot
from .user import User, Waiting

LONG = 300.0
"""Seconds that a job of the backend may take on a slow machine."""


def story(user: User, order: dict[str, Any]) -> Waiting[None]:
    """All steps in order."""
    yield from beginning.first_start(user)
    yield from beginning.installation(user, order)
    yield from beginning.environment(user, order)
    yield from strips(user, order)
    with user.step("open the tab"):
        sidebar = yield from user.opens_tab("Motion Graph")
    yield from material(user, sidebar)
    yield from skeleton(user, sidebar)
    yield from save(user, Path(order["work"]) / "film.blend")
    yield from beats(user, sidebar)
    yield from keyframe(user, sidebar)
    with user.step("add an action"):
        yield from action(user, sidebar, 49, "performer")
    yield from takes(user, sidebar)
    yield from undo_and_redo(user)
    yield from reopen(user)
    yield from part(user, sidebar)
    yield from playback(user)
    yield from render(user)


def strips(user: User, order: dict[str, Any]) -> Waiting[None]:
    """Footage and music by the Sequencer's own Add menu."""
    header = user.region("SEQUENCE_EDITOR", "HEADER", view_type="SEQUENCER")
    for kind, file, channel in (("Movie", order["footage"], 1), ("Sound", order["music"], 2)):
        with user.step(f"add {kind.lower()}"):
            middle = user.timeline(60, 4)
            yield from user.chooses("Add", kind, within=header)
            yield from user.chooses_file(Path(file), f"Add {kind} Strip")
            yield from user.clicks(middle)  # puts down the strip that hangs at the mouse
            yield from user.moves_strip(1, channel)
            yield from user.presses("HOME")
            yield 0.5


def material(user: User, sidebar: Box) -> Waiting[None]:
    """What the strips are for."""
    with user.step("use the strips"):
        yield from user.clicks(user.timeline(60, 2.3))
        music = yield from user.sees("Music", sidebar)
        below = Box(sidebar.left, music.y, sidebar.right, sidebar.bottom)
        yield from user.clicks("Use Selected", within=below)
        yield from user.clicks(user.timeline(60, 1.3))
        yield from user.clicks("Use Selected", within=sidebar)
        yield from user.sees("performer.mp4", sidebar)
    with user.step("match the scene"):
        yield from user.clicks((yield from user.sees("Match Scene", sidebar, LONG)))  # once the footage is read
        yield 1.0
    with user.step("analyze"):
        yield from user.waits(lambda: user.reads("Analyzed", sidebar), "the analysis", LONG)


def skeleton(user: User, sidebar: Box, picture: Path | None = None) -> Waiting[None]:
    """The skeleton over the preview: there when it is switched on, and gone again; `picture` is taken of it."""
    with user.step("skeleton over the preview"):
        yield from puts_playhead(user, 100)
        switch = yield from user.scrolls_to("Skeleton", sidebar)
        preview = user.region("SEQUENCE_EDITOR", "PREVIEW", view_type="PREVIEW")
        yield from user.clicks(switch)
        yield from user.waits(lambda: min(_sides(preview)) > 100, "both sides' colours")
        if picture:
            middle, half = (preview.left + preview.right) // 2, (preview.bottom - preview.top) // 2
            sight.take_picture(picture, Box(middle - half, preview.top, middle + half, preview.bottom))
        yield from user.clicks(switch)
        yield from user.waits(lambda: max(_sides(preview)) < 10, "their end")


def _sides(preview: Box) -> tuple[int, int]:
    """How many px have the colour of the person's left, and of the right."""
    red, green, blue = (sight.screen(preview)[..., channel].astype(int) for channel in range(3))
    left = (red > 240) & (abs(green - 158) < 12) & (blue < 60)
    right = (red < 80) & (abs(green - 191) < 12) & (blue > 240)
    return int(left.sum()), int(right.sum())


def beats(user: User, sidebar: Box) -> Waiting[None]:
    """Beats as markers."""
    with user.step("detect beats"):
        yield from user.clicks((yield from user.scrolls_to("Detect Beats", sidebar)))
        yield from user.waits(lambda: len(user.scene().timeline_markers), "markers", LONG)
        yield 1.0


def keyframe(user: User, sidebar: Box) -> Waiting[None]:
    """A keyframe at the playhead, moved with G."""
    with user.step("add a keyframe"):
        yield from puts_playhead(user, 150)
        yield from user.clicks((yield from user.scrolls_to("Add Keyframe", sidebar)))
        yield from user.waits(lambda: of(user, "KEY"), "the keyframe")
        yield 1.0
    yield from move_keyframe(user, 48)


def move_keyframe(user: User, frames: int) -> Waiting[None]:
    """Move the keyframe with G and the mouse."""
    with user.step("move the keyframe"):
        key = of(user, "KEY")[0]
        start, channel = key.left_handle, key.channel
        yield from user.clicks(user.timeline(start + 3, channel + 0.3))
        yield from user.presses("G")
        yield from user.points(user.timeline(start + 3 + frames, channel + 0.3))
        yield from user.clicks(user.timeline(start + 3 + frames, channel + 0.3))
        yield from user.waits(lambda: of(user, "KEY")[0].left_handle != start, "the moved keyframe")


def action(user: User, sidebar: Box, frame: int, tag: str) -> Waiting[None]:
    """An action at the playhead, named in its dialog."""
    before = count(user, "ACTION")
    yield from puts_playhead(user, frame)
    yield from user.clicks((yield from user.scrolls_to("Add Action", sidebar)))
    yield from names(user, tag)
    yield from user.waits(lambda: count(user, "ACTION") > before, "the action")


def names(user: User, tag: str) -> Waiting[None]:
    """Type into the dialog that opens, whose field is ready, and agree."""
    yield from user.sees("Action:")
    yield 0.5
    yield from user.types(tag)
    yield from user.presses("RET")
    yield from user.clicks("OK")  # names to choose from may have lain over it


def save(user: User, path: Path) -> Waiting[None]:
    """Ctrl S, and a name."""
    with user.step("save"):
        yield from user.points(user.timeline(60, 5))
        yield from user.presses("S", ctrl=True)
        yield from user.chooses_file(path, "Save Blender File")
        yield from user.waits(path.is_file, "the saved file")


def takes(user: User, sidebar: Box) -> Waiting[None]:
    """Suggest and Generate."""
    with user.step("suggest"):
        yield from suggest(user, sidebar)
    with user.step("generate"):
        cuts = count(user, "CROSS")
        yield from user.clicks((yield from user.scrolls_to(f"Generate ({cuts})", sidebar)))
        yield from user.waits(lambda: count(user, "TRANSITION") == cuts, f"{cuts} transitions", 2 * LONG)
        yield from user.waits(lambda: not running(), "the job's end", LONG)
        yield 1.0


def suggest(user: User, sidebar: Box) -> Waiting[None]:
    """A first take."""
    yield from user.clicks((yield from user.scrolls_to("Suggest", sidebar)))
    yield from user.waits(lambda: running() or count(user, "TAKE"), "the search's begin")
    yield from user.waits(lambda: count(user, "TAKE") and not running(), "a take", LONG)
    yield 1.0
    yield from user.points(user.timeline(60, 6))
    yield from user.presses("ESC")  # a new take plays at once


def undo_and_redo(user: User) -> Waiting[None]:
    """Back over Generate and Suggest, and forward again."""
    filled = count(user, "TRANSITION")
    yield from user.points(user.timeline(60, 7))
    for name, shift, take, transitions in (
        ("undo generate", False, 1, 0),
        ("undo suggest", False, 0, 0),
        ("redo suggest", True, 1, 0),
        ("redo generate", True, 1, filled),
    ):
        with user.step(name):
            yield from user.presses("Z", ctrl=True, shift=shift)
            yield 1.0
            found = count(user, "TAKE"), count(user, "TRANSITION")
            if found != (take, transitions):
                raise AssertionError(f"takes, transitions: {found} and not {(take, transitions)}")


def reopen(user: User) -> Waiting[None]:
    """Save, open another file, open this one again."""
    with user.step("save and open again"):
        before = count(user, "TAKE"), count(user, "TRANSITION"), len(user.scene().timeline_markers)
        yield from user.presses("S", ctrl=True)
        yield 1.0
        yield from user.chooses("File", "New", "General")
        yield from user.waits(lambda: not bpy.data.filepath, "the new file")
        yield 1.0
        yield from user.chooses("File", "Open Recent", "film.blend")
        yield from user.waits(lambda: bpy.data.filepath.endswith("film.blend"), "the file")
        yield 2.0
        after = count(user, "TAKE"), count(user, "TRANSITION"), len(user.scene().timeline_markers)
        if before != after:
            raise AssertionError(f"takes, transitions, markers: {after} and not {before}")


def part(user: User, sidebar: Box) -> Waiting[None]:
    """The segment under the playhead becomes another one; the rest of the take stays."""
    with user.step("suggest part again"):
        before = shown(user)
        cut = min(strip.left_handle for strip in of(user, "CROSS"))
        yield from puts_playhead(user, cut + 24)
        yield from user.clicks((yield from user.scrolls_to("Suggest Part Again", sidebar)))
        yield from user.waits(lambda: shown(user) != before and not running(), "another segment", LONG)
        both = len(before & shown(user))
        if not both:
            raise AssertionError("the whole take is another one")
        user.note("pieces that stayed", f"{both} of {len(before)}")


def shown(user: User) -> set[tuple[int, int, float]]:
    """The pieces of footage inside takes: when each begins and ends, and with which frame of its file."""
    return {(one.left_handle, one.right_handle, one.content_start) for one in of(user, "PIECE")}


def playback(user: User) -> Waiting[None]:
    """Play the take, then the footage alone (the take's channel muted by H), from the start for as long each."""
    with user.step("play"):
        yield from user.points(user.timeline(60, 7))
        yield from _plays(user, "playback of the take")
        yield from user.clicks(user.timeline(60, of(user, "TAKE")[0].channel + 0.5))
        yield from user.presses("H")
        yield from _plays(user, "playback of the footage")
        yield from user.presses("H", alt=True)


def _plays(user: User, what: str) -> Waiting[None]:
    """Play by the space bar twice, so that Blender has the frames; note the second time's frames and seconds."""
    shown: list[tuple[float, int]] = []

    def watch(scene: Any, *_: Any) -> None:
        shown.append((time.monotonic(), scene.frame_current))

    for _ in range(2):
        yield from puts_playhead(user, 1)
        shown.clear()
        bpy.app.handlers.frame_change_post.append(watch)
        try:
            yield from user.presses("SPACE")
            yield 8.0
            yield from user.presses("SPACE")
        finally:
            bpy.app.handlers.frame_change_post.remove(watch)
    seconds = shown[-1][0] - shown[0][0]
    user.note(what, {"frames": len({frame for _, frame in shown}), "seconds": round(seconds, 2)})


def render(user: User) -> Waiting[None]:
    """F12 in the middle of the first transition."""
    with user.step("render"):
        cut = min(strip.left_handle for strip in of(user, "TRANSITION")) + 6
        yield from puts_playhead(user, cut)
        yield from user.presses("F12")
        yield from user.waits(lambda: len(bpy.context.window_manager.windows) > 1, "the render window", 60)
        yield 5.0
    yield from user.closes_window()


def puts_playhead(user: User, frame: int) -> Waiting[None]:
    """Click on the ruler."""
    timeline = user.region("SEQUENCE_EDITOR", view_type="SEQUENCER")
    yield from user.clicks(Spot(user.timeline(frame, 1).x, timeline.top + 12))


def running() -> bool:
    return bool(bpy.context.window_manager.vmg.running)


def of(user: User, role: str) -> list[Any]:
    """The strips of a role, also those inside takes."""
    return [strip for strip in user.scene().sequence_editor.strips_all if strip.vmg.role == role]


def count(user: User, role: str) -> int:
    return len(of(user, role))
