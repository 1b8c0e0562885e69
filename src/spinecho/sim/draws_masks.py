"""Masks drawn at random for series and for volumes, for training."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from spinecho.core.chance import integer, log_uniform, uniform
from spinecho.sim import mask
from spinecho.sim.draws import Draws
from spinecho.sim.poisson import poisson_disc

_LEAST_FOR_POINTS = 16
"""Partitions below which a volume is undersampled along one axis only."""


def sample_series_mask(
    n_frames: int, n_lines: int, rng: torch.Generator, draws: Draws
) -> Bool[Tensor, "frame 1 1 k1 1"]:
    """Lines along k1, others in each frame, at an acceleration from the range: half of the masks with equal gaps."""
    accel, lines = _lines(n_lines, rng, draws)
    if integer(rng, 2):
        return mask.kt_random_lines(n_frames, n_lines, accel, lines, rng)
    return mask.kt_lines(n_frames, n_lines, round(accel), lines, rng)


def sample_volume_mask(shape: tuple[int, int], rng: torch.Generator, draws: Draws) -> Bool[Tensor, "1 #k2 k1 1"]:
    """Points of a (k2, k1) grid with a central block, or (a third of the masks, and all of few partitions) lines."""
    k2, k1 = shape
    if min(shape) < _LEAST_FOR_POINTS or integer(rng, 3) == 0:
        accel, lines = _lines(k1, rng, draws)
        return mask.random_lines(k1, accel, lines, rng)
    block = min(round(uniform(rng, 12, 24)), min(shape) // 2)
    most = k2 * k1 / (1.2 * block**2)  # the block is not all that is measured of a small grid
    return poisson_disc(shape, min(max(log_uniform(rng, *draws.accel), 3.0), most), block, rng)


def _lines(n: int, rng: torch.Generator, draws: Draws) -> tuple[float, int]:
    """Acceleration, and 4 to 28 central lines: as many as leave something to be left out."""
    accel = log_uniform(rng, *draws.accel)
    lines = min(round(min(max(uniform(rng, 0.25, 0.4) / accel * n, 8), 28)), max(n // 3, 4))
    return max(1.0, min(accel, n / (lines + 2))), lines
