"""Orders come from seed and name alone, are fair, and names are safe in files and addresses."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinecho.core.errors import DataError
from spinecho.serve.study.order import LONGEST_NAME, order_of, reader_named


@given(st.integers(0, 10**6), st.text(max_size=20), st.integers(0, 60))
def test_an_order_has_every_image_once_and_comes_again(seed, reader, n):
    order = order_of(seed, reader, n)
    assert sorted(order) == list(range(n)) and order == order_of(seed, reader, n)


def test_an_order_written_down_stays():
    """Studies go on with later versions: this order may never change."""
    assert order_of(0, "anna", 10) == [8, 6, 9, 7, 3, 1, 4, 5, 2, 0]


def test_readers_and_seeds_have_orders_of_their_own():
    orders = {tuple(order_of(seed, reader, 30)) for seed in range(5) for reader in ("anna", "ben", "cleo")}
    assert len(orders) == 15


def test_every_image_is_as_often_at_every_place():
    n, n_readers = 5, 4000
    places = Counter((place, image) for r in range(n_readers) for place, image in enumerate(order_of(1, f"r{r}", n)))
    chi2 = sum((places[p, i] - n_readers / n) ** 2 / (n_readers / n) for p in range(n) for i in range(n))
    assert chi2 < 39.3  # 99.9 % of chi-square with 16 degrees of freedom


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("Anna", "anna"),
        ("  Dr. Anna  Müller ", "dr-anna-müller"),
        ("../../etc/passwd", "etc-passwd"),
        ("a/b\\c:d*e?f", "a-b-c-d-e-f"),
        ("ＡＮＮＡ", "anna"),
        ("anna\x00\n", "anna"),
        ("李 明", "李-明"),
        ("x" * 500, "x" * LONGEST_NAME),
        ("CON", "con"),
    ],
)
def test_names(given_name, name):
    assert reader_named(given_name) == name


@pytest.mark.parametrize("text", ["", "   ", "../..", "\x00", "--", "💡"])
def test_no_name_is_one_error(text):
    with pytest.raises(DataError, match="not a name"):
        reader_named(text)


@given(st.text(max_size=80))
def test_names_are_safe_and_name_themselves(text):
    try:
        name = reader_named(text)
    except DataError:
        return
    assert not re.search(r"[\s/\\.:\x00-\x1f]", name) and 0 < len(name) <= LONGEST_NAME
    assert len(f"reader-{name}.json".encode()) < 255 and reader_named(name) == name


def test_marks_tell_names_apart():
    assert len({reader_named(n) for n in ("मीना", "मोना", "मना")}) == 3
    assert reader_named("x\u0323") != reader_named("x") and reader_named("é") == reader_named("e\u0301")
