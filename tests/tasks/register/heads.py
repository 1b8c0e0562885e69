"""Small heads with smooth structure, and warps of them that are known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import torch

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Transform, Velocity, identity
from spinecho.ops.windows import gaussian
from spinecho.tasks.register.base import Stage
from spinecho.tasks.register.methods import affine, hybrid, rigid, voxelmorph
from spinecho.tasks.register.parts import affine as linear
from spinecho.tasks.register.parts.affine import Settings
from spinecho.tasks.register.parts.linear.climb import Kind

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


_USERS = (affine, hybrid, rigid, voxelmorph)
"""Imported here: a method that is first imported while `linear_once` lasts would keep what stands in"""


@contextmanager
def linear_once(voxel_mm: float, *users: ModuleType) -> Iterator[None]:
    """Linear transforms have tests of their own, and would take most of the time of what begins with them.

    Each pair of images is aligned once, from the header's position, on no finer grid than `voxel_mm`, and not doubted.
    `users` are the methods that see to it.
    """
    assert set(users) <= set(_USERS) and all(m.linear_stages is linear.linear_stages for m in _USERS)
    kept: dict[tuple[object, ...], list[Stage]] = {}
    align = linear.linear_stages

    def remembered(fixed: Image, moving: Image, kind: Kind, settings: Settings | None = None) -> list[Stage]:
        settings = settings or Settings()
        settings = replace(settings, finest_mm=max(voxel_mm, settings.finest_mm), search="header")
        parts = [i.values for i in (fixed, moving)] + [mask for i in (fixed, moving) for mask in i.extras.values()]
        places = [i.geometry.affine.tobytes() for i in (fixed, moving)]
        key = (*(p.numpy().tobytes() for p in parts), *places, kind, settings)
        if key not in kept:
            kept[key] = list(align(fixed, moving, kind, settings))
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "doubts", lambda *_: [])
        for user in (linear, *users):
            patch.setattr(user, "linear_stages", remembered)
        yield
