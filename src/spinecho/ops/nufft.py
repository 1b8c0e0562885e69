"""Non-uniform FFT: an image to samples along any trajectory, and its adjoint, by finufft."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.ops.fourier import padded_convolve, spectrum
from spinecho.ops.linop import LinearOperator

Points = Float[Tensor, "*batch k2 k1 k0 3"]


class NUFFT(LinearOperator):
    """y_j = N^(-1/2) sum_r x_r exp(-2 pi i sum_d k_jd r_d / n_d).

    (*batch, coil, z, y, x) to (*batch, coil, k2, k1, k0). r = 0 lies at index n // 2 and N is the number of voxels, so
    that on the points of the Cartesian grid this is `ops.fourier.fft`. Computed to a relative error of eps; the adjoint
    is exact for what is computed.

    Source: Barnett, Magland, af Klinteberg, FINUFFT, 2019, doi:10.1137/18M120885X; Fessler and Sutton 2003,
    doi:10.1109/TSP.2002.807005.

    Parameters
    ----------
    traj
        (kx, ky, kz) in cycles per field of view; batch axes as the samples', or of length 1.
    shape
        The image's (z, y, x); where z = 1 the transform is two-dimensional.
    eps
        Relative accuracy; below 1e-6 it needs complex128 samples.

    Raises
    ------
    DataError
        If the trajectory needs a gradient (it would get none), or finufft is not installed.
    """

    traj: Tensor

    def __init__(self, traj: Points, shape: tuple[int, int, int], eps: float = 1e-4) -> None:
        super().__init__()
        if traj.requires_grad:
            raise DataError("the trajectory requires a gradient, and the NUFFT has none to give", do="detach it")
        self.register_buffer("traj", traj)
        self.shape, self.eps = shape, eps
        self._plans: dict[tuple[object, ...], Any] = {}
        self._kernels: dict[torch.dtype, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        return _transform(x, self, False)

    def adjoint(self, y: Tensor) -> Tensor:
        return _transform(y, self, True)

    def normal(self, x: Tensor) -> Tensor:
        """A^H A x by two FFTs on the doubled grid (Toeplitz); the kernel is made at the first call."""
        kernel = self._kernels.get(x.dtype)
        if kernel is None or kernel.device != x.device:
            with torch.no_grad():
                kernel = toeplitz_kernel(self.traj, self.shape, eps=self.eps, dtype=x.dtype)
            self._kernels[x.dtype] = kernel
        return apply_kernel(x, kernel)

    def __getstate__(self) -> dict[str, Any]:
        """Plans and kernels stay behind when the operator is copied or sent to another process."""
        return {**self.__dict__, "_plans": {}, "_kernels": {}}

    def transform(self, values: Tensor, adjoint: bool) -> Tensor:
        """Both directions without autograd; one plan for each trajectory of the batch."""
        where, values = values.device, values.to(values.dtype.to_complex())
        if engine_device(where) != where:
            return self.transform(values.to(engine_device(where)), adjoint).to(where)
        sampled = tuple(self.traj.shape[-4:-1])
        inner, outer = (sampled, self.shape) if adjoint else (self.shape, sampled)
        if tuple(values.shape[-3:]) != inner:
            name, axes = ("samples", "(k2, k1, k0)") if adjoint else ("the image", "(z, y, x)")
            raise DataError(f"{name} have shape {tuple(values.shape[-3:])} {axes}, the NUFFT was made for {inner}")
        batch = np.broadcast_shapes(values.shape[:-4], self.traj.shape[:-4])
        result = values.new_empty([*batch, values.shape[-4], *outer])
        values = values.expand([*batch, *values.shape[-4:]])
        n_traj = math.prod(self.traj.shape[:-4])
        if n_traj == 1:
            self._run(values, result, 0, adjoint)
            return result
        which = np.broadcast_to(np.arange(n_traj).reshape(self.traj.shape[:-4]), batch).ravel()
        for number, one, target in zip(which, values.flatten(0, -5), result.flatten(0, -5), strict=True):
            self._run(one, target, int(number), adjoint)
        return result

    def _run(self, values: Tensor, result: Tensor, number: int, adjoint: bool) -> None:
        """Transform all coils (and frames on this trajectory) at once, into result."""
        n_trans = math.prod(values.shape[:-3])
        plan = self._plan(number, n_trans, values.dtype, values.device, adjoint)
        n_points = math.prod(self.traj.shape[-4:-1])
        modes = self.shape if self.shape[0] > 1 else self.shape[1:]
        lead = (n_trans,) if n_trans > 1 else ()
        source = values.reshape(*lead, *((n_points,) if adjoint else modes))
        target = result.view(*lead, *(modes if adjoint else (n_points,)))
        if values.is_cuda:
            plan.execute(source.contiguous(), out=target)
        else:
            plan.execute(source.contiguous().resolve_conj().numpy(), out=target.numpy())
        result /= math.prod(self.shape) ** 0.5

    def _plan(self, number: int, n_trans: int, dtype: torch.dtype, device: torch.device, adjoint: bool) -> Any:
        threads = torch.get_num_threads()
        key = (number, n_trans, dtype, device, adjoint, threads)
        if key not in self._plans:
            points = self.traj.reshape(-1, math.prod(self.traj.shape[-4:-1]), 3)[number]
            self._plans[key] = _make_plan(points, self.shape, n_trans, self.eps, dtype, device, adjoint, threads)
        return self._plans[key]


class _Transform(torch.autograd.Function):
    """The gradient of a linear map is its adjoint."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, op: NUFFT, adjoint: bool) -> Tensor:
        ctx.op, ctx.was_adjoint, ctx.shape, ctx.was_complex = op, adjoint, values.shape, values.is_complex()
        return op.transform(values.detach(), adjoint)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        grad = _transform(grads[0], ctx.op, not ctx.was_adjoint).sum_to_size(ctx.shape)
        return grad if ctx.was_complex else grad.real, None, None


_transform = cast("Callable[[Tensor, NUFFT, bool], Tensor]", cast(Any, _Transform).apply)


def _make_plan(
    points: Tensor,
    shape: tuple[int, int, int],
    n_trans: int,
    eps: float,
    dtype: torch.dtype,
    device: torch.device,
    adjoint: bool,
    threads: int,
) -> Any:
    """A plan of finufft (CPU) or cufinufft (CUDA) with its points set: radians per voxel, slowest axis first."""
    modes = shape if shape[0] > 1 else shape[1:]
    real = dtype.to_real()
    radians = [
        (points[:, 2 - d].double() * (2 * math.pi / shape[d])).to(device, real) for d in range(3 - len(modes), 3)
    ]
    radians = [r.contiguous() for r in radians]
    kind, sign = (1, 1) if adjoint else (2, -1)
    name = "complex64" if dtype == torch.complex64 else "complex128"
    if device.type == "cpu":
        finufft: Any = _engine("finufft")
        plan = finufft.Plan(kind, modes, n_trans, eps, sign, name, nthreads=threads, showwarn=0)
        plan.setpts(*(np.asarray(r) for r in radians))
        return plan
    cufinufft: Any = _engine("cufinufft")
    plan = cufinufft.Plan(kind, modes, n_trans, eps, sign, name, gpu_device_id=device.index or 0)
    plan.setpts(*radians)
    return plan


def engine_device(device: torch.device) -> torch.device:
    """Where transforms of tensors on a device are computed: on the processor, where no engine is installed for it."""
    is_there = device.type == "cpu" or (device.type == "cuda" and find_spec("cufinufft") is not None)
    return device if is_there else torch.device("cpu")


def _engine(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        told = f"samples along a trajectory need {name}, which is not installed"
        raise DataError(told, do=f"pip install {name}") from None


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
