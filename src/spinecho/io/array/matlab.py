"""MATLAB files up to v7: arrays, and those in the fields of structs (data.kspace).

Whether an array is complex is known only once it is read, so that all is read at once, after its sizes were weighed.
Source: "MAT-File Format", MathWorks; element tags, byte order and compression on its pages 1-4 to 1-11.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spinecho.core.errors import DataError
from spinecho.io.array.variable import Index, Variable, no_array, weigh
from spinecho.io.limits import check_expansion, check_memory

_NUMERIC = {"double", "single", "logical", *(f"{s}int{b}" for s in ("", "u") for b in (8, 16, 32, 64))}
_COMPRESSED = 15


def contents(path: Path) -> list[Variable]:
    """Arrays, fields of structs, and what is closed (struct arrays, cells).

    Raises
    ------
    DataError
        If the file is damaged, or claims more than fits.
    """
    from scipy.io import loadmat, matlab, whosmat

    try:
        listed = [(name, shape, kind) for name, shape, kind in whosmat(path) if kind in {*_NUMERIC, "struct", "cell"}]
        for name, shape, kind in listed:
            weigh(shape, 8 if kind in _NUMERIC else 1, path, name)
        if any(kind == "struct" for _, _, kind in listed):
            _weigh_elements(path)
        wanted = [name for name, _, kind in listed if kind != "cell"]
        arrays = loadmat(path, variable_names=wanted) if wanted else {}
    except (matlab.MatReadError, IndexError) as error:
        raise DataError(f"the .mat file is damaged ({error})", do="save it again from MATLAB") from error
    entries: list[Variable] = []
    for name, shape, kind in listed:
        if kind == "cell":
            entries.append(cell_array(name, shape))
        elif name in arrays:
            entries += _inside(name, arrays[name])
    return entries


def _inside(name: str, value: Any) -> Iterator[Variable]:
    """A value, or the fields of a struct."""
    from scipy.io import matlab

    odd = (matlab.MatlabOpaque, matlab.MatlabFunction, matlab.MatlabObject)
    if not isinstance(value, np.ndarray) or isinstance(value, odd):
        yield no_array(name, "no plain array", f"make one in MATLAB: x = full({name}); save x.mat x")
    elif value.dtype.names:
        if value.size == 1:
            for field in value.dtype.names:
                yield from _inside(f"{name}.{field}", value.flat[0][field])
        else:
            yield struct_array(name, value.shape)
    elif value.dtype.kind == "O":
        yield cell_array(name, value.shape)
    elif value.dtype.kind in "fiubc":
        yield Variable(name, value.shape, str(value.dtype), _reader(value))


def _reader(array: np.ndarray) -> Callable[[Index], np.ndarray]:
    return lambda index: array[index]


def struct_array(name: str, shape: tuple[int, ...] = ()) -> Variable:
    """A struct with several entries, whose fields are no single arrays."""
    of = f" of shape {tuple(shape)}" if shape else ""
    return no_array(name, f"a struct array{of}", f"take one entry in MATLAB: x = {name}(1); save x.mat x")


def cell_array(name: str, shape: tuple[int, ...] = ()) -> Variable:
    """A list of anything."""
    of = f" of shape {tuple(shape)}" if shape else ""
    return no_array(name, f"a cell array{of}", f"take its content in MATLAB: x = {name}{{1}}; save x.mat x")


def _weigh_elements(path: Path) -> None:
    """Weigh the sizes that the file's elements declare once unpacked: those of fields stand nowhere else."""
    size, at = path.stat().st_size, 128
    with path.open("rb") as file:
        order = ">" if file.read(128)[126:128] == b"MI" else "<"
        while at + 8 <= size:
            file.seek(at)
            kind, n_bytes = struct.unpack(f"{order}II", file.read(8))
            at += 8 + n_bytes
            if kind == _COMPRESSED:
                head = zlib.decompressobj().decompress(file.read(min(n_bytes, 4096)), 8)
                n_bytes = struct.unpack(f"{order}II", head)[1] if len(head) == 8 else 0
            check_expansion(n_bytes, size, "one of its variables")
            check_memory(n_bytes, "one of its variables")
