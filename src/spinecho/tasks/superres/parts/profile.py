"""How thick slices are, from the image alone: their detail compared with the detail across them.

The image is taken to look alike in all directions. One of its fine axes is put through slices of every thickness; with
the right one that axis and the thick axis are alike: neighbours differ, relative to those further apart, as much along
the one as along the other.
"""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.tasks.superres.parts.degrade import Degradation, along

CANDIDATES = tuple(0.5 + 0.05 * i for i in range(11))
"""Slices do not overlap: what seems thicker than their distance has no gap"""
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
    best: list[float] = []
    for a in others:
        uneven: list[float] = []
        for width in CANDIDATES:
            maps = [Degradation("slices", width).matrix(sizes[a], n[a]) if b == a else None for b in range(3)]
            alike = along(values[0], maps)
            own, other = _roughness(alike, axis), _roughness(alike, a)
            if own is None or other is None:
                return None
            uneven.append(other - own)
        best.append(_zero(uneven))
    return sum(best) / len(best)


def _roughness(values: Float[Tensor, "z y x"], axis: int) -> float | None:
    """Mean squared difference of neighbours along an axis over that of every second: less for thicker slices."""
    slices = values.movedim(axis, 0).double()
    near = (slices[1:] - slices[:-1]).square().mean()
    far = (slices[2:] - slices[:-2]).square().mean()
    return float(near / far) if far > 0 else None


def _zero(uneven: list[float]) -> float:
    """The candidate, between two of them, at which nothing is uneven any more; else the nearest."""
    for low, (a, b) in enumerate(pairwise(uneven)):
        if a > 0 >= b:
            return CANDIDATES[low] + (CANDIDATES[low + 1] - CANDIDATES[low]) * a / (a - b)
    return CANDIDATES[min(range(len(uneven)), key=lambda i: abs(uneven[i]))]
