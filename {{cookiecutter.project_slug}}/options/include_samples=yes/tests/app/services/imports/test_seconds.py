"""Durations, as the tools write them."""

import math
import random

import pytest

from app.services.imports import seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.001", 0.001),
        ("12", 12.0),
        (" 0.5 ", 0.5),
        ("0.", 0.0),  # GoogleTest
        (".5", 0.5),
        ("1,234.5", 1234.5),  # Maven
        ("1,234,567.891", 1234567.891),
        ("5.0E-4", 0.0005),  # Java
        ("1e-05", 0.00001),
        ("0,123", 0.123),  # a decimal comma
        ("1,234", 1.234),
        ("0.5s", 0.5),
        ("12 ms", 0.012),
        ("-0.0", 0.0),
    ],
)
def test_time_is_read_as_seconds(text: str, expected: float) -> None:
    assert seconds.parse(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", [None, "", "  ", "NaN", "nan"])
def test_time_that_was_not_measured_is_unknown(text: str | None) -> None:
    assert seconds.parse(text) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("-0.5", "negative"),
        ("-1,234.5", "negative"),
        ("soon", "not a number of seconds"),
        ("1.2.3", "not a number of seconds"),
        ("1:02", "not a number of seconds"),
        ("0x10", "not a number of seconds"),
        ("1_000", "not a number of seconds"),
        ("٣", "not a number of seconds"),
        ("inf", "not a number of seconds"),
        ("1e999", "not a finite number"),
        (",", "not a number of seconds"),
    ],
)
def test_time_that_cannot_be_is_refused_with_what_is_accepted(
    text: str, problem: str
) -> None:
    with pytest.raises(seconds.InvalidTime, match=f"{problem}; expected seconds"):
        seconds.parse(text)


def test_every_way_to_write_a_number_gives_the_same_seconds() -> None:
    chance = random.Random(1)
    for _ in range(500):
        value = round(chance.uniform(0, 10 ** chance.randint(0, 7)), 3)
        for text in (str(value), f"{value:.3f}", f"{value:,.3f}", f"{value:e}s"):
            parsed = seconds.parse(text)
            assert parsed == pytest.approx(value, rel=1e-5, abs=1e-9), text


def test_any_text_is_either_seconds_or_refused() -> None:
    chance = random.Random(2)
    for _ in range(5000):
        text = "".join(
            chance.choices("0123456789.,-+eEsmnaif ", k=chance.randint(0, 9))
        )
        try:
            parsed = seconds.parse(text)
        except seconds.InvalidTime:
            continue
        assert parsed is None or (math.isfinite(parsed) and parsed >= 0), text
