"""The acquisition table of an MRD file: all headers in one read, samples only for the lines asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spinecho.core.errors import DataError
from spinecho.io.hdf5 import check_declared, dataset, read_dataset
from spinecho.io.limits import check_memory
from spinecho.io.mrd.own import CHECKSUM, LINE_CHECKSUMS, is_sealed

Array = np.ndarray[Any, np.dtype[Any]]

FLAG = {
    "noise": 19,
    "calibration": 20,
    "calibration and imaging": 21,
    "reversed": 22,
    "navigator": 23,
    "phase correction": 24,
    "HP feedback": 26,
    "dummy": 27,
    "real-time feedback": 28,
    "surface coil correction": 29,
    "phase stabilisation reference": 30,
    "phase stabilisation": 31,
}
"""Bit numbers (from 1) of ISMRMRD's acquisition flags that decide what a line is."""

SKIPPED = tuple(FLAG)[4:]
_NEEDED = ("flags", "number_of_samples", "active_channels", "center_sample", "position", "read_dir", "idx")
_SIZES = (
    "number_of_samples",
    "active_channels",
    "discard_pre",
    "discard_post",
    "center_sample",
    "trajectory_dimensions",
)
_GAP = 3
_CHUNK_BYTES = 1 << 26


@dataclass(frozen=True, eq=False)
class Lines:
    """The table, or a selection of its rows.

    Parameters
    ----------
    table
        The HDF5 dataset of acquisitions.
    heads
        Headers of the selected rows, a structured array with ISMRMRD's field names.
    rows
        Their row numbers, ascending.
    digests
        (all rows, 32) sha256 of each line's samples and trajectory, in files that spinecho wrote; else None.
    """

    table: h5py.Dataset
    heads: Array
    rows: Array
    digests: Array | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, selection: Array) -> Lines:
        """Rows by a boolean mask, or ascending positions, in this selection."""
        return Lines(self.table, self.heads[selection], self.rows[selection], self.digests)

    def flagged(self, name: str) -> Array:
        """Which lines carry a flag of `FLAG`."""
        return (self.heads["flags"] >> np.uint64(FLAG[name] - 1) & np.uint64(1)).astype(bool)

    def counter(self, name: str) -> Array:
        """An encoding counter (`slice`, `kspace_encode_step_1`, ...) as int64."""
        return self.heads["idx"][name].astype(np.int64)

    def chunks(self) -> Iterator[Array]:
        """Positions in this selection, in pieces of lines that agree in size, at most about 64 MB each."""
        heads = self.heads
        names = (
            "number_of_samples",
            "active_channels",
            "discard_pre",
            "discard_post",
            "center_sample",
            "trajectory_dimensions",
        )
        key = np.stack([*(heads[n].astype(np.int64) for n in names), self.flagged("reversed").astype(np.int64)], -1)
        _, kind = np.unique(key, axis=0, return_inverse=True)
        for k in range(int(kind.max(initial=-1)) + 1):
            members = np.flatnonzero(kind == k)
            size = 8 * max(1, int(heads["number_of_samples"][members[0]]) * int(heads["active_channels"][members[0]]))
            step = max(1, _CHUNK_BYTES // size)
            yield from (members[i : i + step] for i in range(0, len(members), step))

    def samples(self) -> tuple[Array, Array | None]:
        """Samples (line, coil, sample) complex64, and trajectory (line, sample, dimension) float32 or None.

        All lines must agree in size (`chunks`).

        Raises
        ------
        DataError
            If a line holds another number of samples than its header says, or its checksum does not fit.
        """
        head = self.heads[0]
        n, n_coils, n_dims = (int(head[k]) for k in ("number_of_samples", "active_channels", "trajectory_dimensions"))
        check_memory(len(self) * n_coils * n * 8, f"{len(self)} lines")
        fields = ["traj", "data"] if n_dims or self.digests is not None else ["data"]
        columns = self._read(fields)
        samples = self._joined(columns["data"], 2 * n_coils * n, "samples").view(np.complex64)
        traj = self._joined(columns["traj"], n_dims * n, "trajectory values") if n_dims else None
        if self.digests is not None:
            self._check(columns)
        return samples.reshape(len(self), n_coils, n), None if traj is None else traj.reshape(len(self), n, n_dims)

    def _read(self, fields: list[str]) -> dict[str, Array]:
        """Columns of variable-length arrays; rows are read in runs, bridging small gaps."""
        starts = np.flatnonzero(np.diff(self.rows, prepend=-_GAP - 2) > _GAP)
        stops = np.append(starts[1:], len(self.rows))
        columns = {name: np.empty(len(self.rows), dtype=object) for name in fields}
        for a, b in zip(starts, stops, strict=True):
            first = int(self.rows[a])
            block = self.table.fields(fields)[first : int(self.rows[b - 1]) + 1]
            for name in fields:
                columns[name][a:b] = block[name][self.rows[a:b] - first]
        return columns

    def _joined(self, column: Array, size: int, what: str) -> Array:
        lengths = np.fromiter((v.size for v in column), np.int64, len(column))
        if (lengths != size).any():
            i = int((lengths != size).argmax())
            raise DataError(
                f"line {self.rows[i]} holds {lengths[i]} {what}, its header asks for {size}",
                do="the file is damaged: copy or export it again",
            )
        return np.concatenate(column).astype(np.float32, copy=False) if size else np.zeros(0, np.float32)

    def _check(self, columns: dict[str, Array]) -> None:
        """Compare each line with the sha256 stored when spinecho wrote it."""
        assert self.digests is not None
        for row, samples, traj in zip(self.rows, columns["data"], columns["traj"], strict=True):
            if line_digest(samples, traj) != self.digests[row].tobytes():
                raise DataError(f"line {row} is not what was written (its checksum differs)", do="copy the file again")


def line_digest(samples: Array, traj: Array) -> bytes:
    """sha256 of a line's samples followed by its trajectory, as little-endian float32."""
    digest = hashlib.sha256(np.ascontiguousarray(samples, "<f4").data)
    digest.update(np.ascontiguousarray(traj, "<f4").data)
    return digest.digest()


def table_digest(heads: Array, digests: Array) -> str:
    """sha256 over all headers and the lines' own checksums, as hexadecimal text."""
    digest = hashlib.sha256(digests.tobytes())
    for name in heads.dtype.names or ():
        digest.update(np.ascontiguousarray(heads[name]).tobytes())
    return digest.hexdigest()


def open_table(group: h5py.Group, *, expect_checksums: bool) -> Lines:
    """All lines of a dataset group, headers read in one go.

    Parameters
    ----------
    expect_checksums
        Whether the XML header says that spinecho wrote the file: then its checksums must be there.

    Raises
    ------
    DataError
        If the table is no ISMRMRD table, is empty, or is not what was written.
    """
    table = dataset(group, "data")
    names = table.dtype.names or ()
    if not {"head", "data"} <= set(names) or not set(_NEEDED) <= set(table.dtype["head"].names or ()):
        raise DataError(f"{table.name} is no table of ISMRMRD acquisitions", do="see `spinecho info FILE`")
    if table.ndim != 1 or table.shape[0] == 0:
        raise DataError(
            f"the table of acquisitions has shape {table.shape}", do="the scan was cut off: export it again"
        )
    check_declared(table)
    key = _identity(table)
    if key not in _last:
        heads, digests = table.fields("head")[:], None
        if expect_checksums or CHECKSUM in table.attrs or LINE_CHECKSUMS in group:
            digests = read_dataset(dataset(group, LINE_CHECKSUMS))
            if digests.shape != (len(heads), 32) or not is_sealed(table, table_digest(heads, digests)):
                problem = "the line headers are not what was written (their checksum differs)"
                raise DataError(problem, do="copy the file again")
        heads.flags.writeable = False
        _last.clear()
        _last[key] = heads, digests
    heads, digests = _last[key]
    return Lines(table, heads, np.arange(len(heads)), digests)


_last: dict[tuple[str, str, int, int], tuple[Array, Array | None]] = {}
"""Headers of the file read last: a long scan that is read slice by slice has its headers read once."""


def _identity(table: h5py.Dataset) -> tuple[str, str, int, int]:
    """What changes when a file is written again: name, table, size and time."""
    status = Path(table.file.filename).stat()
    return str(Path(table.file.filename).absolute()), str(table.name), status.st_size, status.st_mtime_ns
