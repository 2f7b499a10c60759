"""Whether a public model fits: its work rehearsed without numbers, as HMInterp's is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from torch import nn

from ...errors import UserError
from ..hminterp.devices import Placement
from ..hminterp.memory import SLACK, Estimate, Live, Stage, bytes_of, rehearsing, said


def rehearse(
    parts: Mapping[str, nn.Module], stages: Mapping[str, tuple[tuple[str, ...], Callable[[], object]]], place: Placement
) -> Estimate:
    """The estimate of work in stages, one after the other.

    Parameters
    ----------
    parts : mapping of str to Module
        The model's, on the device "meta".
    stages : mapping of str to (names of parts, callable)
        What each stage does, and which parts have something to do in it.
    place : Placement
    """
    working = {}
    for name, (names, work) in stages.items():
        live = Live()
        with rehearsing(live):
            work()
        working[name] = (Stage(names, live.peak),)
    weights = {name: bytes_of(part.parameters()) for name, part in parts.items()}
    return Estimate(weights, working, offload=False, slack=SLACK[place.device.type])


def plan(need: Estimate, label: str, place: Placement, free: int) -> bool:
    """Whether parts must wait in the RAM for their turn.

    Parameters
    ----------
    need : Estimate
        With all parts on the device.
    label : str
        The model, for people.
    place : Placement
    free : int
        Bytes.

    Raises
    ------
    UserError
        When it does not fit even so.
    """
    ways = [need] if place.device.type == "cpu" else [need, replace(need, offload=True)]
    for way in ways:
        if way.peak <= free:
            return way.offload
    raise UserError(
        f"{label} needs {said(ways[-1].peak)}, and {said(free)} are free.",
        "Close other programs, or choose another device or engine.",
        title="Too little memory",
    )
