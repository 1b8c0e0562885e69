"""The mean of a cohort's transforms, and the way that leads each of them there: matrices, flows, fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.linalg import expm, logm
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.geometry import Array, Geometry, inverted_affine
from spinecho.core.transform import Affine, Composite, Displacement, Rigid, Transform, Velocity, left_after

_SETTLED = 1e-12
_ROUNDING = 1e-6
"""Imaginary part of a logarithm that is no more than rounding"""


@dataclass(frozen=True, eq=False)
class Split:
    """A transform as a matrix behind a bend: `Affine(matrix) @ bend`.

    Parameters
    ----------
    matrix
        4x4, LPS mm.
    bend
        None: the matrix is all there is.
    """

    matrix: Array
    bend: Velocity | Displacement | None = None

    @property
    def transform(self) -> Transform:
        """The whole."""
        return Affine(self.matrix) if self.bend is None else Affine(self.matrix) @ self.bend


def split(transform: Transform, onto: Geometry) -> Split:
    """A transform's matrix and bend; chains of several bends become one displacement field on the grid `onto`."""
    parts = transform.parts if isinstance(transform, Composite) else (transform,)
    n, matrix = 0, np.eye(4)
    while n < len(parts) and isinstance(part := parts[n], Affine | Rigid):
        matrix, n = matrix @ part.matrix, n + 1
    rest = parts[n:]
    if not rest:
        return Split(matrix)
    if len(rest) == 1 and isinstance(rest[0], Velocity | Displacement):
        return Split(matrix, rest[0])
    if n == 0:
        places = torch.cartesian_prod(*(torch.linspace(0, n - 1, min(n, 16), dtype=torch.float64) for n in onto.shape))
        matrix = nearest_affine(transform, torch.from_numpy(onto.to_world(places.flip(-1).numpy()))).matrix
    return Split(matrix, left_after(Affine(matrix), transform, onto))


def nearest_affine(transform: Transform, points: Float[Tensor, "n 3"]) -> Affine:
    """The affine transform with the least squared distance from another at some points (x, y, z), LPS mm."""
    points = points.double()
    middle = points.mean(0)
    design = torch.cat([points - middle, torch.ones_like(points[:, :1])], 1)
    solved = torch.linalg.lstsq(design, transform(points)).solution.T
    matrix = np.eye(4)
    matrix[:3, :3] = solved[:, :3].numpy()
    matrix[:3, 3] = (solved[:, 3] - solved[:, :3] @ middle).numpy()
    return Affine(matrix)


def mean_matrix(matrices: Sequence[Array], n_iters: int = 30) -> Array:
    """The matrix M with a mean logarithm of M^-1 A of zero over the matrices A, whatever the order and the world.

    Source: exponential barycentres, Pennec and Arsigny 2013, "Exponential barycenters of the canonical Cartan
    connection and invariant means on Lie groups".

    Raises
    ------
    DataError
        If one is turned by about half a turn against the others: then there is no middle.
    """
    mean = np.asarray(np.mean(matrices, axis=0), dtype=np.float64)
    for _ in range(n_iters):
        step = np.mean([_logarithm(inverted_affine(mean) @ m) for m in matrices], axis=0)
        mean = mean @ np.asarray(expm(step), dtype=np.float64)
        if np.abs(step).max() < _SETTLED:
            break
    mean[3] = [0, 0, 0, 1]
    return mean


def mean_bend(bends: Sequence[Velocity | Displacement | None], grid: Geometry) -> Velocity | Displacement | None:
    """The flow of the mean velocity on a grid; the mean displacement where some have no velocity."""
    if all(bend is None for bend in bends):
        return None
    flows = all(bend is None or isinstance(bend, Velocity) for bend in bends)
    total = torch.zeros(3, *grid.shape)
    for bend in bends:
        if isinstance(bend, Velocity) and flows:
            total += sampled(bend.field, bend.geometry, grid)
        elif bend is not None:
            total += bend.displacement(grid)
    mean = total / len(bends)
    return Velocity(mean, grid) if flows else Displacement(mean, grid)


def sampled(field: Float[Tensor, "3 z y x"], geometry: Geometry, onto: Geometry) -> Float[Tensor, "3 z2 y2 x2"]:
    """A field of vectors on another grid: linear between its voxels, zero outside."""
    return field if geometry.matches(onto) else Displacement(field, geometry).displacement(onto)


def _logarithm(matrix: Array) -> Array:
    logarithm = np.asarray(logm(matrix), dtype=np.complex128)
    if not np.isfinite(logarithm).all() or np.abs(np.imag(logarithm)).max() > _ROUNDING:
        raise DataError(
            "a subject lies turned by half a turn (or mirrored) against the others: their mean is not defined",
            do="check its header's orientation, or bring it near to the others first (spinecho register --rigid)",
        )
    return np.array(np.real(logarithm), dtype=np.float64)
