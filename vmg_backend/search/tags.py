"""Action tags: which action the film shows from when to when."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..graph.motion_graph import MotionGraph
from ..interpolation.interpolator import crossing_weights
from ..progress import Progress
from .conditions import Condition, SearchContext
from .labels import Actions, Label, find_actions, read_spans, tag_key

RATE = 20.0
"""What a second of the wrong action costs."""

WHOLE = 1.0
"""What it costs to begin or leave an action where all of its motion is lost by that."""

GOES_ON = 2.0
"""An action that lasts more than this many times its span is one that goes on, like dancing: any part of it will do."""

SOFT = 0.25
"""s on either side of a switch in which both actions are right."""


@dataclass(frozen=True)
class TagSpan:
    """An action that the film shall show from `start` to `end`, s of the output."""

    tag: str
    start: float
    end: float


@dataclass(frozen=True)
class Wanted:
    """Actions, by `tag_key`, any of which is right from `start` to `end`, s of the output."""

    tags: tuple[str, ...]
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long."""
        return self.end - self.start


def load_tags(file: Path) -> tuple[TagSpan, ...]:
    """Read tags: ``[{"tag": "wave", "start": 0, "end": 2.5}]``, seconds of the output.

    Raises
    ------
    UserError
        For a file that is not that, or that wants two actions at once.
    """
    entries = read_spans(file, "--tags", '{"tag": "wave", "start": 0, "end": 2.5}')
    return tuple(TagSpan(entry["tag"], float(entry["start"]), float(entry["end"])) for entry in entries)


@dataclass(frozen=True)
class TagSpans:
    """Action tags as a person asked for them; see `Asked`.

    Attributes
    ----------
    spans : tuple of TagSpan
        In any order; they may overlap by no more than a soft edge.
    labels : tuple of Label
        Of the footage.
    weight : float
    soft : float
        s on either side of a switch in which both actions are right.
    hold : float
        s that an action is shown at least: the least time between two cuts of the search.

    Raises
    ------
    UserError
        When two spans want different actions at once, or one is shorter than the hold.
    """

    spans: tuple[TagSpan, ...]
    labels: tuple[Label, ...] = ()
    weight: float = 1.0
    soft: float = SOFT
    hold: float = 0.0

    def __post_init__(self) -> None:
        check_spans(self.spans, self.soft, self.hold)

    def condition(self, context: SearchContext, progress: Progress) -> Condition:
        """See `Asked.condition`.

        Raises
        ------
        UserError
            For tags that no footage is labelled with, with the nearest that there are.
        """
        progress.check()
        actions = find_actions(self.labels, context.footages, context.graph.offsets)
        check_known([span.tag for span in self.spans], actions)
        wanted = [Wanted((tag_key(span.tag),), span.start, span.end) for span in self.spans]
        spans = [{"tag": span.tag, "start": span.start, "end": span.end} for span in self.spans]
        return tag_condition("tags", wanted, actions, context, self.weight, self.soft, {"spans": spans})


def check_spans(spans: Sequence[TagSpan], soft: float, hold: float) -> None:
    """Make sure that spans can be met one after the other.

    Raises
    ------
    UserError
    """
    for span in spans:
        if span.end - span.start < hold - 1e-9:
            raise UserError(
                f'"{span.tag}" from {span.start:g} s on lasts {span.end - span.start:.2f} s, less than the least time '
                f"of {hold:g} s that an action is shown.",
                "Make it longer, or the least time shorter.",
            )
    for first, second in itertools.combinations(sorted(spans, key=lambda span: span.start), 2):
        if tag_key(first.tag) != tag_key(second.tag) and min(first.end, second.end) - second.start > 2 * soft + 1e-9:
            raise UserError(
                f'"{first.tag}" and "{second.tag}" are both wanted at {second.start:.2f} s.',
                f'End "{first.tag}" where "{second.tag}" begins.',
            )


def check_known(tags: Sequence[str], actions: Actions) -> None:
    """Make sure that footage is labelled with each tag.

    Raises
    ------
    UserError
        Names those that are not, and the nearest that are.
    """
    unknown = []
    for tag in dict.fromkeys(tags):
        if tag_key(tag) not in actions.stretches:
            near = difflib.get_close_matches(tag_key(tag), actions.stretches, n=3, cutoff=0.5)
            unknown.append(f'"{tag}"' + (f" (nearest: {', '.join(near)})" if near else ""))
    if unknown:
        raise UserError(f"No footage is labelled {' or '.join(unknown)}.", label_remedy(actions))


def label_remedy(actions: Actions) -> str:
    """What a person can do who asked for an action that there is not."""
    if actions.elsewhere:
        names = ", ".join(actions.elsewhere[:5])
        return f"Label this footage: the labels that there are speak of {names}, which is none of it."
    shown = list(actions.stretches)[:20]
    more = ", ..." if len(actions.stretches) > len(shown) else ""
    return f"Label footage with it, or ask for one of: {', '.join(shown)}{more}." if shown else "Label footage with it."


@dataclass(frozen=True)
class TagCondition:
    """The right action at each time.

    Attributes
    ----------
    name : str
    about : dict
    graph : MotionGraph
    price : float
        Of an output frame that shows none of the wanted actions.
    demand : float64 [T]
        How much it matters what is shown at each output frame, 0 to 1.
    group : int64 [T]
        Row of `lacking`, and item of `lost`, that hold at each output frame.
    lacking : bool [G, N]
        Which nodes show none of the actions that are wanted then.
    lost : tuple of float64 [E]
        What each edge cuts away of actions that are wanted then.
    begun, left : float64 [N]
        What is lost of actions where the film begins, or ends, with each node.
    """

    name: str
    about: dict[str, Any]
    graph: MotionGraph
    price: float
    demand: NDArray[np.float64]
    group: NDArray[np.int64]
    lacking: NDArray[np.bool_]
    lost: tuple[NDArray[np.float64], ...]
    begun: NDArray[np.float64]
    left: NDArray[np.float64]
    _share: NDArray[np.float64] = field(init=False, repr=False)
    _more: NDArray[np.int8] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        longest = int(self.graph.half.max(initial=0))
        share = np.zeros((longest + 1, 2 * longest))  # of the far side, beyond what is shown up to the cut or after it
        for half in range(1, longest + 1):
            weights = crossing_weights(2 * half)
            weights[half:] -= 1.0
            share[half, longest - half : longest + half] = weights
        object.__setattr__(self, "_share", share)
        lacking = self.lacking.astype(np.int8)
        object.__setattr__(self, "_more", lacking[:, self.graph.target] - lacking[:, self.graph.source])

    def node_cost(self, frame: int) -> NDArray[np.float64] | None:
        """See `Condition.node_cost`."""
        if not self.demand[frame]:
            return None
        cost: NDArray[np.float64] = self.lacking[self.group[frame]] * (self.price * self.demand[frame])
        if frame == 0:
            cost = cost + self.begun
        if frame == len(self.demand) - 1:
            cost = cost + self.left
        return cost

    def cut_cost(self, frame: int) -> NDArray[np.float64] | None:
        """What is lost of actions, and what the transition shows of the wrong one; see `Condition.cut_cost`."""
        longest = self._share.shape[1] // 2
        first, last = max(frame - longest, 0), min(frame + longest, len(self.demand))
        group, demand = self.group[first:last], self.demand[first:last]
        if not demand.any():
            return None
        cost: NDArray[np.float64] = self.lost[self.group[frame]]
        if (group == group[0]).all() and (demand == demand[0]).all():
            return cost  # what the transition mixes in before the cut, it mixes out after it
        share = self.price * demand * self._share[:, first - frame + longest : last - frame + longest]
        for number in np.unique(group[demand > 0]):
            by_half = share[:, group == number].sum(axis=1)
            cost = cost + by_half[self.graph.half] * self._more[number]
        return cost


def tag_condition(
    name: str,
    wanted: Sequence[Wanted],
    actions: Actions,
    context: SearchContext,
    weight: float,
    soft: float,
    about: dict[str, Any],
) -> TagCondition:
    """Turn spans of wanted actions into costs.

    Parameters
    ----------
    name : str
        Of the condition.
    wanted : sequence of Wanted
    actions : Actions
    context : SearchContext
    weight, soft : float
        See `TagSpans`.
    about : dict
        What else is to be told about it.

    Raises
    ------
    UserError
        When a span lies after the film's end, or no frame of an action can be shown.
    """
    graph, fps = context.graph, context.fps
    wanted = sorted(wanted, key=lambda one: one.start)
    _check_shown(wanted, actions, context)
    kinds: dict[_Kind, int] = {}
    kind = [kinds.setdefault(_Kind.of(one, actions, fps), len(kinds)) for one in wanted]
    speed = _speed(context)
    losses = [_losses(one, graph, speed) for one in kinds]
    demand = _demand(wanted, context.frames, fps, soft)
    groups: dict[frozenset[int], int] = {}
    group = [groups.setdefault(frozenset(kind[k] for k in np.flatnonzero(now)), len(groups)) for now in demand.T]
    by_group = [[list(kinds)[k] for k in sorted(numbers)] for numbers in groups]
    lost = [[losses[k] for k in sorted(numbers)] for numbers in groups]
    begun, left = lost[group[0]], lost[group[-1]]
    return TagCondition(
        name=name,
        about={
            **about,
            "weight": weight,
            "soft_edge": soft,
            "actions": {
                tag: {"frames": int(actions.shown(tag).sum()), "by": "file" if tag in actions.by_name else "label"}
                for tag in sorted({tag for one in wanted for tag in one.tags})
            },
            "labels_left_aside": list(actions.elsewhere),
        },
        graph=graph,
        price=weight * RATE / fps,
        demand=np.minimum(demand.sum(axis=0), 1.0),
        group=np.array(group),
        lacking=np.stack([~actions.shown(*(tag for one in some for tag in one.tags)) for some in by_group]),
        lost=tuple(weight * _sum([one.cut for one in some], graph.edges) for some in lost),
        begun=weight * _sum([one.before for one in begun], graph.nodes),
        left=weight * _sum([one.after for one in left], graph.nodes),
    )


@dataclass(frozen=True)
class _Kind:
    """Actions that are wanted, and those times that they are performed for which a span has room."""

    tags: tuple[str, ...]
    stretches: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, wanted: Wanted, actions: Actions, fps: float) -> _Kind:
        most = GOES_ON * wanted.seconds * fps
        stretches = {where for tag in wanted.tags for where in actions.stretches[tag]}
        return cls(wanted.tags, tuple(sorted(where for where in stretches if where[1] - where[0] + 1 <= most)))


@dataclass(frozen=True)
class _Losses:
    """What of an action's motion is not shown: by each cut [E]; where the film begins, or ends, with each node [N]."""

    cut: NDArray[np.float64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]


def _losses(kind: _Kind, graph: MotionGraph, speed: NDArray[np.float64]) -> _Losses:
    before, after = np.zeros(graph.nodes), np.zeros(graph.nodes)
    performance = np.full(graph.nodes, -1)
    for number, (first, last) in enumerate(kind.stretches):
        done = np.cumsum(speed[first : last + 1])
        if done[-1] > 0:
            before[first + 1 : last + 1] = WHOLE * done[:-1] / done[-1]
            after[first : last + 1] = WHOLE * (1 - done / done[-1])
            performance[first : last + 1] = number
    source, target = performance[graph.source], performance[graph.target]
    cut = after[graph.source] + before[graph.target]
    # Inside one performance a cut skips a part, or shows it again; to show all of it again is to show it twice.
    cut = np.where((source >= 0) & (source == target), np.minimum(cut, np.abs(cut - WHOLE)), cut)
    return _Losses(cut, before, after)


def _speed(context: SearchContext) -> NDArray[np.float64]:
    """Mean speed [N] of the joints, as far as they are seen, m/s."""
    features = context.features
    seen = features.confidence.sum(axis=1)
    moved = (np.linalg.norm(features.velocity, axis=2) * features.confidence).sum(axis=1)
    return np.asarray(moved / np.maximum(seen, 1e-9))


def _demand(wanted: Sequence[Wanted], frames: int, fps: float, soft: float) -> NDArray[np.float64]:
    """How much each span's action is wanted at each output frame [K, T], 0 to 1.

    It rises through the soft edge at a span's start and falls through that at its end: linearly, so that both sides
    of a switch sum to 1. A soft edge reaches into a span by no more than a quarter of it: its middle is always firm.
    """
    middle = (np.arange(frames) + 0.5) / fps
    reach = [soft, *(min(soft, a.seconds / 4, b.seconds / 4) for a, b in itertools.pairwise(wanted)), soft]
    rows = []
    for one, before, after in zip(wanted, reach[:-1], reach[1:], strict=True):
        before, after = (max(min(edge, one.seconds / 4), 1e-9) for edge in (before, after))
        rising = (middle - one.start) / (2 * before) + 0.5 if one.start > 0 else np.ones(frames)
        falling = (one.end - middle) / (2 * after) + 0.5 if one.end < frames / fps - 1e-9 else np.ones(frames)
        rows.append(np.clip(np.minimum(rising, falling), 0.0, 1.0))
    return np.stack(rows) if rows else np.zeros((0, frames))


def _check_shown(wanted: Sequence[Wanted], actions: Actions, context: SearchContext) -> None:
    length = context.frames / context.fps
    for one in wanted:
        called = " or ".join(one.tags)
        if one.start >= length:
            raise UserError(
                f'"{called}" is wanted from {one.start:.2f} s on, but the film ends at {length:.2f} s.',
                "Place it earlier, or make the film longer.",
            )
        if not (actions.shown(*one.tags) & context.features.shown).any():
            raise UserError(
                f'No frame that is labelled "{called}" can be shown.',
                "Label frames in which the person is seen, inside the ranges that may be used.",
            )


def _sum(values: Sequence[NDArray[np.float64]], length: int) -> NDArray[np.float64]:
    return np.sum(values, axis=0) if len(values) else np.zeros(length)
