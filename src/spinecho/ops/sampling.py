"""Sampling: masks on a grid, centred crops and pads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from spinecho.ops.linop import LinearOperator


class Sampling(LinearOperator):
    """y = mask * x: keeps measured samples, zeros elsewhere; a projection, so its own adjoint."""

    mask: Tensor

    def __init__(self, mask: Bool[Tensor, "*batch 1 k2 k1 k0"]) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.mask

    def adjoint(self, y: Tensor) -> Tensor:
        return y * self.mask

    def normal(self, x: Tensor) -> Tensor:
        """mask * x."""
        return x * self.mask


def centre_crop(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Cut or zero-pad the last len(shape) axes to shape, keeping index n // 2 in the middle."""
    n_dims = len(shape)
    for i, m in enumerate(shape):
        dim = i - n_dims
        n = x.shape[dim]
        start = n // 2 - m // 2
        if start >= 0 and start + m <= n:
            x = x.narrow(dim, start, m)
        else:
            padded = x.new_zeros([*x.shape[:dim], m, *x.shape[x.ndim + dim + 1 :]])
            low, high = max(start, 0), min(start + m, n)
            padded.narrow(dim, low - start, high - low).copy_(x.narrow(dim, low, high - low))
            x = padded
    return x


class CentreCrop(LinearOperator):
    """Cut (or pad) the last axes from one shape to another about index n // 2."""

    def __init__(self, full: Sequence[int], cropped: Sequence[int]) -> None:
        super().__init__()
        self.full, self.cropped = tuple(full), tuple(cropped)

    def forward(self, x: Tensor) -> Tensor:
        return centre_crop(x, self.cropped)

    def adjoint(self, y: Tensor) -> Tensor:
        return centre_crop(y, self.full)


def acceleration(mask: Bool[Tensor, "*batch 1 k2 k1 k0"]) -> float:
    """Number of grid points over number of measured ones (the net factor, calibration lines included)."""
    return mask.numel() / max(int(torch.count_nonzero(mask)), 1)
