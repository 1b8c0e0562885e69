"""What is known of one slice of a DICOM file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One slice of one file: where it lies (LPS mm) and what distinguishes it from its neighbours.

    Parameters
    ----------
    file, index
        Where its pixels are: the frame of a multi-frame file, or the tile of a mosaic.
    mosaic
        Tiles along a side of a mosaic (0: none).
    shape
        (rows, columns).
    axes
        Unit vectors along x (increasing column) and y (increasing row), as columns (3, 2); None: not recorded.
    position
        Centre of the first voxel, None: not recorded.
    spacing_mm
        Between voxel centres along (x, y, z), as recorded: 0 where nothing is, and z may be negative.
    pixel_size_from
        The attribute that says it; "": none.
    between_mm
        SpacingBetweenSlices alone, 0: not recorded.
    location
        SliceLocation, which orders slices without positions; None: not recorded.
    echo, when
        Keys that order contrasts, and frames in time.
    kind, words
        magnitude, phase, real, ... (`io/dicom/kinds.py`), and the words of the image type that say so.
    slope, intercept
        value = slope * stored + intercept.
    """

    file: Path
    index: int
    mosaic: int = 0
    shape: tuple[int, int]
    axes: npt.NDArray[np.float64] | None
    position: npt.NDArray[np.float64] | None
    spacing_mm: tuple[float, float, float]
    pixel_size_from: str = ""
    between_mm: float = 0.0
    location: float | None = None
    echo: tuple[float, ...]
    when: tuple[float, ...]
    kind: str
    words: tuple[str, ...]
    slope: float
    intercept: float
