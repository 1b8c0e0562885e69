"""Non-Cartesian SENSE: density-weighted least squares with coil maps, by conjugate gradients.

Source: Pruessmann et al., Advances in sensitivity encoding with arbitrary k-space trajectories, Magn Reson Med 2001,
doi:10.1002/mrm.1241. Minimises |W^(1/2) (A x - y)|^2 + l2 |x|^2, A = NUFFT . coils, W the density weights, with which a
few iterations suffice. How we differ: A^H W A is a convolution on the doubled grid (Fessler et al. 2005,
doi:10.1109/TSP.2005.853152), so that no iteration needs a NUFFT, and the weight l2 comes from the noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from spinecho.calib.csm import MapKind, estimate_csm
from spinecho.calib.dcf import density_weights
from spinecho.calib.noise import noise_sigma
from spinecho.core.bounds import at_least
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import Coils
from spinecho.ops.nufft import NUFFT
from spinecho.ops.toeplitz import Toeplitz
from spinecho.solve.cg import solve
from spinecho.tasks.recon.base import Recon

_NOISE = 40.0
"""l2 over a voxel's noise-to-signal energy, tried on simulated heads: 24 to 300 spokes, 2 to 8 coils, SNR 8 to 60."""

_LEAST, _MOST = 0.003, 1.0

_MOST_GUESSED = 0.1
"""Where the noise is not known but read from the outermost samples, in which small matrices still hold signal."""


@dataclass(frozen=True, kw_only=True)
class Config:
    n_iters: int = 20
    """conjugate-gradient iterations; 0 gives the gridded image"""
    l2: float | None = None
    """weight of |x|^2, relative to A^H W A, which is about 1; None: from the noise"""
    csm: MapKind = "espirit"
    """how coil maps are found: by ESPIRiT, or by Walsh's adaptive combination"""

    def __post_init__(self) -> None:
        at_least(self, l2=0)


class Method(Recon):
    config: Config

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        return "its samples lie on a grid (cg_sense takes them)" if kspace.is_cartesian else None

    def forward(self, kspace: KSpace) -> Image:
        assert kspace.traj is not None
        csm = estimate_csm(kspace, kind=self.config.csm)
        weights, shape = density_weights(kspace), kspace.encoding.matrix
        S = Coils(csm)
        gridded = S.adjoint(NUFFT(kspace.traj, shape).adjoint(weights * kspace.samples))
        if self.config.n_iters == 0:
            return kspace.image(gridded, csm=csm)
        l2 = weight_from_noise(kspace, gridded) if self.config.l2 is None else self.config.l2
        T = Toeplitz(kspace.traj, shape, weights)
        x = solve(lambda x: S.adjoint(T(S(x))) + l2 * x, gridded, self.config.n_iters, dims=(-4, -3, -2, -1))
        image = kspace.image(x, csm=csm)
        return replace(image, header=image.header.noted(f"nufft_cg: {self.config.n_iters} iterations, l2 = {l2:.3g}"))


def weight_from_noise(kspace: KSpace, gridded: Tensor) -> float:
    """`_NOISE` times the variance of the noise over the mean |x|^2 of the object, kept within sensible bounds."""
    energy = torch.view_as_real(gridded).square().sum(-1)
    signal = energy[energy > 0.01 * energy.max()].mean()
    most = _MOST_GUESSED if kspace.noise_cov is None else _MOST
    return min(max(_NOISE * noise_sigma(kspace) ** 2 / float(signal), _LEAST), most)
