"""Slabs by number: pieces of volumes with neighbouring slices, real or rendered of tissues, with Rician noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import integer, uniform
from spinecho.metrics.head import SHARE
from spinecho.sim.tissue import TISSUES
from spinecho.tasks.denoise.examples.drawn import shading, smooth
from spinecho.tasks.denoise.parts.patches import Patches
from spinecho.train.draw import generator

_LEVELS = (0.005, 0.22)
"""Noise relative to the brightness of the object, drawn evenly in its logarithm"""
_GAUSSIAN = 0.15
"""Share of slabs whose noise is Gaussian; of the others it is Rician"""
_MISTAKEN = 0.05
"""The level given is wrong by such a factor, as measured ones are"""
_LEAST_LIGHT, _LOOKS = 0.04, 6
_COARSER = (1.0, 1.0, 1.0, 1.35, 1.8)
_ALONE = 0.1
"""Share of slabs whose slices are all one: images of a single slice"""
_TEXTURE = 0.04
_RENDERED = 0.4
"""Share of slabs from label maps, where there are label maps and images"""


@dataclass(frozen=True, eq=False)
class Slabs:
    """A supply of slabs.

    Parameters
    ----------
    stacks
        Slices (n, y, x): float16 or complex64, at most 1; or uint8, the place of each voxel's tissue in `TISSUES`
        (0: air is first), rendered in another contrast each time. Drawn from by the root of their size.
    neighbours
        Slices on either side.
    size, number
        Pixels along a side of a patch; patches in an example.
    fixed
        The level of all slabs, Rician and exactly known, for judging; None: drawn.
    """

    stacks: tuple[np.ndarray, ...]
    neighbours: int
    size: int
    number: int
    seed: int
    part: str = "train"
    fixed: float | None = None

    def __call__(self, step: int, index: int) -> Patches:
        rng = generator(self.seed, "slabs", self.part, step, index)
        chosen = torch.multinomial(self._weights, self.number, replacement=True, generator=rng).tolist()
        clean = torch.stack([self._piece(i, rng) for i in chosen])
        clean = clean * shading(self.number, self.size, rng)[:, None]
        low, high = map(math.log, _LEVELS)
        level = torch.exp(low + (high - low) * torch.rand(self.number, generator=rng))
        is_rician = torch.rand(self.number, generator=rng) >= _GAUSSIAN
        if self.fixed is not None:
            level, is_rician = torch.full_like(level, self.fixed), torch.ones_like(is_rician)
        real, imaginary = torch.randn(2, *clean.shape, generator=rng) * level[:, None, None, None]
        noisy = torch.where(is_rician[:, None, None, None], torch.hypot(clean + real, imaginary), clean + real)
        alone = (torch.rand(self.number, generator=rng) < _ALONE)[:, None, None, None]
        middle = self.neighbours
        noisy = torch.where(alone, noisy[:, middle : middle + 1], noisy)
        mistaken = torch.exp(_MISTAKEN * torch.randn(self.number, generator=rng))
        told = level if self.fixed is not None else level * mistaken
        centre = [x[:, middle].to(torch.complex64) for x in (clean, noisy)]
        return Patches(centre[0], centre[1], told, noisy, is_rician)

    @cached_property
    def _weights(self) -> Tensor:
        """Of the stacks; label maps together have their share."""
        size = torch.tensor([len(s) ** 0.5 for s in self.stacks], dtype=torch.float64)
        drawn = torch.tensor([s.dtype == np.uint8 for s in self.stacks])
        if bool(drawn.all()) or not bool(drawn.any()):
            return size
        share = torch.where(drawn, _RENDERED / size[drawn].sum(), (1 - _RENDERED) / size[~drawn].sum())
        return size * share

    @cached_property
    def _brightness(self) -> tuple[float, ...]:
        """Of each stack, over what is lit; 1 of label maps."""
        return tuple(1.0 if s.dtype == np.uint8 else _bright(s) for s in self.stacks)

    def _piece(self, i: int, rng: torch.Generator) -> Tensor:
        """A slab (s, y, x) that is not dark, its object's brightness about 1, mirrored and turned at random."""
        stack = self.stacks[i]
        wanted = (
            self.size * _COARSER[integer(rng, len(_COARSER))] if min(stack.shape[1:]) > 2.2 * self.size else self.size
        )
        n = min(math.ceil(wanted), *stack.shape[1:])
        box: tuple[slice, slice] = (slice(0, n), slice(0, n))
        z = 0
        for _ in range(_LOOKS):
            z, y, x = (integer(rng, m) for m in (len(stack), stack.shape[1] - n + 1, stack.shape[2] - n + 1))
            box = (slice(y, y + n), slice(x, x + n))
            if np.abs(stack[(z, *box)] > 0).mean() > _LEAST_LIGHT:
                break
        order = np.clip(np.arange(z - self.neighbours, z + self.neighbours + 1), 0, len(stack) - 1)
        cut = np.ascontiguousarray(stack[(order, *box)])
        if stack.dtype == np.uint8:
            slab = _rendered(torch.from_numpy(cut), rng)
        else:
            slab = _regraded(torch.from_numpy(np.abs(cut).astype(np.float32)) / self._brightness[i], rng)
        if n != self.size:
            slab = F.interpolate(
                slab[None], (self.size, self.size), mode="bilinear", antialias=True, align_corners=False
            )[0]
        flip, turn, back = torch.rand(3, generator=rng).tolist()
        slab = slab.flip(-1) if flip < 0.5 else slab
        slab = slab.transpose(-2, -1) if turn < 0.5 else slab
        return slab.flip(0) if back < 0.5 else slab


def _rendered(places: Tensor, rng: torch.Generator) -> Tensor:
    """Tissues in a contrast drawn at random, air dark, a little uneven, edges soft now and then."""
    values = torch.rand(len(TISSUES), generator=rng)
    values[list(TISSUES).index("air")] = 0
    slab = values[places.long()] / values.max().clamp_min(0.1)
    s, y, _ = slab.shape
    uneven = sum(smooth(s, knots, y, rng) for knots in (y // 8 + 2, y // 3 + 2))
    slab = slab * (1 + _TEXTURE * uniform(rng) * uneven)
    soft = uniform(rng, 0, 0.8)
    blurred = F.avg_pool2d(slab[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
    return torch.lerp(slab, blurred, soft)


def _regraded(slab: Tensor, rng: torch.Generator) -> Tensor:
    """Brightness through a random power now and then."""
    curve, power = torch.rand(2, generator=rng).tolist()
    return slab.clamp_min(0) ** (0.6 + 0.9 * power) if curve < 0.2 else slab


def _bright(stack: np.ndarray) -> float:
    size = np.abs(stack[:: max(1, len(stack) // 24)]).astype(np.float32)
    lit = size[size > 0.05 * size.max()]
    return float(np.quantile(lit, SHARE)) if lit.size else 1.0
