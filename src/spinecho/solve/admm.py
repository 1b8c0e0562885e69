"""ADMM for f(x) + R(K x): the linear system and the proximal map take turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ADMMState:
    """x, z close to K x, and the scaled multiplier u, after n_iters iterations."""

    x: Tensor
    z: Tensor
    u: Tensor
    n_iters: int


def admm(
    minimise: Callable[[Tensor, Tensor], Tensor],
    prox: Callable[[Tensor], Tensor],
    x0: Tensor,
    *,
    K: Callable[[Tensor], Tensor] = lambda x: x,
) -> Iterator[ADMMState]:
    """Yield the iterates; the first is x0 with u = 0. The caller stops.

    Parameters
    ----------
    minimise
        (v, x) -> argmin_x f(x) + rho |K x - v|^2 / 2; the second argument is where the last one ended, to start from.
    prox
        v -> argmin_z R(z) + rho |z - v|^2 / 2. The penalty weight rho belongs to these two.
    K
        The linear map inside R; the identity by default.

    Source: Boyd et al. 2011, doi:10.1561/2200000016, eq. 3.5 to 3.7; z is updated first, since x0 is worth keeping.
    """
    x, Kx = x0, K(x0)
    z, u, n = Kx, torch.zeros_like(Kx), 0
    while True:
        yield ADMMState(x, z, u, n)
        z = prox(Kx + u)
        x = minimise(z - u, x)
        Kx = K(x)
        u = u + Kx - z
        n += 1
