"""How far apart voxels lie, and what a person must know where the files do not say it as they should."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spinecho.core.errors import DataError, plain, setting
from spinecho.core.header import WARNING
from spinecho.core.names import listed
from spinecho.io.dicom.frame import Frame

_PIXELS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
"""(row, column) mm in the patient; at a detector or a film scanner, which is that of the patient where nothing
magnifies, as in magnetic resonance."""
_SAY = plain(f"say it with {setting('voxel_mm')}")
_SLICES = ("SpacingBetweenSlices", "SliceThickness")
Voxel = tuple[float, float, float]


def pixel_size(get: Callable[[str], Any], file: Path) -> tuple[float, float, str]:
    """Along x and y, mm, and the attribute that says so; (0, 0, "") where none does.

    Raises
    ------
    DataError
        If what is recorded is no pair of numbers over 0.
    """
    for keyword in _PIXELS:
        value = get(keyword)
        if value is None:
            continue
        numbers = np.atleast_1d(np.asarray(value, dtype=np.float64))
        if numbers.shape != (2,) or not np.isfinite(numbers).all():
            raise DataError(f"{file.name} has a {keyword} of {value}, but it needs 2 numbers", do="export it again")
        dy, dx = (float(v) for v in numbers)
        if min(dx, dy) <= 0:
            raise DataError(f"{file.name} has pixels of {dx} x {dy} mm", do="export it again")
        return dx, dy, keyword
    return 0.0, 0.0, ""


def slice_distance(get: Callable[[str], Any], file: Path) -> tuple[float, float]:
    """What a file says of the distance to the next slice, and of SpacingBetweenSlices alone, mm; 0: nothing.

    Without SpacingBetweenSlices the thickness counts. Negative numbers stay as they are.

    Raises
    ------
    DataError
        If one of them is no number.
    """
    distances = []
    for keyword in _SLICES:
        value = float(get(keyword) or 0)
        if not math.isfinite(value):
            raise DataError(f"{file.name} has a {keyword} of {value}", do="export it again")
        distances.append(value)
    return distances[0] or distances[1], distances[0]


def with_pixel_sizes(frames: Sequence[Frame], voxel_mm: Voxel | None) -> tuple[list[Frame], list[str]]:
    """Frames that all have a pixel size, and how those that record none came to it.

    Parameters
    ----------
    voxel_mm
        What a person says (x, y, z); for frames that say nothing themselves.

    Raises
    ------
    DataError
        If a person says something else than the files.
    """
    known = next((f for f in frames if f.spacing_mm[0]), None)
    silent = [f for f in frames if not f.spacing_mm[0]]
    told = []
    if known is not None:
        dx, dy = known.spacing_mm[:2]
        _check_said(voxel_mm, (dx, dy))
        if known.pixel_size_from != _PIXELS[0]:
            told.append(f"{WARNING}DICOM: no PixelSpacing: the pixel size was taken from {known.pixel_size_from}")
        if silent:
            who = f"{len(silent)} of {len(frames)} images ({listed([f.file for f in silent])})"
            told.append(
                f"{WARNING}DICOM: {who} record no pixel size: that of the others, {dx:g} x {dy:g} mm, was taken"
            )
    elif voxel_mm is not None:
        dx, dy = voxel_mm[:2]
        told.append(f"DICOM: no PixelSpacing: the pixel size is {dx:g} x {dy:g} mm as given")
    else:
        dx = dy = 1.0
        told.append(f"{WARNING}DICOM: no PixelSpacing: the pixel size is unknown, 1 mm was assumed ({_SAY})")
    filled = [f if f.spacing_mm[0] else replace(f, spacing_mm=(dx, dy, f.spacing_mm[2])) for f in frames]
    return filled, told


def thickness(frame: Frame, voxel_mm: Voxel | None) -> tuple[float, list[str]]:
    """The extent along z of a slice that has no neighbour, mm, and what must be known of it."""
    dz = frame.spacing_mm[2]
    if dz > 0:
        return dz, []
    if dz < 0:
        return -dz, [f"{WARNING}DICOM: the slice's distance or thickness is {dz:g} mm: {-dz:g} mm was taken"]
    if voxel_mm is not None:
        return voxel_mm[2], [f"DICOM: the slice's thickness is {voxel_mm[2]:g} mm as given"]
    return 1.0, [f"{WARNING}DICOM: the slice's thickness is unknown, 1 mm was assumed ({_SAY})"]


def _check_said(voxel_mm: Voxel | None, recorded: tuple[float, float]) -> None:
    if voxel_mm is not None and not np.allclose(voxel_mm[:2], recorded, rtol=0.01):
        own = f"{recorded[0]:g} x {recorded[1]:g}"
        said = f"{setting('voxel_mm')} says {voxel_mm[0]:g} x {voxel_mm[1]:g} mm, the series has {own}"
        raise DataError(said, do=f"leave out {setting('voxel_mm')}")
