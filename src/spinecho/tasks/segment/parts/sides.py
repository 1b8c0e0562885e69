"""Left and right: the plane across which the brain's regions are most alike, and the ids of either side.

The plane is x = c + a y + b z in LPS millimetres (x grows to the left), about the brain's centre. Of voxels p of the
brain, mirrored at the plane, as many as possible shall meet their own class:

    max over (c, a, b) of mean over p of [class(p') = class(p)],    p' = p - 2 (n p - d) n.

Source: the idea of Ardekani et al. 1997, doi:10.1109/42.650880 (a plane of symmetry found by search). How we differ:
classes instead of brightness, which no contrast, lesion or coil can make unlike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Integer, UInt8
from numpy.typing import NDArray
from torch import Tensor

from spinecho.core.geometry import Geometry

RIGHT = {2: 41, 3: 42, 4: 43, 7: 46, 8: 47, 10: 49, 11: 50, 12: 51, 13: 52, 17: 53, 18: 54, 26: 58, 28: 60}
"""FreeSurfer's id of the right side for that of the left"""
_VOXELS = 6000
_FEWEST = 500
_STARTS_MM = (-8.0, 0.0, 8.0)


@dataclass(frozen=True)
class Plane:
    """x = c + a (y - y0) + b (z - z0), LPS mm; `alike` is the share of voxels that meet their own class behind it."""

    c: float
    a: float
    b: float
    centre: tuple[float, float, float]
    alike: float

    def left_of(self, points_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether points (..., 3) lie on the left of it."""
        x, y, z = np.moveaxis(points_mm, -1, 0)
        return x > self.c + self.a * (y - self.centre[1]) + self.b * (z - self.centre[2])


def middle(classes: UInt8[Tensor, "z y x"], grid: Geometry) -> Plane | None:
    """The plane between the sides of a brain on a working grid; None where there is too little of a brain."""
    from scipy.optimize import minimize

    brain = (classes > 0).nonzero().cpu().numpy()
    if len(brain) < _FEWEST:
        return None
    kept = brain[:: max(1, len(brain) // _VOXELS)]
    points, values = grid.to_world(kept[:, ::-1]), classes.cpu().numpy()
    own = values[tuple(kept.T)]
    centre = grid.to_world(brain.mean(0)[::-1])
    shape = np.array(values.shape)

    def unlike(plane: NDArray[np.float64]) -> float:
        c, a, b = plane[0], *(plane[1:] / 100)
        normal = np.array([1.0, -a, -b])
        normal /= np.linalg.norm(normal)
        away = (points - [c, centre[1], centre[2]]) @ normal
        index = np.rint(grid.to_voxel(points - 2 * away[:, None] * normal)).astype(int)[:, ::-1]
        inside = np.logical_and(index >= 0, index < shape).all(axis=1)
        met = values[tuple((index * inside.reshape(-1, 1)).T)]
        return 1 - float((inside & (met == own)).mean())

    results = [
        minimize(unlike, [centre[0] + off, 0.0, 0.0], method="Nelder-Mead", options=_simplex(centre[0] + off))
        for off in _STARTS_MM
    ]
    best = min(results, key=lambda r: r.fun)
    c, a, b = best.x
    x0, y0, z0 = (float(v) for v in centre)
    return Plane(float(c), float(a) / 100, float(b) / 100, (x0, y0, z0), 1 - float(best.fun))


def _simplex(c: float) -> dict[str, object]:
    """Steps of 6 mm and of 0.1 in slope: classes change in steps, which a small simplex does not see."""
    return {"initial_simplex": [[c, 0, 0], [c + 6, 0, 0], [c, 10, 0], [c, 0, 10]], "maxiter": 80, "xatol": 0.1}


def sided(labels: Integer[Tensor, "1 z y x"], geometry: Geometry, plane: Plane) -> Integer[Tensor, "1 z y x"]:
    """Labels with the ids of the right side for voxels on the right of the plane."""
    table = torch.arange(max(RIGHT.values()) + 1, dtype=labels.dtype)
    for left, right in RIGHT.items():
        table[left] = right
    right = _right_of(geometry, plane).to(labels.device)
    return torch.where(right, table.to(labels.device)[labels.long()], labels)


def _right_of(geometry: Geometry, plane: Plane) -> Bool[Tensor, "z y x"]:
    """One affine function of the voxel's place gives it."""
    step = geometry.affine[:3, :3].T @ np.array([1.0, -plane.a, -plane.b])
    first = geometry.affine[:3, 3] - [plane.c, plane.centre[1], plane.centre[2]]
    at_first = float(first @ np.array([1.0, -plane.a, -plane.b]))
    x, y, z = (torch.arange(n) * float(s) for n, s in zip(geometry.shape[::-1], step, strict=True))
    return at_first + z[:, None, None] + y[:, None] + x < 0
