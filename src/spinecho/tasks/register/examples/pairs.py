"""Pairs of heads by number: each drawn from (seed, part, step, index), turned, bent, degraded, in any contrast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.chance import chance, integer, uniform
from spinecho.core.interpolate import at_voxels, voxel_grid
from spinecho.ops.windows import gaussian
from spinecho.sim.anatomy import Contrast, sample_contrast
from spinecho.sim.tissue import BRAIN_LABELS
from spinecho.tasks.register.examples.heads import Head, Heads
from spinecho.tasks.register.parts.example import Example, seen
from spinecho.train.draw import generator

_TURN_DEG, _STRETCH, _SHIFT = 5.0, 0.05, 2.0
"""Largest turn, stretch and shift (in voxels) about each axis: what an affine registration leaves, and more"""
_BEND = 1.5
"""Largest standard deviation of the smooth deformation, voxels"""
_KNOTS = 9


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of two images, or of two label maps rendered in random contrasts.

    Parameters
    ----------
    sources
        Each is drawn from equally often; within it images and maps in proportion to their number.
    part
        What the pairs are for: "train" and "validate" give different ones.
    """

    sources: Sequence[Heads]
    seed: int
    part: str = "train"

    def __call__(self, step: int, index: int) -> Example:
        """The pair with that number, from nothing else."""
        rng = generator(self.seed, self.part, step, index)
        source = self.sources[integer(rng, len(self.sources))]
        n = len(source.images)
        chance = uniform(generator(self.seed, self.part, step, "chance"), 0.0, 1.0)
        drawn_image = integer(rng, n + len(source.maps)) < n
        pair = _of_images(_two(source.images, rng), rng) if drawn_image else _of_maps(_two(source.maps, rng), rng)
        return replace(pair, chance=chance)


def _two(heads: Sequence[Head], rng: torch.Generator) -> tuple[Head, Head]:
    """Two different heads where there are two; one bent in two ways else."""
    i = integer(rng, len(heads))
    j = (i + 1 + integer(rng, len(heads) - 1)) % len(heads) if len(heads) > 1 else i
    return heads[i], heads[j]


def _of_images(heads: tuple[Head, Head], rng: torch.Generator) -> Example:
    """Half of them in grey values of their own, a third of those with labels without the skull."""
    placed = [_placed(head, rng) for head in heads]
    clean = [image for image, _ in placed]
    regions = [labels for _, labels in placed]
    both = None if regions[0] is None or regions[1] is None else (regions[0], regions[1])
    if both is not None and chance(rng, 0.3):
        clean = [_stripped(image, labels > 0) for image, labels in zip(clean, both, strict=True)]
    regraded = chance(rng, 0.5)
    shown = [_degraded(_regraded(image, rng) if regraded else image, rng) for image in clean]
    return Example(shown[0], shown[1], (clean[0], clean[1]), both)


def _of_maps(heads: tuple[Head, Head], rng: torch.Generator) -> Example:
    """Three of ten in the same contrast, three of ten without the skull."""
    first = sample_contrast(rng)
    contrasts = (first, first if chance(rng, 0.3) else sample_contrast(rng))
    strip = chance(rng, 0.3)
    brain = torch.tensor(sorted(BRAIN_LABELS))
    shown: list[Tensor] = []
    regions: list[Tensor] = []
    for head, contrast in zip(heads, contrasts, strict=True):
        _, labels = _placed(head, rng)
        assert labels is not None
        image = _rendered(labels, contrast, rng)
        shown.append(_degraded(_stripped(image, torch.isin(labels, brain)) if strip else image, rng))
        regions.append(labels)
    return Example(shown[0], shown[1], None, (regions[0], regions[1]))


def _placed(head: Head, rng: torch.Generator) -> tuple[Float[Tensor, "1 z y x"], Integer[Tensor, "z y x"] | None]:
    """The head's image (black where it has none) and labels, turned, stretched, shifted and bent."""
    like = head.image[0] if head.image is not None else head.labels
    assert like is not None
    places = _places((like.shape[0], like.shape[1], like.shape[2]), rng)
    labels = None if head.labels is None else at_voxels(head.labels[None], places, "nearest")[0]
    image = torch.zeros(1, *like.shape) if head.image is None else at_voxels(head.image.float(), places)
    return image, labels


def _places(shape: tuple[int, int, int], rng: torch.Generator) -> Float[Tensor, "z y x 3"]:
    """Where each voxel looks, in voxels (x, y, z)."""
    centre = (torch.tensor(shape[::-1], dtype=torch.float32) - 1) / 2
    grid = voxel_grid(shape, dtype=torch.float32) - centre
    matrix = torch.diag(1 + _STRETCH * _both_ways(rng, 3))
    for axis, angle in enumerate((math.radians(_TURN_DEG) * _both_ways(rng, 3)).tolist()):
        i, j = (k for k in range(3) if k != axis)
        turn = torch.eye(3)
        turn[i, i] = turn[j, j] = math.cos(angle)
        turn[i, j], turn[j, i] = -math.sin(angle), math.sin(angle)
        matrix = turn @ matrix
    places = grid @ matrix.T + centre + _SHIFT * _both_ways(rng, 3)
    if chance(rng, 0.7):
        places = places + _smooth(shape, 3, 16, rng).movedim(0, -1) * uniform(rng, 0, _BEND)
    return places


def _rendered(labels: Tensor, contrast: Contrast, rng: torch.Generator) -> Float[Tensor, "1 z y x"]:
    """Each label's brightness with a spread of its own, noise within tissues, soft edges."""
    ids = torch.unique(labels)
    values = contrast.render(ids) + 0.05 * torch.randn(len(ids), generator=rng) * (ids > 0)
    image = values.clamp(0, 1)[torch.searchsorted(ids, labels)]
    image = image + 0.05 * uniform(rng, 0, 1) * torch.randn(labels.shape, generator=rng)
    return gaussian(image[None].float(), uniform(rng, 0.4, 0.8)).clamp_min(0)


def _regraded(image: Tensor, rng: torch.Generator) -> Tensor:
    """Grey values through a random curve: half of the time one that rises, else any."""
    steps = torch.rand(_KNOTS, generator=rng)
    if chance(rng, 0.5):
        knots = steps
        knots[0] *= float(chance(rng, 0.2))  # mostly, black stays black
    else:
        knots = torch.cumsum(steps + 0.1, 0)
        knots = (knots - knots[0]) / (knots[-1] - knots[0])
    at = image.clamp(0, 1.2) / 1.2 * (_KNOTS - 1)
    i = at.long().clamp_max(_KNOTS - 2)
    return torch.lerp(knots[i], knots[i + 1], at - i)


def _degraded(image: Tensor, rng: torch.Generator) -> Tensor:
    """Bias field, blur and noise, each now and then; in the brightness that a network sees."""
    shape = (image.shape[1], image.shape[2], image.shape[3])
    if chance(rng, 0.8):
        image = image * torch.exp(_smooth(shape, 1, 40, rng) * uniform(rng, 0, 0.3))
    if chance(rng, 0.4):
        image = gaussian(image, uniform(rng, 0.3, 0.9))
    if chance(rng, 0.5):
        image = (image + uniform(rng, 0, 0.06) * torch.randn(image.shape, generator=rng)).abs()
    return seen(image)


def _stripped(image: Tensor, keep: Tensor) -> Tensor:
    """Black further than a voxel outside of what is kept."""
    return image * (F.max_pool3d(keep[None, None].float(), 3, 1, 1)[0] > 0)


def _smooth(shape: tuple[int, int, int], channels: int, step: int, rng: torch.Generator) -> Tensor:
    """Noise of unit standard deviation on every `step`th voxel, linear between."""
    coarse = [max(2, math.ceil(n / step) + 1) for n in shape]
    noise = torch.randn(1, channels, *coarse, generator=rng)
    return F.interpolate(noise, shape, mode="trilinear", align_corners=True)[0]


def _both_ways(rng: torch.Generator, n: int) -> Tensor:
    return 2 * torch.rand(n, generator=rng) - 1
