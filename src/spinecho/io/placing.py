"""Give an image whose scan does not say how the patient lay the orientation that its owner names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from spinecho.core.errors import DataError, setting
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.io.likeness import check_likeness
from spinecho.io.options import WriteOptions
from spinecho.io.volume import UNKNOWN_ORIENTATION


def placed(image: Image, options: WriteOptions) -> Image:
    """The image as a volume in the world of `--affine FILE` or `--like SERIES`, where it has none of its own.

    Raises
    ------
    DataError
        If the file is no affine, the series has another shape, the image lies mirrored against it, or `--affine` is
        given for an oriented scan.
    """
    image = image.as_stored().volume()
    if image.geometry.oriented:
        if options.affine is not None:
            check_lent(True, options)
        return image
    if options.affine is not None:
        geometry, source = Geometry(image.geometry.shape, read_affine(options.affine)), options.affine.name
    elif options.like is not None:
        from spinecho.io.dicom.like import series_geometry, series_magnitude

        geometry, source = series_geometry(options.like), options.like.name
        if geometry.shape != image.geometry.shape:
            problem = (
                f"the image has shape {image.geometry.shape} (z, y, x), the series {options.like} {geometry.shape}"
            )
            raise DataError(
                problem, do=f"give the series of the same scan, or the orientation with {setting('affine')}"
            )
        magnitude = image.magnitude().values
        mean = magnitude.reshape(-1, *geometry.shape).float().mean(0)
        source += f"; {check_likeness(mean.cpu().numpy(), series_magnitude(options.like))}"
    else:
        return image
    flags = tuple(f for f in image.header.flags if f != UNKNOWN_ORIENTATION)
    header = replace(image.header, flags=flags).noted(f"orientation taken from {source}")
    return replace(image, geometries=(geometry,), header=header)


def check_lent(oriented: bool, options: WriteOptions) -> None:
    """Refuse a `--affine` or `--like` that could not be used, before the image is made.

    Raises
    ------
    DataError
        As `placed`, except for the series' shape.
    """
    if options.affine is not None:
        if oriented:
            raise DataError(
                f"{setting('affine')} is given, but the scan records its orientation",
                do=f"leave out {setting('affine')}",
            )
        read_affine(options.affine)
    elif options.like is not None:
        from spinecho.io.dicom.like import series_geometry

        series_geometry(options.like)


def read_affine(path: Path) -> np.ndarray:
    """A text file with 4 rows of 4 numbers: voxel (x, y, z, 1) to LPS mm.

    Raises
    ------
    DataError
        If it holds anything else.
    """
    wanted = "write 4 lines of 4 numbers, voxel (x, y, z, 1) to LPS mm, the last line 0 0 0 1"
    try:
        affine = np.loadtxt(path, dtype=np.float64, delimiter="," if "," in path.read_text() else None)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise DataError(f"it is not an affine: {error}", do=wanted, file=path) from error
    if affine.shape != (4, 4) or not np.array_equal(affine[3], [0, 0, 0, 1]):
        raise DataError(f"it holds numbers of shape {affine.shape}", do=wanted, file=path)
    return affine
