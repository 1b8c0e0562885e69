"""What is known of a head before any detail: the regions of its brain, and how bright a T1 shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.geometry import Geometry
from spinecho.core.image import Image
from spinecho.core.interpolate import at_voxels
from spinecho.methods.pretrained import built
from spinecho.sim.anatomy import tissue_signals
from spinecho.sim.contrast import SEQUENCES
from spinecho.sim.tissue import TISSUE_OF_LABEL, TISSUES
from spinecho.tasks.superres.parts.regressed import regressed

_WIDTHS = (2.0, 6.0)
"""Of the windows in voxels: the smaller follows the regions, the larger the image"""
N_KNOWN = len(_WIDTHS) + 2
"""Channels: the image's detail in a T1's brightness, by small windows first; that brightness without detail; the share
of what is known."""
_BRIGHTEST = 1.2
"""White matter being 1: fat would outweigh the brain"""
_LEAST_ML = 20
_PLANES = 32
"""That are interpolated together"""


class _Shows(Protocol):
    """A method that knows regions."""

    def shares(self, image: Image) -> tuple[Tensor, Geometry]: ...

    @property
    def labels(self) -> Sequence[int]: ...


def brightness() -> Float[Tensor, " tissue"]:
    """Of each of `TISSUES` in a T1, by its signal equation; white matter is 1."""
    signals = tissue_signals(SEQUENCES["t1"])
    return torch.tensor([signals[name] for name in TISSUES], dtype=torch.float32).clamp_max(_BRIGHTEST)


def channels(
    image: Float[Tensor, "z y x"], wanted: Float[Tensor, "z y x"], share: Float[Tensor, "z y x"]
) -> tuple[Float[Tensor, "z y x"], Float[Tensor, "k z y x"]]:
    """The image, its mean where something is known being 1, and what is known of it."""
    mean = (image * share).sum() / share.sum().clamp_min(1)
    image = image / (mean if float(mean) > 0 else image.abs().max().clamp_min(1e-6) / 2)
    return image, torch.stack([*(regressed(image, wanted, share, width) for width in _WIDTHS), wanted, share])


def of_regions(image: Image, grid: Geometry) -> tuple[Float[Tensor, "z y x"], Float[Tensor, "z y x"]]:
    """How bright a T1 would be on a grid, and the share of brain and fluid, by the regions of an image.

    Raises
    ------
    DataError
        If there is no brain in it.
    """
    regions = cast(_Shows, built("segment", "regions", {}, image.values.device))
    shares, coarse = regions.shares(image)
    known = 1 - shares[0]
    if float(known.sum()) * float(torch.tensor(coarse.voxel_mm).prod()) < 1000 * _LEAST_ML:
        raise DataError("`regions` finds no brain in the image", do="give a head, or name another method")
    names = list(TISSUES)
    level = brightness()[[names.index(TISSUE_OF_LABEL[label]) for label in regions.labels[1:]]].to(shares)
    both = torch.stack([torch.einsum("rzyx,r->zyx", shares[1:], level), known])
    wanted, share = _onto(both, coarse, grid)
    return wanted, share


def _onto(values: Float[Tensor, "c z y x"], own: Geometry, grid: Geometry) -> Float[Tensor, "c z2 y2 x2"]:
    """On a grid that lies along the same axes or not; 0 outside."""
    to_own = torch.from_numpy(np.linalg.solve(own.affine, grid.affine)).to(values)
    made = values.new_empty(len(values), *grid.shape)
    y, x = (torch.arange(n, device=values.device).to(values) for n in grid.shape[1:])
    for first in range(0, grid.shape[0], _PLANES):
        z = torch.arange(first, min(first + _PLANES, grid.shape[0]), device=values.device).to(values)
        at = torch.stack(torch.meshgrid(z, y, x, indexing="ij"), -1).flip(-1)
        made[:, first : first + _PLANES] = at_voxels(values, at @ to_own[:3, :3].T + to_own[:3, 3])
    return made
