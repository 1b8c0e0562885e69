"""Which grid is wanted, and how detail was lost along each axis: from what a person says, or from the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from torch import Tensor

from spinecho.core.errors import DataError, setting
from spinecho.core.geometry import Geometry
from spinecho.core.header import WARNING
from spinecho.tasks.superres.parts.degrade import WIDTHS, Degradation, degradation
from spinecho.tasks.superres.parts.profile import found_width

Numbers = float | Sequence[float] | None
"""One for all axes, or one for each of x, y, z"""

THICK = 1.3
"""A voxel so many times as long as the shortest side is thick"""
MOST = 10.0
"""New voxels for each old one along an axis"""
_DEFAULT = 2.0
_OVERLAP = 1.5
"""Thickness over distance beyond which a file's word is not taken: such slices were interpolated by the scanner"""


def regridded(geometry: Geometry, shape: Sequence[int]) -> Geometry:
    """A grid of another shape (z, y, x) with the same edges of the field."""
    ratio = np.array([old / new for old, new in zip(geometry.shape, shape, strict=True)])[::-1]
    affine = geometry.affine.copy()
    affine[:3, 3] = geometry.to_world(ratio / 2 - 0.5)
    affine[:3, :3] = affine[:3, :3] * ratio
    return replace(geometry, shape=(shape[0], shape[1], shape[2]), affine=affine)


def shape_of(geometry: Geometry, factor: Numbers, spacing_mm: Numbers) -> tuple[int, int, int]:
    """Voxels (z, y, x) of the new grid: as asked for, else thick slices made thin, else twice as many each way.

    Raises
    ------
    DataError
        If both are given, or a number makes no sense.
    """
    if factor is not None and spacing_mm is not None:
        do = "give one of them, or none for a default"
        raise DataError(f"{setting('factor')} and {setting('spacing_mm')} are both given", do=do)
    if spacing_mm is not None:
        wanted = _three("spacing_mm", spacing_mm)
        factors = [voxel / new for voxel, new in zip(geometry.voxel_mm, wanted, strict=True)]
    elif factor is not None:
        factors = list(_three("factor", factor))
    else:
        factors = _default(geometry)
    sizes = [max(1, round(n * f)) if n > 1 else 1 for n, f in zip(geometry.shape, factors[::-1], strict=True)]
    if any(new > MOST * old for new, old in zip(sizes, geometry.shape, strict=True)):
        told = " x ".join(f"{f:.3g}" for f in factors)
        raise DataError(f"{told} times as many voxels (x, y, z) are asked for", do=f"give at most {MOST:g} an axis")
    return sizes[0], sizes[1], sizes[2]


def degradations(
    values: Float[Tensor, "1 z y x"],
    geometry: Geometry,
    shape: Sequence[int],
    named: str | None,
    thickness_mm: float | None,
    stated_mm: float = 0.0,
) -> tuple[tuple[Degradation | None, Degradation | None, Degradation | None], list[str]]:
    """For each of z, y, x, and what was assumed, as sentences.

    Parameters
    ----------
    named
        One for all axes; None: thick axes are slices, others k-space truncation.
    thickness_mm
        Of thick slices, without their gap; where no axis is thick, of all slices. None: as stated, else found.
    stated_mm
        What the file says of slices along z; 0: nothing.
    """
    voxels = geometry.voxel_mm[::-1]
    least = min(v for v, n in zip(voxels, geometry.shape, strict=True) if n > 1) if max(geometry.shape) > 1 else 1.0
    finer = [axis for axis, (old, new) in enumerate(zip(geometry.shape, shape, strict=True)) if old != new]
    thick = [axis for axis in finer if voxels[axis] > THICK * least]
    chosen: list[Degradation | None] = [None, None, None]
    told: list[str] = []
    for axis in finer:
        name = named or ("slices" if axis in thick else "kspace")
        width: float | None = None
        if name == "slices" and (axis in thick or (thickness_mm is not None and not thick)):
            width, how = _width(values, geometry, axis, thickness_mm, stated_mm if axis == 0 else 0.0)
            shown = (1.0 if width is None else width) * voxels[axis]
            told.append(f"slices {how} {shown:.2g} mm thick at {voxels[axis]:.2g} mm distance")
        chosen[axis] = degradation(name, width)
    if thickness_mm is not None and not told:
        told.append(f"{WARNING}{setting('thickness_mm')} is not used: no axis is taken for one of thick slices")
    lost = ", ".join(f"{axis}: {d}" for axis, d in zip("zyx", chosen, strict=True) if d is not None)
    return (chosen[0], chosen[1], chosen[2]), [*told, f"detail taken to be lost along {lost}"] if lost else told


def _width(
    values: Float[Tensor, "1 z y x"], geometry: Geometry, axis: int, given_mm: float | None, stated_mm: float
) -> tuple[float | None, str]:
    """Thickness over distance, and where it comes from; what a file states counts where it can be true."""
    distance = geometry.voxel_mm[::-1][axis]
    if given_mm is not None:
        return given_mm / distance, "given as"
    if WIDTHS[0] <= stated_mm / distance <= _OVERLAP:
        return stated_mm / distance, "stated in the header as"
    width = found_width(values, geometry, axis)
    return width, "taken to be" if width is None else "found to be"


def _default(geometry: Geometry) -> list[float]:
    """Thick axes to the shortest side, as far as `MOST` goes; where none is thick, all axes by 2."""
    several = [n > 1 for n in geometry.shape[::-1]]
    least = min((v for v, many in zip(geometry.voxel_mm, several, strict=True) if many), default=1.0)
    factors = [
        min(MOST, v / least) if many and v > THICK * least else 1.0
        for v, many in zip(geometry.voxel_mm, several, strict=True)
    ]
    return factors if max(factors) > 1 else [_DEFAULT if many else 1.0 for many in several]


def _three(name: str, given: float | Sequence[float]) -> tuple[float, float, float]:
    numbers = [float(given)] if isinstance(given, (int, float)) else [float(v) for v in given]
    numbers = numbers * 3 if len(numbers) == 1 else numbers
    if len(numbers) != 3 or not all(0 < v < float("inf") for v in numbers):
        raise DataError(f"{setting(name)} is {given}", do="give one number over 0, or one for each of x, y, z")
    return numbers[0], numbers[1], numbers[2]
