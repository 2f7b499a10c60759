"""All that a take is asked for, as the timeline and the scene's settings say it now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import bpy

from ...vmg_backend.protocol import WEIGHTS, Sound, Wish
from .. import compat, paths
from . import actions, reading


def wish(scene: bpy.types.Scene) -> Wish:
    """What a new take is asked for.

    Raises
    ------
    UserError
        When something is missing or does not fit.
    """
    settings = scene.vmg
    weights = {name: round(getattr(settings, f"weight_{name}"), 6) for name in WEIGHTS}
    return Wish(
        **_lying(scene, reading.take_range(scene), weights),
        seed=settings.seed,
        hold_seconds=round(settings.hold_seconds, 6),
        cut_price=round(settings.cut_price, 6),
        reuse_seconds=round(settings.reuse_seconds, 6) or None,
        text=settings.text.strip(),
        weights=weights,
        longest_seconds=round(settings.longest_seconds, 6) or None,
        loop=settings.loop,
    )


def wish_now(scene: bpy.types.Scene, take: bpy.types.MetaStrip, frames: int, made_for: Wish) -> Wish:
    """What a take of so many frames would be asked for now, where it lies now.

    What has a time is read anew; settings stay those that it was made with. Raises as `wish`.
    """
    taken = reading.TakeRange(compat.start(take), frames)
    return replace(made_for, **_lying(scene, taken, {**WEIGHTS, **made_for.weights}))


def _lying(scene: bpy.types.Scene, taken: reading.TakeRange, weights: Mapping[str, float]) -> dict[str, Any]:
    """What lies in the timeline, as the wish has it; sound only where it has a weight, since it takes time to hear."""
    uses = reading.footage_uses(scene)
    reading.check_rates(scene)
    return {
        "footages": uses,
        "frames": taken.frames,
        "beats": reading.beats(scene, taken),
        "keys": reading.keys(scene, taken),
        "tags": actions.tags(scene, taken),
        "labels": actions.labels(scene),
        "music": _sound(scene, taken, "MUSIC") if weights["music"] else None,
        "speech": _sound(scene, taken, "SPEECH") if weights["speech"] else None,
        "library": paths.library_folder(),
    }


def _sound(scene: bpy.types.Scene, taken: reading.TakeRange, role: str) -> Sound | None:
    found = reading.sound(scene, taken, role)
    return found if found.pieces else None
