"""The final cut: original frames, generated transitions and the sound, encoded once."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path as FilePath

from .files import writing
from .footage import Footage, FrameReader, VideoWriter
from .interpolation.fill import read_transition
from .progress import SILENT, Progress
from .search.path import Path


def render(path: Path, footages: Mapping[str, Footage], out: FilePath, progress: Progress = SILENT) -> None:
    """Write the performance as H.264 with its sound.

    Original frames go to the encoder as they were decoded, without a conversion of colours.

    Parameters
    ----------
    path : Path
        With all transitions filled.
    footages : mapping of str to Footage
        By content hash.
    out : Path
        The file to write, whole or not at all.
    progress : Progress

    Raises
    ------
    UserError
        When a transition is not filled or its frames are gone, or `out` cannot be written.
    """
    for transition in path.transitions:
        read_transition(transition)  # what is missing is said before minutes of encoding
    generated = {transition.at: transition for transition in path.transitions}
    first = footages[path.segments[0].footage]
    with ExitStack() as stack:
        readers = {key: stack.enter_context(FrameReader(footage)) for key, footage in footages.items()}
        temporary = stack.enter_context(writing(out))
        writer = stack.enter_context(
            VideoWriter(
                temporary,
                first.size,
                path.fps,
                colour=readers[first.id].colour,
                audio=FilePath(path.audio.path) if path.audio else None,
                audio_start=path.audio.start if path.audio else 0.0,
                seconds=path.audio.seconds if path.audio else None,
            )
        )
        segments = {segment.at: segment for segment in path.segments}
        at = 0
        while at < path.frames:
            progress.update(at / path.frames)
            if at in generated:
                for picture in read_transition(generated[at]):
                    writer.write(picture)
                at += generated[at].frames
            else:
                segment = segments[at]
                for frame in segment.sources.tolist():
                    progress.update(at / path.frames)
                    writer.write(readers[segment.footage].video_frame(frame))
                    at += 1
