"""Heads by number: a label map turned, stretched, bent and cut, rendered in any contrast at any resolution.

Source: Billot et al. 2023, SynthSeg, doi:10.1016/j.media.2023.102789, section 3.2. How we differ: brightness is drawn
by tissue, not by label, a third of the time by a sequence's signal equation; the label of a voxel is that at its
centre, the image the mean over four places within it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import chance, integer
from spinecho.sim.tissue import BRAIN_LABELS
from spinecho.tasks.segment.examples.heads import Head
from spinecho.tasks.segment.examples.looks import brightness, degraded
from spinecho.tasks.segment.parts.example import Example
from spinecho.tasks.segment.parts.names import classes_of
from spinecho.tasks.segment.parts.seen import scaled
from spinecho.train.draw import generator

_TURN_DEG, _STRETCH, _SHEAR = 15.0, 0.15, 0.08
_SHIFT_MM, _BEND_MM, _KNOT_MM = 25.0, 4.0, 32.0
_SMALLEST = 2 / 3
_STRIP, _CUT = 0.25, 0.2
_STRANGE = 2000
"""Steps of training over which contrasts go from nearly T1-weighted ones to all: places are learned first"""
_CORNERS = 0.25 * torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])
"""Places within a voxel, voxels from its centre: every second corner of the cube of half its side"""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A supply of rendered heads.

    Parameters
    ----------
    spacing_mm
        Of the network's grid.
    largest
        Voxels along a side, at most.
    part
        What they are for: "train" and "validate" give different ones.
    """

    heads: tuple[Head, ...]
    spacing_mm: float
    largest: int
    seed: int
    part: str = "train"

    def __call__(self, step: int, index: int) -> Example:
        rng = generator(self.seed, self.part, step, index)
        head = self.heads[integer(rng, len(self.heads))]
        low, high = math.ceil(_SMALLEST * self.largest / 8), self.largest // 8
        size = (8 * torch.randint(low, high + 1, (3,), generator=rng)).tolist()
        matrix = _matrix(rng) / head.voxel_mm[:, None]
        at = self._places(head, size, matrix, rng)
        codes = _looked_up(head, at)
        strangeness = min(1.0, 0.1 + step / _STRANGE) if self.part == "train" else 1.0
        image = self._rendered(head, at, matrix, strangeness, rng)
        classes = classes_of(head.ids)[codes.long()]
        image = _kept(image, head, codes, rng)
        return Example(scaled(degraded(image, self.spacing_mm, rng))[None, None], classes[None])

    def _places(
        self, head: Head, size: list[int], matrix: Float[Tensor, "3 3"], rng: torch.Generator
    ) -> Float[Tensor, "3 z y x"]:
        """Where each voxel looks, in the label map's voxels (z, y, x)."""
        axes = [self.spacing_mm * (torch.arange(n, dtype=torch.float32) - (n - 1) / 2) for n in size]
        grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
        knots = [max(2, round(n * self.spacing_mm / _KNOT_MM) + 1) for n in size]
        bend = torch.randn(1, 3, *knots, generator=rng) * _BEND_MM * torch.rand((), generator=rng)
        grid = grid + F.interpolate(bend, size, mode="trilinear", align_corners=True)[0]
        shift = head.centre + _SHIFT_MM * (2 * torch.rand(3, generator=rng) - 1) / head.voxel_mm
        return torch.einsum("ij,jzyx->izyx", matrix, grid) + shift[:, None, None, None]

    def _rendered(
        self,
        head: Head,
        at: Float[Tensor, "3 z y x"],
        matrix: Float[Tensor, "3 3"],
        strangeness: float,
        rng: torch.Generator,
    ) -> Float[Tensor, "z y x"]:
        """The mean brightness of four places within each voxel, with a spread within each label."""
        values, spread = brightness(head.ids, rng, strangeness)
        image, wide = torch.zeros(at.shape[1:]), torch.zeros(at.shape[1:])
        for corner in _CORNERS:
            i = _looked_up(head, at + (matrix @ corner * self.spacing_mm)[:, None, None, None]).long()
            image += values[i] / len(_CORNERS)
            wide += spread[i] / len(_CORNERS)
        return (image + wide * torch.randn(image.shape, generator=rng)).clamp_min(0)


def _matrix(rng: torch.Generator) -> Float[Tensor, "3 3"]:
    """Mirrored half of the time, stretched, sheared and turned."""
    matrix = torch.diag(1 + _STRETCH * (2 * torch.rand(3, generator=rng) - 1))
    matrix[2, 2] *= 1 - 2 * float(torch.rand((), generator=rng) < 0.5)
    matrix = matrix @ (torch.eye(3) + _SHEAR * (2 * torch.rand(3, 3, generator=rng) - 1) * (1 - torch.eye(3)))
    for axis, angle in enumerate((math.radians(_TURN_DEG) * (2 * torch.rand(3, generator=rng) - 1)).tolist()):
        i, j = (k for k in range(3) if k != axis)
        turn = torch.eye(3)
        turn[i, i] = turn[j, j] = math.cos(angle)
        turn[i, j], turn[j, i] = -math.sin(angle), math.sin(angle)
        matrix = turn @ matrix
    return matrix


def _looked_up(head: Head, at: Float[Tensor, "3 z y x"]) -> UInt8[Tensor, "z y x"]:
    """The code nearest to each place; outside that of the rim, which is air."""
    index = torch.zeros(at.shape[1:], dtype=torch.int32)
    for places, n in zip(at, head.codes.shape, strict=True):
        index = index.mul_(n).add_(places.round().clamp_(0, n - 1).to(torch.int32))
    return head.codes.flatten()[index]


def _kept(image: Tensor, head: Head, codes: Tensor, rng: torch.Generator) -> Tensor:
    """Now and then the brain alone, with a rim; now and then cut at one end of the field of view."""
    if chance(rng, _STRIP):
        brain = torch.isin(head.ids, torch.tensor([*sorted(BRAIN_LABELS), 24], dtype=head.ids.dtype))[codes.long()]
        rim = 2 * integer(rng, 3) + 1
        image = image * (F.max_pool3d(brain[None, None].float(), rim, 1, rim // 2)[0, 0] > 0)
    if chance(rng, _CUT):
        axis = integer(rng, 3)
        n = image.shape[axis]
        gone = integer(rng, n // 3)
        first = 0 if chance(rng, 0.5) else n - gone
        image = image.index_fill(axis, torch.arange(first, first + gone), 0.0)
    return image
