"""The noise of magnitudes from their air: where nothing is, the values are those of noise alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
_BLOCK = 64
"""Voxels in a block, about"""
_LEAST_BLOCKS = 24
_SPREAD = 1.6
"""Blocks of air differ by less than this factor in their mean square"""
_STEPS_OF_NOISE = 0.8
"""Noise below so many integer steps cannot be separated from rounding"""
_FEWEST, _MOST = 0.8, 64
"""Channels: below the first it is no noise of magnitudes, above the second a faint object"""
_UNEVEN, _CHANCE = 0.06, 1.35
"""Blocks of air differ (in the logarithm) by this much, and so many times what chance makes; an object's by more"""
_WITHIN, _ROUNDS = 3.5, 6
"""Blocks that are further from the middle one, in such differences, are left out, in so many rounds"""


@dataclass(frozen=True)
class Air:
    """What air says: the noise of one real channel, how many channels, the share of blocks that are air."""

    sigma: float
    n_channels: int
    share: float


def air(values: Array, step: float) -> Air | None:
    """From a magnitude (z, y, x) whose whole numbers are `step` apart (0: none); None where there is no air with noise.

    The darkest blocks that are many and alike are air: with n channels

        E[m^2] = 2 n sigma^2,    var m^2 = E[m^2]^2 / n.

    Blocks with zeros are masked and say nothing (of whole numbers: with more zeros than noise leaves).

    Source: the moments of the central chi distribution; Koay et al. 2009, doi:10.1016/j.jmr.2009.03.005, for finding
    air by what its own distribution allows. How we differ: blocks of neighbours instead of repeated measurements, the
    darkest population, the number of channels from the fourth moment.
    """
    blocks = _blocks(values)
    zeros = (blocks == 0).mean(1)
    measured = blocks[zeros <= (0.35 if step else 0.0)].astype(np.float64)
    if len(measured) < _LEAST_BLOCKS:
        return None
    square = (measured**2).mean(1)
    centre = _darkest(square)
    if centre is None:
        return None
    spread, n, kept = _SPREAD, 1.0, square > 0
    for _ in range(_ROUNDS):
        kept = (square > centre / spread) & (square < centre * spread)
        if kept.sum() < _LEAST_BLOCKS:
            return None
        q, centre = square[kept], float(np.median(square[kept]))
        n = q.mean() ** 2 / max(float(np.median((measured[kept] ** 2).var(1, ddof=1))), 1e-9 * q.mean() ** 2)
        chance = (1 / (n * measured.shape[1]) + _UNEVEN**2) ** 0.5
        spread = min(_SPREAD, float(np.exp(_WITHIN * chance)))
    q, n_channels = square[kept], max(1, round(n))
    sigma = float((max(q.mean() - step**2 / 12, 0.0) / (2 * n_channels)) ** 0.5)
    even = np.log(q).std() < _CHANCE * (1 / (n * measured.shape[1]) + _UNEVEN**2) ** 0.5
    if not _FEWEST < n < _MOST or not even or sigma < _STEPS_OF_NOISE * step:
        return None
    return Air(sigma, n_channels, float(kept.sum() / len(blocks)))


def _blocks(values: Array) -> Array:
    """Pieces that do not overlap, (block, voxel): 4 x 4 x 4, or 8 x 8 of thin volumes."""
    size = (4, 4, 4) if values.shape[0] >= 4 else (1, 8, 8)
    cut = values[tuple(slice(n - n % s) for n, s in zip(values.shape, size, strict=True))]
    z, y, x = (n // s for n, s in zip(cut.shape, size, strict=True))
    if not z * y * x:
        return np.zeros((0, _BLOCK), values.dtype)
    parts = cut.reshape(z, size[0], y, size[1], x, size[2]).transpose(0, 2, 4, 1, 3, 5)
    return parts.reshape(z * y * x, -1)


def _darkest(square: Array) -> float | None:
    """Mean square of the darkest population that at least one block in fifty belongs to."""
    logs = np.sort(np.log(square))
    width = np.log(_SPREAD) / 2
    counts = np.searchsorted(logs, logs + width) - np.searchsorted(logs, logs - width)
    enough = counts >= max(_LEAST_BLOCKS, len(logs) / 50)
    if not enough.any():
        return None
    first = int(np.argmax(enough))
    near = logs < logs[first] + 2 * np.log(_SPREAD)
    return float(np.exp(logs[np.argmax(np.where(near, counts, 0))]))
