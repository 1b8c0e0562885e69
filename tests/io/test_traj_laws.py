"""Trajectories whatever their layout and unit: the same points, the same matrix, the same word for what they are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spinecho.core.errors import DataError
from spinecho.io.array.traj import covered, in_cycles_per_fov, is_radial, is_straight, laid_out

few = settings(max_examples=30, deadline=None)
NAMES = ("k2", "k1", "k0")


def star(n: int, n_spokes: int, n_samples: int, offset: float = 0.0) -> np.ndarray:
    """(1, spoke, sample, 3): spokes by the golden angle, from -n/2 to n/2 - step."""
    angle = np.deg2rad(111.246) * np.arange(n_spokes)
    radius = (np.arange(n_samples) - n_samples // 2 + offset) * n / n_samples
    return np.stack(
        [np.outer(np.cos(angle), radius), np.outer(np.sin(angle), radius), np.zeros((n_spokes, n_samples))], -1
    )[None]


@few
@given(st.permutations(NAMES), st.tuples(*[st.integers(4, 9)] * 3), st.sampled_from(["last", "first", "reversed"]))
def test_any_order_of_axes_is_the_same_path(order, shape, components):
    sizes = dict(zip(NAMES, shape, strict=True))
    wanted = tuple(sizes[n] for n in order)
    assume(components != "reversed" or wanted[::-1] != wanted)
    points = np.random.default_rng(sum(shape)).random((*shape, 3))
    stored = points.transpose([*(NAMES.index(n) for n in order), 3])
    if components == "first":
        stored = np.moveaxis(stored, -1, 0)
    elif components == "reversed":  # what column-major programs write: 3 x k0 x k1 x k2
        stored = stored.transpose(3, 2, 1, 0)
    np.testing.assert_array_equal(laid_out(stored, order, wanted), points)


@few
@given(st.tuples(st.integers(4, 9), st.integers(4, 9)), st.booleans())
def test_two_components_and_complex_points_lie_in_the_plane(shape, as_complex):
    flat = np.random.default_rng(sum(shape)).random((*shape, 2))
    stored = flat[..., 0] + 1j * flat[..., 1] if as_complex else flat
    points = laid_out(stored, ("k1", "k0"), shape)
    assert points.shape == (1, *shape, 3) and (points[..., 2] == 0).all()
    np.testing.assert_array_equal(points[0, ..., :2], flat)


@pytest.mark.parametrize("shape", [(5, 7, 4), (5, 7), (2, 7, 5, 1), (6, 7, 3)])
def test_a_path_of_other_samples_is_refused_with_the_shapes_that_would_do(shape):
    with pytest.raises(DataError, match=r"wanted is complex kx \+ i ky of shape \(5, 7\), or real \(5, 7, 2\)"):
        laid_out(np.zeros(shape), ("k1", "k0"), (5, 7))


@few
@given(
    n=st.sampled_from([32, 48, 64, 96, 128]),
    n_spokes=st.integers(8, 60),
    factor=st.sampled_from([1, 2]),
    unit=st.sampled_from(["fov", "pixel", "radians"]),
)
def test_spokes_in_every_unit_are_the_same_spokes(n, n_spokes, factor, unit):
    path = star(n, n_spokes, n * factor)
    scale = {"fov": 1.0, "pixel": 1 / n, "radians": 2 * np.pi / n}[unit]
    points, matrix, word = in_cycles_per_fov(path * scale)
    # the step of an oversampled readout is that of a field of view as many times as large
    larger = 1 if unit == "fov" else factor
    np.testing.assert_allclose(points, path * larger, atol=1e-6 * n)
    assert matrix == (1, n * larger, n * larger)
    assert (
        word == {"fov": "cycles per field of view", "pixel": "cycles per pixel", "radians": "radians per pixel"}[unit]
    )
    assert is_radial(points) and is_straight(points)


def test_spirals_are_not_straight_and_lines_beside_the_centre_not_radial():
    t = np.linspace(0, 1, 200)
    spiral = np.stack([32 * t * np.cos(40 * t), 32 * t * np.sin(40 * t), 0 * t], -1)[None, None]
    assert not is_straight(spiral) and not is_radial(spiral)
    k = np.arange(-16.0, 16)
    lines = np.stack(np.broadcast_arrays(k[None, :], k[:, None], 0.0), -1)[None]
    assert is_straight(lines) and not is_radial(lines)
    with pytest.raises(DataError, match="not straight, so the matrix cannot be known"):
        in_cycles_per_fov(spiral / 64)


@few
@given(st.sampled_from([16, 24, 40]), st.sampled_from([16, 24, 40]), st.sampled_from([1, 8, 20]))
def test_a_box_is_covered_along_each_axis_by_its_own_reach(nx, ny, nz):
    axes = [np.arange(n) - n // 2 for n in (nz, ny, nx)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    matrix = covered(np.stack([x, y, z], -1).astype(float))
    assert matrix[0] == nz
    expected = (max(nx, ny),) * 2 if min(nx, ny) > 0.95 * np.hypot(nx, ny) else (ny, nx)
    assert matrix[1:] == expected


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_points_without_extent_have_no_unit(value):
    with pytest.raises(DataError, match=r"NaN or infinite|all trajectory points are zero"):
        in_cycles_per_fov(np.full((1, 4, 4, 3), value))


def test_few_spokes_of_one_length_fill_a_square():
    for n_spokes, n in itertools.product((2, 3, 5), (32, 64)):
        assert covered(star(n, n_spokes, n)) == (1, n, n)
        assert covered(star(n, n_spokes, n, offset=0.5)) == (1, n, n)
