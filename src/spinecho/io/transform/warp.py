"""Displacement fields in NIfTI, as ANTs, greedy and elastix exchange them: (x, y, z, 1, 3) with intent 1007, LPS mm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.transform import Displacement, Transform
from spinecho.io.nifti.read import header_of, read_volume
from spinecho.io.nifti.write import write_volume
from spinecho.io.transform.rectangular import is_sheared, rectangular
from spinecho.io.volume import Volume

_VECTOR = 1007


def read_field(path: Path) -> Displacement:
    """The field as a transform; the file's voxels (x, y, z) hold (dx, dy, dz) in LPS mm, whatever its affine says.

    Raises
    ------
    DataError
        If it holds an image, or a field of SPM, NiftyReg or FSL, which mean something else.
    """
    header = header_of(path)
    shape, name = tuple(header.get_data_shape()), bytes(header["intent_name"].item()).decode("ascii", "replace")
    wanted = "give the Warp.nii.gz of ANTs or greedy, or the .h5 that spinecho writes"
    if len(shape) != 5 or shape[3:] != (1, 3) or int(header["intent_code"]) != _VECTOR:
        raise DataError(
            f"it is not a displacement field of ITK: shape {shape}, intent {int(header['intent_code'])}", do=wanted
        )
    if name.strip("\0 "):
        raise DataError(f"its field is of the kind {name!r}, which is not a displacement field of ITK", do=wanted)
    volume = read_volume(path)
    if not volume.geometry.oriented:
        raise DataError("it does not say where its grid lies", do=wanted)
    values = np.ascontiguousarray(volume.values[0])
    if not np.isfinite(values).all():
        raise DataError("its field holds NaN or infinite numbers", do="write it again with its software")
    return Displacement(torch.from_numpy(values.copy()), volume.geometry)


def write_field(transform: Transform, onto: Geometry, path: Path) -> None:
    """T(p) - p at the voxels of a grid: the whole transform in one field, exact at the voxels only.

    Of a sheared grid, which ITK does not read, the rectangular one that covers it.
    """
    onto = rectangular(onto) if is_sheared(onto) else onto
    values = transform.displacement(onto).numpy()[None]
    write_volume(Volume(values=values, geometry=onto), path, intent="vector")
