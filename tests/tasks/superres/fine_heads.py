"""A made-up head and oblique grids, for the tests of super-resolution."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.tasks.superres.base import Target
from spinecho.tasks.superres.parts.degrade import Degradation, along, maps_of

Three = tuple[int, int, int]


def head(shape: Three, waves: float = 5.0) -> Tensor:
    """An ellipsoid (z, y, x) with waves and an edge, 0 outside, about 1 at most."""
    z, y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in shape), indexing="ij")
    inside = ((z / 1.1).square() + (y / 0.9).square() + (x / 0.8).square() < 1).float()
    structure = torch.sin(waves * x + 0.6 * waves * y) * torch.cos(0.8 * waves * z) * 0.2
    return inside * (0.6 + structure + 0.15 * (x + 0.3 * y > 0.2).float())


def smooth(shape: Three) -> Tensor:
    """A Gaussian bump (z, y, x), far from any edge."""
    axes = [torch.exp(-0.5 * (torch.linspace(-1, 1, n) / 0.3) ** 2) for n in shape]
    return torch.einsum("i,j,k->ijk", *axes)


def oblique(shape: Three, voxel_mm: tuple[float, float, float] = (0.9, 1.1, 3.0), mirrored: bool = True) -> Geometry:
    """A grid whose axes lie along no axis of the patient, left-handed where mirrored."""
    a, b = 0.3, -0.2
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1.0]])
    turn = turn @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return Geometry.from_frame((3.0, -2.0, 7.0), turn @ np.diag([-1.0 if mirrored else 1.0, 1, 1]), voxel_mm, shape)


def image(values: Tensor, geometry: Geometry | None = None) -> Image:
    """Of values (z, y, x) or (..., 1, z, y, x) on a grid."""
    values = values[None] if values.ndim == 3 else values
    z, y, x = values.shape[-3:]
    geometry = Geometry.from_frame((0, 0, 0), np.eye(3), (1, 1, 1), (z, y, x)) if geometry is None else geometry
    return Image(values=values, geometries=(geometry,), axes=("time",) * (values.ndim - 4))


def lost(high: Tensor, shape: Three, degradation: Degradation) -> tuple[Tensor, Target]:
    """A volume (1, z, y, x) that lost detail where the shape is smaller, and the way back; the fine voxels are 1 mm."""
    z, y, x = (None if a == b else degradation for a, b in zip(shape, high.shape, strict=True))
    low = along(high[None], maps_of((z, y, x), shape, high.shape))
    sides = [b / a for a, b in zip(shape, high.shape, strict=True)]
    geometry = Geometry.unknown(shape, (sides[2], sides[1], sides[0]))
    return low, Target(geometry, (high.shape[0], high.shape[1], high.shape[2]), (z, y, x))


def psnr(x: Tensor, truth: Tensor) -> float:
    """dB, peak 1."""
    return float(-10 * (x - truth).square().mean().log10())


def shaken(module: torch.nn.Module, strength: float = 0.05, seed: int = 0) -> torch.nn.Module:
    """With weights everywhere: the last convolutions of our networks start at zero."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(strength * torch.randn(p.shape, generator=rng))
    return module
