"""A head made of formulas, and noise of every kind for it."""

from __future__ import annotations

import numpy as np
import torch

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image


def head(shape: tuple[int, int, int] = (16, 72, 64)) -> torch.Tensor:
    """An ellipsoid of four tissues, brightest about 1, air 0: (1, z, y, x)."""
    lines = [torch.linspace(-1, 1, n) if n > 1 else torch.zeros(1) for n in shape]
    z, y, x = torch.meshgrid(*lines, indexing="ij")
    r = (x / 0.75).square() + (y / 0.85).square() + (z / 1.6).square()
    values = 0.35 * (r < 1) + 0.45 * (r < 0.7) + 0.2 * (r < 0.35) - 0.5 * ((x - 0.2).square() + y.square() < 0.03)
    return (values * (r < 1)).clamp_min(0)[None]


def magnitude(truth: torch.Tensor, sigma: float | torch.Tensor, n_channels: int = 1, seed: int = 0) -> torch.Tensor:
    """Root sum of squares of channels that share the signal."""
    rng = torch.Generator().manual_seed(seed)
    real, imaginary = torch.randn(2, n_channels, *truth.shape, generator=rng) * sigma
    return torch.hypot(truth / n_channels**0.5 + real, imaginary).square().sum(0).sqrt()


def gaussian(truth: torch.Tensor, sigma: float, seed: int = 0) -> torch.Tensor:
    return truth + sigma * torch.randn(truth.shape, generator=torch.Generator().manual_seed(seed), dtype=truth.dtype)


def image(values: torch.Tensor, axes: tuple[str, ...] = ()) -> Image:
    shape = (values.shape[-3], values.shape[-2], values.shape[-1])
    return Image(values=values, geometries=(Geometry(shape, np.eye(4)),), axes=axes)


def psnr(values: torch.Tensor, truth: torch.Tensor) -> float:
    return float(-10 * (values - truth).square().mean().log10())
