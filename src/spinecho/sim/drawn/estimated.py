"""True maps with the errors that an estimate from calibration lines has: for training that cannot wait for ESPIRiT."""

from __future__ import annotations

import torch
from jaxtyping import Complex
from torch import Tensor

from spinecho.sim.drawn.interpolate import spread
from spinecho.sim.drawn.power import power
from spinecho.sim.drawn.rows import Rows

LEVEL, UNEVEN = 0.045, 0.45
"""Median over scans of the error (root mean square sine of the angle between true and estimated coil vectors), and the
deviation of its logarithm: `python -m benchmarks.drawing --maps` found medians of 0.029 to 0.062 and largest deciles of
0.062 to 0.087 for 8 to 32 lines and SNR 7 to 200; the steepness of the maps, not the noise, makes most of it."""
_POINTS = 6


def as_estimated(maps: Complex[Tensor, "n coil y x"], rows: Rows) -> Complex[Tensor, "n 1 coil 1 y x"]:
    """Maps of unit norm (n, map = 1, coil, z = 1, y, x) whose error varies over a sixth of the field of view.

    How ESPIRiT's differ: their errors are largest where maps are steep; and theirs are zero outside the object.
    """
    n, coils, y, x = maps.shape
    unit = maps / power(maps).sum(1, keepdim=True).sqrt().clamp_min(1e-20)
    if coils == 1:
        return torch.ones_like(maps)[:, None, :, None]
    level = LEVEL * torch.exp(UNEVEN * rows.normal()) / coils**0.5
    parts = spread(rows.normal(2 * coils * _POINTS**2).view(n, 2 * coils, _POINTS, _POINTS), (y, x))
    error = torch.complex(parts[:, :coils], parts[:, coils:])
    error = error / power(error).mean((1, 2, 3), keepdim=True).sqrt()
    wrong = unit + level[..., None, None] * error
    wrong = wrong / power(wrong).sum(1, keepdim=True).sqrt()
    return wrong[:, None, :, None]
