"""Moments of magnitudes with noise: Rician (one channel) and noncentral chi (root sum of squares of n channels).

With a the signal relative to the noise of one real channel and n channels,

    E[m^2] = 2 n + a^2,    E[m] = sqrt(pi/2) L(a) with L = Gamma(n + 1/2) / (Gamma(3/2) Gamma(n)) 1F1(-1/2; n; -a^2/2).

Source: Koay and Basser 2006, doi:10.1016/j.jmr.2006.01.016, equations 7 to 14.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray
_FURTHEST = 40.0
"""Signal to noise from where on magnitudes are Gaussian to four digits"""


@lru_cache(maxsize=32)
def _table(n_channels: int) -> tuple[Array, Array, Array]:
    """Signals, and the mean and the variance of their magnitudes, all relative to the noise."""
    a = np.concatenate([np.linspace(0, 6, 601), np.linspace(6, _FURTHEST, 681)[1:]])
    from scipy.special import gammaln, hyp1f1

    scale = np.exp(gammaln(n_channels + 0.5) - gammaln(n_channels)) * 2**0.5
    mean = scale * hyp1f1(-0.5, n_channels, -(a**2) / 2)
    return a, mean, 2 * n_channels + a**2 - mean**2


def variance_at(mean: Array, n_channels: int = 1) -> Array:
    """Variance of magnitudes whose mean is given, both relative to the noise; 1 where it is bright."""
    _, means, variances = _table(n_channels)
    return np.interp(mean, means, variances)


def mean_of(signal: Array, n_channels: int = 1) -> Array:
    """Mean of magnitudes of a signal, both relative to the noise."""
    signals, means, _ = _table(n_channels)
    beyond = np.sqrt(signal**2 + 2 * n_channels - 1)
    return np.where(signal < _FURTHEST, np.interp(signal, signals, means), beyond)


def signal_of(mean: Tensor, sigma: Tensor, n_channels: int = 1) -> Tensor:
    """The signal whose magnitudes have this mean; 0 where even noise alone is brighter."""
    signals, means, _ = (torch.from_numpy(t).to(mean) for t in _table(n_channels))
    x = mean / sigma.clamp_min(torch.finfo(mean.dtype).tiny)
    index = torch.searchsorted(means, x.contiguous()).clamp(1, len(means) - 1)
    low, high = means[index - 1], means[index]
    part = ((x - low) / (high - low)).clamp(0, 1)
    inside = signals[index - 1] + part * (signals[index] - signals[index - 1])
    beyond = mean * (1 - (2 * n_channels - 1) / x.square()).clamp_min(0).sqrt()
    return torch.where(x < means[-1], inside * sigma, beyond)


def restored(mean: Tensor, sigma: Tensor, doubt: float = 1.0) -> Tensor:
    """The signal behind a mean that was only estimated (of one channel), going smoothly to 0 where it drowns in noise.

    At a mean little above that of noise alone `signal_of` is infinitely steep: what a method leaves in air becomes more
    than it was. With a that signal relative to the noise and d the doubt,

        a (1 - exp(-a^2 / (2 d^2))),

    where for d = 1 the exponential is how likely no signal is in a single voxel, relative to a.

    Parameters
    ----------
    doubt
        Signal, relative to the noise, of which 39 % are kept; 86 % are of twice as much, 99 % of three times as much.

    Source: no paper; the signal is that of Koay and Basser 2006 (above). Against it alone, `wavelet` on two IXI
    validation heads with 3, 10 and 15 % noise: psnr - 0.06 to + 0.24 dB, variance of air removed 45 to 97 % (4 to 77).
    """
    signal = signal_of(mean, sigma)
    return signal * -torch.expm1(-(signal / (doubt * sigma).clamp_min(torch.finfo(mean.dtype).tiny)).square() / 2)
