"""What an MRD file scanned beside the image: noise (to a covariance) and separate parallel-imaging calibration."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from spinecho.core.errors import DataError
from spinecho.io.mrd.grid import Grid, find_grid, place
from spinecho.io.mrd.lines import Lines
from spinecho.io.mrd.scan import Scan

Array = np.ndarray[Any, np.dtype[Any]]


def noise_covariance(scan: Scan, bandwidth: float) -> tuple[Array | None, str]:
    """Covariance (coil, coil) of the imaging samples' noise, from the noise lines; and a sentence on it.

    C = (t_noise / (t_image b)) N N^H / n: noise power grows with the receiver's bandwidth 1 / t (dwell time t), and
    the receiver's filter lets a noise scan pass only the share b of its nominal bandwidth (Siemens states 0.79).
    Source: Kellman and McVeigh 2005, doi:10.1002/mrm.20713, appendix.

    Parameters
    ----------
    bandwidth
        b, relative to the nominal one.
    """
    n_coils = int(scan.imaging.heads["active_channels"][0])
    noise = scan.noise[scan.noise.heads["active_channels"] == n_coils]
    if not len(noise):
        told = f"{len(scan.noise)} noise lines have other coils than the scan: not used" if len(scan.noise) else ""
        return None, told
    total, n = np.zeros((n_coils, n_coils), np.complex128), 0
    for chunk in noise.chunks():
        values = noise[chunk].samples()[0].transpose(1, 0, 2).reshape(n_coils, -1).astype(np.complex128)
        total, n = total + values @ values.conj().T, n + values.shape[1]
    covariance = total / n
    power = np.diagonal(covariance).real
    if n <= n_coils or not np.isfinite(covariance).all() or not (power > 0).all():
        return None, f"the noise scan ({n} samples of {n_coils} coils) is too short or broken: not used"
    t_noise, t_image = float(noise.heads["sample_time_us"][0]), float(scan.imaging.heads["sample_time_us"][0])
    factor = t_noise / (t_image * bandwidth) if t_noise > 0 and t_image > 0 else 1.0
    told = f"noise covariance from {n} noise samples"
    if factor != 1:
        told += f", times {factor:.4g} for dwell times of {t_noise:.4g} and {t_image:.4g} us, bandwidth {bandwidth:.3g}"
    return covariance * factor, told


def calibration(scan: Scan, grid: Grid, *, conjugate: bool) -> tuple[Array | None, tuple[str, ...]]:
    """Separate calibration lines as a block (slice or 1, coil, c2, c1, c0) with k = 0 at n // 2, or None.

    The block is the largest one about k = 0 without holes; averages are averaged, frames and contrasts too.
    """
    lines, told = scan.calibration, ()
    if not scan.space.is_cartesian and (along := lines.heads["trajectory_dimensions"] > 0).any():
        lines, told = lines[~along], (f"{int(along.sum())} calibration lines along a trajectory are not used",)
    n_coils = int(scan.imaging.heads["active_channels"][0])
    lines = lines[lines.heads["active_channels"] == n_coils]
    if not len(lines):
        return None, told
    try:
        own = find_grid(lines, scan.calibration_space)
    except DataError as error:
        return None, (f"calibration lines not used: {error.found}",)
    if not _same_fov(own, grid):
        return None, ("calibration lines have another field of view than the image: not used",)
    slices = np.unique(lines.counter("slice"))
    if len(slices) < len(scan.batch.values["slice"]) and len(slices) > 1:
        return None, ("calibration lines cover only some of the slices: not used",)
    samples, block, measured = _placed(lines, slices, own, conjugate=conjugate)
    if block is None and (peak := _brightest(samples, measured)) is not None:
        shift = tuple(s + n // 2 - at for s, n, at in zip(_tight(lines, own).shift, measured.shape, peak, strict=False))
        samples, block, _ = _placed(lines, slices, replace(own, shift=shift), conjugate=conjugate)
        told = (
            *told,
            "calibration lines are not counted about the centre of k-space: the brightest was taken as the centre",
        )
    if block is None:
        return None, ("calibration lines do not cover the centre of k-space: not used",)
    said = "x".join(str(s.stop - s.start) for s in block[::-1])
    return samples[(..., *block)], (*told, f"{len(lines)} separate calibration lines: a block of {said}")


def _placed(
    lines: Lines, slices: Array, grid: Grid, *, conjugate: bool
) -> tuple[Array, tuple[slice, slice, slice] | None, Array]:
    """Samples on the smallest grid about k = 0, the block of them without holes, and what every slice measured."""
    index = np.searchsorted(slices, lines.counter("slice"))
    samples, count = place(lines, index, len(slices), _tight(lines, grid), conjugate=conjugate)
    everywhere = np.broadcast_to(count > 0, (*count.shape[:-1], samples.shape[-1])).all(axis=(0, 1))
    measured = np.array(everywhere, ndmin=3)
    return samples, _hole_free(measured), measured


def _brightest(samples: Array, measured: Array) -> tuple[int, int] | None:
    """Index (k2, k1) of the line with the most energy; None where it lies at the edge of what was measured."""
    energy = (np.abs(samples) ** 2).sum((0, 1, 4)) * measured.any(-1)
    peak = np.unravel_index(int(energy.argmax()), energy.shape)
    for axis in (0, 1):
        used = np.flatnonzero(energy.any(1 - axis))
        if len(used) > 1 and not used[0] + 1 < peak[axis] < used[-1] - 1:
            return None
    return int(peak[0]), int(peak[1])


def _same_fov(a: Grid, b: Grid) -> bool:
    if a.fov_mm is None or b.fov_mm is None:
        return True
    axes = (0, 1, 2) if b.matrix[0] > 1 else (1, 2)
    return all(abs(a.fov_mm[i] - b.fov_mm[i]) < 0.01 * b.fov_mm[i] for i in axes)


def _tight(lines: Lines, grid: Grid) -> Grid:
    """The grid cut to the phase encodes that calibration lines reach."""
    matrix, shift = list(grid.matrix), list(grid.shift)
    for i in (0, 1):
        at = lines.counter(f"kspace_encode_step_{2 - i}") + shift[i] - matrix[i] // 2
        n = max(-2 * int(at.min()), 2 * int(at.max()) + 1, 1)
        shift[i] += n // 2 - matrix[i] // 2
        matrix[i] = n
    return replace(grid, matrix=(matrix[0], matrix[1], matrix[2]), shift=(shift[0], shift[1]))


def _hole_free(measured: Array) -> tuple[slice, slice, slice] | None:
    """The largest block about index n // 2 in which everything was measured, itself centred at n // 2.

    k0 is decided on the central line; then that rectangle of phase encodes is taken that holds the most lines.
    """
    c2, c1, c0 = (n // 2 for n in measured.shape)
    if not measured[c2, c1, c0]:
        return None
    k0 = _run(np.asarray(measured[c2, c1]), c0)
    plane = np.asarray(measured[..., k0].all(-1))
    widest = _run(np.asarray(plane[c2]), c1)
    choices = []
    for n in range(widest.stop - widest.start, 0, -1):
        k1 = slice(c1 - n // 2, c1 - n // 2 + n)
        k2 = _run(np.asarray(plane[:, k1].all(1)), c2)
        choices.append((n * (k2.stop - k2.start), k2, k1))
    _, k2, k1 = max(choices, key=lambda choice: choice[0])
    return k2, k1, k0


def _run(measured: Array, centre: int) -> slice:
    """The longest stretch without holes that has `centre` at its n // 2."""
    below = int(np.argmin(np.append(measured[centre::-1], False))) - 1
    above = int(np.argmin(np.append(measured[centre:], False)))
    n = min(2 * below + 1, 2 * above)
    return slice(centre - n // 2, centre - n // 2 + n)
