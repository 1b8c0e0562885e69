"""Any contrast and spacing to a T1-weighted volume of 1 mm: a 3-D network trained on rendered label maps alone.

The volume, along the patient's axes, is interpolated to 1 mm; the network takes the spacing of each axis as input and
predicts the T1 contrast. It knows no lesions and no implants.

Source: Iglesias et al. 2021, SynthSR, doi:10.1016/j.neuroimage.2021.118206 (training on rendered label maps). How we
differ: no normalisation, so that tiles are exact; a fixed T1 contrast by a signal equation as the truth, with a texture
that input and truth share; the spacing as input of the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.geometry import Geometry
from spinecho.nets.tiles import halo_for, in_tiles
from spinecho.nets.unet3d_plain import PlainUNet3d
from spinecho.tasks.superres.base import Made, Superres, Target
from spinecho.tasks.superres.parts.lesson import Lesson, conditions
from spinecho.tasks.superres.parts.spline import enlarged

_CORE = 128
_NEAR_MM = (0.85, 1.15)
"""New voxels that count as 1 mm: the field keeps its edges"""
MARGIN = 6
"""Voxels at the edge of a patch that the loss does not count"""


@dataclass(frozen=True, kw_only=True)
class Config:
    channels: tuple[int, ...] = (16, 32, 48, 64)
    """of each resolution"""


class Method(Superres):
    config: Config
    learned: ClassVar[bool] = True
    keeps_contrast: ClassVar[bool] = False
    invents: ClassVar[str] = (
        "its T1 contrast was guessed from another one by a network that knows healthy anatomy: for measuring and "
        "registering, never for reading"
    )

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network = PlainUNet3d(4, 1, config.channels)

    @classmethod
    def spacing_mm(cls, geometry: Geometry) -> tuple[float, float, float]:
        return (1.0, 1.0, 1.0)

    @classmethod
    def refusal(cls, values: Float[Tensor, "1 z y x"], target: Target) -> str | None:
        if min(target.geometry.shape) < 2:
            return "it takes volumes, not single slices"
        new = [v / f for v, f in zip(target.voxel_mm, target.factors, strict=True)]
        if target.geometry.oriented and not all(_NEAR_MM[0] <= side <= _NEAR_MM[1] for side in new):
            return f"it makes voxels of 1 mm, not of {' x '.join(f'{side:.3g}' for side in new[::-1])} mm"
        return None

    def forward(self, values: Float[Tensor, "1 z y x"], target: Target) -> Made:
        told = conditions(target.degradations, target.factors).to(values)
        seen = _channels(enlarged(values, target.shape), told[None])
        halo = halo_for(self.network.radius, self.network.coarsest)
        return Made(in_tiles(self.network, seen, _CORE, halo)[0])

    def estimate(self, example: Lesson) -> Float[Tensor, "n z y x"]:
        """The T1 blocks."""
        return self.network(_channels(example.interpolated, example.conditions))[:, 0]

    def loss(self, example: Lesson) -> Float[Tensor, ""]:
        """Mean absolute difference in the blocks' middle."""
        error = self.estimate(example) - example.high
        margin = min(MARGIN, min(error.shape[-3:]) // 4)
        return F.pad(error, [-margin] * 6).abs().mean()


def _channels(fine: Float[Tensor, "n z y x"], told: Float[Tensor, "n 3 k"]) -> Float[Tensor, "n 4 z y x"]:
    """The volume, and the factor's logarithm along each axis as a constant channel."""
    factors = told[:, :, 0, None, None, None].expand(-1, -1, *fine.shape[1:])
    return torch.cat([fine[:, None], factors], 1)
