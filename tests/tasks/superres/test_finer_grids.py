"""Interpolation and its grid: scipy's splines, SimpleITK's resampling on oblique mirrored grids, band-limited waves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from fine_heads import head, image, oblique, smooth
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import spinecho
from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.tasks.superres.parts.degrade import Degradation, places
from spinecho.tasks.superres.parts.plan import regridded, shape_of
from spinecho.tasks.superres.parts.spline import enlarged, sinc, spline


@given(n_in=st.integers(2, 30), n_out=st.integers(1, 70), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_spline_is_scipys(n_in, n_out, seed):
    """Of the values mirrored over and over: scipy's own mirror is exact on long axes alone."""
    x = np.random.default_rng(seed).normal(size=n_in)
    whole, middle = np.concatenate([x, x[::-1]] * 18 + [x]), 18 * n_in
    at = places(n_out, n_in).numpy()[None] + middle
    expected = ndimage.map_coordinates(whole, at, order=3, mode="reflect")
    np.testing.assert_allclose(spline(n_in, n_out).numpy() @ x, expected, atol=1e-12)


def test_a_volume_is_what_scipy_makes_of_it():
    x, shape = head((13, 12, 14)).double(), (27, 24, 35)
    ratio = np.array([a / b for a, b in zip(x.shape, shape, strict=True)])
    expected = ndimage.affine_transform(
        x.numpy(), ratio, offset=ratio / 2 - 0.5, output_shape=shape, order=3, mode="reflect"
    )
    np.testing.assert_allclose(enlarged(x, shape).numpy(), expected, atol=1e-12)


def test_the_spline_keeps_what_it_interpolates():
    x = torch.rand(11, dtype=torch.float64)
    torch.testing.assert_close(spline(11, 33) @ x, (spline(11, 33) @ x))
    torch.testing.assert_close((spline(11, 33) @ x)[1::3], x)  # odd factors have a voxel at each old one
    torch.testing.assert_close(spline(11, 11) @ x, x)
    torch.testing.assert_close(spline(1, 4), torch.ones(4, 1, dtype=torch.float64))


@pytest.mark.parametrize("matrix", [spline, sinc])
@pytest.mark.parametrize(("n_in", "n_out"), [(8, 16), (9, 27), (10, 23)])
def test_a_constant_stays(matrix, n_in, n_out):
    ones = torch.ones(n_in, dtype=torch.float64)
    torch.testing.assert_close(matrix(n_in, n_out) @ ones, torch.ones(n_out, dtype=torch.float64))


@pytest.mark.parametrize(("n_in", "n_out"), [(9, 27), (11, 30), (16, 32)])
def test_zero_filling_is_exact_for_waves_that_fit(n_in, n_out):
    for k in range((n_in + 1) // 2):
        wave = lambda r, k=k: torch.sin(2 * math.pi * k * r / n_out + 0.3)  # noqa: E731
        made = sinc(n_in, n_out) @ wave(places(n_in, n_out))
        expected = wave(torch.arange(n_out, dtype=torch.float64))
        torch.testing.assert_close(made, expected, rtol=1e-9, atol=1e-9)


def test_zero_filling_adds_nothing_beyond_the_measured_band():
    x = sinc(15, 45) @ torch.rand(15, dtype=torch.float64)
    torch.testing.assert_close(sinc(15, 45) @ (Degradation("kspace").matrix(15, 45) @ x), x)


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_grid_is_itks_on_oblique_and_mirrored_axes(mirrored):
    """SimpleITK resamples the input onto the result's grid with its own B-splines: the same numbers at every voxel."""
    sitk = pytest.importorskip("SimpleITK")
    low = image(smooth((9, 14, 12)), oblique((9, 14, 12), mirrored=mirrored))
    made = spinecho.superres(low, "bspline", factor=(2, 1.5, 3), agree=False)
    assert made.geometry.shape == (27, 21, 24)

    def itk(values: torch.Tensor, geometry: Geometry):
        one = sitk.GetImageFromArray(values.double().numpy())
        one.SetSpacing(geometry.voxel_mm)
        one.SetDirection(geometry.directions.ravel().tolist())
        one.SetOrigin(geometry.to_world([0, 0, 0]).tolist())
        return one

    resampled = sitk.Resample(
        itk(low.values[0], low.geometry), itk(made.values[0], made.geometry), sitk.Transform(), sitk.sitkBSpline
    )
    expected = torch.from_numpy(sitk.GetArrayFromImage(resampled)).float()
    inner = (slice(8, -8), slice(6, -6), slice(6, -6))
    torch.testing.assert_close(made.values[0][inner], expected[inner], rtol=1e-3, atol=2e-4)


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(2, 9), st.integers(2, 9)),
    new=st.tuples(st.integers(1, 20), st.integers(2, 20), st.integers(2, 20)),
    mirrored=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_the_field_keeps_its_corners_and_its_directions(shape, new, mirrored):
    old = oblique(shape, mirrored=mirrored)
    made = regridded(old, new)
    assert made.shape == new
    for corner in np.ndindex(2, 2, 2):
        ends = [np.array(s[::-1]) * corner - 0.5 for s in (shape, new)]
        np.testing.assert_allclose(made.to_world(ends[1]), old.to_world(ends[0]), atol=1e-9)
    np.testing.assert_allclose(made.directions, old.directions, atol=1e-12)
    np.testing.assert_allclose(made.fov_mm, old.fov_mm)
    assert made.oriented == old.oriented and made.forms is old.forms


@pytest.mark.parametrize(
    ("voxel_mm", "shape", "expected"),
    [
        ((0.9, 0.9, 3.6), (10, 40, 30), (40, 40, 30)),  # thick slices
        ((1.0, 1.0, 1.1), (10, 40, 30), (20, 80, 60)),  # nothing is thick: twice each way
        ((4.0, 1.0, 1.0), (30, 40, 10), (30, 40, 40)),  # thick along x
        ((0.5, 0.5, 5.0), (1, 40, 30), (1, 80, 60)),  # one slice is not thick but alone
        ((1.0, 2.0, 2.0), (10, 20, 30), (20, 40, 30)),  # both other axes are thick
    ],
)
def test_the_grid_that_nobody_asked_for(voxel_mm, shape, expected):
    assert shape_of(oblique(shape, voxel_mm), None, None) == expected


def test_the_grid_that_somebody_asked_for():
    grid = oblique((10, 40, 30), (0.9, 0.9, 3.0))
    assert shape_of(grid, 2, None) == (20, 80, 60) and shape_of(grid, [2.0], None) == (20, 80, 60)
    assert shape_of(grid, (1, 1, 3), None) == (30, 40, 30)
    assert shape_of(grid, None, 1.0) == (30, 36, 27) and shape_of(grid, None, (0.45, 0.9, 3)) == (10, 40, 60)
    assert shape_of(oblique((1, 40, 30)), 3, None) == (1, 120, 90), "one slice stays one"
    assert shape_of(grid, 0.01, None) == (1, 1, 1)


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf"), (1, 2), (1, 2, 3, 4), ()])
def test_numbers_that_make_no_grid(bad):
    grid = oblique((10, 40, 30))
    for asked in ((bad, None), (None, bad)):
        with pytest.raises(DataError, match="give one number over 0, or one for each of x, y, z"):
            shape_of(grid, *asked)


def test_too_much_and_two_things_at_once():
    grid = oblique((10, 40, 30))
    with pytest.raises(DataError, match="factor and spacing_mm are both given"):
        shape_of(grid, 2, 1.0)
    with pytest.raises(DataError, match="give at most 10 an axis"):
        shape_of(grid, 11, None)
    with pytest.raises(DataError, match="give at most 10 an axis"):
        shape_of(grid, None, 0.01)
