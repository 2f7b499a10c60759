"""Files of which Blender shows frame k as frame k.

Blender asks a file for frame k by the time k / rate after its start. That finds another frame where time
stamps are rounded (Matroska's milliseconds), have gaps, or follow no constant rate.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import av
import av.error
import numpy as np

from ..files import writing
from ..progress import SILENT, Progress
from .decoding import opened, video_stream
from .footage import Footage
from .opening import scan_video
from .reader import FrameReader
from .writer import VideoWriter

_CRF, _GOP = 12, 12
"""For a re-encoded file: hardly lossy, and quick to seek in."""


def needs_conform(footage: Footage) -> bool:
    """Whether Blender would show another picture than frame k at some frame k of a strip.

    Blender's versions round the time of a frame down or to the nearest tick; both must find the frame.
    """
    with opened(footage.path) as container:
        stream = video_stream(container, footage.path)
        rate = stream.guessed_rate
        start = stream.start_time if stream.start_time is not None else int(footage.pts[0])
    if rate is None or rate <= 0:
        return True
    ticks = 1 / (rate * footage.time_base)
    k = np.arange(footage.frames, dtype=np.int64)
    down = k * ticks.numerator // ticks.denominator
    nearest = (2 * k * ticks.numerator + ticks.denominator) // (2 * ticks.denominator)
    return any(
        not np.array_equal(np.searchsorted(footage.pts, start + asked, side="right") - 1, k)
        for asked in (down, nearest)
    )


class Conformed(NamedTuple):
    """The copy, and whether its pictures had to be encoded anew."""

    path: Path
    encoded: bool


def conform(footage: Footage, destination: Path, progress: Progress = SILENT) -> Conformed:
    """Make a file with frame k of `footage` at the time k / fps, without sound.

    The packets are copied, so that the pictures stay what they are; where they cannot be (a codec that
    MP4 has no place for, packets that are no frames), each frame is encoded anew.

    Parameters
    ----------
    footage : Footage
    destination : Path
        An .mp4 file.

    Returns
    -------
    Conformed

    Raises
    ------
    UserError
        When `destination` cannot be written.
    """
    with writing(destination) as temporary:
        copied = _remux(footage, temporary, progress) and _is_regular(footage, temporary, progress.part(0.0, 0.3))
        if not copied:
            _encode(footage, temporary, progress.part(0.3, 1.0))
    progress.update(1.0)
    return Conformed(destination, not copied)


def _remux(footage: Footage, target: Path, progress: Progress) -> bool:
    """Copy the packets with regular time stamps; False where that is impossible."""
    try:
        with opened(footage.path) as source:
            stream = video_stream(source, footage.path)
            packets = []
            for packet in source.demux(stream):
                progress.check()
                if packet.size and not packet.is_discard:
                    packets.append(packet)
            shown = [packet.pts for packet in packets if packet.pts is not None]
            if len(shown) < len(packets) or sorted(shown) != footage.pts.tolist():
                return False
            numbers = np.searchsorted(footage.pts, np.array(shown, np.int64))
            delay = int(np.max(np.arange(len(numbers)) - numbers))
            with av.open(str(target.absolute()), "w", options={"movflags": "+faststart"}) as container:
                copy = container.add_stream_from_template(stream)
                copy.time_base = 1 / footage.fps
                for position, (packet, number) in enumerate(zip(packets, numbers.tolist(), strict=True)):
                    progress.check()
                    packet.stream = copy
                    packet.time_base = 1 / footage.fps
                    packet.pts, packet.dts, packet.duration = number, position - delay, 1
                    container.mux(packet)
    except (av.error.InvalidDataError, av.error.ArgumentError, ValueError):
        return False  # MP4 has no place for this codec
    return True


def _is_regular(footage: Footage, copy: Path, progress: Progress) -> bool:
    """Whether the copy has all frames, at even times."""
    scan = scan_video(copy, progress)
    ticks = 1 / (footage.fps * scan.time_base)
    even = scan.pts[0] + np.array([round(k * ticks) for k in range(footage.frames)], np.int64)
    return scan.rotation == footage.rotation and np.array_equal(scan.pts, even)


def _encode(footage: Footage, target: Path, progress: Progress) -> None:
    warnings.warn(f"{footage.name} cannot be copied frame by frame into MP4: it is encoded anew.", stacklevel=3)
    with (
        FrameReader(footage) as reader,
        VideoWriter(target, footage.size, footage.fps, colour=reader.colour, crf=_CRF, gop=_GOP) as writer,
    ):
        for k, frame in enumerate(reader.video_frames(0, footage.frames - 1)):
            progress.update(k / footage.frames)
            writer.write(frame)
