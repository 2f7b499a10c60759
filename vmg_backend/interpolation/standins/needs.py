"""What the stand-ins are made of; loads nothing."""

from __future__ import annotations

from collections.abc import Mapping

from ...models import find_model, installed

NEEDS: Mapping[str, tuple[str, ...]] = {
    "vace": ("wan-vace",),
    "sparsectrl": ("sparsectrl-rgb", "controlnet-openpose", "animatediff-v3", "sd15-unet", "sd15-text", "sd-vae"),
}
"""The models of each engine, by their names in the registry."""


def missing_models(engine: str) -> tuple[str, ...]:
    """Those that are not here."""
    return tuple(name for name in NEEDS[engine] if installed(find_model(name)) is None)
