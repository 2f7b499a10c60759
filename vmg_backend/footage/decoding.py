"""Opening a video file and decoding it up to its first damage: the one way that frames come in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from ..errors import UserError


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """An FFmpeg container of a local file.

    Raises
    ------
    UserError
        When there is no such file, or it is a folder, empty, unreadable or of no known kind.
    """
    check_file(path)
    try:
        # The absolute path keeps FFmpeg from reading "a:b.mp4" as a protocol; nothing but files is opened.
        container = av.open(str(path.absolute()), container_options={"protocol_whitelist": "file"})
    except PermissionError as error:
        raise UserError(
            f"{path.name} may not be read.", "Give yourself the right to read it.", title="Cannot read"
        ) from error
    except (av.error.FFmpegError, OSError) as error:
        raise UserError(
            f"{path.name} cannot be opened: it is damaged, cut short, or of a kind that FFmpeg does not know.",
            "Check that it plays elsewhere, and export or copy it again.",
            title="Cannot open",
        ) from error
    with container:
        yield container


def check_file(path: Path) -> None:
    """Raise a UserError unless `path` is a file with something in it."""
    if not path.exists():
        raise UserError(f"There is no file {path}.", "Check the name and the folder.", title="File not found")
    if not path.is_file():
        raise UserError(f"{path} is not a file.", "Choose a video file.", title="Not a file")
    if path.stat().st_size == 0:
        raise UserError(f"{path.name} is empty.", "Export or copy it again.", title="Empty file")


def video_stream(container: InputContainer, path: Path, *, threads: bool = True) -> VideoStream:
    """The stream of moving pictures, for decoding on one thread or several; album covers are none.

    Raises
    ------
    UserError
        When there is none, or no decoder for it.
    """
    for stream in container.streams.video:
        if not stream.disposition & stream.disposition.attached_pic:
            if stream.codec_context is None:
                raise UserError(
                    f"{path.name} is coded in a way that cannot be decoded here.",
                    "Export it again as H.264.",
                    title="Unknown codec",
                )
            stream.thread_type = "AUTO" if threads else "NONE"
            return stream
    raise UserError(
        f"{path.name} has no moving pictures in it, only sound or data.",
        "Choose a video file.",
        title="No video",
    )


def stamp(frame: av.VideoFrame) -> int | None:
    """The frame's presentation time stamp; where a container has only decoding stamps (AVI), that one."""
    return frame.pts if frame.pts is not None else frame.dts


class Decoder:
    """Decodes a stream from where its container stands until the end or the first damage.

    Packets that do not decode before the first picture are skipped (a file cut without regard to key
    frames starts with some). After that, the first packet or picture marked as damaged ends the stream:
    what follows would be predicted from broken pictures.

    Attributes
    ----------
    damaged : bool
        Whether the end was a damage.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        on_packet: Callable[[av.Packet[VideoStream]], None] | None = None,
    ) -> None:
        self.damaged = False
        self._container, self._stream, self._on_packet = container, stream, on_packet

    def frames(self) -> Iterator[av.VideoFrame]:
        """The good frames, in the order of presentation."""
        fed = started = False
        end: int | None = None
        packets = self._container.demux(self._stream)
        while not self.damaged:
            packet = None
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                if self._on_packet is not None:
                    self._on_packet(packet)
                if packet.is_corrupt and not fed:
                    continue
                self.damaged = packet.is_corrupt
                pictures = [] if self.damaged else self._stream.decode(packet)
                fed = True
            except (av.error.FFmpegError, OSError):
                if not started:
                    continue
                self.damaged = True
            if self.damaged:
                pictures = self._rest()
                end = packet.pts if packet is not None else None
            for picture in pictures:
                pts = stamp(picture)
                if end is not None and pts is not None and pts >= end:
                    return  # decoded ahead of the broken one, but shown after it
                if not picture.is_corrupt:
                    started = True
                    yield picture
                elif started:
                    self.damaged = True
                    return

    def _rest(self) -> list[av.VideoFrame]:
        """What the decoder still holds from before the damage."""
        try:
            return self._stream.decode(None)
        except av.error.FFmpegError:
            return []
