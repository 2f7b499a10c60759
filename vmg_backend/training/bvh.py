"""BVH: the text format of motion capture, read into joint positions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError

_REMEDY = "Export the take again as a BVH file."
_CHANNEL = re.compile(r"([XYZ])(position|rotation)", re.IGNORECASE)
_AXES = {"x": 0, "y": 1, "z": 2}


@dataclass(frozen=True)
class Bvh:
    """One take.

    Attributes
    ----------
    joints : tuple of str
        In the order of the file; the end site of joint X is called ``X_end``.
    parents : tuple of int
        -1 for the root.
    offsets : float64 [J, 3]
        From each joint's parent to it, in the file's units, when nothing is turned.
    positions : float64 [T, J, 3]
        In the room, in the file's units.
    frame_time : float
        Seconds.
    """

    joints: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: NDArray[np.float64]
    positions: NDArray[np.float64]
    frame_time: float


@dataclass
class _Hierarchy:
    joints: list[str]
    parents: list[int]
    offsets: list[list[float]]
    channels: list[list[tuple[str, int]]]


def read_bvh(path: Path) -> Bvh:
    """Read a BVH file and put its hierarchy through its motion.

    A joint's rotations are applied in the order in which its channels are listed, each about an axis that the ones
    before it have turned. Position channels take the place of the joint's offset.

    Raises
    ------
    UserError
        When the file cannot be read or is no whole BVH.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path.name} cannot be read as text.", "Choose a BVH file.") from error
    sections = re.split(r"^\s*MOTION\s*$", text, maxsplit=1, flags=re.MULTILINE)
    if len(sections) < 2:
        raise UserError(f"{path.name} has no MOTION section.", _REMEDY)
    try:
        hierarchy = _hierarchy(iter(sections[0].split()))
    except (ValueError, StopIteration) as error:
        reason = str(error) or "it ends too early"
        raise UserError(f"The HIERARCHY of {path.name} cannot be read: {reason}.", _REMEDY) from error
    frame_time, values = _motion(sections[1], sum(map(len, hierarchy.channels)), path.name)
    offsets = np.array(hierarchy.offsets)
    positions = _forward(hierarchy, offsets, values)
    return Bvh(tuple(hierarchy.joints), tuple(hierarchy.parents), offsets, positions, frame_time)


def _hierarchy(words: Iterator[str]) -> _Hierarchy:
    def expect(*wanted: str) -> None:
        for word in wanted:
            if (got := next(words)) != word:
                raise ValueError(f"{word} is expected where {got} stands")

    tree = _Hierarchy([], [], [], [])
    expect("HIERARCHY", "ROOT")
    stack = [-1]
    name = next(words)
    while True:
        tree.joints.append(name)
        tree.parents.append(stack[-1])
        stack.append(len(tree.joints) - 1)
        expect("{", "OFFSET")
        tree.offsets.append([float(next(words)) for _ in range(3)])
        tree.channels.append([])
        word = next(words)
        if word == "CHANNELS":
            for _ in range(int(next(words))):
                channel = next(words)
                if not (parts := _CHANNEL.fullmatch(channel)):
                    raise ValueError(f"{channel} is no channel")
                tree.channels[-1].append((parts[2].lower(), _AXES[parts[1].lower()]))
            word = next(words)
        while word == "}":
            stack.pop()
            if len(stack) == 1:
                if (rest := next(words, "")) != "":
                    raise ValueError(f"{rest} follows the root's end")
                return tree
            word = next(words)
        if word == "JOINT":
            name = next(words)
        elif word == "End":
            expect("Site")
            name = f"{tree.joints[stack[-1]]}_end"
        else:
            raise ValueError(f"JOINT is expected where {word} stands")


def _motion(text: str, width: int, name: str) -> tuple[float, NDArray[np.float64]]:
    unread = UserError(f"The MOTION of {name} cannot be read.", _REMEDY)
    header = re.match(r"\s*Frames:\s*(\d+)\s+Frame\s+Time:\s*(\S+)", text)
    if header is None:
        raise unread
    try:
        frames, frame_time = int(header[1]), float(header[2])
        values = np.array(text[header.end() :].split(), np.float64)
    except ValueError as error:
        raise unread from error
    if not (frames and 0 < frame_time < 1 and np.isfinite(values).all()):
        raise UserError(
            f"The MOTION of {name} has no frames, no valid frame time, or values that are no numbers.", _REMEDY
        )
    if len(values) != frames * width:
        raise UserError(
            f"{name} promises {frames} frames of {width} channels, and holds {len(values)} values.", _REMEDY
        )
    return frame_time, values.reshape(frames, width)


def _forward(tree: _Hierarchy, offsets: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    positions = np.empty((len(values), len(tree.joints), 3))
    turned: list[NDArray[np.float64]] = []
    column = 0
    for joint, parent in enumerate(tree.parents):  # a file lists parents first
        place = np.repeat(offsets[joint][None], len(values), axis=0)
        turn = np.repeat(np.eye(3)[None], len(values), axis=0)
        for kind, axis in tree.channels[joint]:
            if kind == "position":
                place[:, axis] = values[:, column]
            else:
                turn = turn @ _rotation(axis, np.radians(values[:, column]))
            column += 1
        above = np.eye(3)[None] if parent < 0 else turned[parent]
        positions[:, joint] = (above @ place[:, :, None])[:, :, 0] + (0 if parent < 0 else positions[:, parent])
        turned.append(above @ turn)
    return positions


def _rotation(axis: int, angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Right-handed turns [T, 3, 3] about one axis."""
    a, b = (axis + 1) % 3, (axis + 2) % 3
    turn = np.zeros((len(angle), 3, 3))
    turn[:, axis, axis] = 1
    turn[:, a, a] = turn[:, b, b] = np.cos(angle)
    turn[:, b, a] = np.sin(angle)
    turn[:, a, b] = -turn[:, b, a]
    return turn
