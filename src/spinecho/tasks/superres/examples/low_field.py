"""Slices by number: as a scanner of 0.05 to 0.55 T shows them, and as one of 1.5 T would, in finer pixels.

Half of them are rendered from label maps, where both contrasts follow from the tissues; the others are real images,
whose brightness goes through a monotone curve. Shading stays as it is, and so do distortions: both sides have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import chance, integer, log_uniform, uniform
from spinecho.core.interpolate import at_voxels, voxel_grid
from spinecho.metrics.head import SHARE
from spinecho.sim import low_field
from spinecho.sim.anatomy import texture
from spinecho.sim.splits import Part
from spinecho.sim.tissue import TISSUES
from spinecho.tasks.superres.examples import rendered
from spinecho.tasks.superres.parts.degrade import Degradation, along, maps_of
from spinecho.tasks.superres.parts.lesson import Lesson, conditions
from spinecho.tasks.superres.parts.spline import enlarged
from spinecho.train.cases import Case
from spinecho.train.draw import generator
from spinecho.train.entries import Entry
from spinecho.train.label_maps import as_labels
from spinecho.train.stacks import stacks_of
from spinecho.train.stock import entries
from spinecho.train.supply import Context

PATCH, PATCHES, LEAST = 96, 4, 32
WANTED = "label maps of 1 mm with FreeSurfer's ids, and images"
_MARGIN = 8
_RENDERED = 0.6
"""Share of slices from label maps, where there are label maps and images"""
_THICK_MM = (3, 10)
_COARSE = (1.0, 2.6)
"""Pixels of 1 mm for one that was measured"""
_LESIONS = 0.5
"""Share of rendered slices with up to four spots of the tissue that lesions are"""
_UNEVEN = 0.05
_SOFT = 1.1
"""Width in pixels of the Gaussian that softens edges between tissues"""
_TRIES = 6


def gathered(paths: Sequence[Path], part: Part, context: Context) -> tuple[np.ndarray, ...]:
    """Tissues (z, y, x), uint8, as `rendered.gathered` gives them, and stacks of slices (n, y, x), float16."""
    each = entries(paths, part, _entries, context, "label maps and stacks of slices")
    return tuple(array for entry in each for array in entry.arrays.values())


@dataclass(frozen=True, eq=False)
class Drawn:
    """A supply of slices.

    Parameters
    ----------
    sources
        As `gathered` gives them.
    size, number
        Pixels along a side of a patch; patches in an example.
    """

    sources: tuple[np.ndarray, ...]
    size: int
    number: int
    seed: int
    part: str = "train"

    def __call__(self, step: int, index: int) -> Lesson:
        rng = generator(self.seed, "low field", self.part, step, index)
        kinds = [[s for s in self.sources if (s.dtype == np.uint8) == maps] for maps in (True, False)]
        return Lesson.joined([self._patch(kinds, rng) for _ in range(self.number)])

    def _patch(self, kinds: list[list[np.ndarray]], rng: torch.Generator) -> Lesson:
        maps, images = kinds
        is_rendered = bool(maps) and (not images or chance(rng, _RENDERED))
        chosen = maps if is_rendered else images
        source = chosen[integer(rng, len(chosen))]
        side = self.size + 2 * _MARGIN
        low, high = (_of_tissues if is_rendered else _of_image)(source, side, rng)
        shade = _shading(side, rng)
        seen, told = measured(low * shade, rng)
        box = (slice(None), *(slice(_MARGIN, _MARGIN + self.size),) * 2)
        nothing = seen.new_zeros(1, 0, 0, 0)
        return Lesson(nothing, seen[None][box][None], (high * shade)[None][box][None].clone(), told[None])


def measured(low: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """A slice (y, x) in coarse pixels with noise, back on the fine grid; what a network knows of each axis."""
    side = low.shape[0]
    factors = [log_uniform(rng, *_COARSE) for _ in range(2)] if chance(rng, 0.5) else [log_uniform(rng, *_COARSE)] * 2
    sizes = [1, *(max(8, round(side / f)) for f in factors)]
    soft = Degradation("blur", uniform(rng, 0.3, 1.0)).matrix(side, side) if chance(rng, 0.5) else None
    lost = [None if n == m else Degradation("kspace") for n, m in zip(sizes, (1, side, side), strict=True)]
    coarse = along(along(low[None], [None, soft, soft]), maps_of(lost, sizes, (1, side, side)))
    level, is_rician = low_field.sample_noise(rng)
    noise = level * torch.randn(2, *coarse.shape, generator=rng)
    noisy = torch.hypot(coarse + noise[0], noise[1]) if is_rician else coarse + noise[0]
    return enlarged(noisy, (1, side, side))[0], conditions(
        lost, [m / n for n, m in zip(sizes, (1, side, side), strict=True)]
    )


def _entries(case: Case) -> list[Entry]:
    if case.path.suffix not in (".npz", ".npy") and _holds_labels(case.path):
        return rendered.tissue_entries(case)
    return [Entry("slices", {"slices": np.abs(stack).astype(np.float16)}) for stack in stacks_of(case)]


def _holds_labels(path: Path) -> bool:
    from spinecho.core.image import Image
    from spinecho.io.read import read

    image = read(path)
    if not isinstance(image, Image):
        return False
    values = image.volume().values[0]
    middle = values.shape[0] // 2
    return as_labels(values[middle : middle + 1]) is not None


def _of_tissues(tissues: np.ndarray, side: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """A slice through a head in any of three planes, at low field and at 1.5 T; brightest tissue of the brain 1."""
    slab = _slab(torch.from_numpy(tissues), side, rng)
    low, high, _ = low_field.sample_pair(rng)
    own = 1 + 0.06 * torch.randn(2, len(TISSUES), generator=rng)
    field = texture((1, side, side), rng, 1.0)[0] - 1
    rough = _UNEVEN * torch.rand(len(TISSUES), generator=rng)
    uneven = 1 + rough[slab.long()] * field
    soft = Degradation("blur", _SOFT).matrix(side, side)
    values = torch.stack([low_field.shown(slab, v * o, uneven).mean(0) for v, o in zip((low, high), own, strict=True)])
    first, second = along(values, [None, soft, soft])
    return first, second


def _slab(tissues: Tensor, side: int, rng: torch.Generator) -> Tensor:
    """A thick slice (z, y, x) somewhere in a head that is turned, stretched and mirrored, with lesions now and then."""
    plane = integer(rng, 4) % 3
    volume = tissues.movedim(plane, 0)
    low, high = _THICK_MM
    thick = low + integer(rng, high - low + 1)
    matrix = rendered.pose(rng)
    middle = torch.tensor([(side - 1) / 2, (side - 1) / 2, (thick - 1) / 2])
    offsets = (voxel_grid((thick, side, side), dtype=torch.float32) - middle) @ matrix.T
    sizes = torch.tensor(volume.shape[::-1], dtype=torch.float32)
    slab = offsets.new_zeros(())
    for _ in range(_TRIES):
        centre = sizes * (0.2 + 0.6 * torch.rand(3, generator=rng))
        slab = at_voxels(volume[None], offsets + centre, "nearest")[0]
        if float((slab > 0).float().mean()) > 0.3:
            break
    return rendered.with_lesions(slab, rng) if chance(rng, _LESIONS) else slab


def _of_image(stack: np.ndarray, side: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """A piece of a real slice as it is, and through a curve; its object's brightness is about 1."""
    picture = torch.from_numpy(stack[integer(rng, len(stack))].astype(np.float32))
    lit = picture[picture > 0.05 * picture.max()]
    picture = picture / (torch.quantile(lit[:: 1 + len(lit) // 4096], SHARE) if lit.numel() else 1)
    missing = [max(0, side - n) for n in picture.shape]
    picture = F.pad(picture, (0, missing[1], 0, missing[0]))
    y, x = (integer(rng, n - side + 1) for n in picture.shape)
    high = picture[y : y + side, x : x + side]
    turn, flip = torch.rand(2, generator=rng).tolist()
    high = high.T if turn < 0.5 else high
    high = high.flip(-1) if flip < 0.5 else high
    high = high.clamp(0, 1.5)
    return high ** uniform(rng, 0.65, 1.5), high


def _shading(side: int, rng: torch.Generator) -> Tensor:
    """A smooth factor about 1."""
    knots = torch.randn(1, 1, 3, 3, generator=rng) * 0.3 * torch.rand((), generator=rng)
    return torch.exp(F.interpolate(knots, (side, side), mode="bicubic", align_corners=True)[0, 0])
