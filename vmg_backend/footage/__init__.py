"""Frame-exact access to reference videos: describe, read, write, conform.

The names are looked up on demand so that ``vmg_backend.footage.footage`` can be imported without PyAV.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .footage import Footage

if TYPE_CHECKING:
    from .colour import Colour
    from .conforming import conform, needs_conform
    from .opening import check_same_format, open_footage
    from .rates import parse_fps
    from .reader import FrameReader
    from .shots import find_shots
    from .writer import VideoWriter

__all__ = [
    "Colour",
    "Footage",
    "FrameReader",
    "VideoWriter",
    "check_same_format",
    "conform",
    "find_shots",
    "needs_conform",
    "open_footage",
    "parse_fps",
]

_MODULES = {
    "Colour": "colour",
    "FrameReader": "reader",
    "VideoWriter": "writer",
    "check_same_format": "opening",
    "conform": "conforming",
    "find_shots": "shots",
    "needs_conform": "conforming",
    "open_footage": "opening",
    "parse_fps": "rates",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
