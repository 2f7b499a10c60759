"""Ways out: shown as pictures, and taken by a keyframe."""

import importlib
from pathlib import Path

import pytest


@pytest.fixture
def ways(scripted):
    """The module, with ways from frame 61 of a take of 240 frames from frame 1 on."""
    scripted.prepare()
    scripted.ops.suggest()
    scripted.scene.frame_set(61)
    scripted.ops.ways_out()
    return importlib.import_module(f"{scripted.jobs.__package__}.ways")


def test_ways_are_shown_soonest_first_each_with_its_picture(scripted, ways):
    shown = ways.ways()
    assert shown.frame == 61
    seen = 60 + 97 + 60 - 48  # of the take's second piece, which lies at 48
    assert [(way.after, way.frame) for way in shown.of(scripted.scene)] == [
        (24 * step, seen + 100 * step) for step in (1, 2, 3)
    ]
    assert len(shown.icons) == 3
    assert not any(Path(way.picture).exists() for way in shown.found)
    assert shown.of(scripted.bpy.data.scenes.new("Other")) is None


def test_a_way_is_taken_by_a_keyframe_behind_its_transition(scripted, ways):
    before = list(shown_at(scripted, 61 + 48 + 6))
    assert scripted.ops.way_take(number=1) == {"FINISHED"}
    (key,) = scripted.key_strips()
    way = ways.ways().found[1]
    compat, half = scripted.compat, way.frames // 2
    assert (compat.start(key), compat.source_frame(key, compat.start(key))) == (61 + 48 + half, way.frame + half)
    assert (key.vmg.role, key.vmg.mode, key.select) == ("KEY", "hard", True)
    scripted.ops.rerender_stale()
    assert list(shown_at(scripted, 61 + 48 + 6)) == [way.frame + half] != before
    with pytest.raises(RuntimeError, match=r"^Error: .*already"):
        scripted.ops.way_take(number=1)


def test_ways_that_lead_beyond_the_take_or_are_not_known_are_refused(scripted, ways):
    with pytest.raises(RuntimeError, match=r"^Error: .*not known"):
        scripted.ops.way_take(number=3)
    scripted.scene.frame_set(230)
    scripted.ops.ways_out()
    with pytest.raises(RuntimeError, match=r"^Error: .*ends before this cut"):
        scripted.ops.way_take(number=0)
    scripted.scene.frame_set(241)
    assert not scripted.ops.ways_out.poll()
    assert not scripted.key_strips()


def shown_at(scripted, frame):
    """The source frame that the take shows at a timeline frame."""
    at = frame - scripted.compat.start(scripted.take)
    for one in scripted.takes.read_take(scripted.take)["segments"]:
        if one["at"] <= at <= one["at"] + one["last"] - one["first"]:
            yield one["first"] + at - one["at"]
