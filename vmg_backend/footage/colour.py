"""Pictures as planes: how colours are coded, and turning and padding without an RGB round trip."""

from __future__ import annotations

from dataclasses import dataclass, replace

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

_RGB, _BT709, _UNSPECIFIED = 0, 1, 2
_LIMITED, _FULL = 1, 2
_SCALER_MATRIX = {1: Colorspace.ITU709, 4: Colorspace.FCC, 7: Colorspace.SMPTE240M, 9: Colorspace.BT2020}
_LUMA_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
_BT601_WEIGHTS = (0.299, 0.114)
"""Shares of red and blue in luma, by matrix."""
_EXACTLY = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
"""FFmpeg's quick conversion rounds down, which darkens a picture by one level on each way through RGB."""


@dataclass(frozen=True)
class Colour:
    """How a video's YCbCr values stand for colours (code points of ITU-T H.273).

    An unspecified matrix (2) is read as BT.601 and an unspecified range (0) as limited, as FFmpeg and
    Blender read them; what is written with the same facts is read back the same.
    """

    matrix: int = _BT709
    range: int = _LIMITED
    primaries: int = 1
    transfer: int = 1

    @classmethod
    def of(cls, frame: av.VideoFrame, codec: av.VideoCodecContext | None = None) -> Colour:
        """The colour facts of a decoded frame; pictures stored as RGB are given those of HD video."""
        if frame.colorspace == _RGB or frame.format.is_rgb:
            return cls()
        colour = cls(int(frame.colorspace), int(frame.color_range), _UNSPECIFIED, _UNSPECIFIED)
        if codec is None:
            return colour
        return replace(colour, primaries=int(codec.color_primaries), transfer=int(codec.color_trc))

    def codes_like(self, other: Colour) -> bool:
        """Whether YCbCr values mean the same in both."""
        return self._coding() == other._coding()

    def _coding(self) -> tuple[Colorspace, ColorRange]:
        matrix = _SCALER_MATRIX.get(self.matrix, Colorspace.ITU601)
        return matrix, ColorRange.JPEG if self.range == _FULL else ColorRange.MPEG


def rgb_of(frame: av.VideoFrame, converter: VideoReformatter) -> NDArray[np.uint8]:
    """The picture as RGB uint8 [H, W, 3], by the colour facts of the frame.

    A converter that is kept for all frames of a video sets up its threads once, and not for each: that takes longer
    than a small picture's conversion.
    """
    return np.asarray(converter.reformat(frame, format="rgb24", interpolation=_EXACTLY).to_ndarray(), np.uint8)


def yuv_of_rgb(picture: NDArray[np.uint8], colour: Colour) -> av.VideoFrame:
    """A yuv420p frame of an RGB picture [H, W, 3], coded as `colour` says (ITU-T H.273, matrix coefficients).

    FFmpeg's own conversion rounds chroma down for the full range.
    """
    red, blue = _LUMA_WEIGHTS.get(colour.matrix, _BT601_WEIGHTS)
    luma = np.array([red, 1 - red - blue, blue])
    rows = np.array([luma, ([0, 0, 1] - luma) / (2 - 2 * blue), ([1, 0, 0] - luma) / (2 - 2 * red)])
    scale, black = ((1.0, 1.0), 0.0) if colour.range == _FULL else ((219 / 255, 224 / 255), 16.0)
    rows *= np.array([[scale[0]], [scale[1]], [scale[1]]])
    coding = np.column_stack([rows, [black, 128.0, 128.0]]).astype(np.float32)
    coded = cv2.transform(picture.astype(np.float32), coding)
    height, width = picture.shape[:2]
    even = cv2.copyMakeBorder(coded, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    chroma = cv2.resize(even, (even.shape[1] // 2, even.shape[0] // 2), interpolation=cv2.INTER_AREA)
    planes = (coded[:, :, 0], chroma[:, :, 1], chroma[:, :, 2])
    return frame_of_planes([np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in planes], colour)


def recoded(frame: av.VideoFrame, colour: Colour) -> av.VideoFrame:
    """The frame as yuv420p coded as `colour` says; itself where it is that already."""
    own = Colour.of(frame)
    if frame.format.name == "yuv420p" and own.codes_like(colour):
        return frame
    if frame.format.name == "yuvj420p" and own.codes_like(colour):
        return frame_of_planes(planes_of(frame), colour)  # the same bytes; only the format's name is old
    if frame.format.is_rgb:
        return yuv_of_rgb(rgb_of(frame, VideoReformatter()), colour)
    (matrix, full), (own_matrix, own_full) = colour._coding(), own._coding()
    return frame.reformat(
        format="yuv420p",
        src_colorspace=own_matrix,
        dst_colorspace=matrix,
        src_color_range=own_full,
        dst_color_range=full,
        interpolation=_EXACTLY,
    )


def planes_of(frame: av.VideoFrame) -> list[NDArray[np.uint8]]:
    """Views of the 8-bit planes of a frame (Y, Cb and Cr of yuv420p), uint8 [h, w] each."""
    views = []
    for plane in frame.planes:
        rows = np.frombuffer(memoryview(plane), np.uint8, plane.line_size * plane.height)
        views.append(rows.reshape(plane.height, plane.line_size)[:, : plane.width])
    return views


def frame_of_planes(planes: list[NDArray[np.uint8]], colour: Colour) -> av.VideoFrame:
    """A new yuv420p frame with copies of the planes."""
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, "yuv420p")
    for target, source in zip(planes_of(frame), planes, strict=True):
        target[:] = source
    frame.colorspace, frame.color_range = colour.matrix, colour.range
    return frame


def padded_to_even(planes: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Planes whose luma has even sides: one row or column is replicated; chroma has it already."""
    height, width = planes[0].shape
    luma = np.pad(planes[0], ((0, height % 2), (0, width % 2)), mode="edge")
    return [luma, *planes[1:]]
