"""Scans from arrays in memory: the samples of a NumPy or PyTorch session, and what only their owner knows."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from spinecho.core.errors import DataError, setting
from spinecho.core.header import Header
from spinecho.core.kspace import KSpace
from spinecho.io.array import kspace as array_kspace
from spinecho.io.array import samples as array_samples
from spinecho.io.array import traj as array_traj
from spinecho.io.axes import IMAGE, rows_are_readout
from spinecho.io.exchange.arrays import checked_voxel_mm, plain
from spinecho.io.options import ReadOptions, refuse_along_trajectory


def from_samples(
    samples: npt.ArrayLike,
    axes: str,
    *,
    mask: npt.ArrayLike | None = None,
    traj: npt.ArrayLike | None = None,
    domain: Literal["kspace", "coil-images"] = "kspace",
    readout: Literal["x", "y"] = "x",
    oversampling: float = 1.0,
    voxel_mm: tuple[float, float, float] | None = None,
) -> KSpace:
    """A scan from an array of samples, as `read` makes it from a file of the same array.

    Parameters
    ----------
    samples
        Complex, or real with real and imaginary part as a last axis; zeros where nothing was measured. A tensor on a
        GPU comes to the CPU first (`.cpu()`).
    axes
        Names of its axes, in order, such as "coil k1 k0" (k0: readout, k1 and k2: phase encodes), out of slice, time,
        contrast, average, repetition, coil, k2, k1, k0; of coil images z, y and x in their place.
    mask
        What was measured: with the samples' axes, without coil, or k1 alone. None: what is not zero.
    traj
        Points of samples along a trajectory: complex kx + i ky, or real with 2 or 3 components on the first or last
        axis; cycles per field of view, cycles per pixel (up to 0.5) or radians per pixel.
    domain
        Whether the array holds k-space or complex coil images (whose Fourier transforms are then the samples).
    readout
        Of coil images: the axis that the readout runs along.
    oversampling
        Of the readout, cropped from the image.
    voxel_mm
        Voxel size of the picture: columns, rows, slices.

    Raises
    ------
    DataError
        If names, mask or trajectory do not fit the array, or the values are not complex numbers.
    """
    for name, value, known in (("domain", domain, ("kspace", "coil-images")), ("readout", readout, ("x", "y"))):
        if value not in known:
            raise DataError(f"{setting(name)} is {value!r}", do=f"give {' or '.join(known)}")
    if not isinstance(axes, str):
        raise DataError(f"{setting('axes')} is {axes!r}", do='write their names in one string, such as "coil k1 k0"')
    array, voxel_mm = plain(samples), checked_voxel_mm(voxel_mm)
    names = array_samples.axes_named(axes, array.shape, np.iscomplexobj(array), domain)
    if domain == "kspace" and set(names) & set(IMAGE):
        problem = f"{setting('axes', axes)} names axes of an image, and {setting('domain')} is kspace"
        raise DataError(
            problem, do=f"for coil images say {setting('domain', 'coil-images')}; from_numpy takes an image"
        )
    if traj is not None:
        given = None if mask is None else Path("mask")
        refuse_along_trajectory(ReadOptions(domain=domain, readout=readout, mask=given))
    values = array_samples.to_complex(array, names)
    n_slices = values.shape[names.index("slice")] if "slice" in names else None
    turned = rows_are_readout(names, readout)
    picture = array_kspace.Picture(transposed=turned, n_slices=n_slices, voxel_mm=voxel_mm)
    header = Header(file_format="array", flags=("orientation=unknown",)).noted(f"from an array of {' '.join(names)}")
    ordered, names, batch = array_kspace.in_order(values, names, domain, readout)
    if traj is not None:
        points = array_traj.laid_out(plain(traj), names, values.shape)
        return array_kspace.along_trajectory(ordered, batch, picture, header, points, oversampling)
    measured = None if mask is None else array_kspace.mask_tensor(plain(mask), names, values.shape)
    return array_kspace.cartesian(ordered, batch, picture, header, measured, oversampling)
