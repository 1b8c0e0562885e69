"""ITK's linear transforms in MATLAB 4 files (.mat), as ANTs writes them: parameters, and an array called `fixed`."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from spinecho.core.errors import DataError
from spinecho.io.transform.parts import COMPOSITE, FIELD, Part, split_type

_LARGEST = 2**20
_AGAIN = "write it again with its software, or as .h5"


def read_parts(path: Path) -> list[Part]:
    """The transforms in a file.

    Raises
    ------
    DataError
        If it is damaged, or a .mat file of another kind.
    """
    content = path.read_bytes() if path.stat().st_size <= _LARGEST else b""
    if content[:6] == b"MATLAB" or not content:
        raise DataError("it is not a linear transform of ITK", do="give the .mat that ANTs or ITK wrote, or .h5")
    arrays = list(_arrays(content))
    if len(arrays) % 2 or any(name != "fixed" for name, _ in arrays[1::2]):
        raise DataError("it holds other arrays than a transform and its fixed parameters", do=_AGAIN)
    pairs = zip(arrays[::2], arrays[1::2], strict=True)
    return [Part(split_type(name), values, fixed) for (name, values), (_, fixed) in pairs]


def as_bytes(parts: Sequence[Part]) -> bytes:
    """The file's content.

    Raises
    ------
    DataError
        For fields and composites, which the format cannot hold.
    """
    if len(parts) > 1 or parts[0].kind in (COMPOSITE, FIELD):
        raise DataError("a .mat file holds one linear transform", do="write .h5")
    return _array(f"{parts[0].kind}_double_3_3", parts[0].parameters) + _array("fixed", parts[0].fixed)


def _array(name: str, values: np.ndarray) -> bytes:
    head = struct.pack("<5i", 0, len(values), 1, 0, len(name) + 1)
    return head + name.encode() + b"\0" + values.astype("<f8").tobytes()


def _arrays(content: bytes) -> Iterator[tuple[str, np.ndarray]]:
    """Names and numbers; the header's first integer says byte order (thousands) and precision (tens)."""
    at = 0
    while at < len(content):
        if len(content) < at + 20:
            raise DataError(f"it ends {at + 20 - len(content)} bytes too early", do=_AGAIN)
        order = "<" if 0 <= struct.unpack_from("<i", content, at)[0] <= 4052 else ">"
        kind, rows, columns, imaginary, length = struct.unpack_from(f"{order}5i", content, at)
        precision = {0: "f8", 1: "f4"}.get(kind // 10 % 10)
        if precision is None or imaginary or kind % 10 or min(rows, columns) < 0 or not 0 < length <= 256:
            raise DataError("it is not a linear transform of ITK", do="give the .mat that ANTs or ITK wrote, or .h5")
        n = rows * columns
        begin = at + 20 + length
        end = begin + n * int(precision[1])
        if len(content) < end:
            raise DataError(f"it ends {end - len(content)} bytes too early", do=_AGAIN)
        name = content[at + 20 : begin].rstrip(b"\0").decode("ascii", "replace")
        yield name, np.frombuffer(content[begin:end], order + precision).astype(np.float64)
        at = end
