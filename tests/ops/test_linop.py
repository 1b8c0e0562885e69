"""Operators as algebra: laws on small dense matrices, and the forward model of a scan as a product."""

from __future__ import annotations

import pytest
import torch

from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.ops.diff import Differences
from spinecho.ops.fourier import fft
from spinecho.ops.linop import Composition, Identity, LinearOperator, Scaling, adjoint_mismatch
from spinecho.ops.model import forward_model
from spinecho.ops.nufft import NUFFT


def randn(*shape: int, rng: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex128, generator=rng)


class Dense(LinearOperator):
    """x -> M x."""

    def __init__(self, M: torch.Tensor) -> None:
        super().__init__()
        self.M = M

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.M @ x

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return self.M.mH @ y


def dense(A: LinearOperator, n: int) -> torch.Tensor:
    """An operator's matrix, column by column."""
    return torch.stack([A(e) for e in torch.eye(n, dtype=torch.complex128)], dim=-1)


def test_the_algebra_is_that_of_matrices(rng):
    M, N, K = randn(4, 3, rng=rng), randn(4, 3, rng=rng), randn(3, 5, rng=rng)
    A, B, C = Dense(M), Dense(N), Dense(K)
    for operator, n, expected in (
        (A @ C, 5, M @ K),
        (A + B, 3, M + N),
        ((2 - 1j) * A, 3, (2 - 1j) * M),
        (A * 3, 3, 3 * M),
        (A.H, 4, M.mH),
        ((A @ C).H, 4, (M @ K).mH),
        (((1j * A) @ C).H, 4, (1j * M @ K).mH),
        ((A + B).H @ A, 3, (M + N).mH @ M),
        (Identity() @ C, 5, K),
    ):
        torch.testing.assert_close(dense(operator, n), expected)
        torch.testing.assert_close(dense(operator.H, len(expected)), expected.mH)
        torch.testing.assert_close(operator.normal(torch.eye(n, dtype=M.dtype)[0]), (expected.mH @ expected)[:, 0])
    assert A.H.H is A


def test_a_factor_that_is_a_tensor_scales_the_rows(rng):
    M, factor = randn(4, 3, rng=rng), randn(4, rng=rng)
    A = Scaling(Dense(M), factor)
    torch.testing.assert_close(dense(A, 3), factor[:, None] * M)
    torch.testing.assert_close(dense(A.H, 4), (factor[:, None] * M).mH)


def test_a_product_uses_the_short_way_of_its_outer_factor(rng):
    class Short(Dense):
        calls = 0

        def normal(self, x: torch.Tensor) -> torch.Tensor:
            Short.calls += 1
            return super().normal(x)

    M, K = randn(4, 3, rng=rng), randn(3, 5, rng=rng)
    x = randn(5, rng=rng)
    torch.testing.assert_close(Composition(Short(M), Dense(K)).normal(x), (M @ K).mH @ (M @ K) @ x)
    assert Short.calls == 1


def test_the_mismatch_sees_a_wrong_adjoint(rng):
    class Wrong(Dense):
        def adjoint(self, y: torch.Tensor) -> torch.Tensor:
            return self.M.mT @ y

    M, x, y = randn(4, 3, rng=rng), randn(3, rng=rng), randn(4, rng=rng)
    assert adjoint_mismatch(Dense(M), x, y) < 1e-14 < 1e-3 < adjoint_mismatch(Wrong(M), x, y)
    assert adjoint_mismatch(Dense(0 * M), x, y) == 0


def test_modules_move_and_count_their_parts():
    from spinecho.ops.sampling import Sampling

    A = Sampling(torch.ones(1, 1, 2, 2, dtype=torch.bool)) @ Identity()
    assert len(list(A.buffers())) == 1
    assert next(A.to("meta").buffers()).is_meta


def test_second_differences_of_a_wave():
    """A wave is an eigenvector of D^H D with eigenvalue 4 sin^2(pi k / n), on a periodic grid."""
    n, k = 12, 3
    x = torch.exp(2j * torch.pi * k * torch.arange(n, dtype=torch.float64) / n).expand(1, 2, n)
    torch.testing.assert_close(Differences((-1,)).normal(x), 4 * torch.sin(torch.tensor(torch.pi * k / n)) ** 2 * x)


def scan(**kind: torch.Tensor) -> KSpace:
    shape = (1, 6, 8)
    samples = torch.zeros(2, 3, *(shape if "mask" in kind else (1, 4, 9)), dtype=torch.complex64)
    encoding = Encoding.cartesian(shape)
    return KSpace(samples=samples, encoding=encoding, geometries=(Geometry.unknown(shape),), axes=("time",), **kind)


@pytest.mark.parametrize("n_maps", [1, 2])
def test_the_model_of_a_cartesian_scan(n_maps, rng):
    mask = torch.rand((2, 1, 1, 6, 1), generator=rng) > 0.4
    csm, x = randn(1, n_maps, 3, 1, 6, 8, rng=rng), randn(2, n_maps, 1, 6, 8, rng=rng)
    y = forward_model(scan(mask=mask), csm)(x)
    torch.testing.assert_close(y, mask * fft(torch.einsum("mczyx,tmzyx->tczyx", csm[0], x)))


def test_the_model_of_a_trajectory(rng):
    traj = (torch.rand((1, 1, 4, 9, 3), generator=rng) - 0.5) * torch.tensor([8.0, 6.0, 0.0])
    csm, x = (randn(*s, rng=rng).to(torch.complex64) for s in ((1, 1, 3, 1, 6, 8), (2, 1, 1, 6, 8)))
    y = forward_model(scan(traj=traj), csm)(x)
    assert y.shape == (2, 3, 1, 4, 9)
    torch.testing.assert_close(y, NUFFT(traj, (1, 6, 8))(csm[:, 0] * x), rtol=1e-3, atol=1e-4)
