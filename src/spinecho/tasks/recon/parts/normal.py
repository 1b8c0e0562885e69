"""The normal equations of a scan, Cartesian or along a trajectory, and what is solved with them again and again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Complex
from torch import Tensor

from spinecho.calib.dcf import density_weights
from spinecho.core.kspace import KSpace
from spinecho.ops.coils import Coils
from spinecho.ops.nufft import NUFFT
from spinecho.ops.psf import CartesianSense
from spinecho.ops.toeplitz import Toeplitz
from spinecho.solve.cg import solve

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Normal:
    """A^H W A and A^H W y, with W the density weights along a trajectory (1 on a grid), so that its norm is about 1.

    Parameters
    ----------
    operator, rhs
        x to A^H W A x; A^H W y; both in the inner layout.
    enter, leave
        Image (*batch, 1, z, y, x) to the inner layout, where products are cheap, and back.
    dims
        Axes of one system in the inner layout; along the others systems are independent.
    noise
        Standard deviation of a voxel's noise where the samples have 1 and all is measured as densely as here:
        sqrt(sum W^2 / sum W), which is 1 on a grid.
    """

    operator: Map
    rhs: Tensor
    enter: Map
    leave: Map
    dims: tuple[int, ...]
    noise: float = 1.0

    def start(self, l2: float = 0.01, n_iters: int = 8) -> Tensor:
        """A few iterations of SENSE from zero: argmin |A x - y|^2 + l2 |x|^2, not quite."""
        return self.leave(solve(lambda x: self.operator(x).add_(x, alpha=l2), self.rhs, n_iters, dims=self.dims))

    def consistent(self, z: Tensor, weight: Tensor, scale: Tensor, n_iters: int) -> Tensor:
        """argmin |A x - y / scale|^2 + weight |x - z|^2 by conjugate gradients from z."""
        inner = self.enter(z)
        normal = lambda x: self.operator(x) + weight * x  # noqa: E731
        return self.leave(solve(normal, self.rhs / scale + weight * inner, n_iters, x0=inner, dims=self.dims))


def cartesian(A: CartesianSense, samples: Tensor) -> Normal:
    """Of samples on a grid."""
    return Normal(A.inner_normal, A.inner_adjoint(samples), A.enter, A.leave, (-4, *A.inner_dims))


def normal_equations(kspace: KSpace, csm: Complex[Tensor, "*#batch 1 coil z y x"], *, cut: bool = True) -> Normal:
    """Of a scan, on a grid or along a trajectory (there W keeps a few iterations enough, and no NUFFT is in them).

    `cut`: as in `CartesianSense`.
    """
    if kspace.traj is None:
        assert kspace.mask is not None
        return cartesian(CartesianSense(kspace.mask, csm, cut=cut), kspace.samples)
    weights, shape, S = density_weights(kspace), kspace.encoding.matrix, Coils(csm)
    rhs = S.adjoint(NUFFT(kspace.traj, shape).adjoint(weights * kspace.samples))
    T = Toeplitz(kspace.traj, shape, weights)
    noise = float((weights.square().sum() / weights.sum()).sqrt())
    return Normal(lambda x: S.adjoint(T(S(x))), rhs, _same, _same, (-4, -3, -2, -1), noise)


def _same(x: Tensor) -> Tensor:
    return x
