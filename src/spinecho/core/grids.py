"""Other grids for a volume: its axes in the order of the patient's, and equal spacing along them."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.core.image import Image

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""First voxel and the one after the last along (z, y, x)."""

_PRODUCTS = ("ni,iyx->nyx", "ni,zix->znx", "ni,zyi->zyn")
"""A matrix times each axis"""


def towards_lps(geometry: Geometry) -> tuple[tuple[int, int, int], tuple[int, ...]]:
    """How a grid's axes come nearest to left, posterior, superior: the (z, y, x) order, then the axes to reverse."""
    along = geometry.directions  # rows: world x y z; columns: grid x y z
    columns = max(permutations(range(3)), key=lambda p: sum(abs(along[i, p[i]]) for i in range(3)))
    order = (2 - columns[2], 2 - columns[1], 2 - columns[0])
    return order, tuple(2 - i for i in range(3) if along[i, columns[i]] < 0)


def turned(
    values: Shaped[Tensor, "*n z y x"], geometry: Geometry, order: tuple[int, int, int], flips: tuple[int, ...]
) -> tuple[Tensor, Geometry]:
    """Values and grid with their axes in another order and some of them reversed, as `towards_lps` says it."""
    n, geometry = values.ndim - 3, geometry.permuted(order)
    for axis in flips:
        geometry = geometry.flipped(axis)
    values = values.permute(*range(n), *(n + i for i in order))
    return values.flip([n + axis for axis in flips]) if flips else values, geometry


def stored(
    values: Shaped[Tensor, "*n z y x"], order: tuple[int, int, int], flips: tuple[int, ...]
) -> Shaped[Tensor, "*n z2 y2 x2"]:
    """What was `turned`, or has its axes, as it was before."""
    n = values.ndim - 3
    values = values.flip([n + axis for axis in flips]) if flips else values
    return values.permute(*range(n), *(n + order.index(i) for i in range(3))).contiguous()


def isotropic(image: Image, spacing_mm: float, box: Box | None = None) -> Image:
    """The image on a grid of equal spacing along its own axes, centred on a box of its voxels.

    Each axis is a small matrix of tent weights: linear interpolation where the new grid is finer, a tent as wide as
    two new voxels where it is coarser, so that nothing aliases. An extra `mask` is brought along.

    Parameters
    ----------
    image
        A volume (1, z, y, x), float.
    spacing_mm
        Distance between voxels of the new grid.
    box
        What the new grid covers; None: all.
    """
    geometry = image.geometry
    box = ((0, geometry.shape[0]), (0, geometry.shape[1]), (0, geometry.shape[2])) if box is None else box
    starts: list[float] = []
    steps: list[float] = []
    sizes: list[int] = []
    for (first, end), voxel in zip(box, geometry.voxel_mm[::-1], strict=True):
        n = max(1, round((end - first) * voxel / spacing_mm))
        step = spacing_mm / voxel
        starts.append((first + end - 1) / 2 - (n - 1) / 2 * step)
        steps.append(step)
        sizes.append(n)
    affine = geometry.affine.copy()
    affine[:3, :3] = affine[:3, :3] * np.array(steps[::-1])
    affine[:3, 3] = geometry.to_world(starts[::-1])
    shape = (sizes[0], sizes[1], sizes[2])
    weights = [
        _tents(n_in, n, start, step, image.values)
        for n_in, n, start, step in zip(geometry.shape, shape, starts, steps, strict=True)
    ]
    values = _along_axes(image.values[0], weights)[None]
    extras = {"mask": _along_axes(image.extras["mask"][0].to(values), weights)[None] > 0.5} if image.extras else {}
    return replace(image, values=values, geometries=(Geometry(shape, affine, geometry.oriented),), extras=extras)


def _tents(n_in: int, n_out: int, start: float, step: float, like: Tensor) -> Float[Tensor, "n_out n_in"]:
    """Rows of weights that sum to 1: out[i] lies at the place start + i step of the input."""
    places = start + step * torch.arange(n_out, dtype=torch.float64, device=like.device)
    inputs = torch.arange(n_in, dtype=torch.float64, device=like.device)
    nearest = places.clamp(0, n_in - 1)
    weights = (1 - (inputs - nearest[:, None]).abs() / max(1.0, step)).clamp_min(0)
    return (weights / weights.sum(1, keepdim=True)).to(like.dtype)


def _along_axes(values: Float[Tensor, "z y x"], weights: list[Tensor]) -> Float[Tensor, "new_z new_y new_x"]:
    """Each axis times its matrix; the axis that shrinks most goes first."""
    for axis in sorted(range(3), key=lambda i: weights[i].shape[0] / weights[i].shape[1]):
        values = torch.einsum(_PRODUCTS[axis], weights[axis], values)
    return values.contiguous()
