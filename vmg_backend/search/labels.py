"""Labels: which action is seen in which frames of the footage."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..files import read_json, write_json
from ..footage import Footage

LATEST = 1e9
"""s, later than any time in footage or film."""


@dataclass(frozen=True)
class Label:
    """An action that is seen in a footage (content hash or unique name) from `start` to `end`, s."""

    tag: str
    start: float
    end: float
    footage: str


@dataclass(frozen=True)
class Actions:
    """The nodes in which each action is seen.

    Attributes
    ----------
    nodes : int
        N, the number of frames of all footages.
    stretches : dict of str to tuple of (int, int)
        For each action, by `tag_key`, the first and last node (inclusive) of each time that it is performed.
    by_name : frozenset of str
        Actions that are known by a file's name alone.
    elsewhere : tuple of str
        Footages that are labelled, but are not among these.
    """

    nodes: int
    stretches: dict[str, tuple[tuple[int, int], ...]]
    by_name: frozenset[str] = frozenset()
    elsewhere: tuple[str, ...] = ()

    def shown(self, *tags: str) -> NDArray[np.bool_]:
        """Which nodes [N] show one of these actions."""
        result = np.zeros(self.nodes, dtype=bool)
        for tag in tags:
            for first, last in self.stretches[tag]:
                result[first : last + 1] = True
        return result


def tag_key(tag: str) -> str:
    """What two spellings of the same tag have in common: its words, in lower case."""
    return " ".join(re.findall(r"[^\W_]+", tag.casefold()))


def name_key(footage: Footage) -> str:
    """The tag that a file's name is, without the numbers at its end: `wave_02.mp4` is "wave"."""
    return re.sub(r"( \d+)+$", "", tag_key(footage.path.stem))


def load_labels(file: Path) -> tuple[Label, ...]:
    """Read labels: ``[{"tag": "wave", "start": 1.5, "end": 4.0, "footage": "anna.mp4"}]``, source seconds.

    Raises
    ------
    UserError
        For a file that is not that.
    """
    example = '{"tag": "wave", "start": 1.5, "end": 4.0, "footage": "anna.mp4"}'
    return tuple(
        Label(entry["tag"], float(entry["start"]), float(entry["end"]), entry["footage"])
        for entry in read_spans(file, "--labels", example)
    )


def save_labels(file: Path, labels: Sequence[Label]) -> None:
    """Write labels as `load_labels` reads them."""
    write_json(file, [asdict(label) for label in labels])


def find_actions(labels: Sequence[Label], footages: Sequence[Footage], offsets: NDArray[np.int64]) -> Actions:
    """Find the nodes that labels speak of; a footage without any shows throughout what its name says.

    Parameters
    ----------
    labels : sequence of Label
        Those of other footages are left aside, and named in the result.
    footages : sequence of Footage
        In the graph's order.
    offsets : int64 [F + 1]
        First node of each footage.

    Raises
    ------
    UserError
        When a label names two footages at once, or a time after its footage's end.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    labelled: set[int] = set()
    elsewhere: dict[str, None] = {}
    for label in labels:
        matching = [index for index, one in enumerate(footages) if label.footage in (one.id, one.name)]
        if not matching:
            elsewhere[label.footage] = None
            continue
        if len(matching) > 1:
            raise UserError(
                f'The label "{label.tag}" names {label.footage}, which several footages are called.',
                "Give the content hash instead.",
            )
        footage = footages[matching[0]]
        labelled.add(matching[0])
        first, last = frames_inside(label.start, label.end, float(footage.fps), footage.frames)
        if first > last:
            raise UserError(
                f'The label "{label.tag}" from {label.start:g} to {label.end:g} s holds no frame of {footage.name}, '
                f"which ends at {footage.frames / float(footage.fps):.2f} s.",
                "Give a time, in seconds, at which the footage shows the action.",
            )
        offset = int(offsets[matching[0]])
        found.setdefault(tag_key(label.tag), []).append((offset + first, offset + last))
    by_span = set(found)
    for index, footage in enumerate(footages):
        if index not in labelled and name_key(footage):
            found.setdefault(name_key(footage), []).append((int(offsets[index]), int(offsets[index + 1]) - 1))
    stretches = {tag: tuple(sorted(set(where))) for tag, where in sorted(found.items())}
    return Actions(int(offsets[-1]), stretches, frozenset(set(found) - by_span), tuple(elsewhere))


def frames_inside(start: float, end: float, fps: float, frames: int) -> tuple[int, int]:
    """First and last of `frames` frames whose middle lies in [start, end); the last comes before the first if none."""
    first, after = (math.ceil(seconds * fps - 0.5 - 1e-9) for seconds in (start, end))
    return max(first, 0), min(after, frames) - 1


def read_spans(file: Path, option: str, example: str) -> list[dict[str, Any]]:
    """Read a list of entries with "tag", "start", "end" and whatever else the example has.

    Raises
    ------
    UserError
        For a file that is not that.
    """
    remedy = f"Write a list like [{example}]."
    entries = read_json(file, option, remedy)
    if not isinstance(entries, list) or not entries:
        raise UserError(f"{file.name} is not a list with entries.", remedy)
    wanted: dict[str, Any] = json.loads(example)
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict) or not wanted.keys() <= entry.keys():
            keys = ", ".join(f'"{key}"' for key in wanted)
            raise UserError(f"Entry {index + 1} in {file.name} lacks one of {keys}.", remedy)
        check_span(entry["tag"], entry["start"], entry["end"], f"Entry {index + 1} in {file.name}")
        if not isinstance(entry.get("footage", ""), str):
            raise UserError(f"Entry {index + 1} in {file.name} names no footage.", remedy)
    return entries


def check_span(tag: Any, start: Any, end: Any, where: str) -> None:  # noqa: ANN401 - whatever a file holds
    """Make sure that a tag has words, and that its time is one.

    Raises
    ------
    UserError
    """
    if not isinstance(tag, str) or not tag_key(tag):
        raise UserError(f"{where} has no tag with words.", 'Write "tag" as the name of an action.')
    numbers = all(type(value) in (int, float) for value in (start, end))  # bool is an int
    if not numbers or not 0 <= start < end < LATEST:
        raise UserError(
            f'{where}, "{tag}", does not last from one time to a later one.',
            'Give "start" and "end" in seconds from 0 on, "start" first.',
        )
