"""Where the joints go through a transition: the Motion Diffusion Model's answer, or what validation found better."""

from __future__ import annotations

from functools import cache

from ..files import content_hash
from ..motion.carry import carry, motion_gap
from ..motion.choice import Choice, Table, contenders
from ..motion.gap import InBetweener, PoseGap, Side
from ..motion.weights import SHIPPED, Weights
from ..pose.skeletons import MEDIAPIPE, Skeleton
from .interpolator import Gap


class PoseGuide:
    """Draws the joints of a transition.

    Parameters
    ----------
    inbetweener : InBetweener
        Of the 17 joints of `MOTION`.
    version : str
        Changes whenever its joints change; part of a transition's hash.
    skeleton : Skeleton, optional
        Of the gap's joints.
    """

    def __init__(self, inbetweener: InBetweener, version: str, skeleton: Skeleton = MEDIAPIPE) -> None:
        self._inbetweener = inbetweener
        self.version = version
        self.skeleton = skeleton

    def draw(self, gap: Gap) -> Side:
        """The joints [n, J, 2] in px, and how sure they are; NaN where a joint is known on neither side."""
        poses = PoseGap(
            gap.before.joints,
            gap.after.joints,
            gap.before.confidence,
            gap.after.confidence,
            gap.length,
            Side(gap.outgoing.joints, gap.outgoing.confidence),
            Side(gap.incoming.joints, gap.incoming.confidence),
        )
        between = self._inbetweener.fill([motion_gap(poses, self.skeleton)], gap.seed)[0]
        return Side(*carry(poses, self.skeleton, between))


@cache
def shipped_guide() -> PoseGuide:
    """The weights that come with the package, where their validation found them best, and baselines elsewhere."""
    weights = Weights.load(SHIPPED)
    choice = Choice(Table.from_json(weights.about["choice"]), contenders(weights))
    return PoseGuide(choice, content_hash(SHIPPED)[:16])
