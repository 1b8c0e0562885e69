"""spinecho's own .h5: an Image or a KSpace with everything it carries, checksummed, read back exactly.

Layout: root attributes `spinecho` ("image" or "kspace"), `axes` (names of all axes of the main array), `header` and
`encoding` as JSON, `shapes`, `affines` (voxel x y z to LPS mm), `oriented` and `forms` of the geometries; the arrays
are datasets with gzip and fletcher32, one chunk per plane.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from spinecho.core.encoding import Encoding
from spinecho.core.errors import DataError
from spinecho.core.geometry import Forms, Geometry
from spinecho.core.header import Header
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.io.axes import IMAGE, KSPACE
from spinecho.io.hdf5 import MAGIC, create_h5, dataset, open_h5, read_dataset

_PARTS = ("samples", "mask", "traj", "calib", "noise_cov", "target")
_WHOLE = ("noise_cov",)


def is_own(path: Path) -> bool:
    """Whether spinecho wrote this file."""
    with path.open("rb") as f:
        if f.read(8) != MAGIC:
            return False
    with open_h5(path) as file:
        return file.attrs.get("spinecho") in ("image", "kspace")


def write(item: KSpace | Image, path: Path) -> None:
    """All that the item carries, as the module's docstring says."""
    is_image = isinstance(item, Image)
    arrays = {"values": item.values} if is_image else {n: getattr(item, n) for n in _PARTS}
    extras = item.extras if is_image else {}
    n_bytes = sum(t.numel() * t.element_size() for t in (*arrays.values(), *extras.values()) if t is not None)
    with create_h5(path, n_bytes, libver="latest") as file:
        file.attrs["spinecho"] = "image" if is_image else "kspace"
        file.attrs["axes"] = " ".join((*item.axes, "coil", *(IMAGE if is_image else KSPACE)))
        file.attrs["header"] = json.dumps(item.header.plain())
        file.attrs["shapes"] = np.array([g.shape for g in item.geometries])
        file.attrs["affines"] = np.array([g.affine for g in item.geometries])
        file.attrs["forms"] = json.dumps([_plain(g.forms) for g in item.geometries])
        file.attrs["oriented"] = np.array([g.oriented for g in item.geometries])
        if not is_image:
            file.attrs["encoding"] = json.dumps(asdict(item.encoding))
        for name, tensor in {**arrays, **{f"extras/{k}": v for k, v in extras.items()}}.items():
            if tensor is not None:
                _store(file, name, tensor)


def _store(file: h5py.File, name: str, tensor: Tensor) -> None:
    array = tensor.detach().cpu().resolve_conj().numpy()
    chunks = (1,) * (array.ndim - 2) + array.shape[-2:] if array.ndim > 2 else array.shape
    settings = {"chunks": chunks, "compression": "gzip", "compression_opts": 1, "shuffle": True, "fletcher32": True}
    file.create_dataset(name, data=array, **(settings if array.size and array.ndim else {}))


def slice_count(path: Path) -> int:
    """Length of the batch axis slice."""
    with open_h5(path) as file:
        axes = str(file.attrs["axes"]).split()
        name = "values" if file.attrs["spinecho"] == "image" else "samples"
        return int(dataset(file, name).shape[axes.index("slice")]) if "slice" in axes else 1


def read(path: Path, slices: tuple[int, int] | None = None) -> KSpace | Image:
    """What `write` wrote, or a part of its slices.

    Raises
    ------
    DataError
        If the file is damaged: checksums are compared.
    """
    with open_h5(path) as file:
        is_image = file.attrs["spinecho"] == "image"
        axes = tuple(str(file.attrs["axes"]).split())[:-4]
        at = axes.index("slice") if slices is not None and "slice" in axes else None
        if at is not None and slices is not None:
            n = dataset(file, "values" if is_image else "samples").shape[at]
            if not 0 <= slices[0] < slices[1] <= n:
                raise DataError(
                    f"slices {slices[0]}:{slices[1]} were asked for, the file has {n}", do=f"choose in 0:{n}"
                )
        header = Header(**_tuples(json.loads(str(file.attrs["header"]))))
        geometries = _geometries(file.attrs, slices if at is not None else None)
        load = lambda name: _load(file, name, at, slices)  # noqa: E731
        if is_image:
            group = file.get("extras")
            names = [str(n) for n in group] if isinstance(group, h5py.Group) else []
            extras = {n: load(f"extras/{n}") for n in names}
            return Image(values=load("values"), geometries=geometries, axes=axes, header=header, extras=extras)
        encoding = Encoding(**_tuples(json.loads(str(file.attrs["encoding"]))))
        parts: dict[str, Any] = {n: load(n) for n in _PARTS if n in file}
        return KSpace(**parts, encoding=encoding, geometries=geometries, axes=axes, header=header)


def _tuples(facts: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in facts.items()}


def _geometries(attributes: Mapping[str, Any], slices: tuple[int, int] | None) -> tuple[Geometry, ...]:
    rows = list(zip(attributes["shapes"], attributes["affines"], attributes["oriented"], strict=True))
    forms = [_forms(f) for f in json.loads(str(attributes.get("forms", "[]")))] or [Forms()] * len(rows)
    part = slice(*slices) if slices else slice(None)
    return tuple(
        Geometry((int(s[0]), int(s[1]), int(s[2])), a, bool(o), f)
        for (s, a, o), f in zip(rows[part], forms[part], strict=True)
    )


def _plain(forms: Forms) -> dict[str, Any]:
    return {**vars(forms), "between": None if forms.between is None else forms.between.tolist()}


def _forms(plain: dict[str, Any]) -> Forms:
    between = None if plain["between"] is None else np.array(plain["between"])
    return Forms(int(plain["sform"]), int(plain["qform"]), between)


def _load(file: h5py.File, name: str, at: int | None, slices: tuple[int, int] | None) -> Tensor:
    source = dataset(file, name)
    selection: tuple[slice, ...] = ()
    if at is not None and slices is not None and name not in _WHOLE and source.shape[at] > 1:
        selection = (*(slice(None),) * at, slice(*slices))
    return torch.from_numpy(read_dataset(source, selection))
