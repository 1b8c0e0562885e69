"""Coil maps measured on a scanner, among the computed ones: other channels, turned, mirrored and scaled each time."""

from __future__ import annotations

import math

import torch
from jaxtyping import Complex
from torch import Tensor
from torch.nn import functional as F

from spinecho.sim.drawn.power import power
from spinecho.sim.drawn.rows import Rows

SHARE = 0.15
"""Of the scans, where there are measured maps with enough channels."""


def measured_fields(
    maps: Complex[Tensor, "channel v u"], n_coils: int, n_points: int, rows: Rows
) -> Complex[Tensor, "n coil y x"]:
    """Some of the channels, each set seen at another angle and size (80 to 130 %), mean square 1.

    Parameters
    ----------
    maps
        At least `n_coils` channels over a square field of view, smooth also outside the object.
    n_points
        Of the new grid along each axis.
    """
    some = rows.take(len(maps)).argsort(1)[:, :n_coils]
    angle, scale, mirror = rows.uniform(0, 2 * math.pi), rows.uniform(0.55, 0.9), 1 - 2.0 * rows.integer(2)
    at = torch.linspace(-1, 1, n_points, device=maps.device)
    cos, sin = (scale * torch.cos(angle))[..., None], (scale * torch.sin(angle))[..., None]
    v = cos * at[:, None] - sin * at
    u = mirror[..., None] * (sin * at[:, None] + cos * at)
    chosen = maps[some]
    parts = torch.cat([chosen.real, chosen.imag], 1)
    seen = F.grid_sample(parts, torch.stack([u, v], -1), padding_mode="border", align_corners=False)
    turned = torch.complex(seen[:, :n_coils], seen[:, n_coils:])
    return turned / power(turned).mean((1, 2, 3), keepdim=True).sqrt()
