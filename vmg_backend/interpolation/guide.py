"""Where the joints go through a transition: the Motion Diffusion Model's answer, or what validation found better."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np

from ..files import content_hash
from ..motion.carry import carry, motion_gap
from ..motion.choice import Choice, Table, contenders
from ..motion.gap import CONTEXT, InBetweener, PoseGap, Side
from ..motion.weights import SHIPPED, Weights
from ..pose.skeletons import MEDIAPIPE, Skeleton
from .interpolator import Continuation, Gap


class Guide(Protocol):
    """Says where the joints go through a transition."""

    @property
    def version(self) -> str:
        """Changes whenever its joints change; part of a transition's hash."""
        ...

    @property
    def skeleton(self) -> Skeleton:
        """Of the joints."""
        ...

    @property
    def wanted(self) -> bool:
        """Whether a person wants these joints; else they are a guess, which gives way to what the footage shows."""
        ...

    def draw(self, gap: Gap) -> Side:
        """The joints [n, J, 2] in px, and how sure they are; NaN where one is not known."""
        ...


class PoseGuide:
    """Guesses the joints of a transition.

    Parameters
    ----------
    inbetweener : InBetweener
        Of the 17 joints of `MOTION`.
    version : str
        Changes whenever its joints change; part of a transition's hash.
    skeleton : Skeleton, optional
        Of the gap's joints.
    """

    wanted = False

    def __init__(self, inbetweener: InBetweener, version: str, skeleton: Skeleton = MEDIAPIPE) -> None:
        self._inbetweener = inbetweener
        self.version = version
        self.skeleton = skeleton

    def draw(self, gap: Gap) -> Side:
        """The joints [n, J, 2] in px, and how sure they are; NaN where a joint is known on neither side."""
        poses = pose_gap(gap)
        between = self._inbetweener.fill([motion_gap(poses, self.skeleton)], gap.seed)[0]
        return Side(*carry(poses, self.skeleton, between))


def pose_gap(gap: Gap) -> PoseGap:
    """What an in-betweener of poses gets of a gap."""
    return PoseGap(
        gap.before.joints[-CONTEXT:],
        gap.after.joints[:CONTEXT],
        gap.before.confidence[-CONTEXT:],
        gap.after.confidence[:CONTEXT],
        gap.length,
        _known(gap.outgoing),
        _known(gap.incoming),
    )


def _known(side: Continuation) -> Side | None:
    """A continuation's poses, where it has any."""
    return Side(side.joints, side.confidence) if np.isfinite(side.joints).any() else None


@cache
def shipped_guide() -> PoseGuide:
    """The weights that come with the package."""
    return guide_of(SHIPPED)


def guide_of(file: Path) -> PoseGuide:
    """A Motion Diffusion Model where its validation found it best, and baselines elsewhere.

    Raises
    ------
    UserError
        When there is none.
    """
    weights = Weights.load(file)
    choice = Choice(Table.from_json(weights.about["choice"]), contenders(weights))
    return PoseGuide(choice, content_hash(file)[:16])
