"""Iterations against closed forms and optimality conditions: batches of systems, ridge, lasso, low rank."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spinecho.solve.admm import admm
from spinecho.solve.cg import cg, solve
from spinecho.solve.fista import fista
from spinecho.solve.low_rank import noise_edge, shrink_blocks
from spinecho.solve.prox import shrink


def randn(*shape: int, rng: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex128, generator=rng)


def last(states, n):
    return next(islice(states, n, None))


def systems(rng, batch=(2, 3), n=4):
    M = randn(*batch, n, n, rng=rng)
    return M @ M.mH + torch.eye(n), randn(*batch, n, rng=rng)


def apply(A):
    return lambda x: (A @ x[..., None])[..., 0]


def test_a_batch_of_systems_against_the_direct_solver(rng):
    A, b = systems(rng)
    x = solve(apply(A), b, 8, dims=(-1,))
    torch.testing.assert_close(x, torch.linalg.solve(A, b[..., None])[..., 0])


def test_the_residual_it_tells_is_the_residual(rng):
    A, b = systems(rng)
    x0 = randn(2, 3, 4, rng=rng)
    for state in islice(cg(apply(A), b, x0=x0, dims=(-1,)), 4):
        direct = (b - apply(A)(state.x)).abs().square().sum(-1, keepdim=True)
        torch.testing.assert_close(state.residual2, direct)


def test_the_energy_falls_with_every_step(rng):
    """CG minimises x^H A x / 2 - Re b^H x over growing subspaces."""
    (A, b) = (t[0, 0] for t in systems(rng, n=8))
    energy = [float((0.5 * torch.vdot(s.x, A @ s.x) - torch.vdot(b, s.x)).real) for s in islice(cg(apply(A), b), 8)]
    assert all(later < earlier for earlier, later in pairwise(energy))


def test_real_systems_over_two_axes(rng):
    weights = torch.rand((3, 4, 5), dtype=torch.float64, generator=rng) + 0.5
    b = torch.randn((3, 4, 5), dtype=torch.float64, generator=rng)
    torch.testing.assert_close(solve(lambda x: weights * x, b, 40, dims=(-2, -1)), b / weights)


def test_a_tolerance_saves_iterations(rng):
    A, b = systems(rng, n=8)
    calls = []

    def counted(x):
        calls.append(1)
        return apply(A)(x)

    loose = solve(counted, b, 50, tolerance=1e-2, dims=(-1,))
    assert len(calls) < 12
    error = torch.linalg.vector_norm(apply(A)(loose) - b) / torch.linalg.vector_norm(b)
    assert error <= 1e-2 * (1 + 1e-6)


def test_ridge_by_fista_by_admm_and_directly(rng):
    """min |x - y|^2_G / 2 + l2 |x|^2 / 2: three ways to one answer."""
    M, b, l2 = randn(9, 5, rng=rng), randn(5, rng=rng), 0.7
    G, eye = M.mH @ M, torch.eye(5)
    exact = torch.linalg.solve(G + l2 * eye, b)
    step = 1 / float(torch.linalg.matrix_norm(G, 2))
    found = last(fista(lambda x: G @ x - b, lambda x: x / (1 + step * l2), 0 * b, step=step), 1000)
    torch.testing.assert_close(found.x, exact)
    states = admm(lambda v, _: torch.linalg.solve(G + 2 * eye, b + 2 * v), lambda v: 2 * v / (2 + l2), 0 * b)
    found = last(states, 300)
    torch.testing.assert_close(found.x, exact)
    torch.testing.assert_close(found.z, exact)
    assert found.n_iters == 300


@settings(max_examples=15, deadline=None)
@given(st.floats(0, 3), st.integers(0, 10**6))
def test_the_lasso_with_orthonormal_columns_is_soft_thresholding(weight, seed):
    rng = torch.Generator().manual_seed(seed)
    Q, _ = torch.linalg.qr(randn(7, 4, rng=rng))
    y = 2 * randn(7, rng=rng)
    found = last(fista(lambda x: Q.mH @ (Q @ x - y), lambda x: shrink(x, weight), randn(4, rng=rng)), 2)
    torch.testing.assert_close(found.x, shrink(Q.mH @ y, weight))


def test_complex_lasso_meets_its_conditions(rng):
    """b - G x is weight x / |x| where x lives, and no longer than weight where it does not."""
    M, y, weight = randn(20, 8, rng=rng) / 4, randn(20, rng=rng), 0.8
    G, b = M.mH @ M, M.mH @ y
    step = 1 / float(torch.linalg.matrix_norm(G, 2))
    x = last(fista(lambda x: G @ x - b, lambda x: shrink(x, weight * step), 0 * b, step=step), 2000).x
    slope, lives = b - G @ x, x.abs() > 1e-9
    assert 0 < int(lives.sum()) < 8
    torch.testing.assert_close(slope[lives], weight * x[lives] / x[lives].abs(), atol=1e-6, rtol=0)
    assert (slope.abs() <= weight + 1e-9).all()


def test_fista_outruns_plain_gradient_descent(rng):
    """Beck and Teboulle's bound: f(x_n) - f* <= 2 |x_0 - x*|^2 / (step (n + 1)^2), on an ill-conditioned quadratic."""
    curvature = torch.logspace(-4, 0, 30, dtype=torch.float64)
    x0 = torch.randn(30, dtype=torch.float64, generator=rng)
    f = lambda x: float((curvature * x * x).sum() / 2)  # noqa: E731
    for state in islice(fista(lambda x: curvature * x, lambda x: x, x0), 1, 80):
        assert f(state.x) <= 2 * float(x0.square().sum()) / (state.n_iters + 1) ** 2
    plain = (1 - curvature) ** state.n_iters * x0
    assert f(state.x) < 0.5 * f(plain)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.05, 4), st.sampled_from([(), (0,), (0, -1)]), st.integers(0, 10**6))
def test_thresholding_of_groups_by_brute_force(threshold, dims, seed):
    """No other point has a lower threshold sum |z_g| + |z - x|^2 / 2."""
    rng = torch.Generator().manual_seed(seed)
    x = 2 * randn(2, 3, rng=rng)

    def cost(z):
        squares = z.abs().square()
        sizes = (squares.sum(dims) if dims else squares).sqrt()
        return float(threshold * sizes.sum() + (z - x).abs().square().sum() / 2)

    z = shrink(x, threshold, dims=dims)
    for size in (1e-4, 1e-2, 1):
        for _ in range(5):
            assert cost(z) <= cost(z + size * randn(2, 3, rng=rng)) + 1e-12


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 3), st.integers(0, 3), st.floats(0.1, 6))
def test_shrunk_blocks_meet_the_conditions_of_the_nuclear_norm(seed, low, left, threshold):
    """x - u has spectral norm threshold at most in every block, and <x - u, u> = threshold |u|_*."""
    x = randn(1, 8, 8, 3, rng=torch.Generator().manual_seed(seed))
    u = shrink_blocks(x, threshold, 4, (0, low, left))
    for rows in (slice(0, 4 - low), slice(4 - low, 8 - low), slice(8 - low, 8)):
        for columns in (slice(0, 4 - left), slice(4 - left, 8 - left), slice(8 - left, 8)):
            X, U = (t[0, rows, columns].reshape(-1, 3) for t in (x, u))
            if X.numel():
                assert float(torch.linalg.matrix_norm(X - U, 2)) <= threshold + 1e-9
                inner = float(torch.vdot((X - U).flatten(), U.flatten()).real)
                assert inner == pytest.approx(threshold * float(torch.linalg.svdvals(U).sum()), abs=1e-8)


def test_blocks_shrink_apart_and_more_with_more_threshold(rng):
    x = randn(2, 1, 8, 8, 4, rng=rng)
    whole = shrink_blocks(x, 2.0, 4)
    torch.testing.assert_close(whole[:1, :, :4, 4:], shrink_blocks(x[:1, :, :4, 4:], 2.0, 4))
    sizes = [float(torch.linalg.vector_norm(shrink_blocks(x, t, 4))) for t in (0.0, 1.0, 3.0, 6.0, 20.0)]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 0 == sizes[-1]


def test_the_edge_of_noise_by_its_formula():
    assert noise_edge((1, 64, 64), 8, 9) == 8 + 3
    assert noise_edge((64, 64, 64), 4, 16) == 8 + 4
    assert noise_edge((1, 4, 9), 16, 4) == 6 + 2, "a block is no larger than the grid"


def test_shrinking_at_the_edge_leaves_the_signal_and_takes_the_noise(rng):
    """A rank-1 series well above the noise comes back nearer to the truth; pure noise comes back as next to nothing."""
    edge = noise_edge((1, 8, 8), 8, 10)
    signal = 3 * randn(1, 8, 8, 1, rng=rng) * randn(10, rng=rng)
    noise = randn(1, 8, 8, 10, rng=rng)
    cleaned = shrink_blocks(signal + noise, edge, 8)
    assert torch.linalg.vector_norm(cleaned - signal) < 0.6 * torch.linalg.vector_norm(noise)
    assert torch.linalg.vector_norm(shrink_blocks(noise, edge, 8)) < 0.15 * torch.linalg.vector_norm(noise)
