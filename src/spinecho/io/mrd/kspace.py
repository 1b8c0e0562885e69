"""An MRD file's lines as KSpace."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import torch

from spinecho.core.encoding import Encoding
from spinecho.core.errors import DataError
from spinecho.core.header import Header
from spinecho.core.kspace import KSpace
from spinecho.io.mrd.calibration import calibration, noise_covariance
from spinecho.io.mrd.geometry import UNKNOWN, geometries
from spinecho.io.mrd.grid import Grid, find_grid, path_grid, place
from spinecho.io.mrd.lines import open_table
from spinecho.io.mrd.own import TARGET, load, own_facts, unoriented
from spinecho.io.mrd.path import OWN_UNIT, along_path
from spinecho.io.mrd.scan import Scan, sort_lines
from spinecho.io.mrd.xml import Matrix, ScanHeader
from spinecho.io.options import ReadOptions

Array = np.ndarray[Any, np.dtype[Any]]
_SHAPES: dict[str, Literal["radial", "spiral"]] = {"radial": "radial", "goldenangle": "radial", "spiral": "spiral"}


def sorted_scan(group: h5py.Group, header: ScanHeader, slices: tuple[int, int] | None) -> Scan:
    """The lines of a group, sorted, and narrowed to the slices start:stop."""
    own = own_facts(header)
    lines = open_table(group, expect_checksums=own is not None)
    return sort_lines(lines, header, slices, own.axes if own else None)


def read_kspace(group: h5py.Group, header: ScanHeader, path: Path, options: ReadOptions) -> KSpace:
    """The scan of a dataset group.

    Raises
    ------
    DataError
        If lines cannot be placed, or an EPI was sampled on the gradients' ramps.
    """
    own, scan = own_facts(header), sorted_scan(group, header, options.slices)
    centre = own.centre if own else None
    conjugate = "siemens" in header.facts.vendor.lower() and own is None
    cartesian = scan.space.is_cartesian
    grid = find_grid(scan.imaging, scan.space, centre) if cartesian else path_grid(scan.imaging, scan.space)
    facts = replace(header.facts, source=str(path), file_format="MRD", slice_thickness_mm=scan.space.thickness_mm)
    if own is not None:
        facts = own.added_to(facts)
    facts = facts.noted(*scan.notes, *grid.notes)
    if conjugate:
        facts = facts.noted("Siemens raw samples conjugated, so that the image lies along the recorded directions")
    values, encoding, facts = _samples(scan, grid, facts, centre, conjugate=conjugate)
    noise_cov, told = noise_covariance(scan, header.noise_bandwidth)
    if noise_cov is not None:
        averages = values["averages"]
        noise_cov = (noise_cov.conj() if conjugate else noise_cov) / averages
        told += f", over {averages:g} averages" if averages > 1 else ""
    calib, calib_notes = calibration(scan, grid, conjugate=conjugate)
    heads, n_slices = _first_heads(scan), len(scan.batch.values["slice"]) if "slice" in scan.batch.axes else 1
    geometry, geometry_notes = unoriented(own, encoding.matrix, options.slices), ()
    if not geometry:
        geometry, geometry_notes = geometries(heads[:n_slices], encoding.matrix, encoding.fov_mm)
    if not geometry[0].oriented:
        facts = facts.flagged(UNKNOWN)
    kspace = KSpace(
        samples=torch.from_numpy(values["samples"]),
        mask=_tensor(values["mask"]),
        traj=_tensor(values["traj"]),
        encoding=encoding,
        geometries=geometry,
        calib=_tensor(None if calib is None else _along_slices(calib, scan)),
        noise_cov=_tensor(None if noise_cov is None else noise_cov.astype(np.complex64)),
        axes=scan.batch.axes,
        header=facts.noted(*(n for n in (told, *calib_notes, *geometry_notes) if n)),
    )
    return replace(kspace, target=_target(group, scan, options.slices)) if TARGET in group else kspace


def _samples(
    scan: Scan, grid: Grid, facts: Header, centre: Matrix | None, *, conjugate: bool
) -> tuple[dict[str, Any], Encoding, Header]:
    """Samples with mask or trajectory (and how many averages they hold), the encoding, and what was noted."""
    space, shape = scan.space, scan.batch.shape
    n_batch = int(np.prod(shape, dtype=np.int64))
    index = scan.batch.index(scan.imaging)
    encoding = Encoding(
        matrix=grid.cropped,
        recon_matrix=space.recon.matrix or grid.cropped,
        fov_mm=grid.fov_mm,
        recon_fov_mm=space.recon.fov_mm or grid.fov_mm,
        centre=None if centre == tuple(n // 2 for n in grid.cropped) else centre,
        acceleration=space.acceleration,
        trajectory="cartesian" if space.is_cartesian else _SHAPES.get(space.trajectory, "other"),
    )
    if encoding.trajectory != "cartesian":
        fov_x = space.encoded.fov_mm[2] if space.encoded.fov_mm else 0.0
        path = along_path(
            scan.imaging,
            index,
            n_batch,
            matrix=grid.cropped,
            fov_mm=grid.fov_mm,
            oversampling=fov_x / grid.fov_mm[2] if grid.fov_mm else 1.0,
            known_unit=space.trajectory_name == OWN_UNIT,
            shift_z=grid.shift[0],
            conjugate=conjugate,
        )
        traj = path.traj.reshape(*(shape if len(path.traj) > 1 else (1,) * len(shape)), *path.traj.shape[1:])
        samples = path.samples.reshape(*shape, *path.samples.shape[1:])
        return {"samples": samples, "mask": None, "traj": traj, "averages": 1.0}, encoding, facts.noted(*path.notes)
    if space.ramp_sampled:
        raise DataError(
            "this EPI was sampled on the gradient ramps and is not on a grid yet",
            do="regrid it in the converter, or read the vendor's raw file",
        )
    if space.trajectory == "epi":
        facts = facts.noted("EPI without odd-even phase correction: expect ghosts")
    samples, count = place(scan.imaging, index, n_batch, grid, conjugate=conjugate)
    empty = int((~count.any((1, 2, 3, 4))).sum())
    if empty:
        facts = facts.noted(f"{empty} of {n_batch} slices and frames have no lines at all")
    averages = float(np.median(count[count > 0]))
    if count.max() > 1:
        facts = facts.noted(f"lines measured more than once (up to {count.max()} times) were averaged")
    mask = (count > 0).reshape(*shape, *count.shape[1:])
    samples = samples.reshape(*shape, *samples.shape[1:])
    return {"samples": samples, "mask": mask, "traj": None, "averages": averages}, encoding, facts


def _tensor(values: Array | None) -> torch.Tensor | None:
    return None if values is None else torch.from_numpy(np.ascontiguousarray(values))


def _first_heads(scan: Scan) -> list[Any]:
    """The header of each slice's first imaging line, slices in the order of the axis."""
    _, first = np.unique(scan.imaging.counter("slice"), return_index=True)
    return [scan.imaging.heads[i] for i in first]


def _along_slices(block: Array, scan: Scan) -> Array:
    """(slice or 1, coil, ...) to (*batch with 1 where there is no slice axis, coil, ...)."""
    axes = scan.batch.axes
    return block.reshape(*(len(block) if a == "slice" else 1 for a in axes), *block.shape[1:])


def _target(group: h5py.Group, scan: Scan, slices: tuple[int, int] | None) -> torch.Tensor:
    """The truth stored beside the lines, narrowed to the slices asked for."""
    target = torch.from_numpy(load(group, TARGET, own=True))
    if slices is None or "slice" not in scan.batch.axes:
        return target
    axis = scan.batch.axes.index("slice")
    return target if target.shape[axis] == 1 else target.narrow(axis, slices[0], slices[1] - slices[0])
