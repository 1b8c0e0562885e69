"""The noise level of a scan, from its noise covariance or from its own quietest samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinecho.core.kspace import KSpace
from spinecho.ops.fourier import plain_ifft

_OUTER = 0.1
"""Share of the measured samples, those farthest from k = 0, that is taken for noise."""

_MEDIAN_OF_EXPONENTIAL = math.log(2)

_ROUNDING = torch.finfo(torch.float32).eps

_QUIET = 0.05
"""Quantile of the readout positions' power that is taken for noise."""

_FEWEST_READOUTS = 32
"""Below this many readout positions their quantiles say nothing."""


def noise_sigma(kspace: KSpace) -> float:
    """Standard deviation of the noise in one complex sample: sigma^2 = E|n|^2 = E(Re n)^2 + E(Im n)^2.

    Mean over coils (root mean square), in the units of `kspace.samples`; the same number holds for a pixel of a coil
    image, since the Fourier transform is unitary. With a noise covariance it is read from there. Otherwise it is the
    smaller of two estimates, since signal makes both too large (a filter applied before export makes them too small):

    - the tenth of the measured samples that lies farthest from k = 0, where |n|^2 is exponentially distributed with
      median sigma^2 ln 2; the median passes over the few samples where an edge still shines through, and exact zeros
      (lines that were filled up, not measured) are left out;
    - the quietest readout positions after a Fourier transform along the readout: air beside the object, where there is
      some (twentieth part of the positions) and whole lines were measured. Where most of the positions are air it is
      the least of many means, and up to a tenth too small (one coil, few lines).

    Returns
    -------
    sigma; 0.0 where all outer samples are zero, or what they hold is no more than the rounding of float32: less than
    1.2e-7 of the largest sample.
    """
    sigma = _sigma(kspace)
    return 0.0 if sigma <= _ROUNDING * largest(kspace.samples) else sigma


def noise_sigmas(kspace: KSpace) -> Float[Tensor, "*#batch 1 1 1 1"]:
    """`noise_sigma` as a tensor that broadcasts against images: one number, or one for each entry of `example`."""
    if kspace.noise_cov is not None and kspace.noise_cov.ndim > 2:
        own = kspace.noise_cov.diagonal(dim1=-2, dim2=-1).real.mean(-1).sqrt()
        return own[..., None, None, None, None]
    return each_example(kspace, noise_sigma)


def each_example(
    kspace: KSpace, number: Callable[[KSpace], float], axis: str = "example"
) -> Float[Tensor, "*#batch 1 1 1 1"]:
    """A number of the scan, or of each entry of a batch axis."""
    like = kspace.samples.real
    if axis not in kspace.axes:
        return like.new_full((1, 1, 1, 1), number(kspace))
    n = kspace.samples.shape[kspace.axes.index(axis)]
    own = like.new_tensor([number(kspace.part(axis, i)) for i in range(n)])
    return own.reshape([n if a == axis else 1 for a in kspace.axes] + [1] * 4)


def with_noise_level(kspace: KSpace) -> KSpace:
    """The scan with its noise level written down as that of white noise, so that parts of it have that of the whole."""
    if kspace.noise_cov is not None:
        return kspace
    eye = torch.eye(kspace.n_coils, dtype=kspace.samples.dtype, device=kspace.samples.device)
    return replace(kspace, noise_cov=eye * noise_sigma(kspace) ** 2)


def _sigma(kspace: KSpace) -> float:
    if kspace.noise_cov is not None:
        return math.sqrt(float(kspace.noise_cov.diagonal(dim1=-2, dim2=-1).real.mean()))
    samples = kspace.samples.movedim(-4, 0).reshape(kspace.n_coils, -1, math.prod(kspace.samples.shape[-3:]))
    outer = samples.index_select(-1, outermost(kspace).flatten().nonzero()[:, 0])
    sizes = torch.view_as_real(outer).square().sum(-1).flatten(1)
    sigma2 = [float(s[s > 0].median()) / _MEDIAN_OF_EXPONENTIAL for s in sizes if bool((s > 0).any())]
    if not sigma2:
        return 0.0
    return math.sqrt(min(sum(sigma2) / len(sigma2), _quietest_readouts(kspace)))


def rss_noise(kspace: KSpace) -> float:
    """What noise alone adds to a root sum of squares of fully sampled coil images: sqrt(n sigma^2), n coils.

    The expectation of that picture squared is |x|^2 + n sigma^2 where x is free of noise. Coils that were compressed
    away count.

    Source: Constantinides et al. 1997, doi:10.1002/mrm.1910380524, eq. 3 (moments of the noncentral chi distribution).
    """
    return math.sqrt(kspace.n_receivers) * noise_sigma(kspace)


def with_noise_power(x: Tensor, level: float | Tensor) -> Tensor:
    """sqrt(|x|^2 + level^2), phase kept: a clean image as a root sum of squares of noisy coils would show it."""
    magnitude = x.abs()
    shown = (magnitude.square() + level**2).sqrt()
    if not x.is_complex():
        return shown
    tiny = torch.finfo(magnitude.dtype).tiny  # below it there is no phase
    return torch.where(magnitude >= tiny, x / magnitude.clamp_min(tiny), 1) * shown


def largest(samples: Tensor) -> float:
    """The largest real or imaginary part; NaN or infinite where one of them is."""
    low, high = torch.view_as_real(samples.resolve_conj()).aminmax()
    return float(torch.maximum(high, -low))


def _quietest_readouts(kspace: KSpace) -> float:
    """Mean |n|^2 where the fewest signal is along the readout; inf where samples are not whole Cartesian lines."""
    if kspace.mask is None or not bool((kspace.mask == kspace.mask[..., :1]).all()):
        return math.inf
    if kspace.samples.shape[-1] < _FEWEST_READOUTS:
        return math.inf
    grid = kspace.samples.shape[:-1]
    where = kspace.mask[..., 0].expand(*(1,) * (len(grid) - kspace.mask.ndim + 1), *kspace.mask.shape[:-1]).expand(grid)
    lines = kspace.samples[where]
    lines = lines[torch.view_as_real(lines).any(-1).any(-1)]  # a coil that was off carries no information
    mean = torch.view_as_real(plain_ifft(lines, (-1,))).square().sum(-1).mean(0)  # in any order
    return float(mean.quantile(_QUIET)) if len(lines) else math.inf


def outermost(kspace: KSpace, share: float = _OUTER) -> Bool[Tensor, "k2 k1 k0"]:
    """True on the `share` of the measured positions that lies farthest from k = 0, as seen from half the matrix.

    Nowhere, where nothing was measured.
    """
    radius = _radius(kspace)
    if kspace.mask is not None:
        grid = kspace.samples.shape[-3:]
        measured = kspace.mask.any(-4).flatten(0, -4).any(0) if kspace.mask.ndim > 4 else kspace.mask.any(-4)
        radius = torch.where(measured.expand(grid), radius, -1.0)
    seen = radius[radius >= 0]
    if not seen.numel():
        return torch.zeros_like(radius, dtype=torch.bool)
    keep = max(1, round(share * seen.numel()))
    threshold = seen.kthvalue(seen.numel() - keep + 1).values
    return radius >= threshold


def _radius(kspace: KSpace) -> Float[Tensor, "k2 k1 k0"]:
    """Distance from k = 0, where 1 is the edge of the sampled box along one axis."""
    device = kspace.samples.device
    if kspace.traj is not None:
        first = kspace.traj.flatten(0, -5)[0] if kspace.traj.ndim > 4 else kspace.traj
        return (first / first.abs().amax((0, 1, 2)).clamp_min(0.5)).square().sum(-1).sqrt()
    total = torch.zeros((), device=device)
    for axis, (n, centre) in enumerate(zip(kspace.encoding.matrix, kspace.encoding.origin, strict=True)):
        if n > 1:
            k = (torch.arange(n, device=device, dtype=torch.float32) - centre) / (n / 2)
            total = total + k.square().reshape([-1 if i == axis else 1 for i in range(3)])
    return total.sqrt().expand(kspace.encoding.matrix)
