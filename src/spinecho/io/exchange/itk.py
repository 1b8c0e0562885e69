"""Convert images to and from SimpleITK, whose world is LPS as ours is."""

from __future__ import annotations

from typing import Any

import numpy as np

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.io.exchange.arrays import ORIENTATION, UNKNOWN, assembled, one_volume, package

_PIP = "SimpleITK"


def from_sitk(image: Any) -> Image:
    """An image from `SimpleITK.Image`: two axes make one slice, four a series; components are channels.

    Raises
    ------
    DataError
        If SimpleITK is not installed, or the image has another number of axes.
    """
    sitk = package(_PIP, _PIP)
    if "label" in image.GetPixelIDTypeAsString():  # as an array it would end the whole process
        image = sitk.Cast(image, sitk.sitkUInt32)
    values = sitk.GetArrayFromImage(image)
    n_axes, n_components = image.GetDimension(), image.GetNumberOfComponentsPerPixel()
    if n_axes not in (2, 3, 4):
        raise DataError(f"the image has {n_axes} axes", do="give one with two, three or four (x, y, z, time)")
    values = np.moveaxis(values, -1, 0) if n_components > 1 else values[None]
    values = values[:, None] if n_axes == 2 else np.swapaxes(values, 0, 1) if n_axes == 4 else values
    affine, n = np.eye(4), min(n_axes, 3)
    directions = np.reshape(image.GetDirection(), (n_axes, n_axes))[:n, :n]
    affine[:n, :n] = directions @ np.diag(image.GetSpacing()[:n])
    affine[:n, 3] = image.GetOrigin()[:n]
    shape = (values.shape[-3], values.shape[-2], values.shape[-1])
    known = Geometry(shape, affine)
    is_known = n_axes > 2 and not (image.HasMetaDataKey(ORIENTATION) and image.GetMetaData(ORIENTATION) == UNKNOWN)
    geometry = known if is_known else Geometry.unknown(shape, known.voxel_mm)
    steps = [f"spacing along the fourth axis: {image.GetSpacing()[3]:g}"] if n_axes == 4 else []
    return assembled(values, geometry, ["time"] * (n_axes == 4), Header().noted("from SimpleITK", *steps))


def to_sitk(image: Image) -> Any:
    """A `SimpleITK.Image` with three axes, or four if there are frames (their distance in s); channels are components.

    Raises
    ------
    DataError
        If SimpleITK is not installed, the image has several contrasts, or what SimpleITK does not hold: axes that are
        not at right angles, or channels of complex values.
    """
    sitk, volume = package(_PIP, _PIP), one_volume(image)
    values, geometry = volume.values, volume.geometry
    off = np.abs(geometry.directions.T @ geometry.directions - np.eye(3)).max()
    if off > 1e-4:
        raise DataError(
            f"its axes are not at right angles (a cosine of {off:.2g})",
            do="write NIfTI, or bring it onto a grid whose axes are (spinecho apply)",
        )
    is_series, is_vector = values.shape[0] > 1, values.shape[1] > 1
    if is_vector and np.iscomplexobj(values):
        problem = f"the image has {values.shape[1]} channels of complex values"
        raise DataError(problem, do="combine the coils, or take real and imaginary part apart")
    values = np.moveaxis(values, 1, -1)
    values = values if is_vector else values[..., 0]
    values = np.array(values if is_series else values[0], order="C")
    made = sitk.GetImageFromArray(values, isVector=is_vector)
    n = 4 if is_series else 3
    directions = np.eye(n)
    directions[:3, :3] = geometry.directions
    tr_s = volume.header.tr_ms[0] / 1000 if volume.header.tr_ms else 1.0
    made.SetSpacing([*geometry.voxel_mm, tr_s][:n])
    made.SetOrigin([*map(float, geometry.affine[:3, 3]), 0.0][:n])
    made.SetDirection([float(d) for d in directions.ravel()])
    if not geometry.oriented:
        made.SetMetaData(ORIENTATION, UNKNOWN)
    return made
