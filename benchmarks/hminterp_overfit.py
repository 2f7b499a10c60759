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
import time
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from vmg_backend.footage import FrameReader
from vmg_backend.interpolation.crop import Crop, crop_of
from vmg_backend.interpolation.engines import make_engine
from vmg_backend.interpolation.fill import Material
from vmg_backend.interpolation.hminterp.autoencoder import encode
from vmg_backend.interpolation.hminterp.conditioning import conditions_of
from vmg_backend.interpolation.hminterp.config import TINY, Config
from vmg_backend.interpolation.hminterp.decoder import taps
from vmg_backend.interpolation.hminterp.devices import choose
from vmg_backend.interpolation.hminterp.engine import HMInterpEngine
from vmg_backend.interpolation.hminterp.generating import Way, decoded
from vmg_backend.interpolation.hminterp.model import HMInterp
from vmg_backend.interpolation.hminterp.schedulers import MOMENTS, Noise
from vmg_backend.interpolation.hminterp.seed import widened
from vmg_backend.interpolation.interpolator import Continuation, Gap
from vmg_backend.interpolation.paste import paste_gap
from vmg_backend.jobs import Source, analyze
from vmg_backend.library import FootageLibrary
from vmg_backend.motion.gap import Side
from vmg_backend.pose.maps import STYLES, draw_run
from vmg_backend.pose.skeletons import MEDIAPIPE
from vmg_backend.protocol import EngineChoice

LENGTH = 12
SHARES = {"autoencoder": 0.22, "decoder": 0.2, "denoiser": 0.58}
CONFIG = replace(
    TINY, name="overfit", frames=LENGTH + 2, size=96, latent_channels=8, autoencoder=(32, 64, 96, 96),
    channels=(64, 128), pose_channels=(16, 16, 32, 64), decoder_channels=(32, 64, 64, 64), steps=12, sampler="dpm++",
    guidance=1.0, licence="That of the footage.", source="benchmarks/hminterp_overfit.py",
)  # fmt: skip


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
    torch.manual_seed(0)
    model, told = train(gap, truth, crop, words.minutes * 60.0)
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


def train(gap: Gap, truth: NDArray[np.uint8], crop: Crop, seconds: float) -> tuple[HMInterp, dict[str, object]]:
    """Autoencoder, then Reference Decoder, then all that is denoised with, each for its share of the time."""
    clip = np.stack([crop.cut(frame) for frame in (gap.start, *truth, gap.end)])
    pictures = torch.from_numpy(clip).permute(0, 3, 1, 2).float() / 255.0
    runs = [Side(gap.before.joints[-1:], gap.before.confidence[-1:]), gap.guide, Side(gap.after.joints[:1], gap.after.confidence[:1])]  # fmt: skip # noqa: E501
    maps = draw_run(
        crop.joints(np.concatenate([run.joints for run in runs])).astype(np.float32),
        np.concatenate([run.confidence for run in runs]), MEDIAPIPE, crop.size, STYLES[CONFIG.pose_style],
    )  # fmt: skip
    drawn = torch.from_numpy(maps).permute(3, 0, 1, 2)[None].float() / 255.0
    model, told = HMInterp.build(CONFIG), {}

    def autoencoder() -> torch.Tensor:
        latents = encode(model.autoencoder, 2.0 * pictures - 1.0)
        noisy = latents + 0.02 * torch.randn_like(latents)
        return detail(model.autoencoder.decode(noisy, return_dict=False)[0], 2.0 * pictures - 1.0) + 1e-4 * (
            latents.square().mean()
        )

    told["autoencoder"] = fit(model.autoencoder, autoencoder, 2e-3, SHARES["autoencoder"] * seconds)
    with torch.no_grad():
        spread = float(encode(model.autoencoder, 2.0 * pictures - 1.0).std())
    model = scaled(model, replace(CONFIG, latent_scale=1.0 / spread))
    with torch.no_grad():
        latents = encode(model.autoencoder, 2.0 * pictures - 1.0).transpose(0, 1)[None]
        features = taps(model.autoencoder, (2.0 * pictures - 1.0)[[0, -1]][None])

    def decoder() -> torch.Tensor:
        made = model.decoder(latents + 0.02 * torch.randn_like(latents), features)
        return detail(made[0].transpose(0, 1), 2.0 * pictures - 1.0)

    told["decoder"] = fit(model.decoder, decoder, 1e-3, SHARES["decoder"] * seconds)
    noise_of, given = Noise.of(model.config), pictures[[0, -1]][None]
    model.autoencoder.requires_grad_(False)

    def denoiser() -> torch.Tensor:
        conditions = conditions_of(model, given, LENGTH, drawn)
        noise = torch.randn_like(latents)
        moment = torch.randint(0, MOMENTS, (1,)) if torch.rand(()) < 0.8 else torch.tensor([MOMENTS - 1])
        noisy = noise_of.noisy(latents, noise, moment)
        told_too = widened(noisy, conditions.seed, conditions.mask)
        said = model.denoiser(told_too, moment, conditions.tokens, conditions.added, conditions.references)
        error = (said - noise_of.target(latents, noise, moment)).square()
        return (error * (1.0 - 0.9 * conditions.mask)).mean()

    parts = torch.nn.ModuleList([model.denoiser, model.reference, model.pose_guider, model.tokens])
    told["denoiser"] = fit(parts, denoiser, 1e-3, SHARES["denoiser"] * seconds)
    return model.eval().requires_grad_(False), told


def detail(made: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Mean square error, and the absolute one of what changes from pixel to pixel."""
    loss = functional.mse_loss(made, real)
    for axis in (-1, -2):
        loss = loss + 0.1 * functional.l1_loss(made.diff(dim=axis), real.diff(dim=axis))
    return loss


def fit(part: torch.nn.Module, loss_of: object, rate: float, seconds: float) -> dict[str, float]:
    """Learn for so many seconds; the rate falls to zero by the clock."""
    optimizer = torch.optim.AdamW(part.parameters(), rate, (0.9, 0.98), weight_decay=0.0)
    begin, steps, shown = time.monotonic(), 0, 0.0
    while (done := (time.monotonic() - begin) / seconds) < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (steps + 1) / 20) * (1.0 - done)
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(part.parameters(), 1.0)
        optimizer.step()
        steps += 1
        if done > shown:
            print(f"{steps} steps, {done:.0%}: {float(loss):.5f}", flush=True)
            shown += 0.1
    return {"steps": steps, "seconds": round(time.monotonic() - begin), "loss": float(loss)}


def scaled(model: HMInterp, config: Config) -> HMInterp:
    """The same model with latents of another scale."""
    found = HMInterp.build(config)
    found.load_state_dict(model.state_dict())
    return found


def compare(
    model: HMInterp, gap: Gap, truth: NDArray[np.uint8], crop: Crop, joints: NDArray[np.float32], first: int
) -> dict[str, dict[str, float]]:
    """PSNR of all that could have been shown."""
    people = joints[first : first + LENGTH]
    low, high = np.nanmin(people, axis=(0, 1)).astype(int), np.nanmax(people, axis=(0, 1)).astype(int)
    box = (slice(None), slice(max(0, low[1]), high[1] + 1), slice(max(0, low[0]), high[0] + 1))
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
    return {
        name: {"gap": psnr(frames, truth), "person": psnr(frames[box], truth[box])} for name, frames in shown.items()
    }


def psnr(made: NDArray[np.uint8], real: NDArray[np.uint8]) -> float:
    """Mean over frames, in float64 on 0 to 255."""
    errors = np.mean((made.astype(np.float64) - real) ** 2, axis=(1, 2, 3))
    return round(float(np.mean(10.0 * np.log10(255.0**2 / np.maximum(errors, 1e-5)))), 2)


if __name__ == "__main__":
    main()
