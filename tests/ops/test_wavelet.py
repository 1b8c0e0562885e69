"""Wavelets are unitary at every size, sparse on polynomials, and follow shifts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.ops.filter_bank import FILTERS, analyse, dense, synthesise
from spinecho.ops.wavelet import Wavelet

sizes = st.lists(st.integers(1, 40), min_size=1, max_size=3).map(tuple)


@settings(max_examples=25, deadline=None)
@given(sizes, st.integers(0, 5), st.sampled_from(sorted(FILTERS)))
def test_unitary_at_any_size(shape, n_levels, name):
    x = torch.randn(shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    W = Wavelet(shape, name, n_levels)
    w = W(x)
    torch.testing.assert_close(torch.linalg.vector_norm(w), torch.linalg.vector_norm(x))
    torch.testing.assert_close(W.adjoint(w), x)
    torch.testing.assert_close(W(W.adjoint(x)), x)


@settings(max_examples=25, deadline=None)
@given(sizes, st.tuples(*[st.integers(0, 50)] * 3))
def test_shifted_is_the_transform_of_the_rolled_image(shape, shifts):
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    shift = shifts[: len(shape)]
    W = Wavelet(shape)
    if not W.levels:
        return
    rolled = x.clone()
    for dim, (n, s) in enumerate(zip(shape, shift, strict=True)):
        rolled = rolled.roll(-s, dim) if n >= 16 else rolled
    torch.testing.assert_close(W.shifted(x, shift), W(rolled))
    torch.testing.assert_close(W.unshifted(W.shifted(x, shift), shift), x)


@pytest.mark.parametrize(("name", "degree"), [("haar", 0), ("db2", 1), ("db4", 3)])
def test_polynomials_vanish_away_from_the_edge(name, degree):
    """As many vanishing moments as the filter claims: details of x^degree are zero, except at the periodic seam."""
    n = 64
    t = torch.linspace(-1, 1, n, dtype=torch.float64)
    details = lambda power: Wavelet((n,), name, 1)(t**power)[n // 2 + 3 : -4].abs().max()  # noqa: E731
    assert details(degree) < 1e-10 < 1e-8 < details(degree + 1)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 3), st.integers(64, 150), st.integers(1, 5), st.integers(-9, 200), st.sampled_from(sorted(FILTERS))
)
def test_blocks_are_the_whole_matrix(before, n, after, shift, name):
    """The product by blocks against the (n, n) matrix, along each axis and from any start."""
    matrix = dense(name, n, torch.float64, torch.device("cpu")).roll(shift, 1)
    torch.testing.assert_close(matrix @ matrix.mT, torch.eye(n, dtype=torch.float64), rtol=0, atol=1e-10)
    x = torch.randn((before, n, after), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for dim in (-1, -2, -3):
        y = x.movedim(-2, dim)
        expected = (matrix @ x).movedim(-2, dim)
        torch.testing.assert_close(analyse(y, dim, name, shift), expected, rtol=0, atol=1e-10)
        torch.testing.assert_close(synthesise(expected, dim, name, shift), y, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_gradients(dtype):
    """Of the transform and its inverse, once and twice, through odd and even axes."""
    x = torch.randn((2, 17, 64), dtype=dtype, generator=torch.Generator().manual_seed(3), requires_grad=True)
    W = Wavelet((17, 64), "db2")
    squared = lambda x: W.unshifted(W.shifted(x, (3, 5)) ** 2, (1, 2))  # noqa: E731
    assert torch.autograd.gradcheck(squared, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(squared, x, fast_mode=True)
