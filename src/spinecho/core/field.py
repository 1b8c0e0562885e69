"""Fields of displacements on a grid: composed, exponentiated, inverted. Millimetres outside, voxels inside."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.geometry import Array, inverted_affine

_LARGEST_STEP = 0.125
"""Voxels that the first of the repeated squarings may move a point, where a flow and its inverse must fit each other"""
_SETTLED = 1e-4
"""Voxels below which a step of the inversion changes nothing that counts"""


def in_voxels(field_mm: Float[Tensor, "3 z y x"], affine: Array) -> Float[Tensor, "3 z y x"]:
    """Components along the grid's own axes (x, y, z), in voxels."""
    return _turned(field_mm, inverted_affine(affine[:3, :3]))


def in_mm(field: Float[Tensor, "3 z y x"], affine: Array) -> Float[Tensor, "3 z y x"]:
    """Back to LPS millimetres."""
    return _turned(field, affine[:3, :3])


def sampling_grid(shape: tuple[int, int, int], like: Tensor) -> Float[Tensor, "1 z y x 3"]:
    """Every voxel's own place in the coordinates of `grid_sample` (corners aligned, -1 to 1)."""
    axes = [
        torch.linspace(-1, 1, n, device=like.device, dtype=like.dtype) if n > 1 else like.new_zeros(1) for n in shape
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flip(-1)[None].to(like)


def moved(values: Float[Tensor, "c z y x"], field: Float[Tensor, "3 z y x"], grid: Tensor) -> Float[Tensor, "c z y x"]:
    """values(x + field(x)) for a field in voxels of the same grid; the edge's values beyond the edge."""
    size = torch.tensor(field.shape[:0:-1], device=field.device, dtype=field.dtype)
    places = grid + field.movedim(0, -1) * (2 / (size - 1).clamp_min(1))
    return F.grid_sample(values[None], places, padding_mode="border", align_corners=True)[0]


def flow(
    velocity: Float[Tensor, "3 z y x"], grid: Tensor, largest_step: float = _LARGEST_STEP
) -> Float[Tensor, "3 z y x"]:
    """exp(v) - id by scaling and squaring, all in voxels.

    Source: Arsigny et al. 2006, doi:10.1007/11866565_113. The number of squarings follows from the fastest voxel.
    """
    fastest = float(velocity.detach().abs().amax())
    n = max(0, math.ceil(math.log2(max(fastest / largest_step, 1.0))))
    field = velocity * 0.5**n
    for _ in range(n):
        field = field + moved(field, field, grid)
    return field


def exponential(velocity_mm: Float[Tensor, "3 z y x"], affine: Array) -> Float[Tensor, "3 z y x"]:
    """The displacement in mm of the flow of a velocity in mm."""
    velocity = in_voxels(velocity_mm, affine)
    shape = (velocity.shape[1], velocity.shape[2], velocity.shape[3])
    return in_mm(flow(velocity, sampling_grid(shape, velocity)), affine)


def inverted(field_mm: Float[Tensor, "3 z y x"], affine: Array, n_iters: int = 100) -> Float[Tensor, "3 z y x"]:
    """The displacement u with u(x) = -d(x + u(x)), by damped fixed-point iteration until no voxel moves.

    Source: Chen et al. 2008, doi:10.1118/1.2816107, who do not damp: some fields without folds need it. `n_iters`
    bounds the work where a field folds and there is no inverse.
    """
    d = in_voxels(field_mm, affine)
    grid = sampling_grid((d.shape[1], d.shape[2], d.shape[3]), d)
    u = -d
    for _ in range(n_iters):
        before, u = u, 0.5 * u - 0.5 * moved(d, u, grid)
        if float((u - before).abs().amax()) < _SETTLED:
            break
    return in_mm(u, affine)


def _turned(field: Tensor, matrix: Array) -> Tensor:
    turn = torch.tensor(matrix.tolist(), dtype=torch.float64).to(field)
    return torch.einsum("ij,jzyx->izyx", turn, field)
