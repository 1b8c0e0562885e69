"""What a card of registration weights limits, and in which ways two volumes lie outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spinecho.core.image import Image
from spinecho.core.task import RANGE, number_within
from spinecho.tasks.register.parts.volumes import foreground_box

LIMITS = {"extent_mm": RANGE, "contrast_agreement": number_within(-1, 1)}
"""The fixed object's size along each axis; the least that `parts.compare.contrast_agreement` may find once both are
aligned, which only the method can tell."""


def outside(card: Mapping[str, Any], fixed: Image, moving: Image) -> list[str]:
    """Each way in which two prepared volumes lie outside the card; empty where they lie inside."""
    if "extent_mm" not in card:
        return []
    low, high = card["extent_mm"]
    box = foreground_box(fixed, 0.0)
    sizes = [(b - a) * v for (a, b), v in zip(box, fixed.geometry.voxel_mm[::-1], strict=True)]
    if low <= min(sizes) and max(sizes) <= high:
        return []
    told = " x ".join(f"{s:.0f}" for s in sizes)
    return [f"the network was trained on objects of {low:g} to {high:g} mm, this one has {told} mm (z y x)"]
