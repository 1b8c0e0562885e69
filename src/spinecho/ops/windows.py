"""Sums over cubes of voxels, averages of blocks, small Gaussians: the filters that registration runs at every step."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def box_sum(x: Float[Tensor, "c z y x"], radius: int) -> Float[Tensor, "c z y x"]:
    """Sum over the (2 radius + 1)^3 cube about each voxel, zero outside.

    One axis after the other by adding shifted views, many times faster on a CPU than a pooling or a convolution.
    """
    for dim in (1, 2, 3):
        n = x.shape[dim]
        padded = F.pad(x, _padding(dim, radius))
        x = padded.narrow(dim, 0, n).clone()
        for shift in range(1, 2 * radius + 1):
            x.add_(padded.narrow(dim, shift, n))
    return x


def gaussian(
    x: Float[Tensor, "c z y x"], sigma: float, outside: Literal["zero", "edge"] = "zero"
) -> Float[Tensor, "c z y x"]:
    """Smoothed with a Gaussian of sigma voxels, cut off at three sigma; outside is zero, or the edge's values go on."""
    if sigma <= 0:
        return x
    radius = max(1, math.ceil(3 * sigma))
    kernel = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(-radius, radius + 1)]
    for dim in (1, 2, 3):
        n = x.shape[dim]
        padded = _beyond(x, dim, radius) if outside == "edge" else F.pad(x, _padding(dim, radius))
        x = padded.narrow(dim, 0, n) * (kernel[0] / sum(kernel))
        for shift in range(1, 2 * radius + 1):
            x.add_(padded.narrow(dim, shift, n), alpha=kernel[shift] / sum(kernel))
    return x


def block_mean(x: Float[Tensor, "c z y x"], factor: int) -> Float[Tensor, "c z2 y2 x2"]:
    """Averages of cubes of factor^3 voxels; sizes must be multiples of it."""
    return x if factor == 1 else F.avg_pool3d(x[None], factor, factor)[0]


def enlarged(x: Float[Tensor, "c z y x"], factor: int) -> Float[Tensor, "c z2 y2 x2"]:
    """Linear interpolation to voxels smaller by a factor, on the grid that `block_mean` takes back."""
    return x if factor == 1 else F.interpolate(x[None], scale_factor=factor, mode="trilinear", align_corners=False)[0]


def gradient(x: Float[Tensor, "c z y x"]) -> Float[Tensor, "3 c z y x"]:
    """Central differences along (x, y, z) per voxel; 0 at the edges."""
    out = x.new_zeros(3, *x.shape)
    for component, dim in enumerate((3, 2, 1)):
        n = x.shape[dim]
        if n > 2:
            torch.sub(x.narrow(dim, 2, n - 2), x.narrow(dim, 0, n - 2), out=out[component].narrow(dim, 1, n - 2))
    return out.mul_(0.5)


def _beyond(x: Tensor, dim: int, radius: int) -> Tensor:
    first, last = x.narrow(dim, 0, 1), x.narrow(dim, x.shape[dim] - 1, 1)
    shape = [radius if d == dim else -1 for d in range(4)]
    return torch.cat([first.expand(shape), x, last.expand(shape)], dim)


def _padding(dim: int, radius: int) -> list[int]:
    sides = [0] * 6
    sides[2 * (3 - dim)] = sides[2 * (3 - dim) + 1] = radius
    return sides
