"""A voxel grid in the world: index (x, y, z) to millimetres in LPS (DICOM's patient axes)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecho.core.errors import DataError

Array = npt.NDArray[np.float64]
Numbers = npt.NDArray[Any] | Sequence[Any]
"""What numpy can make an array of."""
Shape = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Forms:
    """The world coordinates of a grid, by NIfTI's codes: 1 scanner, 2 another scan, 3 Talairach, 4 MNI152, 5 template.

    Parameters
    ----------
    sform, qform
        Code of the affine's world, and of the world that the quaternion describes; 0: there is no such form.
    between
        4x4, LPS mm of the affine's world to LPS mm of the qform's; None: they are the same.
    """

    sform: int = 1
    qform: int = 1
    between: Array | None = None


@dataclass(frozen=True, eq=False)
class Geometry:
    """The position and orientation of a grid of voxels.

    Tensors are indexed (z, y, x), points are (x, y, z): this class is the only place that turns one into the other.

    Parameters
    ----------
    shape
        Number of voxels as (z, y, x).
    affine
        4x4, voxel index (x, y, z, 1) of a voxel's centre to LPS millimetres.
    oriented
        False if the source does not record how the patient lay; then only the voxel sizes are meaningful.
    forms
        What a NIfTI file calls its world or worlds.
    """

    shape: tuple[int, int, int]
    affine: Array
    oriented: bool = True
    forms: Forms = Forms()

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise DataError(
                f"an affine must be a finite 4x4 matrix, got {affine.tolist()}", do="repair the header it came from"
            )
        if abs(np.linalg.det(affine[:3, :3])) < 1e-12 * max(1e-30, np.abs(affine[:3, :3]).max()) ** 3:
            raise DataError(
                f"the affine is singular: {affine[:3, :3].tolist()}", do="give one with three voxel sizes over 0"
            )
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", (int(self.shape[0]), int(self.shape[1]), int(self.shape[2])))

    @classmethod
    def unknown(cls, shape: tuple[int, int, int], voxel_mm: Numbers = (1.0, 1.0, 1.0)) -> Geometry:
        """A grid of (z, y, x) voxels with unknown orientation; voxel_mm is (x, y, z)."""
        geometry = cls.from_frame(np.zeros(3), np.eye(3), voxel_mm, shape)
        return replace(geometry, oriented=False)

    @classmethod
    def from_frame(
        cls, center_mm: Numbers, directions: Numbers, voxel_mm: Numbers, shape: tuple[int, int, int]
    ) -> Geometry:
        """From the LPS point at index n // 2 (where the centred FFT puts the frame's origin).

        Parameters
        ----------
        center_mm
            LPS point of the voxel with index (nx // 2, ny // 2, nz // 2).
        directions
            Columns are the unit vectors along x (readout), y (phase encode) and z (slice).
        voxel_mm
            Distance between voxel centres along (x, y, z).
        shape
            Number of voxels as (z, y, x).
        """
        affine = np.eye(4)
        affine[:3, :3] = np.asarray(directions, dtype=np.float64) @ np.diag(np.asarray(voxel_mm, dtype=np.float64))
        middle = np.array([n // 2 for n in shape[::-1]], dtype=np.float64)
        affine[:3, 3] = np.asarray(center_mm, dtype=np.float64) - affine[:3, :3] @ middle
        return cls(shape, affine)

    @property
    def voxel_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along (x, y, z), mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def fov_mm(self) -> tuple[float, float, float]:
        """Field of view along (x, y, z), mm."""
        (x, y, z), (nz, ny, nx) = self.voxel_mm, self.shape
        return x * nx, y * ny, z * nz

    @property
    def directions(self) -> Array:
        """Unit vectors along x, y, z as columns, LPS."""
        return self.affine[:3, :3] / np.asarray(self.voxel_mm)

    def to_world(self, points_xyz: Numbers) -> Array:
        """Voxel coordinates (..., 3) as (x, y, z) to LPS mm."""
        return np.asarray(points_xyz, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_voxel(self, points_mm: Numbers) -> Array:
        """LPS mm (..., 3) to voxel coordinates (x, y, z)."""
        inverse = np.linalg.inv(self.affine)
        return np.asarray(points_mm, dtype=np.float64) @ inverse[:3, :3].T + inverse[:3, 3]

    def cropped(self, start_zyx: Sequence[int], shape: tuple[int, int, int]) -> Geometry:
        """The grid that begins at voxel start (negative: padded) and has the given (z, y, x) shape."""
        affine = self.affine.copy()
        affine[:3, 3] = self.to_world(np.asarray(start_zyx, dtype=np.float64)[::-1])
        return replace(self, shape=shape, affine=affine)

    def centre_cropped(self, shape: tuple[int, int, int]) -> Geometry:
        """Crop or pad about index n // 2, as `ops.sampling.centre_crop` does to a tensor."""
        start = [n // 2 - m // 2 for n, m in zip(self.shape, shape, strict=True)]
        return self.cropped(start, shape)

    def resized(self, shape: tuple[int, int, int]) -> Geometry:
        """The same field of view with other voxel sizes; the point at index n // 2 stays (Fourier interpolation)."""
        voxel = [f / n for f, n in zip(self.fov_mm, shape[::-1], strict=True)]
        centre = self.to_world([n // 2 for n in self.shape[::-1]])
        made = self.from_frame(centre, self.directions, voxel, shape)
        return replace(made, oriented=self.oriented, forms=self.forms)

    def flipped(self, axis: int) -> Geometry:
        """The grid after the tensor's axis (0 z, 1 y, 2 x) was reversed."""
        column, affine = 2 - axis, self.affine.copy()
        affine[:3, 3] += affine[:3, column] * (self.shape[axis] - 1)
        affine[:3, column] *= -1
        return replace(self, affine=affine)

    def permuted(self, axes: tuple[int, int, int]) -> Geometry:
        """The grid after `tensor.permute(axes)` of its (z, y, x) axes."""
        columns = [2 - axes[2 - column] for column in range(3)]
        affine = self.affine.copy()
        affine[:3, :3] = self.affine[:3, columns]
        return replace(self, shape=(self.shape[axes[0]], self.shape[axes[1]], self.shape[axes[2]]), affine=affine)

    def matches(self, other: Geometry, tolerance_mm: float = 1e-3) -> bool:
        """Whether both grids have the same voxels, to a tolerance at the corners."""
        if self.shape != other.shape:
            return False
        ends = corners(self.shape)
        return bool(np.abs(self.to_world(ends) - other.to_world(ends)).max() <= tolerance_mm)


def corners(shape: Shape) -> Array:
    """Voxel coordinates (x, y, z) of the eight outermost voxels of a (z, y, x) grid."""
    ends = [[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    return np.array(ends, dtype=np.float64) * (np.array(shape)[::-1] - 1)


def inverted_affine(matrix: Array) -> Array:
    """The inverse of a 4x4 (or 3x3) matrix, float64."""
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def stack(slices: Sequence[Geometry], tolerance_mm: float = 0.05) -> tuple[list[int], Geometry]:
    """Order single-slice grids along their normal and join them into one volume.

    Returns
    -------
    The order in which to take the slices, and the volume's geometry.

    Raises
    ------
    DataError
        Names slices that are tilted or shifted relative to the first, coincide, or leave a gap.
    """
    first = slices[0]
    if len(slices) == 1:
        return [0], first
    for i, g in enumerate(slices):
        if g.shape != first.shape or g.shape[0] != 1:
            raise DataError(
                f"slice {i} has shape {g.shape}, slice 0 has {first.shape}", do="reconstruct them separately"
            )
        if np.abs(g.affine[:3, :2] - first.affine[:3, :2]).max() * max(g.shape) > 10 * tolerance_mm:
            raise DataError(f"slice {i} is tilted against slice 0", do="write each stack of slices to its own file")
    normal = first.directions[:, 2]
    offsets = np.array([g.affine[:3, 3] - first.affine[:3, 3] for g in slices])
    along = offsets @ normal
    order = [int(i) for i in np.argsort(along, kind="stable")]
    steps = np.diff(along[order])
    if steps.min() < tolerance_mm:
        i = int(steps.argmin())
        raise DataError(f"slices {order[i]} and {order[i + 1]} lie in the same place", do="keep one of them")
    if steps.max() - steps.min() > 10 * tolerance_mm:
        i = int(steps.argmax())
        raise DataError(
            f"slices {order[i]} and {order[i + 1]} lie {steps[i]:.2f} mm apart, others {steps.min():.2f} mm",
            do="a slice is missing: find it, or write the parts to separate files",
        )
    step = (offsets[order[-1]] - offsets[order[0]]) / (len(slices) - 1)
    sideways = offsets[order] - offsets[order[0]] - np.arange(len(slices))[:, None] * step
    if np.abs(sideways).max() > 10 * tolerance_mm:
        raise DataError("the slices are shifted sideways against each other", do="write each to its own file")
    affine = slices[order[0]].affine.copy()
    affine[:3, 2] = step
    return order, replace(first, shape=(len(slices), *first.shape[1:]), affine=affine)
