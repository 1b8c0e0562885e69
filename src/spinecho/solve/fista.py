"""FISTA: accelerated proximal gradient for f(x) + R(x), f smooth, R with a known proximal map."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class FISTAState:
    """x after n_iters iterations."""

    x: Tensor
    n_iters: int


def fista(gradient: Map, prox: Map, x0: Tensor, *, step: float = 1.0) -> Iterator[FISTAState]:
    """Yield the iterates; the first is x0 itself. The caller stops.

    Parameters
    ----------
    gradient
        x -> grad f(x), with Lipschitz constant 1 / step at most.
    prox
        x -> argmin_z step R(z) + |z - x|^2 / 2.

    Source: Beck and Teboulle 2009, doi:10.1137/080716542, eq. 4.1 to 4.3.
    """
    x = z = x0
    for n, momentum in enumerate(momenta()):
        yield FISTAState(x, n)
        previous, x = x, prox(torch.sub(z, gradient(z), alpha=step))
        z = torch.add(x, x - previous, alpha=momentum)


def momenta() -> Iterator[float]:
    """How far each iteration overshoots, from the first: (t_k - 1) / t_(k+1)."""
    t = 1.0
    while True:
        before, t = t, (1 + (1 + 4 * t * t) ** 0.5) / 2
        yield (before - 1) / t
