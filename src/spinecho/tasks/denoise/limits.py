"""What a card of denoising weights limits, and in which ways a volume lies outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from spinecho.core.task import RANGE
from spinecho.tasks.denoise.parts.noise import Noise

LIMITS = {"noise": RANGE}
"""Standard deviation of the noise relative to the brightest voxel."""


def outside(card: Mapping[str, Any], values: Tensor, noise: Noise) -> list[str]:
    """Whether the noise is stronger or weaker than what the weights were trained on."""
    low, high = card.get("noise", (0.0, float("inf")))
    level = float(noise.sigma / values.abs().max()) if values.any() else 0.0
    return [] if low <= level <= high else [f"noise {level:.2g} of the brightest voxel (card: {low:g} to {high:g})"]
