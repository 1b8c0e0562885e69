"""Transforms: maps from points of the fixed image's world to points of the moving image's world, LPS mm.

That is ITK's direction: to bring the moving image onto the fixed grid, each fixed voxel asks where to look. Matrices,
displacement fields, stationary velocity fields and chains of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.field import exponential, inverted
from spinecho.core.geometry import Array, Geometry, Numbers, inverted_affine
from spinecho.core.image import Image
from spinecho.core.interpolate import Mode, at_voxels, voxel_grid

_SLAB_POINTS = 2**21
"""Points moved at once when a whole grid is: what bounds the memory"""


class Transform(ABC):
    """A map of points, fixed world to moving world, in LPS mm."""

    @abstractmethod
    def __call__(self, points_mm: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 3"]:
        """Points (x, y, z) in LPS mm, moved; float64 keeps micrometres."""

    @abstractmethod
    def inverse(self) -> Transform:
        """The map from the moving world to the fixed world."""

    def to(self, device: torch.device | str) -> Transform:
        """With its fields on a device; a matrix is metadata, and on none."""
        return self

    def __matmul__(self, first: Transform) -> Composite:
        """`(a @ b)(p) = a(b(p))`."""
        return Composite((*_parts(self), *_parts(first)))

    def points(self, onto: Geometry, start: int = 0, stop: int | None = None) -> Float[Tensor, "z y x 3"]:
        """Where the voxels start:stop (along z) of a grid go, LPS mm, float64."""
        stop = onto.shape[0] if stop is None else stop
        grid = voxel_grid((stop - start, *onto.shape[1:]))
        grid[..., 2] += start
        return self(_affine_map(onto.affine, grid))

    def displacement(self, onto: Geometry) -> Float[Tensor, "3 z y x"]:
        """T(p) - p in mm (x, y, z) at every voxel of a grid, float32."""
        displacement = torch.empty(3, *onto.shape)
        for start, stop in _slabs(onto):
            grid = voxel_grid((stop - start, *onto.shape[1:]))
            grid[..., 2] += start
            points = _affine_map(onto.affine, grid)
            displacement[:, start:stop] = (self(points) - points).movedim(-1, 0)
        return displacement

    def warp(self, image: Image, onto: Geometry | None = None, mode: Mode = "linear") -> Image:
        """The moving image on the fixed grid, interpolated once.

        Parameters
        ----------
        image
            A volume (*batch, channel, z, y, x) in the moving world; complex values are interpolated as pairs.
        onto
            The fixed grid; None: the image's own.
        mode
            "linear", or "nearest" for labels.

        Raises
        ------
        DataError
            If the image is no volume on a single grid.
        """
        onto = image.geometry if onto is None else onto
        if image.values.is_complex():
            real, imag = (
                self.warp(replace(image, values=v), onto, mode) for v in (image.values.real, image.values.imag)
            )
            return replace(real, values=torch.complex(real.values, imag.values))
        values = image.values.reshape(-1, *image.values.shape[-3:])
        if mode == "linear" and not values.is_floating_point():
            values = values.float()
        inverse = inverted_affine(image.geometry.affine)
        out = values.new_empty(values.shape[0], *onto.shape)
        for start, stop in _slabs(onto):
            index = _affine_map(inverse, self.points(onto, start, stop)).to(values.device)
            out[:, start:stop] = at_voxels(values, index, mode)
        values, header = out.reshape(*image.values.shape[:-3], *onto.shape), image.header.regridded()
        return replace(image, values=values, geometries=(onto,), header=header, extras={})

    def jacobian(self, onto: Geometry) -> Float[Tensor, "z y x"]:
        """Determinant of the map's derivative at every voxel, by central differences (one-sided at the edges).

        Over 1: the fixed voxel becomes larger in the moving image. A grid one voxel thick gets neighbours for it.
        """
        if thin := [axis for axis, n in enumerate(onto.shape) if n == 1]:
            middle = tuple(slice(1, 2) if axis in thin else slice(None) for axis in range(3))
            return self.jacobian(_thickened(onto, thin))[middle]
        displacement, inverse = self.displacement(onto), _tensor(inverted_affine(onto.affine[:3, :3]))
        determinant = torch.empty(onto.shape)
        for start, stop in _slabs(onto):
            first, end = max(0, start - 1), min(onto.shape[0], stop + 1)  # neighbours, for differences along z
            d = displacement[:, first:end].double()
            steps = [
                torch.gradient(d, dim=3 - axis)[0] if d.shape[3 - axis] > 1 else d.new_zeros(d.shape)
                for axis in range(3)
            ]
            by_voxel = torch.stack(steps, -1).movedim(0, -2)[start - first : stop - first]  # z y x, component, axis
            determinant[start:stop] = (torch.eye(3, dtype=torch.float64) + by_voxel @ inverse).det()
        return determinant


class _Matrix(Transform):
    matrix: Array

    def __call__(self, points_mm: Tensor) -> Tensor:
        return _affine_map(self.matrix, points_mm)


@dataclass(frozen=True, eq=False)
class Affine(_Matrix):
    """y = M x: a 4x4 matrix, fixed to moving, LPS mm."""

    matrix: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", _checked(self.matrix))

    def inverse(self) -> Affine:
        return Affine(inverted_affine(self.matrix))


@dataclass(frozen=True, eq=False)
class Rigid(_Matrix):
    """Rotation and translation: a 4x4 matrix whose 3x3 part is a rotation."""

    matrix: Array

    def __post_init__(self) -> None:
        matrix = _checked(self.matrix)
        turn = matrix[:3, :3]
        if np.abs(turn.T @ turn - np.eye(3)).max() > 1e-6 or np.linalg.det(turn) < 0:
            raise DataError("the matrix of a rigid transform scales, shears or mirrors", do="use Affine")
        object.__setattr__(self, "matrix", matrix)

    def inverse(self) -> Rigid:
        turn, shift = self.matrix[:3, :3].T, self.matrix[:3, 3]
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = turn, -turn @ shift
        return Rigid(matrix)


@dataclass(frozen=True, eq=False)
class Displacement(Transform):
    """y = x + d(x): a field of millimetres on a grid, linear between voxels, zero outside, as ITK has it.

    Parameters
    ----------
    field
        (dx, dy, dz) in LPS mm at each voxel of the grid.
    geometry
        Where the field lies, in the fixed world.
    backward
        The field of the inverse on the same grid where it is known; None: found by fixed-point iteration when needed.
    """

    field: Float[Tensor, "3 z y x"]
    geometry: Geometry
    backward: Tensor | None = None

    def __post_init__(self) -> None:
        for field in (self.field, self.backward):
            if field is not None and tuple(field.shape) != (3, *self.geometry.shape):
                raise DataError(
                    f"the field has shape {tuple(field.shape)}, its grid {self.geometry.shape} (z, y, x)",
                    do="give (3, z, y, x)",
                )

    def __call__(self, points_mm: Tensor) -> Tensor:
        index = _affine_map(inverted_affine(self.geometry.affine), points_mm)
        return points_mm + at_voxels(self.field, index.to(self.field.device)).movedim(0, -1).to(points_mm)

    def to(self, device: torch.device | str) -> Displacement:
        backward = None if self.backward is None else self.backward.to(device)
        return replace(self, field=self.field.to(device), backward=backward)

    def inverse(self) -> Displacement:
        backward = inverted(self.field, self.geometry.affine) if self.backward is None else self.backward
        return Displacement(backward, self.geometry, self.field)


@dataclass(frozen=True, eq=False)
class Velocity(Transform):
    """The flow exp(v) of a stationary velocity field: smooth and invertible, its inverse is exp(-v).

    Parameters
    ----------
    field
        (vx, vy, vz) in LPS mm at each voxel of the grid, zero outside.
    geometry
        Where the field lies.
    """

    field: Float[Tensor, "3 z y x"]
    geometry: Geometry

    @cached_property
    def as_displacement(self) -> Displacement:
        """The flow and its inverse as displacement fields on the velocity's grid, by scaling and squaring."""
        forward, backward = (exponential(v, self.geometry.affine) for v in (self.field, -self.field))
        return Displacement(forward, self.geometry, backward)

    def __call__(self, points_mm: Tensor) -> Tensor:
        return self.as_displacement(points_mm)

    def to(self, device: torch.device | str) -> Velocity:
        return replace(self, field=self.field.to(device))

    def inverse(self) -> Velocity:
        return Velocity(-self.field, self.geometry)


@dataclass(frozen=True, eq=False)
class Composite(Transform):
    """A chain; the last part acts first: `Composite((a, b))(p) = a(b(p))`."""

    parts: tuple[Transform, ...]

    def __call__(self, points_mm: Tensor) -> Tensor:
        for part in reversed(self.parts):
            points_mm = part(points_mm)
        return points_mm

    def to(self, device: torch.device | str) -> Composite:
        return Composite(tuple(part.to(device) for part in self.parts))

    def inverse(self) -> Composite:
        return Composite(tuple(part.inverse() for part in reversed(self.parts)))


def identity() -> Rigid:
    """The identity map."""
    return Rigid(np.eye(4))


def left_after(linear: Affine | Rigid, whole: Transform, onto: Geometry) -> Displacement:
    """The field that is left of a transform once a matrix behind it is undone: `linear @ field` is the transform.

    It is so at the voxels of the grid; outside, where the field is zero, points move by the matrix alone.
    """
    return Displacement((linear.inverse() @ whole).displacement(onto), onto)


def _thickened(grid: Geometry, axes: list[int]) -> Geometry:
    """A grid with one more voxel on either side along axes (0: z, 1: y, 2: x)."""
    z, y, x = (n + 2 * (a in axes) for a, n in enumerate(grid.shape))
    affine = grid.affine.copy()
    affine[:3, 3] = grid.to_world([-float(a in axes) for a in (2, 1, 0)])
    return Geometry((z, y, x), affine, grid.oriented)


def _parts(transform: Transform) -> tuple[Transform, ...]:
    return transform.parts if isinstance(transform, Composite) else (transform,)


def _affine_map(matrix: Array, points: Tensor) -> Tensor:
    m = _tensor(matrix[:3]).to(points)
    return points @ m[:, :3].T + m[:, 3]


def _tensor(matrix: Array) -> Tensor:
    return torch.tensor(matrix.tolist(), dtype=torch.float64)


def _checked(matrix: Numbers) -> Array:
    m = np.array(matrix, dtype=np.float64)
    if m.shape != (4, 4) or not np.isfinite(m).all() or np.abs(m[3] - [0, 0, 0, 1]).max() > 1e-9:
        raise DataError(f"a transform needs a finite 4x4 matrix with the last row 0 0 0 1, got shape {m.shape}")
    if abs(np.linalg.det(m[:3, :3])) < 1e-9:
        raise DataError("the transform's matrix is singular: it has no inverse", do="check where it came from")
    m.setflags(write=False)
    return m


def _slabs(onto: Geometry) -> list[tuple[int, int]]:
    step = max(1, _SLAB_POINTS // max(1, onto.shape[1] * onto.shape[2]))
    return [(i, min(i + step, onto.shape[0])) for i in range(0, onto.shape[0], step)]
