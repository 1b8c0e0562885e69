"""Lesions of white matter planted in a block: their number, places, sizes, shapes and brightness drawn at random.

A lesion is an ellipsoid bent by smooth noise; those that touch join. Half of them lie close to the ventricles, most are
small (radii even in the logarithm). FLAIR grows towards a brightness of its own, T1 sinks, over an edge of about 1 mm;
the truth is where it is half way. Nothing is planted in fluid.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from spinecho.core.chance import chance, integer, log_uniform, uniform
from spinecho.sim.blobs import away, smooth

_MOST, _NONE = 24.0, 0.1
_RADII_MM = (1.0, 9.0)
_SOFT_MM = (0.3, 0.9)
_BRIGHT, _DARK = (1.0, 3.8), (0.4, 3.2)
"""FLAIR within lesions, and how far T1 sinks, in the units of `parts.several.channels`: those of patient07, FLAIR from
the 25th to the 99th percentile of the voxels and the fall of T1 from the 5th to the 75th"""
_FLUID = -2.6
"""T1 (where given) or FLAIR below this is fluid"""
_UNEVEN = 0.25


def planted(
    seen: Float[Tensor, "channel z y x"],
    contrasts: tuple[str, ...],
    white: UInt8[Tensor, "z y x"],
    spacing_mm: float,
    rng: torch.Generator,
) -> tuple[Float[Tensor, "channel z y x"], UInt8[Tensor, "z y x"]]:
    """The block with lesions, and where they are; as it was where there is no white matter."""
    shape = white.shape
    places = [p for p in (white == 1, white == 2) if bool(p.any())]
    if not places or chance(rng, _NONE):
        return seen, torch.zeros_like(white)
    spots = [p.nonzero() for p in places]
    depth = torch.full(shape, -1e3)  # millimetres inside
    bent = 1 + 0.5 * smooth(shape, 6, rng)
    for _ in range(max(1, round(log_uniform(rng, 1, _MOST)))):
        at = spots[integer(rng, len(spots))]
        radius = log_uniform(rng, *_RADII_MM)
        sides = radius / spacing_mm * torch.exp(0.3 * torch.randn(3, generator=rng))
        depth = torch.maximum(depth, radius * (1 - away(shape, at[integer(rng, len(at))], sides) * bent))
    fluid = _fluid(seen, contrasts)
    share = torch.sigmoid(depth / uniform(rng, *_SOFT_MM)) * ~fluid
    uneven = 1 + _UNEVEN * smooth(shape, 5, rng)
    bright, dark = uniform(rng, *_BRIGHT), log_uniform(rng, *_DARK)
    rows = list(seen)
    for i, contrast in enumerate(contrasts):
        if contrast == "t1":
            rows[i] = (rows[i] - share * dark * uneven).clamp_min(torch.minimum(rows[i], torch.tensor(-3.0)))
        elif contrast == "flair":
            rows[i] = torch.maximum(rows[i], rows[i].lerp(bright * uneven, share))
        else:
            rows[i] = rows[i] + share * bright * uneven
    return torch.stack(rows), ((depth > 0) & ~fluid).to(torch.uint8)


def _fluid(seen: Tensor, contrasts: tuple[str, ...]) -> Tensor:
    i = contrasts.index("t1") if "t1" in contrasts and bool(seen[contrasts.index("t1")].any()) else 0
    return (seen[i] < _FLUID) | (seen[-1] <= 0)
