"""A dither array: ranks on a small periodic grid such that the lowest of them, however many, keep apart."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.ops.fourier import fft, ifft

SIDE = 128
_START = 0.1


@lru_cache
def dither(side: int = SIDE) -> Float[Tensor, "y x"]:
    """Ranks from 0 to 1, each once: points under any threshold are evenly scattered, without order (blue noise).

    Source: Ulichney 1993, doi:10.1117/12.152707 (void and cluster). We take a share of random points, swap the one in
    the tightest cluster with the largest void until that is the same place, and fill voids one by one up to the end.
    """
    k = torch.arange(side) - side // 2
    kernel = torch.exp(-(k[:, None].square() + k.square()) / (2 * 1.5**2))
    kernel = torch.roll(kernel, (side - side // 2, side - side // 2), (0, 1)) if side % 2 else kernel
    lobes = torch.cat([torch.cat([kernel, kernel], 1)] * 2)

    def lobe(at: int) -> Tensor:
        """The kernel about a place, wrapped."""
        y, x = side // 2 - at // side, side // 2 - at % side
        return lobes[y % side : y % side + side, x % side : x % side + side]

    n = side * side
    points = torch.zeros(n)
    points[torch.randperm(n, generator=torch.Generator().manual_seed(0))[: round(_START * n)]] = 1
    density = sum_of(points.view(side, side), kernel)
    while True:
        tight = int(torch.where(points > 0, density.flatten(), -1.0).argmax())
        points[tight] = 0
        density = density - lobe(tight)
        void = int(torch.where(points > 0, 1e9, density.flatten()).argmin())
        points[void] = 1
        density = density + lobe(void)
        if void == tight:
            break
    return _ranked(points, density, lobe)


def sum_of(points: Float[Tensor, "y x"], kernel: Float[Tensor, "y x"]) -> Float[Tensor, "y x"]:
    """Kernels about all points, wrapped."""
    return (ifft(fft(points.to(torch.complex64), (0, 1)) * fft(kernel.to(torch.complex64), (0, 1)), (0, 1))).real * len(
        points
    )


def _ranked(points: Tensor, density: Tensor, lobe: Callable[[int], Tensor]) -> Tensor:
    """Ranks of the first points by taking away the tightest, of the others by filling the largest void."""
    side, n = len(density), points.numel()
    ranks = torch.empty(n)
    first = int(points.sum())
    left, thin = points.clone(), density.clone()
    for rank in range(first - 1, -1, -1):
        at = int(torch.where(left > 0, thin.flatten(), -1.0).argmax())
        left[at], ranks[at] = 0, rank
        thin = thin - lobe(at)
    for rank in range(first, n):
        at = int(torch.where(points > 0, 1e9, density.flatten()).argmin())
        points[at], ranks[at] = 1, rank
        density = density + lobe(at)
    return (ranks / n).view(side, side)
