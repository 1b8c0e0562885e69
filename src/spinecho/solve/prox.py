"""Proximal maps: what a penalty does to a point, argmin_z R(z) + |z - x|^2 / 2."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def magnitude(x: Tensor, dims: Sequence[int] = ()) -> Tensor:
    """|x|, joint over dims (kept, with length 1): the size of each group."""
    return _squares(x, dims).sqrt()


def shrink(x: Tensor, threshold: float | Tensor, *, power: float = 1.0, dims: Sequence[int] = ()) -> Tensor:
    """Shorten each value (or group over dims) by threshold (threshold / |x|)^(1 - power), to zero at the least.

    With power = 1 this is soft thresholding, the proximal map of threshold |x|. A power below 1 takes less from large
    values, whose bias is what l1 is blamed for, and the penalty behaves like |x|^power; -> 0 is the garrote.

    Source: Voronin and Chartrand, A new generalized thresholding algorithm, ICASSP 2013,
    doi:10.1109/ICASSP.2013.6637929 (p-shrinkage); groups by their joint size.
    """
    squares = _squares(x, dims)
    size = torch.where(squares > 0, squares, 1).sqrt()  # so that the square root's slope at 0 stays out of gradients
    ratio = torch.as_tensor(threshold, dtype=size.dtype, device=size.device) / size
    kept = (1 - _power(ratio, 2 - power)).clamp_min(0)
    return x * torch.where(squares > 0, kept, 0)


def _power(x: Tensor, exponent: float) -> Tensor:
    """x to the exponent; the common ones without a logarithm."""
    if exponent == 1:
        return x
    return x * x.sqrt() if exponent == 1.5 else x**exponent


def _squares(x: Tensor, dims: Sequence[int]) -> Tensor:
    squares = x.real.square() + x.imag.square() if x.is_complex() else x.square()
    return squares.sum(tuple(dims), keepdim=True) if dims else squares
