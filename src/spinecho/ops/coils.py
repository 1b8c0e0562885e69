"""Receive coils: expand an image by sensitivity maps, combine coil images, make their noise white."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Complex, Shaped
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.ops.linop import LinearOperator

_linalg: Any = torch.linalg  # torch ships no types for it


class Coils(LinearOperator):
    """(C x)_c = sum_m S_mc x_m: image (*batch, map, z, y, x) to coil images (*batch, coil, z, y, x).

    Source: Pruessmann et al., SENSE, Magn Reson Med 1999, eq. 1; several maps: Uecker et al., ESPIRiT, 2014,
    doi:10.1002/mrm.24751.
    """

    csm: Tensor

    def __init__(self, csm: Complex[Tensor, "*batch map coil z y x"]) -> None:
        super().__init__()
        self.register_buffer("csm", csm)

    def forward(self, x: Tensor) -> Tensor:
        if self.csm.shape[-5] == 1:
            return self.csm.squeeze(-5) * x
        return (self.csm * x.unsqueeze(-4)).sum(-5)

    def adjoint(self, y: Tensor) -> Tensor:
        if self.csm.shape[-5] == 1:
            return (self.csm.squeeze(-5).conj() * y).sum(-4, keepdim=True)
        return (self.csm.conj() * y.unsqueeze(-5)).sum(-4)


def root_sum_of_squares(x: Shaped[Tensor, "*batch coil z y x"]) -> Tensor:
    """sqrt(sum_c |x_c|^2) as (*batch, 1, z, y, x), real (Roemer et al. 1990, doi:10.1002/mrm.1910160203)."""
    return x.abs().square().sum(-4, keepdim=True).sqrt()


def whitening(noise_cov: Complex[Tensor, "coil coil"]) -> Complex[Tensor, "coil coil"]:
    """W with W C W^H = v 1, where v is the mean of C's diagonal: white coils on the scale of the old ones.

    W is the inverse of the lower Cholesky factor of C / v, so images keep their scale (to a shading by how unlike the
    coils' noise was).

    Source: Pruessmann et al. 2001, doi:10.1002/mrm.1241, appendix A; the factor v is ours.
    """
    C = noise_cov.to(torch.complex128)
    mean = C.diagonal().real.mean()
    lower, failed = _linalg.cholesky_ex(C / mean)
    if int(failed) or not mean > 0:
        raise DataError(
            "the noise covariance is not positive definite (a dead or doubled coil?)", do="leave that coil out"
        )
    eye = torch.eye(len(C), dtype=C.dtype, device=C.device)
    return _linalg.solve_triangular(lower, eye, upper=False).to(noise_cov.dtype)


def mix_coils(x: Complex[Tensor, "*batch coil z y x"], matrix: Complex[Tensor, "new coil"]) -> Tensor:
    """(M x)_n = sum_c M_nc x_c, for samples or coil images."""
    return torch.einsum("nc,...cijk->...nijk", matrix, x)
