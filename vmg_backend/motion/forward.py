"""The Motion Diffusion Model's network in numpy: what `network` computes, for installs without torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Forward:
    """The network of given weights.

    Parameters
    ----------
    weights : mapping of str to float32 array
        By their names in `network.MotionTransformer`.
    heads : int
        Of attention; the rest of the network's size is told by the weights.
    """

    def __init__(self, weights: Mapping[str, Floats], heads: int) -> None:
        self._weights = weights
        self._heads = heads
        self._pairs = sum(name.startswith("join.") for name in weights) // 2

    def __call__(self, noisy: Floats, moment: float, frames: Floats, both: Floats) -> Floats:
        """Predict the clean offset.

        Parameters
        ----------
        noisy : float32 [B, n, J, 2]
        moment : float
            0 (clean) to 1 (noise).
        frames : float32 [B, s + n + s, F]
        both : float32 [B, E]

        Returns
        -------
        float32 [B, n, J, 2]
        """
        count, length = noisy.shape[:2]
        rows = frames.shape[1]
        context = (rows - length) // 2
        offset = np.pad(noisy.reshape(count, length, -1), ((0, 0), (context, context), (0, 0)))
        told = np.broadcast_to(both[:, None], (count, rows, both.shape[1]))
        x = self._linear("enter", np.concatenate([offset, frames, told], axis=2))
        x = x + self._weights["from_first"][:rows] + self._weights["from_last"][:rows][::-1]
        step = self._linear("moment.0", _waves(moment, x.shape[2]))
        step = _silu(self._linear("moment.2", _silu(step)))
        kept = []
        for number in range(self._pairs):
            x = self._block(f"down.{number}", x, step)
            kept.append(x)
        x = self._block("middle", x, step)
        for number in range(self._pairs):
            x = self._linear(f"join.{number}", np.concatenate([x, kept.pop()], axis=2))
            x = self._block(f"up.{number}", x, step)
        x = _normal(x[:, context : context + length]) * self._weights["norm.weight"] + self._weights["norm.bias"]
        return self._linear("leave", x).reshape(noisy.shape)

    def _block(self, name: str, x: Floats, step: Floats) -> Floats:
        count, rows, width = x.shape
        shift, scale, gate, shift_wide, scale_wide, gate_wide = np.split(self._linear(f"{name}.steer", step), 6)
        parts = self._linear(f"{name}.attend", _normal(x) * (1 + scale) + shift)
        queries, keys, values = parts.reshape(count, rows, 3, self._heads, -1).transpose(2, 0, 3, 1, 4)
        likeness = queries @ keys.swapaxes(2, 3) / np.float32(np.sqrt(queries.shape[-1]))
        share = np.exp(likeness - likeness.max(axis=-1, keepdims=True))
        seen = (share / share.sum(axis=-1, keepdims=True)) @ values
        x = x + gate * self._linear(f"{name}.gather", seen.swapaxes(1, 2).reshape(count, rows, width))
        wide = self._linear(f"{name}.widen", _normal(x) * (1 + scale_wide) + shift_wide)
        return x + gate_wide * self._linear(f"{name}.narrow", _gelu(wide))

    def _linear(self, name: str, x: Floats) -> Floats:
        result: Floats = x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return result


def _waves(moment: float, width: int) -> Floats:
    rates = np.exp(-np.arange(width // 2) * (9.21034 / (width // 2)))
    angles = 1000.0 * moment * rates
    both: Floats = np.concatenate([np.sin(angles), np.cos(angles)]).astype(np.float32)
    return both


def _normal(x: Floats) -> Floats:
    centred = x - x.mean(axis=-1, keepdims=True)
    spread: Floats = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(1e-5))
    return spread


def _silu(x: Floats) -> Floats:
    return x / (1 + np.exp(-x))


def _gelu(x: Floats) -> Floats:
    result: Floats = np.float32(0.5) * x * (1 + np.tanh(np.float32(0.7978845608) * (x + np.float32(0.044715) * x**3)))
    return result
