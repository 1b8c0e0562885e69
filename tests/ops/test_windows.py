"""Cube sums against loops, Gaussians against their formula, and what block averages and enlargement keep."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from spinecho.ops.windows import block_mean, box_sum, enlarged, gaussian, gradient

SIZES = st.tuples(*[st.integers(1, 7)] * 3)
SEEDS = st.integers(0, 2**31)


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def ramp(shape: tuple[int, int, int], slopes: tuple[float, float, float], offset: float = 0.0) -> torch.Tensor:
    """offset + slope of x, y, z times the place in voxels."""
    z, y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in shape), indexing="ij")
    return (offset + slopes[0] * x + slopes[1] * y + slopes[2] * z)[None]


@settings(max_examples=30, deadline=None)
@given(SIZES, st.integers(0, 4), SEEDS)
def test_box_sum_is_the_sum_over_each_cube_also_where_the_volume_is_smaller(shape, radius, seed):
    x = noise(seed, 2, *shape)
    found = box_sum(x, radius)
    for z, y, k in product(*(range(n) for n in shape)):
        cube = x[(slice(None), *(slice(max(0, i - radius), i + radius + 1) for i in (z, y, k)))]
        torch.testing.assert_close(found[:, z, y, k], cube.sum((1, 2, 3)))


@settings(max_examples=20, deadline=None)
@given(SIZES, st.integers(0, 4), st.floats(0.2, 2.0), SEEDS)
def test_cube_sums_and_gaussians_with_zero_outside_are_their_own_adjoints(shape, radius, sigma, seed):
    x, y = noise(seed, 1, *shape), noise(seed + 1, 1, *shape)
    for smooth in (lambda v: box_sum(v, radius), lambda v: gaussian(v, sigma)):
        assert float((smooth(x) * y).sum()) == pytest.approx(float((x * smooth(y)).sum()), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("outside", ["zero", "edge"])
@pytest.mark.parametrize("sigma", [0.5, 0.8, 1.5])
def test_the_impulse_response_is_a_gaussian_of_that_width(sigma, outside):
    x = torch.zeros(1, 15, 15, 15, dtype=torch.float64)
    x[0, 7, 7, 7] = 1
    found = gaussian(x, sigma, outside)[0]
    assert float(found.sum()) == pytest.approx(1)
    place = torch.arange(15, dtype=torch.float64) - 7
    for dim in range(3):
        along = found.sum([d for d in range(3) if d != dim])
        if sigma > 0.7:  # below, samples of the formula are narrower than the formula
            assert float((along * place.square()).sum()) == pytest.approx(sigma**2, rel=0.03)
        ratio = along / along[7]
        inside = place.abs() <= math.ceil(3 * sigma)
        torch.testing.assert_close(ratio[inside], torch.exp(-0.5 * (place[inside] / sigma).square()))
        assert not ratio[~inside].any()
    torch.testing.assert_close(found, found.permute(2, 0, 1))


@settings(max_examples=20, deadline=None)
@given(SIZES, st.floats(0.3, 3.0), st.floats(0.1, 5))
def test_edge_keeps_constants_and_zero_lets_them_fade_outwards(shape, sigma, value):
    x = torch.full((2, *shape), value, dtype=torch.float64)
    torch.testing.assert_close(gaussian(x, sigma, "edge"), x)
    faded = gaussian(x, sigma)
    assert float(faded.max()) <= value * (1 + 1e-12)
    assert float(faded[:, 0, 0, 0].max()) < value


def test_a_gaussian_without_width_changes_nothing():
    x = noise(1, 2, 4, 5, 6)
    for outside in ("zero", "edge"):
        assert torch.equal(gaussian(x, 0.0, outside), x)


def test_filters_leave_their_input_alone():
    x = noise(2, 2, 4, 5, 6)
    before = x.clone()
    for call in (
        lambda: box_sum(x, 1),
        lambda: gaussian(x, 1.0),
        lambda: gaussian(x, 1.0, "edge"),
        lambda: gradient(x),
    ):
        call()
        assert torch.equal(x, before)


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.integers(1, 4)] * 3), st.sampled_from([1, 2, 4]), SEEDS)
def test_block_means_are_those_of_each_block(blocks, factor, seed):
    x = noise(seed, 2, *(n * factor for n in blocks))
    found = block_mean(x, factor)
    assert found.shape == (2, *blocks)
    for at in product(*(range(n) for n in blocks)):
        block = x[(slice(None), *(slice(i * factor, (i + 1) * factor) for i in at))]
        torch.testing.assert_close(found[(slice(None), *at)], block.mean((1, 2, 3)))


def test_factor_one_is_nothing():
    x = noise(3, 1, 3, 5, 7)
    assert torch.equal(block_mean(x, 1), x) and torch.equal(enlarged(x, 1), x)


def test_means_of_means_are_means():
    x = noise(4, 2, 8, 8, 16)
    torch.testing.assert_close(block_mean(block_mean(x, 2), 2), block_mean(x, 4))


@settings(max_examples=20, deadline=None)
@given(SIZES, st.sampled_from([2, 4]), SEEDS)
def test_enlarged_keeps_the_mean_and_the_range(shape, factor, seed):
    x = noise(seed, 3, *shape)
    found = enlarged(x, factor)
    assert found.shape == (3, *(n * factor for n in shape))
    torch.testing.assert_close(found.mean((1, 2, 3)), x.mean((1, 2, 3)))
    assert float(found.min()) >= float(x.min()) - 1e-12 and float(found.max()) <= float(x.max()) + 1e-12


@pytest.mark.parametrize("factor", [2, 4])
def test_ramps_keep_their_place_between_grids(factor):
    """The centre of a large voxel lies (factor - 1) / 2 small ones from its first one's."""
    shape, slopes = (6, 7, 5), (0.3, -0.2, 0.1)
    fine = tuple(s / factor for s in slopes)
    offset = -(factor - 1) / 2 * sum(fine)
    large, small = ramp(shape, slopes), ramp(tuple(n * factor for n in shape), fine, offset)
    torch.testing.assert_close(block_mean(small, factor), large)
    inner = (slice(None), *[slice(factor // 2, -(factor // 2))] * 3)
    torch.testing.assert_close(enlarged(large, factor)[inner], small[inner])
    torch.testing.assert_close(
        block_mean(enlarged(large, factor), factor)[:, 1:-1, 1:-1, 1:-1], large[:, 1:-1, 1:-1, 1:-1]
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), SEEDS)
def test_there_and_back_blurs_by_an_eighth_of_the_second_difference(n, seed):
    """Linear interpolation is no adjoint of the average: what comes back is (1, 6, 1) / 8, the edge repeated."""
    line = noise(seed, 1, 1, 1, n)
    beyond = F.pad(line[0], (1, 1), mode="replicate")[None]
    wanted = line + (beyond[..., 2:] - 2 * line + beyond[..., :-2]) / 8
    torch.testing.assert_close(block_mean(enlarged(line, 2), 2), wanted)


@settings(max_examples=20, deadline=None)
@given(SIZES, st.tuples(*[st.floats(-3, 3)] * 3))
def test_gradients_of_ramps_are_their_slopes_inside_and_zero_at_the_edges(shape, slopes):
    found = gradient(ramp(shape, slopes))
    assert found.shape == (3, 1, *shape)
    for component, (dim, slope) in enumerate(zip((3, 2, 1), slopes, strict=True)):
        n = shape[3 - component - 1]
        along = found[component].movedim(dim, 0)
        wanted = torch.zeros_like(along)
        if n > 2:
            wanted[1:-1] = slope
        torch.testing.assert_close(along, wanted)
