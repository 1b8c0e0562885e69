"""Named arrays inside .npy, .npz, .mat (v5 and v7.3) and HDF5 files, listed without reading them."""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spinecho.core.door import check_present
from spinecho.core.errors import DataError
from spinecho.io.array import matlab
from spinecho.io.array.variable import Index, Variable, no_array, weigh
from spinecho.io.hdf5 import MAGIC, as_complex, dataset, open_h5, read_dataset

_PICKLED = "Python objects (a pickle), which could run code when read"
_DAMAGED = (
    *(OSError, ValueError, KeyError, EOFError, TypeError, SyntaxError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)


def variables(path: Path) -> list[Variable]:
    """The numeric arrays of a file, as `contents`."""
    return [v for v in contents(path) if not v.closed]


def contents(path: Path) -> list[Variable]:
    """The numeric arrays of a file, also those in structs and groups, and what it holds that is no array.

    Raises
    ------
    DataError
        If the file is damaged, or holds objects (pickles) instead of numbers.
    """
    check_present(path)
    with path.open("rb") as f:
        head = f.read(520)
    try:
        if head.startswith(b"\x93NUMPY"):
            return [_npy(path)]
        if head.startswith(b"PK"):
            return _npz(path)
        if head.startswith(MAGIC) or head[512:520] == MAGIC:
            return _hdf5(path)
        return matlab.contents(path)
    except DataError:
        raise
    except _DAMAGED as e:
        raise _damaged(e) from e


def _damaged(error: Exception) -> DataError:
    return DataError(f"the file is damaged or truncated ({error})", do="export or copy it again")


def _npy(path: Path) -> Variable:
    array = _refusing_objects(lambda: np.load(path, mmap_mode="r", allow_pickle=False))
    return Variable("", array.shape, str(array.dtype), lambda index: np.array(array[index]))


def _refusing_objects(load: Callable[[], Any]) -> Any:
    try:
        return load()
    except ValueError as error:
        if "object" in str(error).lower() or "pickle" in str(error).lower():
            raise DataError(
                f"it holds {_PICKLED}", do="save the plain array: np.save('scan.npy', np.asarray(x, np.complex64))"
            ) from error
        raise


def _npz(path: Path) -> list[Variable]:
    entries = []
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            with archive.open(member) as f:
                version = np.lib.format.read_magic(f)
                formats = np.lib.format
                read_header = formats.read_array_header_1_0 if version == (1, 0) else formats.read_array_header_2_0
                shape, _, dtype = read_header(f)
            name = member.filename.removesuffix(".npy")
            if dtype.hasobject:
                entries.append(
                    no_array(name, _PICKLED, f"save its plain arrays: np.savez('scan.npz', **{name}.item())")
                )
            else:
                entries.append(Variable(name, shape, str(dtype), _npz_reader(path, name, shape, dtype.itemsize)))
    return entries


def _npz_reader(path: Path, name: str, shape: tuple[int, ...], itemsize: int) -> Callable[[Index], np.ndarray]:
    def read(index: Index) -> np.ndarray:
        weigh(shape, itemsize, path, name)
        try:
            with np.load(path, allow_pickle=False) as archive:
                return archive[name][index]
        except _DAMAGED as error:
            raise _damaged(error) from error

    return read


def _hdf5(path: Path) -> list[Variable]:
    """HDF5, with MATLAB v7.3: there axes stand in reverse (MATLAB counts the first axis fastest)."""
    import h5py

    entries: list[Variable] = []

    def visit(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or not item.shape or name.startswith("#"):
            return
        if (kind := item.attrs.get("MATLAB_class")) == b"cell":
            entries.append(matlab.cell_array(name))
        elif kind is None and h5py.check_ref_dtype(item.dtype) is not None and "/" in name:
            owner = name.rpartition("/")[0]
            if all(v.name != owner for v in entries):
                entries.append(matlab.struct_array(owner))
        if item.dtype.hasobject or (item.dtype.kind not in "fiubc" and not _is_pair(item.dtype)):
            return
        if kind in (b"char", b"cell", b"struct"):
            return
        is_matlab = kind is not None
        shape = item.shape[::-1] if is_matlab else item.shape
        dtype = "complex" if _is_pair(item.dtype) else str(item.dtype)
        entries.append(Variable(name, shape, dtype, _hdf5_reader(path, name, is_matlab)))

    with open_h5(path) as file:
        file.visititems(visit)
    return entries


def _is_pair(dtype: np.dtype) -> bool:
    """Whether values are pairs called real and imag, or r and i."""
    names = dtype.names
    return names is not None and len(names) == 2 and names[0][0] == "r" and names[1][0] == "i"


def _hdf5_reader(path: Path, name: str, is_matlab: bool) -> Callable[[Index], np.ndarray]:
    def read(index: Index) -> np.ndarray:
        with open_h5(path) as file:
            source = dataset(file, name)
            full = (*index, *(slice(None),) * (source.ndim - len(index)))
            array = as_complex(read_dataset(source, full[::-1] if is_matlab else full))
        return array.T if is_matlab else array

    return read
