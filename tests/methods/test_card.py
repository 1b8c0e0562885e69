"""Model cards: what a task understands is checked, words for people are free, everything else is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.errors import DataError
from spinecho.core.task import NUMBER, RANGE, YES_NO, Limit, is_number, number_within, some_of
from spinecho.methods import registry
from spinecho.methods.card import WORDS, check_card

LIMITS = {"accel": RANGE, "snr": NUMBER, "flat": YES_NO, "kinds": some_of("radial", "cartesian")}
GOOD = {"accel": [2, 8.5], "snr": 20, "flat": False, "kinds": ["radial"]}


def test_a_card_may_say_all_that_is_known_or_nothing():
    check_card({}, LIMITS)
    check_card(GOOD | dict.fromkeys(WORDS, "any words"), LIMITS)
    check_card({"summary": {"even": "this"}}, {})


@pytest.mark.parametrize(
    ("entry", "value", "wanted"),
    [
        ("accel", [8, 2], r"\[smallest, largest\]"),
        ("accel", [1], r"\[smallest, largest\]"),
        ("accel", 4, r"\[smallest, largest\]"),
        ("accel", ["2", "8"], r"\[smallest, largest\]"),
        ("accel", [True, 8], r"\[smallest, largest\]"),
        ("accel", [math.nan, 8], r"\[smallest, largest\]"),
        ("snr", "20", "a number"),
        ("snr", True, "a number"),
        ("flat", 1, "true or false"),
        ("flat", None, "true or false"),
        ("kinds", "radial", "a list of some of: radial, cartesian"),
        ("kinds", ["spiral"], "a list of some of: radial, cartesian"),
    ],
)
def test_a_limit_that_would_not_be_understood_is_refused_with_how_it_is_written(entry, value, wanted):
    with pytest.raises(DataError, match=f"the card's {entry} is .* -> write {wanted}"):
        check_card(GOOD | {entry: value}, LIMITS)


def test_unknown_entries_are_all_named_with_those_that_are_known():
    with pytest.raises(DataError, match="unknown entries: colour, mood -> known are accel, snr, flat, kinds, summary"):
        check_card({"mood": 1, "colour": 2, **GOOD}, LIMITS)


@settings(max_examples=40)
@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_a_range_goes_from_the_smaller_to_the_larger(low, high):
    assert RANGE.accepts([low, high]) is (low <= high) is RANGE.accepts((low, high))


@settings(max_examples=40)
@given(st.floats(-5, 15))
def test_a_number_within_bounds_holds_both_of_them(value):
    limit = number_within(0, 10)
    assert limit.accepts(value) is (0 <= value <= 10)
    assert limit.accepts(0) and limit.accepts(10) and not limit.accepts(math.nan) and not limit.accepts("3")
    assert limit.wanted == "a number from 0 to 10"


@settings(max_examples=40)
@given(st.lists(st.sampled_from("abcd"), max_size=5))
def test_some_of_known_words_takes_any_of_them_in_any_order(words):
    assert some_of(*"abc").accepts(words) is ("d" not in words)


def test_a_bool_is_no_number():
    assert is_number(3) and is_number(-2.5) and is_number(math.inf)
    assert not any(map(is_number, (True, "3", None, 1j, [1])))


def test_limits_of_the_tasks_are_limits_and_collide_with_no_word():
    for name in registry.tasks():
        limits = registry.task_named(name).limits()
        assert all(isinstance(limit, Limit) and limit.wanted for limit in limits.values())
        assert not set(limits) & set(WORDS)


def test_the_cards_in_the_package_are_good():
    from spinecho.core.state_header import read_metadata

    for task in registry.tasks():
        for name in registry.weights_names(task):
            metadata = read_metadata(registry.WEIGHTS / task / f"{name}.safetensors")
            check_card(metadata["card"], registry.task_named(task).limits())
