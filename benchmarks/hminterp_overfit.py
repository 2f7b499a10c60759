"""Can the whole machine learn? HMInterp overfitted to the fastest gap of one footage, which it sees in training.

    python benchmarks/hminterp_overfit.py FOOTAGE [--fps 30] [--minutes 30] [--model FOLDER] [--out RESULT.json]

This is no measure of quality on unseen gaps: it says that autoencoder, Reference Decoder, ReferenceNet, guiders and
denoiser learn together, and that what they learned comes back through crop, sampling, decoding and paste. Compared are
the frames of the gap with the real ones (PSNR), whole and in a box around the person; `fade` and `flow` get what
HMInterp gets, the frames before and after the gap, and no continuations.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray

from vmg_backend.evaluation.picture_metrics import likeness
from vmg_backend.footage import FrameReader
from vmg_backend.interpolation.crop import Crop, crop_of
from vmg_backend.interpolation.engines import make_engine
from vmg_backend.interpolation.fill import Material
from vmg_backend.interpolation.hminterp.autoencoder import encode
from vmg_backend.interpolation.hminterp.config import TINY
from vmg_backend.interpolation.hminterp.devices import choose
from vmg_backend.interpolation.hminterp.engine import HMInterpEngine
from vmg_backend.interpolation.hminterp.generating import Way, decoded
from vmg_backend.interpolation.hminterp.model import HMInterp
from vmg_backend.interpolation.interpolator import Continuation, Gap
from vmg_backend.interpolation.paste import paste_gap
from vmg_backend.jobs import Source, analyze
from vmg_backend.library import FootageLibrary
from vmg_backend.motion.gap import Side
from vmg_backend.pose.maps import STYLES, draw_run
from vmg_backend.pose.skeletons import MEDIAPIPE
from vmg_backend.progress import Progress
from vmg_backend.protocol import EngineChoice
from vmg_backend.training.hminterp.clips import Batch
from vmg_backend.training.hminterp.recipes import PERSONAL, Recipe
from vmg_backend.training.hminterp.runs import Run, read_curves
from vmg_backend.training.hminterp.trainer import Means, Trainer

LENGTH = 12
SHARES = {"autoencoder": 0.33, "decoder": 0.17, "pose": 0.5}
CONFIG = replace(
    TINY, name="overfit", frames=LENGTH + 2, size=96, latent_channels=8, autoencoder=(32, 64, 96, 96),
    channels=(64, 128), pose_channels=(16, 16, 32, 64), decoder_channels=(32, 64, 96, 96), steps=6, sampler="dpm++",
    guidance=1.0, licence="That of the footage.", source="benchmarks/hminterp_overfit.py",
)  # fmt: skip
_AUTOENCODER, _DECODER, _, _POSE = PERSONAL.stages
RECIPE = Recipe(
    "overfit",
    CONFIG,
    (
        replace(_AUTOENCODER, batch=2, rate=5e-3),
        replace(_DECODER, batch=1, frames=4, accumulate=1),
        replace(_POSE, batch=1, accumulate=1, rate=6e-3, hands=1.0, snr=0.0, unconditional=0.0, keep=0.99),
    ),
    "One window, learned by heart.",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("footage", type=Path)
    parser.add_argument("--fps", type=Fraction, help="of the motion, where the file's own is wrong")
    parser.add_argument("--minutes", type=float, default=30.0, help="of training, on all cores")
    parser.add_argument("--library", type=Path, help="where its poses are kept")
    parser.add_argument("--model", type=Path, help="where the model is kept")
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    library = FootageLibrary(words.library) if words.library else FootageLibrary()
    (analysis,) = analyze([Source(words.footage, words.fps)], library)
    footage, track = analysis.footage, analysis.track
    material = Material(footage, track, library.plate(footage))
    first = fastest(material)
    gap, truth = true_gap(material, first)
    crop = crop_of(gap, CONFIG.size, CONFIG.multiple)
    with tempfile.TemporaryDirectory() as folder:
        model, told = train(OneWindow(gap, truth, crop), words.minutes, Path(folder))
    if words.model:
        model.save(words.model)
    result = {
        "footage": footage.name, "size": footage.size, "gap": [first, first + LENGTH - 1],
        "crop": asdict(crop), "training": told, "psnr": compare(model, gap, truth, crop, track.image, first),
        "note": "The gap was seen in training: this shows that the machine learns, not how good it is.",
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    if words.out:
        words.out.write_text(json.dumps(result, indent=1), encoding="utf-8")


def fastest(material: Material) -> int:
    """First frame of the 12-frame gap within a shot with the greatest mean speed of the joints."""
    joints = material.track.image[:, list(MEDIAPIPE.core)]
    speed = np.nanmean(np.linalg.norm(np.diff(joints, axis=0), axis=-1), axis=1)
    speed[~material.track.person[1:] | ~material.track.person[:-1]] = np.nan
    best, found = -1.0, -1
    for begin, end in material.footage.shots:
        for first in range(int(begin) + 4, int(end) - LENGTH - 3):
            mean = float(np.mean(speed[first - 1 : first + LENGTH]))
            if mean > best:  # never, where it is NaN
                best, found = mean, first
    return found


def true_gap(material: Material, first: int) -> tuple[Gap, NDArray[np.uint8]]:
    """The gap without its frames: stills for continuations, the real joints for a guide; and the real frames."""
    track = material.track
    last = first + LENGTH - 1
    with FrameReader(material.footage) as reader:
        frames = np.stack(list(reader.frames(first - 1, last + 1)))

    def poses(frames: range) -> Side:
        return Side(track.image[list(frames)], track.confidence[list(frames)])

    def still(frame: NDArray[np.uint8], index: int) -> Continuation:
        side = poses(range(index, index + 1))
        return Continuation(
            np.stack([frame] * LENGTH), side.joints.repeat(LENGTH, 0), side.confidence.repeat(LENGTH, 0)
        )

    gap = Gap(
        lead=frames[:1], trail=frames[-1:],
        outgoing=still(frames[0], first - 1), incoming=still(frames[-1], last + 1),
        plate_before=material.plate, plate_after=material.plate,
        before=poses(range(first - 3, first)), after=poses(range(last + 1, last + 4)),
        guide=poses(range(first, last + 1)),
    )  # fmt: skip
    return gap, frames[1:-1]


class OneWindow:
    """The one window that is learned, where a training expects clips."""

    def __init__(self, gap: Gap, truth: NDArray[np.uint8], crop: Crop) -> None:
        clip = np.stack([crop.cut(frame) for frame in (gap.start, *truth, gap.end)])
        self._pictures = torch.from_numpy(clip).permute(0, 3, 1, 2).contiguous().float() / 255.0
        sides = (gap.before.joints[-1:], gap.guide.joints, gap.after.joints[:1])
        trusts = (gap.before.confidence[-1:], gap.guide.confidence, gap.after.confidence[:1])
        joints = crop.joints(np.concatenate(sides)).astype(np.float32)
        maps = draw_run(joints, np.concatenate(trusts), MEDIAPIPE, crop.size, STYLES[CONFIG.pose_style])
        self._maps = torch.from_numpy(maps).permute(3, 0, 1, 2)[None].contiguous().float() / 255.0
        self._latents: torch.Tensor | None = None

    def windows(self, frames: int) -> list[slice]:
        """Every run of so many frames."""
        return [slice(first, first + frames) for first in range(len(self._pictures) - frames + 1)]

    def batch(self, windows: list[slice], device: torch.device, _: float) -> Batch:
        (window,) = windows
        pictures, latents = self._pictures[window][None], self._latents
        weights = torch.ones(1, 1, pictures.shape[1], *(side // CONFIG.factor for side in pictures.shape[-2:]))
        return Batch(pictures, self._maps[:, :, window], weights, None if latents is None else latents[window][None])

    def pictures(self, random: np.random.Generator, count: int, device: torch.device) -> Batch:
        chosen = self._pictures[random.choice(len(self._pictures), min(count, len(self._pictures)), replace=False)]
        return Batch(chosen[:, None], torch.empty(0), torch.empty(0), None)

    def keep_latents(self, autoencoder: AutoencoderKL, device: torch.device, _: Progress) -> None:
        with torch.no_grad():
            self._latents = encode(autoencoder, 2.0 * self._pictures - 1.0)


def train(clip: OneWindow, minutes: float, folder: Path) -> tuple[HMInterp, dict[str, object]]:
    """Autoencoder, Reference Decoder, then all that is denoised with; as many steps as the minutes allow."""
    seconds = [60.0 * minutes * share for share in SHARES.values()]
    costs = Trainer(RECIPE, clip, Run(folder / "costs", RECIPE), Means(cpu=True)).costs
    steps = [max(1, int(time / cost)) for time, cost in zip(seconds, costs, strict=True)]
    stages = tuple(replace(stage, steps=count) for stage, count in zip(RECIPE.stages, steps, strict=True))
    recipe = replace(RECIPE, stages=stages)
    print(dict(zip(SHARES, steps, strict=True)), [round(cost, 2) for cost in costs], flush=True)
    begun, run = time.monotonic(), Run(folder / "run", recipe)
    model = Trainer(recipe, clip, run, Means(cpu=True)).run(Progress(lambda done, what: print(f"{done:.1%} {what}")))
    losses = {line["stage"]: round(line["loss"], 5) for line in read_curves(run.folder)}
    return model, {
        "steps": dict(zip(SHARES, steps, strict=True)),
        "seconds": round(time.monotonic() - begun),
        "losses": losses,
    }


def compare(
    model: HMInterp, gap: Gap, truth: NDArray[np.uint8], crop: Crop, joints: NDArray[np.float32], first: int
) -> dict[str, dict[str, float]]:
    """PSNR of all that could have been shown."""
    clip = np.stack([crop.cut(frame) for frame in (gap.start, *truth, gap.end)])
    pictures = torch.from_numpy(clip).permute(0, 3, 1, 2).float()[None] / 255.0
    latents = encode(model.autoencoder, 2.0 * pictures - 1.0).transpose(1, 2)
    recoded = decoded(model, latents, pictures[:, [0, -1]], 4)[1:-1]
    engine = HMInterpEngine(model.config, "overfit", lambda *_: model, choose("cpu"), None, Way())
    shown = {
        "hminterp": engine.fill(gap),
        "fade": make_engine(EngineChoice("fade")).fill(gap),
        "flow": make_engine(EngineChoice("flow")).fill(gap),
        "autoencoder and decoder": paste_gap(gap, recoded, crop),
        "crop at the network's size": paste_gap(gap, clip[1:-1], crop),
    }
    found = {name: likeness(frames, truth, joints[first : first + LENGTH]) for name, frames in shown.items()}
    return {name: {"gap": round(one.psnr, 2), "person": round(one.person_psnr, 2)} for name, one in found.items()}


if __name__ == "__main__":
    main()
