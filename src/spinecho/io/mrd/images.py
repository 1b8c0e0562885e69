"""Series of MRD images as Image, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from spinecho.core.encoding import Encoding
from spinecho.core.errors import DataError, setting
from spinecho.core.image import Image
from spinecho.io.mrd.fov import mended, slice_spacing
from spinecho.io.mrd.geometry import UNKNOWN, geometries, head_frame
from spinecho.io.mrd.own import OwnFacts, load, own_facts, store, unoriented
from spinecho.io.mrd.write import COUNTER, write_text
from spinecho.io.mrd.xml import EncodingSpace, Matrix, ScanHeader, Space
from spinecho.io.mrd.xml_write import header_xml
from spinecho.io.numbers import as_type, held, kept_type, restored, smallest

Array = np.ndarray[Any, np.dtype[Any]]
_TYPES = {1: "magnitude", 2: "phase", 3: "real part", 4: "imaginary part", 5: "complex", 6: "colour"}
_MAGNITUDE, _COMPLEX, _COLOUR = 1, 5, 6
_CODES = {"uint16": 1, "int16": 2, "uint32": 3, "int32": 4, "float32": 5, "float64": 6, "complex64": 7}


def read_images(group: h5py.Group, header: ScanHeader, path: Path) -> Image:
    """A series as one Image; counters that tell the images apart become batch axes.

    Raises
    ------
    DataError
        If it is a colour map, or headers and values disagree.
    """
    own = own_facts(header)
    heads, values = (load(group, name, own=own is not None) for name in ("header", "data"))
    if values.ndim != 5 or len(values) != len(heads) or not values.size:
        problem = f"the series has {heads.shape} headers and values of shape {values.shape}"
        raise DataError(problem, do="it needs (image, channel, z, y, x) values and as many headers: export it again")
    if values.dtype.kind not in "fciu" or int(heads["image_type"][0]) == _COLOUR:
        raise DataError(
            f"{group.name} holds colour pictures, not measured values", do=f"name another series with {setting('key')}"
        )
    axes, shape, order = _arrange(heads, own.axes if own else ())
    values = values[order].reshape(*shape, *values.shape[1:])
    slices = _per_slice(heads[order], axes, shape)
    matrix = (int(values.shape[-3]), int(values.shape[-2]), int(values.shape[-1]))
    space, mends = _field_of_view(heads[0], slices, matrix, header, own=own is not None)
    placed, notes = unoriented(own, matrix, None), ()
    if not placed:
        placed, notes = geometries(slices, matrix, space.encoded.fov_mm)
    facts = replace(
        header.facts, source=str(path), file_format="MRD images", slice_thickness_mm=space.thickness_mm
    ).noted(*mends)
    if own is not None:
        facts = own.added_to(facts)
    kind = _TYPES.get(int(heads["image_type"][0]), "magnitude")
    if kind not in ("magnitude", "complex"):
        facts = facts.noted(f"the series holds the {kind} of the image")
    if not placed[0].oriented:
        facts = facts.flagged(UNKNOWN)
    facts = replace(facts, kept=kept_type(values))
    return Image(
        values=torch.from_numpy(np.ascontiguousarray(held(values))),
        geometries=placed,
        axes=axes,
        header=facts.noted(*notes),
    )


def _field_of_view(
    head: Any, slices: list[Any], matrix: Matrix, header: ScanHeader, *, own: bool
) -> tuple[EncodingSpace, tuple[str, ...]]:
    """The field of view of an image's header, mended by the file's XML header and the slices' positions."""
    fx, fy, fz = (float(f) for f in np.nan_to_num(head["field_of_view"].astype(np.float64), posinf=0.0, neginf=0.0))
    space = EncodingSpace(encoded=Space(matrix=matrix, fov_mm=(fz, fy, fx)), recon=header.encodings[0].recon)
    return mended(space, slice_spacing(slices), ("the images", "reconSpace"), own=own)


def _arrange(heads: Array, named: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[int, ...], Array]:
    """Batch axes, their sizes, and the order of the images along them.

    Where the counters do not tell all images apart, their positions do (slices), else their order (repetitions).
    """
    values = {a: heads[c].astype(np.int64) for a, c in COUNTER.items()}
    if (sets := heads["set"].astype(np.int64)).any():
        values["contrast"] = values["contrast"] * (int(sets.max()) + 1) + sets
    axes = tuple(dict.fromkeys((*named, *(a for a in values if len(np.unique(values[a])) > 1))))
    shape = tuple(len(np.unique(values[a])) for a in axes)
    flat = np.zeros(len(heads), np.int64)
    for a, n in zip(axes, shape, strict=True):
        flat = flat * n + np.unique(values[a], return_inverse=True)[1]
    if np.array_equal(np.sort(flat), np.arange(int(np.prod(shape, dtype=np.int64)))):
        return axes, shape, np.argsort(flat, kind="stable")
    apart = len(np.unique(np.round(heads["position"], 3), axis=0)) == len(heads)
    return ("slice" if apart else "repetition",), (len(heads),), np.arange(len(heads))


def _per_slice(heads: Array, axes: tuple[str, ...], shape: tuple[int, ...]) -> list[Any]:
    """The first header of each slice."""
    grid = heads.reshape(shape) if shape else heads
    if "slice" not in axes:
        return [heads[0]]
    return list(np.moveaxis(grid, axes.index("slice"), 0).reshape(shape[axes.index("slice")], -1)[:, 0])


def write_images(image: Image, group: h5py.Group) -> None:
    """Write a series `image_0` into an empty group, one MRD image for each entry of the batch axes."""
    from ismrmrd.hdf5 import image_header_dtype

    if unknown := [a for a in image.axes if a not in COUNTER]:
        raise DataError(f"MRD has no counter for the axis {unknown[0]!r}", do=f"it has {', '.join(COUNTER)}")
    values = image.values.detach().cpu().resolve_conj().numpy()
    batch, size = values.shape[:-4], values.shape[-4:]
    first = image.geometries[0]
    known = all(g.oriented for g in image.geometries)
    own = OwnFacts(
        header=image.header, axes=image.axes, affines=() if known else tuple(g.affine for g in image.geometries)
    )
    xml = header_xml(
        image.header,
        own,
        Encoding.cartesian(first.shape),
        first,
        n_coils=size[0],
        n_batch={COUNTER[a]: n for a, n in zip(image.axes, batch, strict=True)},
        n_lines=first.shape[:2],
    )
    write_text(group, xml)
    values = _numbers(values, image.header.kept)
    is_complex = np.iscomplexobj(values)
    head = np.zeros(int(np.prod(batch, dtype=np.int64)), image_header_dtype)
    head["version"], head["data_type"] = 1, _CODES[values.dtype.name]
    head["image_type"] = _COMPLEX if is_complex else _MAGNITUDE
    head["channels"], head["matrix_size"], head["field_of_view"] = size[0], size[:0:-1], first.fov_mm
    for i, index in enumerate(np.ndindex(*batch)):
        counters = dict(zip(image.axes, index, strict=True))
        for axis, value in counters.items():
            head[i][COUNTER[axis]] = value
        for name, value in head_frame(image.geometries[counters.get("slice", 0)]).items():
            head[i][name] = value
        head[i]["image_index"] = i + 1
    flat = np.ascontiguousarray(values).reshape(len(head), *size)
    series = group.create_group("image_0")
    store(series, "header", head, (len(head),))
    store(series, "data", flat, (1, 1, *size[1:]))
    series.create_dataset("attributes", (len(head),), maxshape=(None,), dtype=h5py.special_dtype(vlen=str))


def _numbers(values: Array, kept: Mapping[str, str]) -> Array:
    """The values in one of MRD's types, integers exactly."""
    if values.dtype.kind not in "iu":
        return values.astype(np.complex64 if values.dtype.kind == "c" else np.float32, copy=False)
    was = restored(values, kept)
    if was is not None and was[1:] == (1, 0) and was[0].dtype.name in _CODES:
        return was[0]
    kind = smallest(values, "i2", "u2", "i4", "u4")
    do = "write NIfTI, .h5 or .npy, or renumber the labels"
    return as_type(values, np.float64 if kind.itemsize > 4 else kind, "MRD", do)
