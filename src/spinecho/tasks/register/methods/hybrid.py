"""Hybrid: affine, a global start, then a smooth invertible flow optimised on the pair itself, coarse to fine.

A stage is kept only if the objective is lower after it. Sources: of the search `register/parts/search.py`, of the flow
`register/parts/flow.py`, of the features `register/parts/features.py`; that a global start followed by optimisation on
the pair wins: Siebert et al. 2024 (ConvexAdam), doi:10.1109/TMI.2024.3462248.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.field import in_mm
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.transform import Transform, Velocity
from spinecho.ops.windows import block_mean, enlarged
from spinecho.tasks.register.base import Register, Stage
from spinecho.tasks.register.parts.affine import linear_stages
from spinecho.tasks.register.parts.compare import Comparison, Similarity, comparison
from spinecho.tasks.register.parts.evidence import explained, simplest
from spinecho.tasks.register.parts.flow import Steps, cost_of, descend, tapered, unfolded
from spinecho.tasks.register.parts.pair import Pair, matched, scaled, working_grid
from spinecho.tasks.register.parts.search import searched
from spinecho.tasks.register.parts.simplest import may_be_one_head, simplest_linear

_AFFINE, _START, _CHECK = 0.15, 0.25, 0.95
"""Shares of the whole work that are done after the affine, after the search, and before the last check"""
_REACH_MM = 16.0
_TOLD_EVERY = 5
_HALF_RESOLUTION = 0.75
"""Images whose voxels are smaller than this share of a working voxel have more to show"""


@dataclass(frozen=True, kw_only=True)
class Config:
    similarity: Similarity = "auto"
    """lncc: local correlation of intensities; mind: contrast-free features; translated: mind while coarse, then lncc
    with each image brought to the other's contrast; auto: lncc where the contrasts agree, else translated"""
    smoothness: float = 1.0
    """how stiff the deformation is: 0.5 follows more detail (on heads Dice +.02, SDlogJ .35 for .25), 1.5 less"""
    iters: tuple[int, int, int, int, int] = (50, 50, 20, 10, 10)
    """steps with images at 4, 2, 1 working voxels, at 1 with a finer flow, and at half of one where images are finer;
    across contrasts a fifth of the second at 1 with a coarse flow"""
    search: bool = True
    """look for a global start within 16 mm"""
    sensitive: bool = False
    """where the contrasts agree, keep a flow though its coarse part explains no more than none (`change` does); where
    they do not, move images on one grid by less than half a voxel, too"""
    voxels: int = 1_500_000
    """working voxels, about (up to twice as many where they are the fixed image's own): what time and memory follow"""
    time_budget: float = 0.0
    """seconds after which the best so far is taken; 0: none (with one, results depend on the machine's speed)"""


@dataclass(frozen=True)
class Level:
    """Images at `size` working voxels a voxel, a velocity at `steps.coarseness` of those."""

    size: float
    steps: Steps

    @property
    def cell(self) -> float:
        """Working voxels along one of the velocity's."""
        return self.size * self.steps.coarseness


_UNLIKE_FEWER = 5
"""So many times fewer steps at the second level where it works on larger images"""
_LAST_ALIKE, _LAST_UNLIKE = 0.5, 0.9
"""Smoothing of the flow where images are finer than the working voxels. Where contrasts agree their detail may be
followed (heads rendered from label maps: Dice .684 to about .72); of a translated contrast it would be noise (known
warps of T1 and FLAIR: 0.8 to 1.1 mm)"""


@dataclass(eq=False)
class _Search:
    """A registration under way: the affine, and the best velocity so far with its grid."""

    affine: Transform
    grid: Geometry
    velocity: Tensor
    cell: float
    until: float
    """When the time is up (time.monotonic)"""

    def transform(self) -> Transform:
        geometry = scaled(self.grid, self.cell)
        return self.affine @ Velocity(in_mm(self.velocity, geometry.affine), geometry)

    def refine(self, cell: float) -> None:
        """The velocity on cells of another size, in its new voxels."""
        ratio = round(self.cell / cell)
        self.velocity, self.cell = enlarged(self.velocity, ratio) * ratio, cell


class Method(Register):
    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        finite = math.isfinite(config.smoothness) and config.smoothness > 0 and config.time_budget >= 0
        if not finite or config.voxels < 1000 or len(config.iters) != 5 or min(config.iters) < 0:
            raise DataError(
                f"smoothness {config.smoothness:g}, voxels {config.voxels}, iters {config.iters}, "
                f"time_budget {config.time_budget:g}",
                do="give a smoothness over 0, at least 1000 voxels, five iters, and no negative numbers",
            )

    def coarser(self, factor: int) -> dict[str, Any]:
        return {"voxels": max(1000, self.config.voxels // factor)}

    def watchful(self) -> dict[str, Any]:
        return {"sensitive": True}

    def stages(self, fixed: Image, moving: Image) -> Iterator[Stage]:
        begin = time.monotonic()
        affine: Transform | None = None
        for stage in linear_stages(fixed, moving, "affine"):
            affine = stage.transform
            yield replace(stage, done=stage.done * _AFFINE)
        assert affine is not None
        grid = working_grid(fixed, self.config.voxels)
        pair = matched(fixed, moving, affine, grid)
        compare = comparison(pair, self.config.similarity)
        told = compare.words
        across = compare.similarity == "translated"
        judged, rival = across or (compare.similarity == "lncc" and not self.config.sensitive), 0.0
        if judged and (across or may_be_one_head(affine)):
            chosen = simplest_linear(fixed, moving, affine, across, self.config.sensitive)
            affine, told = chosen.taken, f"{told}; {chosen.words}"
            pair = matched(fixed, moving, affine, grid)
            if chosen.best is not affine:
                rival = explained(matched(fixed, moving, chosen.best, grid))
        until = begin + 0.9 * self.config.time_budget if self.config.time_budget else float("inf")
        velocity = pair.fixed.new_zeros(3, *scaled(grid, 4).shape)
        if self.config.search:
            velocity, words = _started(pair, velocity, compare)
            told = f"{told}; {words}"
        search = _Search(affine, grid, velocity, 4.0, until)
        yield Stage("start", search.transform(), _START, note=told)
        levels = self._levels(fixed, moving, grid, compare)
        doubtful = judged and _doubtful(compare, levels, self.config.search)
        for i, level in enumerate(levels):
            if doubtful and level.size <= 1:
                doubtful, worth, told = False, *_worth(search, pair, compare, rival)
                yield Stage("check", search.transform(), _START + i * (_CHECK - _START) / len(levels), note=told)
                if not worth:
                    break
            share = (_CHECK - _START) / len(levels)
            at = scaled(grid, level.size) if level.size < 1 else grid
            here = pair if at is grid else matched(fixed, moving, affine, at)
            yield from _descended(search, level, here, compare, _START + i * share, share)
        search.velocity = unfolded(tapered(search.velocity))
        yield Stage("check for folds", search.transform(), 1.0)

    def _levels(self, fixed: Image, moving: Image, grid: Geometry, compare: Comparison) -> list[Level]:
        last = _LAST_ALIKE if compare.similarity == "lncc" else _LAST_UNLIKE
        smoothing = ((2.0, 1.0), (1.4, 1.0), (1.0, 0.9), (1.4, 1.0), (1.0, last))
        sizes, iters = [(4.0, 1), (2.0, 2), (1.0, 2), (1.0, 1), (0.5, 2)], list(self.config.iters)
        if compare.similarity == "translated":  # a contrast can be translated only where its detail is seen
            sizes[1], iters[1] = (1.0, 4), math.ceil(iters[1] / _UNLIKE_FEWER)
        finest = max(min(fixed.geometry.voxel_mm), min(moving.geometry.voxel_mm))
        levels = []
        for (size, coarseness), (fluid, elastic), n in zip(sizes, smoothing, iters, strict=True):
            if n > 0 and (size >= 1 or finest < _HALF_RESOLUTION * grid.voxel_mm[0]):
                s = self.config.smoothness
                steps = Steps(n_iters=n, fluid=fluid * s, elastic=elastic * s, coarseness=coarseness)
                levels.append(Level(size, steps))
        return levels


def _started(pair: Pair, zero: Tensor, compare: Comparison) -> tuple[Tensor, str]:
    """The velocity of a discrete search if it lowers the objective, else the one given."""
    features = [block_mean(image, 2) for image in compare.features(pair)]
    reach = max(1, round(_REACH_MM / (2 * pair.geometry.voxel_mm[0])))
    displaced = searched(features[0], features[1], reach, 2)
    terms = compare.terms(pair, 2, zero, 4)
    weight = _coarse(pair.weight, 2)
    before, after = (cost_of(terms, velocity, 2, weight) for velocity in (zero, displaced))
    told = f"searched displacements: objective {before:.4f} to {after:.4f}"
    return (displaced, told) if after < before else (zero, f"{told}, not kept")


def _doubtful(compare: Comparison, levels: list[Level], searched: bool) -> bool:
    """Whether a coarse deformation must prove its worth; within a contrast the search alone is too rough for that."""
    coarse = any(level.size > 1 for level in levels)
    return (compare.similarity == "lncc" and coarse) or (compare.similarity == "translated" and (searched or coarse))


def _worth(search: _Search, pair: Pair, compare: Comparison, rival: float = 0.0) -> tuple[bool, str]:
    """Whether the coarse deformation explains more than none, which is taken if not; in words.

    And more than `rival`, what another linear transform explains: a deformation must not stand in for that.
    Within a contrast any rise will do: what changes in a small part of the head hardly changes the mean.
    """
    shares = {
        "undeformed": max(explained(pair), rival),
        "deformed": explained(pair, search.velocity, round(search.cell)),
    }
    if compare.similarity == "lncc":
        taken = "deformed" if shares["deformed"] > shares["undeformed"] else "undeformed"
    else:
        taken = simplest(shares)
    if taken == "undeformed":
        search.velocity = torch.zeros_like(search.velocity)
    words = f"explained: {', '.join(f'{n} {s:.3f}' for n, s in shares.items())}"
    return taken == "deformed", words if taken == "deformed" else f"{words}: left undeformed"


def _descended(
    search: _Search, level: Level, pair: Pair, compare: Comparison, done: float, share: float
) -> Iterator[Stage]:
    """One level; the velocity in `search` is exchanged where the objective fell."""
    mm = search.grid.voxel_mm[0]
    name = f"flow at {level.cell * mm:.3g} mm, images at {level.size * mm:.3g} mm"
    if time.monotonic() > search.until:
        yield Stage(name, search.transform(), done + share, note="left out: the time is up")
        return
    factor = max(1, round(level.size))
    search.refine(level.cell)
    terms, weight = compare.terms(pair, level.size, search.velocity, level.cell), _coarse(pair.weight, factor)
    first, n, latest = 0.0, 0, search.velocity
    for reached in descend(terms, search.velocity, level.steps, weight):
        first, latest, n = (first if n else reached.cost), reached.velocity, n + 1
        if n % _TOLD_EVERY == 0:
            yield Stage(name, search.transform(), done + share * n / level.steps.n_iters, ended=False)
        if time.monotonic() > search.until:
            break
    last = cost_of(terms, latest, level.steps.coarseness, weight)
    if last < first:
        search.velocity = latest
    note = f"{n} steps, objective {first:.4f} to {last:.4f}{'' if last < first else ', not kept'}"
    yield Stage(name, search.transform(), done + share, note=note)


def _coarse(weight: Tensor | None, factor: int) -> Tensor | None:
    return None if weight is None else block_mean(weight[None], factor)[0]
