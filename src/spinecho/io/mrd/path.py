"""Non-Cartesian lines: samples along a trajectory, in cycles per field of view whatever unit the file uses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from spinecho.core.errors import DataError
from spinecho.io.limits import check_memory
from spinecho.io.mrd.lines import Lines
from spinecho.io.mrd.xml import Matrix, Triple

Array = np.ndarray[Any, np.dtype[Any]]
OWN_UNIT = "spinecho: cycles per field of view"
"""Identifier of the trajectory description in files that spinecho wrote."""


@dataclass(frozen=True, kw_only=True)
class Path:
    """Samples (batch, coil, 1, line, sample), trajectory (batch or 1, 1, line, sample, 3), and what was decided."""

    samples: Array
    traj: Array
    notes: tuple[str, ...]


def along_path(
    lines: Lines,
    index: Array,
    n_batch: int,
    *,
    matrix: Matrix,
    fov_mm: Triple | None,
    oversampling: float,
    known_unit: bool,
    shift_z: int,
    conjugate: bool,
) -> Path:
    """Read lines with their trajectories; those of averages and partitions follow each other along k1.

    Parameters
    ----------
    index
        Batch entry of each line.
    matrix, fov_mm
        Of the image grid, (z, y, x).
    oversampling
        Encoded field of view along x over that of the image.
    known_unit
        Whether the file says that its unit is cycles per field of view.
    shift_z
        Added to the partition counter to get its index, for a stack of planar trajectories.
    conjugate
        Take the complex conjugate (Siemens' sign of the Fourier transform).

    Raises
    ------
    DataError
        If lines have no trajectory, differ in length, or are too unevenly spread over the frames.
    """
    dims = np.unique(lines.heads["trajectory_dimensions"])
    if dims.min() < 2 or len(dims) > 1:
        raise DataError(
            f"the scan is not Cartesian, its lines have trajectories of {', '.join(map(str, dims))} dimensions",
            do="store kx and ky (and kz) with every line",
        )
    if len(pieces := list(lines.chunks())) > 1 and len({_kept(lines, int(c[0])) for c in pieces}) > 1:
        raise DataError("non-Cartesian lines differ in their number of samples", do="export lines of one length")
    notes: list[str] = []
    rows, n_lines = _share(index, n_batch, notes)
    n = _kept(lines, 0)
    n_coils = int(lines.heads["active_channels"][0])
    check_memory(n_batch * n_lines * n * (8 * n_coils + 12), f"{n_batch} x {n_lines} lines")
    samples = np.empty((n_batch, n_coils, 1, n_lines, n), np.complex64)
    traj = np.zeros((n_batch, 1, n_lines, n, 3), np.float32)
    where = np.full(len(lines), -1)
    where[rows.ravel()] = np.arange(rows.size)
    for chunk in pieces:
        chunk = chunk[where[chunk] >= 0]
        if not len(chunk):
            continue
        values, path = lines[chunk].samples()
        assert path is not None
        pre = int(lines.heads["discard_pre"][chunk[0]])
        b, k1 = np.divmod(where[chunk], n_lines)
        samples[b, :, 0, k1] = values[..., pre : pre + n]
        traj[b, 0, k1, :, : min(3, path.shape[-1])] = path[:, pre : pre + n, :3]
    traj *= np.array((1, 1, 1) if known_unit else _scale(traj, matrix, fov_mm, oversampling, notes), np.float32)
    if matrix[0] > 1 and not known_unit:
        partition = lines.counter("kspace_encode_step_2")[rows] + shift_z - matrix[0] // 2
        traj[..., 2] = _kz(traj[..., 2], partition[:, None, :, None], matrix[0], int(dims[0]), notes)
    if matrix[0] == 1 and traj[..., 2].any():
        notes.append("the third trajectory dimension of a 2-D scan was ignored")
        traj[..., 2] = 0
    if (traj == traj[:1]).all():
        traj = traj[:1]
    if conjugate:
        np.conjugate(samples, out=samples)
    return Path(samples=samples, traj=traj, notes=tuple(notes))


def _kz(stored: Array, partition: Array, n: int, dims: int, notes: list[str]) -> Array:
    """kz in cycles per field of view (batch, 1, line, sample) of a scan of n partitions.

    A stack of planes counts its partitions, which lie 1 apart: their counter is kz where the trajectory has none, and
    gives the unit of a kz that does not fit.

    Parameters
    ----------
    stored
        The third coordinate in the unit found for the first two; zero where there is none.
    partition
        Of each line, from the centre.
    """
    if dims < 3:
        return np.broadcast_to(partition, stored.shape)
    low, high = int(partition.min()), int(partition.max())
    if low == high or low < -(n // 2) or high >= n - n // 2:
        return stored
    flat = np.ptp(stored, axis=-1).max() <= 1e-3 * np.abs(stored).max()
    if not stored.any() or (stored.min() >= 0 and not flat):
        what = "is a weight" if stored.any() else "is zero"
        notes.append(f"the third trajectory coordinate {what}: kz taken from the partition counter")
        return np.broadcast_to(partition, stored.shape)
    kz, counted = stored[..., 0].ravel().astype(np.float64), partition.ravel()
    slope, start = np.polyfit(counted, kz, 1)
    if not flat or slope == 0 or np.abs(kz - slope * counted - start).max() > 0.1 * abs(slope):
        return stored
    if abs(abs(slope) - 1) < 0.05:
        return stored
    notes.append(f"kz has another unit than kx and ky: partitions {abs(slope):.4g} apart taken as 1 cycle")
    return stored / abs(slope)


def _kept(lines: Lines, i: int) -> int:
    """Samples of a line once the discarded ones are gone."""
    size, pre, post = (int(lines.heads[k][i]) for k in ("number_of_samples", "discard_pre", "discard_post"))
    if size <= pre + post:
        raise DataError("lines discard more samples than they have", do="export the scan again")
    return size - pre - post


def _share(index: Array, n_batch: int, notes: list[str]) -> tuple[Array, int]:
    """Line numbers (batch, line): as many for each batch entry as the poorest has."""
    each = np.bincount(index, minlength=n_batch)
    n = int(each.min())
    if 2 * n < each.max():
        raise DataError(
            f"the frames and slices have between {n} and {each.max()} lines",
            do="the scan was cut off in its last frame, or its counters are wrong: export it again",
        )
    if n < each.max():
        notes.append(f"frames have between {n} and {each.max()} lines: the first {n} of each were taken")
    order = np.argsort(index, kind="stable")
    first = np.concatenate([[0], np.cumsum(each)[:-1]])
    return order[first[:, None] + np.arange(n)], n


def _scale(traj: Array, matrix: Matrix, fov_mm: Triple | None, oversampling: float, notes: list[str]) -> Triple:
    """Factors (x, y, z) that turn the file's unit into cycles per field of view.

    The standard leaves the unit open. Of those in use, the one is taken whose largest k is nearest to half the
    matrix, which a trajectory that fills the grid reaches.
    """
    n = matrix[::-1]
    units: dict[str, Triple] = {
        "cycles per field of view": (1.0, 1.0, 1.0),
        "cycles per oversampled field of view": (1 / oversampling, 1.0, 1.0),
        "cycles per voxel": (float(n[0]), float(n[1]), float(n[2])),
        "radians per voxel": (n[0] / (2 * math.pi), n[1] / (2 * math.pi), n[2] / (2 * math.pi)),
    }
    if fov_mm is not None:
        x, y, z = fov_mm[::-1]
        units["1/m"] = (x / 1e3, y / 1e3, z / 1e3)
        units["rad/m"] = (x / (2e3 * math.pi), y / (2e3 * math.pi), z / (2e3 * math.pi))
        units["1/mm"] = (x, y, z)
    reach = np.abs(traj).reshape(-1, 3).max(0)[:2]
    if not np.isfinite(reach).all() or not reach.any():
        raise DataError("the trajectory is zero or not finite", do="store kx and ky in cycles per field of view")
    fill = {u: max(2 * r * s[i] / n[i] for i, r in enumerate(reach)) for u, s in units.items()}
    best = min(fill, key=lambda u: abs(math.log(fill[u])))
    # Cycles per field of view is what most files hold: another unit must fit clearly better.
    usual = next(iter(units))
    if abs(math.log(fill[usual])) < abs(math.log(fill[best])) + 0.1:
        best = usual
    notes.append(f"trajectory taken as {best}: its largest k is {fill[best]:.0%} of half the matrix")
    return units[best]
