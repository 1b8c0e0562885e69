"""Read NIfTI-1 and -2, in one file or two, with and without gzip: header first, then no more bytes than it declares."""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from gzip import GzipFile
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.header import Header
from spinecho.io.header_json import header_from_json
from spinecho.io.limits import check_expansion, check_memory
from spinecho.io.nifti.forms import geometry_of
from spinecho.io.nifti.kept import kept_of, left_behind, repetition_ms
from spinecho.io.nifti.pair import halves, is_nifti, is_pair
from spinecho.io.numbers import held, kept_type, scaled
from spinecho.io.packed import DAMAGED, GZIP_MAX_RATIO, exactly, opened
from spinecho.io.volume import Volume

_MAX_EXTENSIONS = 1 << 22
_COMMENT = 6


def read_volume(path: Path) -> Volume:
    """A NIfTI file as a volume in LPS: (x, y, z, t, u) on disk becomes (t, u, z, y, x).

    `forms.py` finds where it lies.

    Raises
    ------
    DataError
        If the file is truncated or damaged, declares more than it can hold, or its affine is singular.
    """
    header_path, path = halves(path)
    size = path.stat().st_size
    with opened(header_path) as (stream, _):
        header, begin = _header(stream)
        extensions = b"" if header_path == path else stream.read(_MAX_EXTENSIONS)
    if bytes(header["magic"].item())[:2] == b"ni" and header_path == path:
        raise DataError("this is half of a .hdr/.img pair", do="name the halves NAME.hdr and NAME.img")
    begin = begin if header_path == path else 0
    with opened(path) as (stream, packed):
        exactly(stream, begin)
        shape = tuple(int(n) for n in header.get_data_shape())
        dtype = header.get_data_dtype()
        _check_shape(shape, dtype)
        n_bytes = math.prod(shape) * dtype.itemsize
        offset = max(int(header["vox_offset"]), begin)
        limit = (GZIP_MAX_RATIO if packed else 1) * size
        if offset + n_bytes > limit:
            raise DataError(f"its header declares {offset + n_bytes} bytes, the file holds {limit} at most", do=DAMAGED)
        check_expansion(n_bytes, size, f"the image of shape {shape}")
        check_memory(
            n_bytes + math.prod(shape) * (8 if dtype.itemsize == 8 or dtype.str[1:] == "u4" else 4),
            f"the image of shape {shape}",
        )
        if offset - begin > _MAX_EXTENSIONS:
            raise DataError(f"its image begins at byte {offset}", do=DAMAGED)
        between = exactly(stream, offset - begin)
        values = np.frombuffer(exactly(stream, n_bytes, ends=packed), dtype).reshape(shape, order="F")
    return _volume(header, values, between if header_path == path else extensions)


def header_of(path: Path) -> Any:
    """The header of a NIfTI file, unread the voxels behind it, as nibabel's object.

    Raises
    ------
    DataError
        If the file is truncated or damaged.
    """
    with opened(halves(path)[0]) as (stream, _):
        return _header(stream)[0]


def _header(stream: BufferedReader | GzipFile) -> tuple[Any, int]:
    """The header, and how many bytes it took."""
    import nibabel

    first = exactly(stream, 4)
    sizes = {struct.unpack(order + "i", first)[0] for order in "<>"}
    kind = nibabel.Nifti2Header if 540 in sizes else nibabel.Nifti1Header
    n = kind.sizeof_hdr
    header = kind.from_fileobj(BytesIO(first + exactly(stream, n - 4)), check=False)
    sizes_mm = header["pixdim"]  # NIfTI-1: the handedness is 1 where it says 0; sizes have no sign
    sizes_mm[0] = -1 if sizes_mm[0] < 0 else 1
    sizes_mm[1:4] = np.abs(sizes_mm[1:4])
    return header, n


def _check_shape(shape: tuple[int, ...], dtype: np.dtype) -> None:
    extent = len(shape) - next((i for i, n in enumerate(reversed(shape)) if n != 1), len(shape))
    if not shape or min(shape) < 1 or extent > 5:
        raise DataError(f"its shape is {shape}, an image has 2 to 5 axes (x, y, z, t, channel)", do=DAMAGED)
    if dtype.names:
        problem = f"its values are colours ({' '.join(dtype.names)}), but it needs real or complex numbers"
        raise DataError(problem, do="write each colour as an image of its own")
    if dtype.kind not in "iufc" or dtype.itemsize > (16 if dtype.kind == "c" else 8):
        raise DataError(f"its values are {dtype}, but it needs real or complex numbers", do="convert it to float32")


def place_of(path: Path, geometry: Geometry) -> Any:
    """The header of a NIfTI file whose grid is this one; None for files of other formats.

    Raises
    ------
    DataError
        If the file's grid is another.
    """
    if not path.is_file():
        return None
    with path.open("rb") as file:
        head = file.read(4096)
    if not (is_nifti(head) or is_pair(path, head)):
        return None
    header = header_of(path)
    nx, ny, nz = (*header.get_data_shape(), 1, 1)[:3]
    if not geometry_of(header, (nz, ny, nx))[0].matches(geometry):
        raise DataError("its grid is not that of the image to be written", do="leave it out", file=path)
    return header


def _volume(header: Any, values: npt.NDArray[Any], extensions: bytes) -> Volume:
    shape = (*values.shape, 1, 1, 1, 1)[:5]
    values, kept = _scaled(header, values.reshape(shape, order="F").transpose(3, 4, 2, 1, 0))
    facts = replace(_facts(header, extensions), kept=kept_of(header) | kept)
    if (was := header.get_data_dtype()).kind in "fc" and values.dtype.itemsize < was.itemsize:
        rounded = f"NIfTI: {was.newbyteorder('=').name} rounded to {values.dtype.name}"
        facts = facts if rounded in facts.history else facts.noted(rounded)
    nz, ny, nx = values.shape[-3:]
    geometry, steps = geometry_of(header, (nz, ny, nx))
    facts = facts.noted(*(step for step in steps if step not in facts.history))
    return Volume(values=values, geometry=geometry, header=facts)


def _scaled(header: Any, values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], dict[str, str]]:
    """value = slope * stored + inter, and what is kept of how they were stored."""
    slope, inter = header.get_slope_inter()
    if slope is not None and (slope, inter) != (1, 0):
        return scaled(values, float(slope), float(inter))
    return held(values), kept_type(values)


def _facts(header: Any, extensions: bytes) -> Header:
    """What spinecho itself has left in a comment extension, else the repetition time; other extensions are told."""
    order = header.endianness
    own, at, strange = Header(), 4, list[int]()
    while extensions[:1] not in (b"", b"\0") and at + 8 <= len(extensions):
        size, code = struct.unpack_from(order + "2i", extensions, at)
        if size < 8:
            break
        comment = extensions[at + 8 : at + size].rstrip(b"\0").decode("utf-8", errors="replace")
        parsed = header_from_json(comment) if code == _COMMENT else None
        own = parsed or own
        strange += [] if parsed else [code]
        at += size
    tr_ms = repetition_ms(header)
    own = own if own.tr_ms or not tr_ms else replace(own, tr_ms=(tr_ms,))
    return own.warned(*left_behind(strange))
