"""A head as segmenting networks see it: along the patient's axes, at their spacing, from 0 to 1; and the way back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.geometry import Geometry
from spinecho.core.grids import Box, isotropic, stored, towards_lps, turned
from spinecho.core.image import Image
from spinecho.tasks.segment.parts.greys import Greys, around, asked_again, settled

_LOW, _HIGH = 0.01, 0.995
"""Shares of voxels below what becomes 0 and 1"""
_SAMPLES = 200_000
_COARSE_MM, _DARK, _MARGIN_MM = 6.0, 0.08, 8.0
_ROUNDING = 1e-6
"""Voxels by which an end may be off: the last digit of a header must not move the box"""
_SLAB = 24
"""Planes that are interpolated together on the way back"""


@dataclass(frozen=True, eq=False)
class Seen:
    """A head on a working grid, and where that lies.

    Parameters
    ----------
    values
        On the working grid.
    grid
        Of the working grid.
    fine, along
        The image that it was made from, along the patient's axes, and its grid.
    own
        That image's grid as it is stored.
    window
        What became 0 and 1.
    """

    values: Float[Tensor, "1 z y x"]
    grid: Geometry
    fine: Float[Tensor, "z2 y2 x2"]
    along: Geometry
    own: Geometry
    window: tuple[float, float]

    def from_0_to_1(self, values: Tensor) -> Tensor:
        """Values of the image as those of the working grid are."""
        return _within(values, self.window)


def seen(image: Image, spacing_mm: float) -> Seen:
    """Of a volume (1, z, y, x), real and finite, of any orientation: the part that is not air."""
    order, flips = towards_lps(image.geometry)
    values, geometry = turned(image.values.float(), image.geometry, order, flips)
    along = replace(image, values=values.contiguous(), geometries=(geometry,), extras={})
    work = isotropic(along, spacing_mm, object_box(along))
    window = _window(work.values)
    return Seen(_within(work.values, window), work.geometry, along.values[0], geometry, image.geometry, window)


def scaled(values: Float[Tensor, "*n z y x"]) -> Float[Tensor, "*n z y x"]:
    """From 0 to 1: two percentiles of all voxels. An image without contrast becomes zeros."""
    return _within(values, _window(values))


def _within(values: Tensor, window: tuple[float, float]) -> Tensor:
    low, high = window
    return ((values - low) / (high - low)).clamp(0, 1) if high > low else torch.zeros_like(values)


def _window(values: Tensor) -> tuple[float, float]:
    flat = values.flatten()
    sample = flat[:: max(1, len(flat) // _SAMPLES)].sort().values
    low, high = (sample[min(len(sample) - 1, int(share * len(sample)))] for share in (_LOW, _HIGH))
    if not high > low:
        low, high = sample[0], sample[-1]
    return float(low), float(high)


def object_box(image: Image) -> Box:
    """The smallest box around what is brighter than air on a coarse grid, and a margin; all where nothing is."""
    coarse = isotropic(image, max(_COARSE_MM, *image.geometry.voxel_mm))
    bright = scaled(coarse.values)[0] > _DARK
    sides: list[tuple[int, int]] = []
    for dim, (n, voxel) in enumerate(zip(image.geometry.shape, image.geometry.voxel_mm[::-1], strict=True)):
        at = bright.movedim(dim, 0).flatten(1).float().mean(1) > 0.01
        places = at.nonzero()[:, 0]
        if not len(places):
            sides.append((0, n))
            continue
        scale, margin = n / bright.shape[dim], _MARGIN_MM / voxel
        first, end = float(places[0]) * scale - margin, float(places[-1] + 1) * scale + margin
        sides.append((max(0, int(first + _ROUNDING)), min(n, int(np.ceil(end - _ROUNDING)))))
    return sides[0], sides[1], sides[2]


def back(scores: Float[Tensor, "c z y x"], head: Seen, greys: Greys | None = None) -> tuple[Tensor, Tensor]:
    """On the image's own grid, from scores on the working grid: the class with the largest one, and its share.

    Parameters
    ----------
    greys
        What the regions look like in this image; None: the scores alone decide.

    Returns
    -------
    Classes (uint8) and their probability, each (1, z, y, x); class 0 with certainty far from any brain and where the
    working grid ends.

    Scores are interpolated linearly along each axis and made probabilities by softmax afterwards.
    """
    order, flips = towards_lps(head.own)
    classes, share = torch.zeros(head.along.shape, dtype=torch.uint8), torch.ones(head.along.shape)
    box = _box(around(scores.softmax(0)))
    matrices = [_weights(head, axis, scores)[:, part] for axis, part in enumerate(box)]
    rows = [_whole(matrix) for matrix in matrices]
    voxel = head.along.voxel_mm[::-1]
    for first in range(rows[0].start, rows[0].stop, _SLAB):
        last = min(first + _SLAB, rows[0].stop)
        asked = slice(max(first - 1, rows[0].start), min(last + 1, rows[0].stop))
        at = (asked, *rows[1:])
        weights = [matrix[own] for matrix, own in zip(matrices, at, strict=True)]
        part = _between(scores[:, *box], weights).log_softmax(0)
        if greys is not None:
            values = head.from_0_to_1(head.fine[at].to(part.device))
            part = asked_again(part, values, _between(greys.field[None, *box], weights)[0], greys)
            part = settled(part, voxel)
        best = part[:, first - asked.start : last - asked.start].softmax(0).max(0)
        at = (slice(first, last), *rows[1:])
        share[at], classes[at] = best.values.cpu(), best.indices.to(torch.uint8).cpu()
    return stored(classes[None], order, flips), stored(share[None], order, flips)


def _box(where: Bool[Tensor, "z y x"]) -> tuple[slice, slice, slice]:
    """Around what is marked, and one voxel more."""
    at = where.nonzero()
    if not len(at):
        return slice(0, 0), slice(0, 0), slice(0, 0)
    low, high = (at.amin(0) - 1).clamp_min(0).tolist(), (at.amax(0) + 2).tolist()
    z, y, x = (slice(a, min(b, n)) for a, b, n in zip(low, high, where.shape, strict=True))
    return z, y, x


def _weights(head: Seen, axis: int, like: Tensor) -> Float[Tensor, "own work"]:
    """Linear weights of an axis; none where a place lies more than half a voxel outside of the working grid."""
    n_own, n_work, column = head.along.shape[axis], head.grid.shape[axis], 2 - axis
    ends = np.zeros((2, 3))
    ends[1, column] = n_own - 1
    first, last = head.grid.to_voxel(head.along.to_world(ends))[:, column].tolist()
    places = torch.linspace(first, last, n_own, dtype=torch.float64, device=like.device)
    inside = (places >= -0.5) & (places <= n_work - 0.5)
    inputs = torch.arange(n_work, dtype=torch.float64, device=like.device)
    weights = (1 - (inputs - places.clamp(0, n_work - 1)[:, None]).abs()).clamp_min(0)
    return (weights * inside[:, None]).to(like.dtype)


def _whole(weights: Float[Tensor, "own work"]) -> slice:
    """The rows that miss nothing of what they mix."""
    rows = (weights.sum(1) > 0.999).nonzero()[:, 0]
    return slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0, 0)


def _between(values: Float[Tensor, "c z y x"], weights: list[Tensor]) -> Float[Tensor, "c z2 y2 x2"]:
    values = torch.einsum("az,czyx->cayx", weights[0], values)
    values = torch.einsum("by,cayx->cabx", weights[1], values)
    return torch.einsum("dx,cabx->cabd", weights[2], values)


def padded(values: Float[Tensor, "n c z y x"], least: int) -> Float[Tensor, "n c z2 y2 x2"]:
    """With zeros at the ends of axes shorter than `least`."""
    missing = [max(0, least - n) for n in values.shape[-3:]]
    return F.pad(values, (0, missing[2], 0, missing[1], 0, missing[0])) if any(missing) else values
