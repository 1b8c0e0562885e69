"""How regular a transform is: Jacobian determinants, their spread, and folds by two tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.interpolate import voxel_grid
from spinecho.core.transform import Transform

Map = Float[Tensor, "3 z y x"]
"""Where each voxel of a grid goes, in voxels of that grid (x, y, z)."""

_FORWARD, _BACKWARD, _CENTRAL = 1, -1, 0
_STAR = (((1, 1, 0), (0, 1, 1), (1, 0, 1)), ((1, 1, 0), (1, 0, 1), (0, 1, 1)))
"""Diagonals (z, y, x) that span the tetrahedron amid a cell, backward and forward, in an order of positive sign"""
_SLAB = 16
_LEARN2REG_OFFSET = 3.0


@dataclass(frozen=True, kw_only=True)
class Regularity:
    """Figures of one transform over the inside of a grid (voxels at its rim have no neighbours).

    Parameters
    ----------
    sdlogj
        Standard deviation of log det J by central differences, two voxels cropped at each side, det J at least 1e-9.
    sdlogj_learn2reg
        The same of log(det J + 3), as Learn2Reg's evaluation program computes what it calls SDlogJ: about a quarter.
    jacobian_min, jacobian_max
        Of det J by central differences, over the same voxels.
    folded_central
        Share of voxels with det J <= 0 by central differences.
    folded_digital
        Share of voxels that fail the digital-diffeomorphism test: one of its ten determinants is 0 or less.
    folded_volume
        Non-diffeomorphic volume over that of all voxels tested.
    """

    sdlogj: float
    sdlogj_learn2reg: float
    jacobian_min: float
    jacobian_max: float
    folded_central: float
    folded_digital: float
    folded_volume: float


def regularity(transform: Transform, onto: Geometry) -> Regularity:
    """`regularity_of` a transform at the voxels of a grid; its linear part counts, which SDlogJ does not notice."""
    return regularity_of(in_grid_voxels(transform.displacement(onto), onto))


def in_grid_voxels(displacement_mm: Float[Tensor, "3 z y x"], onto: Geometry) -> Map:
    """Voxel coordinates (x, y, z) that the grid's voxels are moved to by a displacement in LPS mm."""
    turn = torch.from_numpy(np.linalg.inv(onto.affine[:3, :3])).to(displacement_mm)
    moved = torch.einsum("ij,jzyx->izyx", turn, displacement_mm)
    return moved.double() + voxel_grid(onto.shape).movedim(-1, 0)


def regularity_of(where: Map) -> Regularity:
    """All figures of a map from a grid to itself.

    The digital test asks that the transform, taken as linear on tetrahedra between voxel centres, turns none of them
    inside out: the eight combinations of forward and backward differences, and the tetrahedron amid each of the two
    cells that the voxel is the last and the first corner of. Central differences skip the voxel itself.

    Source: Liu et al. 2024, doi:10.1007/s11263-024-02047-1; the volume is their non-diffeomorphic volume, of interior
    voxels only (they extend the field beyond the rim). SDlogJ: Learn2Reg, Hering et al. 2022,
    doi:10.1109/TMI.2022.3213983.

    Raises
    ------
    DataError
        If the grid has fewer than five voxels along an axis.
    """
    if min(where.shape[1:]) < 5:
        raise DataError(f"a grid of {tuple(where.shape[1:])} voxels", do="folds need 5 along each axis")
    n_folded = n_digital = n_all = 0
    volume = 0.0
    central: list[Tensor] = []
    for part in _slabs(where):
        jacobian = determinant(part, (_CENTRAL, _CENTRAL, _CENTRAL))
        central.append(jacobian.float())
        n_folded += int((jacobian <= 0).sum())
        n_all += jacobian.numel()
        worst = torch.full_like(jacobian, torch.inf)
        for determinants in _ten(part):
            worst = torch.minimum(worst, determinants)
            volume -= float(determinants.clamp_max(0).sum()) / 12
        n_digital += int((worst <= 0).sum())
    inside = torch.cat(central)[1:-1, 1:-1, 1:-1].double()
    return Regularity(
        sdlogj=float(inside.clamp_min(1e-9).log().std(correction=0)),
        sdlogj_learn2reg=float((inside + _LEARN2REG_OFFSET).clamp_min(1e-9).log().std(correction=0)),
        jacobian_min=float(inside.min()),
        jacobian_max=float(inside.max()),
        folded_central=n_folded / n_all,
        folded_digital=n_digital / n_all,
        folded_volume=volume / n_all,
    )


def determinant(where: Map, sides: tuple[int, int, int]) -> Float[Tensor, "z2 y2 x2"]:
    """det J inside the rim by forward (1), backward (-1) or central (0) differences along (z, y, x)."""
    steps = []
    for axis in (2, 1, 0):
        ahead, behind = [0, 0, 0], [0, 0, 0]
        ahead[axis] = 1 if sides[axis] != _BACKWARD else 0
        behind[axis] = -1 if sides[axis] != _FORWARD else 0
        scale = 0.5 if sides[axis] == _CENTRAL else 1.0
        steps.append((_shifted(where, ahead) - _shifted(where, behind)) * scale)
    return _triple(*steps)


def _ten(where: Map) -> Iterator[Tensor]:
    for sides in product((_FORWARD, _BACKWARD), repeat=3):
        yield determinant(where, (sides[0], sides[1], sides[2]))
    middle = _shifted(where, (0, 0, 0))
    for sign, diagonals in zip((_BACKWARD, _FORWARD), _STAR, strict=True):
        yield _triple(*(_shifted(where, [sign * d for d in diagonal]) - middle for diagonal in diagonals))


def _shifted(where: Map, by_zyx: Sequence[int]) -> Tensor:
    z, y, x = (slice(1 + d, n - 1 + d) for d, n in zip(by_zyx, where.shape[1:], strict=True))
    return where[:, z, y, x]


def _triple(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a . (b x c)."""
    return (a * torch.linalg.cross(b, c, dim=0)).sum(0)


def _slabs(where: Map) -> Iterator[Tensor]:
    """Pieces along z whose insides follow each other."""
    for start in range(1, where.shape[1] - 1, _SLAB):
        yield where[:, start - 1 : min(start + _SLAB, where.shape[1] - 1) + 1]
