"""Blocks of label maps by number: any contrast and spacing on one side, a T1 of 1 mm on the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import chance, integer, log_uniform, uniform
from spinecho.core.errors import DataError
from spinecho.core.grids import towards_lps, turned
from spinecho.core.interpolate import at_voxels, voxel_grid
from spinecho.sim.anatomy import texture
from spinecho.sim.splits import Part
from spinecho.sim.tissue import BRAIN_LABELS, TISSUE_OF_LABEL, TISSUES
from spinecho.tasks.superres.parts.degrade import Degradation, along, maps_of
from spinecho.tasks.superres.parts.known import brightness, channels
from spinecho.tasks.superres.parts.lesson import Known, Lesson, conditions
from spinecho.tasks.superres.parts.spline import enlarged
from spinecho.train.cases import Case
from spinecho.train.draw import generator
from spinecho.train.entries import Entry
from spinecho.train.label_maps import around_brain, head_box, read_head, tissues
from spinecho.train.stock import entries
from spinecho.train.supply import Context

PATCH, PATCHES, LEAST = 48, 1, 24
WANTED = "label maps with FreeSurfer's ids"
_MARGIN = 8
_TURN, _STRETCH = 0.25, 0.12
"""Radians about each axis, and share of the size, that heads differ by at most"""
_SOFT = 1.1
"""Width in voxels of the Gaussian that softens edges between tissues"""
_NEAR_MM = (0.8, 1.25)
_TRIES = 6
_STRIPPED = 0.4
"""Share of blocks without skull and skin"""
_CENTRES = torch.tensor([[0.15, 0.15, 0.35], [0.85, 0.85, 0.9]])
"""Where blocks lie in a head, as shares of its size along x, y, z: seldom in the neck"""
_LESIONS = 0.3
"""Share of blocks with up to four spots of the tissue that lesions are"""
_LOUDER = 0.2
"""Spread of the logarithm of brightness: the mean of a block is not that of a head"""
_OFF = {12: (0.2, 1.4), 4: (0.1, 0.9)}
"""Voxels by which borders of what is known of a head are off, from head to head, by waves of so many voxels"""
_MISTAKEN = 0.3
"""Share of blocks in which some places are taken for another tissue"""
_FEATURE = 10
"""Voxels from one mistake to the next"""

_WHITE, _LESION = (list(TISSUES).index(name) for name in ("white matter", "lesion"))
_KNOWN = torch.tensor([i for i, n in enumerate(TISSUES) if n in {"csf", *(TISSUE_OF_LABEL[k] for k in BRAIN_LABELS)}])


def gathered(paths: Sequence[Path], part: Part, context: Context) -> tuple[np.ndarray, ...]:
    """Tissues (z, y, x) as places in `sim.tissue.TISSUES`, uint8, along the patient's axes."""
    return tuple(e.arrays["tissues"] for e in entries(paths, part, tissue_entries, context, "label maps"))


@dataclass(frozen=True, eq=False)
class Drawn:
    """A supply of blocks.

    Parameters
    ----------
    maps
        Of tissues, as `gathered` gives them.
    size, number
        Voxels along a side of a block; blocks in an example.
    """

    maps: tuple[np.ndarray, ...]
    size: int
    number: int
    seed: int
    part: str = "train"

    def __call__(self, step: int, index: int) -> Lesson:
        rng = generator(self.seed, self.part, step, index)
        return Known.joined([self._block(rng) for _ in range(self.number)])

    def _block(self, rng: torch.Generator) -> Known:
        side = self.size + 2 * _MARGIN
        healthy = _placed(self.maps[integer(rng, len(self.maps))], side, rng)
        healthy = healthy * around_brain(healthy, rng) if chance(rng, _STRIPPED) else healthy
        placed = with_lesions(healthy, rng) if chance(rng, _LESIONS) else healthy
        field = texture((side, side, side), rng, 1.0) - 1
        soft = [Degradation("blur", _SOFT).matrix(side, side)] * 3
        shown, truth = (along(x, soft) for x in (_any_contrast(placed, field, rng), _t1(placed, field)))
        seen, told = _acquired(shown, rng)
        seen, known = channels(seen, *_as_found(healthy, rng))
        seen = seen * float(torch.exp(_LOUDER * torch.randn((), generator=rng)))
        box = (slice(_MARGIN, _MARGIN + self.size),) * 3
        nothing = seen.new_zeros(1, 0, 0, 0)
        return Known(nothing, seen[box][None], truth[box][None].clone(), told[None], known[:, *box][None])


def tissue_entries(case: Case) -> list[Entry]:
    """Of a label map of about 1 mm.

    Raises
    ------
    DataError
        If it is none.
    """
    labels, geometry = read_head(case.path)
    if not all(_NEAR_MM[0] <= side <= _NEAR_MM[1] for side in geometry.voxel_mm):
        raise DataError("its voxels are not about 1 mm wide", do="give label maps of 1 mm", file=case.path)
    places, _ = turned(tissues(labels)[None], geometry, *towards_lps(geometry))
    return [Entry("tissues", {"tissues": places[0][head_box(places[0])].contiguous().numpy()})]


def _placed(tissues: np.ndarray, side: int, rng: torch.Generator) -> Tensor:
    """A cube somewhere in a head that is turned, stretched and mirrored; by nearest voxels."""
    volume = torch.from_numpy(tissues)
    matrix = pose(rng)
    offsets = voxel_grid((side, side, side), dtype=torch.float32) - (side - 1) / 2
    sizes = torch.tensor(volume.shape[::-1], dtype=torch.float32)
    for _ in range(_TRIES):
        centre = sizes * (_CENTRES[0] + (_CENTRES[1] - _CENTRES[0]) * torch.rand(3, generator=rng))
        placed = at_voxels(volume[None], offsets @ matrix.T + centre, "nearest")[0]
        if float((placed > 0).float().mean()) > 0.3:
            break
    return placed.long()


def pose(rng: torch.Generator) -> Float[Tensor, "3 3"]:
    """Turned, stretched and mirrored: voxels (x, y, z) of the map for those of a block."""
    angles = _TURN * (2 * torch.rand(3, generator=rng) - 1)
    stretch = torch.exp(_STRETCH * (2 * torch.rand(3, generator=rng) - 1))
    stretch[0] = -stretch[0] if integer(rng, 2) else stretch[0]
    return torch.linalg.matrix_exp(_skew(angles)) @ torch.diag(stretch)


def _any_contrast(tissues: Tensor, field: Tensor, rng: torch.Generator) -> Tensor:
    """Each tissue's brightness and texture at random, air dark."""
    level = torch.rand(len(TISSUES), generator=rng)
    rough = 0.08 * (2 * torch.rand(len(TISSUES), generator=rng) - 1)
    level[0] = 0
    return (level[tissues] * (1 + rough[tissues] * field)).clamp_min(0)


def _t1(tissues: Tensor, field: Tensor) -> Tensor:
    """As the signal equation of a T1-weighted scan has it, with the same texture."""
    return brightness()[tissues] * (1 + 0.04 * field)


def _as_found(tissues: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """How bright a T1 would be, and where brain and fluid are, as a segmentation that errs would have it."""
    off = sum(uniform(rng, *limits) * _waves(tissues.shape, feature, rng) for feature, limits in _OFF.items())
    at = voxel_grid((tissues.shape[0], tissues.shape[1], tissues.shape[2]), dtype=torch.float32) + off
    seen = at_voxels(tissues[None], at.clamp_min(0), "nearest")[0].long()
    seen = torch.where(seen == _LESION, _WHITE, seen)
    known = torch.isin(seen, _KNOWN)
    if chance(rng, _MISTAKEN):
        other = int(_KNOWN[integer(rng, len(_KNOWN))])
        seen = torch.where(known & (_wave(tissues.shape, _FEATURE, rng) > 1.5), other, seen)
    return brightness()[seen] * known, known.float()


def _waves(shape: Sequence[int], feature: int, rng: torch.Generator) -> Tensor:
    """Displacements in voxels (z, y, x, 3) of about 1."""
    return torch.stack([_wave(shape, feature, rng) for _ in range(3)], -1)


def _wave(shape: Sequence[int], feature: int, rng: torch.Generator) -> Tensor:
    """A smooth field of about unit variance, knots so many voxels apart."""
    knots = torch.randn(1, 1, *[max(2, n // feature) for n in shape], generator=rng)
    wave = F.interpolate(knots, tuple(shape), mode="trilinear")[0, 0]
    return wave / wave.std().clamp_min(1e-3)


def with_lesions(tissues: Tensor, rng: torch.Generator) -> Tensor:
    """Ellipsoids of lesion tissue where white matter is."""
    white = tissues == _WHITE
    at = white.nonzero()
    if not len(at):
        return tissues
    axes = [torch.arange(n, dtype=torch.float32) for n in tissues.shape]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    for _ in range(1 + integer(rng, 4)):
        centre = at[integer(rng, len(at))].float()
        radii = 1.2 + 5 * torch.rand(3, generator=rng) * torch.rand((), generator=rng)
        far = sum(((v - c) / r).square() for v, c, r in zip((z, y, x), centre, radii, strict=True))
        tissues = torch.where((far < 1) & white, _LESION, tissues)
    return tissues


def _acquired(values: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Shaded, coarse along one axis or all, noisy, and back on the fine grid; what the network knows of each axis."""
    side = values.shape[0]
    slope = 0.5 * torch.randn(3, generator=rng)
    along_axes = torch.meshgrid(*[torch.linspace(-0.5, 0.5, side)] * 3, indexing="ij")
    values = values * torch.exp((slope[:, None, None, None] * torch.stack(along_axes)).sum(0))
    factor = log_uniform(rng, 1, 6)
    width, level = uniform(rng, 0.7, 1.1), uniform(rng, 0, 0.04)
    which = integer(rng, 4)
    ratios = [factor if which == axis else 1.0 for axis in range(3)] if which < 3 else [min(factor, 2.5)] * 3
    low = [max(4, round(side / r)) for r in ratios]
    lost = [None if n == side else Degradation("slices", width) for n in low]
    coarse = along(values, maps_of(lost, low, values.shape))
    noise = level * values.max() * torch.randn(2, *coarse.shape, generator=rng)
    seen = enlarged(torch.hypot(coarse + noise[0], noise[1]), values.shape)
    return seen, conditions(lost, [side / n for n in low])


def _skew(angles: Tensor) -> Tensor:
    a, b, c = angles.tolist()
    return torch.tensor([[0, -c, b], [c, 0, -a], [-b, a, 0]])
