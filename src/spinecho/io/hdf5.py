"""HDF5 with a guard: what a file declares is weighed against memory before it is read; every error is one type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spinecho.core.errors import DataError

try:
    import resource
except ImportError:  # Windows
    resource = None

MAGIC = b"\x89HDF\r\n\x1a\n"
_BOMB_BYTES, _BOMB_RATIO = 1 << 25, 250
_MEMINFO, _STATM = Path("/proc/meminfo"), Path("/proc/self/statm")
_UNKNOWN_FREE = 8 << 30
_RAISED = (OSError, RuntimeError, ValueError, KeyError, TypeError, IndexError, OverflowError, MemoryError)


def is_hdf5(head: bytes) -> bool:
    """Whether a file's first bytes are HDF5's signature."""
    return head.startswith(MAGIC)


def free_bytes() -> int:
    """Memory that this process may still take: what the system has left, or less where it was given a limit."""
    free = _UNKNOWN_FREE
    if _MEMINFO.exists():
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
        free = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), free)
    if resource is None:
        return free
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return free
    taken = int(_STATM.read_text(encoding="ascii").split()[0]) * resource.getpagesize() if _STATM.exists() else 0
    return min(free, max(0, limit - taken))


def check_bytes(n_bytes: int, what: str) -> None:
    """Refuse to make room for more than half of the free memory.

    Raises
    ------
    DataError
        Says how much `what` needs and how much there is.
    """
    free = free_bytes()
    if n_bytes > free // 2:
        found = f"{what} would take {n_bytes / 1e9:.3g} GB, {free / 1e9:.3g} GB of memory are free"
        raise DataError(found, do="read fewer slices (--slices START STOP), or use a larger machine")


def check_declared(dataset: h5py.Dataset, selection: Sequence[slice] = ()) -> None:
    """Refuse a dataset that declares more than memory holds, or hundreds of times more than the file stores.

    Parameters
    ----------
    selection
        Slices of the leading axes that will be read; the rest is read whole.
    """
    counts = [len(range(*s.indices(n))) for s, n in zip(selection, dataset.shape, strict=False)]
    counts += dataset.shape[len(counts) :]
    declared = int(np.prod(counts, dtype=object)) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    whole = int(np.prod(dataset.shape, dtype=object)) * dataset.dtype.itemsize
    if whole > _BOMB_BYTES and whole > _BOMB_RATIO * stored:
        found = f"{dataset.name} declares {whole / 1e9:.3g} GB, the file stores {stored / 1e6:.3g} MB of them"
        raise DataError(found, do="the file is damaged, or made to exhaust memory: export it again")
    check_bytes(declared, f"{dataset.name} of shape {tuple(counts)}")


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


def dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """A group's dataset by name.

    Raises
    ------
    DataError
        If it is absent or no dataset; lists what is there.
    """
    found = group.get(name)
    if not isinstance(found, h5py.Dataset):
        raise DataError(f"there is no dataset {name!r} in {group.name}", do=f"it holds {', '.join(group) or 'nothing'}")
    return found


def read_dataset(source: h5py.Dataset, selection: Sequence[slice] = ()) -> np.ndarray[Any, Any]:
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
        found = f"{source.name} cannot be read: {' '.join(str(error).split())[:160]}"
        raise DataError(found, do="the file is damaged: copy or export it again") from error
    return as_complex(values)


def as_complex(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
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
