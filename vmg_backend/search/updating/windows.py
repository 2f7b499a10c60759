"""Which output frames are searched anew around a stretch, between others that are kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..film import Film
from .given import Given
from .placing import LEAST_REAL


@dataclass(frozen=True)
class Window:
    """Output frames [start, end) that are searched anew, but for the first and the last ones."""

    start: int
    end: int
    kept: tuple[int, int]

    @property
    def fixed(self) -> list[int]:
        """Output frames at its ends that stay."""
        return [*range(self.start, self.start + self.kept[0]), *range(self.end - self.kept[1], self.end)]


Stretch = tuple[int, int]
"""Output frames [start, end)."""


def around(film: Film, stretch: Stretch, before: int, after: int, given: Given) -> Window:
    """The segments of a stretch with so many on either side, which lend frames."""
    bounds = film.bounds
    first = max(film.piece(stretch[0]) - before, 0)
    last = min(film.piece(stretch[1] - 1) + after, len(bounds) - 2)
    start, end = bounds[first], bounds[last + 1]
    left = _lent(film, first, given) if start > 0 else 0
    right = _lent(film, last + 1, given) if end < len(film.nodes) else 0
    return Window(start, end, (left, right))


def beside(film: Film, stretch: Stretch, more: int, given: Given) -> Window:
    """Whole segments of which only a stretch, and so many frames on either side, may change."""
    bounds, frames = film.bounds, len(film.nodes)
    free = max(stretch[0] - more, 0), min(stretch[1] + more, frames)
    first, last = film.piece(free[0]), film.piece(free[1] - 1)
    while first > 0 and free[0] - bounds[first] < _lent(film, first, given):
        first -= 1
    while last < len(bounds) - 2 and bounds[last + 1] - free[1] < _lent(film, last + 1, given):
        last += 1
    start, end = bounds[first], bounds[last + 1]
    return Window(start, end, (free[0] - start, end - free[1]))


def merged(film: Film, stretches: Iterable[Stretch], more: int, given: Given) -> list[Window]:
    """The windows around stretches, with so many segments more on either side; those that overlap are one."""
    found: list[Window] = []
    windows = (around(film, stretch, more, more, given) for stretch in stretches)
    for one in sorted(windows, key=lambda one: (one.start, one.end)):
        if found and one.start < found[-1].end:
            last = found[-1]
            farther = one if one.end > last.end else last
            found[-1] = Window(last.start, farther.end, (last.kept[0], farther.kept[1]))
        else:
            found.append(one)
    return found


def _lent(film: Film, bound: int, given: Given) -> int:
    """Frames next to a bound that stay where what is beyond them is searched anew."""
    return max(given.hold, film.half(bound) + given.longest + LEAST_REAL)
