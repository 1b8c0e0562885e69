"""Where k = 0 lies, and the fully sampled block of k-space around it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Complex
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace

Box = tuple[slice, slice, slice]

_SHARED_AXES = ("time", "repetition", "average")
"""Batch axes along which the coils stay where they are: their samples are averaged before calibration."""

_LARGEST = {1: 48, 2: 32, 3: 24}
"""Samples along an axis that calibration uses at most, by the number of axes that are longer than 1."""

_SMALLEST = 4
"""Samples along each long axis that a block needs at least."""


def find_centre(kspace: KSpace) -> tuple[int, int, int]:
    """Index (k2, k1, k0) of k = 0: where the file says, else the Cartesian sample with the most energy.

    Real files are off by one or more. The peak is taken over the coils of the middle batch entry, in the inner half of
    the grid along each axis (no echo is further off; with partial Fourier the full grid counts).
    """
    if kspace.encoding.centre is not None:
        return kspace.encoding.centre
    middle = kspace.samples.flatten(0, -5) if kspace.samples.ndim > 4 else kspace.samples[None]
    inner = [n // 2 - n // 4 for n in middle.shape[-3:]]
    box = tuple(slice(start, n // 2 + n // 4 + 1) for start, n in zip(inner, middle.shape[-3:], strict=True))
    energy = torch.view_as_real(middle[(len(middle) // 2, slice(None), *box)]).square().sum((0, -1))
    k2, k1, k0 = np.unravel_index(int(energy.argmax()), energy.shape)
    return int(k2) + inner[0], int(k1) + inner[1], int(k0) + inner[2]


def calibration_region(kspace: KSpace) -> Complex[Tensor, "*batch coil c2 c1 c0"]:
    """Calibration lines: those scanned apart, else the largest fully sampled block around the centre of k-space.

    Frames, repetitions and averages are averaged first (each sample over the entries that measured it), so that the
    block may be complete in their union only; those batch axes then have length 1. The block is at most 32 samples
    wide (48 along a single axis, 24 in 3-D).

    Raises
    ------
    DataError
        Where the block is smaller than 4 samples along an axis, or the samples lie along a trajectory.
    """
    if kspace.calib is not None:
        return _middle(_average_shared(kspace.calib, None, kspace.axes)[0])
    if kspace.mask is None:
        raise DataError("samples along a trajectory hold no calibration block", do="grid them first")
    samples, measured = _average_shared(kspace.samples, kspace.mask, kspace.axes)
    assert measured is not None
    centre = find_centre(kspace)
    box = sampled_box(measured, centre)
    if reason := _too_small(box, centre, samples.shape[-3:]):
        do = "scan calibration lines, give coil maps from another scan, or use zero_filled"
        raise DataError(reason, do=do)
    return samples[(..., *box)]


def calibration_size(kspace: KSpace) -> int:
    """Number of calibration lines of a Cartesian scan: width of the block they form, along its narrowest axis.

    Axes that lie in the block from end to end do not count. No more are counted than calibration uses: 32 (24 in 3-D).
    """
    grid = kspace.samples.shape[-3:]
    if kspace.calib is not None:
        sizes = list(kspace.calib.shape[-3:])
    else:
        sizes = [part.stop - part.start for part in sampled_box(_measured(kspace), find_centre(kspace))]
    return min((size for size, n in zip(sizes, grid, strict=True) if size < n), default=max(grid))


def missing_calibration(kspace: KSpace) -> str | None:
    """Why no coil maps can be made of a Cartesian scan, as one sentence; None if they can (or one coil needs none)."""
    if kspace.n_coils == 1 or kspace.calib is not None or kspace.mask is None:
        return None
    centre = find_centre(kspace)
    return _too_small(sampled_box(_measured(kspace), centre), centre, kspace.samples.shape[-3:])


def _measured(kspace: KSpace) -> np.ndarray:
    """What all entries measured (frames, repetitions and averages together), (k2, k1, k0)."""
    assert kspace.mask is not None
    mask = kspace.mask.expand(*kspace.samples.shape[:-4], *kspace.mask.shape[-4:])
    if shared := [i for i, a in enumerate(kspace.axes) if a in _SHARED_AXES]:
        mask = mask.any(shared, keepdim=True)
    return mask.flatten(0, -4).all(0).expand(kspace.samples.shape[-3:]).cpu().numpy()


def _too_small(box: Box, centre: tuple[int, int, int], grid: Sequence[int]) -> str | None:
    for axis, (n, part) in enumerate(zip(grid, box, strict=True)):
        if part.stop - part.start < min(_SMALLEST, n):
            size = " x ".join(str(b.stop - b.start) for b in box)
            return (
                f"no calibration lines: around the centre of k-space (k2, k1, k0) = {centre} only {size} samples are "
                f"measured without a gap, {_SMALLEST} are needed along k{2 - axis}"
            )
    return None


def sampled_box(measured: np.ndarray, centre: tuple[int, int, int]) -> Box:
    """The block around the centre that grows, one plane at a time on each side in turn, as long as nothing is missing.

    measured is boolean, (k2, k1, k0); an axis stops at its largest useful width. Slices are empty where the centre
    itself was not measured.
    """
    widest = _LARGEST[max(1, sum(n > 1 for n in measured.shape))]
    low, high = list(centre), [c + 1 for c in centre]
    if not measured[centre]:
        return slice(centre[0], centre[0]), slice(centre[1], centre[1]), slice(centre[2], centre[2])
    growing = {(axis, side) for axis in range(3) for side in (-1, 1)}
    while growing:
        for axis, side in sorted(growing):
            edge = low[axis] - 1 if side < 0 else high[axis]
            plane = tuple(slice(edge, edge + 1) if i == axis else slice(low[i], high[i]) for i in range(3))
            full = 0 <= edge < measured.shape[axis] and high[axis] - low[axis] < widest and measured[plane].all()
            if not full:
                growing.discard((axis, side))
            elif side < 0:
                low[axis] -= 1
            else:
                high[axis] += 1
    return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])


def _average_shared(samples: Tensor, mask: Tensor | None, axes: tuple[str, ...]) -> tuple[Tensor, np.ndarray | None]:
    """Samples averaged over shared batch axes, and where every remaining batch entry was measured."""
    dims = [i for i, a in enumerate(axes) if a in _SHARED_AXES and samples.shape[i] > 1]
    if mask is None:
        return (samples.mean(dims, keepdim=True) if dims else samples), None
    if dims:
        count = mask.expand(*samples.shape[:-4], *mask.shape[-4:]).sum(dims, keepdim=True)
        samples = samples.sum(dims, keepdim=True) / count.clamp_min(1)
        mask = count > 0
    everywhere = mask.flatten(0, -4).all(0).expand(samples.shape[-3:])
    return samples, everywhere.cpu().numpy()


def _middle(calib: Tensor) -> Tensor:
    widest = _LARGEST[max(1, sum(n > 1 for n in calib.shape[-3:]))]
    for axis in (-3, -2, -1):
        n = calib.shape[axis]
        if n > widest:
            calib = calib.narrow(axis, n // 2 - widest // 2, widest)
    return calib
