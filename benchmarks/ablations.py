"""The paper's ablations (tables 5 and 6) in miniature: trained and measured on one footage.

    python benchmarks/ablations.py FOOTAGE --seeds 1 2 3 --folder FOLDER --out RESULT.json [--share 1] [--rows P SI ...]

Every row of `recipes.ablations` is trained with each seed on the same clips, for the same steps (about an hour of one
core for all rows of a seed), and fills the same gaps, which are not trained on. Rows are compared gap by gap: mean
difference of PSNR near the person, and a 95 % interval over gaps and seeds. A row that is done is kept in FOLDER, so
the benchmark can be stopped and started again. The paper's figures stand beside ours; only their order can be compared.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from vmg_backend.evaluation.picture_metrics import likeness
from vmg_backend.files import settings_hash
from vmg_backend.interpolation.guide import PoseGuide, shipped_guide
from vmg_backend.interpolation.hminterp.config import TINY as TINY_CONFIG
from vmg_backend.interpolation.hminterp.model import HMInterp
from vmg_backend.jobs import Source, analyze
from vmg_backend.library import FootageLibrary
from vmg_backend.motion.baselines import baselines
from vmg_backend.pose.skeletons import MOTION
from vmg_backend.training.hminterp.clips import Clips
from vmg_backend.training.hminterp.personal import engine_of
from vmg_backend.training.hminterp.preparing import prepare
from vmg_backend.training.hminterp.recipes import PERSONAL, Ablation, Recipe, Stage, ablations
from vmg_backend.training.hminterp.runs import Run
from vmg_backend.training.hminterp.trainer import Means, Trainer
from vmg_backend.training.hminterp.validation import TrueGap, filled, held_out_gaps

CONFIG = replace(
    TINY_CONFIG, name="ablation", frames=14, size=48, latent_channels=8, steps=6, sampler="dpm++", guidance=1.0,
    licence="That of the footage.", source="benchmarks/ablations.py",
)  # fmt: skip
_AUTOENCODER, _DECODER, _SEED, _POSE = PERSONAL.stages
RECIPE = Recipe(
    "ablation",
    CONFIG,
    (
        replace(_AUTOENCODER, steps=600, batch=4, rate=5e-3),
        replace(_DECODER, steps=300, frames=4, accumulate=1),
        replace(_SEED, steps=500, batch=1, accumulate=1, rate=6e-3, hands=1.0, keep=0.99),
        replace(_POSE, steps=200, batch=1, accumulate=1, rate=6e-3, hands=1.0, keep=0.99),
    ),
    "Of benchmarks/ablations.py.",
)
ORDERS = (
    ("P", "SI, then P + SI"), ("P", "SI"), ("P + SI", "SI, then P + SI"), ("SI", "SI, then P + SI"),
    ("no reference decoder", "zero-padded decoder"), ("zero-padded decoder", "HMInterp, s = 1"),
    ("no guidance", "linear guidance"), ("linear guidance", "HMInterp, s = 1"), ("HMInterp, s = 1", "HMInterp, s = 3"),
)  # fmt: skip
"""Pairs of which the paper has the second one better."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("footage", type=Path)
    parser.add_argument("--fps", type=Fraction)
    parser.add_argument("--library", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="of the steps of training")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--gaps", type=int, default=8, help="that are measured, the fast ones first")
    parser.add_argument("--rows", nargs="+")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    words = parser.parse_args()
    library = FootageLibrary(words.library) if words.library else FootageLibrary()
    (analysis,) = analyze([Source(words.footage, words.fps)], library)
    # As much context as any row needs, so that all have the same clips and gaps.
    widest = replace(CONFIG, context=3, frames=CONFIG.made + 6)
    clips = prepare([analysis], widest, words.folder / "clips")
    gaps = sorted(held_out_gaps(clips, [analysis], library), key=lambda one: not one.fast)[: words.gaps]
    base = replace(RECIPE, config=replace(CONFIG, aspect=clips.aspect)).scaled(words.share)
    rows = [row for row in ablations(base) if not words.rows or row.name in words.rows]
    scores: dict[str, list[list[dict[str, float]]]] = {row.name: [] for row in rows}
    for seed in words.seeds:
        for row in rows:
            print(f"seed {seed}: {row.name}", flush=True)
            scores[row.name].append(_measured(row, seed, clips, gaps, words.folder))
            told = _told(rows, scores, gaps)
            words.out.write_text(
                json.dumps(
                    {
                        "footage": analysis.footage.name,
                        "steps": {stage.name: stage.steps for stage in base.stages},
                        **told,
                    },
                    indent=1,
                )
            )
    print(json.dumps(told["orders"], indent=1))


def _measured(row: Ablation, seed: int, clips: Clips, gaps: list[TrueGap], folder: Path) -> list[dict[str, float]]:
    """How near a row's model comes in each gap; from the folder where it is known."""
    done = folder / f"{row.name}-{seed}.json".replace(" ", "_")
    if done.exists():
        return json.loads(done.read_text())
    model = _model(replace(row.recipe, seed=seed), clips, folder)
    found = []
    for one in gaps:
        guide = PoseGuide(baselines(MOTION)["linear"], "linear") if row.guidance == "linear" else shipped_guide()
        if row.guidance == "none":
            model.pose_guider = None
        made = filled(one, engine_of(model, guide), led=False)
        found.append(asdict(likeness(made, one.frames, one.joints)))
    done.write_text(json.dumps(found))
    return found


def _model(recipe: Recipe, clips: Clips, folder: Path) -> HMInterp:
    """Trained stage by stage; what rows have in common (autoencoder, decoders, a first stage) is learned once."""
    torch.manual_seed(recipe.seed)
    model, before = HMInterp.build(recipe.config), []
    for stage in recipe.stages:
        before.append(stage)
        kept = folder / "parts" / f"{_key(recipe, before)}.safetensors"
        if not kept.exists():
            one = replace(recipe, config=model.config, stages=(stage,))
            model = Trainer(one, clips, Run(folder / "runs" / kept.stem, one), Means(cpu=True), model).run()
            parts = [(name, part) for name in stage.trained if (part := getattr(model, name)) is not None]
            tensors = {f"{name}.{key}": tensor for name, part in parts for key, tensor in part.state_dict().items()}
            kept.parent.mkdir(exist_ok=True)
            save_file(tensors, kept, {"latent_scale": repr(model.config.latent_scale)})
        with safe_open(kept, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            scale = float(file.metadata()["latent_scale"])
        if scale != model.config.latent_scale:
            scaled = HMInterp.build(replace(model.config, latent_scale=scale))
            scaled.load_state_dict(model.state_dict())
            model = scaled
        model.load_state_dict(tensors, strict=False)
    return model.eval().requires_grad_(False)


def _key(recipe: Recipe, stages: list[Stage]) -> str:
    """Of all that decides what the last of some stages makes: those before it on which it builds, and the config."""
    last = stages[-1]
    builds_on = [asdict(stage) | {"name": ""} for stage in stages if stage.aim in (last.aim, "autoencoder")]
    config = asdict(recipe.config) | {"name": ""}
    if last.aim != "decoder":
        config["decoder"] = ""
    if last.aim != "interpolator":
        config |= dict.fromkeys(("pose_channels", "seed"), 0)
    if last.aim == "autoencoder":
        config |= {"frames": 0, "context": 0}
    return settings_hash({"seed": recipe.seed, "stages": builds_on, "config": config})


def _told(rows: list[Ablation], scores: dict[str, list[list[dict[str, float]]]], gaps: list[TrueGap]) -> dict[str, Any]:
    values = {
        name: np.array([[gap["person_psnr"] for gap in one] for one in each]) for name, each in scores.items() if each
    }
    table = {
        row.name: {"table": row.table, "person_psnr": round(float(values[row.name].mean()), 3),
                   "psnr": round(float(np.mean([[gap["psnr"] for gap in one] for one in scores[row.name]])), 3),
                   "seeds": len(values[row.name]), "paper": dict(row.paper)}
        for row in rows if row.name in values
    }  # fmt: skip
    orders = []
    fast = np.array([one.fast for one in gaps])
    for worse, better in ORDERS:
        if worse in values and better in values:
            seeds = min(len(values[worse]), len(values[better]))
            difference = values[better][:seeds] - values[worse][:seeds]
            kinds = {"all": difference, "fast": difference[:, fast]}
            orders.append({"worse": worse, "better": better, **{kind: _interval(each) for kind, each in kinds.items()}})
    return {"gaps": len(gaps), "fast": int(fast.sum()), "rows": table, "orders": orders}


def _interval(differences: np.ndarray) -> dict[str, float]:
    """Mean, and a 95 % interval with gaps and seeds drawn anew."""
    random = np.random.default_rng(0)
    seeds, gaps = differences.shape
    if not gaps:
        return {}
    drawn = [
        differences[random.integers(seeds, size=seeds)][:, random.integers(gaps, size=gaps)].mean() for _ in range(2000)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {"mean": round(float(differences.mean()), 3), "low": round(float(low), 3), "high": round(float(high), 3)}


if __name__ == "__main__":
    main()
