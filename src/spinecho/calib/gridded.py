"""A calibration block for samples along a trajectory: the centre of k-space on a small grid, by least squares."""

from __future__ import annotations

import math

import torch
from jaxtyping import Complex
from torch import Tensor

from spinecho.core.errors import DataError
from spinecho.core.kspace import KSpace
from spinecho.ops.fourier import fft
from spinecho.ops.nufft import NUFFT, point_spread

_SIDE = {1: 32, 2: 32, 3: 12}
"""Voxels along each axis of the small grid, by the number of axes that are longer than 1."""

_SMALLEST = 8

_NARROWEST = 16
"""Voxels that few spokes still fill: P spokes leave no gap up to |k| = P / pi."""

_SHARED_AXES = ("time", "repetition", "average")
"""Batch axes whose samples are put together: the coils stay where they are."""


def gridded_calibration(kspace: KSpace, l2: float = 1e-3) -> Complex[Tensor, "*batch coil c2 c1 c0"]:
    """Calibration block (k = 0 at n // 2) of the image that explains the samples near k = 0 best.

    The image has so few voxels that A^H W A is a small dense matrix, T[r, s] = p[r - s] with p the point spread
    function of the central samples; it is solved once for all coils.

    Parameters
    ----------
    kspace
        A scan along a trajectory; frames, repetitions and averages share one block (their batch axes get length 1).
    l2
        Weight of |x|^2 relative to the largest diagonal element.

    Raises
    ------
    DataError
        If the samples near the centre are fewer than 8 x 8 voxels need.
    """
    assert kspace.traj is not None
    samples, traj = _merged(kspace)
    n_long = max(1, sum(n > 1 for n in kspace.encoding.matrix))
    side = _SIDE[n_long]
    if kspace.encoding.trajectory == "radial" and n_long == 2:
        side = min(side, max(_NARROWEST, 2 * round(traj.shape[-3] / math.pi)))
    z, y, x = (min(n, side) for n in kspace.encoding.matrix)
    reach = traj.abs().flatten(0, -2).amax(0).tolist()
    x, y, z = (min(n, 2 * max(1, math.ceil(r))) for n, r in zip((x, y, z), reach, strict=True))
    shape = (z, y, x)
    half = torch.tensor([x / 2, y / 2, max(z / 2, 1)], device=traj.device)
    inside = (traj.abs() <= half).all(-1).unsqueeze(-4)
    if int(inside.sum()) < _SMALLEST**n_long * math.prod(traj.shape[:-4]):
        raise DataError(
            f"only {int(inside.sum())} samples lie near the centre of k-space, too few for coil maps",
            do="scan more spokes or interleaves, or use gridding",
        )
    rhs = NUFFT(traj, shape, eps=1e-5).adjoint(samples * inside)
    p = point_spread(traj, shape, inside.to(torch.float32), eps=1e-5)
    T = _dense(p.squeeze(-4), shape)
    diagonal = T.diagonal(dim1=-2, dim2=-1).real.amax(-1)[..., None, None]
    T = T + l2 * diagonal * torch.eye(T.shape[-1], device=T.device)
    image = torch.linalg.solve(T, rhs.flatten(-3).mT).mT
    return fft(image.unflatten(-1, shape))


def _merged(kspace: KSpace) -> tuple[Tensor, Tensor]:
    """Samples and points with shared batch axes moved into the readouts."""
    assert kspace.traj is not None
    batch = kspace.samples.shape[:-4]
    samples, traj = kspace.samples, kspace.traj.expand(*batch, *kspace.traj.shape[-4:])
    for i, name in enumerate(kspace.axes):
        if name in _SHARED_AXES and batch[i] > 1:
            samples = samples.movedim(i, -3).flatten(-3, -2).unsqueeze(i)
            traj = traj.movedim(i, -4).flatten(-4, -3).unsqueeze(i)
    return samples, traj


def _dense(p: Tensor, shape: tuple[int, int, int]) -> Complex[Tensor, "*batch n n"]:
    """T[r, s] = p[r - s] as a matrix; p has difference 0 at index n of each doubled axis (0 of one of length 1)."""
    index = torch.stack(torch.meshgrid(*(torch.arange(n) for n in shape), indexing="ij"), -1).flatten(0, 2)
    difference = (index[:, None] - index[None]).to(p.device)
    dz, dy, dx = (difference[..., i] + (shape[i] if shape[i] > 1 else 0) for i in range(3))
    return p[..., dz, dy, dx]
