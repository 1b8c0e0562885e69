"""Noise covariances of a batch: coils of unlike levels, coupled with their neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Complex
from torch import Tensor

from spinecho.sim.drawn.rows import Rows

_COUPLED = 2
"""Neighbours on each side that a coil is coupled with."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NoiseOfCoils:
    """Covariance C with mean diagonal 1, and W with W C W^H = 1 (`ops.coils.whitening`)."""

    covariance: Complex[Tensor, "n coil coil"]
    whitening: Complex[Tensor, "n coil coil"]


def sample_noise(n_coils: int, rows: Rows, *, correlation: float = 0.25, spread: float = 0.2) -> NoiseOfCoils:
    """As `sim.noise.sample_covariance`, coupled with the two nearest neighbours on each side.

    Parameters
    ----------
    correlation
        Typical size of the coupling between neighbouring coils.
    spread
        Standard deviation of the logarithm of the coils' noise levels.
    """
    level = torch.exp(spread * rows.normal(n_coils))
    mixing = torch.eye(n_coils, dtype=torch.complex128, device=rows.device).expand(len(rows), -1, -1)
    number = torch.arange(n_coils, device=rows.device)
    for apart in range(1, min(_COUPLED, n_coils // 2) + 1):
        for other in ((number + apart) % n_coils, (number - apart) % n_coils):
            drawn = torch.complex(rows.normal(n_coils), rows.normal(n_coils)) * (correlation * 3.0 ** (1 - apart) / 2)
            mixing = mixing + torch.diag_embed(drawn) @ torch.eye(n_coils, device=rows.device)[other].to(drawn.dtype)
    mixing = level[..., None] * mixing / mixing.abs().square().sum(2, keepdim=True).sqrt()
    cov = mixing @ mixing.mH
    cov = cov / cov.diagonal(dim1=1, dim2=2).real.mean(1)[:, None, None]
    eye = torch.eye(n_coils, dtype=cov.dtype, device=cov.device)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(cov), eye, upper=False)
    return NoiseOfCoils(covariance=cov.to(torch.complex64), whitening=white.to(torch.complex64))
