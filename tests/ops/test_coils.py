"""Coils: expansion and combination against their sums, noise that comes out white, matrices that mix."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.core.errors import DataError
from spinecho.ops.coils import Coils, mix_coils, root_sum_of_squares, whitening


def randn(*shape: int, rng: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex128, generator=rng)


def covariance(n: int, rng: torch.Generator) -> torch.Tensor:
    M = randn(n, 2 * n, rng=rng)
    return M @ M.mH / (2 * n)


@pytest.mark.parametrize("n_maps", [1, 2, 3])
def test_against_the_sums(n_maps, rng):
    csm, x, y = randn(n_maps, 4, 2, 5, 6, rng=rng), randn(3, n_maps, 2, 5, 6, rng=rng), randn(3, 4, 2, 5, 6, rng=rng)
    S = Coils(csm)
    torch.testing.assert_close(S(x), torch.einsum("mczyx,bmzyx->bczyx", csm, x))
    torch.testing.assert_close(S.adjoint(y), torch.einsum("mczyx,bczyx->bmzyx", csm.conj(), y))


def test_maps_of_unit_norm_give_the_image_back(rng):
    csm = randn(1, 5, 1, 4, 6, rng=rng)
    S = Coils(csm / csm.abs().square().sum(-4, keepdim=True).sqrt())
    x = randn(2, 1, 1, 4, 6, rng=rng)
    torch.testing.assert_close(S.adjoint(S(x)), x)
    torch.testing.assert_close(root_sum_of_squares(S(x)), x.abs())


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 8), st.floats(-9, 9), st.integers(0, 10**6))
def test_whitened_noise_is_white_on_the_old_scale(n, exponent, seed):
    C = covariance(n, torch.Generator().manual_seed(seed)) * 10**exponent
    W = whitening(C)
    mean = C.diagonal().real.mean()
    torch.testing.assert_close(W @ C @ W.mH / mean, torch.eye(n, dtype=C.dtype))
    assert not W.triu(1).any(), "the first coil stays itself, up to a factor"


def test_white_noise_is_left_alone():
    torch.testing.assert_close(whitening(3e-9 * torch.eye(4, dtype=torch.complex64)), torch.eye(4) + 0j)


def test_measured_noise_after_whitening(rng):
    """Samples drawn with the covariance have the identity's afterwards, to the statistics of 20000 draws."""
    C = covariance(3, rng)
    n = randn(20000, 3, 1, 1, 1, rng=rng)
    white = mix_coils(mix_coils(n, torch.linalg.cholesky(C)), whitening(C))[..., 0, 0, 0]
    measured = white.mT @ white.conj() / len(white) / C.diagonal().real.mean()
    torch.testing.assert_close(measured, torch.eye(3, dtype=C.dtype), atol=0.04, rtol=0)


@pytest.mark.parametrize("kind", ["dead", "doubled", "negative", "zero"])
def test_a_covariance_that_cannot_be_one_is_refused(kind):
    C = torch.eye(3, dtype=torch.complex64)
    if kind == "dead":
        C[1, 1] = 0
    elif kind == "doubled":
        C[0, 1] = C[1, 0] = 1
    else:
        C = C * (-1 if kind == "negative" else 0)
    with pytest.raises(DataError, match=r"not positive definite .* -> leave that coil out"):
        whitening(C)


def test_mixing_matrices_compose(rng):
    x, A, B = randn(2, 3, 1, 4, 5, rng=rng), randn(4, 3, rng=rng), randn(2, 4, rng=rng)
    torch.testing.assert_close(mix_coils(mix_coils(x, A), B), mix_coils(x, B @ A))
    torch.testing.assert_close(mix_coils(x, A)[1, 2], sum(A[2, c] * x[1, c] for c in range(3)))
    swap = torch.eye(3, dtype=x.dtype)[[2, 0, 1]]
    assert torch.equal(mix_coils(x, swap), x[:, [2, 0, 1]])


def test_a_rotation_of_the_coils_keeps_the_root_sum_of_squares(rng):
    x = randn(2, 4, 1, 5, 6, rng=rng)
    Q, _ = torch.linalg.qr(randn(4, 4, rng=rng))
    torch.testing.assert_close(root_sum_of_squares(mix_coils(x, Q)), root_sum_of_squares(x))
    assert root_sum_of_squares(x).shape == (2, 1, 1, 5, 6) and not root_sum_of_squares(x).is_complex()
