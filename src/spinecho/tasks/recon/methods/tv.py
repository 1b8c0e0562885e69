"""Total variation: parallel imaging with a penalty on the image's gradient, whose weight comes from the noise.

Source: Block, Uecker and Frahm, Magn Reson Med 2007, doi:10.1002/mrm.21236 (coils and total variation); Rudin, Osher
and Fatemi 1992, doi:10.1016/0167-2789(92)90242-F. Minimises |A x - y|^2 / 2 + weight sum_r |(D x)(r)| by ADMM, the
gradient's magnitude taken over all axes (isotropic) and over the sets of maps. How we differ: the linear system is
solved by a few conjugate-gradient steps on the hybrid-space normal operator, and by default the weight makes the
penalty a Laplace prior that matches the size of the gradient: weight = factor sigma^2 / mean|D x|.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import torch
from jaxtyping import Complex
from torch import Tensor

from spinecho.calib.csm import MapKind, estimate_csm
from spinecho.core.bounds import at_least
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.ops.diff import Differences
from spinecho.ops.psf import CartesianSense
from spinecho.solve.admm import admm
from spinecho.solve.cg import solve
from spinecho.solve.prox import magnitude, shrink
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.methods.cg_sense import join_maps
from spinecho.tasks.recon.methods.l1_wavelet import IMAGE, laplace_scale, laplace_weight, start

_FACTOR = 0.6
"""Weight over the Laplace prior's; by trial on simulated heads (1-D random, R = 4 and 8)."""

_INNER = 4
"""Conjugate-gradient iterations within one of ADMM."""


@dataclass(frozen=True, kw_only=True)
class Config:
    n_iters: int = 30
    """ADMM iterations"""
    weight: float | None = None
    """of the gradient's magnitude, relative to the largest value of A^H y; None: from the noise"""
    maps: int = 1
    """sets of coil maps: 2 where the object is larger than the field of view"""
    csm: MapKind = "espirit"
    """how coil maps are found: by ESPIRiT, or by Walsh's adaptive combination"""

    def __post_init__(self) -> None:
        at_least(self, weight=0)


def reconstruct(
    kspace: KSpace, csm: Complex[Tensor, "*#batch map coil z y x"], config: Config
) -> Complex[Tensor, "*batch map z y x"]:
    """The image for given coil maps, one per set; differentiable in samples and maps."""
    assert kspace.mask is not None
    A = CartesianSense(kspace.mask, csm)
    b = A.inner_adjoint(kspace.samples)
    x0 = start(A, b)
    D = Differences([d for d in (-3, -2, -1) if x0.shape[d] > 1] or [-1])
    joint = (0, -4)
    typical = laplace_scale(magnitude(D(x0), joint)[0], A)
    if config.weight is None:
        weight = _FACTOR * laplace_weight(kspace, typical, A)
    else:
        weight = config.weight * b.abs().amax(IMAGE, keepdim=True)
    rho = torch.where(typical > torch.finfo(typical.dtype).tiny, weight / typical, 1)  # an empty frame has no scale

    def minimise(v: Tensor, x: Tensor) -> Tensor:
        return solve(lambda x: A.inner_normal(x) + rho * D.normal(x), b + rho * D.adjoint(v), _INNER, x0=x, dims=IMAGE)

    states = admm(minimise, lambda v: shrink(v, typical, dims=joint), x0, K=D)
    *_, last = islice(states, config.n_iters + 1)
    return A.leave(last.x)


class Method(Recon):
    config: Config

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        return None if kspace.is_cartesian else "its samples lie along a trajectory, not on a grid (use nufft_cg)"

    def forward(self, kspace: KSpace) -> Image:
        csm = estimate_csm(kspace, self.config.maps, self.config.csm)
        return kspace.image(join_maps(reconstruct(kspace, csm, self.config)), csm=csm)
