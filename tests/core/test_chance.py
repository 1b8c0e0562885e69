"""Numbers by chance: within their bounds, even, and the same again from the same seed."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spinecho.core.chance import chance, integer, log_uniform, uniform


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.integers(0, 10**6), st.integers(1, 50))
def test_integers_are_below_n_and_come_again(seed, n):
    drawn = integer(seeded(seed), n)
    assert 0 <= drawn < n and drawn == integer(seeded(seed), n)


@given(st.integers(0, 10**6), st.floats(-5, 5), st.floats(0, 5))
def test_numbers_lie_between_two(seed, low, width):
    assert low <= uniform(seeded(seed), low, low + width) <= low + width + 1e-12


def test_every_integer_is_drawn_alike():
    rng = seeded()
    counts = torch.bincount(torch.tensor([integer(rng, 5) for _ in range(2000)]), minlength=5)
    assert int(counts.min()) > 330 and int(counts.max()) < 470


def test_half_of_the_logarithms_lie_below_the_geometric_mean():
    rng = seeded()
    below = sum(log_uniform(rng, 0.01, 100) < 1 for _ in range(2000)) / 2000
    assert below == pytest.approx(0.5, abs=0.04)
    assert log_uniform(rng, 3, 3) == pytest.approx(3)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.9, 1.0])
def test_a_share_of_all_draws_is_true(share):
    rng = seeded(1)
    true = sum(chance(rng, share) for _ in range(2000)) / 2000
    assert true == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 2000) + 1e-12)
