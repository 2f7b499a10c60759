"""Everything that differs between Blender's versions (4.2 to 5.2), behind one name each."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..vmg_backend.errors import UserError

_VERSION = bpy.app.version
_OWN_SEQUENCER_SCENE = _VERSION >= (5, 0)
_HANDLES = _VERSION >= (5, 1)
_KEY_AFTER_LAST = _VERSION >= (5, 0)
"""Whether the last retiming key lies after the last frame instead of on it."""
_WHOLE_KEYS = _VERSION < (4, 5)
"""Whether retiming keys lie on whole frames of the file; later on whole ones of the timeline, but are told as those."""

FILE_OPTIONS = {"PATH_SUPPORTS_BLEND_RELATIVE"} if _VERSION >= (4, 5) else set[str]()
"""Of properties that name a file and may begin with "//"; before 4.5 all may."""

StripType = bpy.types.Strip if hasattr(bpy.types, "Strip") else bpy.types.Sequence


# Strips and where they are


def strips(owner: bpy.types.SequenceEditor | bpy.types.MetaStrip) -> Any:  # noqa: ANN401 - bpy has no types
    """The strips right inside an editor or a meta strip."""
    return owner.strips if hasattr(owner, "strips") else owner.sequences


def all_strips(editor: bpy.types.SequenceEditor) -> list[Any]:
    """All strips of an editor, those inside meta strips too."""
    return list(editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all)


def sequencer_scene(context: bpy.types.Context) -> bpy.types.Scene | None:
    """The scene that the Sequencer edits; without windows it is the context's."""
    if not _OWN_SEQUENCER_SCENE:
        return context.scene
    return context.sequencer_scene or (context.scene if bpy.app.background else None)


def selected(context: bpy.types.Context) -> list[Any]:
    """The selected strips that the Sequencer shows."""
    scene = sequencer_scene(context)
    editor = scene.sequence_editor if scene else None
    if editor is None:
        return []
    shown = editor.meta_stack[-1] if len(editor.meta_stack) else editor
    return [strip for strip in strips(shown) if strip.select]


def select_alone(editor: bpy.types.SequenceEditor, chosen: Any) -> None:  # noqa: ANN401
    """Select one strip of the top level and no other of it, and make it the active one."""
    for strip in strips(editor):
        strip.select = strip == chosen
    editor.active_strip = chosen


# Time


def start(strip: Any) -> int:  # noqa: ANN401
    """The first timeline frame on which the strip is visible."""
    return int(strip.left_handle if _HANDLES else strip.frame_final_start)


def end(strip: Any) -> int:  # noqa: ANN401
    """The first timeline frame on which the strip is not visible any more."""
    return int(strip.right_handle if _HANDLES else strip.frame_final_end)


def duration(strip: Any) -> int:  # noqa: ANN401
    """The number of timeline frames on which the strip is visible."""
    return end(strip) - start(strip)


def set_visible(strip: Any, first: int, last: int) -> None:  # noqa: ANN401
    """Trim the strip to [first, last) without moving its content."""
    names = ("left_handle", "right_handle") if _HANDLES else ("frame_final_start", "frame_final_end")
    pairs = list(zip(names, (first, last), strict=True))
    for name, frame in pairs if first < end(strip) else reversed(pairs):
        setattr(strip, name, frame)


def move(strip: Any, frames: int) -> None:  # noqa: ANN401
    """Move the strip and its content by so many timeline frames."""
    name = "content_start" if _HANDLES else "frame_start"
    setattr(strip, name, getattr(strip, name) + frames)


def content_start(strip: Any) -> float:  # noqa: ANN401
    """The timeline frame on which frame 0 of the file lies or would lie (were the strip not retimed)."""
    if strip.type != "MOVIE":
        return _first(strip)
    return _first(strip) - _hidden(strip, "start") / _playback(strip).factor


def source_frame(strip: Any, frame: int) -> int:  # noqa: ANN401
    """The frame of its file that a movie strip shows at the timeline frame `frame`.

    The way from the timeline to the source, for trimmed, slipped, stretched, reversed, held and retimed strips. Beyond
    its content a strip shows the nearest frame that it has. Where a strip's rate is not the scene's, `measure` it
    before this is called while something is drawn.

    Raises
    ------
    UserError
        When the speed changes within the strip: Blender does not say how.
    """
    first, last = _first(strip), _content_end(strip)
    how = _playback(strip)
    # Blender counts in single precision, and where it rounds depends on that.
    ends = (frame, last - 1) if strip.use_reverse_frames else (first, frame)
    index = float(max(np.float32(ends[1]) - np.float32(ends[0]), np.float32(0)) * np.float32(how.factor))
    if how.stretch is not None:
        index = index * (how.frames if _KEY_AFTER_LAST else how.frames - 1) / how.stretch
    index = min(index, how.frames - 1.0)
    if strip.strobe > 1:
        index -= math.fmod(index, strip.strobe)
    return _hidden(strip, "start") + math.floor(index + 0.5)


def inner_frame(meta: Any, frame: int) -> int | None:  # noqa: ANN401
    """The timeline frame at which a meta strip shows its content at `frame`; None where that is not told.

    Beyond its content it shows the nearest frame that it has.
    """
    first, last = round(_first(meta)), round(_content_end(meta)) - 1
    inside = list(strips(meta))
    if meta.use_reverse_frames or meta.strobe > 1 or not inside:
        return None
    if (first, last + 1) != (min(map(start, inside)), max(map(end, inside))):  # stretched: Python has no keys of metas
        return None
    return min(max(frame, first), last)


def own_rate(strip: Any) -> bool:  # noqa: ANN401
    """Whether the movie strip plays at its file's own rate instead of frame by frame."""
    return _playback(strip).factor != 1.0


def retimed(strip: Any) -> bool:  # noqa: ANN401
    """Whether the movie strip has retiming keys."""
    return len(strip.retiming_keys) > 0


def heard_from(strip: Any) -> tuple[float, float]:  # noqa: ANN401
    """Where in its file a sound strip begins to be heard, s, and at which speed.

    Raises
    ------
    UserError
        When the speed changes within the strip.
    """
    keys = len(getattr(strip, "retiming_keys", ()))  # 4.2 retimes sound and does not tell
    _check_keys(strip, keys)
    rate = scene_rate(strip.id_data)
    length = _content_end(strip) - _first(strip)
    speed = 1.0
    if _WHOLE_KEYS:
        speed = strip.frame_duration / length if abs(strip.frame_duration - length) > 1 else 1.0
    elif keys:
        import aud  # type: ignore[import-not-found]  # Blender's own; its 4.2 module has none

        sound = aud.Sound(bpy.path.abspath(strip.sound.filepath))
        after = 0 if _KEY_AFTER_LAST else 1
        speed = (sound.length / sound.specs[0] * float(rate) - after) / (length - after)
    frames = (start(strip) - _first(strip)) * speed + _hidden(strip, "start")
    return float(Fraction(frames) / rate) + float(getattr(strip, "sound_offset", 0.0)), speed


def measure(strip: Any) -> None:  # noqa: ANN401
    """Note length and rate of the strip's file, by which `source_frame` knows whether the strip was stretched.

    Python cannot ask Blender for that, and the rate is only told by opening the file: tens of milliseconds, for each
    copy anew. Changes nothing that is seen; must not be called while something is drawn. Copies of a strip keep it.
    """
    if strip.vmg.source_frames == 0:
        strip.vmg.source_frames = _file_frames(strip)
        strip.vmg.source_rate = strip.fps


@dataclass(frozen=True)
class _Playback:
    """How a movie strip plays its file.

    Attributes
    ----------
    factor : float
        Source frames for each timeline frame, before retiming.
    frames : int
        Source frames that it has.
    stretch : float or None
        Where its speed was set: over how many (source) frames these are spread.
    """

    factor: float
    frames: int
    stretch: float | None = None


def _playback(strip: Any) -> _Playback:  # noqa: ANN401
    length = _content_end(strip) - _first(strip)
    render = strip.id_data.render
    rate = (strip.vmg.source_rate or strip.fps) / (render.fps / render.fps_base)
    keys = sorted(key.timeline_frame for key in strip.retiming_keys)  # none, or at least two
    _check_keys(strip, len(keys))
    if not keys and (rate == 0 or abs(rate - 1) * length < 0.5):
        return _Playback(1.0, round(length))
    frames = (strip.vmg.source_frames or _file_frames(strip)) - _hidden(strip, "start") - _hidden(strip, "end")
    unstretched = keys[1] - keys[0] if keys else frames  # where keys lie is given as if nothing were stretched
    stretched = rate > 0 and abs(length - unstretched / rate) < abs(length - unstretched)
    factor = rate if stretched else 1.0
    if not keys:
        return _Playback(factor, frames)
    last = round((length if _KEY_AFTER_LAST else length - 1) * factor, 6)
    return _Playback(factor, frames, unstretched + (0.0 if _WHOLE_KEYS else last % 1))


def _check_keys(strip: Any, keys: int) -> None:  # noqa: ANN401
    if keys > 2:
        raise UserError(
            f"The speed of the strip “{strip.name}” changes within it, and Blender does not tell how.",
            "Reset its retiming (Strip > Retiming), or cut it where its speed changes.",
            title="Speed changes within a strip",
        )


def _file_frames(strip: Any) -> int:  # noqa: ANN401
    """The number of frames of the strip's file, as Blender counts them; 0 when it cannot be read."""
    path = Path(bpy.path.abspath(strip.filepath))
    if not path.is_file():
        return 0
    clip = bpy.data.movieclips.load(str(path), check_existing=False)
    frames = int(clip.frame_duration)
    bpy.data.movieclips.remove(clip)
    return frames


def scene_rate(scene: bpy.types.Scene) -> Fraction:
    """Frames per second, exactly: 30 / 1.001 is 30000/1001."""
    base = np.float32(scene.render.fps_base)
    candidates = (Fraction(float(base)).limit_denominator(limit) for limit in (1, 10, 100, 1001, 10_000, 1_000_000))
    exact = next((one for one in candidates if np.float32(float(one)) == base), Fraction(float(base)))
    return Fraction(scene.render.fps) / exact


def _first(strip: Any) -> float:  # noqa: ANN401
    return float(strip.content_start if _HANDLES else strip.frame_start)


def _content_end(strip: Any) -> float:  # noqa: ANN401
    return end(strip) + float(strip.right_handle_offset if _HANDLES else strip.frame_offset_end)


def _hidden(strip: Any, side: str) -> int:  # noqa: ANN401
    """Frames of the file that are cut off for good at its "start" or "end"."""
    return int(getattr(strip, f"content_trim_{side}" if _HANDLES else f"animation_offset_{side}"))


def files_of(strip: Any) -> list[Path]:  # noqa: ANN401
    """The files that a movie, image or sound strip shows or plays."""
    if strip.type == "IMAGE":
        folder = Path(bpy.path.abspath(strip.directory))
        return [folder / element.filename for element in strip.elements]
    if strip.type == "SOUND" and strip.sound.packed_file:
        return []
    return [Path(bpy.path.abspath(strip.sound.filepath if strip.type == "SOUND" else strip.filepath))]


# New strips


def new_movie(owner: Any, name: str, path: str, channel: int, at: int) -> Any:  # noqa: ANN401
    """A movie strip that plays frame by frame; its frame 0 lies at `at`."""
    return strips(owner).new_movie(name, path, channel, at)


def new_images(owner: Any, name: str, paths: Sequence[Path], channel: int, at: int) -> Any:  # noqa: ANN401
    """An image strip of the files `paths`, all in one folder, one on each frame from `at` on."""
    strip = strips(owner).new_image(name, str(paths[0]), channel, at)
    for path in paths[1:]:
        strip.elements.append(path.name)
    set_visible(strip, at, at + len(paths))
    return strip


def new_meta(owner: Any, name: str, channel: int, at: int) -> Any:  # noqa: ANN401
    """An empty meta strip of one frame."""
    return strips(owner).new_meta(name, channel, at)


def new_cross(owner: Any, name: str, channel: int, first: int, last: int, out: Any, into: Any) -> Any:  # noqa: ANN401
    """A cross fade from the strip `out` to the strip `into` over the timeline frames [first, last)."""
    collection = strips(owner)
    if _OWN_SEQUENCER_SCENE:
        return collection.new_effect(name, "CROSS", channel, first, length=last - first, input1=out, input2=into)
    inputs = ("input1", "input2") if _VERSION >= (4, 4) else ("seq1", "seq2")
    effect = dict(zip(inputs, (out, into), strict=True))
    return collection.new_effect(name, "CROSS", channel, first, frame_end=last, **effect)


def new_text(owner: Any, name: str, text: str, channel: int, first: int, last: int) -> Any:  # noqa: ANN401
    """A text strip over the timeline frames [first, last)."""
    ends = {"length": last - first} if _OWN_SEQUENCER_SCENE else {"frame_end": last}
    strip = strips(owner).new_effect(name, "TEXT", channel, first, **ends)
    strip.text = text
    return strip


def color_icon(tag: int) -> str:
    """The icon of the colour tag 1 to 9."""
    return f"STRIP_COLOR_{tag:02}" if _VERSION >= (4, 4) else f"SEQUENCE_COLOR_{tag:02}"


# Surroundings


@contextlib.contextmanager
def editor_override(context: bpy.types.Context, scene: bpy.types.Scene) -> Iterator[None]:
    """Let operators of the Sequencer work on `scene`, whether or not a Sequencer is open."""
    window = context.window or context.window_manager.windows[0]
    areas = sorted(window.screen.areas, key=lambda area: area.type != "SEQUENCE_EDITOR")
    area, kind, workspace = areas[0], areas[0].type, window.workspace
    edited = workspace.sequencer_scene if _OWN_SEQUENCER_SCENE else None
    try:
        area.type = "SEQUENCE_EDITOR"
        if _OWN_SEQUENCER_SCENE:
            workspace.sequencer_scene = scene
        region = next(region for region in area.regions if region.type == "WINDOW")
        # two overrides, because one of a window brings the window's scene
        with context.temp_override(window=window, area=area, region=region), context.temp_override(scene=scene):
            yield
    finally:
        if _OWN_SEQUENCER_SCENE:
            workspace.sequencer_scene = edited
        area.type = kind


def redraw(*kinds: str) -> None:
    """Have all areas of these kinds drawn anew."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in kinds:
                area.tag_redraw()


@contextlib.contextmanager
def quiet(editor: bpy.types.SequenceEditor) -> Iterator[None]:
    """Keep Blender from reading frames ahead while strips change: that is a race in its core."""
    ahead = editor.use_prefetch
    editor.use_prefetch = False
    try:
        yield
    finally:
        editor.use_prefetch = ahead


def set_render_output(scene: bpy.types.Scene, path: str) -> None:
    """Render to `path` as H.264 in MP4, with AAC sound."""
    render = scene.render
    if hasattr(render.image_settings, "media_type"):
        render.image_settings.media_type = "VIDEO"
    render.image_settings.file_format = "FFMPEG"
    render.filepath = path
    render.use_file_extension = True
    render.ffmpeg.format = "MPEG4"
    render.ffmpeg.codec = "H264"
    render.ffmpeg.constant_rate_factor = "PERC_LOSSLESS"
    render.ffmpeg.audio_codec = "AAC"
    render.ffmpeg.audio_bitrate = 192


def render_film(scene: bpy.types.Scene) -> None:
    """Render the animation of `scene`; returns at its end in background mode, else at once."""
    chosen = {"scene": scene.name} if bpy.app.background or not _OWN_SEQUENCER_SCENE else {"use_sequencer_scene": True}
    bpy.ops.render.render("EXEC_DEFAULT" if bpy.app.background else "INVOKE_DEFAULT", animation=True, **chosen)
