"""Progress and cancellation of long work, passed down as one object."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from itertools import accumulate

from .errors import Cancelled


class Progress:
    """Reports how far a job is and stops it when it was cancelled.

    Work calls :meth:`update` at least every few hundred milliseconds (each frame, each block of a
    matrix, each search pass): that is also where a cancelled job stops.

    Parameters
    ----------
    report : callable, optional
        Gets the fraction done in [0, 1] and the name of the stage.
    cancelled : threading.Event, optional
        Set by whoever wants the job to stop.
    """

    def __init__(
        self,
        report: Callable[[float, str], None] | None = None,
        cancelled: threading.Event | None = None,
    ) -> None:
        self._report = report
        self._cancelled = cancelled
        self._start, self._end, self._stage = 0.0, 1.0, ""

    def update(self, fraction: float) -> None:
        """Report the fraction done of this (sub)job.

        Raises
        ------
        Cancelled
            When the job was cancelled.
        """
        self.check()
        if self._report is not None:
            fraction = min(max(fraction, 0.0), 1.0)
            self._report(self._start + fraction * (self._end - self._start), self._stage)

    def check(self) -> None:
        """Raise `Cancelled` when the job was cancelled; costs next to nothing."""
        if self._cancelled is not None and self._cancelled.is_set():
            raise Cancelled

    def part(self, start: float, end: float, stage: str = "") -> Progress:
        """The share [start, end] of this progress, for a piece of the work."""
        child = Progress(self._report, self._cancelled)
        width = self._end - self._start
        child._start, child._end = self._start + start * width, self._start + end * width
        child._stage = stage or self._stage
        return child


def shares(work: Iterable[int]) -> list[tuple[float, float]]:
    """Begin and end of each piece's share of a job, where the pieces are so much work each."""
    ends = [0, *accumulate(work)]
    whole = max(ends[-1], 1)
    return [(begin / whole, end / whole) for begin, end in zip(ends, ends[1:])]  # noqa: B905, RUF007 - runs in Python 3.8


SILENT = Progress()
"""Reports nothing and is never cancelled."""
