"""Small heads with smooth structure, and warps of them that are known."""

from __future__ import annotations

import numpy as np
import torch

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Transform, Velocity, identity
from spinecho.ops.windows import gaussian

VOXEL_MM = 6.0


def grid(n: int = 28, voxel_mm: float = VOXEL_MM) -> Geometry:
    """A cube of voxels about the origin."""
    return Geometry.from_frame((0, 0, 0), np.eye(3), (voxel_mm,) * 3, (n, n, n))


def head(seed: int = 1, geometry: Geometry | None = None) -> Image:
    """An ellipsoid filled with smooth random structure, from 0 to 100."""
    geometry = geometry or grid()
    generator = torch.Generator().manual_seed(seed)
    inside = torch.linspace(-1, 1, geometry.shape[0])
    z, y, x = torch.meshgrid(inside, inside, inside, indexing="ij")
    body = torch.sigmoid(14 * (0.75 - (x.square() / 0.7 + y.square() + z.square() / 0.8).sqrt()))
    noise = gaussian(torch.randn(1, *geometry.shape, generator=generator), 1.6, "edge")
    texture = 1 + 0.35 * (noise / noise.std()).clamp(-2, 2)
    return Image(values=100 / 1.7 * body * texture, geometries=(geometry,))


def bend(size_mm: float, seed: int = 2, geometry: Geometry | None = None) -> Velocity:
    """A smooth random flow; its velocity's root mean square in the middle is size_mm."""
    geometry = geometry or grid()
    generator = torch.Generator().manual_seed(seed)
    field = gaussian(torch.randn(3, *geometry.shape, generator=generator), 4.0, "edge")
    fade = torch.hann_window(geometry.shape[0], periodic=False)
    field = field * fade[:, None, None] * fade[:, None] * fade
    middle = slice(geometry.shape[0] // 4, -(geometry.shape[0] // 4))
    typical = field[:, middle, middle, middle].square().sum(0).mean().sqrt()
    return Velocity(size_mm / typical * field, geometry)


def seen_through(image: Image, transform: Transform) -> Image:
    """The image warped, on its own grid: image(T(p))."""
    return transform.warp(image, onto=image.geometry)


def correlation(one: Image, other: Image) -> float:
    """Of two images where their fields of view meet, over the voxels of the first."""
    brought = identity().warp(other, onto=one.geometry).values
    return float(torch.corrcoef(torch.stack([one.values.flatten(), brought.flatten()]))[0, 1])
