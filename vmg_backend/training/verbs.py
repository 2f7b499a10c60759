"""The verbs of ``vmg train``."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..files import check_output
from ..interpolation.engines import check_packages
from ..progress import SILENT, Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..motion.choice import Table
    from ..motion.weights import Weights
    from .mocap import Motion

VALIDATED = (4, 8, 12, 24, 48)
"""Frames of the gaps by which it is chosen what fills which."""
BATCHES = 8
"""Of gaps of each length for that."""


def train_mdm(words: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """``vmg train mdm``."""
    if find_spec("torch") is None:
        raise UserError(
            "Training needs torch, which is not installed.",
            'Install it beside the backend: pip install "vmg_backend[train]".',
            title="No torch",
        )
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
    parts = split(read_motions(words.motion, progress.part(0.0, 0.02, "Reading")))
    takes = parts["training"]
    training = Training(MotionBatches(takes).draw, len(MOTION.joints), recipe)
    if state.exists():
        training.resume(state)
        print(f"Going on after step {training.step}.", file=sys.stderr)

    def said(step: int, loss: float) -> None:
        print(f"step {step}: loss {loss:.4f}", file=sys.stderr)

    training.run(state, progress.part(0.02, 0.9), said)
    about: dict[str, Any] = {
        "data": {
            "takes": len(takes),
            "seconds": round(sum(len(take.joints) for take in takes) / RATE),
            "files": [path.name for path in words.motion],
        }
    }
    summary = f"{words.out}: {training.step} steps on {about['data']['seconds']} s of motion"
    if parts["validation"]:
        table = validated(training.weights(about), parts["validation"], progress.part(0.9, 1.0))
        about["choice"] = table.as_json()
        summary += f"; best for {sum(rule.method == 'mdm' for rule in table.rules)} of {len(table.rules)} kinds of gaps"
    else:
        summary += "; nobody for validation among them, so it is not said where it is the best"
    training.weights(about).save(words.out)
    state.unlink()
    return {"out": str(words.out), "steps": training.step, **about, "summary": summary}


def train_on_footage(words: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """``vmg train personal``, ``vmg train hminterp`` and ``vmg train one-shot``."""
    check_packages()
    from .hminterp.verbs import VERBS

    return VERBS[words.kind](words, progress)


def validated(weights: Weights, takes: Sequence[Motion], progress: Progress = SILENT) -> Table:
    """What fills which kind of gap best, on takes of people that the network has not seen."""
    from ..evaluation.motion_sources import estimated_gaps, mocap_gaps
    from ..motion.choice import contenders, make_table
    from ..motion.mdm import MotionDiffusion

    gaps = mocap_gaps(takes, VALIDATED) + estimated_gaps(takes, VALIDATED, BATCHES)
    return make_table(gaps, contenders(weights), {MotionDiffusion.name}, progress)
