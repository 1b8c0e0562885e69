"""Scans with known coil maps, for calibration tests."""

from __future__ import annotations

import torch
from torch import Tensor

from spinecho.core.encoding import Encoding
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.ops.fourier import fft


def grid(*shape: int) -> list[Tensor]:
    """Coordinates in [-1, 1) along each axis."""
    return list(torch.meshgrid(*[2 * (torch.arange(n) - n // 2) / n for n in shape], indexing="ij"))


def planted_maps(n_coils: int, shape: tuple[int, int, int]) -> Tensor:
    """Smooth complex maps of coils around the object, unit norm, (coil, z, y, x)."""
    z, y, x = grid(*shape)
    maps = []
    for c in range(n_coils):
        a = torch.tensor(2 * torch.pi * c / n_coils)
        distance2 = (y - 1.3 * a.sin()) ** 2 + (x - 1.3 * a.cos()) ** 2 + (z - 0.8 * (2 * a).cos()) ** 2
        maps.append(torch.polar(1 / (0.3 + distance2), a + 0.8 * x * a.sin() - 0.8 * y * a.cos() + 0.3 * z))
    csm = torch.stack(maps)
    return csm / csm.abs().square().sum(0).sqrt()


def head(shape: tuple[int, int, int], size: float = 0.7) -> Tensor:
    """An ellipsoid with structure and a smooth phase, zero outside, (z, y, x)."""
    z, y, x = grid(*shape)
    r2 = (z / 0.9) ** 2 * (shape[0] > 1) + (y / size) ** 2 + (x / (0.8 * size)) ** 2
    inside = (r2 < 1).float() * (1 + 0.4 * torch.cos(9 * y + 3 * x) * torch.cos(11 * x) + (r2 > 0.8))
    return torch.polar(inside, 0.7 * y + x**2)


def cartesian(samples: Tensor, mask: Tensor | None = None, axes: tuple[str, ...] = (), **facts: object) -> KSpace:
    """Samples (*batch, coil, k2, k1, k0) as a scan; without a mask everything was measured."""
    mask = torch.ones((1, 1, 1, 1), dtype=torch.bool) if mask is None else mask
    shape = (samples.shape[-3], samples.shape[-2], samples.shape[-1])
    n = samples.shape[axes.index("slice")] if "slice" in axes else 1
    geometries = (Geometry.unknown(shape),) * n
    encoding = facts.pop("encoding", Encoding.cartesian(shape))
    return KSpace(samples=samples * mask, mask=mask, encoding=encoding, geometries=geometries, axes=axes, **facts)


def scan_of(maps: Tensor, image: Tensor, sigma: float, rng: torch.Generator) -> Tensor:
    """Full k-space (coil, k2, k1, k0) with noise of complex standard deviation sigma."""
    y = fft(maps * image)
    return y + sigma * torch.randn(y.shape, dtype=y.dtype, generator=rng)


def lines(n: int, every: int, n_centre: int, centre: int | None = None) -> Tensor:
    """Mask (1, 1, n, 1) of every so many-th k1 line and a block of centre lines."""
    mask = torch.zeros((1, 1, n, 1), dtype=torch.bool)
    mask[..., ::every, :] = True
    start = (n // 2 if centre is None else centre) - n_centre // 2
    mask[..., start : start + n_centre, :] = True
    return mask


def agreement(found: Tensor, planted: Tensor, where: Tensor) -> Tensor:
    """|<found, planted>| per pixel inside `where`: 1 means equal up to a phase."""
    return (found.conj() * planted).sum(0).abs()[where]
