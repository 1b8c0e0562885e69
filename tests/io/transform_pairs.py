"""Transforms and grids for the tests of transform files: oblique, anisotropic, mirrored, with smooth random fields."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from spinecho.core.geometry import Geometry
from spinecho.core.transform import Affine, Composite, Displacement, Velocity


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    """Rotations about x, y and z, one after the other."""
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        one, i, j = np.eye(3), (axis + 1) % 3, (axis + 2) % 3
        one[i, i] = one[j, j] = np.cos(angle)
        one[j, i], one[i, j] = np.sin(angle), -np.sin(angle)
        turn = one @ turn
    return turn


def grid(kind: str, shape: tuple[int, int, int] = (18, 22, 26)) -> Geometry:
    """A grid about the origin: straight, oblique (and anisotropic), or mirrored (negative determinant, and oblique)."""
    directions = np.eye(3) if kind == "straight" else rotation((12, -20, 33))
    if kind == "mirrored":
        directions = directions @ np.diag([-1, 1, 1])
    voxel = (2.0, 2.0, 2.0) if kind == "straight" else (1.5, 2.25, 3.5)
    return Geometry.from_frame((3.0, -7.0, 11.0), directions, voxel, shape)


def field(geometry: Geometry, largest_mm: float = 5.0, seed: int = 0) -> torch.Tensor:
    """A smooth random field that fades towards the rim, (3, z, y, x) in mm."""
    rng = np.random.default_rng(seed)
    values = np.stack([gaussian_filter(rng.standard_normal(geometry.shape), 3) for _ in range(3)])
    fade = 1.0
    for axis, n in enumerate(geometry.shape):
        window = np.sin(np.pi * (np.arange(n) + 0.5) / n)
        fade = fade * window.reshape([-1 if i == axis else 1 for i in range(3)])
    values = values * fade
    return torch.from_numpy((values * largest_mm / np.abs(values).max()).astype(np.float32))


def affine(seed: int = 1) -> Affine:
    """Turned, sheared, scaled and shifted a little."""
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((5, -3, 8)) @ (np.eye(3) + 0.1 * rng.standard_normal((3, 3)))
    matrix[:3, 3] = 6 * rng.standard_normal(3)
    return Affine(matrix)


def nonlinear(kind: str) -> Composite:
    """A flow, then an affine map, then a displacement, each on a grid of its own."""
    near, coarse = grid(kind), grid(kind, (9, 11, 13))
    # not twice the voxel: else voxels lie exactly on the rim, where rounding decides whether they move
    first = Velocity(field(coarse), Geometry(coarse.shape, coarse.affine @ np.diag([2.07, 2.07, 2.07, 1.0])))
    return Composite((Displacement(field(near, 3.0, 2), near), affine(), first))


def points_in(geometry: Geometry, n: int = 1000, beyond: float = 0.2) -> np.ndarray:
    """Random points over the grid and somewhat beyond its rim, LPS mm."""
    rng = np.random.default_rng(3)
    share = rng.uniform(-beyond, 1 + beyond, (n, 3))
    return geometry.to_world(share * np.array(geometry.shape[::-1]) - 0.5)
