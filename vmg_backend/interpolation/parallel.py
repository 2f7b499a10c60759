"""Work on the frames of a transition, on several cores: NumPy, OpenCV and mediapipe let go of Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ..progress import Progress

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

WORKERS = min(4, os.cpu_count() or 1)
"""Threads; each holds about ten pictures of 32 bits a channel."""


def in_parallel(work: Callable[[_Item], _Result], items: Sequence[_Item], progress: Progress) -> list[_Result]:
    """`work` of each item, in their order; `progress` is told, and asked whether to stop, after each."""
    progress.update(0.0)
    with ThreadPoolExecutor(WORKERS) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            results = []
            for future in futures:
                results.append(future.result())
                progress.update(len(results) / len(items))
        finally:
            pool.shutdown(cancel_futures=True)
    return results
