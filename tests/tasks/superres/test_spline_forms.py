"""Closed forms of interpolation: polynomials, waves, sums of weights, mirrors, and where a grid's voxels lie."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from fine_heads import image, lost, oblique
from hypothesis import given, settings
from hypothesis import strategies as st

import spinecho
from spinecho.core.geometry import Geometry
from spinecho.tasks.superres.methods import bspline, zero_filled
from spinecho.tasks.superres.parts.degrade import Degradation, along, places, transposed
from spinecho.tasks.superres.parts.spline import enlarged, sinc, spline

pairs = [(24, 48), (24, 60), (31, 77), (40, 120)]


@pytest.mark.parametrize(("n_in", "n_out"), pairs)
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_cubic_splines_reproduce_cubic_polynomials_inside(n_in, n_out, degree):
    """Away from the mirrored edges, whose kink dies out as (sqrt(3) - 2)^n."""
    at = places(n_out, n_in)
    polynomial = lambda r: ((r - n_in / 2) / n_in) ** degree  # noqa: E731
    made = spline(n_in, n_out) @ polynomial(torch.arange(n_in, dtype=torch.float64))
    inner = (at > 10) & (at < n_in - 11)
    torch.testing.assert_close(made[inner], polynomial(at)[inner], rtol=0, atol=1e-6)


def test_a_quartic_is_not_reproduced():
    at, x = places(80, 40), torch.arange(40, dtype=torch.float64)
    made = spline(40, 80) @ (x / 4) ** 4
    assert float((made - (at / 4) ** 4)[30:50].abs().max()) > 1e-4, "the test above could fail"


@pytest.mark.parametrize("make", [spline, sinc])
@given(n_in=st.integers(1, 24), n_out=st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_weights_sum_to_one_and_mirror_with_the_field(make, n_in, n_out):
    n_out = max(n_in, n_out)
    matrix = make(n_in, n_out)
    assert matrix.shape == (n_out, n_in) and matrix.dtype == torch.float64
    torch.testing.assert_close(matrix.sum(1), torch.ones(n_out, dtype=torch.float64))
    torch.testing.assert_close(matrix.flip(0, 1), matrix, rtol=1e-9, atol=1e-12)
    assert make(n_in, n_out) is matrix, "computed once"


@pytest.mark.parametrize("n_in", [7, 10, 16])
def test_the_mean_over_the_field_stays(n_in):
    """Zero-filling: always, its k = 0 is kept. Splines of whole odd factors: to the edges' small share."""
    x = torch.rand(n_in, generator=torch.Generator().manual_seed(n_in), dtype=torch.float64)
    for n_out in (n_in, 2 * n_in, 3 * n_in + 1):
        assert float((sinc(n_in, n_out) @ x).mean()) == pytest.approx(float(x.mean()), rel=1e-9)
    assert float((spline(n_in, 3 * n_in) @ x).mean()) == pytest.approx(float(x.mean()), rel=0.02)


@pytest.mark.parametrize(("n_in", "n_out"), [(9, 27), (11, 30), (15, 22)])
def test_zero_filling_keeps_energy_and_has_the_degradation_as_its_inverse(n_in, n_out):
    """Of odd sizes: U^T U = (n_out / n_in) I, and A U = I."""
    up, down = sinc(n_in, n_out), Degradation("kspace").matrix(n_in, n_out)
    one = torch.eye(n_in, dtype=torch.float64)
    torch.testing.assert_close(up.T @ up, one * n_out / n_in, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(down @ up, one, rtol=1e-9, atol=1e-9)


@given(kz=st.integers(0, 3), ky=st.integers(-4, 4), kx=st.integers(-3, 3), phase=st.floats(0, 6.2))
@settings(max_examples=25, deadline=None)
def test_a_cosine_below_the_cut_off_comes_back_exactly_in_three_dimensions(kz, ky, kx, phase):
    low, high = (7, 9, 8), (14, 27, 20)

    def wave(shape: tuple[int, int, int]) -> torch.Tensor:
        """On places of the fine grid, wherever a coarser one has its voxels."""
        at = [places(n, m) / m for n, m in zip(shape, high, strict=True)]
        z, y, x = torch.meshgrid(*at, indexing="ij")
        return 2 + torch.cos(2 * math.pi * (kz * z + ky * y + kx * x) + phase)

    method = zero_filled.Method(zero_filled.Config())
    _, target = lost(torch.zeros(high), low, Degradation("kspace"))
    made = method(wave(low)[None], target).values[0]
    torch.testing.assert_close(made, wave(high), rtol=1e-9, atol=1e-9)


def test_a_cosine_above_the_cut_off_leaves_nothing_to_bring_back():
    x = torch.cos(2 * math.pi * 9 * torch.arange(36, dtype=torch.float64) / 36)
    assert float((Degradation("kspace").matrix(12, 36) @ x).abs().max()) < 1e-12


@given(shape=st.tuples(*[st.integers(1, 7)] * 3), new=st.tuples(*[st.integers(1, 12)] * 3), seed=st.integers(0, 9))
@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("make", [spline, sinc])
def test_enlarging_has_an_exact_transpose(make, shape, new, seed):
    new = tuple(max(a, b) for a, b in zip(shape, new, strict=True))
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(2, *shape, generator=rng, dtype=torch.float64)
    y = torch.randn(2, *new, generator=rng, dtype=torch.float64)
    maps = [None if a == b else make(a, b) for a, b in zip(shape, new, strict=True)]
    one = float((enlarged(x, new, make) * y).sum())
    assert one == pytest.approx(float((x * along(y, transposed(maps))).sum()), rel=1e-9, abs=1e-9)


def test_axes_are_enlarged_apart_and_in_any_order():
    x = torch.rand(4, 5, 6, dtype=torch.float64)
    whole = enlarged(x, (8, 15, 9))
    one_by_one = enlarged(enlarged(enlarged(x, (4, 5, 9)), (8, 5, 9)), (8, 15, 9))
    torch.testing.assert_close(one_by_one, whole)
    assert enlarged(x, (4, 5, 6)) is x
    assert enlarged(x.float()[None, None], (8, 5, 6)).shape == (1, 1, 8, 5, 6)


@pytest.mark.parametrize("method", ["bspline", "zero_filled"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_ramp_of_the_world_is_the_ramp_at_every_new_voxel(method, mirrored):
    """Values that are world coordinates tell where a voxel lies: no half voxel is lost on any grid."""
    grid = oblique((24, 26, 28), (0.9, 1.1, 1.3), mirrored)
    normal = np.array([0.3, -0.5, 0.8])

    def ramp(geometry: Geometry) -> torch.Tensor:
        index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1)[..., ::-1]
        return torch.from_numpy(geometry.to_world(index) @ normal)

    low = ramp(grid) / 100
    made = spinecho.superres(image(low.float(), grid), method, factor=(1, 1.5, 2), agree=False)
    expected = ramp(made.geometry).float() / 100
    inner = (slice(20, -20), slice(15, -15), slice(10, -10))
    bound = 2e-5 if method == "bspline" else 5e-2  # a ramp jumps at the ends of a period
    torch.testing.assert_close(made.values[0][inner], expected[inner], rtol=0, atol=bound)


@pytest.mark.parametrize("factor", [2, 3])
def test_where_a_thing_lies_is_where_it_lay(factor):
    """The centre of mass in the world of a spot between voxels, on an oblique grid."""
    grid = oblique((15, 17, 16), (0.9, 1.1, 2.0))
    axes = [
        torch.exp(-0.5 * ((torch.arange(n) - c) / 1.5) ** 2) for n, c in zip(grid.shape, (7.3, 8.6, 7.9), strict=True)
    ]
    low = image(torch.einsum("i,j,k->ijk", *axes), grid)
    made = spinecho.superres(low, "bspline", factor=factor)

    def centre(values: torch.Tensor, geometry: Geometry) -> np.ndarray:
        index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1)[..., ::-1]
        weights = values[0].double().numpy()[..., None]
        return (geometry.to_world(index) * weights).sum((0, 1, 2)) / weights.sum()

    np.testing.assert_allclose(centre(made.values, made.geometry), centre(low.values, grid), atol=0.01)


def test_interpolation_is_what_the_method_says():
    low, target = lost(torch.rand(8, 10, 12), (4, 5, 6), Degradation("kspace"))
    for module, make in ((bspline, spline), (zero_filled, sinc)):
        made = module.Method(module.Config())(low, target)
        assert torch.equal(made.values, enlarged(low, (8, 10, 12), make)) and made.told == () and made.invents is None
