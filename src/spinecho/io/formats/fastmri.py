"""fastMRI's HDF5 files: multi- and single-coil knee and brain k-space with their targets.

A fastMRI array is (slice, coil, k0, k1): the readout runs down the rows of its images. Inside this package x is the
readout, so k-space, mask and target are transposed on reading: voxel (z, y, x) here is (slice, row x, column y) there.
The geometry says so, and `Image.as_stored` puts pictures and files back into fastMRI's order.

Readout oversampling is cropped in image space, as fastMRI's evaluation does with its centre crop; the image wanted has
the target's matrix, else the one of the header. The files do not record how the patient lay.

Source: Zbontar et al. 2018, arXiv:1811.08839 (layout, `ismrmrd_header`, attributes).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from spinecho.core.encoding import Encoding
from spinecho.core.errors import DataError
from spinecho.core.header import Header
from spinecho.core.kspace import KSpace
from spinecho.io.axes import picture_geometry
from spinecho.io.hdf5 import MAGIC, dataset, open_h5, read_dataset
from spinecho.io.mrd.fov import mended
from spinecho.io.mrd.geometry import UNKNOWN
from spinecho.io.mrd.xml import EncodingSpace, ScanHeader, parse_header
from spinecho.io.options import ReadOptions, refuse_idle
from spinecho.ops.fourier import fft, ifft
from spinecho.ops.sampling import centre_crop

SUFFIXES = (".h5",)
Array = np.ndarray[Any, np.dtype[Any]]
_TARGETS = ("reconstruction_rss", "reconstruction_esc")
_TWO_SIDES = "(slice, coil, k0, k1) or (slice, k0, k1)"


@dataclass(frozen=True, kw_only=True)
class _Plane:
    """Sizes of a slice: k1, k0 as stored, k0 kept, the image wanted (y, x), and voxels (x, y, z) in mm."""

    ny: int
    nx: int
    kept: int
    wanted: tuple[int, int]
    voxel_mm: tuple[float, float, float]


def recognises(path: Path, head: bytes) -> bool:
    """Whether it is HDF5 with `kspace` and `ismrmrd_header` at the top."""
    if not head.startswith(MAGIC):
        return False
    try:
        with h5py.File(path, "r") as file:
            return "ismrmrd_header" in file and "kspace" in file
    except (OSError, RuntimeError, ValueError, KeyError):
        return False


def slice_count(path: Path, options: ReadOptions) -> int:
    """Number of slices."""
    with open_h5(path) as file:
        return int(_stored_kspace(file).shape[0])


def read(path: Path, options: ReadOptions) -> KSpace:
    """The volume, or the slices `options.slices` of it, with the target where the file has one.

    Raises
    ------
    DataError
        If the k-space has another layout, or mask and k-space disagree.
    """
    refuse_idle(options, "fastMRI", "voxel_mm")
    with open_h5(path) as file:
        stored, scan = _stored_kspace(file), _scan_header(file)
        space, mends = mended(scan.encodings[0])
        n = stored.shape[0]
        start, stop = options.slices or (0, n)
        if not 0 <= start < stop <= n:
            raise DataError(f"slices {start}:{stop} were asked for, the file has {n}", do=f"choose within 0:{n}")
        target = _target(file, slice(start, stop))
        plane = _plane(stored, space, target, options.voxel_mm)
        values = read_dataset(stored, (slice(start, stop),))
        given = read_dataset(dataset(file, "mask")) if "mask" in file else None
        facts = replace(scan.facts, slice_thickness_mm=space.thickness_mm).noted(*mends)
        header, rate = _header(facts, file, path), _number(file.attrs.get("acceleration"))
    if values.dtype.kind != "c":
        raise DataError(f"kspace has type {values.dtype}, but it must be complex", do="export it as complex64")
    values = values if values.ndim == 4 else values[:, None]
    columns = _columns(values, given)
    values[..., ~columns] = 0
    if plane.kept < plane.nx:
        header = header.noted(
            f"readout oversampling removed: {plane.nx} samples cropped to {plane.kept} in image space"
        )
    if padded := int((~columns).sum()) if given is None else 0:
        header = header.noted(f"{padded} of {plane.ny} phase encodes are zeros of padding, not measured")
    return KSpace(
        samples=_samples(values, plane.kept),
        mask=torch.from_numpy(columns).reshape(1, 1, 1, plane.ny, 1),
        encoding=_encoding(plane, space, rate),
        geometries=picture_geometry(
            (1, plane.ny, plane.kept),
            transposed=True,
            n_slices=stop - start,
            first_slice=start,
            voxel_mm=(plane.voxel_mm[1], plane.voxel_mm[0], plane.voxel_mm[2]),
        ),
        axes=("slice",),
        header=header.flagged(UNKNOWN),
        target=None if target is None else torch.from_numpy(target).mT[:, None, None].contiguous(),
    )


def _stored_kspace(file: h5py.File) -> h5py.Dataset:
    stored = dataset(file, "kspace")
    if stored.ndim not in (3, 4) or not min(stored.shape):
        raise DataError(f"kspace has shape {stored.shape}, fastMRI's is {_TWO_SIDES}", do="see `spinecho info FILE`")
    return stored


def _scan_header(file: h5py.File) -> ScanHeader:
    return parse_header(np.ravel(read_dataset(dataset(file, "ismrmrd_header")))[0])


def _target(file: h5py.File, part: slice) -> Array | None:
    """The reconstruction to compare with, (slice, row, column) float32; None in test files."""
    name = next((t for t in _TARGETS if t in file), None)
    if name is None:
        return None
    target = read_dataset(dataset(file, name), (part,)).astype(np.float32)
    if target.ndim != 3 or len(target) != part.stop - part.start:
        raise DataError(
            f"{name} has shape {target.shape}, (slice, row, column) is wanted", do="remove it from the file"
        )
    return target


def _plane(
    stored: h5py.Dataset, space: EncodingSpace, target: Array | None, voxel_mm: tuple[float, float, float] | None
) -> _Plane:
    """Sizes from the data, fields of view from the header; voxel_mm (column, row, slice) where it has none."""
    nx, ny = int(stored.shape[-2]), int(stored.shape[-1])
    fov, recon = space.encoded.fov_mm, space.recon
    kept = nx
    if fov and recon.fov_mm and fov[2] > recon.fov_mm[2] * 1.0001:
        kept = max(1, round(nx * recon.fov_mm[2] / fov[2]))
    if target is not None:
        wanted = (int(target.shape[2]), int(target.shape[1]))
    elif recon.matrix is not None:
        wanted = (recon.matrix[1], recon.matrix[2])
    else:
        wanted = (ny, kept)
    # The crop in image space may keep more rows than the picture wants, never fewer.
    kept = min(nx, max(kept, wanted[1]))
    thickness = recon.fov_mm[0] if recon.fov_mm else 0.0
    if fov:
        voxel = (fov[2] / nx, fov[1] / ny, thickness or fov[0])
    else:
        column, row, slice_mm = voxel_mm or (1.0, 1.0, 1.0)
        voxel = (row, column, slice_mm)
    return _Plane(ny=ny, nx=nx, kept=kept, wanted=wanted, voxel_mm=voxel)


def _encoding(plane: _Plane, space: EncodingSpace, rate: float | None) -> Encoding:
    """The image is the centre of the encoded grid, as fastMRI crops it: same voxels, no interpolation."""
    x, y, z = plane.voxel_mm
    wanted_y, wanted_x = plane.wanted
    return Encoding(
        matrix=(1, plane.ny, plane.kept),
        recon_matrix=(1, wanted_y, wanted_x),
        fov_mm=(z, y * plane.ny, x * plane.kept),
        recon_fov_mm=(z, y * wanted_y, x * wanted_x),
        acceleration=(1.0, rate) if rate else space.acceleration,
    )


def _columns(values: Array, given: Array | None) -> Array:
    """Which phase encodes were measured: the file's mask where it has one, and no columns of zeros."""
    columns = np.array(values.any(axis=(0, 1, 2)), ndmin=1)
    if given is None:
        return columns
    mask = np.squeeze(given) != 0
    if mask.shape != columns.shape:
        raise DataError(
            f"the mask has shape {given.shape}, k-space has {len(columns)} columns", do="give one value each"
        )
    return mask & columns


def _samples(values: Array, kept: int) -> torch.Tensor:
    """(slice, coil, k0, k1) to (slice, coil, 1, k1, k0), oversampling cropped slice by slice."""
    n_slices, n_coils, _, ny = values.shape
    samples = torch.empty((n_slices, n_coils, 1, ny, kept), dtype=torch.complex64)
    for i in range(n_slices):
        plane = torch.from_numpy(np.ascontiguousarray(values[i], np.complex64)).mT
        if plane.shape[-1] != kept:
            plane = fft(centre_crop(ifft(plane, (-1,)), (kept,)), (-1,))
        samples[i, :, 0] = plane
    return samples


def _header(facts: Header, file: h5py.File, path: Path) -> Header:
    """Facts of the XML and of the file's attributes (`acquisition`, `patient_id`)."""
    said = {name: _text(file.attrs[name]) for name in ("patient_id", "acquisition") if name in file.attrs}
    patient = {**facts.patient, **({"id": said["patient_id"]} if "patient_id" in said else {})}
    protocol = said.get("acquisition", facts.protocol)
    return replace(facts, source=str(path), file_format="fastMRI", patient=patient, protocol=protocol)


def _number(value: Any) -> float | None:
    return float(value) if np.ndim(value) == 0 and isinstance(value, (int, float, np.number)) else None


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
