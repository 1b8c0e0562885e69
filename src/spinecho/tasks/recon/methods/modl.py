"""MoDL: one learned refinement, repeated between data consistencies; also for trajectories; needs trained weights.

Source: Aggarwal, Mani and Jacob 2019, doi:10.1109/TMI.2018.2865356. From x_0, a few iterations of SENSE,

    z = x + U(x, z_before, x_0, noise),     x = argmin |W^(1/2) (A x - y)|^2 + w |x - z|^2

is done n_unrolls times with the same U and w. How we differ: U also sees the start and the noise level and has neither
normalisation nor biases (nothing depends on the scale), w grows with the noise by a learned power, and along a
trajectory W are density weights and A^H W A a convolution on the doubled grid (Fessler et al. 2005,
doi:10.1109/TSP.2005.853152), so that no iteration needs a NUFFT.
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
from spinecho.nets.features import root_mean_square
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.parts.normal import normal_equations
from spinecho.tasks.recon.parts.refinement import (
    Refinement,
    Support,
    deep_loss,
    refused,
    relative_noise,
    slice_by_slice,
    unrolled,
)


@dataclass(frozen=True, kw_only=True)
class Config:
    n_unrolls: int = 4
    """times that the refinement and the data consistency are done"""
    channels: tuple[int, ...] = (32, 64, 96)
    """of the U-Net's levels, finest first"""
    blocks: tuple[int, ...] = (1, 2, 3)
    """residual blocks of each level"""
    cg_iters: int = 5
    """conjugate-gradient iterations of each data consistency"""
    noise_floor: bool = True
    """add what the noise of all coils adds to a root sum of squares (Cartesian scans), to compare with the scanner's"""


class Method(Recon):
    config: Config
    learned: ClassVar[bool] = True
    tunable: ClassVar[tuple[str, ...]] = ("n_unrolls", "cg_iters", "noise_floor")

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.refinement = Refinement(config.channels, config.blocks)

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        if kspace.is_cartesian:
            return refused(kspace)
        if kspace.encoding.matrix[0] > 1:
            return "its trajectory is that of a volume, and the network sees slices (use nufft_cg)"
        return None

    def forward(self, kspace: KSpace) -> Image:
        if not kspace.is_cartesian:
            csm = estimate_csm(kspace)
            return kspace.image(self.reconstruct(kspace, csm), csm=csm)
        return slice_by_slice(kspace, self.slices, self.config.noise_floor)

    def slices(self, kspace: KSpace) -> tuple[Tensor, Tensor]:
        """Image and coil maps of a Cartesian scan of slices."""
        csm = estimate_csm(kspace)
        return self.reconstruct(kspace, csm), csm

    def reconstruct(
        self, kspace: KSpace, csm: Complex[Tensor, "*#batch 1 coil z y x"]
    ) -> Complex[Tensor, "*batch 1 z y x"]:
        """The image for given coil maps."""
        return self.images(kspace, csm)[-1]

    def images(self, kspace: KSpace, csm: Tensor, *, cut: bool = True) -> list[Tensor]:
        """The image after each unroll, the start first (`cut`: as in `Support`)."""
        with full_precision(csm), torch.no_grad():
            equations = normal_equations(kspace, csm, cut=cut)
            x = equations.start()
            scale = root_mean_square(x)
            noise = relative_noise(kspace, scale)

        def consistent(z: Tensor, weight: Tensor) -> Tensor:
            return equations.consistent(z, weight, scale, self.config.cg_iters)

        steps = [self.refinement] * self.config.n_unrolls
        return [v * scale for v in unrolled(x / scale, steps, noise, Support(csm, cut=cut), consistent)]

    def loss(self, kspace: KSpace) -> Tensor:
        """Distance of the last image, and a little of those before it, from the target."""
        assert kspace.target is not None
        with full_precision(kspace.samples), torch.no_grad():
            csm = estimate_csm(kspace)
        return deep_loss(self.stages(kspace, csm), kspace.target, csm)

    def stages(self, kspace: KSpace, csm: Tensor) -> list[Tensor]:
        """The image after each unroll."""
        return self.images(kspace, csm, cut=False)[1:]
