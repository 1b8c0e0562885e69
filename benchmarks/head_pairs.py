"""Heads rendered from label maps, one like another in shape of the grid: test pairs whose regions are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.ops.windows import gaussian
from spinecho.sim.anatomy import Contrast, at_isocentre, resample_labels, sample_contrast, texture
from spinecho.sim.splits import Part, split
from spinecho.sim.tissue import BRAIN_LABELS, TISSUE_OF_LABEL
from spinecho.sim.warps import degrade

GRID = Geometry.from_frame(np.zeros(3), np.eye(3), (1.0, 1.0, 1.0), (192, 224, 160))
"""(z, y, x) towards superior, posterior, left; 1 mm"""
CSF_LABELS = frozenset(i for i, tissue in TISSUE_OF_LABEL.items() if tissue == "csf" and 0 < i < 500)
SCORED = BRAIN_LABELS | CSF_LABELS
"""Regions that count: the brain with its ventricles; skull, skin, eyes and vessels are rendered, but not scored"""
_LEAST_CONTRAST = 0.15


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One registration to be done: numbers of the label maps, and whether both images share one contrast."""

    fixed: str
    moving: str
    agreeing: bool
    seed: int

    @property
    def name(self) -> str:
        """For folders and tables."""
        return f"{'agreeing' if self.agreeing else 'differing'}_{self.fixed}_{self.moving}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Head:
    """An image with the regions that are scored in it."""

    image: Float[Tensor, "z y x"]
    labels: Int[Tensor, "z y x"]
    geometry: Geometry


def pairs(part: Part) -> list[Pair]:
    """Each label map of a part with the next (the last with the first), contrasts agreeing and differing."""
    numbers = split("label_maps", part)
    order = list(zip(numbers, [*numbers[1:], numbers[0]], strict=True))
    return [
        Pair(fixed=a, moving=b, agreeing=agreeing, seed=1000 * int(a) + int(b))
        for agreeing in (True, False)
        for a, b in order
    ]


def place(labels: Int[Tensor, "z y x"], geometry: Geometry, onto: Geometry = GRID) -> Int[Tensor, "z2 y2 x2"]:
    """A label map on the pairs' grid, the brain's centre at the origin of the world."""
    return resample_labels(labels, at_isocentre(labels, geometry), onto)


def render_pair(pair: Pair, fixed: Int[Tensor, "z y x"], moving: Int[Tensor, "z y x"]) -> tuple[Head, Head]:
    """Both heads of a pair from their placed label maps; the pair's seed decides everything that is drawn."""
    generator = torch.Generator().manual_seed(pair.seed)
    first = visible_contrast(generator)
    second = visible_contrast(generator)
    heads = [render(m, c, generator) for m, c in ((fixed, first), (moving, first if pair.agreeing else second))]
    return heads[0], heads[1]


def render(labels: Int[Tensor, "z y x"], contrast: Contrast, generator: torch.Generator) -> Head:
    """The whole head: uneven tissue, soft edges, a bias field, Rician noise (SNR 15 to 40)."""
    shape = (labels.shape[0], labels.shape[1], labels.shape[2])
    onto = replace(GRID, shape=shape)
    drawn = torch.rand(3, generator=generator).tolist()
    clean = contrast.render(labels) * texture(shape, generator, 0.03)
    clean = gaussian(clean.float()[None], 0.4 + 0.4 * drawn[0], "edge")[0]
    image = degrade(clean, onto, generator, snr=15 + 25 * drawn[1], bias=0.1 + 0.3 * drawn[2])
    return Head(image=image, labels=scored(labels), geometry=onto)


def scored(labels: Int[Tensor, "*grid"], keep: Sequence[int] = ()) -> Int[Tensor, "*grid"]:
    """The labels that count, the others 0."""
    wanted = torch.tensor(sorted(keep or SCORED), device=labels.device, dtype=labels.dtype)
    return torch.where(torch.isin(labels, wanted), labels, torch.zeros_like(labels))


def visible_contrast(generator: torch.Generator) -> Contrast:
    """A random contrast in which grey matter, white matter and fluid differ from each other by 0.15 or more."""
    while True:
        contrast = sample_contrast(generator)
        grey, white, fluid = (contrast.values[i] for i in (3, 2, 24))
        if min(abs(grey - white), abs(grey - fluid), abs(white - fluid)) >= _LEAST_CONTRAST:
            return replace(contrast, name="random contrast, tissues 0.15 apart")
