"""Conjugate gradients against direct solutions."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from spinecho.solve.cg import cg, solve


def positive(n: int, rng: torch.Generator, batch: tuple[int, ...] = ()) -> torch.Tensor:
    M = torch.randn((*batch, n, n), dtype=torch.complex128, generator=rng)
    return M @ M.mH + 0.5 * torch.eye(n)


def test_reaches_the_direct_solution(rng):
    A = positive(12, rng)
    b = torch.randn(12, dtype=torch.complex128, generator=rng)
    x = solve(lambda x: A @ x, b, 40)
    torch.testing.assert_close(x, torch.linalg.solve(A, b))


def test_n_steps_solve_n_unknowns(rng):
    A = torch.diag(torch.tensor([1.0, 1.0, 2.0, 5.0], dtype=torch.float64))
    b = torch.randn(4, dtype=torch.float64, generator=rng)
    states = list(islice(cg(lambda x: A @ x, b), 5))
    assert [s.n_iters for s in states] == [0, 1, 2, 3, 4]
    torch.testing.assert_close(states[3].x, b / A.diagonal())


def test_independent_systems_have_their_own_steps(rng):
    """With dims, each system is solved as if it were alone, whatever its neighbours' conditioning."""
    A = positive(6, rng, (3,)) * torch.tensor([1e-3, 1.0, 1e3])[:, None, None]
    b = torch.randn((3, 6), dtype=torch.complex128, generator=rng)
    apply = lambda x: (A @ x[..., None])[..., 0]  # noqa: E731
    together = solve(apply, b, 4, dims=(-1,))
    for i in range(3):
        torch.testing.assert_close(together[i], solve(lambda x, i=i: A[i] @ x, b[i], 4))


def test_a_solved_system_stands_still():
    b = torch.zeros((2, 3), dtype=torch.float64)
    b[1] = 1
    x = solve(lambda x: 2 * x, b, 20, dims=(-1,))
    torch.testing.assert_close(x, b / 2)


def test_starts_where_told_and_stops_when_told(rng):
    A = positive(8, rng)
    b = torch.randn(8, dtype=torch.complex128, generator=rng)
    exact = torch.linalg.solve(A, b)
    torch.testing.assert_close(solve(lambda x: A @ x, b, 1, x0=exact), exact)
    loose = solve(lambda x: A @ x, b, 100, tolerance=0.1)
    assert 1e-6 < torch.linalg.vector_norm(A @ loose - b) / torch.linalg.vector_norm(b) <= 0.1


@pytest.mark.parametrize("scale", [1e-18, 1e18])
def test_scale_does_not_matter(scale, rng):
    A = positive(8, rng).to(torch.complex64)
    b = torch.randn(8, dtype=torch.complex64, generator=rng)
    x, scaled = solve(lambda x: A @ x, b, 5), solve(lambda x: A @ x, b * scale, 5)
    torch.testing.assert_close(scaled / scale, x)


def test_gradient_passes_through_the_iterations(rng):
    A = positive(4, rng)
    b = torch.randn(4, dtype=torch.complex128, generator=rng, requires_grad=True)
    assert torch.autograd.gradcheck(lambda b: solve(lambda x: A @ x, b, 3), (b,), fast_mode=True)


def test_the_tolerance_holds_for_each_part_that_is_not_taken_together():
    """A dim system beside a bright one: both fall to the tolerance, not their sum."""
    rng = torch.Generator().manual_seed(0)
    root = torch.randn(2, 40, 40, dtype=torch.float64, generator=rng)
    root[0] = torch.eye(40)  # solved at once
    A = root @ root.mT + 1e-3 * torch.eye(40, dtype=torch.float64)
    b = torch.randn(2, 40, 1, dtype=torch.float64, generator=rng) * torch.tensor([1e4, 1.0]).reshape(2, 1, 1)

    def left(**more) -> torch.Tensor:
        return (b - A @ solve(lambda x: A @ x, b, 400, tolerance=1e-3, dims=(-2, -1), **more)).norm(dim=(1, 2))

    size = b.norm(dim=(1, 2))
    assert left()[1] > 1e-1 * size[1], "its residual does not count beside the other's"
    assert bool((left(together=(-2, -1)) <= 1.01e-3 * size).all())
