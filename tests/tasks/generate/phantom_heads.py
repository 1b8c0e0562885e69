"""Heads of the tests: an ellipsoid of skin with a brain and ventricles, along the patient's axes or otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.io.write import write


def head(seed: int = 0, mm: float = 4.0, shape: tuple[int, int, int] = (44, 56, 48)) -> Image:
    """One head of 160 x 200 x 180 mm or so, its middle off the grid's middle."""
    rng = np.random.default_rng(seed)
    a, b, c = 78 + 4 * rng.random(), 95 + 5 * rng.random(), 88.0
    geometry = Geometry.from_frame((0, 0, 0), np.eye(3), (mm, mm, mm), shape)
    z, y, x = (mm * (np.arange(n) - n // 2) for n in shape)
    zz, yy, xx = np.meshgrid(z, y - 6, x + 9, indexing="ij")
    radius = np.sqrt((xx / a) ** 2 + (yy / b) ** 2 + (zz / c) ** 2)
    values = np.where(radius < 1, 0.9, 0.0) * np.where((radius > 0.88) & (radius < 0.94), 0.1, 1.0)
    folds = 0.1 * np.sin(xx / (7 + rng.random())) * np.cos(yy / (9 + rng.random()))
    values = np.where(radius < 0.88, 0.7 + folds, values)
    ventricles = (np.abs(np.abs(xx) - 10) < 5 + 3 * rng.random()) & (np.abs(yy) < 28) & (radius < 0.6)
    return Image(
        values=torch.tensor(np.where(ventricles, 0.2, values), dtype=torch.float32)[None], geometries=(geometry,)
    )


def folder_of_heads(folder: Path, n: int = 7) -> Path:
    """NIfTI files of different heads."""
    folder.mkdir(exist_ok=True)
    for seed in range(n):
        write(head(seed, 6.0, (30, 38, 34)), folder / f"person{seed}.nii")
    return folder


def slices(n: int = 40, size: int = 64, seed: int = 0) -> torch.Tensor:
    """Ellipses of random size, place and light with a darker ellipse inside."""
    rng = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(*[torch.linspace(-1, 1, size)] * 2, indexing="ij")
    a, b, light, dx, dy, inner = torch.rand(6, n, 1, 1, generator=rng)
    radius = torch.hypot((x - 0.1 * (dx - 0.5)) / (0.6 + 0.1 * a), (y - 0.1 * (dy - 0.5)) / (0.8 + 0.1 * b))
    return (
        (0.6 + 0.3 * light)
        * ((1.05 - radius) * 12).sigmoid()
        * (1 - 0.7 * ((0.2 + 0.2 * inner - radius) * 9).sigmoid())
    )
