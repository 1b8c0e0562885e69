"""Shrinking blocks is the proximal map of their nuclear norms, for any grid and shift."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.solve.low_rank import from_blocks, largest_singular_value, noise_edge, shrink_blocks, to_blocks


def randn(*shape: int, rng: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex128, generator=rng)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.integers(1, 4), st.tuples(*[st.integers(0, 7)] * 3))
def test_blocks_and_back(ny, nx, nz, block, shift):
    x = randn(2, nz, ny, nx, 3, rng=torch.Generator().manual_seed(ny + nx))
    matrices, size = to_blocks(x, block, shift)
    assert torch.equal(from_blocks(matrices, x.shape, size, shift), x)
    assert matrices.shape[-2:] == (size[0] * size[1] * size[2], 3)


def test_one_block_is_singular_value_shrinkage(rng):
    x = randn(1, 4, 5, 6, rng=rng)
    u, s, vh = torch.linalg.svd(x.reshape(20, 6), full_matrices=False)
    threshold = float(s[2])
    expected = (u * (s - threshold).clamp_min(0)) @ vh
    torch.testing.assert_close(shrink_blocks(x, threshold, 8).reshape(20, 6), expected)
    assert float(largest_singular_value(x, 8)) == pytest.approx(float(s[0]))


def test_threshold_zero_changes_nothing_and_a_large_one_leaves_zero(rng):
    x = randn(2, 1, 9, 7, 5, rng=rng)
    torch.testing.assert_close(shrink_blocks(x, 0.0, 4, (0, 1, 3)), x)
    assert not shrink_blocks(x, 1.01 * float(largest_singular_value(x, 9)), 9).any()


def test_many_frames_take_the_slow_path_of_lapack_in_one_thread(rng):
    threads = torch.get_num_threads()
    x = randn(1, 12, 12, 30, rng=rng)
    assert shrink_blocks(x, 1.0, 6).shape == x.shape
    assert torch.get_num_threads() == threads


def test_edge_of_noise(rng):
    noise = randn(1, 64, 64, 12, rng=rng)
    matrices, _ = to_blocks(noise, 8, (0, 0, 0))
    largest = torch.linalg.svdvals(matrices)[:, 0]
    assert float(largest.median()) == pytest.approx(noise_edge((1, 64, 64), 8, 12), rel=0.1)
