"""The sound of any media file as samples, by PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..progress import SILENT, Progress

if TYPE_CHECKING:
    from av.container import InputContainer

JITTER_SECONDS = 0.03
"""Time stamps that differ by less from the samples before them are only rounded."""
LONGEST_GAP_SECONDS = 60.0
"""A longer jump of the time stamps is no pause of the recording but a broken file."""
CUT_OFF_SECONDS = 0.5
"""A file that ends so long before the length in its header was cut off."""
LENGTH_IS_ESTIMATED = frozenset({"mp3", "aac"})
"""Formats whose header does not hold the length: a short file cannot be told from a wrong estimate."""


def load_audio(
    path: Path,
    *,
    start: float = 0.0,
    seconds: float | None = None,
    rate: int = 22050,
    mono: bool = True,
    progress: Progress = SILENT,
) -> tuple[NDArray[np.float32], int]:
    """Read the sound of a media file (music, or a video's sound track), resampled.

    Time 0 is where players begin: the start of the container. A sound track that begins later, and a pause in its
    time stamps, are silence here, so that samples stay at their times.

    Parameters
    ----------
    path : Path
        Any file that FFmpeg reads; its first sound track is taken.
    start : float
        Seconds to leave out at the beginning.
    seconds : float, optional
        Length wanted (to the end by default); less comes back where the sound ends earlier.
    rate : int
        Samples per second wanted.
    mono : bool
        Whether to average the channels.
    progress : Progress
        Only asked whether to stop.

    Returns
    -------
    samples : float32 [N], or [N, C] with ``mono=False``
        Full scale is 1.
    rate : int
        As asked for.

    Raises
    ------
    UserError
        When the file is missing, without sound, empty, broken or cut off, or has no sound in the part asked for.
    """
    from scipy.signal import resample_poly

    if start < 0 or (seconds is not None and seconds <= 0):
        raise UserError(
            f"The part of {path.name} that was asked for (from {start:g} s, {seconds} s long) does not exist.",
            "Give a start of 0 or more and a length above 0.",
        )
    blocks: list[NDArray[np.float32]] = []
    end = 0
    for at, block, native in _blocks(path):
        progress.check()
        end = at + len(block)
        first = round(start * native)
        last = None if seconds is None else first + round(seconds * native)
        wanted = block[max(first - at, 0) : None if last is None else max(last - at, 0)]
        if len(wanted):
            blocks.append(wanted.mean(axis=1) if mono else wanted)
        if last is not None and end >= last:
            break
    if not blocks:
        raise UserError(
            f"{path.name} ends after {end / native:.2f} s, before the part asked for (from {start:g} s).",
            "Choose an earlier start.",
        )
    samples = np.concatenate(blocks)
    if native != rate:
        common = gcd(native, rate)
        samples = resample_poly(samples, rate // common, native // common, axis=0)
    return np.ascontiguousarray(samples, dtype=np.float32), rate


def audio_seconds(path: Path) -> float:
    """Measure the length of a media file's sound in seconds, by decoding (headers may be wrong).

    Raises
    ------
    UserError
        As `load_audio`.
    """
    end = 0.0
    for at, block, native in _blocks(path):
        end = (at + len(block)) / native
    return end


def _blocks(path: Path) -> Iterator[tuple[int, NDArray[np.float32], int]]:
    """Position, samples [n, C] and rate of one piece after the other, without gaps, from position 0 on."""
    import av
    import av.error

    try:
        container = av.open(str(path))
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UserError(f"There is no file {path}.", "Check the path.", title="File not found") from error
    except PermissionError as error:
        raise UserError(f"{path} may not be read.", "Change its permissions, or copy it.") from error
    except (av.error.FFmpegError, OSError) as error:
        raise UserError(
            f"{path.name} is empty, broken or no media file.", "Choose a music or video file that plays."
        ) from error
    with container:
        if not container.streams.audio:
            raise UserError(f"{path.name} has no sound.", "Choose a file with a sound track.", title="No sound")
        yield from _gapless(container, path)


def _gapless(container: InputContainer, path: Path) -> Iterator[tuple[int, NDArray[np.float32], int]]:
    """Pieces of the first sound track at the positions that their time stamps say, pauses as silence."""
    import av
    import av.error

    stream = container.streams.audio[0]
    native = stream.rate
    to_float = av.AudioResampler(format="fltp", layout=stream.layout, rate=native)
    origin = (container.start_time or 0) / av.time_base
    position = 0
    failure: Exception | None = None
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            frames = packet.decode() if packet is not None else []
        except av.error.FFmpegError as error:
            failure = failure or error
            continue
        if packet is None:
            break
        for frame in frames:
            if failure is not None:
                raise _broken(path, position / native) from failure
            gap = 0 if frame.time is None else round((frame.time - origin) * native) - position
            if gap > LONGEST_GAP_SECONDS * native:
                raise _broken(path, position / native)
            try:
                block = np.concatenate([part.to_ndarray().T for part in to_float.resample(frame)])
            except ValueError as error:  # the rate or the channels change midway
                raise _broken(path, position / native) from error
            if gap > JITTER_SECONDS * native:
                block = np.concatenate([np.zeros((gap, block.shape[1]), np.float32), block])
            yield position, block, native
            position += len(block)
    if position == 0:
        raise UserError(
            f"The sound of {path.name} is empty or broken.", "Choose a file that plays with sound."
        ) from failure
    declared = None if stream.duration is None else float(stream.duration * (stream.time_base or 0))
    cut_off = declared is not None and position / native < declared - CUT_OFF_SECONDS
    if cut_off and container.format.name not in LENGTH_IS_ESTIMATED:
        raise UserError(
            f"{path.name} is cut off: it should be {declared:.1f} s long but ends after {position / native:.1f} s.",
            "Copy or export it again.",
            title="Broken file",
        ) from failure


def _broken(path: Path, at: float) -> UserError:
    return UserError(
        f"The sound of {path.name} is broken after {at:.1f} s.",
        "Copy it again, or convert it to WAV or FLAC with a sound editor.",
        title="Broken file",
    )
