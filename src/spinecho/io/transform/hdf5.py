"""ITK's transforms in HDF5: the groups /TransformGroup/0, 1, 2 ... in the order in which a composite holds them."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spinecho.core.errors import DataError
from spinecho.io.hdf5 import create_h5, dataset, open_h5, read_dataset
from spinecho.io.transform.parts import COMPOSITE, FIELD, Part, split_type

_GROUP = "TransformGroup"
_ITK = "5.4.0"
"""The version whose layout is written; older ones (before 5) misspelt two names, which are read too."""
_CHUNK = 2**18


def read_parts(path: Path) -> list[Part]:
    """The transforms in a file, in their order.

    Raises
    ------
    DataError
        If the file is damaged or holds something else.
    """
    with open_h5(path) as file:
        group = file.get(_GROUP)
        if not isinstance(group, h5py.Group):
            do = "give a file written by spinecho, ANTs, SimpleITK, elastix or 3D Slicer"
            raise DataError(f"it holds no {_GROUP}: it is not a transform file", do=do)
        names = sorted(group, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0))
        return [_part(group, name) for name in names]


def write_parts(parts: Sequence[Part], path: Path) -> None:
    """A new file; parameters of fields are packed without loss, as ITK's library unpacks by itself."""
    n_bytes = sum(part.parameters.nbytes for part in parts)
    with create_h5(path, n_bytes) as file:
        for name, text in (
            ("ITKVersion", _ITK),
            ("HDFVersion", f"HDF5 library version: {h5py.version.hdf5_version}"),
            ("OSName", platform.system()),
            ("OSVersion", platform.release()),
        ):
            _text(file, name, text)
        group = file.create_group(_GROUP)
        precision = "float" if any(part.kind == FIELD for part in parts) else "double"
        for i, part in enumerate(parts):
            one = group.create_group(str(i))
            _text(one, "TransformType", f"{part.kind}_{precision if part.kind in (FIELD, COMPOSITE) else 'double'}_3_3")
            if part.kind == COMPOSITE:
                continue
            one.create_dataset("TransformFixedParameters", data=part.fixed)
            packing: dict[str, Any] = {}
            if len(part.parameters) > _CHUNK:
                packing = {"chunks": (_CHUNK,), "compression": "gzip", "compression_opts": 1, "shuffle": True}
            one.create_dataset("TransformParameters", data=part.parameters, **packing)


def _part(group: h5py.Group, name: str) -> Part:
    one = group.get(name)
    if not isinstance(one, h5py.Group):
        raise DataError(f"{_GROUP}/{name} is no group: the file is damaged", do="write it again with its software")
    kind = split_type(_read_text(dataset(one, "TransformType")))
    if kind == COMPOSITE:
        return Part(kind, np.zeros(0), np.zeros(0))
    return Part(kind, _numbers(one, "Parameters"), _numbers(one, "FixedParameters").astype(np.float64))


def _numbers(one: h5py.Group, name: str) -> Any:
    misspelt = f"Tranform{name}"
    values = read_dataset(dataset(one, misspelt if misspelt in one else f"Transform{name}"))
    if values.dtype.kind != "f":
        raise DataError(
            f"{one.name}: its {name} are {values.dtype}, but they must be real numbers", do="write it again"
        )
    return values.reshape(-1)


def _text(group: h5py.Group, name: str, text: str) -> None:
    group.create_dataset(name, data=[text.encode("ascii", "replace")], dtype=h5py.string_dtype("ascii"))


def _read_text(source: h5py.Dataset) -> str:
    value = np.atleast_1d(source[()]).ravel()
    first = value[0] if len(value) else b""
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)
