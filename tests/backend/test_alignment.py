"""A foreign skeleton at this person's place: known similarities are found again."""

from __future__ import annotations

import numpy as np
import pytest

from vmg_backend.errors import UserError
from vmg_backend.interpolation.alignment import LARGEST, SMALLEST, align

FRAMES, JOINTS = 80, 17


def dance(seed: int = 0) -> np.ndarray:
    """A person about 60 px wide and 180 px high that moves about."""
    rng = np.random.default_rng(seed)
    figure = rng.uniform(-1, 1, (JOINTS, 2)) * (30, 90)
    times = np.linspace(0, 6, FRAMES)[:, None, None]
    swing = np.sin(times * rng.uniform(1, 3, (JOINTS, 1)) + rng.uniform(0, 6, (JOINTS, 1))) * rng.uniform(0, 8)
    return (200, 150) + figure + swing + np.array([6.0, 2.0]) * np.sin(times)


SURE = np.ones((FRAMES, JOINTS))


@pytest.mark.parametrize("isotropic", [False, True])
@pytest.mark.parametrize(("scale", "shift"), [(0.6, (31.0, -40.5)), (1.0, (0.0, 0.0)), (1.9, (-300.0, 77.0))])
def test_a_known_similarity_is_found(scale: float, shift: tuple[float, float], isotropic: bool) -> None:
    foreign = dance()
    person = foreign * scale + shift
    found = align(foreign, SURE, person, SURE, isotropic=isotropic).apply(foreign)
    assert np.abs(found - person).max() < 1e-9


def test_width_and_height_may_differ() -> None:
    foreign = dance()
    person = foreign * (0.8, 1.3) + (5.0, 6.0)
    assert np.abs(align(foreign, SURE, person, SURE).apply(foreign) - person).max() < 1e-9
    assert align(foreign, SURE, person, SURE, isotropic=True).scale == pytest.approx([1.3, 1.3])


def test_outliers_and_missing_joints_change_little() -> None:
    rng = np.random.default_rng(1)
    foreign = dance()
    person = foreign * 0.7 + (40.0, 90.0)
    torn, sure = foreign.copy(), SURE.copy()
    wild = rng.random((FRAMES, JOINTS)) < 0.06
    torn[wild] += rng.normal(0, 400, (wild.sum(), 2))  # of which the estimator is sure
    sure[rng.random((FRAMES, JOINTS)) < 0.1] = 0.1
    torn[sure < 0.3] = rng.uniform(0, 2000, ((sure < 0.3).sum(), 2))
    torn[:, 3] = np.nan
    torn[20:25] = np.nan  # nobody there
    found = align(torn, sure, person, SURE)
    assert found.scale == pytest.approx([0.7, 0.7], rel=0.1)
    assert np.abs(found.apply(foreign) - person).max() < 8
    plain = np.ptp(person, axis=(0, 1)) / (np.nanmax(torn, axis=(0, 1)) - np.nanmin(torn, axis=(0, 1)))
    assert (plain < 0.3).any()


def test_legs_that_only_one_shows_are_no_height() -> None:
    foreign = dance()
    person, seen = foreign * 1.2 + (10.0, -20.0), SURE.copy()
    low = foreign.mean(axis=0)[:, 1].argsort()[-6:]
    person[:, low], seen[:, low] = np.nan, 0.0
    found = align(foreign, SURE, person, seen)
    assert found.scale == pytest.approx([1.2, 1.2])
    known = [joint for joint in range(JOINTS) if joint not in low]
    assert np.abs(found.apply(foreign)[:, known] - person[:, known]).max() < 1e-9


def test_clips_of_other_lengths_and_a_single_pose() -> None:
    foreign = dance()
    found = align(foreign, SURE, foreign[:1] * 1.5, SURE[:1])
    assert found.scale == pytest.approx([1.5, 1.5], rel=0.15)
    middle = np.median(found.apply(foreign), axis=(0, 1))
    assert middle == pytest.approx(np.median(foreign[0] * 1.5, axis=0), abs=15)


def test_scales_are_bounded() -> None:
    foreign = dance()
    assert align(foreign, SURE, foreign * 5, SURE).scale.tolist() == [LARGEST] * 2
    assert align(foreign, SURE, foreign * 0.1, SURE).scale.tolist() == [SMALLEST] * 2
    line = foreign * (0.0, 1.0)  # of no width
    assert align(line, SURE, foreign, SURE).scale == pytest.approx([1.0, 1.0])
    assert align(line, SURE, foreign, SURE, isotropic=True).scale == pytest.approx([1.0, 1.0])


def test_nothing_in_common_is_said() -> None:
    foreign, seen = dance(), SURE.copy()
    seen[:, 3:] = 0.0
    with pytest.raises(UserError, match="too few"):
        align(foreign, seen, foreign, SURE)
