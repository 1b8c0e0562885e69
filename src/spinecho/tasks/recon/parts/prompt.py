"""What a Cartesian scan says of itself in a few numbers, for networks of which one set of weights serves all scans."""

from __future__ import annotations

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from spinecho.core.kspace import KSpace

N_NUMBERS = 6
_IMAGE = (-4, -3, -2, -1)


def prompt(
    kspace: KSpace, start: Complex[Tensor, "*batch 1 1 y x"], noise: Float[Tensor, "*#batch 1 1 1 1"]
) -> Float[Tensor, "n numbers"]:
    """For each image, all about -1 to 1: acceleration, noise, coils, reach along y and x, contrast.

    Parameters
    ----------
    start
        A first image, of any scale.
    noise
        Relative to its root mean square.
    """
    assert kspace.mask is not None
    mask = kspace.mask.expand(*kspace.mask.shape[:-2], *kspace.encoding.matrix[1:])
    numbers = [
        -(mask.float().mean(_IMAGE, keepdim=True).clamp_min(1e-6) * 4).log() / 2,
        noise.log() / math.log(100) + 0.5,
        torch.full_like(noise, math.log2(kspace.n_coils) / 5),
        *(reach(mask, axis) for axis in (-2, -1)),
        2 * contrast(start),
    ]
    shape = start.shape[:-4]
    return torch.stack([v.expand(*shape, 1, 1, 1, 1).reshape(-1) for v in numbers], -1)


def reach(mask: Tensor, axis: int) -> Float[Tensor, "*batch 1 1 1 1"]:
    """Share of an axis from the first measured sample to the last: below 1 for partial Fourier, or empty edges."""
    others = tuple(d for d in _IMAGE if d != axis)
    measured = mask.float().amax(others, keepdim=True)
    n = mask.shape[axis]
    first, last = measured.argmax(axis, keepdim=True), n - 1 - measured.flip(axis).argmax(axis, keepdim=True)
    return (last + 1 - first) / n


def contrast(x: Complex[Tensor, "*batch 1 1 y x"]) -> Float[Tensor, "*batch 1 1 1 1"]:
    """log of the mean magnitude over the root mean square where the image is not zero: 0 for one grey, else below."""
    size = x.abs()
    count = (size > 0).sum(_IMAGE, keepdim=True).clamp_min(1)
    mean, power = size.sum(_IMAGE, keepdim=True) / count, size.square().sum(_IMAGE, keepdim=True) / count
    tiny = torch.finfo(size.dtype).tiny
    return torch.where(power > tiny, (mean / power.clamp_min(tiny).sqrt()).clamp_min(1e-3).log(), 0.0)
