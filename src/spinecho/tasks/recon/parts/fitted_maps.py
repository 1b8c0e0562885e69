"""Coil maps that explain all samples, not the calibration lines alone: what few of these leave wrong or unseen.

With x an image, S_0 maps, M the mask and F the Fourier transform, the correction d of the maps is smooth and solves

    argmin |M F ((S_0 + d) x) - y|^2 + a mean|x|^2 |u|^2,    d = F^-1 W u,    W(q) = (1 + |q / p|^2)^(-l / 2),

with u on the lowest spatial frequencies q alone, in periods of the field of view.

Source: Ying and Sheng 2007, doi:10.1002/mrm.21245 (JSENSE), for image and maps in turns; Uecker et al. 2008,
doi:10.1002/mrm.21691, eq. 5, for the weight. How we differ: S_0 is that of ESPIRiT and only its correction is smooth;
maps are brought to unit norm over the coils afterwards, for the image has the shading; and where ESPIRiT says nothing
they are continued smoothly from where it does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from spinecho.core.kspace import KSpace
from spinecho.ops.fourier import convolve, ifft, spectrum_order
from spinecho.ops.psf import once, undersampled_axes
from spinecho.solve.cg import solve

REACH = 8
"""Periods of the field of view, in each direction, up to which a correction reaches."""
_DECAY, _POWER = 3.0, 3.0
"""p and l"""
_WEIGHT, _FIT_ITERS = 0.06, 6
"""a, and iterations of conjugate gradients: few of them keep a correction smooth as well."""
_FREE, _CONTINUE_ITERS = 1e-3, 60
"""The same where maps are only continued, per pixel."""

_COILS = (-4, -3, -2, -1)


def covered(csm: Complex[Tensor, "*batch 1 coil z y x"]) -> Bool[Tensor, "*batch 1 1 z y x"]:
    """Where maps are not zero."""
    return (csm != 0).any(-4, keepdim=True)


def continued(csm: Complex[Tensor, "*batch 1 coil z y x"]) -> Complex[Tensor, "*batch 1 coil z y x"]:
    """Maps of unit norm on the whole grid: unchanged where they are not zero, continued smoothly elsewhere."""
    own = once(csm)
    where, waves = covered(own), _Waves(own)

    def normal(u: Tensor) -> Tensor:
        return waves.adjoint(where * waves(u)) + _FREE * u

    smooth = waves(solve(normal, waves.adjoint(own), _CONTINUE_ITERS, dims=_COILS))
    return unit_norm(torch.where(where, own, smooth)).expand(csm.shape)


def fitted(
    kspace: KSpace, csm: Complex[Tensor, "*batch 1 coil z y x"], image: Complex[Tensor, "*batch 1 z y x"]
) -> Complex[Tensor, "*batch 1 coil z y x"]:
    """Maps corrected by all samples of a Cartesian scan, given an image that was made with them.

    Zeros stay. Frames that share maps (views of one along their axis) go on sharing them.
    """
    assert kspace.mask is not None
    dims = undersampled_axes(kspace.mask)
    response = spectrum_order(kspace.mask, dims).unsqueeze(-5)
    for dim in {-3, -2, -1} - set(dims):
        response = response.narrow(dim, 0, 1)
    own = once(csm)
    where, waves = covered(own), _Waves(own)
    x, unit = _unit(torch.where(where, image.unsqueeze(-4), 0), own)

    def gathered(coils: Tensor) -> Tensor:
        return waves.adjoint((x.conj() * coils).sum_to_size(own.shape))

    def normal(u: Tensor) -> Tensor:
        return gathered(convolve(x * waves(u), response, dims)) + _WEIGHT * u

    left = ifft(kspace.samples * kspace.mask).unsqueeze(-5) * unit - convolve(x * own, response, dims)
    correction = waves(solve(normal, gathered(left), _FIT_ITERS, dims=_COILS))
    return unit_norm(torch.where(where, own + correction, 0)).expand(csm.shape)


def _unit(x: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """x with a mean |x|^2 of 1 where it is not zero, over all frames that share maps, and the factor that did it."""
    shared = [*own.shape[:-4], 1, 1, 1, 1]
    size = x.abs()
    top = size.amax((-3, -2, -1), keepdim=True).clamp_min(torch.finfo(size.dtype).tiny).max()
    mean = (size / top).square().sum_to_size(shared) / (size > 0).sum_to_size(shared).clamp_min(1)
    unit = torch.where(mean > 0, mean.rsqrt(), 0) / top
    return x * unit, unit


def unit_norm(csm: Complex[Tensor, "*batch 1 coil z y x"]) -> Complex[Tensor, "*batch 1 coil z y x"]:
    """sum_c |S_c|^2 = 1 where it is not zero."""
    norm = csm.abs().square().sum(-4, keepdim=True).sqrt()
    return csm / norm.clamp_min(torch.finfo(norm.dtype).tiny)


class _Waves:
    """u to F^-1 W u on the grid of maps, with u on the lowest frequencies along each axis; F is unitary."""

    def __init__(self, like: Complex[Tensor, "*batch coil z y x"]) -> None:
        self._bases = [_waves(n, like) for n in like.shape[-3:]]
        q2, q1, q0 = (_periods(n, like.real) / _DECAY for n in like.shape[-3:])
        self._weights = (1 + q2.square()[:, None, None] + q1.square()[:, None] + q0.square()) ** (-_POWER / 2)

    def __call__(self, u: Complex[Tensor, "*batch coil q2 q1 q0"]) -> Complex[Tensor, "*batch coil z y x"]:
        return _along_each(self._weights * u, self._bases)

    def adjoint(self, d: Complex[Tensor, "*batch coil z y x"]) -> Complex[Tensor, "*batch coil q2 q1 q0"]:
        return self._weights * _along_each(d, [basis.mH for basis in self._bases])


def _periods(n: int, like: Tensor) -> Float[Tensor, " q"]:
    reach = min(REACH, (n - 1) // 2)
    return torch.arange(-reach, reach + 1, device=like.device, dtype=like.dtype)


def _waves(n: int, like: Tensor) -> Complex[Tensor, "q n"]:
    """exp(2 pi i q r / n) / sqrt(n), with r = 0 at index n // 2."""
    q = _periods(n, torch.empty((), dtype=torch.float64, device=like.device))
    angle = (2 * math.pi / n) * q[:, None] * (torch.arange(n, device=like.device) - n // 2)
    return torch.polar(torch.full_like(angle, n**-0.5), angle).to(like.dtype)


def _along_each(x: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    for axis, matrix in zip((-3, -2, -1), matrices, strict=True):
        x = (x.movedim(axis, -1) @ matrix).movedim(-1, axis)
    return x
