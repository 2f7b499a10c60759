"""A path as pieces and back: against the frames that the path itself names, and by hand edits with known outcome."""

import copy
import importlib
import random
from dataclasses import replace
from itertools import pairwise

import pytest

FOOTAGES = ("a" * 64, "b" * 64, "c" * 64)


@pytest.fixture
def plan(enabled):
    return importlib.import_module(f"{enabled.__name__}.addon.timeline.plan")


def test_a_path_with_warped_segments_is_refused(plan):
    path = random_path(0, 3)
    path["segments"][1]["speed"] = 1.05
    with pytest.raises(Exception, match="warped"):
        plan.take_plan(path)


def random_path(seed, cuts):
    """A path as the search writes one, with frames filled in here and there."""
    draw = random.Random(seed)
    halves = [draw.choice((1, 2, 6, 9)) for _ in range(cuts)]
    segments, transitions, at = [], [], 0
    footage, first = draw.choice(FOOTAGES), 40
    for index in range(cuts + 1):
        length = draw.randint(1, 50)
        segments.append({"footage": footage, "first": first, "last": first + length - 1, "at": at, "speed": 1.0})
        at += length
        if index == cuts:
            break
        frames, before = 2 * halves[index], {"footage": footage, "frame": first + length - 1}
        footage = draw.choice([other for other in FOOTAGES if other != footage])  # so that no match is a continuation
        first = draw.randint(40, 4000)
        filled = draw.random() < 0.5
        transitions.append(
            {
                "id": index,
                "from": before,
                "to": {"footage": footage, "frame": first},
                "match": [before["frame"] + halves[index], first - halves[index]],
                "at": at,
                "frames": frames,
                "engine": "fade" if filled else None,
                "cost": draw.random(),
                "connector": draw.random() < 0.1,
                "frames_dir": f"/frames/{index}" if filled else None,
                "hash": f"{index:016x}" if filled else None,
                "pinned": filled and draw.random() < 0.2,
            }
        )
        at += frames
    return {
        "format": "vmg-path",
        "version": 1,
        "fps": "30000/1001",
        "frames": at,
        "seconds": at * 1001 / 30000,
        "footages": {
            key: {"name": key[:3], "path": f"/{key[:3]}.mp4", "fps": "30000/1001", "size": [64, 48], "ranges": []}
            for key in FOOTAGES
        },
        "segments": segments,
        "transitions": transitions,
        "audio": None,
        "beats": [],
        "cost": 1.5,
        "bound": 1.0,
        "gap": 1 / 3,
        "costs": {"cuts": 1.5},
        "beat_alignment": None,
        "reuse_window": 2.0,
        "seed": seed,
        "versions": {"vmg": "0"},
    }


def fills_of(plan, path):
    return [
        plan.Fill("", t["at"], t["frames"], t, t["frames_dir"], t["pinned"]) for t in path["transitions"] if t["hash"]
    ]


def shown_by(pieces, frame):
    return {(piece.footage, piece.first + frame - piece.at) for piece in pieces if piece.at <= frame < piece.end}


@pytest.mark.parametrize("seed", range(30))
def test_there_and_back(plan, seed):
    path = random_path(seed, cuts=seed)
    taken = plan.take_plan(path)
    pieces = list(taken.pieces)
    random.Random(seed).shuffle(pieces)
    assert plan.path_of(path, pieces, taken.frames, fills_of(plan, path)) == path


@pytest.mark.parametrize("seed", range(10))
def test_each_frame_is_the_one_that_the_path_names(plan, seed):
    path = random_path(seed, cuts=12)
    taken = plan.take_plan(path)
    for segment in path["segments"]:
        for offset in range(segment["last"] - segment["first"] + 1):
            assert shown_by(taken.pieces, segment["at"] + offset) == {(segment["footage"], segment["first"] + offset)}
    for transition, cross in zip(path["transitions"], taken.crosses, strict=True):
        assert (cross.at, cross.frames, cross.id) == (transition["at"], transition["frames"], transition["id"])
        cut = transition["at"] + transition["frames"] // 2
        i, j_next = transition["match"]  # both continuations run through the whole transition, and meet at the cut
        outgoing, incoming = taken.pieces[cross.index], taken.pieces[cross.index + 1]
        assert (outgoing.first + cut - 1 - outgoing.at, incoming.first + cut - incoming.at) == (i, j_next)
        assert (outgoing.end, incoming.at) == (cross.end, cross.at)


@pytest.mark.parametrize("seed", range(10))
def test_no_two_pieces_meet_on_a_channel(plan, seed):
    pieces = plan.take_plan(random_path(seed, cuts=20)).pieces
    assert {piece.channel for piece in pieces} == {1, 2}
    for channel in (1, 2):
        on_it = [piece for piece in pieces if piece.channel == channel]
        assert all(one.end <= other.at for one, other in pairwise(on_it))


@pytest.fixture
def two(plan):
    """Frames 0-49 of a piece, 12 of transition, 38 of another: the cut lies before frame 56."""
    path = random_path(0, cuts=1)
    a, b = FOOTAGES[:2]
    path["frames"], path["seconds"] = 100, 100 * 1001 / 30000
    path["segments"] = [
        {"footage": a, "first": 100, "last": 149, "at": 0, "speed": 1.0},
        {"footage": b, "first": 312, "last": 349, "at": 62, "speed": 1.0},
    ]
    path["transitions"][0].update(
        {"from": {"footage": a, "frame": 149}, "to": {"footage": b, "frame": 312}, "match": [155, 306], "at": 50}
    )
    path["transitions"][0].update(frames=12, engine="fade", hash="h", frames_dir="/frames", pinned=False)
    return path


def test_a_rolled_cut(plan, two):
    """Both handles 4 frames later: the same match, but frames that were generated lie elsewhere now."""
    out, into = plan.take_plan(two).pieces
    edited = [replace(out, last=out.last + 4), replace(into, first=into.first + 4, at=into.at + 4)]
    path = plan.path_of(two, edited, 100, fills_of(plan, two))
    (transition,) = path["transitions"]
    assert (transition["at"], transition["frames"], transition["match"]) == (54, 12, [159, 310])
    assert (transition["hash"], transition["engine"], transition["cost"]) == (None, None, 0.0)
    assert [(s["first"], s["last"], s["at"]) for s in path["segments"]] == [(100, 153, 0), (316, 349, 66)]


@pytest.mark.parametrize(("more", "frames", "to"), [(0, 12, 312), (1, 12, 312), (2, 14, 314), (-1, 10, 310)])
def test_an_odd_overlap_gives_its_last_frame_to_the_incoming_piece(plan, two, more, frames, to):
    out, into = plan.take_plan(two).pieces
    path = plan.path_of(two, [replace(out, last=out.last + more), into], 100)
    (transition,) = path["transitions"]
    assert (transition["frames"], transition["at"], transition["to"]["frame"]) == (frames, 50, to)
    assert path["segments"][1]["at"] == 50 + frames


@pytest.mark.parametrize("overlap", [0, 1])
def test_pieces_that_only_touch_are_a_hard_cut(plan, two, overlap):
    out, into = plan.take_plan(two).pieces
    path = plan.path_of(two, [replace(out, last=out.last - 12 + overlap), into], 100)
    assert path["transitions"] == []
    assert [s["at"] for s in path["segments"]] == [0, 50 + overlap]
    again = plan.take_plan(path)
    assert again.crosses == ()
    assert plan.path_of(path, again.pieces, 100) == path


def test_a_split_piece_is_still_one_segment(plan, two):
    out, into = plan.take_plan(two).pieces
    left, right = out.between(0, 30), out.between(30, 62)
    assert plan.path_of(two, [into, right, left], 100, fills_of(plan, two)) == two


def test_a_take_that_was_trimmed_from_outside(plan, two):
    """20 frames less at the front, 10 at the end: what lies outside counts no more."""
    moved = [replace(piece, at=piece.at - 20) for piece in plan.take_plan(two).pieces]
    fills = [replace(fill, at=fill.at - 20) for fill in fills_of(plan, two)]
    path = plan.path_of(two, moved, 70, fills)
    assert (path["frames"], path["seconds"]) == (70, 70 * 1001 / 30000)
    assert [(s["first"], s["last"], s["at"]) for s in path["segments"]] == [(120, 149, 0), (312, 339, 42)]
    assert path["transitions"][0]["hash"] == "h"


@pytest.mark.parametrize(("start", "frames", "left"), [(55, 45, (305, 349)), (0, 55, (100, 154))])
def test_a_take_that_begins_or_ends_inside_a_transition(plan, two, start, frames, left):
    moved = [replace(piece, at=piece.at - start) for piece in plan.take_plan(two).pieces]
    path = plan.path_of(two, moved, frames)
    assert path["transitions"] == []
    assert [(s["first"], s["last"]) for s in path["segments"]] == [left]


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (
            lambda out, into: [out, replace(into, at=into.at + 20, last=into.last - 20)],
            "nothing from frame 1062 to 1069",
        ),
        (lambda out, into: [out], "nothing from frame 1062 to 1099"),
        (lambda out, into: [], "nothing from frame 1000 to 1099"),
        (lambda out, into: [replace(out, at=5), into], "nothing from frame 1000 to 1004"),
        (lambda out, into: [out, into, replace(into, at=20, last=into.first + 9)], "frame 1020 lies over another"),
        (lambda out, into: [replace(out, footage="x" * 64), into], "frame 1000 is of footage that"),
        (lambda out, into: [out, replace(into, at=0, last=into.first + 99)], "frame 1000 leave nothing"),
    ],
)
def test_what_no_path_can_say_is_said_in_a_sentence(plan, two, edit, sentence):
    out, into = plan.take_plan(two).pieces
    with pytest.raises(Exception, match=sentence) as caught:
        plan.path_of(two, edit(out, into), 100, start=1000)
    assert type(caught.value).__name__ == "UserError"


def test_an_edited_picture_stays_with_the_transition_that_leads_right_to_it(plan, two):
    two["transitions"][0]["to_image"] = "/edited.png"
    a, b = plan.take_plan(two).pieces

    def pictures(*pieces):
        return [one.get("to_image") for one in plan.path_of(two, pieces, 100)["transitions"]]

    assert pictures(a, b) == ["/edited.png"]
    assert pictures(replace(a, last=a.last + 2), b) == [None]


def test_frames_fit_only_where_they_were_made_for(plan, two):
    (fill,) = fills_of(plan, two)
    (transition,) = two["transitions"]
    other = {**copy.deepcopy(transition), "to": {"footage": FOOTAGES[1], "frame": 313}}
    assert fill.fits(transition)
    assert not fill.fits(other)
    assert replace(fill, pinned=True).fits(other)  # pinned frames stay as long as their place does
    assert not replace(fill, pinned=True, at=51).fits(other)
    taken = plan.take_plan(two).pieces
    assert plan.path_of(two, taken, 100, [replace(fill, present=False)])["transitions"][0]["hash"] is None
