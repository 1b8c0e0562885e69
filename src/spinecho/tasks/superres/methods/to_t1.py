"""Any contrast and spacing to a T1-weighted volume of 1 mm: regions first, detail by a network trained on label maps.

`regions` says which tissue is where, in any contrast; how bright a T1 shows each is known. The image's own
detail is fitted to that about each voxel (`parts.regressed`), and a 3-D network, which sees the image, what is known
of it and the spacing of each axis, adds the rest. It knows no implants, and of lesions what spots in white matter are.

Source: Iglesias et al. 2021, SynthSR, doi:10.1016/j.neuroimage.2021.118206 (training on rendered label maps). How we
differ: the segmentation comes before and not after the network, so that blocks of 48 voxels say what a contrast is; no
normalisation, so that tiles are exact; a fixed T1 contrast by a signal equation as the truth, with a texture that input
and truth share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from spinecho.core.geometry import Geometry
from spinecho.core.header import WARNING
from spinecho.core.image import Image
from spinecho.nets.tiles import halo_for, in_tiles
from spinecho.nets.unet3d_plain import PlainUNet3d
from spinecho.tasks.superres.base import Made, Superres, Target
from spinecho.tasks.superres.parts.known import N_KNOWN, channels, of_regions
from spinecho.tasks.superres.parts.lesson import Known, conditions
from spinecho.tasks.superres.parts.plan import regridded
from spinecho.tasks.superres.parts.spline import enlarged

_CORE = 128
_NEAR_MM = (0.85, 1.15)
"""New voxels that count as 1 mm: the field keeps its edges"""
MARGIN = 6
"""Voxels at the edge of a patch that the loss does not count"""
_BESIDE = 0.25
"""Weight of what is not brain"""
_NO_BRAIN = "`regions` finds no brain in the image, so that nothing says what its contrast is"
_MASKED = 1e-3
"""Share of the brightest voxel below which a mask is"""
_CURVE = 0.6
"""Power that makes the signal equation's brightness a scan's: grey matter is 0.5 of white matter there, and 0.71 to
0.75 in the first six training heads of IXI"""


@dataclass(frozen=True, kw_only=True)
class Config:
    channels: tuple[int, ...] = (16, 32, 48, 64)
    """of each resolution"""


class Method(Superres):
    config: Config
    learned: ClassVar[bool] = True
    leans_on: ClassVar[tuple[tuple[str, str], ...]] = (("segment", "regions"),)
    keeps_contrast: ClassVar[bool] = False
    invents: ClassVar[str] = (
        "its T1 contrast was guessed from another one by a network that knows healthy anatomy: for programs "
        "that want a T1, never for reading"
    )

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.network = PlainUNet3d(4 + N_KNOWN, 1, config.channels)

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
        fine = enlarged(values, target.shape)
        wanted, share = of_regions(Image(values=fine, geometries=(regridded(target.geometry, target.shape),)))
        image, beside = channels(fine[0], wanted, share)
        told = conditions(target.degradations, target.factors).to(values)
        seen = _channels(image[None], told[None], beside[None])
        halo = halo_for(self.network.radius, self.network.coarsest)
        made = in_tiles(self._made, seen, _CORE, halo)[0].clamp_min(0).pow(_CURVE) * _lit(fine)
        return Made(made, () if share.any() else (WARNING + _NO_BRAIN,))

    def estimate(self, example: Known) -> Float[Tensor, "n z y x"]:
        """The T1 blocks."""
        return self._made(_channels(example.interpolated, example.conditions, example.known))[:, 0]

    def loss(self, example: Known) -> Float[Tensor, ""]:
        """Mean absolute difference in the middle of each block, the brain first."""
        error = (self.estimate(example) - example.high).abs()
        weight = _BESIDE + (1 - _BESIDE) * example.known[:, -1]
        inside = [-min(MARGIN, min(error.shape[-3:]) // 4)] * 6
        error, weight = (F.pad(x, inside).flatten(1).sum(1) for x in (error * weight, weight))
        return (error / weight).mean()

    def _made(self, seen: Float[Tensor, "n c z y x"]) -> Float[Tensor, "n 1 z y x"]:
        """What is known by the image's detail, and what the network adds."""
        return seen[:, 1:2] + self.network(seen)


def _lit(fine: Float[Tensor, "1 z y x"]) -> Float[Tensor, "1 z y x"]:
    """1 where an image is not masked: air that was measured is never as dark as that."""
    return F.max_pool3d((fine.abs() > _MASKED).to(fine), 3, 1, 1)


def _channels(
    fine: Float[Tensor, "n z y x"], told: Float[Tensor, "n 3 k"], known: Float[Tensor, "n k z y x"]
) -> Float[Tensor, "n c z y x"]:
    """The volume, what is known of the head, and the factor's logarithm along each axis as a constant channel."""
    factors = told[:, :, 0, None, None, None].expand(-1, -1, *fine.shape[1:])
    return torch.cat([fine[:, None], known, factors], 1)
