"""Proximal maps against their definition and closed forms."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.solve.prox import magnitude, shrink

values = st.complex_numbers(max_magnitude=10, allow_nan=False)


@settings(max_examples=50, deadline=None)
@given(values, st.floats(0, 5))
def test_soft_thresholding_minimises_its_definition(value, threshold):
    x = torch.tensor([value], dtype=torch.complex128)
    z = shrink(x, threshold)
    cost = lambda z: threshold * z.abs() + (z - x).abs().square() / 2  # noqa: E731
    directions = torch.exp(2j * torch.pi * torch.arange(8) / 8)
    for size in (1e-3, 0.1, 1.0):
        assert (cost(z) <= cost(z + size * directions) + 1e-9).all()


def test_closed_forms():
    x = torch.tensor([0.0, 0.5, -1.0, 3.0], dtype=torch.float64)
    torch.testing.assert_close(shrink(x, 1.0), torch.tensor([0, 0, 0, 2.0], dtype=torch.float64))
    torch.testing.assert_close(shrink(x, 1.0, power=0.0), torch.tensor([0, 0, 0, 3 - 1 / 3], dtype=torch.float64))
    half = shrink(x, 1.0, power=0.5)[-1]
    assert shrink(x, 1.0)[-1] < half < shrink(x, 1.0, power=0.0)[-1]


def test_groups_shrink_together(rng):
    x = torch.randn((2, 50), dtype=torch.complex128, generator=rng)
    z = shrink(x, 0.7, dims=(0,))
    expected = x * (1 - 0.7 / magnitude(x, (0,))).clamp_min(0)
    torch.testing.assert_close(z, expected)
    torch.testing.assert_close(magnitude(z, (0,)), (magnitude(x, (0,)) - 0.7).clamp_min(0))


@settings(max_examples=25, deadline=None)
@given(st.lists(values, min_size=2, max_size=2), st.floats(0, 5))
def test_soft_thresholding_never_spreads_points(pair, threshold):
    a, b = torch.tensor(pair, dtype=torch.complex128)[:, None]
    assert (shrink(a, threshold) - shrink(b, threshold)).abs() <= (a - b).abs() + 1e-12


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_zero_stays_zero_with_a_finite_gradient(power):
    x = torch.tensor([0.0, 2.0], dtype=torch.float64, requires_grad=True)
    shrink(x, 0.5, power=power).sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()
