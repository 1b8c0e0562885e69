"""Single numbers drawn at random: always from a generator that is handed over."""

from __future__ import annotations

import math

import torch


def integer(rng: torch.Generator, n: int) -> int:
    """0 to n - 1."""
    return int(torch.randint(n, (1,), generator=rng))


def uniform(rng: torch.Generator, low: float = 0.0, high: float = 1.0) -> float:
    """A number between two."""
    return low + (high - low) * float(torch.rand(1, generator=rng))


def log_uniform(rng: torch.Generator, low: float, high: float) -> float:
    """A number between two, even in the logarithm."""
    return math.exp(uniform(rng, math.log(low), math.log(high)))


def chance(rng: torch.Generator, share: float) -> bool:
    """True in that share of all draws."""
    return uniform(rng) < share
