"""Noise that varies smoothly in space, as after parallel imaging or the correction of a bias field: a map of it."""

from __future__ import annotations

import numpy as np

from spinecho.tasks.denoise.parts.level import GAUSSIAN, Details
from spinecho.tasks.denoise.parts.magnitude import variance_at

Array = np.ndarray
_SIDE = 8
"""Side of the blocks in which the noise is measured, in coefficients"""
_LEAST_IN_BLOCK = 40
_LEAST_BLOCKS = 40
_BRIGHT = 3.0
_RANGE = 1.5
"""The map's 95th percentile over its 5th from where on noise is called varying"""
_EXPLAINED = 0.6
"""Share of the blocks' variance that the map must explain"""
_LIMITS = 1 / 3, 3.0


def relative_map(fine: Details, sigma: float, n_channels: int, shape: tuple[int, ...]) -> Array | None:
    """The noise in each voxel of (z, y, x) relative to `sigma`; None where it is the same everywhere.

    In blocks of 8 x 8 (x 8) coefficients the noise is that of `level`; the logarithm of the map is the polynomial of
    second order in z, y, x that fits the blocks of the object best (without those that lie off by most).

    Parameters
    ----------
    n_channels
        Of a magnitude; 0: the noise is Gaussian.

    Source: no paper; the correction for magnitudes is that of Koay and Basser 2006, doi:10.1016/j.jmr.2006.01.016.
    """
    places, logs = _blocks(fine, sigma, n_channels)
    if len(logs) < _LEAST_BLOCKS:
        return None
    used = [axis for axis in range(3) if np.ptp(places[:, axis]) > 0.2]
    kept = np.ones(len(logs), bool)
    for _ in range(4):
        fit, *_ = np.linalg.lstsq(_terms(places[kept], used), logs[kept], rcond=None)
        off = np.abs(logs - _terms(places, used) @ fit)
        kept = off <= np.quantile(off, 0.9)
    smooth = _terms(places, used) @ fit
    low, high = np.quantile(smooth, [0.05, 0.95])
    residual = (logs - smooth)[kept].var() / max(logs[kept].var(), 1e-12)
    if np.exp(high - low) < _RANGE or 1 - residual < _EXPLAINED:
        return None
    lines = [np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape]
    grid = np.stack(np.meshgrid(*lines, indexing="ij"), -1).reshape(-1, 3)
    least, most = logs[kept].min(), logs[kept].max()
    field = np.exp((_terms(grid, used) @ fit).clip(least, most)).reshape(shape)
    return field.clip(*_LIMITS)


def _blocks(fine: Details, sigma: float, n_channels: int) -> tuple[Array, Array]:
    """Centre of each block, -1 to 1 along each axis, and the logarithm of its noise relative to sigma."""
    expected = sigma * (variance_at(fine.mean / sigma, n_channels) ** 0.5 if n_channels else np.ones_like(fine.mean))
    bright = fine.is_measured & (fine.mean > (_BRIGHT * ((1 + n_channels) / 2) ** 0.5 * sigma if n_channels else 0))
    places, logs = [], []
    shape = fine.size.shape
    sides = [_SIDE if n > 1 else 1 for n in shape]
    for start in np.ndindex(*(-(-n // s) for n, s in zip(shape, sides, strict=True))):
        box = tuple(slice(a * s, (a + 1) * s) for a, s in zip(start, sides, strict=True))
        where = bright[box]
        if where.sum() < _LEAST_IN_BLOCK:
            continue
        rough = fine.roughness[box][where]
        even = rough <= np.median(rough)
        ratio = (fine.size[box] / expected[box])[where][even]
        if not (median := float(np.median(ratio))) > 0:
            continue
        logs.append(np.log(median / GAUSSIAN))
        places.append([2 * (a + 0.5) * s / n - 1 for a, s, n in zip(start, sides, shape, strict=True)])
    return np.array(places).reshape(-1, 3), np.array(logs)


def _terms(places: Array, used: list[int]) -> Array:
    """1, each coordinate, and each product of two."""
    x = [places[:, axis] for axis in used]
    products = [a * b for i, a in enumerate(x) for b in x[i:]]
    return np.stack([np.ones(len(places)), *x, *products], 1)
