"""Films: H.264 with every frame at its own number, and sound of exactly the wanted length."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .colour import Colour, frame_of_planes, padded_to_even, planes_of, recoded, yuv_of_rgb
from .decoding import opened

SUFFIXES = (".mp4", ".m4v", ".mov")
_AAC_RATES = (44100, 48000)


class VideoWriter:
    """Writes a film, H.264 yuv420p, frame by frame; a context manager.

    Frames of footage go through as YCbCr (`FrameReader.video_frame`), untouched but for the compression;
    RGB pictures are coded with the same matrix and range, so that both look the same side by side.
    A picture with an odd side is given one more row or column, a copy of the last.

    Parameters
    ----------
    path : Path
        An .mp4, .m4v or .mov; written in place (see `files.writing`).
    size : tuple of int
        (width, height) in px of the frames that will come.
    fps : Fraction
        Frame k is shown from k / fps on.
    colour : Colour
        How colours are coded, as `FrameReader.colour` gives it for the footage.
    audio : Path, optional
        A file whose sound goes under the film, as AAC.
    audio_start : float
        Where in that sound the film begins, seconds from its first sample.
    seconds : float, optional
        How long the sound is: cut or filled with silence to exactly that, by default to the frames' time.
    crf : int
        Constant rate factor of x264; smaller is better.
    gop : int, optional
        Frames between key frames; x264's choice without.

    Raises
    ------
    UserError
        For an unknown suffix, or a sound file that has no sound.
    OSError
        When the disk is full or the folder cannot be written; `files.writing` says it to the person.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        fps: Fraction,
        *,
        colour: Colour | None = None,
        audio: Path | None = None,
        audio_start: float = 0.0,
        seconds: float | None = None,
        crf: int = 18,
        gop: int | None = None,
    ) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise UserError(
                f"A film cannot be written as “{path.suffix}”.",
                f"Choose a name that ends in {' or '.join(SUFFIXES)}.",
                title="Unknown film format",
            )
        self._path, self._size, self._fps = path, size, fps
        self._colour = colour if colour is not None else Colour()
        self._audio, self._audio_start, self._seconds = audio, audio_start, seconds
        self._options = {"crf": str(crf)} | ({"g": str(gop)} if gop is not None else {})
        self._open = ExitStack()
        self._written = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._container = stack.enter_context(
                # The movie's clock cuts the sound to length: its default ticks are milliseconds.
                av.open(str(self._path.absolute()), "w", options={"movflags": "+faststart", "movie_timescale": "48000"})
            )
            self._stream = self._container.add_stream("libx264", rate=self._fps, options=self._options)
            self._stream.width, self._stream.height = (side + side % 2 for side in self._size)
            self._stream.pix_fmt = "yuv420p"
            codec = self._stream.codec_context
            codec.time_base = 1 / self._fps
            codec.colorspace, codec.color_range = self._colour.matrix, self._colour.range
            codec.color_primaries, codec.color_trc = self._colour.primaries, self._colour.transfer
            self._sound = None
            if self._audio is not None:
                self._sound = stack.enter_context(_Soundtrack(self._container, self._audio, self._audio_start))
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._open:
            if kind is None:
                self._container.mux(self._stream.encode(None))
                if self._sound is not None:
                    seconds = self._seconds if self._seconds is not None else float(self._written / self._fps)
                    self._sound.write_until(seconds)
                    self._sound.finish()

    def write(self, picture: av.VideoFrame | NDArray[np.uint8]) -> None:
        """Write the next frame: a video frame of any coding, or RGB uint8 [H, W, 3].

        Raises
        ------
        ValueError
            When the picture has not the film's size.
        """
        if isinstance(picture, av.VideoFrame):
            size = (picture.width, picture.height)
        else:
            size = (picture.shape[1], picture.shape[0])
        if size != self._size:
            raise ValueError(f"a picture of {size} for a film of {self._size}")
        if isinstance(picture, av.VideoFrame):
            coded = recoded(picture, self._colour)
        else:
            coded = yuv_of_rgb(picture, self._colour)
        # A frame of our own: the decoder's picture type would force the encoder's.
        frame = frame_of_planes(padded_to_even(planes_of(coded)), self._colour)
        frame.pts, frame.time_base = self._written, 1 / self._fps
        self._container.mux(self._stream.encode(frame))
        self._written += 1
        if self._sound is not None:
            now = float(self._written / self._fps)
            self._sound.write_until(min(now, self._seconds) if self._seconds is not None else now)


class _Soundtrack:
    """The sound of a file, coded as AAC beside the frames as they come."""

    def __init__(self, container: av.container.OutputContainer, path: Path, start: float) -> None:
        self._container, self._path, self._start = container, path, start
        self._open = ExitStack()
        self._samples = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            source = stack.enter_context(opened(self._path))
            stream = next(iter(source.streams.audio), None)
            if stream is None or stream.codec_context is None:
                raise UserError(
                    f"{self._path.name} has no sound in it.", "Choose a music or speech file.", title="No sound"
                )
            self._rate = stream.rate if stream.rate in _AAC_RATES else 48000
            self._layout = "mono" if stream.channels == 1 else "stereo"
            self._out = self._container.add_stream("aac", rate=self._rate, layout=self._layout)
            self._out.bit_rate = 192_000
            self._blocks = self._decode(source, stream)
            self._block = np.zeros((1 if self._layout == "mono" else 2, 0), np.float32)
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def write_until(self, seconds: float) -> None:
        """Code the sound up to `seconds` of the film; silence where the file has ended."""
        missing = round(seconds * self._rate) - self._samples
        while missing > 0:
            if self._block.shape[1] == 0:
                silence = np.zeros((self._block.shape[0], missing), np.float32)
                self._block = next(self._blocks, silence)
            taken, self._block = self._block[:, :missing], self._block[:, missing:]
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(taken), format="fltp", layout=self._layout)
            frame.rate, frame.pts, frame.time_base = self._rate, self._samples, Fraction(1, self._rate)
            self._container.mux(self._out.encode(frame))
            self._samples += taken.shape[1]
            missing -= taken.shape[1]

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._container.mux(self._out.encode(None))

    def _decode(self, source: av.container.InputContainer, stream: av.AudioStream) -> Iterator[NDArray[np.float32]]:
        """Blocks [C, n] of the file's samples, n > 0, from the start on."""
        resampler = av.AudioResampler(format="fltp", layout=self._layout, rate=self._rate)
        skip = round(self._start * self._rate)
        for packet in source.demux(stream):
            try:
                decoded = packet.decode()
            except av.error.InvalidDataError:
                continue  # tags and torn frames at the ends of MP3 files
            for frame in [*decoded, None] if packet.size == 0 else decoded:
                for resampled in resampler.resample(frame):
                    samples = np.asarray(resampled.to_ndarray(), np.float32)[:, skip:]
                    skip -= min(skip, resampled.samples)
                    if samples.shape[1] > 0:
                        yield samples
