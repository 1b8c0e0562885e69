"""Conjugate gradients for A x = b with A Hermitian and positive, for many independent systems at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class CGState:
    """x after n_iters iterations; residual2 is |b - A x|^2 of each system (as CG updates it), axes kept."""

    x: Tensor
    residual2: Tensor
    n_iters: int


def cg(A: Map, b: Tensor, *, x0: Tensor | None = None, dims: Sequence[int] | None = None) -> Iterator[CGState]:
    """Yield the iterates; the first is x0 itself. The caller stops.

    Parameters
    ----------
    A
        x -> A x.
    b
        Right-hand side, real or complex.
    x0
        Where to start; None: zero.
    dims
        Axes of one system. Along the others A is block-diagonal, and each system gets its own step sizes; None: all
        of b is one system.

    Source: Hestenes and Stiefel 1952, doi:10.6028/jres.049.044. A system whose residual is below
    the rounding of the largest one stands still, so that derivatives stay finite.
    """
    dims = tuple(range(b.ndim)) if dims is None else tuple(dims)
    x = torch.zeros_like(b) if x0 is None else x0
    r = b if x0 is None else b - A(x0)
    p, rr = r, _norm2(r, dims)
    done = rr.detach().max() * torch.finfo(rr.dtype).eps ** 2
    n = 0
    while True:
        yield CGState(x, rr, n)
        Ap = A(p)
        alpha = _ratio(rr, _inner(p, Ap, dims), rr > done)
        x, r = _add(x, alpha, p), _add(r, -alpha, Ap)
        previous, rr = rr, _norm2(r, dims)
        p = _add(r, _ratio(rr, previous, previous > done), p)
        n += 1


def solve(
    A: Map,
    b: Tensor,
    n_iters: int,
    *,
    tolerance: float = 0.0,
    x0: Tensor | None = None,
    dims: Sequence[int] | None = None,
    together: Sequence[int] | None = None,
) -> Tensor:
    """Run `cg` until |b - A x| <= tolerance |b|, n_iters at most, and return x.

    The norms are taken over the axes `together` (None: all), and all that lies along the others must have come so far.
    """
    axes = tuple(range(b.ndim)) if together is None else tuple(together)
    norm2 = _norm2(b, axes) if tolerance > 0 else None
    states = cg(A, b, x0=x0, dims=dims)
    state = next(states)
    for state in states:
        if state.n_iters >= n_iters:
            break
        if norm2 is not None and bool((state.residual2.sum(axes, keepdim=True) <= tolerance**2 * norm2).all()):
            break
    return state.x


def _norm2(x: Tensor, dims: Sequence[int]) -> Tensor:
    return _inner(x, x, dims)


def _inner(a: Tensor, b: Tensor, dims: Sequence[int]) -> Tensor:
    """Re <a, b> over dims, axes kept."""
    if not a.is_complex():
        return (a * b).sum(tuple(dims), keepdim=True)
    pairs = torch.view_as_real(a) * torch.view_as_real(b)
    return pairs.sum([*(d % a.ndim for d in dims), -1], keepdim=True)[..., 0]


def _add(a: Tensor, factor: Tensor, b: Tensor) -> Tensor:
    """a + factor b with a real factor, in real arithmetic (half the work of a complex product)."""
    if not a.is_complex():
        return torch.addcmul(a, factor, b)
    return torch.view_as_complex(torch.addcmul(torch.view_as_real(a), factor[..., None], torch.view_as_real(b)))


def _ratio(a: Tensor, b: Tensor, where: Tensor) -> Tensor:
    """a / b, and 0 elsewhere or where b is 0; so are its derivatives."""
    where = where & (b > 0)
    return torch.where(where, a / torch.where(where, b, 1), 0)
