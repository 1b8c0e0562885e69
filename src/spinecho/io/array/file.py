"""Named arrays inside .npy, .npz, .mat (v5 and v7.3) and HDF5 files, listed without reading them."""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spinecho.core.door import check_present
from spinecho.core.errors import DataError
from spinecho.io.hdf5 import MAGIC, as_complex, dataset, open_h5, read_dataset
from spinecho.io.limits import check_expansion, check_memory

Index = tuple[slice, ...]
_DAMAGED = (
    *(OSError, ValueError, KeyError, EOFError, TypeError, SyntaxError, NotImplementedError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)


@dataclass(frozen=True)
class Variable:
    """An array on disk: `read(index)` loads a part of it, with its axes as its owner sees them."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[Index], np.ndarray]

    @property
    def is_complex(self) -> bool:
        """Whether values are complex, or pairs of fields."""
        return "complex" in self.dtype

    def __str__(self) -> str:
        return f"{self.name} {self.shape} {self.dtype}".strip()


def variables(path: Path) -> list[Variable]:
    """The numeric arrays of a file.

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
        return _mat(path)
    except DataError:
        raise
    except _DAMAGED as e:
        raise _damaged(e) from e


def _damaged(error: Exception) -> DataError:
    return DataError(f"the file is damaged or truncated ({error})", do="export or copy it again")


def pick(found: list[Variable], key: str | None, path: Path) -> Variable:
    """The variable called key; without one, the only array that could be samples.

    Raises
    ------
    DataError
        If there is none or several: it lists them, with the command that picks one.
    """
    listed = "; ".join(map(str, found)) or "no numeric array"
    if key:
        exact = [v for v in found if v.name.strip("/") == key.strip("/")]
        match = exact or [v for v in found if v.name.endswith("/" + key)]
        if len(match) != 1:
            raise DataError(f"there is no variable {key!r}; the file holds {listed}", do="name one of them with --key")
        return match[0]
    arrays = [v for v in found if len(v.shape) >= 2 and min(v.shape) > 0]
    likely = [v for v in arrays if v.is_complex] or arrays
    if len(likely) == 1:
        return likely[0]
    if not likely:
        raise DataError(
            f"no array of at least two axes inside; the file holds {listed}", do="give the file with the samples"
        )
    largest = max(likely, key=lambda v: int(np.prod(v.shape)))
    raise DataError(
        f"the file holds {len(likely)} arrays: {listed}",
        do=f"say which one is meant: spinecho recon {path.name} --key {largest.name.strip('/')}",
    )


def _check(shape: tuple[int, ...], itemsize: int, path: Path, name: str = "") -> None:
    """Weigh a declared size against the file's and against memory, before anything is allocated."""
    n_bytes = math.prod(int(n) for n in shape) * itemsize
    what = f"{name or 'the array'} of shape {tuple(shape)}"
    check_expansion(n_bytes, path.stat().st_size, what)
    check_memory(n_bytes, what)


def _npy(path: Path) -> Variable:
    array = _refusing_objects(lambda: np.load(path, mmap_mode="r", allow_pickle=False))
    return Variable("", array.shape, str(array.dtype), lambda index: np.array(array[index]))


def _refusing_objects(load: Callable[[], Any]) -> Any:
    try:
        return load()
    except ValueError as error:
        if "object" in str(error).lower() or "pickle" in str(error).lower():
            found = "it holds Python objects (a pickle), which could run code when read"
            raise DataError(
                found, do="save the plain array: np.save('scan.npy', np.asarray(x, np.complex64))"
            ) from error
        raise


def _npz(path: Path) -> list[Variable]:
    found = []
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            with archive.open(member) as f:
                version = np.lib.format.read_magic(f)
                formats = np.lib.format
                read_header = formats.read_array_header_1_0 if version == (1, 0) else formats.read_array_header_2_0
                shape, _, dtype = read_header(f)
            if not dtype.hasobject:
                name = member.filename.removesuffix(".npy")
                found.append(Variable(name, shape, str(dtype), _npz_reader(path, name, shape, dtype.itemsize)))
    return found


def _npz_reader(path: Path, name: str, shape: tuple[int, ...], itemsize: int) -> Callable[[Index], np.ndarray]:
    def read(index: Index) -> np.ndarray:
        _check(shape, itemsize, path, name)
        try:
            with np.load(path, allow_pickle=False) as archive:
                return archive[name][index]
        except _DAMAGED as error:
            raise _damaged(error) from error

    return read


def _mat(path: Path) -> list[Variable]:
    """MATLAB up to v7: whether an array is complex is known only once it is read, so small files are read at once."""
    from scipy.io import loadmat, matlab, whosmat

    numeric = {"double", "single", "logical", *(f"{s}int{b}" for s in ("", "u") for b in (8, 16, 32, 64))}
    try:
        listed = [(name, shape) for name, shape, kind in whosmat(path) if kind in numeric]
        for name, shape in listed:
            _check(shape, 8, path, name)
        arrays = loadmat(path, variable_names=[name for name, _ in listed])
    except (matlab.MatReadError, IndexError) as error:
        raise DataError(f"the .mat file is damaged ({error})", do="save it again from MATLAB") from error

    def reader(array: np.ndarray) -> Callable[[Index], np.ndarray]:
        return lambda index: array[index]

    return [Variable(n, arrays[n].shape, str(arrays[n].dtype), reader(arrays[n])) for n, _ in listed if n in arrays]


def _hdf5(path: Path) -> list[Variable]:
    """HDF5, with MATLAB v7.3: there axes stand in reverse (MATLAB counts the first axis fastest)."""
    import h5py

    found: list[Variable] = []

    def visit(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or not item.shape or name.startswith("#"):
            return
        if item.dtype.hasobject or (item.dtype.kind not in "fiubc" and not _is_pair(item.dtype)):
            return
        matlab_class = item.attrs.get("MATLAB_class")
        if matlab_class in (b"char", b"cell", b"struct"):
            return
        is_matlab = matlab_class is not None
        shape = item.shape[::-1] if is_matlab else item.shape
        dtype = "complex" if _is_pair(item.dtype) else str(item.dtype)
        found.append(Variable(name, shape, dtype, _hdf5_reader(path, name, is_matlab)))

    with open_h5(path) as file:
        file.visititems(visit)
    return found


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
