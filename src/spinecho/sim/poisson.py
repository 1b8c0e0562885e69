"""Variable-density Poisson discs: random points that keep their distance, closer at the centre."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.sim.mask import central_block


def poisson_disc(
    shape: tuple[int, int], accel: float, calib: int, generator: torch.Generator
) -> Bool[Tensor, "1 k2 k1 1"]:
    """Points of a (k2, k1) grid at a distance of at least 1 + slope * rho, rho = 0 at the centre and 1 at an edge.

    Source: Cook 1986, doi:10.1145/7529.8927 (Poisson disc); Vasanawala et al., ISBI 2011
    (variable density for MRI). Points are visited in random order and taken if no earlier one is too near; the slope
    is found by bisection for slightly too many, of which some are then left out, so the count is exact.

    Parameters
    ----------
    shape
        Grid along (k2, k1).
    accel
        Grid points over measured points, the central block included: reached exactly.
    calib
        Side of the full central block.

    Raises
    ------
    DataError
        If the central block alone has more points than the acceleration allows.
    """
    n_points = round(shape[0] * shape[1] / max(accel, 1))
    block = np.zeros(shape, dtype=bool)
    block[central_block(shape[0], min(calib, shape[0])), central_block(shape[1], min(calib, shape[1]))] = True
    if not accel >= 1 or n_points < max(1, block.sum()):
        raise DataError(
            f"{shape} points at acceleration {accel:g} are {n_points}, the central block has {block.sum()}",
            do="lower the acceleration (1 or more) or the block",
        )
    order = torch.randperm(shape[0] * shape[1], generator=generator).numpy()
    dither = torch.rand(shape, generator=generator).numpy()
    points = _near_count(order, dither, block, n_points)
    optional = torch.from_numpy(np.flatnonzero(points & ~block))
    drop = optional[torch.randperm(len(optional), generator=generator)[: int(points.sum()) - n_points]]
    mask = torch.from_numpy(points).flatten()
    mask[drop] = False
    return mask.view(1, *shape, 1)


def _near_count(order: np.ndarray, dither: np.ndarray, block: np.ndarray, n_points: int) -> np.ndarray:
    """The sparsest pattern found that has at least n_points, by bisection over the slope."""
    low, high, best = 0.0, 4.0, np.ones(block.shape, dtype=bool)
    for step in range(14):
        slope = (low + high) / 2 if step else 1.2 * max(best.size / n_points, 1.0) ** 0.5
        points = _throw(order, dither, slope) | block
        excess = int(points.sum()) - n_points
        if excess < 0:
            high = slope
        else:
            low, best = slope, points
            high = max(high, 2 * slope) if step == 0 or high <= slope else high
            if excess <= 0.01 * n_points:
                break
    return best


def _throw(order: np.ndarray, dither: np.ndarray, slope: float) -> np.ndarray:
    """Take points in the given order, each shutting out a disc of its own radius."""
    shape = dither.shape
    y, x = np.meshgrid(*(np.abs(np.arange(n) - n // 2) / max(n / 2, 1) for n in shape), indexing="ij")
    # On a grid, nearer than r means d^2 < r^2 with d^2 whole: the discs of all radii are a short list. Rounding r^2
    # up or down at random keeps the density from falling in visible steps.
    limit = np.floor((1 + slope * np.hypot(x, y)) ** 2 + dither).astype(int)
    edge = int(np.ceil(limit.max() ** 0.5))
    offset = np.arange(-edge, edge + 1)
    squared = offset[:, None] ** 2 + offset**2
    discs = {}
    for k in np.unique(limit):
        r = int(np.ceil(k**0.5)) - 1
        inner = slice(edge - r, edge + r + 1)
        discs[int(k)] = r, np.ascontiguousarray(squared[inner, inner] < k)
    shut = np.zeros((shape[0] + 2 * edge, shape[1] + 2 * edge), dtype=bool)
    taken = np.zeros(shape, dtype=bool)
    rows, columns = (order // shape[1] + edge).tolist(), (order % shape[1] + edge).tolist()
    for row, column, k in zip(rows, columns, limit.ravel()[order].tolist(), strict=True):
        if not shut[row, column]:
            r, disc = discs[k]
            shut[row - r : row + r + 1, column - r : column + r + 1] |= disc
            taken[row - edge, column - edge] = True
    return taken
