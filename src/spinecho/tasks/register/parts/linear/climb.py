"""Climbing a similarity over rigid, similarity or affine transforms, both images read in each other's frame.

Steps are D in T <- T expm(D N), where N brings the head's centre to 0 and its edge to 1: every entry of D is
millimetres at the edge, rigid stays rigid and no step can mirror. The objective is the mean of the similarity of
fixed(x) with moving(T x) and of moving(y) with fixed(T^-1 y), so neither image is favoured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from scipy.linalg import expm
from torch import Tensor

from spinecho.core.geometry import Array
from spinecho.tasks.register.parts.linear.similarity import (
    SlopedSimilarity,
    local_correlation,
    mutual_information,
    mutual_information_slopes,
)
from spinecho.tasks.register.parts.linear.view import View, inverted

Kind = Literal["rigid", "similarity", "affine"]
Measure = Literal["mi", "lncc"]

_LARGEST_STEP = 2.0
"""Grid spacings that the edge may move in a step"""
_SMALLEST_STEP = 0.02
"""Grid spacings below which a step ends the climb"""
_TRIES = 4
"""How often a step that does not climb is shortened"""


@dataclass(frozen=True)
class Slope:
    """The objective at a transform: its value, gradient (12,) and curvature (12, 12) by D's rows."""

    value: float
    gradient: Array
    curvature: Array


@dataclass(frozen=True, eq=False)
class _Side:
    """What one view gives: its voxels that count and those within some voxels of them; the box around them is a grid.

    Parameters
    ----------
    voxels
        Homogeneous coordinates (x, y, z, 1).
    values, weight
        Of each.
    place
        Of each in the flattened box.
    shape
        Of the box (z, y, x).
    """

    voxels: Float[Tensor, "4 n"]
    values: Float[Tensor, " n"]
    weight: Float[Tensor, " n"]
    place: Int[Tensor, " n"]
    shape: tuple[int, int, int]

    @classmethod
    def of(cls, view: View, reach: int) -> _Side:
        near = view.near(reach)
        index = near.nonzero()
        (z, y, x), shape = (index - index.amin(0)).T, index.amax(0) - index.amin(0) + 1
        nz, ny, nx = shape.tolist()
        return cls(view.voxels(reach), view.layers[0][near], view.weight[near], (z * ny + y) * nx + x, (nz, ny, nx))

    def on_grid(self, values: Shaped[Tensor, " n"]) -> Shaped[Tensor, "z y x"]:
        """Values of the voxels in the box; 0 elsewhere."""
        return values.new_zeros(math.prod(self.shape)).scatter_(0, self.place, values).reshape(self.shape)


class Objective:
    """The similarity of two views as a function of the transform between them.

    Parameters
    ----------
    fixed, moving
        Views at about the same spacing.
    centre, radius
        Of the fixed object, mm: what steps are measured by.
    measure
        "mi" on the weighted voxels, "lncc" on their cubes, too.
    window
        Radius of the local correlation's cubes, voxels.
    """

    def __init__(
        self, fixed: View, moving: View, centre: Array, radius: float, measure: Measure = "mi", window: int = 2
    ) -> None:
        self.fixed, self.moving, self.measure, self.window = fixed, moving, measure, window
        self.to_unit = np.eye(4)
        self.to_unit[:3, :3] /= radius
        self.to_unit[:3, 3] = -centre / radius
        self._sides = [_Side.of(v, reach=0 if measure == "mi" else window) for v in (fixed, moving)]

    def values(self, matrices: list[Array]) -> list[float]:
        """Mutual information at many transforms."""
        inverses = [inverted(m) for m in matrices]
        forward = self._mi(self.fixed, self.moving, 0, matrices)
        return [float(v) for v in (forward + self._mi(self.moving, self.fixed, 1, inverses)) / 2]

    def slope(self, matrix: Array) -> Slope:
        """Value and derivatives at a transform (4x4, fixed to moving)."""
        inverse = inverted(matrix)
        turn = inverted(self.moving.affine[:3, :3]) @ matrix[:3, :3]
        back = -inverted(self.fixed.affine[:3, :3])
        there = self._half(self.fixed, self.moving, 0, matrix, self.to_unit @ self.fixed.affine, turn)
        unit = self.to_unit @ inverse @ self.moving.affine
        here = self._half(self.moving, self.fixed, 1, inverse, unit, back)
        return Slope(
            (there.value + here.value) / 2,
            (there.gradient + here.gradient) / 2,
            (there.curvature + here.curvature) / 2,
        )

    def _mi(self, own: View, other: View, side: int, matrices: list[Array]) -> Tensor:
        here = self._sides[side]
        read = [other.read(here.voxels, m @ own.affine, layers=1) for m in matrices]
        values, inside = torch.cat([v for v, _ in read]), torch.stack([i for _, i in read])
        return mutual_information(here.values, here.weight, values, inside)

    def _half(self, own: View, other: View, side: int, matrix: Array, unit: Array, by_voxel: Array) -> Slope:
        """One direction: own's voxels, read from other; d(other's voxel) = by_voxel D (unit voxel)."""
        voxels = self._sides[side].voxels
        layers, inside = other.read(voxels, matrix @ own.affine)
        similarity = self._compare(self._sides[side], layers[0], inside)
        places = torch.from_numpy(unit).to(voxels) @ voxels
        first = (layers[1:] * similarity.slope) @ places.T
        rows = ((layers[1:] * similarity.curvature.sqrt())[:, None] * places).flatten(0, 1)
        second = rows @ rows.T
        chain = np.kron(by_voxel, np.eye(4)).astype(np.float64)
        gradient, curvature = (t.double().cpu().numpy() for t in (first.flatten(), second))
        return Slope(similarity.value, chain.T @ gradient, chain.T @ curvature @ chain)

    def _compare(self, own: _Side, values: Tensor, inside: Tensor) -> SlopedSimilarity:
        if self.measure == "mi":
            return mutual_information_slopes(own.values, own.weight, values, inside)
        there, seen = own.on_grid(values), own.on_grid(inside)
        similarity = local_correlation(own.on_grid(own.values), there, seen, own.on_grid(own.weight), self.window)
        slope, curvature = (t.flatten().index_select(0, own.place) for t in (similarity.slope, similarity.curvature))
        return SlopedSimilarity(similarity.value, slope, curvature)


def climb(objective: Objective, matrix: Array, kind: Kind, n_iters: int = 30) -> tuple[Array, float]:
    """The transform of a kind near `matrix` where the objective is highest, and its value there.

    Gauss-Newton with Levenberg and Marquardt's damping; only steps that raise the value are taken.
    """
    basis, spacing = _BASES[kind], objective.fixed.spacing_mm
    here, damping = objective.slope(matrix), 1e-2
    for _ in range(n_iters):
        gradient, curvature = basis.T @ here.gradient, basis.T @ here.curvature @ basis
        size = np.inf
        for _ in range(_TRIES):
            step, size = _step(gradient, curvature, damping, basis, _LARGEST_STEP * spacing)
            there = objective.slope(matrix @ expm(_generator(step, objective.to_unit)))
            if there.value > here.value:
                matrix, here = matrix @ expm(_generator(step, objective.to_unit)), there
                damping = max(damping / 4, 1e-4)
                break
            damping *= 10
        else:
            break
        if size < _SMALLEST_STEP * spacing:
            break
    return matrix, here.value


def _step(gradient: Array, curvature: Array, damping: float, basis: Array, longest: float) -> tuple[Array, float]:
    """D (3, 4) in mm at the edge, and its size."""
    scale = np.diag(curvature)
    if not scale.max() > 0:
        return np.zeros((3, 4)), 0.0
    damped = curvature + np.diag(damping * scale + 1e-9 * scale.max())
    step = (basis @ np.linalg.solve(damped, gradient)).reshape(3, 4)
    size = float(np.linalg.norm(step))
    return (step, size) if size <= longest else (step * (longest / size), longest)


def _generator(step: Array, to_unit: Array) -> Array:
    generator = np.zeros((4, 4))
    generator[:3] = step @ to_unit
    return generator


def _bases() -> dict[Kind, Array]:
    """Columns: D (3 x 4, flattened) of each degree of freedom."""
    turns = np.zeros((3, 3, 4))
    for i, (a, b) in enumerate(((2, 1), (0, 2), (1, 0))):
        turns[i, a, b], turns[i, b, a] = 1, -1
    shifts = np.zeros((3, 3, 4))
    shifts[np.arange(3), np.arange(3), 3] = 1
    growth = np.eye(3, 4)[None]
    rigid = [*turns, *shifts]
    flat = {"rigid": rigid, "similarity": [*rigid, *growth], "affine": list(np.eye(12).reshape(12, 3, 4))}
    return {kind: np.stack([d.ravel() for d in columns], 1) for kind, columns in flat.items()}  # type: ignore[misc]


_BASES = _bases()
