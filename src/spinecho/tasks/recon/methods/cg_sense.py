"""CG-SENSE: regularised least squares with known coil maps, by conjugate gradients.

Source: Pruessmann et al., Advances in sensitivity encoding with arbitrary k-space trajectories, Magn Reson Med 2001,
doi:10.1002/mrm.1241. Minimises |A x - y|^2 + l2 |x|^2. How we differ: no gridding and no intensity correction (maps
have unit norm over coils, so A^H A has norm 1 at most); Fourier transforms run only along the undersampled axes, and
what is independent along the others (each readout position) gets step sizes of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Complex
from torch import Tensor

from spinecho.calib.csm import MapKind, estimate_csm
from spinecho.core.bounds import at_least
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.ops.psf import CartesianSense
from spinecho.solve.cg import solve
from spinecho.tasks.recon.base import Recon


@dataclass(frozen=True, kw_only=True)
class Config:
    n_iters: int = 50
    """conjugate-gradient iterations at most"""
    l2: float = 0.01
    """weight of |x|^2, relative to A of unit norm"""
    tolerance: float = 2e-4
    """stops when |A^H (A x - y) + l2 x| has fallen to this part of |A^H y|, in each slice and frame"""
    maps: int = 1
    """sets of coil maps: 2 where the object is larger than the field of view"""
    csm: MapKind = "espirit"
    """how coil maps are found: by ESPIRiT, or by Walsh's adaptive combination"""

    def __post_init__(self) -> None:
        at_least(self, l2=0, tolerance=0)


def reconstruct(
    kspace: KSpace, csm: Complex[Tensor, "*#batch map coil z y x"], config: Config
) -> Complex[Tensor, "*batch map z y x"]:
    """The image for given coil maps, one per set; differentiable in samples and maps."""
    assert kspace.mask is not None
    A = CartesianSense(kspace.mask, csm)
    normal = lambda x: A.inner_normal(x).add_(x, alpha=config.l2)  # noqa: E731
    b = A.inner_adjoint(kspace.samples)
    dims, image = (-4, *A.inner_dims), (-4, -3, -2, -1)
    return A.leave(solve(normal, b, config.n_iters, tolerance=config.tolerance, dims=dims, together=image))


class Method(Recon):
    config: Config

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        return None if kspace.is_cartesian else "its samples lie along a trajectory, not on a grid (use nufft_cg)"

    def forward(self, kspace: KSpace) -> Image:
        csm = estimate_csm(kspace, self.config.maps, self.config.csm)
        x = reconstruct(kspace, csm, self.config)
        return kspace.image(join_maps(x), csm=csm)


def join_maps(x: Complex[Tensor, "*batch map z y x"]) -> Tensor:
    """One image of several sets: the first as it is, else the root sum of squares (ESPIRiT, doi:10.1002/mrm.24751)."""
    return x if x.shape[-4] == 1 else x.abs().square().sum(-4, keepdim=True).sqrt().to(x.dtype)
