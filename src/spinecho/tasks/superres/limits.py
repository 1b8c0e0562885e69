"""What a card of super-resolution weights limits, and in which ways a volume and its target lie outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spinecho.core.task import RANGE, some_of
from spinecho.tasks.superres.base import Target
from spinecho.tasks.superres.parts.degrade import NAMES

LIMITS = {"factor": RANGE, "spacing_mm": RANGE, "degradations": some_of(*NAMES)}
"""New voxels for each old one along an axis that gets more; spacing of the input; how detail may have been lost."""


def outside(card: Mapping[str, Any], target: Target) -> list[str]:
    """Each way, with both numbers."""
    ways: list[str] = []
    low, high = card.get("factor", (0.0, float("inf")))
    factors = [target.factors[axis] for axis in target.finer]
    ways += [f"factor {f:.3g} (card: {low:g} to {high:g})" for f in dict.fromkeys(factors) if not low <= f <= high]
    low, high = card.get("spacing_mm", (0.0, float("inf")))
    spacings = dict.fromkeys(round(v, 3) for v in target.voxel_mm)
    ways += [f"voxels of {v:.3g} mm (card: {low:g} to {high:g} mm)" for v in spacings if not low <= v <= high]
    known = card.get("degradations", NAMES)
    names = dict.fromkeys(d.name for d in target.degradations if d is not None)
    return ways + [f"degradation {n} (card: {', '.join(known)})" for n in names if n not in known]
