"""Lesions grown from seeds: FLAIR over a high level starts them, over a lower one they go on, in units of the brain.

Heights are those of `threshold`: h = (v - m) / w with v the smoothed value, m the brain's commonest one and w the half
width of the histogram's peak above it. A piece of the voxels with h over `edge` is a lesion if enough of its voxels
have h over `seed`. Both levels were chosen on patient07 alone.

Source: Schmidt et al. 2012, doi:10.1016/j.neuroimage.2011.11.032 (lesion growth: conservative seeds, grown into
likely voxels). How we differ: two levels of one contrast in units of its own peak, no tissue classes; all at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.bounds import at_least, over_0
from spinecho.tasks.segment.base import Finds, Segment
from spinecho.tasks.segment.parts.peak import STEEP, heights
from spinecho.tasks.segment.parts.pieces import with_seeds


@dataclass(frozen=True, kw_only=True)
class Config:
    seed: float = 3.8
    """half widths above the peak over which a voxel is a seed"""
    edge: float = 2.0
    """half widths above the peak over which a lesion goes on"""
    least_mm3: float = 10.0
    """of seeds in a piece"""
    smooth_mm: float = 0.7
    """standard deviation of the smoothing"""
    grid_mm: float = 1.0
    """spacing of the grid that it works on"""

    def __post_init__(self) -> None:
        over_0(self, "grid_mm")
        at_least(self, seed=0, edge=0, least_mm3=0, smooth_mm=0)


class Method(Segment):
    config: Config

    @property
    def spacing_mm(self) -> float:
        return self.config.grid_mm

    @property
    def finds(self) -> Finds:
        return "lesions"

    @property
    def contrasts(self) -> tuple[str, ...]:
        return ("flair",)

    def forward(self, values: Float[Tensor, "contrast z y x"]) -> Float[Tensor, "label z y x"]:
        mm = self.spacing_mm
        height = heights(values[0], self.config.smooth_mm / mm)
        scores = torch.stack([torch.zeros_like(height), STEEP * (height - self.config.edge)])
        return with_seeds(scores, height > self.config.seed, self.config.least_mm3 / mm**3)
