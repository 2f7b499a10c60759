"""Frame rates: typed, and read from time stamps."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from vmg_backend.errors import UserError
from vmg_backend.footage import parse_fps
from vmg_backend.footage.rates import rate_of_stamps


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("30", "30"),
        (" 25 ", "25"),
        ("29.97", "30000/1001"),
        ("23.976", "24000/1001"),
        ("59.94", "60000/1001"),
        ("30000/1001", "30000/1001"),
        ("12.5", "25/2"),
        ("25.051", "25051/1000"),
    ],
)
def test_typed_rates(text, rate):
    assert parse_fps(text) == Fraction(rate)


@pytest.mark.parametrize("text", ["", "fast", "0", "-30", "nan", "inf", "30/0", "1e9", "30 fps", "0.001"])
def test_nonsense_is_told(text):
    with pytest.raises(UserError, match="not a frame rate"):
        parse_fps(text)


@pytest.mark.parametrize(
    "rate", ["24000/1001", "24", "25", "30000/1001", "30", "48", "50", "60000/1001", "60", "10", "15"]
)
@pytest.mark.parametrize("clock", [1000, 90000, 15360, 600])
@pytest.mark.parametrize("rounding", [np.rint, np.floor])
def test_rates_survive_the_rounding_of_stamps(rate, clock, rounding):
    exact = np.arange(400) / float(Fraction(rate)) * clock
    stamps = 7 + rounding(exact + 1e-9).astype(np.int64)
    found, variable = rate_of_stamps(stamps, Fraction(1, clock))
    assert not variable
    assert found == Fraction(rate)


def test_a_short_clip_with_rounded_stamps_follows_what_the_container_says():
    for rate in (Fraction(30), Fraction(30000, 1001)):
        stamps = np.rint(np.arange(20) / float(rate) * 1000).astype(np.int64)
        assert rate_of_stamps(stamps, Fraction(1, 1000), declared=rate) == (rate, False)


def test_a_wrong_statement_of_the_container_does_not_win():
    stamps = np.rint(np.arange(300) / 30 * 1000).astype(np.int64)
    assert rate_of_stamps(stamps, Fraction(1, 1000), declared=Fraction(8)) == (30, False)


def test_dropped_frames():
    kept = np.delete(np.arange(100), [3, 40, 41, 77])
    assert rate_of_stamps(kept * 512, Fraction(1, 15360)) == (30, False)
    last_is_late = np.append(np.arange(50) * 1001, 51 * 1001)
    assert rate_of_stamps(last_is_late, Fraction(1, 30000)) == (Fraction(30000, 1001), False)


def test_variable_rate():
    rng = np.random.default_rng(0)
    phone = np.cumsum(rng.normal(3003, 400, 500)).astype(np.int64)  # about 29.97, trembling by 4 ms
    found, variable = rate_of_stamps(phone, Fraction(1, 90000))
    assert variable
    assert abs(float(found) / 29.97 - 1) < 0.02
    half = np.cumsum(np.tile([1, 2], 100))
    found, variable = rate_of_stamps(half, Fraction(1, 30))
    assert variable
    assert abs(float(found) - 20) < 0.5
