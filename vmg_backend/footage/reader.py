"""Any frame of a footage, exactly."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from ..errors import UserError
from .colour import Colour, frame_of_planes, planes_of, recoded, rgb_of
from .decoding import Decoder, opened, stamp, video_stream
from .footage import Footage

_NEAR = 32
"""Frames ahead up to which decoding on is cheaper than a seek, which costs half a group of pictures."""
_KEPT = 12
"""Decoded frames kept, so that stepping backwards does not seek each time."""


class FrameReader:
    """Reads frames by number, in any order; a context manager.

    Frame k is the picture whose time stamp is ``footage.pts[k]``, whatever the container's index, header
    or rounding say: the reader seeks to a key frame before it and decodes until that stamp comes by.

    Parameters
    ----------
    footage : Footage

    Raises
    ------
    UserError
        When the file cannot be opened any more, or has changed so that a frame is gone.
    """

    def __init__(self, footage: Footage) -> None:
        self.footage = footage
        self._open = ExitStack()
        self._kept: OrderedDict[int, av.VideoFrame] = OrderedDict()
        self._colour: Colour | None = None
        self._converter = VideoReformatter()

    def __enter__(self) -> Self:
        self._restart()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept.clear()
        self._open.close()

    @property
    def colour(self) -> Colour:
        """How the file's colours are coded, for a `VideoWriter` that carries them on."""
        if self._colour is None:
            self._colour = Colour.of(self._decoded(0), self._stream.codec_context)
        return self._colour

    def frame(self, k: int) -> NDArray[np.uint8]:
        """Frame k upright, RGB uint8 [H, W, 3].

        Raises
        ------
        IndexError
            When the footage has no frame k.
        """
        return np.ascontiguousarray(np.rot90(rgb_of(self._decoded(k), self._converter), -self.footage.rotation // 90))

    def frames(self, first: int, last: int) -> Iterator[NDArray[np.uint8]]:
        """The frames first..last (inclusive), as `frame` gives them."""
        for k in range(first, last + 1):
            yield self.frame(k)

    def video_frame(self, k: int) -> av.VideoFrame:
        """Frame k upright as yuv420p, coded as `colour` says; the bytes of the file where it is 8-bit 4:2:0.

        The frame is the caller's own.
        """
        turns = -self.footage.rotation // 90
        planes = planes_of(recoded(self._decoded(k), self.colour))
        return frame_of_planes([np.rot90(plane, turns) for plane in planes], self.colour)

    def video_frames(self, first: int, last: int) -> Iterator[av.VideoFrame]:
        """The frames first..last (inclusive), as `video_frame` gives them."""
        for k in range(first, last + 1):
            yield self.video_frame(k)

    def _decoded(self, k: int) -> av.VideoFrame:
        """Frame k as the decoder gave it."""
        if not 0 <= k < self.footage.frames:
            raise IndexError(f"{self.footage.name} has no frame {k}; it has {self.footage.frames}.")
        if k in self._kept:
            self._kept.move_to_end(k)
            return self._kept[k]
        if 0 <= k - self._next <= _NEAR and (frame := self._decode_until(k)) is not None:
            return frame
        back = 0
        while back < k:
            # Seeking may land behind the wanted frame: containers index decoding times, round them, or
            # start at an open group of pictures whose first ones cannot be decoded. Then from further back.
            if self._seek(k - back) and (frame := self._decode_until(k)) is not None:
                return frame
            back = 4 * back + 1
        self._restart(threads=False)
        if (frame := self._decode_until(k)) is not None:
            return frame
        raise UserError(
            f"Frame {k} of {self.footage.name} cannot be read any more: the file has changed.",
            "Analyse it again.",
            title="Footage has changed",
        )

    def _decode_until(self, k: int) -> av.VideoFrame | None:
        """Decode on to frame k; None where the decoder has passed it or ends before it."""
        wanted = int(self.footage.pts[k])
        for frame in self._frames:
            pts = stamp(frame)
            if pts is None:
                continue
            number = int(np.searchsorted(self.footage.pts, pts))
            self._next = number + 1
            if pts > wanted:
                return None
            if number < self.footage.frames and self.footage.pts[number] == pts and number not in self._kept:
                self._kept[number] = frame
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            if pts == wanted:
                return frame
        self._next = self.footage.frames
        return None

    def _seek(self, k: int) -> bool:
        """Go to the key frame before frame k; False where the container cannot."""
        try:
            self._container.seek(int(self.footage.pts[k]), stream=self._stream, backward=True)
        except av.error.FFmpegError:
            return False
        self._frames = Decoder(self._container, self._stream).frames()
        self._next = k
        return True

    def _restart(self, *, threads: bool = True) -> None:
        """Open the file anew: every frame is reached from its start, even next to a damage on one thread."""
        self._open.close()
        self._container = self._open.enter_context(opened(self.footage.path))
        self._stream = video_stream(self._container, self.footage.path, threads=threads)
        self._frames = Decoder(self._container, self._stream).frames()
        self._next = 0
