"""A lock that the system gives back when its holders end, however they end.

Standard library only, Python 3.8: Blender's side makes the backend's environment with it.
"""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PAUSE = 0.2
"""Seconds between two tries."""


@contextmanager
def locked(path: Path, on_wait: Callable[[], None]) -> Iterator[int]:
    """Hold the lock of `path`, made where it is missing.

    Parameters
    ----------
    path : Path
        A file that is there for the lock alone.
    on_wait : callable
        Called before each pause while another one holds the lock; what it raises ends the waiting.

    Yields
    ------
    int
        The file's descriptor; a program that inherits it holds the lock as well (not on Windows).
    """
    with path.open("a") as file:
        while not _try(file.fileno()):
            on_wait()
            time.sleep(PAUSE)
        yield file.fileno()


def _try(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
