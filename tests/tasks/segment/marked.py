"""A brain without its skull, with lesions that are known: bright in FLAIR, dark in T1; and its files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.io.write import write

SHAPE = (44, 56, 48)
LESIONS = ((22, 30, 14, 4.0), (22, 24, 34, 5.0), (30, 36, 24, 3.0))
"""(z, y, x, radius in voxels)"""


def _radius(shape: tuple[int, int, int] = SHAPE) -> Tensor:
    z, y, x = torch.meshgrid(*[torch.linspace(-1, 1, n) for n in shape], indexing="ij")
    return (z.square() + y.square() + x.square()).sqrt()


def truth() -> Tensor:
    """Labels (z, y, x), uint8."""
    z, y, x = torch.meshgrid(*[torch.arange(n) for n in SHAPE], indexing="ij")
    balls = [(z - a).square() + (y - b).square() + (x - c).square() < r**2 for a, b, c, r in LESIONS]
    return torch.stack(balls).any(0).to(torch.uint8)


def geometry(spacing_mm: float = 1.0) -> Geometry:
    """LPS, along the patient."""
    return Geometry.from_frame((3, -5, 20), np.eye(3), (spacing_mm,) * 3, SHAPE)


def volume(values: Tensor, spacing_mm: float = 1.0) -> Image:
    """On that grid."""
    return Image(values=values[None], geometries=(geometry(spacing_mm),))


def flair(seed: int = 0, lesions: bool = True) -> Image:
    """About 300 in white matter, 304 in grey matter, 348 in lesions, exactly 0 outside."""
    radius, rng = _radius(), torch.Generator().manual_seed(seed)
    values = 300.0 + 4.0 * (radius > 0.7) + 20 * torch.randn(SHAPE, generator=rng)
    if lesions:
        values = torch.where(truth() > 0, 348.0 + 8 * torch.randn(SHAPE, generator=rng), values)
    return volume(values * (radius < 0.9))


def t1(seed: int = 1) -> Image:
    """About 700 in white matter, 500 in grey matter, 450 in lesions."""
    radius, rng = _radius(), torch.Generator().manual_seed(seed)
    values = 700.0 - 200.0 * (radius > 0.7) - 250.0 * (truth() > 0) + 15 * torch.randn(SHAPE, generator=rng)
    return volume(values * (radius < 0.9))


def patient(folder: Path, truth_name: str = "lesions") -> Path:
    """Files of a head with its truth; the FLAIR image's path."""
    folder.mkdir(parents=True)
    for name, image in (("flair", flair()), ("t1", t1()), (truth_name, replace(volume(truth()), extras={}))):
        write(image, folder / f"{name}.nii.gz")
    return folder / "flair.nii.gz"


def dice(one: Tensor, other: Tensor) -> float:
    """Of two masks."""
    a, b = one.reshape(-1) > 0, other.reshape(-1) > 0
    return 2 * float((a & b).sum()) / max(1.0, float(a.sum() + b.sum()))
