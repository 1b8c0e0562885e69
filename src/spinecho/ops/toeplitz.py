"""A^H W A of a NUFFT as a convolution: two FFTs on the doubled grid instead of two non-uniform ones."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.ops.linop import LinearOperator
from spinecho.ops.nufft import Points, apply_kernel, toeplitz_kernel


class Toeplitz(LinearOperator):
    """T x = A^H W A x for the NUFFT A of a trajectory: (*batch, coil, z, y, x) to itself.

    Source: Fessler et al. 2005, doi:10.1109/TSP.2005.853152. The kernel is an adjoint NUFFT of the weights onto the
    doubled grid, so that its accuracy is the NUFFT's.

    Parameters
    ----------
    traj, shape, eps
        As for `NUFFT`.
    weights
        W, one real weight per sample, (*batch, 1, k2, k1, k0); None: 1.
    """

    kernel: Tensor

    def __init__(
        self,
        traj: Points,
        shape: tuple[int, int, int],
        weights: Float[Tensor, "*batch 1 k2 k1 k0"] | None = None,
        *,
        eps: float = 1e-4,
        dtype: torch.dtype = torch.complex64,
    ) -> None:
        super().__init__()
        self.register_buffer("kernel", toeplitz_kernel(traj, shape, weights, eps=eps, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        return apply_kernel(x, self.kernel)

    def adjoint(self, y: Tensor) -> Tensor:
        return apply_kernel(y, self.kernel)
