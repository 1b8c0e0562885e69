"""Images to and from NumPy arrays, and what the other packages' images share."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from spinecho.core.errors import DataError, setting
from spinecho.core.geometry import Geometry, Numbers
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.io.axes import IMAGE
from spinecho.io.numbers import held, kept_type
from spinecho.io.volume import UNKNOWN_ORIENTATION, Volume, volumes

Array = npt.NDArray[Any]
_BATCH = ("time", "contrast", "repetition", "average")
_PLACES = (*_BATCH, "channel", *IMAGE)
ORIENTATION, UNKNOWN = "spinecho_orientation", "unknown"
"""A word beside the image, for packages whose images always have a world."""
_USUAL = {2: "y x", 3: "z y x", 4: "time z y x"}


def from_numpy(
    array: npt.ArrayLike, axes: str | None = None, *, voxel_mm: Numbers | None = None, affine: Numbers | None = None
) -> Image:
    """An image from an array.

    Parameters
    ----------
    array
        Real or complex; whole numbers stay whole numbers.
    axes
        Names of its axes, in order, out of time, contrast, repetition, average, channel, z, y, x; None: "z y x",
        "y x" for two axes, "time z y x" for four. An array in nibabel's order (x, y, z) is "x y z".
    voxel_mm
        Distance between voxels along (x, y, z); how the patient lay stays unknown. None: 1 mm.
    affine
        4x4, voxel (x, y, z) to LPS mm, instead of `voxel_mm`: with it left and right are known.

    Raises
    ------
    DataError
        If the axes do not fit the array, or an image cannot hold its type of numbers.
    """
    values = plain(array)
    if values.dtype.kind not in "biufc" or not values.size:
        raise DataError(f"the array has shape {values.shape} and type {values.dtype}", do="give numbers, at least one")
    if voxel_mm is not None and affine is not None:
        raise DataError(f"{setting('voxel_mm')} and {setting('affine')} are both given", do="give one of them")
    if axes is not None and not isinstance(axes, str):
        raise DataError(f"{setting('axes')} is {axes!r}", do='write their names in one string, such as "z y x"')
    names = (axes or _USUAL.get(values.ndim, "")).split()
    unknown = [n for n in names if n not in _PLACES]
    if unknown or len(names) != values.ndim or len(set(names)) < len(names) or not {"y", "x"} <= set(names):
        problem = f"the array has shape {values.shape}, its axes are called {' '.join(names) or 'nothing'}"
        raise DataError(problem, do=f"name each axis once, of: {' '.join(_PLACES)}; y and x are needed")
    ordered = [n for n in _PLACES if n in names]
    values = values.transpose([names.index(n) for n in ordered])
    for at, name in enumerate(n for n in _PLACES if n in ("channel", "z") or n in names):
        values = values if name in ordered else np.expand_dims(values, at)
    shape = (values.shape[-3], values.shape[-2], values.shape[-1])
    known = None if affine is None else Geometry(shape, np.asarray(affine, dtype=np.float64))
    return assembled(values, known or Geometry.unknown(shape, checked_voxel_mm(voxel_mm) or (1.0, 1.0, 1.0)), names)


def plain(array: Any) -> Array:
    """As NumPy's array: tensors of any kind and place, and no entries that are masked.

    Raises
    ------
    DataError
        If entries are masked: an image has a value everywhere.
    """
    if isinstance(array, torch.Tensor):
        array = array.detach().resolve_conj().resolve_neg().cpu()
        array = (array.float() if array.dtype == torch.bfloat16 else array).numpy()
    if np.ma.is_masked(array):
        raise DataError("entries of the array are masked", do="say what stands there: array.filled(0)")
    return np.asarray(array)


def checked_voxel_mm(voxel_mm: Any) -> tuple[float, float, float] | None:
    """Three sizes over 0, or None where none are given.

    Raises
    ------
    DataError
        If they are anything else.
    """
    if voxel_mm is None:
        return None
    try:
        x, y, z = (float(v) for v in voxel_mm)
    except (TypeError, ValueError):
        x = y = z = 0.0
    if not all(0 < v < np.inf for v in (x, y, z)):
        raise DataError(f"{setting('voxel_mm')} is {voxel_mm!r}", do="give three sizes over 0, along (x, y, z), in mm")
    return x, y, z


def to_numpy(image: Image) -> Array:
    """The values as an array of its own (*batch, channel, z, y, x), slices as z; a single channel has no axis.

    A picture of an array without orientation lies as that array lay (`Image.as_stored`).
    """
    values = np.array(image.as_stored().volume().values.detach().cpu().numpy())
    return values[..., 0, :, :, :] if values.shape[-4] == 1 else values


def assembled(values: Array, geometry: Geometry, names: list[str], header: Header | None = None) -> Image:
    """An image of values (*batch, channel, z, y, x), in a type that torch computes with, which share no memory."""
    facts = header or Header(kept=kept_type(values))
    return Image(
        values=torch.from_numpy(np.array(held(values), order="C")),
        geometries=(geometry,),
        axes=tuple(n for n in _BATCH if n in names),
        header=facts if geometry.oriented else facts.flagged(UNKNOWN_ORIENTATION),
    )


def one_volume(image: Image) -> Volume:
    """The image on its one grid, complex values and whole numbers as they are.

    Raises
    ------
    DataError
        If it has several contrasts, or its slices make no volume.
    """
    parts = volumes(image, keep_complex=True, exact=True, vectors=True)
    if len(parts) > 1:
        raise DataError(f"the image has {len(parts)} contrasts, but it must have one", do="take one entry of that axis")
    return parts[0]


def package(name: str, install: str) -> Any:
    """The module of another package, imported now.

    Raises
    ------
    DataError
        If it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise DataError(f"the package {name} is not installed", do=f"install it: pip install {install}") from error
