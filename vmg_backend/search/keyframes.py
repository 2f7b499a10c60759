"""Keyframes: source frames that must be shown at a given time, with all that follows from it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..graph.motion_graph import MotionGraph
from ..progress import SILENT, Progress
from .exact import Table, barred_by
from .problem import Problem

FARTHEST_SHIFT = 2.0
"""s, how far a keyframe is moved when a remedy is looked for."""


@dataclass(frozen=True)
class Keyframe:
    """`frames` source frames from `frame` of a footage on, shown untouched from `at` seconds on.

    Attributes
    ----------
    at : float
        s, in the output.
    footage : str
        Content hash, or a name that is unique in the library.
    frame : int
        First source frame.
    frames : int
        How many.
    name : str
        What a person calls the footage; the same as `footage` by default.
    """

    at: float
    footage: str
    frame: int
    frames: int = 12
    name: str = ""

    def __str__(self) -> str:
        return f"the keyframe at {round(self.at, 2):g} s (frame {self.frame} of {self.name or self.footage})"


def load_keyframes(file: Path) -> list[Keyframe]:
    """Read keyframes: ``[{"at": 1.25, "footage": ..., "frame": 311, "frames": 12, "mode": "hard"}]``.

    Raises
    ------
    UserError
        For a file that is not that; modes other than "hard" are named as not known.
    """
    remedy = 'Write a list like [{"at": 1.25, "footage": "dance.mp4", "frame": 311, "frames": 12}].'
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"There is no file {file} that can be read.", "Check the path given to --keyframes.") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{file.name} is not JSON ({error}).", remedy) from error
    if not isinstance(entries, list):
        raise UserError(f"{file.name} is not a list of keyframes.", remedy)
    return sorted((_keyframe(file.name, index, entry) for index, entry in enumerate(entries)), key=lambda key: key.at)


def _keyframe(name: str, index: int, entry: Any) -> Keyframe:  # noqa: ANN401 - whatever the JSON holds
    where = f"Keyframe {index + 1} in {name}"
    if not isinstance(entry, dict) or not {"at", "footage", "frame"} <= entry.keys():
        raise UserError(f'{where} lacks "at", "footage" or "frame".', "Give all three for each keyframe.")
    mode = entry.get("mode", "hard")
    if mode != "hard" or entry.get("tolerance") or entry.get("image"):
        raise UserError(
            f"{where} asks for more than a hard keyframe (mode {mode!r}, tolerance or image).",
            'Only "mode": "hard" without tolerance and image is supported yet.',
        )
    at, frame, frames = entry["at"], entry["frame"], entry.get("frames", 12)
    good = (
        type(at) in (int, float)  # not bool, which is an int
        and 0 <= at < float("inf")
        and type(frame) is int
        and frame >= 0
        and type(frames) is int
        and frames >= 1
        and isinstance(entry["footage"], str)
    )
    if not good:
        raise UserError(
            f"{where} has a value that cannot be.",
            '"at" is seconds from 0 on, "frame" a frame number from 0 on, "frames" at least 1.',
        )
    return Keyframe(float(at), entry["footage"], frame, frames)


@dataclass(frozen=True)
class _Placed:
    """A keyframe in frames and nodes: its first node, the run that this lies in, and the output frame it starts at."""

    key: Keyframe
    node: int
    run: tuple[int, int]
    at: int

    def spare(self, frames: int, margin: int) -> tuple[int, int]:
        """Frames of the run that are left on either side after room is made for half a transition.

        At the ends of the output there is no transition, and no room is needed.
        """
        before, after = min(margin, self.at), min(margin, frames - self.at - self.key.frames)
        return self.node - self.run[0] - before, self.run[1] - self.node - self.key.frames + 1 - after

    def pins(self, frames: int, margin: int) -> dict[int, int] | None:
        """Output frames and nodes, room for transitions included; None where the keyframe does not fit."""
        if self.at < 0 or self.at + self.key.frames > frames or min(self.spare(frames, margin)) < 0:
            return None
        first = max(self.at - margin, 0)
        last = min(self.at + self.key.frames + margin, frames) - 1
        return {t: self.node + t - self.at for t in range(first, last + 1)}


def pin_keyframes(
    problem: Problem,
    keys: list[Keyframe],
    graph: MotionGraph,
    names: dict[str, str],
    margin: int,
    progress: Progress = SILENT,
) -> Problem:
    """The problem with all keyframes pinned.

    Parameters
    ----------
    problem : Problem
    keys : list of Keyframe
        By time.
    graph : MotionGraph
    names : dict of str to str
        Content hash to name of each footage.
    margin : int
        Frames kept free of cuts on either side: half the longest transition, so that a keyframe's own frames stay real.
    progress : Progress

    Raises
    ------
    UserError
        When a keyframe names a frame that cannot be shown, or the keyframes cannot all be met: then the message has
        the smallest shift of one keyframe that helps, where there is one.
    """
    placed = [_place(key, problem, graph, names, margin) for key in keys]
    pins = _merged(problem, placed, margin)
    no_node, no_cut = np.zeros(problem.nodes), np.zeros(len(problem.source))
    table = Table(replace(problem, node_cost=lambda _: no_node, cut_cost=lambda _: no_cut), progress)
    if pins is None or not _feasible(table, pins, progress):
        raise _least_shift(table, placed, margin, round(FARTHEST_SHIFT * float(graph.fps)), progress)
    return replace(problem, pins=pins)


def _place(key: Keyframe, problem: Problem, graph: MotionGraph, names: dict[str, str], margin: int) -> _Placed:
    matching = [index for index, id_ in enumerate(graph.footages) if key.footage in (id_, names[id_])]
    if len(matching) != 1:
        wrong = "the name of several footages" if matching else "not in the library"
        raise UserError(
            f"{key.name or key.footage} in {key} is {wrong}.",
            f"Name one of: {', '.join(sorted(names.values()))}; or give the content hash.",
        )
    node = int(graph.offsets[matching[0]]) + key.frame
    run = next(((int(a), int(b)) for a, b in problem.runs if a <= node <= b), None)
    if run is None or key.frame >= graph.offsets[matching[0] + 1] - graph.offsets[matching[0]]:
        raise UserError(
            f"Nothing can be shown for {key}: there is no such frame, or no person in it.",
            "Choose a frame in which the person is seen.",
        )
    if node + key.frames - 1 > run[1]:
        raise UserError(
            f"The shot or the person's presence ends before {key} does.",
            f"Show at most {run[1] - node + 1} frames from there.",
        )
    placed = _Placed(key, node, run, int(Fraction(key.at).limit_denominator(1_000_000) * graph.fps + Fraction(1, 2)))
    if placed.at + key.frames > problem.frames:
        raise UserError(
            f"The output ends before {key} does: it has {problem.frames} frames.",
            "Place it earlier, or make the output longer.",
        )
    before, after = placed.spare(problem.frames, margin)
    if before < 0 or after < 0:
        side = "start" if before < 0 else "end"
        raise UserError(
            f"The shot has no frames to spare at the {side} of {key}, so nothing can be joined to it there.",
            f"Choose frames {-min(before, after)} further from the {side} of the shot, "
            f"or place it at the {side} of the output.",
        )
    return placed


def _merged(problem: Problem, placed: list[_Placed], margin: int) -> dict[int, int] | None:
    """All pins together; None where one does not fit or two want different nodes at one time."""
    merged: dict[int, int] = {}
    for one in placed:
        pins = one.pins(problem.frames, margin)
        if pins is None or any(merged.get(t, node) != node for t, node in pins.items()):
            return None
        merged.update(pins)
    return merged


def _feasible(table: Table, pins: dict[int, int], progress: Progress) -> bool:
    return table.solve(barred_by(replace(table.problem, pins=pins)), progress=progress) is not None


def _least_shift(table: Table, placed: list[_Placed], margin: int, farthest: int, progress: Progress) -> UserError:
    """The error that names the first keyframe that cannot be met, and the least shift of one that helps."""

    def met(some: list[_Placed]) -> bool:
        pins = _merged(table.problem, some, margin)
        return pins is not None and _feasible(table, pins, progress)

    culprit = next(k for k in range(len(placed)) if k == len(placed) - 1 or not met(placed[: k + 1]))
    message = f"The keyframes cannot all be met: nothing leads to {placed[culprit].key} in time."
    for distance in range(1, farthest + 1):
        progress.update(distance / farthest)
        for index in range(culprit, max(culprit - 2, -1), -1):
            for by in (distance, -distance):
                moved = replace(placed[index], at=placed[index].at + by)
                if met([*placed[:index], moved, *placed[index + 1 :]]):
                    return UserError(
                        message,
                        f"Move {placed[index].key} by {distance} frame{'s' if distance > 1 else ''} "
                        f"{'later' if by > 0 else 'earlier'}.",
                    )
    return UserError(message, "Take it out, or choose another frame: no small shift of one keyframe helps.")
