"""Weights of the loss where a hand is confidently seen (MimicMotion: hand region enhancement)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...pose.skeletons import Skeleton

SURE = 0.8
"""Confidence from which a hand's joint counts as seen. Mediapipe's tracks have one for a whole hand. When its model for
hands alone looks again at a crop around each hand of seven test clips, it confirms (boxes overlap by 0.3) 74 % of those
with 0.9 to 1, 60 % with 0.8 to 0.9, 43 % with 0.7 to 0.8. Where hands are large (talk_gestures) it confirms 98 % from
0.8 on, and at least one hand is that sure in 91 % of the frames."""
ALL = 1.0
"""Share of a hand's joints that must be sure."""
LEAST = 2.0
"""Latent cells of a hand's longer side from which there is something to be learned of it."""
MOST = 3.0
"""Mean weight of a frame at most: where hands fill the picture, their weight is less."""


def hand_weights(
    joints: NDArray[np.floating[Any]],
    confidence: NDArray[np.floating[Any]],
    skeleton: Skeleton,
    cells: tuple[int, int],
    factor: int,
    weight: float,
    *,
    sure: float = SURE,
    share: float = ALL,
) -> NDArray[np.float32]:
    """Weights [F, h, w]: `weight` in the latent cells that a hand's box touches, 1 elsewhere.

    Parameters
    ----------
    joints : float [F, J, 2]
        px of what the network sees.
    confidence : float [F, J]
    skeleton : Skeleton
        Without hands, all weights are 1.
    cells : (int, int)
        Width and height in latent cells.
    factor : int
        px of a cell's side.
    weight : float
        At least 1.
    sure : float
    share : float
        Of a hand's joints that must be that sure; the others do not count for its box.
    """
    weights = np.ones((len(joints), cells[1], cells[0]), np.float32)
    for hand in filter(None, (skeleton.left_hand, skeleton.right_hand)):
        places, seen = joints[:, hand] / factor, confidence[:, hand] >= sure
        for frame in np.flatnonzero(seen.any(1) & (seen.mean(1) >= share)):
            box = places[frame][seen[frame]]
            first, last = box.min(axis=0), box.max(axis=0)
            if (last - first).max() >= LEAST:
                left, top = np.maximum(np.floor(first), 0).astype(int)
                right, bottom = np.maximum(np.ceil(last), 0).astype(int)
                weights[frame, top:bottom, left:right] = weight
    covered = (weights > 1.0).mean(axis=(1, 2))
    highest = 1.0 + (MOST - 1.0) / np.maximum(covered, 1e-6)
    return np.minimum(weights, highest[:, None, None]).astype(np.float32)
