"""Describing a video file: decoded once from start to end, never trusting its header."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ..errors import UserError
from ..files import content_hash
from ..progress import SILENT, Progress
from .colour import planes_of
from .decoding import Decoder, check_file, opened, stamp, video_stream
from .footage import Footage
from .rates import rate_of_stamps
from .shots import THUMBNAIL, find_shots


def open_footage(
    path: Path,
    *,
    fps: Fraction | None = None,
    ranges: Sequence[tuple[int, int]] | None = None,
    progress: Progress = SILENT,
) -> Footage:
    """Decode a whole video file once and describe it.

    A file that is damaged somewhere is described up to the damage, with a `UserWarning`: what follows
    would be predicted from broken pictures.

    Parameters
    ----------
    path : Path
        A video file.
    fps : Fraction, optional
        The rate that the motion has, where the container's is wrong.
    ranges : sequence of (int, int), optional
        First and last frame (inclusive) of what may be used; overlapping ones are joined.
    progress : Progress
        Told how far the file is decoded.

    Raises
    ------
    UserError
        When the file is missing, a folder, empty, broken, without moving pictures or with fewer than
        two of them, or when a range lies outside of it.
    """
    path = Path(path)
    check_file(path)
    identity = content_hash(path, progress)
    scan = scan_video(path, progress)
    if len(scan.pts) < 2:
        raise UserError(
            f"{path.name} has {'only one picture' if len(scan.pts) else 'no picture that can be decoded'}.",
            "Choose a video of at least two frames.",
            title="No video",
        )
    rate, variable = rate_of_stamps(scan.pts, scan.time_base, scan.declared_rate)
    footage = Footage(
        id=identity,
        path=path,
        fps=fps if fps is not None else rate,
        size=scan.size,
        rotation=scan.rotation,
        pts=scan.pts,
        time_base=scan.time_base,
        variable_rate=variable,
        shots=find_shots(scan.thumbnails),
        ranges=usable_ranges(ranges, len(scan.pts), path),
        damaged=scan.damaged,
    )
    if footage.damage:
        warnings.warn(footage.damage, stacklevel=2)
    return footage


def check_same_format(footages: Sequence[Footage]) -> None:
    """Check that footages can be cut together: same size, same rate.

    Raises
    ------
    UserError
        Names the first footage that differs from the first one.
    """
    for footage in footages[1:]:
        first = footages[0]
        if footage.size != first.size:
            raise UserError(
                f"{footage.name} is {footage.size[0]}x{footage.size[1]}, {first.name} is "
                f"{first.size[0]}x{first.size[1]}.",
                "Scale one of them to the size of the other; footage that is cut together has one size.",
                title="Different sizes",
            )
        if footage.fps != first.fps:
            raise UserError(
                f"{footage.name} has {float(footage.fps):g} frames per second, {first.name} has {float(first.fps):g}.",
                "Convert one of them, or state the rate that the motion has.",
                title="Different frame rates",
            )


@dataclass(frozen=True)
class Scan:
    """What one pass over a file's pictures tells; see `Footage` for the fields of the same name.

    Attributes
    ----------
    declared_rate : Fraction or None
        The container's.
    thumbnails : uint8 [T, h, w]
        Small grey pictures of all frames.
    damaged : bool
        Whether the file ended in a damage.
    """

    pts: NDArray[np.int64]
    time_base: Fraction
    declared_rate: Fraction | None
    size: tuple[int, int]
    rotation: int
    thumbnails: NDArray[np.uint8]
    damaged: bool


def scan_video(path: Path, progress: Progress = SILENT) -> Scan:
    """Decode all of a file's good pictures; those with the same time stamp count once.

    Decoders on several threads notice a damage a few pictures late, and on one thread the picture before
    it may be torn already: a damaged file is decoded again on one thread, and its last picture left out.
    """
    scan = _decode_all(path, progress, threads=True)
    if not scan.damaged:
        return scan
    scan = _decode_all(path, progress, threads=False)
    return replace(scan, pts=scan.pts[:-1], thumbnails=scan.thumbnails[:-1])


def _decode_all(path: Path, progress: Progress, *, threads: bool) -> Scan:
    stamps: list[int] = []
    thumbnails: list[NDArray[np.uint8]] = []
    size, rotation = (0, 0), 0
    length = path.stat().st_size
    shrinking = VideoReformatter()  # one for all: setting it up takes longer than shrinking a picture

    def on_packet(packet: av.Packet[VideoStream]) -> None:
        if packet.pos is not None and packet.pos >= 0:
            progress.update(packet.pos / length)
        progress.check()

    with opened(path) as container:
        stream = video_stream(container, path, threads=threads)
        decoder = Decoder(container, stream, on_packet)
        for frame in decoder.frames():
            pts = stamp(frame)
            if pts is None:
                raise UserError(f"{path.name} has no time stamps.", "Export it again, as MP4.", title="No time stamps")
            if not stamps:
                size, rotation = (frame.width, frame.height), clockwise_rotation(frame)
            elif (frame.width, frame.height) != size:
                raise UserError(
                    f"{path.name} changes its picture size at frame {len(stamps)}.",
                    "Export it again with one size.",
                    title="Changing size",
                )
            stamps.append(pts)
            small = shrinking.reformat(frame, width=THUMBNAIL, height=THUMBNAIL, format="gray", threads=1)
            thumbnails.append(planes_of(small)[0].copy())
        if stream.time_base is None:
            raise UserError(f"{path.name} has no time stamps.", "Export it again, as MP4.", title="No time stamps")
        time_base, declared = stream.time_base, stream.guessed_rate
    pts_index, order = np.unique(np.array(stamps, np.int64), return_index=True)
    return Scan(
        pts=pts_index,
        time_base=time_base,
        declared_rate=declared,
        size=size if rotation % 180 == 0 else size[::-1],
        rotation=rotation,
        thumbnails=np.array(thumbnails, np.uint8).reshape(-1, THUMBNAIL, THUMBNAIL)[order],
        damaged=decoder.damaged,
    )


def clockwise_rotation(frame: av.VideoFrame) -> int:
    """The quarter turns, in clockwise degrees, that show a decoded picture upright.

    FFmpeg gives the display matrix's angle counter-clockwise.
    """
    return round(-frame.rotation / 90) % 4 * 90


def usable_ranges(ranges: Sequence[tuple[int, int]] | None, frames: int, path: Path) -> NDArray[np.int32]:
    """The ranges sorted and joined, int32 [R, 2]; all frames without any.

    Raises
    ------
    UserError
        When one lies outside of the file, or nothing is left.
    """
    if ranges is None:
        ranges = [(0, frames - 1)]
    joined: list[list[int]] = []
    for first, last in sorted(ranges):
        if not 0 <= first <= last < frames:
            raise UserError(
                f"{path.name} has no frames {first} to {last}: it has the frames 0 to {frames - 1}.",
                "Give ranges that lie inside the file.",
                title="Range outside the footage",
            )
        if joined and first <= joined[-1][1] + 1:
            joined[-1][1] = max(joined[-1][1], last)
        else:
            joined.append([first, last])
    if not joined:
        raise UserError(f"Nothing of {path.name} may be used.", "Leave at least one range.", title="Nothing to use")
    return np.array(joined, np.int32)
