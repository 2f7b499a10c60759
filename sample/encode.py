"""Lay the rendered frames upon the empty room and encode them, without sound.

    python encode.py FRAMES FOLDER

FRAMES is the folder that ``render.py`` filled; ``performer.mp4`` and ``performer.json`` go to FOLDER.
"""

from __future__ import annotations

import argparse
import json
import shutil
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

FADE = 28  # px over which a box passes into the empty room
QUALITY = 20  # x264's constant rate factor
BT709 = 1  # primaries, transfer and matrix in the codes of ITU-T H.273
LIMITED_RANGE = 1


def compose(box: Picture, plate: Picture) -> Picture:
    """A traced box [H, W, 4], transparent elsewhere, faded into the picture of the empty room [H, W, 3]."""
    traced = np.pad((box[..., 3] == 255).astype(np.uint8), FADE, mode="edge")  # no fade at the picture's edge
    inside = cv2.distanceTransform(traced, cv2.DIST_L2, 5)[FADE:-FADE, FADE:-FADE, None]
    weight = np.clip((inside - 1) / FADE, 0, 1)
    weight = weight * weight * (3 - 2 * weight)
    return np.rint(box[..., :3] * weight + plate * (1 - weight)).astype(np.uint8)


def read(path: Path) -> Picture:
    """A PNG as RGB or RGBA."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise SystemExit(f"{path} is missing or broken: run render.py again, it keeps what is whole.")
    return cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def encode(frames: Path, output: Path) -> None:
    """Encode all frames that the ground truth counts."""
    truth = json.loads((frames / "truth.json").read_text(encoding="utf-8"))
    plate = read(frames / "plate.png")
    tick = Fraction(1, truth["fps"])
    with av.open(str(output), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=truth["fps"])
        stream.width, stream.height = truth["size"]
        stream.pix_fmt = "yuv420p"
        stream.time_base = tick
        stream.options = {"crf": str(QUALITY), "preset": "slow", "g": "48"}
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = LIMITED_RANGE
        for number in range(truth["frames"]):
            picture = av.VideoFrame.from_ndarray(compose(read(frames / f"{number:04d}.png"), plate), format="rgb24")
            picture = picture.reformat(format="yuv420p", dst_colorspace="ITU709")
            picture.pts, picture.time_base = number, tick  # the stream's own changes with the header
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def main() -> None:
    """Encode what the command line names."""
    parser = argparse.ArgumentParser(description="Encode the sample's video.")
    parser.add_argument("frames", type=Path, help="the folder that render.py filled")
    parser.add_argument("folder", type=Path, help="where performer.mp4 and performer.json go")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    encode(options.frames, options.folder / "performer.mp4")
    shutil.copyfile(options.frames / "truth.json", options.folder / "performer.json")


if __name__ == "__main__":
    main()
