"""Mirrored and turned images are seen; symmetric ones are called unclear, different ones pass."""

from __future__ import annotations

import numpy as np
import pytest

from spinecho.core.errors import DataError
from spinecho.io.likeness import check_likeness


def _blob(shape: tuple[int, int, int]) -> np.ndarray:
    rng = np.random.default_rng(5)
    coarse = rng.random((2, 4, 4)) + 0.1
    return np.kron(coarse, np.ones((shape[0] // 2, shape[1] // 4, shape[2] // 4)))


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_same_picture_is_like(scale):
    values = _blob((4, 16, 16))
    assert check_likeness(values * scale, values) == "correlation with that series 1.00"


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (lambda v: v[:, :, ::-1], "columns mirrored"),
        (lambda v: v[:, ::-1, ::-1], "rows mirrored and columns mirrored"),
        (lambda v: v.swapaxes(1, 2), "rows and columns exchanged"),
        (lambda v: v[::-1], "slices mirrored"),
    ],
)
def test_turned_pictures_are_named(turn, words):
    values = _blob((4, 16, 16))
    with pytest.raises(DataError, match=rf"looks like the series with {words} \(correlation 1\.00"):
        check_likeness(turn(values), values)


def test_a_symmetric_picture_is_unclear():
    values = _blob((2, 16, 12))
    symmetric = values + values[:, :, ::-1]
    assert check_likeness(symmetric, symmetric).endswith("cannot be distinguished from columns mirrored")


def test_a_picture_of_something_else_passes_with_its_low_correlation():
    rng = np.random.default_rng(1)
    text = check_likeness(rng.random((2, 16, 16)), rng.random((2, 16, 16)))
    assert text.startswith("correlation with that series ") and "cannot be distinguished from" in text


@pytest.mark.parametrize("empty", [np.zeros((1, 8, 8)), np.full((1, 8, 8), np.nan)])
def test_empty_pictures_pass(empty):
    assert check_likeness(empty, np.ones((1, 8, 8))).startswith("correlation with that series 0.00")


def test_one_voxel_has_no_other_way():
    assert check_likeness(np.ones((1, 1, 1)), np.ones((1, 1, 1))) == "correlation with that series 0.00"
