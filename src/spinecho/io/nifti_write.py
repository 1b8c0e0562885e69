"""Write NIfTI-1: float32 or complex64, sform and qform from the geometry, flags and history in a comment."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import spinecho
from spinecho.core.geometry import Geometry
from spinecho.io.header_json import header_to_json
from spinecho.io.volume import Volume

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SCANNER, _UNKNOWN = 1, 0
_COMMENT = 6


def write_volume(volume: Volume, path: Path) -> None:
    """A volume as (x, y, z[, t[, channel]]); RAS affine exactly as in the geometry, oblique or mirrored.

    Without orientation both form codes are 0 and only voxel sizes are written. A qform cannot hold sheared slices:
    its code is 0 for them, and the sform says all.
    """
    import nibabel
    from nibabel.nifti1 import Nifti1Extension

    values = volume.values.transpose(4, 3, 2, 0, 1)
    values = values[..., 0] if values.shape[4] == 1 else values
    values = values[..., 0] if values.ndim == 4 and values.shape[3] == 1 else values
    image = nibabel.Nifti1Image(values, None, dtype=np.complex64 if np.iscomplexobj(values) else np.float32)
    header = image.header
    tr_s = volume.header.tr_ms[0] / 1e3 if volume.header.tr_ms else 0.0
    header.set_zooms((*volume.geometry.voxel_mm, tr_s, 1.0)[: values.ndim])
    header["pixdim"][4] = tr_s
    header.set_xyzt_units("mm", "sec")
    header["descrip"] = "; ".join((f"spinecho {spinecho.__version__}", *volume.header.flags)).encode()[:79]
    header.extensions.append(Nifti1Extension(_COMMENT, header_to_json(volume.header).encode()))
    _place(image, volume.geometry)
    nibabel.save(image, path)


def _place(image, geometry: Geometry) -> None:
    if not geometry.oriented:
        image.set_sform(None, _UNKNOWN)
        image.set_qform(None, _UNKNOWN)
        return
    ras = _LPS_TO_RAS @ geometry.affine
    cosines = geometry.directions
    is_orthogonal = np.abs(cosines.T @ cosines - np.eye(3)).max() * max(geometry.fov_mm) < 1e-3
    image.set_qform(ras, _SCANNER if is_orthogonal else _UNKNOWN, strip_shears=True)
    image.set_sform(ras, _SCANNER)
