"""Frames of a DICOM series put in order: contrast, time, and slices by position; gaps and doubles are named."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.io.dicom.files import quiet
from spinecho.io.dicom.frame import Frame
from spinecho.io.dicom.frames import frames_of
from spinecho.io.dicom.kinds import by_kind
from spinecho.io.dicom.places import by_place, check_above_each_other, check_alike, grid, located
from spinecho.io.dicom.repeats import contrasts, without_unfinished_slice
from spinecho.io.dicom.spacing import Voxel, with_pixel_sizes
from spinecho.io.dicom.unpack import stored_numbers
from spinecho.io.limits import check_memory


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """Frames by (contrast, time, z), the grid they fill, and what a person must know of both."""

    frames: list[list[list[Frame]]]
    geometry: Geometry
    told: tuple[str, ...] = ()

    @property
    def of_files(self) -> set[tuple[Path, int]]:
        """Which frames of which files it is made of."""
        return {(f.file, f.index) for times in self.frames for slices in times for f in slices}


def kinds(headers: list[Any]) -> dict[str, list[Frame]]:
    """All frames of the data sets, those of each kind together; the first kind is what a person wants first."""
    with quiet():
        return by_kind([frame for ds in headers for frame in frames_of(ds)])


def ordered(headers: list[Any]) -> Series:
    """The first kind of image in the data sets as a series of volumes; raises what `arranged` does."""
    return arranged(next(iter(kinds(headers).values())))


def arranged(frames: list[Frame], voxel_mm: Voxel | None = None) -> Series:
    """Frames of one kind as a series of volumes.

    Slices are ordered along the normal (x cross y), so that the grid is right-handed. Frames at the same place are
    distinguished by echo (contrasts), then by temporal position, acquisition number, trigger time, time and instance
    number (time). A last volume that is not whole is left out, and its files are named.

    Parameters
    ----------
    voxel_mm
        What a person says of the voxel size (x, y, z), for files that say nothing.

    Raises
    ------
    DataError
        If the frames differ in size or orientation, lie beside each other, a slice is missing, or some places have more
        frames than others.
    """
    frames, of_pixels = with_pixel_sizes(frames, voxel_mm)
    frames, oriented, of_places = located(frames)
    check_alike(frames)
    places = by_place(frames)
    check_above_each_other(places)
    places, of_slices = without_unfinished_slice(places)
    frames_ctz, of_times = contrasts(places)
    geometry, of_grid = grid([place[0] for place in places], oriented, voxel_mm)
    told = (*of_pixels, *of_places, *of_slices, *of_grid, *of_times)
    return Series(frames=frames_ctz, geometry=geometry, told=told)


def pixels(series: Series) -> npt.NDArray[np.float32]:
    """Values (contrast, time, z, y, x); each file is read once.

    Raises
    ------
    DataError
        If pixels are missing, compressed in a way that cannot be read, or would not fit into memory.
    """
    shape = (len(series.frames), len(series.frames[0]), *series.geometry.shape)
    check_memory(4 * int(np.prod(shape)), f"the series of shape {shape}")
    values = np.empty(shape, np.float32)
    wanted = defaultdict(list)
    for c, times in enumerate(series.frames):
        for t, slices in enumerate(times):
            for z, frame in enumerate(slices):
                wanted[frame.file].append(((c, t, z), frame))
    for file, parts in wanted.items():
        stored = _tiles(stored_numbers(file), parts[0][1])
        for place, frame in parts:
            if frame.index >= len(stored) or stored.shape[1:] != frame.shape:
                raise DataError(f"{file.name} holds pixels of shape {stored.shape}, declared are {frame.shape}")
            values[place] = stored[frame.index] * np.float32(frame.slope) + np.float32(frame.intercept)
    return values


def _tiles(stored: npt.NDArray[Any], frame: Frame) -> npt.NDArray[Any]:
    """The tiles of a mosaic are its frames (frame, row, column); other files stay as they are."""
    if not frame.mosaic:
        return stored
    (rows, columns), n = frame.shape, frame.mosaic
    tiles = stored[0, : n * rows, : n * columns].reshape(n, rows, n, columns)
    return tiles.transpose(0, 2, 1, 3).reshape(n * n, rows, columns)
