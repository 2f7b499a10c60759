"""The diffusion's noise, and sampling without noise added on the way."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SMALL = 1e-4
"""Least share of signal: at the first step there is next to none."""
_OFFSET = 0.008


def signal_share(moment: ArrayLike) -> NDArray[np.float64]:
    """The share of signal in the squared amplitude (alpha bar) at a moment from 0 (clean) to 1 (noise).

    Cosine schedule of Nichol and Dhariwal 2021 (Improved Denoising Diffusion Probabilistic Models, equation 17),
    with a floor that keeps the last moment invertible.
    """
    share = np.cos((np.asarray(moment) + _OFFSET) / (1.0 + _OFFSET) * np.pi / 2.0) ** 2
    return np.asarray(np.maximum(share / np.cos(_OFFSET / (1.0 + _OFFSET) * np.pi / 2.0) ** 2, _SMALL), np.float64)


def ddim(
    predict: Callable[[NDArray[np.float32], float], NDArray[np.float32]], noise: NDArray[np.float32], steps: int
) -> NDArray[np.float32]:
    """Walk from noise to a sample.

    Song et al. 2021 (Denoising Diffusion Implicit Models, equation 12) with eta 0, for a network that predicts x0.

    Parameters
    ----------
    predict : callable
        Gives x0 of a noisy array and its moment.
    noise : float32 [...]
        Of standard deviation 1.
    steps : int
        Calls of `predict`.
    """
    moments = np.linspace(1.0, 0.0, steps + 1)
    x = noise
    for here, there in pairwise(moments):
        clean = predict(x, float(here))
        if there == 0.0:
            return clean
        share, share_next = float(signal_share(here)), float(signal_share(there))
        direction = (x - np.float32(share**0.5) * clean) / np.float32((1.0 - share) ** 0.5)
        x = np.float32(share_next**0.5) * clean + np.float32((1.0 - share_next) ** 0.5) * direction
    return x
