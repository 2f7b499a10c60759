"""Gaps that are kept out of a training, so that it can be measured on them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LENGTH = 12
"""Frames of a gap."""
SHARE = 0.075
"""Of all frames that could be trained on, how many lie in gaps; half of the frames stay for training in any case."""
LEAST = 3
"""Gaps, where that half allows it."""
GUARD = 6
"""Frames on either side of a held-out range that are not trained on either: they look almost like what is held out.

With three frames of context, a gap's frames are 10 or more from all that is trained on. In the person's crop, frames
that far apart agree to 22.2, 23.5, 21.0, 16.0 dB of PSNR (dance_routine, talk_gestures, dance_room, dance_sea), little
better than frames 60 apart, to 20.4, 21.6, 20.4, 15.4 dB; neighbours agree to 30.5, 32.7, 25.7, 22.5 dB."""


@dataclass(frozen=True)
class Stretch:
    """Frames of one footage that follow each other: of one shot, all with a person who is seen well.

    Attributes
    ----------
    footage : str
        Its content hash.
    numbers : int32 [n]
        Of the frames; frames that only repeat the one before are left out.
    speed : float32 [n]
        Of the joints since the frame before, torso lengths a second; 0 for the first one.
    """

    footage: str
    numbers: NDArray[np.int32]
    speed: NDArray[np.float32]

    def __getitem__(self, part: slice) -> Stretch:
        return Stretch(self.footage, self.numbers[part], self.speed[part])


@dataclass(frozen=True)
class HeldOut:
    """A gap that is not trained on, with the frames around it.

    Attributes
    ----------
    footage : str
        Its content hash.
    frames : tuple of int
        Numbers of the frames: `context` before the gap, the gap's own, `context` after it.
    context : int
    fast : bool
        Whether the person moves faster in it than in most places.
    """

    footage: str
    frames: tuple[int, ...]
    context: int
    fast: bool

    @property
    def gap(self) -> tuple[int, ...]:
        """Numbers of the gap's own frames."""
        return self.frames[self.context : len(self.frames) - self.context]

    def touches(self, footage: str, first: int, last: int, guard: int = 0) -> bool:
        """Whether frames of a footage, or those `guard` beside them, are held out."""
        return self.footage == footage and first - guard <= self.frames[-1] and last + guard >= self.frames[0]


def choose(stretches: Sequence[Stretch], context: int, seed: int) -> tuple[HeldOut, ...]:
    """Gaps spread evenly over the footage, by turns where the person moves fast and slowly; equal for equal seeds.

    None where the footage is too short.

    Parameters
    ----------
    stretches : sequence of Stretch
        In the order of the footages.
    context : int
        Frames on either side of a gap that belong to it.
    seed : int
    """
    span = LENGTH + 2 * context
    usable = sum(len(stretch.numbers) for stretch in stretches)
    places = [(stretch, first) for stretch in stretches for first in range(len(stretch.numbers) - span + 1)]
    count = min(max(LEAST, round(SHARE * usable / LENGTH)), usable // (2 * (span + 2 * GUARD)))
    if not places or not count:
        return ()
    gaps = (stretch.speed[first + context : first + context + LENGTH] for stretch, first in places)
    speed = np.array([gap.mean() for gap in gaps])
    fast = speed >= np.median(speed)
    random = np.random.default_rng(seed)
    begin = bool(random.integers(2))
    found: list[HeldOut] = []
    for turn, part in enumerate(np.array_split(np.arange(len(places)), count)):
        wanted = begin ^ bool(turn % 2)
        for kind in (wanted, not wanted):
            pool = [place for place in part[fast[part] == kind].tolist() if _is_free(places[place], span, found)]
            if pool:
                stretch, first = places[int(random.choice(pool))]
                numbers = stretch.numbers[first : first + span].tolist()
                found.append(HeldOut(stretch.footage, tuple(numbers), context, kind))
                break
    return tuple(found)


def without(stretch: Stretch, held_out: Collection[HeldOut]) -> tuple[list[Stretch], int, int]:
    """What is left of a stretch, and how many frames are held out, and beside such frames."""
    held, beside = (np.zeros(len(stretch.numbers), bool) for _ in range(2))
    for one in held_out:
        if one.footage == stretch.footage:
            held |= (stretch.numbers >= one.frames[0]) & (stretch.numbers <= one.frames[-1])
            beside |= (stretch.numbers >= one.frames[0] - GUARD) & (stretch.numbers <= one.frames[-1] + GUARD)
    kept = np.concatenate([[False], ~beside, [False]])
    edges = np.flatnonzero(kept[1:] != kept[:-1])
    left = [stretch[first:last] for first, last in zip(edges[::2], edges[1::2], strict=True)]
    return left, int(held.sum()), int((beside & ~held).sum())


def _is_free(place: tuple[Stretch, int], span: int, found: Sequence[HeldOut]) -> bool:
    stretch, first = place
    ends = int(stretch.numbers[first]), int(stretch.numbers[first + span - 1])
    return not any(other.touches(stretch.footage, *ends, guard=2 * GUARD) for other in found)
