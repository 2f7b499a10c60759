"""One 12-frame transition at 512 px with HMInterp's full architecture, beside diffusers' AnimateDiff SparseCtrl.

    python benchmarks/gpu/hminterp.py [--steps 25] [--size 512] [--out RESULT.json]

Needs a CUDA GPU with 24 GB, torch, diffusers, numpy, safetensors and cv2; no model files: weights are random, so that
seconds and memory are those of the real model and the pictures are noise. CLIP's image encoder, which runs once and
then leaves the GPU, is replaced by tokens of the latents. Both get 14 frames, two of them given, with guidance, in
half precision. Each way of running is measured three times after a warm-up; memory is torch's own peak.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import diffusers
import numpy as np
import torch

from vmg_backend.interpolation.hminterp.config import FULL, Config
from vmg_backend.interpolation.hminterp.devices import Placement, release
from vmg_backend.interpolation.hminterp.generating import Way, generate
from vmg_backend.interpolation.hminterp.memory import THRIFTS, Thrift, estimate
from vmg_backend.interpolation.hminterp.model import HMInterp

LENGTH = 12
RUNS = 3
BASE = replace(FULL, frames=LENGTH + 2, context=1, tokens="latent")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    if not torch.cuda.is_available():
        parser.exit(2, "There is no CUDA GPU here, so there is nothing to measure.\n")
    place = Placement(torch.device("cuda:0"), torch.bfloat16)
    rows = [
        ours(replace(BASE, size=words.size, reference=reference), thrift, words.steps, place)
        for reference in ("attention", "light")
        for thrift in (THRIFTS[0], THRIFTS[1], THRIFTS[-1])
    ]
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "diffusers": diffusers.__version__,
        "python": platform.python_version(), "size": words.size, "steps": words.steps, "frames": LENGTH,
        "hminterp": rows, "animatediff_sparsectrl": sparsectrl(words.size, words.steps),
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    if words.out:
        words.out.write_text(json.dumps(result, indent=1), encoding="utf-8")


def ours(config: Config, thrift: Thrift, steps: int, place: Placement) -> dict[str, object]:
    """HMInterp, with what it was expected to need."""
    torch.manual_seed(0)
    home = torch.device("cpu") if thrift.offload else place.device
    model = HMInterp.build(config, place.device).to(place.dtype).eval().requires_grad_(False).to(home)
    random = np.random.default_rng(0)
    given = random.integers(0, 255, (2, config.size, config.size, 3), np.uint8)
    maps = random.integers(0, 255, (LENGTH + 2, config.size, config.size, 3), np.uint8)
    told = measured(
        lambda: generate(
            model, given, LENGTH, maps, way=Way(steps=steps), thrift=thrift, device=place.device
        )
    )  # fmt: skip
    expected = estimate(config, height=config.size, width=config.size, place=place, thrift=thrift)
    return {"reference": config.reference, **vars(thrift), **told, "expected_gb": round(expected.peak / 1e9, 2)}


def sparsectrl(size: int, steps: int) -> dict[str, object]:
    """The nearest thing in diffusers: two pictures condition 14 frames by SparseCtrl, without poses or references."""
    if not diffusers.utils.is_transformers_available():
        return {"not_measured": "transformers is not installed, which diffusers' pipelines ask for"}
    with torch.device("cuda:0"):
        unet = diffusers.UNetMotionModel.from_unet2d(
            diffusers.UNet2DConditionModel(
                sample_size=64, cross_attention_dim=768, attention_head_dim=8,
                down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
                up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
                block_out_channels=(320, 640, 1280, 1280),
            ),
            diffusers.MotionAdapter(use_motion_mid_block=False),
        )  # fmt: skip
        control = diffusers.SparseControlNetModel(
            conditioning_channels=4, concat_conditioning_mask=True, use_simplified_condition_embedding=True
        )
        vae = diffusers.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
        )  # fmt: skip
    parts = {"unet": unet, "controlnet": control, "vae": vae}
    for part in parts.values():
        part.to(torch.float16).eval().requires_grad_(False)
    scheduler = diffusers.DPMSolverMultistepScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="linear")
    pipeline = diffusers.AnimateDiffSparseControlNetPipeline(
        tokenizer=None, text_encoder=None, motion_adapter=None, scheduler=scheduler, **parts
    )
    pipeline.set_progress_bar_config(disable=True)
    random = np.random.default_rng(0)
    pictures = [diffusers.utils.numpy_to_pil(random.random((1, size, size, 3)))[0] for _ in range(2)]
    words = torch.randn(1, 77, 768, dtype=torch.float16, device="cuda:0")
    return measured(
        lambda: pipeline(
            prompt_embeds=words, negative_prompt_embeds=words, height=size, width=size, num_frames=LENGTH + 2,
            num_inference_steps=steps, guidance_scale=3.5, conditioning_frames=pictures,
            controlnet_frame_indices=[0, LENGTH + 1], output_type="np",
        )
    )  # fmt: skip


def measured(work: Callable[[], object]) -> dict[str, object]:
    """Seconds of each run after the first, and the peak of torch's memory."""
    release(torch.device("cuda:0"))
    torch.cuda.reset_peak_memory_stats()
    work()
    seconds = []
    for _ in range(RUNS):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        work()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    peak = torch.cuda.max_memory_allocated() / 1e9
    return {"seconds": round(statistics.median(seconds), 2), "peak_gb": round(peak, 2)}


if __name__ == "__main__":
    main()
