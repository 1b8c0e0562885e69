"""Lifts slices of 0.05 to 0.55 T towards 1.5 T: less noise, pixels of 1 mm, the contrast of the higher field.

Works slice by slice across the longest voxels; slice thickness, shading and distortion stay. The result is the B-spline
image plus what a network, trained on simulated pairs of fields, adds. The network is bias-free, so that units and
brightness do not matter.

Source: Iglesias et al. 2023, doi:10.1148/radiol.220522 (low field to a usual contrast by training on rendered label
maps). How we differ: the contrast kept in kind (T1 stays T1), relaxation times by the field's law on both sides, slices
in place of volumes, and real images beside rendered ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.geometry import Geometry
from spinecho.nets.unet import UNet
from spinecho.tasks.superres.base import Made, Superres, Target
from spinecho.tasks.superres.parts.lesson import Lesson
from spinecho.tasks.superres.parts.spline import enlarged

SIDE_MM = 1.0
"""Of the pixels that it makes"""
_NEAR_MM = (0.8, 1.3)
_FLOOR = 2e-3
"""Errors below this share of the brightness count no more"""
_MOST_PIXELS = 2**22
"""That the network sees at once"""


@dataclass(frozen=True, kw_only=True)
class Config:
    channels: tuple[int, ...] = (32, 64, 96)
    """of the network's levels, finest first"""
    blocks: tuple[int, ...] = (1, 2, 3)
    """residual blocks of each level"""


class Method(Superres):
    config: Config
    learned: ClassVar[bool] = True
    keeps_contrast: ClassVar[bool] = False
    invents: ClassVar[str] = (
        "it guesses where it sharpens: detail finer than the scan's, and the contrast of a higher field, are learned "
        "from simulated scans of other people; no finding may rest on it alone"
    )

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network = UNet(1, 1, config.channels, config.blocks)

    @classmethod
    def spacing_mm(cls, geometry: Geometry) -> tuple[float, float, float]:
        """1 mm within slices, the distance between slices as it is; of pixels that are finer already, these."""
        across = 2 - slices_across(geometry)
        x, y, z = (v if axis == across else min(v, SIDE_MM) for axis, v in enumerate(geometry.voxel_mm))
        return x, y, z

    @classmethod
    def refusal(cls, values: Float[Tensor, "1 z y x"], target: Target) -> str | None:
        across = slices_across(target.geometry)
        new = [v / f for v, f in zip(target.voxel_mm, target.factors, strict=True)]
        sides = [side for axis, side in enumerate(new) if axis != across]
        if target.geometry.oriented and not all(_NEAR_MM[0] <= side <= _NEAR_MM[1] for side in sides):
            return f"it makes pixels of 1 mm, not of {' x '.join(f'{side:.3g}' for side in sides[::-1])} mm"
        return None

    def forward(self, values: Float[Tensor, "1 z y x"], target: Target) -> Made:
        across = slices_across(target.geometry)
        slices = enlarged(values, target.shape)[0].movedim(across, 0)
        several = max(1, _MOST_PIXELS // max(1, slices[0].numel()))
        made = torch.cat([self._lifted(part) for part in slices.split(several)])
        return Made(made.movedim(0, across).clamp_min(0)[None].contiguous())

    def estimate(self, example: Lesson) -> Float[Tensor, "n z y x"]:
        """The slices at 1.5 T."""
        shape = example.interpolated.shape
        return self._lifted(example.interpolated.reshape(-1, *shape[2:])).reshape(shape)

    def loss(self, example: Lesson) -> Float[Tensor, ""]:
        """log of the mean squared error, and as much of that of its differences between neighbours.

        What contrast the higher field has can only be guessed; where it is guessed wrong, the second half still counts
        noise and edges.
        """
        error = self.estimate(example) - example.high
        differences = (error.diff(dim=axis).square().mean((-3, -2, -1)) for axis in (-2, -1))
        squares = (error.square().mean((-3, -2, -1)), sum(differences, torch.zeros(())) / 2)
        return sum(((s + _FLOOR**2).log().mean() for s in squares), torch.zeros(())) / 2

    def _lifted(self, slices: Float[Tensor, "n y x"]) -> Float[Tensor, "n y x"]:
        return slices + self.network(slices[:, None])[:, 0]


def slices_across(geometry: Geometry) -> int:
    """The axis (of z, y, x) with the longest voxels, the first of equals."""
    voxel = geometry.voxel_mm[::-1]
    return max(range(3), key=lambda axis: (round(voxel[axis], 3), -axis))
