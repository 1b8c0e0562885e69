"""Convert images to and from nibabel and torchio, whose arrays are (x, y, z) in a RAS world."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.io.exchange.arrays import ORIENTATION, UNKNOWN, assembled, one_volume, package, plain
from spinecho.io.nifti.forms import geometry_of
from spinecho.io.nifti.kept import repetition_ms
from spinecho.io.nifti.write import made

_FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
"""LPS from RAS, and back"""


def from_nibabel(image: Any) -> Image:
    """An image from a nibabel image: any of its classes with `dataobj` and `affine`.

    Raises
    ------
    DataError
        If it has more than five axes, or a type of numbers that an image cannot hold.
    """
    values = np.asanyarray(image.dataobj)
    if not 2 <= values.ndim <= 5 or values.dtype.names or values.dtype.kind not in "biufc":
        problem = f"the image has shape {values.shape} and type {values.dtype}"
        raise DataError(problem, do="give real or complex numbers with two to five axes (x, y, z, time, channel)")
    values = values.reshape((*values.shape, 1, 1, 1)[:5]).transpose(3, 4, 2, 1, 0)
    header, told = getattr(image, "header", None), tuple[str, ...]()
    shape = (values.shape[2], values.shape[3], values.shape[4])
    if hasattr(header, "get_sform"):
        geometry, told = geometry_of(_up_to_date(image), shape)
    elif image.affine is None:
        geometry = Geometry.unknown(shape)
    else:
        geometry = Geometry(shape, _FLIP @ np.asarray(image.affine, dtype=np.float64))
    tr_ms = repetition_ms(header) if hasattr(header, "get_sform") else 0.0
    facts = Header(tr_ms=(tr_ms,) if tr_ms else ()).noted("from nibabel", *told)
    return assembled(values if values.shape[0] > 1 else values[0], geometry, ["time"] * (values.shape[0] > 1), facts)


def _up_to_date(image: Any) -> Any:
    """The header, with the affine where that was changed since, as nibabel itself would write it."""
    if image.affine is None or np.allclose(image.affine, image.header.get_best_affine(), atol=1e-5):
        return image.header
    return type(image)(image.dataobj, image.affine, image.header.copy()).header


def to_nibabel(image: Image) -> Any:
    """A `nibabel.Nifti1Image` (a `Nifti2Image` if it is too large for that): what `spinecho.write` would write.

    Raises
    ------
    DataError
        If it has several contrasts, or its slices make no volume.
    """
    made_here = made(one_volume(image))
    if made_here.header.get_slope_inter()[0] is None:
        return made_here
    return type(made_here).from_bytes(made_here.to_bytes())  # nibabel scales what it reads, not arrays in memory


def from_torchio(image: Any) -> Image:
    """An image from torchio's `ScalarImage` or `LabelMap`: `data` (channel, x, y, z) and `affine`, which is RAS."""
    if not hasattr(image, "data") or not hasattr(image, "affine"):
        raise DataError(f"a {type(image).__name__} has no data and affine", do="give a torchio image, not a batch")
    values = plain(image.data)
    if values.ndim != 4:
        raise DataError(f"the image has shape {values.shape}", do="give one image (channel, x, y, z)")
    values = values.transpose(0, 3, 2, 1)
    geometry = Geometry(values.shape[1:], _FLIP @ np.asarray(image.affine, dtype=np.float64))
    if isinstance(image, dict) and image.get(ORIENTATION) == UNKNOWN:
        geometry = Geometry.unknown(geometry.shape, geometry.voxel_mm)
    return assembled(values, geometry, [], Header().noted("from torchio"))


def to_torchio(image: Image) -> Any:
    """torchio's `ScalarImage`, or its `LabelMap` if the values are integers; frames become channels.

    Raises
    ------
    DataError
        If torchio is not installed, or the image has several contrasts, or both frames and channels.
    """
    torchio, volume = package("torchio", "torchio"), one_volume(image)
    values = volume.values
    if min(values.shape[:2]) > 1:
        raise DataError(
            f"the image has {values.shape[0]} frames of {values.shape[1]} channels, torchio has one axis for both",
            do="take one entry of either",
        )
    values = values.reshape(-1, *values.shape[2:]).transpose(0, 3, 2, 1)
    kind = torchio.LabelMap if values.dtype.kind in "iu" else torchio.ScalarImage
    told = {} if volume.geometry.oriented else {ORIENTATION: UNKNOWN}
    return kind(tensor=torch.from_numpy(np.array(values, order="C")), affine=_FLIP @ volume.geometry.affine, **told)
