"""The noise level of a scan, from its noise covariance or from its own outermost samples."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spinecho.core.kspace import KSpace

_OUTER = 0.1
"""Share of the measured samples, those farthest from k = 0, that is taken for noise."""

_MEDIAN_OF_EXPONENTIAL = math.log(2)


def noise_sigma(kspace: KSpace) -> float:
    """Standard deviation of the noise in one complex sample: sigma^2 = E|n|^2 = E(Re n)^2 + E(Im n)^2.

    Mean over coils (root mean square), in the units of `kspace.samples`; the same number holds for a pixel of a coil
    image, since the Fourier transform is unitary. With a noise covariance it is read from there. Otherwise the tenth
    of the measured samples that lies farthest from k = 0 is taken for noise, where |n|^2 is exponentially distributed
    with median sigma^2 ln 2; the median passes over the few samples where an edge still shines through, and exact
    zeros (lines that were filled up, not measured) are left out. Signal in the outer samples makes the result too
    large, never too small; a filter applied before export makes it too small.

    Returns
    -------
    sigma; 0.0 where all outer samples are zero.
    """
    if kspace.noise_cov is not None:
        return math.sqrt(float(kspace.noise_cov.diagonal().real.mean()))
    outer = outermost(kspace)
    sizes = kspace.samples.abs().movedim(-4, 0)[..., outer].flatten(1).square()
    sigma2 = [float(s[s > 0].median()) / _MEDIAN_OF_EXPONENTIAL for s in sizes if bool((s > 0).any())]
    return math.sqrt(sum(sigma2) / len(sigma2)) if sigma2 else 0.0


def outermost(kspace: KSpace, share: float = _OUTER) -> Bool[Tensor, "k2 k1 k0"]:
    """True on the `share` of the measured positions that lies farthest from k = 0, as seen from half the matrix."""
    radius = _radius(kspace)
    if kspace.mask is not None:
        grid = kspace.samples.shape[-3:]
        measured = kspace.mask.any(-4).flatten(0, -4).any(0) if kspace.mask.ndim > 4 else kspace.mask.any(-4)
        radius = torch.where(measured.expand(grid), radius, -1.0)
    seen = radius[radius >= 0]
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
