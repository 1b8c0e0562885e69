"""Place Cartesian lines on the encoded grid, readout oversampling removed, repeated lines averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from spinecho.core.errors import DataError
from spinecho.io.limits import check_memory
from spinecho.io.mrd.lines import Lines
from spinecho.io.mrd.xml import EncodingSpace, Matrix, Triple
from spinecho.ops.fourier import fft, ifft
from spinecho.ops.sampling import centre_crop

Array = np.ndarray[Any, np.dtype[Any]]
CARTESIAN = ("cartesian", "epi")
_MOST_WIDENED = 4


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Where samples go.

    Parameters
    ----------
    matrix
        (k2, k1, k0) as encoded, with readout oversampling.
    n_readout
        Samples kept along k0 once oversampling is cropped.
    shift
        Added to a phase-encode counter to get its index, (k2, k1).
    origin_x
        Index of k = 0 along k0 where the file says it; None: found line by line (`extents`).
    fov_mm
        Of the grid after the crop, (z, y, x); None: unknown.
    notes
        What was decided on the way.
    """

    matrix: Matrix
    n_readout: int
    shift: tuple[int, int]
    origin_x: int | None = None
    fov_mm: Triple | None = None
    notes: tuple[str, ...] = ()

    @property
    def cropped(self) -> Matrix:
        """(k2, k1, k0) after the crop."""
        return self.matrix[0], self.matrix[1], self.n_readout


@dataclass(frozen=True, kw_only=True, eq=False)
class Extents:
    """Half-open range of each line's samples that count (`low:high`), and the grid index of the first (`start`)."""

    low: Array
    high: Array
    start: Array

    @property
    def stop(self) -> Array:
        """Grid index after the last sample."""
        return self.start + self.high - self.low


def find_grid(lines: Lines, space: EncodingSpace, centre: Matrix | None = None) -> Grid:
    """The grid that the header describes, corrected where the lines do not fit it.

    Lines along a trajectory have no place on the grid (the first encoding step counts spokes or arms): there it is that
    of the image alone, and the second step counts the partitions of planar trajectories.

    Parameters
    ----------
    centre
        Index of k = 0, where the file says that it is not n // 2.

    Raises
    ------
    DataError
        If lines lie far outside the matrix of the header.
    """
    notes: list[str] = []
    wanted = space.encoded.matrix or (0, 0, int(lines.heads["number_of_samples"].max()))
    if space.encoded.matrix is None:
        notes.append("the header has no matrix size: taken from the lines")
    if space.trajectory not in CARTESIAN:
        return _image_grid(lines, space, wanted, notes)
    nz, shift_z = _phase_axis(lines, 2, wanted[0], space, notes, centre and centre[0])
    ny, shift_y = _phase_axis(lines, 1, wanted[1], space, notes, centre and centre[1])
    nx = wanted[2] if centre else _width(extents(lines, wanted[2]), wanted[2])
    fov, kept = _readout_fov(space, nx, wanted[2])
    if nx > wanted[2]:
        notes.append(f"lines are {nx} samples wide, the header's matrix {wanted[2]}: taken as readout oversampling")
    if fov and nz == 1 and space.recon.fov_mm:
        fov = (space.recon.fov_mm[0], fov[1], fov[2])
    if kept < nx:
        notes.append(f"readout oversampling removed: {nx} samples cropped to {kept} in image space")
    return Grid(
        matrix=(nz, ny, nx),
        n_readout=kept,
        shift=(shift_z, shift_y),
        origin_x=centre[2] if centre else None,
        fov_mm=fov,
        notes=tuple(notes),
    )


def _image_grid(lines: Lines, space: EncodingSpace, wanted: Matrix, notes: list[str]) -> Grid:
    """The grid of an image whose lines follow trajectories; square where the header has no matrix."""
    nz, shift_z = max(1, wanted[0]), 0
    if lines.heads["trajectory_dimensions"].max() == 2:
        nz, shift_z = _phase_axis(lines, 2, wanted[0], space, notes, None)
    nx = wanted[2]
    fov, kept = _readout_fov(space, nx, nx)
    if fov and nz == 1 and space.recon.fov_mm:
        fov = (space.recon.fov_mm[0], fov[1], fov[2])
    if kept < nx:
        notes.append(f"the encoded field of view is {nx} pixels wide, the image's {kept}")
    shift = (shift_z, 0)
    return Grid(matrix=(nz, wanted[1] or nx, nx), n_readout=kept, shift=shift, fov_mm=fov, notes=tuple(notes))


def _readout_fov(space: EncodingSpace, nx: int, header_nx: int) -> tuple[Triple | None, int]:
    """Field of view once the readout is cropped to what the image wants, and the samples that are left."""
    fov = space.encoded.fov_mm
    if fov is None:
        return None, header_nx
    full = fov[2] * nx / header_nx
    wanted = space.recon.fov_mm[2] if space.recon.fov_mm else fov[2]
    kept = max(1, round(nx * wanted / full)) if full > wanted * 1.0001 else nx
    return (fov[0], fov[1], full * kept / nx), kept


def _phase_axis(
    lines: Lines, which: int, n: int, space: EncodingSpace, notes: list[str], centre: int | None
) -> tuple[int, int]:
    """Size of a phase-encode axis (1 or 2) and the shift from counter to index."""
    steps = lines.counter(f"kspace_encode_step_{which}")
    low, high = int(steps.min()), int(steps.max())
    limit = space.limits.get(f"kspace_encoding_step_{which}")
    n = n or (limit[1] + 1 if limit else high + 1)
    middle = n // 2 if centre is None else centre
    for origin in (limit[2] if limit else middle, middle):
        if low - origin + middle >= 0 and high - origin + middle < n:
            return n, middle - origin
    origin = limit[2] if limit and limit[2] else n // 2
    wide = max(2 * (origin - low), 2 * (high - origin) + 1, n)
    said = f"encoding steps {which} run from {low} to {high} about {origin}"
    if wide > _MOST_WIDENED * n:
        raise DataError(f"{said}, the header's matrix is {n}", do="the header or the lines are damaged: export again")
    notes.append(f"{said}: matrix widened from {n} to {wide}")
    return wide, wide // 2 - origin


def extents(lines: Lines, n: int, origin: int | None = None) -> Extents:
    """Where each line's samples lie on a readout axis of n samples, k = 0 at n // 2.

    A reversed line is turned round first; its `center_sample` counts from the start of the turned line, while
    `discard_pre` and `discard_post` count in time (the convention of the vendors' converters). A recorded centre that
    would put a line outside the axis (0 where nobody filled it in) gives way to the line's middle.

    Parameters
    ----------
    origin
        Index of k = 0 where the file is known to record every centre rightly.
    """
    names = ("number_of_samples", "center_sample", "discard_pre", "discard_post")
    size, centre, pre, post = (lines.heads[k].astype(np.int64) for k in names)
    turned = lines.flagged("reversed")
    low, high = np.where(turned, post, pre), size - np.where(turned, pre, post)
    if (low >= high).any():
        raise DataError("lines discard more samples than they have", do="export the scan again")
    if origin is not None:
        return Extents(low=low, high=high, start=origin - centre + low)
    fits = (centre - low <= n // 2) & (high - centre <= n - n // 2)
    trusted = fits | ((centre > 0) & (high - low > n))
    return Extents(low=low, high=high, start=n // 2 - np.where(trusted, centre, (low + high) // 2) + low)


def _width(extent: Extents, n: int) -> int:
    """Smallest width, at least n, that holds every line with k = 0 at its middle (n: where that is now)."""
    left, right = n // 2 - int(extent.start.min()), int(extent.stop.max()) - n // 2
    return 2 * max(left, right) if left > n // 2 or right > n - n // 2 else n


def place(lines: Lines, index: Array, n_batch: int, grid: Grid, *, conjugate: bool) -> tuple[Array, Array]:
    """Samples (batch, coil, k2, k1, k0) complex64 and how often each was measured (batch, 1, k2, k1, k0 or 1).

    Parameters
    ----------
    index
        Batch entry of each line.
    conjugate
        Take the complex conjugate (Siemens' sign of the Fourier transform).
    """
    nz, ny, nx = grid.cropped
    n_coils = int(lines.heads["active_channels"][0])
    check_memory(8 * n_batch * n_coils * nz * ny * nx, f"k-space of {n_batch} x {(n_coils, nz, ny, nx)}")
    samples = np.zeros((n_batch, n_coils, nz, ny, nx), np.complex64)
    z, y = lines.counter("kspace_encode_step_2") + grid.shift[0], lines.counter("kspace_encode_step_1") + grid.shift[1]
    extent = extents(lines, grid.matrix[2], grid.origin_x)
    start, stop = _after_crop(extent, grid)
    partial = bool((start > 0).any() or (stop < nx).any())
    count = np.zeros((n_batch, nz, ny, nx if partial else 1), np.uint16)
    turn = _occurrence((index * nz + z) * ny + y)
    flipped = lines.flagged("reversed")
    for chunk in lines.chunks():
        values, _ = lines[chunk].samples()
        first = chunk[0]
        if conjugate:
            # Before the crop: it keeps voxel -n // 2 of an even number and not +n // 2, and conjugation mirrors voxels.
            values = values.conj()
        if flipped[first]:
            values = values[..., ::-1]
        readout = _readouts(values[..., extent.low[first] : extent.high[first]], int(extent.start[first]), grid)
        a, b = int(start[first]), int(stop[first])
        for t in np.unique(turn[chunk]):
            now = turn[chunk] == t
            at = chunk[now]
            samples[index[at], :, z[at], y[at], a:b] += readout[now][..., a:b]
            count[index[at], z[at], y[at], a if partial else 0 : b if partial else 1] += 1
    if count.max() > 1:
        samples /= np.maximum(count, 1)[:, None]
    return samples, count[:, None]


def _readouts(values: Array, start: int, grid: Grid) -> Array:
    """Lines (line, coil, sample) padded to the grid and cropped in image space to `n_readout`."""
    nx = grid.matrix[2]
    if values.shape[-1] != nx:
        padded = np.zeros((*values.shape[:-1], nx), np.complex64)
        padded[..., start : start + values.shape[-1]] = values
        values = padded
    if grid.n_readout == nx:
        return values
    line = torch.from_numpy(np.ascontiguousarray(values))
    return fft(centre_crop(ifft(line, (-1,)), (grid.n_readout,)), (-1,)).numpy()


def _after_crop(extent: Extents, grid: Grid) -> tuple[Array, Array]:
    """Extents on the cropped readout: the new samples whose place lies within what was measured."""
    n, m = grid.matrix[2], grid.n_readout
    if n == m:
        return extent.start, extent.stop
    at = n // 2 + (np.arange(m) - m // 2) * (n / m)
    low = np.searchsorted(at, extent.start - 1e-6)
    return low, np.searchsorted(at, extent.stop - 1 + 1e-6, side="right")


def _occurrence(key: Array) -> Array:
    """How many earlier entries have the same key."""
    order = np.argsort(key, kind="stable")
    fresh = np.diff(key[order], prepend=key[order[:1]] - 1) != 0
    first = np.flatnonzero(fresh)
    turn = np.empty(len(key), np.int64)
    turn[order] = np.arange(len(key)) - np.repeat(first, np.diff(np.append(first, len(key))))
    return turn
