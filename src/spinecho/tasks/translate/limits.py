"""What a card of translation weights limits, and in which ways a volume lies outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spinecho.core.task import RANGE, some_of
from spinecho.tasks.translate.base import Ask
from spinecho.tasks.translate.parts.contrasts import PAIRS, TOGETHER

LIMITS = {"voxel_mm": RANGE, "pairs": some_of(*PAIRS, *TOGETHER)}
"""Sides of voxels; contrasts from and to."""


def outside(card: Mapping[str, Any], ask: Ask) -> list[str]:
    """Each way, with both numbers."""
    low, high = card.get("voxel_mm", (0.0, float("inf")))
    sides = dict.fromkeys(round(v, 3) for v in ask.voxel_mm)
    ways = [f"voxels of {v:.3g} mm (card: {low:g} to {high:g} mm)" for v in sides if not low <= v <= high]
    known = card.get("pairs", PAIRS + TOGETHER)
    return ways + ([] if ask.pair in known else [f"pair {ask.pair} (card: {', '.join(known)})"])
