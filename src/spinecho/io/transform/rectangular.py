"""Rectangular grids for fields that lie on sheared ones: ITK and NIfTI's qform know only right angles."""

from __future__ import annotations

import itertools

import numpy as np

from spinecho.core.geometry import Geometry

_SQUARE = 1e-4


def is_sheared(geometry: Geometry) -> bool:
    """Whether the grid's axes are not at right angles (to 1e-4)."""
    directions = geometry.directions
    return bool(np.abs(directions.T @ directions - np.eye(3)).max() > _SQUARE)


def rectangular(geometry: Geometry) -> Geometry:
    """The rectangular grid nearest in orientation that covers the sheared one, rim included, at its voxel size.

    The orientation is the orthogonal factor of the polar decomposition.
    """
    u, _, vt = np.linalg.svd(geometry.directions)
    directions, voxel = np.asarray(u @ vt, dtype=np.float64), np.asarray(geometry.voxel_mm)
    ends = [(-0.5, n - 0.5) for n in reversed(geometry.shape)]
    corners = geometry.to_world(list(itertools.product(*ends))) @ directions
    low, high = corners.min(0), corners.max(0)
    nx, ny, nz = (int(n) for n in np.ceil((high - low) / voxel))
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions * voxel, directions @ (low + voxel / 2)
    return Geometry((nz, ny, nx), affine)
