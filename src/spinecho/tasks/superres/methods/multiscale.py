"""A small network with several receptive fields adds learned detail to the B-spline image; any factor.

Slice by slice along the axes of the image: first, across the axis with the longest voxels, the two axes of each slice
(far fewer slices than there will be); then the third axis, in slices along both others, whose results are averaged.

Source: Liu et al. 2018, Fusing multi-scale information in convolution network for MR image super-resolution
reconstruction, doi:10.1186/s12938-018-0546-9. How we differ: dilated convolutions, one network that takes factor and
degradation as input (as gains of its channels), residual on the B-spline image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.nets.multiscale import MultiScale
from spinecho.tasks.superres.base import Made, Superres, Target
from spinecho.tasks.superres.parts.lesson import N_CONDITIONS, Lesson, conditions
from spinecho.tasks.superres.parts.planes import plane_condition, refined
from spinecho.tasks.superres.parts.spline import enlarged

MARGIN = 8
"""Pixels at the edge of a patch that the loss does not count: there the network sees less than in an image"""
_FLOOR = 2e-3
"""Errors below this share of the brightness count no more"""


@dataclass(frozen=True, kw_only=True)
class Config:
    channels: int = 48
    """of the network"""
    width: int = 16
    """channels of each receptive field"""
    blocks: int = 7
    """of parallel receptive fields, one after another"""
    dilations: tuple[int, ...] = (1, 2, 4)
    """of each receptive field, in blocks of 2 pixels"""


class Method(Superres):
    config: Config
    learned: ClassVar[bool] = True
    invents: ClassVar[str] = (
        "detail finer than the input's is learned from other people's images: no finding may rest on it alone"
    )

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network = MultiScale(config.channels, config.width, config.blocks, 2 * N_CONDITIONS, config.dilations)

    def forward(self, values: Float[Tensor, "1 z y x"], target: Target) -> Made:
        told = conditions(target.degradations, target.factors).to(values)
        last = max(range(3), key=lambda axis: target.voxel_mm[axis]) if len(target.finer) == 3 else None
        first = tuple(axis for axis in target.finer if axis != last)
        volume = values[0]
        for axes in filter(None, (first, () if last is None else (last,))):
            shape = [target.shape[a] if a in axes else n for a, n in enumerate(volume.shape)]
            here = torch.where(torch.tensor([[a in axes] for a in range(3)], device=told.device), told, 0)
            volume = enlarged(volume, shape)
            views = _across(axes, (volume.shape[0], volume.shape[1], volume.shape[2]))
            volume = torch.stack([refined(self.network, volume, view, here) for view in views]).mean(0)
        return Made(volume[None])

    def estimate(self, example: Lesson) -> Float[Tensor, "n z y x"]:
        """The fine slices."""
        n, z = example.high.shape[:2]
        told = plane_condition(example.conditions, 0).repeat_interleave(z, 0)
        low = example.interpolated.reshape(n * z, 1, *example.high.shape[2:])
        return (low + self.network(low, told)).reshape(example.high.shape)

    def loss(self, example: Lesson) -> Float[Tensor, ""]:
        """log of the mean squared error in the slices' middle: decibels, alike for easy and hard ones."""
        error = self.estimate(example) - example.high
        margin = min(MARGIN, min(error.shape[-2:]) // 4)
        error = error[..., margin:-margin, margin:-margin]
        return (error.square().mean((-2, -1)) + _FLOOR**2).log().mean()


def _across(axes: tuple[int, ...], shape: tuple[int, int, int]) -> list[int]:
    """Across which axes slices are taken that contain all of `axes`; of single slices only that one."""
    views = [a for a in range(3) if a not in axes]
    return [a for a in views if shape[a] == 1] or views
