"""An image at one resolution: the voxels that are compared, and what another image reads from it between voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.geometry import Array
from spinecho.core.image import Image
from spinecho.methods.volumes import Box, foreground, isotropic

_RIM_MM = 8.0
"""How far around the object its background counts: the outline is seen against it"""


@dataclass(frozen=True, eq=False)
class View:
    """An image on its working grid.

    Parameters
    ----------
    layers
        The intensities and their derivatives per voxel along x, y, z.
    weight
        1 where the image is compared: the object, a rim around it, within the mask; else 0.
    affine
        Voxel (x, y, z) to LPS mm.
    spacing_mm
        Between voxels.
    """

    layers: Float[Tensor, "4 z y x"]
    weight: Float[Tensor, "z y x"]
    affine: Array
    spacing_mm: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (z, y, x)."""
        z, y, x = self.weight.shape
        return z, y, x

    def voxels(self, only_weighted: bool) -> Float[Tensor, "4 n"]:
        """Homogeneous coordinates (x, y, z, 1) of the voxels, z slowest: all, or those with weight."""
        axes = [torch.arange(n, device=self.weight.device, dtype=torch.float32) for n in self.shape]
        z, y, x = torch.meshgrid(*axes, indexing="ij")
        points = torch.stack([x, y, z, torch.ones_like(x)]).flatten(1)
        return points[:, self.weight.flatten() > 0] if only_weighted else points

    def read(
        self, voxels: Float[Tensor, "4 n"], world: Array, layers: int = 4
    ) -> tuple[Float[Tensor, "layers n"], Bool[Tensor, " n"]]:
        """Layers at `world @ voxels` (LPS mm), and whether that lies in the field of view (half a voxel beyond too)."""
        size = np.array(self.shape[::-1], dtype=np.float64)
        unit = np.eye(4)  # voxel to the coordinates of grid_sample
        unit[:3, :3], unit[:3, 3] = np.diag(2 / (size - 1)), -1
        matrix = torch.from_numpy((unit @ inverted(self.affine) @ world)[:3]).to(voxels)
        places = matrix @ voxels
        edge = torch.from_numpy(size / (size - 1)).to(voxels)[:, None]
        near = places.abs() <= edge
        inside = near[0] & near[1] & near[2]
        grid = places.T.contiguous()[None, None, None]
        found = F.grid_sample(self.layers[None, :layers], grid, padding_mode="border", align_corners=True)
        return found[0, :, 0, 0], inside

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
        points = torch.from_numpy(self.affine[:3]).to(self.weight) @ self.voxels(only_weighted=True)
        return float((points - points.mean(1, keepdim=True)).square().sum(0).mean().mul(5 / 3).sqrt())


def inverted(matrix: Array) -> Array:
    """Of a square matrix."""
    return np.linalg.inv(matrix).astype(np.float64)


def view(image: Image, spacing_mm: float, box: Box) -> View:
    """A comparable volume seen at a spacing, within a box of its voxels (`foreground_box`)."""
    work = isotropic(image, spacing_mm, box)
    values = work.values[0]
    steps = [torch.gradient(values, dim=d)[0] for d in (2, 1, 0)]
    counted = _widened(foreground(work.values)[0], max(1, round(_RIM_MM / spacing_mm)))
    if "mask" in work.extras and bool((counted & work.extras["mask"][0]).any()):
        counted = counted & work.extras["mask"][0]
    return View(torch.stack([values, *steps]), counted.float(), work.geometry.affine.copy(), spacing_mm)


def _widened(inside: Bool[Tensor, "z y x"], by: int) -> Bool[Tensor, "z y x"]:
    """The same with `by` voxels more on each side along every axis."""
    for dim in range(3):
        n, wide = inside.shape[dim], inside.clone()
        for step in range(1, min(by, n - 1) + 1):
            wide.narrow(dim, 0, n - step).logical_or_(inside.narrow(dim, step, n - step))
            wide.narrow(dim, step, n - step).logical_or_(inside.narrow(dim, 0, n - step))
        inside = wide
    return inside
