"""An image at one resolution: the voxels that are compared, and what another image reads from it between voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.errors import DataError
from spinecho.core.geometry import Array
from spinecho.core.grids import Box, isotropic
from spinecho.core.image import Image
from spinecho.tasks.register.parts.volumes import foreground

_RIM = 1
"""Voxels around the object that count where its outline shall be seen against the background"""
_DEEP = 0.5
"""Share of the object's greatest depth from which on a voxel counts fully"""


@dataclass(frozen=True, eq=False)
class View:
    """An image on its working grid.

    Parameters
    ----------
    layers
        The intensities and their derivatives per voxel along x, y, z.
    weight
        How much each voxel counts, 0 to 1.
    affine
        Voxel (x, y, z) to LPS mm.
    spacing_mm
        Between voxels.
    mask
        Where the image may be compared at all, 0 or 1; None: everywhere.
    """

    layers: Float[Tensor, "4 z y x"]
    weight: Float[Tensor, "z y x"]
    affine: Array
    spacing_mm: float
    mask: Float[Tensor, "z y x"] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (z, y, x)."""
        z, y, x = self.weight.shape
        return z, y, x

    def near(self, reach: int) -> Bool[Tensor, "z y x"]:
        """Which voxels have weight, or lie in the cube of (2 reach + 1)^3 about one that has."""
        return _widened(self.weight > 0, reach)

    def voxels(self, reach: int = 0) -> Float[Tensor, "4 n"]:
        """Homogeneous coordinates (x, y, z, 1) of those, z slowest."""
        z, y, x = self.near(reach).nonzero().T.to(torch.float32)
        return torch.stack([x, y, z, torch.ones_like(x)])

    def read(
        self, voxels: Float[Tensor, "4 n"], world: Array, layers: int = 4
    ) -> tuple[Float[Tensor, "layers n"], Bool[Tensor, " n"]]:
        """Layers at `world @ voxels` (LPS mm); whether that lies in the mask and the grid, or half a voxel beyond."""
        size = np.array(self.shape[::-1], dtype=np.float64)
        unit = np.eye(4)  # voxel to the coordinates of grid_sample
        unit[:3, :3], unit[:3, 3] = np.diag(2 / (size - 1)), -1
        matrix = torch.from_numpy((unit @ inverted(self.affine) @ world)[:3]).to(voxels)
        places = matrix @ voxels
        edge = torch.from_numpy(size / (size - 1)).to(voxels)[:, None]
        near = places.abs() <= edge
        inside = near[0] & near[1] & near[2]
        grid = places.T.contiguous()[None, None, None]
        values = F.grid_sample(self.layers[None, :layers], grid, padding_mode="border", align_corners=True)
        if self.mask is not None:
            inside = inside & (F.grid_sample(self.mask[None, None], grid, align_corners=True)[0, 0, 0, 0] > 0.5)
        return values[0, :, 0, 0], inside

    def centre(self) -> Array:
        """Centre of mass of the object, LPS mm."""
        mass = (self.layers[0] * self.weight).double()
        sums = [
            (mass.sum([d for d in range(3) if d != 2 - axis]) * torch.arange(n, device=mass.device)).sum()
            for axis, n in enumerate(self.shape[::-1])
        ]
        index = np.array([float(s) for s in sums]) / float(mass.sum())
        return self.affine[:3, :3] @ index + self.affine[:3, 3]

    def radius(self) -> float:
        """Of the ball with the object's spread in mm: about where its edge is."""
        points = torch.from_numpy(self.affine[:3]).to(self.weight) @ self.voxels()
        return float((points - points.mean(1, keepdim=True)).square().sum(0).mean().mul(5 / 3).sqrt())


def inverted(matrix: Array) -> Array:
    """Of a square matrix."""
    return np.linalg.inv(matrix).astype(np.float64)


def view(image: Image, spacing_mm: float, box: Box, inner: bool = False) -> View:
    """A comparable volume seen at a spacing, within a box of its voxels (`foreground_box`).

    What counts is the extra `mask` where there is one; else the object with a rim around it, all alike, or (`inner`)
    the more the deeper within it: skin, neck and jaw do not follow what lies inside, and an outline would.
    """
    work = isotropic(image, spacing_mm, box)
    values = work.values[0]
    if min(values.shape) < 2:
        raise DataError(
            f"the image's object is {' x '.join(f'{n * spacing_mm:g}' for n in values.shape)} mm (z, y, x)",
            do=f"check the voxel sizes in its header; at {spacing_mm:g} mm nothing is left of it",
        )
    steps = [torch.gradient(values, dim=d)[0] for d in (2, 1, 0)]
    inside = foreground(work.values)[0]
    mask = work.extras["mask"][0] if "mask" in work.extras else None
    if mask is not None and bool((inside & mask).any()):
        weight = (inside & mask).float()
    elif inner:
        weight = _depth(inside)
        weight = (weight / (_DEEP * weight.max())).clamp_max(1).square()
    else:
        weight = _widened(inside, _RIM).float()
    mask = None if mask is None else mask.float()
    return View(torch.stack([values, *steps]), weight, work.geometry.affine.copy(), spacing_mm, mask)


def _depth(inside: Bool[Tensor, "z y x"]) -> Float[Tensor, "z y x"]:
    """Voxels to the outside, the edge of the grid included, along the axes and their diagonals; 0 outside."""
    depth = inside.float()
    while bool(inside.any()):
        inside = ~_widened(F.pad(~inside, [1] * 6, value=True), 1)[1:-1, 1:-1, 1:-1]
        depth += inside
    return depth


def _widened(inside: Bool[Tensor, "z y x"], by: int) -> Bool[Tensor, "z y x"]:
    """The same with `by` voxels more on each side along every axis."""
    for dim in range(3):
        n, wide = inside.shape[dim], inside.clone()
        for step in range(1, min(by, n - 1) + 1):
            wide.narrow(dim, 0, n - step).logical_or_(inside.narrow(dim, step, n - step))
            wide.narrow(dim, step, n - step).logical_or_(inside.narrow(dim, 0, n - step))
        inside = wide
    return inside
