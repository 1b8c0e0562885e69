"""Receiver noise: complex, white in time, correlated between coils.

SNR here is the mean of the noise-free root sum of squares over the object (where it exceeds a tenth of its maximum),
divided by the standard deviation of the complex noise (sqrt E|n|^2, averaged over coils) of one fully sampled coil
image. The unitary FFT keeps that deviation, so it is that of one k-space sample as well.
"""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor


def sample_covariance(
    n_coils: int, generator: torch.Generator, *, correlation: float = 0.25, spread: float = 0.2
) -> Complex[Tensor, "coil coil"]:
    """Draw a coil noise covariance whose diagonal has mean 1 (complex64).

    Parameters
    ----------
    correlation
        Typical size of the coupling between neighbouring coils; 0: none.
    spread
        Standard deviation of the logarithm of the coils' noise levels.
    """
    coil = torch.arange(n_coils)
    apart = (coil[:, None] - coil).abs()
    apart = torch.minimum(apart, n_coils - apart).double()
    mixing = torch.randn(n_coils, n_coils, generator=generator, dtype=torch.complex128)
    mixing = torch.eye(n_coils) + correlation * torch.exp(1 - apart) * mixing * (apart > 0) / 2**0.5
    level = torch.exp(spread * torch.randn(n_coils, generator=generator, dtype=torch.float64))
    mixing = level[:, None] * mixing / torch.linalg.vector_norm(mixing, dim=1, keepdim=True)
    cov = mixing @ mixing.mH
    return (cov / cov.diagonal().real.mean()).to(torch.complex64)


def noise(
    shape: tuple[int, ...], cov: Complex[Tensor, "coil coil"], generator: torch.Generator
) -> Complex[Tensor, "*batch coil k2 k1 k0"]:
    """Samples of shape (*batch, coil, k2, k1, k0) with E[n n^H] = cov; the generator's device makes them."""
    white = torch.randn(shape, dtype=torch.complex64, generator=generator, device=generator.device).to(cov.device)
    L = torch.linalg.cholesky(cov.to(torch.complex128)).to(torch.complex64)
    return torch.einsum("cd,...dijk->...cijk", L, white)


def noise_scan(
    cov: Complex[Tensor, "coil coil"], generator: torch.Generator, n_samples: int = 4096
) -> Complex[Tensor, "coil 1 1 sample"]:
    """What a scanner records without excitation, from which the covariance is estimated."""
    return noise((cov.shape[0], 1, 1, n_samples), cov, generator)


def object_mean(magnitude: Float[Tensor, "*any"]) -> float:
    """Mean over the voxels that exceed a tenth of the maximum."""
    return float(magnitude[magnitude > 0.1 * magnitude.max()].mean())
