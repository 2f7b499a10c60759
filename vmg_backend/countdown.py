"""How long a job will still take, judged by how it went on lately."""

from __future__ import annotations

from collections import deque

SETTLING = 2.0
"""s of a stage before its speed says anything."""
MEMORY = 20.0
"""s of the past that the speed is taken from."""
CALM = 4.0
"""s in which what is told comes near to a new estimate; sooner where less time is left."""


class Countdown:
    """Seconds left of a job, from the fractions done that it reports.

    Stages differ in speed, so with each new one the past no longer counts; while it settles, the last figure counts
    down. Stages that come again belong to work that goes round.
    """

    def __init__(self) -> None:
        self._stages: set[str] = set()
        self._past: deque[tuple[float, float]] = deque()
        self._told: tuple[float, float] | None = None

    def update(self, now: float, fraction: float, stage: str) -> float | None:
        """The seconds left; None while they cannot be told.

        Parameters
        ----------
        now : float
            s, of any clock that only goes forward.
        fraction : float
            Done, 0 to 1.
        stage : str
        """
        if stage not in self._stages:
            self._stages.add(stage)
            self._past.clear()
        self._past.append((now, fraction))
        while now - self._past[0][0] > MEMORY:
            self._past.popleft()
        then, before = self._past[0]
        at, left = self._told or (now, None)
        passed = now - at
        left = None if left is None else max(0.0, left - passed)
        if now - then >= SETTLING and fraction > before:
            estimate = (1.0 - fraction) * (now - then) / (fraction - before)
            calm = min(CALM, estimate)
            left = estimate if left is None or passed >= calm else left + (estimate - left) * passed / calm
        self._told = None if left is None else (now, left)
        return left
