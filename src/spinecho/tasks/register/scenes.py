"""Two tiny heads with a known map between them, for the tests that all methods share."""

from __future__ import annotations

import numpy as np
import torch

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Affine, Transform, Velocity
from spinecho.ops.windows import gaussian

_GRID = Geometry.from_frame((0, 0, 0), np.eye(3), (6.0,) * 3, (24, 28, 28))


def scenes() -> dict[str, tuple[Image, Image]]:
    """A head and itself, shifted, and bent: fixed and moving, 0 to 1."""
    head = _head()
    shift = np.eye(4)
    shift[:3, 3] = 5.0, -3.0, 2.0
    maps: dict[str, Transform] = {"shifted": Affine(shift), "bent": _bend(5.0)}
    return {name: (way.warp(head, onto=_GRID), head) for name, way in maps.items()}


def _head() -> Image:
    """An ellipsoid filled with smooth random structure."""
    z, y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in _GRID.shape), indexing="ij")
    body = torch.sigmoid(14 * (0.75 - (x.square() / 0.7 + y.square() + z.square() / 0.8).sqrt()))
    texture = 1 + 0.35 * (_smooth(1, 1) / 2).clamp(-1, 1)
    values = body * texture
    return Image(values=values / values.max(), geometries=(_GRID,))


def _bend(size_mm: float) -> Velocity:
    """A smooth flow of about that size in the middle, none at the edges."""
    fade = [torch.hann_window(n, periodic=False) for n in _GRID.shape]
    return Velocity(size_mm * _smooth(3, 2) * fade[0][:, None, None] * fade[1][:, None] * fade[2], _GRID)


def _smooth(channels: int, seed: int) -> torch.Tensor:
    noise = torch.randn(channels, *_GRID.shape, generator=torch.Generator().manual_seed(seed))
    field = gaussian(noise, 1.6 if channels == 1 else 4.0, "edge")
    return field / field.std()
