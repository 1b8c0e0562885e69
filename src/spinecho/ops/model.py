"""The forward model of a scan: image -> samples, A = sampling . Fourier . coils, or NUFFT . coils."""

from __future__ import annotations

from jaxtyping import Complex
from torch import Tensor

from spinecho.core.kspace import KSpace
from spinecho.ops.coils import Coils
from spinecho.ops.linop import LinearOperator
from spinecho.ops.nufft import NUFFT
from spinecho.ops.psf import CartesianSense


def forward_model(kspace: KSpace, csm: Complex[Tensor, "*batch map coil z y x"]) -> LinearOperator:
    """A with A(x) = P F S x for the scan's mask or trajectory: (*batch, map, z, y, x) to (*batch, coil, k2, k1, k0)."""
    if kspace.traj is not None:
        return NUFFT(kspace.traj, kspace.encoding.matrix) @ Coils(csm)
    assert kspace.mask is not None
    return CartesianSense(kspace.mask, csm)
