"""Write NIfTI: numbers as they were read, else float32 or complex64; forms from the geometry, history in a comment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spinecho.core.geometry import Geometry
from spinecho.core.version import __version__
from spinecho.io.header_json import header_to_json
from spinecho.io.nifti.kept import put_back, put_time
from spinecho.io.nifti.qform import nearest_quaternion
from spinecho.io.numbers import restored
from spinecho.io.packed import packing
from spinecho.io.volume import Volume

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_UNKNOWN = 0
_COMMENT = 6
_EXACT_MM = 1e-3
_PLACE = (
    *("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z", "xyzt_units"),
)
_TIME = 0b111000
_LONGEST = 32767  # of an axis in NIfTI-1


def write_volume(volume: Volume, path: Path, intent: str = "", place: Any = None) -> None:
    """A volume as a file, compressed where its name says so; see `made`."""
    image = made(volume, intent, place)
    with path.open("wb") as file:
        if path.suffix == ".gz":
            with packing(file) as packed:
                image.to_stream(packed)
        else:
            image.to_stream(file)


def made(volume: Volume, intent: str = "", place: Any = None) -> Any:
    """As nibabel's image (x, y, z[, t[, channel]]); RAS affine exactly as in the geometry, oblique or mirrored.

    Without orientation both form codes are 0 and only voxel sizes are written. A qform cannot hold sheared slices,
    nor some turns within 2 degrees of a half turn to 1e-3 mm: its code is then 0, and the sform says all. `intent` is
    one of NIfTI's words for what the values are ("vector"); `place` a NIfTI header of the same grid, of which affine,
    codes and units are kept to the bit.
    """
    import nibabel
    from nibabel.nifti1 import Nifti1Extension

    values, scale = _numbers(volume)
    values = values.transpose(4, 3, 2, 0, 1)
    values = values[..., 0] if values.shape[4] == 1 else values
    values = values[..., 0] if values.ndim == 4 and values.shape[3] == 1 else values
    kept = volume.header.kept
    second = isinstance(place, nibabel.Nifti2Header) or kept.get("version") == "2" or max(values.shape) > _LONGEST
    kind = nibabel.Nifti2Image if second else nibabel.Nifti1Image
    image = kind(values, None, dtype=values.dtype)
    header = image.header
    header.set_zooms((*volume.geometry.voxel_mm, 0.0, 1.0)[: values.ndim])
    tr_ms = volume.header.tr_ms[0] if volume.header.tr_ms else 0.0
    put_time(header, kept, tr_ms)
    header["descrip"] = "; ".join((f"spinecho {__version__}", *volume.header.flags)).encode()[:79]
    header.extensions.append(Nifti1Extension(_COMMENT, header_to_json(volume.header).encode()))
    if scale is not None:
        header.set_slope_inter(*scale)
    put_back(header, kept, volume.header.flags)
    if intent:
        header.set_intent(intent)
    if place is None:
        _place(image, volume.geometry)
    else:
        _keep_place(header, place)
        put_time(header, kept, tr_ms, int(place["xyzt_units"]) & _TIME)
    return image


def _numbers(volume: Volume) -> tuple[np.ndarray[Any, np.dtype[Any]], tuple[float, float] | None]:
    """The values as they were stored, with slope and intercept; else integers, float32 or complex64."""
    stored = restored(volume.values, volume.header.kept)
    if stored is not None:
        return stored[0], None if stored[1:] == (1, 0) else stored[1:]
    return volume.values.astype(np.float32) if volume.values.dtype == np.float64 else volume.values, None


def _keep_place(header: Any, place: Any) -> None:
    """All that says where the grid lies, as another header says it."""
    for name in _PLACE:
        header[name] = place[name]
    header["pixdim"][:4] = place["pixdim"][:4]


def _place(image: Any, geometry: Geometry) -> None:
    """sform and qform with the geometry's codes; no qform where float32 quaternions cannot say it to 1e-3 mm."""
    if not geometry.oriented:
        image.set_sform(None, _UNKNOWN)
        image.set_qform(None, _UNKNOWN)
        return
    forms, header = geometry.forms, image.header
    turned = geometry if forms.between is None else replace(geometry, affine=forms.between @ geometry.affine)
    header["qform_code"] = forms.qform if _quaternion(header, turned) < _EXACT_MM else _UNKNOWN
    image.set_sform(_LPS_TO_RAS @ geometry.affine, forms.sform or (_UNKNOWN if header["qform_code"] else forms.qform))


def _quaternion(header: Any, geometry: Geometry) -> float:
    """Write where a grid lies as a qform; how far its readers are off, mm."""
    ras = _LPS_TO_RAS @ geometry.affine
    cosines, fov_mm = _LPS_TO_RAS[:3, :3] @ geometry.directions, np.asarray(geometry.fov_mm)
    handedness = 1.0 if np.linalg.det(cosines) > 0 else -1.0
    quaternion, off = nearest_quaternion(cosines * [1, 1, handedness])
    shear = np.abs(cosines.T @ cosines - np.eye(3))
    header["pixdim"][1:4] = geometry.voxel_mm
    header["pixdim"][0] = handedness
    for name, value in zip(("quatern_b", "quatern_c", "quatern_d"), quaternion, strict=True):
        header[name] = value
    for name, value in zip(("qoffset_x", "qoffset_y", "qoffset_z"), ras[:3, 3], strict=True):
        header[name] = value
    return float(max((off @ fov_mm).max(), (shear @ fov_mm).max()))
