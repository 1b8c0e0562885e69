"""Two images on one working grid: along the fixed one's axes, equal spacing, the moving one brought by its affine."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.geometry import Geometry
from spinecho.core.grids import Box, isotropic
from spinecho.core.image import Image
from spinecho.core.transform import Transform, identity
from spinecho.tasks.register.parts.volumes import foreground_box

_MULTIPLE = 8
"""Sizes of the working grid are multiples of this, so that it can be halved three times"""
_MARGIN_MM = 12.0
"""Around the fixed foreground; what lies there may move"""
_ANTIALIAS = 1.3
"""The moving image is averaged first where working voxels are larger than its own by more than this"""


@dataclass(frozen=True, eq=False)
class Pair:
    """What is compared.

    Parameters
    ----------
    fixed, moving
        Intensities on the working grid, 0 to 1.
    weight
        Where both were measured and the mask lies, 0 to 1; None: everywhere.
    geometry
        The working grid, in the fixed world.
    """

    fixed: Float[Tensor, "1 z y x"]
    moving: Float[Tensor, "1 z y x"]
    weight: Float[Tensor, "z y x"] | None
    geometry: Geometry


def working_grid(fixed: Image, max_voxels: int) -> Geometry:
    """`spaced_grid` with the image's finest spacing, or a multiple of it in halves where that makes too many voxels."""
    box = foreground_box(fixed, _MARGIN_MM)
    finest = min(fixed.geometry.voxel_mm)
    lengths = [(b - a) * v for (a, b), v in zip(box, fixed.geometry.voxel_mm[::-1], strict=True)]
    factor = (math.prod(lengths) / finest**3 / max_voxels) ** (1 / 3)
    return spaced_grid(fixed, finest * (1.0 if factor <= 1.25 else math.ceil(2 * factor) / 2), box)


def spaced_grid(fixed: Image, spacing_mm: float, box: Box | None = None) -> Geometry:
    """Around the fixed foreground (and mask), with equal spacing along the image's axes, its sizes multiples of 8."""
    box = foreground_box(fixed, _MARGIN_MM) if box is None else box
    geometry = isotropic(fixed, spacing_mm, box).geometry
    shape = [math.ceil(n / _MULTIPLE) * _MULTIPLE for n in geometry.shape]
    start = [-((m - n) // 2) for n, m in zip(geometry.shape, shape, strict=True)]
    return geometry.cropped(start, (shape[0], shape[1], shape[2]))


def scaled(geometry: Geometry, factor: float) -> Geometry:
    """The grid whose voxels are cubes of factor^3 of these."""
    affine = np.array(geometry.affine)
    affine[:3, :3] *= factor
    affine[:3, 3] = geometry.to_world(np.full(3, (factor - 1) / 2))
    z, y, x = (round(n / factor) for n in geometry.shape)
    return Geometry((z, y, x), affine, geometry.oriented)


def matched(fixed: Image, moving: Image, affine: Transform, geometry: Geometry) -> Pair:
    """Both images on a working grid."""
    spacing = geometry.voxel_mm[0]
    one, other = (_averaged(image, spacing) for image in (fixed, moving))
    a, b = identity().warp(one, onto=geometry), affine.warp(other, onto=geometry)
    return Pair(a.values, b.values, _weight(fixed, moving, affine, geometry), geometry)


def _averaged(image: Image, spacing: float) -> Image:
    image = Image(values=image.values, geometries=image.geometries)
    return isotropic(image, spacing) if spacing > _ANTIALIAS * min(image.geometry.voxel_mm) else image


def _weight(fixed: Image, moving: Image, affine: Transform, geometry: Geometry) -> Tensor | None:
    """Where the moving image was measured and the mask lies, with soft edges; None where that is everywhere."""
    coarse = scaled(geometry, 4)
    seen = _inside(moving.geometry, affine, coarse) & _inside(fixed.geometry, identity(), coarse)
    seen = seen.to(fixed.values.device)
    if "mask" in fixed.extras:
        mask = Image(values=fixed.extras["mask"].float(), geometries=fixed.geometries)
        seen &= identity().warp(_averaged(mask, coarse.voxel_mm[0]), onto=coarse).values[0] > 0.1
    if bool(seen.all()):
        return None
    return F.interpolate(seen[None, None].float(), geometry.shape, mode="trilinear")[0, 0]


def _inside(geometry: Geometry, transform: Transform, onto: Geometry) -> Tensor:
    """Voxels of a grid that a transform sends into another grid."""
    index = geometry.to_voxel(transform.points(onto).numpy())
    return torch.from_numpy(((index >= -0.5) & (index <= np.array(geometry.shape[::-1]) - 0.5)).all(-1))
