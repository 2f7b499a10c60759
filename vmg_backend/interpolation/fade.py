"""The plainest engine: a cross fade of the two moving continuations."""

from __future__ import annotations

import numpy as np

from ..progress import SILENT, Progress
from .interpolator import Frames, Gap, Preview, crossing_weights


class Fade:
    """Cross fade of what really follows on the one side and what really leads to the other."""

    name = "fade"
    guide = None
    version = "1"

    def given(self, length: int) -> int:
        """One real frame on either side."""
        return 1

    def fill(self, gap: Gap, progress: Progress = SILENT, preview: Preview | None = None) -> Frames:
        """The n frames [n, H, W, 3] of `gap`, mixed as displayed.

        Mixing display values, not linear light: in linear light the brighter of two pictures wins, and the dark hair
        or clothes of the other vanish at once.
        """
        made = np.empty_like(gap.outgoing.frames)
        for k, weight in enumerate(crossing_weights(gap.length)):
            progress.update(k / gap.length)
            mixed = (1.0 - weight) * gap.outgoing.frames[k] + weight * gap.incoming.frames[k]
            made[k] = np.rint(mixed)
        progress.update(1.0)
        return made
