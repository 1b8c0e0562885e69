"""Weights of sum 1: the best mean of several predictions, against a general solver."""

from __future__ import annotations

import pytest
import torch
from scipy.optimize import nnls

from spinecho.solve.simplex import simplex_weights


def gram(errors: torch.Tensor) -> torch.Tensor:
    return errors @ errors.mT


@pytest.mark.parametrize("n", [1, 2, 4, 6])
def test_equals_non_negative_least_squares_with_a_heavy_sum(n, rng):
    """nnls with one more row, heavy, that asks for a sum of 1."""
    errors = torch.randn(n, 40, generator=rng, dtype=torch.float64) + torch.randn(40, generator=rng)
    w = simplex_weights(gram(errors))
    heavy = 1e4
    rows = torch.cat([errors.T, heavy * torch.ones(1, n)]).numpy()
    expected = nnls(rows, torch.cat([torch.zeros(40), torch.tensor([heavy])]).numpy())[0]
    assert torch.allclose(w, torch.from_numpy(expected), atol=1e-4)
    assert float(w.sum()) == pytest.approx(1) and bool((w >= 0).all())


def test_is_never_worse_than_the_best_of_them(rng):
    for _ in range(20):
        G = gram(torch.randn(4, 12, generator=rng, dtype=torch.float64) * torch.rand(4, 1, generator=rng))
        w = simplex_weights(G)
        assert float(w @ G @ w) <= float(G.diagonal().min()) * (1 + 1e-6)


def test_a_perfect_one_has_all_weight_and_equal_ones_share_it(rng):
    errors = torch.randn(3, 20, generator=rng)
    errors[1] = 0
    assert torch.allclose(simplex_weights(gram(errors)), torch.tensor([0.0, 1.0, 0.0]), atol=1e-3)
    same = errors[:1].expand(3, -1)
    assert torch.allclose(simplex_weights(gram(same)), torch.full((3,), 1 / 3), atol=1e-3)
    assert torch.allclose(simplex_weights(torch.zeros(2, 2)), torch.tensor([0.5, 0.5])), "an empty slice"


def test_entries_of_a_batch_are_apart_and_scale_does_not_matter(rng):
    G = gram(torch.randn(2, 3, 4, 9, generator=rng))
    w = simplex_weights(G)
    assert w.shape == (2, 3, 4)
    assert torch.allclose(w[1, 2], simplex_weights(G[1, 2]), atol=1e-5)
    assert torch.allclose(simplex_weights(G * 1e-18), w, atol=1e-5)
