"""The 284 bytes in front of an MGH file: sizes, type, and where the grid's middle lies in RAS.

Source: FreeSurfer's description of the format (version 1, big-endian).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.io.packed import DAMAGED, unpacked

N_BYTES = 284
TYPES = {0: np.dtype(">u1"), 1: np.dtype(">i4"), 3: np.dtype(">f4"), 4: np.dtype(">i2"), 10: np.dtype(">u2")}
_FORM = ">7ih15f"
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Header:
    """What the file says of its grid.

    Parameters
    ----------
    size
        Voxels along (x, y, z), and frames.
    type_code
        Key of TYPES.
    geometry
        In LPS; without orientation where the file says that it has none.
    """

    size: tuple[int, int, int, int]
    type_code: int
    geometry: Geometry


def is_mgh(head: bytes) -> bool:
    """Whether a file's first bytes, or what its gzip holds, are a plausible header."""
    head = unpacked(head, N_BYTES)
    if len(head) < struct.calcsize(_FORM):
        return False
    version, *size, kind, _, has_ras = struct.unpack_from(">7ih", head)
    return version == 1 and kind in (*TYPES, 2, 5, 6, 7) and has_ras in (0, 1) and all(0 < n < 2**20 for n in size)


def from_bytes(content: bytes) -> Header:
    """The header.

    Raises
    ------
    DataError
        If sizes, type or directions make no image.
    """
    version, nx, ny, nz, frames, kind, _, has_ras, *numbers = struct.unpack_from(_FORM, content)
    if version != 1 or min(nx, ny, nz, frames) < 1:
        raise DataError(f"its header has version {version} and sizes {(nx, ny, nz, frames)}", do=DAMAGED)
    if kind not in TYPES:
        raise DataError(f"its values are of type {kind}", do="convert it: mri_convert -odt float IN OUT")
    voxel = np.array(numbers[:3])
    if not has_ras:
        return Header((nx, ny, nz, frames), kind, Geometry.unknown((nz, ny, nx), voxel))
    # the file lists the direction of x, then of y, then of z; the middle is the voxel coordinate n / 2
    linear = _RAS_TO_LPS @ np.array(numbers[3:12]).reshape(3, 3).T * voxel
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = _RAS_TO_LPS @ np.array(numbers[12:]) - linear @ (np.array([nx, ny, nz]) / 2)
    return Header((nx, ny, nz, frames), kind, Geometry((nz, ny, nx), affine))


def to_bytes(header: Header) -> bytes:
    """The 284 bytes; directions and places in float32, as the format has them."""
    g, (nx, ny, nz, _) = header.geometry, header.size
    directions: npt.NDArray[np.float64] = (_RAS_TO_LPS @ g.directions).T
    middle = _RAS_TO_LPS @ g.to_world([nx / 2, ny / 2, nz / 2])
    numbers = (*g.voxel_mm, *directions.ravel(), *middle)
    packed = struct.pack(_FORM, 1, *header.size, header.type_code, 0, int(g.oriented), *numbers)
    return packed.ljust(N_BYTES, b"\0")
