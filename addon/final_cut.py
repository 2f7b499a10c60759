"""The final cut: what would spoil it, and the settings that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bpy

from ..vmg_backend.errors import UserError
from . import compat, overview, paths
from .timeline import channels, reading, stale

STANDARD_VIEW = "Standard"
"""The view transform that shows footage as it is; a new scene's AgX shifts its colours by ten levels."""

_HEARD_AND_SEEN = ("MOVIE", "IMAGE", "SOUND")


@dataclass(frozen=True)
class Finding:
    """Something about the timeline that the person should know before a render of minutes.

    Attributes
    ----------
    message, remedy : str
        One sentence each.
    blocks : bool
        Whether the film would be wrong for certain, so that nothing is rendered.
    """

    message: str
    remedy: str
    blocks: bool = False


def findings(scene: bpy.types.Scene, *, whole_take: bool = True) -> list[Finding]:
    """What would spoil the film, the worst first.

    Parameters
    ----------
    scene : Scene
    whole_take : bool
        Whether the film is as long as the active take, else as the scene's frame range.
    """
    take = overview.active_take(scene)
    if take is None:
        return [Finding("There is no active take.", "Press Suggest, or choose a take in the list.", blocks=True)]
    found = [*_missing_files(scene), *_hidden(scene, take), *_range(scene, take, whole_take)]
    found += [*_transitions(scene, take), *_sound(scene, take), *_picture(scene)]
    return sorted(found, key=lambda finding: not finding.blocks)


def prepare(scene: bpy.types.Scene, output: Path, *, whole_take: bool = True) -> list[Finding]:
    """Set all that a film of the active take needs: range, format, colours, and keyframes out of sight.

    Returns
    -------
    list of Finding
        What the person should know and does not keep the film from being rendered.

    Raises
    ------
    UserError
        When something blocks the film, or `output` cannot be written.
    """
    found = findings(scene, whole_take=whole_take)
    for finding in found:
        if finding.blocks:
            raise UserError(finding.message, finding.remedy, title="Not rendered")
    if output.is_dir() or not output.parent.is_dir():
        raise UserError(f"A film cannot be written to {output}.", "Choose a file name in a folder that exists.")
    take = overview.active_take(scene)
    if whole_take:
        scene.frame_start, scene.frame_end = compat.start(take), compat.end(take) - 1
    for channel in channels.numbers(scene).values():
        scene.sequence_editor.channels[channel].mute = True
    scene.view_settings.view_transform = STANDARD_VIEW
    scene.render.use_sequencer = True
    compat.set_render_output(scene, str(output))
    return found


def default_output(scene: bpy.types.Scene) -> Path:
    """Beside the .blend, named after it and the take.

    Raises
    ------
    UserError
        When the file was never saved, so that there is no beside.
    """
    take = overview.active_take(scene)
    if not bpy.data.filepath or take is None:
        raise UserError("The file was never saved.", "Save it, or name a file for the film.", title="Not saved")
    blend = Path(bpy.data.filepath)
    return blend.with_name(f"{blend.stem}_{paths.safe_name(take.name)}.mp4")


def _missing_files(scene: bpy.types.Scene) -> Iterator[Finding]:
    """Strips without their files render pink, or silent."""
    for strip in compat.all_strips(scene.sequence_editor):
        if strip.type not in _HEARD_AND_SEEN or strip.mute:
            continue
        gone = [file for file in compat.files_of(strip) if not file.is_file()]
        if gone:
            remedy = "Generate it anew." if strip.vmg.role == "TRANSITION" else "Locate it, or mute the strip."
            yield Finding(
                f"“{strip.name}” lacks {gone[0].name}, which is not in {gone[0].parent}.", remedy, blocks=True
            )


def _hidden(scene: bpy.types.Scene, take: bpy.types.MetaStrip) -> Iterator[Finding]:
    """What keeps the take from being seen."""
    lanes, unseen = scene.sequence_editor.channels, channels.numbers(scene).values()
    if take.mute or lanes[take.channel].mute:
        yield Finding(f"{take.name} is muted.", "Press its radio button in the list of takes.", blocks=True)
    for strip in compat.strips(scene.sequence_editor):
        over = strip.channel > take.channel and not strip.mute and not lanes[strip.channel].mute
        meets = compat.start(strip) < compat.end(take) and compat.end(strip) > compat.start(take)
        if over and meets and strip.type != "SOUND" and strip.channel not in unseen:
            yield Finding(f"“{strip.name}” lies over {take.name}.", "Mute it if it should not be seen.")


def _range(scene: bpy.types.Scene, take: bpy.types.MetaStrip, whole_take: bool) -> Iterator[Finding]:
    if not whole_take and (scene.frame_start < compat.start(take) or scene.frame_end >= compat.end(take)):
        yield Finding(
            f"The scene's frames {scene.frame_start} to {scene.frame_end} reach beyond {take.name}, into black.",
            f"Render the whole take, or frames {compat.start(take)} to {compat.end(take) - 1}.",
        )


def _transitions(scene: bpy.types.Scene, take: bpy.types.MetaStrip) -> Iterator[Finding]:
    try:
        states = stale.states_now(scene, take)
    except UserError as error:
        yield Finding(error.message, error.remedy)
        return
    old = sum(state.stale for state in states)
    if old:
        yield Finding(f"{old} of {len(states)} transitions are stale.", "Press Re-render Stale for the newest.")
    fades = sum(state.frames == "none" for state in states)
    if fades:
        yield Finding(f"{fades} of {len(states)} transitions are cross fades.", "Press Generate to fill them.")


def _sound(scene: bpy.types.Scene, take: bpy.types.MetaStrip) -> Iterator[Finding]:
    first, last = compat.start(take), compat.end(take)
    lanes = scene.sequence_editor.channels
    heard = [
        strip
        for strip in compat.strips(scene.sequence_editor)
        if strip.type == "SOUND"
        and not (strip.mute or lanes[strip.channel].mute)
        and compat.start(strip) < last
        and compat.end(strip) > first
    ]
    if not heard:
        yield Finding("Nothing is heard under the take.", "Unmute the music, or add some.")
    others = [strip.name for strip in heard if strip.vmg.role not in ("MUSIC", "SPEECH")]
    if others and len(others) < len(heard):
        yield Finding(f"“{others[0]}” is heard beside the music.", "Mute it if that is not meant.")
    if heard and max(compat.end(strip) for strip in heard) < last:
        yield Finding("The sound ends before the take does.", "Shorten the take, or add music.")


def _picture(scene: bpy.types.Scene) -> Iterator[Finding]:
    render = scene.render
    if render.resolution_percentage != 100:
        yield Finding(
            f"The film is rendered at {render.resolution_percentage} % of its size.", "Set Resolution % to 100."
        )
    try:
        reading.check_rates(scene)
    except UserError as error:
        yield Finding(error.message, error.remedy, blocks=True)
