"""FISTA and ADMM on problems whose solution is known."""

from __future__ import annotations

from itertools import islice

import torch

from spinecho.solve.admm import admm
from spinecho.solve.fista import fista
from spinecho.solve.prox import shrink


def last(states, n):
    return list(islice(states, n + 1))[-1]


def lasso(rng):
    M = torch.randn((30, 12), dtype=torch.float64, generator=rng) / 6
    y = M @ (torch.randn(12, dtype=torch.float64, generator=rng) * (torch.arange(12) % 3 == 0))
    return M.T @ M, M.T @ y


def optimal(G, b, x, weight):
    """|b - G x| <= weight, with equality and x's sign where x is not zero."""
    slope = b - G @ x
    moving = x.abs() > 1e-9
    torch.testing.assert_close(slope[moving], weight * x[moving].sign(), atol=1e-6, rtol=0)
    assert (slope.abs() <= weight + 1e-6).all()


def test_fista_solves_the_lasso(rng):
    G, b = lasso(rng)
    step = 1 / float(torch.linalg.matrix_norm(G, 2))
    state = last(fista(lambda x: G @ x - b, lambda x: shrink(x, 0.02 * step), torch.zeros_like(b), step=step), 3000)
    assert state.n_iters == 3000
    optimal(G, b, state.x, 0.02)


def test_admm_solves_the_lasso(rng):
    G, b = lasso(rng)
    rho, eye = 0.3, torch.eye(12, dtype=torch.float64)
    states = admm(lambda v, _: torch.linalg.solve(G + rho * eye, b + rho * v), lambda v: shrink(v, 0.02 / rho), 0 * b)
    optimal(G, b, last(states, 2000).z, 0.02)


def test_admm_with_a_map_denoises_a_step():
    """1-D total variation: a clean step shrinks by weight / (length of each side) towards the other."""
    y = torch.cat([torch.zeros(4), torch.ones(4)]).double()
    K = lambda x: x[1:] - x[:-1]  # noqa: E731
    D = torch.eye(8, dtype=torch.float64).diff(dim=0)
    solve = lambda v, _: torch.linalg.solve(torch.eye(8).double() + D.T @ D, y + D.T @ v)  # noqa: E731
    state = last(admm(solve, lambda v: shrink(v, 0.4), y, K=K), 500)
    torch.testing.assert_close(state.x, torch.cat([torch.full((4,), 0.1), torch.full((4,), 0.9)]).double())
    torch.testing.assert_close(state.z, K(state.x), atol=1e-6, rtol=0)


def test_iterates_begin_with_the_start(rng):
    x0 = torch.randn(3, generator=rng)
    assert next(fista(lambda x: x, lambda x: x, x0)).x is x0
    assert next(admm(lambda v, _: v, lambda v: v, x0)).x is x0
