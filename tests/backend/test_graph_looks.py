"""Which footages look alike: colours that are set by hand, and videos of known backgrounds and clothes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vmg_backend import jobs
from vmg_backend.graph.looks import CAMERA, CLOTHES, Look, difference, groups, look_of, reasons
from vmg_backend.library import FootageLibrary


def look(background: float, torso: float, changes: float = 0.0) -> Look:
    """A grey scene and a grey torso of given lightness."""
    cells = np.zeros((9, 16, 3), np.float32)
    cells[..., 0] = background
    return Look(cells, np.array([torso, 0, 0], np.float32), changes, changes)


def test_alike_directly_or_through_others_is_one_group() -> None:
    step = 0.8 * CLOTHES
    seen = [look(50, 30), look(50, 90), look(50, 30 + step), look(50, 30 + 2 * step)]
    assert groups(seen) == [0, 1, 0, 0]


def test_another_camera_is_another_group_and_the_reason_is_said() -> None:
    seen = [look(50, 30), look(50 + 2 * CAMERA, 30), look(50, 30 + 2 * CLOTHES)]
    assert groups(seen) == [0, 1, 2]
    told = reasons(seen, [0, 1, 2])
    assert set(told) == {(0, 1), (0, 2), (1, 2)}
    assert "background" in told[0, 1]
    assert "clothes" not in told[0, 1]
    assert "clothes" in told[0, 2]
    assert "background" not in told[0, 2]


def test_what_changes_within_a_footage_does_not_tell_it_from_another() -> None:
    assert not difference(look(50, 30), look(50 + 1.5 * CAMERA, 30)).same
    assert difference(look(50, 30, changes=CAMERA), look(50 + 1.5 * CAMERA, 30)).same


def test_a_background_that_is_never_seen_tells_nothing() -> None:
    hidden = look(90, 30)
    hidden.background[:] = np.nan
    assert difference(hidden, look(20, 30)).same


def test_saved_and_loaded(tmp_path: Path) -> None:
    one = look(50, 30, 2.0)
    one.save(tmp_path / "look.npz")
    again = Look.load(tmp_path / "look.npz")
    assert np.array_equal(one.background, again.background)
    assert np.array_equal(one.torso, again.torso)
    assert (again.background_changes, again.torso_changes) == (2.0, 2.0)


@pytest.mark.long
def test_two_people_are_two_groups(media: Path, tmp_path: Path) -> None:
    words = media / "footage" / "sign_words"
    sources = [jobs.Source(words / f"{word}.mkv") for word in ("yes", "no", "walk", "learn")]
    analyses = jobs.analyze(sources, FootageLibrary(tmp_path))
    seen = [look_of(one.footage, one.track) for one in analyses]
    assert groups(seen) == [0, 0, 1, 1]
    assert "clothes" in reasons(seen, [0, 0, 1, 1])[0, 1]
