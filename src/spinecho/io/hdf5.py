"""HDF5 with a guard: what a file declares is weighed against memory before it is read; every error is one type."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from spinecho.core.errors import DataError
from spinecho.io.limits import check_expansion, check_memory

MAGIC = b"\x89HDF\r\n\x1a\n"
_IN_MEMORY = 2**28
_RAISED = (OSError, RuntimeError, ValueError, KeyError, MemoryError)


def is_hdf5(head: bytes) -> bool:
    """Whether a file's first bytes are HDF5's signature."""
    return head.startswith(MAGIC)


def check_members(dtype: np.dtype[Any], what: str) -> None:
    """Refuse a compound type whose members overlap or stick out: libhdf5 would write past its buffers.

    Raises
    ------
    DataError
        Names the member.
    """
    end = 0
    for name, (member, offset, *_) in sorted((dtype.fields or {}).items(), key=lambda item: item[1][1]):
        if offset < end or offset + member.itemsize > dtype.itemsize:
            raise DataError(f"the type of {what} is damaged at its member {name!r}", do="copy or export the file again")
        end = offset + member.itemsize
        check_members(member.base, what)


def check_declared(dataset: h5py.Dataset, selection: Sequence[slice] = ()) -> None:
    """Refuse a dataset that declares more than memory holds, or hundreds of times more than the file stores.

    Parameters
    ----------
    selection
        Slices of the leading axes that will be read; the rest is read whole.
    """
    check_members(dataset.dtype, str(dataset.name))
    counts = [len(range(*s.indices(n))) for s, n in zip(selection, dataset.shape, strict=False)]
    counts += dataset.shape[len(counts) :]
    whole = math.prod(dataset.shape) * dataset.dtype.itemsize
    check_expansion(whole, dataset.id.get_storage_size(), f"dataset {dataset.name} {dataset.shape}")
    check_memory(math.prod(counts) * dataset.dtype.itemsize, f"dataset {dataset.name} {tuple(counts)}")


@contextmanager
def open_h5(path: Path) -> Iterator[h5py.File]:
    """Open for reading; whatever the HDF5 library raises inside the block becomes a DataError.

    Raises
    ------
    DataError
        If the file is truncated, damaged, or no HDF5 file.
    """
    try:
        with h5py.File(path, "r") as file:
            yield file
    except DataError as error:
        raise error.within(path) from error
    except _RAISED as error:
        said = " ".join(str(error).split())[:200]
        do = "copy or export it again (a partly copied file looks like this)"
        raise DataError(f"the HDF5 file cannot be read: {said}", do=do, file=path) from error


@contextmanager
def create_h5(path: Path, n_bytes: int = 0, libver: str | None = None) -> Iterator[h5py.File]:
    """A new file; one of up to 256 MiB is made in memory and written at the end.

    On a full disk libhdf5 cannot close what it has opened, and complains again whenever that is collected; plain
    writing fails once. Larger files (`n_bytes` is what will be stored, about) go to the disk as they grow.
    """
    if n_bytes > _IN_MEMORY:
        with h5py.File(path, "w", libver=libver) as file:
            yield file
        return
    memory = io.BytesIO()
    with h5py.File(memory, "w", libver=libver) as file:
        yield file
    path.write_bytes(memory.getbuffer())


def dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """A group's dataset by name.

    Raises
    ------
    DataError
        If it is absent or no dataset; lists what is there.
    """
    dataset = group.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise DataError(f"there is no dataset {name!r} in {group.name}", do=f"it holds {', '.join(group) or 'nothing'}")
    return dataset


def read_dataset(source: h5py.Dataset, selection: Sequence[slice] = ()) -> npt.NDArray[Any]:
    """The values (or those of a selection along the leading axes), weighed first; complex pairs become complex.

    Returns
    -------
    An array of its own: nothing points into the file.

    Raises
    ------
    DataError
        If it declares too much, or a stored checksum does not fit.
    """
    check_declared(source, selection)
    try:
        values = np.asarray(source[tuple(selection)] if selection else source[()])
    except OSError as error:
        fault = f"{source.name} cannot be read: {' '.join(str(error).split())[:160]}"
        raise DataError(fault, do="the file is damaged: copy or export it again") from error
    return as_complex(values)


def as_complex(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Pairs of two equal floats, (real, imag) or (r, i), to complex; anything else unchanged."""
    names = values.dtype.names
    if names is None or len(names) != 2 or names[0][0] != "r" or names[1][0] != "i":
        return values
    part = values.dtype[0]
    if part.kind != "f" or part != values.dtype[1]:
        return values
    native = part.newbyteorder("=") if part.itemsize in (4, 8) else np.dtype(np.float32)
    pairs = np.stack([values[names[0]], values[names[1]]], -1).astype(native)
    return pairs.view(np.complex64 if native.itemsize == 4 else np.complex128)[..., 0]
