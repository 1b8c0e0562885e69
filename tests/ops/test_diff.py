"""Finite differences by their definition."""

from __future__ import annotations

import torch

from spinecho.ops.diff import Differences


def test_differences_of_a_ramp_and_of_a_thin_axis():
    x = torch.arange(5.0).expand(1, 3, 5)
    y = Differences()(x)
    assert y.shape == (3, 1, 3, 5)
    assert not y[0].any() and not y[1].any()
    assert y[2, 0, 0].tolist() == [1, 1, 1, 1, -4]


def test_constants_are_the_null_space(rng):
    D = Differences((-2, -1))
    assert not D(torch.full((4, 5), 2.5)).any()
    x = torch.randn((4, 6), dtype=torch.float64, generator=rng)
    for _ in range(300):
        x = D.normal(x)
        x = x / torch.linalg.vector_norm(x)
    assert torch.linalg.vector_norm(D.normal(x)) <= 8 + 1e-9
