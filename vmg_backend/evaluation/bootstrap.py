"""How sure a statistic of few values is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 2000


def interval(values: NDArray[np.float64], statistic: Any = np.mean) -> list[float]:
    """The 95 % bootstrap interval of a statistic of the values: both ends, or nothing where there is no value."""
    values = values[np.isfinite(values)]
    if not len(values):
        return []
    picks = np.random.default_rng(0).integers(len(values), size=(_RESAMPLES, len(values)))
    low, high = np.percentile(statistic(values[picks], axis=1), [2.5, 97.5])
    return [float(low), float(high)]
