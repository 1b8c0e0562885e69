"""Receive coils: expand an image by sensitivity maps, and combine coil images."""

from __future__ import annotations

from jaxtyping import Complex, Shaped
from torch import Tensor

from spinecho.ops.linop import LinearOperator


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
