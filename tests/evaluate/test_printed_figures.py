"""Figures in words: a dash where there is none, never `nan`, and as many digits as mean something."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.evaluate.statistics import Interval
from spinecho.evaluate.words import interval, number, seconds

few = settings(max_examples=40, deadline=None)
NAN = float("nan")


def of(mean: float, low: float = NAN, high: float = NAN) -> Interval:
    return Interval(mean=mean, low=low, high=high, n=5, resampled="scans")


@few
@given(st.floats() | st.none(), st.integers(0, 5))
def test_a_number_is_a_dash_infinite_or_has_its_digits(value, digits):
    text = number(value, digits)
    if value is None or math.isnan(value):
        assert text == "–"
    elif math.isinf(value):
        assert text == "inf"
    else:
        assert float(text) == pytest.approx(value, abs=0.5 * 10.0**-digits * (1 + 1e-9), rel=1e-12)
        assert len(text.partition(".")[2]) == digits


@few
@given(st.floats(-1e3, 1e3), st.floats(0, 10), st.booleans())
def test_an_interval_holds_its_mean_between_brackets(mean, half, signed):
    text = interval(of(mean, mean - half, mean + half), 3, signed=signed)
    middle, low, high = map(float, re.fullmatch(r"(\S+) \[(\S+), (\S+)\]", text).groups())
    assert low <= middle <= high and middle == pytest.approx(mean, abs=6e-4)
    assert signed is False or all(word[0] in "+-" for word in re.findall(r"[+\-\d.]+", text))


def test_an_interval_of_one_value_has_no_brackets_and_of_none_is_a_dash():
    assert interval(of(31.618)) == "31.62"
    assert interval(of(0.5), 1, signed=True) == "+0.5"
    assert interval(None) == interval(of(NAN)) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0042, "0.004"), (0.0999, "0.100"), (0.1, "0.10"), (3.14159, "3.14"), (61.7, "62"), (NAN, "–")],
)
def test_seconds_have_the_digits_that_a_clock_gives(value, text):
    assert seconds(value) == text
