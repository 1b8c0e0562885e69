"""Blocks of brains by number: turned and stretched, with planted lesions, as another scanner might show them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import chance, integer, uniform
from spinecho.ops.windows import gaussian
from spinecho.sim.blobs import smooth
from spinecho.tasks.segment.examples.brains import GREYS, Brain
from spinecho.tasks.segment.examples.looks import thick
from spinecho.tasks.segment.examples.places import drawn_matrix
from spinecho.tasks.segment.examples.planted import planted
from spinecho.tasks.segment.parts.example import Example
from spinecho.train.draw import generator

_AT_TRUTH = 0.5
"""Share of blocks of real brains that are centred on a finding"""
_PLANTED = 0.7
_ABSENT = 0.15
"""Share of blocks without the contrasts beside the first"""


@dataclass(frozen=True, eq=False)
class Blocks:
    """A supply of blocks.

    Parameters
    ----------
    contrasts
        Of the channels; the last channel is the depth.
    plants
        Whether lesions are planted where there is white matter.
    rendered
        Share of blocks of rendered brains, where there are both.
    """

    brains: tuple[Brain, ...]
    contrasts: tuple[str, ...]
    side: int
    each: int
    spacing_mm: float
    seed: int
    part: str = "train"
    plants: bool = True
    rendered: float = 0.4

    def __call__(self, step: int, index: int) -> Example:
        rng = generator(self.seed, self.part, step, index)
        rows = [self._block(rng) for _ in range(self.each)]
        image, truth = (torch.stack(list(part)) for part in zip(*rows, strict=True))
        return Example(image, truth, torch.zeros(len(rows)), torch.zeros(len(rows), 1, dtype=torch.uint8))

    def _block(self, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        drawn, real = ([b for b in self.brains if (b.tissue is None) == kind] for kind in (False, True))
        kind = drawn if drawn and (not real or chance(rng, self.rendered)) else real
        brain = kind[integer(rng, len(kind))]
        at = _places(brain, self.side, rng)
        seen, truth, white = _looked_at(brain, at, len(self.contrasts), rng)
        if self.plants and chance(rng, 1.0 if brain.tissue is not None else _PLANTED):
            seen, more = planted(seen, self.contrasts, white, self.spacing_mm, rng)
            truth = torch.maximum(truth, more)
        return scanned(seen, self.spacing_mm, rng), truth


def _places(brain: Brain, side: int, rng: torch.Generator) -> Float[Tensor, "3 z y x"]:
    """Voxels of the brain that a block's voxels lie at."""
    where = brain.truth > 0
    if not (chance(rng, _AT_TRUTH) and bool(where.any())):
        where = brain.white > 0 if bool((brain.white > 0).any()) else brain.seen[-1] > 0
    spots = where.nonzero()
    centre = spots[integer(rng, len(spots))].float() + (side / 4) * (2 * torch.rand(3, generator=rng) - 1)
    axes = [torch.arange(side) - (side - 1) / 2 for _ in range(3)]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    return torch.einsum("ij,jzyx->izyx", drawn_matrix(rng), grid) + centre[:, None, None, None]


def _looked_at(
    brain: Brain, at: Float[Tensor, "3 z y x"], n_contrasts: int, rng: torch.Generator
) -> tuple[Float[Tensor, "channel z y x"], UInt8[Tensor, "z y x"], UInt8[Tensor, "z y x"]]:
    """Channels (linear), truth and white matter (of the nearest voxel) at places; nothing outside."""
    if brain.tissue is None:
        seen = _sampled(brain.seen, at, "bilinear")
        inside = _sampled((brain.seen[-1:] > 0).float(), at, "nearest")
        truth, white = _sampled(torch.stack([brain.truth, brain.white]).float(), at, "nearest").to(torch.uint8)
        return seen * inside, truth, white
    names = torch.stack([brain.tissue, brain.white]).float()
    tissue, white = _sampled(names, at, "nearest").to(torch.uint8)
    depth = _sampled(brain.seen, at, "bilinear") * (tissue > 0)
    return torch.cat([_rendered(tissue, n_contrasts, rng), depth]), torch.zeros_like(white), white


def _sampled(volumes: Float[Tensor, "c z y x"], at: Float[Tensor, "3 z2 y2 x2"], mode: str) -> Tensor:
    sizes = torch.tensor(volumes.shape[1:], dtype=torch.float32)
    grid = ((2 * at + 1) / sizes[:, None, None, None] - 1).flip(0).movedim(0, -1)[None]
    return F.grid_sample(volumes[None], grid, mode=mode, align_corners=False)[0]


def _rendered(tissue: UInt8[Tensor, "z y x"], n_contrasts: int, rng: torch.Generator) -> Tensor:
    """FLAIR and T1 of tissues, their means drawn about those of real ones; other contrasts are not given."""
    usual = torch.tensor(list(GREYS.values()))
    means = usual * torch.exp(0.25 * torch.randn(usual.shape, generator=rng)) + 0.2 * torch.randn(
        usual.shape, generator=rng
    )
    shown = torch.zeros(n_contrasts, *tissue.shape)
    for i in range(min(n_contrasts, 2)):
        table = torch.cat([torch.zeros(1), means[:, i]])
        flat = gaussian(table[tissue.long()][None], uniform(rng, 0.4, 0.9))[0]
        even = uniform(rng, 0.1, 0.4)
        shown[i] = flat + even * torch.randn(flat.shape, generator=rng) + 0.3 * smooth(flat.shape, 6, rng)
    return shown * (tissue > 0)


def scanned(seen: Float[Tensor, "channel z y x"], spacing_mm: float, rng: torch.Generator) -> Tensor:
    """Each contrast with another gain and level, a smooth field, thick slices, blur and noise; the depth as it is."""
    inside, shape = seen[-1] > 0, seen.shape[1:]
    rows: list[Tensor] = []
    axis, is_thick = integer(rng, 3), chance(rng, 0.3)
    alone = chance(rng, _ABSENT)
    for i, row in enumerate(seen[:-1]):
        if i and alone:
            rows.append(torch.zeros_like(row))
            continue
        row = row * float(torch.exp(0.15 * torch.randn((), generator=rng))) + uniform(rng, -0.3, 0.3)
        row = row + uniform(rng, 0, 0.6) * smooth(shape, 24, rng)
        row = thick(row, axis, spacing_mm, rng) if is_thick and i == 0 else row
        row = gaussian(row[None], uniform(rng, 0.3, 0.9))[0] if chance(rng, 0.4) else row
        row = row + 0.6 * uniform(rng) ** 2 * torch.randn(shape, generator=rng)
        rows.append(row * inside)
    return torch.stack([*rows, seen[-1]])
