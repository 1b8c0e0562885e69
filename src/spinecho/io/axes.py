"""Names of an array's axes: read them, guess them where one reading is left, put arrays into the house's order.

How an array becomes a picture
------------------------------
Inside the package the image axis x is always the readout. The picture of a scan without orientation must look as its
owner stores it, so its geometry says which internal axis runs along the picture's columns, rows and slices:

- k-space: of k1 and k0, the one named first runs down the rows of the picture, the other along its columns
  ("slice coil k0 k1" shows the readout vertically); k2 and slice count slices;
- samples along a trajectory: the same, with kx for k0 and ky for k1: the image lies as that of a Cartesian scan;
- images: y runs down, x runs right, whatever their order in the array; `readout` only says which of them is k0.

`picture_geometry` makes that geometry (its directions are a permutation of the axes), `Image.as_stored` undoes the
permutation, and every writer and picture calls it first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from spinecho.core.errors import DataError, setting
from spinecho.core.geometry import Geometry
from spinecho.io.guess import TOO_MANY, completed

BATCH = ("slice", "time", "contrast", "average", "repetition")
KSPACE = ("k2", "k1", "k0")
IMAGE = ("z", "y", "x")
NAMES = (*BATCH, "map", "coil", *KSPACE, *IMAGE)


def parse_axes(text: str, shape: Sequence[int]) -> tuple[str, ...]:
    """The names in "coil k1 k0" (or "coil,k1,k0"), checked against an array's shape.

    Raises
    ------
    DataError
        For unknown, doubled or mixed names, and where their number is not that of the array's axes.
    """
    names = tuple(n for n in re.split(r"[\s,]+", text.strip()) if n)
    known = f"the names are {' '.join(NAMES)}"
    if unknown := [n for n in names if n not in NAMES]:
        raise DataError(f"{setting('axes', text)} has the unknown name {unknown[0]!r}", do=known)
    if doubled := [n for n in NAMES if names.count(n) > 1]:
        raise DataError(f"{setting('axes', text)} has {doubled[0]} twice", do="name each axis once")
    if set(names) & set(KSPACE) and set(names) & set(IMAGE):
        raise DataError(f"{setting('axes', text)} mixes k-space and image axes", do="use one kind; " + known)
    if not set(names) & {*KSPACE, *IMAGE}:
        raise DataError(f"{setting('axes', text)} names neither a k-space nor an image axis", do=known)
    if len(names) != len(shape):
        problem = f"{setting('axes', text)} names {len(names)} axes, the array has {len(shape)}: {tuple(shape)}"
        guess = completed(names, shape)
        do = f"name them in the array's order; a guess: {setting('axes', guess)}" if guess else TOO_MANY
        raise DataError(problem, do=do)
    return names


def arranged(array: np.ndarray, names: Sequence[str], order: Sequence[str]) -> np.ndarray:
    """A view with the axes in another order; axes that the array lacks are inserted with length 1."""
    if extra := set(names) - set(order):
        raise DataError(f"the axis {sorted(extra)[0]!r} has no place here", do=f"use {' '.join(order)}")
    moved = array.transpose([names.index(n) for n in order if n in names])
    return moved[tuple(slice(None) if n in names else np.newaxis for n in order)]


def batch_axes(names: Sequence[str]) -> tuple[str, ...]:
    """The batch axes among names, in the house's order."""
    return tuple(n for n in BATCH if n in names)


def rows_are_readout(names: Sequence[str], readout: str = "x") -> bool:
    """Whether the readout runs down the rows of the picture (see the module's docstring)."""
    if "k0" in names and "k1" in names:
        return names.index("k0") < names.index("k1")
    return "k0" not in names and "k1" not in names and readout == "y"


def picture_geometry(
    matrix: tuple[int, int, int],
    *,
    transposed: bool,
    n_slices: int | None = None,
    first_slice: int = 0,
    voxel_mm: Sequence[float] | None = None,
) -> tuple[Geometry, ...]:
    """Geometries of a scan without orientation: one, or one per slice.

    Parameters
    ----------
    matrix
        (z, y, x) inside the package: x is the readout.
    transposed
        The readout runs down the rows of the picture.
    n_slices, first_slice
        How many slices a batch axis has (None: no such axis), and the number of the first one in the file.
    voxel_mm
        (x, y, z) of the picture: along its columns, its rows and across slices; 1 mm if None.
    """
    nz, ny, nx = matrix
    stored = (nz, nx, ny) if transposed else (nz, ny, nx)
    voxel = tuple(voxel_mm or (1.0, 1.0, 1.0))
    if min(voxel) <= 0 or not np.isfinite(voxel).all():
        raise DataError(
            f"voxel sizes must be over 0 mm, got {voxel}", do=f"give three, e.g. {setting('voxel_mm', (1, 1, 3))}"
        )
    whole = Geometry.unknown(stored, voxel)
    swap = (0, 2, 1)
    if n_slices is None:
        return (whole.permuted(swap) if transposed else whole,)
    slices = (whole.cropped((first_slice + i, 0, 0), stored) for i in range(n_slices))
    return tuple(g.permuted(swap) if transposed else g for g in slices)
