"""An image in which every axis and direction can be told apart, on grids of every kind."""

from __future__ import annotations

import numpy as np
import torch

from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.image import Image

SHAPE = (5, 7, 9)
MARKS = {(0, 0, 0): 100.0, (0, 0, 8): 200.0, (0, 6, 0): 300.0, (4, 0, 0): 400.0, (3, 2, 6): 500.0}
"""(z, y, x) to value: the origin, the end of each axis, and one voxel inside"""


def rotation(axis: tuple[float, float, float], degrees: float) -> np.ndarray:
    """Rodrigues: rotation about an axis."""
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    K, angle = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]), np.deg2rad(degrees)
    return np.eye(3) + np.sin(angle) * K + (1 - np.cos(angle)) * K @ K


DIRECTIONS = {
    "axial": np.eye(3),
    "sagittal": np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]], dtype=float),
    "coronal": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=float),
    "oblique": rotation((1, 2, 3), 37.0),
    "double oblique": rotation((-3, 1, 1), 152.0),
    "negative determinant": np.diag([1.0, 1.0, -1.0]),
    "oblique, negative determinant": rotation((2, -1, 0.5), 71.0) @ np.diag([-1.0, 1.0, 1.0]),
}


def grid(name: str) -> Geometry:
    """One of DIRECTIONS with three different voxel sizes, far from the origin."""
    return Geometry.from_frame((12.25, -31.5, 47.125), DIRECTIONS[name], (1.25, 0.9375, 3.3), SHAPE)


def phantom(geometry: Geometry, header: Header | None = None) -> Image:
    """Marks on a faint ramp; no two neighbours alike."""
    values = torch.arange(np.prod(SHAPE), dtype=torch.float32).reshape(1, *SHAPE) / 10
    for (z, y, x), value in MARKS.items():
        values[0, z, y, x] = value
    return Image(values=values, geometries=(geometry,), header=header or Header())


def marked_points(geometry: Geometry) -> dict[float, np.ndarray]:
    """Value of each mark to its LPS point."""
    return {value: geometry.to_world((x, y, z)) for (z, y, x), value in MARKS.items()}


def found_points(values: np.ndarray, geometry: Geometry) -> dict[float, np.ndarray]:
    """The same from an array (z, y, x) that was read back, values to the nearest integer."""
    rounded = np.rint(values)
    return {v: geometry.to_world(np.argwhere(rounded == v)[0][::-1]) for v in MARKS.values()}
