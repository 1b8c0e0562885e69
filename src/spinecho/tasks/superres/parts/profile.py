"""How thick slices are, from the image alone: their detail compared with the detail across them.

The image is taken to look alike in all directions. Its in-plane detail is put through slices of every thickness; the
thickness counts after which neighbours differ, relative to those further apart, as real neighbouring slices do.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.tasks.superres.parts.degrade import Degradation, along

CANDIDATES = tuple(0.4 + 0.05 * i for i in range(17))
_LEAST = 6
"""Slices below which nothing is estimated"""


def found_width(values: Float[Tensor, "1 z y x"], geometry: Geometry, axis: int) -> float | None:
    """Thickness over distance of the slices along an axis; None where the image cannot tell.

    Too little in the image (fewer than 6 slices either way, in-plane voxels longer than two thirds of the distance)
    gives None.
    """
    voxels, n = geometry.voxel_mm[::-1], geometry.shape
    others = [a for a in range(3) if a != axis and voxels[a] < voxels[axis] / 1.5]
    sizes = {a: round(n[a] * voxels[a] / voxels[axis]) for a in others}
    if n[axis] < _LEAST or not others or min(sizes.values()) < _LEAST:
        return None
    wanted = _roughness(values[0].movedim(axis, 0))
    if wanted is None:
        return None
    best: list[float] = []
    for a in others:
        turned = values[0].movedim(a, 0)
        reached = []
        for width in CANDIDATES:
            matrix = Degradation("slices", width).matrix(sizes[a], n[a])
            reached.append(_roughness(along(turned, [matrix, None, None])))
        if all(r is not None for r in reached):
            best.append(_crossing(torch.tensor(reached, dtype=torch.float64), wanted))
    return sum(best) / len(best) if best else None


def _roughness(slices: Float[Tensor, "slice a b"]) -> float | None:
    """Mean squared difference of neighbours over that of every second: the less, the thicker the slices."""
    near = (slices[1:] - slices[:-1]).double().square().mean()
    far = (slices[2:] - slices[:-2]).double().square().mean()
    return float(near / far) if far > 0 else None


def _crossing(reached: Tensor, wanted: float) -> float:
    """The candidate, between two of them, whose roughness is the wanted one."""
    at = int((reached - wanted).abs().argmin())
    for low in (at - 1, at):
        if 0 <= low < len(reached) - 1:
            a, b = float(reached[low]) - wanted, float(reached[low + 1]) - wanted
            if a * b <= 0 and a != b:
                return CANDIDATES[low] + (CANDIDATES[low + 1] - CANDIDATES[low]) * a / (a - b)
    return CANDIDATES[at]
