"""What is assumed where nobody says it: the grid, the thickness of slices, and the header that goes out."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from fine_heads import head, image, oblique
from hypothesis import given, settings
from hypothesis import strategies as st

import spinecho
from spinecho.core.errors import DataError
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.tasks.superres.parts.degrade import Degradation, along
from spinecho.tasks.superres.parts.plan import MOST, degradations, regridded, shape_of

SHAPE = (6, 20, 18)
GRID = oblique(SHAPE, (1.0, 1.0, 5.0))


def scan(thickness_mm: float, distance_mm: float = 5.0) -> Image:
    """Thick slices whose header says how thick they are."""
    header = Header(slice_thickness_mm=thickness_mm, kept={"grid.slice_start": "0", "descrip": "x"})
    return replace(image(head(SHAPE), oblique(SHAPE, (1.0, 1.0, distance_mm))), header=header)


def step(made: Image, begins: str) -> str:
    (line,) = [s for s in made.header.history if s.startswith(begins)]
    return line


@pytest.mark.parametrize(("thickness_mm", "width"), [(4.0, 0.8), (5.0, 1.0), (3.0, 0.6), (6.0, 1.2)])
def test_the_thickness_that_the_file_states_counts(thickness_mm, width):
    low = scan(thickness_mm)
    made = spinecho.superres(low, "bspline")
    assert step(made, "slices ") == f"slices stated in the header as {thickness_mm:.2g} mm thick at 5 mm distance"
    again = along(made.values, [Degradation("slices", width).matrix(6, 30), None, None])
    torch.testing.assert_close(again, low.values, rtol=0, atol=1e-4)


def test_what_a_person_gives_outweighs_the_file():
    made = spinecho.superres(scan(4.0), "bspline", thickness_mm=3.0)
    assert step(made, "slices ") == "slices given as 3 mm thick at 5 mm distance"
    assert made.header.warnings == ()


@pytest.mark.parametrize("stated", [0.0, 0.5, 8.0, 40.0])
def test_a_word_that_cannot_be_true_is_not_taken(stated):
    """Unknown, a tenth of the distance, or slices that overlap by half and more: interpolated on the scanner."""
    assert not step(spinecho.superres(scan(stated), "bspline"), "slices ").startswith("slices stated")


def test_the_files_word_is_of_its_slices_and_of_no_other_axis():
    values, grid = head((20, 18, 6))[None], oblique((20, 18, 6), (5.0, 1.0, 1.0))
    chosen, told = degradations(values, grid, (20, 18, 30), None, None, 3.0)
    assert chosen == (None, None, Degradation("slices", 1.0)) and told[0].startswith("slices taken to be 5 mm")


@pytest.mark.parametrize("asked", [{"factor": (2, 2, 1)}, {"degradation": "kspace"}, {"degradation": "blur"}])
def test_a_thickness_that_means_nothing_is_told(asked):
    made = spinecho.superres(scan(0.0), "bspline", thickness_mm=4.0, **asked)
    assert made.header.warnings == ("thickness_mm is not used: no axis is taken for one of thick slices",)


def test_where_no_axis_is_thick_a_given_thickness_is_that_of_all_slices():
    """As the judge degrades along all axes at once: 1.6 mm at 2 mm each way."""
    grid = oblique((8, 9, 10), (2.0, 2.0, 2.0))
    chosen, told = degradations(head((8, 9, 10))[None], grid, (16, 18, 20), "slices", 1.6)
    assert chosen == (Degradation("slices", 0.8),) * 3
    assert told[:3] == ["slices given as 1.6 mm thick at 2 mm distance"] * 3


@pytest.mark.parametrize(
    ("factor", "spacing_mm", "expected"), [(None, None, 1.0), ((2, 2, 1), None, 4.0), (None, (1, 1, 10), 10.0)]
)
def test_the_thickness_in_the_header_follows_the_slices(factor, spacing_mm, expected):
    made = spinecho.superres(scan(4.0), "bspline", factor=factor, spacing_mm=spacing_mm)
    assert made.header.slice_thickness_mm == pytest.approx(expected)
    assert dict(made.header.kept) == {"descrip": "x"}, "the timing of slices is no longer theirs"
    assert spinecho.superres(scan(0.0), "bspline").header.slice_thickness_mm == 0, "unknown stays unknown"


def test_the_history_tells_the_grid_that_was_given_even_where_it_was_averaged():
    made = spinecho.superres(scan(0.0), "bspline", spacing_mm=(2.0, 2.0, 1.0))
    assert made.header.history[0].startswith("super-resolved by bspline, 1 x 1 x 5 mm to 2 x 2 x 1 mm, 9 x 10 x 30 vox")


@pytest.mark.parametrize("thick", [5.0, 6.0, 12.0])
def test_slices_of_more_than_ten_pixels_are_refined_as_far_as_it_goes(thick):
    """Pixels of 0.43 mm in slices of 6 mm are common: nobody asked for a factor of 14."""
    grid = oblique((4, 30, 30), (0.43, 0.43, thick))
    assert shape_of(grid, None, None) == (40, 30, 30)
    made = spinecho.superres(image(head((4, 30, 30)), grid), "bspline")
    assert made.geometry.voxel_mm == pytest.approx((0.43, 0.43, thick / MOST))
    with pytest.raises(DataError, match="give at most 10 an axis"):
        shape_of(grid, None, 0.43 / 2)


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)),
    voxel=st.tuples(*[st.floats(0.2, 12)] * 3),
)
@settings(max_examples=80, deadline=None)
def test_the_default_grid_is_never_refused_and_never_coarser(shape, voxel):
    grid = oblique(shape, voxel)
    new = shape_of(grid, None, None)
    assert all(a <= b <= MOST * a and (a > 1 or b == 1) for a, b in zip(shape, new, strict=True))
    assert new != shape or max(shape) == 1, "something becomes finer where there is more than one voxel"


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(2, 9), st.integers(2, 9)),
    factor=st.tuples(*[st.floats(0.3, 5)] * 3),
)
@settings(max_examples=60, deadline=None)
def test_factor_and_spacing_say_the_same(shape, factor):
    grid = oblique(shape, (0.9, 1.1, 3.0))
    spacing = [v / f for v, f in zip(grid.voxel_mm, factor, strict=True)]
    one, other = shape_of(grid, factor, None), shape_of(grid, None, spacing)
    assert max(abs(a - b) for a, b in zip(one, other, strict=True)) <= 1, "but for rounding at one half"
    made = regridded(grid, one)
    np.testing.assert_allclose(made.fov_mm, grid.fov_mm, rtol=1e-9)
    assert regridded(made, shape).matches(grid), "there and back"


@pytest.mark.parametrize("name", [None, "kspace", "blur", "slices"])
@given(shape=st.tuples(*[st.integers(1, 8)] * 3), factor=st.tuples(*[st.integers(1, 3)] * 3))
@settings(max_examples=25, deadline=None)
def test_each_axis_that_becomes_finer_has_lost_something_and_no_other(name, shape, factor):
    grid = oblique(shape, (1.0, 1.0, 4.0))
    new = [n * f for n, f in zip(shape, factor, strict=True)]
    chosen, told = degradations(torch.ones(1, *shape), grid, new, name, None)
    assert [c is not None for c in chosen] == [f > 1 for f in factor]
    assert all(name is None or c is None or c.name == name for c in chosen)
    line = [t for t in told if t.startswith("detail taken to be lost along")]
    assert len(line) == (max(factor) > 1)
    assert all((f"{axis}: " in "".join(line)) == (f > 1) for axis, f in zip("zyx", factor, strict=True))


def test_bad_settings_say_what_to_give():
    low = scan(0.0)
    for asked, words in (
        ({"factor": 2, "spacing_mm": 1.0}, "factor and spacing_mm are both given -> give one of them"),
        ({"factor": 30}, "30 x 30 x 30 times as many voxels .* -> give at most 10 an axis"),
        ({"factor": (2, 2)}, r"factor is \(2, 2\) -> give one number over 0, or one for each of x, y, z"),
        ({"spacing_mm": -1.0}, "spacing_mm is -1.0 -> give one number over 0"),
        ({"thickness_mm": -4.0}, "wide -> give 0.2 to 2 of the coarse voxel"),
        ({"degradation": "noise"}, "degradation='noise' is not known -> known are kspace, blur, slices"),
    ):
        with pytest.raises(DataError, match=words), warnings.catch_warnings():
            warnings.simplefilter("error")
            spinecho.superres(low, "bspline", **asked)
    low.values[0, 1, 2, 3] = torch.inf
    with pytest.raises(DataError, match="NaN or infinite values -> repair or mask them first"):
        spinecho.superres(low, "bspline")
