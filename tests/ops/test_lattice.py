"""A regular mask is recognised as its lattice: with calibration lines, cut corners, partial Fourier; others are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho import DataError
from spinecho.ops.lattice import Lattice, find_lattice


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_lattice_is_found_again(data):
    r2, r1 = data.draw(st.integers(1, 3), "r2"), data.draw(st.integers(1, 4), "r1")
    lattice = Lattice(
        (r2, r1),
        data.draw(st.integers(0, r1 - 1)),
        (data.draw(st.integers(0, r2 - 1)), data.draw(st.integers(0, r1 - 1))),
    )
    shape = (data.draw(st.integers(11, 16)), data.draw(st.integers(24, 33)))
    points = lattice.on_grid(shape)
    found = find_lattice(points)
    assert found is not None and found.acceleration == lattice.acceleration
    assert (found.on_grid(shape) == points).all()
    calibrated = points.copy()
    calibrated[3:8, 9:15] = True
    again = find_lattice(calibrated)
    assert again is not None and (again.on_grid(shape) == points).all()


def test_lines_of_a_slice_with_calibration_and_one_end_missing():
    lines = np.zeros((1, 96), bool)
    lines[0, 30::3] = True
    lines[0, 40:56] = True
    assert find_lattice(lines) == Lattice((1, 3), 0, (0, 0))


def test_full_and_partial_fourier_have_no_acceleration():
    full = np.ones((1, 40), bool)
    half = full.copy()
    half[0, :15] = False
    for lines in (full, half):
        found = find_lattice(lines)
        assert found is not None and found.acceleration == 1


def test_elliptical_scan_keeps_its_lattice():
    k2, k1 = np.ogrid[-16:16, -32:32]
    ellipse = (k2 / 16) ** 2 + (k1 / 32) ** 2 <= 1
    lattice = Lattice((2, 2), 1, (0, 0))
    found = find_lattice(lattice.on_grid((32, 64)) & ellipse)
    assert found is not None and found.acceleration == 4


def test_random_lines_are_no_lattice():
    rng = np.random.default_rng(1)
    lines = rng.random((1, 128)) < 0.3
    lines[0, 56:72] = True
    assert find_lattice(lines) is None


def test_one_stray_line_is_told_from_calibration():
    lines = np.zeros((1, 64), bool)
    lines[0, ::4] = lines[0, 28:36] = True
    lines[0, 49] = True
    assert find_lattice(lines) is None


def test_empty_mask_is_an_error():
    with pytest.raises(DataError, match="no measured sample"):
        find_lattice(np.zeros((1, 8), bool))


def test_name_says_the_pattern():
    assert str(Lattice((1, 4))) == "R = 4"
    assert str(Lattice((2, 2), 1)) == "R = 2x2 shifted by 1"
