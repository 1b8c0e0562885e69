"""Trajectories from arrays: find their layout and units, bring them to cycles per field of view."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spinecho.core.errors import DataError, setting
from spinecho.io.axes import KSPACE, arranged


def laid_out(array: np.ndarray, names: Sequence[str], sizes: Sequence[int]) -> np.ndarray:
    """Points (k2, k1, k0, 3) from an owner's array.

    Parameters
    ----------
    array
        Complex kx + i ky, or real with a first or last axis of 2 or 3 components (kx, ky[, kz]). Its other axes are
        the k-space axes of the samples, in their order, or in reverse (column-major programs write 3 x k0 x k1).
    names, sizes
        The samples' k-space axes as their owner orders them.

    Raises
    ------
    DataError
        If the shape fits neither.
    """
    order = [n for n in names if n in KSPACE]
    wanted = tuple(s for n, s in zip(names, sizes, strict=True) if n in KSPACE)
    for points in _with_components(array):
        for axes, shape in ((order, wanted), (order[::-1], wanted[::-1])):
            if points.shape[1:] == shape:
                full = np.zeros((3, *shape))
                full[: len(points)] = points
                return np.stack([arranged(p, axes, KSPACE) for p in full], -1)
    raise DataError(
        f"the trajectory has shape {array.shape} {array.dtype}; the samples are {wanted} ({' '.join(order)})",
        do=f"wanted is complex kx + i ky of shape {wanted}, or real {(*wanted, 2)} or {(*wanted, 3)}",
    )


def _with_components(array: np.ndarray) -> list[np.ndarray]:
    """Readings of an array as (component, ...)."""
    if array.dtype.kind == "c" and 3 in (array.shape[0], array.shape[-1]) and not np.imag(array).any():
        array = np.real(array)  # BART's trajectories, out of its files
    if array.dtype.kind == "c":
        return [np.stack([np.real(array), np.imag(array)])]
    readings = [np.moveaxis(array, -1, 0)] if array.shape[-1] in (2, 3) else []
    return [*readings, array] if array.shape[0] in (2, 3) else readings


def is_straight(points: np.ndarray) -> bool:
    """Whether each readout of (k2, k1, k0, 3) runs along a straight line, in even steps."""
    steps = np.diff(points, axis=-2)
    spread = np.abs(steps - steps.mean(-2, keepdims=True)).max()
    return steps.shape[-2] > 1 and bool(spread < 1e-2 * np.linalg.norm(steps, axis=-1).mean())


def is_radial(points: np.ndarray) -> bool:
    """Whether the readouts are spokes: straight, near the centre at one point, of one length."""
    return is_straight(points) and _through_centre(points)


def _through_centre(points: np.ndarray) -> bool:
    """Whether every readout passes by the centre and reaches equally far, as spokes and the arms of a spiral do."""
    radius = np.linalg.norm(points, axis=-1)
    reach = radius.max(-1)
    return bool(radius.min(-1).max() < 0.1 * reach.max() and reach.min() > 0.9 * reach.max())


def covered(points: np.ndarray) -> tuple[int, int, int]:
    """Matrix (z, y, x) that points in cycles per field of view fill, 2 max |k| along each axis.

    A disc or a ball is square, also where few spokes or arms leave one axis a little short: spokes through the centre
    that are equally long (in space, or in each plane of a stack), or a reach along x and y that differs by under 5 %
    from that of the whole.
    """
    reach = np.abs(points).reshape(-1, 3).max(0)
    flat = points * (1, 1, 0)
    radius = float(np.linalg.norm(flat, axis=-1).max())
    ball = reach[2] > 0.8 * reach[:2].max() and _through_centre(points)
    if ball:
        reach[:] = np.linalg.norm(points, axis=-1).max()
    elif _through_centre(flat) or reach[:2].min() > 0.95 * radius:
        reach[:2] = radius
    x, y, z = (2 * round(float(r) + 1e-3) for r in reach)  # spokes from -31.5 to 31.5 are of 64, rounded as they are
    return max(1, z), max(2, y), max(2, x)


def in_cycles_per_fov(points: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int], str]:
    """Find the units of a trajectory.

    Units follow from the largest coordinate: up to 0.5 cycles per pixel, pi for radians per pixel, otherwise cycles
    per field of view. The first two leave the matrix open; a straight readout gives it, since its step is one over
    the matrix when the readout spans the field of view once.

    Returns
    -------
    Points in cycles per field of view, the matrix (z, y, x) that they cover, and the units found.

    Raises
    ------
    DataError
        For points that are not finite, all zero, or of no known unit.
    """
    if not np.isfinite(points).all():
        raise DataError("the trajectory has points that are NaN or infinite", do="export it again")
    largest = float(np.abs(points).max())
    if largest == 0:
        raise DataError("all trajectory points are zero", do=f"check the file given with {setting('traj')}")
    n_readout = points.shape[-2]
    if largest <= 0.505:
        unit, per_pixel = "cycles per pixel", points
    elif abs(largest / np.pi - 1) < 0.02 and n_readout > 16:
        unit, per_pixel = "radians per pixel", points / (2 * np.pi)
    elif largest > 4 * max(n_readout, points.shape[-3]):
        raise DataError(
            f"trajectory points reach {largest:.4g}, too far for {n_readout} samples per readout",
            do="give cycles per field of view (n/2 at the edge) or cycles per pixel (0.5 at the edge)",
        )
    else:
        return points, covered(points), "cycles per field of view"
    if not is_straight(points):
        raise DataError(
            f"the trajectory is in {unit} (largest {largest:.3g}) and not straight, so the matrix cannot be known",
            do="give it in cycles per field of view: multiply by the matrix size",
        )
    step = float(np.median(np.linalg.norm(np.diff(per_pixel, axis=-2), axis=-1)))
    n = 2 * int(np.ceil(round(1 / step) / 2))
    nz = covered(per_pixel * n)[0]
    return per_pixel * n, (nz, n, n), unit
