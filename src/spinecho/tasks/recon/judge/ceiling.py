"""The noise ceiling: what a perfect image would score against a truth that is itself noisy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, hyp1f1
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from spinecho.calib.noise import noise_sigma
from spinecho.core.kspace import KSpace
from spinecho.metrics.inside import inside

Array = npt.NDArray[np.float64]


_SURE = 3.0
"""Deviations above the noise's power from which on a place is no air."""


def mean_measured(m: Array, sigma: float, n_coils: int) -> Array:
    """E[t | m] of t = sqrt(sum_c |s_c + n_c|^2), where m^2 = sum_c |s_c|^2 and E|n_c|^2 = sigma^2 in each coil.

    t is noncentral chi with 2 n_coils degrees of freedom: E[t] = sigma Gamma(C + 1/2) / Gamma(C) 1F1(-1/2; C;
    -m^2 / sigma^2) (Constantinides, Atalar and McVeigh 1997, doi:10.1002/mrm.1910380524, eq. 3, where the noise is
    counted per real part).
    """
    at_zero = math.exp(gammaln(n_coils + 0.5) - gammaln(n_coils))
    return sigma * at_zero * hyp1f1(-0.5, n_coils, -((m / sigma) ** 2))


@dataclass(frozen=True)
class Ceiling:
    """Expected psnr, dB, of two perfect predictions; inf without noise.

    Parameters
    ----------
    inside
        The noise-free magnitude inside the object, scaled by least squares; nan where there is no object.
    whole
        Over the whole image, the mean of the truth itself given the noise-free image, noise floor in air included:
        nothing without the noise's own draw can come higher.
    """

    inside: float
    whole: float


def noise_ceiling(truth: Tensor, sigma: float, n_coils: int) -> Ceiling:
    """What perfect images m and E[t | m] score against the noisy truth t.

    With E[t^2] = m^2 + C sigma^2 the expected squared error of m at the best factor is sum(m^2 + C sigma^2) -
    (sum m E[t | m])^2 / sum m^2, that of E[t | m] is sum(m^2 + C sigma^2 - E[t | m]^2). m is not known: m^2 is taken
    as t^2 less C sigma^2, of single pixels inside and of 5x5 means over the whole image, and as 0 where that is less
    than 3 of its own deviations. This serves since the error at a pixel depends little on m (noise-free: sigma^2 / 2 in
    bright tissue, C sigma^2 in air); some tenths of a decibel too low inside (with a noise scan), and too high for the
    whole.

    Parameters
    ----------
    truth
        (slice, y, x) root sum of squares of the full scan.
    sigma
        Noise of one complex pixel of a coil image, see `pixel_noise`; too large a sigma gives too low a ceiling.
    n_coils
        C; the coils' noise is taken as uncorrelated and of equal size.
    """
    if sigma <= 0:
        return Ceiling(math.inf, math.inf)
    t = truth.double().cpu()
    floor, object_, peak = n_coils * sigma**2, inside(t).numpy(), float(t.max()) ** 2
    m2, mean = _signal(t, 1, sigma, n_coils)
    m2, mean = m2[object_], mean[object_]
    left = (m2 + floor).sum() - (np.sqrt(m2) * mean).sum() ** 2 / m2.sum() if m2.any() else math.nan
    m2, mean = _signal(t, 5, sigma, n_coils)
    whole = (m2 + floor - mean**2).sum()
    return Ceiling(_decibels(peak * object_.sum(), float(left)), _decibels(peak * t.numel(), float(whole)))


def _signal(t: Tensor, width: int, sigma: float, n_coils: int) -> tuple[Array, Array]:
    """m^2 and E[t | m] by the mean of t^2 over width x width pixels."""
    excess = local_power(t, width).numpy() - n_coils * sigma**2
    m2 = np.where(excess > _SURE * math.sqrt(n_coils) * sigma**2 / width, excess, 0)
    return m2, mean_measured(np.sqrt(m2), sigma, n_coils)


def _decibels(power: float, error: float) -> float:
    return 10 * math.log10(power / error) if power > 0 and error > 0 else math.nan


def pixel_noise(full: KSpace, truth: Tensor) -> float:
    """Noise of one complex pixel of a (prewhitened) coil image of a full scan: sigma^2 = E|n|^2.

    With a noise scan from its covariance, times the measured part of the grid. Otherwise the smaller of two estimates,
    each of which signal makes too large: that of the outermost samples, and that of the air, where the truth's power is
    C sigma^2 (the 5 % of 7x7 blocks with the least power; blocks that were set to zero are left out). The least of many
    blocks is too small where coils are few, and the ceiling then too high.
    """
    outer = noise_sigma(full)
    if full.noise_cov is not None:
        assert full.mask is not None
        return outer * math.sqrt(float(full.mask.float().mean()))
    power = local_power(truth.double(), 7).flatten()
    power = power[power > 1e-6 * power.max()]
    air = math.sqrt(float(power.kthvalue(max(1, round(0.05 * power.numel()))).values) / full.n_coils)
    return min(outer, air) if outer > 0 else air


def local_power(t: Tensor, width: int) -> Tensor:
    """Mean of t^2 over width x width pixels of each slice (slice, y, x)."""
    edge = width // 2
    padded = pad(t.square()[:, None], (edge, edge, edge, edge), mode="replicate")
    return avg_pool2d(padded, width, stride=1)[:, 0]
