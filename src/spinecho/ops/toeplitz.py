"""A^H W A of a NUFFT as a convolution: two FFTs on the doubled grid instead of two non-uniform ones."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.ops.fourier import padded_convolve, spectrum
from spinecho.ops.linop import LinearOperator
from spinecho.ops.nufft import NUFFT, Points


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


def point_spread(
    traj: Points,
    shape: tuple[int, int, int],
    weights: Tensor | None = None,
    *,
    eps: float = 1e-4,
    dtype: torch.dtype = torch.complex64,
) -> Tensor:
    """p_d = 1/N sum_j w_j exp(2 pi i k_j . d / n) for -n <= d < n, (*batch, 1, 2z, 2y, 2x) with d = 0 at index n.

    An axis of length 1 is not doubled.
    """
    doubled = _doubled(shape)
    stretch = torch.tensor([d / n for d, n in zip(doubled, shape, strict=True)][::-1], dtype=torch.float64)
    points = (traj.double() * stretch.to(traj.device)).to(torch.float64)
    real = dtype.to_real()
    if weights is None:
        weights = torch.ones(1, 1, 1, 1, dtype=real, device=traj.device)
    batch = np.broadcast_shapes(weights.shape[:-4], traj.shape[:-4])
    w = weights.to(real).expand([*batch, 1, *traj.shape[-4:-1]])
    p = NUFFT(points, doubled, eps).adjoint(w.to(dtype))
    return p * (math.prod(doubled) ** 0.5 / math.prod(shape))


def toeplitz_kernel(
    traj: Points,
    shape: tuple[int, int, int],
    weights: Tensor | None = None,
    *,
    eps: float = 1e-4,
    dtype: torch.dtype = torch.complex64,
) -> Float[Tensor, "*batch 1 z2 y2 x2"]:
    """The spectrum of the point spread function on the doubled grid; real, since p is Hermitian for real weights."""
    p = point_spread(traj, shape, weights, eps=eps, dtype=dtype)
    for dim, n in zip((-3, -2, -1), shape, strict=True):
        if n > 1:
            p.narrow(dim, 0, 1).zero_()  # d = -n has no partner at +n, and is never used
    return spectrum(p).real.contiguous()


def apply_kernel(x: Tensor, kernel: Tensor) -> Tensor:
    """The part on x's own grid of the linear convolution of x with the kernel."""
    return padded_convolve(x, kernel)


def _doubled(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    z, y, x = (2 * n if n > 1 else 1 for n in shape)
    return z, y, x
