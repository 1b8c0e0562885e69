"""What a card of segmenting weights limits, and in which ways a volume lies outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spinecho.core.geometry import Geometry
from spinecho.core.task import RANGE

LIMITS = {"voxel_mm": RANGE, "fov_mm": RANGE}
"""Size of voxels along any axis; field of view along any axis."""


def outside(card: Mapping[str, Any], geometry: Geometry) -> list[str]:
    """Whether voxels or the field of view are of another size than what the weights were trained on."""
    ways: list[str] = []
    for name, sizes, what in (
        ("voxel_mm", geometry.voxel_mm, "a voxel"),
        ("fov_mm", geometry.fov_mm, "a field of view"),
    ):
        low, high = card.get(name, (0.0, float("inf")))
        wrong = [size for size in sizes if not low <= size <= high]
        if wrong:
            ways.append(f"{what} of {wrong[0]:.3g} mm (card: {low:g} to {high:g})")
    return ways
