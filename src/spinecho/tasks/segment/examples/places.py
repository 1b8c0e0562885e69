"""Where the voxels of a drawn head look: a grid turned, stretched, sheared and bent about the brain's centre."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

_TURN_DEG, _STRETCH, _SHEAR = 15.0, 0.15, 0.08
_SHIFT_MM, _BEND_MM, _KNOT_MM = 25.0, 4.0, 32.0
_SMALLEST = 2 / 3


def drawn_size(largest: int, rng: torch.Generator) -> list[int]:
    """Voxels along each side, multiples of 8 from two thirds of the largest upwards."""
    low, high = math.ceil(_SMALLEST * largest / 8), largest // 8
    return (8 * torch.randint(low, high + 1, (3,), generator=rng)).tolist()


def drawn_matrix(rng: torch.Generator) -> Float[Tensor, "3 3"]:
    """Mirrored half of the time, stretched, sheared and turned."""
    matrix = torch.diag(1 + _STRETCH * (2 * torch.rand(3, generator=rng) - 1))
    matrix[2, 2] *= 1 - 2 * float(torch.rand((), generator=rng) < 0.5)
    matrix = matrix @ (torch.eye(3) + _SHEAR * (2 * torch.rand(3, 3, generator=rng) - 1) * (1 - torch.eye(3)))
    for axis, angle in enumerate((math.radians(_TURN_DEG) * (2 * torch.rand(3, generator=rng) - 1)).tolist()):
        i, j = (k for k in range(3) if k != axis)
        turn = torch.eye(3)
        turn[i, i] = turn[j, j] = math.cos(angle)
        turn[i, j], turn[j, i] = -math.sin(angle), math.sin(angle)
        matrix = turn @ matrix
    return matrix


def drawn_places(
    centre: Float[Tensor, "3"],
    voxel_mm: Float[Tensor, "3"],
    size: Sequence[int],
    spacing_mm: float,
    matrix: Float[Tensor, "3 3"],
    rng: torch.Generator,
) -> Float[Tensor, "3 z y x"]:
    """In the source's voxels (z, y, x).

    Parameters
    ----------
    centre, voxel_mm
        Of the source: the brain's centre in voxels, and the size of a voxel.
    size, spacing_mm
        Of the drawn head's grid.
    matrix
        From millimetres of the drawn head to voxels of the source.
    """
    axes = [spacing_mm * (torch.arange(n, dtype=torch.float32) - (n - 1) / 2) for n in size]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    knots = [max(2, round(n * spacing_mm / _KNOT_MM) + 1) for n in size]
    bend = torch.randn(1, 3, *knots, generator=rng) * _BEND_MM * torch.rand((), generator=rng)
    grid = grid + F.interpolate(bend, list(size), mode="trilinear", align_corners=True)[0]
    shift = centre + _SHIFT_MM * (2 * torch.rand(3, generator=rng) - 1) / voxel_mm
    return torch.einsum("ij,jzyx->izyx", matrix, grid) + shift[:, None, None, None]
