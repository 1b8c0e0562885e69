"""How far a transform is from the truth, from landmarks, and from being undone by its own inverse: millimetres."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.transform import Transform

_AT_ONCE = 2**20


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Mean, 95th percentile and maximum of a set of distances in mm."""

    mean: float
    p95: float
    max: float


def warp_error_mm(
    transform: Transform, truth: Transform, onto: Geometry, mask: Bool[Tensor, "z y x"] | None = None
) -> Spread:
    """|T(p) - truth(p)| over the voxel centres p of the fixed grid that a mask holds (the brain, say)."""
    points = mask_points(onto, mask)
    return _spread([(transform(p) - truth(p)).norm(dim=-1) for p in points.split(_AT_ONCE)])


def landmark_error_mm(
    transform: Transform, fixed_points: Float[Tensor, "n 3"], moving_points: Float[Tensor, "m 3"]
) -> Spread:
    """|T(p) - q| for each landmark p of the fixed and q of the moving image, LPS mm; nothing is rounded to voxels."""
    if fixed_points.shape != moving_points.shape:
        raise DataError(
            f"{len(fixed_points)} landmarks in the fixed image, {len(moving_points)} in the moving one",
            do="give both lists in the same order",
        )
    return _spread([(transform(fixed_points.double()) - moving_points.double()).norm(dim=-1)])


def inverse_error_mm(
    transform: Transform,
    onto: Geometry,
    mask: Bool[Tensor, "z y x"] | None = None,
    inverse: Transform | None = None,
) -> Spread:
    """|T^-1(T(p)) - p| over the fixed voxel centres of a mask.

    `inverse` is the transform's own, unless the one found by registering the other way round is given.
    """
    back = transform.inverse() if inverse is None else inverse
    points = mask_points(onto, mask)
    return _spread([(back(transform(p)) - p).norm(dim=-1) for p in points.split(_AT_ONCE)])


def mask_points(onto: Geometry, mask: Bool[Tensor, "z y x"] | None = None) -> Float[Tensor, "n 3"]:
    """World points (LPS mm, float64) of a mask's voxel centres, in the order of the tensor; None: of all voxels."""
    if mask is None:
        mask = torch.ones(onto.shape, dtype=torch.bool)
    if tuple(mask.shape) != onto.shape:
        raise DataError(f"the mask has shape {tuple(mask.shape)}, the grid {onto.shape} (z, y, x)", do="resample it")
    affine = torch.tensor(onto.affine, dtype=torch.float64)
    return torch.nonzero(mask).flip(-1).double() @ affine[:3, :3].T + affine[:3, 3]


def _spread(parts: list[Tensor]) -> Spread:
    distances = torch.cat(parts)
    if not len(distances):
        return Spread(mean=float("nan"), p95=float("nan"), max=float("nan"))
    rank = min(len(distances), int(0.95 * len(distances)) + 1)
    p95 = float(distances.kthvalue(rank).values)
    return Spread(mean=float(distances.mean()), p95=p95, max=float(distances.max()))
