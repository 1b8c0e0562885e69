"""What two images are compared by: local correlation where their contrasts agree, contrast-free features where not."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from spinecho.core.field import flow, moved, sampling_grid
from spinecho.ops.windows import block_mean, box_sum, enlarged
from spinecho.tasks.register.parts.features import mind
from spinecho.tasks.register.parts.pair import Pair
from spinecho.tasks.register.parts.similarity import Term, lncc, ssd
from spinecho.tasks.register.parts.translation import translated

Similarity = Literal["auto", "lncc", "mind", "translated"]

_AGREE = 0.98
"""Signed share of the local correlation from which on two contrasts are one: scans of one contrast have .99 (of one
person, of two, of one and an average of many), T1 and FLAIR -.2 to .97 (the most where wide fluid is dark in both), T2
and FLAIR -.7 to .3, T1 and T2 -.99. To take one contrast for two costs .002 Dice, to take two for one far more."""
_DARK = 0.08
"""Intensity below which a voxel may be background, whose edge looks alike in every contrast"""
_RADIUS = 2
_FLOOR = 3e-4


@dataclass(frozen=True, eq=False)
class Comparison:
    """What a pair is compared by, from level to level.

    Parameters
    ----------
    similarity
        Anything but "auto".
    words
        What a person is told.
    """

    similarity: Similarity
    words: str
    _known: dict[int, tuple[Pair, tuple[Tensor, Tensor]]] = field(default_factory=dict)

    def features(self, pair: Pair) -> tuple[Tensor, Tensor]:
        """MIND of both images on the working grid, computed once."""
        if id(pair) not in self._known:
            self._known[id(pair)] = pair, (mind(pair.fixed), mind(pair.moving))  # the pair itself keeps its id taken
        return self._known[id(pair)][1]

    def terms(self, pair: Pair, size: float, velocity: Tensor, cell: float) -> list[Term]:
        """The objective on voxels of `size` working voxels, from a velocity on cells of `cell` of them."""
        if self.similarity == "lncc":
            terms = [Term(pair.fixed, pair.moving, lncc(_RADIUS))]
        elif self.similarity == "mind" or size > 1:
            terms = [Term(*self.features(pair), ssd)]
        else:
            terms = _in_each_others_contrast(pair, velocity, round(cell / min(size, 1)))
        return [term.coarser(max(1, round(size))) for term in terms]


def comparison(pair: Pair, similarity: Similarity) -> Comparison:
    """As asked for, or as the contrasts want it."""
    if similarity != "auto":
        return Comparison(similarity, similarity)
    agreement = contrast_agreement(block_mean(pair.fixed, 2), block_mean(pair.moving, 2))
    if agreement > _AGREE:
        return Comparison("lncc", f"contrasts agree to {agreement:.2f}: local correlation")
    words = f"contrasts agree to {agreement:.2f}: MIND features, then local correlation of translated contrasts"
    return Comparison("translated", words)


def _in_each_others_contrast(pair: Pair, velocity: Tensor, factor: int) -> list[Term]:
    """Local correlation of each image with the other, translated from what the velocity brings together."""
    grid, own = (sampling_grid(_shape(x), x) for x in (pair.fixed, velocity))
    there, back = (enlarged(flow(v, own), factor) * factor for v in (velocity, -velocity))
    moving = translated(pair.moving, moved(pair.moving, there, grid), pair.fixed, pair.weight)
    fixed = translated(pair.fixed, moved(pair.fixed, back, grid), pair.moving, pair.weight)
    one, other = replace(pair, moving=moving), replace(pair, fixed=fixed)
    return [Term(p.fixed, p.moving, lncc(_RADIUS), 0.5) for p in (one, other)]


def _shape(x: Tensor) -> tuple[int, int, int]:
    return x.shape[-3], x.shape[-2], x.shape[-1]


def contrast_agreement(one: Tensor, other: Tensor) -> float:
    """Sum of cc |cc| over the sum of cc^2, cc the local correlation where no background is near.

    1 where bright is bright everywhere, -1 where it is dark, about 0 where that depends on the tissue.
    """
    n = (2 * _RADIUS + 1) ** 3
    parts = torch.cat([one, other, one * one, other * other, one * other])
    a, b, aa, bb, ab = (box_sum(parts, _RADIUS) / n).unbind(0)
    covariance = ab - a * b
    square = covariance.square() / ((aa - a * a).clamp_min(0) + _FLOOR) / ((bb - b * b).clamp_min(0) + _FLOOR)
    dark = ((one <= _DARK) | (other <= _DARK)).to(one)
    inner = square * (box_sum(dark, _RADIUS)[0] < 0.5)
    square = inner if bool(inner.any()) else square
    return float((square * covariance.sign()).sum() / square.sum().clamp_min(torch.finfo(square.dtype).tiny))
