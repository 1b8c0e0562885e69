"""KSpace to MRD lines: samples, separate calibration, noise with the right covariance, and the truth beside them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.kspace import KSpace
from spinecho.io.mrd.geometry import head_frame
from spinecho.io.mrd.lines import FLAG, line_digest, table_digest
from spinecho.io.mrd.own import LINE_CHECKSUMS, TARGET, OwnFacts, seal, store, text_digest
from spinecho.io.mrd.path import OWN_UNIT
from spinecho.io.mrd.xml_write import header_xml
from spinecho.ops.sampling import centre_crop

Array = np.ndarray[Any, np.dtype[Any]]
COUNTER = {"slice": "slice", "contrast": "contrast", "repetition": "repetition", "time": "phase", "average": "average"}
"""Batch axis to MRD's counter."""

_MOST = 65535
_CHUNK = 64
Block = tuple[Array, list[Array], list[Array]]
"""Headers, samples (interleaved real and imaginary) and trajectories of some lines."""


def write_kspace(kspace: KSpace, group: h5py.Group) -> None:
    """Write a scan into an empty group.

    Raises
    ------
    DataError
        If an axis has no counter in MRD, or a size is over 65535, which its counters cannot hold.
    """
    if unknown := [a for a in kspace.axes if a not in COUNTER]:
        raise DataError(f"MRD has no counter for the axis {unknown[0]!r}", do=f"it has {', '.join(COUNTER)}")
    if max(*kspace.samples.shape, *kspace.encoding.matrix) > _MOST:
        raise DataError(
            f"the scan has shape {tuple(kspace.samples.shape)}; MRD counts to {_MOST}", do="write .h5 or .cfl"
        )
    unoriented = not all(g.oriented for g in kspace.geometries)
    own = OwnFacts(
        header=kspace.header,
        axes=kspace.axes,
        centre=kspace.encoding.origin if kspace.is_cartesian else None,
        affines=tuple(g.affine for g in kspace.geometries) if unoriented else (),
    )
    n_lines = (
        kspace.encoding.matrix[:2] if kspace.is_cartesian else (kspace.samples.shape[-3], kspace.samples.shape[-2])
    )
    xml = header_xml(
        kspace.header,
        own,
        kspace.encoding,
        kspace.geometries[0],
        n_coils=kspace.n_coils,
        n_batch={COUNTER[a]: n for a, n in zip(kspace.axes, kspace.samples.shape, strict=False)},
        n_lines=n_lines,
        unit="" if kspace.is_cartesian else OWN_UNIT,
        separate=kspace.calib is not None,
    )
    write_text(group, xml)
    imaging = _cartesian(kspace) if kspace.is_cartesian else _non_cartesian(kspace)
    _append(group, itertools.chain(_noise(kspace), _calibration(kspace), imaging))
    if kspace.target is not None:
        target = kspace.target.detach().cpu().numpy()
        store(group, TARGET, target, (1,) * (target.ndim - 2) + target.shape[-2:])


def write_text(group: h5py.Group, xml: str) -> None:
    """The XML header with its checksum."""
    stored = group.create_dataset("xml", (1,), dtype=h5py.special_dtype(vlen=bytes))
    stored[0] = xml.encode()
    seal(stored, text_digest(xml))


def _append(group: h5py.Group, blocks: Iterator[Block]) -> None:
    """Write blocks of lines to the table, then the checksums."""
    from ismrmrd.hdf5 import acquisition_dtype

    table = group.create_dataset("data", (0,), maxshape=(None,), chunks=(_CHUNK,), dtype=acquisition_dtype)
    heads, digests = [], []
    for head, samples, traj in blocks:
        head["scan_counter"] = np.arange(len(table), len(table) + len(head))
        rows = np.empty(len(head), acquisition_dtype)
        rows["head"] = head
        for i, (line, path) in enumerate(zip(samples, traj, strict=True)):
            rows["data"][i], rows["traj"][i] = line, path
            digests.append(line_digest(line, path))
        start = len(table)
        table.resize(start + len(rows), axis=0)
        table[start:] = rows
        heads.append(head)
    stored = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
    store(group, LINE_CHECKSUMS, stored, (min(1024, len(stored)), 32))
    seal(table, table_digest(np.concatenate(heads), stored))


def _heads(n: int, geometry: Geometry, n_coils: int, n_samples: int, counters: dict[str, int], flag: str = "") -> Array:
    """n line headers with what their lines share."""
    from ismrmrd.hdf5 import acquisition_header_dtype

    head = np.zeros(n, acquisition_header_dtype)
    head["version"], head["sample_time_us"] = 1, 1.0
    head["active_channels"], head["available_channels"], head["number_of_samples"] = n_coils, n_coils, n_samples
    head["center_sample"] = n_samples // 2
    if flag:
        head["flags"] = 1 << FLAG[flag] - 1
    for name, value in head_frame(geometry).items():
        head[name] = value
    for name, value in counters.items():
        head["idx"][name] = value
    return head


def _entries(kspace: KSpace, shape: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Geometry, dict[str, int]]]:
    """Index, geometry and counters of each entry of (part of) the batch axes."""
    for index in np.ndindex(*shape):
        counters = {COUNTER[a]: i for a, i in zip(kspace.axes, index, strict=True)}
        yield index, kspace.geometries[counters.get("slice", 0) if "slice" in kspace.axes else 0], counters


def _cartesian(kspace: KSpace) -> Iterator[Block]:
    """Lines of each batch entry; a line with gaps in its mask is written in runs."""
    assert kspace.mask is not None
    batch = kspace.samples.shape[:-4]
    masks = kspace.mask.broadcast_to(*batch, *kspace.mask.shape[-4:])
    origin, nx = kspace.encoding.origin[2], kspace.samples.shape[-1]
    for index, geometry, counters in _entries(kspace, tuple(batch)):
        samples = kspace.samples[index].detach().cpu().resolve_conj().numpy()
        mask = np.broadcast_to(masks[index][0].cpu().numpy(), samples.shape[1:])
        edges = np.diff(mask.astype(np.int8), axis=-1, prepend=0, append=0)
        z, y, start = np.nonzero(edges == 1)
        stop = np.nonzero(edges == -1)[2]
        if not len(z):
            continue
        first = np.minimum(start, origin)
        head = _heads(len(z), geometry, kspace.n_coils, nx, counters)
        head["idx"]["kspace_encode_step_1"], head["idx"]["kspace_encode_step_2"] = y, z
        head["number_of_samples"] = stop - first
        head["center_sample"], head["discard_pre"] = origin - first, start - first
        lines = [_pairs(samples[:, z[i], y[i], first[i] : stop[i]]) for i in range(len(z))]
        yield head, lines, [np.zeros(0, np.float32)] * len(z)


def _non_cartesian(kspace: KSpace) -> Iterator[Block]:
    """Lines with their trajectories, cycles per field of view."""
    assert kspace.traj is not None
    batch = kspace.samples.shape[:-4]
    traj = kspace.traj.broadcast_to(*batch, *kspace.samples.shape[-3:], 3)
    for index, geometry, counters in _entries(kspace, tuple(batch)):
        samples = kspace.samples[index].detach().cpu().resolve_conj().numpy()
        path = np.ascontiguousarray(traj[index].detach().cpu().numpy(), np.float32)
        n_coils, n2, n1, n0 = samples.shape
        z, y = (a.ravel() for a in np.indices((n2, n1)))
        head = _heads(len(z), geometry, n_coils, n0, counters)
        head["trajectory_dimensions"] = 3
        head["idx"]["kspace_encode_step_1"], head["idx"]["kspace_encode_step_2"] = y, z
        yield head, [_pairs(samples[:, i, j]) for i, j in zip(z, y, strict=True)], list(path.reshape(len(z), -1))


def _calibration(kspace: KSpace) -> Iterator[Block]:
    """Separate calibration lines about k = 0; a block larger than the grid is cropped to it."""
    if kspace.calib is None:
        return
    size = tuple(min(n, m) for n, m in zip(kspace.calib.shape[-3:], kspace.encoding.matrix, strict=True))
    calib = centre_crop(kspace.calib.detach().cpu(), size).resolve_conj().numpy()
    origin = kspace.encoding.origin
    for index, geometry, counters in _entries(kspace, calib.shape[:-4]):
        z, y = (a.ravel() for a in np.indices(size[:2]))
        head = _heads(len(z), geometry, kspace.n_coils, size[2], counters, "calibration")
        head["idx"]["kspace_encode_step_1"] = y + origin[1] - size[1] // 2
        head["idx"]["kspace_encode_step_2"] = z + origin[0] - size[0] // 2
        lines = [_pairs(calib[index][:, i, j]) for i, j in zip(z, y, strict=True)]
        yield head, lines, [np.zeros(0, np.float32)] * len(z)


def _noise(kspace: KSpace) -> Iterator[Block]:
    """One noise line N with N N^H / n = C: N = sqrt(n) C^(1/2) Q, the rows of Q orthonormal (of a Fourier matrix)."""
    if kspace.noise_cov is None:
        return
    covariance = kspace.noise_cov.detach().cpu().numpy().astype(np.complex128)
    n_coils = len(covariance)
    n = max(256, 2 * n_coils)
    power, vectors = np.linalg.eigh(covariance)
    rows = np.exp(-2j * np.pi * np.outer(np.arange(n_coils), np.arange(n)) / n)
    noise = vectors @ (np.sqrt(np.maximum(power, 0))[:, None] * (vectors.conj().T @ rows))
    head = _heads(1, kspace.geometries[0], n_coils, n, {}, "noise")
    yield head, [_pairs(noise.astype(np.complex64))], [np.zeros(0, np.float32)]


def _pairs(samples: Array) -> Array:
    """(coil, sample) complex to the flat float32 pairs that MRD stores."""
    return np.ascontiguousarray(samples, np.complex64).reshape(-1).view(np.float32)
