"""The verbs of ``vmg train``."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from ..errors import UserError
from ..files import check_output
from ..progress import Progress


def train_mdm(words: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """``vmg train mdm``."""
    if find_spec("torch") is None:
        raise UserError(
            "Training needs torch, which is not installed.",
            'Install it beside the backend: pip install "vmg_backend[train]".',
            title="No torch",
        )
    from ..motion.weights import Weights
    from ..pose.skeletons import MOTION
    from .gaps import MotionBatches
    from .mdm import RECIPES, Training
    from .mocap import RATE, read_motions, split

    if words.out.suffix != ".safetensors":
        raise UserError(f"Weights cannot be written as {words.out.name}.", "End the name in .safetensors.")
    check_output(words.out, words.motion)
    if words.recipe not in RECIPES:
        raise UserError(f'There is no recipe "{words.recipe}".', f"Choose one of: {', '.join(RECIPES)}.")
    recipe = RECIPES[words.recipe]
    if words.steps:
        recipe = replace(recipe, steps=words.steps)
    state = words.out.with_name(f"{words.out.name}.state")
    takes = split(read_motions(words.motion, progress.part(0.0, 0.02, "Reading")))["training"]
    training = Training(MotionBatches(takes).draw, len(MOTION.joints), recipe)
    if state.exists():
        training.resume(state)
        print(f"Going on after step {training.step}.", file=sys.stderr)

    def said(step: int, loss: float) -> None:
        print(f"step {step}: loss {loss:.4f}", file=sys.stderr)

    training.run(state, progress.part(0.02, 1.0), said)
    data = {
        "takes": len(takes),
        "seconds": round(sum(len(take.joints) for take in takes) / RATE),
        "names": [path.name for path in words.motion],
    }
    weights: Weights = training.weights({"data": data})
    weights.save(words.out)
    state.unlink()
    return {
        "out": str(words.out),
        "steps": training.step,
        "data": data,
        "summary": f"{words.out}: {training.step} steps on {data['seconds']} s of motion",
    }
