"""Heads by number: a label map turned, stretched, bent and cut, rendered in any contrast at any resolution; or a real
head with labels, in the same way and in other greys.

Source: Billot et al. 2023, SynthSeg, doi:10.1016/j.media.2023.102789, section 3.2. How we differ: brightness is drawn
by tissue, not by label, a third of the time by a sequence's signal equation; the label of a voxel is that at its
centre, the image the mean over four places within it; real heads may be among them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import chance, integer
from spinecho.sim.tissue import BRAIN_LABELS
from spinecho.tasks.segment.examples.heads import Head
from spinecho.tasks.segment.examples.looks import brightness, degraded
from spinecho.tasks.segment.examples.photos import Photo, in_other_greys, looked_at
from spinecho.tasks.segment.examples.places import drawn_matrix, drawn_places, drawn_size
from spinecho.tasks.segment.parts.example import Example
from spinecho.tasks.segment.parts.names import also_right, classes_of
from spinecho.tasks.segment.parts.seen import scaled
from spinecho.train.draw import generator

_STRIP, _CUT = 0.25, 0.2
_EVEN = 0.5
"""Evenness at first. After 150 steps the mean overlap was 0.14 (at a rate of 0.008: 0.17), with equal weights and a
rate of 0.001: 0.08. Later on it costs borders: on a held-out head white matter had 0.65 with it, 0.72 after 400 steps
without."""
_CORNERS = 0.25 * torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])
"""Places within a voxel, voxels from its centre: every second corner of the cube of half its side"""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A supply of heads.

    Parameters
    ----------
    heads
        Label maps.
    photos
        Real heads; where there are both, each is drawn from half of the time.
    spacing_mm
        Of the network's grid.
    largest
        Voxels along a side, at most.
    part
        What they are for: "train" and "validate" give different ones.
    ease
        Steps of training over which contrasts go from nearly T1-weighted ones to all, and small regions weigh more:
        places are learned first, then borders.
    """

    heads: tuple[Head, ...]
    photos: tuple[Photo, ...]
    spacing_mm: float
    largest: int
    seed: int
    part: str = "train"
    ease: int = 0

    def __call__(self, step: int, index: int) -> Example:
        rng = generator(self.seed, self.part, step, index)
        gone = step / self.ease if self.part == "train" and self.ease else 2.0
        real = bool(self.photos) and (not self.heads or chance(rng, 0.5))
        image, classes, also = (self._real if real else self._rendered)(min(1.0, 0.1 + gone), rng)
        evenness = torch.tensor([_EVEN * min(1.0, max(0.0, 2 - gone))])
        image = scaled(degraded(image, self.spacing_mm, rng))
        return Example(image[None, None], classes[None], evenness, also[None])

    def _real(self, strangeness: float, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        photo = self.photos[integer(rng, len(self.photos))]
        size, matrix = drawn_size(self.largest, rng), drawn_matrix(rng) / photo.voxel_mm[:, None]
        at = drawn_places(photo.centre, photo.voxel_mm, size, self.spacing_mm, matrix, rng)
        values, classes = looked_at(photo, at)
        return _kept(in_other_greys(values, rng, strangeness), classes > 0, rng), classes, photo.also

    def _rendered(self, strangeness: float, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        head = self.heads[integer(rng, len(self.heads))]
        size, matrix = drawn_size(self.largest, rng), drawn_matrix(rng) / head.voxel_mm[:, None]
        at = drawn_places(head.centre, head.voxel_mm, size, self.spacing_mm, matrix, rng)
        codes = _looked_up(head, at)
        image = self._brightened(head, at, matrix, strangeness, rng)
        brain = torch.isin(head.ids, torch.tensor([*sorted(BRAIN_LABELS), 24], dtype=head.ids.dtype))
        classes = classes_of(head.ids)[codes.long()]
        return _kept(image, brain[codes.long()], rng), classes, also_right("freesurfer")

    def _brightened(
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


def _looked_up(head: Head, at: Float[Tensor, "3 z y x"]) -> UInt8[Tensor, "z y x"]:
    """The code nearest to each place; outside that of the rim, which is air."""
    index = torch.zeros(at.shape[1:], dtype=torch.int32)
    for places, n in zip(at, head.codes.shape, strict=True):
        index = index.mul_(n).add_(places.round().clamp_(0, n - 1).to(torch.int32))
    return head.codes.flatten()[index]


def _kept(image: Float[Tensor, "z y x"], brain: Bool[Tensor, "z y x"], rng: torch.Generator) -> Tensor:
    """Now and then the brain alone, with a rim; now and then cut at one end of the field of view."""
    if chance(rng, _STRIP):
        rim = 2 * integer(rng, 3) + 1
        image = image * (F.max_pool3d(brain[None, None].float(), rim, 1, rim // 2)[0, 0] > 0)
    if chance(rng, _CUT):
        axis = integer(rng, 3)
        n = image.shape[axis]
        gone = integer(rng, n // 3)
        first = 0 if chance(rng, 0.5) else n - gone
        image = image.index_fill(axis, torch.arange(first, first + gone), 0.0)
    return image
