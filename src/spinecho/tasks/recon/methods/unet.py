"""U-Net: a network that cleans the zero-filled image, without data consistency; a baseline, needs trained weights.

Source: Zbontar et al. 2018, fastMRI, arXiv:1811.08839, section 7.2 (image-domain baseline). With x_0 = A^H y, the coils
combined by their maps, the image is x_0 + U(x_0, noise). How we differ: complex images in and out, one network for any
number of coils, maps from ESPIRiT, and a U-Net without normalisation or biases (nothing depends on the scale).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Complex
from torch import Tensor

from spinecho.calib.csm import estimate_csm
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.core.precision import full_precision
from spinecho.nets.features import as_channels, as_complex, as_level, root_mean_square
from spinecho.nets.unet import UNet
from spinecho.ops.psf import CartesianSense
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.parts.refinement import Support, deep_loss, refused, relative_noise, slice_by_slice


@dataclass(frozen=True, kw_only=True)
class Config:
    channels: tuple[int, ...] = (32, 64, 96, 128)
    """of the U-Net's levels, finest first"""
    blocks: tuple[int, ...] = (1, 2, 2, 2)
    """residual blocks of each level"""
    noise_floor: bool = True
    """add what the noise of all coils adds to a root sum of squares, so that the picture compares with the scanner's"""


class Method(Recon):
    config: Config
    learned: ClassVar[bool] = True
    tunable: ClassVar[tuple[str, ...]] = ("noise_floor",)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.unet = UNet(3, 2, config.channels, config.blocks)

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        return refused(kspace)

    def forward(self, kspace: KSpace) -> Image:
        return slice_by_slice(kspace, self.slices, self.config.noise_floor)

    def slices(self, kspace: KSpace) -> tuple[Tensor, Tensor]:
        """Image and coil maps of a scan of slices."""
        csm = estimate_csm(kspace)
        return self.reconstruct(kspace, csm), csm

    def reconstruct(
        self, kspace: KSpace, csm: Complex[Tensor, "*#batch 1 coil z y x"], *, cut: bool = True
    ) -> Complex[Tensor, "*batch 1 z y x"]:
        """The image for given coil maps (`cut`: as in `Support`)."""
        assert kspace.mask is not None
        with full_precision(csm), torch.no_grad():
            x = CartesianSense(kspace.mask, csm, cut=cut).adjoint(kspace.samples)
            scale = root_mean_square(x)
            support = Support(csm, cut=cut)
            seen = support.cut(x / scale)
        features = [as_channels(seen), as_level(relative_noise(kspace, scale), seen.shape)]
        change = as_complex(self.unet(torch.cat(features, 1)), seen.shape)
        with full_precision(csm):
            return x + support.put_back(change) * scale

    def loss(self, kspace: KSpace) -> Tensor:
        """Distance of the image from the target."""
        assert kspace.target is not None
        with full_precision(kspace.samples), torch.no_grad():
            csm = estimate_csm(kspace)
        return deep_loss(self.stages(kspace, csm), kspace.target, csm)

    def stages(self, kspace: KSpace, csm: Tensor) -> list[Tensor]:
        """The image, the only one there is."""
        return [self.reconstruct(kspace, csm, cut=False)]
