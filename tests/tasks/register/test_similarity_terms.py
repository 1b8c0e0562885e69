"""Costs of the terms against their definitions, and forces against finite differences of the costs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.field import moved, sampling_grid
from spinecho.ops.windows import block_mean, gaussian
from spinecho.tasks.register.parts.similarity import Pull, Term, lncc, ssd

SHAPE = (9, 10, 11)
PULLS = {"lncc 1": (lncc(1), 1), "lncc 2": (lncc(2), 1), "ssd": (ssd, 3)}
"""Each with the channels that it is tried on"""


def textured(seed: int, channels: int = 1, shape: tuple[int, int, int] = SHAPE) -> torch.Tensor:
    """Smooth noise from 0 to 1, float64."""
    generator = torch.Generator().manual_seed(seed)
    values = gaussian(torch.randn(channels, *shape, generator=generator, dtype=torch.float64), 0.8, "edge")
    return (values - values.min()) / (values.max() - values.min())


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def total(pull: Pull, fixed: torch.Tensor, moving: torch.Tensor, u: torch.Tensor, weight: torch.Tensor | None) -> float:
    """The summed cost of F(x - u) and M(x + u)."""
    grid = sampling_grid((u.shape[1], u.shape[2], u.shape[3]), u)
    return float(pull(moved(fixed, -u, grid), moved(moving, u, grid), weight)[0].sum())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", PULLS)
def test_the_force_is_the_derivative_of_the_cost_along_any_displacement(name, weighted):
    """Inside; at the edges the force is 0, where the image beyond is unknown."""
    pull, channels = PULLS[name]
    fixed, moving = textured(1, channels), textured(2, channels)
    weight = drawn(3, *SHAPE) if weighted else None
    force = pull(fixed, moving, weight)[1]
    assert force.shape == (3, *SHAPE)
    step = 1e-5
    for seed in range(3):
        u = drawn(10 + seed, 3, *SHAPE) - 0.5
        for dim in (1, 2, 3):
            u.index_fill_(dim, torch.tensor([0, SHAPE[dim - 1] - 1]), 0.0)
        rise = total(pull, fixed, moving, step * u, weight) - total(pull, fixed, moving, -step * u, weight)
        assert rise / (2 * step) == pytest.approx(float((force * u).sum()), rel=1e-3)


@pytest.mark.parametrize("name", PULLS)
def test_against_the_force_the_cost_falls(name):
    pull, channels = PULLS[name]
    fixed, moving = textured(4, channels), textured(5, channels)
    force = pull(fixed, moving, None)[1]
    u = -1e-3 * force / force.abs().max()
    assert total(pull, fixed, moving, u, None) < total(pull, fixed, moving, torch.zeros_like(u), None)


@pytest.mark.parametrize("name", PULLS)
def test_images_exchanged_turn_the_force_round(name):
    pull, channels = PULLS[name]
    fixed, moving = textured(6, channels), textured(7, channels)
    cost, force = pull(fixed, moving, None)
    again, back = pull(moving, fixed, None)
    torch.testing.assert_close(again, cost)
    torch.testing.assert_close(back, -force)


def test_lncc_is_one_less_the_squared_correlation_of_each_cube():
    one, other = textured(8), textured(9)
    cost = lncc(2)(one, other, None)[0]
    for z, y, x in ((2, 2, 2), (4, 5, 6), (6, 7, 8)):
        a, b = (v[0, z - 2 : z + 3, y - 2 : y + 3, x - 2 : x + 3].flatten().numpy() for v in (one, other))
        assert float(cost[z, y, x]) == pytest.approx(1 - np.corrcoef(a, b)[0, 1] ** 2, abs=0.02)


@settings(max_examples=15, deadline=None)
@given(st.floats(0.5, 3.0), st.booleans(), st.floats(-2.0, 2.0), st.integers(0, 1000))
def test_lncc_does_not_see_gain_offset_or_sign(gain, negative, offset, seed):
    """But for windows that reach over the edge, and for the floor of the variance, small against that of noise."""
    one, other = drawn(seed, 1, *SHAPE), drawn(seed + 1, 1, *SHAPE)
    changed = (-gain if negative else gain) * other + offset
    inner = (slice(2, -2),) * 3
    cost, again = (lncc(2)(one, v, None)[0][inner] for v in (other, changed))
    torch.testing.assert_close(again, cost, atol=0.02, rtol=0)
    assert float(lncc(2)(other, changed, None)[0][inner].max()) < 0.04


def test_lncc_pulls_nowhere_where_the_images_are_the_same_up_to_gain_and_offset():
    one = drawn(11, 1, *SHAPE)
    inner = (slice(None), *[slice(4, -4)] * 3)
    largest = lncc(2)(one, drawn(12, 1, *SHAPE), None)[1][inner].abs().max()
    assert float(lncc(2)(one, 0.7 * one + 0.1, None)[1][inner].abs().max()) < 0.05 * float(largest)


def test_lncc_of_flat_images_is_finite_and_without_force():
    flat = torch.full((1, *SHAPE), 0.3)
    cost, force = lncc(2)(flat, textured(13).float(), None)
    assert cost.isfinite().all() and float(cost[2:-2, 2:-2, 2:-2].min()) > 0.999
    assert float(force[:, 4:-4, 4:-4, 4:-4].abs().max()) < 1e-6
    empty = torch.zeros(1, *SHAPE)
    cost, force = lncc(2)(empty, empty, None)
    assert bool((cost == 1).all()) and not force.any()


def test_ssd_is_the_squared_distance_over_channels():
    one, other, weight = textured(14, 4), textured(15, 4), drawn(16, *SHAPE)
    torch.testing.assert_close(ssd(one, other, None)[0], (one - other).square().sum(0))
    torch.testing.assert_close(ssd(one, other, weight)[0], weight * (one - other).square().sum(0))
    cost, force = ssd(one, one, None)
    assert not cost.any() and not force.any()


@pytest.mark.parametrize("name", PULLS)
def test_a_weight_of_one_is_none_and_where_it_is_zero_nothing_pulls(name):
    pull, channels = PULLS[name]
    fixed, moving = textured(17, channels), textured(18, channels)
    plain, ones = pull(fixed, moving, None), pull(fixed, moving, torch.ones(SHAPE, dtype=torch.float64))
    torch.testing.assert_close(ones, plain)
    half = torch.ones(SHAPE, dtype=torch.float64)
    half[:, :, 5:] = 0
    changed = moving.clone()
    changed[..., 8:] = drawn(19, channels, *SHAPE)[..., 8:]  # further from the weight than a window's reach
    torch.testing.assert_close(pull(fixed, changed, half)[1][..., :5], pull(fixed, moving, half)[1][..., :5])
    assert not pull(fixed, moving, half)[1][..., 8:].any()


def test_a_coarser_term_compares_averages():
    term = Term(textured(20, 2, (8, 12, 4)), textured(21, 2, (8, 12, 4)), ssd, 0.3).coarser(2)
    assert term.pull is ssd and term.weight == 0.3 and term.fixed.shape == (2, 4, 6, 2)
    torch.testing.assert_close(term.moving, block_mean(textured(21, 2, (8, 12, 4)), 2))
