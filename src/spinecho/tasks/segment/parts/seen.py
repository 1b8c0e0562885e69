"""A head as segmenting networks see it: along the patient's axes, at their spacing, from 0 to 1; and the way back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.geometry import Geometry
from spinecho.core.grids import Box, isotropic, stored, towards_lps, turned
from spinecho.core.image import Image

_LOW, _HIGH = 0.01, 0.995
"""Shares of voxels below what becomes 0 and 1"""
_SAMPLES = 200_000
_COARSE_MM, _DARK, _MARGIN_MM = 6.0, 0.08, 8.0
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
    own
        Of the image that it was made from.
    """

    values: Float[Tensor, "1 z y x"]
    grid: Geometry
    own: Geometry


def seen(image: Image, spacing_mm: float) -> Seen:
    """Of a volume (1, z, y, x), real and finite, of any orientation: the part that is not air."""
    order, flips = towards_lps(image.geometry)
    values, geometry = turned(image.values.float(), image.geometry, order, flips)
    along = replace(image, values=values.contiguous(), geometries=(geometry,), extras={})
    work = isotropic(along, spacing_mm, object_box(along))
    return Seen(scaled(work.values), work.geometry, image.geometry)


def scaled(values: Float[Tensor, "*n z y x"]) -> Float[Tensor, "*n z y x"]:
    """From 0 to 1: two percentiles of all voxels. An image without contrast becomes zeros."""
    flat = values.flatten()
    sample = flat[:: max(1, len(flat) // _SAMPLES)].sort().values
    low, high = (sample[min(len(sample) - 1, int(share * len(sample)))] for share in (_LOW, _HIGH))
    if not high > low:
        low, high = sample[0], sample[-1]
    if not high > low:
        return torch.zeros_like(values)
    return ((values - low) / (high - low)).clamp(0, 1)


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
        sides.append((max(0, int(first)), min(n, int(np.ceil(end)))))
    return sides[0], sides[1], sides[2]


def back(scores: Float[Tensor, "c z y x"], seen: Seen) -> tuple[Tensor, Tensor]:
    """On the image's own grid, from scores on the working grid: the class with the largest one, and its share.

    Returns
    -------
    Classes (1, z, y, x), uint8, and their probability, float32; class 0 with certainty outside the working grid.

    Scores are interpolated linearly along each axis and made probabilities by softmax afterwards.
    """
    order, flips = towards_lps(seen.own)
    own, along = torch.empty(1, *seen.own.shape), seen.own.permuted(order)
    for axis in flips:
        along = along.flipped(axis)
    classes, share = own.new_empty(along.shape, dtype=torch.uint8), own.new_empty(along.shape)
    weights, outside = zip(*(_weights(along, seen.grid, axis, scores) for axis in range(3)), strict=True)
    for first in range(0, along.shape[0], _SLAB):
        slab = slice(first, first + _SLAB)
        part = torch.einsum("az,czyx->cayx", weights[0][slab], scores)
        part = torch.einsum("by,cayx->cabx", weights[1], part)
        part = torch.einsum("dx,cabx->cabd", weights[2], part)
        share[slab], best = part.softmax(0).max(0)
        beyond = outside[0][slab, None, None] | outside[1][:, None] | outside[2]
        classes[slab] = best.masked_fill(beyond, 0).to(torch.uint8).cpu()
        share[slab] = share[slab].masked_fill(beyond.cpu(), 1)
    return stored(classes[None], order, flips), stored(share[None], order, flips)


def _weights(along: Geometry, grid: Geometry, axis: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Linear weights (n_out, n_in) of an axis, and which places lie more than half a voxel outside."""
    n_out, n_in, column = along.shape[axis], grid.shape[axis], 2 - axis
    ends = np.zeros((2, 3))
    ends[1, column] = n_out - 1
    first, last = grid.to_voxel(along.to_world(ends))[:, column].tolist()
    places = torch.linspace(first, last, n_out, dtype=torch.float64, device=like.device)
    outside = (places < -0.5) | (places > n_in - 0.5)
    inputs = torch.arange(n_in, dtype=torch.float64, device=like.device)
    weights = (1 - (inputs - places.clamp(0, n_in - 1)[:, None]).abs()).clamp_min(0)
    return weights.to(like.dtype), outside


def padded(values: Float[Tensor, "n c z y x"], least: int) -> Float[Tensor, "n c z2 y2 x2"]:
    """With zeros at the ends of axes shorter than `least`."""
    missing = [max(0, least - n) for n in values.shape[-3:]]
    return F.pad(values, (0, missing[2], 0, missing[1], 0, missing[0])) if any(missing) else values
