"""What two images are compared by: local correlation where their contrasts agree, contrast-free features where not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from spinecho.methods.features import mind
from spinecho.methods.pair import Pair
from spinecho.methods.similarity import Term, lncc, ssd
from spinecho.ops.windows import block_mean, box_sum

Similarity = Literal["auto", "lncc", "mind", "both"]
Comparison = Callable[[Pair], list[Term]]

_AGREE = 0.93
"""Signed share of the local correlation from which on two contrasts are one: same scans of different people have .98 to
1, T2 and FLAIR of one person .85, T1 and T2 .04"""
_RADIUS = 2
_MIND_WEIGHT = 0.5
_FLOOR = 3e-4


def comparison(pair: Pair, similarity: Similarity) -> tuple[Comparison, str]:
    """The terms of the objective for a pair (again for the same pair on another grid), and in words."""
    told = ""
    if similarity == "auto":
        agreement = contrast_agreement(block_mean(pair.fixed, 2), block_mean(pair.moving, 2))
        similarity = "lncc" if agreement > _AGREE else "both"
        told = f"; contrasts agree to {agreement:.2f}"
    if similarity == "lncc":
        return by_correlation, f"local correlation{told}"
    if similarity == "mind":
        return by_features, f"MIND features{told}"
    return lambda p: [*by_correlation(p), *by_features(p)], f"local correlation and MIND features{told}"


def by_correlation(pair: Pair) -> list[Term]:
    """Squared local correlation of the intensities."""
    return [Term(pair.fixed, pair.moving, lncc(_RADIUS))]


def by_features(pair: Pair) -> list[Term]:
    """Squared distance of MIND features."""
    return [Term(mind(pair.fixed), mind(pair.moving), ssd, _MIND_WEIGHT)]


def contrast_agreement(one: Tensor, other: Tensor) -> float:
    """Sum of cc |cc| over the sum of cc^2, cc the local correlation.

    1 where bright is bright everywhere, -1 where it is dark, about 0 where that depends on the tissue.
    """
    n = (2 * _RADIUS + 1) ** 3
    parts = torch.cat([one, other, one * one, other * other, one * other])
    a, b, aa, bb, ab = (box_sum(parts, _RADIUS) / n).unbind(0)
    covariance = ab - a * b
    square = covariance.square() / ((aa - a * a).clamp_min(0) + _FLOOR) / ((bb - b * b).clamp_min(0) + _FLOOR)
    return float((square * covariance.sign()).sum() / square.sum().clamp_min(torch.finfo(square.dtype).tiny))
