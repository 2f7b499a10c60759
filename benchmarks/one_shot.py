"""Does one-shot tuning help? A model trained on footage A, tuned on footage B, on held-out gaps of B.

    python benchmarks/one_shot.py A B [--share 1] [--rate 1e-3] [--folder RUNS] [--out RESULT.json]

Compared on the same gaps, with the real skeletons in them: the model as it is (untuned), tuned in two stages (300 and
300 steps), all at once (600 steps), in two stages of which the first does not see the background, and in two stages
without recurrent attention; beside them `fade` and `flow`. The
autoencoder and the Reference Decoder stand in for those of large models, which know all kinds of pictures: they have
learned from both footages (but for the gaps) before, and stay as they are. By how much the two stages are nearer to the
person (PSNR, dB) is told by gap, with the 95 % interval of a bootstrap over gaps. What was stopped goes on in its
folder.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from vmg_backend.evaluation.picture_metrics import Likeness, likeness
from vmg_backend.interpolation.engines import make_engine
from vmg_backend.interpolation.guide import shipped_guide
from vmg_backend.interpolation.hminterp.config import TINY
from vmg_backend.interpolation.hminterp.model import HMInterp
from vmg_backend.interpolation.interpolator import Interpolator
from vmg_backend.jobs import Source, analyze
from vmg_backend.library import FootageLibrary
from vmg_backend.models import MODELS_VARIABLE, OWN
from vmg_backend.progress import Progress
from vmg_backend.protocol import EngineChoice
from vmg_backend.training.hminterp.held_out import LENGTH
from vmg_backend.training.hminterp.one_shot import JOINT, PAPER, TWO_STAGES, tune
from vmg_backend.training.hminterp.personal import engine_of, train_on
from vmg_backend.training.hminterp.preparing import prepare
from vmg_backend.training.hminterp.recipes import PERSONAL, Stage
from vmg_backend.training.hminterp.validation import TrueGap, filled, held_out_gaps, over

CONFIG = replace(
    TINY, name="one-shot", frames=LENGTH + 2, latent_channels=8, steps=6, sampler="dpm++", guidance=1.0,
    licence="That of the footage.",
)  # fmt: skip
STEPS = {"autoencoder": 600, "decoder": 300, "seed": 300, "pose": 700}
ROWS = {
    "two stages": TWO_STAGES,
    "joint": JOINT,
    "background hidden": PAPER,
    "not recurrent": replace(TWO_STAGES, adaptation=replace(TWO_STAGES.adaptation, recurrent=False)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", type=Path)
    parser.add_argument("b", type=Path)
    parser.add_argument("--fps-a", type=Fraction, help="of the motion in A, where the file's own is wrong")
    parser.add_argument("--fps-b", type=Fraction, help="of that in B")
    parser.add_argument("--share", type=float, default=1.0, help="of the steps of training and tuning")
    parser.add_argument("--rate", type=float, default=1e-3, help="of tuning; the recipes' own is for large models")
    parser.add_argument("--size", type=int, default=48, help="short side of the crop, px")
    parser.add_argument("--gaps", type=int, help="of B's at most")
    parser.add_argument("--library", type=Path, help="where poses are kept")
    parser.add_argument("--folder", type=Path, default=Path("one_shot_runs"))
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    os.environ[MODELS_VARIABLE] = str(words.folder)
    library = FootageLibrary(words.library) if words.library else FootageLibrary()
    (a,), (b,) = analyze([Source(words.a, words.fps_a)], library), analyze([Source(words.b, words.fps_b)], library)
    eyes, base = (words.folder / OWN / name for name in ("eyes", "base"))
    recipe = replace(PERSONAL, config=replace(CONFIG, size=words.size), stages=tuple(map(small, PERSONAL.stages)))
    recipe = recipe.scaled(words.share)
    if not eyes.exists():
        train_on([a, b], library, "eyes", replace(recipe, stages=recipe.stages[:2], guide=0), progress=said())
    if not base.exists():
        last, seen = replace(recipe, stages=recipe.stages[2:]), HMInterp.load(eyes)
        train_on([a], library, "base", last, begin=seen, progress=said())
    clips = prepare([b], HMInterp.load(base).config, words.folder / "b", progress=said())
    gaps = held_out_gaps(clips, [b], library)[: words.gaps]
    scores = {name: measured(gaps, make_engine(EngineChoice(name))) for name in ("fade", "flow")}
    scores["untuned"] = measured(gaps, engine_of(HMInterp.load(base), shipped_guide()))
    parameters = 0
    for name, row in ROWS.items():
        model, recipe = HMInterp.load(base), row.scaled(words.share, words.rate)
        adapters = tune(model, clips.folder, words.folder / "runs" / name, recipe, progress=said())
        parameters = sum(each.numel() for each in adapters.parameters())
        scores[name] = measured(gaps, engine_of(model, shipped_guide()))
    best = near(scores["two stages"])
    result = {
        "a": a.footage.name,
        "b": b.footage.name,
        "gaps": len(gaps),
        "steps": {name: round(count * words.share) for name, count in STEPS.items()},
        "share": words.share,
        "rate": words.rate,
        "config": HMInterp.load(base).config.as_dict(),
        "parameters": {"model": sum(each.numel() for each in HMInterp.load(base).parameters()), "adapters": parameters},
        "means": {name: means(each) for name, each in scores.items()},
        "two stages over": {name: over(best - near(each)) for name, each in scores.items() if name != "two stages"},
    }
    print(json.dumps(result, indent=1))
    if words.out:
        words.out.write_text(json.dumps(result, indent=1), encoding="utf-8")


def small(stage: Stage) -> Stage:
    """As much of a stage as one core does in minutes."""
    rate = {"autoencoder": 5e-3, "decoder": stage.rate, "seed": 6e-3, "pose": 6e-3}[stage.name]
    batch = 4 if stage.name == "autoencoder" else 1
    hands = 1.0  # a hand is less than a pixel here
    return replace(stage, steps=STEPS[stage.name], batch=batch, accumulate=1, rate=rate, hands=hands, keep=0.99)


def measured(gaps: list[TrueGap], engine: Interpolator) -> list[Likeness]:
    """Led by the real skeletons: it is the pictures that are compared."""
    return [likeness(filled(one, engine, led=True), one.frames, one.joints) for one in gaps]


def near(scores: list[Likeness]) -> np.ndarray:
    return np.array([each.person_psnr for each in scores])


def means(scores: list[Likeness]) -> dict[str, float]:
    return {name: round(float(np.mean([getattr(each, name) for each in scores])), 3) for name in vars(scores[0])}


def said() -> Progress:
    """Prints each stage's tenths once."""
    seen: set[tuple[str, int]] = set()

    def report(fraction: float, stage: str) -> None:
        if (now := (stage, int(10 * fraction))) not in seen:
            seen.add(now)
            print(f"{fraction:.0%} {stage}", flush=True)

    return Progress(report)


if __name__ == "__main__":
    main()
