"""Compressed sensing with sparse wavelets: parallel imaging and a penalty on wavelet coefficients, weighted by itself.

Source: Lustig, Donoho and Pauly, Sparse MRI, Magn Reson Med 2007, doi:10.1002/mrm.21391, eq. 3; with coil maps as in
ESPIRiT, doi:10.1002/mrm.24751. Minimises |A x - y|^2 / 2 + penalty(W x) by FISTA on the hybrid-space normal operator.
How we differ:
- The penalty is that of p-shrinkage (`solve.prox.shrink`), which spares large coefficients; power = 1 is plain l1.
- W changes from one iteration to the next: it is shifted, which makes the result translation-invariant (Coifman and
  Donoho 1995, doi:10.1007/978-1-4612-2544-7_9), by a low-discrepancy sequence, so that runs repeat; and short and long
  filters take turns, which suits edges and smooth parts alike.
- The threshold sinks to its final value over the first iterations, from a CG-SENSE image as the start; for the last
  few the momentum starts anew.
- Without a weight it is the one that makes the penalty a Laplace prior of the coefficients' own size:
  threshold = factor sigma^2 / mean|W x|, with the noise's sigma from the scan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import torch
from jaxtyping import Complex
from torch import Tensor

from spinecho.calib.csm import MapKind, estimate_csm
from spinecho.calib.noise import noise_sigmas
from spinecho.core.image import Image
from spinecho.core.kspace import KSpace
from spinecho.ops.filter_bank import FILTERS
from spinecho.ops.psf import CartesianSense
from spinecho.ops.wavelet import Wavelet
from spinecho.solve.cg import solve
from spinecho.solve.fista import fista
from spinecho.solve.prox import shrink
from spinecho.tasks.recon.base import Recon
from spinecho.tasks.recon.methods.cg_sense import join_maps

_FACTOR = 2.5
"""Threshold over the Laplace prior's, for power 1/2; by trial on simulated heads and on one real 7-coil slice (1-D
random masks, R = 4 and 8), so that scores on that slice are not those of data never seen."""

_START = 20.0
"""Threshold of the first iteration over the final one; like the numbers below by trial on simulated heads and
that slice."""

_SINKING = 0.6
"""Share of the iterations over which the threshold sinks."""

_SETTLING = 6
"""Last iterations, before which the momentum starts anew: it would carry on what each shift does to the image."""

_SHIFTS = (0.8191725133961645, 0.6710436067037893, 0.5497004779019703)
"""Powers of the root of g^4 = g + 1, whose multiples fill the cube evenly: the shifts along three axes."""

IMAGE = (-4, -3, -2, -1)
"""Axes of one image with its maps; what lies before them is a batch of independent problems."""


@dataclass(frozen=True, kw_only=True)
class Config:
    n_iters: int = 120
    """FISTA iterations"""
    weight: float | None = None
    """threshold of the coefficients, relative to the largest value of A^H y; None: from the noise"""
    power: float = 0.5
    """exponent of the penalty: 1 is l1, less spares large coefficients"""
    wavelet: Literal["haar", "db2", "db4", "all"] = "all"
    """Daubechies filter with one, two or four vanishing moments; all: by turns"""
    maps: int = 1
    """sets of coil maps: 2 where the object is larger than the field of view"""
    csm: MapKind = "espirit"
    """how coil maps are found: by ESPIRiT, or by Walsh's adaptive combination"""


def reconstruct(
    kspace: KSpace, csm: Complex[Tensor, "*#batch map coil z y x"], config: Config, *, cut: bool = True
) -> Complex[Tensor, "*batch map z y x"]:
    """The image for given coil maps, one per set; differentiable in samples and maps (`cut`: as in CartesianSense)."""
    assert kspace.mask is not None
    A = CartesianSense(kspace.mask, csm, cut=cut)
    b = A.inner_adjoint(kspace.samples)
    x0 = start(A, b)
    names = tuple(FILTERS) if config.wavelet == "all" else (config.wavelet,)
    wavelets = [Wavelet(b.shape[-3:], name) for name in names]
    if config.weight is None:
        typical = laplace_scale(wavelets[0](x0), A)
        threshold = _FACTOR * laplace_weight(kspace, typical, A)
    else:
        threshold = config.weight * b.abs().amax(IMAGE, keepdim=True)
    sinking = max(1.0, _SINKING * config.n_iters)

    step = iter(range(config.n_iters))

    def prox(x: Tensor) -> Tensor:
        i = next(step)
        W = wavelets[i % len(wavelets)]
        shift = [int(32 * (i * s % 1)) for s in _SHIFTS]
        level = threshold * _START ** max(0.0, 1 - i / sinking)
        return W.unshifted(shrink(W.shifted(x, shift), level, power=config.power), shift)

    x = x0
    settling = min(_SETTLING, config.n_iters // 2)
    for n_iters in (config.n_iters - settling, settling):
        *_, last = islice(fista(lambda x: A.inner_normal(x) - b, prox, x), n_iters + 1)
        x = last.x
    return A.leave(x)


def start(A: CartesianSense, b: Tensor, l2: float = 0.01, n_iters: int = 8) -> Tensor:
    """A few iterations of CG-SENSE: where sparse methods begin, and whose coefficients tell their size."""
    return solve(lambda x: A.inner_normal(x).add_(x, alpha=l2), b, n_iters, dims=(-4, *A.inner_dims))


def laplace_scale(w: Tensor, A: CartesianSense) -> Tensor:
    """Mean magnitude of the coefficients w of each image, over as many as the coil maps' support has pixels."""
    mean = w.detach().abs().sum(IMAGE, keepdim=True) / _support(A)
    return mean.clamp_min(torch.finfo(mean.dtype).tiny)


def laplace_weight(kspace: KSpace, typical: Tensor, A: CartesianSense) -> Tensor:
    """sigma^2 / typical: the weight of a Laplace prior whose values have that mean magnitude.

    Where fewer samples than pixels were measured (one coil), the start is small for want of samples, and the weight
    that it suggests too large: it is lowered by samples over pixels.
    """
    assert kspace.mask is not None
    own = IMAGE if "example" in kspace.axes else tuple(range(kspace.mask.ndim))
    n_samples = kspace.mask.float().mean(own, keepdim=True) * kspace.n_coils * math.prod(kspace.samples.shape[-3:])
    return noise_sigmas(kspace).square() / typical * (n_samples / _support(A)).clamp_max(1)


def _support(A: CartesianSense) -> Tensor:
    return (A.maps.abs().sum(-4) > 0).sum(IMAGE, keepdim=True).clamp_min(1)


class Method(Recon):
    config: Config

    @classmethod
    def refusal(cls, kspace: KSpace) -> str | None:
        return None if kspace.is_cartesian else "its samples lie along a trajectory, not on a grid (use nufft_cg)"

    def forward(self, kspace: KSpace) -> Image:
        csm = estimate_csm(kspace, self.config.maps, self.config.csm)
        return kspace.image(join_maps(reconstruct(kspace, csm, self.config)), csm=csm)
