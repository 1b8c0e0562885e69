"""What is scanned in training: slices of labelled heads in random contrasts, and of magnitude images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.sim import anatomy
from spinecho.sim.contrast import SEQUENCES
from spinecho.sim.tissue import TISSUE_OF_LABEL


@runtime_checkable
class Objects(Protocol):
    """A supply of 2-D objects."""

    def draw(self, rng: torch.Generator, shape: tuple[int, int]) -> Float[Tensor, "y x"]:
        """A magnitude image that fills the field of view of a grid (y, x) with square pixels, largest value about 1."""
        ...


@dataclass(frozen=True, eq=False)
class Labels:
    """Label maps of FreeSurfer ids, about 1 mm, any orientation.

    Parameters
    ----------
    volumes
        Integer arrays (z, y, x).
    """

    volumes: tuple[np.ndarray, ...]

    def draw(self, rng: torch.Generator, shape: tuple[int, int]) -> Float[Tensor, "y x"]:
        """1 to 4 neighbouring planes in one contrast, turned, stretched and bent; brightness uneven within tissues."""
        volume = self.volumes[_integer(rng, len(self.volumes))]
        thickness = 1 + _integer(rng, 4)
        planes = torch.from_numpy(_planes(volume, rng, thickness, (0, 1, 2), 0).astype(np.int64))
        if _uniform(rng) < 0.3:
            names = list(SEQUENCES)
            contrast = anatomy.of_sequence(SEQUENCES[names[_integer(rng, len(names))]], 1.5 + 1.5 * _integer(rng, 2))
        else:
            contrast = anatomy.sample_contrast(rng)
        table = torch.zeros(max(TISSUE_OF_LABEL) + 1)
        for label, value in contrast.values.items():
            table[label] = value
        picture = bend(table[planes.clamp(0, len(table) - 1)].mean(0), rng, shape)
        z, y, x = (1, *shape)
        uneven = anatomy.texture((z, y, x), rng, _uniform(rng, 0.0, 0.15))[0].clamp_min(0)
        picture = _with_spots(picture * uneven, rng)
        return picture / picture.max().clamp_min(1e-6)


@dataclass(frozen=True, eq=False)
class Pictures:
    """Magnitude images: volumes (z, y, x) with isotropic voxels, or stacks of slices.

    Parameters
    ----------
    volumes
        Arrays (z, y, x) of any real type, 0 or more.
    axes
        Along which slices are taken: (0,) for stacks, (0, 1, 2) for volumes.
    zoom
        Largest number of drawn pixels for one pixel here. Drawn grids are finer than matrices (`sim.draws.FINENESS`),
        so that 1.3 still lowers the resolution: interpolated images are no truth.
    """

    volumes: tuple[np.ndarray, ...]
    axes: tuple[int, ...] = (0, 1, 2)
    zoom: float = 1.3

    def draw(self, rng: torch.Generator, shape: tuple[int, int]) -> Float[Tensor, "y x"]:
        """One slice, smaller than it is here, turned, bent, its grey values bent by a random curve."""
        volume = self.volumes[_integer(rng, len(self.volumes))]
        plane = torch.from_numpy(_planes(volume, rng, 1, self.axes, float(0.15 * volume.max()))[0].astype(np.float32))
        plane = _regraded(plane / plane.max().clamp_min(1e-6), rng)
        picture = bend(plane, rng, shape, at_most=self.zoom)
        return picture / picture.max().clamp_min(1e-6)


def bend(
    plane: Float[Tensor, "v u"], rng: torch.Generator, shape: tuple[int, int], at_most: float = math.inf
) -> Float[Tensor, "y x"]:
    """The plane on another grid: fitted to it with some air (or cut), turned, mirrored, stretched, smoothly deformed.

    Parameters
    ----------
    at_most
        Largest number of new pixels for one old one.
    """
    plane = torch.rot90(plane, _integer(rng, 4))
    if _integer(rng, 2):
        plane = plane.flip(0)
    rows, columns = (plane.amax(1) > 0.02).nonzero(), (plane.amax(0) > 0.02).nonzero()
    if len(rows) == 0:
        return torch.zeros(shape)
    low = (float(rows[0]), float(columns[0]))
    extent = (float(rows[-1]) - low[0] + 1, float(columns[-1]) - low[1] + 1)
    # how many new pixels per old one: the object takes 70 to 105 % of the field of view
    fill = _uniform(rng, 0.7, 1.05)
    zoom = min(fill * min(n / e for n, e in zip(shape, extent, strict=True)), at_most * _uniform(rng, 0.7, 1.0))
    angle = math.radians(_uniform(rng, -20, 20))
    stretch = (_uniform(rng, 0.92, 1.08), _uniform(rng, 0.92, 1.08))
    slack = [max(0.0, n / zoom - e) for n, e in zip(shape, extent, strict=True)]
    centre = [a + e / 2 + _uniform(rng, -0.4, 0.4) * s for a, e, s in zip(low, extent, slack, strict=True)]
    y, x = torch.meshgrid(*(torch.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
    y, x = y / zoom * stretch[0], x / zoom * stretch[1]
    v = math.cos(angle) * y - math.sin(angle) * x + centre[0]
    u = math.sin(angle) * y + math.cos(angle) * x + centre[1]
    size = _uniform(rng, 0, 0.02) * max(extent)
    coarse = size * torch.randn(1, 2, 6, 6, generator=rng)
    moved = F.interpolate(coarse, shape, mode="bicubic", align_corners=True)[0]
    grid = torch.stack(
        [2 * (u + moved[1] + 0.5) / plane.shape[1] - 1, 2 * (v + moved[0] + 0.5) / plane.shape[0] - 1], -1
    )
    if zoom < 0.75:  # what the new grid cannot hold must not fold into it
        plane = _smoothed(plane, 0.35 / zoom)
    return F.grid_sample(plane[None, None], grid[None], mode="bilinear", align_corners=False)[0, 0]


def _smoothed(plane: Tensor, sigma: float) -> Tensor:
    radius = max(1, round(2.5 * sigma))
    t = torch.arange(-radius, radius + 1).float()
    kernel = torch.exp(-t.square() / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    out = F.conv2d(plane[None, None], kernel.view(1, 1, -1, 1), padding=(radius, 0))
    return F.conv2d(out, kernel.view(1, 1, 1, -1), padding=(0, radius))[0, 0]


def _planes(
    volume: np.ndarray, rng: torch.Generator, thickness: int, axes: tuple[int, ...], least: float
) -> np.ndarray:
    """Neighbouring planes along a random axis, a tenth of them over `least` (or the middle ones)."""
    axis = axes[_integer(rng, len(axes))]
    n = volume.shape[axis]
    for _ in range(8):
        at = _integer(rng, max(1, n - thickness + 1))
        planes = np.moveaxis(volume, axis, 0)[at : at + thickness]
        if (planes[0] > least).mean() > 0.1:
            return planes
    return np.moveaxis(volume, axis, 0)[n // 2 : n // 2 + thickness]


def _regraded(plane: Tensor, rng: torch.Generator) -> Tensor:
    """Grey values through a random curve from (0, 0): any contrast, edges where they were."""
    if _uniform(rng) < 0.6:
        return plane.clamp_min(0) ** _uniform(rng, 0.7, 1.4)
    knots = torch.cat([torch.zeros(1), torch.rand(3, generator=rng)])
    at = (plane.clamp(0, 1) * (len(knots) - 1)).clamp_max(len(knots) - 1.001)
    i = at.long()
    return knots[i] + (at - i) * (knots[i + 1] - knots[i])


def _with_spots(picture: Tensor, rng: torch.Generator) -> Tensor:
    """Now and then a few small bright or dark ellipses: vessels, lesions, screws."""
    if _uniform(rng) > 0.3:
        return picture
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in picture.shape), indexing="ij")
    for _ in range(1 + _integer(rng, 8)):
        cy, cx = _uniform(rng, -0.7, 0.7), _uniform(rng, -0.7, 0.7)
        a, b, turn = _uniform(rng, 0.01, 0.08), _uniform(rng, 0.01, 0.05), _uniform(rng, 0, math.pi)
        v = (y - cy) * math.cos(turn) - (x - cx) * math.sin(turn)
        u = (y - cy) * math.sin(turn) + (x - cx) * math.cos(turn)
        inside = (v / a).square() + (u / b).square() < 1
        picture = torch.where(inside & (picture > 0), _uniform(rng) * picture.max(), picture)
    return picture


def _integer(rng: torch.Generator, n: int) -> int:
    return int(torch.randint(n, (1,), generator=rng))


def _uniform(rng: torch.Generator, low: float = 0.0, high: float = 1.0) -> float:
    return low + (high - low) * float(torch.rand(1, generator=rng))
