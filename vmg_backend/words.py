"""What several verbs read of the words of a command."""

from __future__ import annotations

import argparse

from .errors import UserError
from .footage import parse_fps
from .jobs import Source
from .library import FootageLibrary

Words = argparse.Namespace


def library_of(words: Words) -> FootageLibrary:
    """The library that is named, or the person's own."""
    return FootageLibrary(words.library) if words.library else FootageLibrary.default()


def sources_of(words: Words) -> list[Source]:
    """The footages that are named, with their rate and ranges.

    Raises
    ------
    UserError
        When a range is none, or is of no footage that is named.
    """
    fps = parse_fps(words.fps) if words.fps else None
    ranges: dict[str, list[tuple[int, int]]] = {}
    for text in words.range or ():
        name, _, span = text.rpartition(":")
        first, _, last = span.partition("-")
        if not words.footage:
            raise UserError("--range is given without footage.", "Name the footage that it is about.")
        if not (first.isdecimal() and last.isdecimal()) or (not name and len(words.footage) != 1):
            raise UserError(
                f'"{text}" is no range of frames.',
                "Write --range FIRST-LAST, or --range NAME:FIRST-LAST where there are several footages.",
            )
        if name and name not in {path.name for path in words.footage}:
            raise UserError(f'--range speaks of "{name}", which is none of the footages.', "Give the file's name.")
        ranges.setdefault(name or words.footage[0].name, []).append((int(first), int(last)))
    return [Source(path, fps, tuple(ranges[path.name]) if path.name in ranges else None) for path in words.footage]
