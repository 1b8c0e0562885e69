"""Which groups of an HDF5 file are MRD: scans (a table of acquisitions) and image series."""

from __future__ import annotations

import h5py

from spinecho.core.errors import DataError, setting


def is_scan(group: h5py.Group) -> bool:
    """Whether a group has a table of acquisitions."""
    table = group.get("data")
    return isinstance(table, h5py.Dataset) and "head" in (table.dtype.names or ())


def is_series(group: h5py.Group) -> bool:
    """Whether a group is a series of MRD images."""
    header = group.get("header")
    return isinstance(header, h5py.Dataset) and "matrix_size" in (header.dtype.names or ()) and "data" in group


def scans_and_series(file: h5py.File) -> tuple[list[h5py.Group], list[h5py.Group]]:
    """All scans, and all image series: groups at the top, series one level deeper too."""
    top = _groups(file)
    series = [g for parent in (file, *top) for g in _groups(parent) if is_series(g)]
    return [g for g in top if is_scan(g)], list({str(g.name): g for g in series}.values())


def is_mrd(file: h5py.File) -> bool:
    """Whether a file holds any MRD scan or image series."""
    scans, series = scans_and_series(file)
    return bool(scans or series)


def choose(file: h5py.File, key: str | None) -> h5py.Group:
    """The group to read: the one named, else the only scan, else the only image series.

    Raises
    ------
    DataError
        If the name is not there, or there are several to choose from; lists them.
    """
    scans, series = scans_and_series(file)
    names = [str(g.name).strip("/") for g in (*scans, *series)]
    if key is not None:
        if key.strip("/") not in names:
            raise DataError(
                f"there is no {key!r}; the file holds {', '.join(names)}", do=f"name one of them with {setting('key')}"
            )
        return [*scans, *series][names.index(key.strip("/"))]
    candidates = scans or series
    if len(candidates) != 1:
        what = "scans" if scans else "image series"
        raise DataError(
            f"the file holds {len(candidates)} {what}: {', '.join(names)}", do=f"name one of them with {setting('key')}"
        )
    return candidates[0]


def _groups(parent: h5py.Group) -> list[h5py.Group]:
    return [g for g in (parent.get(name) for name in parent) if isinstance(g, h5py.Group)]
