"""A path as pieces of a take, and pieces as they lie in the timeline as a path again. Without bpy.

A path (PATH.json) says which frames are shown; a take is made of pieces of footage that overlap where a transition is.
All positions here are take frames: they count from the take's start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from ...vmg_backend.errors import UserError

PathDict = dict[str, Any]
"""A path with the keys of PATH.json (docs/design/contracts.md)."""


@dataclass(frozen=True)
class Piece:
    """Source frames `first` to `last` (inclusive) of a footage, from take frame `at` on.

    Attributes
    ----------
    footage : str
        Hash of its content.
    first, last : int
    at : int
    channel : int
        Of the take; 0 for wherever it was found.
    uid : str
        Of the strip; empty for one that is to be made.
    """

    footage: str
    first: int
    last: int
    at: int
    channel: int = 0
    uid: str = ""

    @property
    def end(self) -> int:
        """The take frame after its last one."""
        return self.at + self.last - self.first + 1

    def between(self, start: int, end: int) -> Piece:
        """What of it lies in the take frames [start, end)."""
        front, back = max(0, start - self.at), max(0, self.end - end)
        return replace(self, at=self.at + front, first=self.first + front, last=self.last - back)

    def goes_on_in(self, other: Piece) -> bool:
        """Whether `other` continues the same run of source frames without a cut."""
        same = self.footage == other.footage and self.first - self.at == other.first - other.at
        return same and other.at <= self.end


@dataclass(frozen=True)
class Cross:
    """The overlap [at, at + frames) of the pieces number `index` and `index` + 1; `id` is its transition's."""

    index: int
    id: int
    at: int
    frames: int

    @property
    def end(self) -> int:
        """The take frame after its last one."""
        return self.at + self.frames


@dataclass(frozen=True)
class TakePlan:
    """A take of `frames` frames: its pieces, their overlaps, and the path's transitions.

    Attributes
    ----------
    frames : int
    pieces : tuple of Piece
        In their order; alternating on the channels 1 and 2.
    crosses : tuple of Cross
    transitions : tuple of dict
        As the path has them; one for each cross, in the same order.
    """

    frames: int
    pieces: tuple[Piece, ...]
    crosses: tuple[Cross, ...]
    transitions: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Fill:
    """Generated frames as they were found in a take.

    Attributes
    ----------
    uid : str
        Of the strip.
    at, frames : int
    made_for : dict
        The transition that they were generated for: `from`, `to`, `match`, `frames`, `engine`, `hash`.
    folder : str
        Absolute path.
    pinned : bool
        Kept whatever happens around it.
    present : bool
        Whether the files are there.
    """

    uid: str
    at: int
    frames: int
    made_for: dict[str, Any]
    folder: str
    pinned: bool = False
    present: bool = True

    def overlap(self, transition: dict[str, Any]) -> int:
        """Number of frames that it shares with a transition."""
        first, last = int(transition["at"]), int(transition["at"] + transition["frames"])
        return max(0, min(self.at + self.frames, last) - max(self.at, first))

    def fits(self, transition: dict[str, Any]) -> bool:
        """Whether these are the frames of `transition`: same junction and place; of pinned ones, the place."""
        here = (self.at, self.frames) == (transition["at"], transition["frames"])
        return here and (self.pinned or same_junction(self.made_for, transition))


def same_junction(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two transitions lead from the same source frame to the same source frame in as many frames."""
    return all(one.get(key) == other[key] for key in ("from", "to", "frames"))


def take_plan(path: PathDict) -> TakePlan:
    """The pieces of a path: each segment reaches through the transitions on either side of it.

    Raises
    ------
    UserError
        For a path with segments at a speed of their own: strips show each frame of the footage once.
    """
    if any(segment["speed"] != 1.0 for segment in path["segments"]):
        raise UserError("A take cannot show segments that are warped.", "Search the path again without --warp.")
    segments = sorted(path["segments"], key=lambda segment: segment["at"])
    transitions = sorted(path["transitions"], key=lambda transition: transition["at"])
    begins = {t["at"]: t["frames"] for t in transitions}
    ends = {t["at"] + t["frames"]: t["frames"] for t in transitions}
    pieces = []
    for index, segment in enumerate(segments):
        before = ends.get(segment["at"], 0)
        after = begins.get(segment["at"] + segment["last"] - segment["first"] + 1, 0)
        pieces.append(
            Piece(
                footage=segment["footage"],
                first=segment["first"] - before,
                last=segment["last"] + after,
                at=segment["at"] - before,
                channel=1 + index % 2,
            )
        )
    joined = {piece.at: index for index, piece in enumerate(pieces)}
    crosses = [Cross(joined[t["at"]] - 1, t["id"], t["at"], t["frames"]) for t in transitions]
    return TakePlan(path["frames"], tuple(pieces), tuple(crosses), tuple(transitions))


def path_of(
    base: PathDict, pieces: Sequence[Piece], frames: int, fills: Sequence[Fill] = (), *, start: int = 0
) -> PathDict:
    """The path that a take shows now, hand edits included.

    Where neighbours overlap there is a transition; of an odd overlap, the last frame counts as the incoming piece's.
    Where they only touch, the person made a hard cut: two segments meet without a transition. Touching pieces
    that go on in the same source frames (a piece that was split) are one segment.

    Parameters
    ----------
    base : dict
        The path that the take was made from. What pieces do not tell is taken from it; its `cost`, `bound`, `gap`,
        `costs` and `beat_alignment` stay those of the search.
    pieces : sequence of Piece
        As found, in any order; what lies outside the take's range does not count.
    frames : int
        Length of the take.
    fills : sequence of Fill
        Generated frames as found; those that fit name their engine and folder in the path.
    start : int
        The timeline's frame at which the take begins, for what is said of problems.

    Raises
    ------
    UserError
        When the pieces leave a gap, lie on top of each other, or belong to no footage of the take.
    """
    run = _run(pieces, frames)
    _check(base, run, frames, start)
    segments: list[dict[str, Any]] = []
    transitions: list[dict[str, Any]] = []
    at = 0  # the first take frame that nothing has taken yet
    for index, piece in enumerate(run):
        following = run[index + 1] if index + 1 < len(run) else None
        end = following.at if following else frames
        overlap = piece.end - end
        if following and overlap == 1:  # too short for a transition: a hard cut
            end, overlap = piece.end, 0
        overlap -= overlap % 2
        if end <= at:
            raise UserError(
                f"The transitions on either side of the piece at frame {start + piece.at} leave nothing of it.",
                "Make that piece longer, or its neighbours shorter.",
            )
        shown = piece.between(at, end)
        segments.append({"footage": shown.footage, "first": shown.first, "last": shown.last, "at": at, "speed": 1.0})
        at = end
        if following and overlap:
            transitions.append(_transition(len(transitions), shown, following, end, overlap))
            at += overlap
    known = {_match(entry): entry for entry in base["transitions"]}
    for transition in transitions:
        searched = known.get(_match(transition), {"cost": 0.0, "connector": False})  # a cut by hand has no cost
        transition.update(cost=searched["cost"], connector=searched["connector"])
        if searched.get("to_image") and searched["to"] == transition["to"]:  # else it leads elsewhere now
            transition["to_image"] = searched["to_image"]
        fill = next((fill for fill in fills if fill.present and fill.fits(transition)), None)
        if fill is not None:
            transition.update(engine=fill.made_for["engine"], hash=fill.made_for["hash"])
            transition.update(frames_dir=fill.folder, pinned=fill.pinned)
    seconds = float(frames / Fraction(base["fps"]))
    return {**base, "frames": frames, "seconds": seconds, "segments": segments, "transitions": transitions}


def _run(pieces: Sequence[Piece], frames: int) -> list[Piece]:
    """What of the pieces lies in the take, in order; parts of a split piece joined again.

    A take that was trimmed from outside may begin or end inside a transition: the piece of which only that would be
    left does not count.
    """
    order = sorted((p for p in pieces if p.at < frames and p.end > 0), key=lambda piece: (piece.at, piece.end))
    while len(order) > 1 and order[0].at < 0 and order[1].at <= 0:
        del order[0]
    while len(order) > 1 and order[-1].end > frames and order[-2].end >= frames:
        del order[-1]
    run: list[Piece] = []
    for piece in (piece.between(0, frames) for piece in order):
        if run and run[-1].goes_on_in(piece):
            run[-1] = replace(run[-1], last=max(run[-1].last, piece.last))
        else:
            run.append(piece)
    return run


def _check(base: PathDict, run: Sequence[Piece], frames: int, start: int) -> None:
    at = 0
    for piece in run:
        if piece.footage not in base["footages"]:
            raise UserError(
                f"The piece at frame {start + piece.at} is of footage that the take was not made from.",
                "Remove it, or suggest a new take.",
            )
        if piece.at > at:
            break
        if piece.at > 0 and piece.end <= at:
            raise UserError(
                f"The piece at frame {start + piece.at} lies over another one.",
                "Pieces may overlap only where one follows the other: move or trim it.",
            )
        at = piece.end
    if at < frames:
        after = next((piece.at for piece in run if piece.at > at), frames)
        raise UserError(
            f"The take shows nothing from frame {start + at} to {start + after - 1}.",
            "Make the pieces around it longer, or move them together.",
        )


def _transition(number: int, shown: Piece, following: Piece, at: int, frames: int) -> dict[str, Any]:
    """A transition that nothing has filled, after the segment `shown`, into the piece `following`."""
    begin, end = shown.last, following.first + frames
    return {
        "id": number,
        "from": {"footage": shown.footage, "frame": begin},
        "to": {"footage": following.footage, "frame": end},
        "match": [begin + frames // 2, end - frames // 2],
        "at": at,
        "frames": frames,
        "engine": None,
        "frames_dir": None,
        "hash": None,
        "pinned": False,
    }


def _match(transition: dict[str, Any]) -> tuple[Any, ...]:
    return transition["from"]["footage"], transition["to"]["footage"], *transition["match"]
